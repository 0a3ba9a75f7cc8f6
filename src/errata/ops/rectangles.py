"""The best pair of literals for two binned columns: every interval by every interval, or by the best set of levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Float, Int
from errata.ops.bins import Axis
from errata.ops.contrast import Contrast
from errata.ops.literals import Prices

__all__ = ["Box", "Boxes", "Pairing", "best_boxes", "best_side", "coarse_gain"]

# Odds ratios (loss: mean excess in standard deviations) for which sets of levels are tried.
_ODDS = (1.3, 2.0, 4.0, 9.0)
_SHIFTS = (0.1, 0.25, 0.6, 1.2)


@dataclass(frozen=True, kw_only=True, eq=False)
class Box:
    """A region of one or two columns in bins, and its gain less what its cuts cost.

    sides  (bins,) bool per column, True for the bins inside; a side that is True throughout is no restriction
    """

    gain: float
    sides: tuple[Bool, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Boxes:
    """The best region of two columns, and the best one that restricts both of them (its gain is -inf without one).

    The second differs where one column, or none, is worth its cuts: a weak region of two columns is found by it alone.
    """

    any: Box
    both: Box


@dataclass(frozen=True, kw_only=True, eq=False)
class _Intervals:
    """All intervals of `bins` bins: `inside` (K, bins) float64, `cuts` (K,) how many bounds each has."""

    inside: Float
    cuts: Int


@lru_cache(maxsize=512)
def _intervals(bins: int) -> _Intervals:
    low, high = np.triu_indices(bins)
    at = np.arange(bins)
    inside = ((at >= low[:, None]) & (at <= high[:, None])).astype(np.float64)
    return _Intervals(inside=inside, cuts=(low > 0).astype(np.int64) + (high < bins - 1))


def best_side(sums: Float, axis: Axis, contrast: Contrast, *, prices: Prices, least: int) -> Box:
    """The best interval or set of levels of one column among rows that other literals already chose.

    sums  (3, bins) per bin of the chosen rows
    """
    bins = sums.shape[1]
    region: Float
    if axis.ordered:
        choices = _intervals(bins)
        region = sums @ choices.inside.T
        cost = prices.span(choices.cuts, gaps=axis.gaps > 0)
        inside: NDArray[np.bool_] = choices.inside > 0
    else:
        inside = _leading_levels(sums)
        region = sums @ inside.T
        cost = prices.sets(bins, gaps=axis.gaps > 0)[inside.sum(axis=1)]
    value = np.where(region[0] >= least, contrast.gain(region) - cost, -np.inf)
    best = int(value.argmax())
    return Box(gain=float(value[best]), sides=(inside[best],))


def _leading_levels(sums: Float) -> NDArray[np.bool_]:
    """(bins, bins) the first, the first two ... levels by falling excess per row: one of these sets is the best."""
    rate = (sums[1] - sums[2]) / np.maximum(sums[0], 1.0)
    place = np.empty(len(rate), dtype=np.int64)
    place[np.argsort(-rate, kind="stable")] = np.arange(len(rate))
    return np.asarray(place <= np.arange(len(rate))[:, None])


def _guesses(contrast: Contrast) -> tuple[float, ...]:
    return _ODDS if contrast.binary else _SHIFTS


class Pairing:
    """Sums over the cells of one column with others, in coarse bins: what can be done once for the column is."""

    def __init__(self, first: Int, axis: Axis, contrast: Contrast) -> None:
        """`first` (n,) are the column's coarse codes."""
        self._axis, self._contrast = axis, contrast
        self._codes = first.astype(np.int64)
        self._both = np.empty_like(self._codes)

    def sums(self, second: Int, other: Axis) -> Float:
        """(3, a, b) sums of the cells with a second column (n,) of coarse codes; rows outside the bins are left out."""
        a, b = self._axis.coarse_bins, other.coarse_bins
        np.multiply(self._codes, b + 1, out=self._both)
        self._both += second
        if self._contrast.by_class:
            self._both *= self._contrast.strata
            self._both += self._contrast.stratum
            cells = self._contrast.tally_by_class(self._both, (a + 1) * (b + 1))
        else:
            cells = self._contrast.tally(self._both, (a + 1) * (b + 1))
        return cells.reshape(3, a + 1, b + 1)[:, :a, :b]


def best_boxes(sums: Float, axes: tuple[Axis, Axis], contrast: Contrast, *, prices: Prices, least: int) -> Boxes:
    """The best regions of two columns, from the sums (3, a, b) of their cells."""
    search = _Search(sums=sums, axes=axes, contrast=contrast, prices=prices, least=least)
    if axes[0].ordered and axes[1].ordered:
        return search.interval_by_interval()
    if axes[1].ordered:
        return search.set_by_interval()
    if axes[0].ordered:
        turned = _Search(sums=sums.transpose(0, 2, 1), axes=axes[::-1], contrast=contrast, prices=prices, least=least)
        found = turned.set_by_interval()
        return Boxes(any=_turned(found.any), both=_turned(found.both))
    return search.set_by_set()


def _turned(box: Box) -> Box:
    return Box(gain=box.gain, sides=box.sides[::-1])


def coarse_gain(sums: Float, contrast: Contrast) -> float:
    """The largest gain of an interval of one column by an interval of another, without prices; for ranking only."""
    rows, columns = _intervals(sums.shape[1]), _intervals(sums.shape[2])
    return float(contrast.gain(rows.inside @ sums @ columns.inside.T).max())


@dataclass(frozen=True, kw_only=True, eq=False)
class _Search:
    """The cells of two columns, and how a region of them is valued."""

    sums: Float
    axes: tuple[Axis, Axis]
    contrast: Contrast
    prices: Prices
    least: int

    def values(self, region: Float, cost: Float) -> Float:
        return np.where(region[0] >= self.least, self.contrast.gain(region) - cost, -np.inf)

    def interval_costs(self, side: int) -> Float:
        return self.prices.span(_intervals(self.sums.shape[1 + side]).cuts, gaps=self.axes[side].gaps > 0)

    def set_costs(self, sets: NDArray[np.bool_], side: int) -> Float:
        prices = self.prices.sets(self.sums.shape[1 + side], gaps=self.axes[side].gaps > 0)
        return np.asarray(prices[sets.sum(axis=1)])

    def restricts(self, sides: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
        """(k,) whether each of the sides (k, bins) leaves rows out."""
        return np.asarray(~sides.all(axis=1) | (self.axes[side].gaps > 0))

    def best(
        self, value: Float, firsts: NDArray[np.bool_], seconds: NDArray[np.bool_], both: NDArray[np.bool_]
    ) -> Boxes:
        """The best of k regions by their values (k,), and the best of those that restrict `both` (k,)."""
        return Boxes(
            any=_highest(value, firsts, seconds), both=_highest(np.where(both, value, -np.inf), firsts, seconds)
        )

    def interval_by_interval(self) -> Boxes:
        rows, columns = _intervals(self.sums.shape[1]), _intervals(self.sums.shape[2])
        region = rows.inside @ self.sums @ columns.inside.T
        value = self.values(region, self.interval_costs(0)[:, None] + self.interval_costs(1)[None, :])
        firsts, seconds = rows.inside > 0, columns.inside > 0
        found = []
        for _ in range(2):
            i, j = np.unravel_index(int(value.argmax()), value.shape)
            found.append(Box(gain=float(value[i, j]), sides=(firsts[i], seconds[j])))
            value[~self.restricts(firsts, 0)] = -np.inf
            value[:, ~self.restricts(seconds, 1)] = -np.inf
        return Boxes(any=found[0], both=found[1])

    def set_by_interval(self) -> Boxes:
        choices = _intervals(self.sums.shape[2])
        within, seconds = choices.inside @ self.sums.transpose(0, 2, 1), choices.inside > 0
        found = []
        for odds in _guesses(self.contrast):
            sets = self.contrast.cell_evidence(within, odds) > 0.0
            value = self.values((within * sets).sum(axis=2), self.set_costs(sets, 0) + self.interval_costs(1))
            found.append(self.best(value, sets, seconds, self.restricts(sets, 0) & self.restricts(seconds, 1)))
        return _best_of(found)

    def set_by_set(self) -> Boxes:
        """Alternate between the two columns, starting from each single level of the second and from all of them."""
        b = self.sums.shape[2]
        turned = np.ascontiguousarray(self.sums.transpose(0, 2, 1))
        seconds = np.concatenate([np.eye(b, dtype=bool), np.ones((1, b), dtype=bool)])
        found = []
        for odds in _guesses(self.contrast):
            chosen = seconds
            for _ in range(2):
                firsts = self.contrast.cell_evidence(chosen.astype(np.float64) @ turned, odds) > 0.0
                halves = firsts.astype(np.float64) @ self.sums
                chosen = self.contrast.cell_evidence(halves, odds) > 0.0
            value = self.values((halves * chosen).sum(axis=2), self.set_costs(firsts, 0) + self.set_costs(chosen, 1))
            found.append(self.best(value, firsts, chosen, self.restricts(firsts, 0) & self.restricts(chosen, 1)))
        return _best_of(found)


def _highest(value: Float, firsts: NDArray[np.bool_], seconds: NDArray[np.bool_]) -> Box:
    top = int(value.argmax())
    return Box(gain=float(value[top]), sides=(firsts[top], seconds[top]))


def _best_of(found: Sequence[Boxes]) -> Boxes:
    return Boxes(
        any=max((boxes.any for boxes in found), key=lambda box: box.gain),
        both=max((boxes.both for boxes in found), key=lambda box: box.gain),
    )
