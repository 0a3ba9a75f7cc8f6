from __future__ import annotations

import numpy as np
import pytest

from errata.core.columns import Column, Table
from errata.core.rules import Where
from errata.ops.regions.boundaries import climb, fitted, settle
from errata.ops.regions.ground import Ground
from errata.ops.regions.literals import Levels, Literal, Span, where_of

INF = float("inf")


def ground(columns: dict[str, Column], rate: np.ndarray, *, seed: int = 0, binary: bool = True) -> Ground:
    rng = np.random.default_rng(seed)
    loss = (rng.random(len(rate)) < rate).astype(float) if binary else rate + 0.2 * rng.normal(size=len(rate))
    stratum = rng.integers(0, 2, len(rate)).astype(np.int32)
    return Ground.of(Table(columns), list(columns), loss=loss, stratum=stratum, binary=binary, least=10)


def numbers(n: int, *names: str, seed: int = 1) -> dict[str, Column]:
    rng = np.random.default_rng(seed)
    return {name: Column.number(rng.uniform(0, 100, n)) for name in names}


@pytest.mark.parametrize("seed", range(5))
def test_one_cut_climbs_to_the_best_interval_there_is(seed: int) -> None:
    columns = numbers(300, "x", seed=seed)
    x = np.asarray(columns["x"].values)
    here = ground(columns, np.where((x > 30) & (x <= 60), 0.6, 0.1), seed=seed)
    found = climb(fitted([Span(column="x", low=28.0, high=62.0)], here), here)
    ends = np.concatenate([[-INF], 0.5 * (np.sort(x)[1:] + np.sort(x)[:-1]), [INF]])
    best = max(
        fitted([Span(column="x", low=low, high=high)], here).value
        for low in ends[::4]
        for high in ends[::4]
        if low < high
    )
    assert found.value >= best


@pytest.mark.parametrize("binary", [True, False])
def test_boundaries_move_to_where_the_errors_change(*, binary: bool) -> None:
    columns = numbers(6_000, "x", "y")
    x, y = (np.asarray(columns[name].values) for name in "xy")
    here = ground(columns, np.where((x > 60) & (y > 25) & (y <= 50), 0.6, 0.1), binary=binary)
    start = fitted([Span(column="x", low=45.0), Span(column="y", low=10.0, high=70.0)], here)
    found = settle(climb(start, here), here)
    first, second = found.literals
    assert isinstance(first, Span)
    assert isinstance(second, Span)
    assert first.low == pytest.approx(60.0, abs=1.0)
    assert first.high == INF
    assert (second.low, second.high) == pytest.approx((25.0, 50.0), abs=1.0)
    # Two numbers are cut where a person would cut them.
    assert where_of([first], columns).text == "x > 60"


def test_literals_that_do_not_pay_are_dropped() -> None:
    columns = numbers(4_000, "x", "noise")
    here = ground(columns, np.where(np.asarray(columns["x"].values) > 90, 0.6, 0.1))
    found = climb(fitted([Span(column="noise", low=30.0), Span(column="x", low=80.0)], here), here)
    assert [literal.column for literal in found.literals] == ["x"]


def test_levels_join_and_leave() -> None:
    rng = np.random.default_rng(2)
    codes = rng.integers(-1, 9, 5_000).astype(np.int32)
    columns = {"c": Column(kind="category", values=codes, levels=tuple("abcdefghi"))}
    here = ground(columns, np.where(np.isin(codes, [-1, 2, 5]), 0.5, 0.1))
    found = climb(fitted([Levels(column="c", codes=frozenset({2, 3}), of=10)], here), here)
    assert found.literals == (Levels(column="c", codes=frozenset({-1, 2, 5}), of=10),)


def test_rare_levels_are_not_collected_by_chance() -> None:
    rng = np.random.default_rng(3)
    codes = np.concatenate([np.zeros(400), rng.integers(1, 2_000, 4_600)]).astype(np.int32)
    columns = {"c": Column(kind="category", values=codes, levels=tuple(range(2_000)))}
    here = ground(columns, np.where(codes == 0, 0.5, 0.1))
    found = climb(fitted([Levels(column="c", codes=frozenset({0}), of=250)], here), here)
    assert found.literals == (Levels(column="c", codes=frozenset({0}), of=250),)


def test_everything_is_no_region() -> None:
    columns = numbers(500, "x")
    here = ground(columns, np.full(500, 0.2))
    found = climb(fitted([Span(column="x", low=50.0)], here), here)
    assert 0 < found.members.sum() < 500


def test_the_middle_of_the_posterior_misses_fewer_rows_than_its_peak() -> None:
    peak, middle = [], []
    for seed in range(40):
        columns = numbers(1_500, "x", seed=100 + seed)
        x = np.asarray(columns["x"].values)
        here = ground(columns, np.where(x > 85, 0.35, 0.12), seed=seed)
        climbed = climb(fitted([Span(column="x", low=85.0)], here), here)
        settled = settle(climbed, here)
        peak.append((climbed.members ^ (x > 85)).sum())
        middle.append((settled.members ^ (x > 85)).sum())
    assert np.mean(middle) < np.mean(peak)


@pytest.mark.filterwarnings("error")
def test_two_bounds_on_two_values_stay_where_they_are() -> None:
    """Between two values there is no room for two bounds: no place has any weight."""
    x = np.resize([0.0, 1.0], 200)
    here = ground({"x": Column.number(x)}, np.where(x == 1.0, 0.6, 0.1))
    state = fitted([Span(column="x", low=0.5, high=1.5)], here)
    assert settle(state, here).literals == state.literals


def test_the_rule_selects_the_members() -> None:
    columns = numbers(2_000, "x", "y")
    x = np.asarray(columns["x"].values)
    here = ground(columns, np.where(x <= 20, 0.6, 0.1))
    literals: tuple[Literal, ...] = (Span(column="x", high=25.0),)
    found = settle(climb(fitted(literals, here), here), here)
    rule = where_of(found.literals, columns)
    assert rule.members(Table(columns)).tolist() == found.members.tolist()
    assert Where.parse(rule.text) == rule
