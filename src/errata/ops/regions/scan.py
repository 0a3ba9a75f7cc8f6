"""Where regions may lie: the best interval or set of each column and of each pair of columns, in bins."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heapreplace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Float, Int
from errata.ops.regions.bins import Axis
from errata.ops.regions.ground import Ground
from errata.ops.regions.literals import Absent, Levels, Literal, Span
from errata.ops.regions.rectangles import Box, Boxes, Intervals, Pairing, best_boxes, best_side, coarse_gain, promising

__all__ = ["MOST_PAIRS", "PairBoxes", "Start", "extensions", "falling", "literal_of", "single_starts"]

_STALE = 250
# Pairs that are valued at once: more need more memory than the processor's cache has.
_BATCH = 16
# More pairs than this are ranked on a part of the rows and in few bins first.
MOST_PAIRS = 2_500
_SCREEN_ROWS = 20_000
_SCREEN_BINS = 6


@dataclass(frozen=True, kw_only=True)
class Start:
    """A conjunction in bins, and its gain less the cost of its parts."""

    literals: tuple[Literal, ...]
    value: float


def falling(value: float) -> float:
    """What regions are sorted by, best first: equal ones keep their order, whatever the last digits of their sums."""
    return -round(value, 9) if math.isfinite(value) else -value


@dataclass(frozen=True, kw_only=True, eq=False)
class PairBoxes:
    """The best regions of each pair of columns; when rows are taken away, only leading pairs are done anew."""

    boxes: dict[tuple[int, int], Boxes] = field(default_factory=dict)

    def scan(
        self, ground: Ground, pairs: Iterable[tuple[int, int]] | None = None, *, of_two: int | None = None
    ) -> None:
        """Find the best region of these pairs of axes (None: of all, or of the `MOST_PAIRS` that lead a screening).

        of_two  so many regions that restrict both columns are sought besides, the best of all pairs; one of each pair
                when None
        """
        wanted = sorted(leading_pairs(ground) if pairs is None else pairs)
        leading = [-np.inf] * (len(wanted) if of_two is None else of_two) or [np.inf]
        cells = _Cells(ground)
        for begin in range(0, len(wanted), _BATCH):
            part = wanted[begin : begin + _BATCH]
            sums = {pair: cells.sums(*pair) for pair in part}
            among = _promising(sums, ground, enough=leading[0])
            for i, j in part:
                both = (ground.binned.axes[i], ground.binned.axes[j])
                found = best_boxes(
                    sums[i, j], both, ground.contrast, prices=ground.prices, least=ground.least, enough=leading[0],
                    among=among.get((i, j)),
                )  # fmt: skip
                if found.both.gain > leading[0]:
                    # Of equal regions the first ones lead, so that a later one must be better.
                    heapreplace(leading, found.both.gain)
                self.boxes[i, j] = found

    def rescan(self, ground: Ground) -> None:
        """Do the leading pairs anew on ground that lost rows."""
        leading = sorted(self.boxes, key=lambda pair: falling(self.boxes[pair].any.gain))[:_STALE]
        self.scan(ground, leading, of_two=0)

    def starts(self, ground: Ground, most: int) -> list[Start]:
        """The best regions, best first, at most one per pair; some restrict one column only, or none."""
        leading = sorted(self.boxes, key=lambda pair: falling(self.boxes[pair].any.gain))[:most]
        return [_pair_start(self.boxes[pair].any, pair, ground) for pair in leading]

    def starts_of_two(self, ground: Ground, most: int) -> list[Start]:
        """The best regions that restrict two columns, best first, one per pair."""
        there = [pair for pair in self.boxes if self.boxes[pair].both.gain > -np.inf]
        leading = sorted(there, key=lambda pair: falling(self.boxes[pair].both.gain))[:most]
        return [_pair_start(self.boxes[pair].both, pair, ground) for pair in leading]


class _Cells:
    """Sums over the cells of two columns in coarse bins; pairs come sorted, so that the first one is prepared once."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._codes: dict[int, NDArray[np.uint8]] = {}
        self._first: int | None = None

    def sums(self, i: int, j: int) -> Float:
        """(3, a, b) of two columns."""
        if i != self._first:
            self._first = i
            self._pairing = Pairing(self._code(i), self._ground.binned.axes[i], self._ground.contrast)
        return self._pairing.sums(self._code(j), self._ground.binned.axes[j])

    def _code(self, at: int) -> NDArray[np.uint8]:
        if at not in self._codes:
            self._codes[at] = self._ground.binned.axes[at].coarse[self._ground.binned.codes[at]]
        return self._codes[at]


def _promising(sums: dict[tuple[int, int], Float], ground: Ground, *, enough: float) -> dict[tuple[int, int], Int]:
    """`promising` of the pairs of two ordered columns."""
    axes = ground.binned.axes
    alike: dict[tuple[tuple[int, ...], bool, bool], list[tuple[int, int]]] = {}
    for (i, j), table in sums.items():
        if axes[i].ordered and axes[j].ordered:
            alike.setdefault((table.shape, axes[i].gaps > 0, axes[j].gaps > 0), []).append((i, j))
    found: dict[tuple[int, int], Int] = {}
    for pairs in alike.values():
        of = (axes[pairs[0][0]], axes[pairs[0][1]])
        tables = np.stack([sums[pair] for pair in pairs])
        places = promising(tables, of, ground.contrast, prices=ground.prices, least=ground.least, enough=enough)
        found.update(zip(pairs, places, strict=True))
    return found


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


def single_starts(ground: Ground, most: int | None = None) -> list[Start]:
    """The best region of each single column, and the rows where a number is missing; `most` of them, best first."""
    sums = [ground.contrast.tally(ground.binned.codes[at], axis.bins + 1) for at, axis in enumerate(ground.binned.axes)]
    return _one_more((), dict(enumerate(sums)), ground, most)


def extensions(literals: tuple[Literal, ...], members: Bool, ground: Ground, most: int) -> list[Start]:
    """The best conjunctions with one more column, best first: the best interval or set of each among its members."""
    rows = np.flatnonzero(members)
    taken = {literal.column for literal in literals}
    sums = {
        at: ground.contrast.tally(ground.binned.codes[at, rows], axis.bins + 1, rows=rows)
        for at, axis in enumerate(ground.binned.axes) if axis.name not in taken
    }  # fmt: skip
    return _one_more(literals, sums, ground, most)


def _one_more(literals: tuple[Literal, ...], sums: dict[int, Float], ground: Ground, most: int | None) -> list[Start]:
    """The best conjunctions with one more literal, of the axes whose sums (3, bins + 1) are given by place."""
    axes = ground.binned.axes
    sides: dict[int, _Sides] = {}
    for alike in _alike({at: axes[at] for at in sums if axes[at].ordered and (axes[at].bins > 1 or axes[at].gaps)}):
        tables = np.stack([sums[at][:, : axes[at].bins] for at in alike])
        found = Intervals.of(
            tables, gaps=axes[alike[0]].gaps > 0, contrast=ground.contrast, prices=ground.prices, least=ground.least
        )  # fmt: skip
        sides |= {at: _Sides(intervals=found, place=place, most=of)
                  for place, (at, of) in enumerate(zip(alike, found.most().tolist(), strict=True))}  # fmt: skip
    wanted = 2 * len(sums) if most is None else most
    leading = [-np.inf] * wanted
    starts: list[tuple[int, Start]] = []
    for at in sorted(sums, key=lambda at: -sides[at].most if at in sides else -np.inf):
        known = sides.get(at)
        for literal, gain in _literals(sums[at], axes[at], known, ground, enough=leading[0]):
            starts.append((at, _started(literals, (literal,), gain, ground)))
            if gain > leading[0]:
                heapreplace(leading, gain)
    starts.sort(key=lambda found: (falling(found[1].value), found[0]))
    return [start for _, start in starts[:wanted]]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sides:
    """The intervals of one column, which are worth `most` at most."""

    intervals: Intervals
    place: int
    most: float


def _alike(axes: dict[int, Axis]) -> list[list[int]]:
    """Places of the axes with equally many bins, and with gaps or without, together."""
    found: dict[tuple[int, bool], list[int]] = {}
    for at, axis in axes.items():
        found.setdefault((axis.bins, axis.gaps > 0), []).append(at)
    return list(found.values())


def _literals(
    sums: Float, axis: Axis, known: _Sides | None, ground: Ground, *, enough: float
) -> Iterator[tuple[Literal, float]]:
    """The best literal of one column among rows summed in (3, bins + 1), and that it is missing, with their gains;
    what is worth less than `enough` may be left out."""
    box: Box | None = None
    if known is not None:
        box = known.intervals.best(known.place) if known.most >= enough else None
    elif not axis.ordered and (axis.bins > 1 or axis.gaps):
        box = best_side(sums[:, : axis.bins], axis, ground.contrast, prices=ground.prices, least=ground.least)
    literal = None if box is None else literal_of(axis, box.sides[0])
    if box is not None and literal is not None:
        yield literal, box.gain
    if axis.ordered and axis.gaps and sums[0, -1] >= ground.least:
        yield Absent(column=axis.name), float(ground.contrast.gain(sums[:, -1])) - ground.prices.cut


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
