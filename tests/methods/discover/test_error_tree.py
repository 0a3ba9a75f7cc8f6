"""The error tree: its arithmetic beside a naive one, its rules, and what it finds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from errata.core.atoms import Compare
from errata.core.columns import Column, Table
from errata.core.evaluation import CONFIRM
from errata.core.method import Job
from errata.core.rules import Where
from errata.methods.discover.error_tree import ErrorTree, tree_evidence
from errata.testing import TINY, null, planted, tiny_table
from errata.testing.world import World


def job() -> Job:
    return Job(rng=np.random.default_rng(0))


def world_of(wrong, **columns) -> World:
    """A world of one class with these errors and columns."""
    n = len(wrong)
    label = Column(kind="category", values=np.zeros(n, dtype=np.int32), levels=("no", "yes"))
    prediction = Column(kind="category", values=np.asarray(wrong, dtype=np.int32), levels=("no", "yes"))
    return World(name="made", table=Table({**columns, "label": label, "prediction": prediction}), outside=0.1)


def whole(world):
    return world.evaluation(confirm=0.0).explore()


def overlap(first, second):
    return (first & second).sum() / max((first | second).sum(), 1)


@pytest.mark.parametrize("kind", ["literal", "intersection", "three-way", "range", "set", "missing", "regression"])
@pytest.mark.parametrize("columns", [6, 13])
def test_a_planted_region_is_the_first_proposal(kind, columns):
    world = planted(kind, n=12_000, columns=columns, share=0.08, seed=11)
    evaluation = world.evaluation()
    confirm = evaluation.part(CONFIRM)
    first = ErrorTree().run(evaluation.explore(), job())[0]
    assert first.proposed_by == ("error_tree",)
    assert overlap(first.rule.members(confirm), world.truth[0].members[confirm.rows]) > 0.8
    assert set(first.rule.columns) == set(world.truth[0].columns)


def test_both_of_two_regions_are_found():
    world = planted("two regions", n=12_000, share=0.06, seed=2)
    evaluation = world.evaluation()
    slices = ErrorTree().run(evaluation.explore(), job())
    for region in world.truth:
        assert max(overlap(slice_.rule.members(world.table), region.members) for slice_ in slices) > 0.8


def test_inner_nodes_are_proposed_too():
    rng = np.random.default_rng(0)
    age, hours = rng.uniform(18, 90, 8_000), rng.uniform(0, 60, 8_000)
    rate = np.where(age > 60, 0.3, 0.05) + np.where((age > 60) & (hours > 45), 0.4, 0.0)
    world = world_of(rng.random(8_000) < rate, age=Column.number(age), hours=Column.number(hours))
    members = [slice_.rule.members(world.table) for slice_ in ErrorTree().run(whole(world), job())]
    assert max(overlap(inside, age > 60) for inside in members) > 0.9
    assert max(overlap(inside, (age > 60) & (hours > 45)) for inside in members) > 0.9


def test_conditions_on_one_column_become_one():
    rng = np.random.default_rng(5)
    age = rng.uniform(18, 90, 20_000)
    world = world_of(rng.random(20_000) < np.floor(age / 12) / 10, age=Column.number(age))
    tree = ErrorTree().grow(whole(world), job())
    twice = [
        node for node in tree.nodes
        if node.depth > 1 and set(Where.parse(node.text).columns) <= set(tree.nodes[node.parent].where.columns)
    ]  # fmt: skip
    assert twice
    for node in twice:
        atoms = node.where.literals()
        sides = [(atom.column, atom.op) for atom in atoms if isinstance(atom, Compare)]
        assert len(sides) == len(set(sides)), node.where.text


def test_the_children_of_a_node_share_out_its_rows():
    evaluation = planted("two regions", n=6_000, share=0.1, missing=0.05, seed=3).evaluation().explore()
    tree = ErrorTree(leaf_rows=30).grow(evaluation, job())
    reached = tree.members(evaluation)
    assert tree.nodes[0].n == len(evaluation)
    assert len(tree.nodes) > 3
    for node in tree.nodes:
        assert node.n == reached[node.id].sum()
        assert node.loss == evaluation.view().loss[reached[node.id]].sum()
        if node.where is not None:
            assert np.array_equal(node.where.members(evaluation), reached[node.id])
        children = tree.children(node)
        if children:
            assert np.array_equal(reached[[child.id for child in children]].sum(axis=0), reached[node.id].astype(int))
            assert all(child.n >= 30 for child in children if "is null" not in child.text)
            assert all(child.parent == node.id < child.id for child in children)


def test_depth_and_leaf_rows_are_kept():
    evaluation = planted("three-way", n=12_000, share=0.1, seed=4).evaluation().explore()
    assert max(node.depth for node in ErrorTree(depth=2).grow(evaluation, job()).nodes) == 2
    assert max(node.depth for node in ErrorTree(depth=4).grow(evaluation, job()).nodes) >= 3
    assert min(node.n for node in ErrorTree(leaf_rows=500).grow(evaluation, job()).nodes) >= 500


def test_the_metric_drives_the_split():
    """Misses lie among the old, false alarms in Lima: each metric sees its own region only."""
    rng = np.random.default_rng(6)
    world = planted("literal", n=8_000, inside=0.05, outside=0.05, seed=6)
    age, city = world.table.column("age").values, world.table.column("city").values
    yes = world.table.column("label").values == 1
    lima = world.table.column("city").levels.index("lima")
    wrong = rng.random(8_000) < np.where(yes & (age > 70), 0.6, np.where(~yes & (city == lima), 0.5, 0.05))
    prediction = Column(kind="category", values=np.where(wrong, ~yes, yes).astype(np.int32), levels=("no", "yes"))
    world = replace(world, table=world.table.with_columns({"prediction": prediction}))
    found = {
        metric: ErrorTree().run(world.evaluation(metric=metric).explore(), job())[0].rule.columns
        for metric in ("false-negative", "false-positive")
    }
    assert found == {"false-negative": ("age",), "false-positive": ("city",)}


def test_a_column_that_follows_the_class_gains_nothing():
    grown = [len(ErrorTree().grow(null("class mix", n=4_000, seed=seed).evaluation().explore(), job()).nodes)
             for seed in range(20)]  # fmt: skip
    assert sum(size > 1 for size in grown) <= 4


def test_noise_seldom_makes_a_tree():
    grown = [len(ErrorTree().grow(null("iid", n=4_000, columns=13, seed=seed).evaluation().explore(), job()).nodes)
             for seed in range(20)]  # fmt: skip
    assert sum(size > 1 for size in grown) <= 6


def test_missing_numbers_are_a_branch_of_their_own():
    world = planted("missing", n=6_000, share=0.1, seed=0)
    tree = ErrorTree().grow(world.evaluation().explore(), job())
    assert "income is null" in {node.text for node in tree.nodes}


def test_a_rest_of_many_levels_is_not_spelt_out():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 400, 20_000)
    wrong = rng.random(20_000) < np.where(codes < 40, 0.6, 0.1)
    city = Column.category([f"place {code:03d}" for code in codes])
    world = world_of(wrong, city=city)
    tree = ErrorTree(depth=1).grow(whole(world), job())
    texts = [node.text for node in tree.nodes[1:]]
    assert sum(text.startswith("not ") for text in texts) == 1
    reached = tree.members(whole(world))
    assert (reached[1:].sum(axis=0) == 1).all()


def test_levels_first_seen_in_held_out_rows_join_the_rest():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, 4_000)
    wrong = rng.random(4_000) < np.where(codes == 1, 0.5, 0.1)
    seen = world_of(wrong, city=Column(kind="category", values=codes.astype(np.int32), levels=tuple("abcde")))
    tree = ErrorTree().grow(whole(seen), job())
    fresh = Table({"city": Column(kind="category", values=np.array([1, 4], dtype=np.int32), levels=tuple("abcde"))})
    assert tree.members(fresh)[1:].sum(axis=0).tolist() == [1, 1]


def test_the_evidence_counts_held_out_rows():
    world = planted("intersection", n=8_000, share=0.1, seed=7)
    evaluation = world.evaluation()
    tree = ErrorTree().grow(evaluation.explore(), job())
    confirm = evaluation.part(CONFIRM)
    members = world.truth[0].members[confirm.rows]
    nodes = tree_evidence(tree, confirm, members).nodes
    assert nodes[0] == {
        "id": 0, "parent": None, "text": "all rows", "n": len(confirm), "wrong": int(confirm.view().loss.sum()),
        "members": int(members.sum()),
    }  # fmt: skip
    for node in nodes:
        inside = [other for other in nodes if other["parent"] == node["id"]]
        if inside:
            for key in ("n", "wrong", "members"):
                assert sum(other[key] for other in inside) == node[key]
    assert tree_evidence(tree, confirm).nodes[0]["members"] is None


def test_a_tree_grown_by_a_run_is_the_one_that_is_shown():
    evaluation = planted("intersection", n=4_000, seed=1).evaluation().explore()
    shared = job()
    ErrorTree().run(evaluation, shared)
    assert shared.cached("error_tree", lambda: None) == ErrorTree().grow(evaluation, job())


def test_a_loss_is_separated_like_errors():
    world = planted("regression", n=8_000, share=0.08, seed=3)
    tree = ErrorTree().grow(world.evaluation().explore(), job())
    assert {name for node in tree.nodes[1:] for name in Where.parse(node.text).columns} >= set(world.truth[0].columns)


@pytest.mark.parametrize("kind", TINY)
def test_odd_tables_are_survived(kind):
    evaluation = tiny_table(kind).evaluation().explore()
    tree = ErrorTree(leaf_rows=5).grow(evaluation, job())
    assert tree.nodes[0].n == len(evaluation)
    if kind in ("all right", "all wrong", "few rows"):
        assert len(tree.nodes) == 1
