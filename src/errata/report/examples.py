"""The rows of a finding to look at: pictures or values, wrong ones beside right ones."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from errata.core.columns import Level
from errata.core.diagnosis import Diagnosis
from errata.core.errors import ErrataError
from errata.core.evaluation import Evaluation
from errata.core.evidence import Examples
from errata.core.finding import Finding
from errata.report.rows import find_rows, label_text, predicted_text, row_fold, value_text, values_of
from errata.report.thumbnails import data_uri

__all__ = ["Album", "Example", "Field", "Picture", "Side", "side_of", "side_of_rows", "text_of"]

MOST_FIELDS = 6
MOST_QUOTED = 400
"""Characters of a text that are shown: a short paragraph."""
LEAST_FIELDS = 2
ROOM = 48
"""Characters that a table of half the page has for values, beside the row and its label."""
GAP, MOST_WIDE = 3, 24
_SPECIAL = ("label", "prediction")


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One thumbnail, stored once in the page and used wherever its row is shown."""

    key: str
    uri: str


@dataclass(frozen=True, kw_only=True)
class Field:
    """One value of a row; `saw` is what the model's last step saw in its place, None where it saw the value itself."""

    name: str
    text: str
    saw: str | None
    of_rule: bool


@dataclass(frozen=True, kw_only=True)
class Example:
    """One row as it is shown: `anchor` leads to it in the table of rows, None where the table has no room for it.

    quote  the beginning of its text, None where rows are no texts
    """

    id: str
    anchor: str | None
    label: str | None
    predicted: str | None
    fold: str | None
    picture: Picture | None
    fields: tuple[Field, ...]
    quote: str | None = None

    @property
    def wrong(self) -> bool:
        """Whether the prediction is not the label."""
        return self.label != self.predicted


@dataclass(frozen=True, kw_only=True)
class Side:
    """Wrong members or right ones; every example has the same fields."""

    examples: tuple[Example, ...]
    names: tuple[str, ...]


@dataclass(kw_only=True)
class Album:
    """Every row that a report shows, each once, within a budget of thumbnails and of rows.

    prefix    of anchors and picture keys, so that several runs fit in one page
    evaluation  None for a run that was opened without its rows: then values come from the evidence alone
    text      the column of texts, None where rows are no texts
    """

    prefix: str
    evaluation: Evaluation | None
    most_rows: int
    picture_bytes: int
    text: str | None = None
    pictures: dict[str, Picture] = field(default_factory=dict)
    rows: dict[str, Example] = field(default_factory=dict)
    _places: dict[str, int] = field(default_factory=dict)
    _used: int = 0

    def know(self, ids: Sequence[str]) -> None:
        """Find many rows at once, which is one pass over the data."""
        if self.evaluation is not None:
            new = [name for name in ids if name not in self._places]
            self._places.update(find_rows(self.evaluation.dataset, new))

    def example(self, name: str, evidence: Examples | None, *, rule_columns: Sequence[str]) -> Example:
        """One row, with the values that the evidence gives or else those of the rule's columns."""
        row = self._places.get(name)
        evaluation = self.evaluation
        values: Mapping[str, Level | None] = {} if evidence is None else evidence.values.get(name, {})
        saw: Mapping[str, Level | None] = {} if evidence is None else evidence.saw.get(name, {})
        if not values and evaluation is not None and row is not None:
            values = values_of(evaluation, row, rule_columns)
        label = predicted = fold = None
        if evaluation is not None and row is not None:
            label, predicted = label_text(evaluation, row), predicted_text(evaluation, row)
            fold = row_fold(evaluation, row)
        elif values:
            label, predicted = (value_text(values.get(word)) if word in values else None for word in _SPECIAL)
        # Label and prediction have places of their own.
        of_label = None if evaluation is None else evaluation.dataset.label
        names = [
            column for column in values
            if column not in (self.text, of_label) and (column not in _SPECIAL or column in rule_columns)
        ]  # fmt: skip
        shown = Example(
            id=name, anchor=self._anchor(name), label=label, predicted=predicted, fold=fold,
            picture=self._picture(name, row),
            fields=tuple(_field(column, values, self._told(column, values, saw), rule_columns) for column in names),
            quote=self._quote(values, row),
        )  # fmt: skip
        if shown.anchor is not None:
            known = self.rows.get(name)
            if known is None or len(known.fields) < len(shown.fields):
                self.rows[name] = shown
        return shown

    def _anchor(self, name: str) -> str | None:
        if name in self.rows:
            return self.rows[name].anchor
        return f"{self.prefix}row-{len(self.rows) + 1}" if len(self.rows) < self.most_rows else None

    def _told(
        self, column: str, values: Mapping[str, Level | None], saw: Mapping[str, Level | None]
    ) -> Mapping[str, Level | None]:
        """What the model saw without the numbers that stand for words: the code of a level tells nobody anything."""
        table = None if self.evaluation is None else self.evaluation.dataset.table
        words = isinstance(values[column], str | bool)
        if table is not None and column in table:
            words = words or table.column(column).kind in ("category", "boolean")
        return {name: value for name, value in saw.items() if isinstance(value, str)} if words else saw

    def _quote(self, values: Mapping[str, Level | None], row: int | None) -> str | None:
        if self.text is None:
            return None
        found = values.get(self.text)
        if found is None and self.evaluation is not None and row is not None:
            found = self.evaluation.dataset.table.column(self.text).value(row)
        return value_text(_readable(str(found)), most=MOST_QUOTED) if found else "no text"

    def _picture(self, name: str, row: int | None) -> Picture | None:
        if name in self.pictures:
            return self.pictures[name]
        evaluation = self.evaluation
        if evaluation is None or row is None or evaluation.dataset.image is None or self._used >= self.picture_bytes:
            return None
        try:
            uri = data_uri(evaluation.dataset.image(row))
        except (ErrataError, OSError, ValueError):
            return None  # a picture that can no longer be read is left out, its row stays
        self._used += len(uri)
        picture = Picture(key=f"{self.prefix}picture-{len(self.pictures) + 1}", uri=uri)
        self.pictures[name] = picture
        return picture


def _readable(text: str) -> str:
    """A text on one line, with a sign in place of what cannot be printed."""
    words = " ".join(text[: 4 * MOST_QUOTED].split())
    return "".join("�" if unicodedata.category(sign) in ("Cc", "Cs", "Co", "Cn") else sign for sign in words)


def text_of(diagnosis: Diagnosis) -> str | None:
    """The column of texts of a run, None where its rows are no texts."""
    if diagnosis.evaluation is not None:
        return diagnosis.evaluation.dataset.text
    named = diagnosis.run.data.get("text")
    return None if named is None else str(named)


def _field(
    column: str, values: Mapping[str, Level | None], saw: Mapping[str, Level | None], rule_columns: Sequence[str]
) -> Field:
    seen = [value for name, value in saw.items() if _stems_from(name, column)]
    text = value_text(values[column])
    saw_text = ", ".join(value_text(value) for value in seen) if seen else None
    return Field(name=column, text=text, saw=None if saw_text == text else saw_text, of_rule=column in rule_columns)


def _stems_from(name: str, column: str) -> bool:
    """Whether a transformed feature comes from a column: its name ends so, or goes on with a level after it."""
    last = name.rpartition("__")[2]
    return last == column or last.startswith(f"{column}_")


def side_of(
    ids: Sequence[str],
    finding: Finding,
    evidence: Examples | None,
    album: Album,
    *,
    most: int,
    room: int = ROOM,
    beside: Side | None = None,
) -> Side:
    """Up to `most` examples of a finding, its rule's columns first; see `side_of_rows`."""
    return side_of_rows(ids, finding.rule.columns, evidence, album, most=most, room=room, beside=beside)


def side_of_rows(
    ids: Sequence[str],
    columns: Sequence[str],
    evidence: Examples | None,
    album: Album,
    *,
    most: int,
    room: int = ROOM,
    beside: Side | None = None,
) -> Side:
    """Up to `most` examples, with the columns of the side `beside` or as many as fit in `room` characters."""
    examples = tuple(album.example(name, evidence, rule_columns=columns) for name in ids[:most])
    return Side(examples=examples, names=_columns(examples, room) if beside is None else beside.names)


def _columns(examples: Sequence[Example], room: int) -> tuple[str, ...]:
    """The columns to show: the rule's own first, last those in which all rows agree, as the rule says it already."""
    found: dict[str, list[Field]] = {}
    for example in examples:
        for item in example.fields:
            found.setdefault(item.name, []).append(item)

    def order(name: str) -> tuple[bool, bool]:
        fields = found[name]
        return len({item.text for item in fields}) == 1 < len(fields), not fields[0].of_rule

    kept: list[str] = []
    for name in sorted(found, key=order):
        room -= GAP + min(MOST_WIDE, max(len(name), *(len(item.text) for item in found[name])))
        if len(kept) >= LEAST_FIELDS and (room < 0 or len(kept) >= MOST_FIELDS):
            break
        kept.append(name)
    return tuple(kept)
