"""Arrays and frames of any library as columns, by numpy alone: whatever `frame[name]` gives that numpy can read."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Column, Level
from errata.core.errors import UsageError, nearest

__all__ = ["column_from", "column_of", "foreign_column", "is_ours", "plain_level"]

_MISSING_TYPES = ("NAType", "NaTType")


def is_ours(frame: Any) -> bool:
    """Whether `frame.column(name)` gives a Column; an arrow table has a method of that name too, which does not."""
    return hasattr(frame, "column") and not hasattr(frame, "column_names")


def column_of(frame: Any, name: str) -> Column:
    """One column of our columns (a Table, an Evaluation) or of any frame or mapping of arrays."""
    if is_ours(frame):
        found = frame.column(name)
        assert isinstance(found, Column)
        return found
    return foreign_column(frame, name)


def foreign_column(frame: Any, name: str) -> Column:
    """The column `name` of a dataframe, an arrow table, a structured array or a mapping of arrays.

    Raises UsageError where there is no such column, offering the nearest names, or where two have that name.
    """
    known = _names(frame)
    if known is not None and name not in known:
        raise UsageError(f"There is no column `{name}`.", hint=nearest(name, known))
    values = frame[name]
    if len(getattr(values, "shape", (0,))) != 1:
        raise UsageError(f"The column `{name}` is not one column of plain values.", hint="are two columns called so?")
    return column_from(values, name=name)


def _names(frame: Any) -> list[str] | None:
    for attribute in ("column_names", "columns"):
        found = getattr(frame, attribute, None)
        if found is not None and not callable(found):
            return [str(name) for name in found]
    if hasattr(frame, "keys"):
        return [str(name) for name in frame.keys()]  # noqa: SIM118 (only `keys` is promised)
    dtype = getattr(frame, "dtype", None)
    return list(dtype.names) if dtype is not None and dtype.names else None


def column_from(values: Any, *, name: str = "values") -> Column:
    """One column of any array-like: numbers, booleans, dates, and words as a category; None, NaN and NaT are missing.

    Raises UsageError for values that are none of these.
    """
    coded = _coded(values)
    if coded is not None:
        return coded
    # A list may mix kinds, which an array made of it would all turn into words.
    mixed = isinstance(values, list | tuple)
    array = np.fromiter(values, dtype=object, count=len(values)) if mixed else np.asarray(values)
    if array.dtype.kind == "T":
        array = array.astype(object)
    if array.ndim != 1:
        raise UsageError(f"`{name}` has shape {array.shape}.", hint="a column has one value per row.")
    if array.dtype.kind in "fiu":
        return Column.number(array)
    if array.dtype.kind == "b":
        return Column(kind="boolean", values=array.astype(np.int8))
    if array.dtype.kind == "M":
        return Column(kind="datetime", values=array)
    if array.dtype.kind == "m":
        return Column.number(array / np.timedelta64(1, "s"), unit="s")
    if array.dtype.kind in "US":
        levels, codes = np.unique(array, return_inverse=True)
        words = tuple(str(plain_level(level)) for level in levels.tolist())
        return Column(kind="category", values=codes.astype(np.int32), levels=words)
    if array.dtype.kind == "O":
        return _from_objects(array, name)
    raise UsageError(f"`{name}` holds values of type {array.dtype}.", hint="use numbers, words, booleans or dates.")


def _coded(values: Any) -> Column | None:
    """A pandas categorical by its codes, without decoding a million words."""
    dtype = getattr(values, "dtype", None)
    accessor = values if hasattr(values, "codes") else getattr(values, "cat", None) if _is_categorical(dtype) else None
    if accessor is None or not (hasattr(accessor, "codes") and hasattr(accessor, "categories")):
        return None
    levels = tuple(plain_level(level) for level in np.asarray(accessor.categories).tolist())
    if not all(isinstance(level, str | int | float | bool) for level in levels):
        return None
    return Column(kind="category", values=np.asarray(accessor.codes, dtype=np.int32), levels=levels)  # type: ignore[arg-type]


def _is_categorical(dtype: Any) -> bool:
    return type(dtype).__name__ == "CategoricalDtype"


def plain_level(value: Any) -> Level | datetime | None:
    """A Python value of a cell as a level or a moment, None where it is missing."""
    if value is None or type(value).__name__ in _MISSING_TYPES:
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return None if value != value else value
    if isinstance(value, Decimal):
        return None if value.is_nan() else float(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo is not None else value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str | int | bool) else str(value)


def _from_objects(array: NDArray[np.object_], name: str) -> Column:
    cells = array.tolist()
    # By identity of type first: a million cells hold few kinds of values.
    kinds = set(map(type, cells))
    if any(issubclass(kind, list | tuple | dict | np.ndarray) for kind in kinds):
        raise UsageError(f"`{name}` holds lists or arrays.", hint="give each number its own column.")
    if not kinds <= {str, type(None)}:
        cells = [plain_level(cell) for cell in cells]
        kinds = set(map(type, cells))
    kinds -= {type(None)}
    if kinds and kinds <= {int, float}:
        whole = kinds == {int}
        numbers = np.array([np.nan if cell is None else cell for cell in cells], dtype=np.float64)
        return Column.number(numbers, integer=whole)
    if kinds == {bool}:
        return Column(kind="boolean", values=np.array([-1 if cell is None else cell for cell in cells], dtype=np.int8))
    if kinds and all(issubclass(kind, datetime) for kind in kinds):
        moments = [None if cell is None else np.datetime64(cell.replace(tzinfo=None)) for cell in cells]
        return Column(kind="datetime", values=np.array(moments, dtype="datetime64[us]"))
    return _category(str(cell) if isinstance(cell, datetime) else cell for cell in cells)


def _category(cells: Iterable[Level | None]) -> Column:
    """As Column.category, in one pass."""
    index: dict[Level, int] = {}
    codes = np.fromiter((-1 if cell is None else index.setdefault(cell, len(index)) for cell in cells), dtype=np.int32)
    return Column(kind="category", values=codes, levels=tuple(index))
