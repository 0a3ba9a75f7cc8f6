"""Methods that are run again: the slow ones are left out and said, those that only list labels are not rerun."""

from __future__ import annotations

import pickle
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from errata.core.evaluation import Evaluation
from errata.core.method import Job, method
from errata.core.rules import Where
from errata.core.slices import MISLABELLED, Slice
from errata.engine.rerun import Proposer, Trying, portable
from errata.testing import planted


def _work(seconds: float) -> None:
    """Keep the processor busy."""
    began = time.process_time()
    while time.process_time() - began < seconds:
        pass


@method()
@dataclass(frozen=True, kw_only=True)
class Quick:
    """A slice of its own and one that the other proposes too."""

    age: int = 30

    def run(self, evaluation: Evaluation, job: Job) -> Sequence[Slice]:
        return [Slice(rule=Where.parse(f"age < {self.age}")), Slice(rule=Where.parse("age > 70"))]


@method()
@dataclass(frozen=True, kw_only=True)
class Slow:
    """Takes its time."""

    seconds: float = 0.3

    def run(self, evaluation: Evaluation, job: Job) -> Sequence[Slice]:
        _work(self.seconds)
        return [Slice(rule=Where.parse("age > 70"))]


@method()
@dataclass(frozen=True, kw_only=True)
class Loads:
    """Loads a library in its first run."""

    runs: list[int] = field(default_factory=list)

    def run(self, evaluation: Evaluation, job: Job) -> Sequence[Slice]:
        self.runs.append(1)
        _work(0.4 if len(self.runs) == 1 else 0.0)
        return [Slice(rule=Where.parse("age > 70"))]


@method(tested=False)
@dataclass(frozen=True, kw_only=True)
class Lists:
    """Suspects labels only, and in the first fold none."""

    runs: list[int] = field(default_factory=list)

    def run(self, evaluation: Evaluation, job: Job) -> Sequence[Slice]:
        _work(0.3)
        self.runs.append(1)
        return [Slice(rule=Where.parse("age = 50"), claim=MISLABELLED)] if len(self.runs) > 1 else []


@method(needs={"model"})
@dataclass(frozen=True, kw_only=True)
class Asks:
    """Asks the model."""

    often: int = 1

    def run(self, evaluation: Evaluation, job: Job) -> Sequence[Slice]:
        raise AssertionError("there is no model to ask")


def test_slow_methods_are_left_out_and_said() -> None:
    evaluation = planted("literal", n=400, seed=0).evaluation()
    trying = Trying([Slow(), Quick(), Lists(), Asks()], longest=0.25)
    first, second = trying(evaluation), trying(evaluation)
    assert [one.rule.text for one in first] == ["age < 30", "age > 70"]
    assert [one.rule.text for one in second] == ["age < 30", "age > 70", "age = 50"]
    assert trying.left_out == ("test_rerun",)
    records = {str(record.options): record for record in trying.records}
    slow = records["{'seconds': 0.3}"]
    assert slow.status == "skipped"
    assert "too many for hundreds of reruns" in slow.message
    assert records["{'age': 30}"].proposed == 4, "two calls, two slices each"
    assert "needs model" in records["{'often': 1}"].message
    assert trying.again.methods == (Quick(), Asks()), "lists of labels are not tested, and so not rerun"


def test_what_only_the_first_run_loads_does_not_count() -> None:
    evaluation = planted("literal", n=400, seed=0).evaluation()
    loads = Loads()
    trying = Trying([loads, Slow(seconds=1.2)], longest=0.25)
    assert [one.rule.text for one in trying(evaluation)] == ["age > 70"]
    assert trying.again.methods == (loads,)
    assert len(loads.runs) == 2
    assert [record.status for record in trying.records] == ["done", "skipped"]


def test_a_proposer_credits_everybody_and_can_be_sent() -> None:
    evaluation = planted("literal", n=400, seed=0).evaluation()
    proposer = pickle.loads(pickle.dumps(Proposer(methods=(Quick(), Slow(seconds=0.0)))))
    found = {one.rule.text: one.proposed_by for one in proposer(portable(evaluation))}
    assert set(found) == {"age < 30", "age > 70"}
    assert found["age > 70"] == ("test_rerun",)


def test_a_spent_budget_ends_the_proposals() -> None:
    evaluation = planted("literal", n=400, seed=0).evaluation()
    assert len(Proposer(methods=(Slow(), Quick()), budget=0.1)(evaluation)) == 1


def test_what_is_portable_can_be_sent() -> None:
    evaluation = planted("literal", n=400, seed=0).evaluation()
    again = pickle.loads(pickle.dumps(portable(evaluation)))
    assert (again.loss == evaluation.loss).all()
    assert again.dataset.table.names == evaluation.dataset.table.names
