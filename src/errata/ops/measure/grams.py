"""The names of n-gram columns, and back."""

from __future__ import annotations

__all__ = ["KIND", "VERSION", "column_of", "gram_of"]

KIND = "text n-grams"
"""The kind of the Source of such columns."""

VERSION = 2
"""Changes when words are told apart otherwise."""

_BEFORE, _AFTER = 'contains "', '"'


def column_of(gram: str) -> str:
    """The name of an n-gram's column: `contains "not good"`."""
    return f"{_BEFORE}{gram}{_AFTER}"


def gram_of(column: str) -> str | None:
    """The n-gram whose column has this name, None for other columns."""
    inner = column.removeprefix(_BEFORE).removesuffix(_AFTER)
    return inner if inner and column_of(inner) == column else None
