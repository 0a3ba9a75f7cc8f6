"""Which rows are compared with which."""

from typing import Any

import numpy as np
import pytest

from errata.core.evaluation import CONFIRM
from errata.core.folds import FEW_GROUPS
from errata.proof.sample import grounds
from errata.testing import null


@pytest.mark.parametrize(("groups", "grouping"), [(0, "rows"), (23, "few groups"), (24, "groups")])
def test_24_groups_are_the_unit(groups: int, grouping: str) -> None:
    from dataclasses import replace

    ev = null("iid", n=1_000).evaluation()
    group: Any = None if groups == 0 else (np.arange(1_000) % groups).astype(np.int32)
    ground = grounds(replace(ev, group=group))["errors"]
    assert FEW_GROUPS == 24
    assert (ground.grouping, ground.groups) == (grouping, groups)
    assert ground.strata == ("class" if groups == 0 else "class x group")
    assert (ground.confirm.cells is not None) == (grouping == "groups")
    assert ground.unit == ("groups" if grouping == "groups" else "rows")
    assert len(np.unique(ground.confirm.stratum)) == (46 if grouping == "few groups" else 2)


def test_rows_of_a_fold_without_copies_and_strata() -> None:
    ev = null("copies", n=1_000).evaluation()
    stratum = ev.stratum.copy()
    stratum[:50] = -1
    from dataclasses import replace

    ground = grounds(replace(ev, stratum=stratum))["errors"]
    expected = np.flatnonzero((ev.fold == CONFIRM) & ev.counted & (stratum >= 0))
    assert np.array_equal(ground.confirm.rows, expected)
    assert len(expected) < (ev.fold == CONFIRM).sum()


def test_counts_without_rows_are_counts_of_what_is_left() -> None:
    sample = grounds(null("iid", n=1_000).evaluation())["errors"].confirm
    rng = np.random.default_rng(0)
    member, gone = rng.random(len(sample)) < 0.3, rng.random(len(sample)) < 0.4
    left = sample.without(gone)
    counts = left.counts(member[~gone])
    assert counts.rows.sum() == (~gone).sum()
    assert counts.members.sum() == (member & ~gone).sum()
    assert counts.members_wrong.sum() == sample.loss[member & ~gone].sum()
    losses = left.loss_counts(member[~gone])
    assert losses.squares.tolist() == losses.loss.tolist() == counts.wrong.tolist()


def test_across_classes_there_is_one_stratum() -> None:
    kinds = grounds(null("iid", n=500).evaluation())
    assert kinds["class rates"].confirm.strata == 1
    assert kinds["errors"].confirm.strata == 2
    assert kinds["class rates"].strata == "none"
