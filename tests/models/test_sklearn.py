"""Estimators and pipelines, in memory and from files."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from errata.core.errors import UsageError
from errata.core.model import Model, Trainable, Transforms
from errata.models import sklearn as adapter
from errata.models.connect import connect

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3))
Y = np.array(["no", "yes"])[(X[:, 0] + 0.2 * X[:, 1] > 0).astype(int)]


def logistic():
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression()


def pipeline(*steps):
    from sklearn.pipeline import make_pipeline

    return make_pipeline(*steps)


def framed():
    pd = pytest.importorskip("pandas")
    return pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "town": np.where(X[:, 2] > 0, "cairo", "oslo")})


def mixed_pipeline():
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    steps = [("n", StandardScaler(), ["a", "b"]), ("c", OneHotEncoder(), ["town"])]
    return pipeline(ColumnTransformer(steps), logistic()).fit(framed(), Y)


def test_a_classifier_gives_probabilities_in_its_order():
    model = connect(logistic().fit(X, Y))
    assert model.spec.classes == ("no", "yes")
    assert model.spec.task == "classification"
    settled = model.settled(X, levels=("no", "yes"))
    assert settled.caveats == ()
    output = settled.model.predict(X)
    np.testing.assert_allclose(output.scores, logistic().fit(X, Y).predict_proba(X), atol=1e-6)
    assert output.labels is None


def test_capabilities_are_detected():
    plain, piped = connect(logistic().fit(X, Y)), connect(pipeline(logistic()).fit(X, Y))
    assert isinstance(plain, Model)
    assert isinstance(plain, Trainable)
    assert not isinstance(plain, Transforms)
    assert isinstance(piped, Transforms)


def test_a_classifier_without_probabilities_gives_labels():
    from sklearn.svm import LinearSVC

    model = connect(LinearSVC().fit(X, Y))
    output = model.settled(X, levels=("no", "yes")).model.predict(X)
    assert output.scores is None
    assert (output.labels == LinearSVC().fit(X, Y).predict(X)).all()


def test_numbers_that_a_classifier_predicts_are_labels():
    from sklearn.svm import LinearSVC

    y = (Y == "yes").astype(int)
    settled = connect(LinearSVC().fit(X, y)).settled(X, levels=(0, 1))
    assert settled.output.labels.tolist() == LinearSVC().fit(X, y).predict(X).tolist()


def test_a_moved_threshold_is_honoured():
    from sklearn.model_selection import FixedThresholdClassifier

    strict = FixedThresholdClassifier(logistic(), threshold=0.9, pos_label="yes").fit(X, Y)
    settled = connect(strict).settled(X, levels=("no", "yes"))
    assert any("labels count" in caveat for caveat in settled.caveats)
    assert settled.model.predict(X).labels.tolist() == strict.predict(X).tolist()


def test_a_regressor_gives_values():
    from sklearn.linear_model import LinearRegression

    model = connect(LinearRegression().fit(X, X[:, 0]))
    assert model.spec.task == "regression"
    np.testing.assert_allclose(model.predict(X).values, X[:, 0], atol=1e-9)


def test_columns_go_by_the_names_the_model_knows():
    frame = framed()
    model = connect(logistic().fit(frame[["b", "a"]], Y))
    shuffled = frame[["town", "a", "b"]]
    np.testing.assert_allclose(
        model.predict(shuffled).scores, logistic().fit(frame[["b", "a"]], Y).predict_proba(frame[["b", "a"]]), atol=1e-6
    )
    with pytest.raises(UsageError, match=r"(?s)`b`.*Hint"):
        model.predict(frame[["a", "town"]])


def test_a_model_fitted_on_an_array_takes_a_frame_of_as_many_columns():
    frame = framed()
    model = connect(logistic().fit(frame[["a", "b"]].to_numpy(), Y))
    assert model.predict(frame[["a", "b"]]).scores.shape == (120, 2)
    with pytest.raises(UsageError, match="takes 2 columns, and the data have 3"):
        model.predict(frame)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_a_pipeline_on_a_frame_takes_the_frames_of_every_library(library):
    module = pytest.importorskip(library)
    frame = framed()
    model = connect(mixed_pipeline())
    other = (
        frame
        if library == "pandas"
        else module.Table.from_pandas(frame)
        if library == "pyarrow"
        else module.from_pandas(frame)
    )
    np.testing.assert_allclose(model.predict(other).scores, model.predict(frame).scores, atol=1e-6)


def test_images_are_flattened():
    images = RNG.random((60, 4, 4))
    y = (images.mean(axis=(1, 2)) > 0.5).astype(int)
    fitted = logistic().fit(images.reshape(60, 16), y)
    assert connect(fitted).variants(images)[0].settled(images, levels=(0, 1)).output.scores.shape == (60, 2)
    with pytest.raises(UsageError, match="16"):
        connect(fitted).variants(RNG.random((5, 3, 3)))


def test_the_last_step_saw_scaled_and_encoded_values():
    seen = connect(mixed_pipeline()).transform(framed().iloc[:5])
    assert list(seen) == ["n__a", "n__b", "c__town_cairo", "c__town_oslo"]
    expected = (framed()["a"] - framed()["a"].mean()) / framed()["a"].std(ddof=0)
    np.testing.assert_allclose(seen["n__a"], expected[:5], atol=1e-9)
    assert set(seen["c__town_cairo"].tolist()) <= {0.0, 1.0}


def test_a_pipeline_of_one_step_saw_the_inputs():
    assert connect(pipeline(logistic()).fit(X, Y)).transform(X[:2]) == {}


def test_training_afresh_leaves_the_original_alone():
    from sklearn.ensemble import RandomForestClassifier

    original = RandomForestClassifier(10).fit(X, Y)
    model = connect(original)
    before = original.predict_proba(X)
    one, two = (model.fit(X[:60], Y[:60], seed=5) for _ in range(2))
    np.testing.assert_array_equal(original.predict_proba(X), before)
    np.testing.assert_array_equal(one.predict(X).scores, two.predict(X).scores)
    assert one.estimator.random_state == 5
    assert one.spec.fingerprint is None
    assert model.fit(X, Y, seed=6).estimator.random_state == 6


def test_a_seed_of_the_users_stays():
    from sklearn.ensemble import RandomForestClassifier

    assert connect(RandomForestClassifier(3, random_state=1)).fit(X, Y, seed=5).estimator.random_state == 1


def test_an_unfitted_model_says_what_to_do():
    with pytest.raises(UsageError, match="--out-of-fold"):
        connect(logistic()).predict(X)


def test_fingerprints_follow_the_weights():
    one, two = connect(logistic().fit(X, Y)), connect(logistic().fit(X, Y))
    assert one.spec.fingerprint == two.spec.fingerprint
    assert one.spec.fingerprint != connect(logistic().fit(X[:50], Y[:50])).spec.fingerprint
    assert connect(Unpicklable().fit(X, Y)).spec.fingerprint is None


class Unpicklable:
    classes_ = np.array(["no", "yes"])

    def get_params(self, deep=True):
        return {}

    def fit(self, x, y):
        self.secret = lambda: None
        return self

    def predict(self, x):
        return np.array(["no"] * len(x))


def test_several_labels_at_once_are_refused():
    from sklearn.ensemble import RandomForestClassifier

    both = RandomForestClassifier(3).fit(X, np.stack([Y, Y], axis=1))
    with pytest.raises(UsageError, match="2 labels at once"):
        connect(both).predict(X)


def test_skops_files(tmp_path):
    skops = pytest.importorskip("skops.io")
    path = tmp_path / "model.skops"
    fitted = mixed_pipeline()
    skops.dump(fitted, path)
    model = connect(path)
    assert isinstance(model, Transforms)
    np.testing.assert_allclose(model.predict(framed()).scores, fitted.predict_proba(framed()), atol=1e-6)
    assert model.spec.fingerprint == connect(str(path)).spec.fingerprint


class Foreign:
    """A type that skops has never heard of."""


def test_untrusted_types_are_listed_and_refused(tmp_path):
    skops = pytest.importorskip("skops.io")
    path = tmp_path / "model.skops"
    odd = logistic().fit(X, Y)
    odd.extra = Foreign()
    skops.dump(odd, path)
    with pytest.raises(UsageError, match=r"(?s)Foreign.*trusted="):
        connect(path)


def test_a_broken_skops_file(tmp_path):
    pytest.importorskip("skops.io")
    path = tmp_path / "model.skops"
    path.write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(UsageError, match="not a whole"):
        connect(path)


class Bomb:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (open, (str(self.mark), "w"))


@pytest.mark.parametrize("name", ["model.pkl", "model.joblib", "model.pickle", "model.sav", "model.pt", "model.pth"])
def test_a_pickle_is_refused_and_nothing_is_executed(tmp_path, name):
    mark, path = tmp_path / "executed", tmp_path / name
    path.write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(UsageError, match="--allow-pickle"):
        connect(str(path))
    assert not mark.exists()


def test_a_pickle_is_opened_when_allowed(tmp_path):
    joblib = pytest.importorskip("joblib")
    path = tmp_path / "model.joblib"
    joblib.dump(logistic().fit(X, Y), path)
    assert connect(path, allow_pickle=True).predict(X).scores.shape == (120, 2)


def test_a_broken_pickle_is_no_traceback(tmp_path):
    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x04nonsense")
    with pytest.raises(UsageError, match="could not be opened"):
        connect(path, allow_pickle=True)


def test_is_fitted():
    assert adapter.is_fitted(logistic().fit(X, Y))
    assert not adapter.is_fitted(logistic())
