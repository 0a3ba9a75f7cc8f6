"""A null world made of real data: errors keep their class and group, and lose everything else they depended on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from errata.core.evaluation import Evaluation

__all__ = ["permuted"]


def permuted(evaluation: Evaluation, *, seed: int) -> Evaluation:
    """The same rows with the model's answers permuted among the rows of one class (fifth of the target) and group.

    Whatever is confirmed of it is false, class rates apart: within class and group, being wrong is exchangeable. In
    regression the residuals move. Scores are left out, as they would no longer fit the answers.
    """
    cell = evaluation.stratum.astype(np.int64) + 1
    if evaluation.group is not None:
        cell = cell + (evaluation.group.astype(np.int64) + 1) * (int(cell.max(initial=0)) + 1)
    rng = np.random.default_rng(seed)
    source = np.empty(len(cell), dtype=np.int64)
    source[np.argsort(cell, kind="stable")] = np.lexsort((rng.random(len(cell)), cell))
    moved = evaluation.predicted[source]
    if evaluation.task == "regression":
        moved = np.asarray(evaluation.labels + (evaluation.predicted - evaluation.labels)[source], dtype=np.float64)
    return replace(
        evaluation,
        predicted=moved,
        loss=evaluation.loss[source],
        scores=None,
        fingerprint=f"{evaluation.fingerprint}{seed:08x}",
    )
