"""Methods as something that can be run again and again, in other processes: what reruns and calibration need."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from errata.core.columns import Table
from errata.core.diagnosis import MethodRecord
from errata.core.evaluation import Evaluation
from errata.core.evidence import Evidence
from errata.core.method import Job, info
from errata.core.slices import Slice
from errata.engine.propose import propose

__all__ = ["LONGEST", "Proposer", "Trying", "portable"]

LONGEST = 1.0
"""Seconds that the methods of one fold may take together: a hundred reruns of five folds then take
four minutes on two cores. The cheapest are kept; what else the machine does meanwhile counts little."""

PATIENCE = 10.0
"""Up to so many times `LONGEST` a method is run a second time before it is left out: its first run loads libraries."""


@dataclass(frozen=True, kw_only=True)
class Proposer:
    """Methods with a seed and a budget: gives the slices that they propose for the explore rows of an evaluation."""

    methods: tuple[Any, ...]
    seed: int = 0
    budget: float | None = None

    def __call__(self, evaluation: Evaluation) -> tuple[Slice, ...]:
        found: dict[str, Slice] = {}
        began = time.perf_counter()
        for method in self.methods:
            left = None if self.budget is None else max(0.0, self.budget - (time.perf_counter() - began))
            _add(found, propose([method], evaluation, _job(evaluation, self.seed, left)).slices)
        return tuple(found.values())


class Trying:
    """A proposer that finds out, on its first call, which methods are quick enough to be run hundreds of times.

    A method that needs the live model is not: nothing of what it finds changes when the model's answers are permuted.
    `records` says what became of each method, over all calls; no call shows anything but `shown`.
    """

    def __init__(self, methods: Sequence[Any], *, seed: int = 0, longest: float = LONGEST) -> None:
        self._methods, self._seed, self._longest = tuple(methods), seed, longest
        self._kept: tuple[Any, ...] | None = None
        self._listing = {at for at, method in enumerate(self._methods) if not info(method).tested}
        self._records: dict[str, MethodRecord] = {}

    def __call__(self, evaluation: Evaluation) -> tuple[Slice, ...]:
        """The slices of the methods that are kept."""
        trial = self._kept is None
        seconds: dict[int, float] = {}
        keys: dict[int, list[str]] = {}
        slices: dict[int, tuple[Slice, ...]] = {}
        for at, method in enumerate(self._methods if self._kept is None else self._kept):
            began = _Clock()
            ran = propose([method], evaluation, _job(evaluation, self._seed))
            seconds[at], slices[at] = began.seconds, ran.slices
            keys[at] = self._note(ran.records)
        if trial:
            kept = self._tried_twice(seconds, evaluation)
            for at in seconds.keys() - set(kept):
                self._leave_out(keys[at], seconds[at])
            self._kept = tuple(method for at, method in enumerate(self._methods) if at in kept)
            slices = {at: slices[at] for at in kept}
        found: dict[str, Slice] = {}
        for proposed in slices.values():
            _add(found, proposed)
        return tuple(found.values())

    @property
    def again(self) -> Proposer:
        """The methods that are kept, for reruns; those that only list suspected labels need none."""
        kept = self._methods if self._kept is None else self._kept
        listing = [self._methods[at] for at in self._listing]
        return Proposer(methods=tuple(method for method in kept if method not in listing), seed=self._seed)

    def shown(self, evaluation: Evaluation) -> tuple[Evidence, ...]:
        """What the methods that are kept show of the explore rows; the slices that they propose are dropped."""
        job = replace(_job(evaluation, self._seed), showing=True)
        return propose(self.again.methods, evaluation, job).evidence

    @property
    def records(self) -> tuple[MethodRecord, ...]:
        return tuple(self._records.values())

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of the methods that took too long."""
        gone = [method for method in self._methods if self._kept is not None and method not in self._kept]
        return tuple(dict.fromkeys(map(_name, gone)))

    def _tried_twice(self, seconds: dict[int, float], evaluation: Evaluation) -> list[int]:
        """The methods to keep, by the seconds of a second run where the first one was too slow; places in order."""
        kept = self._cheapest(seconds)
        for at in sorted(seconds.keys() - set(kept), key=lambda at: seconds[at]):
            if seconds[at] <= PATIENCE * self._longest:
                began = _Clock()
                propose([self._methods[at]], evaluation, _job(evaluation, self._seed))
                seconds[at] = min(seconds[at], began.seconds)
        return self._cheapest(seconds)

    def _cheapest(self, seconds: dict[int, float]) -> list[int]:
        kept, total = [], 0.0
        for at in sorted(seconds, key=lambda at: seconds[at]):
            total += 0.0 if at in self._listing else seconds[at]
            if total <= self._longest or at in self._listing:
                kept.append(at)
        return sorted(kept)

    def _leave_out(self, keys: Sequence[str], seconds: float) -> None:
        message = f"{seconds:.1f} s per fold are too many for hundreds of reruns (`--proof split` runs it)"
        for key in keys:
            self._records[key] = replace(self._records[key], status="skipped", proposed=0, message=message)

    def _note(self, records: Sequence[MethodRecord]) -> list[str]:
        """Add up what became of each method; the keys of these records."""
        keys = []
        for record in records:
            key = f"{record.name} {sorted(record.options.items(), key=str)}"
            keys.append(key)
            before = self._records.get(key)
            if before is not None:
                # A fold without errors skips a method that ran on the others.
                status = "done" if "done" in (before.status, record.status) else record.status
                record = replace(  # noqa: PLW2901
                    record, seconds=round(before.seconds + record.seconds, 3),
                    proposed=before.proposed + record.proposed, status=status,
                    message="" if status == "done" else record.message,
                )  # fmt: skip
            self._records[key] = record
        return keys


class _Clock:
    """Seconds since it was made: of the wall, or of the processor where other work on the machine has slowed it."""

    def __init__(self) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()

    @property
    def seconds(self) -> float:
        return min(time.perf_counter() - self._wall, time.process_time() - self._processor)


def portable(evaluation: Evaluation) -> Evaluation:
    """The evaluation without what cannot be sent to another process: readers of inputs and pictures."""
    data = evaluation.dataset
    table = Table({name: data.table.column(name) for name in data.table})
    return replace(evaluation, dataset=replace(data, table=table, read=None, image=None))


def _job(evaluation: Evaluation, seed: int, budget: float | None = None) -> Job:
    return Job(rng=np.random.default_rng(seed), dataset=evaluation.dataset, budget=budget, showing=False)


def _name(method: Any) -> str:
    return info(method).name


def _add(found: dict[str, Slice], slices: Sequence[Slice]) -> None:
    for proposal in slices:
        known = found.get(proposal.id)
        found[proposal.id] = proposal if known is None else known.also(proposal)
