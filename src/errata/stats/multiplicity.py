"""p-values of one family of tests turned into q-values."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def benjamini_hochberg(p_values: ArrayLike) -> NDArray[np.float64]:
    """q-values `(m,) float64` of `(m,)` p-values: the smallest false-discovery rate at which each would be confirmed.

    q of the i-th smallest p is min over j >= i of p_j m / j. The expected share of false findings among those with
    q <= alpha is at most alpha if the tests are independent or positively dependent.

    Reference: Y. Benjamini and Y. Hochberg, "Controlling the false discovery rate: a practical and powerful approach
    to multiple testing", JRSS B, 1995.
    """
    p = np.asarray(p_values, dtype=np.float64)
    assert p.ndim == 1
    assert np.all((p >= 0) & (p <= 1)), "p-values lie in [0, 1]; untestable proposals have none"
    order = np.argsort(p, kind="stable")
    m = p.size
    scaled = p[order] * m / np.arange(1, m + 1)
    q = np.empty(m)
    q[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    return np.minimum(q, 1.0)
