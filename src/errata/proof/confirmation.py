"""What a confirmation says: findings, their members, and what the run must say of its proof."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from errata.core.diagnosis import Detectable, FamilyRecord
from errata.core.evaluation import CONFIRM, EXPLORE, Evaluation
from errata.core.finding import Family, Finding
from errata.proof.judged import Judged
from errata.proof.sample import Ground
from errata.proof.settle import LEAST_ROWS, Dropped
from errata.stats.power import detectable_difference, detectable_loss, equivalent_rate

__all__ = ["Confirmation", "Progress", "count_tested", "detectable", "families", "few_errors", "few_groups"]

Progress = Callable[[float, str], None]

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Slice sizes at which a run says how large a difference it would have seen."""

FEW_ERRORS = 100
"""Fewer errors than this among confirm rows are few: a split then sees large differences only."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Confirmation:
    """What became of all proposals.

    findings    every proposal that was judged, best first; their titles are still empty
    members     {finding id: (N,) bool} over all rows of the evaluation
    families    how many proposals each family tested
    tested      how many were tested in all
    detectable  the smallest difference that would have been seen, by share of rows
    dropped     what was settled before testing, and why
    caveats     what the whole run must say of its proof
    """

    findings: tuple[Finding, ...]
    members: Mapping[str, NDArray[np.bool_]]
    families: tuple[FamilyRecord, ...]
    tested: int
    detectable: tuple[Detectable, ...]
    dropped: tuple[Dropped, ...] = ()
    caveats: tuple[str, ...] = ()

    @property
    def tested_ids(self) -> tuple[str, ...]:
        """Ids of the tested (rule, claim) pairs, sorted: what makes a look."""
        return tuple(sorted(finding.id for finding in self.findings if finding.p_value is not None))

    def as_seen(self) -> Confirmation:
        """The same as a later look: what would be confirmed is `seen`, with its numbers, and needs fresh rows."""
        findings = tuple(
            replace(f, status="seen", caveats=(*f.caveats, SEEN)) if f.status == "confirmed" else f
            for f in self.findings
        )
        return replace(self, findings=findings)


SEEN = "an earlier look at these predictions tested other proposals, or otherwise; only fresh rows can confirm this one"


def few_errors(evaluation: Evaluation) -> bool:
    """Whether errors are so few that halves of the rows say little: under 100 in all x confirm share."""
    if not evaluation.binary_loss:
        return False
    usable = evaluation.counted & (evaluation.stratum >= 0)
    explore, held_out = ((evaluation.fold == fold) & usable for fold in (EXPLORE, CONFIRM))
    rows = int(explore.sum() + held_out.sum())
    errors = float(evaluation.loss[explore].sum() + evaluation.loss[held_out].sum())
    return bool(rows and errors * held_out.sum() / rows < FEW_ERRORS)


def few_groups(ground: Ground) -> tuple[str, ...]:
    """The caveat of data with few groups; nothing where there are many, or none."""
    if ground.grouping != "few groups":
        return ()
    few = "is only 1 group" if ground.groups == 1 else f"are only {ground.groups} groups"
    return (f"there {few}, so that findings speak of these groups and of no others",)


def families(judged: Mapping[str, Judged], alpha: float) -> tuple[FamilyRecord, ...]:
    """How many proposals each family tested; the family `errors` also where it tested none."""
    order: tuple[Family, ...] = ("errors", "class rates", "regions", "labels", "robustness")
    counts = {family: count_tested(judged.values(), family) for family in order}
    return tuple(
        FamilyRecord(family=family, tested=count, alpha=alpha)
        for family, count in counts.items() if count or family == "errors"
    )  # fmt: skip


def count_tested(judged: Iterable[Judged], family: Family) -> int:
    """How many proposals of a family have a p-value."""
    return sum(one.proposal.family == family and one.p_value is not None for one in judged)


def detectable(ground: Ground, *, level: float) -> tuple[Detectable, ...]:
    """The curve of a run that found nothing: a slice alone among as many tests as this run made, if proposed."""
    sample = ground.confirm
    cells = sample.cells
    # Where groups are the unit, rows are compared within class and group.
    rows, loss = (cells.rows, cells.loss) if cells is not None else (sample.totals.rows, sample.totals.loss)
    within = float(sample.totals.squares.sum() - (loss * loss / np.maximum(rows, 1.0)).sum())
    # Each such cell fixes one of its rows: its mean is known only from them.
    free = len(sample) - int(np.count_nonzero(rows))
    variance = max(within, 0.0) / max(free, 1)
    curve = []
    for share in SHARES:
        difference = None
        if free > 1 and share * len(sample) >= LEAST_ROWS:
            if sample.binary:
                rate = equivalent_rate(variance, above_half=bool(sample.loss.mean() > 0.5))
                difference = detectable_difference(share, rows=free, rate=rate, level=level)
            else:
                difference = detectable_loss(share, rows=free, deviation=math.sqrt(variance), level=level)
        curve.append(Detectable(share=share, difference=difference))
    return tuple(curve)
