"""The method proposes one list of explore rows, and says how it was made."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from errata.confirm import confirm
from errata.core.columns import Column, Table
from errata.core.evaluation import Evaluation
from errata.core.ids import Ids
from errata.core.method import Job
from errata.core.slices import MISLABELLED
from errata.methods.discover.label_errors import LabelErrors
from errata.testing import World


def job(seed: int = 0) -> Job:
    return Job(rng=np.random.default_rng(seed))


def digits(share: float) -> tuple[Evaluation, np.ndarray]:
    x, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    label = np.where(rng.random(len(y)) < share, (y + rng.integers(1, 10, len(y))) % 10, y)
    levels = tuple(range(10))
    table = Table({
        "label": Column(kind="category", values=label.astype(np.int32), levels=levels),
        "prediction": Column(kind="category", values=y.astype(np.int32), levels=levels),
        "embedding:raw": Column(kind="embedding", values=x.astype(np.float32)),
    })  # fmt: skip
    return World(name="digits", table=table, outside=0.1).evaluation(), label != y


def test_explore_rows_are_listed_and_the_run_lists_all() -> None:
    evaluation, wrong = digits(0.05)
    explore = evaluation.explore()
    (proposal,) = LabelErrors().run(explore, job())
    assert proposal.claim == MISLABELLED
    assert isinstance(proposal.rule, Ids)
    members = proposal.rule.members(evaluation)
    assert not members[evaluation.fold != 0].any()
    assert wrong[members].sum() > 0.4 * wrong[explore.rows].sum()
    (finding,) = confirm([proposal], evaluation).findings
    assert finding.status == "suspected"
    assert finding.rule.members(evaluation)[evaluation.fold == 1].any()


def test_the_same_seed_gives_the_same_list() -> None:
    explore = digits(0.05)[0].explore()
    first, again = (LabelErrors().run(explore, job(3)) for _ in range(2))
    assert first == again
    assert first[0].rule.how == again[0].rule.how


def test_confident_learning_as_published_lies_between_the_two_lists() -> None:
    evaluation, wrong = digits(0.1)
    ours, wide, published = (
        method.run(evaluation.explore(), job())[0].rule.members(evaluation)
        for method in (LabelErrors(), LabelErrors(wide=True), LabelErrors(faithful=True))
    )
    assert wrong[ours].mean() > 0.9
    assert wrong[published].mean() > wrong[wide].mean()
    assert wrong[wide].sum() > wrong[published].sum()


def test_clean_labels_and_nothing_to_judge_by_are_no_list() -> None:
    evaluation, _ = digits(0.05)
    assert LabelErrors().run(digits(0.0)[0].explore(), job()) == []
    assert LabelErrors().run(evaluation.take(np.zeros(0, dtype=int)), job()) == []
    assert LabelErrors().run(evaluation.take(np.flatnonzero(evaluation.labels == 3)), job()) == []
