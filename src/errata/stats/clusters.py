"""Errors that come in groups: what each group says of a slice, and how far the difference depends on single groups."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from errata.stats.intervals import Interval

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Cells:
    """Rows gathered by group and stratum; one cell is a group within a stratum, all `(m,)` except `of_row` `(n,)`.

    of_row    cell of each row
    group     group of each cell, codes 0 .. groups - 1
    stratum   stratum of each cell
    rows      rows in each cell
    loss      sum of the loss (0 or 1 for right or wrong) in each cell
    """

    of_row: Ints
    group: Ints
    stratum: Ints
    rows: Floats
    loss: Floats
    groups: int

    @classmethod
    def of(cls, loss: Floats, *, group: NDArray[np.integer], stratum: NDArray[np.integer]) -> Cells:
        """The cells of `(n,)` rows; codes need not be dense."""
        _, dense = np.unique(group, return_inverse=True)
        strata = stratum.astype(np.int64) - int(stratum.min(initial=0))
        width = int(strata.max(initial=0)) + 1
        keys, of_row = np.unique(dense.astype(np.int64) * width + strata, return_inverse=True)
        return cls(
            of_row=of_row,
            group=keys // width,
            stratum=keys % width,
            rows=np.bincount(of_row, minlength=len(keys)).astype(np.float64),
            loss=_sums(of_row, loss, len(keys)),
            groups=int(dense.max(initial=-1)) + 1,
        )

    def only(self, keep: Bools, loss: Floats) -> Cells:
        """The same cells over some of their rows; cells and groups without rows stay, and say nothing."""
        of_row = self.of_row[keep]
        rows = np.bincount(of_row, minlength=len(self.group)).astype(np.float64)
        return replace(self, of_row=of_row, rows=rows, loss=_sums(of_row, loss[keep], len(self.group)))

    def count(self, member: Bools) -> Floats:
        """Members in each cell."""
        return np.bincount(self.of_row[member], minlength=len(self.group)).astype(np.float64)

    def add(self, member: Bools, loss: Floats) -> Floats:
        """Sum of the members' loss in each cell."""
        return _sums(self.of_row[member], loss[member], len(self.group))


def group_sums(cells: Cells, members: Floats, members_loss: Floats) -> Floats:
    """U_g `(g,)`: sum over a group's rows of (member - member share of the cell) x (loss - mean loss of the cell).

    Which is the members' loss less what it would be if each cell's loss were spread evenly over its rows.
    Exactly 0 for groups in which every cell is all members or all rest, or has one loss throughout.
    """
    expected = members * cells.loss / np.maximum(cells.rows, 1.0)
    excess = members_loss - expected
    # Rounding must not make a group without contrast look like one with some.
    excess[np.abs(excess) <= 1e-9 * np.maximum(np.abs(members_loss), np.abs(expected))] = 0.0
    sums = _sums(cells.group, excess, cells.groups)
    size = _sums(cells.group, np.abs(excess), cells.groups)
    sums[np.abs(sums) <= 1e-9 * size] = 0.0
    return sums


def jackknife_error(cells: Cells, members: Floats, members_loss: Floats) -> float:
    """Delete-one-group jackknife error of the stratified difference.

    sqrt((G - 1) / G x sum over groups of (D without the group - their mean)^2). Infinite where D hangs on one group.

    Reference: B. Efron and C. Stein, "The jackknife estimate of variance", Annals of Statistics, 1981.
    """
    without = _difference_without_group(cells, members, members_loss)
    if cells.groups < 2 or not np.isfinite(without).all():
        return math.inf
    spread = without - without.mean()
    return math.sqrt((cells.groups - 1) / cells.groups * float(spread @ spread))


def student_interval(difference: float, error: float, *, groups: int, level: float) -> Interval:
    """difference +- t(groups - 1) x error at a two-sided level."""
    from scipy.special import stdtrit

    if groups < 2 or not math.isfinite(error):
        return Interval(-math.inf, math.inf, level)
    half = -float(stdtrit(groups - 1, (1.0 - level) / 2.0)) * error
    return Interval(difference - half, difference + half, level)


def _difference_without_group(cells: Cells, members: Floats, members_loss: Floats) -> Floats:
    """The stratified difference with each group left out in turn, `(groups,)`; NaN where nothing is left to compare."""
    strata = int(cells.stratum.max(initial=0)) + 1

    def by_stratum(values: Floats) -> Floats:
        return _sums(cells.stratum, values, strata)

    rest, rest_loss = cells.rows - members, cells.loss - members_loss
    totals = [by_stratum(values) for values in (members, members_loss, rest, rest_loss)]
    whole = _contributions(*totals)
    left = _contributions(
        *(
            total[cells.stratum] - own
            for total, own in zip(totals, (members, members_loss, rest, rest_loss), strict=True)
        )
    )
    sums = []
    for full, without in zip(whole, left, strict=True):
        change = _sums(cells.group, without - full[cells.stratum], cells.groups)
        sums.append(full.sum() + change)
    used, inside, outside = sums
    result = np.full(cells.groups, math.nan)
    some = used > 0.5
    result[some] = (inside[some] - outside[some]) / used[some]
    return result


def _contributions(members: Floats, members_loss: Floats, rest: Floats, rest_loss: Floats) -> list[Floats]:
    """What a stratum adds to the number of members, to their loss, and to their loss at the rest's rate."""
    keep = (members > 0.5) & (rest > 0.5)
    expected = members * rest_loss / np.where(keep, rest, 1.0)
    return [np.where(keep, values, 0.0) for values in (members, members_loss, expected)]


def _sums(codes: Ints, values: Floats, length: int) -> Floats:
    return np.asarray(np.bincount(codes, weights=values, minlength=length), dtype=np.float64)
