"""Which rows a test selects. Two-valued: a comparison with a missing value is false, and `not` turns it round.

Values of another kind than the constant's are never equal to it; digits and the number they spell are equal, so that
`label = 1` means the same whether the column was read as numbers or as words.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from errata.core.atoms import And, Compare, Missing, Not, Op, Or, Present, Test, Value, write_value
from errata.core.columns import Bool, Column, Level
from errata.core.errors import UsageError
from errata.core.foreign import column_of

__all__ = ["members"]

_ORDER: Final[dict[Op, Callable[[Any, Any], Any]]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_NUMERAL = re.compile(r"\s*[+-]?(?:[0-9]{1,400}\.?[0-9]{0,400}|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,5})?\s*")
_FEW = 8
_BLOCK = 1 << 22


def members(test: Test, frame: Any) -> Bool:
    """(n,) bool: the rows of our columns, or of any frame, that the test selects.

    Raises UsageError where a column is not there or cannot be compared.
    """
    columns: dict[str, Column] = {}

    def column(name: str) -> Column:
        if name not in columns:
            columns[name] = column_of(frame, name)
        return columns[name]

    return _select(test, column)


def _select(test: Test, column: Callable[[str], Column]) -> Bool:
    if isinstance(test, And | Or):
        chosen = _select(test.terms[0], column)
        for term in test.terms[1:]:
            if isinstance(test, And):
                chosen &= _select(term, column)
            else:
                chosen |= _select(term, column)
        return chosen
    if isinstance(test, Not):
        return ~_select(test.term, column)
    if isinstance(test, Missing):
        return column(test.column).missing().copy()
    if isinstance(test, Present):
        return ~column(test.column).missing()
    if isinstance(test, Compare):
        return _compare(column(test.column), test.op, test.value, name=test.column)
    return _one_of(column(test.column), test.values, name=test.column)


def _compare(column: Column, op: Op, value: Value, *, name: str) -> Bool:
    if column.kind == "number":
        return _compare_numbers(column.values, op, _number(value))
    if column.kind == "category":
        return _by_level(column, [_level_holds(level, op, value) for level in column.levels])
    if column.kind == "boolean":
        return _by_level(column, [_level_holds(level, op, value) for level in (False, True)])
    if column.kind == "datetime":
        return _compare_moments(column.values, op, _moment(value))
    if column.kind == "text":
        return _compare_text(column, op, value if isinstance(value, str) else write_value(value))
    raise UsageError(
        f"The column `{name}` holds {column.kind}, which is not compared with `{value}`.",
        hint="rules compare numbers, words, dates, and true or false.",
    )


def _one_of(column: Column, values: tuple[Value, ...], *, name: str) -> Bool:
    if column.kind == "number" and len(values) > _FEW:
        numbers = [number for number in map(_number, values) if number is not None]
        return np.isin(column.values.astype(np.float64, copy=False), np.array(numbers, dtype=np.float64))
    if column.kind in ("category", "boolean"):
        levels = column.levels if column.kind == "category" else (False, True)
        return _by_level(column, _levels_in(levels, values))
    chosen = np.zeros(len(column), dtype=bool)
    for value in values:
        chosen |= _compare(column, "=", value, name=name)
    return chosen


def _by_level(column: Column, holds: list[bool]) -> Bool:
    # One look-up for all rows; the last entry answers for the code -1.
    table = np.array([*holds, False], dtype=bool)
    return np.asarray(table[column.values])


def _levels_in(levels: tuple[Level, ...], values: tuple[Value, ...]) -> list[bool]:
    # By look-up, not pair by pair: sets and categories may both have thousands of members.
    words = {value for value in values if isinstance(value, str)}
    numbers = {_number(value) for value in values if isinstance(value, int | float)}
    spelled = {_number(word) for word in words} - {None}
    moments = [value for value in values if isinstance(value, datetime)]
    holds = []
    for level in levels:
        if isinstance(level, str):
            found = level in words or (bool(numbers) and _number(level) in numbers)
        else:
            found = _number(level) in numbers or _number(level) in spelled
        holds.append(found or any(_level_holds(level, "=", moment) for moment in moments))
    return holds


def _number(value: Value | Level) -> float | int | None:
    """The number that a constant or a level is or spells, None when it is no number."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value
    if not isinstance(value, str):
        return None
    if _NUMERAL.fullmatch(value):
        return int(value) if value.strip().lstrip("+-").isdigit() else float(value)
    return {"true": 1, "false": 0}.get(value.lower())


def _moment(value: Value) -> datetime | None:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found if found.tzinfo is None else None


def _level_holds(level: Level, op: Op, value: Value) -> bool:
    """Whether one level of a category compares so with a constant."""
    if isinstance(level, float) and level != level:
        return False
    if isinstance(level, str) and isinstance(value, str):
        return bool(_ORDER[op](level, value))
    left: Any
    right: Any
    if isinstance(value, datetime):
        left, right = (_moment(level) if isinstance(level, str) else None), value
    else:
        left, right = _number(level), _number(value)
    if left is None or right is None:
        return op == "!="
    return bool(_ORDER[op](left, right))


def _compare_numbers(values: NDArray[Any], op: Op, number: float | int | None) -> Bool:
    if number is None:
        return ~np.isnan(values) if op == "!=" else np.zeros(len(values), dtype=bool)
    # A numpy scalar, not a Python one: float32 columns are then compared at float64.
    chosen = np.asarray(_ORDER[op](values, np.float64(number)))
    return chosen & ~np.isnan(values) if op == "!=" else chosen


def _compare_moments(values: NDArray[Any], op: Op, moment: datetime | None) -> Bool:
    here = ~np.isnat(values)
    if moment is None:
        return here if op == "!=" else np.zeros(len(values), dtype=bool)
    wanted = np.datetime64(moment, "us")
    unit = np.datetime_data(values.dtype)[0]
    if unit in ("ns", "ps", "fs", "as"):
        # Finer units reach only a few centuries: constants beyond them compare with their ends, not wrapped around.
        # In whole numbers: numpy's own conversion of the earliest moments overflows into the latest.
        per_microsecond = int(np.timedelta64(1, "us").astype(f"timedelta64[{unit}]").astype(np.int64))
        low, high = (np.datetime64(end // per_microsecond, "us") for end in (-(2**63) + per_microsecond, 2**63 - 1))
        if not low < wanted < high:
            below = bool(wanted <= low)
            always = op == "!=" or (op in (">", ">=") if below else op in ("<", "<="))
            return here if always else np.zeros(len(values), dtype=bool)
    return np.asarray(np.asarray(_ORDER[op](values, wanted)) & here, dtype=bool)


def _compare_text(column: Column, op: Op, value: str) -> Bool:
    assert column.offsets is not None
    wanted = np.frombuffer(value.encode("utf-8", "surrogatepass"), dtype=np.uint8)
    here = ~column.missing()
    if op in ("=", "!="):
        same = _same_text(column, wanted) & here
        return same if op == "=" else ~same & here
    sign = _text_sign(column, wanted)
    return np.asarray(_ORDER[op](sign, 0)) & here


def _same_text(column: Column, wanted: NDArray[np.uint8]) -> Bool:
    assert column.offsets is not None
    same = np.diff(column.offsets) == len(wanted)
    candidates = np.flatnonzero(same)
    step = max(1, _BLOCK // max(1, len(wanted)))
    for start in range(0, len(candidates), step):
        block = candidates[start : start + step]
        cells = column.values[column.offsets[block][:, None] + np.arange(len(wanted))]
        same[block] = (cells == wanted).all(axis=1)
    return np.asarray(same)


def _text_sign(column: Column, wanted: NDArray[np.uint8]) -> NDArray[np.int8]:
    """-1, 0, 1 where the row's bytes come before, are, or come after the wanted ones (the order of code points)."""
    assert column.offsets is not None
    lengths = np.diff(column.offsets)
    sign = np.sign(lengths - len(wanted)).astype(np.int8)
    step = max(1, _BLOCK // max(1, len(wanted)))
    reach = np.arange(len(wanted))
    for start in range(0, len(lengths), step):
        rows = slice(start, start + step)
        shared = reach < lengths[rows, None]
        positions = np.where(shared, column.offsets[:-1][rows, None] + reach, 0)
        if not len(column.values) or not len(wanted):
            break
        differs = (column.values[positions] != wanted) & shared
        first = differs.argmax(axis=1)
        at = np.arange(len(first))
        found = differs[at, first]
        larger = np.where(column.values[positions[at, first]] > wanted[first], 1, -1)
        sign[rows] = np.where(found, larger, sign[rows])
    return np.asarray(sign, dtype=np.int8)
