"""Words that mark a group of texts: more frequent there than chance allows, weighed against how common they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from errata.core.columns import Bool
from errata.ops.encoders.words import terms_of
from errata.ops.measure.texts import as_seen

__all__ = ["MarkingWord", "marking_words"]

LEAST_Z = 2.6
"""Standard deviations of the log odds ratio; thousands of terms are compared, and this is for reading, no proof."""
_PRIOR = 100.0
_LEAST_TEXTS = 3


@dataclass(frozen=True, kw_only=True)
class MarkingWord:
    """A word, or two in a row: score is its log odds ratio in standard deviations; shares are of texts that have it."""

    text: str
    score: float
    inside: float
    outside: float


def marking_words(texts: Sequence[str], member: Bool, *, most: int = 12) -> list[MarkingWord]:
    """The terms that mark members against the other texts given, the clearest first.

    The log odds ratio of texts that have the term, with a prior that has the term as often as all texts together, by
    its standard deviation: rare terms do not lead by chance. A pair of words is left out beside one of its own words
    that marks as much.

    Reference: B. L. Monroe, M. P. Colaresi, K. M. Quinn, "Fightin' Words: Lexical Feature Selection and Evaluation for
    Identifying the Content of Political Conflict", Political Analysis, 2008.
    """
    inside, outside = Counter[str](), Counter[str]()
    for text, belongs in zip(texts, member.tolist(), strict=True):
        (inside if belongs else outside).update(set(terms_of(as_seen(text))))
    n, m = int(member.sum()), int((~member).sum())
    terms = [term for term, count in inside.items() if count >= _LEAST_TEXTS]
    if not terms or not n or not m:
        return []
    a = np.array([inside[term] for term in terms], dtype=np.float64)
    b = np.array([outside[term] for term in terms], dtype=np.float64)
    # A term that every text has still has odds.
    prior = _PRIOR * np.minimum((a + b) / (n + m), 0.999)
    spared = _PRIOR - prior
    odds = np.log((a + prior) / (n - a + spared)) - np.log((b + prior) / (m - b + spared))
    z = odds / np.sqrt(1.0 / (a + prior) + 1.0 / (b + prior))
    found: list[MarkingWord] = []
    for at in np.argsort(-z, kind="stable"):
        if z[at] < LEAST_Z or len(found) == most:
            break
        if not any(_says(word.text, terms[at]) for word in found):
            found.append(MarkingWord(
                text=terms[at], score=float(z[at]), inside=float(a[at] / n), outside=float(b[at] / m),
            ))  # fmt: skip
    return found


def _says(known: str, term: str) -> bool:
    """Whether one of two terms is part of the other."""
    return bool(set(known.split()) & set(term.split()))
