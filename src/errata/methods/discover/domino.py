"""Domino: slices where a mixture over embedding, label and prediction puts labels and predictions far apart."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.embedded import Near, Space, Terms
from errata.core.errors import UsageError, nearest
from errata.core.evaluation import Evaluation
from errata.core.method import Job, check_range, method
from errata.core.rules import Where
from errata.core.slices import Slice, claim_for
from errata.ops.conjunctions import of_classes
from errata.ops.vectors.ground import Cut, EmbeddingGround, best_cut, principal_space
from errata.ops.vectors.mixture import Mixture, Outcome, fit_mixture
from errata.ops.vectors.mixture_starts import STARTS, responsibilities_at_start
from errata.ops.vectors.mixture_steps import FLOOR

__all__ = ["Domino"]

_SOME = 4_096
"""Rows for the first rounds where there are four times as many."""
_ONLINE = 200_000
"""Rows from which EM goes by batches."""
_BATCH = 8_192
_ONE_CLASS = 0.8
"""Share of a component's labels from which its rule is about that class alone."""
_LEAST_POSTERIOR = 1e-3


@method(needs={"label", "classification", "embedding"}, cite="Eyuboglu et al., ICLR 2022")
@dataclass(frozen=True, kw_only=True)
class Domino:
    """Slices where an error-aware mixture over an embedding puts labels and predictions far apart.

    Embedding, label and prediction are modelled as independent given a component; components that gather more errors
    than the classes of their rows explain are proposed. What is proposed for looking at uses labels and predictions;
    what is tested is the same component without the prediction, cut where it tells errors apart best on explore rows.

    slices      most slices; 5, as published
    components  components of the mixture; 25, as published
    pca         principal axes; 128, as published, and never more than there are rows or dimensions
    covariance  "diag", as published, or "full"
    label_weight, prediction_weight
                exponents of the two class terms; 2, which finds more than 1 or the published 10
                (benchmarks/domino_peer.py)
    start       "cells": clusters within cells of the confusion matrix (ours); "kmeans", "confusion" and "error" as in
                the reference
    least       fewest rows of what is tested; 10, what the proof asks for
    embedding   name of the embedding column; "" for the first one
    faithful    what the reference does: soft predictions are averaged in the M-step, and components are ranked by the
                largest difference of prediction and label shares and proposed also where they err no more than the rest

    Raises UsageError for an unknown embedding, start or covariance. Fails where failures are no clusters of the
    embedding.

    Reference: S. Eyuboglu, M. Varma, K. Saab, J.-B. Delbrouck, C. Lee-Messer, J. Dunnmon, J. Zou and C. Re, "Domino:
    Discovering Systematic Errors with Cross-Modal Embeddings", ICLR 2022.
    """

    slices: int = 5
    components: int = 25
    pca: int = 128
    covariance: str = "diag"
    label_weight: float = 2.0
    prediction_weight: float = 2.0
    start: str = "cells"
    least: int = 10
    embedding: str = ""
    faithful: bool = False

    def __post_init__(self) -> None:
        counts = dict.fromkeys(("slices", "components", "pca", "least"), (1, math.inf))
        check_range(self, {**counts, "label_weight": (0.0, 100.0), "prediction_weight": (0.0, 100.0)})
        for option, known in (("covariance", ("diag", "full")), ("start", STARTS)):
            value = getattr(self, option)
            if value not in known:
                raise UsageError(f"`domino.{option}` is `{value}`.", hint=nearest(value, known))

    def run(self, evaluation: Evaluation, job: Job) -> list[Slice]:
        """The proposals, those with most errors beyond their classes first."""
        ground = EmbeddingGround.of(evaluation, self.embedding)
        if ground is None:
            return []
        job.progress(0.0, f"principal axes of {ground.column}")
        space = principal_space(ground.values, self.pca, rng=job.rng)
        if space is None:
            return []
        job.progress(0.2, "fitting the mixture")
        values = _read(space, ground.values)
        outcome = self._outcome(evaluation, ground)
        mixture = self._fit(values, outcome, job.rng)
        responsible = mixture.responsibilities(values, outcome.labels, outcome.scores)
        job.progress(0.9, "choosing components")
        rules = _Rules(evaluation=evaluation, ground=ground, space=space, mixture=mixture, least=self.least)
        return [rules.proposal(at) for at in self._order(ground, mixture, responsible)[: self.slices]]

    def _order(self, ground: EmbeddingGround, mixture: Mixture, responsible: NDArray[np.float64]) -> list[int]:
        now = mixture.parameters
        excess = ground.excess(responsible)
        if self.faithful and now.label_p is not None and now.prediction_p is not None:
            apart = np.abs((now.prediction_p - now.label_p).max(axis=1))
            return [int(at) for at in np.argsort(-apart, kind="stable")]
        return [int(at) for at in np.argsort(-excess, kind="stable") if excess[at] > 0.0]

    def _outcome(self, evaluation: Evaluation, ground: EmbeddingGround) -> Outcome:
        view = evaluation.view()
        classes = len(evaluation.classes)
        if evaluation.scores is not None:
            scores = np.nan_to_num(np.asarray(evaluation.of(evaluation.scores))[ground.rows], nan=1.0 / classes)
        else:
            predicted = np.asarray(view.predicted)[ground.rows].astype(np.int64)
            scores = np.full((len(predicted), classes), 1.0 / classes, dtype=np.float32)
            known = predicted >= 0
            scores[known] = np.eye(classes, dtype=np.float32)[predicted[known]]
        return Outcome(
            classes=classes, labels=np.asarray(view.labels)[ground.rows].astype(np.int64), scores=scores,
            label_weight=self.label_weight, prediction_weight=self.prediction_weight,
        )  # fmt: skip

    def _fit(self, values: NDArray[Any], outcome: Outcome, rng: np.random.Generator) -> Mixture:
        n = len(values)
        some = np.sort(rng.choice(n, _SOME, replace=False)) if n >= 4 * _SOME and not self.faithful else None
        first = values if some is None else values[some]
        seen = outcome if some is None else outcome.take(some)
        start = responsibilities_at_start(
            self.start, first, components=self.components, labels=seen.labels, scores=seen.scores, rng=rng
        )
        return fit_mixture(
            values, start, start_rows=some, outcome=outcome,
            covariance="full" if self.covariance == "full" else "diag",
            soft="published" if self.faithful else "exact",
            batch=_BATCH if n >= _ONLINE and not self.faithful else None, rng=rng,
        )  # fmt: skip


def _read(space: Space, values: NDArray[Any]) -> NDArray[Any]:
    """(m, p) the values in the space, in single precision where they are many: EM wants no more digits."""
    assert space.centre is not None and space.axes is not None
    kind = np.float32 if len(values) * space.axes.shape[1] >= 1 << 21 else np.float64
    axes: NDArray[Any] = space.axes.astype(kind)
    read: NDArray[Any] = np.asarray(values, dtype=kind)
    offset: NDArray[Any] = np.asarray(space.centre @ space.axes, dtype=kind)
    return np.asarray(read @ axes - offset)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Rules:
    """Components as rules: with the prediction for looking, without it for testing."""

    evaluation: Evaluation
    ground: EmbeddingGround
    space: Space
    mixture: Mixture
    least: int

    def proposal(self, at: int) -> Slice:
        """The slice of a component; where nothing is left of it without the prediction, it is only for looking at."""
        return Slice(
            rule=self._near(at, prediction=True), claim=claim_for(self.evaluation.metric), proposed_by=("domino",),
            independent=self._independent(at),
        )  # fmt: skip

    def _near(self, at: int, *, prediction: bool) -> Near:
        now = self.mixture.parameters
        return Near(
            column=self.ground.column, space=self.space, means=now.means, precisions=now.precisions,
            log_weights=np.log(now.weights), at=at, cut=0.5, label=self._label_term(),
            prediction=self._prediction_term() if prediction else None,
        )  # fmt: skip

    def _label_term(self) -> Terms | None:
        now, name = self.mixture.parameters, self.evaluation.dataset.label
        if name is None or name not in self.evaluation.features or now.label_p is None:
            return None
        if self.evaluation.column(name).kind != "category":
            return None
        return Terms(columns=(name,), levels=self.evaluation.classes, weight=now.label_weight,
                     log_p=np.log(np.maximum(now.label_p, FLOOR)))  # fmt: skip

    def _prediction_term(self) -> Terms | None:
        now = self.mixture.parameters
        if now.prediction_p is None:
            return None
        name = "errata:predicted" if self.evaluation.scores is None else "errata:scores"
        return Terms(columns=(name,), levels=self.evaluation.classes, weight=now.prediction_weight,
                     log_p=np.log(np.maximum(now.prediction_p, FLOOR)))  # fmt: skip

    def _given(self, at: int) -> Where | None:
        """The class of a component that is mostly of one."""
        label_p = self.mixture.parameters.label_p
        if label_p is None or float(label_p[at].max()) < _ONE_CLASS or len(np.unique(self.ground.stratum)) < 2:
            return None
        return of_classes(self.evaluation, [int(label_p[at].argmax())])

    def _independent(self, at: int) -> Near | None:
        """The component without the prediction: by its posterior or by the distance to its mean, what gains more."""
        now = self.mixture.parameters
        whole = replace(self._near(at, prediction=False), given=self._given(at))
        alone = replace(
            whole, means=now.means[[at]], precisions=now.precisions[[at]], log_weights=np.zeros(1), at=0, label=None
        )
        cuts = [(one, self._cut(one)) for one in (whole, alone)]
        # Among posteriors below any doubt the order is that of rounding errors and far tails.
        sure = [
            (one, cut) for one, cut in cuts if cut is not None and (len(one.means) == 1 or cut.cut > _LEAST_POSTERIOR)
        ]
        if not sure:
            return None
        best, cut = max(sure, key=lambda pair: pair[1].gain)
        return replace(best, cut=cut.cut)

    def _cut(self, rule: Near) -> Cut | None:
        ground = self.ground
        return best_cut(
            rule.score(self.evaluation)[ground.rows], ground.loss, ground.expected,
            binary=ground.binary, least=self.least,
        )  # fmt: skip
