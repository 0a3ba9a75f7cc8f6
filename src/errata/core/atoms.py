"""What a predicate is made of: comparisons with constants, joined by and, or, not; each writes itself as text.

Two parts are equal when they are written alike, so that `1` and `true`, which Python takes for equal, stay apart.
"""

from __future__ import annotations

import math
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Literal

import numpy as np

from errata.core.errors import UsageError

__all__ = [
    "KEYWORDS", "MOST_DEPTH", "MOST_VALUES", "And", "Atom", "Compare", "Missing", "Not", "OneOf", "Op", "Or", "Present",
    "Test", "Value", "canonical", "plain_value", "write_name", "write_value",
]  # fmt: skip

Value = str | int | float | bool | datetime
Op = Literal["=", "!=", "<", "<=", ">", ">="]

KEYWORDS = frozenset({"and", "or", "not", "in", "is", "null", "between", "true", "false", "inf"})
MOST_DEPTH = 50
MOST_VALUES = 20_000

_PLAIN_NAME = re.compile(r"[^\W\d]\w*(?:\.\w+)*")
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}
# Control characters, invisible formatting (which can reorder what a reader sees), lone surrogates, line separators.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def plain_value(value: object) -> Value:
    """A constant as a plain Python value: whole floats become int, dates become datetime in UTC without a zone.

    Raises UsageError for NaN, NaT, None and anything that is not text, a number, a boolean or a moment.
    """
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[us]").item()
    elif isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return value if abs(value) < 2**63 else plain_value(_to_float(value))
    if isinstance(value, float):
        if math.isnan(value):
            raise UsageError("A rule cannot compare with `NaN`.", hint="test for missing values with `is null`.")
        # One spelling per number: 60.0 and 60 are the same cut.
        return int(value) if math.isfinite(value) and value.is_integer() and abs(value) < 2**63 else value
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo is not None else value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    raise UsageError(
        f"A rule cannot compare with `{value!r}` of type {type(value).__name__}.",
        hint="constants are text, numbers, true or false, and dates; test for missing values with `is null`.",
    )


def _to_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _escape(text: str, quote: str) -> str:
    def one(character: str) -> str:
        if character == quote:
            return "\\" + character
        if character in _ESCAPES:
            return _ESCAPES[character]
        if unicodedata.category(character) in _UNPRINTABLE:
            code = ord(character)
            return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
        return character

    plain = text.isprintable() and "\\" not in text and quote not in text
    return quote + (text if plain else "".join(map(one, text))) + quote


def write_name(column: str) -> str:
    """A column's name as a rule writes it: plain identifiers as they are, all others in backticks."""
    plain = _PLAIN_NAME.fullmatch(column) and column.isprintable() and column.lower() not in KEYWORDS
    return column if plain else _escape(column, "`")


def write_value(value: Value) -> str:
    """A constant as a rule writes it: text in double quotes, dates as ISO without quotes, numbers as short as exact."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _escape(value, '"')
    if isinstance(value, datetime):
        midnight = not (value.hour or value.minute or value.second or value.microsecond)
        return value.date().isoformat() if midnight else value.isoformat()
    return repr(value)


class _Written(ABC):
    """Equality by what is written."""

    @property
    @abstractmethod
    def text(self) -> str:
        """The test as a rule writes it."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, _Written) and other.text == self.text

    def __hash__(self) -> int:
        return hash((type(self).__name__, self.text))


@dataclass(frozen=True, eq=False)
class Compare(_Written):
    """`column op value`; false where the column is missing, also for `!=`."""

    column: str
    op: Op
    value: Value

    def __post_init__(self) -> None:
        assert self.op in ("=", "!=", "<", "<=", ">", ">="), self.op
        object.__setattr__(self, "column", str(self.column))
        object.__setattr__(self, "value", plain_value(self.value))

    @cached_property
    def text(self) -> str:
        return f"{write_name(self.column)} {self.op} {write_value(self.value)}"


@dataclass(frozen=True, eq=False)
class OneOf(_Written):
    """`column in (values)`; values are kept sorted (numbers, then dates, then words), each once."""

    column: str
    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise UsageError(f"The set of values for `{self.column}` is empty.", hint="give at least one value.")
        if len(self.values) > MOST_VALUES:
            raise UsageError(
                f"A set of {len(self.values)} values for `{self.column}`: at most {MOST_VALUES} are read.",
                hint="name those outside instead, with `not in`.",
            )
        unique = {write_value(value): value for value in map(plain_value, self.values)}
        object.__setattr__(self, "column", str(self.column))
        object.__setattr__(self, "values", tuple(sorted(unique.values(), key=_order)))

    @cached_property
    def text(self) -> str:
        return f"{write_name(self.column)} in ({', '.join(map(write_value, self.values))})"


@dataclass(frozen=True, eq=False)
class Missing(_Written):
    """`column is null`."""

    column: str

    @cached_property
    def text(self) -> str:
        return f"{write_name(self.column)} is null"


@dataclass(frozen=True, eq=False)
class Present(_Written):
    """`column is not null`."""

    column: str

    @cached_property
    def text(self) -> str:
        return f"{write_name(self.column)} is not null"


@dataclass(frozen=True, eq=False)
class And(_Written):
    """Every term holds."""

    terms: tuple[Test, ...]

    @cached_property
    def text(self) -> str:
        return " and ".join(f"({term.text})" if isinstance(term, Or) else term.text for term in self.terms)


@dataclass(frozen=True, eq=False)
class Or(_Written):
    """At least one term holds."""

    terms: tuple[Test, ...]

    @cached_property
    def text(self) -> str:
        return " or ".join(f"({term.text})" if isinstance(term, And) else term.text for term in self.terms)


@dataclass(frozen=True, eq=False)
class Not(_Written):
    """The term does not hold: true also where a comparison is false because its column is missing."""

    term: Test

    @cached_property
    def text(self) -> str:
        return f"not ({self.term.text})"


Atom = Compare | OneOf | Missing | Present
Test = Atom | And | Or | Not


def _order(value: Value) -> tuple[int, float, str]:
    if isinstance(value, bool):
        return 0, float(value), ""
    if isinstance(value, int | float):
        return 1, float(value), write_value(value)
    return (2 if isinstance(value, datetime) else 3), 0.0, value if isinstance(value, str) else value.isoformat()


def canonical(test: Test, *, depth: int = 0) -> Test:
    """The same test in the one form that text gives back: flat, without repeats and double negation.

    Raises UsageError when parts are nested deeper than 50.
    """
    if depth > MOST_DEPTH:
        raise UsageError(f"A rule nested more than {MOST_DEPTH} deep is not read.", hint="use fewer parentheses.")
    if isinstance(test, OneOf) and len(test.values) == 1:
        return Compare(test.column, "=", test.values[0])
    if isinstance(test, Not):
        inner = canonical(test.term, depth=depth + 1)
        if isinstance(inner, Not):
            return inner.term
        if isinstance(inner, Missing):
            return Present(inner.column)
        return Missing(inner.column) if isinstance(inner, Present) else Not(inner)
    if isinstance(test, And | Or):
        return _flat(type(test), [canonical(term, depth=depth + 1) for term in test.terms])
    return test


def _flat(join: type[And] | type[Or], terms: Sequence[Test]) -> Test:
    assert terms, "a rule joins at least one test"
    merged: dict[Test, None] = {}
    for term in terms:
        merged.update(dict.fromkeys(term.terms if isinstance(term, join) else (term,)))
    return next(iter(merged)) if len(merged) == 1 else join(tuple(merged))
