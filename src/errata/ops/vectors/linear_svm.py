"""A linear support vector machine with squared hinge loss, solved in the primal by Newton steps.

One machine after another along a path of costs, each started from the last, is what a search by cross-validation needs;
hundreds of them on a few thousand rows take seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Plane", "balanced", "fit_svm"]

Floats = NDArray[np.float64]

NEWTON_STEPS = 30
CG_STEPS = 60
TOLERANCE = 1e-4
SMALL = 24
"""Dimensions up to which a Newton step is solved as it stands; beyond, conjugate gradients are quicker."""
_HELD = 1.0 + 1e-10
"""What holds the bias, in weights of the active rows: a trifle more than they do, so that no step is undetermined."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Plane:
    """A hyperplane: `x @ weights + bias` is positive on the side of the labels +1."""

    weights: Floats
    bias: float

    def __call__(self, x: Floats) -> Floats:
        """(n, p) rows as (n,) decision values."""
        return np.asarray(x @ self.weights + self.bias)


def balanced(y: Floats) -> Floats:
    """Row weights (n,) that give both labels (+1, -1) the same say: n / (2 n_y), as is usual."""
    positive = y > 0
    count = np.where(positive, positive.sum(), (~positive).sum())
    return np.asarray(len(y) / (2.0 * np.maximum(count, 1)))


def fit_svm(x: Floats, y: Floats, row_weights: Floats, *, cost: float, start: Plane | None = None) -> Plane:
    """The plane that minimises |w|^2 / 2 + cost sum of row weight x max(0, 1 - y (x w + b))^2; the bias goes free.

    x (n, p), y (n,) of +1 and -1, row_weights (n,). `start` is where Newton's steps begin.

    Reference: O. Chapelle, "Training a support vector machine in the primal", Neural Computation, 2007.
    """
    w = np.zeros(x.shape[1] + 1) if start is None else np.append(start.weights, start.bias)
    c = 2.0 * cost * row_weights
    margin = y * (x @ w[:-1] + w[-1])
    first = 0.0
    for step in range(NEWTON_STEPS):
        short = np.maximum(1.0 - margin, 0.0)
        pull = c * short * y
        gradient = np.append(w[:-1] - x.T @ pull, -pull.sum())
        size = float(np.linalg.norm(gradient))
        first = size if step == 0 else first
        if size <= TOLERANCE * first or size < 1e-12:
            break
        active = short > 0
        solve = _solve if x.shape[1] <= SMALL else _conjugate_gradients
        move = solve(x[active], c[active], -gradient)
        along = y * (x @ move[:-1] + move[-1])
        rate = _line_search(w, move, margin, along, c, slope=float(gradient @ move))
        if rate == 0.0:
            break
        w = w + rate * move
        margin = margin + rate * along
    return Plane(weights=w[:-1], bias=float(w[-1]))


def _solve(x: Floats, c: Floats, target: Floats) -> Floats:
    """The Newton step: the Hessian of the active rows is I + x' c x, bordered by the bias, which nothing holds back."""
    p = x.shape[1]
    weighted = x.T * c
    hessian = np.empty((p + 1, p + 1))
    hessian[:p, :p] = weighted @ x
    hessian[:p, p] = hessian[p, :p] = weighted.sum(axis=1)
    hessian[p, p] = max(float(c.sum()), 1e-12) * _HELD
    hessian.flat[: p * (p + 1) : p + 2] += 1.0
    return np.asarray(np.linalg.solve(hessian, target))


def _conjugate_gradients(x: Floats, c: Floats, target: Floats) -> Floats:
    """The same step, nearly, preconditioned in the bias."""
    total = max(float(c.sum()), 1e-12)
    scale = np.ones(len(target))
    scale[-1] = 1.0 / total

    def product(v: Floats) -> Floats:
        inner = c * (x @ v[:-1] + v[-1])
        return np.append(v[:-1] + x.T @ inner, inner.sum() + (_HELD - 1.0) * total * v[-1])

    found = np.zeros_like(target)
    left = target.copy()
    way = scale * left
    energy = float(left @ way)
    enough = (1e-3**2) * energy
    for _ in range(CG_STEPS):
        if energy <= enough or energy <= 0.0:
            break
        turned = product(way)
        rate = energy / float(way @ turned)
        found += rate * way
        left -= rate * turned
        preconditioned = scale * left
        newer = float(left @ preconditioned)
        way = preconditioned + (newer / energy) * way
        energy = newer
    return found


def _line_search(w: Floats, move: Floats, margin: Floats, along: Floats, c: Floats, *, slope: float) -> float:
    """The share of the step that lowers the objective enough; full steps nearly always do."""

    def objective(rate: float) -> float:
        at = w[:-1] + rate * move[:-1]
        short = np.maximum(1.0 - margin - rate * along, 0.0)
        return 0.5 * float(at @ at) + 0.5 * float(c @ (short * short))

    before, rate = objective(0.0), 1.0
    for _ in range(20):
        if objective(rate) <= before + 1e-4 * rate * slope:
            return rate
        rate *= 0.5
    return 0.0
