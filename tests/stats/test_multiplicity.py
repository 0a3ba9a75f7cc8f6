"""q-values against the paper's own example, the definition, and the false-discovery rate by simulation."""

import numpy as np
import pytest

from errata.stats.multiplicity import benjamini_hochberg

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
