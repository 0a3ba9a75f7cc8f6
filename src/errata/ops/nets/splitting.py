"""The outer loop of Learning to Split: a splitter that sets the rows aside which a fresh predictor fails on.

Each loop splits the rows, trains a fresh predictor on two thirds of the train side (stopped on half of the last third
and scored on the other half), and teaches the splitter from the test side which rows the predictor got right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Int
from errata.ops.nets.heads import (
    Head,
    Layers,
    Schedule,
    as_features,
    forward,
    frozen,
    generator_of,
    parameters,
    start_layers,
)
from errata.ops.nets.scoring import Scoring

__all__ = ["Lap", "Plan", "Predictor", "Rows", "Split", "dealt", "learn_split", "sigmoid", "teach_once"]

Vector = NDArray[np.float64]
SPLITTER = Schedule(hidden=(64,), dropout=0.3, rate=3e-3, decay=0.0, epochs=4, batch=128)
"""One hidden layer and few epochs per loop: the splitter goes on learning from loop to loop."""
ONCE = Schedule(hidden=(128,), dropout=0.3, rate=3e-3, decay=0.0, epochs=8)
"""For a frozen model there is one round only, and after the last loop it must settle."""
_LONGEST = 100
"""Most steps of an epoch that is longer than it is told to be."""
_AFRESH, _FEWEST = 3, 12
"""Predictors that are trained when the loops are over, and rows below which one is trained on all."""


class Predictor(Protocol):
    """What trains a fresh predictor: given rows to fit and rows to stop on, its probabilities for all rows (n, k)."""

    def __call__(self, *, fit: Int, stop: Int, rng: np.random.Generator) -> NDArray[np.float32]: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """What the splitter reads: (n, p) float32 features of the rows, and their labels as (n,) codes of `classes`.

    with_label  whether the splitter reads the label too
    group       (n,) codes of groups that are never torn apart when rows are held out, or None
    """

    features: NDArray[np.float32]
    labels: Int
    classes: int
    with_label: bool = True
    group: Int | None = None

    def splitter_inputs(self, labels: Int | None = None) -> NDArray[np.float32]:
        """(n, p + k) features with the one-hot label behind them; `labels` in place of the given ones."""
        if not self.with_label:
            return self.features
        codes = self.labels if labels is None else labels
        return np.hstack([self.features, np.eye(self.classes, dtype=np.float32)[codes]])


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How the split is learnt; the defaults of ratio, patience and the weights are the paper's.

    ratio      share of the rows on the train side to begin with
    adapt      whether that share follows the share of rows that predictors fail on, within .5 and .9
    patience   loops without a better split before it ends
    loops      most loops
    w_gap, w_ratio, w_balance
               weights of the three terms of the splitter's loss
    splitter   how the splitter is trained in each loop; an epoch is `steps` steps, more on thousands of rows
    once       how it is trained where there is one round: of a frozen model, and when the loops are over
    settle     an epoch must lower the loss by this much against the mean of the five before it
    """

    ratio: float = 0.75
    adapt: bool = True
    patience: int = 5
    loops: int = 20
    w_gap: float = 1.0
    w_ratio: float = 1.0
    w_balance: float = 1.0
    splitter: Schedule = SPLITTER
    once: Schedule = ONCE
    settle: float = 1e-3


@dataclass(frozen=True, kw_only=True)
class Lap:
    """One outer loop.

    gap, validation, test  the metric in per cent; gap = validation - test
    train_count, test_count
                           rows of the two sides
    train_labels, test_labels
                           rows of each class (by code) on either side
    failing                estimated share of all rows that the predictor fails on
    """

    loop: int
    gap: float
    validation: float
    test: float
    train_count: int
    test_count: int
    train_labels: tuple[int, ...]
    test_labels: tuple[int, ...]
    failing: float
    splitter_loss: float = float("nan")


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """A learnt split.

    test      (n,) bool: the rows that are set aside
    score     (n,) float64 in [0, 1], the splitter's: probability of being set aside
    cut       rows with a score of at least this are set aside
    splitter  its network; reads features and one-hot label
    laps      one record per outer loop; `best` is the index of the one that was kept
    scores    (n, k) float32 probabilities by the last predictor, trained on the rows that the best one got right
    """

    test: Bool
    score: Vector
    cut: float
    splitter: Head
    laps: tuple[Lap, ...]
    best: int
    scores: NDArray[np.float32]


def _quiet(lap: Lap) -> None:
    """A listener that does not listen."""


def learn_split(
    rows: Rows,
    predictor: Predictor,
    plan: Plan,
    *,
    scoring: Scoring,
    rng: np.random.Generator,
    among: Int | None = None,
    each: Callable[[Lap], None] = _quiet,
) -> Split:
    """Learn a split of the rows `among` (all when None); the splitter's score is given for all rows.

    each  is called with every outer loop as it ends
    """
    own = np.arange(len(rows.labels)) if among is None else np.asarray(among)
    learner = _Learner(rows, own, plan, rng)
    best, most, right = 0, -np.inf, np.ones(len(rows.labels))
    laps: list[Lap] = []
    ratio = plan.ratio
    for loop in range(plan.loops):
        test = learner.sides(first=loop == 0, ratio=ratio)
        train_side, test_side = own[~test], own[test]
        fit, stop, held = _thirds(train_side, rng)
        credit = scoring.credit(rows.labels, scores := predictor(fit=fit, stop=stop, rng=rng))
        lap = _lap(loop, rows, scoring, scores, held, train_side, test_side)
        if loop == 0 or _worth(lap) > most:
            best, most, right = loop, _worth(lap), credit
        if plan.adapt:
            ratio = float(np.clip(1.0 - 0.5 * (lap.failing + 1.0 - ratio), 0.5, 0.9))
        ended = loop - best >= plan.patience or loop + 1 == plan.loops
        if not ended:
            lap = replace(lap, splitter_loss=learner.teach(test_side, credit, ratio))
        laps.append(lap)
        each(lap)
        if ended:
            break
    scores = _afresh(rows, predictor, own, right, scoring, rng)
    return _settled(learner, rows, own, plan, scoring, scores, tuple(laps), best)


def _afresh(
    rows: Rows, predictor: Predictor, own: Int, right: Vector, scoring: Scoring, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Probabilities by a predictor of the rows that the one before it got right, a few times over.

    The sides of a loop are drawn, so that each holds some rows of the other by chance.
    """
    for _ in range(_AFRESH):
        kept = own[right[own] >= 0.5]
        mixed = rng.permutation(kept if len(kept) >= _FEWEST else own)
        stop = max(1, len(mixed) // 6)
        scores = predictor(fit=mixed[stop:], stop=mixed[:stop], rng=rng)
        right = scoring.credit(rows.labels, scores)
    return scores


def _settled(
    learner: _Learner,
    rows: Rows,
    own: Int,
    plan: Plan,
    scoring: Scoring,
    scores: NDArray[np.float32],
    laps: tuple[Lap, ...],
    best: int,
) -> Split:
    """The split when the splitter has learnt the failures among all of its rows, not only among those drawn aside."""
    credit = scoring.credit(rows.labels, scores)
    failing = float((1.0 - credit[own]).mean())
    learner.teach(own, credit, float(np.clip(1.0 - failing, 0.02, 0.98)), schedule=plan.once)
    splitter = learner.head()
    score = sigmoid(splitter.logits(rows.splitter_inputs())[:, 0])
    # As many rows as fail: a network that is unsure of them would leave them all on the train side.
    count = round(failing * len(own))
    cut = float(np.sort(score[own])[-count]) if count else 0.5
    return Split(test=score >= cut, score=score, cut=cut, splitter=splitter, laps=laps, best=best, scores=scores)


def dealt(rows: Rows, folds: int, rng: np.random.Generator, *, by: Vector | None = None) -> Int:
    """(n,) fold of each row: whole groups where there are any, else the same shares of each class and of each `by`."""
    n = len(rows.labels)
    fold = np.empty(n, dtype=np.int64)
    if rows.group is not None and len(np.unique(rows.group)) >= 2 * folds:
        names, place = np.unique(rows.group, return_inverse=True)
        return np.asarray((rng.permutation(len(names)) % folds)[place])
    order = np.lexsort((rng.random(n), np.zeros(n) if by is None else by, rows.labels))
    fold[order] = np.arange(n) % folds
    return fold


def sigmoid(logits: NDArray[Any]) -> Vector:
    """(n,) probabilities of (n,) logits."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(np.asarray(logits, dtype=np.float64), -60.0, 60.0))))


def _thirds(train: Int, rng: np.random.Generator) -> tuple[Int, Int, Int]:
    """Two thirds to fit; the last third in halves, one to stop on and one that gives the validation score."""
    mixed = rng.permutation(train)
    fit = max(1, len(mixed) * 2 // 3)
    middle = fit + (len(mixed) - fit) // 2
    return mixed[:fit], mixed[fit:middle], mixed[middle:]


def _lap(loop: int, rows: Rows, scoring: Scoring, scores: NDArray[np.float32], held: Int, train: Int, test: Int) -> Lap:
    validation = 100.0 * scoring.share(rows.labels, scores, held)
    tested = 100.0 * scoring.share(rows.labels, scores, test)
    credit = scoring.credit(rows.labels, scores)
    lost_inside = float((1.0 - credit[test]).mean()) if len(test) else 0.0
    lost_held = float((1.0 - credit[held]).mean()) if len(held) else 0.0
    share = len(test) / max(1, len(test) + len(train))
    return Lap(
        loop=loop, gap=validation - tested, validation=validation, test=tested,
        train_count=len(train), test_count=len(test),
        train_labels=tuple(np.bincount(rows.labels[train], minlength=rows.classes).tolist()),
        test_labels=tuple(np.bincount(rows.labels[test], minlength=rows.classes).tolist()),
        failing=share * lost_inside + (1.0 - share) * lost_held,
    )  # fmt: skip


def _worth(lap: Lap) -> float:
    """The gap times the spread of the sides: a gap on few rows is easier to have than the same gap on many."""
    share = lap.test_count / max(1, lap.test_count + lap.train_count)
    worth = lap.gap * float(np.sqrt(share * (1.0 - share)))
    return worth if np.isfinite(worth) else -np.inf


def teach_once(
    rows: Rows, wrong: NDArray[np.float64], plan: Plan, *, rng: np.random.Generator, among: Int | None = None
) -> Head:
    """A splitter that learns in one round which of the rows `among` (all when None) are wrong, at the plan's ratio."""
    own = np.arange(len(rows.labels)) if among is None else np.asarray(among)
    learner = _Learner(rows, own, replace(plan, splitter=plan.once), rng)
    learner.teach(own, 1.0 - wrong, plan.ratio)
    return learner.head()


class _Learner:
    """The splitter while it learns."""

    def __init__(self, rows: Rows, own: Int, plan: Plan, rng: np.random.Generator) -> None:
        import torch

        self._rows, self._own, self._plan, self._rng = rows, own, plan, rng
        self._generator = generator_of(rng)
        self._inputs = as_features(rows.splitter_inputs())
        self._labels = torch.from_numpy(np.asarray(rows.labels, dtype=np.int64))
        schedule = plan.splitter
        self._layers: Layers = start_layers((self._inputs.shape[1], *schedule.hidden, 1), self._generator)
        self._adam = torch.optim.AdamW(
            parameters(self._layers), lr=schedule.step_size, weight_decay=schedule.decay, fused=True
        )

    def head(self) -> Head:
        """The splitter as it is now."""
        return frozen(self._layers)

    def sides(self, *, first: bool, ratio: float) -> Bool:
        """(m,) bool over its own rows: drawn into the test side."""
        draw = self._rng.random(len(self._own))
        if first:
            return np.asarray(draw < 1.0 - ratio)
        chance = sigmoid(self.head().logits(self._rows.splitter_inputs()[self._own])[:, 0])
        test = draw < chance
        if test.all() or not test.any():
            return np.asarray(draw < 1.0 - ratio)
        return np.asarray(test)

    def teach(self, test: Int, credit: Vector, ratio: float, *, schedule: Schedule | None = None) -> float:
        """Train on the test side until the loss settles; gives the mean loss of the last epoch."""
        import torch

        plan, schedule = self._plan, schedule or self._plan.splitter
        own = torch.from_numpy(self._own)
        side = torch.from_numpy(test)
        wrong = torch.from_numpy((1.0 - credit).astype(np.float32))
        recent: list[float] = []
        batch = schedule.batch
        # On some thousands of rows an epoch sees them about once, where it may be so long.
        steps = max(schedule.steps, min(len(self._own) // batch, _LONGEST))
        for _ in range(schedule.epochs):
            losses = torch.zeros(())
            for _ in range(steps):
                everyone = own[torch.randint(len(own), (batch,), generator=self._generator)]
                tested = side[torch.randint(len(side), (batch,), generator=self._generator)]
                loss = self._loss(everyone, tested, wrong, ratio)
                self._adam.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(parameters(self._layers), 1.0)
                self._adam.step()
                losses += loss.detach()
            mean = float(losses) / steps
            if len(recent) == 5:
                if mean > sum(recent) / 5.0 - plan.settle:
                    break
                recent.pop(0)
            recent.append(mean)
        return mean

    def _loss(self, everyone: Any, tested: Any, wrong: Any, ratio: float) -> Any:
        import torch
        import torch.nn.functional as functional

        plan = self._plan
        inputs = self._inputs[torch.cat([everyone, tested])]
        out = forward(self._layers, inputs, dropout=plan.splitter.dropout, generator=self._generator)[:, 0]
        aside = torch.sigmoid(out[: len(everyone)])
        gap = functional.binary_cross_entropy_with_logits(out[len(everyone) :], wrong[tested])
        share = size_term(aside, ratio)
        balance = balance_term(aside, self._labels[everyone], self._rows.classes)
        total = plan.w_gap + plan.w_ratio + plan.w_balance
        return (plan.w_gap * gap + plan.w_ratio * share + plan.w_balance * balance) / total


def size_term(aside: Any, ratio: float) -> Any:
    """Divergence of the mean share of the two sides from the target, halved as the paper's code averages over both."""
    import torch

    mean = aside.mean().clamp(1e-6, 1.0 - 1e-6)
    target = torch.tensor([ratio, 1.0 - ratio])
    return (target * (target.log() - torch.stack([1.0 - mean, mean]).log())).sum() / 2.0


def balance_term(aside: Any, labels: Any, classes: int) -> Any:
    """Divergence of the label shares on either side from those of the batch, averaged over the classes as published."""
    import torch

    one_hot = torch.nn.functional.one_hot(labels, classes).float()
    overall = one_hot.mean(dim=0)
    mass = torch.stack([1.0 - aside, aside])
    shares = (mass @ one_hot) / mass.sum(dim=1, keepdim=True).clamp_min(1e-6)
    # Classes that the batch lacks have no share to keep, and the clamp makes their term zero.
    ratio = overall.clamp_min(1e-6).log() - shares.clamp_min(1e-6).log()
    return (overall * ratio).sum() / (overall > 0).sum()
