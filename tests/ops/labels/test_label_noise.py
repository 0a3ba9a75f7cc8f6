"""Judging labels by other rows: against ways to do it row by row, on flips that we planted, and on clean labels."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from errata.ops.labels.noise import (
    FlipTrial,
    LabelJudge,
    View,
    list_labels,
    longest_prefix,
    nearest_rows,
    plant_flips,
)


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    return LabelJudge(views=[View.of(x, neighbours=10)], model=None, classes=10), y.astype(np.int64)


def flipped(labels: np.ndarray, share: float, *, classes: int = 10, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    flips = rng.random(len(labels)) < share
    return np.where(flips, (labels + rng.integers(1, classes, len(labels))) % classes, labels)


def test_the_nearest_rows_are_those_of_a_search_by_hand() -> None:
    x = np.random.default_rng(0).standard_normal((60, 5)).astype(np.float32)
    away = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    np.fill_diagonal(away, np.inf)
    by_hand = np.sort(np.argsort(away, axis=1)[:, :7], axis=1)
    assert np.array_equal(np.sort(nearest_rows(x, 7), axis=1), by_hand)
    assert nearest_rows(x[:1], 0).shape == (1, 0)


def test_the_longest_prefix_is_the_longest() -> None:
    p = np.array([0.3, 0.01, 0.02, 0.9, 0.12])
    assert longest_prefix(p, 0.05).tolist() == [1, 2, 4]
    assert longest_prefix(p, 0.005).tolist() == []
    assert longest_prefix(p, 0.3).tolist() == [1, 2, 4, 0, 3]


def test_a_row_never_hears_its_own_label(digits) -> None:
    """Changing a row's own label changes its own terms only through weights that all rows share."""
    judge, labels = digits
    other = labels.copy()
    other[7] = (other[7] + 3) % 10
    view = judge.views[0]
    assert judge._vote(view, labels)[7] == pytest.approx(judge._vote(view, other)[7], abs=0.02)
    assert judge._head(view, labels)[7] == pytest.approx(judge._head(view, other)[7], abs=2e-3)
    assert judge.believe(labels).true[7] == pytest.approx(judge.believe(other).true[7], abs=0.01)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3])
def test_planted_flips_are_listed_and_probabilities_are_calibrated(digits, share: float) -> None:
    judge, labels = digits
    noisy = flipped(labels, share)
    wrong = noisy != labels
    belief = judge.believe(noisy)
    p = belief.labels
    assert p.sum(axis=1) == pytest.approx(np.ones(len(p)))
    assert p.max(axis=1).mean() == pytest.approx((p.argmax(axis=1) == noisy).mean(), abs=0.02)
    assert 9 * belief.floor == pytest.approx(wrong.mean(), abs=0.02)
    trial = plant_flips(judge, noisy, belief, np.random.default_rng(0))
    assert trial.wrong() == pytest.approx(wrong.sum(), rel=0.3)
    listed = list_labels(belief, noisy, "right", trial=trial, alpha=0.05)
    assert wrong[listed].mean() > 0.9
    assert wrong[listed].sum() > 0.5 * wrong.sum()
    wide = list_labels(belief, noisy, "given", trial=trial, alpha=0.05)
    assert wrong[wide].sum() > 0.98 * wrong.sum()
    assert np.array_equal(wide[: len(listed)], listed)
    assert wrong[list_labels(belief, noisy, "confident", trial=trial, alpha=0.05)].mean() > 0.7


def test_clean_labels_are_left_alone(digits) -> None:
    judge, labels = digits
    belief = judge.believe(labels)
    trial = plant_flips(judge, labels, belief, np.random.default_rng(0))
    assert 9 * belief.floor < 0.005
    assert trial.wrong() < 5
    assert not len(list_labels(belief, labels, "right", trial=trial, alpha=0.05))
    # By P(given label | x) alone there is always something odd, and the trial says what it is worth.
    wide = list_labels(belief, labels, "given", trial=trial, alpha=0.05)
    assert len(wide) > 5
    assert trial.estimate(len(wide), np.random.default_rng(0)).precision < 0.2


def test_two_classes_with_many_flips_are_no_empty_list() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 1_000)
    x = rng.standard_normal((1_000, 6)) + 3.0 * labels[:, None]
    noisy = flipped(labels, 0.2, classes=2)
    judge = LabelJudge(views=[View.of(x, neighbours=10)], model=None, classes=2)
    belief = judge.believe(noisy)
    trial = plant_flips(judge, noisy, belief, rng)
    # Here no label can be believed less than the share of flips, which is far above alpha.
    assert not len(list_labels(belief, noisy, "given", trial=trial, alpha=0.05))
    listed = list_labels(belief, noisy, "right", trial=trial, alpha=0.05)
    wrong = noisy != labels
    assert wrong[listed].mean() > 0.9
    assert wrong[listed].sum() > 0.8 * wrong.sum()


@pytest.mark.parametrize("apart", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("classes", [2, 10])
def test_right_labels_of_classes_that_overlap_are_no_list(classes: int, apart: float) -> None:
    """Flips are no more doubtful there than right labels are: by flips alone most labels would be called wrong."""
    rng = np.random.default_rng(7)
    labels = rng.integers(0, classes, 1_000)
    x = rng.standard_normal((1_000, 12)) + apart * np.eye(12)[labels]
    judge = LabelJudge(views=[View.of(x, neighbours=10)], model=None, classes=classes)
    belief = judge.believe(labels)
    trial = plant_flips(judge, labels, belief, rng)
    assert len(list_labels(belief, labels, "right", trial=trial, alpha=0.05)) < 5
    assert trial.estimate(300, rng).precision < 0.3


@pytest.mark.parametrize(("share", "kind"), [
    (0.0, "given"), (0.03, "given"), (0.2, "given"), (0.05, "right"), (0.05, "confident"),
])  # fmt: skip
def test_planted_flips_tell_good_lists_from_bad_ones(digits, share: float, kind: str) -> None:
    judge, labels = digits
    noisy = flipped(labels, share)
    belief = judge.believe(noisy)
    trial = plant_flips(judge, noisy, belief, np.random.default_rng(0))
    listed = list_labels(belief, noisy, kind, trial=trial, alpha=0.05)
    estimate = trial.estimate(len(listed), np.random.default_rng(0))
    assert estimate.precision == pytest.approx(float((noisy != labels)[listed].mean()), abs=0.2)
    assert estimate.low <= estimate.precision <= estimate.high
    assert estimate.found > 0.5
    assert estimate.planted == trial.planted >= 200


def test_a_trial_counts_what_it_should() -> None:
    """Ten flips below .1, and of the rest four below .05, where half of the flips are."""
    flips = np.arange(1, 11) / 100
    rest = np.concatenate([[0.01, 0.02, 0.03, 0.04], np.linspace(0.2, 1.0, 96)])
    trial = FlipTrial(flips=[flips], rest=[rest])
    assert trial.wrong() == pytest.approx(4 / 0.9)
    assert trial.found(np.array([1, 4, 5])) == pytest.approx([0.1, 0.4, 1.0])
    # 4.44 wrong ones, of which four tenths are expected among the four most doubtful.
    assert trial.estimate(4, np.random.default_rng(0)).precision == pytest.approx(0.4 * 4.444 / 4, abs=0.001)
    assert trial.longest(0.8) == 5
    assert trial.longest(0.95) == 0


def test_a_model_that_saw_no_label_is_heard() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 600)
    noisy = flipped(labels, 0.1, classes=5)
    scores = rng.dirichlet(np.ones(5), 600) * 0.4
    scores[np.arange(600), labels] += 0.6
    judge = LabelJudge(views=[], model=scores, classes=5)
    belief = judge.believe(noisy)
    trial = plant_flips(judge, noisy, belief, rng)
    listed = list_labels(belief, noisy, "right", trial=trial, alpha=0.05)
    wrong = noisy != labels
    assert wrong[listed].mean() > 0.95
    assert wrong[listed].sum() > 0.5 * wrong.sum()
    # The model says .68 on average and is always right; nine in ten labels agree with it.
    assert belief.labels[np.arange(600), labels].mean() == pytest.approx((labels == noisy).mean(), abs=0.02)
