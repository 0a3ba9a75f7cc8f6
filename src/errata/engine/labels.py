"""Labels as a model wants them for training, and as words to compare its answers with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Column, Int, Level
from errata.core.errors import UsageError

__all__ = ["Labels", "labels_of"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Labels:
    """The labels of some rows.

    codes   (n,) int32 codes into `levels`, -1 where missing
    levels  the distinct labels as plain values, sorted
    """

    codes: NDArray[np.int32]
    levels: tuple[Level, ...]

    def take(self, rows: Int | Bool) -> Labels:
        """The labels of some of the rows."""
        return Labels(codes=self.codes[rows], levels=self.levels)

    @property
    def words(self) -> list[Level | None]:
        """The labels as plain values, None where missing."""
        return [None if code < 0 else self.levels[code] for code in self.codes.tolist()]

    def values(self, rows: Int) -> NDArray[Any]:
        """The labels of rows that have one, as an array of the levels' own type, for training."""
        return np.array(self.levels)[self.codes[rows]]


def labels_of(column: Column) -> Labels:
    """The labels in a column of classes; raises UsageError for a column that cannot hold classes."""
    if column.kind == "text":
        column = Column.category([column.text(row) for row in range(len(column))])
    if column.kind == "category":
        return Labels(codes=np.asarray(column.values, dtype=np.int32), levels=column.levels)
    if column.kind == "boolean":
        return Labels(codes=np.asarray(column.values, dtype=np.int32), levels=(False, True))
    if column.kind != "number":
        raise UsageError(f"The label holds {column.kind} values, which are no classes.", hint="choose another --label.")
    values = np.asarray(column.values, dtype=np.float64)
    missing = np.isnan(values)
    distinct, codes = np.unique(values[~missing], return_inverse=True)
    every = np.full(len(values), -1, dtype=np.int32)
    every[~missing] = codes
    levels = tuple(int(value) if value.is_integer() else value for value in distinct.tolist())
    return Labels(codes=every, levels=levels)
