"""The rows that a proposal is judged on, and with which of them its members are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from errata.core.evaluation import CONFIRM, EXPLORE, Evaluation
from errata.core.finding import Family
from errata.core.folds import FEW_GROUPS
from errata.stats.clusters import Cells
from errata.stats.exact import Strata
from errata.stats.intervals import LossStrata

__all__ = ["Ground", "Grouping", "Sample", "grounds"]

Bool = NDArray[np.bool_]
Grouping = Literal["rows", "few groups", "groups"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Counted rows of one fold, `n` of them.

    rows      (n,) int64, their indices among all rows
    loss      (n,) float64; 0 or 1 where `binary`
    classes   (n,) int64, class or fifth of the target; 0 where classes are not kept apart
    stratum   (n,) int64, within which the test compares: class, or class x group where groups are few
    cells     rows gathered by group and stratum where groups are the unit, else None
    group     (n,) int32 or None
    known     some of the groups lie among explore rows too, so that no rule on whole groups can be confirmed
    """

    rows: NDArray[np.int64]
    loss: NDArray[np.float64]
    classes: NDArray[np.int64]
    stratum: NDArray[np.int64]
    binary: bool
    cells: Cells | None
    group: NDArray[np.int32] | None
    known: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def strata(self) -> int:
        """One more than the highest stratum."""
        return int(self.stratum.max(initial=-1)) + 1

    @cached_property
    def totals(self) -> Totals:
        """Rows, loss and squared loss of each stratum."""
        return self._add(np.ones(len(self), dtype=bool))

    def counts(self, member: Bool) -> Strata:
        """Members against all rows by stratum, for losses that are right or wrong."""
        own, every = self._add(member), self.totals
        return Strata(*(np.rint(values).astype(np.int64) for values in (every.rows, every.loss, own.rows, own.loss)))

    def loss_counts(self, member: Bool) -> LossStrata:
        """Members against all rows by stratum, for any loss."""
        own, every = self._add(member), self.totals
        return LossStrata(
            rows=every.rows.astype(np.int64), loss=every.loss, squares=every.squares,
            members=own.rows.astype(np.int64), members_loss=own.loss, members_squares=own.squares,
        )  # fmt: skip

    def support(self, member: Bool) -> int:
        """Members in the unit of the proof: groups with members where groups are the unit, else rows."""
        groups = self.member_groups(member)
        return int(member.sum()) if self.cells is None or groups is None else groups

    def member_groups(self, member: Bool) -> int | None:
        """In how many groups members lie; None without groups."""
        return None if self.group is None else len(np.unique(self.group[member]))

    def without(self, gone: Bool) -> Sample:
        """The sample less some of its rows."""
        keep = ~gone
        return replace(
            self, rows=self.rows[keep], loss=self.loss[keep], classes=self.classes[keep], stratum=self.stratum[keep],
            cells=None if self.cells is None else self.cells.only(keep, self.loss),
            group=None if self.group is None else self.group[keep],
        )  # fmt: skip

    def _add(self, member: Bool) -> Totals:
        chosen = np.flatnonzero(member)
        stratum, loss = self.stratum[chosen], self.loss[chosen]
        rows = np.bincount(stratum, minlength=self.strata).astype(np.float64)
        total = np.bincount(stratum, weights=loss, minlength=self.strata).astype(np.float64)
        squares = total if self.binary else np.bincount(stratum, weights=loss * loss, minlength=self.strata)
        return Totals(rows=rows, loss=total, squares=np.asarray(squares, dtype=np.float64))


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Rows, sum of loss and of squared loss per stratum, each `(c,) float64`."""

    rows: NDArray[np.float64]
    loss: NDArray[np.float64]
    squares: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Ground:
    """What the proposals of one family are compared on: both folds, and words for the comparison."""

    explore: Sample
    confirm: Sample
    strata: str
    baseline: str
    grouping: Grouping
    groups: int
    """Groups among all rows of the run; 0 without groups."""

    @property
    def unit(self) -> str:
        return "groups" if self.grouping == "groups" else "rows"


def grounds(evaluation: Evaluation) -> Mapping[Family, Ground]:
    """The grounds of the families `errors` (within each class) and `class rates` (across classes)."""
    usable = evaluation.counted & (evaluation.stratum >= 0)
    explore, confirm = (np.flatnonzero((evaluation.fold == fold) & usable) for fold in (EXPLORE, CONFIRM))
    grouping = _grouping(evaluation, explore, confirm)
    groups = 0 if evaluation.group is None else len(np.unique(evaluation.group[evaluation.fold >= 0]))
    kind = "class" if evaluation.task == "classification" else "fifth of the target"

    def ground(within: bool, strata: str, baseline: str) -> Ground:
        return Ground(
            explore=_sample(evaluation, explore, within=within, grouping=grouping),
            confirm=_sample(evaluation, confirm, within=within, grouping=grouping, earlier=explore),
            strata=strata, baseline=baseline, grouping=grouping, groups=groups,
        )  # fmt: skip

    comparable = f"the rest of the same {kind}" + (" and group" if grouping == "few groups" else "")
    others = "the other classes" if kind == "class" else "other values of the target"
    return {
        "errors": ground(True, kind if grouping == "rows" else f"{kind} x group", comparable),
        "class rates": ground(False, "none" if grouping == "rows" else "group", others),
    }


def _grouping(evaluation: Evaluation, explore: NDArray[np.int64], confirm: NDArray[np.int64]) -> Grouping:
    group = evaluation.group
    if group is None:
        return "rows"
    if len(np.unique(group[evaluation.fold >= 0])) >= FEW_GROUPS:
        return "groups"
    # A metric that leaves rows out may leave groups out; they were dealt whole all the same.
    whole = len(np.intersect1d(group[explore], group[confirm])) == 0
    return "groups" if whole and len(np.unique(group)) >= FEW_GROUPS else "few groups"


def _sample(
    evaluation: Evaluation, rows: NDArray[np.int64], *, within: bool, grouping: Grouping,
    earlier: NDArray[np.int64] | None = None,
) -> Sample:  # fmt: skip
    loss = np.asarray(evaluation.loss[rows], dtype=np.float64)
    classes = evaluation.stratum[rows].astype(np.int64) if within else np.zeros(len(rows), dtype=np.int64)
    group = None if evaluation.group is None else np.asarray(evaluation.group[rows], dtype=np.int32)
    stratum, cells = classes, None
    if group is not None and grouping == "few groups":
        _, dense = np.unique(group, return_inverse=True)
        stratum = classes * (int(dense.max(initial=0)) + 1) + dense
    elif group is not None and grouping == "groups":
        cells = Cells.of(loss, group=group, stratum=classes)
    known = False
    if evaluation.group is not None and earlier is not None:
        known = len(np.intersect1d(evaluation.group[earlier], evaluation.group[rows])) > 0
    return Sample(
        rows=rows, loss=loss, classes=classes, stratum=stratum, binary=evaluation.binary_loss, cells=cells,
        group=group, known=known,
    )  # fmt: skip
