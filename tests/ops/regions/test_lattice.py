from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from errata.ops.regions.lattice import ScoredSlice, _Score, top_slices

Naive = dict[tuple[tuple[int, int], ...], float]


def naive(codes: np.ndarray, errors: np.ndarray, *, k: int, alpha: float, least: int, levels: int) -> Naive:
    """Every conjunction there is, scored by the formula of the paper; the k best and what ties with the k-th."""
    n, mean = len(errors), errors.mean()
    scores: Naive = {}
    for width in range(1, levels + 1):
        for columns in combinations(range(len(codes)), width):
            for values in product(*(np.unique(codes[column]) for column in columns)):
                inside = np.logical_and.reduce([codes[c] == v for c, v in zip(columns, values, strict=True)])
                size, error = inside.sum(), errors[inside].sum()
                if size < least or error <= 0:
                    continue
                score = alpha * (error / size / mean - 1) - (1 - alpha) * (n / size - 1)
                if score > 0:
                    scores[tuple((int(c), int(v)) for c, v in zip(columns, values, strict=True))] = float(score)
    if len(scores) > k:
        last = sorted(scores.values(), reverse=True)[k - 1]
        scores = {tests: score for tests, score in scores.items() if score >= last - 1e-9}
    return scores


def as_dict(found: list[ScoredSlice]) -> Naive:
    return {item.tests: item.score for item in found}


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("alpha", [0.5, 0.95])
@pytest.mark.parametrize("seed", range(6))
def test_the_best_slices_are_those_of_a_full_enumeration(seed: int, alpha: float, *, real: bool) -> None:
    rng = np.random.default_rng(seed)
    n, columns = int(rng.integers(150, 600)), int(rng.integers(2, 5))
    codes = np.stack([rng.integers(0, rng.integers(2, 5), n) for _ in range(columns)])
    rate = np.where((codes[0] == 0) & (codes[1] == 1), 0.6, 0.15)
    errors = (rng.random(n) < rate).astype(float)
    if real:
        errors = errors * rng.exponential(size=n) + 0.01
    k, levels = (1, 4, 10)[seed % 3], (2, 3, 4)[seed % 3]
    found = top_slices(codes, errors, k=k, alpha=alpha, min_support=8, levels=levels)
    expected = naive(codes, errors, k=k, alpha=alpha, least=8, levels=min(levels, columns))
    assert as_dict(found) == pytest.approx(expected)
    for item in found:
        inside = np.logical_and.reduce([codes[column] == value for column, value in item.tests])
        assert item.size == inside.sum()
        assert item.error == pytest.approx(errors[inside].sum())
    assert [item.score for item in found] == sorted((item.score for item in found), reverse=True)


def test_ties_with_the_last_one_come_too() -> None:
    codes = np.stack([np.tile([0, 1, 2, 3], 25), np.repeat([0, 1], 50)])
    errors = np.isin(codes[0], (0, 1)).astype(float)
    found = top_slices(codes, errors, k=1, alpha=0.95, min_support=5, levels=1)
    assert [item.tests for item in found] == [((0, 0),), ((0, 1),)]


def table() -> tuple[np.ndarray, np.ndarray]:
    row = np.arange(480)
    codes = np.stack([row % 3, (row // 3) % 4, (row // 7) % 2])
    errors = ((codes[0] == 1) & (codes[1] == 2) & (row % 5 > 0) | (row % 11 == 0)).astype(float)
    return codes, errors


def test_slices_and_scores_of_the_reference() -> None:
    """What the package sliceline 0.3.0 gives for this table (alpha .9, k 5, four levels, at least 10 rows)."""
    codes, errors = table()
    found = top_slices(codes, errors, k=5, alpha=0.9, min_support=10, levels=4)
    assert as_dict(found) == pytest.approx(REFERENCE, abs=1e-9)


REFERENCE: Naive = {
    ((0, 1), (1, 2)): 2.8821917808219184,
    ((0, 1), (1, 2), (2, 1)): 1.860024906600251,
    ((0, 1), (1, 2), (2, 0)): 1.4648401826484028,
    ((1, 2),): 0.8219178082191784,
    ((1, 2), (2, 1)): 0.6124809741248103,
}


@pytest.mark.parametrize("errors", [np.zeros(50), np.ones(50)])
def test_nothing_stands_out(errors: np.ndarray) -> None:
    assert top_slices(np.zeros((2, 50), dtype=np.int64), errors, min_support=5) == []


def test_no_columns_and_no_large_slice() -> None:
    assert top_slices(np.empty((0, 5), dtype=np.int64), np.ones(5)) == []
    assert top_slices(np.arange(5)[None, :], np.array([1.0, 0, 0, 0, 0]), min_support=2) == []


@pytest.mark.parametrize("alpha", [0.3, 0.9, 1.0])
@pytest.mark.parametrize(("size", "error"), [(40, 12.0), (40, 40.0), (12, 1.0), (200, 3.0)])
def test_the_bound_is_the_best_that_a_part_of_a_slice_can_reach(alpha: float, size: int, error: float) -> None:
    score = _Score(rows=500, mean=0.2, largest=1.0, alpha=alpha, least=10)
    sizes = np.arange(10.0, size + 1.0)
    best = float(score.of(sizes, np.minimum(sizes, error)).max())
    bound = float(score.bound(np.array([float(size)]), np.array([error]))[0])
    assert best - 1e-12 <= bound <= best + 1e-12
