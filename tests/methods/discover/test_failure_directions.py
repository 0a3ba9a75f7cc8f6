"""Failure directions: planted ones are found, silence where there are none, and nothing crashes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from errata.core.errors import UsageError
from errata.core.evaluation import CONFIRM, Evaluation
from errata.core.evidence import Examples, Extremes, Statistic
from errata.core.method import Job
from errata.methods.discover.failure_directions import FailureDirections, caption_scores

NAME = "embedding:x"


def job(seed: int = 0) -> Job:
    return Job(rng=np.random.default_rng(seed))


@pytest.fixture(name="planted", scope="module")
def planted_(embedded: Callable[..., Evaluation]) -> Callable[..., tuple[Evaluation, np.ndarray]]:
    def planted(seed: int = 0, n: int = 4_000, d: int = 32) -> tuple[Evaluation, np.ndarray]:
        """In class c1 rows far along the first dimension are wrong in 60 of 100 cases, elsewhere in 5."""
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((n, d)) * rng.uniform(0.5, 3.0, d)
        label = rng.integers(0, 3, n)
        hard = (label == 1) & (x[:, 0] > 1.0 * x[:, 0].std())
        return embedded(x, label, rng.random(n) < np.where(hard, 0.6, 0.05)), hard

    return planted


def test_a_planted_direction_is_found_in_its_class_alone(planted) -> None:
    evaluation, hard = planted()
    found = FailureDirections().directions_of(evaluation.explore(), job())
    assert {one.label for one in found} == {1}
    first = found[0]
    assert first.rule.text.endswith('label = "c1"')
    assert abs(first.rule.weights[0]) > 0.8 * np.linalg.norm(first.rule.weights)
    assert first.score > 0.65
    held_out = evaluation.part(CONFIRM)
    members, truth = first.rule.members(held_out), hard[held_out.rows]
    assert (members & truth).sum() / (members | truth).sum() > 0.5
    score, shown = first.evidence
    assert isinstance(score, Statistic)
    assert score.value == first.score
    assert isinstance(shown, Examples)
    rows = {one: row for row, one in enumerate(evaluation.dataset.ids())}
    assert hard[[rows[one] for one in shown.wrong]].mean() > 0.8
    assert not hard[[rows[one] for one in shown.right]].any()


def test_ends_are_not_worked_out_where_nobody_looks(planted, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluation, _ = planted(n=2_000)
    shown, looked = job(), FailureDirections().run(evaluation.explore(), job())
    monkeypatch.setattr("errata.methods.discover.failure_directions.extremes_of", None)  # may not be called
    hidden = replace(shown, showing=False)
    assert [one.id for one in FailureDirections().run(evaluation.explore(), hidden)] == [one.id for one in looked]
    assert hidden.shown == []


def test_the_run_shows_both_ends_of_every_direction(planted) -> None:
    evaluation, hard = planted()
    mine = job()
    slices = FailureDirections().run(evaluation.explore(), mine)
    assert len(mine.shown) == len(slices) > 0
    first = mine.shown[0]
    assert isinstance(first, Extremes)
    assert (first.label, first.direction, first.column) == ("c1", 1, NAME)
    rows = {one: row for row, one in enumerate(evaluation.dataset.ids())}
    assert hard[[rows[one] for one in first.hardest]].mean() > 0.8
    assert not hard[[rows[one] for one in first.easiest]].any()
    assert first.hardest_wrong > first.easiest_wrong


def test_the_score_is_a_calibrated_probability_of_being_wrong(embedded) -> None:
    rng = np.random.default_rng(0)
    x, label = rng.standard_normal((12_000, 16)), rng.integers(0, 2, 12_000)
    rate = np.where(label == 1, 1 / (1 + np.exp(2.0 - 1.5 * x[:, 0])), 0.05)
    evaluation = embedded(x, label, rng.random(12_000) < rate)
    rule = FailureDirections().directions_of(evaluation.explore(), job())[0].rule
    held_out = evaluation.part(CONFIRM)
    logit = rule.score(held_out)
    inside = np.isfinite(logit)
    chance = 1 / (1 + np.exp(-logit[inside]))
    wrong = held_out.view().loss[inside]
    for low, high in ((0.0, 0.1), (0.1, 0.3), (0.3, 1.0)):
        rows = (chance >= low) & (chance < high)
        assert rows.sum() > 50
        assert wrong[rows].mean() == pytest.approx(chance[rows].mean(), abs=0.1)


def test_a_second_direction_is_found_where_the_first_is_projected_out(embedded) -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((6_000, 16))
    label = np.zeros(6_000, dtype=int)
    # Beyond both ends of a dimension there is no single direction; of the other dimension one end fails.
    rate = np.where(x[:, 0] > 1.5, 0.7, np.where(np.abs(x[:, 1]) > 1.8, 0.5, 0.03))
    rate = np.where(x[:, 2] < -1.8, 0.6, rate)
    label[:10] = 1
    found = FailureDirections(directions=4).directions_of(embedded(x, label, rng.random(6_000) < rate).explore(), job())
    assert found
    basis = np.array([one.rule.weights / np.linalg.norm(one.rule.weights) for one in found])
    assert np.allclose(basis @ basis.T, np.eye(len(found)), atol=1e-6)


def test_random_errors_seldom_have_a_direction(embedded) -> None:
    found = classes = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x, label = rng.standard_normal((1_500, 24)), rng.integers(0, 3, 1_500)
        found += len(FailureDirections(chance=3.0).run(embedded(x, label, rng.random(1_500) < 0.15).explore(), job()))
        classes += 3
    assert found <= 0.1 * classes


def test_groups_stay_whole_in_the_folds(embedded) -> None:
    """Errors that follow the group alone, which the embedding tells apart: no direction without looking at groups."""
    z = {}
    for known in (True, False):
        rng = np.random.default_rng(5)
        group = np.repeat(np.arange(60), 40)
        x = rng.standard_normal((60, 120))[group] + 0.3 * rng.standard_normal((2_400, 120))
        wrong = rng.random(2_400) < np.where(np.arange(60) % 4 == 0, 0.5, 0.05)[group]
        label = np.zeros(2_400, dtype=int)
        label[:: 2_400 // 7] = 1
        evaluation = embedded(x, label, wrong, group=group if known else None)
        found = FailureDirections(chance=0.0).directions_of(evaluation, job())
        z[known] = max((one.z for one in found if one.label == 0), default=0.0)
    assert z[False] > 10.0
    assert z[True] < 0.5 * z[False]


@pytest.mark.parametrize("faithful", [False, True])
def test_poor_data_gives_nothing_or_less(broken: Evaluation, faithful: bool) -> None:
    method = FailureDirections(faithful=faithful)
    for proposal in method.run(broken.explore(), job()):
        assert not proposal.rule.members(broken)[np.isnan(broken.column(NAME).values).any(axis=1)].any()
        assert np.isfinite(proposal.rule.cut)
    assert method.run(broken.take(np.zeros(0, dtype=int)), job()) == []


def test_the_same_seed_gives_the_same_slices(planted) -> None:
    evaluation = planted(n=1_500)[0].explore()
    first, again = (FailureDirections().run(evaluation, job(4)) for _ in range(2))
    assert first == again
    assert first[0].id == again[0].id


def test_as_published_every_class_with_errors_has_one_half_space(planted) -> None:
    evaluation = planted()[0].explore()
    found = FailureDirections(faithful=True).directions_of(evaluation, job())
    assert [one.label for one in found] == [0, 1, 2]
    assert all(one.rule.cut == 0.0 for one in found)


def test_captions_are_scored_as_differences_without_the_mean(planted) -> None:
    evaluation, _ = planted()
    rule = FailureDirections().directions_of(evaluation.explore(), job())[0].rule
    reference = np.full(32, 5.0)
    along, across = np.eye(32)[0], np.eye(32)[7]
    scores = caption_scores(rule, np.array([reference + along, reference - along, reference + across]), reference)
    assert scores[0] > abs(scores[2])
    assert scores[1] == pytest.approx(-scores[0])
    # With the mean of the images taken off a difference, opposite captions are no longer opposite.
    published = caption_scores(rule, np.array([reference + along, reference - along]), reference, faithful=True)
    assert published[1] != pytest.approx(-published[0], rel=1e-3)
    with pytest.raises(UsageError, match="3 dimensions"):
        caption_scores(rule, np.zeros((2, 3)), np.zeros(3))


def test_an_unknown_embedding_is_named(planted) -> None:
    with pytest.raises(UsageError, match="There is no embedding `clip`"):
        FailureDirections(embedding="clip").run(planted(n=200)[0], job())
