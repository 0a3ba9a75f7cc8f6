"""Error tree: where in the columns the errors lie, as a tree that people can read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from errata.core.columns import Bool, Column, Columns, Int, Level
from errata.core.evaluation import Evaluation
from errata.core.evidence import TreePath
from errata.core.method import Job, check_range, method
from errata.core.rules import And, Not, Test, Where
from errata.core.slices import Slice, claim_for
from errata.ops.regions.boundaries import climb, fitted, settle
from errata.ops.regions.ground import Ground
from errata.ops.regions.literals import Levels, Literal, Span, where_of
from errata.ops.regions.tree import Branch, Split, best_splits, branches_of, schwarz, told_apart

__all__ = ["ErrorTree", "Node", "Tree", "tree_evidence"]


@dataclass(frozen=True, kw_only=True)
class Node:
    """One node: the rows of its parent for which `step` holds.

    id        place in `Tree.nodes`, parents before children; 0 is the root
    parent    id of the parent, None for the root
    step      what tells it from its siblings; None for the root
    where     all conditions from the root on, merged into one per column; None for the root
    n         rows that the tree was grown on
    loss      their summed loss; the number of errors where the loss is 0 or 1
    expected  what their classes alone would make one expect
    gain      log-likelihood that its split gained, less what the cuts cost; below 0 where only the splits below it pay;
              0 for a leaf
    """

    id: int
    parent: int | None
    depth: int
    step: Where | None
    where: Where | None
    n: int
    loss: float
    expected: float
    gain: float

    @property
    def text(self) -> str:
        """The step as a predicate; "all rows" for the root."""
        return "all rows" if self.step is None else self.step.text


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A grown tree; `nodes[0]` is the root."""

    nodes: tuple[Node, ...]

    def children(self, node: Node) -> tuple[Node, ...]:
        """The children of a node, in the order of their values."""
        return tuple(other for other in self.nodes if other.parent == node.id)

    def members(self, columns: Columns) -> Bool:
        """(nodes, n) bool: which rows of `columns` reach which node."""
        reached = np.ones((len(self.nodes), len(columns)), dtype=bool)
        for node in self.nodes[1:]:
            assert node.step is not None and node.parent is not None
            reached[node.id] = reached[node.parent] & node.step.members(columns)
        return reached


def tree_evidence(tree: Tree, evaluation: Evaluation, members: Bool | None = None) -> TreePath:
    """The tree with the counts of some rows, such as held-out ones, and of a finding's members in each node.

    members  (n,) bool over the rows of `evaluation`; None without a finding
    """
    loss = evaluation.view().loss
    reached = tree.members(evaluation)
    nodes: list[dict[str, Level | None]] = []
    for node in tree.nodes:
        inside = reached[node.id]
        wrong = float(loss[inside].sum())
        nodes.append(
            {
                "id": node.id,
                "parent": node.parent,
                "text": node.text,
                "n": int(np.count_nonzero(inside)),
                "wrong": int(wrong) if evaluation.binary_loss else wrong,
                "members": None if members is None else int(np.count_nonzero(inside & members)),
            }
        )
    return TreePath(nodes=tuple(nodes))


@method(cite="Nushi, Kamar, Horvitz, HCOMP 2018")
@dataclass(frozen=True, kw_only=True)
class ErrorTree:
    """Slices where a tree over the columns separates rows that the model gets wrong from those it gets right.

    The tree splits where the loss of the chosen metric, beyond what each row's class alone makes one expect, gains most
    likelihood from rates of its own: a column that only follows the class gains nothing. A number is cut once, or twice
    where errors lie in its middle; levels are split as sets; missing numbers are a branch. A split must earn what its
    cuts cost (Schwarz 1978). Every node with more errors than its classes expect is a proposal, not only the leaves;
    conditions that a proposal can do without are dropped.

    depth      most splits from root to leaf; 4 is what people still read (the peer's default is 3)
    leaf_rows  fewest rows in a child; 20 is the peer's default
    proposals  most slices to propose; ours

    It fails on errors that show in no single column, such as a checkerboard of two.

    Reference: B. Nushi, E. Kamar, E. Horvitz, "Towards accountable AI: hybrid human-machine analyses for characterizing
    system failure", HCOMP 2018. Sets of levels: L. Breiman et al., "Classification and regression trees", 1984.
    """

    depth: int = 4
    leaf_rows: int = 20
    proposals: int = 20

    def __post_init__(self) -> None:
        check_range(self, {"depth": (1, 12), "leaf_rows": (1, math.inf), "proposals": (1, math.inf)})

    def run(self, evaluation: Evaluation, job: Job) -> list[Slice]:
        """The proposals, the one with the largest gain first."""
        ground = _ground(evaluation, self.leaf_rows)
        if not ground.contrast.totals[1]:
            return []
        job.progress(0.0, "growing the error tree")
        grown = _Grower(ground=ground, depth=self.depth, leaf_rows=self.leaf_rows).grow()
        if self == ErrorTree():
            # The report shows this very tree: it need not be grown twice.
            job.cached("error_tree", lambda: _tree(grown, ground))
        found = [_proposal(node, ground) for node in grown if node.path and _errs_more(node, ground)]
        return _slices(found, ground, evaluation, self.proposals)

    def grow(self, evaluation: Evaluation, job: Job) -> Tree:
        """The first tree itself, for the report; it has only a root where nothing separates the errors."""
        ground = _ground(evaluation, self.leaf_rows)
        job.progress(0.0, "growing the error tree")
        grown = _Grower(ground=ground, depth=self.depth, leaf_rows=self.leaf_rows).grow()
        return _tree(grown, ground)


def _ground(evaluation: Evaluation, least: int) -> Ground:
    view = evaluation.view()
    return Ground.of(
        evaluation,
        evaluation.features,
        loss=view.loss,
        stratum=view.stratum,
        binary=evaluation.binary_loss,
        least=least,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Path:
    """The conditions from the root on: one literal per column, and sets of levels that are left out."""

    literals: tuple[Literal, ...] = ()
    left_out: tuple[Levels, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.literals or self.left_out)

    def __len__(self) -> int:
        return len(self.literals) + len(self.left_out)

    def then(self, branch: Branch) -> _Path:
        """The path to a child; conditions on one column become one."""
        literal = branch.literal
        if branch.negated:
            assert isinstance(literal, Levels)
            return self._without_levels(literal)
        merged, seen = [], False
        for earlier in self.literals:
            if earlier.column == literal.column:
                merged.append(_both(earlier, literal))
                seen = True
            else:
                merged.append(earlier)
        left_out = self.left_out
        if isinstance(literal, Levels):
            # The new set already is a part of what was not left out.
            left_out = tuple(levels for levels in left_out if levels.column != literal.column)
        return _Path(literals=tuple(merged) if seen else (*merged, literal), left_out=left_out)

    def _without_levels(self, gone: Levels) -> _Path:
        for place, earlier in enumerate(self.literals):
            if isinstance(earlier, Levels) and earlier.column == gone.column:
                fewer = Levels(column=gone.column, codes=earlier.codes - gone.codes, of=gone.of)
                return _Path(
                    literals=(*self.literals[:place], fewer, *self.literals[place + 1 :]), left_out=self.left_out
                )
        before = [levels for levels in self.left_out if levels.column == gone.column]
        others = tuple(levels for levels in self.left_out if levels.column != gone.column)
        codes = gone.codes.union(*(levels.codes for levels in before))
        return _Path(literals=self.literals, left_out=(*others, Levels(column=gone.column, codes=codes, of=gone.of)))

    def masks(self, ground: Ground) -> list[Bool]:
        """(n,) bool for each condition, literals first."""
        return [ground.holds(literal) for literal in self.literals] + [
            ~ground.holds(levels) for levels in self.left_out
        ]

    def costs(self, unit: float) -> list[float]:
        """What each condition must earn, in the order of `masks`."""
        spans = [unit * literal.cuts if isinstance(literal, Span) else unit for literal in self.literals]
        return spans + [unit] * len(self.left_out)

    def drop(self, place: int) -> _Path:
        """The path without one condition, counted as in `masks`."""
        if place < len(self.literals):
            return _Path(literals=self.literals[:place] + self.literals[place + 1 :], left_out=self.left_out)
        place -= len(self.literals)
        return _Path(literals=self.literals, left_out=self.left_out[:place] + self.left_out[place + 1 :])

    def where(self, ground: Ground) -> Where:
        """The path as a rule."""
        tests: list[Test] = []
        for literal in self.literals:
            tests.append(where_of((literal,), {literal.column: ground.column(literal.column)}).test)
        for levels in self.left_out:
            tests.append(_none_of(levels, ground.column(levels.column)))
        return Where(And(tuple(tests)) if len(tests) > 1 else tests[0])


def _both(earlier: Literal, later: Literal) -> Literal:
    """The later of two literals on one column, within the earlier one."""
    if isinstance(earlier, Span) and isinstance(later, Span):
        return Span(column=later.column, low=max(earlier.low, later.low), high=min(earlier.high, later.high))
    if isinstance(earlier, Levels) and isinstance(later, Levels):
        return Levels(column=later.column, codes=earlier.codes & later.codes, of=later.of)
    return later


_SAME = 0.7
"""Jaccard overlap from which a rule that was fitted anew still stands for its node."""

_SPELT_OUT = 12
"""Up to so many levels the rest of a set is spelt out, because "plan in (a, b)" reads better than "not plan in (c)"."""


def _none_of(levels: Levels, column: Column) -> Test:
    if levels.of <= _SPELT_OUT:
        missing = {-1} if bool(column.missing().any()) else set()
        rest = Levels(column=levels.column, codes=(frozenset(range(levels.of)) | missing) - levels.codes, of=levels.of)
        return where_of((rest,), {levels.column: column}).test
    return Not(where_of((levels,), {levels.column: column}).test)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Grown:
    """A node while the tree grows: rows (m,) index the ground's rows."""

    id: int
    parent: int | None
    depth: int
    branch: Branch | None
    path: _Path
    rows: Int
    gain: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class _Grower:
    """Grows trees level by level on one ground."""

    ground: Ground
    depth: int
    leaf_rows: int

    def grow(self) -> list[_Grown]:
        """The nodes of the tree, parents before children, after pruning."""
        root = _Grown(id=0, parent=None, depth=0, branch=None, path=_Path(), rows=np.arange(len(self.ground)))
        nodes, level = [root], [root]
        for _ in range(self.depth):
            grown: list[_Grown] = []
            for node, found in zip(level, self._splits(level), strict=True):
                if found is not None:
                    nodes[node.id] = replace(node, gain=found.gain)
                    grown += self._children(node, found, len(nodes) + len(grown))
            nodes += grown
            level = [node for node in grown if len(node.rows) >= 2 * self.leaf_rows]
            if not level:
                break
        return _pruned(nodes)

    def _splits(self, level: Sequence[_Grown]) -> list[Split | None]:
        slot = np.full(len(self.ground), len(level), dtype=np.int64)
        for place, node in enumerate(level):
            slot[node.rows] = place
        return best_splits(self.ground, slot, len(level), least=self.leaf_rows)

    def _children(self, node: _Grown, split: Split, start: int) -> list[_Grown]:
        branches = branches_of(split, self.ground, node.rows)
        return [
            _Grown(
                id=start + place,
                parent=node.id,
                depth=node.depth + 1,
                branch=branch,
                path=node.path.then(branch),
                rows=branch.rows,
            )
            for place, branch in enumerate(branches)
        ]


def _pruned(nodes: Sequence[_Grown]) -> list[_Grown]:
    """The tree without splits that, with all below them, cost more than they gain.

    Growing first and pruning then keeps a first cut that pays only through the second, like two literals of one region.
    """
    worth = [0.0] * len(nodes)
    for node in reversed(nodes):
        worth[node.id] = max(0.0, worth[node.id] + node.gain)
        if node.parent is not None:
            worth[node.parent] += worth[node.id]
    kept: list[_Grown] = []
    place: dict[int, int] = {}
    for node in nodes:
        if node.parent is None or (node.parent in place and worth[node.parent] > 0.0):
            place[node.id] = len(kept)
            parent = None if node.parent is None else place[node.parent]
            kept.append(replace(node, id=len(kept), parent=parent, gain=node.gain if worth[node.id] > 0.0 else 0.0))
    return kept


def _tree(grown: Sequence[_Grown], ground: Ground) -> Tree:
    return Tree(nodes=tuple(_shown(node, ground) for node in grown))


def _shown(node: _Grown, ground: Ground) -> Node:
    sums = ground.contrast.sums(node.rows)
    step = None if node.branch is None else _Path().then(node.branch).where(ground)
    return Node(
        id=node.id,
        parent=node.parent,
        depth=node.depth,
        step=step,
        where=node.path.where(ground) if node.path else None,
        n=int(sums[0]),
        loss=float(sums[1]),
        expected=float(sums[2]),
        gain=node.gain,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Proposal:
    """A path worth testing: `value` is its gain against all other rows, less what its conditions cost."""

    path: _Path
    value: float
    members: Bool


def _errs_more(node: _Grown, ground: Ground) -> bool:
    sums = ground.contrast.sums(node.rows)
    return bool(sums[0] >= ground.least and ground.contrast.gain(sums) > 0.0)


def _proposal(node: _Grown, ground: Ground) -> _Proposal:
    """The node's path without the conditions that, given the others, tell nothing apart; the least useful first."""
    path = node.path
    masks = path.masks(ground)
    while len(path) > 1:
        members = _all(masks)
        worth = [
            told_apart(ground, members, _all(masks[:place] + masks[place + 1 :])) - cost
            for place, cost in enumerate(path.costs(schwarz(len(ground))))
        ]
        least = int(np.argmin(worth))
        if worth[least] > 0.0:
            break
        path, masks = path.drop(least), masks[:least] + masks[least + 1 :]
    members = _all(masks)
    unit = schwarz(len(ground))
    value = float(ground.contrast.gain(ground.contrast.sums(members))) - unit - sum(path.costs(unit))
    return _Proposal(path=path, value=value, members=members)


def _all(masks: Sequence[Bool]) -> Bool:
    inside = masks[0]
    for mask in masks[1:]:
        inside = inside & mask
    return inside


def _slices(found: Sequence[_Proposal], ground: Ground, evaluation: Evaluation, most: int) -> list[Slice]:
    """The proposals as slices, each rule once, best first; only those that are worth their conditions."""
    best: dict[str, _Ranked] = {}
    for proposal in sorted(found, key=lambda proposal: -proposal.value)[:most]:
        if proposal.value > 0.0:
            for ranked in _ranked(proposal, ground):
                best.setdefault(ranked.where.text, ranked)
    ordered = sorted(best.values(), key=lambda ranked: (-ranked.value, ranked.where.text))[:most]
    claim = claim_for(evaluation.metric)
    return [Slice(rule=ranked.where, claim=claim, proposed_by=("error_tree",)) for ranked in ordered]


@dataclass(frozen=True, kw_only=True)
class _Ranked:
    where: Where
    value: float


def _ranked(proposal: _Proposal, ground: Ground) -> list[_Ranked]:
    """The proposal as a rule, with every cut fitted anew given the others.

    A tree places its first cut before it knows the second, and so between where the region begins and where the mixture
    of the region with the rest does. Fitting may run off to another region, such as a larger one around this one; then
    both are proposed.
    """
    plain = _Ranked(where=proposal.path.where(ground), value=proposal.value)
    if proposal.path.left_out:
        return [plain]
    state = settle(climb(fitted(proposal.path.literals, ground), ground), ground)
    columns = {literal.column: ground.column(literal.column) for literal in state.literals}
    moved = _Ranked(where=where_of(state.literals, columns), value=state.value)
    return [moved] if _alike(state.members, proposal.members) else [moved, plain]


def _alike(first: Bool, second: Bool) -> bool:
    return bool(np.count_nonzero(first & second) >= _SAME * np.count_nonzero(first | second))
