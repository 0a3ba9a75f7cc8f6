"""Methods run one after another; what one of them does wrong is a record, not the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from errata.core.evaluation import EXPLORE, Evaluation
from errata.core.evidence import Statistic
from errata.core.method import Job, method
from errata.core.rules import Where
from errata.core.slices import Slice
from errata.engine.propose import propose
from errata.testing import planted


@method()
@dataclass(frozen=True, kw_only=True)
class Young:
    """Always the same slice."""

    age: int = 30

    def run(self, evaluation: Evaluation, job: Job) -> Sequence[Slice]:
        assert (evaluation.of(evaluation.fold) == EXPLORE).all(), "a method reads explore rows only"
        return [Slice(rule=Where.parse(f"age < {self.age}"))]


@method()
@dataclass(frozen=True, kw_only=True)
class Broken:
    """Always fails."""

    def run(self, evaluation: Evaluation, job: Job) -> Sequence[Slice]:
        raise ZeroDivisionError("by nothing")


@method(needs={"torch"})
@dataclass(frozen=True, kw_only=True)
class Deep:
    """Reads a large library while others are at work."""

    def run(self, evaluation: Evaluation, job: Job) -> Sequence[Slice]:
        import torch

        assert torch.Tensor
        return []


@method()
@dataclass(frozen=True, kw_only=True)
class Curious:
    """Looks at that library, as scipy.stats does, once somebody has begun to load it."""

    def run(self, evaluation: Evaluation, job: Job) -> Sequence[Slice]:
        until = time.monotonic() + 0.2
        while "torch" not in sys.modules and time.monotonic() < until:
            time.sleep(0.001)
        assert hasattr(sys.modules.get("torch"), "Tensor")
        return []


@method(needs={"gradients"})
@dataclass(frozen=True, kw_only=True)
class Demanding:
    """Needs what a black box has not."""

    def run(self, evaluation: Evaluation, job: Job) -> Sequence[Slice]:
        return []


def job() -> Job:
    return Job(rng=np.random.default_rng(0))


def test_a_method_that_fails_or_cannot_run_is_a_record_and_the_others_go_on() -> None:
    evaluation = planted("literal", n=1_000, seed=0).evaluation()
    made = propose([Broken(), Demanding(), Young(age=40)], evaluation, job())
    assert [record.status for record in made.records] == ["failed", "skipped", "done"]
    assert "ZeroDivisionError: by nothing" in made.records[0].message
    assert "needs gradients" in made.records[1].message
    assert made.records[2].options == {"age": 40}
    assert [one.rule.text for one in made.slices] == ["age < 40"]


def test_no_method_sees_another_s_library_half_loaded(tmp_path, monkeypatch) -> None:
    (tmp_path / "torch.py").write_text(
        "import time\ntime.sleep(0.2)\nTensor = int\nset_num_threads = abs\ndef get_num_threads(): return 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr("errata.engine.propose.cores", lambda: 2)
    try:
        made = propose([Deep(), Curious()], planted("literal", n=1_000, seed=0).evaluation(), job())
    finally:
        sys.modules.pop("torch", None)
    assert [record.message for record in made.records] == ["", ""]


def test_a_rule_proposed_twice_is_one_slice_of_its_proposers() -> None:
    evaluation = planted("literal", n=1_000, seed=0).evaluation()
    made = propose([Young(), Young()], evaluation, job())
    assert len(made.slices) == 1
    assert len(made.slices[0].proposed_by) == 1
    assert [record.proposed for record in made.records] == [1, 1]


def test_without_errors_nothing_is_asked() -> None:
    evaluation = planted("literal", n=1_000, seed=0).evaluation()
    from dataclasses import replace

    perfect = replace(evaluation, loss=np.zeros_like(evaluation.loss))
    made = propose([Young()], perfect, job())
    assert made.records[0].status == "skipped"
    assert "no errors" in made.records[0].message


def test_a_spent_budget_skips_what_comes_after() -> None:
    from dataclasses import replace

    evaluation = planted("literal", n=1_000, seed=0).evaluation()
    made = propose([Young(), Young(age=40)], evaluation, replace(job(), budget=0.0))
    assert [record.status for record in made.records] == ["skipped", "skipped"]
    assert "budget" in made.records[0].message


@dataclass(frozen=True)
class Torn:
    """A rule that cannot be read."""

    kind: str = "torn"
    text: str = "torn"
    columns: tuple[str, ...] = ("errata:wrong",)

    def members(self, columns: object) -> np.ndarray:
        raise RuntimeError("torn")

    def to_json(self) -> dict[str, object]:
        return {"kind": self.kind, "text": self.text, "columns": list(self.columns)}


@method()
@dataclass(frozen=True, kw_only=True)
class Tearing:
    """Proposes what cannot be turned into a rule that can be tested."""

    def run(self, evaluation: Evaluation, job: Job) -> Sequence[Slice]:
        return [Slice(rule=Torn())]


def test_a_rule_that_breaks_takes_only_its_method_down() -> None:
    evaluation = planted("literal", n=1_000, seed=0).evaluation()
    made = propose([Tearing(), Young()], evaluation, job())
    assert [record.status for record in made.records] == ["failed", "done"]
    assert "RuntimeError: torn" in made.records[0].message
    assert len(made.slices) == 1


@method()
@dataclass(frozen=True, kw_only=True)
class Shown:
    """The slice of `Young`, with something to show of it."""

    words: str = "seen"

    def run(self, evaluation: Evaluation, job: Job) -> Sequence[Slice]:
        job.say(f"said {self.words}")
        return [Slice(rule=Where.parse("age < 30"), evidence=(Statistic(name=self.words, value=1.0),))]


def test_what_several_methods_show_of_a_slice_stands_side_by_side() -> None:
    evaluation = planted("literal", n=1_000, seed=0).evaluation()
    made = propose([Shown(words="first"), Young(), Shown(words="second")], evaluation, job())
    (only,) = made.slices
    assert [item.name for item in only.evidence] == ["first", "second"]
    assert [record.message for record in made.records] == ["said first", "", "said second"]
