from __future__ import annotations

import numpy as np
import pytest

from errata.ops.error_mixture import LEVELS, doubt_levels, fit_error_mixture, normal_scores


def planted(
    n: int = 4_000, share: float = 0.1, *, inside: float = 0.7, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(2, n) scores of which the second says nothing, and the members, wrongs and doubts of n rows."""
    rng = np.random.default_rng(seed)
    member = rng.random(n) < share
    scores = np.stack([rng.standard_normal(n) + 3.0 * member, rng.standard_normal(n)])
    wrong = rng.random(n) < np.where(member, inside, 0.05)
    return scores, member, wrong, np.where(wrong, 0.5, 0.0) + 0.5 * rng.random(n)


def test_planted_rates_and_share_are_found() -> None:
    scores, member, wrong, doubt = planted()
    normal = normal_scores(scores)
    levels = doubt_levels(doubt, wrong)
    fitted = fit_error_mixture(normal, levels)
    assert fitted.gain[0] > 100 > 20 > fitted.gain[1] >= 0
    assert fitted.inside[0, 6:].sum() == pytest.approx(0.7, abs=0.1)
    assert fitted.outside[0, 6:].sum() == pytest.approx(0.05, abs=0.03)
    odds = fitted.log_odds(normal, levels)[0]
    assert (odds > 0).mean() == pytest.approx(0.1, abs=0.03)
    assert member[np.argsort(-odds)[:100]].mean() > 0.97


def test_a_wrong_row_is_more_a_member_than_a_right_one_of_the_same_score() -> None:
    scores, _, wrong, doubt = planted()
    fitted = fit_error_mixture(normal_scores(scores), doubt_levels(doubt, wrong))
    odds = fitted.log_odds(np.zeros((2, LEVELS)), np.arange(LEVELS))
    assert (np.diff(odds, axis=1) >= -1e-9).all()
    assert odds[0, -1] > odds[0, 0] + 2


def test_scores_that_point_away_from_errors_gain_little() -> None:
    scores, _, wrong, doubt = planted()
    levels = doubt_levels(doubt, wrong)
    along, against = (fit_error_mixture(normal_scores(sign * scores[:1]), levels).gain[0] for sign in (1, -1))
    assert against < 0.1 * along


def test_doubt_levels_are_groups_of_right_rows_below_groups_of_wrong_ones() -> None:
    _, _, wrong, doubt = planted()
    levels = doubt_levels(doubt, wrong)
    assert levels[~wrong].max() == 5 < levels[wrong].min() == 6
    assert np.ptp(np.bincount(levels[~wrong])) <= 1
    order = np.argsort(doubt)
    assert (np.diff(levels[order]) >= 0).all()
    assert (doubt_levels(np.zeros(5), np.zeros(5, dtype=bool)) == 5).all()


def test_normal_scores_share_ties_and_leave_rows_without_a_score() -> None:
    found = normal_scores(np.array([[3.0, 1.0, -np.inf, 1.0, 2.0], [-np.inf] * 5]))
    assert found[0, 1] == found[0, 3] < found[0, 4] < found[0, 0]
    assert np.isneginf(found[0, 2]) and np.isneginf(found[1]).all()
    assert found[0, [0, 4]] == pytest.approx([1.150349, 0.318639], abs=1e-5)


@pytest.mark.parametrize("scores", [np.full((1, 30), -np.inf), np.zeros((1, 30)), np.zeros((0, 30))])
def test_scores_that_order_nothing_do_not_break_the_fit(scores: np.ndarray) -> None:
    wrong = np.arange(30) < 10
    normal = normal_scores(scores)
    levels = doubt_levels(wrong.astype(float), wrong)
    fitted = fit_error_mixture(normal, levels)
    assert fitted.gain.shape == (len(scores),) and (fitted.gain < 1).all()
    assert not np.isnan(fitted.log_odds(normal, levels)).any()
