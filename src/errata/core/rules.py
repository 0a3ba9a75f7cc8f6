"""Rules: who belongs to a slice. `Where` is a predicate over named columns, written as people write it."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from errata.core.atoms import (
    And,
    Atom,
    Compare,
    Missing,
    Not,
    OneOf,
    Op,
    Or,
    Present,
    Test,
    Value,
    canonical,
)  # fmt: skip
from errata.core.columns import Bool
from errata.core.errors import UsageError
from errata.core.membership import members
from errata.core.predicate import parse
from errata.core.rule_export import to_pandas, to_polars, to_sql

__all__ = ["And", "Atom", "Compare", "Missing", "Not", "OneOf", "Op", "Or", "Present", "Test", "Value", "Where"]


@dataclass(frozen=True, eq=False)
class Where:
    """A predicate over named columns, such as `city = "cairo" and age > 60.5`; see docs/rules.md for how it is written.

    Two-valued: a comparison with a missing value is false, also `!=`; `not` turns false into true. Rules are equal when
    their text is. Raises UsageError when parts are nested deeper than 50.
    """

    test: Test

    def __post_init__(self) -> None:
        object.__setattr__(self, "test", canonical(self.test))

    @staticmethod
    def parse(text: str) -> Where:
        """The rule that a text describes; `Where.parse(rule.text) == rule`. Raises UsageError that shows the place."""
        return Where(parse(text))

    @staticmethod
    def all_of(atoms: Sequence[Atom]) -> Where:
        """The rule that every one of the atoms (at least one) holds."""
        return Where(And(tuple(atoms)))

    @property
    def kind(self) -> str:
        return "where"

    @cached_property
    def text(self) -> str:
        """The rule as text, in its one canonical form."""
        return self.test.text

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns it reads, each once, in the order of the text."""
        return tuple(dict.fromkeys(_columns(self.test)))

    def literals(self) -> tuple[Atom, ...] | None:
        """The atoms of a plain conjunction, in order; None where the rule has `or` or `not`."""
        terms = self.test.terms if isinstance(self.test, And) else (self.test,)
        atoms = tuple(term for term in terms if isinstance(term, Compare | OneOf | Missing | Present))
        return atoms if len(atoms) == len(terms) else None

    def members(self, columns: Any) -> Bool:
        """(n,) bool: the rows that belong.

        `columns` is a Table, an Evaluation, or any frame or mapping whose `frame[name]` numpy can read (pandas, polars,
        arrow, a dict of arrays). Raises UsageError where a column is not there, offering the nearest names.
        """
        return members(self.test, columns)

    def sql(self) -> str:
        """The condition that stands after WHERE in standard SQL (ANSI quotes): the same rows, where missing is NULL."""
        return to_sql(self.test)

    def python(self, native: str = "pandas", *, frame: str = "frame") -> str:
        """One line that selects the same rows of a dataframe, for `native` "pandas", "polars" or "pyarrow"."""
        if native == "polars":
            return f"{frame}.filter({to_polars(self.test)})"
        if native == "pyarrow":
            return f"{frame}.filter(errata.Where.parse({self.text!r}).members({frame}))"
        if native != "pandas":
            raise UsageError(f"No line is written for `{native}`.", hint="known are pandas, polars and pyarrow.")
        return f"{frame}[{to_pandas(self.test, frame)}]"

    def to_json(self) -> Mapping[str, Any]:
        """Plain values for `findings.json`: kind, text (also as the condition `where`) and columns."""
        return {"kind": self.kind, "text": self.text, "where": self.text, "columns": list(self.columns)}

    @staticmethod
    def from_json(plain: Mapping[str, Any]) -> Where:
        """The rule that `to_json` described; the text decides."""
        text = plain.get("text")
        if not isinstance(text, str):
            raise UsageError(f"A saved rule has the text `{text!r}`.", hint="was the file cut short or edited?")
        return Where.parse(text)

    def __and__(self, other: Where) -> Where:
        return Where(And((self.test, other.test)))

    def __or__(self, other: Where) -> Where:
        return Where(Or((self.test, other.test)))

    def __invert__(self) -> Where:
        return Where(Not(self.test))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Where) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return f"<code>{html.escape(self.text)}</code>"


def _columns(test: Test) -> list[str]:
    if isinstance(test, And | Or):
        return [name for term in test.terms for name in _columns(term)]
    return _columns(test.term) if isinstance(test, Not) else [test.column]
