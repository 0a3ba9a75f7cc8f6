"""How well a score tells members from the rest of their strata: the area under the curve, with an interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from errata.stats.intervals import Interval

__all__ = ["Separation", "separation"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Separation:
    """Of pairs of a member and another row of its stratum, the share in which the member scores higher.

    auc       in [0, 1], ties count half; strata weigh as many as they have members
    interval  two-sided
    members   how many it rests on
    """

    auc: float
    interval: Interval
    members: int


def separation(
    score: NDArray[np.floating], member: NDArray[np.bool_], stratum: NDArray[np.integer], *, level: float,
    group: NDArray[np.integer] | None = None,
) -> Separation | None:  # fmt: skip
    """The separation of members (n,) by a score (n,) within strata (n,); None where fewer than two rows of either side
    can be compared.

    The interval is Student's, of the placements of members among the rest and of the rest among members, with
    Satterthwaite's degrees of freedom; with groups (n,) whole groups are the unit. It never has width 0.

    Reference: E. Brunner, U. Munzel, "The nonparametric Behrens-Fisher problem: asymptotic theory and a small-sample
    approximation", Biometrical Journal, 2000; for groups N. A. Obuchowski, "Nonparametric analysis of clustered ROC
    curve data", Biometrics, 1997.
    """
    inside, outside = _placements(np.asarray(score, dtype=np.float64), member, stratum)
    m, n = len(inside.rows), len(outside.rows)
    if m < 2 or n < 2:
        return None
    auc = float(inside.placement.mean())
    # What each row adds to the area; the spread between strata stays in, so that strata of one member have some.
    own = (inside.placement - auc) / m
    rest = outside.weight * (outside.placement - auc)
    # As much as one further row of either side that is placed in the middle: perfect separation is not certain.
    least = 0.25 / (m + 1) ** 2 + 0.25 / (n + 1) ** 2
    if group is None:
        parts = np.array([own @ own * m / (m - 1), rest @ rest * n / (n - 1)])
        freedom = float(parts.sum() ** 2 / (parts**2 / [m - 1, n - 1]).sum()) if parts.any() else float(m - 1)
        variance = float(parts.sum())
    else:
        rows = np.concatenate([inside.rows, outside.rows])
        _, codes = np.unique(group[rows], return_inverse=True)
        sums = np.bincount(codes, weights=np.concatenate([own, rest]))
        few = min(len(np.unique(group[inside.rows])), len(np.unique(group[outside.rows])))
        if few < 2:
            return None
        variance, freedom = float(sums @ sums) * len(sums) / (len(sums) - 1), float(few - 1)
    half = _quantile(freedom, level) * math.sqrt(max(variance, least))
    return Separation(auc=auc, interval=Interval(max(0.0, auc - half), min(1.0, auc + half), level), members=m)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Side:
    """Rows of one side that can be compared, their placements among the other side, and their weights."""

    rows: NDArray[np.intp]
    placement: Floats
    weight: Floats


def _placements(score: Floats, member: NDArray[np.bool_], stratum: NDArray[np.integer]) -> tuple[_Side, _Side]:
    sides: tuple[list[tuple[NDArray[np.intp], Floats, float]], list[tuple[NDArray[np.intp], Floats, float]]] = ([], [])
    for code in np.unique(stratum[member]):
        here = stratum == code
        own, others = np.flatnonzero(here & member), np.flatnonzero(here & ~member)
        if len(others):
            sides[0].append((own, _above(score[own], score[others]), 1.0))
            sides[1].append((others, 1.0 - _above(score[others], score[own]), len(own) / len(others)))
    total = max(1, sum(len(rows) for rows, _, _ in sides[0]))
    return _side(sides[0], total), _side(sides[1], total)


def _side(parts: list[tuple[NDArray[np.intp], Floats, float]], total: int) -> _Side:
    if not parts:
        return _Side(rows=np.zeros(0, dtype=np.intp), placement=np.zeros(0), weight=np.zeros(0))
    return _Side(
        rows=np.concatenate([rows for rows, _, _ in parts]),
        placement=np.concatenate([placement for _, placement, _ in parts]),
        weight=np.concatenate([np.full(len(rows), weight / total) for rows, _, weight in parts]),
    )


def _above(score: Floats, others: Floats) -> Floats:
    """For each score the share of others that it exceeds, ties by half."""
    order = np.sort(others)
    below, upto = np.searchsorted(order, score, side="left"), np.searchsorted(order, score, side="right")
    return np.asarray((below + upto) / (2.0 * len(order)))


def _quantile(freedom: float, level: float) -> float:
    from scipy.special import stdtrit

    return -float(stdtrit(freedom, (1.0 - level) / 2.0))
