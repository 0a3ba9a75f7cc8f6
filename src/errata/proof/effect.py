"""The size of a difference and the test of it: section 4 of docs/proof.md."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from errata.proof.sample import Sample
from errata.stats.clusters import Cells, group_sums, jackknife_error, student_interval
from errata.stats.exact import Strata, exact_test, smallest_p
from errata.stats.intervals import (
    Difference,
    Interval,
    LossStrata,
    difference_interval,
    loss_difference,
    loss_interval,
    stratified_difference,
)  # fmt: skip
from errata.stats.permutation import (
    choice_test,
    permutation_test,
    sign_flip_test,
    smallest_choice_p,
    smallest_flip_p,
    smallest_permutation_p,
)  # fmt: skip

__all__ = ["GroupContrast", "Measurement", "Test", "group_contrast", "measure", "run_test"]

Bool = NDArray[np.bool_]
Floats = NDArray[np.float64]

GROUPS_WHERE_MOST_ARE_WRONG = 12
"""Where more than half of the rows are wrong, permuting membership over groups needs so many groups."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Inside against outside, and what an interval of it rests on.

    error  delete-one-group jackknife error where groups are the unit, else None
    """

    difference: Difference
    strata: Strata | LossStrata
    error: float | None
    groups: int

    def interval(self, level: float) -> Interval:
        """The two-sided interval of the difference at a level."""
        if self.error is not None:
            whole = student_interval(self.difference.difference, self.error, groups=self.groups, level=level)
            if isinstance(self.strata, Strata):
                return Interval(max(-1.0, whole.lower), min(1.0, whole.upper), level)
            return whole
        if isinstance(self.strata, Strata):
            return difference_interval(self.strata, level)
        return loss_interval(self.strata, level)

    def level_above(self, least: float) -> float:
        """The smallest one-sided level at which the lower limit exceeds `least`; 1 where the difference does not."""
        if not self.difference.difference > least:
            return 1.0
        low, high = math.log(1e-15), math.log(0.5)
        for _ in range(50):
            middle = 0.5 * (low + high)
            exceeds = self.interval(1.0 - 2.0 * math.exp(middle)).lower > least
            low, high = (low, middle) if exceeds else (middle, high)
        return math.exp(high)


@dataclass(frozen=True, kw_only=True)
class Test:
    """A test's p-value, and the smallest one that its margins allow; `why` says why there is none."""

    name: str | None
    p_value: float | None
    smallest: float = 1.0
    why: str = ""
    caveat: str = ""


def measure(sample: Sample, member: Bool, *, error: bool = True) -> Measurement:
    """Inside against outside for `(n,) bool` members of a sample; without jackknife error where it is not needed."""
    strata: Strata | LossStrata
    if sample.binary:
        strata = sample.counts(member)
        difference = stratified_difference(strata)
    else:
        strata = sample.loss_counts(member)
        difference = loss_difference(strata)
    cells, jackknife = sample.cells, None
    if cells is not None and error:
        jackknife = jackknife_error(cells, cells.count(member), cells.add(member, sample.loss))
    return Measurement(
        difference=difference, strata=strata, error=jackknife, groups=0 if cells is None else cells.groups
    )


def run_test(sample: Sample, member: Bool, *, seed: int) -> Test:
    """The one-sided test that members err more than the rest within each stratum: exact, or by permutation.

    No p-value where no stratum holds members and a rest, or no group tells them apart.
    """
    if sample.cells is not None:
        return _test_groups(sample, sample.cells, member, seed=seed)
    strata = sample.counts(member) if sample.binary else sample.loss_counts(member)
    if not strata.has_rest.any():
        return Test(name=None, p_value=None, why=_NO_REST)
    if isinstance(strata, Strata):
        name = "exact test" if int(strata.has_rest.sum()) > 1 else "Fisher's exact test"
        return Test(name=name, p_value=exact_test(strata), smallest=smallest_p(strata))
    return Test(
        name="permutation test",
        p_value=permutation_test(sample.loss, member, sample.stratum, seed=seed),
        smallest=smallest_permutation_p(member, sample.stratum),
    )


_NO_REST = "no row outside is comparable with its members"


def _test_groups(sample: Sample, cells: Cells, member: Bool, *, seed: int) -> Test:
    """Groups are the unit: sign flips where membership varies within groups, else whole groups permuted."""
    contrast = group_contrast(cells, member, sample.loss)
    if contrast is None:
        return Test(name=None, p_value=None, why=_NO_REST)
    if contrast.chosen is not None:
        return _test_whole_groups(sample, contrast.sums, contrast.chosen, seed=seed)
    telling = int(np.count_nonzero(contrast.sums))
    if telling == 0:
        return Test(name=None, p_value=None, why="no group holds comparable rows on both sides that differ in error")
    constant = contrast.constant
    caveat = f"{constant} groups lie wholly inside and say nothing in the test" if constant else ""
    return Test(
        name="sign flips of groups", p_value=sign_flip_test(contrast.sums, seed=seed),
        smallest=smallest_flip_p(telling), caveat=caveat,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class GroupContrast:
    """What each group says of a rule.

    sums      (g,) where membership varies within groups: members' loss above that of their cell; else each group's
              loss above the mean of its classes, over the groups that can be compared
    chosen    (g,) the member groups where the rule is constant within every group, else None
    constant  groups that lie wholly inside, which a rule that varies elsewhere does not use
    """

    sums: Floats
    chosen: Bool | None
    constant: int


def group_contrast(cells: Cells, member: Bool, loss: Floats) -> GroupContrast | None:
    """What groups say of `(n,) bool` members with `(n,)` losses; None where nothing can be compared."""
    members, members_loss = cells.count(member), cells.add(member, loss)
    comparable = _comparable(cells, members)
    if not comparable.any():
        return None
    inside = np.bincount(cells.group[comparable], weights=members[comparable], minlength=cells.groups)
    whole = np.bincount(cells.group[comparable], weights=cells.rows[comparable], minlength=cells.groups)
    if ((inside > 0) & (inside < whole)).any():
        constant = int(np.count_nonzero((inside == whole) & (whole > 0)))
        return GroupContrast(sums=group_sums(cells, members, members_loss), chosen=None, constant=constant)
    strata = int(cells.stratum.max(initial=0)) + 1
    rows = np.bincount(cells.stratum, weights=cells.rows, minlength=strata)
    total = np.bincount(cells.stratum, weights=cells.loss, minlength=strata)
    excess = cells.loss - cells.rows * (total / np.maximum(rows, 1.0))[cells.stratum]
    sums = np.bincount(cells.group[comparable], weights=excess[comparable], minlength=cells.groups)
    present = whole > 0
    return GroupContrast(sums=np.asarray(sums, dtype=np.float64)[present], chosen=(inside > 0)[present], constant=0)


def _test_whole_groups(sample: Sample, sums: Floats, chosen: Bool, *, seed: int) -> Test:
    """Membership permuted over whole groups; statistic: sum over member groups of the loss above the class mean."""
    groups = len(sums)
    if sample.known:
        return Test(name=None, p_value=None, why="it selects whole groups, and some of them lie among explore rows too")
    if sample.binary and sample.loss.mean() > 0.5 and groups < GROUPS_WHERE_MOST_ARE_WRONG:
        return Test(name=None, p_value=None, why=f"most rows are wrong and only {groups} groups can be compared")
    return Test(
        name="whole groups permuted", p_value=choice_test(sums, chosen, seed=seed),
        smallest=smallest_choice_p(groups, int(chosen.sum())),
    )  # fmt: skip


def _comparable(cells: Cells, members: Floats) -> Bool:
    """Cells whose stratum holds members and a rest."""
    strata = int(cells.stratum.max(initial=0)) + 1
    inside = np.bincount(cells.stratum, weights=members, minlength=strata)
    rows = np.bincount(cells.stratum, weights=cells.rows, minlength=strata)
    return np.asarray(((inside > 0) & (inside < rows))[cells.stratum])
