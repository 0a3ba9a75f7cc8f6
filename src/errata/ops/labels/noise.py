"""How far each given label can be believed, judged by other rows: a ridge head, neighbours, a held-out model.

What a row says of itself is never used: the head predicts each row from all others in closed form, a row is none of
its own neighbours, and a model's scores enter only where it had not seen the label. So the judgement can be made again
for other labels in a moment, which is how lists of suspects are tried on flips that we planted ourselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from errata.ops.vectors.ground import standard_space

__all__ = [
    "Belief",
    "Estimate",
    "FlipTrial",
    "LabelJudge",
    "ListKind",
    "View",
    "confident_errors",
    "list_labels",
    "longest_prefix",
    "nearest_rows",
    "plant_flips",
]

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
ListKind = Literal["right", "given", "confident"]

PENALTIES = tuple(np.logspace(-3, 2, 6).tolist())
"""Ridge penalties tried, in units of the mean square of a dimension over all rows."""

NEAR_DIMENSIONS = 64
"""Neighbours are looked for in so many principal axes: beyond, distances cost more and say no more."""

FLIPPED = 50
"""One row in so many is flipped at a time, few enough to leave the judgement of the others as it is."""

FLIPS = 200
"""So many flips are planted in all, where that takes no more than MOST_TIMES turns."""

MOST_TIMES = 10

DRAWS = 50

MOST_FLIPPED = 0.9
"""Largest k times the floor: beyond, labels say nothing."""

MOST_EXPLAINED = 0.5
"""No list of which so many rows are as doubtful by what is believed alone: where classes overlap, right labels are."""

CHANCE = 0.01
"""No list as long as one in a hundred would be if labels were drawn from what is believed (`benchmarks/label_errors.py`
counts lists of right labels)."""

SHARES_FOUND = np.array([0.5, 0.6, 0.7, 0.8, 0.9])
"""Shares of the planted flips at whose doubt the rest is counted."""


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """One embedding of the judged rows, worked out once.

    turned      (m, r) float32 centred rows in their principal axes, those of most variance first
    squares     (r,) sums of squares along them
    neighbours  (m, j) int32 the nearest other rows
    """

    turned: NDArray[np.float32]
    squares: Floats
    neighbours: NDArray[np.int32]

    @staticmethod
    def of(values: NDArray[np.floating], *, neighbours: int) -> View:
        """The view of (m, d) finite values; dimensions are standardised and rows brought to length one first."""
        x = standard_space(values, unit=True)(values)
        x -= x.mean(axis=0)
        squares, axes = np.linalg.eigh(x.T @ x)
        keep = np.flatnonzero(squares > 1e-9 * max(float(squares[-1]), 1e-12))[::-1]
        turned = (x @ axes[:, keep]).astype(np.float32)
        near = nearest_rows(turned[:, :NEAR_DIMENSIONS], min(neighbours, len(x) - 1))
        return View(turned=turned, squares=squares[keep], neighbours=near)


def nearest_rows(x: NDArray[np.float32], count: int) -> NDArray[np.int32]:
    """(m, count) the nearest other rows of each row of (m, d), in no order."""
    x = np.ascontiguousarray(x)
    half = 0.5 * np.einsum("ij,ij->i", x, x)
    found = np.empty((len(x), count), dtype=np.int32)
    block = max(1, 16_000_000 // max(len(x), 1))
    for start in range(0, len(x), block):
        rows = np.arange(start, min(start + block, len(x)))
        away = half[None, :] - x[rows] @ x.T
        away[np.arange(len(rows)), rows] = np.inf
        found[rows] = np.argpartition(away, count - 1, axis=1)[:, :count] if count else found[rows]
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Belief:
    """What is believed of the true classes of m rows, and how many labels are flipped at random.

    true   (m, k) P(true class = c | x)
    floor  how likely a label is that only a flip can have put there; k - 1 times it is the share of flipped labels
    """

    true: Floats
    floor: float

    @property
    def labels(self) -> Floats:
        """(m, k) calibrated P(label = c | x), flips and all."""
        return np.asarray((1.0 - self.true.shape[1] * self.floor) * self.true + self.floor)

    def given(self, labels: Rows) -> Floats:
        """(m,) P(given label | x)."""
        return np.asarray(self.labels[np.arange(len(labels)), labels])


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelJudge:
    """Rows whose labels are judged, in one or several views, and what a held-out model says of them.

    views    embeddings of the m rows; at least one of `views` and `model` is there
    model    (m, k) probabilities of a model that had not seen these labels, or None
    classes  k, the number of classes
    """

    views: Sequence[View]
    model: Floats | None
    classes: int

    def believe(self, labels: Rows) -> Belief:
        """What every row is, given the labels (m,) of the other rows.

        The logarithms of what head, neighbours and model say are added, and labels are flipped at random, with weights
        and a share of flips that make the given labels most likely: three or four numbers from m rows, so that fitting
        them on the same rows flatters nobody.
        """
        said = [self._head(view, labels) for view in self.views]
        said += [self._vote(view, labels) for view in self.views if view.neighbours.shape[1]]
        if self.model is not None:
            said.append(np.log(np.clip(self.model, 1e-20, None)))
        return _pool(np.stack(said, axis=-1), labels)

    def _head(self, view: View, labels: Rows) -> Floats:
        """(m, k) leave-one-out predictions of the one-hot labels by ridge regression."""
        m = len(labels)
        one_hot = np.eye(self.classes)[labels]
        mean = one_hot.mean(axis=0)
        residual = one_hot - mean
        along = (view.turned.T @ residual.astype(np.float32)).astype(np.float64)
        unit = float(view.squares.mean()) if len(view.squares) else 1.0
        best, least = np.broadcast_to(mean, one_hot.shape), np.inf
        for penalty in PENALTIES:
            shrunk = 1.0 / (view.squares + penalty * unit)
            fitted = view.turned @ (shrunk[:, None] * along).astype(np.float32)
            leverage = np.minimum((view.turned**2) @ shrunk + 1.0 / m, 1.0 - 1e-6)[:, None]
            left = (residual - fitted) / (1.0 - leverage)
            error = float((left * left).sum())
            if error < least:
                best, least = one_hot - left, error
        return np.asarray(best)

    def _vote(self, view: View, labels: Rows) -> Floats:
        """(m, k) logarithm of each class's share among the neighbours, one vote added that the class rates share."""
        m, count = view.neighbours.shape
        cell = np.arange(m)[:, None] * self.classes + labels[view.neighbours]
        votes = np.bincount(cell.ravel(), minlength=m * self.classes).reshape(m, self.classes)
        rates = (np.bincount(labels, minlength=self.classes) + 0.5) / (m + 0.5 * self.classes)
        return np.asarray(np.log((votes + rates) / (count + 1.0)))


def _pool(said: Floats, labels: Rows) -> Belief:
    """What (m, k, j) log-terms say together: softmax of their weighted sum, seen through labels flipped at random."""
    from scipy.optimize import minimize

    m, k = said.shape[:2]
    rows = np.arange(m)
    own = said[rows, labels]

    def softmax(weights: Floats) -> Floats:
        z = said @ weights
        z -= z.max(axis=1, keepdims=True)
        np.exp(z, out=z)
        z /= z.sum(axis=1, keepdims=True)
        return np.asarray(z)

    def unlikely(at: Floats) -> tuple[float, Floats]:
        weights, floor = at[:-1], at[-1]
        true = softmax(weights)
        told = true[rows, labels]
        p = np.maximum((1.0 - k * floor) * told + floor, 1e-300)
        pull = (1.0 - k * floor) * told / p
        # A little pull to zero keeps the weights finite where the labels are told without fault.
        value = -float(np.log(p).mean()) + 0.5e-4 * float(weights @ weights)
        slope = np.einsum("i,ik,ikj->j", pull, true, said, optimize=True) / m - pull @ own / m + 1e-4 * weights
        return value, np.append(slope, -float(((1.0 - k * told) / p).mean()))

    start = np.append(np.full(said.shape[-1], 1.0), 0.01 / k)
    bounds = [(0.0, None)] * said.shape[-1] + [(0.0, MOST_FLIPPED / k)]
    found = np.asarray(minimize(unlikely, start, jac=True, method="L-BFGS-B", bounds=bounds).x)
    return Belief(true=softmax(found[:-1]), floor=float(found[-1]))


def longest_prefix(chance: Floats, alpha: float) -> Rows:
    """The rows, smallest first, of the longest list whose mean chance is at most alpha."""
    order = np.argsort(chance, kind="stable")
    means = np.cumsum(chance[order]) / np.arange(1, len(order) + 1)
    return np.asarray(order[: int(np.searchsorted(means, alpha, side="right"))])


def list_labels(belief: Belief, labels: Rows, kind: ListKind, *, trial: FlipTrial, alpha: float) -> Rows:
    """The rows to suspect, the most doubtful first.

    "right"      the longest list in which, by the trial, at most a share alpha of the labels is right
    "given"      the longest list whose mean P(given label | x) is at most alpha: mostly longer
    "confident"  what confident learning counts off its diagonal
    """
    if kind == "confident":
        return confident_errors(belief.labels, labels)
    given = belief.given(labels)
    if kind == "given":
        return longest_prefix(given, alpha)
    return np.argsort(given, kind="stable")[: trial.longest(1.0 - alpha)]


def confident_errors(p: Floats, labels: Rows) -> Rows:
    """The rows, least believed first, of (m, k) P(label = c | x) that confident learning counts off its diagonal.

    A row belongs to class j where p_j reaches the mean p_j of the rows labelled j; of several such the most likely.
    Rows that belong to another class than their label are listed by P(given label | x).

    Reference: C. Northcutt, L. Jiang, I. Chuang, "Confident learning: estimating uncertainty in dataset labels",
    JAIR, 2021.
    """
    k = p.shape[1]
    count = np.bincount(labels, minlength=k)
    mean = np.array([p[labels == c, c].mean() if count[c] else np.inf for c in range(k)])
    reached = p >= mean
    belongs = np.where(reached, p, -1.0).argmax(axis=1)
    listed = np.flatnonzero(reached.any(axis=1) & (belongs != labels))
    return np.asarray(listed[np.argsort(p[listed, labels[listed]], kind="stable")])


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What planted flips say of a list of suspects.

    precision  share of the list that is expected to be wrong, if wrong labels are like random flips; with `low`, `high`
    right      how many rows would be as doubtful with no wrong label at all, as a share of the list; beyond one half
               `precision` is no more than what they leave, and the share that is wrong may be larger
    found      share of the planted flips that the list would hold
    planted    how many flips were planted in all
    """

    precision: float
    low: float
    high: float
    right: float
    found: float
    planted: int


@dataclass(frozen=True, kw_only=True, eq=False)
class FlipTrial:
    """How doubtful labels look that we flipped ourselves, beside all the others; P(given label | x), each sorted.

    flips      one array per turn, of the planted flips
    rest       one array per turn, of the other rows
    explained  one array per turn: how many labels would be as doubtful as each of `rest`, were none flipped and each
               drawn from what is believed of its row; nothing is known of that where empty
    """

    flips: Sequence[Floats]
    rest: Sequence[Floats]
    explained: Sequence[Floats] = ()

    @property
    def planted(self) -> int:
        return sum(map(len, self.flips))

    def wrong(self) -> float:
        """How many labels of the rest are expected to be wrong, if wrong labels are like random flips.

        Rows of the rest that are as doubtful as the most doubtful half of the flips are nearly all wrong themselves;
        twice their number says how many there are. Likewise for other shares, of which the smallest answer counts.
        """
        turns = []
        for flips, rest in zip(self.flips, self.rest, strict=True):
            cuts = np.quantile(flips, SHARES_FOUND)
            turns.append(np.searchsorted(rest, cuts, side="right") / SHARES_FOUND)
        return float(np.mean(turns, axis=0).min())

    def found(self, sizes: Rows) -> Floats:
        """The share of flips that are as doubtful as the `sizes` most doubtful rows of the rest."""
        turns = [
            np.searchsorted(flips, rest[np.minimum(sizes, len(rest)) - 1], side="right") / len(flips)
            for flips, rest in zip(self.flips, self.rest, strict=True)
        ]
        return np.asarray(np.mean(turns, axis=0))

    def right(self, sizes: Rows) -> Floats:
        """The share of the `sizes` most doubtful rows of the rest that need no flip to be so doubtful."""
        turns = [explained[np.minimum(sizes, len(explained)) - 1] for explained in self.explained]
        return np.asarray(np.mean(turns, axis=0) / sizes if turns else np.zeros(len(sizes)))

    def longest(self, precision: float) -> int:
        """The length of the longest list of which at least this share is expected to be wrong; 0 for none.

        That flips are more doubtful than right labels is not taken for granted: where classes overlap, or an embedding
        says nothing of them, many a right label is as doubtful. More rows must be so than beliefs alone explain.
        """
        from scipy.special import gammainc

        sizes = np.arange(1, len(self.rest[0]) + 1)
        wrong = self.wrong() * self.found(sizes) >= precision * sizes
        right = self.right(sizes)
        by_chance = gammainc(sizes, np.maximum(right * sizes, 1e-12))  # that a Poisson number reaches the size
        good = np.flatnonzero(wrong & (right <= MOST_EXPLAINED) & (by_chance <= CHANCE))
        return int(sizes[good[-1]]) if len(good) else 0

    def estimate(self, size: int, rng: np.random.Generator) -> Estimate:
        """What the trial says of a list of so many rows, with limits from drawing rows and flips again."""
        sizes = np.array([size])
        right = float(self.right(sizes)[0])
        # Beliefs are a little too doubtful beside flips: up to a half of a list that says nothing against the trial.
        most = 1.0 if right <= MOST_EXPLAINED else max(0.0, 1.0 - right)

        def precision(trial: FlipTrial) -> float:
            return min(most, trial.wrong() * float(trial.found(sizes)[0]) / size)

        def drawn(values: Floats) -> Floats:
            return np.sort(rng.choice(values, len(values)))

        draws = [
            precision(FlipTrial(flips=[drawn(turn) for turn in self.flips], rest=[drawn(turn) for turn in self.rest]))
            for _ in range(DRAWS)
        ]
        low, high = np.quantile(draws, [0.05, 0.95])
        at = precision(self)
        return Estimate(
            precision=at, low=min(float(low), at), high=max(float(high), at), right=right,
            found=float(self.found(sizes)[0]), planted=self.planted,
        )  # fmt: skip


def plant_flips(judge: LabelJudge, labels: Rows, belief: Belief, rng: np.random.Generator) -> FlipTrial:
    """Flip labels at random, a few at a time, and judge all rows again.

    Only rows whose label is the likeliest class are flipped: one that is wrong may turn right. Real wrong labels are
    likelier between classes that look alike, so what a trial says of them is an estimate and no proof.
    """
    m = len(labels)
    free = np.flatnonzero(belief.true.argmax(axis=1) == labels)
    number = min(max(m // FLIPPED, 5), len(free))
    times = min(max(-(-FLIPS // max(number, 1)), 2), MOST_TIMES) if number else 0
    flips, rest, explained = [], [], []
    for _ in range(times):
        chosen = rng.choice(free, size=number, replace=False)
        flipped = labels.copy()
        flipped[chosen] = (labels[chosen] + rng.integers(1, judge.classes, size=len(chosen))) % judge.classes
        believed = judge.believe(flipped)
        given = believed.given(flipped)
        planted = np.zeros(m, dtype=bool)
        planted[chosen] = True
        flips.append(np.sort(given[planted]))
        rest.append(np.sort(given[~planted]))
        explained.append(_explained(believed, rest[-1]))
    return FlipTrial(flips=flips, rest=rest, explained=explained)


def _explained(belief: Belief, cuts: Floats) -> Floats:
    """How many labels are expected at or below each P(given label | x), where each is drawn from what is believed."""
    chance = belief.labels.ravel()
    order = np.argsort(chance)
    total = np.concatenate(([0.0], np.cumsum(belief.true.ravel()[order])))
    return np.asarray(total[np.searchsorted(chance[order], cuts, side="right")])
