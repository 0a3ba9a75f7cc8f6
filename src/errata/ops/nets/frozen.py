"""Learning to Split with a frozen predictor: only the splitter is trained, on which rows a given model got wrong.

Nothing is retrained, so one round is enough: the splitter learns on folds, and every row is scored by a splitter that
did not see it. The terms of size and balance are those of the paper.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Int
from errata.ops.nets.heads import Head
from errata.ops.nets.splitting import Plan, Rows, Vector, dealt, sigmoid, teach_once
from errata.ops.nets.verdict import Verdict, settle
from errata.stats.gain import gain

__all__ = ["Aside", "FrozenSplit", "judge_frozen", "learn_frozen"]

_SHARES = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4)
"""Shares of the rows that a cut may select."""


@dataclass(frozen=True, kw_only=True)
class Aside:
    """A cut of the score: all classes (`label` None) or one, and what it gains on rows that the splitter did not see.

    gain  log-likelihood of rates of their own for members and rest of each class against one rate per class
    """

    label: int | None
    cut: float
    gain: float
    members: int
    wrong: int


@dataclass(frozen=True, kw_only=True, eq=False)
class FrozenSplit:
    """What was learnt of a frozen model's errors.

    score     (n,) float64 in [0, 1]: of each row by a splitter that did not see it
    splitter  the network trained on all rows
    cuts      by falling gain, the overall cut among them
    """

    score: Vector
    splitter: Head
    cuts: tuple[Aside, ...]

    def members(self, cut: Aside, labels: Int) -> Bool:
        """(n,) bool: rows beyond a cut, by splitters that did not see them."""
        inside = self.score >= cut.cut
        return np.asarray(inside if cut.label is None else inside & (labels == cut.label))


def learn_frozen(
    rows: Rows, wrong: NDArray[np.float64], plan: Plan, *, rng: np.random.Generator, folds: int = 3, least: int = 10
) -> FrozenSplit:
    """The split of a frozen model's errors.

    wrong  (n,) float64: 0 where the model is right, 1 where it is wrong, or a loss in between
    least  fewest members of a cut
    """
    score = _out_of_fold(rows, wrong, plan, folds, rng)
    splitter = teach_once(rows, wrong, _sized(plan, wrong), rng=rng)
    cuts = [_best_cut(score, wrong, rows.labels, None, least)]
    if rows.classes > 1:
        cuts += [_best_cut(score, wrong, rows.labels, int(k), least) for k in np.unique(rows.labels)]
    found = sorted((cut for cut in cuts if cut is not None), key=lambda cut: -cut.gain)
    return FrozenSplit(score=score, splitter=splitter, cuts=tuple(found))


def judge_frozen(
    rows: Rows,
    wrong: NDArray[np.float64],
    split: FrozenSplit,
    plan: Plan,
    *,
    rng: np.random.Generator,
    draws: int = 19,
    alpha: float = 0.05,
    least: float = 10.0,
    folds: int = 3,
    fewest: int = 10,
) -> Verdict:
    """Whether errors can be foreseen from input and label: the gap beside those of errors permuted within each class.

    The permuted runs repeat all of it, folds and cut, so the test is exact for exchangeable errors.
    """
    overall = next((cut for cut in split.cuts if cut.label is None), None)
    gap, share = _gap_of(split.score, overall, wrong)
    null = np.empty(draws)
    for draw in range(draws):
        mixed = wrong.copy()
        for k in np.unique(rows.labels):
            own = np.flatnonzero(rows.labels == k)
            mixed[own] = wrong[rng.permutation(own)]
        score = _out_of_fold(rows, mixed, plan, folds, rng)
        null[draw] = _gap_of(score, _best_cut(score, mixed, rows.labels, None, fewest), mixed)[0]
    said = "errors permuted within each class"
    return settle(gap, null, share=share, floor=float("nan"), null_words=said, alpha=alpha, least=least)


def _gap_of(score: Vector, cut: Aside | None, wrong: NDArray[np.float64]) -> tuple[float, float]:
    """Gap in points and share of rows of a cut; no cut is no gap."""
    if cut is None:
        return 0.0, 0.0
    inside = score >= cut.cut
    return 100.0 * float(wrong[inside].mean() - wrong[~inside].mean()), float(inside.mean())


def _sized(plan: Plan, wrong: NDArray[np.float64]) -> Plan:
    """The plan with a test side a little larger than the errors, where it may adapt."""
    if not plan.adapt:
        return plan
    return replace(plan, ratio=1.0 - float(np.clip(1.25 * wrong.mean(), 0.02, 0.5)))


def _out_of_fold(rows: Rows, wrong: NDArray[np.float64], plan: Plan, folds: int, rng: np.random.Generator) -> Vector:
    n = len(wrong)
    # Errors are few: each fold gets its share of them within each class.
    fold = dealt(rows, folds, rng, by=wrong)
    score = np.empty(n)
    for part in range(folds):
        learnt = fold != part
        head = teach_once(rows, wrong, _sized(plan, wrong[learnt]), rng=rng, among=np.flatnonzero(learnt))
        score[~learnt] = sigmoid(head.logits(rows.splitter_inputs()[~learnt])[:, 0])
    return score


def _best_cut(score: Vector, wrong: NDArray[np.float64], labels: Int, label: int | None, least: int) -> Aside | None:
    """The share of rows whose cut gains most; None where none gains anything."""
    own = np.arange(len(score)) if label is None else np.flatnonzero(labels == label)
    best: Aside | None = None
    for share in _SHARES:
        if share * len(own) < least:
            continue
        cut = float(np.quantile(score[own], 1.0 - share))
        inside = score[own] >= cut
        members, lost = int(inside.sum()), float(wrong[own][inside].sum())
        if members < least or members > 0.6 * len(own):
            continue
        won = _gain(inside, wrong[own], labels[own])
        if won > 0.0 and (best is None or won > best.gain):
            best = Aside(label=label, cut=cut, gain=won, members=members, wrong=round(lost))
    return best


def _gain(inside: Bool, wrong: NDArray[np.float64], labels: Int) -> float:
    """Gain of rates of their own inside and outside in each class; minus infinity where inside errs less."""
    classes, place = np.unique(labels, return_inverse=True)
    k = len(classes)
    rows, lost = np.bincount(place, minlength=k), np.bincount(place, weights=wrong, minlength=k)
    inner = place[inside]
    members = np.bincount(inner, minlength=k)
    taken = np.bincount(inner, weights=wrong[inside], minlength=k)
    own = gain(taken, members, wrong=lost, rows=rows)
    worse = float((taken - lost * members / rows).sum())
    return float(own) if worse > 0.0 else -np.inf
