"""A slice whose rule only a program reads gets a predicate, scored on rows that had no part in choosing it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from errata.confirm import Confirmation, confirm
from errata.core.codec import decode, encode
from errata.core.columns import Column, Table
from errata.core.dataset import Dataset
from errata.core.embedded import Direction, Near, Space
from errata.core.evaluation import CONFIRM, Evaluation
from errata.core.evidence import Evidence, Predicate, Statistic
from errata.core.finding import Finding
from errata.core.method import Job
from errata.core.rules import Where
from errata.core.slices import Slice
from errata.describe import describe
from errata.describe.failure_types import scene_of, with_failure_type
from errata.describe.predicate import predicate_for
from errata.describe.reasons import with_reasons
from errata.describe.sentences import title
from errata.evaluate import evaluate
from errata.ops.conjunctions import imitate

N = 4_000


def world(*, told: bool = True, seed: int = 0) -> Evaluation:
    """A bunch in an embedding with many errors; `told`: two columns say what the embedding knows."""
    rng = np.random.default_rng(seed)
    place = rng.normal(size=(N, 2))
    members = ((place - 1.2) ** 2).sum(axis=1) < 0.5
    label = rng.integers(0, 2, N)
    prediction = np.where(rng.random(N) < np.where(members, 0.5, 0.08), 1 - label, label)
    shown = place if told else rng.normal(size=(N, 2))
    columns = {
        "age": Column.number(40 + 10 * shown[:, 0]), "hours": Column.number(30 + 5 * shown[:, 1]),
        "embedding:raw": Column(kind="embedding", values=place.astype(np.float32)),
        "y": Column.category(label.tolist()), "p": Column.category(prediction.tolist()),
    }  # fmt: skip
    hashes = np.arange(N).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return evaluate(Dataset(
        name="w", modality="table", table=Table(columns), id_hash=hashes, occurrence=np.zeros(N, np.uint32),
        label="y", prediction="p",
    ))  # fmt: skip


def confirmed(evaluation: Evaluation) -> tuple[Finding, Confirmation]:
    rule = Near(
        column="embedding:raw", space=Space(), means=np.array([[1.2, 1.2]]), precisions=np.ones((1, 2)),
        log_weights=np.zeros(1), at=0, cut=-0.5,
    )  # fmt: skip
    found = confirm([Slice(rule=rule)], evaluation)
    assert found.findings[0].status == "confirmed"
    return found.findings[0], found


def job() -> Job:
    return Job(rng=np.random.default_rng(0))


def test_a_predicate_is_found_and_scored_on_confirm_rows() -> None:
    one = world()
    finding, found = confirmed(one)
    members = found.members[finding.id]
    predicate = predicate_for(finding, one, members=members)
    assert predicate is not None
    assert predicate.where is not None
    chosen = Where.parse(predicate.where).members(one)
    held = (one.fold == CONFIRM) & one.counted
    both = (chosen & members & held).sum()
    assert predicate.rows == (chosen & held).sum()
    assert predicate.precision == pytest.approx(both / (chosen & held).sum())
    assert predicate.recall == pytest.approx(both / (members & held).sum())
    assert predicate.inside == pytest.approx(one.loss[chosen & held].mean())
    assert predicate.interval is not None
    assert predicate.difference is not None
    assert predicate.interval[0] < predicate.difference < predicate.interval[1]
    assert not {"p", "embedding:raw"} & set(Where.parse(predicate.where).columns)


def test_the_predicate_does_not_depend_on_confirm_rows() -> None:
    one = world()
    finding, found = confirmed(one)
    members = found.members[finding.id]
    other = members ^ ((one.fold == CONFIRM) & (np.arange(N) % 3 == 0))
    first, second = (predicate_for(finding, one, members=rows) for rows in (members, other))
    assert first is not None
    assert second is not None
    assert first.where == second.where
    assert first.recall != second.recall


def test_a_slice_that_nothing_captures_says_so() -> None:
    one = world(told=False)
    finding, found = confirmed(one)
    predicate = predicate_for(finding, one, members=found.members[finding.id])
    assert predicate is not None
    assert predicate.where is None
    assert "No predicate" in predicate.words


def test_the_class_of_a_finding_alone_is_no_predicate_of_it() -> None:
    one = world(told=False)
    rule = Direction(
        column="embedding:raw", space=Space(), weights=np.array([1.0, 0.0]), bias=0.0, cut=-0.3,
        given=Where.parse("y = 1"),
    )  # fmt: skip
    finding = replace(confirmed(one)[0], rule=rule)
    members = rule.members(one)
    explore = one.explore()
    assert imitate(explore.of(members), explore) == Where.parse("y = 1"), "more than half of the class"
    predicate = predicate_for(finding, one, members=members)
    assert predicate is not None
    assert predicate.where is None


def test_quotes_within_the_quotes_are_single() -> None:
    one = world()
    finding, found = confirmed(one)
    predicate = predicate_for(finding, one, members=found.members[finding.id])
    assert predicate is not None
    told = replace(finding, evidence=(replace(predicate, where='`contains "white"` = false'),))
    assert title(told, None).endswith("roughly “Texts that do not contain ‘white’”")


def test_elsewhere_is_said_of_all_others_and_nothing_else() -> None:
    rng = np.random.default_rng(1)
    one = world()
    hard = (one.labels == 1) & (rng.random(N) < 0.4)
    one = replace(one, predicted=np.where(hard, 0, one.predicted), loss=np.where(hard, 1.0, one.loss))
    finding, found = confirmed(one)
    members = found.members[finding.id] & (one.labels == 0)
    predicate = predicate_for(replace(finding, rule=replace(finding.rule, given=Where.parse("y = 0"))), one,
                              members=members)  # fmt: skip
    assert predicate is not None
    assert predicate.where is not None
    chosen = Where.parse(predicate.where).members(one)
    held = (one.fold == CONFIRM) & one.counted
    assert predicate.outside is not None
    assert abs(one.loss[held & ~chosen].mean() - predicate.outside) > 0.02, "the classes are of unequal difficulty"
    assert "elsewhere" not in predicate.words
    assert "comparable rows" in predicate.words or "among the other" in predicate.words


def test_a_cross_confirmation_has_a_predicate_and_a_type_too() -> None:
    one = world()
    finding, found = confirmed(one)
    members = found.members[finding.id]
    fold = np.full(N, CONFIRM, dtype=one.fold.dtype)
    across = replace(one, fold=fold, cross=(np.arange(N) % 5).astype(np.int8))
    told = with_reasons(finding, across, members=members, job=job())
    (predicate,) = [item for item in told.evidence if isinstance(item, Predicate)]
    assert predicate.where is not None
    chosen, counted = Where.parse(predicate.where).members(across), np.arange(N) % 5 >= 3
    assert predicate.precision == pytest.approx((chosen & members & counted).sum() / (chosen & counted).sum())
    assert predicate.recall == pytest.approx((chosen & members & counted).sum() / (members & counted).sum())
    assert predicate.difference is None, "all rows had a part in the rule"
    assert told.failure_type is not None


def test_the_title_names_it_and_a_run_keeps_it() -> None:
    one = world()
    finding, found = confirmed(one)
    told = with_reasons(finding, one, members=found.members[finding.id], job=job())
    assert "roughly “age" in describe(told, one)
    kinds: Any = tuple[Evidence, ...]
    assert decode(encode(told.evidence), kinds) == told.evidence


def test_a_finding_with_a_rule_of_its_own_needs_none() -> None:
    one = world()
    found = confirm([Slice(rule=Where.parse("age > 48 and hours > 34"))], one)
    finding = found.findings[0]
    told = with_reasons(finding, one, members=found.members[finding.id], job=job())
    assert not any(isinstance(item, Predicate) for item in told.evidence)
    assert told.failure_type == "unknown"  # its errors were drawn by chance


def test_the_scene_holds_explore_rows_alone() -> None:
    one = world()
    staged = scene_of(one)
    assert staged is not None
    assert (one.fold[staged.rows] != CONFIRM).all()
    turned = np.where(one.fold == CONFIRM, 1 - one.labels, one.labels)
    finding, found = confirmed(one)
    members = found.members[finding.id]
    spoilt = replace(one, labels=turned)
    first, second = (with_failure_type(finding, ev, members=members, job=job()) for ev in (one, spoilt))
    assert first.failure_type == second.failure_type


def test_flipped_labels_are_said_in_the_finding() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(N, 3))
    truth = (x[:, 0] + 0.3 * x[:, 1] > 0).astype(int)
    label = np.where((x[:, 2] > 1.0) & (rng.random(N) < 0.25), 1 - truth, truth)
    hashes = np.arange(N).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    one = evaluate(Dataset(
        name="w", modality="table", label="y", prediction="p", id_hash=hashes, occurrence=np.zeros(N, np.uint32),
        table=Table({
            **{f"x{place}": Column.number(x[:, place]) for place in range(3)},
            "y": Column.category(label.tolist()), "p": Column.category(truth.tolist()),
        }),
    ))  # fmt: skip
    found = confirm([Slice(rule=Where.parse("x2 > 1"))], one)
    finding = found.findings[0]
    told = with_failure_type(finding, one, members=found.members[finding.id], job=job())
    assert told.failure_type == "mislabelled"
    assert any(isinstance(item, Statistic) and "Perhaps mislabelled" in item.words for item in told.evidence)
