"""Texts as the inputs of a model: which column holds them, how they are read, and what makes two of them copies."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from errata.core.columns import Column, Int, Table
from errata.core.errors import UsageError
from errata.core.foreign import column_from, plain_level
from errata.core.hashing import column_hash
from errata.datasets.content import Content

__all__ = [
    "TextColumn",
    "are_texts",
    "as_texts",
    "encodable",
    "missing_note",
    "text_column",
    "text_columns",
    "text_content",
]

_USUAL: Final = frozenset({
    "text", "texts", "sentence", "review", "comment", "tweet", "post", "message", "document", "utterance", "question",
    "content", "body", "abstract", "review_text", "text_a", "sentence1",
})  # fmt: skip
_SAMPLE: Final = 1_000
_SPACED: Final = 0.8
"""Share of texts that hold more than one word from which a column is taken for texts rather than names or codes."""


@dataclass(frozen=True, kw_only=True)
class TextColumn:
    """The column whose texts are the inputs, None where there is none, and what to say of the choice."""

    name: str | None
    notes: tuple[str, ...] = ()


def are_texts(values: Any) -> bool:
    """Whether a value is a list, an array or a series of texts (None and NaN among them are missing)."""
    if isinstance(values, str | bytes) or not hasattr(values, "__len__") or hasattr(values, "columns"):
        return False
    if len(getattr(values, "shape", (0,))) != 1:
        return False
    cells = values if isinstance(values, list | tuple) else np.asarray(values[:_SAMPLE], dtype=object).tolist()
    known = [cell for cell in cells[:_SAMPLE] if plain_level(cell) is not None]
    return bool(known) and isinstance(known[0], str)


def text_columns(texts: Any, y: Any, *, label: str) -> dict[str, Column]:
    """`(texts, y)` as the columns `text` and the label. Raises UsageError for unequal lengths and what is no text."""
    cells = texts if isinstance(texts, list | tuple) else np.asarray(texts, dtype=object).tolist()
    strange = next((cell for cell in cells if plain_level(cell) is not None and not isinstance(cell, str)), None)
    if strange is not None:
        raise UsageError(f"Among the texts is `{strange!r:.60}`.", hint="every text is a str, or None where missing.")
    columns = {"text": Column.strings([encodable(cell) if isinstance(cell, str) else None for cell in cells])}
    if y is None:
        return columns
    labels = column_from(y, name=label)
    if len(labels) != len(cells):
        raise UsageError(f"There are {len(cells):,} texts and {len(labels):,} labels.", hint="one label per text.")
    return columns | {label: labels}


def text_column(
    table: Table, said: str | None, *, others: Collection[str], predicted: bool, native: bool
) -> TextColumn:
    """The column that `--text` names; without it one that is safely guessed.

    Safe is: a usual name, sentences rather than names, and no other column that a model could take, so that nothing is
    lost when the texts alone are the inputs. A model for a dataframe of the user's own takes that frame.

    others     names of the columns without a role, the texts among them
    predicted  the data hold their predictions, so that no model is asked
    native     a dataframe was brought
    """
    if said is not None:
        return TextColumn(name=said)
    like = [name for name in others if table.kind_of(name) == "text" and _reads_like_text(table.column(name))]
    if len(like) != 1:
        return TextColumn(name=None)
    name = like[0]
    if name.strip().lower() in _USUAL and len(others) == 1 and (predicted or not native):
        return TextColumn(name=name, notes=(f"text column guessed from its name: `{name}`.",))
    if predicted or not native:
        why = f"`{name}` reads like text and is no input of rules; where the rows are texts, say `--text {name}`."
        return TextColumn(name=None, notes=(why,))
    return TextColumn(name=None)


def as_texts(column: Column, name: str) -> Column:
    """A column as text: words are, levels become. Raises UsageError for numbers and the like."""
    if column.kind == "text":
        return column
    if column.kind != "category":
        raise UsageError(
            f"`--text {name}`: the column holds {column.kind} values.", hint="name the column that holds the texts."
        )
    words = [str(level) for level in column.levels]
    texts = [None if code < 0 else words[code] for code in np.asarray(column.values).tolist()]
    return replace(Column.strings(texts), words=column.words)


def text_content(column: Column) -> Content:
    """How to read texts: a list of str; a missing one is read as an empty one, which is how a model meets it."""

    def read(rows: Int) -> list[str]:
        return [column.text(row) or "" for row in np.asarray(rows).tolist()]

    filled = replace(column, absent=None)
    return Content(modality="text", content_hash=column_hash(filled), read=read)


def missing_note(column: Column, name: str) -> Sequence[str]:
    """What to say of rows without a text."""
    number = int(column.missing().sum())
    if not number:
        return ()
    rows = "1 row has" if number == 1 else f"{number:,} rows have"
    return (f"{rows} no text in `{name}`; a model is given an empty one.",)


def _reads_like_text(column: Column) -> bool:
    rows = np.linspace(0, len(column) - 1, min(len(column), _SAMPLE)).astype(np.int64)
    texts = [text for text in (column.text(int(row)) for row in rows) if text is not None]
    spaced = sum(" " in text.strip() for text in texts)
    return bool(texts) and spaced >= _SPACED * len(texts)


def encodable(text: str) -> str:
    """Half a surrogate pair, which JSON can spell and no file can hold, becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")
