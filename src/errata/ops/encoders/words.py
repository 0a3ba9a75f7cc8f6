"""Texts as an embedding: frequent words and pairs of words, weighed by rarity, reduced to their leading directions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.ops.encoders.fitted import Fitted

__all__ = ["VERSION", "encode", "fit", "terms_of"]

VERSION = 1
TERMS = 20_000
LEAST = 3
DIMENSIONS = 100
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?|[!?]")
_BLOCK = 4_096


def fit(texts: Sequence[str], *, rng: np.random.Generator) -> Fitted:
    """The vocabulary, its weights and the leading directions among some texts (those of explore rows).

    Terms in fewer than `LEAST` texts, and beyond the `TERMS` most frequent, are left out. A term weighs
    1 + log((1 + n) / (1 + texts with it)), and rows have length one before the truncated singular value decomposition
    (latent semantic analysis).
    """
    seen: Counter[str] = Counter()
    for text in texts:
        seen.update(set(terms_of(text)))
    frequent = sorted((term for term, count in seen.items() if count >= LEAST), key=lambda term: (-seen[term], term))
    terms = frequent[:TERMS]
    if not terms:
        nothing: dict[str, NDArray[Any]] = {
            "terms": np.zeros(0, np.uint8),
            "weights": np.zeros(0),
            "axes": np.zeros((0, 1), np.float32),
        }
        return Fitted(arrays=nothing)
    weights = np.log((1.0 + len(texts)) / (1.0 + np.array([seen[term] for term in terms]))) + 1.0
    from scipy.sparse.linalg import svds

    matrix = _weighed(texts, terms, weights)
    dimensions = min(DIMENSIONS, min(matrix.shape) - 1)
    if dimensions < 1:
        axes = np.eye(len(terms), 1, dtype=np.float32)
    else:
        _, _, directions = svds(matrix, k=dimensions, v0=rng.standard_normal(min(matrix.shape)))
        axes = np.ascontiguousarray(directions[::-1].T, dtype=np.float32)
    joined = np.frombuffer("\n".join(terms).encode(), dtype=np.uint8)
    return Fitted(options={"terms": len(terms)}, arrays={"terms": joined, "weights": weights, "axes": axes})


def encode(texts: Sequence[str], fitted: Fitted) -> NDArray[np.float32]:
    """(m, d) float32, of length one; a text without a known term lies at the origin."""
    terms = bytes(np.asarray(fitted.arrays["terms"])).decode().split("\n") if len(fitted.arrays["terms"]) else []
    axes, weights = np.asarray(fitted.arrays["axes"]), np.asarray(fitted.arrays["weights"])
    found = np.zeros((len(texts), axes.shape[1]), dtype=np.float32)
    for start in range(0, len(texts) if terms else 0, _BLOCK):
        part = _weighed(texts[start : start + _BLOCK], terms, weights) @ axes
        length = np.linalg.norm(part, axis=1, keepdims=True)
        found[start : start + len(part)] = part / np.where(length == 0.0, 1.0, length)
    return found


def terms_of(text: str) -> list[str]:
    """The words of a text in lower case, exclamation and question marks, and pairs of neighbours."""
    words = _WORD.findall(text.lower())
    return words + [f"{first} {second}" for first, second in pairwise(words)]


def _weighed(texts: Sequence[str], terms: Sequence[str], weights: NDArray[np.float64]) -> Any:
    """(m, terms) sparse, rows of length one."""
    from scipy.sparse import csr_matrix, diags

    place = {term: at for at, term in enumerate(terms)}
    columns: list[int] = []
    values: list[float] = []
    ends = [0]
    for text in texts:
        counts = Counter(place[term] for term in terms_of(text) if term in place)
        columns.extend(counts)
        values.extend(1.0 + np.log(count) for count in counts.values())
        ends.append(len(columns))
    matrix = csr_matrix((values, columns, ends), shape=(len(texts), len(terms))) @ diags(weights)
    length = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return diags(1.0 / np.where(length == 0.0, 1.0, length)) @ matrix
