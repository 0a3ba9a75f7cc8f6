"""The parts of a conjunction while it is searched: an interval of a number, a set of levels, or a missing number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import numpy as np

from errata.core.atoms import And, Compare, Missing, OneOf, Op, Or, Present, Test, Value
from errata.core.columns import Bool, Column, Float, Int
from errata.core.rules import Where
from errata.ops.regions.bins import numeric_values
from errata.ops.regions.roundness import worded

__all__ = ["Absent", "Levels", "Literal", "Prices", "Span", "holds", "literals_of", "set_cost", "where_of"]


@dataclass(frozen=True, kw_only=True)
class Span:
    """`low < column <= high`; an infinite bound is none. Dates are numbers in the column's own unit since 1970."""

    column: str
    low: float = -math.inf
    high: float = math.inf

    @property
    def cuts(self) -> int:
        return int(self.low > -math.inf) + int(self.high < math.inf)


@dataclass(frozen=True, kw_only=True)
class Levels:
    """The column has one of some levels; code -1 stands for missing. `of` is how many there were to choose from."""

    column: str
    codes: frozenset[int]
    of: int


@dataclass(frozen=True, kw_only=True)
class Absent:
    """A number or date is missing."""

    column: str


Literal = Span | Levels | Absent


@dataclass(frozen=True, kw_only=True)
class Prices:
    """What the parts of a conjunction must earn in log-likelihood, so that longer rules are only taken where they pay.

    cut      each bound of a number, and each set: half the logarithm of the number of rows (Schwarz, 1978)
    columns  how many columns there are to choose from: k literals cost the logarithm of the number of ways to choose k
             columns besides (Chen and Chen, 2008)
    """

    cut: float
    columns: int

    @staticmethod
    def of(*, rows: int, columns: int) -> Prices:
        """The prices of a search over so many rows and columns."""
        return Prices(cut=0.5 * math.log(max(rows, 2)), columns=columns)

    def span(self, cuts: Int, *, gaps: bool) -> Float:
        """Prices of intervals with `cuts` (k,) bounds; with `gaps` even the widest one leaves rows out."""
        return self.cut * np.maximum(cuts, int(gaps))

    def sets(self, of: int, *, gaps: bool) -> Float:
        """(of + 1,) prices of sets of 0 to `of` levels; all levels are free unless some rows are `gaps`."""
        prices = self.cut + _set_costs(of)
        prices[of] = self.cut * gaps
        return prices

    def choice(self, literals: int) -> float:
        """The price of choosing the columns of so many literals."""
        most = max(self.columns, literals)
        return math.lgamma(most + 1) - math.lgamma(literals + 1) - math.lgamma(most - literals + 1)

    def all(self, literals: Sequence[Literal]) -> float:
        """The price of a conjunction: its cuts, the choice of its columns, and its error rate."""
        return self.cut + self.choice(len(literals)) + sum(self._one(literal) for literal in literals)

    def _one(self, literal: Literal) -> float:
        if isinstance(literal, Span):
            return self.cut * max(literal.cuts, 1)
        if isinstance(literal, Levels):
            return self.cut + set_cost(len(literal.codes), literal.of)
        return self.cut


@lru_cache(maxsize=512)
def _set_costs(of: int) -> Float:
    return np.array([set_cost(size, of) for size in range(of + 1)])


def set_cost(size: int, of: int) -> float:
    """log of the number of sets of this size, less that of single levels, at least 0."""
    if size in (1, of):
        return 0.0
    ways = math.lgamma(of + 1) - math.lgamma(size + 1) - math.lgamma(of - size + 1)
    return max(0.0, ways - math.log(max(of, 1)))


def holds(literal: Literal, column: Column) -> Bool:
    """(n,) bool: the rows of the column for which the literal is true."""
    if isinstance(literal, Absent):
        return column.missing()
    if isinstance(literal, Levels):
        table = np.zeros(max(len(column.levels), 2) + 1, dtype=bool)
        table[list(literal.codes)] = True
        # Code -1 reads the last entry.
        return np.asarray(table[column.values])
    values = numeric_values(column)
    with np.errstate(invalid="ignore"):
        chosen = np.ones(len(values), dtype=bool) if literal.cuts else ~np.isnan(values)
        if literal.low > -math.inf:
            chosen &= values > literal.low
        if literal.high < math.inf:
            chosen &= values <= literal.high
    return chosen


def where_of(literals: Sequence[Literal], columns: dict[str, Column]) -> Where:
    """The conjunction as a rule; `columns` holds every column that it reads."""
    terms: list[Test] = []
    for literal in literals:
        terms += _tests(literal, columns[literal.column])
    return Where(And(tuple(terms)) if len(terms) > 1 else terms[0])


def _tests(literal: Literal, column: Column) -> list[Test]:
    name = literal.column
    if isinstance(literal, Absent):
        return [Missing(name)]
    if isinstance(literal, Levels):
        return [_level_test(literal, column)]
    tests: list[Test] = []
    if literal.low > -math.inf:
        tests.append(_bound(literal.low, column, name=name, ops=(">", ">=")))
    if literal.high < math.inf:
        tests.append(_bound(literal.high, column, name=name, ops=("<=", "<")))
    return tests or [Present(name)]


def _bound(value: float, column: Column, *, name: str, ops: tuple[Op, Op]) -> Test:
    """`x > value` or `x <= value`; with the second operator where the number just above is the one to say."""
    if column.kind == "datetime":
        moment = np.int64(math.floor(value)).astype(column.values.dtype).astype("datetime64[us]").item()
        return Compare(name, ops[0], moment)
    above = worded(value)
    return Compare(name, ops[0], value) if above is None else Compare(name, ops[1], above)


def _level_test(literal: Levels, column: Column) -> Test:
    name, codes = literal.column, sorted(literal.codes - {-1})
    known: Sequence[Value] = (False, True) if column.kind == "boolean" else column.levels
    left_out = [level for code, level in enumerate(known) if code not in literal.codes]
    if not codes:
        return Missing(name)
    if len(known) > 2 and len(left_out) == 1 and -1 not in literal.codes:
        return Compare(name, "!=", left_out[0])
    chosen = tuple(known[code] for code in codes)
    test = Compare(name, "=", chosen[0]) if len(chosen) == 1 else OneOf(name, chosen)
    return Or((test, Missing(name))) if -1 in literal.codes else test


def literals_of(where: Where, columns: dict[str, Column]) -> tuple[Literal, ...] | None:
    """The rule as literals, one per column; None where it is no conjunction of such parts."""
    atoms = where.literals()
    if atoms is None:
        return None
    found: dict[str, Literal] = {}
    for atom in atoms:
        literal = _literal_of(atom, columns[atom.column])
        before = found.get(atom.column)
        if literal is None or (before is not None and not (isinstance(before, Span) and isinstance(literal, Span))):
            return None
        if isinstance(before, Span) and isinstance(literal, Span):
            literal = Span(column=atom.column, low=max(before.low, literal.low), high=min(before.high, literal.high))
        found[atom.column] = literal
    return tuple(found.values())


def _literal_of(atom: Compare | OneOf | Missing | Present, column: Column) -> Literal | None:
    name = atom.column
    if column.kind in ("category", "boolean"):
        chosen = np.flatnonzero(Where(atom).members(_EveryLevel(name, column)))
        of = max(len(column.levels), 2)
        codes = frozenset(int(code) if code < of else -1 for code in chosen)
        return Levels(column=name, codes=codes, of=of) if codes else None
    if isinstance(atom, Missing):
        return Absent(column=name)
    if isinstance(atom, Present):
        return Span(column=name)
    comparable = datetime if column.kind == "datetime" else int | float
    if not isinstance(atom, Compare) or not isinstance(atom.value, comparable):
        return None
    value = _number(atom.value, column)
    if atom.op in (">", ">="):
        return Span(column=name, low=value if atom.op == ">" else float(np.nextafter(value, -math.inf)))
    if atom.op in ("<", "<="):
        return Span(column=name, high=value if atom.op == "<=" else float(np.nextafter(value, -math.inf)))
    return None


def _number(value: Value, column: Column) -> float:
    if isinstance(value, datetime):
        return float(np.datetime64(value).astype(column.values.dtype).astype(np.int64))
    assert isinstance(value, int | float)
    return float(value)


class _EveryLevel:
    """One row for each level of a column, and one without a value: tells which levels a test takes."""

    def __init__(self, name: str, column: Column) -> None:
        of = max(len(column.levels), 2)
        values = np.append(np.arange(of), -1).astype(column.values.dtype)
        self._name, self._column = name, Column(kind=column.kind, values=values, levels=column.levels)

    def column(self, name: str) -> Column:
        assert name == self._name
        return self._column

    def __len__(self) -> int:
        return len(self._column)
