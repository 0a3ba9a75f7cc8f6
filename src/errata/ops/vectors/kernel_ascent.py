"""Spotlight's optimiser: the kernel over an embedding whose weighted mean loss is largest, with enough weight in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Lit", "brightest"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Lit:
    """Where the spotlight came to rest.

    mean           (p,)
    log_precision  (p,) logarithm of the precision of each dimension, all equal for a scalar one
    weights        (n,) kernel of each row, in [0, 1]
    loss           weighted mean of the losses
    total          sum of the weights
    """

    mean: NDArray[np.float64]
    log_precision: NDArray[np.float64]
    weights: NDArray[np.float64]
    loss: float
    total: float


def brightest(
    values: NDArray[Any],
    loss: NDArray[np.float64],
    *,
    least: float,
    mean: NDArray[np.float64],
    scalar: bool = True,
    steps: int = 300,
    rate: float = 0.05,
) -> Lit:
    """Ascend the weighted mean of the losses (n,) over the rows of values (n, p), from a wide kernel at `mean` (p,).

    A barrier keeps the total weight above `least`; it narrows from all rows to a twentieth of `least` over the steps.
    Steps are those of Adam, gradients by hand: with w = exp(-r / 2), r the squared distance under the precision, and
    f the weighted mean, df/dr_i = -w_i (loss_i - f) / (2 sum w).

    Reference: G. d'Eon, J. d'Eon, J. R. Wright and K. Leyton-Brown, "The Spotlight: A General Method for Discovering
    Systematic Errors in Deep Learning Models", FAccT 2022; Adam: D. Kingma and J. Ba, ICLR 2015.
    """
    n, p = values.shape
    rows = np.asarray(values, dtype=np.float64)
    norms = np.einsum("ij,ij->i", rows, rows) if scalar else None
    scale = max(float(loss.std()), 1e-12)
    # A kernel that holds about half of the rows' weight at first, so that its gradient reaches all of them.
    spread = float(np.square(rows - mean).mean(axis=0).sum())
    at = np.concatenate([mean, np.full(1 if scalar else p, -np.log(max(spread, 1e-12)))])
    first, second, scaled = np.zeros(len(at)), np.zeros(len(at)), loss / scale
    barriers = np.geomspace(max(n - least, 0.1 * least), 0.05 * least, steps)
    for step, barrier in enumerate(barriers, start=1):
        wanted = least + barrier
        slope = _slope(rows, scaled, at, p, wanted=wanted, barrier=barrier) if norms is None else \
            _scalar_slope(rows, norms, scaled, at, wanted=wanted, barrier=barrier)  # fmt: skip
        first = 0.9 * first + 0.1 * slope
        second = 0.99 * second + 0.01 * slope * slope
        at = at + rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-9)
    weights = _kernel(rows, at, p)
    total = float(weights.sum())
    return Lit(
        mean=at[:p], log_precision=np.broadcast_to(at[p:], (p,)).copy(), weights=weights,
        loss=float(weights @ loss / max(total, 1e-300)), total=total,
    )  # fmt: skip


def _kernel(rows: NDArray[np.float64], at: NDArray[np.float64], p: int) -> NDArray[np.float64]:
    precision = np.exp(np.broadcast_to(at[p:], (p,)))
    return np.asarray(np.exp(-0.5 * (np.square(rows - at[:p]) @ precision)))


def _slope(
    rows: NDArray[np.float64], loss: NDArray[np.float64], at: NDArray[np.float64], p: int, *, wanted: float,
    barrier: float,
) -> NDArray[np.float64]:  # fmt: skip
    """Gradient of the weighted mean loss less the barrier, by mean and logarithm of the precision."""
    precision = np.exp(np.broadcast_to(at[p:], (p,)))
    away = rows - at[:p]
    squares = np.square(away)
    weights = np.exp(-0.5 * (squares @ precision))
    total = max(float(weights.sum()), 1e-12)
    mean_loss = float(weights @ loss) / total
    # How the objective changes with each row's weight.
    by_weight = (loss - mean_loss) / total
    if total < wanted:
        by_weight = by_weight + 2.0 * (wanted - total) / barrier**2
    pull = by_weight * weights
    by_mean = (pull @ away) * precision
    by_log = -0.5 * (pull @ squares) * precision
    return np.concatenate([by_mean, [by_log.sum()] if len(at) == p + 1 else by_log])


def _scalar_slope(
    rows: NDArray[np.float64], norms: NDArray[np.float64], loss: NDArray[np.float64], at: NDArray[np.float64], *,
    wanted: float, barrier: float,
) -> NDArray[np.float64]:  # fmt: skip
    """`_slope` with one precision, by two products of a matrix and a vector; `norms` (n,) are the rows' squares."""
    mean, precision = at[:-1], float(np.exp(at[-1]))
    squares = np.maximum(norms - 2.0 * (rows @ mean) + float(mean @ mean), 0.0)
    weights = np.exp((-0.5 * precision) * squares)
    total = max(float(weights.sum()), 1e-12)
    by_weight = loss / total - float(weights @ loss) / (total * total)
    if total < wanted:
        by_weight += 2.0 * (wanted - total) / barrier**2
    pull = by_weight * weights
    by_mean = (pull @ rows - float(pull.sum()) * mean) * precision
    return np.append(by_mean, -0.5 * precision * float(pull @ squares))
