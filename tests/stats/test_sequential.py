"""Stopping early: the level over all ways to stop is exact, and what is clear ends soon."""

import numpy as np
import pytest

from errata.stats.sequential import MOST, expected_draws, p_value, rejection_chance, verdict


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_true_nulls_are_called_significant_with_chance_alpha_at_most(alpha: float) -> None:
    chance = rejection_chance(alpha=alpha)
    assert 0.85 * alpha < chance <= alpha


def test_the_exact_chance_is_that_of_simulated_draws() -> None:
    rng = np.random.default_rng(0)
    ends = [_ends(rng, float(rng.random()), most=199) for _ in range(4_000)]
    expected = rejection_chance(alpha=0.05, most=199)
    assert np.mean(ends) == pytest.approx(expected, abs=3 * np.sqrt(expected / 4_000))


def _ends(rng: np.random.Generator, u: float, *, most: int) -> bool:
    reached = 0
    for drawn in range(1, most + 1):
        reached += rng.random() < u
        said = verdict(reached, drawn, alpha=0.05, most=most)
        if said != "open":
            return said == "significant"
    raise AssertionError("it ends at the last draw")


def test_small_p_values_are_seen_and_large_ones_given_up() -> None:
    assert rejection_chance(alpha=0.05, u=0.01) > 0.999
    assert rejection_chance(alpha=0.05, u=0.03) > 0.98
    assert rejection_chance(alpha=0.05, u=0.1) < 0.001


def test_what_is_clear_ends_early() -> None:
    assert verdict(0, 102, alpha=0.05) == "open"
    assert verdict(0, 103, alpha=0.05) == "significant"
    assert verdict(10, 18, alpha=0.05) == "open"
    assert verdict(10, 19, alpha=0.05) == "not significant"
    assert verdict(48, MOST, alpha=0.05) == "significant"
    assert verdict(49, MOST, alpha=0.05) == "not significant"


def test_p_values_are_never_above_alpha_where_significant() -> None:
    for drawn in (103, 200, 500, MOST):
        for reached in range(60):
            if verdict(reached, drawn, alpha=0.05) == "significant":
                assert p_value(reached, drawn) <= 0.05


def test_how_many_draws_it_takes_if_the_share_stays() -> None:
    assert expected_draws(0, 1, alpha=0.05) == 103
    assert expected_draws(2, 10, alpha=0.05) in range(11, 60), "a share of a fifth is soon given up"
    assert expected_draws(5, 100, alpha=0.05) == MOST, "at the level itself it stays open"
    assert expected_draws(0, 103, alpha=0.05) == 103
