"""Propose and confirm, on a split of the rows or across five folds; and the same again to calibrate a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from errata.confirm import Confirmation, confirm
from errata.core.columns import Bool
from errata.core.diagnosis import Calibration
from errata.core.evaluation import EXPLORE, LEFT_OUT, Evaluation
from errata.core.finding import Finding
from errata.core.method import Job
from errata.engine.pool import each
from errata.engine.propose import Proposals, propose
from errata.engine.rerun import Proposer, Trying, portable
from errata.ops.measure.grams import KIND, gram_of
from errata.ops.measure.ngrams import MOST_TEXTS, NGrams
from errata.proof.calibrate import CrossSearch, SplitSearch, calibrate
from errata.proof.cross import Prepare, as_is, confirm_across
from errata.proof.settings import Proof, ProofKind

__all__ = ["Proved", "part", "prove"]

Progress = Callable[[float, str], None]

LEAST_RERUNS = 199
"""A cross-confirmation that is calibrated is rerun at least so often: its critical value stands for those of reruns."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Proved:
    """What was proposed and what became of it.

    evaluation   the rows with the fold in which each was judged; every row confirms in a cross-confirmation
    calibration  None where it was not asked for
    """

    proof: ProofKind
    proposals: Proposals
    confirmation: Confirmation
    evaluation: Evaluation
    calibration: Calibration | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Done:
    """What was proved, and what a calibration runs again: the search, and which rows confirm in it."""

    proved: Proved
    search: SplitSearch | CrossSearch
    judged: Bool | None = None


def prove(
    methods: Sequence[Any], evaluation: Evaluation, how: Proof, *, job: Job, watch: Callable[[str], None],
    seed: int = 0, split_seed: int = 0,
) -> Proved:  # fmt: skip
    """Run methods and judge what they propose as `how` says.

    job    for the first run of the methods on a split, and where progress is reported
    watch  told the name of each part when it ends
    """
    how.check(evaluation)
    report = job.progress
    first, second = (part(report, 0.0, 0.4), part(report, 0.4, 1.0)) if how.calibrate else (report, report)
    job = replace(job, progress=first)
    if how.kind(evaluation) == "cross":
        done = _across(methods, evaluation, how, job=job, seed=seed, split_seed=split_seed)
    else:
        done = _split(methods, evaluation, how, job=job, watch=watch, seed=seed)
    watch("confirm")
    if not how.calibrate:
        return done.proved
    told = calibrate(portable(evaluation), done.search, judged=done.judged, each=each, progress=second)
    watch("calibrate")
    return replace(done.proved, calibration=told)


def _split(
    methods: Sequence[Any], evaluation: Evaluation, how: Proof, *, job: Job, watch: Callable[[str], None], seed: int
) -> _Done:
    report = job.progress
    grams = _grams(evaluation, again=how.calibrate)
    evaluation = grams.prepare(evaluation)
    proposals = propose(methods, evaluation, replace(job, progress=part(report, 0.0, 0.9)))
    watch("propose")
    check = partial(
        confirm, alpha=how.alpha, min_support=how.min_support, min_difference=how.min_difference,
        max_proposals=how.max_proposals, multiplicity=how.multiplicity,
    )  # fmt: skip
    confirmation = check(proposals.slices, evaluation, progress=part(report, 0.9, 1.0))
    confirmation = replace(confirmation, caveats=(*confirmation.caveats, *grams.caveats))
    proved = Proved(proof="split", proposals=proposals, confirmation=confirmation, evaluation=evaluation)
    again = Proposer(methods=tuple(methods), seed=seed, budget=job.budget)
    return _Done(proved=proved, search=SplitSearch(propose=again, confirm=check, prepare=grams.prepare))


def _across(
    methods: Sequence[Any], evaluation: Evaluation, how: Proof, *, job: Job, seed: int, split_seed: int
) -> _Done:
    trying, grams = Trying(methods, seed=seed), _grams(evaluation, again=True)
    crossed = confirm_across(
        portable(evaluation), trying, alpha=how.alpha, multiplicity=how.multiplicity, min_support=how.min_support,
        min_difference=how.min_difference, max_proposals=how.max_proposals, split_seed=split_seed,
        prepare=grams.prepare, again=lambda: trying.again, each=each,
        least_reruns=LEAST_RERUNS if how.calibrate else 0, progress=job.progress,
    )  # fmt: skip
    caveats = (*crossed.confirmation.caveats, *grams.caveats)
    if trying.left_out:
        caveats += (f"too slow for hundreds of reruns, and so left out: {', '.join(trying.left_out)}",)
    if job.budget is not None:
        caveats += ("`--budget` shortens the search of a split; across folds every rerun must search as the first did",)
    folds = crossed.procedure.folds
    # One search of all rows, whose proposals nobody judges, says more than those of five times four fifths of them.
    shown = trying.shown(replace(evaluation, fold=np.where(folds >= 0, EXPLORE, LEFT_OUT).astype(np.int8)))
    proved = Proved(
        proof="cross", proposals=Proposals(slices=(), records=trying.records, evidence=shown),
        confirmation=replace(crossed.confirmation, caveats=caveats),
        evaluation=replace(
            grams.read_by(crossed.confirmation.findings, evaluation), fold=crossed.evaluation.fold, cross=folds
        ),
    )  # fmt: skip
    search = CrossSearch(procedure=crossed.procedure, critical=crossed.critical)
    return _Done(proved=proved, search=search, judged=folds >= 0)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Grams:
    """The n-grams of a run's texts: how an evaluation gets those that its explore rows choose, and caveats."""

    prepare: Prepare = as_is
    caveats: tuple[str, ...] = ()

    def read_by(self, findings: Sequence[Finding], evaluation: Evaluation) -> Evaluation:
        """The evaluation with the n-grams that rules of findings read: each fold has chosen others."""
        if not isinstance(self.prepare, NGrams):
            return evaluation
        names = dict.fromkeys(name for finding in findings for name in finding.rule.columns)
        read = {name: gram for name in names if (gram := gram_of(name)) is not None}
        return replace(
            evaluation, dataset=self.prepare.added(evaluation.dataset, list(read.values())),
            features=tuple(dict.fromkeys((*evaluation.features, *read))),
        )  # fmt: skip


def _grams(evaluation: Evaluation, *, again: bool) -> _Grams:
    """N-grams are chosen by the errors of explore rows: what is run `again` on other errors has to choose anew."""
    if any(source.kind == KIND for source in evaluation.dataset.sources) and not again:
        return _Grams()
    found = NGrams.of(evaluation)
    if found is None:
        return _Grams()
    if again and not found.whole:
        said = f"more than {MOST_TEXTS:,} texts: words were not looked for, since every rerun would read all texts anew"
        return _Grams(caveats=(said,))
    return _Grams(prepare=found)


def part(progress: Progress, start: float, stop: float) -> Progress:
    """A progress report for one stretch of the whole."""
    return lambda share, words: progress(start + share * (stop - start), words)
