"""Error clusters: a failing blob is found by either way, once, and nothing crashes."""

from __future__ import annotations

import numpy as np
import pytest

from errata.confirm import confirm
from errata.core.errors import UsageError
from errata.core.evaluation import CONFIRM
from errata.core.method import Job
from errata.methods.discover.error_clusters import ErrorClusters


def job(seed: int = 0) -> Job:
    return Job(rng=np.random.default_rng(seed))


@pytest.mark.parametrize("how", ["both", "kmeans", "density"])
def test_the_failing_blob_is_the_first_slice(blobs, how: str) -> None:
    evaluation, hard = blobs()
    found = ErrorClusters(how=how).run(evaluation.explore(), job())
    held_out = evaluation.part(CONFIRM)
    members, truth = found[0].rule.members(held_out), hard[held_out.rows]
    assert (members & truth).sum() / (members | truth).sum() > 0.8
    assert found[0].rule.given.text == 'label = "c0"'
    assert confirm(found[:1], evaluation).findings[0].confirmed


def test_alike_balls_are_proposed_once(blobs) -> None:
    evaluation, hard = blobs(seed=4)
    explore = evaluation.explore()
    found = [one.rule.members(explore) for one in ErrorClusters(slices=30).run(explore, job())]
    for at, one in enumerate(found):
        assert all((one & other).sum() < 0.6 * (one | other).sum() for other in found[:at])
    truth = hard[explore.rows]
    assert sum((one & truth).sum() > 0.5 * truth.sum() for one in found) == 1


def test_members_err_more_than_their_class(blobs) -> None:
    evaluation, _ = blobs(seed=5, inside=0.3, outside=0.1, classes=3)
    explore = evaluation.explore()
    view = explore.view()
    rates = np.bincount(view.stratum, weights=view.loss) / np.bincount(view.stratum)
    found = ErrorClusters().run(explore, job())
    assert found
    for one in found:
        members = one.rule.members(explore)
        assert members.sum() >= 10
        assert view.loss[members].mean() > rates[view.stratum[members]].mean()


def test_nothing_crashes(broken) -> None:
    for one in ErrorClusters().run(broken.explore(), job()):
        held_out = broken.part(CONFIRM)
        assert one.rule.members(held_out).shape == (len(held_out),)
        assert np.isfinite(one.rule.cut)


def test_no_errors_give_no_slices(blobs) -> None:
    evaluation, _ = blobs(inside=0.0, outside=0.0)
    assert ErrorClusters().run(evaluation.explore(), job()) == []


def test_the_same_seed_gives_the_same_slices(blobs) -> None:
    evaluation, _ = blobs()
    first, again = (ErrorClusters().run(evaluation.explore(), job(5)) for _ in range(2))
    assert [one.rule.text for one in first] == [one.rule.text for one in again]


def test_wrong_options_are_named() -> None:
    with pytest.raises(UsageError, match=r"error_clusters\.how"):
        ErrorClusters(how="dense")
    with pytest.raises(UsageError, match=r"error_clusters\.least"):
        ErrorClusters(least=1)
