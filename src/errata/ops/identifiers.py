"""Columns that only name rows: a rule over them says nothing about other rows."""

from __future__ import annotations

import re

import numpy as np

from errata.core.columns import Column
from errata.core.dataset import SetAside
from errata.core.evaluation import Evaluation

__all__ = ["identifiers"]

LEAST_ROWS = 20
"""With fewer rows values differ by chance."""
NEARLY_ALL = 0.95
"""Share of different values from which words name rows; copies of a row carry the same name."""
_SAMPLE = 5_000

_ID_NAME = re.compile(r"(?:.*_)?(?:id|ids|uuid|guid|index|idx|key|row|rownum|row_number|number|nr|no|unnamed_?\d*)|")
_HEX = re.compile(r"[0-9a-fA-F]{8,}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def identifiers(evaluation: Evaluation) -> tuple[SetAside, ...]:
    """Features that only name rows: words that differ in nearly every row, hexadecimal ids, running numbers.

    A number is an identifier only when its values all differ, are whole, and its name says so or is empty: a price may
    differ in every row and still mean something. Free text is not an identifier.
    """
    found = []
    for name in evaluation.features:
        if name == evaluation.dataset.label:
            continue
        why = _why(name, evaluation.dataset.table.column(name))
        if why:
            found.append(SetAside(column=name, why=why))
    return tuple(found)


def _why(name: str, column: Column) -> str | None:
    if len(column) < LEAST_ROWS:
        return None
    if column.kind == "category":
        return _why_words(column)
    if column.kind == "text":
        return _why_text(column)
    if column.kind == "number" and column.integer:
        return _why_number(name, column)
    return None


def _why_words(column: Column) -> str | None:
    words = [level for level in column.levels[:_SAMPLE] if isinstance(level, str)]
    if not words:
        return None
    used = np.unique(column.values[column.values >= 0])  # type: ignore[operator]
    present = int(np.count_nonzero(~column.missing()))
    if present < LEAST_ROWS:
        return None
    if len(used) == present:
        return "identifier: every value is different"
    if len(used) >= NEARLY_ALL * present:
        return f"identifier: {len(used):,} different values in {present:,} rows"
    if len(used) > present / 4 and all(_HEX.fullmatch(word) for word in words):
        return f"identifier: hexadecimal, {len(used):,} different values in {present:,} rows"
    return None


def _why_text(column: Column) -> str | None:
    rows = np.random.default_rng(0).permutation(len(column))[:_SAMPLE]
    texts = [text for text in (column.text(int(row)) for row in rows) if text is not None]
    if len(texts) < LEAST_ROWS or sum(" " in text.strip() for text in texts) > 0.05 * len(texts):
        return None
    different = len(set(texts))
    if different == len(texts):
        return "identifier: every value is different"
    return "identifier: nearly every value is different" if different >= NEARLY_ALL * len(texts) else None


def _why_number(name: str, column: Column) -> str | None:
    plain = re.sub(r"[^\w]+|_+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())).strip("_").lower()
    if not _ID_NAME.fullmatch(plain):
        return None
    values = column.values
    head = values[:_SAMPLE]
    if len(np.unique(head)) < len(head) or np.isnan(values).any():
        return None
    if len(np.unique(values)) < len(values):
        return None
    steps = np.diff(values)
    running = bool((steps == 1).all())
    return "identifier: a running number" if running else "identifier: a number that differs in every row"
