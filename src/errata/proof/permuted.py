"""The same rows with the model's output moved: a world without differences, made of the user's own data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from errata.core.evaluation import Evaluation

__all__ = ["cells_of", "permute"]

Ints = NDArray[np.int64]


def cells_of(evaluation: Evaluation) -> Ints:
    """(N,) int64: within which rows are exchangeable: class (fifth of the target), and group where there are groups."""
    cell = evaluation.stratum.astype(np.int64) + 1
    if evaluation.group is not None:
        cell = cell + (evaluation.group.astype(np.int64) + 1) * (int(cell.max(initial=0)) + 1)
    return cell


def permute(evaluation: Evaluation, rng: np.random.Generator) -> Evaluation:
    """The evaluation with the model's whole output permuted among the counted rows of one class and group.

    Prediction, scores, loss and the model's own columns (scores, its representation) move together, so that a proposer
    finds them in keeping with each other; in regression the residual moves. Whatever is confirmed of it is false, class
    rates apart.
    """
    cell = cells_of(evaluation)
    rows = np.flatnonzero((evaluation.fold >= 0) & evaluation.counted & (evaluation.stratum >= 0))
    source = np.arange(len(cell), dtype=np.int64)
    order = rows[np.argsort(cell[rows], kind="stable")]
    source[order] = rows[np.lexsort((rng.random(len(rows)), cell[rows]))]
    return moved(evaluation, source)


def moved(evaluation: Evaluation, source: Ints) -> Evaluation:
    """The evaluation whose row i has the model's output of row `source[i]`, a row of the same class."""
    predicted = evaluation.predicted[source]
    if evaluation.task == "regression":
        predicted = np.asarray(evaluation.labels + (evaluation.predicted - evaluation.labels)[source], dtype=np.float64)
    table = evaluation.dataset.table
    own = {name: table.column(name).take(source) for name in evaluation.outputs if name in table}
    return replace(
        evaluation,
        dataset=evaluation.dataset.with_table(table.with_columns(own)),
        predicted=predicted,
        scores=None if evaluation.scores is None else evaluation.scores[source],
        loss=evaluation.loss[source],
    )
