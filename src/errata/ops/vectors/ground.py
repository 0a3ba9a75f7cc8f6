"""The rows that methods over an embedding search, and where to cut a score so that errors are told apart best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.embedded import Space
from errata.core.evaluation import Evaluation
from errata.ops.vectors.principal import principal_axes

__all__ = ["Cut", "EmbeddingGround", "best_cut", "principal_space", "standard_space", "stratum_means", "unlike"]


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbeddingGround:
    """The m rows of a view that have an embedding and count in the metric.

    column    name of the embedding
    rows      (m,) their places in the view
    values    (m, d) float32
    loss      (m,) float64; stratum (m,) int32
    expected  (m,) float64, the mean loss of the row's stratum
    binary    the loss is 0 or 1
    group     (m,) int32 codes of the groups, or None
    """

    column: str
    rows: NDArray[np.int64]
    values: NDArray[np.floating[Any]]
    loss: NDArray[np.float64]
    stratum: NDArray[np.int32]
    expected: NDArray[np.float64]
    binary: bool
    group: NDArray[np.int32] | None

    @staticmethod
    def of(evaluation: Evaluation, embedding: str = "") -> EmbeddingGround | None:
        """The ground over one embedding, the first of the evaluation for ""; None where there is nothing to search.

        Rows with a missing value are left out. Raises UsageError where there is no embedding of that name.
        """
        name = evaluation.embedding(embedding)
        if name is None or not len(evaluation):
            return None
        values = np.asarray(evaluation.column(name).values)
        view = evaluation.view()
        rows = np.flatnonzero((view.stratum >= 0) & np.isfinite(values).all(axis=1) & np.isfinite(view.loss))
        loss, stratum = view.loss[rows], view.stratum[rows]
        if len(rows) < 2 or not (loss > 0.0).any() or float(loss.min()) == float(loss.max()):
            return None
        return EmbeddingGround(
            column=name, rows=rows, values=values[rows], loss=loss, stratum=stratum,
            expected=stratum_means(loss, stratum), binary=evaluation.binary_loss,
            group=None if view.group is None else view.group[rows],
        )  # fmt: skip

    def excess(self, responsible: NDArray[np.float64]) -> NDArray[np.float64]:
        """(k,) how much more loss each component has than the strata of its rows explain; responsible is (m, k)."""
        return np.asarray(responsible.T @ (self.loss - self.expected))


def stratum_means(loss: NDArray[np.float64], stratum: NDArray[np.int32]) -> NDArray[np.float64]:
    """(m,) the mean loss of each row's stratum."""
    counts = np.maximum(np.bincount(stratum), 1)
    return np.asarray((np.bincount(stratum, weights=loss) / counts)[stratum])


def standard_space(values: NDArray[Any], *, unit: bool = False) -> Space:
    """The space of (m, d) values in which each dimension has mean zero and variance one; `unit` as in `Space`."""
    known = np.asarray(values, dtype=np.float64)
    centre, scale = known.mean(axis=0), known.std(axis=0)
    # A dimension that does not vary says nothing; divided by its rounding errors it would shout.
    flat = scale <= 1e-7 * np.maximum(1.0, np.abs(centre))
    return Space(centre=centre, scale=np.where(flat, np.inf, scale), unit=unit)


def principal_space(values: NDArray[Any], most: int, *, rng: np.random.Generator) -> Space | None:
    """The space of at most `most` principal axes, scaled to a mean variance of one; None if all rows are equal."""
    found = principal_axes(values, most, rng=rng)
    if not len(found.variance):
        return None
    return Space(centre=found.centre, axes=found.axes / np.sqrt(found.variance.mean()))


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Where rows are cut: those with a score of at least `cut`, `size` of them; `gain` in log-likelihood."""

    cut: float
    size: int
    gain: float


def best_cut(
    score: NDArray[np.float64],
    loss: NDArray[np.float64],
    expected: NDArray[np.float64],
    *,
    binary: bool = True,
    least: int = 10,
    share: float = 0.5,
) -> Cut | None:
    """The cut of a score (m,) above which the loss exceeds what is expected most clearly, None where it nowhere does.

    A set of rows gains the log-likelihood of an error rate of its own over the expected one. At least `least` rows
    belong, and at most `share` of those with a score (beyond it, the rest is the exception). -inf never belongs.
    """
    order = np.argsort(-score, kind="stable")
    order = order[np.isfinite(score[order])]
    ranked = score[order]
    sizes = np.arange(1, len(order) + 1, dtype=np.float64)
    had, due = np.cumsum(loss[order]), np.cumsum(expected[order])
    allowed = (sizes >= least) & (sizes <= share * len(order)) & (had > due)
    allowed[:-1] &= ranked[:-1] > ranked[1:]
    if not allowed.any():
        return None
    gains = np.where(allowed, _gain(had, due, sizes, binary, loss, expected), -np.inf)
    at = int(gains.argmax())
    below = ranked[at + 1] if at + 1 < len(ranked) else ranked[at]
    return Cut(cut=float(0.5 * (ranked[at] + below)), size=at + 1, gain=float(gains[at]))


def _gain(
    had: NDArray[np.float64],
    due: NDArray[np.float64],
    sizes: NDArray[np.float64],
    binary: bool,
    loss: NDArray[np.float64],
    expected: NDArray[np.float64],
) -> NDArray[np.float64]:
    if not binary:
        spread = float(np.square(loss - expected).mean())
        return np.asarray(np.square(had - due) / (2.0 * max(spread, 1e-300) * sizes))
    right, due_right = sizes - had, np.maximum(sizes - due, 1e-12)
    due = np.maximum(due, 1e-12)
    return np.asarray(had * np.log(np.maximum(had, 1e-12) / due) + right * np.log(np.maximum(right, 1e-12) / due_right))


_ALIKE = 0.6
"""Slices that share so much (rows in both over rows in either) are one."""


def unlike(members: Sequence[NDArray[np.bool_]]) -> list[int]:
    """Places of the masks (m,) that no earlier one is alike to, in order."""
    kept: list[int] = []
    if not len(members):
        return kept
    # Packed, since portfolios and cross-confirmation ask for thousands of pairs.
    packed = np.stack([np.packbits(mask) for mask in members])
    sizes = np.bitwise_count(packed).sum(axis=1, dtype=np.int64)
    for at in range(len(packed)):
        others = np.array(kept, dtype=np.int64)
        both = np.bitwise_count(packed[others] & packed[at]).sum(axis=1, dtype=np.int64)
        if (both < _ALIKE * (sizes[others] + sizes[at] - both)).all():
            kept.append(at)
    return kept
