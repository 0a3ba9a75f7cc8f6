"""q-values against the paper's own example, the definition, and the false-discovery rate by simulation."""

import numpy as np
import pytest
from scipy.special import ndtr

from errata.stats.multiplicity import (
    benjamini_hochberg,
    benjamini_yekutieli,
    critical_value,
    holm,
    interval_level,
    step_down_max,
)  # fmt: skip

# Benjamini and Hochberg (1995), section 3: 15 hypotheses on myocardial infarction.
PAPER = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
         0.7590, 1.0]  # fmt: skip


def test_the_papers_example() -> None:
    # The four hypotheses with p-values up to 0.013 are rejected at .05: the fourth, 0.0095, is below 4/15 x .05.
    q = benjamini_hochberg(PAPER)
    assert np.sum(q <= 0.05) == 4
    assert q[:4] == pytest.approx([0.0015, 0.003, 0.0095, 0.035625])


def test_step_up_as_written() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.random(int(rng.integers(1, 30))) ** 2
        q = benjamini_hochberg(p)
        for alpha in (0.01, 0.05, 0.2, 0.5):
            ordered = np.sort(p)
            passing = np.flatnonzero(ordered <= alpha * np.arange(1, len(p) + 1) / len(p))
            cut = ordered[passing[-1]] if len(passing) else -1.0
            assert np.array_equal(q <= alpha * (1 + 1e-12), p <= cut)


def test_order_and_emptiness() -> None:
    assert benjamini_hochberg([]).shape == (0,)
    assert benjamini_hochberg([0.04]).tolist() == [0.04]
    assert benjamini_hochberg([0.5, 0.01]).tolist() == [0.5, 0.02]
    assert benjamini_hochberg([1.0, 1.0]).tolist() == [1.0, 1.0]


def test_false_discovery_rate() -> None:
    rng = np.random.default_rng(1)
    shares = []
    for _ in range(1_500):
        p = np.concatenate([rng.random(15), rng.random(5) * 1e-3])
        found = benjamini_hochberg(p) <= 0.1
        shares.append(found[:15].sum() / max(1, found.sum()))
    # 0.1 x 15 / 20, three standard errors of 1,500 runs.
    assert np.mean(shares) == pytest.approx(0.075, abs=3 * np.std(shares) / np.sqrt(1_500))


# Holm's step-down by hand, and Benjamini-Yekutieli's section 3.1: the same 15 p-values, factor 1 + 1/2 + ... + 1/15.
def test_holm_and_yekutieli_on_the_papers_example() -> None:
    p = np.array(PAPER)
    assert holm(p)[:4] == pytest.approx([0.0015, 0.0056, 0.0247, 0.114])
    assert np.sum(holm(p) <= 0.05) == 3, "Bonferroni and Holm reject three, as the paper says of Hochberg's"
    harmonic = sum(1 / i for i in range(1, 16))
    assert benjamini_yekutieli(p)[:4] == pytest.approx(np.array([0.0015, 0.003, 0.0095, 0.035625]) * harmonic)
    assert np.sum(benjamini_yekutieli(p) <= 0.05) == 3


def test_holm_as_written() -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        p = rng.random(int(rng.integers(1, 30))) ** 2
        ordered = np.sort(p)
        for alpha in (0.01, 0.05, 0.2):
            failing = np.flatnonzero(ordered > alpha / np.arange(len(p), 0, -1))
            cut = ordered[failing[0]] if len(failing) else 2.0
            assert np.array_equal(holm(p) <= alpha, p < cut)


def test_step_down_max_as_written() -> None:
    rng = np.random.default_rng(3)
    observed, drawn = np.array([1.0, 3.0, 2.0]), rng.normal(size=(3, 199))
    found = step_down_max(observed, drawn)
    first = (1 + np.sum(drawn.max(axis=0) >= 3.0)) / 200
    second = max(first, (1 + np.sum(drawn[[0, 2]].max(axis=0) >= 2.0)) / 200)
    third = max(second, (1 + np.sum(drawn[0] >= 1.0)) / 200)
    assert found == pytest.approx([third, first, second])


def test_step_down_max_holds_its_level_where_tests_overlap_and_beats_holm() -> None:
    rng = np.random.default_rng(4)
    shared, own = rng.normal(size=(600, 1)), rng.normal(size=(600, 12))
    values = 0.9 * shared + np.sqrt(1 - 0.81) * own
    drawn = 0.9 * rng.normal(size=(1, 999)) + np.sqrt(1 - 0.81) * rng.normal(size=(12, 999))
    false = [bool((step_down_max(row, drawn) <= 0.1).any()) for row in values]
    assert np.mean(false) == pytest.approx(0.1, abs=0.045), "three errors of 600 runs and of 999 draws"
    strict = [bool((holm(ndtr(-row)) <= 0.1).any()) for row in values]
    assert np.mean(strict) < np.mean(false)


def test_critical_value_is_the_least_that_is_significant() -> None:
    rng = np.random.default_rng(5)
    for draws in (19, 39, 99, 100):
        maxima = rng.normal(size=draws)
        least = critical_value(maxima, 0.05)
        assert (1 + np.sum(maxima >= least)) / (1 + draws) <= 0.05
        below = np.nextafter(least, -np.inf)
        assert (1 + np.sum(maxima >= below)) / (1 + draws) > 0.05
    assert critical_value(rng.normal(size=18), 0.05) == np.inf


def test_levels_of_intervals() -> None:
    assert interval_level("bh", alpha=0.05, confirmed=4, tested=10) == pytest.approx(0.98)
    assert interval_level("holm", alpha=0.05, confirmed=4, tested=10) == pytest.approx(0.995)
    assert interval_level("by", alpha=0.05, confirmed=4, tested=10) == pytest.approx(1 - 0.02 / 2.9289682539)
