"""A test in the words of other systems: standard SQL, and expressions for pandas and polars."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Final

from errata.core.atoms import And, Compare, Missing, Not, OneOf, Or, Present, Test, Value
from errata.core.errors import UsageError

__all__ = ["to_pandas", "to_polars", "to_sql"]

_SQL_OPS: Final = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_PYTHON_OPS: Final = {"=": "==", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


def to_sql(test: Test) -> str:
    """The condition that stands after WHERE."""
    if isinstance(test, And | Or):
        join = " AND " if isinstance(test, And) else " OR "
        return join.join(f"({to_sql(term)})" if isinstance(term, And | Or) else to_sql(term) for term in test.terms)
    if isinstance(test, Not):
        # SQL knows three truth values; ours are two. An unknown is false before it is turned round.
        return f"NOT COALESCE(({to_sql(test.term)}), FALSE)"
    name = _sql_name(test.column)
    if isinstance(test, Missing):
        return f"{name} IS NULL"
    if isinstance(test, Present):
        return f"{name} IS NOT NULL"
    if isinstance(test, OneOf):
        return f"{name} IN ({', '.join(map(_sql_value, test.values))})"
    return f"{name} {_SQL_OPS[test.op]} {_sql_value(test.value)}"


def _sql_name(column: str) -> str:
    return '"' + _sql_safe(column).replace('"', '""') + '"'


def _sql_safe(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = "\0"
    if "\0" in text:
        raise UsageError(
            "Text with a NUL or half a character cannot be written as SQL.", hint="use the rule's own text."
        )
    return text


def _sql_value(value: Value) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        return "'" + _sql_safe(value).replace("'", "''") + "'"
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value.isoformat(sep=' ')}'"
    if isinstance(value, int):
        # Whole numbers that float32 cannot hold are written as doubles, so that REAL columns compare as ours do.
        return f"{value}e0" if 2**24 < abs(value) <= 2**53 else str(value)
    if math.isinf(value):
        return f"CAST('{'-' if value < 0 else ''}Infinity' AS DOUBLE PRECISION)"
    # With an exponent it is a double; without, a decimal, and decimals compare with REAL columns at float32.
    return repr(value) if "e" in repr(value) else f"{value!r}e0"


def to_pandas(test: Test, frame: str) -> str:
    """An expression for a pandas frame: a boolean series."""
    if isinstance(test, And | Or):
        join = " & " if isinstance(test, And) else " | "
        return join.join(_bracketed(to_pandas(term, frame), term) for term in test.terms)
    if isinstance(test, Not):
        # Nullable columns compare to NA; an unknown is false before it is turned round.
        return f"~({to_pandas(test.term, frame)}).fillna(False)"
    series = f"{frame}[{test.column!r}]"
    if isinstance(test, Missing):
        return f"{series}.isna()"
    if isinstance(test, Present):
        return f"{series}.notna()"
    if isinstance(test, OneOf):
        return f"{series}.isin([{', '.join(map(_python_value, test.values))}])"
    # In pandas a missing value is unlike everything, so `!=` would be true of it.
    present = f" & {series}.notna()" if test.op == "!=" else ""
    compared = f"{series} {_PYTHON_OPS[test.op]} {_python_value(test.value)}"
    return f"({compared}){present}" if present else compared


def _bracketed(written: str, test: Test) -> str:
    needs = isinstance(test, And | Or | Compare)
    return f"({written})" if needs else written


def _python_value(value: Value) -> str:
    if isinstance(value, datetime):
        return repr(value.isoformat(sep=" "))
    if isinstance(value, float) and math.isinf(value):
        return f"float('{value}')"
    return repr(value)


def to_polars(test: Test) -> str:
    """A polars expression; `pl` is polars."""
    if isinstance(test, And | Or):
        join = " & " if isinstance(test, And) else " | "
        return join.join(_bracketed(to_polars(term), term) for term in test.terms)
    if isinstance(test, Not):
        return f"~({to_polars(test.term)}).fill_null(False)"
    series = f"pl.col({test.column!r})" if not test.column.startswith("^") else f"pl.col([{test.column!r}])"
    if isinstance(test, Missing):
        return f"{series}.is_null()"
    if isinstance(test, Present):
        return f"{series}.is_not_null()"
    if isinstance(test, OneOf):
        return f"{series}.is_in([{', '.join(map(_polars_value, test.values))}])"
    return f"{series} {_PYTHON_OPS[test.op]} {_polars_value(test.value)}"


def _polars_value(value: Value) -> str:
    if isinstance(value, datetime):
        parts = ", ".join(map(str, value.timetuple()[:6]))
        return f"pl.datetime({parts}, {value.microsecond})" if value.microsecond else f"pl.datetime({parts})"
    return _python_value(value)
