from __future__ import annotations

from dataclasses import replace

import numpy as np

from errata.core.columns import Column
from errata.core.evaluation import Evaluation
from errata.core.method import Job
from errata.methods.discover.confusion_cells import ConfusionCells
from errata.testing import planted


def job() -> Job:
    return Job(rng=np.random.default_rng(0))


def confused(*, classes: tuple[int, ...] = (2,), inside: float = 0.4, seed: int = 0) -> Evaluation:
    """Five classes with 10 % errors; rows of some classes older than 70 are taken for class 4."""
    world = planted("literal", n=10_000, share=0.05, inside=0.1, outside=0.1, classes=5, seed=seed)
    evaluation = world.evaluation()
    rng = np.random.default_rng(seed)
    age = np.asarray(world.table.column("age").values)
    taken = np.isin(evaluation.labels, classes) & (age > 70) & (rng.random(len(world)) < inside)
    predicted = np.where(taken, 4, evaluation.predicted).astype(np.int32)
    label = world.table.column("label")
    table = world.table.with_columns({"prediction": Column(kind="category", values=predicted, levels=label.levels)})
    dataset = replace(evaluation.dataset, table=table)
    loss = (predicted != evaluation.labels).astype(float)
    return replace(evaluation, dataset=dataset, predicted=predicted, loss=loss)


def test_a_confusion_becomes_a_rule_over_inputs_and_label() -> None:
    found = ConfusionCells().run(confused().explore(), job())
    assert found[0].rule.text == 'label = "c" and age > 70'
    assert all("prediction" not in proposal.rule.columns for proposal in found)


def test_the_same_region_in_two_classes_is_one_proposal() -> None:
    found = ConfusionCells().run(confused(classes=(0, 2)).explore(), job())
    assert found[0].rule.text == 'label in ("a", "c") and age > 70'
    assert sum("age" in proposal.rule.columns for proposal in found) == 1


def test_a_label_that_rules_may_not_read_is_left_out() -> None:
    evaluation = confused(inside=0.9)
    hidden = replace(evaluation, features=tuple(name for name in evaluation.features if name != "label"))
    assert ConfusionCells().run(hidden.explore(), job())[0].rule.text == "age > 70"


def test_random_confusions_give_nothing() -> None:
    found = [len(ConfusionCells().run(confused(inside=0.0, seed=seed).explore(), job())) for seed in range(4)]
    assert sum(found) <= 4


def test_small_cells_are_not_looked_at() -> None:
    heard: list[str] = []
    told = Job(rng=np.random.default_rng(0), progress=lambda done, words: heard.append(words))
    ConfusionCells(cells=3).run(confused().explore(), told)
    assert len(heard) == 3
    assert heard[0] == "c taken for e"
    heard.clear()
    assert ConfusionCells(min_cell=100_000).run(confused().explore(), told) == []
    assert heard == []
