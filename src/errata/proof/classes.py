"""Class rates where every row is judged: each class against the others. Nothing is chosen, so no split is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from errata.core.evaluation import Evaluation
from errata.core.finding import Finding
from errata.proof.effect import measure, run_test
from errata.proof.judged import Judged, finding_of, judge
from errata.proof.sample import grounds
from errata.proof.settle import Proposal
from errata.stats.multiplicity import Multiplicity, adjusted_p_values, interval_level

__all__ = ["ClassRates", "judge_classes"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassRates:
    """The classes that were proposed, judged, and what became of them; `tested` counts every class."""

    judged: tuple[Judged, ...] = ()
    findings: tuple[Finding, ...] = ()
    tested: int = 0


def judge_classes(
    per_fold: Sequence[Sequence[Proposal]], evaluation: Evaluation, *, multiplicity: Multiplicity, alpha: float,
    min_difference: float = 0.0,
) -> ClassRates:  # fmt: skip
    """Judge the single classes among all folds' proposals on every row of `evaluation`, which all are confirm rows.

    All classes are accounted for, whether they were proposed or not, since the proposals have seen these rows. Rules
    that select several classes are left out: which ones they join was chosen on these rows.
    """
    if evaluation.task != "classification":
        return ClassRates()
    ground = grounds(evaluation)["class rates"]
    sample = ground.confirm
    of_row = evaluation.stratum[sample.rows]
    proposed: dict[int, Proposal] = {}
    for proposal in (one for rules in per_fold for one in rules if one.family == "class rates"):
        member = proposal.members(len(evaluation.fold))[sample.rows]
        classes = np.unique(of_row[member])
        if len(classes) == 1 and np.array_equal(member, of_row == classes[0]):
            code = int(classes[0])
            proposed[code] = proposed[code].also_by(proposal) if code in proposed else proposal
    if not proposed:
        return ClassRates()
    tested = {}
    for code in np.unique(of_row).tolist():
        p = run_test(sample, of_row == code, seed=code).p_value
        if p is not None and min_difference > 0:
            p = max(p, measure(sample, of_row == code).level_above(min_difference))
        if p is not None:
            tested[code] = p
    # Classes cannot be permuted within classes; Holm's account stands in for maxT's.
    account: Multiplicity = "holm" if multiplicity == "maxt" else multiplicity
    q_values = dict(zip(tested, adjusted_p_values(list(tested.values()), account).tolist(), strict=True))
    kept = sum(q <= alpha for q in q_values.values())
    judged, findings = [], []
    for code, proposal in proposed.items():
        one = judge(proposal, ground, rows=len(evaluation.fold), alpha=alpha, min_difference=min_difference)
        q = None if one.p_value is None else q_values.get(code)
        passed = q is not None and q <= alpha
        level = interval_level(account, alpha=alpha, confirmed=kept, tested=len(tested)) if passed else 1.0 - alpha
        judged.append(one)
        status = "untestable" if q is None else "confirmed" if passed else "rejected"
        findings.append(finding_of(one, evaluation, status=status, q_value=q, level=level))  # type: ignore[arg-type]
    return ClassRates(judged=tuple(judged), findings=tuple(findings), tested=len(tested))
