"""What is dropped before testing, each time for the reason given."""

from typing import Any

import numpy as np
import pytest

from errata.core.columns import Column, Table
from errata.core.dataset import Dataset
from errata.core.evaluation import CONFIRM, EXPLORE, Evaluation
from errata.core.rules import Where
from errata.core.slices import Slice
from errata.proof.sample import grounds
from errata.proof.settle import Dropped, Settled, gather, settle


def evaluated(seed: int = 0, n: int = 8_000, **more: Any) -> Evaluation:
    """Errors are more frequent for x > 0.8 and, elsewhere, for z > 0.9."""
    rng = np.random.default_rng(seed)
    x, z = rng.random(n), rng.random(n)
    codes = rng.integers(0, 2, n).astype(np.int32)
    loss = (rng.random(n) < 0.1 + 0.3 * (x > 0.8) + 0.3 * (z > 0.9)).astype(float)
    table = {
        "x": Column.number(x),
        "z": Column.number(z),
        "y": Column(kind="category", values=codes, levels=("a", "b")),
    }
    dataset = Dataset(
        name="test", modality="table", table=Table(table), id_hash=np.arange(n, dtype=np.uint64),
        occurrence=np.zeros(n, np.uint32), label="y",
    )  # fmt: skip
    known: dict[str, Any] = {
        "dataset": dataset, "model": None, "task": "classification", "metric": "error", "classes": ("a", "b"),
        "labels": codes, "predicted": codes, "scores": None, "loss": loss, "stratum": codes,
        "fold": np.where(np.arange(n) % 2 == 0, EXPLORE, CONFIRM).astype(np.int8), "counted": np.ones(n, bool),
        "group": None, "features": ("x", "z", "y"),
    }  # fmt: skip
    return Evaluation(**{**known, **more})


def settled(ev: Evaluation, *texts: str, most: int = 100, least: int | None = None) -> Settled:
    kinds = grounds(ev)
    slices = [Slice(rule=Where.parse(text), proposed_by=(f"method {k}",)) for k, text in enumerate(texts)]
    return settle(
        gather(slices, ev, kinds), kinds, rows=len(ev.fold), min_support=least, max_proposals=most
    )  # fmt: skip


def kept(result: Settled) -> list[str]:
    return [proposal.slice.rule.text for proposal in result.tested]


def why(result: Settled, text: str) -> Dropped:
    return next(dropped for dropped in result.dropped if dropped.rule == text)


def test_alike_proposals_are_one_of_both_proposers() -> None:
    result = settled(evaluated(), "x > 0.82", "x > 0.8")
    assert kept(result) == ["x > 0.8"]
    assert result.tested[0].slice.proposed_by == ("method 1", "method 0")
    assert why(result, "x > 0.82").under == result.tested[0].slice.id


@pytest.mark.parametrize(("width", "alike"), [(0.19, True), (0.165, True), (0.155, False), (0.14, False)])
def test_alike_from_a_jaccard_of_eight_tenths_on(width: float, alike: bool) -> None:
    # An interval inside x > 0.805, whose width is .195, goes either way: as alike, or as nested.
    result = settled(evaluated(n=40_000), f"x > {0.995 - width} and x <= 0.995", "x > 0.805")
    assert len(result.dropped) == 1
    jaccard = width / 0.195
    assert (jaccard >= 0.8) == alike
    same = "nearly the same" in result.dropped[0].why
    assert same == alike


def test_nested_keeps_the_larger_gain() -> None:
    inner = settled(evaluated(), "x > 0.8", "x > 0.3")
    assert kept(inner) == ["x > 0.8"]
    outer = settled(evaluated(), "x > 0.8", "x > 0.95")
    assert kept(outer) == ["x > 0.8"]
    assert "contains" in why(outer, "x > 0.95").why


def test_slices_that_err_less_never_stand_in_for_others() -> None:
    # z <= 0.9 holds all of z < 0.05 and has by far the larger gain, for the wrong reason.
    z = np.asarray(evaluated().dataset.table.column("z").values)
    rate = np.where(z > 0.9, 1.0, np.where(z < 0.05, 0.35, 0.1))
    ev = evaluated(loss=(np.random.default_rng(2).random(len(z)) < rate).astype(float))
    result = settled(ev, "z < 0.05", "z <= 0.9")
    assert kept(result) == ["z < 0.05"]
    assert "contains" in why(result, "z <= 0.9").why


def test_redundant_proposals_leave_nothing_outside_the_better() -> None:
    result = settled(evaluated(), "x > 0.8", "x > 0.6 and x <= 0.9", "z > 0.9")
    assert set(kept(result)) == {"x > 0.8", "z > 0.9"}
    assert "nothing is left" in why(result, "x > 0.6 and x <= 0.9").why


def test_too_few_members_outside_the_better() -> None:
    # An eighth of x > 0.77 lies outside x > 0.8: too much to be nested, and of 400 rows too few to stay.
    result = settled(evaluated(n=400), "x > 0.8", "x > 0.77 and z <= 0.6")
    assert kept(result) == ["x > 0.8"]
    assert why(result, "x > 0.77 and z <= 0.6").why == "fewer than 10 members lie outside the better proposals"


@pytest.mark.parametrize(("fold", "name"), [(EXPLORE, "explore"), (CONFIRM, "confirm")])
def test_minimum_support_in_both_folds(fold: int, name: str) -> None:
    ev = evaluated(n=400)
    x = np.asarray(ev.dataset.table.column("x").values).copy()
    x[(x > 0.8) & (ev.fold == fold)] = 0.1
    x[np.flatnonzero(ev.fold == fold)[:9]] = 0.9
    table = ev.dataset.table.with_columns({"x": Column.number(x)})
    ev = evaluated(n=400, dataset=ev.dataset.with_table(table))
    result = settled(ev, "x > 0.8")
    assert kept(result) == []
    assert why(result, "x > 0.8").why == f"9 rows among {name} rows, fewer than 10"
    assert (
        kept(settled(ev, "x > 0.8", least=9)) == ["x > 0.8"]
        or "nothing is left" in settled(ev, "x > 0.8", least=9).dropped[0].why
    )


def test_the_cap_keeps_what_explains_most_errors() -> None:
    # z > 0.97 errs most, but x > 0.8 has seven times its members.
    columns = evaluated().dataset.table
    x, z = (np.asarray(columns.column(name).values) for name in ("x", "z"))
    rate = 0.1 + 0.2 * (x > 0.8) + 0.6 * (z > 0.97)
    ev = evaluated(loss=(np.random.default_rng(3).random(len(x)) < rate).astype(float))
    assert set(kept(settled(ev, "z > 0.97", "x > 0.8"))) == {"z > 0.97", "x > 0.8"}
    result = settled(ev, "z > 0.97", "x > 0.8", most=1)
    assert kept(result) == ["x > 0.8"]
    assert "beyond the 1 proposals" in why(result, "z > 0.97").why


def test_a_rule_proposed_twice_is_one_proposal() -> None:
    result = settled(evaluated(), "x > 0.8", "x > 0.8")
    assert [p.slice.proposed_by for p in result.tested] == [("method 0", "method 1")]
    assert result.dropped == ()


def test_class_rates_and_errors_are_settled_apart() -> None:
    ev = evaluated()
    loss = np.maximum(ev.loss, (ev.labels == 1) & (np.random.default_rng(1).random(8_000) < 0.3))
    result = settled(evaluated(loss=loss), 'y = "b"', 'y = "b" and x > 0.8')
    assert result.dropped == ()
    assert {p.family for p in result.tested} == {"class rates", "errors"}


def test_circular_proposals_are_set_apart() -> None:
    result = settled(evaluated(outputs=("z",)), "z > 0.9", "x > 0.8")
    assert kept(result) == ["x > 0.8"]
    assert [p.reads for p in result.circular] == [("z",)]


def test_what_nothing_is_comparable_with_goes_on_to_be_untestable() -> None:
    group = (np.arange(8_000) // 2 % 6).astype(np.int32)
    ev = evaluated(group=group)
    table = ev.dataset.table.with_columns({"site": Column.number(group)})
    ev = evaluated(group=group, dataset=ev.dataset.with_table(table))
    assert kept(settled(ev, "site > 3")) == ["site > 3"]


def test_members_survive_packing() -> None:
    for n in (8, 63, 64, 65, 1_001):
        ev = evaluated(n=n)
        proposals = gather([Slice(rule=Where.parse("x > 0.5"))], ev, grounds(ev))
        assert np.array_equal(proposals[0].members(n), np.asarray(ev.dataset.table.column("x").values) > 0.5)
