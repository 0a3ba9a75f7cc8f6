"""How large a difference a slice needs to be seen: what could hide where nothing was found."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from errata.stats.exact import fisher_test

POWER = 0.8

_NODES = 7
"""Typical numbers of errors among the rest that power is averaged over."""


def detectable_difference(share: float, *, rows: int, rate: float, level: float, power: float = POWER) -> float | None:
    """Smallest difference of error rates that a slice of `share` of `rows` shows with chance `power` at p <= `level`.

    The rest errs at `rate`, the slice at that rate plus the difference; the test is the exact one-sided test of one
    stratum. Numbers of wrong rest rows are taken at 7 evenly spaced quantiles of their distribution, the members'
    distribution is exact. With strata, `rate` is the `equivalent_rate`. None where not even an error rate of 1 would
    be seen. By simulation the power at the returned difference is .77 to .86.
    """
    from scipy.special import betainc

    members = round(share * rows)
    rest = rows - members
    if members < 1 or rest < 1:
        return None
    critical = _critical_values(members, rest, _typical(rest, rate), level)
    reachable = critical <= members

    def chance(inside: float) -> float:
        least = critical[reachable].astype(np.float64)
        reached = np.where(least > 0, betainc(np.maximum(least, 1e-9), members - least + 1.0, inside), 1.0)
        return float(reached.sum() / _NODES)

    if chance(1.0) < power:
        return None
    low, high = rate, 1.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if chance(middle) >= power else (middle, high)
    return high - rate


def equivalent_rate(variance: float, *, above_half: bool = False) -> float:
    """The error rate of one stratum that varies as much as rows do within several: rate (1 - rate) = `variance`."""
    root = math.sqrt(max(0.0, 1.0 - 4.0 * variance))
    return 0.5 * (1.0 + root if above_half else 1.0 - root)


def detectable_loss(share: float, *, rows: int, deviation: float, level: float, power: float = POWER) -> float | None:
    """The same for mean losses with a standard deviation within strata, by the normal approximation."""
    from scipy.special import ndtri

    members = round(share * rows)
    if members < 1 or members >= rows:
        return None
    reach = -float(ndtri(level)) + float(ndtri(power))
    return reach * deviation * math.sqrt(1.0 / members + 1.0 / (rows - members))


def _typical(rest: int, rate: float) -> NDArray[np.int64]:
    """Quantiles of the number of wrong rows among the rest, `(7,)`."""
    from scipy.special import ndtri

    normal = ndtri((np.arange(_NODES) + 0.5) / _NODES)
    errors = np.rint(rest * rate + normal * math.sqrt(rest * rate * (1.0 - rate)))
    return np.asarray(np.clip(errors, 0, rest), dtype=np.int64)


def _critical_values(members: int, rest: int, rest_wrong: NDArray[np.int64], level: float) -> NDArray[np.int64]:
    """The fewest wrong members that are significant, for rising numbers of wrong rest rows."""
    found: list[int] = []
    for errors in rest_wrong.tolist():
        found.append(_critical(members, rest, errors, level, start=found[-1] if found else 0))
    return np.array(found, dtype=np.int64)


def _critical(members: int, rest: int, rest_wrong: int, level: float, *, start: int) -> int:
    """The fewest wrong members that are significant beside so many wrong rest rows; members + 1 if none is enough.

    More errors among the rest never ask for fewer inside, so the search starts at the last answer.
    """

    def significant(members_wrong: int) -> bool:
        return fisher_test(members_wrong, members, members_wrong + rest_wrong, members + rest) <= level

    if start > members:
        return start
    # Steps that double from the expected number, or from the last answer, end near this one.
    low = min(members, max(start, int(members * rest_wrong / rest)))
    step = 1
    while not significant(min(members, low + step)):
        if low + step >= members:
            return members + 1
        low, step = low + step, 2 * step
    high = min(members, low + step)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if significant(middle) else (middle, high)
    return high if not significant(low) else low
