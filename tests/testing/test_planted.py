"""The planted and the null worlds are what they say they are."""

from __future__ import annotations

import numpy as np
import pytest

from errata.core.errors import UsageError
from errata.core.evaluation import CONFIRM, EXPLORE
from errata.core.rules import Where
from errata.testing import KINDS, NULLS, TINY, null, permuted, planted, tiny_images, tiny_model, tiny_table

ROW_LEVEL = [kind for kind in KINDS if kind not in ("groups", "regression", "class mix")]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("columns", [6, 13])
def test_the_text_of_a_region_selects_its_members(kind, columns):
    world = planted(kind, n=4_000, columns=columns, seed=3)
    assert len(world.features) == columns
    for region in world.truth:
        where = Where.parse(region.text)
        assert np.array_equal(where.members(world.table), region.members)
        assert np.array_equal(where.members(world.to_frame()), region.members)
        assert set(where.columns) == set(region.columns)


@pytest.mark.parametrize("kind", ROW_LEVEL)
@pytest.mark.parametrize("share", [0.025, 0.1])
def test_shares_and_rates_are_as_asked(kind, share):
    world = planted(kind, n=40_000, share=share, inside=0.55, outside=0.12, seed=1)
    anywhere = np.any([region.members for region in world.truth], axis=0)
    for region in world.truth:
        size = int(region.members.sum())
        assert region.members.mean() == pytest.approx(share, rel=0.2)
        assert world.wrong[region.members].mean() == pytest.approx(0.55, abs=4 * (0.25 / size) ** 0.5)
    assert world.wrong[~anywhere].mean() == pytest.approx(0.12, abs=0.01)


def test_regression_plants_mean_absolute_errors():
    world = planted("regression", n=40_000, inside=2.0, outside=0.5, seed=2)
    members = world.truth[0].members
    assert world.wrong[members].mean() == pytest.approx(2.0, rel=0.1)
    assert world.wrong[~members].mean() == pytest.approx(0.5, rel=0.05)


def test_groups_hold_a_row_level_and_a_group_level_region():
    world = planted("groups", n=8_000, share=0.1, seed=0)
    family = world.table.column("family").values
    assert len(np.unique(family)) == 400

    def varies(members):
        inside = np.bincount(family.astype(int), weights=members)
        return bool(((inside > 0) & (inside < 20)).any())

    row_level, group_level = world.truth
    assert varies(row_level.members)
    assert not varies(group_level.members)


def test_worlds_are_repeatable_and_differ_by_seed():
    first, again, other = (planted("intersection", n=500, seed=seed) for seed in (1, 1, 2))
    assert first.to_frame().equals(again.to_frame())
    assert not first.to_frame().equals(other.to_frame())


@pytest.mark.parametrize("kind", NULLS)
def test_null_worlds_hold_no_region(kind):
    world = null(kind, n=1_000, seed=4)
    assert world.truth == ()
    assert len(world) == 1_000
    assert world.wrong.sum() > 0


def test_class_mix_errors_follow_the_class_alone():
    world = null("class mix", n=40_000, seed=0)
    hours, label = world.table.column("hours").values, world.table.column("label").values
    assert np.corrcoef(hours, world.wrong)[0, 1] > 0.1
    for code in (0, 1):
        inside = label == code
        assert abs(np.corrcoef(hours[inside], world.wrong[inside])[0, 1]) < 4 / np.sqrt(inside.sum())


def test_groups_err_at_rates_of_their_own():
    for kind in ("group rows", "group constants", "few groups"):
        world = null(kind, n=4_000, seed=0)
        group = world.table.column("writer").values.astype(int)
        rate = np.bincount(group, weights=world.wrong) / np.bincount(group)
        assert rate.std() > 2 * (0.25 / 25) ** 0.5 * 0.8, kind


def test_scores_left_among_the_columns_give_the_prediction():
    world = null("scores", n=1_000, seed=0)
    prediction = world.table.column("prediction").values
    assert np.array_equal(world.table.column("p_yes").values > 0.5, prediction == 1)
    assert np.array_equal(world.table.column("rating").values > 100.0, prediction == 1)


def test_copies_are_counted_once():
    world = null("copies", n=1_000, seed=0)
    evaluation = world.evaluation()
    assert evaluation.counted.sum() == len(np.unique(world.unit)) < 500
    frame = world.to_frame()
    assert len(frame.drop_duplicates()) == evaluation.counted.sum()


def test_five_errors_are_five():
    assert null("few errors", n=2_000, seed=9).wrong.sum() == 5


@pytest.mark.parametrize("kind", TINY)
def test_tiny_tables_become_frames_and_evaluations(kind):
    world = tiny_table(kind)
    frame = world.to_frame()
    assert list(frame.columns) == list(world.table.names)
    assert world.to_frame("polars").shape == frame.shape
    evaluation = world.evaluation()
    assert len(evaluation.explore()) + len(evaluation.part(CONFIRM)) == len(world)


def test_the_tiny_models_err_where_they_are_meant_to():
    images = tiny_images(400, seed=1)
    scores = tiny_model("images")(images.images)
    assert scores.shape == (400, 2)
    assert np.allclose(scores.sum(axis=1), 1.0)
    wrong = np.where(scores[:, 1] > 0.5, "ring", "bar") != images.label
    assert wrong[images.members].mean() > 0.3
    assert wrong[~images.members].mean() < 0.02
    rows = {"age": np.array([30.0, 80.0]), "hours": np.array([60.0, 60.0])}
    assert tiny_model("table")(rows)[:, 1].tolist() == pytest.approx([0.993, 0.2], abs=0.001)
    assert tiny_model("regression")(rows).tolist() == [135.0, 145.0]


def test_an_evaluation_keeps_groups_whole():
    evaluation = planted("groups", n=2_000).evaluation()
    folds = np.stack([np.bincount(evaluation.group, weights=evaluation.fold == fold) for fold in (EXPLORE, CONFIRM)])
    assert ((folds > 0).sum(axis=0) == 1).all()


def test_the_metric_decides_which_rows_count():
    world = planted("literal", n=2_000)
    evaluation = world.evaluation(metric="false-negative")
    yes = world.table.column("label").values == 1
    assert np.array_equal(evaluation.stratum >= 0, yes)
    assert np.array_equal(evaluation.loss[yes], world.wrong[yes])
    assert np.array_equal(evaluation.fold >= 0, yes)


@pytest.mark.parametrize("kind", ["iid", "few groups", "regression"])
def test_permuted_errors_keep_their_class_and_group(kind):
    evaluation = null(kind, n=1_000, seed=0).evaluation()
    moved = permuted(evaluation, seed=1)
    cells = [evaluation.stratum, np.zeros(1_000) if evaluation.group is None else evaluation.group]
    assert not np.array_equal(moved.loss, evaluation.loss)
    for cell in np.unique(np.stack(cells), axis=1).T:
        inside = (cells[0] == cell[0]) & (cells[1] == cell[1])
        assert np.array_equal(np.sort(moved.loss[inside]), np.sort(evaluation.loss[inside]))
    if kind == "regression":
        assert np.abs(moved.labels - moved.predicted) == pytest.approx(moved.loss)
    else:
        assert np.array_equal(moved.labels != moved.predicted, moved.loss == 1)
    assert np.array_equal(permuted(evaluation, seed=1).loss, moved.loss)
    assert moved.fingerprint != evaluation.fingerprint


def test_unknown_names_are_refused_with_a_hint():
    with pytest.raises(UsageError, match="did you mean `intersection`"):
        planted("intersektion")
    with pytest.raises(UsageError, match="`copies`"):
        null("copy")
    with pytest.raises(UsageError, match="`constant`"):
        tiny_table("constants")
    with pytest.raises(UsageError, match="pandas"):
        planted("literal", n=100).to_frame("arrow")
