"""Splits of tree nodes: one pass over the codes of a column serves all nodes of a level; cuts go back to raw values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal as OneOfWords

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Column, Float, Int
from errata.ops.regions.bins import Axis, numeric_values
from errata.ops.regions.ground import Ground
from errata.ops.regions.literals import Absent, Levels, Literal, Span, set_cost
from errata.ops.regions.roundness import round_cut

__all__ = ["Branch", "Split", "best_splits", "branches_of", "schwarz", "told_apart"]

_TINY = 1e-12
_SLACK = 0.5
"""Log-likelihood that a cut may lose to become a round number: half of what one standard error costs."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """How the rows of a node are best told apart by one column.

    gain   log-likelihood gained by rates of their own for the children, less what the cuts cost
    kind   "cut" bins up to `high` | the rest; "range" below | bins low to high | above; "set" the bins `chosen` | the
           rest; "missing" rows with | without a value. Missing numbers are always a child of their own.
    """

    axis: int
    gain: float
    kind: OneOfWords["cut", "range", "set", "missing"]
    low: int = 0
    high: int = 0
    chosen: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Branch:
    """One child of a split: the literal that leads to it (its opposite where `negated`), and its rows of the node."""

    literal: Literal
    negated: bool
    rows: Int


def best_splits(ground: Ground, slot: NDArray[np.int64], nodes: int, *, least: int) -> list[Split | None]:
    """For each of `nodes` nodes the split with the largest gain, which may be negative; None where no split fits.

    slot   (n,) int64, the node of each row; `nodes` for rows that belong to none
    least  fewest rows in a child
    """
    found: list[Split | None] = [None] * nodes
    scale = _Scale.of(ground)
    for index, axis in enumerate(ground.binned.axes):
        width = axis.bins + 1
        table = ground.contrast.tally(slot * width + ground.binned.codes[index], (nodes + 1) * width)
        table = table.reshape(3, nodes + 1, width)[:, :nodes]
        search = _search_numbers if axis.ordered else _search_levels
        for node in range(nodes):
            if table[0, node].sum() >= 2 * least:
                found[node] = _better(found[node], search(table[:, node], index, axis, scale, least))
    return [split if split is not None and np.isfinite(split.gain) else None for split in found]


def schwarz(rows: int) -> float:
    """What one cut must earn: half the logarithm of the number of rows (Schwarz, Annals of Statistics 1978)."""
    return 0.5 * math.log(max(rows, 2))


def told_apart(ground: Ground, part: Bool, whole: Bool) -> float:
    """Log-likelihood gained by a rate of its own for `part` (n,) of the rows `whole` (n,), which it lies in."""
    node, inside = ground.contrast.sums(whole), ground.contrast.sums(part)
    scale = _Scale.of(ground)
    return float(scale.own(inside, node) + scale.own(node - inside, node))


@dataclass(frozen=True, kw_only=True)
class _Scale:
    """What gains are measured in.

    unit      cost of one cut; `columns` is how many there were to choose from
    variance  of a loss that is not 0 or 1; None for one that is
    """

    unit: float
    columns: int
    variance: float | None

    @staticmethod
    def of(ground: Ground) -> _Scale:
        contrast = ground.contrast
        variance = None if contrast.binary else float(np.mean(contrast.loss**2)) + _TINY
        return _Scale(unit=schwarz(len(contrast)), columns=max(1, len(ground.binned.axes)), variance=variance)

    def cost(self, cuts: float) -> float:
        """What `cuts` cuts of the best column must earn."""
        return self.unit * cuts + math.log(self.columns)

    def own(self, sums: Float, node: Float) -> Float:
        """(...) log-likelihood of children, summed in (3, ...), under rates of their own against the node's odds."""
        n, o, e = sums
        if self.variance is not None:
            # Around the node's mean: what stays of the node's own excess would make every split look good.
            centred = o - n * (node[1] / max(node[0], 1.0))
            return np.asarray(centred * centred / (2.0 * np.maximum(n, 1.0) * self.variance))
        expected = _scaled(n, e, node)
        return _entropy(o, expected) + _entropy(n - o, n - expected)


def _scaled(n: Float, e: Float, node: Float) -> Float:
    """Errors expected of children when all classes' odds are raised by what the node's are, on the whole."""
    rows, wrong, expected = (float(value) for value in node)
    base = min(max(expected / max(rows, 1.0), 1e-6), 1.0 - 1e-6)
    seen = min(max((wrong + base) / (rows + 1.0), 1e-6), 1.0 - 1e-6)
    odds = seen * (1.0 - base) / ((1.0 - seen) * base)
    rate = np.clip(e / np.maximum(n, _TINY), 1e-9, 1.0 - 1e-9)
    return n * (odds * rate / (1.0 - rate + odds * rate))


def _entropy(observed: Float, expected: Float) -> Float:
    return observed * np.log((np.maximum(observed, 0.0) + _TINY) / (np.maximum(expected, 0.0) + _TINY))


def _search_numbers(table: Float, index: int, axis: Axis, scale: _Scale, least: int) -> Split | None:
    node = table.sum(axis=1)
    below = np.cumsum(table[:, : axis.bins], axis=1)
    present, missing = below[:, -1], table[:, axis.bins]
    apart = float(scale.own(missing, node)) if missing[0] else 0.0
    extra = 1.0 if missing[0] else 0.0
    best: Split | None = None
    if missing[0] >= least and present[0] >= least:
        gain = apart + float(scale.own(present, node)) - scale.cost(1.0)
        best = Split(axis=index, gain=gain, kind="missing")
    if axis.bins >= 2:
        left = below[:, :-1]
        right = present[:, None] - left
        # What a side earns is the same beside a cut and beside a range; one with too few rows earns nothing.
        under = np.where(left[0] >= least, scale.own(left, node), -np.inf)
        above = np.where(right[0] >= least, scale.own(right, node), -np.inf)
        at = int((under + above).argmax())
        gain = float(under[at] + above[at]) + apart - scale.cost(1.0 + extra)
        best = _better(best, Split(axis=index, gain=gain, kind="cut", high=at))
        found = _best_range(below, node, under, above, scale, least)
        if found is not None:
            low, high, gain = found
            # Two cuts and one rate more than a cut has: cheaper, and chance would put a sliver beside every true cut.
            gain += apart - scale.cost(3.0 + extra)
            best = _better(best, Split(axis=index, gain=gain, kind="range", low=low, high=high))
    return best


def _best_range(
    below: Float, node: Float, under: Float, above: Float, scale: _Scale, least: int
) -> tuple[int, int, float] | None:
    """First and last bin of the interval whose three children, below, in and above it, gain most, and their gain.

    below          (3, bins) sums of the bins up to each one
    under, above   (bins - 1,) what the sides of the cut after each bin earn, -inf where they have too few rows
    """
    lows, highs = _inner_intervals(below.shape[1])
    inside = below[:, highs] - below[:, lows - 1]
    outside = under[lows - 1] + above[highs]
    fits = np.flatnonzero((inside[0] >= least) & (outside > -np.inf))
    if not len(fits):
        return None
    gains = outside[fits] + scale.own(inside[:, fits], node)
    best = int(gains.argmax())
    at = fits[best]
    return int(lows[at]), int(highs[at]), float(gains[best])


@lru_cache(maxsize=128)
def _inner_intervals(bins: int) -> tuple[Int, Int]:
    """First and last bin of every interval that leaves bins on both sides."""
    lows, highs = np.triu_indices(bins - 2)
    return lows + 1, highs + 1


def _search_levels(table: Float, index: int, axis: Axis, scale: _Scale, least: int) -> Split | None:
    """The best set of levels: some of those with the highest rates, which for one rate per level is the best of all."""
    node = table.sum(axis=1)
    used = np.flatnonzero(table[0, : axis.bins] > 0)
    if not len(used):
        return None
    n, o, e = table[:, used]
    if scale.variance is None:
        rate = (o + 1.0) / (_scaled(n, e, node) + 1.0)
    else:
        rate = (o - n * node[1] / max(node[0], 1.0)) / (n + 1.0)
    order = used[np.argsort(-rate, kind="stable")]
    inside = np.cumsum(table[:, order], axis=1)
    rest = node[:, None] - inside
    gains = scale.own(inside, node) + scale.own(rest, node)
    of = len(used) + int(axis.gaps > 0)
    gains -= np.array(
        [set_cost(min(size, of - size), of) if size < of else np.inf for size in range(1, len(order) + 1)]
    )
    gains = np.where((inside[0] >= least) & (rest[0] >= least), gains, -np.inf)
    at = int(gains.argmax())
    if not np.isfinite(gains[at]):
        return None
    chosen = tuple(sorted(int(level) for level in order[: at + 1]))
    return Split(axis=index, gain=float(gains[at]) - scale.cost(1.0), kind="set", chosen=chosen)


def _better(first: Split | None, second: Split | None) -> Split | None:
    if first is None or second is None:
        return first or second
    return second if second.gain > first.gain else first


def branches_of(split: Split, ground: Ground, rows: Int) -> tuple[Branch, ...]:
    """The children of a node with rows (m,): cuts moved to the best raw value nearby, then to a round number."""
    axis = ground.binned.axes[split.axis]
    column = ground.column(axis.name)
    if split.kind == "set":
        return _set_branches(split, axis, column, rows)
    values = numeric_values(column)[rows]
    if split.kind == "missing":
        whole = Span(column=axis.name)
        return _present(((whole, ~np.isnan(values)),), values, rows, axis.name)
    near = _Near(
        ground=ground, index=split.axis, axis=axis, column=column, rows=rows, values=values, scale=_Scale.of(ground)
    )
    # A cut is placed between what lies on its two sides, not beyond the other end of a range.
    high = near.cut(split.high, first=split.low, last=axis.bins)
    with np.errstate(invalid="ignore"):
        upto = values <= high
        if split.kind == "cut":
            parts = ((Span(column=axis.name, high=high), upto), (Span(column=axis.name, low=high), values > high))
            return _present(parts, values, rows, axis.name)
        low = near.cut(split.low - 1, first=0, last=split.high)
        inside = (values > low) & upto
        three = (
            (Span(column=axis.name, high=low), values <= low),
            (Span(column=axis.name, low=low, high=high), inside),
            (Span(column=axis.name, low=high), values > high),
        )
    return _present(three, values, rows, axis.name)


def _set_branches(split: Split, axis: Axis, column: Column, rows: Int) -> tuple[Branch, ...]:
    codes = frozenset(int(axis.levels[at]) for at in split.chosen)
    literal = Levels(column=axis.name, codes=codes, of=max(len(column.levels), 2))
    table = np.zeros(literal.of + 1, dtype=bool)
    table[list(codes)] = True
    inside = table[column.values[rows]]
    return (
        Branch(literal=literal, negated=False, rows=rows[inside]),
        Branch(literal=literal, negated=True, rows=rows[~inside]),
    )


def _present(parts: tuple[tuple[Span, Bool], ...], values: Float, rows: Int, name: str) -> tuple[Branch, ...]:
    """The branches of the parts, and one more for missing numbers where there are any."""
    found = [Branch(literal=span, negated=False, rows=rows[mask]) for span, mask in parts]
    missing = np.isnan(values)
    if missing.any():
        found.append(Branch(literal=Absent(column=name), negated=False, rows=rows[missing]))
    return tuple(found)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Near:
    """Where a cut between two bins of a node lies exactly: values (m,) of its rows."""

    ground: Ground
    index: int
    axis: Axis
    column: Column
    rows: Int
    values: Float
    scale: _Scale

    def cut(self, edge: int, *, first: int, last: int) -> float:
        """The best cut of the bins first..last, between `edge` and `edge + 1`; round where that costs little."""
        codes = self.ground.binned.codes[self.index, self.rows]
        near = np.flatnonzero((codes == edge) | (codes == edge + 1))
        contrast = self.ground.contrast
        node = contrast.sums(self.rows[(codes >= first) & (codes <= last) & (codes < self.axis.bins)])
        order = near[np.argsort(self.values[near], kind="stable")]
        values, rows = self.values[order], self.rows[order]
        ends = np.flatnonzero(values[1:] > values[:-1])
        if not len(ends):
            return float(self.axis.edges[edge])
        before = contrast.sums(self.rows[(codes >= first) & (codes < edge)])
        steps = np.stack([np.ones(len(rows)), contrast.loss[rows], contrast.expected[rows]])
        left = before[:, None] + np.cumsum(steps, axis=1)[:, ends]
        gains = self.scale.own(left, node) + self.scale.own(node[:, None] - left, node)
        best = int(gains.argmax())
        close = gains >= gains[best] - _SLACK
        # Only the run of good cuts around the best one: between two runs lies a worse place.
        lowest = best - int(np.argmin(np.append(close[best::-1], False))) + 1
        highest = best + int(np.argmin(np.append(close[best:], False))) - 1
        middle = 0.5 * float(values[ends[best]] + values[ends[best] + 1])
        return round_cut(float(values[ends[lowest]]), float(values[ends[highest] + 1]), middle, column=self.column)
