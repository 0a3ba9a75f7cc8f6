"""Runs methods on explore rows; a method that cannot run or fails is a record, and the others go on."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from errata.core.diagnosis import MethodRecord
from errata.core.errors import ErrataError
from errata.core.evaluation import Evaluation
from errata.core.method import Job, info, options
from errata.core.slices import Slice
from errata.ops.comparable import within_comparable

__all__ = ["Proposals", "propose"]

_log = logging.getLogger("errata")


@dataclass(frozen=True, kw_only=True)
class Proposals:
    """What the methods of one run proposed; equal rules are one slice with several proposers."""

    slices: tuple[Slice, ...]
    records: tuple[MethodRecord, ...]


def propose(methods: Sequence[Any], evaluation: Evaluation, job: Job) -> Proposals:
    """Run every method on the explore rows of `evaluation` and collect its slices, in the order of the methods.

    Each method gets what is left of the budget; one whose turn comes when it is spent is skipped.
    """
    explore = evaluation.explore()
    found: dict[str, Slice] = {}
    records = []
    start = time.perf_counter()
    for index, method in enumerate(methods):
        name = info(method).name
        began = time.perf_counter()
        mine = _share(job, index, len(methods), name, spent=began - start)
        status, message, slices = _run(method, evaluation, explore, mine)
        for proposed in slices:
            proposal = replace(proposed, rule=within_comparable(proposed.rule, explore))
            known = found.get(proposal.id)
            proposers = (name,) if known is None else (*known.proposed_by, name)
            found[proposal.id] = replace(proposal, proposed_by=tuple(dict.fromkeys(proposers)))
        seconds = round(time.perf_counter() - began, 3)
        records.append(MethodRecord(
            name=name, options=options(method), seconds=seconds, proposed=len(slices), status=status, message=message,
        ))  # fmt: skip
    return Proposals(slices=tuple(found.values()), records=tuple(records))


def _run(method: Any, evaluation: Evaluation, explore: Evaluation, job: Job) -> tuple[str, str, Sequence[Slice]]:
    missing = _lacks(info(method).needs, evaluation, job)
    if missing:
        return "skipped", missing, ()
    if job.budget is not None and job.budget <= 0.0:
        return "skipped", "the budget was spent by the methods before it", ()
    if not len(explore) or not float(explore.view().loss.sum()):
        return "skipped", "there are no errors among the explore rows", ()
    try:
        return "done", "", method.run(explore, job)
    except ErrataError as error:
        return "failed", str(error), ()
    except Exception as error:  # a method is third-party code: its failure must not take the others down
        _log.exception("method %s failed with %s", info(method).name, options(method))
        return "failed", f"{type(error).__name__}: {error}", ()


def _lacks(needs: frozenset[str], evaluation: Evaluation, job: Job) -> str:
    """Why a method cannot run, or nothing."""
    have = {"label", evaluation.task}
    if evaluation.binary_loss:
        have.add("wrong")
    if evaluation.scores is not None:
        have.add("scores")
    if job.model is not None:
        have.add("model")
    lacking = sorted(needs - have)
    if not lacking:
        return ""
    return f"needs {', '.join(lacking)}; this run has {', '.join(sorted(have))}"


def _share(job: Job, index: int, count: int, name: str, *, spent: float) -> Job:
    """The job with its progress scaled to this method's part of the whole, and what is left of its budget."""
    whole = job.progress
    left = None if job.budget is None else max(0.0, job.budget - spent)
    return replace(job, budget=left, progress=lambda share, words: whole((index + share) / count, f"{name}: {words}"))
