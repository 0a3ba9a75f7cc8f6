"""Splits of tree nodes beside a search that tries everything."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from errata.core.columns import Column, Table
from errata.ops.regions.ground import Ground
from errata.ops.regions.literals import Absent
from errata.ops.regions.tree import best_splits, branches_of, told_apart
from errata.stats.gain import binomial_log_likelihood
from errata.testing import planted
from errata.testing.world import World


def world_of(wrong, **columns) -> World:
    """A world of one class with these errors and columns."""
    n = len(wrong)
    label = Column(kind="category", values=np.zeros(n, dtype=np.int32), levels=("no", "yes"))
    prediction = Column(kind="category", values=np.asarray(wrong, dtype=np.int32), levels=("no", "yes"))
    return World(name="made", table=Table({**columns, "label": label, "prediction": prediction}), outside=0.1)


def whole(world):
    return world.evaluation(confirm=0.0).explore()


def ground_of(evaluation, least):
    view = evaluation.view()
    return Ground.of(evaluation, evaluation.features, loss=view.loss, stratum=view.stratum, binary=True, least=least)


def gain_of(wrong, parts):
    """By the definition: what rates of their own for the parts gain over one rate for all."""
    whole = binomial_log_likelihood(wrong.sum(), len(wrong))
    return sum(binomial_log_likelihood(wrong[part].sum(), part.sum()) for part in parts) - whole


def test_the_best_cut_is_that_of_trying_all():
    rng = np.random.default_rng(1)
    value = rng.integers(0, 12, 400).astype(float)
    wrong = rng.random(400) < np.where(value > 7, 0.4, 0.1)
    ground = ground_of(whole(world_of(wrong, value=Column.number(value))), 20)
    split = best_splits(ground, np.zeros(400, dtype=np.int64), 1, least=20)[0]
    tried = {at: gain_of(wrong, [value <= at, value > at]) for at in range(11)}
    best = max(tried, key=tried.get)
    assert split.kind == "cut"
    assert ground.binned.axes[0].edges[split.high] == best == 7
    # One cut out of one column costs half the logarithm of the rows.
    assert split.gain == pytest.approx(tried[best] - 0.5 * np.log(400), abs=0.02)


def test_the_best_range_is_that_of_trying_all():
    rng = np.random.default_rng(2)
    value = rng.integers(0, 15, 900).astype(float)
    wrong = rng.random(900) < np.where((value > 4) & (value <= 8), 0.5, 0.05)
    ground = ground_of(whole(world_of(wrong, value=Column.number(value))), 20)
    split = best_splits(ground, np.zeros(900, dtype=np.int64), 1, least=20)[0]
    tried = {
        (low, high): gain_of(wrong, [value <= low, (value > low) & (value <= high), value > high])
        for low, high in combinations(range(14), 2)
    }
    best = max(tried, key=tried.get)
    edges = ground.binned.axes[0].edges
    assert split.kind == "range"
    assert (edges[split.low - 1], edges[split.high]) == best == (4, 8)
    assert split.gain == pytest.approx(tried[best] - 1.5 * np.log(900), abs=0.02)


def test_the_best_set_of_levels_is_that_of_trying_all_subsets():
    rng = np.random.default_rng(3)
    names = np.array(list("abcdefg"))
    codes = rng.integers(0, 7, 1_400)
    wrong = rng.random(1_400) < np.isin(codes, [1, 4, 6]) * 0.3 + 0.05
    ground = ground_of(whole(world_of(wrong, city=Column.category(names[codes].tolist()))), 20)
    split = best_splits(ground, np.zeros(1_400, dtype=np.int64), 1, least=20)[0]
    tried = {
        chosen: gain_of(wrong, [np.isin(codes, chosen), ~np.isin(codes, chosen)])
        for size in range(1, 7)
        for chosen in combinations(range(7), size)
    }
    best = max(tried, key=tried.get)
    levels = ground.binned.axes[0].levels[list(split.chosen)]
    assert sorted(levels.tolist()) in (sorted(best), sorted(set(range(7)) - set(best)))


def test_a_node_is_judged_by_its_own_rows():
    """Two nodes at once give the same splits as each by itself."""
    evaluation = planted("two regions", n=3_000, seed=1).evaluation().explore()
    ground = ground_of(evaluation, 20)
    slot = (evaluation.column("age").values > 50).astype(np.int64)
    both = best_splits(ground, slot, 2, least=20)
    alone = [best_splits(ground, np.where(slot == side, 0, 1), 1, least=20)[0] for side in (0, 1)]
    for together, single in zip(both, alone, strict=True):
        assert (together.axis, together.kind, together.high) == (single.axis, single.kind, single.high)
        assert together.gain == pytest.approx(single.gain)


def test_branches_share_out_the_rows_at_a_round_cut():
    rng = np.random.default_rng(0)
    value = rng.uniform(0, 100, 5_000)
    value[:200] = np.nan
    wrong = rng.random(5_000) < np.where(value > 62.0371, 0.7, 0.1)
    ground = ground_of(whole(world_of(wrong, value=Column.number(value))), 20)
    split = best_splits(ground, np.zeros(5_000, dtype=np.int64), 1, least=20)[0]
    low, high, missing = branches_of(split, ground, np.arange(5_000))
    cut = low.literal.high
    assert cut == high.literal.low == pytest.approx(62.04, abs=0.3)
    assert len(str(cut)) <= 5
    assert isinstance(missing.literal, Absent)
    assert np.array_equal(missing.rows, np.arange(200))
    assert np.array_equal(np.sort(np.concatenate([low.rows, high.rows, missing.rows])), np.arange(5_000))
    assert (value[low.rows] <= cut).all()
    assert (value[high.rows] > cut).all()


def test_what_a_condition_tells_apart_is_the_gain_of_its_two_sides():
    rng = np.random.default_rng(0)
    value = rng.uniform(0, 1, 2_000)
    wrong = rng.random(2_000) < np.where(value > 0.5, 0.4, 0.1)
    ground = ground_of(whole(world_of(wrong, value=Column.number(value))), 20)
    node, part = value > 0.2, value > 0.5
    expected = gain_of(wrong[node], [part[node], ~part[node]])
    assert told_apart(ground, part, node) == pytest.approx(expected, abs=0.05)
    assert told_apart(ground, node & (np.arange(2_000) % 3 == 0), node) < 3.0
