"""What of an evaluation judges labels, and which rows are judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from errata.core.columns import Column, Table
from errata.core.errors import UsageError
from errata.core.evaluation import SEALED, Evaluation
from errata.ops.labels.suspects import judged_rows, label_opinion, suspects, usable_embeddings
from errata.testing import World


def labelled(n: int = 600, *, share: float = 0.08, seed: int = 0) -> tuple[Evaluation, np.ndarray]:
    """Three classes that an embedding tells apart, a share of whose labels is flipped."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    label = np.where(rng.random(n) < share, (truth + rng.integers(1, 3, n)) % 3, truth)
    x = rng.standard_normal((n, 8)) + 4.0 * np.eye(8)[truth]
    levels = ("a", "b", "c")
    table = Table({
        "label": Column(kind="category", values=label.astype(np.int32), levels=levels),
        "prediction": Column(kind="category", values=truth.astype(np.int32), levels=levels),
        "embedding:x": Column(kind="embedding", values=x.astype(np.float32)),
        "embedding:penultimate": Column(kind="embedding", values=np.eye(3, dtype=np.float32)[label]),
    })  # fmt: skip
    evaluation = World(name="labels", table=table, outside=0.1).evaluation(sealed=0.2)
    return replace(evaluation, outputs=(*evaluation.outputs, "embedding:penultimate")), label != truth


def test_wrong_labels_are_listed_with_what_they_should_be() -> None:
    evaluation, wrong = labelled()
    found = suspects(evaluation, {"seed": 1}, alpha=0.05)
    assert found is not None
    assert wrong[found.rows].mean() > 0.9
    judged = evaluation.fold != SEALED
    assert wrong[found.rows].sum() > 0.5 * (wrong & judged).sum()
    assert np.array_equal(np.sort(np.flatnonzero(found.rule.members(evaluation))), np.sort(found.rows))
    right = wrong[found.rows]
    assert np.array_equal(found.suggested[right], evaluation.predicted[found.rows][right])
    assert np.all(np.diff(found.rule.doubt) <= 0)
    again = suspects(evaluation, found.rule.how, alpha=0.05)
    assert again.rule == found.rule
    assert again.estimate == found.estimate


def test_sealed_rows_copies_and_rows_without_embedding_are_left_alone() -> None:
    evaluation, _ = labelled()
    values = evaluation.dataset.table.column("embedding:x").values.copy()
    values[4] = np.nan
    table = evaluation.dataset.table.with_columns({"embedding:x": Column(kind="embedding", values=values)})
    counted = evaluation.counted.copy()
    counted[9] = False
    evaluation = replace(evaluation, dataset=replace(evaluation.dataset, table=table), counted=counted)
    rows = judged_rows(evaluation, ["embedding:x"])
    assert not np.isin([4, 9], rows).any()
    assert not (evaluation.fold[rows] == SEALED).any()
    assert len(judged_rows(evaluation.explore(), ["embedding:x"])) < len(evaluation.explore()) + 1


def test_the_models_own_embedding_is_asked_only_where_it_saw_no_label() -> None:
    evaluation, _ = labelled()
    assert usable_embeddings(evaluation) == ("embedding:x",)
    assert usable_embeddings(replace(evaluation, predictions="in-sample")) == ("embedding:x",)
    both = usable_embeddings(replace(evaluation, predictions="held-out"))
    assert both == ("embedding:x", "embedding:penultimate")
    with pytest.raises(UsageError, match="There is no embedding `clip`"):
        usable_embeddings(evaluation, ["clip"])


def test_scores_are_heard_only_where_the_model_saw_no_label() -> None:
    evaluation, _ = labelled()
    scores = np.eye(3, dtype=np.float32)[evaluation.predicted]
    for predictions, heard in (("in-sample", False), ("unknown", False), ("held-out", True), ("out-of-fold", True)):
        opinion = label_opinion(replace(evaluation, scores=scores, predictions=predictions))
        assert (opinion.judge.model is not None) == heard


def test_too_little_to_judge_by_gives_nothing() -> None:
    evaluation, _ = labelled(n=60)
    assert suspects(evaluation.take(np.arange(6)), {}, alpha=0.05) is None
    one_class = evaluation.take(np.flatnonzero(evaluation.labels == 1))
    assert suspects(one_class, {}, alpha=0.05) is None
    bare = replace(evaluation, dataset=replace(evaluation.dataset, table=evaluation.dataset.table.without(
        ["embedding:x", "embedding:penultimate"])))  # fmt: skip
    assert suspects(bare, {}, alpha=0.05) is None
