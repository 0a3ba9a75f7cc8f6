"""Runs methods on explore rows; a method that cannot run or fails is a record, and the others go on."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from errata.core.diagnosis import MethodRecord
from errata.core.errors import ErrataError
from errata.core.evaluation import OUTPUT_COLUMNS, Evaluation
from errata.core.evidence import Evidence
from errata.core.method import Job, info, options
from errata.core.slices import Slice
from errata.engine.machine import cores, numeric_threads
from errata.ops.comparable import within_comparable
from errata.ops.conjunctions import imitate

__all__ = ["Proposals", "as_testable", "propose"]

_log = logging.getLogger("errata")

SIDE_BY_SIDE = 40_000_000
"""Cells of the explore rows up to which methods run side by side: above, the memory of one at a time is enough."""


@dataclass(frozen=True, kw_only=True)
class Proposals:
    """What the methods of one run proposed; equal rules are one slice with several proposers."""

    slices: tuple[Slice, ...]
    records: tuple[MethodRecord, ...]
    evidence: tuple[Evidence, ...] = ()


def propose(methods: Sequence[Any], evaluation: Evaluation, job: Job) -> Proposals:
    """Run every method on the explore rows of `evaluation` and collect its slices, in the order of the methods.

    Methods run side by side, one per core, each with a random generator of its own, so that the result does not depend
    on who ends first; in tables of many millions of cells one after the other, for the sake of memory. Each gets what
    is left of the budget; one whose turn comes when it is spent is skipped.
    """
    explore = evaluation.explore()
    planned = [one for method in methods for one in _over_embeddings(method, evaluation)]
    watch = _Watch(job=job, count=len(planned))
    generators = job.rng.spawn(len(planned))

    def work(index: int) -> _Ran:
        return _ran(planned[index], evaluation, explore, watch.job_of(index, info(planned[index]).name, generators))

    workers = 1 if len(explore) * len(explore.features) > SIDE_BY_SIDE else min(cores(), len(planned))
    if workers < 2:
        done = [work(index) for index in range(len(planned))]
    else:
        if any("torch" in info(method).needs and not _lacks(method, evaluation, watch.job) for method in planned):
            import_module("torch")  # half loaded by one thread it breaks scipy.stats, which looks at it, in another
        # Methods share the cores: each with as many threads as there are cores would stand in the others' way.
        with numeric_threads(max(1, cores() // workers)), ThreadPoolExecutor(workers) as pool, watch.stopping():
            done = list(pool.map(work, range(len(planned))))
    found: dict[str, Slice] = {}
    for ran in done:
        for proposal in ran.slices:
            named = replace(proposal, proposed_by=(ran.record.name,))
            found[named.id] = found[named.id].also(named) if named.id in found else named
    return Proposals(
        slices=tuple(found.values()), records=tuple(ran.record for ran in done),
        evidence=tuple(shown for ran in done for shown in ran.evidence),
    )  # fmt: skip


def as_testable(proposed: Slice, explore: Evaluation) -> Slice:
    """The slice as it can be tested: under a rule that does not read the model's output, where there is one.

    A rule that reads the output gives way to the method's own `independent` rule, else to a predicate over inputs,
    label and metadata with nearly the same members, fitted on explore rows; where that fails too it stays, and ends as
    `circular` (docs/proof.md section 2).
    """
    outputs = {*OUTPUT_COLUMNS, *explore.outputs}
    rule = proposed.rule
    if outputs.intersection(rule.columns):
        if proposed.independent is not None and not outputs.intersection(proposed.independent.columns):
            rule = proposed.independent
        else:
            rule = imitate(np.asarray(rule.members(explore), dtype=bool), explore) or rule
    return replace(proposed, rule=within_comparable(rule, explore))


def _over_embeddings(method: Any, evaluation: Evaluation) -> list[Any]:
    """The method once for each embedding that it should read: where none is named, the best independent one and the
    model's own."""
    if "embedding" not in info(method).needs or getattr(method, "embedding", None) != "":
        return [method]
    independent = [name for name in evaluation.embeddings if name not in evaluation.outputs]
    own = [name for name in evaluation.embeddings if name in evaluation.outputs]
    if independent:
        # Scores beside an independent embedding gave circular proposals only, at the price of imitating each.
        own = [name for name in own if name != "embedding:scores"]
    chosen = [*independent[:1], *own][:2]
    return [replace(method, embedding=name) for name in chosen] or [method]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Ran:
    """What one method gave."""

    record: MethodRecord
    slices: tuple[Slice, ...]
    evidence: tuple[Evidence, ...] = ()


@dataclass(kw_only=True, eq=False)
class _Watch:
    """The clock and the progress of all methods together."""

    job: Job
    count: int
    began: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self._shares = [0.0] * self.count
        self._lock = threading.Lock()
        self._stopped = False

    @contextmanager
    def stopping(self) -> Iterator[None]:
        """When the run is interrupted, methods still at work end at their next word on progress."""
        try:
            yield
        except BaseException:
            self._stopped = True
            raise

    def job_of(self, index: int, name: str, generators: Sequence[np.random.Generator]) -> Job:
        """The job of one method: its own randomness, its part of the progress, what is left of the budget."""
        whole = self.job.progress

        def progress(share: float, words: str) -> None:
            if self._stopped:
                raise InterruptedError("the run was interrupted")
            with self._lock:
                self._shares[index] = max(self._shares[index], min(1.0, share))
                whole(sum(self._shares) / self.count, f"{name}: {words}")

        spent = time.perf_counter() - self.began
        left = None if self.job.budget is None else max(0.0, self.job.budget - spent)
        return replace(self.job, rng=generators[index], budget=left, progress=progress, said=[], shown=[])


def _ran(method: Any, evaluation: Evaluation, explore: Evaluation, job: Job) -> _Ran:
    began = time.perf_counter()
    status, message, slices = _run(method, evaluation, explore, job)
    job.progress(1.0, "done")
    record = MethodRecord(
        name=info(method).name, options=options(method), seconds=round(time.perf_counter() - began, 3),
        proposed=len(slices), status=status,
        message=message or " ".join(job.said),
    )  # fmt: skip
    return _Ran(record=record, slices=slices, evidence=tuple(job.shown))


def _run(method: Any, evaluation: Evaluation, explore: Evaluation, job: Job) -> tuple[str, str, tuple[Slice, ...]]:
    missing = _lacks(method, evaluation, job)
    if missing:
        return "skipped", missing, ()
    if job.budget is not None and job.budget <= 0.0:
        return "skipped", "the budget was spent by the methods before it", ()
    if not len(explore) or not float(explore.view().loss.sum()):
        return "skipped", "there are no errors among the explore rows", ()
    try:
        return "done", "", tuple(as_testable(proposed, explore) for proposed in method.run(explore, job))
    except ErrataError as error:
        return "failed", str(error), ()
    except Exception as error:  # a method is third-party code: its failure must not take the others down
        _log.exception("method %s failed with %s", info(method).name, options(method))
        return "failed", f"{type(error).__name__}: {error}", ()


def _lacks(method: Any, evaluation: Evaluation, job: Job) -> str:
    """Why a method cannot run, or nothing."""
    needs = info(method).needs
    have = {"label", evaluation.task}
    if evaluation.binary_loss:
        have.add("wrong")
    if evaluation.scores is not None:
        have.add("scores")
    if evaluation.embeddings:
        have.add("embedding")
    if evaluation.metadata:
        have.add("metadata")
    if evaluation.dataset.text is not None:
        have.add("text")
    if "torch" in needs and find_spec("torch") is not None:
        have.add("torch")
    if job.model is not None:
        have.add("model")
    lacking = sorted(needs - have)
    if not lacking:
        return ""
    return f"needs {', '.join(lacking)}; this run has {', '.join(sorted(have))}"
