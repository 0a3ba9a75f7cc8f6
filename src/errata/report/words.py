"""The words that mark the texts of a finding, the phrases that fit its images, and its sentence in other words."""

from __future__ import annotations

from dataclasses import dataclass

from errata.core.evidence import Caption, Rewording
from errata.core.finding import Finding
from errata.describe.numbers import clipped, percent

__all__ = ["Phrase", "Word", "phrases_of", "phrases_text", "reworded_of", "words_of"]


LONGEST = 40
"""Characters of a word that are shown; of natural languages hardly any has more."""


@dataclass(frozen=True, kw_only=True)
class Word:
    """A word as shown: shares of texts inside and outside, and its score."""

    text: str
    inside: str
    outside: str
    score: str


@dataclass(frozen=True, kw_only=True)
class Phrase:
    """A phrase as shown: in what share of pairs it fits the finding's image better, and the interval of that."""

    text: str
    share: str
    interval: str


def words_of(finding: Finding) -> tuple[Word, ...]:
    """Caption: the clearest words first."""
    return tuple(
        Word(
            text=clipped(str(mark.get("text")), LONGEST), inside=percent(_number(mark.get("inside"))),
            outside=percent(_number(mark.get("outside"))), score=f"{_number(mark.get('score')):.1f}",
        )
        for item in finding.evidence if isinstance(item, Caption) and item.of == "texts" for mark in item.words
    )  # fmt: skip


def phrases_of(finding: Finding) -> tuple[Phrase, ...]:
    """Caption of images: the phrases in their order."""
    return tuple(
        Phrase(
            text=str(mark.get("text")), share=percent(_number(mark.get("auc"))),
            interval=f"{percent(_number(mark.get('low'))).removesuffix(' %')} to {percent(_number(mark.get('high')))}",
        )
        for item in finding.evidence if isinstance(item, Caption) and item.of == "images" for mark in item.words
    )  # fmt: skip


def phrases_text(finding: Finding) -> str:
    """The phrases in a line: "a photo in fog (78 %, 70 to 85 %)"; "" without any."""
    return "; ".join(f"“{one.text}” ({one.share}, {one.interval})" for one in phrases_of(finding))


def reworded_of(finding: Finding) -> tuple[Rewording, ...]:
    """Rewording: the sentence as a language model put it."""
    return tuple(item for item in finding.evidence if isinstance(item, Rewording))


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
