"""Slice -> Finding: the only door. What a proposal must pass is docs/proof.md; this page is its order."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from errata.core.diagnosis import Detectable, FamilyRecord
from errata.core.errors import UsageError
from errata.core.evaluation import Evaluation
from errata.core.finding import Family, Finding, Status
from errata.core.slices import Slice
from errata.proof.judged import Judged, finding_of, judge
from errata.proof.order import best_first, folded
from errata.proof.sample import Ground, grounds
from errata.proof.settle import LEAST_ROWS, Dropped, Settled, gather, settle
from errata.stats.multiplicity import benjamini_hochberg
from errata.stats.power import detectable_difference, detectable_loss, equivalent_rate

__all__ = ["Confirmation", "confirm"]

Progress = Callable[[float, str], None]

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Slice sizes at which a run says how large a difference it would have seen."""

FEW_ERRORS = 100


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


SEEN = "an earlier look at these predictions tested other proposals; only fresh rows can confirm this one"


def confirm(
    proposals: Sequence[Slice],
    evaluation: Evaluation,
    *,
    alpha: float = 0.05,
    min_support: int | None = None,
    min_difference: float = 0.0,
    max_proposals: int = 100,
    looked_before: bool = False,
    progress: Progress | None = None,
) -> Confirmation:
    """Test proposals on the confirm rows of an evaluation; what passes is confirmed, nothing else is.

    Proposals that are alike, nested, redundant or too small are settled on explore rows; the others get one exact test
    each, stratified by class (groups: see docs/proof.md), and Benjamini-Hochberg at `alpha` within their family.
    Confirm rows are read here and nowhere else, copies count once, and the same input gives the same answer.

    alpha           expected share of false findings among the confirmed, in (0, 1)
    min_support     least number of members among explore and among confirm rows: 10 rows, or 5 groups where the data
                    has 24 groups or more, when None
    min_difference  a difference must exceed this, in the metric's unit, at the level of its p-value
    max_proposals   at most so many are tested: those that explain most errors
    looked_before   an earlier look tested other proposals on these predictions: nothing is confirmed, only `seen`

    Raises UsageError for values out of range and for rules that read columns which are not there.

    Example:
        world = errata.testing.planted("literal")
        slices = [Slice(rule=Where.parse(world.truth[0].text))]
        confirm(slices, world.evaluation()).findings[0].status  # "confirmed"
    """
    _check(alpha=alpha, min_support=min_support, min_difference=min_difference, max_proposals=max_proposals)
    if evaluation.binary_loss and min_difference >= 1.0:
        raise UsageError(
            f"`min_difference` is `{min_difference:g}`, and error rates differ by less than 1.",
            hint="0.02 is two points.",
        )
    report = progress or _quiet
    whole = evaluation if evaluation.rows is None else replace(evaluation, rows=None)
    rows, kinds = len(whole.fold), grounds(whole)
    report(0.0, "reading rules")
    settled = settle(
        gather(proposals, whole, kinds), kinds, rows=rows, min_support=min_support, max_proposals=max_proposals
    )
    judged: dict[str, Judged] = {}
    every = (*settled.tested, *settled.circular)
    for number, proposal in enumerate(every):
        report(0.4 + 0.5 * number / len(every), "testing on held-out rows")
        judged[proposal.slice.id] = judge(
            proposal, kinds[proposal.family], rows=rows, alpha=alpha, min_difference=min_difference
        )
    families = _families(judged, alpha)
    findings = folded(best_first(_findings(judged, whole, alpha=alpha)), judged, alpha=alpha)
    report(1.0, "tested")
    confirmation = Confirmation(
        findings=tuple(findings),
        members={finding.id: judged[finding.id].proposal.members(rows) for finding in findings},
        families=families,
        tested=sum(record.tested for record in families),
        detectable=_detectable(kinds["errors"], level=alpha / max(1, _tested(judged, "errors"))),
        dropped=settled.dropped,
        caveats=_caveats(kinds["errors"], settled),
    )
    return confirmation.as_seen() if looked_before else confirmation


def _findings(judged: Mapping[str, Judged], evaluation: Evaluation, *, alpha: float) -> list[Finding]:
    """Statuses by Benjamini-Hochberg within each family, and intervals at the level that R of m leave."""
    found: list[Finding] = []
    for family in dict.fromkeys(one.proposal.family for one in judged.values()):
        tested = [one for one in judged.values() if one.proposal.family == family and one.p_value is not None]
        q_values = benjamini_hochberg([one.p_value for one in tested if one.p_value is not None])
        kept = int((q_values <= alpha).sum())
        for one, q in zip(tested, q_values.tolist(), strict=True):
            passed = q <= alpha
            found.append(finding_of(
                one, evaluation, status="confirmed" if passed else "rejected", q_value=q,
                level=1.0 - alpha * kept / len(tested) if passed else 1.0 - alpha,
            ))  # fmt: skip
    for one in judged.values():
        if one.p_value is None:
            status: Status = "circular" if one.proposal.reads else "untestable"
            found.append(finding_of(one, evaluation, status=status, q_value=None, level=1.0 - alpha))
    return found


def _families(judged: Mapping[str, Judged], alpha: float) -> tuple[FamilyRecord, ...]:
    order: tuple[Family, ...] = ("errors", "class rates", "regions", "labels", "robustness")
    counts = {family: _tested(judged, family) for family in order}
    return tuple(
        FamilyRecord(family=family, tested=count, alpha=alpha)
        for family, count in counts.items() if count or family == "errors"
    )  # fmt: skip


def _tested(judged: Mapping[str, Judged], family: Family) -> int:
    return sum(one.proposal.family == family and one.p_value is not None for one in judged.values())


def _detectable(ground: Ground, *, level: float) -> tuple[Detectable, ...]:
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


def _caveats(ground: Ground, settled: Settled) -> tuple[str, ...]:
    said = []
    explore, confirm_ = ground.explore, ground.confirm
    if confirm_.binary and len(confirm_):
        errors = explore.loss.sum() + confirm_.loss.sum()
        share = len(confirm_) / (len(explore) + len(confirm_))
        if errors * share < FEW_ERRORS:
            said.append(
                f"few errors: {int(confirm_.loss.sum())} of {len(confirm_)} held-out rows are wrong, "
                "so that only large differences can be confirmed"
            )
    if settled.circular:
        said.append(f"{len(settled.circular)} proposals read the model's output and cannot be confirmed")
    if ground.grouping == "few groups":
        few = "is only 1 group" if ground.groups == 1 else f"are only {ground.groups} groups"
        said.append(f"there {few}, so that findings speak of these groups and of no others")
    return tuple(said)


def _quiet(share: float, words: str) -> None:
    """Progress that nobody watches."""


def _check(*, alpha: float, min_support: int | None, min_difference: float, max_proposals: int) -> None:
    if not 0.0 < alpha < 1.0:
        raise UsageError(f"`alpha` is `{alpha}`.", hint="a share of false findings between 0 and 1, such as 0.05.")
    if min_support is not None and min_support < 1:
        raise UsageError(f"`min_support` is `{min_support}`.", hint="a number of rows (or groups) from 1 on.")
    if not min_difference >= 0.0:
        raise UsageError(f"`min_difference` is `{min_difference}`.", hint="0 or more, in the metric's unit.")
    if max_proposals < 1:
        raise UsageError(f"`max_proposals` is `{max_proposals}`.", hint="1 or more.")
