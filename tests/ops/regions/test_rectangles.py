from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from errata.ops.regions.bins import Axis
from errata.ops.regions.contrast import Contrast
from errata.ops.regions.literals import Prices
from errata.ops.regions.rectangles import Intervals, Pairing, best_boxes, best_side, promising


def axis(name: str, bins: int, *, ordered: bool, gaps: int = 0) -> Axis:
    return Axis(
        name=name, ordered=ordered, bins=bins, edges=np.arange(bins - 1.0) if ordered else np.empty(0),
        levels=np.empty(0, dtype=np.int32) if ordered else np.arange(bins), coarse=np.arange(bins + 1, dtype=np.uint8),
        coarse_bins=bins, gaps=gaps,
    )  # fmt: skip


def sides(bins: int, *, ordered: bool) -> list[np.ndarray]:
    at = np.arange(bins)
    if ordered:
        return [(at >= low) & (at <= high) for low in range(bins) for high in range(low, bins)]
    return [np.isin(at, chosen) for size in range(1, bins + 1) for chosen in combinations(range(bins), size)]


def price(side: np.ndarray, prices: Prices, *, ordered: bool, gaps: bool) -> float:
    if ordered:
        cuts = int(not side[0]) + int(not side[-1])
        return float(prices.span(np.array([cuts]), gaps=gaps)[0])
    return float(prices.sets(len(side), gaps=gaps)[side.sum()])


def world(seed: int, a: int, b: int) -> tuple[Contrast, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, a + 1, 3_000), rng.integers(0, b + 1, 3_000)
    rate = np.where((first >= 1) & (first <= 2) & (second == 3), 0.5, 0.15)
    loss = (rng.random(3_000) < rate).astype(float)
    return Contrast.of(loss, rng.integers(0, 2, 3_000).astype(np.int32), binary=True), first, second


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("first_ordered", "second_ordered"), product([True, False], repeat=2))
def test_the_best_box_is_the_best_of_all(seed: int, *, first_ordered: bool, second_ordered: bool) -> None:
    contrast, first, second = world(seed, 5, 6)
    axes = (axis("a", 5, ordered=first_ordered, gaps=1), axis("b", 6, ordered=second_ordered))
    prices = Prices.of(rows=len(contrast), columns=6)
    sums = Pairing(first, axes[0], contrast).sums(second, axes[1])
    found = best_boxes(sums, axes, contrast, prices=prices, least=10)
    for box, least_out in ((found.any, 0), (found.both, 1)):
        best = max(
            float(contrast.gain(contrast.sums(np.append(one, False)[first] & np.append(two, False)[second])))
            - price(one, prices, ordered=first_ordered, gaps=True)
            - price(two, prices, ordered=second_ordered, gaps=False)
            for one in sides(5, ordered=first_ordered)
            for two in sides(6, ordered=second_ordered)
            if (~two).sum() >= least_out
        )
        # Sets of levels follow the evidence under guessed odds, so they may fall short of the best of all by a little.
        assert box.gain == pytest.approx(best, abs=1e-6 if first_ordered and second_ordered else 0.5)
        inside = np.append(box.sides[0], False)[first] & np.append(box.sides[1], False)[second]
        paid = price(box.sides[0], prices, ordered=first_ordered, gaps=True)
        paid += price(box.sides[1], prices, ordered=second_ordered, gaps=False)
        assert box.gain == pytest.approx(float(contrast.gain(contrast.sums(inside))) - paid)


@pytest.mark.parametrize(("first_ordered", "second_ordered"), product([True, False], repeat=2))
def test_the_best_box_of_both_columns_restricts_both(*, first_ordered: bool, second_ordered: bool) -> None:
    """Errors depend on one column: the best box leaves the other alone, the best of both does not."""
    rng = np.random.default_rng(2)
    first, second = rng.integers(0, 5, 3_000), rng.integers(0, 6, 3_000)
    loss = (rng.random(3_000) < np.where(first >= 3, 0.4, 0.1)).astype(float)
    contrast = Contrast.of(loss, np.zeros(3_000, dtype=np.int32), binary=True)
    axes = (axis("a", 5, ordered=first_ordered), axis("b", 6, ordered=second_ordered))
    prices = Prices.of(rows=len(contrast), columns=6)
    found = best_boxes(Pairing(first, axes[0], contrast).sums(second, axes[1]), axes, contrast, prices=prices, least=10)
    assert found.any.sides[0].tolist() == [False] * 3 + [True] * 2
    assert found.any.sides[1].all()
    assert not found.both.sides[0].all()
    assert not found.both.sides[1].all()
    assert 0.0 < found.both.gain < found.any.gain


@pytest.mark.parametrize("ordered", [True, False])
def test_the_best_side_is_the_best_of_all(*, ordered: bool) -> None:
    contrast, first, _ = world(9, 6, 5)
    one = axis("a", 6, ordered=ordered)
    prices = Prices.of(rows=len(contrast), columns=3)
    box = best_side(contrast.tally(first, 7)[:, :6], one, contrast, prices=prices, least=10)
    gains = [float(contrast.gain(contrast.sums(np.append(side, False)[first]))) for side in sides(6, ordered=ordered)]
    paid = [price(side, prices, ordered=ordered, gaps=False) for side in sides(6, ordered=ordered)]
    assert box.gain == pytest.approx(np.max(np.subtract(gains, paid)))


def test_small_boxes_are_not_taken() -> None:
    contrast, first, second = world(1, 5, 6)
    axes = (axis("a", 5, ordered=True), axis("b", 6, ordered=True))
    prices = Prices.of(rows=len(contrast), columns=6)
    sums = Pairing(first, axes[0], contrast).sums(second, axes[1])
    box = best_boxes(sums, axes, contrast, prices=prices, least=400).any
    inside = np.append(box.sides[0], False)[first] & np.append(box.sides[1], False)[second]
    assert inside.sum() >= 400


def test_a_box_of_both_columns_is_only_sought_where_it_may_be_worth_enough() -> None:
    contrast, first, second = world(3, 5, 6)
    axes = (axis("a", 5, ordered=True), axis("b", 6, ordered=True))
    prices = Prices.of(rows=len(contrast), columns=6)
    sums = Pairing(first, axes[0], contrast).sums(second, axes[1])
    every = best_boxes(sums, axes, contrast, prices=prices, least=10)
    for enough, there in ((every.both.gain - 0.01, True), (every.both.gain + 1.0, False)):
        found = best_boxes(sums, axes, contrast, prices=prices, least=10, enough=enough)
        assert found.any.gain == every.any.gain
        assert (found.both.gain == every.both.gain) == there or found.both.gain <= every.both.gain


@pytest.mark.parametrize("rate", [0.05, 0.7])
def test_what_is_left_out_is_never_the_best(*, rate: float) -> None:
    """Twelve pairs of columns at once; with most rows wrong there is no cheap bound, and all are looked at."""
    rng = np.random.default_rng(8)
    loss = (rng.random(1_500) < rate).astype(float)
    contrast = Contrast.of(loss, rng.integers(0, 3, 1_500).astype(np.int32), binary=True)
    axes = (axis("a", 9, ordered=True), axis("b", 8, ordered=True))
    prices = Prices.of(rows=1_500, columns=12)
    tables = []
    for _ in range(12):
        first, second = rng.integers(0, 10, 1_500), rng.integers(0, 9, 1_500)
        tables.append(Pairing(first, axes[0], contrast).sums(second, axes[1]))
    kept = promising(np.stack(tables), axes, contrast, prices=prices, least=10, enough=np.inf)
    every = np.arange(45 * 36)
    for sums, places in zip(tables, kept, strict=True):
        best = best_boxes(sums, axes, contrast, prices=prices, least=10, among=every)
        assert best_boxes(sums, axes, contrast, prices=prices, least=10, among=places).any.gain == pytest.approx(
            best.any.gain, abs=1e-9
        )
        assert (len(places) < len(every) / 4) == (rate < 0.5)
        both = promising(sums[None], axes, contrast, prices=prices, least=10, enough=-np.inf)[0]
        assert best_boxes(sums, axes, contrast, prices=prices, least=10, among=both).both.gain == pytest.approx(
            best.both.gain, abs=1e-9
        )


def test_the_most_that_intervals_are_worth_leaves_out_that_of_all_bins() -> None:
    contrast, first, _ = world(9, 6, 5)
    sums = contrast.tally(first, 7)[None, :, :6]
    prices = Prices.of(rows=len(contrast), columns=3)
    found = Intervals.of(sums, gaps=False, contrast=contrast, prices=prices, least=10)
    best = found.best(0)
    assert best.gain <= found.most()[0] <= best.gain + 2.1 * found.slack
    assert not best.sides[0].all()
