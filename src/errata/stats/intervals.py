"""Intervals of rates and of the difference between members and the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from errata.stats.exact import Strata

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Limits:
    """Lower and upper limits of several rates, `(...) float64` each."""

    lower: Floats
    upper: Floats


@dataclass(frozen=True)
class Interval:
    """One interval and its two-sided level."""

    lower: float
    upper: float
    level: float


@dataclass(frozen=True)
class Difference:
    """Rates (or mean losses) of members and of the comparable rest, their difference, and whom they speak of.

    `used` members lie in strata that have a rest; `excluded` ones do not and enter neither rate.
    """

    inside: float
    outside: float
    difference: float
    used: int
    excluded: int


def wilson(wrong: ArrayLike, rows: ArrayLike, level: float) -> Limits:
    """Wilson score limits of the rates `wrong / rows` at a two-sided level in (0, 1); (0, 1) where there are no rows.

    Reference: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA, 1927.
    """
    from scipy.special import ndtri

    x, n = np.broadcast_arrays(np.asarray(wrong, dtype=np.float64), np.asarray(rows, dtype=np.float64))
    # The upper tail's quantile is asked for, not that of 1 - tail, which is 1 for the levels of a thousand tests.
    z2 = float(ndtri((1.0 - level) / 2.0)) ** 2
    some = np.where(n > 0, n, 1.0)
    rate = x / some
    centre = (rate + z2 / (2 * some)) / (1 + z2 / some)
    half = np.sqrt(z2) / (1 + z2 / some) * np.sqrt(rate * (1 - rate) / some + z2 / (4 * some * some))
    lower = np.where(x <= 0, 0.0, np.clip(centre - half, 0.0, 1.0))
    upper = np.where(x >= n, 1.0, np.clip(centre + half, 0.0, 1.0))
    return Limits(np.where(n > 0, lower, 0.0), np.where(n > 0, upper, 1.0))


def clopper_pearson(wrong: int, rows: int, level: float) -> Interval:
    """Exact limits of a rate at a two-sided level: each one-sided tail is at most (1 - level) / 2.

    Reference: C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of
    the binomial", Biometrika, 1934.
    """
    from scipy.special import betaincinv

    tail = (1.0 - level) / 2.0
    lower = 0.0 if wrong == 0 else float(betaincinv(wrong, rows - wrong + 1, tail))
    # By symmetry the upper limit is that of the right ones turned round; 1 - tail would lose the small tails.
    upper = 1.0 if wrong == rows else 1.0 - float(betaincinv(rows - wrong, wrong + 1, tail))
    return Interval(lower, upper, level)


def stratified_difference(strata: Strata) -> Difference:
    """Error rate of members less that of the rest in the same strata, weighted as the members are.

    `inside` is the plain rate of the members in strata that have a rest, `outside` the sum over those strata of the
    share of members times the rate of the rest there. NaN when no stratum has members and a rest.
    """
    keep = strata.has_rest
    members, excluded = strata.members[keep], int(strata.members[~keep].sum())
    used = int(members.sum())
    if used == 0:
        return Difference(float("nan"), float("nan"), float("nan"), 0, excluded)
    rest_rate = (strata.wrong[keep] - strata.members_wrong[keep]) / (strata.rows[keep] - members)
    inside = float(strata.members_wrong[keep].sum() / used)
    outside = float((members / used) @ rest_rate)
    return Difference(inside, outside, inside - outside, used, excluded)


def difference_interval(strata: Strata, level: float) -> Interval:
    """Interval of `stratified_difference` at a two-sided level, by squaring and adding Wilson limits.

    With D the difference, p1 the inside rate and [l1, u1] its limits, o_c and [l0c, u0c] the rest's rate and limits in
    stratum c and w_c its share of the members: D - sqrt((p1 - l1)^2 + sum w_c^2 (u0c - o_c)^2) to
    D + sqrt((u1 - p1)^2 + sum w_c^2 (o_c - l0c)^2).

    Reference: R. G. Newcombe, "Interval estimation for the difference between independent proportions: comparison of
    eleven methods", Statistics in Medicine, 1998 (method 10, here with a weighted sum of strata).
    """
    effect = stratified_difference(strata)
    if effect.used == 0:
        return Interval(-1.0, 1.0, level)
    keep = strata.has_rest
    members = strata.members[keep]
    rest, rest_wrong = strata.rows[keep] - members, strata.wrong[keep] - strata.members_wrong[keep]
    weight, rate = members / effect.used, rest_wrong / rest
    own = wilson(strata.members_wrong[keep].sum(), effect.used, level)
    others = wilson(rest_wrong, rest, level)
    below = np.hypot(effect.inside - own.lower, np.linalg.norm(weight * (others.upper - rate)))
    above = np.hypot(own.upper - effect.inside, np.linalg.norm(weight * (rate - others.lower)))
    return Interval(float(effect.difference - below), float(effect.difference + above), level)


@dataclass(frozen=True)
class LossStrata:
    """Counts, sums and sums of squares of a loss in each stratum, for members and for all rows, `(c,)` each."""

    rows: NDArray[np.int64]
    loss: Floats
    squares: Floats
    members: NDArray[np.int64]
    members_loss: Floats
    members_squares: Floats

    @property
    def has_rest(self) -> NDArray[np.bool_]:
        """`(c,) bool`: strata that hold members and a rest."""
        return (self.members > 0) & (self.members < self.rows)


def loss_difference(strata: LossStrata) -> Difference:
    """`stratified_difference` for mean losses."""
    keep = strata.has_rest
    members, excluded = strata.members[keep], int(strata.members[~keep].sum())
    used = int(members.sum())
    if used == 0:
        return Difference(float("nan"), float("nan"), float("nan"), 0, excluded)
    rest_mean = (strata.loss[keep] - strata.members_loss[keep]) / (strata.rows[keep] - members)
    inside = float(strata.members_loss[keep].sum() / used)
    outside = float((members / used) @ rest_mean)
    return Difference(inside, outside, inside - outside, used, excluded)


def loss_interval(strata: LossStrata, level: float) -> Interval:
    """Interval of `loss_difference`: like `difference_interval`, with Student limits of means for Wilson's of rates.

    The whole line where a mean rests on a single row.
    """
    from scipy.special import stdtrit

    effect = loss_difference(strata)
    if effect.used == 0:
        return Interval(float("-inf"), float("inf"), level)
    keep = strata.has_rest
    members = strata.members[keep]
    rest = strata.rows[keep] - members
    rest_loss = strata.loss[keep] - strata.members_loss[keep]
    rest_squares = strata.squares[keep] - strata.members_squares[keep]
    if effect.used < 2 or (rest < 2).any():
        return Interval(float("-inf"), float("inf"), level)
    tail = (1.0 - level) / 2.0
    own = -float(stdtrit(effect.used - 1, tail)) * float(
        _standard_error(strata.members_loss[keep].sum(), strata.members_squares[keep].sum(), np.asarray(effect.used))
    )
    others = -stdtrit(rest - 1, tail) * _standard_error(rest_loss, rest_squares, rest)
    half = float(np.hypot(own, np.linalg.norm(members / effect.used * others)))
    return Interval(effect.difference - half, effect.difference + half, level)


def _standard_error(total: Floats, squares: Floats, count: NDArray[np.int64]) -> Floats:
    variance = np.maximum(squares - total * total / count, 0.0) / (count - 1)
    result: Floats = np.sqrt(variance / count)
    return result
