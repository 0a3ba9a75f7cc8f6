"""Subgroups: each level of the columns that came with the data, held against comparable rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from errata.core.columns import Bool, Column
from errata.core.evaluation import Evaluation
from errata.core.method import Job, check_range, method
from errata.core.rules import Where
from errata.core.slices import Slice, claim_for
from errata.ops.conjunctions import of_classes
from errata.ops.regions.contrast import Contrast
from errata.ops.regions.literals import Levels, where_of

__all__ = ["Subgroups"]

MOST_LEVELS = 50
"""A column of more levels names things, not groups that people would speak of."""


@method(needs={"label", "metadata"}, cite="Barocas et al., AIES 2021")
@dataclass(frozen=True, kw_only=True)
class Subgroups:
    """Groups that a column of the data's own names, and in which the model errs more than in comparable rows.

    Disaggregated evaluation: every level of every category and boolean column that came with the data (no measured
    attribute, no n-gram, no label) is held against the other rows of the same classes, over all classes and, where that
    says more, within one class. Beside texts, images and embeddings, where hundreds of measured columns crowd out a
    plain column such as a dialect or a camera. Only the few that exceed what is expected are proposed, so that hardly a
    test is spent; sets of levels and pairs of columns are the business of `error_tree` and `slice_lattice`.

    slices  most slices, those with the largest gain in likelihood first; 5 (ours)
    least   fewest explore rows of a level; 20 (ours)
    chance  standard deviations by which the errors of a level must exceed what its classes expect; 1.5 (ours)

    Columns of more than 50 levels are left out.

    Reference: S. Barocas, A. Guo, E. Kamar, J. Krones, M. R. Morris, J. W. Vaughan, W. D. Wadsworth, H. Wallach,
    "Designing disaggregated evaluations of AI systems: choices, considerations, and tradeoffs", AIES 2021.
    """

    slices: int = 5
    least: int = 20
    chance: float = 1.5

    def __post_init__(self) -> None:
        check_range(self, {"slices": (1, math.inf), "least": (2, math.inf), "chance": (0.0, 20.0)})

    def run(self, evaluation: Evaluation, job: Job) -> list[Slice]:
        """The proposals, the one with the largest gain first."""
        found: list[_Group] = []
        for name in evaluation.metadata:
            job.progress(0.0, f"comparing the levels of {name}")
            found += self._groups(evaluation, name)
        found.sort(key=lambda group: -round(group.gain, 9))
        rules = [_rule(group, evaluation) for group in found[: self.slices]]
        claim = claim_for(evaluation.metric)
        return [Slice(rule=rule, claim=claim, proposed_by=("subgroups",)) for rule in rules]

    def _groups(self, evaluation: Evaluation, name: str) -> list[_Group]:
        """The levels of one column that err enough more, each over all classes or in the class where that says more."""
        column, view = evaluation.column(name), evaluation.view()
        levels = max(len(column.levels), 2)
        if levels > MOST_LEVELS:
            return []
        codes = np.asarray(column.values, dtype=np.int64)
        least = self.chance**2 / 2  # twice the gain of a group is nearly the square of its standard deviations
        best: dict[int, _Group] = {}
        for rows, code, price in _grounds(evaluation):
            kept = rows & (codes >= 0)
            if not kept.any():
                continue
            contrast = Contrast.of(view.loss[rows], view.stratum[rows], binary=evaluation.binary_loss)
            sums = contrast.tally(np.where(codes[rows] >= 0, codes[rows], levels), levels + 1)
            gains = contrast.gain(sums)[:levels] - price
            size = sums[0][:levels]
            enough = (gains > 0) & (gains >= least) & (size >= self.least) & (size < len(contrast))
            for level in np.flatnonzero(enough).tolist():
                group = _Group(column=column, name=name, level=level, label=code, gain=float(gains[level]))
                if level not in best or group.gain > best[level].gain:
                    best[level] = group
        return list(best.values())


@dataclass(frozen=True, kw_only=True, eq=False)
class _Group:
    """A level of a column, in all classes or in one (`label`, a code), and what it gains in likelihood."""

    column: Column
    name: str
    level: int
    label: int | None
    gain: float


def _grounds(evaluation: Evaluation) -> Iterator[tuple[Bool, int | None, float]]:
    """The rows among which levels are compared: all, then those of each class, which costs the choice of the class."""
    stratum = evaluation.view().stratum
    known = stratum >= 0
    yield known, None, 0.0
    classes = np.unique(stratum[known]).tolist()
    if evaluation.task != "classification" or len(classes) < 2 or of_classes(evaluation, classes[:1]) is None:
        return
    for code in classes:
        yield stratum == code, code, math.log(len(classes))


def _rule(group: _Group, evaluation: Evaluation) -> Where:
    level = Levels(column=group.name, codes=frozenset((group.level,)), of=max(len(group.column.levels), 2))
    where = where_of((level,), {group.name: group.column})
    only = None if group.label is None else of_classes(evaluation, [group.label])
    return where if only is None else only & where
