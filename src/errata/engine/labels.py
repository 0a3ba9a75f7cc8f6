"""Labels as a model wants them for training, and as words to compare its answers with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Column, Int, Level
from errata.core.errors import UsageError

__all__ = ["Labels", "labels_in", "labels_of"]


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


def labels_of(column: Column, *, name: str = "label") -> Labels:
    """The labels in a column of classes; raises UsageError for a column that cannot hold classes.

    name  of the column, for the error
    """
    if column.kind == "text":
        column = Column.category([column.text(row) for row in range(len(column))])
    if column.kind in ("category", "boolean"):
        levels = column.levels if column.kind == "category" else (False, True)
        return Labels(codes=np.asarray(column.values, dtype=np.int32), levels=levels)
    if column.kind != "number":
        raise UsageError(
            f"Column `{name}` holds {column.kind} values, which are no classes.",
            hint="labels and predictions are words, whole numbers, or true and false.",
        )
    return labels_in(np.asarray(column.values))


def labels_in(values: NDArray[Any]) -> Labels:
    """Plain labels as a model gives them, (n,) numbers, booleans or strings; NaN and None are missing."""
    if values.dtype.kind in "OUS":
        column = Column.category([None if value is None else _plain(value) for value in values.tolist()])
        return Labels(codes=np.asarray(column.values, dtype=np.int32), levels=column.levels)
    missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), dtype=bool)
    distinct, codes = np.unique(values[~missing], return_inverse=True)
    every = np.full(len(values), -1, dtype=np.int32)
    every[~missing] = codes
    return Labels(codes=every, levels=tuple(_plain(value) for value in distinct.tolist()))


def _plain(value: Any) -> Level:
    """Whole numbers are classes like any other: 1.0 and 1 are one class."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
