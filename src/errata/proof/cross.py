"""Cross-confirmation: with few errors every row is judged once, by rules that the rows of other folds proposed.

Section 10 of docs/proof.md. The rules of a row's fold never saw that row, but they saw the rows that other folds' rules
are judged on, so that p-values pooled over folds are no proof. The null is the whole procedure, methods included, rerun
on output permuted within class and group; a finding must be more extreme than the most extreme family of such a run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.evaluation import Evaluation
from errata.core.evidence import Statistic
from errata.core.finding import Finding
from errata.core.slices import MISLABELLED, Slice
from errata.proof.classes import judge_classes
from errata.proof.confirmation import Confirmation, Progress, detectable, families, few_groups
from errata.proof.effect import Test, group_contrast, measure
from errata.proof.families import FOLDS, Fold, RuleFamily, cross_folds, cross_ground, gathered, jaccard, with_fold
from errata.proof.judged import Judged, finding_of
from errata.proof.labels import suspected
from errata.proof.order import best_first, folded
from errata.proof.permuted import permute
from errata.proof.sample import Ground, grounds
from errata.proof.settle import Proposal, gather, least_support, settle
from errata.stats.multiplicity import Multiplicity, critical_value
from errata.stats.sequential import MOST, expected_draws, p_value, verdict

__all__ = ["Crossed", "Each", "Prepare", "Procedure", "Propose", "as_is", "confirm_across"]

Bool = NDArray[np.bool_]
Floats = NDArray[np.float64]
Propose = Callable[[Evaluation], Sequence[Slice]]
Prepare = Callable[[Evaluation], Evaluation]
Each = Callable[[Callable[[int], Any], Iterable[int]], Iterator[Any]]
"""Gives the results of a task for numbers, in their order, as they are asked for; other processes may do the work."""

SAME = 0.5
"""Jaccard index from which a family of a rerun stands for a family that is already confirmed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Crossed:
    """What came of a cross-confirmation.

    evaluation  every judged row as a confirm row
    procedure   what was rerun; `procedure.folds` says in which fold each row was judged
    reruns      on permuted output
    critical    the statistic beyond which a family is confirmed; infinite with too few reruns to tell
    """

    confirmation: Confirmation
    evaluation: Evaluation
    procedure: Procedure
    reruns: int
    critical: float


def as_is(evaluation: Evaluation) -> Evaluation:
    """The evaluation, with nothing to prepare."""
    return evaluation


@dataclass(frozen=True, kw_only=True, eq=False)
class Procedure:
    """Everything that a rerun repeats: propose on four folds, settle, judge on the fifth, match across folds.

    prepare  gives an evaluation the columns that its explore rows choose by their errors, such as n-grams
    """

    evaluation: Evaluation
    folds: Fold
    propose: Propose
    min_support: int | None
    max_proposals: int
    prepare: Prepare = as_is

    def run(self, evaluation: Evaluation) -> Sequence[RuleFamily]:
        """The families of an evaluation of the same rows, the most extreme first."""
        return self.match(self.proposals(evaluation), evaluation)

    def proposals(self, evaluation: Evaluation) -> list[list[Proposal]]:
        """What each fold's other rows propose, settled on them."""
        return [self.proposed(with_fold(evaluation, self.folds, fold)) for fold in range(FOLDS)]

    def proposed(self, parted: Evaluation) -> list[Proposal]:
        """What the explore rows of one partition propose."""
        if not parted.explore().view().loss.any():
            return []
        parted = self.prepare(parted)
        kinds = grounds(parted)
        slices = [one for one in self.propose(parted) if one.claim != MISLABELLED]
        found = gather(slices, parted, kinds)
        settled = settle(
            found, kinds, rows=len(self.folds), min_support=self.min_support, max_proposals=self.max_proposals,
            held_out=False,
        )  # fmt: skip
        return list(settled.tested)

    def match(self, per_fold: Sequence[Sequence[Proposal]], evaluation: Evaluation) -> list[RuleFamily]:
        """The families among all folds' proposals."""
        ground = cross_ground(evaluation, self.folds)
        errors = [[rule for rule in rules if rule.family == "errors"] for rules in per_fold]
        return gathered(errors, ground, self.folds, least=least_support(ground, self.min_support))


@dataclass(frozen=True, kw_only=True, eq=False)
class Rerun:
    """The whole procedure on permuted output; called with its number, which alone decides the permutation.

    known  (f, n) bool: members of the real families, the most extreme first
    """

    procedure: Procedure
    known: Bool
    seed: int

    def __call__(self, number: int) -> Floats:
        """(f,) the most extreme statistic of the rerun, for i > 0 among families unlike the first i real ones."""
        rng = np.random.default_rng([self.seed, number])
        found = self.procedure.run(permute(self.procedure.evaluation, rng))
        maxima, left = np.zeros(len(self.known)), list(found)
        for at in range(len(self.known)):
            if at:
                left = [family for family in left if jaccard(family.member, self.known[at - 1]) < SAME]
            maxima[at] = max((family.statistic for family in left), default=0.0)
        return maxima


def confirm_across(
    evaluation: Evaluation, propose: Propose, *, alpha: float = 0.05, multiplicity: Multiplicity = "bh",
    min_support: int | None = None, min_difference: float = 0.0, max_proposals: int = 100, split_seed: int = 0,
    prepare: Prepare = as_is, again: Callable[[], Propose] | None = None, each: Each = map, least_reruns: int = 0,
    progress: Progress | None = None,
) -> Crossed:  # fmt: skip
    """Confirm rules that five folds propose for each other, against reruns of the whole procedure on permuted output.

    propose       gives slices for the explore rows of an evaluation; called once per fold
    prepare       see `Procedure`; what it gives may differ from fold to fold and from rerun to rerun
    again         asked after the first run for what reruns call, which may be sent to other processes
    each          runs reruns, see `Each`
    least_reruns  so many reruns are made even where fewer settle the findings
    multiplicity  how many classes are accounted for; families are judged by the maximum of each rerun
    """
    report = progress or (lambda share, words: None)
    folds = cross_folds(evaluation, split_seed=split_seed)
    lists: dict[str, Slice] = {}

    def first(parted: Evaluation) -> Sequence[Slice]:
        slices = propose(parted)
        lists.update({one.rule.text: one for one in slices if one.claim == MISLABELLED})
        return slices

    real = Procedure(
        evaluation=evaluation, folds=folds, propose=first, min_support=min_support, max_proposals=max_proposals,
        prepare=prepare,
    )  # fmt: skip
    per_fold = []
    for fold in range(FOLDS):
        report(0.1 * fold / FOLDS, f"proposing without fold {fold + 1} of {FOLDS}")
        per_fold.append(real.proposed(with_fold(evaluation, folds, fold)))
    found = real.match(per_fold, evaluation)
    procedure = replace(real, propose=propose if again is None else again())
    drawn = _reruns(procedure, found, alpha=alpha, each=each, least=least_reruns, report=report)
    whole = with_fold(evaluation, folds, None)
    ground = cross_ground(evaluation, folds)
    critical = critical_value(drawn[:, 0], alpha) if len(drawn) else math.inf
    tail = min(alpha, math.exp(-critical)) if math.isfinite(critical) else alpha / max(1, len(found))
    judged = [_judged(one, p, ground, min_difference) for one, p in zip(found, _p_values(found, drawn), strict=True)]
    findings = [_finding(one, of, whole, alpha=alpha, tail=tail) for one, of in zip(judged, found, strict=True)]
    classes = judge_classes(per_fold, whole, multiplicity=multiplicity, alpha=alpha, min_difference=min_difference)
    labels = suspected(list(lists.values()), whole, alpha=alpha)
    told = {one.id: one for one in (*judged, *classes.judged)}
    counted = tuple(
        replace(one, tested=classes.tested) if one.family == "class rates" else one for one in families(told, alpha)
    )
    confirmation = Confirmation(
        findings=tuple(folded(best_first([*findings, *classes.findings, *labels.findings]), told, alpha=alpha)),
        members={one.id: _members(of, folds) for one, of in zip(judged, found, strict=True)}
        | {one.id: one.proposal.members(len(folds)) for one in classes.judged} | dict(labels.members),
        families=counted, tested=sum(one.tested for one in counted),
        detectable=detectable(ground, level=tail), caveats=_caveats(len(drawn), ground),
    )  # fmt: skip
    return Crossed(
        confirmation=confirmation, evaluation=whole, procedure=procedure, reruns=len(drawn), critical=critical
    )


def _reruns(
    procedure: Procedure, found: Sequence[RuleFamily], *, alpha: float, each: Each, least: int, report: Progress
) -> Floats:
    """(B, f) maxima of reruns, until every finding is settled: the first undecided one decides how many are needed."""
    if not least and not any(family.statistic > 0.0 for family in found):  # such as rules of whole groups alone
        return np.zeros((0, len(found)))
    known = np.stack([family.member for family in found]) if found else np.zeros((1, 0), dtype=bool)
    rerun = Rerun(procedure=procedure, known=known, seed=int(procedure.evaluation.fingerprint[:8] or "0", 16))
    observed = np.array([family.statistic for family in found])
    drawn: list[Floats] = []
    clock, furthest = [time.perf_counter()], 0.0
    for maxima in each(rerun, count()):
        drawn.append(maxima)
        clock.append(time.perf_counter())
        done = len(drawn)
        wanted = max(least, _draws(np.stack(drawn), observed, alpha=alpha))
        if done >= min(wanted, MOST):
            break
        furthest = max(furthest, done / wanted)
        left = _minutes(_pace(clock) * (wanted - done))
        report(0.1 + 0.9 * furthest, f"rerun {done} of about {wanted} on permuted errors ({MOST} at most), {left} left")
    return np.stack(drawn)


def _draws(drawn: Floats, observed: Floats, *, alpha: float) -> int:
    """How many reruns it takes in all, as far as can be told: `len(drawn)` where no more are needed.

    Families are settled once they are confirmed up to one that is not, beyond which none can be.
    """
    done = most = len(drawn)
    for at, value in enumerate(observed):
        if value <= 0.0:  # as extreme as any rerun's
            break
        reached = int(np.count_nonzero(drawn[:, at] >= value * (1.0 - 1e-9)))
        said = verdict(reached, done, alpha=alpha)
        if said == "open":
            most = max(most, expected_draws(reached, done, alpha=alpha))
            if reached > alpha * done:
                break
        if said == "not significant":
            break
    return most


def _pace(clock: Sequence[float]) -> float:
    """Seconds per rerun, by the later half of them: the first ones are made in this process alone."""
    done = len(clock) - 1
    since = done // 2
    return (clock[-1] - clock[since]) / (done - since)


def _p_values(found: Sequence[RuleFamily], drawn: Floats) -> list[float]:
    """Step-down adjusted p-values of the families, the most extreme first."""
    values, largest = [], 0.0
    for at, family in enumerate(found):
        reached = int(np.count_nonzero(drawn[:, at] >= family.statistic * (1.0 - 1e-9)))
        largest = max(largest, p_value(reached, len(drawn)))
        values.append(largest)
    return values


def _judged(family: RuleFamily, p: float, ground: Ground, min_difference: float) -> Judged:
    sample = ground.confirm
    measurement = measure(sample, family.member)
    total = float(sample.loss.sum())
    why = "" if measurement.difference.used else "no row outside is comparable with its members"
    if not why and measurement.difference.excluded > measurement.difference.used:
        why = "most of its members have no comparable rows"
    if sample.cells is not None and not why:
        contrast = group_contrast(sample.cells, family.member, sample.loss)
        if contrast is not None and contrast.chosen is not None:
            why = "it selects whole groups, which permuting within groups cannot judge"
    if min_difference > 0:
        p = max(p, measurement.level_above(min_difference))
    return Judged(
        proposal=_credited(family), ground=ground, member=family.member, measurement=measurement,
        test=Test(name="cross-confirmation", p_value=None if why else p), p_value=None if why else p, why=why,
        share=float(sample.loss[family.member].sum()) / total if total > 0 else None,
    )  # fmt: skip


def _credited(family: RuleFamily) -> Proposal:
    """The consensus, credited to the proposers of all the family's rules."""
    proposal = family.consensus
    for other in family.proposals:
        proposal = proposal.also_by(other)
    return proposal


def _finding(judged: Judged, family: RuleFamily, evaluation: Evaluation, *, alpha: float, tail: float) -> Finding:
    passed = judged.p_value is not None and judged.p_value <= alpha
    finding = finding_of(
        judged, evaluation, status="untestable" if judged.p_value is None else "confirmed" if passed else "rejected",
        q_value=judged.p_value, level=1.0 - (tail if passed else alpha),
    )  # fmt: skip
    number = len(family.proposals)
    texts = "; ".join(
        f"fold {fold + 1}: {rule.slice.rule.text}" for fold, rule in zip(family.folds, family.proposals, strict=True)
    )
    words = (
        f"A family of {number} rules was judged, each on the fold that it was not proposed on; shown is their "
        f"consensus, which shares {100 * family.alike:.0f} % of its members with the others. {texts}."
    )
    told = Statistic(name="family", value=family.alike, n=number, words=words)
    return replace(finding, evidence=(*finding.evidence, told))


def _members(family: RuleFamily, folds: Fold) -> Bool:
    """(N,) bool: who was judged as a member, by the rule of the row's fold; the consensus speaks for all other rows."""
    member = family.consensus.members(len(folds))
    for fold in range(FOLDS):
        member[folds == fold] = False
    for fold, rule in zip(family.folds, family.proposals, strict=True):
        here = folds == fold
        member[here] = rule.members(len(folds))[here]
    return member


def _caveats(reruns: int, ground: Ground) -> tuple[str, ...]:
    said = f"cross-confirmation: each of {FOLDS} folds was judged by rules that the others proposed" + (
        f", against {reruns} reruns of the whole search on permuted errors" if reruns else ""
    )
    return (said, *few_groups(ground))


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
