"""A rule in words: what a person would call the rows that belong to it."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, TypeGuard
from weakref import WeakKeyDictionary

import numpy as np

from errata.core.atoms import And, Atom, Compare, Missing, Not, OneOf, Or, Present, Test, Value
from errata.core.columns import Bool, Column, Level
from errata.core.embedded import Embedded
from errata.core.evaluation import CONFIRM, EXPLORE, Evaluation, View
from errata.core.ids import Ids
from errata.core.rules import Where
from errata.core.slices import Rule
from errata.describe.alike import alike
from errata.describe.cuts import (
    Gap,
    bound,
    gap,
    moment_bound,
    moment_phrase,
    moment_text,
    number_bound,
    number_text,
    span,
)
from errata.describe.directions import directed, directed_span, directed_whole
from errata.describe.grams import containing, holds_gram, of_texts
from errata.describe.labels import label_title
from errata.describe.numbers import listed, unit_noun

if TYPE_CHECKING:
    from errata.ops.measure.attribute import Attribute

__all__ = ["Memory", "Subject", "Wording", "capitalised", "level_text", "memory"]

MOST_LEVELS = 6
MOST_LEVEL_CHARACTERS = 60
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")
_RIGHT_TO_LEFT = frozenset({"R", "AL", "RLE", "RLO"})
_NEGATED = {"=": "!=", "!=": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Whom a rule speaks of.

    noun    the rows before anything is asked of the inputs: "rows", "images", "8s", "rows labelled malignant"
    single  the one class that the rule asks for, None without one
    others  the rest of those rows: "other 8s", "the other rows labelled malignant"; None where no class is named
    """

    noun: str
    single: Level | None = None
    others: str | None = None


@dataclass(frozen=True, eq=False)
class Memory:
    """What the words of one evaluation rest on, kept because a run describes a hundred findings.

    explore  the view by which cuts are rounded
    confirm  the view that numbers are about, and its row arrays
    phrases  what was worded before
    steps    the same for nodes of a tree, each with the steps above it
    """

    explore: Evaluation
    confirm: Evaluation
    view: View
    phrases: dict[tuple[Test, ...], str] = field(default_factory=dict)
    steps: dict[tuple[Test, ...], str] = field(default_factory=dict)


_MEMORIES: WeakKeyDictionary[Evaluation, Memory] = WeakKeyDictionary()


def memory(evaluation: Evaluation) -> Memory:
    """What is remembered of an evaluation; forgotten with it."""
    if evaluation not in _MEMORIES:
        confirm = evaluation.part(CONFIRM)
        _MEMORIES[evaluation] = Memory(explore=evaluation.part(EXPLORE), confirm=confirm, view=confirm.view())
    return _MEMORIES[evaluation]


def level_text(level: Level, *, quoted: bool | None = None) -> str:
    """A category or class name for people: in quotes where it could be misread, never with hidden characters."""
    if isinstance(level, bool):
        return "true" if level else "false"
    if isinstance(level, int | float):
        return number_text(float(level), year=True)
    clean = _visible(level)
    if len(clean) > MOST_LEVEL_CHARACTERS:
        clean = clean[: MOST_LEVEL_CHARACTERS - 1] + "…"
    ambiguous = not clean.strip() or clean != clean.strip() or "," in clean or ":" in clean or '"' in clean
    ambiguous |= f" {clean} ".lower().find(" and ") >= 0 or f" {clean} ".lower().find(" or ") >= 0
    if any(unicodedata.bidirectional(one) in _RIGHT_TO_LEFT for one in clean):
        # Isolated, so that an Arabic name does not reorder the words and numbers around it.
        clean = f"\u2068{clean}\u2069"
    return f"“{clean}”" if (ambiguous if quoted is None else quoted) else clean


def _visible(words: str) -> str:
    """A sign in place of each that cannot be seen; those that join and part letters, as in Persian, are spelling."""
    return "".join("�" if unicodedata.category(one) in _UNPRINTABLE and one not in _JOINERS else one for one in words)


def capitalised(text: str) -> str:
    """A sentence with its first letter large."""
    return text[:1].upper() + text[1:]


def _shown_name(name: str) -> str:
    clean = _visible(name)
    clean = clean if len(clean) <= MOST_LEVEL_CHARACTERS else clean[: MOST_LEVEL_CHARACTERS - 1] + "…"
    return clean.replace("_", " ").strip() or "“”"


def _is_whole(column: Column) -> bool:
    """Whether a number column holds whole numbers alone, whatever type it is stored as: ages are often floats."""
    if column.integer or column.kind != "number":
        return column.integer
    values = column.values[~column.missing()]
    return bool(len(values)) and bool((values == np.rint(values)).all())


class Wording:
    """Puts rules into words for one evaluation; keeps what it worded, because rules share their parts.

    Without an evaluation (a run opened without its rows) names and cuts are said as the rule has them.
    """

    def __init__(self, evaluation: Evaluation | None) -> None:
        self._evaluation = evaluation
        self._memory = None if evaluation is None else memory(evaluation)
        self._counted: Bool | None = None
        self._phrases: dict[tuple[Test, ...], str] = {} if self._memory is None else self._memory.phrases

    @property
    def unit_noun(self) -> str:
        """What one row is, in the plural."""
        return "rows" if self._evaluation is None else unit_noun(self._evaluation.dataset.modality)

    def title(self, rule: Rule) -> str:
        """The rule alone: "city is cairo and age over 60", "8s with strokes thicker than 2.1 pixels"."""
        if isinstance(rule, Ids):
            return label_title(rule)
        if not isinstance(rule, Where):
            return capitalised(alike(rule, self.subject(rule).noun)) if isinstance(rule, Embedded) else rule.text
        terms = rule.test.terms if isinstance(rule.test, And) else (rule.test,)
        subject = self.subject(rule)
        noun = subject.noun
        rest = [term for term in terms if not self._names_class(term)]
        pictured = [term for term in rest if self._pictures(term)]
        plain = self._conjunction([term for term in rest if not self._pictures(term)])
        if pictured:
            measured = "texts" if all(of_texts(term) for term in pictured) else "images"
            noun = measured if noun == "rows" else noun
            words = f"{noun} {self._conjunction(pictured)}"
            return capitalised(f"{words}, where {plain}" if plain else words)
        if not plain:
            return capitalised(noun)
        return plain if noun == self.unit_noun else f"Among {noun}, {plain}"

    def subject(self, rule: Rule) -> Subject:
        """Whom the rule speaks of: what it asks of the label."""
        if isinstance(rule, Embedded) and rule.given is not None:
            return self.subject(rule.given)
        terms = () if not isinstance(rule, Where) else rule.test.terms if isinstance(rule.test, And) else (rule.test,)
        named = [term for term in terms if self._names_class(term)]
        if not named:
            return Subject(noun=self.unit_noun)
        if len(named) == 1 and isinstance(named[0], Compare | OneOf):
            return self._labelled(named[0])
        tests = " and ".join(self._label_words(term) for term in named)
        return Subject(noun=f"{self.unit_noun} {tests}")

    def _labelled(self, term: Compare | OneOf) -> Subject:
        values = (term.value,) if isinstance(term, Compare) else term.values
        if isinstance(term, Compare) and term.op == "!=":
            return Subject(noun=f"{self.unit_noun} {self._label_words(term)}")
        names = [level_text(_plain(value)) for value in values]
        short = self.unit_noun == "images" and all(len(name) <= 2 and name.isalnum() for name in names)
        single = _plain(values[0]) if len(values) == 1 else None
        if short:
            noun = listed([f"{name}s" for name in names], last="or", most=MOST_LEVELS)
            return Subject(noun=noun, single=single, others=f"other {noun}")
        noun = f"{self.unit_noun} labelled {listed(names, last='or', most=MOST_LEVELS)}"
        return Subject(noun=noun, single=single, others=f"the other {noun}")

    def _label_words(self, term: Test) -> str:
        """What a test asks of the label: "labelled 8", "not labelled 1 or 7"."""
        excluded = _excluded(term)
        if excluded is None:
            inner = term.term if isinstance(term, Not) else term  # `not (label != 8)` asks for 8
            assert isinstance(inner, Compare | OneOf)
            return self._labelled_as((inner.value,) if isinstance(inner, Compare) else inner.values)
        return f"not {self._labelled_as(excluded)}"

    def _labelled_as(self, values: Sequence[Value]) -> str:
        return f"labelled {listed([level_text(_plain(value)) for value in values], last='or', most=MOST_LEVELS)}"

    def _names_class(self, term: Test) -> bool:
        evaluation = self._evaluation
        if evaluation is None or evaluation.task != "classification" or evaluation.dataset.label is None:
            return False
        inner = term.term if isinstance(term, Not) else term
        if isinstance(inner, Compare) and inner.op not in ("=", "!="):
            return False
        return isinstance(inner, Compare | OneOf) and inner.column == evaluation.dataset.label

    def _pictures(self, term: Test) -> bool:
        if not isinstance(term, Compare | OneOf | Missing | Present):
            return False
        return _attribute(term.column) is not None or holds_gram(term) is not None

    def explanations(self, rule: Rule) -> tuple[str, ...]:
        """What the measured attributes that a rule reads mean, one sentence each."""
        found = {name: _attribute(name) for name in rule.columns}
        return tuple(
            f"{capitalised(item.noun)}: {item.explanation[:1].lower()}{item.explanation[1:]}"
            for item in found.values()
            if item is not None
        )

    def phrase(self, test: Test) -> str:
        """A test in words, without its subject."""
        return self._conjunction(test.terms if isinstance(test, And) else (test,))

    def step(self, test: Test, above: Sequence[Test]) -> str:
        """A test in words, its cuts rounded as far as the explore rows allow for which all tests `above` hold."""
        if self._memory is None or not above:
            return self.phrase(test)
        steps, explore = self._memory.steps, self._memory.explore
        if (test, *above) not in steps:
            inner = Wording(self._evaluation)
            inner._phrases = {}  # what is remembered was rounded by all rows
            inner._counted = np.logical_and.reduce([Where(term).members(explore) for term in above])
            steps[test, *above] = inner.phrase(test)
        return steps[test, *above]

    def _conjunction(self, terms: Sequence[Test]) -> str:
        parts: list[str] = []
        done: set[int] = set()
        for index, term in enumerate(terms):
            if index in done:
                continue
            same = [index, *(at for at in range(index + 1, len(terms)) if _said_together(term, terms[at]))]
            done.update(same)
            parts.append(self._remembered(tuple(terms[at] for at in same)))
        if len(parts) > 1:
            parts = [f"({part})" if _has_or(part) else part for part in parts]
        if len(parts) < 3:
            return " and ".join(parts)
        if any("," in part for part in parts):
            return f"{'; '.join(parts[:-1])}; and {parts[-1]}"  # the commas inside a part stay its own
        return listed(parts)

    def _remembered(self, terms: tuple[Test, ...]) -> str:
        phrases = self._phrases
        if terms not in phrases:
            phrases[terms] = self._one(terms)
        return phrases[terms]

    def _one(self, terms: tuple[Test, ...]) -> str:
        term = terms[0]
        if self._names_class(term):
            return self._label_words(term)
        if isinstance(term, And):
            return self._conjunction(term.terms)
        if isinstance(term, Or):
            return self._either(term)
        if isinstance(term, Not):
            return self._negation(term.term)
        if isinstance(term, Compare) and term.op not in ("=", "!="):
            return self._cuts([cut for cut in terms if isinstance(cut, Compare)])
        assert isinstance(term, Compare | OneOf | Missing | Present)
        return containing(terms) if holds_gram(term) is not None else self._atom(term)

    def _either(self, test: Or) -> str:
        columns = {term.column for term in test.terms if isinstance(term, Compare | OneOf | Missing)}
        missing = [term for term in test.terms if isinstance(term, Missing)]
        rest = tuple(term for term in test.terms if not isinstance(term, Missing))
        plain = all(isinstance(term, Compare | OneOf | Missing) for term in test.terms)
        if plain and len(columns) == 1 and missing and rest:
            return f"{' or '.join(self._remembered((term,)) for term in rest)}, or missing"
        parts = [self._remembered((term,)) for term in test.terms]
        return "either " + " or ".join(
            f"({part})" if isinstance(term, And) else part for part, term in zip(parts, test.terms, strict=True)
        )

    def _negation(self, test: Test) -> str:
        if isinstance(test, Compare) and test.op in _NEGATED:
            turned = Compare(test.column, _NEGATED[test.op], test.value)  # type: ignore[arg-type]
            return self._remembered((turned,)) + self._or_missing(test.column)
        if isinstance(test, OneOf):
            return self._not_among(test.column, test.values) + self._or_missing(test.column)
        return f"not ({self.phrase(test)})"

    def _or_missing(self, column: str) -> str:
        """`not` keeps rows whose value is missing; said only where there are any."""
        found = self._column(column)
        return ", or missing" if found is None or bool(found.missing().any()) else ""

    def _atom(self, term: Atom) -> str:
        name, attribute = self.name(term.column), _attribute(term.column)
        if isinstance(term, Missing):
            return f"whose {name} cannot be measured" if attribute else f"{name} is missing"
        if isinstance(term, Present):
            return f"whose {name} can be measured" if attribute else f"{name} is not missing"
        if isinstance(term, OneOf):
            texts = listed([self._value(value) for value in term.values], last="or", most=MOST_LEVELS)
            return f"{attribute.high} {texts}" if _names_colour(attribute) else self._is(term.column, texts)
        if term.op == "!=":
            return self._not_among(term.column, (term.value,))
        if _names_colour(attribute):
            return f"{attribute.high} {self._value(term.value)}"
        return self._is(term.column, self._value(term.value) + self._unit(term.column))

    def _is(self, column: str, words: str) -> str:
        attribute = _attribute(column)
        return f"with a {attribute.noun} of {words}" if attribute else f"{self.name(column)} is {words}"

    def _not_among(self, column: str, values: Sequence[Value]) -> str:
        texts = listed([self._value(value) for value in values], last="or", most=MOST_LEVELS)
        attribute = _attribute(column)
        if _names_colour(attribute):
            return f"not {attribute.high} {texts}"
        return f"whose {attribute.noun} is not {texts}" if attribute else f"{self.name(column)} is not {texts}"

    def _cuts(self, cuts: Sequence[Compare]) -> str:
        """The bounds that a conjunction sets one column: one side, or a range."""
        column = cuts[0].column
        lowers = [cut for cut in cuts if cut.op in (">", ">=")]
        uppers = [cut for cut in cuts if cut.op in ("<", "<=")]
        if any(isinstance(cut.value, datetime) for cut in cuts):
            return f"{self.name(column)} {self._moments(lowers, uppers)}"
        if any(isinstance(cut.value, str | bool) for cut in cuts):
            return " and ".join(f"{self.name(column)} {cut.op} {level_text(_plain(cut.value))}" for cut in cuts)
        lower = max(lowers, key=lambda cut: float(cut.value), default=None)  # type: ignore[arg-type]
        upper = min(uppers, key=lambda cut: float(cut.value), default=None)  # type: ignore[arg-type]
        return self._numbers(column, lower, upper)

    def _numbers(self, column: str, lower: Compare | None, upper: Compare | None) -> str:
        found = self._column(column)
        attribute = _attribute(column)
        whole = (found is not None and _is_whole(found)) or bool(attribute and attribute.whole)
        year = self.name(column).lower().split()[-1:] == ["year"]
        unit = self._unit(column)
        if whole and attribute is not None and attribute.directions is not None:
            return directed_whole(attribute.directions, _least(lower), _most(upper))
        ends = [(_cut(end), self._gap(column, end)) for end in (lower, upper) if end is not None]
        if lower is not None and upper is not None:
            words = span(ends[0], ends[1], whole=whole, year=year, unit=unit)
            if attribute is not None and attribute.directions is not None:
                low, high = (bound(cut, near, upper=place == 1) for place, (cut, near) in enumerate(ends))
                return directed_span(attribute.directions, low, high, unit=unit)
            if attribute is not None:
                return f"whose {attribute.noun} is {words.removeprefix('is ')}"
            return f"{self.name(column)} {words}"
        (cut, near), is_upper = ends[0], upper is not None
        if attribute is not None and attribute.directions is not None:
            return directed(attribute.directions, bound(cut, near, upper=is_upper), upper=is_upper, unit=unit)
        # "thinner than 2" must not be said of rows of which some are exactly 2.
        below = is_upper and attribute is not None and not whole
        closed = next(end for end in (upper, lower) if end is not None).op in ("<=", ">=")
        words = number_bound(
            cut, near, upper=is_upper, whole=whole, year=year, unit=unit, closed=closed, strictly=below
        )
        if attribute is None:
            return f"{self.name(column)} {words}"
        if whole:
            return f"whose {attribute.noun} is {words.removeprefix('is ')}"
        value = words.removeprefix("over ").removeprefix("under ").removesuffix(" or less").removesuffix(" or more")
        return f"{attribute.low if is_upper else attribute.high} {value}"

    def _moments(self, lowers: Sequence[Compare], uppers: Sequence[Compare]) -> str:
        starts = [self._moment(cut) for cut in lowers]
        ends = [self._moment(cut) for cut in uppers]
        return moment_phrase(max(starts, default=None), min(ends, default=None))

    def _moment(self, cut: Compare) -> datetime:
        assert isinstance(cut.value, datetime)
        found = self._column(cut.column)
        if found is None or found.kind != "datetime":
            return cut.value
        return moment_bound(found, cut.value, cut_below=cut.op in (">", "<="))

    def _gap(self, name: str, cut: Compare) -> Gap:
        found = self._column(name)
        if found is None or found.kind != "number":
            return Gap()
        counted = ~found.missing() if self._counted is None else ~found.missing() & self._counted
        values = np.asarray(found.values[counted], dtype=np.float64)
        return gap(values, _cut(cut), cut_below=cut.op in (">", "<="))

    def _column(self, name: str) -> Column | None:
        """The values of a column in the explore rows."""
        if self._memory is None or name not in self._memory.explore.dataset.table:
            return None
        return self._memory.explore.column(name)

    def name(self, name: str) -> str:
        """A column in words: what it measures where that is known, else its name."""
        attribute = _attribute(name)
        if attribute:
            return attribute.noun
        label = None if self._evaluation is None else self._evaluation.dataset.label
        found = None if self._evaluation is None or name not in self._evaluation.dataset.table else (
            self._evaluation.dataset.table.column(name)
        )  # fmt: skip
        words = found.words if found is not None and found.words else _shown_name(name)
        regression = self._evaluation is not None and self._evaluation.task == "regression"
        return f"true {words}" if regression and name == label else words

    def _unit(self, name: str) -> str:
        attribute = _attribute(name)
        if attribute is not None:
            unit: str | None = attribute.unit
        else:
            table = None if self._evaluation is None else self._evaluation.dataset.table
            unit = table.column(name).unit if table is not None and name in table else None
        if not unit or unit.lower() in self.name(name).lower().split():
            return ""
        return unit if unit in ("°", "′", "″") else f" {unit}"

    def _value(self, value: Value) -> str:
        return moment_text(value, whole=False) if isinstance(value, datetime) else level_text(value)


def _has_or(part: str) -> bool:
    """Whether a part would be misread beside an "and"."""
    return part.endswith(", or missing") or part.startswith("either ")


def _plain(value: Value) -> Level:
    return value.isoformat() if isinstance(value, datetime) else value


def _cut(cut: Compare) -> float:
    assert isinstance(cut.value, int | float)
    return float(cut.value)


def _excluded(term: Test) -> tuple[Value, ...] | None:
    """The values that a test rules out, None where it is of another kind."""
    if isinstance(term, Not):
        term = term.term
        return (term.value,) if isinstance(term, Compare) and term.op == "=" else (
            term.values if isinstance(term, OneOf) else None
        )  # fmt: skip
    return (term.value,) if isinstance(term, Compare) and term.op == "!=" else None


def _attribute(name: str) -> Attribute | None:
    """The measured attribute of that name, None for any other column."""
    if name.startswith("image."):
        from errata.ops.measure.image import ATTRIBUTES

        return ATTRIBUTES.get(name)
    if name.startswith("text."):
        from errata.ops.measure import text

        return text.ATTRIBUTES.get(name)
    return None


def _said_together(term: Test, other: Test) -> bool:
    """Whether two conditions are one in words: two cuts of a column, two words that texts lack."""
    if not isinstance(term, Compare) or not isinstance(other, Compare):
        return False
    held = holds_gram(term)
    if held is not None:
        return held is holds_gram(other)
    return term.column == other.column and not {term.op, other.op} & {"=", "!="}


def _names_colour(attribute: Attribute | None) -> TypeGuard[Attribute]:
    return attribute is not None and attribute.kind == "category"


def _least(cut: Compare | None) -> int | None:
    """The least whole number above a cut."""
    return None if cut is None else math.ceil(_cut(cut)) if cut.op == ">=" else math.floor(_cut(cut)) + 1


def _most(cut: Compare | None) -> int | None:
    """The greatest whole number below a cut."""
    return None if cut is None else math.floor(_cut(cut)) if cut.op == "<=" else math.ceil(_cut(cut)) - 1
