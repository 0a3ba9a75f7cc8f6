from __future__ import annotations

import numpy as np
import pytest

from errata.ops.error_mixture import LEVELS, agreement, doubt_levels, fit_error_mixture, normal_scores, null_gain


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


def test_random_scores_rarely_gain_what_null_gain_allows() -> None:
    rng = np.random.default_rng(1)
    wrong = rng.random(800) < 0.1
    levels = doubt_levels(np.where(wrong, rng.uniform(0.5, 1, 800), rng.uniform(0, 0.5, 800)), wrong)
    limit = null_gain(levels, tries=30)
    passed = 0
    for _ in range(10):
        gain = fit_error_mixture(normal_scores(rng.standard_normal((30, 800))), levels).gain
        passed += bool((gain > limit).any())
    assert passed <= 2
    assert null_gain(levels, tries=300) > limit


def test_agreement_is_the_rank_correlation_of_the_rows_that_are_known() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    doubt = rng.random(200).round(2)
    score = doubt + rng.normal(0, 0.2, 200)
    score[::7] = -np.inf
    known = np.isfinite(score)
    found = agreement(np.stack([score, np.full(200, 1.0), np.where(np.arange(200) < 5, score, -np.inf)]), doubt)
    np.testing.assert_allclose(found, [spearmanr(score[known], doubt[known])[0], 0, 0], atol=1e-12)


def test_gains_on_all_rows_are_the_gain_of_the_fit_and_errors_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    score = rng.standard_normal(2_000)
    wrong = rng.random(2_000) < np.where(score > 1.3, 0.6, 0.05)
    doubt = np.where(wrong, 0.6, rng.uniform(0, 0.5, 2_000))
    levels = doubt_levels(doubt, wrong)
    normal = normal_scores(np.stack([score, rng.standard_normal(2_000)]))
    fitted = fit_error_mixture(normal, levels)
    np.testing.assert_allclose(fitted.gains(normal, levels, base=levels)[0], fitted.gain[0], rtol=0.02)
    told = fitted.error_gain(normal, wrong, base=wrong)
    assert told[0] > 50 > abs(told[1])
    assert (fitted.prior_odds(normal)[0].argsort() == score.argsort()).all()
