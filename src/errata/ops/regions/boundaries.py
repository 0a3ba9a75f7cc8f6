"""Boundaries on raw values: each literal of a conjunction is fitted anew, given the others, until nothing improves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from errata.core.columns import Bool, Column, Float, Int
from errata.ops.regions.bins import numeric_values
from errata.ops.regions.ground import Ground
from errata.ops.regions.literals import Absent, Levels, Literal, Span, set_cost
from errata.ops.regions.roundness import halfway, round_cut

__all__ = ["Fitted", "climb", "fitted", "settle"]

_SWEEPS = 6
# The middle part of a cut's posterior in which the roundest number is taken.
_ROUND_WITHIN = 0.3


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """A conjunction on some ground.

    gain     log-likelihood gained, before anything is taken off for its parts
    value    gain less what its parts cost
    members  (n,) bool
    """

    literals: tuple[Literal, ...]
    gain: float
    value: float
    members: Bool


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sorted:
    """The values of one column among some rows, ascending, each once: `at` (m,), `sums` (m + 1,) evidence below."""

    at: Float
    sums: Float


def fitted(literals: Sequence[Literal], ground: Ground) -> Fitted:
    """The conjunction as it is."""
    return _measured(tuple(literals), [ground.holds(literal) for literal in literals], ground)


def _measured(literals: tuple[Literal, ...], masks: Sequence[Bool], ground: Ground) -> Fitted:
    members = _all(masks, len(ground))
    sums = ground.contrast.sums(members)
    gain = float(ground.contrast.gain(sums)) if sums[0] >= ground.least else -math.inf
    cost = ground.prices.all(literals)
    return Fitted(literals=literals, gain=gain, value=gain - cost, members=members)


def _all(masks: Sequence[Bool], n: int) -> Bool:
    chosen = np.ones(n, dtype=bool)
    for mask in masks:
        chosen &= mask
    return chosen


def climb(start: Fitted, ground: Ground, *, drop: bool = True) -> Fitted:
    """Refit one literal at a time to the best interval or set given the others, and drop those not worth their cost.

    drop  False keeps every column that the start has
    """
    best = start
    for _ in range(_SWEEPS):
        before = best.value
        position = 0
        while position < len(best.literals):
            if drop:
                best = _without(best, position, ground)
            if position < len(best.literals):
                best = _refit(best, position, ground)
            position += 1
        if best.value <= before + 1e-9:
            break
    return best


def _masks(state: Fitted, ground: Ground) -> list[Bool]:
    return [ground.holds(literal) for literal in state.literals]


def _without(state: Fitted, position: int, ground: Ground) -> Fitted:
    if len(state.literals) == 1:
        return state
    left = state.literals[:position] + state.literals[position + 1 :]
    fewer = fitted(left, ground)
    return fewer if fewer.value >= state.value else state


def _refit(state: Fitted, position: int, ground: Ground) -> Fitted:
    literal = state.literals[position]
    masks = _masks(state, ground)
    others = _all([mask for at, mask in enumerate(masks) if at != position], len(ground))
    rows = np.flatnonzero(others)
    evidence = ground.contrast.evidence(state.members, rows)
    column = ground.column(literal.column)
    choice = _best_literal(literal, column, rows, evidence, ground)
    if choice is None or choice == literal:
        return state
    masks[position] = ground.holds(choice)
    changed = replace_at(state.literals, position, choice)
    moved = _measured(changed, masks, ground)
    return moved if moved.value > state.value else state


def replace_at(literals: tuple[Literal, ...], position: int, literal: Literal) -> tuple[Literal, ...]:
    """The same literals with one exchanged."""
    return (*literals[:position], literal, *literals[position + 1 :])


def _best_literal(literal: Literal, column: Column, rows: Int, evidence: Float, ground: Ground) -> Literal | None:
    if isinstance(literal, Levels):
        return _best_levels(literal, column, rows, evidence, ground)
    if isinstance(literal, Absent):
        return None
    table = _sorted(column, rows, evidence)
    return None if table is None else _best_span(literal.column, table, ground.prices.cut)


def _best_levels(literal: Levels, column: Column, rows: Int, evidence: Float, ground: Ground) -> Levels | None:
    codes = np.asarray(column.values[rows], dtype=np.int64) + 1
    axis = ground.axis(literal.column)
    # Only levels with enough rows to have been binned: the rare ones would be picked by chance.
    known = np.array(sorted(literal.codes), dtype=np.int64) if axis is None else axis.levels.astype(np.int64)
    known += 1
    each = np.bincount(codes, weights=evidence, minlength=int(known.max()) + 1)[known]
    order = np.argsort(-each, kind="stable")
    order = order[: int(np.count_nonzero(each > 0.0))]
    if not len(order):
        return None
    of = max(literal.of, len(known))
    costs = np.array([set_cost(size, of) for size in range(1, len(order) + 1)])
    size = int((np.cumsum(each[order]) - costs).argmax()) + 1
    if size >= of:
        return None
    return Levels(column=literal.column, codes=frozenset((known[order[:size]] - 1).tolist()), of=literal.of)


def _sorted(column: Column, rows: Int, evidence: Float) -> _Sorted | None:
    values = numeric_values(column)[rows]
    known = ~np.isnan(values)
    if not known.all():
        values, evidence = values[known], evidence[known]
    if not len(values):
        return None
    order = np.argsort(values)
    values = values[order]
    last = np.append(np.flatnonzero(values[1:] != values[:-1]), len(values) - 1)
    sums = np.append(0.0, np.cumsum(evidence[order])[last])
    return _Sorted(at=values[last], sums=sums)


def _best_span(name: str, table: _Sorted, unit: float) -> Span | None:
    """The interval with the largest sum of evidence, less `unit` per bound, in one pass."""
    m = len(table.at)
    if m < 2:
        return None
    start = table.sums[:-1].copy()
    start[1:] += unit
    end = table.sums[1:].copy()
    end[:-1] -= unit
    low_at = _running_argmin(start)
    each = end - start[low_at]
    if low_at[-1] == 0:
        # Everything is no region: the widest interval competes with the best one that leaves something out.
        low_at[-1] = 1 + int(start[1:].argmin())
        each[-1] = end[-1] - start[low_at[-1]]
    high = int(each.argmax())
    low = int(low_at[high])
    return Span(
        column=name,
        low=-math.inf if low == 0 else halfway(table.at[low - 1], table.at[low]),
        high=math.inf if high == m - 1 else halfway(table.at[high], table.at[high + 1]),
    )


def _running_argmin(values: Float) -> Int:
    lowest = np.minimum.accumulate(values)
    new = np.append(True, values[1:] < lowest[:-1])
    return np.maximum.accumulate(np.where(new, np.arange(len(values)), 0))


def settle(state: Fitted, ground: Ground, *, sweeps: int = 2) -> Fitted:
    """Move every numeric cut from its likeliest place to the middle of where it may lie, and to a round number there.

    The median of a cut's posterior has the smallest expected number of rows on the wrong side; given the other literals
    it is summed exactly over all places of the opposite bound.
    """
    for _ in range(sweeps):
        for position, literal in enumerate(state.literals):
            if isinstance(literal, Span) and literal.cuts:
                state = _settle_one(state, position, literal, ground)
    return state


def _settle_one(state: Fitted, position: int, literal: Span, ground: Ground) -> Fitted:
    masks = _masks(state, ground)
    others = _all([mask for at, mask in enumerate(masks) if at != position], len(ground))
    rows = np.flatnonzero(others)
    column = ground.column(literal.column)
    table = _sorted(column, rows, ground.contrast.evidence(state.members, rows))
    if table is None or len(table.at) < 2:
        return state
    moved = _middle(literal, table, column)
    masks[position] = ground.holds(moved)
    settled = _measured(replace_at(state.literals, position, moved), masks, ground)
    return settled if settled.gain > 0.0 else state


def _middle(literal: Span, table: _Sorted, column: Column) -> Span:
    m = len(table.at)
    low_open, high_open = literal.low == -math.inf, literal.high == math.inf
    # Interval i < j holds at[i:j]; an open side has only its end as a place.
    low_log = np.where(np.arange(m) > 0, 0.0, -math.inf) if not low_open else _only(m, 0)
    high_log = np.where(np.arange(1, m + 1) < m, 0.0, -math.inf) if not high_open else _only(m, m - 1)
    below, above = low_log - table.sums[:-1], high_log + table.sums[1:]
    after = np.logaddexp.accumulate(above[::-1])[::-1]
    before = np.logaddexp.accumulate(below)
    low_weight, high_weight = below + after, above + before
    if low_weight.max() == -math.inf or high_weight.max() == -math.inf:
        return literal  # two bounds, and among these rows too few values for both
    low, high = literal.low, literal.high
    if not low_open:
        low = _cut(low_weight, table.at, column, shift=-1)
    if not high_open:
        high = _cut(high_weight, table.at, column, shift=0)
    return literal if low >= high else replace(literal, low=low, high=high)


def _only(m: int, place: int) -> Float:
    weights = np.full(m, -math.inf)
    weights[place] = 0.0
    return weights


def _cut(log_weight: Float, at: Float, column: Column, *, shift: int) -> float:
    """The roundest number near the median of a cut; place p lies between at[p + shift] and at[p + shift + 1]."""
    weight = np.exp(log_weight - log_weight.max())
    share = np.cumsum(weight) / weight.sum()
    ends = np.searchsorted(share, [0.5 - _ROUND_WITHIN / 2, 0.5, 0.5 + _ROUND_WITHIN / 2])
    first, middle, last = np.clip(ends + shift, 0, len(at) - 2).tolist()
    centre = halfway(at[middle], at[middle + 1])
    return round_cut(float(at[first]), float(at[last + 1]), centre, column=column)
