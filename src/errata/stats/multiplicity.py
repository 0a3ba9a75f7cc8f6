"""Many tests at once: the p-values of one family turned into adjusted ones, and the level that an interval then has.

Adjusted values are compared with alpha. What is then at most alpha differs: the expected share of false findings among
those confirmed (Benjamini-Hochberg, Benjamini-Yekutieli), or the chance of any false finding at all (Holm, maxT).
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "MULTIPLICITIES", "Multiplicity", "adjusted_p_values", "benjamini_hochberg", "benjamini_yekutieli",
    "critical_value", "holm", "interval_level", "step_down_max",
]  # fmt: skip

Floats = NDArray[np.float64]

Multiplicity = Literal["bh", "by", "holm", "maxt"]
MULTIPLICITIES: tuple[Multiplicity, ...] = get_args(Multiplicity)

_TIE = 1e-9
"""Statistics this close to the observed one, relatively, count as ties: they differ by rounding only."""


def benjamini_hochberg(p_values: ArrayLike) -> Floats:
    """q-values `(m,) float64` of `(m,)` p-values: the smallest false-discovery rate at which each would be confirmed.

    q of the i-th smallest p is min over j >= i of p_j m / j. The expected share of false findings among those with
    q <= alpha is at most alpha if the tests are independent or positively dependent.

    Reference: Y. Benjamini and Y. Hochberg, "Controlling the false discovery rate: a practical and powerful approach
    to multiple testing", JRSS B, 1995.
    """
    p = _checked(p_values)
    order = np.argsort(p, kind="stable")
    m = p.size
    scaled = p[order] * m / np.arange(1, m + 1)
    q = np.empty(m)
    q[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    return np.minimum(q, 1.0)


def benjamini_yekutieli(p_values: ArrayLike) -> Floats:
    """The same for tests that depend on each other in any way: `(m,)` q-values, 1 + 1/2 + ... + 1/m times as large.

    Reference: Y. Benjamini and D. Yekutieli, "The control of the false discovery rate in multiple testing under
    dependency", Annals of Statistics, 2001.
    """
    q = benjamini_hochberg(p_values)
    return np.minimum(q * _harmonic(q.size), 1.0)


def holm(p_values: ArrayLike) -> Floats:
    """Adjusted p-values `(m,)`: the chance of any false finding among those at or below alpha is at most alpha.

    That of the i-th smallest p is max over j <= i of p_j (m - j + 1). Holds whatever the dependence.

    Reference: S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics,
    1979.
    """
    p = _checked(p_values)
    order = np.argsort(p, kind="stable")
    m = p.size
    adjusted = np.empty(m)
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(m, 0, -1))
    return np.minimum(adjusted, 1.0)


def step_down_max(observed: ArrayLike, drawn: ArrayLike) -> Floats:
    """Adjusted p-values `(m,)` by the maximum of statistics that were permuted together.

    observed  (m,), larger is more extreme
    drawn     (m, B), the same statistics in B joint permutations

    The i-th largest is compared with the maximum over itself and all smaller ones: p = (1 + b) / (1 + B), b the draws
    that reach it, made monotone. The chance of any false finding is at most alpha, and the dependence of overlapping
    slices is taken as it is instead of being bounded.

    Reference: P. H. Westfall and S. S. Young, "Resampling-based multiple testing", Wiley, 1993 (algorithm 2.8 with
    maxima); J. P. Romano and M. Wolf, "Exact and approximate stepdown methods", JASA, 2005.
    """
    values, permuted = np.asarray(observed, dtype=np.float64), np.asarray(drawn, dtype=np.float64)
    assert permuted.shape[:1] == values.shape, "one row of draws for each statistic"
    order = np.argsort(-values, kind="stable")
    # Row i: the maximum over the i-th largest observed statistic and all behind it.
    behind = np.maximum.accumulate(permuted[order][::-1], axis=0)[::-1]
    bound = values[order] - _TIE * np.abs(values[order])
    reached = np.count_nonzero(behind >= bound[:, None], axis=1)
    adjusted = np.empty(values.size)
    adjusted[order] = np.maximum.accumulate((1.0 + reached) / (1.0 + permuted.shape[1]))
    return adjusted


def critical_value(drawn: ArrayLike, alpha: float) -> float:
    """The least statistic that is significant beside `(B,)` maxima: (1 + draws at or above it) / (1 + B) <= alpha.

    Infinite where B is too small for any to be.
    """
    maxima = np.sort(np.asarray(drawn, dtype=np.float64))[::-1]
    allowed = math.floor(alpha * (maxima.size + 1) + _TIE) - 1
    if allowed < 0:
        return math.inf
    if allowed >= maxima.size:
        return -math.inf
    return float(np.nextafter(maxima[allowed], math.inf))


def adjusted_p_values(p_values: ArrayLike, multiplicity: Multiplicity) -> Floats:
    """Adjusted p-values by a method that needs no more than p-values, which `maxt` does."""
    assert multiplicity != "maxt", "maxT needs the joint draws: see `step_down_max`"
    return {"bh": benjamini_hochberg, "by": benjamini_yekutieli, "holm": holm}[multiplicity](p_values)


def interval_level(multiplicity: Multiplicity, *, alpha: float, confirmed: int, tested: int) -> float:
    """The two-sided level of the intervals of `confirmed` findings among `tested`.

    bh    1 - alpha R / m: of the intervals of confirmed findings a share of at most alpha misses, in expectation
    by    1 - alpha R / (m (1 + 1/2 + ... + 1/m)): the same whatever the dependence of the tests
    holm  1 - alpha / m: all of them cover together with chance 1 - alpha

    Reference: Y. Benjamini and D. Yekutieli, "False discovery rate-adjusted multiple confidence intervals for selected
    parameters", JASA, 2005.
    """
    if tested == 0:
        return 1.0 - alpha
    share = {"bh": confirmed / tested, "by": confirmed / (tested * _harmonic(tested)), "holm": 1.0 / tested}
    return 1.0 - alpha * share[multiplicity]


def _harmonic(m: int) -> float:
    return float(np.sum(1.0 / np.arange(1, m + 1))) if m else 1.0


def _checked(p_values: ArrayLike) -> Floats:
    p = np.asarray(p_values, dtype=np.float64)
    assert p.ndim == 1
    assert np.all((p >= 0) & (p <= 1)), "p-values lie in [0, 1]; untestable proposals have none"
    return p
