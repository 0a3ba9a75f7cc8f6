"""Where regions may lie: the best interval or set of each column and of each pair of columns, in bins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Float, Int
from errata.ops.bins import Axis
from errata.ops.ground import Ground
from errata.ops.literals import Absent, Levels, Literal, Span
from errata.ops.rectangles import Box, Boxes, Pairing, best_boxes, best_side, coarse_gain

__all__ = ["MOST_PAIRS", "PairBoxes", "Start", "extensions", "literal_of", "single_starts"]

_STALE = 250
# More pairs than this are ranked on a part of the rows and in few bins first.
MOST_PAIRS = 2_500
_SCREEN_ROWS = 20_000
_SCREEN_BINS = 6


@dataclass(frozen=True, kw_only=True)
class Start:
    """A conjunction in bins, and its gain less the cost of its parts."""

    literals: tuple[Literal, ...]
    value: float


@dataclass(frozen=True, kw_only=True, eq=False)
class PairBoxes:
    """The best regions of each pair of columns; when rows are taken away, only leading pairs are done anew."""

    boxes: dict[tuple[int, int], Boxes] = field(default_factory=dict)

    def scan(self, ground: Ground, pairs: Iterable[tuple[int, int]] | None = None) -> None:
        """Find the best region of these pairs of axes (None: of all, or of the `MOST_PAIRS` that lead a screening)."""
        axes = ground.binned.axes
        wanted = sorted(leading_pairs(ground) if pairs is None else pairs)
        coarse: dict[int, NDArray[np.uint8]] = {}
        first_of: int | None = None

        def code(at: int) -> NDArray[np.uint8]:
            if at not in coarse:
                coarse[at] = axes[at].coarse[ground.binned.codes[at]]
            return coarse[at]

        for i, j in wanted:
            if i != first_of:
                first_of, pairing = i, Pairing(code(i), axes[i], ground.contrast)
            sums = pairing.sums(code(j), axes[j])
            both = (axes[i], axes[j])
            self.boxes[i, j] = best_boxes(sums, both, ground.contrast, prices=ground.prices, least=ground.least)

    def rescan(self, ground: Ground) -> None:
        """Do the leading pairs anew on ground that lost rows."""
        leading = sorted(self.boxes, key=lambda pair: -self.boxes[pair].any.gain)[:_STALE]
        self.scan(ground, leading)

    def starts(self, ground: Ground, most: int) -> list[Start]:
        """The best regions, best first, at most one per pair; some restrict one column only, or none."""
        leading = sorted(self.boxes, key=lambda pair: -self.boxes[pair].any.gain)[:most]
        return [_pair_start(self.boxes[pair].any, pair, ground) for pair in leading]

    def starts_of_two(self, ground: Ground, most: int) -> list[Start]:
        """The best regions that restrict two columns, best first, one per pair."""
        there = [pair for pair in self.boxes if self.boxes[pair].both.gain > -np.inf]
        leading = sorted(there, key=lambda pair: -self.boxes[pair].both.gain)[:most]
        return [_pair_start(self.boxes[pair].both, pair, ground) for pair in leading]


def leading_pairs(ground: Ground) -> list[tuple[int, int]]:
    """All pairs of columns, or where there are more than `MOST_PAIRS` those that gain most on a part of the rows."""
    pairs = list(combinations(range(len(ground.binned.axes)), 2))
    if len(pairs) <= MOST_PAIRS:
        return pairs
    step = max(1, len(ground) // _SCREEN_ROWS)
    rows = np.arange(0, len(ground), step)
    contrast = ground.contrast.take(rows)
    codes = _few_bins(ground, rows)
    cells = _SCREEN_BINS + 1
    gains = np.empty(len(pairs))
    for at, (i, j) in enumerate(pairs):
        sums = contrast.tally(codes[i] * cells + codes[j], cells * cells).reshape(3, cells, cells)
        gains[at] = coarse_gain(sums[:, :-1, :-1], contrast)
    return [pairs[at] for at in np.argsort(-gains, kind="stable")[:MOST_PAIRS]]


def _few_bins(ground: Ground, rows: Int) -> NDArray[np.int64]:
    """(d, m) codes of the rows in `_SCREEN_BINS` bins; levels are taken in the order of their own excess."""
    few = np.empty((len(ground.binned.axes), len(rows)), dtype=np.int64)
    for at, axis in enumerate(ground.binned.axes):
        table = np.append(np.arange(axis.bins) * _SCREEN_BINS // axis.bins, _SCREEN_BINS)
        few[at] = table[ground.binned.codes[at, rows]]
    return few


def single_starts(ground: Ground) -> list[Start]:
    """The best region of each single column, and the rows where a number is missing."""
    found: list[Start] = []
    for at, axis in enumerate(ground.binned.axes):
        sums = ground.contrast.tally(ground.binned.codes[at], axis.bins + 1)
        found += [_started((), (side.literal,), side.gain, ground) for side in _sides(sums, axis, ground)]
    return found


def extensions(literals: tuple[Literal, ...], members: Bool, ground: Ground) -> list[Start]:
    """The conjunction with one more column, for each column: the best interval or set among its members."""
    rows = np.flatnonzero(members)
    taken = {literal.column for literal in literals}
    found = []
    for at, axis in enumerate(ground.binned.axes):
        if axis.name not in taken:
            sums = ground.contrast.tally(ground.binned.codes[at, rows], axis.bins + 1, rows=rows)
            found += [_started(literals, (side.literal,), side.gain, ground) for side in _sides(sums, axis, ground)]
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class _Side:
    literal: Literal
    gain: float


def _sides(sums: Float, axis: Axis, ground: Ground) -> list[_Side]:
    """The best literal of one column among rows summed in (3, bins + 1), and that it is missing."""
    found = []
    if axis.bins > 1 or axis.gaps:
        box = best_side(sums[:, : axis.bins], axis, ground.contrast, prices=ground.prices, least=ground.least)
        literal = literal_of(axis, box.sides[0])
        if literal is not None:
            found.append(_Side(literal=literal, gain=box.gain))
    if axis.ordered and axis.gaps and sums[0, -1] >= ground.least:
        gain = float(ground.contrast.gain(sums[:, -1])) - ground.prices.cut
        found.append(_Side(literal=Absent(column=axis.name), gain=gain))
    return found


def _started(before: tuple[Literal, ...], added: Sequence[Literal], gain: float, ground: Ground) -> Start:
    """`gain` is already less what the cuts of `added` cost."""
    prices = ground.prices
    literals = (*before, *added)
    paid = prices.all(before) - prices.choice(len(before)) if before else prices.cut
    return Start(literals=literals, value=gain - paid - prices.choice(len(literals)))


def _pair_start(box: Box, pair: tuple[int, int], ground: Ground) -> Start:
    literals: list[Literal] = []
    for at, side in zip(pair, box.sides, strict=True):
        axis = ground.binned.axes[at]
        literal = literal_of(axis, side[axis.coarse[: axis.bins]] if axis.ordered else side)
        if literal is not None:
            literals.append(literal)
    return _started((), literals, box.gain, ground)


def literal_of(axis: Axis, inside: Bool) -> Literal | None:
    """The literal that takes these bins (bins,) bool of a column; None where that is every row."""
    if inside.all() and len(inside) == axis.bins and not axis.gaps:
        return None
    chosen: Int = np.flatnonzero(inside)
    if not axis.ordered:
        return Levels(column=axis.name, codes=frozenset(axis.levels[chosen].tolist()), of=max(axis.bins, 2))
    low, high = int(chosen[0]), int(chosen[-1])
    return Span(
        column=axis.name,
        low=-np.inf if low == 0 else float(axis.edges[low - 1]),
        high=np.inf if high == axis.bins - 1 else float(axis.edges[high]),
    )
