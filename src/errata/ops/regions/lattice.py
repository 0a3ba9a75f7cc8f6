"""SliceLine's exact search: the k slices of a binned table with the highest score, by bounds and bitmaps.

Slices are sets of one-value tests, at most one per column. Level by level, slices that share all but their last test
are joined; a join is evaluated only when all its parents are alive and its best possible score reaches the k-th best.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Float, Int

__all__ = ["ScoredSlice", "top_slices"]

_BLOCK_BYTES = 32 << 20
# Scores that differ by less are equal: sums of real errors come in another order than the reference's.
_TIE = 1e-9


@dataclass(frozen=True, kw_only=True)
class ScoredSlice:
    """One slice: `tests` are (column, code) in the order of the columns."""

    tests: tuple[tuple[int, int], ...]
    score: float
    size: int
    error: float
    """Sum of the errors of its rows."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Basics:
    """The tests that are large enough: their column, code, size, errors and the rows that pass as bits."""

    column: Int
    code: Int
    size: Float
    error: Float
    bits: NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Level:
    """Slices of one level: `tests` (m, level) ascending indices of basics, in lexicographic order; `size`, `error` (m,)

    exact for slices that were evaluated, the least among the parents for those that were only joined.
    """

    tests: Int
    size: Float
    error: Float


@dataclass(frozen=True, kw_only=True, eq=False)
class _Score:
    """SliceLine's score of slices among n rows, and the best that subsets of a slice can reach."""

    rows: int
    mean: float
    largest: float
    alpha: float
    least: int

    def of(self, size: Float, error: Float) -> Float:
        size = np.maximum(size, 1.0)
        value: Float = self.alpha * ((error / size) / self.mean - 1.0) - (1.0 - self.alpha) * (self.rows / size - 1.0)
        return value

    def bound(self, size: Float, error: Float) -> Float:
        """The score is monotone in the size on both sides of error / largest, so three sizes hold its maximum."""
        turn = np.clip(error / self.largest, self.least, np.maximum(size, self.least))
        best = np.full(len(size), -np.inf)
        for at in (np.full(len(size), float(self.least)), turn, size):
            best = np.maximum(best, self.of(at, np.minimum(at * self.largest, error)))
        return np.where(size >= self.least, best, -np.inf)


@dataclass(eq=False)
class _Best:
    """The k best slices so far, ties with the last one included."""

    k: int
    slices: list[ScoredSlice] = field(default_factory=list)

    @property
    def threshold(self) -> float:
        """What a slice must reach: the k-th best score, and more than 0."""
        return self.slices[self.k - 1].score if len(self.slices) >= self.k else 0.0

    def add(self, level: _Level, score: Float, basics: _Basics, least: int) -> None:
        good = (score > 0.0) & (level.size >= least) & (score >= self.threshold - _TIE)
        for at in np.flatnonzero(good):
            tests = tuple((int(basics.column[test]), int(basics.code[test])) for test in level.tests[at])
            self.slices.append(
                ScoredSlice(tests=tests, score=float(score[at]), size=int(level.size[at]), error=float(level.error[at]))
            )
        self.slices.sort(key=lambda item: (-item.score, item.tests))
        self.slices = [item for item in self.slices if item.score >= self.threshold - _TIE]


def top_slices(
    codes: Int, errors: Float, *, k: int = 4, alpha: float = 0.95, min_support: int = 32, levels: int = 3
) -> list[ScoredSlice]:
    """The k slices with the highest score, best first; slices that tie with the k-th come too.

    score = alpha ((se / |S|) / (e / n) - 1) - (1 - alpha) (n / |S| - 1) for |S| rows with errors se in the slice, and n
    with e in all; only slices with a score above 0 and at least `min_support` rows count.

    codes        (d, n) int, the bin of each row in each column, >= 0
    errors       (n,) float64 >= 0
    alpha        weight of the error against the size, (0, 1]; .95 in the paper's experiments (section 5)
    min_support  32 as in its SystemDS implementation
    levels       tests per slice at most

    Reference: S. Sagadeeva and M. Boehm, "SliceLine: Fast, Linear-Algebra-based Slice Finding for ML Model Debugging",
    SIGMOD 2021.
    """
    total = float(errors.sum())
    if total <= 0.0 or not len(codes):
        return []
    score = _Score(
        rows=len(errors), mean=total / len(errors), largest=float(errors.max()), alpha=alpha, least=max(min_support, 1)
    )
    basics = _basics(codes, errors, score.least)
    level = _Level(tests=np.arange(len(basics.size))[:, None], size=basics.size, error=basics.error)
    best = _Best(k=k)
    best.add(level, score.of(level.size, level.error), basics, score.least)
    count = _Counter(basics=basics, errors=errors)
    for _ in range(1, min(levels, len(codes))):
        if len(level.size) < 2:
            break
        level = _next_level(level, basics, best, score, count)
    return best.slices


def _basics(codes: Int, errors: Float, least: int) -> _Basics:
    column, code, size, error, bits = [], [], [], [], []
    for at, values in enumerate(codes):
        rows = np.bincount(values)
        sums = np.bincount(values, weights=errors)
        for value in np.flatnonzero((rows >= least) & (sums > 0.0)):
            column.append(at)
            code.append(int(value))
            size.append(float(rows[value]))
            error.append(float(sums[value]))
            bits.append(_packed(values == value))
    width = len(_packed(np.zeros(codes.shape[1], dtype=bool)))
    return _Basics(
        column=np.array(column, dtype=np.int64), code=np.array(code, dtype=np.int64), size=np.array(size),
        error=np.array(error), bits=np.array(bits, dtype=np.uint64).reshape(len(bits), width),
    )  # fmt: skip


def _packed(mask: Bool) -> NDArray[np.uint64]:
    packed = np.packbits(mask)
    return np.pad(packed, (0, -len(packed) % 8)).view(np.uint64)


class _Counter:
    """Sizes and sums of errors of conjunctions of basics."""

    def __init__(self, *, basics: _Basics, errors: Float) -> None:
        self._bits = basics.bits
        self._errors = errors
        values = np.unique(errors)
        # Errors of 0 and one other value are counted as bits too.
        self._scale = float(values[-1]) if len(values) <= 2 and values[0] in (0.0, values[-1]) else None
        self._wrong = _packed(errors > 0.0)

    def __call__(self, tests: Int) -> _Level:
        """The level of these slices (m, level), evaluated in blocks of bounded size."""
        size, error = np.empty(len(tests)), np.empty(len(tests))
        for block in self._blocks(len(tests)):
            rows = self._bits[tests[block, 0]]
            for position in range(1, tests.shape[1]):
                rows &= self._bits[tests[block, position]]
            size[block] = np.bitwise_count(rows).sum(axis=1, dtype=np.int64)
            error[block] = self._sum(rows)
        return _Level(tests=tests, size=size, error=error)

    def _blocks(self, m: int) -> Iterator[slice]:
        per_slice = self._bits.shape[1] * 8 * (1 if self._scale is not None else 72)
        step = max(1, _BLOCK_BYTES // max(per_slice, 1))
        return (slice(start, start + step) for start in range(0, m, step))

    def _sum(self, rows: NDArray[np.uint64]) -> Float:
        if self._scale is not None:
            return np.asarray(np.bitwise_count(rows & self._wrong).sum(axis=1, dtype=np.int64) * self._scale)
        inside = np.unpackbits(rows.view(np.uint8), axis=1, count=len(self._errors))
        return np.asarray(inside.astype(np.float64) @ self._errors)


def _next_level(level: _Level, basics: _Basics, best: _Best, score: _Score, count: _Counter) -> _Level:
    """Join, prune by size, error and score, and evaluate the most promising first: so the threshold rises early."""
    joined = _joined(level, basics)
    if joined is None:
        return _alive([], best, score, level.tests.shape[1] + 1)
    bound = score.bound(joined.size, joined.error)
    order = np.argsort(-bound, kind="stable")
    done: list[_Level] = []
    start, step = 0, 256
    while start < len(order):
        chosen = order[start : start + step]
        chosen = chosen[bound[chosen] >= best.threshold - _TIE]
        if not len(chosen):
            break
        evaluated = count(joined.tests[chosen])
        best.add(evaluated, score.of(evaluated.size, evaluated.error), basics, score.least)
        done.append(evaluated)
        start, step = start + step, min(step * 2, 8192)
    return _alive(done, best, score, joined.tests.shape[1])


def _alive(done: list[_Level], best: _Best, score: _Score, width: int) -> _Level:
    """The evaluated slices that still may have a child among the best, in lexicographic order."""
    tests = np.concatenate([part.tests for part in done]) if done else np.empty((0, width), dtype=np.int64)
    size = np.concatenate([part.size for part in done]) if done else np.empty(0)
    error = np.concatenate([part.error for part in done]) if done else np.empty(0)
    kept = (size >= score.least) & (error > 0.0) & (score.bound(size, error) >= best.threshold - _TIE)
    tests, size, error = tests[kept], size[kept], error[kept]
    order = np.lexsort(tests.T[::-1])
    return _Level(tests=tests[order], size=size[order], error=error[order])


def _joined(level: _Level, basics: _Basics) -> _Level | None:
    """All slices one test longer whose parents are all in the level, None where there are none."""
    pairs = _pairs_with_prefix(level.tests)
    first, second = pairs[0], pairs[1]
    other = basics.column[level.tests[first, -1]] != basics.column[level.tests[second, -1]]
    first, second = first[other], second[other]
    if not len(first):
        return None
    tests = np.concatenate([level.tests[first], level.tests[second, -1:]], axis=1)
    size = np.minimum(level.size[first], level.size[second])
    error = np.minimum(level.error[first], level.error[second])
    keys = _keys(level.tests, len(basics.size))
    alive = np.ones(len(tests), dtype=bool)
    for left_out in range(tests.shape[1] - 2):
        parent = _keys(np.delete(tests, left_out, axis=1), len(basics.size))
        at = np.minimum(np.searchsorted(keys, parent), len(keys) - 1)
        alive &= keys[at] == parent
        size, error = np.minimum(size, level.size[at]), np.minimum(error, level.error[at])
    return _Level(tests=tests[alive], size=size[alive], error=error[alive])


def _keys(tests: Int, basics: int) -> Int:
    """(m,) one number per slice, ascending in lexicographic order."""
    key = np.zeros(len(tests), dtype=np.int64)
    for position in range(tests.shape[1]):
        key = key * basics + tests[:, position]
    return key


def _pairs_with_prefix(tests: Int) -> Int:
    """(2, p) indices of all pairs of slices that agree in all but the last test; slices in lexicographic order."""
    m = len(tests)
    new = np.ones(m, dtype=bool)
    new[1:] = (tests[1:, :-1] != tests[:-1, :-1]).any(axis=1)
    starts = np.flatnonzero(new)
    ends = np.repeat(np.append(starts[1:], m), np.diff(np.append(starts, m)))
    partners = ends - np.arange(m) - 1
    first = np.repeat(np.arange(m), partners)
    offset = np.arange(len(first)) - np.repeat(np.cumsum(partners) - partners, partners)
    return np.stack([first, first + 1 + offset])
