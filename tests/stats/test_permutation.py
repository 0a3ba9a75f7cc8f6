"""Permutation tests against published values, full enumeration, independent draws, and their level under the null."""

from itertools import combinations

import numpy as np
import pytest

from errata.stats.permutation import (
    DRAWS,
    choice_test,
    permutation_test,
    sign_flip_test,
    smallest_choice_p,
    smallest_flip_p,
    smallest_permutation_p,
)  # fmt: skip

# Differences in height of Darwin's 15 pairs of maize plants.
DARWIN = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48], dtype=float)


def test_sign_flips_of_darwins_maize() -> None:
    # R. A. Fisher, The Design of Experiments (1935), section 21: 863 of the 32,768 arrangements reach the observed sum,
    # 835 exceed it and 28 equal it.
    assert sign_flip_test(DARWIN, seed=0) == 863 / 2**15


def test_flips_ignore_groups_that_sum_to_nothing() -> None:
    assert sign_flip_test(np.append(DARWIN, np.zeros(40)), seed=0) == 863 / 2**15
    assert sign_flip_test(np.zeros(5), seed=0) == 1.0


def test_choices_of_a_published_two_sample_problem() -> None:
    # B. Efron and R. Tibshirani, An Introduction to the Bootstrap (1993), table 2.1 (mice) and section 15.2:
    # permutation significance .132 from 1,000 draws; all C(16, 7) = 11,440 choices are enumerated here.
    treated, control = [94, 197, 16, 38, 99, 141, 23], [52, 104, 146, 10, 51, 30, 40, 27, 46]
    values, member = np.array(treated + control, dtype=float), np.arange(16) < 7
    sums = [values[list(chosen)].sum() for chosen in combinations(range(16), 7)]
    p = choice_test(values, member, seed=0)
    assert p == pytest.approx(np.mean(np.array(sums) >= sum(treated) - 1e-9))
    assert p == pytest.approx(0.132, abs=3 * np.sqrt(0.14 * 0.86 / 1_000))


def test_choosing_most_groups_enumerates_the_others() -> None:
    rng = np.random.default_rng(0)
    values, member = rng.normal(size=12), np.arange(12) < 9
    sums = [values[list(chosen)].sum() for chosen in combinations(range(12), 9)]
    assert choice_test(values, member, seed=0) == pytest.approx(np.mean(np.array(sums) >= values[member].sum() - 1e-9))


def independent(values: np.ndarray, member: np.ndarray, stratum: np.ndarray, rng: np.random.Generator) -> float:
    """The same p-value from 4,000 independent permutations, one after the other."""
    parts = [(values[stratum == c] - values[stratum == c].mean(), member[stratum == c]) for c in np.unique(stratum)]
    observed = sum(v[m].sum() for v, m in parts)
    drawn = [sum(rng.permutation(v)[m].sum() for v, m in parts) for _ in range(4_000)]
    return float((1 + np.sum(np.array(drawn) >= observed - 1e-9)) / 4_001)


@pytest.mark.parametrize(("rows", "strata"), [(60, 1), (300, 5), (700, 30)])
def test_permutations_agree_with_independent_ones_and_scatter_no_more(rows: int, strata: int) -> None:
    rng = np.random.default_rng(rows)
    stratum = rng.integers(strata, size=rows)
    member = rng.random(rows) < 0.25
    values = rng.exponential(size=rows) + stratum + 0.15 * member
    p = np.array([permutation_test(values, member, stratum, seed=seed) for seed in range(25)])
    expected = independent(values, member, stratum, rng)
    assert p.mean() == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 4_000))
    # The standard error of 99,999 independent draws; 25 runs estimate it within 45 %.
    assert p.std() < 1.45 * np.sqrt(p.mean() * (1 - p.mean()) / DRAWS)


def test_members_in_sorted_order_change_nothing() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(size=1_000)
    member = np.arange(1_000) < 150
    values[member] += 0.18
    p = [permutation_test(values, member, np.zeros(1_000, int), seed=seed) for seed in range(20)]
    assert np.std(p) < 1.5 * np.sqrt(np.mean(p) / DRAWS)


def test_flips_beyond_sixteen_groups_agree_with_the_normal_limit_and_scatter_no_more() -> None:
    from scipy.special import ndtr

    rng = np.random.default_rng(6)
    sums = rng.normal(size=4_000) + 0.02
    p = np.array([sign_flip_test(sums, seed=seed) for seed in range(30)])
    assert p.mean() == pytest.approx(ndtr(-sums.sum() / np.sqrt(sums @ sums)), rel=0.02)
    assert p.std() < 1.4 * np.sqrt(p.mean() * (1 - p.mean()) / DRAWS)


def test_seventeen_groups_are_close_to_all_their_flips() -> None:
    sums = np.append(DARWIN, [5.0, 11.0])
    every = np.array([0.0])
    for value in sums:
        every = np.concatenate([every + value, every - value])
    p = np.mean([sign_flip_test(sums, seed=seed) for seed in range(30)])
    assert p == pytest.approx(np.mean(every >= sums.sum()), rel=0.05)


@pytest.mark.parametrize("kind", ["permutation", "flips", "choices"])
def test_level_under_the_null_of_skewed_values(kind: str) -> None:
    rng = np.random.default_rng(9)
    p = []
    for run in range(400):
        if kind == "permutation":
            stratum, member = rng.integers(3, size=40), rng.random(40) < 0.3
            p.append(permutation_test(rng.exponential(size=40) ** 2, member, stratum, seed=run))
        elif kind == "flips":
            p.append(sign_flip_test(rng.standard_t(3, size=20), seed=run))
        else:
            p.append(choice_test(rng.exponential(size=30) ** 2, np.arange(30) < 6, seed=run))
    for level in (0.05, 0.2, 0.5):
        assert np.mean(np.array(p) <= level) == pytest.approx(level, abs=3 * np.sqrt(level * (1 - level) / 400))


def test_constant_values_are_ties() -> None:
    member = np.arange(500) < 50
    assert permutation_test(np.full(500, 0.3), member, np.zeros(500, int), seed=1) == 1.0
    ones = np.zeros(500)
    ones[:3] = 1.0
    # 0 or 1: the chance that all three ones fall among the 50 members.
    expected = 50 * 49 * 48 / (500 * 499 * 498)
    assert permutation_test(ones, member, np.zeros(500, int), seed=1) == pytest.approx(expected, abs=4e-4)


def test_no_contrast_is_no_evidence() -> None:
    values = np.arange(6.0)
    assert permutation_test(values, np.ones(6, bool), np.zeros(6, int), seed=0) == 1.0
    assert permutation_test(values, np.array([1, 1, 1, 0, 0, 0], bool), np.array([0, 0, 0, 1, 1, 1]), seed=0) == 1.0
    assert choice_test(values, np.zeros(6, bool), seed=0) == 1.0


def test_same_seed_same_p() -> None:
    rng = np.random.default_rng(8)
    values, member = rng.normal(size=200), rng.random(200) < 0.5
    assert permutation_test(values, member, np.zeros(200, int), seed=3) == permutation_test(
        values, member, np.zeros(200, int), seed=3
    )


def test_smallest_p_values() -> None:
    assert smallest_flip_p(4) == 1 / 16
    assert smallest_flip_p(40) == 1e-5
    assert smallest_choice_p(10, 2) == 1 / 45
    assert smallest_choice_p(100, 50) == 1e-5
    member, stratum = np.array([1, 0, 0, 1, 0], bool), np.array([0, 0, 0, 1, 1])
    assert smallest_permutation_p(member, stratum) == pytest.approx(1 / 6)
