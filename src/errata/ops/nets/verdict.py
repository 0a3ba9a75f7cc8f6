"""Whether a learnt split says anything: its gap on rows it never saw, beside the gap that clean data would show.

Any learner fails on some rows, those near the borders of the classes, and a splitter that reads input and label finds
them: a large gap alone says nothing. The null is therefore: every label is drawn from what a predictor of the same kind
believes of its input, calibrated, and without the floor of doubt that no input explains. Under it rows are hard where
the predictor knows that they are hard, and nowhere else. Wrong labels, and groups to which the usual rule does not
apply, are failures that it does not see coming.

The rows are cut in three; each third is judged by a split, a predictor and a belief learnt on the others. For each draw
of labels under the null the same splitters and predictors give the gap again, with as many rows set aside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Int
from errata.ops.nets.heads import Head
from errata.ops.nets.scoring import Scoring
from errata.ops.nets.splitting import Plan, Predictor, Rows, dealt, learn_split, sigmoid

__all__ = ["Belief", "Judged", "Verdict", "calibrated", "judge", "settle"]

_TEMPERATURES = np.exp(np.linspace(np.log(0.25), np.log(6.0), 33))
_FOLDS, _LOOPS = 3, 12
_SUPPORT = 2.0
"""Log-likelihood that a floor of doubt must gain before splits are learnt for it: chance gains so much in 1 of 40."""
_FLOORS = np.concatenate([[0.0], np.geomspace(1e-3, 0.9, 40)])


@dataclass(frozen=True, kw_only=True, eq=False)
class Belief:
    """What a predictor believes of each row, calibrated on rows that it was not trained on.

    clear        (n, k) float64 probabilities at that temperature, without the floor
    temperature  what logits are divided by
    floor        share of labels that look drawn at random whatever the input
    doubt        (n,) float64: probability that the given label is one of those
    support      log-likelihood that the floor gains over none
    knows        log-likelihood that belief and floor gain over the frequencies of the classes
    """

    clear: NDArray[np.float64]
    temperature: float
    floor: float
    doubt: NDArray[np.float64]
    support: float
    knows: float


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether there is a systematic split.

    systematic  the gap is beyond the null at `alpha`, and at least `least` points above its mean
    gap         metric on the rest minus metric on the rows set aside, in points, on rows that the splitter never saw
    null_mean, null_limit
                mean and 1 - alpha quantile of that gap under the null
    p_value     (1 + draws with at least the gap) / (1 + draws)
    share       share of the held-out rows that are set aside
    floor       share of labels that look drawn at random whatever the input; NaN for a frozen model
    null        in words: what was drawn
    why         in words: why nothing was drawn, where the answer was plain before
    """

    systematic: bool
    gap: float
    null_mean: float
    null_limit: float
    p_value: float
    share: float
    floor: float
    null: str
    why: str = ""

    @property
    def words(self) -> str:
        """The verdict as a sentence or two."""
        head = "Systematic split" if self.systematic else "No systematic split"
        if self.why or not np.isfinite(self.gap):
            return f"{head}: {self.why or 'the metric is not defined on one of the sides'}."
        return (
            f"{head}: gap {self.gap:.1f} on held-out rows; {self.null} would show {self.null_mean:.1f} "
            f"(95 % of draws below {self.null_limit:.1f}), p = {self.p_value:.3g}."
        )


def calibrated(scores: NDArray[Any], labels: Int) -> Belief:
    """Temperature and floor that make the given labels likeliest, and what follows for every row.

    scores  (n, k) probabilities of rows that the predictor was not trained on
    """
    logs = np.log(np.maximum(np.asarray(scores, dtype=np.float64), 1e-12))
    n, k = logs.shape
    rows = np.arange(n)
    likelihood = np.empty((len(_TEMPERATURES), len(_FLOORS)))
    for at, temperature in enumerate(_TEMPERATURES):
        own = _softmax(logs / temperature)[rows, labels]
        likelihood[at] = np.log(np.maximum((1.0 - _FLOORS) * own[:, None] + _FLOORS / k, 1e-300)).sum(axis=0)
    best, of = divmod(int(likelihood.argmax()), len(_FLOORS))
    temperature, floor = float(_TEMPERATURES[best]), float(_FLOORS[of])
    clear = _softmax(logs / temperature)
    own = clear[rows, labels]
    doubt = (floor / k) / np.maximum((1.0 - floor) * own + floor / k, 1e-300)
    support = float(likelihood.max() - likelihood[:, 0].max())
    counts = np.bincount(labels)
    knows = float(likelihood.max() - (counts[counts > 0] * np.log(counts[counts > 0] / n)).sum())
    return Belief(clear=clear, temperature=temperature, floor=floor, doubt=doubt, support=support, knows=knows)


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Part:
    """Held-out rows, and what was learnt on the others.

    aside    (m, k) score of the splitter for every row with every label
    scores   (m, k) probabilities by the predictor of the train side
    """

    rows: Int
    aside: NDArray[np.float64]
    scores: NDArray[np.float32]
    count: int

    def gap(self, labels: Int, scoring: Scoring) -> float:
        """The gap in points when the rows have these labels and `count` of them are set aside."""
        order = np.argsort(-self.aside[np.arange(len(labels)), labels], kind="stable")
        inside, rest = order[: self.count], order[self.count :]
        return 100.0 * (scoring.share(labels, self.scores, rest) - scoring.share(labels, self.scores, inside))


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """A verdict with the belief that it rests on."""

    verdict: Verdict
    belief: Belief


def judge(
    rows: Rows,
    predictor: Predictor,
    plan: Plan,
    *,
    scoring: Scoring,
    rng: np.random.Generator,
    draws: int = 200,
    alpha: float = 0.05,
    least: float = 10.0,
    shortcut: bool = False,
    each: Callable[[float, str], None] | None = None,
) -> Judged:
    """The verdict on a data set and a kind of predictor, and what was believed of every row on the way.

    draws     label sets drawn under the null
    least     points above the mean of the null that a systematic split must have
    shortcut  learn no splits where beliefs alone say that there is nothing: predictors know nothing of the
              labels, or the labels show no floor of doubt
    each      is called with the share done and a word on what is being done
    """
    n = len(rows.labels)
    fold = dealt(rows, _FOLDS, rng)
    belief = _believed(rows, predictor, fold, rng)
    plain = _plain(belief) if shortcut else ""
    if plain:
        nan = float("nan")
        said = Verdict(systematic=False, gap=nan, null_mean=nan, null_limit=nan, p_value=1.0, share=nan,
                       floor=belief.floor, null="", why=plain)  # fmt: skip
        return Judged(verdict=said, belief=belief)
    parts = []
    for part in range(_FOLDS):
        if each is not None:
            each(part / _FOLDS, "is the split more than chance?")
        parts.append(_part(rows, predictor, plan, scoring, rng, fold != part))
    edges = np.cumsum(belief.clear, axis=1)[:, :-1]
    drawn = [_mean_gap(parts, (rng.random(n)[:, None] > edges).sum(axis=1), scoring) for _ in range(draws)]
    verdict = settle(
        _mean_gap(parts, rows.labels, scoring), np.array(drawn), share=sum(part.count for part in parts) / n,
        floor=belief.floor, null_words="labels that follow the predictor's own doubts", alpha=alpha, least=least,
    )  # fmt: skip
    return Judged(verdict=verdict, belief=belief)


def _believed(rows: Rows, predictor: Predictor, fold: Int, rng: np.random.Generator) -> Belief:
    """What predictors trained on the other folds believe of every row."""
    believed = np.empty((len(rows.labels), rows.classes), dtype=np.float64)
    for part in range(_FOLDS):
        held = fold == part
        mixed = rng.permutation(np.flatnonzero(~held))
        stop = max(1, len(mixed) // 5)
        believed[held] = predictor(fit=mixed[stop:], stop=mixed[:stop], rng=rng)[held]
    return calibrated(believed, rows.labels)


def _plain(belief: Belief) -> str:
    """Why there is nothing to look for, "" where there may be."""
    if belief.knows < _SUPPORT:
        return "predictors know no more of held-out labels than how frequent the classes are"
    if belief.support < _SUPPORT:
        return "labels follow the predictor's own doubts as they are"
    return ""


def _part(
    rows: Rows, predictor: Predictor, plan: Plan, scoring: Scoring, rng: np.random.Generator, learnt: Bool
) -> _Part:
    """A split learnt on some rows, as it looks on the others."""
    own, held = np.flatnonzero(learnt), np.flatnonzero(~learnt)
    # What the verdict compares has settled after a few loops: the null goes through the same ones.
    brief = replace(plan, loops=min(plan.loops, _LOOPS))
    split = learn_split(rows, predictor, brief, scoring=scoring, rng=rng, among=own)
    aside = _every_label(rows, split.splitter, held)
    count = int((aside[np.arange(len(held)), rows.labels[held]] >= split.cut).sum())
    count = int(np.clip(count, 1, max(1, len(held) - 1)))
    return _Part(rows=held, aside=aside, scores=split.scores[held], count=count)


def settle(
    gap: float, null: NDArray[np.float64], *, share: float, floor: float, null_words: str, alpha: float, least: float
) -> Verdict:
    """The verdict of a gap beside the gaps under the null; draws on which the metric is not defined are left out."""
    known = null[np.isfinite(null)]
    if not len(known) or not np.isfinite(gap):
        nan = float("nan")
        return Verdict(systematic=False, gap=gap, null_mean=nan, null_limit=nan, p_value=1.0, share=share,
                       floor=floor, null=null_words)  # fmt: skip
    p_value = float((1 + (known >= gap).sum()) / (1 + len(known)))
    mean = float(known.mean())
    return Verdict(
        systematic=p_value <= alpha and gap - mean >= least, gap=gap, null_mean=mean,
        null_limit=float(np.quantile(known, 1.0 - alpha)), p_value=p_value, share=share, floor=floor, null=null_words,
    )  # fmt: skip


def _mean_gap(parts: list[_Part], labels: Int, scoring: Scoring) -> float:
    gaps = np.array([part.gap(labels[part.rows], scoring) for part in parts])
    sizes = np.array([len(part.rows) for part in parts], dtype=np.float64)
    known = np.isfinite(gaps)
    return float((gaps[known] * sizes[known]).sum() / sizes[known].sum()) if known.any() else float("nan")


def _every_label(rows: Rows, splitter: Head, held: Int) -> NDArray[np.float64]:
    part = Rows(
        features=rows.features[held], labels=rows.labels[held], classes=rows.classes, with_label=rows.with_label
    )
    if not rows.with_label:
        alone = sigmoid(splitter.logits(part.features)[:, 0])
        return np.repeat(alone[:, None], rows.classes, axis=1)
    each = [splitter.logits(part.splitter_inputs(np.full(len(held), k)))[:, 0] for k in range(rows.classes)]
    return np.column_stack([sigmoid(logits) for logits in each])
