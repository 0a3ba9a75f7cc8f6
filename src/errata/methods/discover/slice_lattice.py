"""Slice lattice: the conjunctions of columns in which a model errs more than the classes of its rows explain."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from math import comb

import numpy as np

from errata.core.columns import Column
from errata.core.evaluation import Evaluation
from errata.core.method import Job, check_range, method
from errata.core.rules import Where
from errata.core.slices import Slice, claim_for
from errata.ops.conjunctions import of_classes, search
from errata.ops.regions.bins import Axis, bin_columns
from errata.ops.regions.lattice import ScoredSlice, top_slices
from errata.ops.regions.literals import Absent, Literal, where_of
from errata.ops.regions.scan import MOST_PAIRS, literal_of
from errata.stats.gain import gain

__all__ = ["SliceLattice"]


@method(needs={"label"}, cite="Sagadeeva and Boehm, SIGMOD 2021")
@dataclass(frozen=True, kw_only=True)
class SliceLattice:
    """Regions given by a few columns in which the model errs more often than elsewhere in the same classes.

    All intervals of numbers and sets of levels are counted, alone and by pairs of columns, and valued by the
    log-likelihood that error rates of their own gain within the classes of their rows. The best are extended by further
    columns, and their cuts moved to where the errors change. Classes that are worse than the others come as rules
    `label = class`.

    With `faithful` SliceLine is done as published instead: every conjunction of single bins, scored by
    alpha (error / mean error - 1) - (1 - alpha) (n / size - 1), the exact `slices` best of them by bounds. Its slices
    are cut at the edges of bins, and one region comes back in several pieces; it is here to be compared with.

    max_literals  columns per rule; 3, as longer rules are seldom understood (ours)
    min_support   fewest rows of a slice; 10, what the proof asks for (SystemDS has 32)
    slices        most slices; 20 (ours)
    faithful      SliceLine as published
    alpha         weight of the error against the size when `faithful`, in (0, 1]; .95 as in the paper's experiments

    Reference: S. Sagadeeva and M. Boehm, "SliceLine: Fast, Linear-Algebra-based Slice Finding for ML Model Debugging",
    SIGMOD 2021.
    """

    max_literals: int = 3
    min_support: int = 10
    slices: int = 20
    faithful: bool = False
    alpha: float = 0.95

    def __post_init__(self) -> None:
        check_range(
            self,
            {"max_literals": (1, 4), "min_support": (1, math.inf), "slices": (1, math.inf), "alpha": (0.0, 1.0)},
        )

    def run(self, evaluation: Evaluation, job: Job) -> list[Slice]:
        """The proposals: regions with the largest gain first, then classes; by falling score when `faithful`."""
        if not len(evaluation) or not evaluation.features:
            return []
        if self.faithful:
            job.progress(0.0, "searching the lattice of bins")
            return _proposals(self._as_published(evaluation), evaluation)
        job.progress(0.0, _words(len(evaluation.features)))
        candidates = search(
            evaluation, max_literals=self.max_literals, min_support=self.min_support, most=self.slices, weak=True
        )
        regions = [candidate.where for candidate in candidates]
        return _proposals([*regions, *self._worse_classes(evaluation)], evaluation)

    def _worse_classes(self, evaluation: Evaluation) -> list[Where]:
        """`label = class` for the classes that err more than the others by more than chance, the clearest first."""
        view = evaluation.view()
        known = view.stratum >= 0
        if evaluation.task != "classification" or not evaluation.binary_loss or not known.any():
            return []
        classes = len(evaluation.classes)
        rows = np.bincount(view.stratum[known], minlength=classes)
        wrong = np.bincount(view.stratum[known], weights=view.loss[known], minlength=classes)
        n, x = int(rows.sum()), float(wrong.sum())
        gains = gain(wrong[:, None], rows[:, None], wrong=[x], rows=[n])
        worse = (wrong * n > x * rows) & (rows >= self.min_support) & (gains > 0.0)
        order = [int(code) for code in np.argsort(-gains, kind="stable") if worse[code]]
        rules = (of_classes(evaluation, [code]) for code in order[: self.slices])
        return [rule for rule in rules if rule is not None]

    def _as_published(self, evaluation: Evaluation) -> list[Where]:
        view = evaluation.view()
        part = evaluation.take(view.stratum >= 0)
        loss = view.loss[view.stratum >= 0]
        binned = bin_columns(part, part.features, excess=loss - loss.mean() if len(loss) else loss, least=1)
        codes = np.stack([axis.coarse[code] for axis, code in zip(binned.axes, binned.codes, strict=True)])
        found = top_slices(
            codes, loss, k=self.slices, alpha=self.alpha, min_support=self.min_support, levels=self.max_literals
        )
        rules = (_rule(one, binned.axes, part) for one in found)
        return [rule for rule in rules if rule is not None]


def _words(columns: int) -> str:
    pairs = comb(columns, 2)
    if pairs <= MOST_PAIRS:
        return f"searching {columns} columns and {pairs:,} pairs of them"
    return f"searching {columns} columns and the {MOST_PAIRS:,} most promising of {pairs:,} pairs of them"


def _rule(found: ScoredSlice, axes: tuple[Axis, ...], evaluation: Evaluation) -> Where | None:
    literals: list[Literal] = []
    columns: dict[str, Column] = {}
    for at, code in found.tests:
        axis = axes[at]
        if code < axis.coarse_bins:
            literal = literal_of(axis, axis.coarse[: axis.bins] == code)
        else:
            # Beyond the bins lie missing numbers, which a rule can name, and pooled levels, which it cannot.
            literal = Absent(column=axis.name) if axis.ordered else None
        if literal is None:
            return None
        literals.append(literal)
        columns[axis.name] = evaluation.column(axis.name)
    return where_of(literals, columns)


def _proposals(rules: Iterable[Where], evaluation: Evaluation) -> list[Slice]:
    claim = claim_for(evaluation.metric)
    return [Slice(rule=rule, claim=claim, proposed_by=("slice_lattice",)) for rule in dict.fromkeys(rules)]
