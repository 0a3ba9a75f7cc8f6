"""The area under the curve within strata: its value by hand, and intervals that hold."""

from __future__ import annotations

import numpy as np
import pytest

from errata.stats.separation import separation


def test_by_hand() -> None:
    """Two strata: 3 of 4 pairs and 1 of 2, weighted 2 to 1 by members; the third has no rest."""
    score = np.array([3.0, 1.0, 0.0, 2.0, 5.0, 5.0, 4.0 + 5, 7.0])
    member = np.array([True, True, False, False, True, False, False, True])
    stratum = np.array([0, 0, 0, 0, 1, 1, 1, 2])
    found = separation(score, member, stratum, level=0.95)
    assert found.members == 3
    assert found.auc == pytest.approx((2 * 0.75 + 0.25) / 3)  # in the second a tie and a loss: half of one of two
    assert found.interval.lower <= found.auc <= found.interval.upper


def test_too_few_to_tell() -> None:
    assert separation(np.arange(4.0), np.array([True, False, False, False]), np.zeros(4, int), level=0.95) is None
    assert separation(np.arange(4.0), np.ones(4, bool), np.zeros(4, int), level=0.95) is None


def test_perfect_separation_is_not_certain() -> None:
    found = separation(np.arange(20.0), np.arange(20) >= 10, np.zeros(20, int), level=0.95)
    assert found.auc == 1.0
    assert 0.75 < found.interval.lower < 0.97


def test_strata_that_differ_say_nothing() -> None:
    rng = np.random.default_rng(0)
    stratum = np.repeat([0, 1], 200)
    member = rng.random(400) < np.where(stratum == 0, 0.2, 0.8)
    found = separation(10.0 * stratum + rng.normal(size=400), member, stratum, level=0.95)
    assert found.interval.lower < 0.5 < found.interval.upper
    unaware = separation(10.0 * stratum + rng.normal(size=400), member, np.zeros(400, int), level=0.95)
    assert unaware.interval.lower > 0.6


@pytest.mark.parametrize(("members", "rest", "strata"), [(10, 40, 3), (30, 200, 10)])
def test_intervals_hold(members: int, rest: int, strata: int) -> None:
    rng = np.random.default_rng(members)
    holds = 0
    for _ in range(400):
        member = np.arange(members + rest) < members
        stratum = rng.integers(0, strata, members + rest)
        found = separation(rng.normal(size=members + rest) + 3.0 * stratum, member, stratum, level=0.95)
        holds += found.interval.lower <= 0.5 <= found.interval.upper
    assert holds >= 0.92 * 400


def test_rows_of_a_group_are_no_evidence_of_their_own() -> None:
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(20), 20)
    member = group % 3 == 0
    by_rows = by_groups = 0
    for _ in range(150):
        score = rng.normal(size=20)[group] + 0.3 * rng.normal(size=400)
        rows = separation(score, member, np.zeros(400, int), level=0.95)
        groups = separation(score, member, np.zeros(400, int), level=0.95, group=group)
        by_rows += not rows.interval.lower <= 0.5 <= rows.interval.upper
        by_groups += not groups.interval.lower <= 0.5 <= groups.interval.upper
    assert by_rows > 0.4 * 150
    assert by_groups < 0.13 * 150
    assert separation(score, member, np.zeros(400, int), level=0.95, group=np.where(member, 1, group)) is None
