"""Out-of-fold predictions: nobody is judged by a model that has seen them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from errata.core.columns import Column, Table
from errata.core.errors import CannotRunError, UsageError
from errata.engine.out_of_fold import assign_folds, predict_out_of_fold
from errata.models.connect import connect
from errata.models.function import from_function

RNG = np.random.default_rng(0)


def keys(n, seed=0):
    return np.random.default_rng(seed).integers(0, 2**63, n).astype(np.uint64)


def test_classes_are_spread_evenly():
    strata = RNG.integers(0, 3, 1_003).astype(np.int32)
    fold = assign_folds(np.arange(1_003), strata, folds=5, keys=keys(1_003))
    for code in range(3):
        counts = np.bincount(fold[strata == code], minlength=5)
        assert counts.max() - counts.min() <= 1
    sizes = np.bincount(fold, minlength=5)
    assert sizes.max() - sizes.min() <= 3


def test_groups_stay_whole_and_folds_stay_even():
    groups = RNG.integers(0, 60, 1_200)
    strata = (RNG.random(1_200) < 0.1).astype(np.int32)
    groups = np.unique(groups, return_inverse=True)[1]
    fold = assign_folds(groups, strata, folds=5, keys=keys(1_200))
    for group in range(groups.max() + 1):
        assert len(np.unique(fold[groups == group])) == 1
    sizes, rare = np.bincount(fold), np.bincount(fold[strata == 1], minlength=5)
    assert sizes.min() > 180
    assert rare.min() > 10


def test_single_rows_fill_up_what_groups_left():
    units = np.concatenate([np.zeros(50, int), np.arange(1, 151)])
    strata = np.zeros(200, np.int32)
    fold = assign_folds(units, strata, folds=4, keys=keys(200))
    assert np.bincount(fold).tolist() == [50, 50, 50, 50]


def test_folds_depend_on_the_keys_and_not_on_the_order():
    strata, key = RNG.integers(0, 2, 300).astype(np.int32), keys(300)
    order = RNG.permutation(300)
    one = assign_folds(np.arange(300), strata, folds=5, keys=key)
    two = assign_folds(np.arange(300), strata[order], folds=5, keys=key[order])
    assert np.array_equal(one[order], two)
    assert not np.array_equal(one, assign_folds(np.arange(300), strata, folds=5, keys=keys(300, seed=1)))


@pytest.mark.parametrize("folds", [1, 4])
def test_more_folds_than_groups_are_refused(folds):
    with pytest.raises(UsageError, match="folds"):
        assign_folds(np.array([0, 0, 1, 1, 2]), np.zeros(5, np.int32), folds=folds, keys=keys(5))


def memory_of_digits():
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(n_neighbors=1)


def test_a_model_that_remembers_is_no_better_than_chance(dataset):
    x, y = RNG.normal(size=(400, 3)), RNG.integers(0, 2, 400)
    model = connect(memory_of_digits().fit(x, y))
    assert (model.predict(x).scores.argmax(axis=1) == y).all()
    done = predict_out_of_fold(model, dataset(x, y), folds=5, seed=0)
    assert 0.4 < (done.output.scores.argmax(axis=1) == y).mean() < 0.6


def test_copies_do_not_teach_each_other(dataset):
    half = RNG.normal(size=(200, 3))
    x, y = np.concatenate([half, half]), np.tile(RNG.integers(0, 2, 200), 2)
    hashes = np.tile(np.arange(200, dtype=np.uint64) + 7, 2)
    done = predict_out_of_fold(connect(memory_of_digits()), dataset(x, y, id_hash=hashes), seed=0)
    assert (done.output.scores.argmax(axis=1) == y).mean() < 0.62


def test_groups_do_not_teach_each_other(dataset):
    group = np.repeat(np.arange(40), 10)
    x = np.repeat(RNG.normal(size=(40, 3)), 10, axis=0) + 0.01 * RNG.normal(size=(400, 3))
    y = np.repeat(RNG.integers(0, 2, 40), 10)
    data = dataset(x, y, group=[f"g{g}" for g in group])
    done = predict_out_of_fold(connect(memory_of_digits()), data, seed=0)
    assert (done.output.scores.argmax(axis=1) == y).mean() < 0.75


def test_every_row_has_scores_in_the_order_of_the_labels(dataset):
    from sklearn.linear_model import LogisticRegression

    x = RNG.normal(size=(300, 2))
    y = np.array(["cat", "ant", "bee"])[np.argmax(np.c_[x, np.zeros(300)], axis=1)]
    seen = []
    done = predict_out_of_fold(
        connect(LogisticRegression()), dataset(x, y), seed=3, progress=lambda d, t: seen.append(d)
    )
    assert done.spec.classes == ("ant", "bee", "cat")
    assert done.output.scores.shape == (300, 3)
    assert (np.array(done.spec.classes)[done.output.scores.argmax(axis=1)] == y).mean() > 0.9
    assert seen[-1] == 300
    again = predict_out_of_fold(connect(LogisticRegression()), dataset(x, y), seed=3)
    np.testing.assert_array_equal(done.output.scores, again.output.scores)


def test_unset_random_states_take_the_seed(dataset):
    from sklearn.ensemble import RandomForestClassifier

    x, y = RNG.normal(size=(200, 4)), RNG.integers(0, 2, 200)
    runs = [
        predict_out_of_fold(connect(RandomForestClassifier(10)), dataset(x, y), seed=s).output.scores for s in (1, 1, 2)
    ]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_regression(dataset):
    from sklearn.linear_model import LinearRegression

    x = RNG.normal(size=(200, 2))
    target = x[:, 0] * 3 + 1.5
    done = predict_out_of_fold(connect(LinearRegression()), dataset(x, target), seed=0)
    np.testing.assert_allclose(done.output.values, target, atol=1e-8)


def test_a_class_in_one_fold_only_is_said_and_scored_zero(dataset):
    from sklearn.linear_model import LogisticRegression

    x = RNG.normal(size=(101, 2))
    y = np.where(x[:, 0] > 0, "b", "a").astype(object)
    y[50] = "rare"
    done = predict_out_of_fold(connect(LogisticRegression()), dataset(x, list(y)), seed=0)
    assert any("`rare`" in caveat for caveat in done.caveats)
    assert done.output.scores.shape == (101, 3)
    assert done.output.scores[50, 2] == 0


def test_rows_without_a_label_are_predicted_and_not_learned(dataset):
    from sklearn.linear_model import LogisticRegression

    x = RNG.normal(size=(200, 2))
    y = [None if i % 7 == 0 else ("b" if x[i, 0] > 0 else "a") for i in range(200)]
    data = replace(dataset(x, None), table=Table({"label": Column.category(y)}), label="label")
    done = predict_out_of_fold(connect(LogisticRegression()), data, seed=0)
    assert done.output.scores.shape == (200, 2)
    assert np.isfinite(done.output.scores).all()


def test_finished_folds_are_not_trained_again(dataset, tmp_path):
    from sklearn.linear_model import LogisticRegression

    class Stopping(LogisticRegression):
        fits = 0
        stop_at = 99

        def fit(self, X, y):
            type(self).fits += 1
            if type(self).fits == type(self).stop_at:
                raise KeyboardInterrupt
            return super().fit(X, y)

    x, y = RNG.normal(size=(200, 2)), RNG.integers(0, 2, 200)
    whole = predict_out_of_fold(connect(LogisticRegression()), dataset(x, y), seed=0)
    Stopping.fits, Stopping.stop_at = 0, 4
    with pytest.raises(KeyboardInterrupt):
        predict_out_of_fold(connect(Stopping()), dataset(x, y), seed=0, folder=tmp_path)
    Stopping.fits, Stopping.stop_at = 0, 99
    done = predict_out_of_fold(connect(Stopping()), dataset(x, y), seed=0, folder=tmp_path)
    assert Stopping.fits == 2
    np.testing.assert_allclose(done.output.scores, whole.output.scores, atol=1e-6)


def test_what_cannot_be_trained_is_refused(dataset):
    with pytest.raises(UsageError, match="cannot be trained"):
        predict_out_of_fold(from_function(lambda x: x[:, 0]), dataset(RNG.normal(size=(20, 2)), [0, 1] * 10), seed=0)


def test_a_label_of_one_class_is_refused(dataset):
    with pytest.raises(UsageError, match="1 class"):
        predict_out_of_fold(connect(memory_of_digits()), dataset(RNG.normal(size=(20, 2)), [0] * 20), seed=0)


def test_a_training_that_fails_says_the_fold_and_the_words(dataset):
    from sklearn.linear_model import LogisticRegression

    x = RNG.normal(size=(40, 2))
    x[3] = np.nan
    with pytest.raises(CannotRunError, match=r"fold 1 .*NaN"):
        predict_out_of_fold(connect(LogisticRegression()), dataset(x, [0, 1] * 20), seed=0)
