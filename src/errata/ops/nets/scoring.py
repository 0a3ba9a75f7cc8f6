"""How well scores fit labels: accuracy, ROC-AUC, macro F1 or the user's own, and how far each row was got right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Int
from errata.core.errors import UsageError, nearest

__all__ = ["METRICS", "Scoring", "scoring_of"]

Scores = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """A metric of (n,) labels and (n, k) scores, larger is better.

    name    what the log calls it
    value   (labels, scores) -> the metric; NaN where it is not defined, such as ROC-AUC of a single class
    credits (labels, scores) -> (n, k) float64 in [0, 1]: how far each row would be got right in the eyes of the metric
            if it had each of the labels, the others keeping theirs
    """

    name: str
    value: Callable[[Int, Scores], float]
    credits: Callable[[Int, Scores], NDArray[np.float64]]

    def credit(self, labels: Int, scores: Scores) -> NDArray[np.float64]:
        """(n,) float64 in [0, 1]: how far each row is got right."""
        return np.asarray(self.credits(labels, scores)[np.arange(len(labels)), labels])

    def share(self, labels: Int, scores: Scores, rows: Int) -> float:
        """The metric on some rows; NaN where there are none."""
        return self.value(labels[rows], scores[rows]) if len(rows) else float("nan")


def right(labels: Int, scores: Scores) -> NDArray[np.float64]:
    """(n,) 1 where the label has the largest score, else 0."""
    return np.asarray(scores.argmax(axis=1) == labels, dtype=np.float64)


def _largest(_labels: Int, scores: Scores) -> NDArray[np.float64]:
    """(n, k) 1 for the label with the largest score, else 0."""
    return np.asarray(scores.argmax(axis=1)[:, None] == np.arange(scores.shape[1]), dtype=np.float64)


def accuracy(labels: Int, scores: Scores) -> float:
    """Share of rows whose label has the largest score."""
    return float(right(labels, scores).mean()) if len(labels) else float("nan")


def roc_auc(labels: Int, scores: Scores) -> float:
    """Share of pairs of a positive (class 1) and a negative row that the score of class 1 orders rightly; ties half.

    With more than two classes: the mean over the classes present, each against the rest.
    """
    if scores.shape[1] == 2:
        return _auc(labels == 1, scores[:, 1])
    each = [_auc(labels == k, scores[:, k]) for k in range(scores.shape[1])]
    known = [value for value in each if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def macro_f1(labels: Int, scores: Scores) -> float:
    """F1 of each class that is given or predicted, averaged."""
    if not len(labels):
        return float("nan")
    predicted, k = scores.argmax(axis=1), scores.shape[1]
    hits = np.bincount(labels[predicted == labels], minlength=k)
    either = np.bincount(labels, minlength=k) + np.bincount(predicted, minlength=k)
    present = either > 0
    return float((2.0 * hits[present] / either[present]).mean())


def _auc(positive: NDArray[np.bool_], score: Scores) -> float:
    n1 = int(positive.sum())
    n0 = len(positive) - n1
    if n1 == 0 or n0 == 0:
        return float("nan")
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2.0
    return float((middle[place][positive].sum() - n1 * (n1 + 1) / 2.0) / (n1 * n0))


def _pairs_right(labels: Int, scores: Scores) -> NDArray[np.float64]:
    """(n, k) share of the rows of other classes that a row of each class is ordered rightly against, ties half.

    With two classes by the score of class 1; with more, by the score of the class.
    """
    out = np.empty(scores.shape, dtype=np.float64)
    for k in range(scores.shape[1]):
        score = scores[:, k]
        rest = np.sort(score[labels != k])
        below, upto = np.searchsorted(rest, score, "left"), np.searchsorted(rest, score, "right")
        out[:, k] = (below + upto) / (2.0 * len(rest)) if len(rest) else 1.0
    return out


METRICS = {
    "accuracy": Scoring(name="accuracy", value=accuracy, credits=_largest),
    "roc_auc": Scoring(name="roc_auc", value=roc_auc, credits=_pairs_right),
    "macro_f1": Scoring(name="macro_f1", value=macro_f1, credits=_largest),
}


def scoring_of(metric: str | Callable[[Any, Any], float]) -> Scoring:
    """The metric of a name, or of any callable of (n,) labels and (n, k) scores, larger is better.

    Raises UsageError for a name that is not known.
    """
    if callable(metric):
        said = getattr(metric, "__name__", "metric")
        return Scoring(name=said, value=lambda labels, scores: float(metric(labels, scores)), credits=_largest)
    if metric not in METRICS:
        raise UsageError(f"There is no metric `{metric}`.", hint=nearest(metric, METRICS))
    return METRICS[metric]
