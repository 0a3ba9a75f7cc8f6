"""How bare answers are read: shapes, kinds of scores, and whose classes are whose."""

from __future__ import annotations

import numpy as np
import pytest

from errata.core.errors import CannotRunError, UsageError
from errata.models.reading import Answer, Reading, as_answer, classes_in_words_of, plain, understand

SCORES = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]])


@pytest.mark.parametrize(
    ("raw", "numbers", "labels"),
    [
        ([1, 2, 3], (3,), None),
        ([[0.1], [0.2], [0.3]], (3,), None),
        (np.zeros((3, 4)), (3, 4), None),
        (np.zeros((3, 1, 4)), (3, 4), None),
        (["a", "b", "a"], None, (3,)),
        ([True, False, True], None, (3,)),
        (np.array(["a", 1, None], dtype=object), None, (3,)),
    ],
)
def test_answers_of_any_kind_become_arrays(raw, numbers, labels):
    answer = as_answer(raw, 3)
    assert (answer.numbers is None) == (numbers is None)
    assert numbers is None or answer.numbers.shape == numbers
    assert (answer.labels is None) == (labels is None)
    assert len(answer) == 3


@pytest.mark.parametrize("raw", [[1, 2], 5.0, None, np.zeros((3, 2, 2))])
def test_what_is_not_one_answer_per_input_is_refused(raw):
    with pytest.raises(CannotRunError, match="Hint"):
        as_answer(raw, 3)


def test_frames_name_their_classes():
    pd = pytest.importorskip("pandas")
    answer = as_answer(pd.DataFrame({"cat": [0.2, 0.3], "dog": [0.8, 0.7]}), 2)
    assert answer.named == ("cat", "dog")
    understood = understand(answer, levels=("cat", "dog"))
    assert understood.reading.classes == ("cat", "dog")
    assert understood.caveats == ()


def test_series_and_tensors_are_arrays():
    pd = pytest.importorskip("pandas")
    torch = pytest.importorskip("torch")
    assert as_answer(pd.Series(["a", "b"]), 2).labels.tolist() == ["a", "b"]
    assert as_answer(torch.ones(2, 3, dtype=torch.bfloat16, requires_grad=True), 2).numbers.shape == (2, 3)


@pytest.mark.parametrize(
    ("named", "levels", "classes"),
    [
        ((0, 1), ("0", "1"), ("0", "1")),
        ((0, 1), (0, 1), (0, 1)),
        ((0.0, 1.0), (0, 1), (0, 1)),
        ((False, True), (0, 1), (0, 1)),
        (("true", "false"), (False, True), (True, False)),
        (("Yes", " no"), ("no", "yes"), ("yes", "no")),
        (("cat", "dog"), ("dog", "bird"), ("cat", "dog")),
        (("cat", "dog"), ("x", "y"), None),
        ((3, 5), ("3.0", "5.0"), ("3.0", "5.0")),
    ],
)
def test_classes_are_said_in_the_words_of_the_data(named, levels, classes):
    assert classes_in_words_of(named, levels) == classes


def test_probabilities_are_left_alone():
    understood = understand(Answer(numbers=SCORES), levels=("a", "b", "c"))
    assert understood.reading.kind == "probabilities"
    np.testing.assert_allclose(understood.reading.output(Answer(numbers=SCORES)).scores, SCORES, atol=1e-7)


@pytest.mark.parametrize(
    ("numbers", "kind"),
    [
        (np.log(SCORES), "log-probabilities"),
        (np.log(SCORES) + 5, "logits"),
        (SCORES * 2 - 1, "logits"),
        (SCORES * 0.5, "unnormalised"),
        (SCORES + 5e-4, "unnormalised"),
        (SCORES + 1e-4, "probabilities"),
    ],
)
def test_kinds_of_scores_are_told_apart(numbers, kind):
    reading = understand(Answer(numbers=numbers), levels=("a", "b", "c")).reading
    assert reading.kind == kind
    scores = reading.output(Answer(numbers=numbers)).scores
    assert scores.dtype == np.float32
    assert (scores.argmax(axis=1) == numbers.argmax(axis=1)).all()
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=2e-3)


def test_large_logits_do_not_overflow():
    scores = Reading(kind="logits", classes=("a", "b")).output(Answer(numbers=np.array([[1000.0, -1000.0]]))).scores
    np.testing.assert_allclose(scores, [[1, 0]])


def test_ten_scores_for_three_digits_are_the_ten_digits():
    reading = understand(Answer(numbers=np.full((4, 10), 0.1)), levels=(2, 3, 7)).reading
    assert reading.classes == tuple(range(10))


def test_classes_of_another_order_are_mapped_not_sorted():
    reading = understand(Answer(numbers=SCORES), named=("c", "a", "b"), levels=("a", "b", "c")).reading
    assert reading.classes == ("c", "a", "b")


def test_labels_beside_scores_count_where_they_differ():
    agreeing = Answer(numbers=SCORES, labels=np.array(["a", "b"]))
    assert not understand(agreeing, named=("a", "b", "c"), levels=("a", "b", "c")).reading.keep_labels
    differing = Answer(numbers=SCORES, labels=np.array(["a", "c"]))
    understood = understand(differing, named=("a", "b", "c"), levels=("a", "b", "c"))
    assert understood.reading.keep_labels
    assert understood.reading.output(differing).labels.tolist() == ["a", "c"]
    assert len(understood.caveats) == 1


def test_a_tie_is_no_difference():
    tie = Answer(numbers=np.array([[0.5, 0.5]]), labels=np.array([1]))
    assert not understand(tie, named=(0, 1), levels=(0, 1)).reading.keep_labels


def test_codes_for_words_are_said():
    understood = understand(Answer(numbers=np.array([0, 1, 1])), levels=("no", "yes"))
    assert understood.reading.output(Answer(numbers=np.array([0, 1]))).labels.tolist() == ["no", "yes"]
    assert "0 is `no`" in understood.caveats[0]


def test_labels_that_come_later_are_known_too():
    reading = understand(Answer(numbers=np.array([0, 0])), levels=("0", "1")).reading
    assert reading.output(Answer(numbers=np.array([0, 1]))).labels.tolist() == ["0", "1"]


def test_one_number_for_three_classes_is_refused():
    with pytest.raises(UsageError, match="one number per input"):
        understand(Answer(numbers=np.array([0.1, 0.5])), levels=("a", "b", "c"))


def test_regression_takes_one_number():
    assert understand(Answer(numbers=np.array([0.5, 2.0])), task="regression").reading.kind == "values"
    with pytest.raises(UsageError, match="3 numbers per input"):
        understand(Answer(numbers=SCORES), task="regression")
    with pytest.raises(UsageError, match="labels"):
        understand(Answer(labels=np.array(["a"])), task="regression")


def test_an_answer_of_another_width_than_settled_is_an_error():
    with pytest.raises(CannotRunError, match="shape"):
        Reading(kind="probabilities", classes=("a", "b")).output(Answer(numbers=SCORES))


def test_plain_values():
    assert [plain(v) for v in (np.int64(3), np.float32(2.0), np.str_("x"), b"y", np.bool_(True), 0.5)] == [
        3, 2, "x", "y", True, 0.5,
    ]  # fmt: skip
