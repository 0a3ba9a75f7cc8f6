"""A bank of measured attributes of texts: a slice of texts becomes a sentence and a predicate without a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from errata.ops.measure import phrasing
from errata.ops.measure.attribute import Attribute, Measured, chosen
from errata.ops.measure.texts import Characters, Texts, Vocabulary

__all__ = ["ATTRIBUTES", "VERSION", "measure"]

ATTRIBUTES: Mapping[str, Attribute] = MappingProxyType({a.name: a for a in phrasing.ATTRIBUTES})
"""Every attribute by its name, in the order in which they are shown."""

VERSION = 2
"""Changes when a measurement gives other numbers; part of the fingerprint of the columns it makes."""

BLOCK_CHARACTERS = 2_000_000  # taken apart at once: some 50 MB of codes and classes


def measure(
    texts: Sequence[str | None],
    *,
    names: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Measured]:
    """The measured attributes of texts, by name: (n,) float32 (NaN where undefined) or int32 codes (-1 likewise).

    texts  None where missing: then everything is undefined
    names  which of `ATTRIBUTES`; all when None

    Raises UsageError for an unknown attribute.
    """
    asked = chosen(names, ATTRIBUTES)
    results = {a.name: np.full(len(texts), a.missing) for a in asked}
    characters, vocabulary = Characters(), Vocabulary()
    start = 0
    while start < len(texts):
        stop, held = start, 0
        while stop < len(texts) and (stop == start or held < BLOCK_CHARACTERS):
            held += len(texts[stop] or "")
            stop += 1
        block = Texts(written=[text or "" for text in texts[start:stop]], characters=characters, vocabulary=vocabulary)
        known = np.array([text is not None for text in texts[start:stop]], dtype=bool)
        for attribute in asked:
            values = attribute.measured(block)
            results[attribute.name][start:stop] = np.where(known, values, attribute.missing)
        start = stop
        if progress is not None:
            progress(start, len(texts))
    return results
