"""The words that mark the texts of a finding, as lines of a table."""

from __future__ import annotations

from dataclasses import dataclass

from errata.core.evidence import Caption
from errata.core.finding import Finding
from errata.describe.numbers import percent

__all__ = ["Word", "words_of"]


@dataclass(frozen=True, kw_only=True)
class Word:
    """A word as shown: shares of texts inside and outside, and its score."""

    text: str
    inside: str
    outside: str
    score: str


def words_of(finding: Finding) -> tuple[Word, ...]:
    """Caption: the clearest words first."""
    return tuple(
        Word(
            text=str(mark.get("text")), inside=percent(_number(mark.get("inside"))),
            outside=percent(_number(mark.get("outside"))), score=f"{_number(mark.get('score')):.1f}",
        )
        for item in finding.evidence if isinstance(item, Caption) for mark in item.words
    )  # fmt: skip


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
