"""What a run would do on these data if nothing were there, and if something were: section 12 of docs/proof.md."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.diagnosis import Calibration, Planted
from errata.core.evaluation import CONFIRM, Evaluation
from errata.core.slices import Slice
from errata.proof.confirmation import Confirmation, Progress
from errata.proof.cross import Each, Prepare, Procedure, Propose, as_is
from errata.proof.families import jaccard
from errata.proof.permuted import moved, permute

__all__ = ["CrossSearch", "SplitSearch", "calibrate", "random_region", "spiked"]

Bool = NDArray[np.bool_]

RUNS = 40
"""Reruns of each kind: nothing there, and a region of each size."""

SHARES = (0.02, 0.05, 0.1)
DIFFERENCE = 0.2
"""How much more often the rows of a planted region are wrong."""

OVERLAP = 0.5
"""Jaccard index, on the rows that confirm, from which a confirmed finding is the planted region."""

_TRIES = 60


@dataclass(frozen=True, kw_only=True)
class SplitSearch:
    """Propose and confirm, as the run did; called with an evaluation, gives the members of what is confirmed.

    prepare  as in `Procedure`
    """

    propose: Propose
    confirm: Callable[[Sequence[Slice], Evaluation], Confirmation]
    prepare: Prepare = as_is

    def __call__(self, evaluation: Evaluation) -> list[Bool]:
        """`(N,) bool` for each confirmed finding, class rates apart."""
        ready = self.prepare(evaluation)
        done = self.confirm(self.propose(ready), ready)
        return [done.members[one.id] for one in done.findings if one.confirmed and one.family == "errors"]


@dataclass(frozen=True, kw_only=True, eq=False)
class CrossSearch:
    """The same for a cross-confirmation, whose critical value is that of the run: its reruns are not rerun."""

    procedure: Procedure
    critical: float

    def __call__(self, evaluation: Evaluation) -> list[Bool]:
        """`(N,) bool` for each family beyond the critical value."""
        rows = np.flatnonzero((self.procedure.folds >= 0) & evaluation.counted & (evaluation.stratum >= 0))
        found = []
        for family in self.procedure.run(evaluation):
            if family.statistic >= self.critical:
                member = np.zeros(len(evaluation.fold), dtype=bool)
                member[rows[family.member]] = True
                found.append(member)
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class _Trial:
    """One rerun; called with its number, which alone decides what is permuted and planted."""

    evaluation: Evaluation
    search: Callable[[Evaluation], list[Bool]]
    judged: Bool
    seed: int
    runs: int

    def __call__(self, number: int) -> bool | None:
        """Nothing planted: whether anything is confirmed. Else whether the region is; None where there was none."""
        kind, run = divmod(number, self.runs)
        rng = np.random.default_rng([self.seed, 1 + kind, run])
        null = permute(self.evaluation, rng)
        if kind == 0:
            return bool(self.search(null))
        region = random_region(self.evaluation, SHARES[kind - 1], rng)
        if region is None:
            return None
        found = self.search(spiked(null, region, rng))
        return any(jaccard(member[self.judged], region[self.judged]) >= OVERLAP for member in found)


def calibrate(
    evaluation: Evaluation, search: Callable[[Evaluation], list[Bool]], *, judged: Bool | None = None,
    runs: int = RUNS, each: Each = map, progress: Progress | None = None,
) -> Calibration:  # fmt: skip
    """False reports of `runs` reruns without any region, and how many of as many planted ones of each size are found.

    search  the methods and the proof of the run: the members of what is confirmed in an evaluation
    judged  (N,) bool: the rows that confirm; those of the confirm fold when None

    Every rerun has its own permutation of the model's output within class and group. Regions are random conjunctions of
    one or two of the run's columns; errors are added to them until they err 20 points more often. None of it is a look.
    """
    report = progress or (lambda share, words: None)
    shares = SHARES if evaluation.binary_loss and len(_readable(evaluation)) else ()
    trial = _Trial(
        evaluation=evaluation, search=search, seed=int(evaluation.fingerprint[:8] or "0", 16),
        runs=runs, judged=((evaluation.fold == CONFIRM) if judged is None else judged) & evaluation.counted,
    )  # fmt: skip
    total = runs * (1 + len(shares))
    began, told = time.perf_counter(), []
    for outcome in each(trial, range(total)):
        told.append(outcome)
        left = (time.perf_counter() - began) / len(told) * (total - len(told))
        report(len(told) / total, f"calibrating, {len(told)} of {total} reruns, {left:.0f} s left")
    planted = []
    for at, share in enumerate(shares):
        drawn = [one for one in told[runs * (at + 1) : runs * (at + 2)] if one is not None]
        if drawn:
            planted.append(Planted(share=share, difference=DIFFERENCE, found=sum(drawn), runs=len(drawn)))
    return Calibration(false=sum(map(bool, told[:runs])), runs=runs, planted=tuple(planted))


def random_region(evaluation: Evaluation, share: float, rng: np.random.Generator) -> Bool | None:
    """(N,) bool: a random conjunction of one or two columns that holds about `share` of the rows; None without one.

    Of several attempts the one nearest to the size is taken; more than a third off is none.
    """
    names = _readable(evaluation)
    rows = np.flatnonzero((evaluation.fold >= 0) & evaluation.counted & (evaluation.stratum >= 0))
    if not names or not len(rows):
        return None
    best, off = None, 1.0
    for _ in range(_TRIES):
        parts = int(rng.integers(1, 3)) if len(names) > 1 else 1
        region = np.ones(len(evaluation.fold), dtype=bool)
        for name in rng.choice(len(names), size=parts, replace=False).tolist():
            region &= _side(evaluation, names[name], share ** (1.0 / parts), rows, rng)
        gap = abs(float(region[rows].mean()) / share - 1.0)
        if gap < off:
            best, off = region, gap
        if off < 0.1:
            break
    return best if off <= 1.0 / 3.0 else None


def spiked(
    evaluation: Evaluation, region: Bool, rng: np.random.Generator, *, difference: float = DIFFERENCE
) -> Evaluation:
    """The evaluation with errors added to a region, so that it errs `difference` more often than it did.

    A row that becomes wrong takes the model's output of a wrong row of its class, or where the class has none that of a
    row of another class.
    """
    right = np.flatnonzero(region & (evaluation.loss == 0) & (evaluation.fold >= 0) & (evaluation.stratum >= 0))
    inside = np.flatnonzero(region & (evaluation.fold >= 0) & (evaluation.stratum >= 0))
    chance = difference * len(inside) / max(len(right), 1)
    chosen = right[rng.random(len(right)) < chance]
    source = np.arange(len(evaluation.fold), dtype=np.int64)
    used = np.flatnonzero((evaluation.fold >= 0) & (evaluation.stratum >= 0) & (evaluation.predicted >= 0))
    for code in np.unique(evaluation.stratum[chosen]):
        takers = chosen[evaluation.stratum[chosen] == code]
        same = used[evaluation.stratum[used] == code]
        donors = same[evaluation.loss[same] > 0]
        if not len(donors):
            donors = used[evaluation.predicted[used] != evaluation.labels[takers[0]]]
        if len(donors):
            source[takers] = rng.choice(donors, size=len(takers))
    changed = moved(evaluation, source)
    changed.loss[source != np.arange(len(source))] = 1.0
    return changed


def _readable(evaluation: Evaluation) -> list[str]:
    """Columns that a region may be made of: those that rules read, the label apart."""
    table = evaluation.dataset.table
    kinds = ("number", "category", "boolean", "datetime")
    return [name for name in evaluation.features
            if name != evaluation.dataset.label and table.column(name).kind in kinds]  # fmt: skip


def _side(evaluation: Evaluation, name: str, share: float, rows: NDArray[np.int64], rng: np.random.Generator) -> Bool:
    """(N,) bool: an interval of a number, or a set of levels, that holds about `share` of the rows."""
    values: NDArray[Any] = np.asarray(evaluation.dataset.table.column(name).values)
    if evaluation.dataset.table.column(name).kind in ("category", "boolean"):
        codes, counts = np.unique(values[rows], return_counts=True)
        order = rng.permutation(len(codes))
        taken = np.cumsum(counts[order]) / len(rows)
        enough = int(np.abs(taken - share).argmin()) + 1
        return np.isin(values, codes[order[:enough]])
    known = values[rows][~np.isnat(values[rows])] if values.dtype.kind == "M" else values[rows][~np.isnan(values[rows])]
    if not len(known):
        return np.zeros(len(values), dtype=bool)
    ranked = np.sort(known)
    width = min(len(ranked) - 1, round(share * len(rows)))
    start = int(rng.integers(0, len(ranked) - width))
    # Half of the intervals lie at an end of the column, as most regions that people write down do.
    start = int(rng.choice([0, len(ranked) - 1 - width, start, start]))
    return np.asarray((values >= ranked[start]) & (values <= ranked[start + width]))
