"""One proposal, tested on confirm rows, and what a finding says of it: sections 2, 4 and 5 of docs/proof.md."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from errata.core.evaluation import Evaluation
from errata.core.evidence import Comparison, Evidence
from errata.core.finding import Effect, Finding, Status, Support
from errata.proof.effect import Measurement, Test, measure, run_test
from errata.proof.sample import Ground
from errata.proof.settle import Proposal

__all__ = ["Judged", "Shown", "finding_of", "judge", "worst"]

Bool = NDArray[np.bool_]

SHOWN = 6
"""Examples of each kind: as many as a report's first screen shows."""

COMPARED = 12
"""Classes in a comparison by class, those with most members first."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """A proposal with its members among confirm rows, its size and its test; without p-value it was not tested."""

    proposal: Proposal
    ground: Ground
    member: Bool
    measurement: Measurement
    test: Test
    p_value: float | None
    why: str = ""
    share: float | None = None

    @property
    def id(self) -> str:
        return self.proposal.slice.id


def judge(proposal: Proposal, ground: Ground, *, rows: int, alpha: float, min_difference: float) -> Judged:
    """The section 4 test of one proposal on confirm rows."""
    sample = ground.confirm
    member = proposal.members(rows)[sample.rows]
    measurement = measure(sample, member)
    total = float(sample.loss.sum())
    share = float(sample.loss[member].sum()) / total if total > 0 else None
    if proposal.reads:
        test, why = Test(name=None, p_value=None), ""
    else:
        test = run_test(sample, member, seed=proposal.seed)
        why = test.why or _untestable(measurement, test, alpha)
    p = None if why else test.p_value
    if p is not None and min_difference > 0:
        p = max(p, measurement.level_above(min_difference))
    return Judged(
        proposal=proposal, ground=ground, member=member, measurement=measurement, test=test, p_value=p, why=why,
        share=share,
    )  # fmt: skip


def finding_of(
    judged: Judged, evaluation: Evaluation, *, status: Status, q_value: float | None, level: float
) -> Finding:
    """The finding that a judged proposal becomes, at the level of its interval; folding and titles come later."""
    proposal, ground = judged.proposal, judged.ground
    sample, effect = ground.confirm, judged.measurement.difference
    interval = judged.measurement.interval(level) if effect.used else None
    limits = None if interval is None or not math.isfinite(interval.upper - interval.lower) \
        else (interval.lower, interval.upper)  # fmt: skip
    explore = proposal.members(len(evaluation.fold))[ground.explore.rows]
    claim = proposal.slice.claim
    if ground.grouping == "few groups":
        claim = f"{claim} in these {ground.groups} groups"
    shown = worst(evaluation, sample.rows[judged.member])
    examples = evaluation.dataset.ids(np.concatenate([shown.wrong, shown.right]))
    return Finding(
        id=judged.id, status=status, title="", claim=claim, family=proposal.family, rule=proposal.slice.rule,
        proposed_by=proposal.slice.proposed_by,
        support=Support(
            explore=int(explore.sum()), confirm=int(judged.member.sum()), groups=sample.member_groups(judged.member)
        ),
        metric=Effect(
            name=evaluation.metric, inside=_known(effect.inside), outside=_known(effect.outside),
            difference=_known(effect.difference), interval=limits, interval_level=None if limits is None else level,
        ),
        test=judged.test.name if judged.p_value is not None else None,
        baseline=ground.baseline, strata=ground.strata, p_value=judged.p_value, q_value=q_value,
        share_of_errors=judged.share, examples=tuple(examples),
        evidence=(*_comparison(judged, evaluation), *proposal.slice.evidence), caveats=_caveats(judged, limits, status),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """Indices among all rows: members that are wrong (or of high loss), and members that are right (or of low loss)."""

    wrong: NDArray[np.int64]
    right: NDArray[np.int64]


def worst(evaluation: Evaluation, rows: NDArray[np.int64]) -> Shown:
    """Rows to look at: wrong ones, then right ones, the model furthest off first; ties by id, not by place in the file.

    Where a loss is not simply right or wrong, the rows of highest loss come first and those of lowest loss second.
    """
    data = evaluation.dataset
    loss = evaluation.loss[rows]
    doubt = np.zeros(len(rows))
    if evaluation.scores is not None and evaluation.task == "classification":
        label = np.asarray(evaluation.labels[rows], dtype=np.int64)
        doubt = 1.0 - evaluation.scores[rows, label].astype(np.float64)
    if evaluation.binary_loss:
        order = np.lexsort((data.occurrence[rows], data.id_hash[rows], -doubt, -loss))
        wrong = loss[order] > 0
        return Shown(wrong=rows[order[wrong][:SHOWN]], right=rows[order[~wrong][:SHOWN]])
    order = np.lexsort((data.occurrence[rows], data.id_hash[rows], -loss))
    high = order[:SHOWN]
    return Shown(wrong=rows[high], right=rows[order[len(high) :][::-1][:SHOWN]])


def _untestable(measurement: Measurement, test: Test, alpha: float) -> str:
    effect = measurement.difference
    if effect.excluded > effect.used:
        return f"{effect.excluded} of its {effect.excluded + effect.used} members have no comparable rows"
    if test.smallest > alpha:
        return f"with so few errors and members no p-value below {_rounded(test.smallest)} was possible"
    return ""


def _caveats(judged: Judged, limits: tuple[float, float] | None, status: Status) -> tuple[str, ...]:
    effect, said = judged.measurement.difference, []
    if judged.proposal.reads:
        names = ", ".join(f"`{name}`" for name in judged.proposal.reads)
        said.append(f"circular: its rule reads {names}, which the model's output decides")
    elif judged.why:
        said.append(f"untestable: {judged.why}")
    if status == "confirmed" and limits is not None and limits[0] <= 0.0 <= limits[1]:
        said.append("barely: the interval of the difference contains 0")
    if 0 < effect.excluded <= effect.used:
        said.append(
            f"{effect.excluded} of {effect.excluded + effect.used} members have no comparable rows outside "
            "and enter neither rate"
        )
    if judged.test.caveat and judged.p_value is not None:
        said.append(judged.test.caveat)
    return tuple(said)


def _comparison(judged: Judged, evaluation: Evaluation) -> tuple[Evidence, ...]:
    """Members and rest by class, for classes that have members."""
    sample = judged.ground.confirm
    if not sample.binary or evaluation.task != "classification":
        return ()
    classes = evaluation.stratum[sample.rows]
    length = len(evaluation.classes)
    member = judged.member
    rows, wrong = np.bincount(classes, minlength=length), np.bincount(classes, weights=sample.loss, minlength=length)
    inside = np.bincount(classes[member], minlength=length)
    inside_wrong = np.bincount(classes[member], weights=sample.loss[member], minlength=length)
    shown = [int(code) for code in np.argsort(-inside, kind="stable")[:COMPARED] if inside[code]]
    table = tuple(
        {
            "stratum": evaluation.classes[code],
            "inside": int(inside[code]),
            "inside_wrong": int(inside_wrong[code]),
            "outside": int(rows[code] - inside[code]),
            "outside_wrong": int(wrong[code] - inside_wrong[code]),
        }
        for code in shown
    )
    return (Comparison(rows=table),) if table else ()


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _rounded(p: float) -> str:
    return f"{p:.2f}" if p >= 0.01 else f"{p:.1g}"
