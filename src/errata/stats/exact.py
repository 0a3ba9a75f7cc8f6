"""One-sided exact tests of "the members err more often", conditional on the margins of every stratum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SMALLEST_P = 1e-300
"""p-values below this are reported as this, an upper bound: a float has no room for them and a reader no use."""

_NEGLIGIBLE = 1e-22
"""Share of a tilted distribution's largest probability below which its ends are cut off."""

_STACK_WIDTH = 128
"""Distributions up to this width are convolved many at a time; wider ones one by one, with their ends cut off."""


@dataclass(frozen=True)
class Strata:
    """The four counts of a slice in each stratum, all `(c,) int64`: rows, wrong rows, members, wrong members."""

    rows: Ints
    wrong: Ints
    members: Ints
    members_wrong: Ints

    def __post_init__(self) -> None:
        for name in ("rows", "wrong", "members", "members_wrong"):
            object.__setattr__(self, name, np.atleast_1d(np.asarray(getattr(self, name), dtype=np.int64)))
        assert self.rows.shape == self.wrong.shape == self.members.shape == self.members_wrong.shape
        rest, rest_wrong = self.rows - self.members, self.wrong - self.members_wrong
        assert np.all((self.members_wrong >= 0) & (self.members_wrong <= self.members))
        assert np.all((rest_wrong >= 0) & (rest_wrong <= rest))

    @property
    def has_rest(self) -> NDArray[np.bool_]:
        """`(c,) bool`: strata that hold members and a rest; only these say anything about a difference."""
        return (self.members > 0) & (self.members < self.rows)

    def pooled(self) -> Strata:
        """All strata added up to one."""
        sums = (self.rows.sum(), self.wrong.sum(), self.members.sum(), self.members_wrong.sum())
        return Strata(*(np.array([int(total)], dtype=np.int64) for total in sums))


def exact_test(strata: Strata) -> float:
    """p-value that members err more often than the rest of their stratum, exact for independent rows.

    Within each stratum the number of wrong members is hypergeometric given the margins; the p-value is the chance that
    the sum of independent such numbers is at least the observed one (Birch's exact conditional test of 2 x 2 tables;
    with one stratum Fisher's exact test). Strata without members or without a rest contribute nothing; with no other
    stratum the p-value is 1. The distributions are exponentially tilted towards the observed sum before they are
    convolved (directly, no FFT), so the far tail is as accurate as the middle: relative error below 1e-9.
    Values under 1e-300 are returned as 1e-300.

    Reference: M. W. Birch, "The detection of partial association, I: the 2 x 2 case", JRSS B, 1964.
    """
    keep = strata.has_rest
    if not keep.any():
        return 1.0
    observed = int(strata.members_wrong[keep].sum())
    weights = _Weights.of(strata.rows[keep], strata.wrong[keep], strata.members[keep])
    if observed <= int(weights.low.sum()):
        return 1.0
    normaliser = weights.tilted(0.0).log_sums
    if observed >= int(weights.high.sum()):
        return _from_log(float((weights.log_weight[weights.stops - 1] - normaliser).sum()))
    tilt = _tilt_towards(observed, weights)
    tilted = weights.tilted(tilt)
    total = _convolve_all(
        [
            _Distribution(int(low), tilted.probability[start:stop])
            for low, start, stop in zip(weights.low, weights.starts, weights.stops, strict=True)
        ]
    )
    support = total.first + np.arange(total.probability.size)
    above = support >= observed
    tail = float((total.probability[above] * np.exp(-tilt * (support[above] - observed))).sum())
    if tail <= 0.0:
        return SMALLEST_P
    return _from_log(math.log(tail) + float((tilted.log_sums - normaliser).sum()) - tilt * observed)


def fisher_test(members_wrong: int, members: int, wrong: int, rows: int) -> float:
    """p-value of Fisher's exact test, one-sided: `members_wrong` or more of `members`, given `wrong` of `rows`.

    Reference: R. A. Fisher, "The Design of Experiments", Oliver and Boyd, 1935, chapter 2.
    """
    return exact_test(Strata(*(np.array([count], dtype=np.int64) for count in (rows, wrong, members, members_wrong))))


def smallest_p(strata: Strata) -> float:
    """The smallest p-value `exact_test` could give with these margins: every stratum with min(members, wrong) inside.

    1 when no stratum has members and a rest. Above alpha the proposal is untestable.
    """
    keep = strata.has_rest
    members, wrong, rows = strata.members[keep], strata.wrong[keep], strata.rows[keep]
    most = np.where(strata.has_rest, np.minimum(strata.members, strata.wrong), strata.members_wrong)
    if not keep.any() or not (np.minimum(members, wrong) > np.maximum(0, members + wrong - rows)).any():
        return 1.0
    return exact_test(Strata(strata.rows, strata.wrong, strata.members, most))


@dataclass(frozen=True)
class _Distribution:
    first: int
    probability: Floats


@dataclass(frozen=True)
class _Tilted:
    probability: Floats
    log_sums: Floats
    mean: float
    variance: float


@dataclass(frozen=True)
class _Weights:
    """Unnormalised log-probabilities of all strata, one behind the other, each with its largest at 0."""

    low: Ints
    high: Ints
    starts: Ints
    stops: Ints
    value: Floats
    log_weight: Floats

    @classmethod
    def of(cls, rows: Ints, wrong: Ints, members: Ints) -> _Weights:
        # Log-ratios of neighbouring probabilities are summed up instead of subtracting log-gammas of large numbers,
        # which would lose nine digits at a million rows.
        low = np.maximum(0, members + wrong - rows)
        high = np.minimum(members, wrong)
        sizes = high - low + 1
        stops = np.cumsum(sizes)
        starts = stops - sizes
        value = np.arange(int(stops[-1]), dtype=np.float64) - np.repeat(starts - low, sizes)
        before = value - 1.0
        wrong_, members_, rest_right = (
            np.repeat(a.astype(np.float64), sizes) for a in (wrong, members, rows - wrong - members)
        )
        numerator = (wrong_ - before) * (members_ - before)
        denominator = value * (rest_right + value)
        numerator[starts] = denominator[starts] = 1.0
        total = np.cumsum(np.log(numerator / denominator))
        log_weight = total - np.repeat(total[starts], sizes)
        log_weight -= np.repeat(np.maximum.reduceat(log_weight, starts), sizes)
        return cls(low, high, starts, stops, value, log_weight)

    def tilted(self, tilt: float) -> _Tilted:
        """Each stratum's distribution multiplied by exp(tilt x value), normalised."""
        sizes = self.stops - self.starts
        exponent = self.log_weight + tilt * self.value
        largest = np.maximum.reduceat(exponent, self.starts)
        probability = np.exp(exponent - np.repeat(largest, sizes))
        sums = np.add.reduceat(probability, self.starts)
        probability /= np.repeat(sums, sizes)
        means = np.add.reduceat(probability * self.value, self.starts)
        spread = self.value - np.repeat(means, sizes)
        return _Tilted(
            probability, largest + np.log(sums), float(means.sum()), float((probability * spread * spread).sum())
        )


def _tilt_towards(observed: int, weights: _Weights) -> float:
    """The tilt under which the expected sum is the observed one, roughly; 0 when that is not above the mean."""
    current = weights.tilted(0.0)
    if observed <= current.mean:
        return 0.0
    lower, upper, tilt = 0.0, math.inf, 0.0
    for _ in range(200):
        gap = observed - current.mean
        # A tenth of a standard deviation is near enough: any tilt gives the right answer, this one keeps it in range.
        if abs(gap) <= 0.1 * math.sqrt(current.variance) + 1e-3:
            break
        lower, upper = (tilt, upper) if gap > 0 else (lower, tilt)
        step = tilt + gap / current.variance if current.variance > 0 else math.inf
        if not lower < step < upper or step > tilt + 4.0:
            step = tilt + 2.0 if math.isinf(upper) else 0.5 * (lower + upper)
        tilt = step
        current = weights.tilted(tilt)
    return tilt


def _convolve_all(distributions: Sequence[_Distribution]) -> _Distribution:
    """The distribution of the sum of independent variables."""
    waiting = sorted((_trimmed(d) for d in distributions), key=lambda d: d.probability.size)
    narrow = [d for d in waiting if d.probability.size <= _STACK_WIDTH // 4]
    if len(narrow) > 8:
        waiting = _convolve_stacked(narrow) + waiting[len(narrow) :]
    while len(waiting) > 1:
        pairs = [waiting[i : i + 2] for i in range(0, len(waiting), 2)]
        waiting = [_convolve(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
    return waiting[0]


def _convolve(a: _Distribution, b: _Distribution) -> _Distribution:
    return _trimmed(_Distribution(a.first + b.first, np.convolve(a.probability, b.probability)))


def _convolve_stacked(distributions: Sequence[_Distribution]) -> list[_Distribution]:
    """Neighbours convolved pairwise, all pairs of a level at once, until few or wide ones are left."""
    width = max(d.probability.size for d in distributions)
    first = np.array([d.first for d in distributions], dtype=np.int64)
    stack = np.zeros((len(distributions), width))
    for row, d in zip(stack, distributions, strict=True):
        row[: d.probability.size] = d.probability
    while len(stack) > 8 and width <= _STACK_WIDTH:
        if len(stack) % 2:
            unit = np.zeros((1, width))
            unit[0, 0] = 1.0
            stack, first = np.concatenate([stack, unit]), np.append(first, 0)
        left, right = stack[0::2], stack[1::2]
        stack = np.zeros((len(left), 2 * width - 1))
        for i in range(width):
            stack[:, i : i + width] += left[:, i : i + 1] * right
        first, width = first[0::2] + first[1::2], 2 * width - 1
    return [_trimmed(_Distribution(int(f), row)) for f, row in zip(first, stack, strict=True)]


def _trimmed(distribution: _Distribution) -> _Distribution:
    probability = distribution.probability
    kept = np.flatnonzero(probability > _NEGLIGIBLE * probability.max())
    return _Distribution(distribution.first + int(kept[0]), probability[kept[0] : kept[-1] + 1])


def _from_log(log_p: float) -> float:
    return min(1.0, max(SMALLEST_P, math.exp(max(log_p, -745.0))))
