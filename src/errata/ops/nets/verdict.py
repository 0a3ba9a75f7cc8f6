"""Whether a learnt split says anything: failures that the predictor's own doubts do not foresee.

Any learner fails on some rows, those near the borders of the classes, and a splitter that reads input and label finds
them: a large gap alone says nothing. What clean data do not have are failures where predictors are as sure as they ever
are: wrong labels, and groups to which the usual rule does not apply. They leave a floor of doubt: a share of labels
that look drawn at random whatever the input, beyond what beliefs at their best temperature account for.

The rows are cut in folds, each judged by heads that were trained on the others, several times over because one cut says
little. The statistic is how many of 100 failures the floor accounts for. The null are labels drawn from the predictor's
own beliefs, calibrated without a floor: under it rows are hard where the predictor knows that they are hard, nowhere
else. Draws go through the same calibration, and end as soon as their outcome is settled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Int
from errata.ops.nets.heads import HeadPredictor
from errata.ops.nets.scoring import Scoring
from errata.ops.nets.splitting import Predictor, Rows, dealt
from errata.stats import sequential

__all__ = ["Belief", "Judged", "Verdict", "calibrated", "judge", "settle"]

_TEMPERATURES = np.exp(np.linspace(np.log(0.25), np.log(6.0), 33))
_EVERY = 2
"""Of the temperatures, those that draws go through; both sides of the comparison go through the same ones."""
_FOLDS, _REPEATS = 3, 4
_SUPPORT = 2.0
"""Log-likelihood that beliefs must gain over the frequencies of the classes; chance gains so much in 1 of 40."""
_FLOOR_SUPPORT = 0.5
"""Mean log-likelihood that a floor must gain before draws are made for it; half of what the 95 % limit comes to."""
_LEAST_FLOOR, _MOST_FLOOR, _STEPS = 1e-4, 0.95, 9
_ROWS = 5_000
"""Most rows that draws are made of: a share of failures is known well enough from so many."""
_CALIBRATED, _BLOCK = 50_000, 20
"""Most rows that a belief is calibrated on, and draws between two looks at their outcome."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Belief:
    """What predictors believe of each row, calibrated on rows that they were not trained on.

    temperature  what logits are divided by
    floor        share of labels that look drawn at random whatever the input
    doubt        (n,) float64: probability that the given label is one of those
    support      log-likelihood that the floor gains over none
    knows        log-likelihood that belief and floor gain over the frequencies of the classes
    """

    temperature: float
    floor: float
    doubt: NDArray[np.float64]
    support: float
    knows: float


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether there is a systematic split.

    systematic  the gap is beyond the null at `alpha`, and at least `least` points above its mean
    gap         of the data: of 100 failures on rows that predictors had not seen, how many the floor of doubt accounts
                for; of a frozen model: points between the error rates of the sides, on rows the splitter never saw
    null_mean, null_limit
                mean and 1 - alpha quantile of that under the null
    p_value     of the gap, under the null
    share       of the data: share of the held-out rows that predictors fail on; of a frozen model: of rows set aside
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
        if np.isfinite(self.floor):
            return (
                f"{head}: predictors fail on {100 * self.share:.0f} % of rows that they were not trained on, and "
                f"{self.gap:.0f} of 100 failures look drawn whatever the input; {self.null} would show "
                f"{self.null_mean:.0f} (95 % of draws below {self.null_limit:.0f}), p = {self.p_value:.3g}{self._few}."
            )
        return (
            f"{head}: gap {self.gap:.1f} on held-out rows; {self.null} would show {self.null_mean:.1f} "
            f"(95 % of draws below {self.null_limit:.1f}), p = {self.p_value:.3g}{self._few}."
        )

    @property
    def _few(self) -> str:
        """Why a gap beyond all draws is no split: a null that is not quite right is exceeded by little."""
        beyond = not self.systematic and self.gap > self.null_limit
        return "; that is beyond chance, but less than the least gap that counts" if beyond else ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """A verdict with the belief that it rests on."""

    verdict: Verdict
    belief: Belief


@dataclass(frozen=True, kw_only=True, eq=False)
class _Fit:
    """Temperature and floor that make labels likeliest, for each of b sets of labels.

    at             (b,) index of the temperature
    floor, reached (b,) the floor, and the log-likelihood with it
    plain_at, plain
                   (b,) the same without a floor
    """

    at: Int
    floor: NDArray[np.float64]
    reached: NDArray[np.float64]
    plain_at: Int
    plain: NDArray[np.float64]


class _Reading:
    """Out-of-fold scores (n, k) of some rows at several temperatures, without a table of n times k for each of them."""

    def __init__(self, scores: NDArray[Any], temperatures: NDArray[np.float64]) -> None:
        self.logs = np.log(np.maximum(np.asarray(scores, dtype=np.float32), 1e-12))
        self.temperatures = temperatures
        self._mass = np.empty((len(temperatures), len(self.logs)), dtype=np.float32)
        for at, temperature in enumerate(temperatures):
            self._mass[at] = np.log(np.exp(self.logs / np.float32(temperature)).sum(axis=1))

    def own(self, labels: Int) -> NDArray[np.float32]:
        """(b, temperatures, n) probability of each row's label, for (b, n) labels."""
        picked = self.logs[np.arange(len(self.logs)), labels]
        inverse = (1.0 / self.temperatures).astype(np.float32)
        return np.asarray(np.exp(picked[:, None, :] * inverse[None, :, None] - self._mass[None]))

    def clear(self, at: int) -> NDArray[np.float64]:
        """(n, k) probabilities at one temperature."""
        return np.asarray(np.exp(self.logs / self.temperatures[at] - self._mass[at][:, None].astype(np.float64)))

    def fit(self, labels: Int) -> _Fit:
        """The best temperature and floor of each of (b, n) label sets: the floor by Newton's steps, it is concave."""
        own = self.own(labels)
        away = np.float32(1.0 / self.logs.shape[1]) - own
        floor = np.full(own.shape[:2], 0.02, dtype=np.float32)
        for _ in range(_STEPS):
            pull = away / (own + floor[..., None] * away)
            step = pull.sum(axis=-1) / np.maximum(np.einsum("btn,btn->bt", pull, pull), 1e-9)
            floor = np.clip(floor + step, _LEAST_FLOOR, _MOST_FLOOR)
        with_floor = np.log(own + floor[..., None] * away).sum(axis=-1, dtype=np.float64)
        without = np.log(np.maximum(own, 1e-30)).sum(axis=-1, dtype=np.float64)
        floor = np.where(without >= with_floor, 0.0, floor)
        with_floor = np.maximum(with_floor, without)
        each = np.arange(len(labels))
        at, plain_at = with_floor.argmax(axis=1), without.argmax(axis=1)
        return _Fit(
            at=at, floor=floor[each, at].astype(np.float64), reached=with_floor[each, at], plain_at=plain_at,
            plain=without[each, plain_at],
        )  # fmt: skip


def calibrated(scores: NDArray[Any], labels: Int) -> Belief:
    """Temperature and floor that make the given labels likeliest, and what follows for every row.

    scores  (n, k) probabilities of rows that the predictor was not trained on
    """
    n, k = scores.shape
    # Two numbers are fitted: more rows would cost memory and change little.
    some = np.arange(n) if n <= _CALIBRATED else np.random.default_rng(0).choice(n, _CALIBRATED, replace=False)
    fit = _Reading(scores[some], _TEMPERATURES).fit(labels[some][None])
    at, floor = int(fit.at[0]), float(fit.floor[0])
    own = _Reading(scores, _TEMPERATURES[at : at + 1]).own(labels[None])[0, 0].astype(np.float64)
    doubt = (floor / k) / np.maximum((1.0 - floor) * own + floor / k, 1e-300)
    counts = np.bincount(labels[some])
    bare = float((counts[counts > 0] * np.log(counts[counts > 0] / len(some))).sum())
    return Belief(
        temperature=float(_TEMPERATURES[at]), floor=floor, doubt=doubt,
        support=float(fit.reached[0] - fit.plain[0]), knows=float(fit.reached[0]) - bare,
    )  # fmt: skip


def judge(
    rows: Rows,
    predictor: Predictor,
    *,
    scoring: Scoring,
    rng: np.random.Generator,
    draws: int = 200,
    alpha: float = 0.05,
    least: float = 12.5,
    shortcut: bool = False,
    each: Callable[[float, str], None] | None = None,
) -> Judged:
    """The verdict on a data set and a kind of predictor, and what was believed of every row on the way.

    draws     most label sets drawn under the null
    least     points above the mean of the null that a systematic split must have
    shortcut  make no draws where beliefs alone say that there is nothing: predictors know nothing of the labels, or the
              labels show no floor of doubt
    each      is called with the share done and a word on what is being done
    """
    # A network of the user's own may take minutes to train.
    repeats = _REPEATS if isinstance(predictor, HeadPredictor) else 1
    scores = []
    for repeat in range(repeats):
        if each is not None:
            each(repeat / (repeats + 1), "is the split more than chance?")
        scores.append(_out_of_fold(rows, predictor, rng))
    belief = _mean([calibrated(one, rows.labels) for one in scores])
    plain = _plain(belief) if shortcut else ""
    if plain:
        nan = float("nan")
        said = Verdict(systematic=False, gap=nan, null_mean=nan, null_limit=nan, p_value=1.0, share=nan,
                       floor=belief.floor, null="", why=plain)  # fmt: skip
        return Judged(verdict=said, belief=belief)
    n = len(rows.labels)
    some = np.arange(n) if n <= _ROWS else np.sort(rng.choice(n, _ROWS, replace=False))
    world = _World([one[some] for one in scores], rows.labels[some], scoring)
    verdict = world.verdict(rng, draws=draws, alpha=alpha, least=least, floor=belief.floor)
    return Judged(verdict=verdict, belief=belief)


def _out_of_fold(rows: Rows, predictor: Predictor, rng: np.random.Generator) -> NDArray[np.float32]:
    """(n, k) probabilities of every row by a predictor that was trained on the other folds."""
    fold = dealt(rows, _FOLDS, rng)
    believed = np.empty((len(rows.labels), rows.classes), dtype=np.float32)
    for part in range(_FOLDS):
        held: Bool = fold == part
        mixed = rng.permutation(np.flatnonzero(~held))
        stop = max(1, len(mixed) // 5)
        believed[held] = predictor(fit=mixed[stop:], stop=mixed[:stop], rng=rng)[held]
    return believed


def _mean(beliefs: list[Belief]) -> Belief:
    def of(name: str) -> float:
        return float(np.mean([getattr(belief, name) for belief in beliefs]))

    return Belief(
        temperature=of("temperature"), floor=of("floor"), support=of("support"), knows=of("knows"),
        doubt=np.mean([belief.doubt for belief in beliefs], axis=0),
    )  # fmt: skip


def _plain(belief: Belief) -> str:
    """Why there is nothing to look for, "" where there may be."""
    if belief.knows < _SUPPORT:
        return "predictors know no more of held-out labels than how frequent the classes are"
    if belief.support < _FLOOR_SUPPORT:
        return "labels follow the predictor's own doubts as they are"
    return ""


class _World:
    """The held-out rows with what each round of predictors says of them, and what it costs to have which label."""

    def __init__(self, scores: list[NDArray[np.float32]], labels: Int, scoring: Scoring) -> None:
        self._labels = labels
        self._readings = [_Reading(one, _TEMPERATURES[::_EVERY]) for one in scores]
        self._lost = [1.0 - scoring.credits(labels, one) for one in scores]

    def verdict(self, rng: np.random.Generator, *, draws: int, alpha: float, least: float, floor: float) -> Verdict:
        """The unforeseen share of the failures beside the same share of drawn labels."""
        fits = [reading.fit(self._labels[None]) for reading in self._readings]
        gap = float(self._unforeseen([self._labels[None]] * len(fits))[0])
        edges = [
            np.cumsum(reading.clear(int(fit.plain_at[0])), axis=1)[:, :-1]
            for reading, fit in zip(self._readings, fits, strict=True)
        ]
        null = np.empty(0)
        while len(null) < draws:
            # One number per row and draw: rounds that believe alike draw alike, as they share the labels of the data.
            chance = rng.random((min(_BLOCK, draws - len(null)), len(self._labels)))
            drawn = [np.array([(row[:, None] > edge).sum(axis=1) for row in chance]) for edge in edges]
            null = np.concatenate([null, self._unforeseen(drawn)])
            reached = int((null >= gap).sum())
            if sequential.verdict(reached, len(null), alpha=alpha, most=draws) != "open":
                break
        p_value, mean = sequential.p_value(reached, len(null)), float(null.mean())
        at = np.arange(len(self._labels))
        return Verdict(
            systematic=p_value <= alpha and gap - mean >= least, gap=gap, null_mean=mean,
            null_limit=float(np.quantile(null, 1.0 - alpha)), p_value=p_value,
            share=float(np.mean([lost[at, self._labels].mean() for lost in self._lost])), floor=floor,
            null="labels that follow the predictor's own doubts",
        )  # fmt: skip

    def _unforeseen(self, labels: list[Int]) -> NDArray[np.float64]:
        """(b,) of 100 failures, how many the floor accounts for, averaged over the rounds; (b, n) labels for each."""
        at = np.arange(len(self._labels))
        shares = []
        for reading, lost, given in zip(self._readings, self._lost, labels, strict=True):
            failing = lost[at, given].mean(axis=1)
            drawn = reading.fit(given).floor * float(lost.mean())
            shares.append(100.0 * np.minimum(drawn / np.maximum(failing, 1e-9), 1.0))
        return np.asarray(np.mean(shares, axis=0))


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
