"""The best pair of literals for two binned columns: every interval by every interval, or by the best set of levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Float, Int
from errata.ops.regions.bins import Axis
from errata.ops.regions.contrast import BOUNDED, Contrast
from errata.ops.regions.literals import Prices

__all__ = ["Box", "Boxes", "Intervals", "Pairing", "best_boxes", "best_side", "coarse_gain", "promising"]

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
    """All intervals of `bins` bins.

    inside  (K, bins) float64, 1 where a bin belongs; `single` is the same in single precision
    cuts    (K,) how many bounds each has
    low, high  (K,) the first and the last bin
    """

    inside: Float
    cuts: Int
    single: NDArray[np.float32]
    low: Int
    high: Int

    @property
    def widest(self) -> int:
        """Place of the interval of all bins."""
        return int(self.inside.shape[1]) - 1


@lru_cache(maxsize=512)
def _intervals(bins: int) -> _Intervals:
    low, high = np.triu_indices(bins)
    at = np.arange(bins)
    inside = ((at >= low[:, None]) & (at <= high[:, None])).astype(np.float64)
    cuts = (low > 0).astype(np.int64) + (high < bins - 1)
    return _Intervals(inside=inside, cuts=cuts, single=inside.astype(np.float32), low=low, high=high)


@lru_cache(maxsize=256)
def _costs(bins: int, prices: Prices, gaps: bool) -> Float:
    """(K,) what each interval of `bins` bins costs."""
    return prices.span(_intervals(bins).cuts, gaps=gaps)


def best_side(sums: Float, axis: Axis, contrast: Contrast, *, prices: Prices, least: int) -> Box:
    """The best interval or set of levels of one column among rows that other literals already chose.

    sums  (3, bins) per bin of the chosen rows
    """
    if axis.ordered:
        sides = Intervals.of(sums[None], gaps=axis.gaps > 0, contrast=contrast, prices=prices, least=least)
        return sides.best(0)
    inside = _leading_levels(sums)
    cost = prices.sets(sums.shape[1], gaps=axis.gaps > 0)[inside.sum(axis=1)]
    value = _values(sums @ inside.T, cost, contrast, least)
    best = int(value.argmax())
    return Box(gain=float(value[best]), sides=(inside[best],))


@dataclass(frozen=True, kw_only=True, eq=False)
class Intervals:
    """All intervals of several columns with equally many bins, valued in single precision first.

    sums   (c, 3, bins), as in `best_side`; gaps: whether even the interval of all bins leaves rows out
    near   (c, K) float32, the value of each interval give or take `slack`
    """

    sums: Float
    gaps: bool
    contrast: Contrast
    prices: Prices
    least: int
    near: NDArray[np.float32]
    slack: float

    @staticmethod
    def of(sums: Float, *, gaps: bool, contrast: Contrast, prices: Prices, least: int) -> Intervals:
        """Value all intervals."""
        bins = sums.shape[2]
        every = _intervals(bins)
        below = np.zeros((3, len(sums), bins + 1))
        np.cumsum(sums.transpose(1, 0, 2), axis=2, out=below[:, :, 1:])
        region = np.take(below, every.high + 1, axis=2)
        region -= np.take(below, every.low, axis=2)
        region = region.astype(np.float32)
        near = contrast.gain(region) - _costs(bins, prices, gaps=gaps).astype(np.float32)
        near[region[0] < least] = -np.inf
        return Intervals(sums=sums, gaps=gaps, contrast=contrast, prices=prices, least=least, near=near,
                         slack=_near(contrast))  # fmt: skip

    def most(self) -> Float:
        """(c,) no less than what the best interval of each column is worth that leaves rows out."""
        widest = _intervals(self.sums.shape[2]).widest
        rest = self.near if self.gaps else np.delete(self.near, widest, axis=1)
        return np.asarray(rest.max(axis=1, initial=-np.inf) + self.slack, dtype=np.float64)

    def best(self, column: int) -> Box:
        """The best interval of one column."""
        near, every = self.near[column], _intervals(self.sums.shape[2])
        at = np.flatnonzero(near >= near.max() - 2.0 * self.slack)
        cost = _costs(self.sums.shape[2], self.prices, gaps=self.gaps)[at]
        value = _values(self.sums[column] @ every.inside[at].T, cost, self.contrast, self.least)
        best = int(value.argmax())
        return Box(gain=float(value[best]), sides=(every.inside[at[best]] > 0,))


def _values(region: Float, cost: Float, contrast: Contrast, least: int) -> Float:
    """(...) gains of regions summed in (3, ...) less their costs; -inf for those that are too small."""
    return np.where(region[0] >= least, contrast.gain(region) - cost, -np.inf)


def _slack(contrast: Contrast) -> float:
    """By how much a bound may be too low for rounding, in single precision."""
    return 1e-3 + 1e-5 * float(contrast.totals[2])


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


def best_boxes(
    sums: Float, axes: tuple[Axis, Axis], contrast: Contrast, *, prices: Prices, least: int, enough: float = -np.inf,
    among: Int | None = None,
) -> Boxes:  # fmt: skip
    """The best regions of two columns, from the sums (3, a, b) of their cells.

    enough  a region that restricts both columns is only looked for where it may be worth so much
    among   of two ordered columns the pairs of intervals to look at, from `promising`
    """
    search = _Search(sums=sums, axes=axes, contrast=contrast, prices=prices, least=least)
    if axes[0].ordered and axes[1].ordered:
        if among is None:
            among = promising(sums[None], axes, contrast, prices=prices, least=least, enough=enough)[0]
        return search.interval_by_interval(among)
    if axes[1].ordered:
        return search.set_by_interval()
    if axes[0].ordered:
        turned = _Search(sums=sums.transpose(0, 2, 1), axes=axes[::-1], contrast=contrast, prices=prices, least=least)
        found = turned.set_by_interval()
        return Boxes(any=_turned(found.any), both=_turned(found.both))
    return search.set_by_set()


def promising(
    sums: Float, axes: tuple[Axis, Axis], contrast: Contrast, *, prices: Prices, least: int, enough: float
) -> list[Int]:
    """For each of c pairs of ordered columns the places of the pairs of intervals that may be the best, ascending.

    sums    (c, 3, a, b) of their cells; `axes` are those of one of the pairs, all have as many bins, and gaps or none
    enough  as in `best_boxes`

    Bounds without logarithms, in single precision, leave few of thousands. An interval of the first column is left out
    with all its partners where even the best part of every bin (by Cauchy's inequality) would not be worth enough.
    """
    first, second = _intervals(sums.shape[2]), _intervals(sums.shape[3])
    if contrast.highest_rate > BOUNDED:
        return [np.arange(len(first.cuts) * len(second.cuts))] * len(sums)
    gaps = (axes[0].gaps > 0, axes[1].gaps > 0)
    of_first, of_second = (
        _costs(every.inside.shape[1], prices, gaps=gap) for every, gap in zip((first, second), gaps, strict=True)
    )
    # All bins of both gain nothing or more.
    widest = -float(of_first[first.widest] + of_second[second.widest])
    both = _nearly_both(sums, gaps, contrast, prices=prices, least=least) if enough == -np.inf else enough
    floor = np.where(sums[:, 0].sum(axis=(1, 2)) >= least, np.minimum(widest, both), -np.inf) - _slack(contrast)
    halves = first.single @ sums[:, 1:].astype(np.float32)
    alone = contrast.gain_bound(*halves.sum(axis=3).transpose(1, 0, 2)) - float(of_second[second.widest])
    partners = np.delete(of_second, second.widest)
    most = np.maximum(alone, contrast.parts_bound(halves[:, 0], halves[:, 1]) - float(partners.min(initial=np.inf)))
    pair, at = np.nonzero(most >= floor[:, None] + of_first)
    bound = contrast.gain_bound(halves[pair, 0, at] @ second.single.T, halves[pair, 1, at] @ second.single.T)
    bound -= of_second.astype(np.float32)
    row, partner = np.nonzero(bound >= (floor[pair] + of_first[at])[:, None])
    ends = np.searchsorted(pair[row], np.arange(1, len(sums)))
    return np.split(at[row] * len(second.cuts) + partner, ends)


def _nearly_both(sums: Float, gaps: tuple[bool, bool], contrast: Contrast, *, prices: Prices, least: int) -> Float:
    """(c,) no more than what the best region that restricts both columns is worth, in single precision."""
    first, second = _intervals(sums.shape[2]), _intervals(sums.shape[3])
    region = (first.single @ sums.transpose(1, 0, 2, 3).astype(np.float32)) @ second.single.T
    value = contrast.gain(region)
    value -= _costs(sums.shape[2], prices, gaps=gaps[0]).astype(np.float32)[:, None]
    value -= _costs(sums.shape[3], prices, gaps=gaps[1]).astype(np.float32)
    value[region[0] < least] = -np.inf
    if not gaps[0]:
        value[:, first.widest] = -np.inf
    if not gaps[1]:
        value[:, :, second.widest] = -np.inf
    return np.asarray(value.max(axis=(1, 2)) - _near(contrast), dtype=np.float64)


def _near(contrast: Contrast) -> float:
    """By how much a gain in single precision may be off."""
    return 1e-3 + 4e-6 * float(contrast.totals[0])


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
        return _values(region, cost, self.contrast, self.least)

    def interval_costs(self, side: int) -> Float:
        return _costs(self.sums.shape[1 + side], self.prices, gaps=self.axes[side].gaps > 0)

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

    def interval_by_interval(self, at: Int) -> Boxes:
        """The best of some pairs of intervals, by their places in ascending order."""
        first, second = _intervals(self.sums.shape[1]), _intervals(self.sums.shape[2])
        width = len(second.cuts)
        restricted = [self.axes[side].gaps > 0 for side in (0, 1)]

        def exact(at: Int) -> tuple[Float, Float]:
            """(k,) values of some pairs, and the same where both columns are restricted, else -inf."""
            i, j = at // width, at % width
            region = np.einsum("skb,kb->sk", first.inside[i] @ self.sums, second.inside[j])
            value = self.values(region, self.interval_costs(0)[i] + self.interval_costs(1)[j])
            both = ((i != first.widest) | restricted[0]) & ((j != second.widest) | restricted[1])
            return value, np.where(both, value, -np.inf)

        value, both = exact(at)
        return Boxes(any=_pair_of(value, at, first, second), both=_pair_of(both, at, first, second))

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


def _pair_of(value: Float, at: Int, first: _Intervals, second: _Intervals) -> Box:
    top = int(value.argmax())
    i, j = divmod(int(at[top]), len(second.cuts))
    return Box(gain=float(value[top]), sides=(first.inside[i] > 0, second.inside[j] > 0))


def _highest(value: Float, firsts: NDArray[np.bool_], seconds: NDArray[np.bool_]) -> Box:
    top = int(value.argmax())
    return Box(gain=float(value[top]), sides=(firsts[top], seconds[top]))


def _best_of(found: Sequence[Boxes]) -> Boxes:
    return Boxes(
        any=max((boxes.any for boxes in found), key=lambda box: box.gain),
        both=max((boxes.both for boxes in found), key=lambda box: box.gain),
    )
