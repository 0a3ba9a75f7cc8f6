"""Domino: planted blobs are found with and without the prediction, and nothing crashes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from errata.confirm import confirm
from errata.core.errors import UsageError
from errata.core.evaluation import CONFIRM
from errata.core.method import Job
from errata.methods.discover.domino import Domino

STARTS = ("cells", "kmeans", "confusion", "error")


def job(seed: int = 0) -> Job:
    return Job(rng=np.random.default_rng(seed))


def overlap(rule, rows, truth) -> float:
    members = rule.members(rows)
    return float((members & truth).sum() / (members | truth).sum())


@pytest.mark.parametrize("scores", [True, False])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_failing_blob_is_found_and_confirmed_without_the_prediction(blobs, classes: int, scores: bool) -> None:
    evaluation, hard = blobs(classes=classes, scores=scores)
    found = Domino().run(evaluation.explore(), job())
    held_out = evaluation.part(CONFIRM)
    truth = hard[held_out.rows]
    shown = found[0].rule.score(held_out)
    assert truth[np.argsort(-shown)[:10]].all()
    reads = "errata:scores" if scores else "errata:predicted"
    assert reads in found[0].rule.columns
    assert not {one for one in found[0].independent.columns if one.startswith("errata:")}
    # Errors and right rows of the blob are components of their own: without the prediction they share its rows.
    assert overlap(found[0].independent, held_out, truth) > 0.6
    tested = replace(found[0], rule=found[0].independent, independent=None)
    assert confirm([tested], evaluation).findings[0].confirmed


@pytest.mark.parametrize("start", STARTS)
def test_every_start_finds_it(blobs, start: str) -> None:
    evaluation, hard = blobs(seed=1)
    found = Domino(start=start).run(evaluation.explore(), job())
    held_out = evaluation.part(CONFIRM)
    truth = hard[held_out.rows]
    assert max(truth[np.argsort(-one.rule.score(held_out))[:10]].mean() for one in found) == 1.0


def test_the_published_way_proposes_also_what_errs_no_more(blobs) -> None:
    evaluation, _ = blobs(seed=2, inside=0.05)
    ours = Domino(slices=25).run(evaluation.explore(), job())
    published = Domino(slices=25, start="kmeans", faithful=True).run(evaluation.explore(), job())
    assert len(published) == 25
    assert len(ours) < 25
    explore = evaluation.explore()
    rate = explore.view().loss.mean()
    inside = [explore.view().loss[one.rule.members(explore)].mean() for one in ours if one.rule.members(explore).any()]
    assert min(inside) > 0.5 * rate


def test_full_covariances_and_few_axes_work(blobs) -> None:
    evaluation, hard = blobs(seed=3, d=6)
    found = Domino(covariance="full", components=12, pca=4).run(evaluation.explore(), job())
    held_out = evaluation.part(CONFIRM)
    assert found[0].rule.means.shape == (12, 4)
    assert overlap(found[0].independent, held_out, hard[held_out.rows]) > 0.7


def test_a_label_that_rules_may_not_read_is_not_read(blobs) -> None:
    evaluation, _ = blobs()
    hidden = replace(evaluation, features=())
    for one in Domino().run(hidden.explore(), job()):
        assert "label" not in {*one.rule.columns, *(one.independent.columns if one.independent else ())}


def test_the_same_seed_gives_the_same_slices(blobs) -> None:
    evaluation, _ = blobs()
    first, again = (Domino().run(evaluation.explore(), job(5)) for _ in range(2))
    assert [one.rule.text for one in first] == [one.rule.text for one in again]
    assert [one.independent.text for one in first if one.independent] == [
        one.independent.text for one in again if one.independent
    ]


def test_nothing_crashes(broken) -> None:
    for method in (Domino(), Domino(covariance="full"), Domino(start="error", faithful=True)):
        for one in method.run(broken.explore(), job()):
            held_out = broken.part(CONFIRM)
            assert one.rule.members(held_out).shape == (len(held_out),)
            assert np.isfinite(one.rule.cut)


def test_no_errors_give_no_slices(blobs) -> None:
    evaluation, _ = blobs(inside=0.0, outside=0.0)
    assert Domino().run(evaluation.explore(), job()) == []


def test_wrong_options_are_named(blobs) -> None:
    with pytest.raises(UsageError, match=r"domino\.start"):
        Domino(start="kmean")
    with pytest.raises(UsageError, match=r"domino\.covariance"):
        Domino(covariance="spherical")
    with pytest.raises(UsageError, match=r"domino\.components"):
        Domino(components=0)
    evaluation, _ = blobs()
    with pytest.raises(UsageError, match="embedding:y"):
        Domino(embedding="embedding:y").run(evaluation.explore(), job())
