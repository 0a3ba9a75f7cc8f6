"""Columns that reproduce the model's output are found, whatever they are called; honest ones are left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from errata.core.columns import Column
from errata.core.model import ModelSpec
from errata.ops.outputs import _auc, detect_outputs, named_outputs
from errata.testing import KINDS, NULLS, null, planted, tiny_table


def asked(world, **more):
    """The evaluation of a world in which every column but the prediction may be read."""
    table = world.table.with_columns(more)
    evaluation = replace(world, table=table, aside=()).evaluation()
    names = tuple(name for name in table.names if name not in (world.prediction, world.group))
    return replace(evaluation, features=names)


def reads(evaluation):
    """Columns of which it is said that they read the predicted class."""
    return {item.column for item in detect_outputs(evaluation) if item.why.startswith("it reads the predicted class")}


def found(evaluation):
    return {item.column for item in detect_outputs(evaluation)}


@pytest.mark.parametrize("seed", range(5))
def test_scores_under_any_name_are_found(seed):
    assert found(asked(null("scores", n=2_000, seed=seed))) == {"rating", "outcome", "p_no", "p_yes", "loss"}


@pytest.mark.parametrize("kind", [kind for kind in NULLS if kind != "scores"])
def test_nothing_is_found_where_there_is_nothing(kind):
    assert found(asked(null(kind, n=3_000, seed=1))) == set()


@pytest.mark.parametrize("kind", KINDS)
def test_planted_columns_are_left_alone(kind):
    assert found(asked(planted(kind, n=4_000, share=0.1, inside=0.95, seed=1))) == set()


def test_a_score_is_found_when_few_rows_are_wrong():
    """20 wrong rows among 2,000 of a class, where bins blur the few wrong ones with their right neighbours."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        world = planted("literal", n=8_000, inside=0.012, outside=0.012, seed=seed)
        yes = world.table.column("prediction").values == 1
        logit = np.where(yes, 1, -1) * np.abs(rng.normal(2, 1, len(world)))
        assert reads(asked(world, tone=Column.number(logit))) == {"tone"}


@pytest.mark.parametrize("classes", [3, 5])
def test_the_prediction_of_many_classes_is_found(classes):
    world = planted("literal", n=6_000, classes=classes, seed=0)
    codes = world.table.column("prediction").values
    shuffled = Column(kind="category", values=(codes * 2 % classes).astype(np.int32), levels=tuple("vwxyz"[:classes]))
    number = Column.number(codes.astype(float) + np.random.default_rng(0).normal(0, 0.01, len(codes)))
    assert found(asked(world, answer=shuffled, dial=number)) == {"answer", "dial"}


def test_a_loss_of_many_classes_is_found_by_what_is_wrong():
    world = planted("literal", n=6_000, classes=4, seed=0)
    rng = np.random.default_rng(0)
    loss = np.where(world.wrong > 0, 1.0 + rng.random(len(world)), rng.random(len(world)))
    assert found(asked(world, surprise=Column.number(loss))) == {"surprise"}


def test_an_embedding_that_gives_the_prediction_is_found():
    world = planted("literal", n=3_000, inside=0.3, outside=0.1, seed=0)
    rng = np.random.default_rng(0)
    yes = world.table.column("prediction").values == 1
    noise = rng.normal(size=(len(world), 8)).astype(np.float32)
    told = noise.copy()
    told[:, 2:4] += np.where(yes, 4.0, -4.0)[:, None].astype(np.float32)
    evaluation = asked(world, own=Column(kind="embedding", values=told), other=Column(kind="embedding", values=noise))
    assert found(evaluation) == {"own"}


def test_a_column_that_equals_the_prediction_is_found_even_with_few_errors():
    world = null("few errors", n=1_000, seed=0)
    same = Column(kind="boolean", values=(world.table.column("prediction").values == 0).astype(np.int8))
    assert found(asked(world, flag=same)) == {"flag"}


def test_regression_finds_the_prediction_and_its_error():
    world = planted("regression", n=3_000, inside=6.0, outside=4.0, seed=0)
    rng = np.random.default_rng(0)
    prediction, label = (np.asarray(world.table.column(name).values) for name in ("prediction", "label"))
    more = {
        "scaled": Column.number(100.0 - 3.0 * prediction),
        "curved": Column.number(np.exp(prediction / 40.0)),
        "gap": Column.number(prediction - label),
        "miss": Column.number(np.abs(prediction - label)),
        "noisy": Column.number(prediction + rng.normal(0, 3.0, len(world))),
        "near": Column.number(label + rng.normal(0, 1.0, len(world))),
    }
    assert found(asked(world, **more)) == {"scaled", "curved", "gap", "miss"}


def test_inputs_of_a_connected_model_are_never_output():
    world = null("scores", n=2_000, seed=0)
    evaluation = asked(world)
    connected = replace(
        evaluation,
        model=ModelSpec(name="m", kind="function"),
        dataset=replace(evaluation.dataset, input_names=("rating", "loss")),
    )
    assert found(connected) == {"outcome", "p_no", "p_yes"}
    assert {item.column for item in named_outputs(connected)} == {"p_no", "p_yes"}


def test_the_cross_fitted_auc_is_that_of_sorting_pairs():
    """Against the definition: per fold, the share of pairs ordered rightly by frequencies of the other folds."""
    rng = np.random.default_rng(0)
    joint = rng.integers(0, 6, size=(5, 7, 2))
    expected = []
    for fold in range(5):
        seen = joint.sum(axis=0) - joint[fold]
        prior = joint[:, :, 1].sum() / joint.sum()
        score = (seen[:, 1] + prior) / (seen.sum(axis=1) + 1.0)
        ups = np.repeat(score, joint[fold, :, 1])
        downs = np.repeat(score, joint[fold, :, 0])
        pairs = (ups[:, None] > downs).astype(float) + 0.5 * np.isclose(ups[:, None], downs)
        expected.append(pairs.mean())
    assert _auc(joint, 1) == pytest.approx(np.mean(expected))


NAMED = ("y_pred", "yhat", "Predicted Class", "p_yes", "prob_no", "loss", "log_loss", "prediction_score", "isCorrect")
HONEST = ("capital_loss", "credit_score", "error_code", "p_value", "probation", "weight loss", "lossless", "rightmost")


def test_a_fold_of_a_score_around_its_threshold_is_found_by_its_bins():
    world = planted("literal", n=8_000, inside=0.3, outside=0.2, seed=0)
    yes = world.table.column("prediction").values == 1
    rng = np.random.default_rng(0)
    outer = rng.choice([-1, 1], len(world)) * rng.uniform(1, 2, len(world))
    bent = np.where(yes, rng.uniform(-1, 1, len(world)), outer)
    assert reads(asked(world, bent=Column.number(bent))) == {"bent"}


def test_names_speak_only_as_a_whole():
    world = tiny_table("plain")
    column = world.table.column("hours")
    evaluation = asked(world, **dict.fromkeys((*NAMED, *HONEST), column))
    assert {item.column for item in named_outputs(evaluation)} == set(NAMED)
