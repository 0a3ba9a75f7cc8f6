"""Slice -> Finding: the only door. What a proposal must pass is docs/proof.md; this page is its order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from errata.core.evaluation import Evaluation
from errata.core.finding import Finding, Status
from errata.core.slices import MISLABELLED, Slice
from errata.proof.confirmation import Confirmation, Progress, count_tested, detectable, families, few_errors, few_groups
from errata.proof.joint import adjust
from errata.proof.judged import Judged, finding_of, judge
from errata.proof.labels import suspected
from errata.proof.order import best_first, folded
from errata.proof.sample import Ground, grounds
from errata.proof.settings import Proof
from errata.proof.settle import Settled, gather, settle
from errata.stats.multiplicity import Multiplicity

__all__ = ["Confirmation", "confirm"]


def confirm(
    proposals: Sequence[Slice],
    evaluation: Evaluation,
    *,
    alpha: float = 0.05,
    min_support: int | None = None,
    min_difference: float = 0.0,
    max_proposals: int = 100,
    multiplicity: Multiplicity = "bh",
    looked_before: bool = False,
    progress: Progress | None = None,
) -> Confirmation:
    """Test proposals on the confirm rows of an evaluation; what passes is confirmed, nothing else is.

    Proposals that are alike, nested, redundant or too small are settled on explore rows; the others get one exact test
    each, stratified by class (groups: see docs/proof.md), and an account of many tests at `alpha` within their family.
    Confirm rows are read here and nowhere else, copies count once, and the same input gives the same answer.

    alpha           expected share of false findings among the confirmed, in (0, 1); with `holm` and `maxt` the chance
                    of any false finding in a family
    min_support     least number of members among explore and among confirm rows: 10 rows, or 5 groups where the data
                    has 24 groups or more, when None
    min_difference  a difference must exceed this, in the metric's unit, at the level of its p-value
    max_proposals   at most so many are tested: those that explain most errors
    multiplicity    how many tests are accounted for: "bh", "by", "holm" or "maxt", see docs/proof.md section 5
    looked_before   an earlier look tested other proposals on these predictions: nothing is confirmed, only `seen`

    Raises UsageError for values out of range and for rules that read columns which are not there.

    Example:
        world = errata.testing.planted("literal")
        slices = [Slice(rule=Where.parse(world.truth[0].text))]
        confirm(slices, world.evaluation()).findings[0].status  # "confirmed"
    """
    Proof(
        alpha=alpha, multiplicity=multiplicity, min_support=min_support, min_difference=min_difference,
        max_proposals=max_proposals,
    ).check(evaluation)  # fmt: skip
    report = progress or _quiet
    whole = evaluation if evaluation.rows is None else replace(evaluation, rows=None)
    rows, kinds = len(whole.fold), grounds(whole)
    report(0.0, "reading rules")
    labels = suspected(proposals, whole, alpha=alpha)
    proposals = [proposal for proposal in proposals if proposal.claim != MISLABELLED]
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
    counted = families(judged, alpha)
    ended = _findings(judged, whole, alpha=alpha, multiplicity=multiplicity)
    findings = folded(best_first([*ended, *labels.findings]), judged, alpha=alpha)
    members = {name: one.proposal.members(rows) for name, one in judged.items()} | dict(labels.members)
    report(1.0, "tested")
    confirmation = Confirmation(
        findings=tuple(findings),
        members={one.id: members[one.id] for one in findings},
        families=counted,
        tested=sum(record.tested for record in counted),
        detectable=detectable(kinds["errors"], level=alpha / max(1, count_tested(judged.values(), "errors"))),
        dropped=settled.dropped,
        caveats=_caveats(whole, kinds["errors"], settled),
    )
    return confirmation.as_seen() if looked_before else confirmation


def _findings(
    judged: Mapping[str, Judged], evaluation: Evaluation, *, alpha: float, multiplicity: Multiplicity
) -> list[Finding]:
    """Statuses by adjusted p-values within each family, and intervals at the level that goes with them."""
    found: list[Finding] = []
    for family in dict.fromkeys(one.proposal.family for one in judged.values()):
        tested = [one for one in judged.values() if one.proposal.family == family and one.p_value is not None]
        adjusted = adjust(tested, multiplicity, alpha=alpha)
        for one, q in zip(tested, adjusted.q_values.tolist(), strict=True):
            passed = q <= alpha
            found.append(finding_of(
                one, evaluation, status="confirmed" if passed else "rejected", q_value=q,
                level=adjusted.level if passed else 1.0 - alpha,
            ))  # fmt: skip
    for one in judged.values():
        if one.p_value is None:
            status: Status = "circular" if one.proposal.reads else "untestable"
            found.append(finding_of(one, evaluation, status=status, q_value=None, level=1.0 - alpha))
    return found


def _caveats(evaluation: Evaluation, ground: Ground, settled: Settled) -> tuple[str, ...]:
    said = []
    held_out = ground.confirm
    if len(held_out) and few_errors(evaluation):
        said.append(
            f"few errors: {int(held_out.loss.sum())} of {len(held_out)} held-out rows are wrong, "
            "so that only large differences can be confirmed"
        )
    if settled.circular:
        said.append(f"{len(settled.circular)} proposals read the model's output and cannot be confirmed")
    return (*said, *few_groups(ground))


def _quiet(share: float, words: str) -> None:
    """Progress that nobody watches."""
