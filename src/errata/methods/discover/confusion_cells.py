"""Confusion cells: where in the columns one class is taken for another."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from errata.core.columns import Bool
from errata.core.evaluation import Evaluation
from errata.core.method import Job, check_range, method
from errata.core.rules import Where
from errata.core.slices import Slice, claim_for
from errata.ops.conjunctions import of_classes, search

__all__ = ["ConfusionCells"]


@dataclass(frozen=True, kw_only=True)
class _Cell:
    """Rows of one class that are predicted as another."""

    label: int
    predicted: int


@dataclass(frozen=True, kw_only=True, eq=False)
class _Region:
    """Where a cell is frequent: a rule that does not read the label, and its members (n,) in all classes."""

    label: int
    where: Where
    gain: float
    members: Bool


# Regions of two classes that share so much (rows in both over rows in either) are one.
_SAME = 0.6


@method(needs={"label", "classification"})
@dataclass(frozen=True, kw_only=True)
class ConfusionCells:
    """Regions in which the rows of one class are taken for one other class more often than elsewhere in that class.

    A cell of the confusion matrix is no rule: it reads the prediction. So for each large enough cell the rows of its
    class are searched for conjunctions of columns where this confusion is frequent, and "the class, and the
    conjunction" is proposed. That finds what a search over all errors drowns: errors of one kind in one class.
    Nearly the same region in several classes is proposed once, for these classes.

    cells         cells looked at, those with most rows first; 20 (ours)
    min_cell      fewest rows in a cell; 10, the least support that the proof asks for
    per_cell      most regions of one cell; 3 (ours)
    max_literals  columns per rule besides the label; 3 (ours, as in `slice_lattice`)
    """

    cells: int = 20
    min_cell: int = 10
    per_cell: int = 3
    max_literals: int = 3

    def __post_init__(self) -> None:
        counts = dict.fromkeys(("cells", "min_cell", "per_cell"), (1, math.inf))
        check_range(self, {**counts, "max_literals": (1, 4)})

    def run(self, evaluation: Evaluation, job: Job) -> list[Slice]:
        """The proposals, those with the largest gain first."""
        found: list[_Region] = []
        cells = self._largest(evaluation)
        for done, cell in enumerate(cells):
            words = f"{evaluation.classes[cell.label]} taken for {evaluation.classes[cell.predicted]}"
            job.progress(done / len(cells), words)
            found += self._regions(evaluation, cell)
        found.sort(key=lambda region: -region.gain)
        rules = dict.fromkeys(_rule(shared, evaluation) for shared in _shared(found))
        claim = claim_for(evaluation.metric)
        return [Slice(rule=rule, claim=claim, proposed_by=("confusion_cells",)) for rule in rules]

    def _largest(self, evaluation: Evaluation) -> list[_Cell]:
        view = evaluation.view()
        k = len(evaluation.classes)
        counted = (view.stratum >= 0) & (view.labels != view.predicted) & (view.predicted >= 0)  # type: ignore[operator]
        pairs = view.labels[counted].astype(np.int64) * k + view.predicted[counted].astype(np.int64)
        values, counts = np.unique(pairs, return_counts=True)
        order = np.lexsort((values, -counts))[: self.cells]
        large = [int(at) for at in order if counts[at] >= self.min_cell]
        return [_Cell(label=int(values[at]) // k, predicted=int(values[at]) % k) for at in large]

    def _regions(self, evaluation: Evaluation, cell: _Cell) -> list[_Region]:
        view = evaluation.view()
        rows = np.flatnonzero((view.labels == cell.label) & (view.stratum >= 0))
        candidates = search(
            evaluation.take(rows),
            loss=(view.predicted[rows] == cell.predicted).astype(np.float64),
            max_literals=self.max_literals,
            most=self.per_cell,
            floor=0.0,
        )
        return [
            _Region(label=cell.label, where=one.where, gain=one.gain, members=one.where.members(evaluation))
            for one in candidates
        ]


def _shared(regions: list[_Region]) -> list[list[_Region]]:
    """Regions that are nearly the same in different classes together, the one with the largest gain first."""
    together: list[list[_Region]] = []
    for region in regions:
        for group in together:
            apart = all(other.label != region.label for other in group)
            if apart and _jaccard(group[0].members, region.members) >= _SAME:
                group.append(region)
                break
        else:
            together.append([region])
    return together


def _jaccard(first: Bool, second: Bool) -> float:
    either = int(np.count_nonzero(first | second))
    return int(np.count_nonzero(first & second)) / max(either, 1)


def _rule(shared: list[_Region], evaluation: Evaluation) -> Where:
    view = evaluation.view()
    classes = {region.label for region in shared}
    everyone = set(np.unique(view.labels[view.stratum >= 0]).tolist())
    only = None if classes == everyone and len(everyone) > 1 else of_classes(evaluation, sorted(classes))
    where = shared[0].where
    return where if only is None else only & where
