"""Where EM starts: from clusters of the embedding, from cells of the confusion matrix, or from both."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from errata.core.errors import UsageError, nearest
from errata.ops.vectors.kmeans import kmeans

__all__ = ["STARTS", "Start", "responsibilities_at_start"]

Start = Literal["cells", "kmeans", "confusion", "error"]
STARTS: tuple[str, ...] = get_args(Start)

_NOISE = {"confusion": 1e-3, "error": 1.0}
"""Width of the uniform noise that tells components of one cell apart: the package's, and that of the paper's code."""


def responsibilities_at_start(
    start: str,
    values: NDArray[Any],
    *,
    components: int,
    labels: NDArray[Any] | None,
    scores: NDArray[Any] | None,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """(n, k) responsibilities to start EM from; k is `components`, or fewer where there are fewer distinct rows.

    "kmeans"     clusters of the values (n, p), hard
    "confusion"  each component has a cell of the confusion matrix, labels (n,) by scores (n, C), plus a little noise
    "error"      the same with much noise, as in the code of the paper's time
    "cells"      clusters of the values within each cell of hard predictions, more where the cell is an error (ours)

    With more cells than components, "confusion" and "error" keep the cells with most rows, errors first for half of
    them; where the reference stops. Raises UsageError for another start, or a cell start without labels and scores.
    """
    if start not in STARTS:
        raise UsageError(f"A mixture cannot start from `{start}`.", hint=nearest(start, STARTS))
    most = max(1, min(components, len(values)))
    if start == "kmeans":
        return _hard(kmeans(_single(values), most, rng=rng).assigned)
    if labels is None or scores is None:
        raise UsageError(f"A mixture that starts from `{start}` needs labels and predictions.", hint="kmeans does not.")
    known = labels >= 0
    if start == "cells":
        return _hard(_clusters_in_cells(values, labels, scores, most, rng))
    one_hot = np.zeros((len(labels), scores.shape[1]))
    one_hot[np.flatnonzero(known), labels[known]] = 1.0
    cells = (one_hot[:, :, None] * scores[:, None, :]).reshape(len(labels), -1)
    chosen = _cells_for(cells.sum(axis=0), scores.shape[1], most)
    start_at = cells[:, chosen]
    start_at /= np.maximum(start_at.sum(axis=1, keepdims=True), 1e-12)
    start_at += rng.random(start_at.shape) * _NOISE[start]
    return np.asarray(start_at / start_at.sum(axis=1, keepdims=True))


def _cells_for(mass: NDArray[np.float64], classes: int, components: int) -> NDArray[np.int64]:
    """The cell of each component: all in turn, or the most frequent where there are more cells than components."""
    cells = len(mass)
    if cells <= components:
        return np.resize(np.arange(cells), components)
    wrong = np.flatnonzero(np.arange(cells) // classes != np.arange(cells) % classes)
    by_mass = wrong[np.argsort(-mass[wrong], kind="stable")]
    errors = by_mass[: components // 2]
    rest = np.setdiff1d(np.arange(cells), errors)
    others = rest[np.argsort(-mass[rest], kind="stable")][: components - len(errors)]
    return np.sort(np.concatenate([errors, others]))


def _clusters_in_cells(
    values: NDArray[Any], labels: NDArray[Any], scores: NDArray[Any], components: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Cluster of each row, where no cluster holds rows of two cells that are large enough to have one of their own."""
    classes = scores.shape[1]
    predicted = scores.argmax(axis=1)
    cell = np.where(labels >= 0, labels * classes + predicted, classes * classes).astype(np.int64)
    codes, place, counts = np.unique(cell, return_inverse=True, return_counts=True)
    # A tenth of the rows deserves more than a tenth of the components: errors are few, and they are what is looked for.
    wanted = np.sqrt(counts.astype(np.float64))
    wanted[(codes // classes) != (codes % classes)] *= 1.5
    shares = np.floor(wanted / wanted.sum() * components).astype(np.int64)
    assigned = np.zeros(len(values), dtype=np.int64)
    order = np.argsort(-wanted, kind="stable")
    for at in order[: components - shares.sum()]:
        shares[at] += 1
    next_code = 0
    small: list[NDArray[np.int64]] = []
    for at in order:
        rows = np.flatnonzero(place == at)
        if shares[at] == 0:
            small.append(rows)
            continue
        found = kmeans(_single(values[rows]), int(shares[at]), rng=rng).assigned
        assigned[rows] = next_code + found
        next_code += int(found.max()) + 1
    if small:
        # Cells too small for a component join whatever component of their label comes first.
        left = np.concatenate(small)
        assigned[left] = rng.integers(0, max(next_code, 1), len(left))
    return assigned


def _hard(assigned: NDArray[np.int64]) -> NDArray[np.float64]:
    start = np.zeros((len(assigned), int(assigned.max()) + 1))
    start[np.arange(len(assigned)), assigned] = 1.0
    return start


def _single(values: NDArray[Any]) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, dtype=np.float32)
