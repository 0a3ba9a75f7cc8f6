"""Both ends of an order of rows: who stands there, and in which columns they differ."""

from __future__ import annotations

import numpy as np
import pytest

from errata.core.columns import Column, Table
from errata.core.evaluation import Evaluation
from errata.core.evidence import Extremes
from errata.ops.vectors.extremes import SHOWN, extremes_of
from errata.testing import World

LEVELS = ("no", "yes")


def world(n: int = 400) -> tuple[Evaluation, np.ndarray]:
    """Rows of two classes; in the second, hardness follows `age` and `city` and nothing else."""
    rng = np.random.default_rng(0)
    hardness, label = rng.standard_normal(n), np.arange(n) % 2
    said = np.where(hardness > 1.0, 1 - label, label)
    columns = {
        "label": Column(kind="category", values=label.astype(np.int32), levels=LEVELS),
        "prediction": Column(kind="category", values=said.astype(np.int32), levels=LEVELS),
        "noise": Column.number(rng.standard_normal(n)),
        "age": Column.number(40 + 10 * hardness),
        "city": Column.category(["cairo" if one > 0 else "giza" for one in hardness]),
        "empty": Column.number(np.full(n, np.nan)),
        "flat": Column.number(np.ones(n)),
        "embedding:x": Column(kind="embedding", values=rng.standard_normal((n, 3)).astype(np.float32)),
    }
    return World(name="ends", table=Table(columns), outside=0.1).evaluation(), hardness


def ends(evaluation: Evaluation, hardness: np.ndarray, rows: np.ndarray) -> Extremes:
    view = evaluation.view()
    return extremes_of(
        evaluation, rows, view.loss[rows] > 0, hardness, label=1, direction=2, column="embedding:x", score=0.7
    )


@pytest.fixture(scope="module")
def explored() -> tuple[Evaluation, np.ndarray, np.ndarray]:
    whole, hardness = world()
    explore = whole.explore()
    return explore, hardness[explore.rows], np.flatnonzero(explore.view().labels == 1)


def test_the_ends_are_the_most_extreme_rows_right_or_wrong(explored) -> None:
    explore, hardness, rows = explored
    found = ends(explore, hardness[rows], rows)
    order = rows[np.argsort(-hardness[rows])]
    ids = explore.dataset.ids(explore.rows)
    assert found.hardest == tuple(ids[row] for row in order[:SHOWN])
    assert found.easiest == tuple(ids[row] for row in order[::-1][:SHOWN])
    wrong = explore.view().loss > 0
    assert found.hardest_wrong == wrong[order[:SHOWN]].sum() == SHOWN
    assert found.easiest_wrong == 0
    assert (found.rows, found.wrong) == (len(rows), wrong[rows].sum())
    assert found.label == "yes"


def test_the_columns_that_tell_the_ends_apart_come_first_and_chance_is_left_out(explored) -> None:
    explore, hardness, rows = explored
    found = ends(explore, hardness[rows], rows)
    told = {one["column"]: one for one in found.differences}
    assert set(told) == {"age", "city"}
    assert told["city"]["level"] in ("cairo", "giza")
    assert {told["city"]["hardest"], told["city"]["easiest"]} == {0.0, 1.0}
    order = np.sort(hardness[rows])
    assert told["age"]["hardest"] == pytest.approx(40 + 10 * order[-found.end :].mean(), rel=1e-5)
    assert told["age"]["easiest"] == pytest.approx(40 + 10 * order[: found.end].mean(), rel=1e-5)
    shown = found.values[found.hardest[0]]
    assert (shown["label"], shown["prediction"], shown["city"]) == ("yes", "no", "cairo")
    assert "embedding:x" not in shown


def test_a_class_of_three_rows_has_an_end_of_one(explored) -> None:
    explore, hardness, rows = explored
    found = ends(explore, hardness[rows[:3]], rows[:3])
    assert len(found.hardest) == len(found.easiest) == 1
    assert found.differences == ()
