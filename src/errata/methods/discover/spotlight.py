"""Spotlight: the places of an embedding in which the mean loss is highest, each of a least size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.embedded import Near, Space
from errata.core.evaluation import Evaluation
from errata.core.method import Job, check_range, method
from errata.core.slices import Slice, claim_for
from errata.ops.conjunctions import of_classes
from errata.ops.vectors.ground import EmbeddingGround, best_cut, principal_space, stratum_means, unlike
from errata.ops.vectors.kernel_ascent import Lit, brightest

__all__ = ["Spotlight"]

_LEAST_P = 1e-6
"""Least probability of the label that a cross-entropy is taken of."""


@method(needs={"label", "embedding"}, cite="d'Eon et al., FAccT 2022")
@dataclass(frozen=True, kw_only=True)
class Spotlight:
    """Places of an embedding in which the mean loss is highest, each of a least size.

    A kernel is moved and narrowed until the weighted mean of the losses is as high as it gets while its weight stays
    above a share of the rows. The rows it lights count less for the next one. With classes the loss is the
    cross-entropy of the scores where there are any, else that of the evaluation, less the mean of the class, so that a
    hard class is no place. A slice is the ball around the kernel's mean whose radius tells errors apart best.

    slices      most slices; 5, as published by Domino's authors for all methods
    size        least weight as a share of the rows; .02, as published
    pca         principal axes; 32 (ours: a kernel in many dimensions holds nobody)
    steps       steps of the ascent; 300 (ours, with steps of .05 by Adam; the reference has 5,000 of .001)
    per_dimension
                a precision for each dimension, where the reference has one for all
    per_class   a spotlight of each class, the brightest first, instead of one over all classes
    least       fewest rows of a slice; 10, what the proof asks for
    embedding   name of the embedding column; "" for the first one
    faithful    the plain loss, all classes together, started from the middle, and as the slice the `size` share of the
                rows with most weight; the defects of a port (softmax of probabilities, empty slices) are not imitated

    Raises UsageError for an unknown embedding. Fails where failures have no common place.

    Reference: G. d'Eon, J. d'Eon, J. R. Wright and K. Leyton-Brown, "The Spotlight: A General Method for Discovering
    Systematic Errors in Deep Learning Models", FAccT 2022.
    """

    slices: int = 5
    size: float = 0.02
    pca: int = 32
    steps: int = 300
    per_dimension: bool = False
    per_class: bool = True
    least: int = 10
    embedding: str = ""
    faithful: bool = False

    def __post_init__(self) -> None:
        counts = dict.fromkeys(("slices", "pca", "steps", "least"), (1, math.inf))
        check_range(self, {**counts, "size": (1e-6, 0.5)})

    def run(self, evaluation: Evaluation, job: Job) -> list[Slice]:
        """The proposals, the clearest first; in the order in which they were found when `faithful`."""
        ground = EmbeddingGround.of(evaluation, self.embedding)
        if ground is None:
            return []
        space = principal_space(ground.values, self.pca, rng=job.rng)
        if space is None:
            return []
        loss = _losses(evaluation, ground)
        if not self.faithful:
            loss = loss - stratum_means(loss, ground.stratum)
        values = space(ground.values)
        apart = self.per_class and not self.faithful and evaluation.task == "classification"
        parts = [np.flatnonzero(ground.stratum == code) for code in np.unique(ground.stratum)] if apart else []
        parts = parts or [np.arange(len(values))]
        search = _Search(method=self, evaluation=evaluation, ground=ground, space=space, values=values)
        found: list[_Found] = []
        for done, rows in enumerate(parts):
            job.progress(done / len(parts), f"spotlights in {done + 1} of {len(parts)} parts")
            if ground.loss[rows].any() and len(rows) >= 2 * self.least:
                found += search.among(rows, loss[rows], given=len(parts) > 1)
        if not self.faithful:
            found.sort(key=lambda one: -one.gain)
            found = [found[at] for at in unlike([one.members for one in found])]
        claim = claim_for(evaluation.metric)
        return [Slice(rule=one.rule, claim=claim, proposed_by=("spotlight",)) for one in found[: self.slices]]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Found:
    """A spotlight's rule, what it gains, and its members (m,) among all rows of the ground."""

    rule: Near
    gain: float
    members: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Search:
    """Spotlights one after another among some rows."""

    method: Spotlight
    evaluation: Evaluation
    ground: EmbeddingGround
    space: Space
    values: NDArray[np.float64]

    def among(self, rows: NDArray[np.int64], loss: NDArray[np.float64], *, given: bool) -> list[_Found]:
        """The spotlights of the rows, in the order in which they were found."""
        values, left = self.values[rows], loss.copy()
        least = max(self.method.size * len(self.values), float(min(self.method.least, len(rows) // 2)))
        found: list[_Found] = []
        lowest = 0.0 if self.method.faithful else float(loss.min())
        for _ in range(self.method.slices):
            # From the rows with most loss left: from the middle of all, every spotlight finds the first one.
            top = np.argsort(-left, kind="stable")[: max(int(least), 1)]
            start = values.mean(axis=0) if self.method.faithful else values[top].mean(axis=0)
            lit = brightest(values, left, least=min(least, 0.5 * len(rows)), mean=start,
                            scalar=not self.method.per_dimension, steps=self.method.steps)  # fmt: skip
            one = self._rule(rows, lit, given)
            if one is not None:
                found.append(one)
            dimmed = lit.weights / max(float(lit.weights.max()), 1e-300)
            if one is not None and not self.method.faithful:
                dimmed[one.members[rows]] = 1.0
            # Rows in the light count as right ones from now on: their loss falls to the lowest that there is.
            left = lowest + (left - lowest) * (1.0 - dimmed)
        return found

    def _rule(self, rows: NDArray[np.int64], lit: Lit, given: bool) -> _Found | None:
        ground, method = self.ground, self.method
        precision = np.exp(lit.log_precision)
        score = -(np.square(self.values[rows] - lit.mean) @ precision)
        cut = best_cut(
            score, ground.loss[rows], ground.expected[rows], binary=ground.binary, least=min(method.least, len(rows))
        )
        if method.faithful:
            place, gain = float(np.quantile(score, 1.0 - method.size)), lit.loss
        elif cut is None:
            return None
        else:
            place, gain = cut.cut, cut.gain
        where = of_classes(self.evaluation, [int(ground.stratum[rows[0]])]) if given else None
        rule = Near(
            column=ground.column, space=self.space, means=lit.mean[None], precisions=precision[None],
            log_weights=np.zeros(1), cut=place, given=where,
        )  # fmt: skip
        members = np.zeros(len(self.values), dtype=bool)
        members[rows[score >= place]] = True
        return _Found(rule=rule, gain=gain, members=members)


def _losses(evaluation: Evaluation, ground: EmbeddingGround) -> NDArray[np.float64]:
    """(m,) cross-entropy of the label under the scores; the metric's own loss where there are no scores."""
    if evaluation.scores is None or evaluation.task != "classification" or evaluation.metric != "error":
        return ground.loss
    scores = np.asarray(evaluation.of(evaluation.scores))[ground.rows]
    labels = np.asarray(evaluation.view().labels)[ground.rows].astype(np.int64)
    given: NDArray[Any] = scores[np.arange(len(labels)), labels].astype(np.float64)
    return np.asarray(-np.log(np.clip(np.nan_to_num(given, nan=1.0), _LEAST_P, 1.0)))
