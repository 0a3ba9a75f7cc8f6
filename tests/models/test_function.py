"""Python functions and bare predictors."""

from __future__ import annotations

import numpy as np
import pytest

from errata.core.errors import UsageError
from errata.core.model import Model, Trainable
from errata.models.function import from_function, from_predictor


def test_a_function_is_a_black_box_without_a_fingerprint():
    model = from_function(lambda x: x[:, 0] > 0, name="mine")
    assert isinstance(model, Model)
    assert not isinstance(model, Trainable)
    assert model.spec.fingerprint is None
    assert (model.spec.name, model.spec.kind) == ("mine", "function")


def test_a_function_gets_the_frame_of_the_user():
    pd = pytest.importorskip("pandas")
    seen = []

    def judge(frame):
        seen.append(type(frame))
        return np.where(frame["age"] > 50, "old", "young")

    model = from_function(judge)
    assert model.predict(pd.DataFrame({"age": [10, 60]})).labels.tolist() == ["young", "old"]
    assert seen == [pd.DataFrame]
    assert model.spec.name.endswith("judge")


def test_an_unsettled_function_still_predicts():
    scores = from_function(lambda x: np.full((len(x), 2), 0.5)).predict(np.zeros((3, 1))).scores
    assert scores.shape == (3, 2)


def test_images_of_mixed_sizes_reach_the_function_as_a_list():
    model = from_function(lambda images: [int(i.mean() > 5) for i in images])
    assert model.predict([np.full((2, 3), 9), np.full((4, 4), 1)]).labels.tolist() == [1, 0]


def test_what_cannot_be_called_is_refused():
    with pytest.raises(UsageError, match="expected a function"):
        from_function(3)


class Booster:
    classes_ = np.array(["a", "b"])

    def predict_proba(self, x):
        return np.tile([0.25, 0.75], (len(x), 1))


def test_a_predictor_that_cannot_be_trained():
    model = from_predictor(Booster())
    assert not isinstance(model, Trainable)
    assert model.named == ("a", "b")
    settled = model.settled(np.zeros((4, 2)), levels=("b", "a"))
    assert settled.model.spec.classes == ("a", "b")
    assert settled.caveats == ()
