"""The exact test against published tables, a naive convolution in fractions, scipy, and simulation."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest

from errata.stats.exact import SMALLEST_P, Strata, exact_test, fisher_test, smallest_p


def naive(strata: Strata) -> float:
    """The tail of the convolved hypergeometric distributions, in exact fractions."""
    total, observed = {0: Fraction(1)}, 0
    for n, k, n1, x in zip(
        strata.rows.tolist(), strata.wrong.tolist(), strata.members.tolist(), strata.members_wrong.tolist(), strict=True
    ):
        if n1 in (0, n):
            continue
        observed += x
        added: dict[int, Fraction] = {}
        for inside in range(max(0, n1 + k - n), min(n1, k) + 1):
            chance = Fraction(comb(k, inside) * comb(n - k, n1 - inside), comb(n, n1))
            for before, p in total.items():
                added[before + inside] = added.get(before + inside, Fraction(0)) + p * chance
        total = added
    return float(sum(p for value, p in total.items() if value >= observed))


def random_strata(rng: np.random.Generator, classes: int, most: int) -> Strata:
    rows = rng.integers(1, most, classes)
    wrong = rng.binomial(rows, rng.uniform(0.02, 0.9))
    members = rng.binomial(rows, rng.uniform(0.05, 0.9))
    low, high = np.maximum(0, members + wrong - rows), np.minimum(members, wrong)
    inside = np.where(rng.random(classes) < 0.6, high, rng.integers(low, high + 1))
    return Strata(rows, wrong, members, inside)


def test_fisher_tea_tasting() -> None:
    # R. A. Fisher, The Design of Experiments (1935), chapter 2: 4 of 4 cups by chance 1 in 70, 3 of 4 or more 17 in 70.
    assert fisher_test(4, 4, 4, 8) == pytest.approx(1 / 70, rel=1e-12)
    assert fisher_test(3, 4, 4, 8) == pytest.approx(17 / 70, rel=1e-12)


def test_stratified_published_rabbits() -> None:
    # A. Agresti, Categorical Data Analysis (1990), pp. 231-237, penicillin in rabbits, five levels; the exact
    # conditional test of R's mantelhaen.test gives S = 16 and two-sided p = 0.03994, twice the one-sided value here.
    table = np.array([[0, 0, 6, 5], [3, 0, 3, 6], [6, 2, 0, 4], [5, 6, 1, 0], [2, 5, 0, 0]]).reshape(5, 2, 2)
    strata = Strata(table.sum((1, 2)), table[:, 0].sum(1), table[:, :, 0].sum(1), table[:, 0, 0])
    assert int(strata.members_wrong.sum()) == 16
    assert 2 * exact_test(strata) == pytest.approx(0.03994, abs=5e-6)


def test_agrees_with_exact_fractions() -> None:
    rng = np.random.default_rng(0)
    for _ in range(80):
        strata = random_strata(rng, int(rng.integers(1, 14)), 50)
        assert exact_test(strata) == pytest.approx(naive(strata), rel=1e-11)


def test_many_small_strata_take_the_stacked_path() -> None:
    rng = np.random.default_rng(1)
    for classes in (9, 17, 60, 101):
        strata = random_strata(rng, classes, 9)
        assert exact_test(strata) == pytest.approx(naive(strata), rel=1e-11)


def test_one_stratum_agrees_with_scipy() -> None:
    from scipy.stats import hypergeom

    rng = np.random.default_rng(2)
    for _ in range(200):
        rows = int(rng.integers(2, 3_000))
        wrong, members = int(rng.integers(0, rows + 1)), int(rng.integers(1, rows))
        inside = int(rng.integers(max(0, members + wrong - rows), min(members, wrong) + 1))
        expected = float(hypergeom.sf(inside - 1, rows, wrong, members))
        if expected > 1e-250:
            assert fisher_test(inside, members, wrong, rows) == pytest.approx(expected, rel=1e-9)


def test_far_tail_at_many_rows_is_not_garbage() -> None:
    # So far out tails fall like their terms, and the ratio of neighbouring terms is known in closed form.
    rows, wrong, members = 400_000, 40_000, 8_000
    p, q = fisher_test(1_900, members, wrong, rows), fisher_test(1_901, members, wrong, rows)
    assert SMALLEST_P < q < p < 1e-280
    ratio = (wrong - 1_900) * (members - 1_900) / (1_901 * (rows - wrong - members + 1_901))
    assert q / p == pytest.approx(ratio, rel=0.02)


def test_nothing_underflows() -> None:
    assert fisher_test(40_000, 40_000, 40_000, 400_000) == SMALLEST_P
    assert exact_test(Strata([10**6], [10**5], [10**4], [9_999])) == SMALLEST_P


def test_strata_without_contrast_contribute_nothing() -> None:
    alone = exact_test(Strata([20], [8], [10], [7]))
    assert exact_test(Strata([20, 5, 7], [8, 5, 7], [10, 5, 0], [7, 5, 0])) == alone
    assert exact_test(Strata([5, 7], [5, 7], [5, 0], [5, 0])) == 1.0


def test_smallest_p_is_reached_and_never_beaten() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        strata = random_strata(rng, 4, 20)
        least = smallest_p(strata)
        assert least <= exact_test(strata) * (1 + 1e-9)
    full = Strata([10, 12], [3, 2], [5, 6], [3, 2])
    assert smallest_p(full) == pytest.approx(exact_test(full))
    assert smallest_p(full) == pytest.approx(comb(7, 2) / comb(10, 5) * comb(10, 4) / comb(12, 6))
    assert smallest_p(Strata([10], [0], [5], [0])) == 1.0
    assert smallest_p(Strata([10], [10], [5], [5])) == 1.0


def test_level_is_kept_under_the_null() -> None:
    rng = np.random.default_rng(4)
    rows, wrong, members = np.array([60, 40, 25]), np.array([12, 20, 3]), np.array([20, 10, 10])
    p = np.array(
        [
            exact_test(Strata(rows, wrong, members, rng.hypergeometric(wrong, rows - wrong, members)))
            for _ in range(2_000)
        ]
    )
    for level in (0.01, 0.05, 0.2):
        # Three standard errors of 2,000 runs; the test is discrete, so it may fall below its level but not far.
        error = 3 * np.sqrt(level * (1 - level) / 2_000)
        assert level / 3 < np.mean(p <= level) <= level + error
