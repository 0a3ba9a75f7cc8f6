"""The two steps of EM for error-aware mixtures, as matrix products between components and rows laid out as features.

A row is (1, x, x * x, one-hot label): the log-likelihood of a component is linear in it, and so are the sums that the
next mixture is made of. Soft predictions (and full covariances) are the only parts that need more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["FLOOR", "Covariance", "Outcome", "Parameters", "Plan", "Rows", "Soft", "Step", "Sums"]

Covariance = Literal["diag", "full"]
Soft = Literal["exact", "published"]
Array = NDArray[np.floating[Any]]

FLOOR = 1e-12
"""Least share of a class in a component: a share of zero would forbid the component for good."""
_HELD = 1 << 28
"""Bytes up to which the features of all rows are kept between rounds; beyond they are made anew for each block."""
_LOG_2PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What is modelled beside the embedding.

    labels   (n,) integer codes below `classes`, -1 where not known; or None
    scores   (n, classes) probabilities (one-hot for hard predictions), or None
    label_weight, prediction_weight
             exponents of the two categorical terms; 1 is the plain likelihood, Domino's `discover` has 10
    """

    classes: int
    labels: NDArray[Any] | None = None
    scores: NDArray[Any] | None = None
    label_weight: float = 1.0
    prediction_weight: float = 1.0

    def take(self, rows: Any) -> Outcome:
        """The same for some rows."""
        return replace(
            self,
            labels=None if self.labels is None else self.labels[rows],
            scores=None if self.scores is None else self.scores[rows],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Parameters:
    """The numbers of a mixture of k components, all float64.

    weights     (k,) shares of the components
    means       (k, p)
    precisions  (k, p) diagonals, or (k, p, p) inverse covariances
    label_p, prediction_p
                (k, C) share of each class among labels and predictions, or None
    """

    weights: NDArray[np.float64]
    means: NDArray[np.float64]
    precisions: NDArray[np.float64]
    label_p: NDArray[np.float64] | None = None
    prediction_p: NDArray[np.float64] | None = None
    label_weight: float = 1.0
    prediction_weight: float = 1.0

    @property
    def classes(self) -> int:
        known = self.label_p if self.label_p is not None else self.prediction_p
        return 0 if known is None else known.shape[1]


class Rows:
    """Rows as features (m, 1 + p [+ p] [+ C]), held where they fit into memory, else made for each block."""

    def __init__(self, values: Array, outcome: Outcome, *, full: bool) -> None:
        self.values = values
        self.full = full
        self.classes = outcome.classes if outcome.labels is not None else 0
        self.labels = None if outcome.labels is None else np.asarray(outcome.labels, dtype=np.int64)
        self.scores = None if outcome.scores is None else np.ascontiguousarray(outcome.scores, dtype=values.dtype)
        p = values.shape[1]
        self.square = slice(1 + p, 1 + p + (0 if full else p))
        self.width = self.square.stop + self.classes
        fits = len(values) * self.width * values.itemsize <= _HELD
        self._held = self._made(slice(0, len(values))) if fits else None

    def __len__(self) -> int:
        return len(self.values)

    def features(self, part: slice) -> Array:
        """The features of some rows."""
        return self._made(part) if self._held is None else self._held[part]

    def _made(self, part: slice) -> Array:
        values = self.values[part]
        p = values.shape[1]
        made = np.zeros((len(values), self.width), dtype=values.dtype)
        made[:, 0] = 1.0
        made[:, 1 : 1 + p] = values
        if not self.full:
            np.multiply(values, values, out=made[:, self.square])
        if self.labels is not None:
            labels = self.labels[part]
            known = np.flatnonzero((labels >= 0) & (labels < self.classes))
            made[known, self.square.stop + labels[known]] = 1.0
        return made


@dataclass(frozen=True, kw_only=True, eq=False)
class Sums:
    """What rows say: per component the sums of their features (k, width), of their soft predictions, and of products.

    scores   (k, C) or None
    spread   (k, p, p) sums of products for full covariances, or None
    """

    moments: NDArray[np.float64]
    scores: NDArray[np.float64] | None
    spread: NDArray[np.float64] | None
    log_likelihood: float = 0.0

    def scaled(self, factor: float) -> Sums:
        """All of it times a factor."""
        return Sums(
            moments=self.moments * factor,
            scores=None if self.scores is None else self.scores * factor,
            spread=None if self.spread is None else self.spread * factor,
            log_likelihood=self.log_likelihood * factor,
        )

    def plus(self, other: Sums) -> Sums:
        """Both together."""
        return Sums(
            moments=self.moments + other.moments,
            scores=None if self.scores is None or other.scores is None else self.scores + other.scores,
            spread=None if self.spread is None or other.spread is None else self.spread + other.spread,
            log_likelihood=self.log_likelihood + other.log_likelihood,
        )

    def mixed(self, other: Sums | None, *, share: float) -> Sums:
        """`share` of this one, the rest of the other."""
        return self if other is None else self.scaled(share).plus(other.scaled(1.0 - share))


class Step:
    """The log-likelihood of every component for the rows of a block, from constants made ready once per round."""

    def __init__(self, now: Parameters, rows: Rows) -> None:
        self.rows = rows
        kind = rows.values.dtype.type
        k, p = now.means.shape
        table = np.zeros((k, rows.width))
        self.factors: list[tuple[Array, Array]] = []
        if now.precisions.ndim == 2:
            table[:, 1 : 1 + p] = now.means * now.precisions
            table[:, rows.square] = -0.5 * now.precisions
            table[:, 0] = 0.5 * (np.log(now.precisions) - now.means * now.means * now.precisions).sum(axis=1)
        else:
            for at, precision in enumerate(now.precisions):
                factor = np.linalg.cholesky(precision)
                self.factors.append((factor.astype(kind), (now.means[at] @ factor).astype(kind)))
                table[at, 0] = np.log(np.diag(factor)).sum()
        table[:, 0] += np.log(now.weights) - 0.5 * p * _LOG_2PI
        if now.label_p is not None and rows.classes:
            table[:, rows.square.stop :] = now.label_weight * np.log(np.maximum(now.label_p, FLOOR))
        self.table = table.astype(kind)
        self.prediction: Array | None = None
        if now.prediction_p is not None and rows.scores is not None:
            self.prediction = np.maximum(now.prediction_p, FLOOR).astype(kind)
        self.prediction_weight = kind(now.prediction_weight)

    def expected_class(self, part: slice) -> Array | None:
        """(k, m) <scores, q_s>: the probability of the component's class under the soft prediction."""
        if self.prediction is None or self.rows.scores is None:
            return None
        return np.maximum(self.prediction @ self.rows.scores[part].T, FLOOR)

    def logs(self, part: slice, expected: Array | None = None) -> Array:
        """(k, m) logarithm of share times density times terms."""
        logs = self.table @ self.rows.features(part).T
        for at, (factor, offset) in enumerate(self.factors):
            turned = self.rows.values[part] @ factor
            turned -= offset
            logs[at] -= 0.5 * np.einsum("ij,ij->i", turned, turned)
        terms = self.expected_class(part) if expected is None else expected
        if terms is not None and self.prediction_weight > 0.0:
            logs += self.prediction_weight * np.log(terms)
        return np.asarray(logs)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How the two steps are done."""

    covariance: Covariance
    reg_covar: float
    soft: Soft
    outcome: Outcome

    def start(self, rows: Rows, responsible: NDArray[Any]) -> Parameters:
        """The mixture that given responsibilities (n, k) ask for."""
        part = slice(0, len(rows))
        turned = np.ascontiguousarray(responsible.T, dtype=rows.values.dtype)
        scores = None if rows.scores is None else (turned @ rows.scores).astype(np.float64)
        return self.maximised(self._sums(rows, turned, part, scores))

    def expected(self, rows: Rows, step: Step, part: slice) -> Sums:
        """The sums of a block under a mixture."""
        classes = step.expected_class(part)
        resp = step.logs(part, classes)
        top = resp.max(axis=0)
        resp -= top
        np.exp(resp, out=resp)
        norm = resp.sum(axis=0)
        resp /= norm
        likelihood = float(np.log(norm).sum(dtype=np.float64) + top.sum(dtype=np.float64))
        scores = None
        if rows.scores is not None and (self.soft == "published" or classes is None or step.prediction is None):
            scores = (resp @ rows.scores[part]).astype(np.float64)
        elif rows.scores is not None and classes is not None and step.prediction is not None:
            # Given the component, the class behind a soft prediction is unknown: its posterior is scores x q / <., q>.
            scores = ((resp / classes) @ rows.scores[part]).astype(np.float64) * step.prediction
        return replace(self._sums(rows, resp, part, scores), log_likelihood=likelihood)

    def _sums(self, rows: Rows, resp: Array, part: slice, scores: NDArray[np.float64] | None) -> Sums:
        spread = None
        if self.covariance == "full":
            values = rows.values[part]
            spread = np.stack([(values * one[:, None]).T @ values for one in resp]).astype(np.float64)
        moments = (resp @ rows.features(part)).astype(np.float64)
        return Sums(moments=moments, scores=scores, spread=spread)

    def maximised(self, sums: Sums) -> Parameters:
        """The mixture that the sums ask for; a component that lost its rows starts again as the whole."""
        counts = sums.moments[:, 0]
        total = float(counts.sum())
        dead = counts <= 1e-9 * max(total, 1.0)
        moments = np.where(dead[:, None], sums.moments.sum(axis=0), sums.moments)
        moments = moments / moments[:, :1]
        p = self._width(sums)
        means = moments[:, 1 : 1 + p]
        shares = np.where(dead, FLOOR, counts / total)
        labels = moments[:, -self.outcome.classes :] if self.outcome.labels is not None else None
        return Parameters(
            weights=shares / shares.sum(), means=means,
            precisions=self._precisions(sums, moments, means, dead),
            label_p=None if labels is None else _shares(labels),
            prediction_p=None if sums.scores is None else _shares(_filled(sums.scores, dead)),
            label_weight=self.outcome.label_weight, prediction_weight=self.outcome.prediction_weight,
        )  # fmt: skip

    def _width(self, sums: Sums) -> int:
        if sums.spread is not None:
            return int(sums.spread.shape[1])
        labels = self.outcome.classes if self.outcome.labels is not None else 0
        return int((sums.moments.shape[1] - 1 - labels) // 2)

    def _precisions(
        self, sums: Sums, moments: NDArray[np.float64], means: NDArray[np.float64], dead: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        p = means.shape[1]
        if sums.spread is None:
            second = moments[:, 1 + p : 1 + 2 * p]
            return np.asarray(1.0 / (np.maximum(second - means * means, 0.0) + self.reg_covar))
        counts = np.where(dead, sums.moments[:, 0].sum(), sums.moments[:, 0])
        spread = _filled(sums.spread, dead) / counts[:, None, None] - means[:, :, None] * means[:, None, :]
        return np.stack([_inverse(one, self.reg_covar) for one in spread])


def _filled(sums: NDArray[np.float64], dead: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The sums, those of everyone where a component is dead."""
    return np.where(dead.reshape(-1, *[1] * (sums.ndim - 1)), sums.sum(axis=0), sums)


def _shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-300))


def _inverse(covariance: NDArray[np.float64], reg_covar: float) -> NDArray[np.float64]:
    """The inverse of a covariance whose eigenvalues are kept from falling below `reg_covar`."""
    variances, axes = np.linalg.eigh(0.5 * (covariance + covariance.T))
    inverse = (axes / (np.maximum(variances, 0.0) + reg_covar)) @ axes.T
    return np.asarray(0.5 * (inverse + inverse.T))
