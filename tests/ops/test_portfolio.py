from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from errata.core.columns import Column, Table
from errata.core.embedded import Direction, Space
from errata.core.evaluation import CONFIRM, Evaluation
from errata.core.rules import Where
from errata.core.slices import Slice
from errata.ops.portfolio import Lead, leads, score_of
from errata.testing import World


def evaluation_of(
    x: np.ndarray, label: np.ndarray, said: np.ndarray, *, scores: bool = True, classes: int = 2
) -> Evaluation:
    levels = tuple(f"c{code}" for code in range(classes))
    columns = {
        "label": Column(kind="category", values=label.astype(np.int32), levels=levels),
        "prediction": Column(kind="category", values=said.astype(np.int32), levels=levels),
        "embedding:x": Column(kind="embedding", values=x.astype(np.float32)),
    }
    names = tuple(f"p_{level}" for level in levels) if scores else ()
    for code, name in enumerate(names):
        columns[name] = Column.number(np.where(said == code, 0.8, 0.2 / max(classes - 1, 1)).astype(np.float32))
    return World(name="leads", table=Table(columns), outside=0.05, scores=names).evaluation()


def blobs(
    n: int = 3_000, *, seed: int = 0, inside: float = 0.6, scores: bool = True, classes: int = 2
) -> tuple[Evaluation, np.ndarray]:
    """Rows in five dimensions; those of class c0 far along the first one are wrong more often."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 5))
    label = rng.integers(0, classes, n)
    member = (label == 0) & (rng.random(n) < 0.2)
    x[member, 0] += 4.0
    wrong = rng.random(n) < np.where(member, inside, 0.05)
    evaluation = evaluation_of(x, label, (label + wrong) % classes, scores=scores, classes=classes)
    return evaluation, member


def along(weights: list[float], name: str, *, cut: float = 2.5) -> Slice:
    rule = Direction(column="embedding:x", space=Space(), weights=np.array(weights), cut=cut)
    return Slice(rule=rule, proposed_by=(name,))


RIGHT = along([1, 0, 0, 0, 0], "right")
NEARLY = along([1, 0.1, 0, 0, 0], "nearly")
NOISE = [along(np.eye(5)[at].tolist(), f"noise {at}", cut=1.0) for at in range(1, 5)]


def found_in(evaluation: Evaluation, slices: list[Slice], most: int = 5) -> list[Lead]:
    return leads(slices, evaluation.explore(), evaluation.part(CONFIRM), most=most)


@pytest.mark.parametrize("scores", [True, False])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_planted_slice_leads_and_its_members_come_first(scores: bool, classes: int) -> None:
    evaluation, member = blobs(scores=scores, classes=classes)
    held = evaluation.part(CONFIRM)
    found = found_in(evaluation, [*NOISE, NEARLY, RIGHT])
    first = found[0]
    assert first.holds and first.slice in (RIGHT, NEARLY) and first.cell is None
    assert set(first.proposed_by) == {"right", "nearly"}
    assert first.evidence > 50
    assert first.membership.shape == (len(held),)
    assert member[held.rows][np.argsort(-first.membership)[:50]].mean() > 0.9


def test_alike_slices_come_once_and_what_does_not_hold_comes_last() -> None:
    evaluation, _ = blobs()
    found = found_in(evaluation, [NEARLY, *NOISE, RIGHT])
    assert [lead.cell is not None for lead in found[1:3]] == [True, True]
    assert all(lead.slice in NOISE and not lead.holds for lead in found[3:])
    assert sum(lead.slice in (RIGHT, NEARLY) for lead in found) == 1
    assert len(found) == 5


def test_cells_are_the_wrong_ones_with_most_rows() -> None:
    evaluation, _ = blobs(classes=3)
    held = evaluation.part(CONFIRM)
    cells = [lead for lead in found_in(evaluation, []) if lead.cell is not None]
    assert cells[0].cell is not None and (cells[0].cell.given, cells[0].cell.said) == ("c0", "c1")
    view = held.view()
    top = np.argsort(-cells[0].membership, kind="stable")[: int(((view.labels == 0) & (view.predicted == 1)).sum())]
    assert (view.labels[top] == 0).all() and (view.predicted[top] == 1).all()
    assert len(cells) == 2 and len(found_in(evaluation, [], most=1)) == 1


def test_without_slices_the_cells_are_left_and_without_errors_nothing() -> None:
    evaluation, _ = blobs()
    assert [lead.slice for lead in found_in(evaluation, [])] == [None, None]
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 400)
    perfect = evaluation_of(rng.standard_normal((400, 5)), label, label)
    assert found_in(perfect, [RIGHT]) == []


def test_one_class_that_errs_and_one_that_does_not() -> None:
    rng = np.random.default_rng(0)
    n = 1_000
    label = np.arange(n) % 2
    x = rng.standard_normal((n, 5))
    wrong = (label == 0) & (x[:, 0] > 0.8)
    evaluation = evaluation_of(x, label, (label + wrong) % 2)
    held = evaluation.part(CONFIRM)
    first = found_in(evaluation, [RIGHT, *NOISE])[0]
    assert first.slice is RIGHT
    assert np.isneginf(first.membership[held.view().labels == 1]).all()
    assert not np.isnan(first.membership).any()


def test_rows_without_an_embedding_are_members_of_nothing() -> None:
    evaluation, _ = blobs()
    table = evaluation.dataset.table
    values = table.column("embedding:x").values.copy()
    values[::3] = np.nan
    table = table.with_columns({"embedding:x": Column(kind="embedding", values=values)})
    evaluation = replace(evaluation, dataset=replace(evaluation.dataset, table=table))
    held = evaluation.part(CONFIRM)
    first = found_in(evaluation, [RIGHT])[0]
    assert np.isneginf(first.membership[np.isin(held.rows, np.arange(0, len(evaluation), 3))]).all()
    nowhere = replace(evaluation, dataset=replace(evaluation.dataset, table=table.with_columns(
        {"embedding:x": Column(kind="embedding", values=np.full_like(values, np.nan))}
    )))  # fmt: skip
    assert all(lead.slice is None for lead in found_in(nowhere, [RIGHT, *NOISE]))


def test_a_null_model_rarely_has_a_lead_that_holds() -> None:
    held = 0
    for seed in range(12):
        evaluation, _ = blobs(800, seed=seed, inside=0.05)
        held += any(lead.holds for lead in found_in(evaluation, [RIGHT, *NOISE]))
    assert held <= 4


def test_the_score_of_a_predicate_is_membership() -> None:
    evaluation, _ = blobs(300)
    assert score_of(RIGHT.rule, evaluation).dtype == np.float64
    scores = score_of(RIGHT.rule, evaluation)
    assert ((scores >= 2.5) == RIGHT.rule.members(evaluation)).all()


def of_class(rule: Slice, level: str) -> Slice:
    return replace(rule, rule=replace(rule.rule, given=Where.parse(f'label == "{level}"')))


def test_a_slice_of_one_class_reaches_the_other_where_its_score_tells_errors_there() -> None:
    rng = np.random.default_rng(0)
    n = 3_000
    x, label = rng.standard_normal((n, 5)), rng.integers(0, 2, n)
    member = rng.random(n) < 0.15
    x[member, 0] += 4.0
    wrong = rng.random(n) < np.where(member, 0.6, 0.05)
    both = evaluation_of(x, label, (label + wrong) % 2)
    held = both.part(CONFIRM)
    first = found_in(both, [of_class(RIGHT, "c0"), *NOISE])[0]
    order = np.argsort(-first.membership, kind="stable")
    assert first.reaches == (1,)
    inside = int((member[held.rows] & (held.view().labels == 0)).sum())
    assert (held.view().labels[order[: inside // 2]] == 0).all()
    assert member[held.rows][order[: 3 * inside // 2]].mean() > 0.9
    evaluation, _ = blobs()
    alone = found_in(evaluation, [of_class(RIGHT, "c0"), *NOISE])[0]
    assert alone.reaches == () and np.isneginf(alone.membership[evaluation.part(CONFIRM).view().labels == 1]).all()


def test_where_the_score_explains_the_doubt_the_order_is_the_score() -> None:
    """A model whose doubt is a smooth function of what the score reads: doubt is no second witness."""
    rng = np.random.default_rng(0)
    n = 2_000
    x, label = rng.standard_normal((n, 5)), np.zeros(n, dtype=int)
    label[::2] = 1
    margin = 1.5 - x[:, 0] + rng.normal(0, 0.3, n)
    given = 1 / (1 + np.exp(-2 * margin))
    said = np.where(given > 0.5, label, 1 - label)
    evaluation = evaluation_of(x, label, said)
    scores = np.stack([np.where(label == code, given, 1 - given) for code in (0, 1)], axis=1)
    evaluation = replace(evaluation, scores=scores.astype(np.float32))
    held = evaluation.part(CONFIRM)
    found = found_in(evaluation, [RIGHT])
    assert found[0].cell is not None, "a slice along the border says no more than the confusion, which reads better"
    first = found[1]
    for code in (0, 1):
        rows = held.view().labels == code
        by_lead, by_score = np.argsort(-first.membership[rows]), np.argsort(-x[held.rows][rows, 0])
        assert (by_lead == by_score).all()


def doubted(inside: float) -> Evaluation:
    """Rows that the model doubts along the second dimension, wrong there in 4 % as anywhere; far along the first one,
    where it doubts nothing, they are wrong in `inside`."""
    rng = np.random.default_rng(0)
    n = 4_000
    x, label = rng.standard_normal((n, 5)), rng.integers(0, 2, n)
    doubtful = x[:, 1] > 1.2
    wrong = rng.random(n) < np.where(x[:, 0] > 2, inside, 0.04)
    sure = np.where(doubtful, rng.uniform(0.5, 0.7, n), rng.uniform(0.7, 1.0, n))
    given = np.where(wrong, rng.uniform(0.1, 0.5, n), sure)
    evaluation = evaluation_of(x, label, np.where(wrong, 1 - label, label))
    scores = np.stack([np.where(label == code, given, 1 - given) for code in (0, 1)], axis=1)
    return replace(evaluation, scores=scores.astype(np.float32))


DOUBTFUL = along([0, 1, 0, 0, 0], "doubtful", cut=1.2)


def test_what_tells_wrong_from_right_comes_before_what_tells_doubt() -> None:
    found = found_in(doubted(inside=0.7), [DOUBTFUL, RIGHT])
    by_evidence = sorted((lead for lead in found if lead.slice is not None), key=lambda lead: -lead.evidence)
    assert by_evidence[0].slice is DOUBTFUL
    assert found[0].slice is RIGHT


def test_a_confusion_comes_before_a_slice_that_tells_doubt_alone() -> None:
    found = found_in(doubted(inside=0.04), [DOUBTFUL])
    assert [lead.slice for lead in found] == [None, DOUBTFUL, None]
    assert found[1].holds


def test_what_alike_slices_say_on_average_is_the_membership() -> None:
    evaluation, _ = blobs()
    held = evaluation.part(CONFIRM)
    sides = [along([1, 0.3, 0, 0, 0], "left"), along([1, -0.3, 0, 0, 0], "right")]
    own = held.view().labels == 0
    alone, both = (found_in(evaluation, slices)[0].membership[own] for slices in (sides[:1], sides))
    values = held.column("embedding:x").values[own][:, :2]
    tilt = [abs(np.corrcoef(membership, values[:, 1])[0, 1]) for membership in (alone, both)]
    assert tilt[0] > 0.15
    assert tilt[1] < 0.5 * tilt[0]
