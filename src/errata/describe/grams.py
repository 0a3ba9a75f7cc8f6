"""Conditions on the words that texts contain, in words."""

from __future__ import annotations

from collections.abc import Sequence

from errata.core.atoms import Compare, Missing, OneOf, Present, Test
from errata.describe.numbers import listed
from errata.ops.measure.grams import gram_of

__all__ = ["containing", "holds_gram", "of_texts"]


def holds_gram(term: Test) -> bool | None:
    """Whether a test asks for texts with an n-gram, or without; None where it asks something else."""
    if not isinstance(term, Compare) or gram_of(term.column) is None or not isinstance(term.value, bool):
        return None
    return term.value if term.op == "=" else not term.value if term.op == "!=" else None


def of_texts(term: Test) -> bool:
    """Whether a test reads what is measured of texts, or their n-grams."""
    return isinstance(term, Compare | OneOf | Missing | Present) and (
        term.column.startswith("text.") or gram_of(term.column) is not None
    )


def containing(terms: Sequence[Test]) -> str:
    """Tests for n-grams that all ask alike: "that contain “not good”", "that contain neither “gay” nor “trash”"."""
    grams = [f"“{gram_of(term.column)}”" for term in terms if isinstance(term, Compare)]
    if holds_gram(terms[0]):
        return f"that contain {listed(grams)}"
    if len(grams) == 1:
        return f"that do not contain {grams[0]}"
    return f"that contain neither {listed(grams, last='nor')}"
