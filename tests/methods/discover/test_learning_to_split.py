"""Learning to Split as a method: planted failures become slices, and silence stays silence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from errata.core.embedded import Learned, embedded_from_json
from errata.core.errors import UsageError
from errata.core.evaluation import CONFIRM, Evaluation
from errata.core.evidence import SplitLog, Statistic
from errata.core.method import Job
from errata.methods.discover.learning_to_split import LearningToSplit
from errata.ops.nets.verdict import Verdict

pytest.importorskip("torch", reason="needs torch")

NAME = "embedding:x"


def job(seed: int = 0) -> Job:
    return Job(rng=np.random.default_rng(seed))


@pytest.fixture(name="corner", scope="module")
def corner_(embedded: Callable[..., Evaluation]) -> Callable[..., tuple[Evaluation, np.ndarray]]:
    def corner(seed: int = 0, n: int = 1_800) -> tuple[Evaluation, np.ndarray]:
        """Rows in one corner of the first two dimensions are wrong in 60 of 100 cases, elsewhere in 5."""
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((n, 8))
        hard = (x[:, 0] > 0.4) & (x[:, 1] > 0.4)
        return embedded(x, rng.integers(0, 2, n), rng.random(n) < np.where(hard, 0.6, 0.05)), hard

    return corner


def labelled(seed: int = 0, n: int = 600, flipped: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three clear classes; a share of the labels is moved to one of the others."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 3, n)
    x = rng.standard_normal((n, 6)) + 3.0 * np.eye(6)[true]
    moved = rng.random(n) < flipped
    return x, np.where(moved, (true + rng.integers(1, 3, n)) % 3, true), moved


def test_the_models_own_failures_become_a_rule_that_holds_on_rows_never_seen(corner) -> None:
    evaluation, hard = corner()
    slices = LearningToSplit(predictor="none").run(evaluation.explore(), job())
    held_out = evaluation.part(CONFIRM)
    members, truth = slices[0].rule.members(held_out), hard[held_out.rows]
    assert (members & truth).sum() / (members | truth).sum() > 0.5
    assert slices[0].evidence[0].value > 0.4


def test_a_rule_can_be_saved_and_read(corner) -> None:
    evaluation, _ = corner()
    rule = LearningToSplit(predictor="none").run(evaluation.explore(), job())[0].rule
    assert isinstance(rule, Learned)
    again = embedded_from_json(rule.to_json(), rule.arrays())
    assert again == rule
    assert np.array_equal(again.members(evaluation), rule.members(evaluation))


def test_errors_at_random_give_nothing(embedded) -> None:
    rng = np.random.default_rng(0)
    evaluation = embedded(rng.standard_normal((1_200, 8)), rng.integers(0, 2, 1_200), rng.random(1_200) < 0.15)
    assert not LearningToSplit(predictor="none").run(evaluation.explore(), job())


def test_wrong_labels_are_a_split_of_the_data(embedded) -> None:
    x, given, moved = labelled(flipped=0.2, n=800)
    evaluation = embedded(x, given, moved)
    mine = job()
    slices = LearningToSplit(frozen=False, loops=4).run(evaluation.explore(), mine)
    assert len(slices) == 1
    held_out = evaluation.part(CONFIRM)
    members, truth = slices[0].rule.members(held_out), moved[held_out.rows]
    assert (members & truth).sum() > 0.8 * truth.sum()
    assert truth[members].mean() > 0.6
    assert mine.said[0].startswith(f"{NAME}: Systematic split")
    suspects = next(shown for shown in slices[0].evidence if getattr(shown, "name", "") == "suspected labels")
    assert 0.08 < suspects.value < 0.22
    (log,) = mine.shown
    assert isinstance(log, SplitLog)
    assert log.systematic
    assert log.words in mine.said[0]
    assert [loop.loop for loop in log.loops] == list(range(4))
    each = np.bincount(np.asarray(evaluation.explore().view().labels))
    for loop in log.loops:
        assert loop.gap == pytest.approx(loop.validation - loop.test)
        assert len(loop.train_labels) == len(loop.test_labels) == 3
        assert np.array_equal(np.add(loop.train_labels, loop.test_labels), each)
    kept = log.loops[log.best]
    assert sum(kept.train_labels) + sum(kept.test_labels) == log.rows == len(evaluation.explore())
    said = [one.name for one in slices[0].evidence if isinstance(one, Statistic)]
    assert said[0] == "gap"
    assert not any("loop" in name for name in said)


def test_clean_data_have_no_systematic_split(embedded) -> None:
    x, given, _ = labelled()
    rng = np.random.default_rng(1)
    mine = job()
    evaluation = embedded(x, given, rng.random(len(x)) < 0.1)
    assert not LearningToSplit(frozen=False, loops=3).run(evaluation.explore(), mine)
    assert "No systematic split" in mine.said[0]
    (log,) = mine.shown
    assert isinstance(log, SplitLog)
    assert not log.systematic
    assert log.words in mine.said[0]
    assert log.loops == ()  # labels follow the predictor's doubts: plain before any loop


def test_the_same_seed_gives_the_same_rules(corner) -> None:
    evaluation, _ = corner(n=1_000)
    first, again = (LearningToSplit(predictor="none").run(evaluation.explore(), job(3)) for _ in range(2))
    assert first
    assert [one.rule.text for one in first] == [one.rule.text for one in again]


def test_awkward_embeddings_are_survived(embedded) -> None:
    rng = np.random.default_rng(0)
    n = 160
    wide = rng.standard_normal((n, 300))
    wide[:, :40] = 1.0
    wide[::7] = np.nan
    label, wrong = rng.integers(0, 2, n), rng.random(n) < 0.3
    method = LearningToSplit(loops=1)
    for proposal in method.run(embedded(wide, label, wrong).explore(), job()):
        assert np.isfinite(proposal.rule.score(embedded(wide, label, wrong))[1])
    constant = np.ones((n, 4))
    method.run(embedded(constant, label, wrong).explore(), job())
    lonely = np.concatenate([np.zeros(n - 1, dtype=int), [1]])
    method.run(embedded(rng.standard_normal((n, 4)), lonely, wrong).explore(), job())
    assert method.run(embedded(constant[:20], label[:20], wrong[:20]).explore(), job()) == []
    assert LearningToSplit(predictor="none").run(embedded(constant, label, np.zeros(n, bool)).explore(), job()) == []


def test_misspelt_options_are_refused(corner) -> None:
    with pytest.raises(UsageError, match="linear"):
        LearningToSplit(predictor="linaer")
    with pytest.raises(UsageError, match=r"learning_to_split\.ratio"):
        LearningToSplit(ratio=1.5)
    with pytest.raises(UsageError, match="There is no embedding `embedding:y`"):
        LearningToSplit(embedding="embedding:y").run(corner(n=200)[0].explore(), job())


def test_a_gap_beyond_chance_that_is_no_split_says_why() -> None:
    told = Verdict(
        systematic=False, gap=4.0, null_mean=0.2, null_limit=0.9, p_value=0.0165, share=0.04, floor=0.002,
        null="labels that follow the predictor's own doubts",
    )  # fmt: skip
    assert told.words.endswith("p = 0.0165; that is beyond chance, but less than the least gap that counts.")
    assert replace(told, gap=0.5).words.endswith("p = 0.0165.")
