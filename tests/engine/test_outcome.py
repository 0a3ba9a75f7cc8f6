"""Labels and predictions in one form, however a file or a model spelt them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from errata.core.columns import Column
from errata.core.errors import CannotRunError, UsageError
from errata.core.model import ModelSpec, Output
from errata.datasets.kinds import read_dataset
from errata.datasets.roles import Roles
from errata.engine.outcome import from_output, from_table, losses, positive_class, task_of

SPEC = ModelSpec(name="m", kind="function")


def table(**columns: object):
    rows = len(next(iter(columns.values())))  # type: ignore[arg-type]
    return read_dataset({"x": np.arange(rows) * 1.5, **columns}, Roles(label="y", prediction="z"))


@pytest.mark.parametrize(
    ("column", "task"),
    [
        (Column.category(["a", "b"]), "classification"),
        (Column.number([0, 1, 1]), "classification"),
        (Column.number([0.0, 1.0, np.nan]), "classification"),
        (Column.number(np.arange(21)), "regression"),
        (Column.number([0.5, 1.0]), "regression"),
    ],
)
def test_the_label_tells_the_task(column: Column, task: str) -> None:
    assert task_of(column, asked=None) == task


def test_a_task_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="classification"):
        task_of(Column.number([0, 1]), asked="ranking")  # type: ignore[arg-type]


def test_labels_as_numbers_and_predictions_as_words_are_the_same_classes() -> None:
    data = table(y=np.array([0, 1, 1, 0]), z=np.array(["0", "1", "0", "0"]))
    outcome = from_table(data, "classification")
    assert outcome.classes == (0, 1)
    assert losses(outcome, "error", None).tolist() == [0, 0, 1, 0]


def test_labels_and_predictions_without_a_common_class_are_refused() -> None:
    with pytest.raises(UsageError, match="share no class"):
        from_table(table(y=np.array(["a", "b"]), z=np.array(["c", "d"])), "classification")


def test_a_missing_label_leaves_the_row_out_and_says_so() -> None:
    labels = np.array(["a", None, "b"], dtype=object)
    outcome = from_table(table(y=labels, z=np.array(["a", "a", "b"])), "classification")
    assert outcome.usable.tolist() == [True, False, True]
    assert any("without a usable label" in caveat for caveat in outcome.caveats)


def test_many_missing_predictions_are_not_left_out_in_silence() -> None:
    predicted = np.array(["a"] * 90 + [None] * 10, dtype=object)
    with pytest.raises(CannotRunError, match="10 of 100 rows"):
        from_table(table(y=np.array(["a", "b"] * 50), z=predicted), "classification")


def test_metrics_count_what_they_say() -> None:
    outcome = from_table(table(y=np.array([0, 0, 1, 1]), z=np.array([0, 1, 0, 1])), "classification")
    assert losses(outcome, "error", None).tolist() == [0, 1, 1, 0]
    np.testing.assert_array_equal(losses(outcome, "false-positive", 1), [0, 1, np.nan, np.nan])
    np.testing.assert_array_equal(losses(outcome, "false-negative", 1), [np.nan, np.nan, 1, 0])


def test_with_many_classes_a_false_positive_is_a_prediction_of_the_positive_class() -> None:
    outcome = from_table(table(y=np.array(["a", "b", "c", "b"]), z=np.array(["a", "a", "b", "b"])), "classification")
    np.testing.assert_array_equal(losses(outcome, "false-positive", "a"), [np.nan, 1, 0, 0])


def test_loss_is_the_cross_entropy_and_needs_probabilities() -> None:
    data = table(y=np.array(["a", "b"]), z=np.array(["a", "a"]))
    scores = np.array([[0.8, 0.2], [0.5, 0.5]], dtype=np.float32)
    spec = replace(SPEC, classes=("a", "b"))
    outcome = from_output(data, "classification", Output(scores=scores), spec, answered=np.ones(2, dtype=bool))
    np.testing.assert_allclose(losses(outcome, "loss", None), [-np.log(0.8), -np.log(0.5)], rtol=1e-6)
    loud = from_output(data, "classification", Output(scores=scores * 3), spec, answered=np.ones(2, dtype=bool))
    assert loud.caveats
    with pytest.raises(UsageError, match="sum to one"):
        losses(loud, "loss", None)


def test_labels_that_the_model_cannot_predict_count_as_wrong() -> None:
    data = table(y=np.array(["a", "b", "c"]), z=np.array(["a", "b", "b"]))
    scores = np.array([[0.9, 0.1], [0.1, 0.9], [0.5, 0.5]], dtype=np.float32)
    spec = replace(SPEC, classes=("a", "b"))
    outcome = from_output(data, "classification", Output(scores=scores), spec, answered=np.ones(3, dtype=bool))
    assert losses(outcome, "error", None).tolist() == [0, 0, 1]
    assert any("cannot predict (c)" in caveat for caveat in outcome.caveats)


def test_scores_without_names_are_in_the_order_of_the_sorted_labels() -> None:
    data = table(y=np.array(["dog", "cat"]), z=np.array(["dog", "cat"]))
    scores = np.array([[0.1, 0.9], [0.8, 0.2]], dtype=np.float32)
    outcome = from_output(data, "classification", Output(scores=scores), SPEC, answered=np.ones(2, dtype=bool))
    assert outcome.classes == ("cat", "dog")
    assert losses(outcome, "error", None).tolist() == [0, 0]


def test_the_positive_class_is_asked_for_where_it_is_open() -> None:
    assert positive_class((0, 1), None) == 1
    assert positive_class(("yes", "no"), None) == "yes"
    assert positive_class((0, 1), "1") == 1
    with pytest.raises(UsageError, match="--positive"):
        positive_class(("a", "b", "c"), None)
    with pytest.raises(UsageError, match="no class"):
        positive_class(("a", "b"), "q")
