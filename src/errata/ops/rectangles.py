"""The best pair of literals for two binned columns: every interval by every interval, or by the best set of levels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Float, Int
from errata.ops.bins import Axis
from errata.ops.contrast import Contrast
from errata.ops.literals import set_cost

__all__ = ["Box", "best_box", "best_side", "pair_sums"]

# Odds ratios (loss: mean excess in standard deviations) for which sets of levels are tried.
_ODDS = (2.0, 4.0, 9.0)
_SHIFTS = (0.25, 0.6, 1.2)


@dataclass(frozen=True, kw_only=True, eq=False)
class Box:
    """A region of one or two columns in bins, and its gain less what its cuts cost.

    sides  (bins,) bool per column, True for the bins inside; a side that is True throughout is no restriction
    """

    gain: float
    sides: tuple[Bool, ...]


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


@lru_cache(maxsize=512)
def _set_costs(of: int) -> Float:
    return np.array([0.0, *(set_cost(size, of) for size in range(1, of)), 0.0])


def best_side(sums: Float, ordered: bool, contrast: Contrast, *, gaps: bool, least: int) -> Box:
    """The best interval or set of levels of one column among rows that other literals already chose.

    sums  (3, bins) per bin of the chosen rows
    gaps  whether rows lie outside all bins, so that taking every bin is still a restriction
    """
    bins = sums.shape[1]
    if ordered:
        choices = _intervals(bins)
        region = sums @ choices.inside.T
        cost = contrast.unit * np.maximum(choices.cuts, int(gaps))
        inside: NDArray[np.bool_] = choices.inside > 0
    else:
        inside = _level_sets(sums[:, None, :], contrast)
        region = np.einsum("tb,sb->ts", sums, inside.astype(np.float64))
        cost = contrast.unit * (~inside.all(axis=1) | gaps) + _set_costs(bins)[inside.sum(axis=1)]
    value = np.where(region[0] >= least, contrast.gain(region) - cost, -np.inf)
    best = int(value.argmax())
    return Box(gain=float(value[best]), sides=(inside[best],))


def _level_sets(sums: Float, contrast: Contrast) -> NDArray[np.bool_]:
    """(K * guesses, bins) sets of levels whose evidence speaks for a region, for K rows of sums (3, K, bins)."""
    guesses = _ODDS if contrast.binary else _SHIFTS
    sets = [contrast.cell_evidence(sums, odds) > 0.0 for odds in guesses]
    return np.concatenate(sets, axis=0)


def pair_sums(first: Int, second: Int, axes: tuple[Axis, Axis], contrast: Contrast) -> Float:
    """(3, a, b) sums of the cells of two columns, given as coarse codes; rows outside the bins are left out.

    first   (n,) intp codes of the first column times (bins of the second + 1)
    second  (n,) uint8 codes of the second
    """
    a, b = axes[0].coarse_bins, axes[1].coarse_bins
    cells = contrast.tally(first + second, (a + 1) * (b + 1))
    return cells.reshape(3, a + 1, b + 1)[:, :a, :b]


def best_box(sums: Float, axes: tuple[Axis, Axis], contrast: Contrast, *, least: int) -> Box:
    """The best region of two columns, from the sums (3, a, b) of their cells."""
    if axes[0].ordered and axes[1].ordered:
        return _interval_by_interval(sums, axes, contrast, least)
    if axes[0].ordered:
        box = _set_by_interval(sums.transpose(0, 2, 1), (axes[1], axes[0]), contrast, least)
        return Box(gain=box.gain, sides=box.sides[::-1])
    if axes[1].ordered:
        return _set_by_interval(sums, axes, contrast, least)
    return _set_by_set(sums, axes, contrast, least)


def _interval_cost(axis: Axis, bins: int, unit: float) -> Float:
    # Even the full interval of a column with missing values leaves rows out.
    return unit * np.maximum(_intervals(bins).cuts, int(axis.gaps > 0))


def _interval_by_interval(sums: Float, axes: tuple[Axis, Axis], contrast: Contrast, least: int) -> Box:
    rows, columns = _intervals(sums.shape[1]), _intervals(sums.shape[2])
    region = rows.inside @ sums @ columns.inside.T
    cost = _interval_cost(axes[0], sums.shape[1], contrast.unit)[:, None]
    cost = cost + _interval_cost(axes[1], sums.shape[2], contrast.unit)[None, :]
    value = np.where(region[0] >= least, contrast.gain(region) - cost, -np.inf)
    i, j = np.unravel_index(int(value.argmax()), value.shape)
    return Box(gain=float(value[i, j]), sides=(rows.inside[i] > 0, columns.inside[j] > 0))


def _set_by_interval(sums: Float, axes: tuple[Axis, Axis], contrast: Contrast, least: int) -> Box:
    choices = _intervals(sums.shape[2])
    within = np.einsum("tlb,kb->tkl", sums, choices.inside)
    guesses = len(_ODDS if contrast.binary else _SHIFTS)
    sets = _level_sets(within, contrast)
    repeated = np.tile(within, (1, guesses, 1))
    region = (repeated * sets).sum(axis=2)
    bins = sums.shape[1]
    cost = contrast.unit * (~sets.all(axis=1) | (axes[0].gaps > 0)) + _set_costs(bins)[sets.sum(axis=1)]
    cost = cost + np.tile(_interval_cost(axes[1], sums.shape[2], contrast.unit), guesses)
    value = np.where(region[0] >= least, contrast.gain(region) - cost, -np.inf)
    best = int(value.argmax())
    return Box(gain=float(value[best]), sides=(sets[best], choices.inside[best % len(choices.cuts)] > 0))


def _set_by_set(sums: Float, axes: tuple[Axis, Axis], contrast: Contrast, least: int) -> Box:
    """Alternate between the two columns, starting from each single level of the second and from all of them."""
    a, b = sums.shape[1:]
    seconds = np.concatenate([np.eye(b, dtype=bool), np.ones((1, b), dtype=bool)])
    for _ in range(2):
        firsts = _level_sets(np.einsum("tab,kb->tka", sums, seconds.astype(np.float64)), contrast)
        firsts = np.unique(firsts, axis=0)
        seconds = _level_sets(np.einsum("tab,ka->tkb", sums, firsts.astype(np.float64)), contrast)
        guesses = len(seconds) // len(firsts)
    firsts = np.tile(firsts, (guesses, 1))
    region = np.einsum("tab,ka,kb->tk", sums, firsts.astype(np.float64), seconds.astype(np.float64), optimize=True)
    cost = _set_costs(a)[firsts.sum(axis=1)] + _set_costs(b)[seconds.sum(axis=1)]
    cost = cost + contrast.unit * (~firsts.all(axis=1) | (axes[0].gaps > 0))
    cost = cost + contrast.unit * (~seconds.all(axis=1) | (axes[1].gaps > 0))
    value = np.where(region[0] >= least, contrast.gain(region) - cost, -np.inf)
    best = int(value.argmax())
    return Box(gain=float(value[best]), sides=(firsts[best], seconds[best]))
