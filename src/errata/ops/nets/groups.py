"""What lies on the test side of a learnt split: labels that look wrong, and groups where the usual rule fails."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Int
from errata.ops.nets.verdict import Belief

__all__ = ["Contents", "MinorityGroup", "contents", "nearest_rows"]

_NEAR = 10
"""Neighbours that are asked."""
_REFERENCE = 20_000
"""Most rows that neighbours are looked for among."""
_ALONE, _AGREE, _DOUBT = 0.2, 0.6, 0.5
"""A label is suspected where at most a fifth of the neighbours share it, three fifths agree on another, and a wrong
label is likelier than not."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MinorityGroup:
    """Rows of one class on the test side that are taken for one other class, and that lie together.

    label, taken_for  class codes
    rows              (m,) row numbers
    share             of the rows of the class
    clumping          share of their neighbours that are on the test side too, over the share of all rows that are;
                      about 1 for rows strewn at random, such as wrong labels
    """

    label: int
    taken_for: int
    rows: Int
    share: float
    clumping: float

    def at(self, numbers: Int) -> MinorityGroup:
        """The same group where row i is number `numbers[i]`."""
        return replace(self, rows=numbers[self.rows])


@dataclass(frozen=True, kw_only=True, eq=False)
class Contents:
    """What lies on the test side.

    suspected  (m,) row numbers whose label looks wrong, most doubtful first
    suggested  (m,) class codes that their neighbours have
    doubt      (m,) probability that the label was drawn whatever the input
    groups     largest first
    """

    suspected: Int
    suggested: Int
    doubt: NDArray[np.float64]
    groups: tuple[MinorityGroup, ...]


def contents(
    features: NDArray[np.float32],
    labels: Int,
    *,
    test: Bool,
    predicted: Int,
    belief: Belief,
    rng: np.random.Generator,
    least: int = 10,
) -> Contents:
    """What lies on the test side of a split.

    features   (n, p) float32, in which neighbours are near
    predicted  (n,) class codes by a predictor that was trained on the train side
    least      fewest rows of a group
    """
    n, k = len(labels), int(max(labels.max(initial=0), predicted.max(initial=0))) + 1
    if n <= _NEAR or not test.any():
        none = np.zeros(0, dtype=np.int64)
        return Contents(suspected=none, suggested=none, doubt=np.zeros(0), groups=())
    aside = np.flatnonzero(test)
    near = nearest_rows(features, aside, rng)
    votes = np.apply_along_axis(np.bincount, 1, labels[near], minlength=k) / near.shape[1]
    at = np.arange(len(aside))
    own = votes[at, labels[aside]]
    votes[at, labels[aside]] = 0.0
    other, agreed = votes.argmax(axis=1), votes.max(axis=1)
    odd = (own <= _ALONE) & (agreed >= _AGREE) & (belief.doubt[aside] >= _DOUBT)
    order = np.argsort(-belief.doubt[aside][odd], kind="stable")
    suspected = aside[odd][order]
    together = test[near].mean(axis=1) / test.mean()
    groups = _groups(labels, aside[~odd], together[~odd], predicted, least)
    return Contents(suspected=suspected, suggested=other[odd][order], doubt=belief.doubt[suspected], groups=groups)


def _groups(
    labels: Int, rows: Int, together: NDArray[np.float64], predicted: Int, least: int
) -> tuple[MinorityGroup, ...]:
    found = []
    pairs = sorted(set(zip(labels[rows].tolist(), predicted[rows].tolist(), strict=True)))
    for label, taken_for in pairs:
        mine = (labels[rows] == label) & (predicted[rows] == taken_for)
        clumping = float(together[mine].mean())
        # A group lies closer together than rows strewn at random would; by how much is printed, not tested.
        if label == taken_for or int(mine.sum()) < least or clumping <= 1.5:
            continue
        share = float(mine.sum() / (labels == label).sum())
        found.append(MinorityGroup(
            label=int(label), taken_for=int(taken_for), rows=rows[mine], share=share, clumping=clumping,
        ))  # fmt: skip
    return tuple(sorted(found, key=lambda group: -len(group.rows)))


def nearest_rows(features: NDArray[Any], rows: Int, rng: np.random.Generator, *, count: int = _NEAR) -> Int:
    """(m, count) row numbers of the nearest other rows of each of `rows`, among at most 20,000 rows."""
    n = len(features)
    among = np.arange(n) if n <= _REFERENCE else np.sort(rng.choice(n, _REFERENCE, replace=False))
    known = np.asarray(features[among], dtype=np.float32)
    squares = np.einsum("ij,ij->i", known, known)
    count = min(count, len(among) - 1)
    out = np.empty((len(rows), count), dtype=np.int64)
    for start in range(0, len(rows), 512):
        block = rows[start : start + 512]
        # The row's own square is the same for all of its neighbours and changes no order.
        away = squares[None, :] - 2.0 * (features[block].astype(np.float32) @ known.T)
        away[among[None, :] == block[:, None]] = np.inf
        out[start : start + 512] = among[np.argpartition(away, count - 1, axis=1)[:, :count]]
    return out
