"""Columns and tables: plain numpy arrays with a kind; everything that a rule or a method reads is one of these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from errata.core.errors import UsageError, nearest

__all__ = ["Bool", "Column", "Columns", "Float", "Int", "Kind", "Level", "Table", "indices"]

Kind = Literal["number", "category", "boolean", "datetime", "text", "embedding", "scores"]
Level = str | int | float | bool
Float = NDArray[np.floating]
Int = NDArray[np.integer]
Bool = NDArray[np.bool_]

_MISSING_CODE = -1


def indices(rows: Int | Bool) -> Int:
    """Row indices (m,) from indices or from a mask (n,)."""
    if rows.dtype == np.bool_:
        return np.flatnonzero(rows)
    return cast(Int, rows)


def _moment_text(written: str) -> str:
    """A moment without what says nothing: midnight and zeros behind the second."""
    day, _, clock = written.partition("T")
    clock = clock.rstrip("0").rstrip(".") if "." in clock else clock
    return day if clock.strip("0:") == "" else f"{day}T{clock}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Column:
    """One named property of every row. Missing is NaN, code -1, NaT; never an object array.

    kind       values
    number     (n,) float32 or float64, NaN where missing
    category   (n,) int32 codes into `levels`, -1 where missing
    boolean    (n,) int8: 1, 0, or -1 where missing
    datetime   (n,) datetime64, NaT where missing
    text       (b,) uint8, the UTF-8 bytes of all rows; `offsets` (n + 1,) int64 cut them; `absent` (n,) bool: missing
    embedding  (n, d) float32
    scores     (n, k) float32
    """

    kind: Kind
    values: NDArray[np.generic]
    levels: tuple[Level, ...] = ()
    offsets: Int | None = None
    absent: Bool | None = None
    unit: str | None = None
    words: str | None = None
    """What the column measures, in words, where its name does not say it ("stroke thickness")."""
    integer: bool = False
    """A number column that held whole numbers where it came from, so that cuts are worded as whole numbers."""

    def __post_init__(self) -> None:
        assert self.values.dtype != object, "a column never holds objects"
        assert self.kind != "text" or self.offsets is not None

    def __len__(self) -> int:
        return len(self.offsets) - 1 if self.offsets is not None else len(self.values)

    def take(self, rows: Int | Bool) -> Column:
        """The same column for some rows, given by index (m,) or by mask (n,)."""
        if self.kind == "text":
            return self._take_text(indices(rows))
        return self._with(values=self.values[rows])

    def missing(self) -> Bool:
        """(n,) bool, true where the row has no value."""
        if self.kind in ("category", "boolean"):
            return np.asarray(self.values < 0)  # type: ignore[operator]
        if self.kind == "datetime":
            return np.asarray(np.isnat(self.values))
        if self.kind == "text":
            return self.absent if self.absent is not None else np.zeros(len(self), dtype=bool)
        bad = np.isnan(self.values)
        return np.asarray(bad if bad.ndim == 1 else bad.any(axis=1))

    def value(self, row: int) -> Level | None:
        """The value of one row as a plain Python object, None where missing (datetimes as ISO text)."""
        if self.kind == "text":
            return self.text(row)
        raw = self.values[row]
        if self.kind == "category":
            return None if raw < 0 else self.levels[int(raw)]
        if self.kind == "boolean":
            return None if raw < 0 else bool(raw)
        if self.kind == "datetime":
            return None if np.isnat(raw) else _moment_text(str(raw))
        number = float(raw)
        if np.isnan(number):
            return None
        return int(number) if self.integer and number.is_integer() else number

    def text(self, row: int) -> str | None:
        """The text of one row of a text column."""
        assert self.kind == "text" and self.offsets is not None
        if self.absent is not None and self.absent[row]:
            return None
        return bytes(self.values[self.offsets[row] : self.offsets[row + 1]]).decode("utf-8", "replace")

    def _take_text(self, rows: Int) -> Column:
        assert self.offsets is not None
        starts, lengths = self.offsets[rows], np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        # One gather for all rows: position inside the row plus where the row starts.
        positions = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
        absent = None if self.absent is None else self.absent[rows]
        return self._with(values=self.values[positions], offsets=offsets, absent=absent)

    def _with(self, *, values: NDArray[np.generic], offsets: Int | None = None, absent: Bool | None = None) -> Column:
        return Column(
            kind=self.kind, values=values, levels=self.levels, offsets=offsets, absent=absent,
            unit=self.unit, words=self.words, integer=self.integer,
        )  # fmt: skip

    @staticmethod
    def number(
        values: Sequence[float] | Float | Int, *, integer: bool | None = None, unit: str | None = None
    ) -> Column:
        """A number column from any real array; whole numbers are remembered as such."""
        array = np.asarray(values)
        whole = bool(np.issubdtype(array.dtype, np.integer)) if integer is None else integer
        if array.dtype != np.float32:
            array = array.astype(np.float64, copy=False)
        return Column(kind="number", values=array, integer=whole, unit=unit)

    @staticmethod
    def embedding(values: NDArray[np.number]) -> Column:
        """An embedding column from (n, d) numbers; what is infinite, or too large for float32, is missing as NaN is."""
        with np.errstate(over="ignore"):
            array = np.asarray(values, dtype=np.float32)
        infinite = np.isinf(array)
        return Column(
            kind="embedding", values=np.where(infinite, np.float32(np.nan), array) if infinite.any() else array
        )

    @staticmethod
    def category(values: Sequence[Level | None]) -> Column:
        """A category column from plain values, None where missing; levels are sorted (numbers before words)."""
        present = {value for value in values if value is not None}
        levels = tuple(sorted(present, key=lambda level: (isinstance(level, str), level)))
        index = {level: code for code, level in enumerate(levels)}
        codes = [_MISSING_CODE if value is None else index[value] for value in values]
        return Column(kind="category", values=np.array(codes, dtype=np.int32), levels=levels)

    @staticmethod
    def strings(values: Sequence[str | None]) -> Column:
        """A text column from Python strings, None where missing."""
        encoded = [b"" if value is None else value.encode("utf-8", "surrogatepass") for value in values]
        offsets = np.concatenate([[0], np.cumsum([len(piece) for piece in encoded])]).astype(np.int64)
        absent = np.array([value is None for value in values], dtype=bool)
        joined = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        return Column(kind="text", values=joined, offsets=offsets, absent=absent)


class Columns(Protocol):
    """What a rule is evaluated on: anything with named columns, such as a Table or an Evaluation."""

    def column(self, name: str) -> Column: ...
    def __len__(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Table:
    """Named columns of equal length, in order."""

    columns: Mapping[str, Column] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # The columns of a saved run are read when asked for; checking them here would read them all.
        lengths = {name: len(column) for name, column in self.columns.items()} if isinstance(self.columns, dict) else {}
        assert len(set(lengths.values())) <= 1, f"columns of different lengths: {lengths}"

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.columns)

    def column(self, name: str) -> Column:
        """One column by name; raises UsageError that offers the nearest names."""
        if name not in self.columns:
            raise UsageError(f"There is no column `{name}`.", hint=nearest(name, self.columns))
        return self.columns[name]

    def kind_of(self, name: str) -> Kind:
        """The kind of a column; a table that reads its columns when asked for may know it without reading."""
        known = getattr(self.columns, "kinds", None)
        return known[name] if known is not None else self.columns[name].kind

    def take(self, rows: Int | Bool) -> Table:
        """Some rows of every column."""
        return Table({name: column.take(rows) for name, column in self.columns.items()})

    def with_columns(self, more: Mapping[str, Column]) -> Table:
        """This table with columns added or replaced."""
        return Table({**self.columns, **more})

    def without(self, names: Sequence[str]) -> Table:
        """This table with some columns left out."""
        return Table({name: column for name, column in self.columns.items() if name not in names})
