"""The rows a search stands on: raw columns gathered when asked for, their bins, and what is contrasted in them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from errata.core.columns import Bool, Column, Columns, Float, Int
from errata.ops.regions.bins import Axis, Binned, bin_columns
from errata.ops.regions.contrast import Contrast
from errata.ops.regions.literals import Literal, Prices, holds

__all__ = ["Ground"]

_KEPT = 12


@dataclass(frozen=True, kw_only=True, eq=False)
class Ground:
    """Some rows of `columns`.

    columns   where raw values come from, N rows
    rows      (n,) indices of the rows that are searched
    binned    the searched columns of these n rows as codes
    contrast  what is counted in these n rows
    least     fewest members of a region
    prices    what its parts must earn
    """

    columns: Columns
    rows: Int
    binned: Binned
    contrast: Contrast
    least: int
    prices: Prices
    _cache: OrderedDict[str, Column] = field(default_factory=OrderedDict)

    @staticmethod
    def of(columns: Columns, names: Sequence[str], *, loss: Float, stratum: Int, binary: bool, least: int) -> Ground:
        """The ground of all rows that belong to a stratum (code >= 0)."""
        kept = stratum >= 0
        rows = np.arange(len(columns)) if kept.all() else np.flatnonzero(kept)
        contrast = Contrast.of(loss[rows], stratum[rows], binary=binary)
        excess = np.zeros(len(columns))
        excess[rows] = contrast.loss - contrast.expected
        binned = bin_columns(columns, names, excess=excess, least=max(2, least // 2))
        if len(rows) < len(columns):
            binned = binned.take(rows)
        prices = Prices.of(rows=len(rows), columns=len(binned.axes))
        return Ground(columns=columns, rows=rows, binned=binned, contrast=contrast, least=least, prices=prices)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def names(self) -> tuple[str, ...]:
        """The searched columns."""
        return tuple(axis.name for axis in self.binned.axes)

    def without(self, members: Bool) -> Ground:
        """The rows that are not members (n,)."""
        kept = np.flatnonzero(~members)
        return Ground(
            columns=self.columns, rows=self.rows[kept], binned=self.binned.take(kept),
            contrast=self.contrast.take(kept), least=self.least, prices=self.prices,
        )  # fmt: skip

    def column(self, name: str) -> Column:
        """The raw values of one column for these rows; a few columns are kept."""
        if name in self._cache:
            self._cache.move_to_end(name)
            return self._cache[name]
        column = self.columns.column(name)
        if len(self.rows) < len(column):
            column = column.take(self.rows)
        self._cache[name] = column
        if len(self._cache) > _KEPT:
            self._cache.popitem(last=False)
        return column

    def axis(self, name: str) -> Axis | None:
        """How a column was binned, None where it is not searched."""
        return next((axis for axis in self.binned.axes if axis.name == name), None)

    def holds(self, literal: Literal) -> Bool:
        """(n,) bool: where one literal is true."""
        return holds(literal, self.column(literal.column))
