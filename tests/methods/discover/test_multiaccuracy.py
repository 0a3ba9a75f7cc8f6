"""Multiaccuracy: audits against scikit-learn's ridge, planted directions, and silence."""

from __future__ import annotations

import numpy as np
import pytest

from errata.core.columns import Column, Table
from errata.core.errors import UsageError
from errata.core.evaluation import CONFIRM, Evaluation
from errata.core.method import Job
from errata.methods.discover import multiaccuracy
from errata.methods.discover.multiaccuracy import Multiaccuracy
from errata.ops.vectors.ground import EmbeddingGround, standard_space
from errata.testing import World

NAME = "embedding:x"


def job(seed: int = 0) -> Job:
    return Job(rng=np.random.default_rng(seed))


def test_one_direction_over_all_classes_and_one_of_a_class_are_found(embedded) -> None:
    rng = np.random.default_rng(0)
    x, label = rng.standard_normal((8_000, 32)), rng.integers(0, 4, 8_000)
    everywhere, own = x[:, 1] > 1.8, (x[:, 0] > 0.8) & (label == 1)
    evaluation = embedded(x, label, rng.random(8_000) < np.where(everywhere | own, 0.6, 0.05))
    found = Multiaccuracy().run(evaluation.explore(), job())
    held_out = evaluation.part(CONFIRM)
    loss = held_out.view().loss
    assert {proposal.rule.given is None for proposal in found} == {True, False}
    for proposal in found:
        members = proposal.rule.members(held_out)
        assert loss[members].mean() > 2 * loss[~members].mean()
    mine = next(proposal.rule for proposal in found if proposal.rule.given is not None)
    assert mine.given.text == 'label = "c1"'
    assert mine.weights[0] > 0.7 * np.linalg.norm(mine.weights)


def test_leave_one_out_is_what_leaving_each_row_out_gives(embedded) -> None:
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(1)
    x = rng.standard_normal((40, 5))
    evaluation = embedded(x, np.arange(40) % 2, rng.random(40) < 0.4)
    ground = EmbeddingGround.of(evaluation, NAME)
    read, residual = standard_space(ground.values)(ground.values), ground.loss - ground.expected
    audit = multiaccuracy._Audit.of(read, np.arange(40), None)
    answer = audit.ask(residual)
    unit = audit.squares.sum() / 5
    by_hand = {}
    for penalty in multiaccuracy.PENALTIES:
        unseen = np.empty(40)
        for row in range(40):
            others = np.arange(40) != row
            # The mean of x and r is that of all rows, as it is in the closed form up to a row's own weight.
            model = Ridge(alpha=penalty * unit).fit(read[others], residual[others])
            unseen[row] = model.predict(read[[row]])[0]
        by_hand[penalty] = unseen
    errors = {penalty: ((residual - unseen) ** 2).sum() for penalty, unseen in by_hand.items()}
    best = by_hand[min(errors, key=errors.get)]
    assert answer.unseen == pytest.approx(best, abs=1e-4)


def test_random_errors_are_not_audited_away(embedded) -> None:
    found = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, label = rng.standard_normal((800, 16)), rng.integers(0, 3, 800)
        found += bool(Multiaccuracy().run(embedded(x, label, rng.random(800) < 0.2).explore(), job()))
    assert found <= 2


def test_regression_and_losses_are_audited_too() -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((3_000, 8))
    y = rng.standard_normal(3_000)
    gap = rng.standard_normal(3_000) * np.where(x[:, 2] > 1.0, 3.0, 0.5)
    table = Table({
        "label": Column.number(y), "prediction": Column.number(y + gap),
        NAME: Column(kind="embedding", values=x.astype(np.float32)),
    })  # fmt: skip
    evaluation = World(name="numbers", table=table, outside=0.5, regression=True).evaluation()
    (first, *_) = Multiaccuracy().run(evaluation.explore(), job())
    members = first.rule.members(evaluation)
    assert (x[members, 2] > 0.8).mean() > 0.7


def test_poor_data_gives_nothing_or_less(broken: Evaluation) -> None:
    for proposal in Multiaccuracy(chance=0.0).run(broken.explore(), job()):
        assert not proposal.rule.members(broken)[np.isnan(broken.column(NAME).values).any(axis=1)].any()
        assert np.isfinite(proposal.rule.cut)


def test_an_unknown_embedding_is_named(blobs) -> None:
    with pytest.raises(UsageError, match="There is no embedding `clip`"):
        Multiaccuracy(embedding="clip").run(blobs(n=200)[0], job())
