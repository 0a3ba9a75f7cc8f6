"""A model is tried before it is trusted: form, reading, classes, and whether it keeps its word."""

from __future__ import annotations

import numpy as np
import pytest

from errata.core.errors import CannotRunError, UsageError
from errata.core.model import ModelSpec, Output
from errata.engine.trial import try_model
from errata.models.function import from_function

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3))
Y = (X[:, 0] > 0).astype(int)
NAMES = np.array(["no", "yes"])[Y]


def proba(x):
    p = 1 / (1 + np.exp(-6 * x[:, 0]))
    return np.stack([1 - p, p], axis=1)


def tried(function, dataset, **options):
    return try_model(from_function(function), dataset, **options)


def accuracy(trial, data, labels):
    output = trial.model.predict(data.read(np.arange(len(data))))
    said = output.labels if output.labels is not None else np.array(trial.model.spec.classes)[output.scores.argmax(1)]
    return (said == labels).mean()


def test_a_good_model_raises_no_word(dataset):
    trial = tried(proba, dataset(X, Y))
    assert trial.caveats == ()
    assert trial.model.spec.classes == (0, 1)
    assert trial.model.spec.task == "classification"


def test_numbers_for_names_are_said(dataset):
    trial = tried(proba, dataset(X, NAMES))
    assert trial.model.spec.classes == ("no", "yes")
    assert any("0 is `no`" in caveat for caveat in trial.caveats)


@pytest.mark.parametrize(
    ("function", "word"),
    [
        (lambda x: np.log(proba(x)), "logarithms"),
        (lambda x: np.log(proba(x)) + 3, "softmax"),
        (lambda x: proba(x) * 0.7, "do not sum to one"),
        (lambda x: proba(x)[:, 1], "the probability of `1`"),
        (lambda x: 6 * x[:, 0], "logit of `1`"),
    ],
)
def test_scores_that_are_no_probabilities_become_some_and_it_is_said(dataset, function, word):
    data = dataset(X, Y)
    trial = tried(function, data)
    assert any(word in caveat for caveat in trial.caveats)
    scores = trial.model.predict(X).scores
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(scores, proba(X), atol=1e-4)


def test_labels_are_taken_as_they_are(dataset):
    trial = tried(lambda x: np.where(x[:, 0] > 0, "yes", "no"), dataset(X, NAMES))
    assert trial.caveats == ()
    assert accuracy(trial, dataset(X, NAMES), NAMES) == 1


def test_words_and_numbers_of_the_same_class_meet(dataset):
    data = dataset(X, np.where(Y == 1, "1", "0"))
    trial = tried(lambda x: (x[:, 0] > 0).astype(int), data)
    assert accuracy(trial, data, np.where(Y == 1, "1", "0")) == 1


def test_a_model_of_other_classes_is_refused(dataset):
    with pytest.raises(UsageError, match="share no class"):
        tried(lambda x: np.where(x[:, 0] > 0, "cat", "dog"), dataset(X, NAMES))


def test_too_many_scores_are_refused(dataset):
    with pytest.raises(UsageError, match="3 scores per input, and the data have 2 labels"):
        tried(lambda x: np.full((len(x), 3), 1 / 3), dataset(X, NAMES))


def test_swapped_classes_are_noticed(dataset):
    trial = tried(lambda x: proba(x)[:, ::-1], dataset(X, Y))
    assert any("order of the labels" in caveat for caveat in trial.caveats)


def test_a_bad_model_is_not_taken_for_a_swapped_one(dataset):
    trial = tried(lambda x: np.tile([0.6, 0.4], (len(x), 1)), dataset(X, Y))
    assert not any("order of the labels" in caveat for caveat in trial.caveats)


def test_a_model_that_changes_its_mind_is_refused(dataset):
    rng = np.random.default_rng(1)
    with pytest.raises(CannotRunError, match="changed its mind"):
        tried(lambda x: rng.integers(0, 2, len(x)), dataset(X, Y))


def test_a_model_that_fails_the_second_time_says_why_with_one_hint(dataset):
    calls = []

    def forgetful(inputs):
        calls.append(len(inputs))
        if len(calls) > 1:
            raise UsageError("no second time.", hint="ask once.")
        return np.zeros(len(inputs), dtype=int)

    with pytest.raises(CannotRunError, match="asked the same again: no second time") as error:
        tried(forgetful, dataset(X, Y))
    assert str(error.value).count("Hint:") == 1


def test_a_little_noise_is_said_and_not_refused(dataset):
    rng = np.random.default_rng(1)
    noisy = lambda x: proba(0.2 * x + 0.002 * rng.normal(size=x.shape))  # noqa: E731
    X1 = X[np.abs(X[:, 0]) > 0.1]
    trial = tried(noisy, dataset(X1, (X1[:, 0] > 0).astype(int)))
    assert any("slightly different" in caveat for caveat in trial.caveats)


def test_a_model_that_looks_at_the_rest_of_the_batch_is_refused(dataset):
    with pytest.raises(CannotRunError, match="alone than in a batch"):
        tried(lambda x: proba(x - x.mean(axis=0)), dataset(X + 3, Y))


def test_a_model_that_cannot_take_one_row_is_said(dataset):
    def needs_two(x):
        if len(x) < 2:
            raise ValueError("too few")
        return proba(x)

    assert any("single row" in caveat for caveat in tried(needs_two, dataset(X, Y)).caveats)


def test_a_model_that_always_raises_says_its_own_words(dataset):
    def broken(x):
        raise ZeroDivisionError("weights are gone")

    data = dataset(X, Y)
    with pytest.raises(CannotRunError, match="ZeroDivisionError: weights are gone") as failure:
        tried(broken, data)
    assert data.ids(np.array([0]))[0] in str(failure.value)
    assert "shape (3,)" in str(failure.value)


def test_one_bad_row_does_not_stop_the_trial(dataset):
    bad = X.copy()
    bad[0] = np.nan

    def strict(x):
        if np.isnan(x).any():
            raise ValueError("NaN")
        return proba(x)

    assert tried(strict, dataset(bad, Y)).model.spec.classes == (0, 1)


def test_wrong_shape_is_said(dataset):
    with pytest.raises(CannotRunError, match="shape"):
        tried(lambda x: np.zeros((2, 2, 2)), dataset(X, Y))


def test_all_nan_is_refused(dataset):
    with pytest.raises(CannotRunError, match="NaN"):
        tried(lambda x: np.full((len(x), 2), np.nan), dataset(X, Y))


def test_regression(dataset):
    trial = tried(lambda x: 2 * x[:, :1], dataset(X, X[:, 0] * 2.0))
    assert trial.model.spec.task == "regression"
    assert trial.model.predict(X).values.shape == (200,)
    assert trial.caveats == ()


IMAGES = RNG.integers(0, 256, (200, 6, 6), dtype=np.uint8)
BRIGHT = (IMAGES.mean(axis=(1, 2)) > 127).astype(int)


def test_bytes_for_a_function_trained_between_0_and_1_are_divided(dataset):
    def bright(x):
        return np.where(x.reshape(len(x), -1).mean(axis=1) > 127 / 255, 1, 0)

    data = dataset(IMAGES, BRIGHT)
    trial = tried(bright, data)
    assert any("divided by 255" in caveat and "right on 64 of 64" in caveat for caveat in trial.caveats)
    assert accuracy(trial, data, BRIGHT) == 1


def test_bytes_for_a_function_trained_on_bytes_stay(dataset):
    def bright(x):
        return np.where(x.reshape(len(x), -1).mean(axis=1) > 127, 1, 0)

    data = dataset(IMAGES, BRIGHT)
    trial = tried(bright, data)
    assert trial.caveats == ()
    assert accuracy(trial, data, BRIGHT) == 1


def test_a_network_on_normalised_images_gets_them_normalised(dataset):
    torch = pytest.importorskip("torch")

    class Normalised(torch.nn.Module):
        def forward(self, x):
            mean = x.mean(dim=(1, 2, 3))  # 0 for an image of mean 0.1307 before
            return torch.stack([-mean, mean], dim=1) * 50

    images = np.where(BRIGHT[:, None, None] == 1, 60, 10).astype(np.uint8) + IMAGES // 20
    data = dataset(images, BRIGHT)
    from errata.models.connect import connect

    trial = try_model(connect(Normalised()), data)
    assert any("normalised by the means and deviations of MNIST" in caveat for caveat in trial.caveats)
    assert accuracy(trial, data, BRIGHT) == 1


def test_a_model_worse_than_guessing_is_said(dataset):
    trial = tried(lambda x: (X[: len(x), 1] > 9).astype(int) + (x[:, 1] > 0), dataset(X, (X[:, 0] > -1).astype(int)))
    assert any("fewer than always saying `1`" in caveat for caveat in trial.caveats)


def test_a_flat_model_of_images_is_given_flat_ones(dataset):
    def flat(x):
        if x.ndim != 2:
            raise ValueError("expected 2 dimensions")
        return (x.mean(axis=1) > 127).astype(int)

    data = dataset(IMAGES, BRIGHT)
    assert accuracy(tried(flat, data), data, BRIGHT) == 1


def test_an_own_model_class_is_taken_at_its_word(dataset):
    class Own:
        spec = ModelSpec(name="own", kind="own", classes=(0, 1))

        def predict(self, inputs):
            return Output(scores=proba(inputs).astype(np.float32))

    assert try_model(Own(), dataset(X, Y)).caveats == ()


def test_unlabelled_data_are_tried_too(dataset):
    assert tried(proba, dataset(X, None)).model.spec.classes == (0, 1)


def test_no_rows(dataset):
    with pytest.raises(UsageError, match="no rows"):
        tried(proba, dataset(X[:0], Y[:0]))


def test_a_function_of_pandas_gets_pandas(dataset):
    pd = pytest.importorskip("pandas")
    pa = pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1]})
    table = pa.Table.from_pandas(frame)
    from dataclasses import replace

    data = replace(dataset(X, Y), read=lambda rows: table.take(pa.array(rows)))
    trial = tried(lambda f: (f["a"] > 0).astype(int).to_numpy(), data)
    assert accuracy(trial, data, Y) == 1
