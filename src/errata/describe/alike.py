"""Rules over an embedding in words: what their members have in common, as far as an embedding can say it."""

from __future__ import annotations

from errata.core.embedded import Embedded, Near

__all__ = ["alike", "embedding_words"]

_WORDS = {
    "embedding:encoder": "their looks",
    "embedding:pixels": "their pixels",
    "embedding:words": "their words",
    "embedding:sentences": "their meaning",
    "embedding:clip": "what they show",
    "embedding:raw": "all their columns",
    "embedding:inputs": "all their inputs",
}


def embedding_words(column: str) -> str:
    """What an embedding is about: "their looks", "the embedding theirs"."""
    name = column.removeprefix("embedding:").removeprefix("embedding_").replace("_", " ")
    return _WORDS.get(column, f"the embedding {name}")


def alike(rule: Embedded, noun: str) -> str:
    """The members of a rule over an embedding: "8s alike in their looks (group 3f2a9c)".

    The six digits tell apart groups that have the same words.
    """
    words = embedding_words(rule.column)
    if isinstance(rule, Near):
        return f"{noun} alike in {words} (group {rule.digest})"
    if rule.kind == "direction":
        return f"{noun} far along one direction of {words} (direction {rule.digest})"
    return f"{noun} that a small network sets apart by {words} (splitter {rule.digest})"
