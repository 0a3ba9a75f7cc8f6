"""Error clusters: groups of alike examples within one class that the model gets wrong more often than the class."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.embedded import Near, Space
from errata.core.errors import UsageError, nearest
from errata.core.evaluation import Evaluation
from errata.core.method import Job, check_range, method
from errata.core.slices import Slice, claim_for
from errata.ops.conjunctions import of_classes
from errata.ops.vectors.ground import Cut, EmbeddingGround, best_cut, principal_space, unlike
from errata.ops.vectors.kmeans import kmeans

__all__ = ["ErrorClusters"]

_HOW = ("both", "kmeans", "density")
_MOST_WRONG = 5_000
"""Most wrong rows of a class among which dense groups are sought: their distances are compared in pairs."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Ball:
    """Rows of a class around a centre (p,): the variances (p,) that distances are measured by, and where it ends."""

    stratum: int
    centre: NDArray[np.float64]
    variance: NDArray[np.float64]
    cut: Cut


@method(needs={"label", "embedding"})
@dataclass(frozen=True, kw_only=True)
class ErrorClusters:
    """Groups of alike examples within one class that the model gets wrong more often than the class.

    Two ways, tried side by side: all rows of a class by k-means, and the wrong rows of a class by density, which finds
    failures that are a small part of any cluster. Either way a centre comes out, and the slice is the ball around it
    whose radius tells errors apart best on explore rows. Balls with nearly the same members are proposed once.

    how         "kmeans", "density" or "both"
    slices      most slices; 10 (ours)
    clusters    clusters per class; 15 (ours; 10 and 20 find less where failures are rare)
    pca         principal axes that the embedding is read in; 32 (ours: distances in many more say little)
    least       fewest rows of a slice, and of a dense group half of it; 10, what the proof asks for
    embedding   name of the embedding column; "" for the first one

    Raises UsageError for an unknown embedding or way. Fails where wrong rows lie among right ones everywhere.

    Reference: density: R. Campello, D. Moulavi and J. Sander, "Density-Based Clustering Based on Hierarchical Density
    Estimates", PAKDD 2013; clusters within a class: N. Sohoni et al., "No Subclass Left Behind", NeurIPS 2020.
    """

    how: str = "both"
    slices: int = 10
    clusters: int = 15
    pca: int = 32
    least: int = 10
    embedding: str = ""

    def __post_init__(self) -> None:
        counts = dict.fromkeys(("slices", "clusters", "pca"), (1, math.inf))
        check_range(self, {**counts, "least": (2, math.inf)})
        if self.how not in _HOW:
            raise UsageError(f"`error_clusters.how` is `{self.how}`.", hint=nearest(self.how, _HOW))

    def run(self, evaluation: Evaluation, job: Job) -> list[Slice]:
        """The proposals, those with the largest gain in log-likelihood first."""
        ground = EmbeddingGround.of(evaluation, self.embedding)
        if ground is None:
            return []
        job.progress(0.0, f"principal axes of {ground.column}")
        space = principal_space(ground.values, self.pca, rng=job.rng)
        if space is None:
            return []
        values = space(ground.values)
        classes = np.unique(ground.stratum)
        balls: list[_Ball] = []
        for done, code in enumerate(classes.tolist()):
            job.progress(0.1 + 0.9 * done / len(classes), f"clusters in {done + 1} of {len(classes)} classes")
            rows = np.flatnonzero(ground.stratum == code)
            if ground.loss[rows].any():
                balls += self._balls(ground, values[rows], rows, code, job.rng)
        balls.sort(key=lambda ball: -ball.cut.gain)
        several = len(classes) > 1
        kept = unlike([_members(ball, ground, values) for ball in balls])
        found = [_near(balls[at], ground.column, space, evaluation, several) for at in kept]
        claim = claim_for(evaluation.metric)
        return [Slice(rule=rule, claim=claim, proposed_by=("error_clusters",)) for rule in found[: self.slices]]

    def _balls(
        self, ground: EmbeddingGround, values: NDArray[Any], rows: NDArray[np.int64], code: int,
        rng: np.random.Generator,
    ) -> list[_Ball]:  # fmt: skip
        groups: list[NDArray[Any]] = []
        if self.how != "density":
            assigned = kmeans(values, self.clusters, rng=rng).assigned
            groups += [values[assigned == at] for at in range(int(assigned.max()) + 1)]
        if self.how != "kmeans":
            groups += self._dense(ground, values, rows, rng)
        pooled = values.var(axis=0)
        balls = (self._ball(ground, values, rows, code, group, pooled) for group in groups)
        return [ball for ball in balls if ball is not None]

    def _dense(
        self, ground: EmbeddingGround, values: NDArray[Any], rows: NDArray[np.int64], rng: np.random.Generator
    ) -> list[NDArray[Any]]:
        """Dense groups of the rows with most loss: the wrong ones, or the worst fifth where a loss is no yes or no."""
        loss = ground.loss[rows]
        worst = loss > 0.0 if ground.binary else loss >= np.quantile(loss, 0.8)
        wrong = values[worst]
        least = max(3, self.least // 2)
        if len(wrong) > _MOST_WRONG:
            wrong = wrong[np.sort(rng.choice(len(wrong), _MOST_WRONG, replace=False))]
        if len(wrong) < 2 * least:
            return [wrong] if len(wrong) >= least else []
        from sklearn.cluster import HDBSCAN

        labels = HDBSCAN(min_cluster_size=least, min_samples=3, allow_single_cluster=True, copy=True).fit(wrong).labels_
        return [wrong[labels == at] for at in range(int(labels.max()) + 1)]

    def _ball(
        self, ground: EmbeddingGround, values: NDArray[Any], rows: NDArray[np.int64], code: int, group: NDArray[Any],
        pooled: NDArray[np.float64],
    ) -> _Ball | None:  # fmt: skip
        if len(group) < 2:
            return None
        # A few rows do not know their variances: these are drawn towards those of the class.
        variance = (len(group) * group.var(axis=0) + self.least * pooled) / (len(group) + self.least)
        variance = np.maximum(variance, 1e-6)
        centre = group.mean(axis=0)
        away = -np.square(values - centre) @ (1.0 / variance)
        cut = best_cut(
            away, ground.loss[rows], ground.expected[rows], binary=ground.binary, least=min(self.least, len(rows))
        )
        return None if cut is None else _Ball(stratum=code, centre=centre, variance=variance, cut=cut)


def _members(ball: _Ball, ground: EmbeddingGround, values: NDArray[Any]) -> NDArray[np.bool_]:
    away = -np.square(values - ball.centre) @ (1.0 / ball.variance)
    return np.asarray((away >= ball.cut.cut) & (ground.stratum == ball.stratum))


def _near(ball: _Ball, column: str, space: Space, evaluation: Evaluation, several: bool) -> Near:
    classified = evaluation.task == "classification"
    return Near(
        column=column, space=space, means=ball.centre[None], precisions=1.0 / ball.variance[None],
        log_weights=np.zeros(1), cut=ball.cut.cut,
        given=of_classes(evaluation, [ball.stratum]) if several and classified else None,
    )  # fmt: skip
