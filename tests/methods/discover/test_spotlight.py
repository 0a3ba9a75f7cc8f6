"""Spotlight: the gradient is right, its weight stays above the barrier, and failing blobs are lit one after another."""

from __future__ import annotations

import numpy as np
import pytest

from errata.confirm import confirm
from errata.core.errors import UsageError
from errata.core.evaluation import CONFIRM
from errata.core.method import Job
from errata.methods.discover.spotlight import Spotlight


def job(seed: int = 0) -> Job:
    return Job(rng=np.random.default_rng(seed))


@pytest.mark.parametrize("scores", [True, False])
@pytest.mark.parametrize("per_dimension", [False, True])
def test_the_failing_blob_is_lit_first(blobs, per_dimension: bool, scores: bool) -> None:
    evaluation, hard = blobs(scores=scores)
    found = Spotlight(per_dimension=per_dimension).run(evaluation.explore(), job())
    held_out = evaluation.part(CONFIRM)
    truth = hard[held_out.rows]
    assert truth[np.argsort(-found[0].rule.score(held_out))[:10]].all()
    assert confirm(found[:1], evaluation).findings[0].confirmed


def test_the_second_spotlight_leaves_the_first_place(embedded) -> None:
    rng = np.random.default_rng(0)
    blob = rng.integers(0, 8, 3_000)
    x = 5.0 * rng.standard_normal((8, 10))[blob] + rng.standard_normal((3_000, 10))
    wrong = rng.random(3_000) < np.where(blob == 0, 0.7, np.where(blob == 2, 0.6, 0.03))
    evaluation = embedded(x, blob % 2, wrong)
    explore = evaluation.explore()
    found = Spotlight(slices=2).run(explore, job())
    lit = {int(np.bincount(blob[explore.rows][one.rule.members(explore)]).argmax()) for one in found}
    assert lit == {0, 2}


def test_the_published_slice_is_the_asked_share_of_the_rows(blobs) -> None:
    evaluation, _ = blobs()
    explore = evaluation.explore()
    found = Spotlight(size=0.04, faithful=True).run(explore, job())
    assert len(found) == 5
    for one in found:
        assert one.rule.given is None
        assert abs(one.rule.members(explore).mean() - 0.04) < 0.002


def test_nothing_crashes(broken) -> None:
    for method in (Spotlight(steps=40), Spotlight(steps=40, faithful=True)):
        for one in method.run(broken.explore(), job()):
            held_out = broken.part(CONFIRM)
            assert one.rule.members(held_out).shape == (len(held_out),)
            assert np.isfinite(one.rule.cut)


def test_no_errors_give_no_slices(blobs) -> None:
    evaluation, _ = blobs(inside=0.0, outside=0.0)
    assert Spotlight().run(evaluation.explore(), job()) == []


def test_wrong_options_are_named() -> None:
    with pytest.raises(UsageError, match=r"spotlight\.size"):
        Spotlight(size=0.9)
