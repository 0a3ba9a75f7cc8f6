"""Second opinions on labels: neighbours, and ridge regression on random features; each row judged without itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Float, Int

__all__ = ["Opinion", "kth_distance", "opinion", "opinion_from", "within"]

NEIGHBOURS = 15
FOLDS = 5
RANDOM_FEATURES = 300
RIDGE = 1e-2  # per row, on features of unit size
_BLOCK = 1_024


@dataclass(frozen=True, kw_only=True, eq=False)
class Opinion:
    """What two models say of each of n rows.

    near    (n, k) shares of the classes among the 15 nearest other rows
    smooth  (n, k) of a smooth model, cross-fitted in five folds
    nearest (n, 15) which rows those are
    """

    near: Float
    smooth: Float
    nearest: NDArray[np.int64]

    @property
    def mean(self) -> Float:
        """(n, k) both together."""
        return np.asarray(0.5 * (self.near + self.smooth))

    @property
    def best(self) -> NDArray[np.int64]:
        """(n,) the class that both together take a row for."""
        return np.asarray(self.mean.argmax(axis=1))

    def sure(self, labels: Int, predicted: Int, rows: Bool) -> float:
        """Share of some rows for which both take the predicted class to be more likely than the given one."""
        place = np.flatnonzero(rows)
        if not len(place):
            return 0.0
        sides = [part[place, predicted[place]] > part[place, labels[place]] for part in (self.near, self.smooth)]
        return float((sides[0] & sides[1]).mean())

    def clustered(self, labels: Int, rows: Bool) -> float:
        """Mean share of the five nearest neighbours of some rows that have the same label as they."""
        place = np.flatnonzero(rows)
        return float((labels[self.nearest[place, :5]] == labels[place, None]).mean())


def opinion(features: Float, labels: Int, *, classes: int, seed: int = 0) -> Opinion:
    """Opinions on all rows from the others; features (n, d) standardised."""
    nearest = _nearest(features, features, k=min(NEIGHBOURS, len(features) - 1), same=True)
    near = np.stack([(labels[nearest] == code).mean(axis=1) for code in range(classes)], axis=1)
    return Opinion(near=near, smooth=_cross_fitted(features, labels, classes, seed), nearest=nearest)


def opinion_from(known: Float, labels: Int, asked: Float, *, classes: int, seed: int = 0) -> Float:
    """(m, k) mean of both models fitted on `known` rows, of the rows `asked`."""
    nearest = _nearest(asked, known, k=min(NEIGHBOURS, len(known)), same=False)
    near = np.stack([(labels[nearest] == code).mean(axis=1) for code in range(classes)], axis=1)
    lift = _Lifted.of(known, seed)
    design = lift(known)
    weights = _solved(design.T @ design, design.T @ _one_hot(labels, classes), len(known))
    return np.asarray(0.5 * (near + _probabilities(lift(asked) @ weights)))


def kth_distance(rows: Float, there: Float, *, k: int, same: bool) -> Float:
    """(n,) distance to the k-th nearest of the rows `there`, without the row itself where they are the same rows."""
    if not len(there) or not len(rows):
        return np.full(len(rows), np.inf)
    k = max(1, min(k, len(there) - same))
    result = np.empty(len(rows))
    for start in range(0, len(rows), _BLOCK):
        squares = _squares(rows[start : start + _BLOCK], there)
        if same:
            own = np.arange(start, start + len(squares))
            squares[np.arange(len(squares)), own] = np.inf
        result[start : start + _BLOCK] = np.sqrt(np.partition(squares, k - 1, axis=1)[:, k - 1])
    return result


def within(rows: Float, there: Float, reach: Float) -> NDArray[np.int64]:
    """(n,) how many of the rows `there` lie within the reach (n,) of each row."""
    counts = np.zeros(len(rows), dtype=np.int64)
    for start in range(0, len(rows), _BLOCK):
        block = slice(start, start + _BLOCK)
        counts[block] = (_squares(rows[block], there) <= reach[block, None] ** 2).sum(axis=1)
    return counts


def _squares(rows: Float, there: Float) -> Float:
    squares = (rows**2).sum(axis=1)[:, None] + (there**2).sum(axis=1)[None] - 2.0 * rows @ there.T
    return np.asarray(np.maximum(squares, 0.0))


def _nearest(rows: Float, there: Float, *, k: int, same: bool) -> NDArray[np.int64]:
    found = np.empty((len(rows), k), dtype=np.int64)
    for start in range(0, len(rows), _BLOCK):
        squares = _squares(rows[start : start + _BLOCK], there)
        if same:
            squares[np.arange(len(squares)), np.arange(start, start + len(squares))] = np.inf
        some = np.argpartition(squares, k - 1, axis=1)[:, :k]
        order = np.argsort(np.take_along_axis(squares, some, axis=1), axis=1)
        found[start : start + _BLOCK] = np.take_along_axis(some, order, axis=1)
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class _Lifted:
    """Rows as they are and random waves of them, so that a linear model bends.

    Reference: A. Rahimi and B. Recht, Random features for large-scale kernel machines, NeurIPS 2007.
    """

    waves: Float
    phase: Float

    @staticmethod
    def of(features: Float, seed: int) -> _Lifted:
        rng = np.random.default_rng([seed, 20_070])
        some = features[rng.choice(len(features), size=min(400, len(features)), replace=False)]
        squares = _squares(some, some)
        width = float(np.sqrt(max(float(np.median(squares)), 1e-12)))
        waves = rng.normal(size=(features.shape[1], RANDOM_FEATURES)) / width * np.sqrt(2.0)
        return _Lifted(waves=waves, phase=rng.uniform(0.0, 2.0 * np.pi, RANDOM_FEATURES))

    def __call__(self, features: Float) -> Float:
        bent = np.cos(features @ self.waves + self.phase) * np.sqrt(2.0)
        return np.concatenate([np.ones((len(features), 1)), features, bent], axis=1)


def _cross_fitted(features: Float, labels: Int, classes: int, seed: int) -> Float:
    lift = _Lifted.of(features, seed)
    design, target = lift(features), _one_hot(labels, classes)
    gram, moment = design.T @ design, design.T @ target
    fold = np.random.default_rng([seed, 5]).permutation(len(labels)) % FOLDS
    result = np.empty((len(labels), classes))
    for part in range(FOLDS):
        rows = fold == part
        left = design[rows]
        weights = _solved(gram - left.T @ left, moment - left.T @ target[rows], int((~rows).sum()))
        result[rows] = left @ weights
    return _probabilities(result)


def _solved(gram: Float, moment: Float, rows: int) -> Float:
    penalty = np.full(len(gram), RIDGE * max(rows, 1))
    penalty[0] = 1e-6
    return np.asarray(np.linalg.solve(gram + np.diag(penalty), moment))


def _one_hot(labels: Int, classes: int) -> Float:
    return np.asarray(labels[:, None] == np.arange(classes)[None], dtype=np.float64)


def _probabilities(values: Float) -> Float:
    kept = np.clip(values, 0.01, 0.99)
    return np.asarray(kept / kept.sum(axis=1, keepdims=True))
