"""Weak regions of one or two columns get a chance beside what pays for its cuts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from errata.core.columns import Bool, Column, Table
from errata.core.evaluation import CONFIRM, Evaluation
from errata.ops.conjunctions import search
from errata.ops.regions.boundaries import fitted
from errata.ops.regions.champions import champions
from errata.ops.regions.ground import Ground
from errata.ops.regions.literals import Levels, Literal, Span
from errata.ops.regions.scan import PairBoxes, Start, falling, single_starts
from errata.testing import World, null, planted


def split(world: World) -> Evaluation:
    return world.evaluation(confirm=0.4, sealed=0.2)


def jaccard(first: Bool, second: Bool) -> float:
    return float((first & second).sum() / max(1, (first | second).sum()))


def hits(seeds: range, *, weak: bool, share: float, inside: float) -> int:
    """In how many worlds with one weak region of two columns a proposal matches it on confirm rows."""
    found = 0
    for seed in seeds:
        world = planted("intersection", columns=13, share=share, inside=inside, seed=seed)
        held = split(world).part(CONFIRM)
        truth = world.truth[0].members[held.rows]
        rules = [candidate.where for candidate in search(split(world).explore(), weak=weak)]
        found += max((jaccard(rule.members(held), truth) for rule in rules), default=0.0) >= 0.7
    return found


def test_weak_regions_are_found_more_often_with_champions() -> None:
    """benchmarks/planted.py has the curve."""
    seeds = range(100, 112)
    assert hits(seeds, weak=True, share=0.05, inside=0.25) >= hits(seeds, weak=False, share=0.05, inside=0.25) + 1


def test_a_few_proposals_more_and_none_of_them_twice() -> None:
    for seed in range(4):
        explore = split(null("iid", n=4_000, columns=13, seed=seed)).explore()
        plain, found = search(explore), search(explore, weak=True)
        assert {one.where for one in plain} <= {one.where for one in found}
        assert len(plain) < len(found) <= len(plain) + 3
        added = [one for one in found if one.where not in {other.where for other in plain}]
        assert all(len(one.where.columns) <= 2 for one in added)
        assert all(jaccard(one.members, other.members) < 0.5 for one in added for other in found if other is not one)


def test_limits_hold_for_champions_too() -> None:
    explore = split(planted("literal", columns=13, share=0.05, inside=0.25, seed=3)).explore()
    assert all(len(one.where.columns) == 1 for one in search(explore, weak=True, max_literals=1))
    assert len(search(explore, weak=True, most=1)) == 1
    assert all(one.members.sum() >= 300 for one in search(explore, weak=True, min_support=300))


def ground_of(columns: dict[str, Column], rate: np.ndarray) -> Ground:
    rng = np.random.default_rng(0)
    loss = (rng.random(len(rate)) < rate).astype(float)
    stratum = np.zeros(len(rate), dtype=np.int32)
    return Ground.of(Table(columns), list(columns), loss=loss, stratum=stratum, binary=True, least=10)


def test_both_columns_of_a_pair_are_kept() -> None:
    """The second column does not pay for its cut, and stays."""
    rng = np.random.default_rng(1)
    x, y = rng.random(3_000), rng.random(3_000)
    here = ground_of({"x": Column.number(x), "y": Column.number(y)}, np.where((x > 0.8) & (y > 0.1), 0.2, 0.12))
    boxes = PairBoxes()
    boxes.scan(here)
    found = champions([], boxes.starts_of_two(here, 5), here, beside=[])
    assert [{literal.column for literal in state.literals} for state in found] == [{"x", "y"}]


def test_what_overlaps_a_known_region_is_left_out() -> None:
    rng = np.random.default_rng(1)
    x = rng.random(3_000)
    here = ground_of({"x": Column.number(x)}, np.where(x > 0.9, 0.4, 0.12))
    alone = champions(single_starts(here), [], here, beside=[])
    assert len(alone) == 1
    assert jaccard(alone[0].members, x > 0.9) > 0.8
    known = fitted([Span(column="x", low=0.88)], here)
    assert champions(single_starts(here), [], here, beside=[known]) == []


def test_a_pair_that_only_cuts_a_better_region_is_left_out() -> None:
    """Errors depend on one column alone: the best pair is a part of that region, worth less by its cut."""
    rng = np.random.default_rng(1)
    x, y = rng.random(3_000), rng.random(3_000)
    here = ground_of({"x": Column.number(x), "y": Column.number(y)}, np.where(x > 0.8, 0.25, 0.12))
    known = fitted([Span(column="x", low=0.8)], here)
    part = Start(literals=(Span(column="x", low=0.8), Span(column="y", low=0.6)), value=0.0)
    assert jaccard((x > 0.8) & (y > 0.6), x > 0.8) < 0.5
    found = champions([], [part], here, beside=[known])
    assert all(jaccard(state.members, known.members) < 0.5 and state.value > known.value - 1.0 for state in found)
    assert champions([], [part], here, beside=[])


@pytest.mark.parametrize("literals", [(Span(column="x", low=2.0),), (Levels(column="c", codes=frozenset({0}), of=2),)])
def test_starts_that_err_less_or_hold_nothing_are_no_champions(literals: tuple[Literal, ...]) -> None:
    x = np.linspace(0.0, 1.0, 400)
    columns = {"x": Column.number(x), "c": Column.category(["a", "b"] * 200)}
    here = ground_of(columns, np.full(400, 0.0))
    assert champions([Start(literals=literals, value=0.0)], [], here, beside=[]) == []


def test_tables_with_nothing_to_pair() -> None:
    evaluation = split(planted("literal", n=3_000, seed=1))
    first = evaluation.features[0]
    constant = evaluation.dataset.table.with_columns({"same": Column.number(np.ones(3_000))})
    for features in ((first,), ("same",), (first, "same")):
        dataset = replace(evaluation.dataset, table=constant)
        explore = replace(evaluation, dataset=dataset, features=features).explore()
        assert all("same" not in one.where.columns for one in search(explore, weak=True))


def test_the_order_of_rows_does_not_matter() -> None:
    explore = split(planted("two regions", n=5_000, share=0.08, inside=0.25, seed=3)).explore()
    rows = np.random.default_rng(0).permutation(len(explore))
    first = [one.where.text for one in search(explore, weak=True)]
    assert [one.where.text for one in search(explore.take(rows), weak=True)] == first


def test_the_leading_pairs_of_two_are_those_of_all() -> None:
    """Looking for the best three alone gives what looking at every pair does, and so do the best single columns."""
    rng = np.random.default_rng(4)
    columns = {f"x{at}": Column.number(rng.random(2_000)) for at in range(9)}
    columns["k"] = Column.category([str(level) for level in rng.integers(0, 5, 2_000)])
    rate = np.where((columns["x0"].values > 0.7) & (columns["x1"].values > 0.6), 0.2, 0.05)
    here = ground_of(columns, rate)
    every, few = PairBoxes(), PairBoxes()
    every.scan(here)
    few.scan(here, of_two=3)
    for some, all_of_them in (
        (few.starts_of_two(here, 3), every.starts_of_two(here, 3)),
        (few.starts(here, 45), every.starts(here, 45)),
        (single_starts(here, 4), sorted(single_starts(here), key=lambda start: falling(start.value))[:4]),
    ):
        assert [start.literals for start in some] == [start.literals for start in all_of_them]
        assert [start.value for start in some] == pytest.approx([start.value for start in all_of_them])
    assert list(few.boxes) == list(every.boxes)
