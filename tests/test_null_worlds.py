"""Whole diagnoses where there is nothing to find, and beside them the recall of the same build.

A dozen of each kind; benchmarks/null_worlds.py runs hundreds. Under a level of .05, three false runs of a dozen have a
chance of 2 %, and four of 0.2 %.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import errata
from errata.core.evaluation import CONFIRM
from errata.demo import shifted_digits
from errata.testing import NULLS, World, null, permuted, planted

RUNS = 12


def diagnosed(world: World, state, *, methods=None) -> errata.Diagnosis:
    frame = world.to_frame()
    return errata.diagnose(
        frame, label=world.label, prediction=world.prediction, group=world.group, methods=methods, state=state
    )


def confirmed(diagnosis: errata.Diagnosis) -> list[errata.Finding]:
    return [finding for finding in diagnosis.confirmed if finding.family == "errors"]


@pytest.mark.parametrize("kind", NULLS)
def test_nothing_is_reported_where_there_is_nothing(kind, tmp_path):
    false = 0
    for seed in range(RUNS):
        world = null(kind, n=2_000, columns=6 if seed % 3 else 13, seed=seed)
        false += bool(confirmed(diagnosed(world, tmp_path / str(seed))))
    assert false <= 2


def test_the_digits_of_the_demo_with_permuted_errors_are_silent(tmp_path):
    """Real scans, whose errors cluster by digit and by writer, and by nothing else any more."""
    real = errata.diagnose(
        shifted_digits(), group="writer", trained_on="other", methods=["error_tree"], state=tmp_path / "real"
    )
    false = 0
    for seed in range(RUNS // 2):
        evaluation = permuted(real.evaluation, seed=seed)
        assert evaluation.loss.sum() == real.evaluation.loss.sum()
        false += bool(confirmed(errata.diagnose(evaluation, state=tmp_path / str(seed))))
    assert false <= 1


def test_the_same_build_finds_what_is_there(tmp_path):
    found = 0
    for seed in range(RUNS):
        kind = ("literal", "intersection", "set", "range")[seed % 4]
        world = planted(kind, n=2_000, columns=13 if seed % 2 else 6, share=0.1, inside=0.6, outside=0.1, seed=seed)
        diagnosis = diagnosed(world, tmp_path / str(seed))
        rows = diagnosis.evaluation.part(CONFIRM).rows
        region = world.truth[0].members[rows]
        for finding in confirmed(diagnosis)[:1]:
            members = diagnosis.members[finding.id][rows]
            found += (members & region).sum() >= 0.7 * (members | region).sum()
    assert found >= RUNS - 2


def test_scores_among_the_columns_are_recognised_and_named(tmp_path):
    evaluation = diagnosed(null("scores", n=2_000, seed=0), tmp_path).evaluation
    assert {item.column for item in evaluation.set_aside} >= {"rating", "outcome", "loss"}
    assert set(evaluation.outputs) >= {"rating", "outcome", "loss", "p_yes", "p_no", "prediction"}
    assert not set(evaluation.features) & set(evaluation.outputs)


def test_without_that_the_scores_would_be_reported(tmp_path):
    """The scores null is not silent by itself: with the columns brought back, what they give away is found."""
    world = null("scores", n=2_000, seed=0)
    frame = world.to_frame()
    diagnosis = errata.diagnose(frame, label="label", prediction="prediction", use=["rating"], state=tmp_path)
    assert [finding for finding in diagnosis.findings if "rating" in finding.rule.columns]


def test_without_the_writers_their_errors_would_be_reported(tmp_path):
    """The group null is not silent by itself: rows taken for independent give false reports."""
    false = 0
    for seed in range(RUNS):
        world = replace(null("group rows", n=2_000, seed=seed), group=None)
        false += bool(confirmed(diagnosed(world, tmp_path / str(seed), methods=["error_tree"])))
    assert false >= RUNS // 2


def test_copies_counted_one_by_one_would_be_reported(tmp_path):
    """The copies null is not silent by itself: told apart by a column of noise, the rows give false reports."""
    false = 0
    for seed in range(RUNS):
        world = null("copies", n=2_000, seed=seed)
        noise = type(world.table.column("hours")).number(np.random.default_rng(seed).random(len(world)))
        apart = replace(world, table=world.table.with_columns({"noise": noise}), unit=None)
        false += bool(confirmed(diagnosed(apart, tmp_path / str(seed), methods=["error_tree"])))
    assert false >= 3
