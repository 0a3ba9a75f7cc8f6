"""Columns that only name rows: a rule over them says nothing about other rows, and copies differ in them."""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from errata.core.columns import Column

__all__ = ["identifier_reason"]

LEAST_ROWS: Final = 20
"""With fewer rows values differ by chance."""
NEARLY_ALL: Final = 0.95
"""Share of different values from which words name rows; copies of a row carry the same name."""
_SAMPLE: Final = 5_000

_ID_NAME = re.compile(r"(?:.*_)?(?:id|ids|uuid|guid|index|idx|key|row|rownum|row_number|number|nr|no|unnamed_?\d*)|")
_HEX = re.compile(r"[0-9a-fA-F]{8,}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def identifier_reason(name: str, column: Column) -> str | None:
    """Why a column only names rows, None where it says more: words that differ in nearly every row, running numbers.

    A number is an identifier only when its values all differ, are whole, and its name says so or is empty: a price may
    differ in every row and still mean something. Free text is not an identifier.
    """
    if len(column) < LEAST_ROWS:
        return None
    if column.kind == "category":
        return _words(column)
    if column.kind == "text":
        return _text(column)
    if column.kind == "number" and column.integer:
        return _number(name, column)
    return None


def _words(column: Column) -> str | None:
    words = [level for level in column.levels[:_SAMPLE] if isinstance(level, str)]
    present = int(np.count_nonzero(~column.missing()))
    if not words or present < LEAST_ROWS or len(column.levels) <= present / 4:
        return None
    used = len(np.unique(column.values[~column.missing()]))
    if used == present:
        return "identifier: every value is different"
    if used >= NEARLY_ALL * present:
        return f"identifier: {used:,} different values in {present:,} rows"
    if used > present / 4 and all(_HEX.fullmatch(word) for word in words):
        return f"identifier: hexadecimal, {used:,} different values in {present:,} rows"
    return None


def _text(column: Column) -> str | None:
    rows = np.random.default_rng(0).permutation(len(column))[:_SAMPLE]
    texts = [text for text in (column.text(int(row)) for row in rows) if text is not None]
    if len(texts) < LEAST_ROWS or sum(" " in text.strip() for text in texts) > 0.05 * len(texts):
        return None
    different = len(set(texts))
    if different == len(texts):
        return "identifier: every value is different"
    return "identifier: nearly every value is different" if different >= NEARLY_ALL * len(texts) else None


def _number(name: str, column: Column) -> str | None:
    plain = re.sub(r"[^\w]+|_+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())).strip("_").lower()
    values = column.values
    if not _ID_NAME.fullmatch(plain) or len(np.unique(values[:_SAMPLE])) < len(values[:_SAMPLE]):
        return None
    if column.missing().any() or len(np.unique(values)) < len(values):
        return None
    running = bool((np.diff(values) == 1).all())
    return "identifier: a running number" if running else "identifier: a number that differs in every row"
