"""Monte Carlo tests that stop when their outcome is settled: costly draws are made only as long as they matter."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST", "Verdict", "expected_draws", "p_value", "rejection_chance", "verdict"]

Verdict = Literal["significant", "not significant", "open"]

MOST = 999
"""Draws after which the answer is given in any case."""

LEAST = 19
"""Draws before which nothing is called not significant: the first few say little."""

SETTLED = 0.005
"""Chance, given the draws so far, that all draws would end on the other side of alpha."""


def verdict(reached: int, drawn: int, *, alpha: float, most: int = MOST) -> Verdict:
    """Whether a statistic is significant at `alpha` when `reached` of `drawn` permutations are at least as large.

    Under the null the share u of all permutations that reach the statistic is uniform, so that after `drawn` of them it
    has a Beta(1 + reached, 1 + drawn - reached) distribution. Drawing stops once the chance that u lies on the other
    side of alpha is at most .005, and in any case at `most`, where (2 + reached) / (1 + most) <= alpha is asked for:
    one more than without early stops, which pays for them. The chance to call a true null significant is then at most
    alpha (`rejection_chance` computes it exactly).

    Reference: J. Besag and P. Clifford, "Sequential Monte Carlo p-values", Biometrika, 1991; A. Gandy, "Sequential
    implementation of Monte Carlo tests with uniformly bounded resampling risk", JASA, 2009.
    """
    from scipy.special import betainc

    if drawn >= most:
        return "significant" if p_value(reached, drawn) <= alpha else "not significant"
    below = float(betainc(reached + 1, drawn - reached + 1, alpha))
    if below >= 1.0 - SETTLED and p_value(reached, drawn) <= alpha:
        return "significant"
    return "not significant" if drawn >= LEAST and below <= SETTLED else "open"


def expected_draws(reached: int, drawn: int, *, alpha: float, most: int = MOST) -> int:
    """After how many draws in all `verdict` would end if as large a share of them went on to reach the statistic."""
    low, high = drawn, most
    while low < high:
        middle = (low + high) // 2
        if verdict(round(reached * middle / max(drawn, 1)), middle, alpha=alpha, most=most) == "open":
            low = middle + 1
        else:
            high = middle
    return low


def p_value(reached: int, drawn: int) -> float:
    """(2 + reached) / (1 + drawn), at most 1: what is reported of a test that may have stopped early."""
    return min(1.0, (2.0 + reached) / (1.0 + drawn))


def rejection_chance(*, alpha: float, most: int = MOST, u: float | None = None) -> float:
    """The exact chance that `verdict` ends significant, where each permutation reaches the statistic with chance `u`.

    u  None for a true null: then u is uniform, and (1 + reached) / (2 + drawn) is the chance of the next one
    """
    open_: NDArray[np.float64] = np.ones(1)
    significant = 0.0
    for drawn in range(1, most + 1):
        reached = np.arange(drawn)
        up = np.full(drawn, u) if u is not None else (1.0 + reached) / (1.0 + drawn)
        moved = np.zeros(drawn + 1)
        moved[:-1] += open_ * (1.0 - up)
        moved[1:] += open_ * up
        for at in np.flatnonzero(moved > 1e-15):
            ended = verdict(int(at), drawn, alpha=alpha, most=most)
            significant += moved[at] if ended == "significant" else 0.0
            moved[at] = moved[at] if ended == "open" else 0.0
        open_ = moved
    return significant
