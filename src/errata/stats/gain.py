"""How much better errors are described when a slice gets error rates of its own: the order of proposals."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def binomial_log_likelihood(wrong: ArrayLike, rows: ArrayLike) -> Floats:
    """Maximised binomial log-likelihood of `wrong` among `rows`, elementwise; 0 where there are no rows or no doubt."""
    from scipy.special import xlogy

    x, n = np.broadcast_arrays(np.asarray(wrong, dtype=np.float64), np.asarray(rows, dtype=np.float64))
    some = np.where(n > 0, n, 1.0)
    likelihood: Floats = xlogy(x, x / some) + xlogy(n - x, (n - x) / some)
    return likelihood


def gain(
    members_wrong: ArrayLike, members: ArrayLike, *, wrong: ArrayLike, rows: ArrayLike, literals: ArrayLike = 1
) -> Floats:
    """Gain `(...)` of candidates with `(..., c)` counts of members and wrong members against `(c,)` counts of all rows.

    Sum over the c classes of l(x1, n1) + l(x0, n0) - l(x, n), less half the logarithm of the number of rows for each
    literal and one more, as in the Bayesian information criterion; l is the maximised binomial log-likelihood of the
    wrong among members (1), rest (0) and all. The gain does not tell more errors from fewer.

    Reference: G. Schwarz, "Estimating the dimension of a model", Annals of Statistics, 1978.
    """
    x1, n1 = np.asarray(members_wrong, dtype=np.float64), np.asarray(members, dtype=np.float64)
    x, n = np.asarray(wrong, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    split = binomial_log_likelihood(x1, n1) + binomial_log_likelihood(x - x1, n - n1)
    whole = binomial_log_likelihood(x, n)
    result: Floats = (split - whole).sum(axis=-1) - _penalty(float(n.sum()), literals)
    return result


def loss_gain(
    members_loss: ArrayLike,
    members: ArrayLike,
    *,
    loss: ArrayLike,
    rows: ArrayLike,
    squares: ArrayLike,
    literals: ArrayLike = 1,
) -> Floats:
    """The same for a loss: normal log-likelihood with one variance, from `(..., c)` sums of loss and counts.

    `loss`, `rows` `(c,)` are the sums and counts of all rows, `squares` the sum of squared losses over all rows.
    n / 2 log(S0 / S1), S0 the squares around the class means, S1 those around the means of members and rest.
    """
    s1, n1 = np.asarray(members_loss, dtype=np.float64), np.asarray(members, dtype=np.float64)
    s, n = np.asarray(loss, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    explained = (_square_over(s1, n1) + _square_over(s - s1, n - n1) - _square_over(s, n)).sum(axis=-1)
    total = float(np.sum(squares)) - float(_square_over(s, n).sum())
    count = float(n.sum())
    if total <= 0.0:
        zero: Floats = -_penalty(count, literals) + 0.0 * explained
        return zero
    left = np.maximum(total - explained, 1e-12 * total)
    result: Floats = 0.5 * count * np.log(total / left) - _penalty(count, literals)
    return result


def _square_over(total: Floats, count: Floats) -> Floats:
    result: Floats = total * total / np.where(count > 0, count, 1.0)
    return result


def _penalty(rows: float, literals: ArrayLike) -> Floats:
    result: Floats = 0.5 * np.log(max(rows, 1.0)) * (1.0 + np.asarray(literals, dtype=np.float64))
    return result
