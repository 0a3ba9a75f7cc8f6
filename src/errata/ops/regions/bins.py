"""Columns in few bins: uint8 codes that a search can count in; exact cuts go back to the raw values later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Column, Columns, Float, Int

__all__ = ["Axis", "Binned", "bin_column", "bin_columns", "numeric_values", "usable"]

FINE = 64
COARSE = 16
COARSE_LEVELS = 48
MOST_LEVELS = 250
_SAMPLE = 50_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Axis:
    """How one column was cut into bins.

    name     the column
    ordered  True for numbers and dates: regions are intervals of bins; False for levels: regions are sets of bins
    bins     number of bins that a region may use; code `bins` is what no interval holds: missing numbers, pooled levels
    edges    (bins - 1,) float64, bin i holds edges[i - 1] < x <= edges[i]; empty for levels
    levels   (bins,) int32 level code of each bin, -1 for missing; empty for ordered axes
    coarse   (bins + 1,) uint8, which coarse bin each bin lies in; code `coarse_bins` for the rest
    gaps     rows whose value is missing or whose level was pooled
    """

    name: str
    ordered: bool
    bins: int
    edges: Float
    levels: Int
    coarse: NDArray[np.uint8]
    coarse_bins: int
    gaps: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Binned:
    """Columns of n rows as codes: `codes` (d, n) uint8, each row described by the axis of the same position."""

    axes: tuple[Axis, ...]
    codes: NDArray[np.uint8]

    def __len__(self) -> int:
        return int(self.codes.shape[1])

    def take(self, keep: Bool | Int) -> Binned:
        """The same axes for some rows."""
        return Binned(axes=self.axes, codes=self.codes[:, keep])


def usable(column: Column) -> bool:
    """True for kinds of columns whose values a predicate can compare."""
    return column.kind in ("number", "category", "boolean", "datetime")


def numeric_values(column: Column) -> Float:
    """(n,) float64 values of a number or datetime column (in its own unit since 1970), NaN where missing."""
    if column.kind == "datetime":
        values = column.values.astype(np.int64).astype(np.float64)
        values[column.missing()] = np.nan
        return values
    return np.asarray(column.values, dtype=np.float64)


def bin_columns(columns: Columns, names: Sequence[str], *, excess: Float, least: int = 10) -> Binned:
    """Codes of the named columns, gathered one at a time; columns that are constant or not comparable are left out.

    excess  (n,) how much each row's loss exceeds what its class expects: picks the levels to keep where there are many
    least   levels with fewer rows are pooled
    """
    axes: list[Axis] = []
    codes = np.empty((len(names), len(columns)), dtype=np.uint8)
    for name in names:
        column = columns.column(name)
        if not usable(column):
            continue
        axis = bin_column(name, column, excess=excess, least=least, out=codes[len(axes)])
        if axis is not None:
            axes.append(axis)
    return Binned(axes=tuple(axes), codes=codes[: len(axes)])


def bin_column(name: str, column: Column, *, excess: Float, least: int, out: NDArray[np.uint8]) -> Axis | None:
    """Write the codes of one column to `out` (n,) uint8; None where there are fewer than two values to tell apart."""
    if column.kind in ("category", "boolean"):
        return _bin_levels(name, np.asarray(column.values, dtype=np.int64), excess=excess, least=least, out=out)
    return _bin_numbers(name, numeric_values(column), out=out)


def _bin_numbers(name: str, values: Float, *, out: NDArray[np.uint8]) -> Axis | None:
    missing = np.isnan(values)
    gaps = int(np.count_nonzero(missing))
    edges = _edges(values[~missing] if gaps else values)
    bins = len(edges) + 1
    if bins < 2 and (gaps == 0 or gaps == len(values)):
        return None
    out[:] = np.searchsorted(edges, values, side="left")
    out[missing] = bins
    count = np.bincount(out, minlength=bins + 1)[:bins]
    coarse = _coarse(count)
    return Axis(
        name=name, ordered=True, bins=bins, edges=edges, levels=np.empty(0, dtype=np.int32),
        coarse=np.append(coarse, coarse[-1] + 1).astype(np.uint8), coarse_bins=int(coarse[-1]) + 1, gaps=gaps,
    )  # fmt: skip


def _edges(values: Float) -> Float:
    """At most FINE - 1 upper bin edges, each a value of the column: quantiles, or all values where there are few."""
    if len(values) > _SAMPLE:
        # Evenly spaced rows are enough for quantiles, and need no randomness.
        values = values[:: len(values) // _SAMPLE]
    present = np.unique(values)
    if len(present) <= FINE:
        return present[:-1].astype(np.float64)
    ranks = np.sort(values)[(np.arange(1, FINE) * len(values)) // FINE]
    edges: Float = np.unique(ranks).astype(np.float64)
    return np.asarray(edges[edges < present[-1]])


def _coarse(count: Int) -> Int:
    """Neighbouring bins joined until each holds about 1 / COARSE of the rows."""
    if len(count) <= COARSE:
        return np.arange(len(count))
    middle = np.cumsum(count) - 0.5 * count
    target = np.floor(middle / max(count.sum(), 1) * COARSE).astype(np.int64)
    return np.unique(np.minimum(target, COARSE - 1), return_inverse=True)[1]


def _bin_levels(name: str, values: Int, *, excess: Float, least: int, out: NDArray[np.uint8]) -> Axis | None:
    codes = values + 1
    count = np.bincount(codes)
    over = np.bincount(codes, weights=excess)
    present = np.flatnonzero(count >= least)
    standing = over[present] / np.sqrt(np.maximum(count[present], 1))
    if len(present) > MOST_LEVELS:
        best = np.argsort(-standing, kind="stable")[:MOST_LEVELS]
        present, standing = present[best], standing[best]
    order = np.argsort(-standing, kind="stable")
    kept = present[order]
    bins = len(kept)
    if bins == 0 or (bins == 1 and count[kept[0]] == len(values)):
        return None
    table = np.full(len(count), bins, dtype=np.uint8)
    table[kept] = np.arange(bins)
    out[:] = table[codes]
    # Levels come by falling excess, so the first ones are those that a coarse search may use.
    coarse_bins = min(bins, COARSE_LEVELS)
    coarse = np.minimum(np.arange(bins + 1), coarse_bins).astype(np.uint8)
    return Axis(
        name=name, ordered=False, bins=bins, edges=np.empty(0), levels=(kept - 1).astype(np.int32),
        coarse=coarse, coarse_bins=coarse_bins, gaps=int(len(values) - count[kept].sum()),
    )  # fmt: skip
