"""What servers say, in all the ways in which they say it."""

from __future__ import annotations

import math

import pytest

from errata.core.errors import CannotRunError
from errata.models.http.said import Said, gathered, row_said, rows_said

LABELLED = [{"label": "no", "score": 0.2}, {"label": "yes", "score": 0.8}]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("yes", Said(label="yes")),
        (1, Said(label=1)),
        (1.0, Said(label=1)),
        (True, Said(label=True)),
        (["yes"], Said(label="yes")),
        ([[0.2, 0.8]], Said(scores=(0.2, 0.8))),
        ([0.2, 0.8], Said(scores=(0.2, 0.8))),
        (LABELLED, Said(scores=(0.2, 0.8), names=("no", "yes"))),
        ({"label": "yes", "score": 0.8}, Said(label="yes")),
        ({"no": 0.2, "yes": 0.8}, Said(scores=(0.2, 0.8), names=("no", "yes"))),
        ({"class": "yes"}, Said(label="yes")),
        ({"probabilities": [0.2, 0.8], "classes": ["no", "yes"]}, Said(scores=(0.2, 0.8), names=("no", "yes"))),
        ({"label": "no", "probabilities": [0.2, 0.8]}, Said(label="no", scores=(0.2, 0.8))),
        ({"scores": {"no": 0.2, "yes": 0.8}}, Said(scores=(0.2, 0.8), names=("no", "yes"))),
        ({"result": "yes"}, Said(label="yes")),
        ({"probability": 0.8}, Said(label=0.8)),
    ],
)
def test_one_answer(value, said):
    assert row_said(value) == said
    assert Said.from_plain(said.to_plain()) == said


@pytest.mark.parametrize(
    "value",
    [None, [], math.nan, [0.2, math.nan], [0.2, None], [math.inf, 0.0], {"error": "no"}, {"a": "x", "b": "y"},
     pytest.param([10**400, 1], id="vast score"), pytest.param(10**400, id="vast number"),
     [{"label": "a", "score": 1.0}, {"label": "a", "score": 0.0}], ["a", "b"], [[0.1, 0.2], [0.3, 0.4]]],
)  # fmt: skip
def test_what_is_no_answer_says_why(value):
    assert row_said(value).failed


def test_answers_for_rows():
    assert [one.label for one in rows_said(["a", "b"], 2)] == ["a", "b"]
    assert rows_said([0.2, 0.8], 1)[0].scores == (0.2, 0.8)
    assert rows_said(LABELLED, 1)[0].names == ("no", "yes")
    assert [one.label for one in rows_said(LABELLED, 2)] == ["no", "yes"]
    for values, rows in (("yes", 2), ([1, 2, 3], 2), ([], 1), ({"a": 1}, 2)):
        with pytest.raises(ValueError, match="rows"):
            rows_said(values, rows)


def test_scores_come_in_one_order_whatever_order_they_are_said_in():
    one, other = Said(scores=(0.2, 0.8), names=("no", "yes")), Said(scores=(0.9, 0.1), names=("yes", "no"))
    answer = gathered([one, other])
    assert answer.named == ("no", "yes")
    assert answer.numbers.tolist() == [[0.2, 0.8], [0.1, 0.9]]
    assert gathered([one], named=("yes", "no")).numbers.tolist() == [[0.8, 0.2]]


def test_only_the_likeliest_classes_are_labels():
    said = [Said(scores=(0.6, 0.3), names=("a", "b")), Said(scores=(0.5, 0.2), names=("c", "a"))]
    assert gathered(said).labels.tolist() == ["a", "c"]


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ([Said(scores=(0.2, 0.8)), Said(label="a")], ()),
        ([Said(scores=(0.2, 0.8)), Said(scores=(0.2, 0.3, 0.5))], ()),
        ([Said(scores=(0.2, 0.8), names=("a", "b"))], ("a", "c")),
        ([Said(scores=(0.2, 0.8), names=("a", "b")), Said(scores=(0.2, 0.8))], ()),
    ],
)
def test_answers_of_different_kinds_are_refused(said, named):
    with pytest.raises(CannotRunError, match="answers change"):
        gathered(said, named=named)
