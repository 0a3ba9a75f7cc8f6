"""Which given labels are in doubt: by the embeddings of an evaluation, and by scores of a model that saw no label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Level
from errata.core.evaluation import EXPLORE, SEALED, Evaluation
from errata.core.ids import Ids
from errata.ops.labels.noise import Belief, Estimate, LabelJudge, ListKind, View, list_labels, plant_flips

__all__ = ["LabelOpinion", "Suspects", "judged_rows", "label_opinion", "suspects", "usable_embeddings"]

LEAST_ROWS = 20
"""Fewer rows say nothing of one another's labels."""

MOST_EMBEDDINGS = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelOpinion:
    """What other rows, and a model that saw no label, say of the labels of m rows.

    rows       (m,) int64 indices into the view that was judged
    labels     (m,) int64 codes of the given labels
    belief     what each row is, and how many labels are flipped
    judge      makes the same judgement for other labels
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    belief: Belief
    judge: LabelJudge

    @property
    def given(self) -> NDArray[np.float64]:
        """(m,) calibrated P(given label | x)."""
        return self.belief.given(self.labels)


@dataclass(frozen=True, kw_only=True, eq=False)
class Suspects:
    """Rows whose labels are in doubt, the most doubtful first.

    rule       the list, with the doubt about each row
    rows       (s,) indices into the view that was judged
    suggested  (s,) codes of the labels that the other rows would give
    estimate   what planted flips say of the list
    judged     how many rows were judged
    """

    rule: Ids
    rows: NDArray[np.int64]
    suggested: NDArray[np.int64]
    estimate: Estimate
    judged: int


def usable_embeddings(evaluation: Evaluation, named: Sequence[str] = ()) -> tuple[str, ...]:
    """The embeddings that may judge labels: all that are independent of the model, best first, and its own only where
    the model had not seen the labels, because it would repeat them. Raises UsageError for names that are not there."""
    for name in named:
        evaluation.embedding(name)
    blind = evaluation.predictions == "held-out"
    chosen = named or tuple(name for name in evaluation.embeddings if blind or name not in evaluation.outputs)
    return tuple(chosen)[:MOST_EMBEDDINGS]


def judged_rows(evaluation: Evaluation, embeddings: Sequence[str]) -> NDArray[np.int64]:
    """(m,) rows of the view that have a label and every embedding and are no copies; sealed rows are left alone."""
    fold, counted = np.asarray(evaluation.of(evaluation.fold)), np.asarray(evaluation.of(evaluation.counted))
    usable = (fold >= EXPLORE) & (fold != SEALED) & counted & (np.asarray(evaluation.of(evaluation.labels)) >= 0)
    for name in embeddings:
        usable &= np.isfinite(np.asarray(evaluation.column(name).values)).all(axis=1)
    return np.flatnonzero(usable)


def label_opinion(
    evaluation: Evaluation, *, embeddings: Sequence[str] = (), neighbours: int = 10
) -> LabelOpinion | None:
    """P(label | x) of every row by the others; None where there is nothing to judge by, or too little."""
    names = usable_embeddings(evaluation, embeddings)
    scores = evaluation.scores if evaluation.predictions in ("held-out", "out-of-fold") else None
    rows = judged_rows(evaluation, names)
    labels = np.asarray(evaluation.of(evaluation.labels))[rows].astype(np.int64)
    if (not names and scores is None) or len(rows) < LEAST_ROWS or len(np.unique(labels)) < 2:
        return None
    views = [
        View.of(np.asarray(evaluation.column(name).values)[rows], neighbours=min(neighbours, len(rows) - 1))
        for name in names
    ]
    model = None if scores is None else np.nan_to_num(np.asarray(evaluation.of(scores)[rows], dtype=np.float64))
    judge = LabelJudge(views=views, model=model, classes=len(evaluation.classes))
    return LabelOpinion(rows=rows, labels=labels, belief=judge.believe(labels), judge=judge)


def suspects(evaluation: Evaluation, how: Mapping[str, Level], *, alpha: float) -> Suspects | None:
    """The rows whose labels are in doubt, None where there are none; the same `how` gives the same list.

    how  "embeddings" (names with spaces between, "" for all usable ones), "neighbours", "list" (see `list_labels`)
         and "seed"
    """
    kind = cast(ListKind, how.get("list", "right"))
    opinion = label_opinion(
        evaluation, embeddings=str(how.get("embeddings", "")).split(), neighbours=int(how.get("neighbours", 10))
    )
    if opinion is None:
        return None
    belief, labels = opinion.belief, opinion.labels
    rng = np.random.default_rng(int(how.get("seed", 0)))
    trial = plant_flips(opinion.judge, labels, belief, rng)
    if not trial.planted:
        return None
    listed = list_labels(belief, labels, kind, trial=trial, alpha=alpha)
    if not len(listed):
        return None
    others = belief.true[listed].copy()
    others[np.arange(len(listed)), labels[listed]] = -1.0
    rows = opinion.rows[listed]
    places = rows if evaluation.rows is None else np.asarray(evaluation.rows)[rows]
    rule = Ids(tuple(evaluation.dataset.ids(places)), doubt=1.0 - opinion.given[listed], how=dict(how))
    return Suspects(
        rule=rule,
        rows=rows,
        suggested=others.argmax(axis=1),
        estimate=trial.estimate(len(listed), rng),
        judged=len(opinion.rows),
    )
