from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from errata.core.evaluation import CONFIRM
from errata.core.method import Job
from errata.methods.discover.slice_lattice import SliceLattice
from errata.ops.regions.bins import bin_columns
from errata.ops.regions.lattice import top_slices
from errata.testing import planted


def job() -> Job:
    return Job(rng=np.random.default_rng(0))


def test_the_planted_rule_comes_first_with_its_cut() -> None:
    world = planted("literal", share=0.1, inside=0.6, outside=0.05, seed=1)
    evaluation = world.evaluation()
    found = SliceLattice().run(evaluation.explore(), job())
    members = found[0].rule.members(evaluation.part(CONFIRM))
    truth = world.truth[0].members[evaluation.part(CONFIRM).rows]
    assert (members & truth).sum() / (members | truth).sum() > 0.95


def test_regions_are_whole_where_sliceline_gives_pieces() -> None:
    world = planted("range", share=0.1, seed=3)
    evaluation = world.evaluation()
    truth = world.truth[0].members

    def overlaps(method: SliceLattice) -> list[float]:
        members = [proposal.rule.members(world.table) for proposal in method.run(evaluation.explore(), job())]
        return [float((one & truth).sum() / (one | truth).sum()) for one in members]

    whole, pieces = overlaps(SliceLattice()), overlaps(SliceLattice(faithful=True, slices=5))
    assert whole[0] > 0.9
    assert sum(value > 0.02 for value in whole) == 1
    assert max(pieces) < 0.7
    assert sum(value > 0.02 for value in pieces) == 5


def test_faithful_slices_are_the_exact_best_of_the_bins() -> None:
    world = planted("three-way", n=5_000, share=0.1, seed=2, missing=0.1)
    explore = world.evaluation().explore()
    found = SliceLattice(faithful=True, slices=7, alpha=0.9, min_support=20).run(explore, job())
    loss = explore.view().loss
    binned = bin_columns(explore, explore.features, excess=loss - loss.mean(), least=1)
    codes = np.stack([axis.coarse[code] for axis, code in zip(binned.axes, binned.codes, strict=True)])
    best = top_slices(codes, loss, k=7, alpha=0.9, min_support=20, levels=3)
    assert len(found) == len(best)
    for proposal, one in zip(found, best, strict=True):
        inside = np.logical_and.reduce([codes[column] == code for column, code in one.tests])
        assert proposal.rule.members(explore).tolist() == inside.tolist()


def test_worse_classes_are_proposed_by_themselves() -> None:
    world = planted("literal", n=6_000, share=0.05, inside=0.1, outside=0.1, classes=4, seed=2)
    evaluation = world.evaluation()
    rng = np.random.default_rng(0)
    loss = (rng.random(len(world)) < np.where(evaluation.stratum == 2, 0.4, 0.1)).astype(float)
    found = SliceLattice().run(replace(evaluation, loss=loss).explore(), job())
    assert [proposal.rule.text for proposal in found if proposal.rule.columns == ("label",)] == ['label = "c"']
    hidden = replace(evaluation, loss=loss, features=world.features).explore()
    assert not any("label" in proposal.rule.columns for proposal in SliceLattice().run(hidden, job()))


@pytest.mark.parametrize("kind", ["regression", "literal"])
def test_no_class_rule_without_classes_or_errors(kind: str) -> None:
    world = planted(kind, n=3_000, inside=0.1, outside=0.1, seed=2)  # type: ignore[arg-type]
    evaluation = world.evaluation()
    loss = np.zeros(len(world)) if kind == "literal" else evaluation.loss
    found = SliceLattice().run(replace(evaluation, loss=loss).explore(), job())
    assert all(proposal.rule.columns != ("label",) for proposal in found)


def test_the_user_hears_of_columns_that_are_only_screened() -> None:
    heard: list[str] = []
    evaluation = planted("literal", n=1_000, seed=1).evaluation().explore()
    told = Job(rng=np.random.default_rng(0), progress=lambda done, words: heard.append(words))
    SliceLattice().run(evaluation, told)
    assert heard == ["searching 7 columns and 21 pairs of them"]
