"""Intervals against published tables, the formula as written, and coverage by simulation."""

import numpy as np
import pytest

from errata.stats.exact import Strata
from errata.stats.intervals import (
    LossStrata,
    clopper_pearson,
    difference_interval,
    loss_difference,
    loss_interval,
    stratified_difference,
    wilson,
)  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "rows", "lower", "upper"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_published(wrong: int, rows: int, lower: float, upper: float) -> None:
    # R. G. Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3.
    limits = wilson(wrong, rows, 0.95)
    assert float(limits.lower) == pytest.approx(lower, abs=5e-5)
    assert float(limits.upper) == pytest.approx(upper, abs=5e-5)


@pytest.mark.parametrize(
    ("wrong", "rows", "lower", "upper"),
    [(81, 263, 0.2527, 0.3676), (15, 148, 0.0578, 0.1617), (0, 20, 0.0, 0.1684), (1, 29, 0.0009, 0.1776)],
)
def test_clopper_pearson_published(wrong: int, rows: int, lower: float, upper: float) -> None:
    # The same table, method 5.
    interval = clopper_pearson(wrong, rows, 0.95)
    assert interval.lower == pytest.approx(lower, abs=5e-5)
    assert interval.upper == pytest.approx(upper, abs=5e-5)


def test_clopper_pearson_tails_are_what_they_say() -> None:
    from scipy.special import bdtr, bdtrc

    interval = clopper_pearson(7, 30, 0.9)
    assert bdtrc(6, 30, interval.lower) == pytest.approx(0.05)
    assert bdtr(7, 30, interval.upper) == pytest.approx(0.05)
    assert clopper_pearson(30, 30, 0.9).upper == 1.0


@pytest.mark.parametrize(
    ("a", "m", "b", "n", "lower", "upper"),
    [
        (56, 70, 48, 80, 0.0524, 0.3339),
        (9, 10, 3, 10, 0.1705, 0.8090),
        (6, 7, 2, 7, 0.0582, 0.8062),
        (5, 56, 0, 29, -0.0381, 0.1926),
        (0, 10, 0, 20, -0.1611, 0.2775),
        (10, 10, 0, 10, 0.6075, 1.0),
    ],
)
def test_one_stratum_is_newcombes_method_10(a: int, m: int, b: int, n: int, lower: float, upper: float) -> None:
    # R. G. Newcombe, Statistics in Medicine 17 (1998) 873-890, table II, method 10.
    interval = difference_interval(Strata([m + n], [a + b], [m], [a]), 0.95)
    assert interval.lower == pytest.approx(lower, abs=5e-5)
    assert interval.upper == pytest.approx(upper, abs=5e-5)


def test_strata_as_written() -> None:
    strata = Strata([50, 80, 9], [10, 8, 4], [20, 10, 9], [8, 2, 4])
    effect = stratified_difference(strata)
    outside = 20 / 30 * (2 / 30) + 10 / 30 * (6 / 70)
    assert (effect.used, effect.excluded) == (30, 9)
    assert effect.inside == pytest.approx(10 / 30)
    assert effect.outside == pytest.approx(outside)
    own, rest = wilson(10, 30, 0.9), [wilson(2, 30, 0.9), wilson(6, 70, 0.9)]
    lower = effect.difference - np.sqrt(
        (10 / 30 - own.lower) ** 2 + (2 / 3 * (rest[0].upper - 2 / 30)) ** 2 + (1 / 3 * (rest[1].upper - 6 / 70)) ** 2
    )
    upper = effect.difference + np.sqrt(
        (own.upper - 10 / 30) ** 2 + (2 / 3 * (2 / 30 - rest[0].lower)) ** 2 + (1 / 3 * (6 / 70 - rest[1].lower)) ** 2
    )
    interval = difference_interval(strata, 0.9)
    assert interval.lower == pytest.approx(float(lower))
    assert interval.upper == pytest.approx(float(upper))


def test_nothing_comparable() -> None:
    strata = Strata([5], [2], [5], [2])
    assert stratified_difference(strata).used == 0
    assert np.isnan(stratified_difference(strata).difference)
    assert (difference_interval(strata, 0.9).lower, difference_interval(strata, 0.9).upper) == (-1.0, 1.0)


def test_levels_of_very_many_tests_keep_their_width() -> None:
    widths = [difference_interval(Strata([200], [40], [50], [20]), 1 - 10.0**-k) for k in range(1, 16)]
    assert np.all(np.diff([w.upper - w.lower for w in widths]) > 0)


@pytest.mark.parametrize("rates", [((0.3, 0.1), (0.5, 0.3)), ((0.05, 0.02), (0.05, 0.02))])
def test_coverage_of_rates(rates: tuple[tuple[float, ...], tuple[float, ...]]) -> None:
    rng = np.random.default_rng(0)
    outside, inside = (np.array(rate) for rate in rates)
    members, rest = np.array([60, 30]), np.array([400, 700])
    truth = float((members / 90) @ (inside - outside))
    hits = 0
    for _ in range(1_500):
        x1, x0 = rng.binomial(members, inside), rng.binomial(rest, outside)
        interval = difference_interval(Strata(members + rest, x1 + x0, members, x1), 0.9)
        hits += interval.lower <= truth <= interval.upper
    assert 0.88 < hits / 1_500 < 0.96


def test_losses_agree_with_rates_and_cover() -> None:
    rng = np.random.default_rng(1)

    def strata(values: np.ndarray, member: np.ndarray, code: np.ndarray) -> LossStrata:
        def add(weights: np.ndarray) -> np.ndarray:
            return np.bincount(code, weights=weights, minlength=2)

        return LossStrata(
            add(np.ones_like(values)).astype(int), add(values), add(values**2),
            add(member * 1.0).astype(int), add(member * values), add(member * values**2),
        )  # fmt: skip

    code, member = np.repeat([0, 1], [300, 200]), rng.random(500) < 0.3
    wrong = (rng.random(500) < 0.2).astype(float)
    counts = [
        np.bincount(code, weights=w, minlength=2).astype(int) for w in (wrong * 0 + 1, wrong, member, member * wrong)
    ]
    assert loss_difference(strata(wrong, member, code)).difference == pytest.approx(
        stratified_difference(Strata(*counts)).difference
    )
    hits = 0
    for _ in range(800):
        values = rng.exponential(1.0, 500) + code + 0.5 * member
        interval = loss_interval(strata(values, member, code), 0.9)
        hits += interval.lower <= 0.5 <= interval.upper
    assert 0.86 < hits / 800 < 0.94


def test_single_rows_give_no_interval_of_losses() -> None:
    one = LossStrata(np.array([5]), np.array([3.0]), np.array([2.5]), np.array([1]), np.array([1.0]), np.array([1.0]))
    assert loss_interval(one, 0.9).lower == -np.inf
