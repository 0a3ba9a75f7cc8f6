"""All tests of a family together: their adjusted p-values, and the level of the intervals of what is confirmed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from errata.proof.effect import GroupContrast, group_contrast
from errata.proof.judged import Judged
from errata.proof.sample import Sample
from errata.stats.multiplicity import (
    Multiplicity,
    adjusted_p_values,
    critical_value,
    interval_level,
    step_down_max,
)  # fmt: skip

__all__ = ["Adjusted", "JointDraws", "adjust", "joint_draws"]

Bool = NDArray[np.bool_]
Floats = NDArray[np.float64]

DRAWS = 9_999
LEAST_DRAWS = 1_999
_CELLS = 200_000_000
"""Rows times draws: with more than 20,000 rows there are fewer draws, down to 1,999, so that it stays at seconds."""

_BLOCK = 4_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Adjusted:
    """Adjusted p-values `(m,)` of a family, and the two-sided level of the intervals of its confirmed findings."""

    q_values: Floats
    level: float


@dataclass(frozen=True, kw_only=True, eq=False)
class JointDraws:
    """Standardised statistics `(m,)`, and the same `(m, B)` with one permutation for all m at a time."""

    observed: Floats
    drawn: Floats


def adjust(tested: Sequence[Judged], multiplicity: Multiplicity, *, alpha: float) -> Adjusted:
    """The account of many tests within one family; every one of `tested` has a p-value."""
    p_values = np.array([one.p_value for one in tested], dtype=np.float64)
    if multiplicity != "maxt":
        q_values = adjusted_p_values(p_values, multiplicity)
        kept = int((q_values <= alpha).sum())
        level = interval_level(multiplicity, alpha=alpha, confirmed=kept, tested=len(tested))
        return Adjusted(q_values=q_values, level=level)
    if not tested:
        return Adjusted(q_values=p_values, level=1.0 - alpha)
    draws = joint_draws(tested)
    # A test beyond a least difference, or one that is more careful than the permutation, keeps its own p-value.
    q_values = np.maximum(step_down_max(draws.observed, draws.drawn), p_values)
    return Adjusted(q_values=q_values, level=1.0 - _tail(critical_value(draws.drawn.max(axis=0), alpha), alpha))


def _tail(critical: float, alpha: float) -> float:
    """The p-value of one test at the critical value of the maximum, by the normal distribution; never above alpha."""
    from scipy.special import ndtr

    return min(alpha, max(float(ndtr(-critical)), 1e-12))


def joint_draws(tested: Sequence[Judged]) -> JointDraws:
    """The statistics of all tests under permutations that leave no difference, the same permutation for all of them.

    Losses are permuted within strata; where groups are the unit, the signs of whole groups are flipped, and for rules
    that are constant within groups membership moves over whole groups. Statistics are members' loss above that of
    their stratum in standard deviations of the permutation.
    """
    sample = tested[0].ground.confirm
    rng = np.random.default_rng([one.proposal.seed for one in sorted(tested, key=lambda one: one.id)])
    if sample.cells is None:
        return _rows_permuted(sample, np.stack([one.member for one in tested]), rng)
    contrasts = [group_contrast(sample.cells, one.member, sample.loss) for one in tested]
    assert all(contrast is not None for contrast in contrasts), "what cannot be compared is not tested"
    return _groups_permuted([contrast for contrast in contrasts if contrast is not None], rng)


def _rows_permuted(sample: Sample, members: Bool, rng: np.random.Generator) -> JointDraws:
    order = np.argsort(sample.stratum, kind="stable")
    stratum, inside = sample.stratum[order], members[:, order].astype(np.float64)
    rows = np.maximum(np.bincount(stratum), 1)
    centred = sample.loss[order] - (np.bincount(stratum, weights=sample.loss[order]) / rows)[stratum]
    spread = np.bincount(stratum, weights=centred * centred) / np.maximum(rows - 1, 1)
    edges = np.flatnonzero(np.diff(stratum)) + 1
    count = np.add.reduceat(inside, np.concatenate([[0], edges]), axis=1)
    present = stratum[np.concatenate([[0], edges])]
    variance = (count * (1.0 - count / rows[present]) * spread[present]).sum(axis=1)
    scale = np.sqrt(np.maximum(variance, 1e-300))
    draws = int(np.clip(_CELLS // len(centred), LEAST_DRAWS, DRAWS))
    drawn = np.empty((len(inside), draws))
    step = max(1, _BLOCK // len(centred))
    for start in range(0, draws, step):
        block = np.tile(centred, (min(step, draws - start), 1))
        for part in np.split(block, edges, axis=1):
            rng.permuted(part, axis=1, out=part)
        drawn[:, start : start + len(block)] = inside @ block.T
    return JointDraws(observed=inside @ centred / scale, drawn=drawn / scale[:, None])


def _groups_permuted(contrasts: Sequence[GroupContrast], rng: np.random.Generator) -> JointDraws:
    """Rules that vary within groups share their flips, those that do not share the order of groups."""
    length = max(len(contrast.sums) for contrast in contrasts)
    draws = int(np.clip(_CELLS // max(length, 1), LEAST_DRAWS, DRAWS))
    observed, drawn = np.empty(len(contrasts)), np.empty((len(contrasts), draws))
    signs = rng.integers(0, 2, (length, draws), dtype=np.int8) * 2.0 - 1.0
    orders = rng.random((draws, length))
    for at, contrast in enumerate(contrasts):
        sums = contrast.sums
        if contrast.chosen is None:
            scale = float(np.sqrt(sums @ sums)) or 1.0
            observed[at], drawn[at] = sums.sum() / scale, sums @ signs[: len(sums)] / scale
            continue
        chosen, groups = int(contrast.chosen.sum()), len(sums)
        centred = sums - sums.mean()
        spread = float(centred @ centred) / max(groups - 1, 1)
        scale = float(np.sqrt(chosen * (1.0 - chosen / groups) * spread)) or 1.0
        moved = centred[np.argsort(orders[:, :groups], axis=1)]
        observed[at] = centred[contrast.chosen].sum() / scale
        drawn[at] = moved[:, contrast.chosen].sum(axis=1) / scale
    return JointDraws(observed=observed, drawn=drawn)
