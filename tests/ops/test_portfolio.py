from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from errata.core.columns import Column, Table
from errata.core.embedded import Direction, Space
from errata.core.evaluation import CONFIRM, Evaluation
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
