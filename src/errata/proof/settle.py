"""What is settled before testing, from explore rows and membership alone: section 3 of docs/proof.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from errata.core.evaluation import OUTPUT_COLUMNS, Evaluation
from errata.core.finding import Family
from errata.core.rules import And, Not, Or, Where
from errata.core.rules import Test as Predicate
from errata.core.slices import Rule, Slice
from errata.proof.effect import measure, run_test
from errata.proof.sample import Ground, Sample
from errata.stats.gain import gain, loss_gain

__all__ = ["Dropped", "Proposal", "Settled", "gather", "least_support", "output_columns", "settle"]

Bool = NDArray[np.bool_]
Words = NDArray[np.uint64]

JACCARD = 0.8
NESTED = 0.95
REDUNDANT_ABOVE = 0.05
EMBEDDED_LITERALS = 8
"""Conditions that a rule over an embedding counts as where it stands against others on explore rows (ours): it was
fitted there with hundreds of numbers, and a predicate that does nearly as well says what it means."""
LEAST_ROWS = 10
LEAST_GROUPS = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class Proposal:
    """A slice with its members among all rows, eight to a byte.

    reads  columns of the model's output that its rule reads; with any it is circular
    gain   how much better errors are described with it, on explore rows; -inf where its members do not err more
    """

    slice: Slice
    packed: Words
    family: Family
    reads: tuple[str, ...] = ()
    gain: float = 0.0

    @property
    def seed(self) -> int:
        """Randomised tests are seeded by the finding's id."""
        return int(self.slice.id, 16)

    def members(self, rows: int) -> Bool:
        """`(rows,) bool` over all rows."""
        return np.unpackbits(self.packed.view(np.uint8), count=rows).view(np.bool_)

    def also_by(self, other: Proposal) -> Proposal:
        """The same proposal, credited to the other's proposers too."""
        names = tuple(dict.fromkeys((*self.slice.proposed_by, *other.slice.proposed_by)))
        return replace(self, slice=replace(self.slice, proposed_by=names))


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """A proposal that was not tested, and why; `under` is the id of the one kept in its place."""

    id: str
    rule: str
    why: str
    under: str | None = None


@dataclass(frozen=True, kw_only=True)
class Settled:
    """Proposals to be tested, the circular ones, and what was dropped."""

    tested: tuple[Proposal, ...]
    circular: tuple[Proposal, ...]
    dropped: tuple[Dropped, ...]


def gather(slices: Sequence[Slice], evaluation: Evaluation, kinds: Mapping[Family, Ground]) -> list[Proposal]:
    """Each distinct slice with its members; a rule proposed twice is one proposal of both proposers."""
    outputs = output_columns(evaluation)
    found: dict[str, Proposal] = {}
    for proposed in slices:
        known = found.get(proposed.id)
        if known is not None:
            found[proposed.id] = known.also_by(replace(known, slice=proposed))
            continue
        member = np.asarray(proposed.rule.members(evaluation), dtype=bool)
        found[proposed.id] = Proposal(
            slice=proposed, packed=_pack(member), family=_family(proposed.rule, member, evaluation, kinds["errors"]),
            reads=tuple(name for name in proposed.rule.columns if name in outputs),
        )  # fmt: skip
    return list(found.values())


def output_columns(evaluation: Evaluation) -> frozenset[str]:
    """Columns that no rule to be confirmed may read: those found to be output, prediction and scores."""
    named = (*OUTPUT_COLUMNS, *evaluation.outputs, evaluation.dataset.prediction, *evaluation.dataset.scores)
    return frozenset(name for name in named if name is not None)


def settle(
    proposals: Sequence[Proposal], kinds: Mapping[Family, Ground], *, rows: int, min_support: int | None,
    max_proposals: int, held_out: bool = True,
) -> Settled:  # fmt: skip
    """Drop what is too small, merge what is alike or nested, drop what is redundant, and cap the number.

    held_out  whether confirm rows must hold the least support too
    """
    dropped: list[Dropped] = []
    circular, kept = [], []
    for proposal in proposals:
        why = _too_small(proposal, kinds[proposal.family], rows=rows, least=min_support, held_out=held_out)
        if why:
            dropped.append(_drop(proposal, why))
        elif proposal.reads:
            circular.append(proposal)
        else:
            kept.append(_with_gain(proposal, kinds[proposal.family], rows=rows))
    chosen: list[Proposal] = []
    for family, ground in kinds.items():
        ordered = sorted((p for p in kept if p.family == family), key=lambda p: (-p.gain, p.slice.id))
        distinct = _merge(ordered, ground, rows=rows, dropped=dropped)
        chosen += _without_redundant(distinct, ground, rows=rows, least=min_support, dropped=dropped)
    chosen = _cap(chosen, kinds, rows=rows, most=max_proposals, dropped=dropped)
    return Settled(tested=tuple(chosen), circular=tuple(circular[:max_proposals]), dropped=tuple(dropped))


def _family(rule: Rule, member: Bool, evaluation: Evaluation, ground: Ground) -> Family:
    """`class rates` for a rule that only selects classes: it reads the label alone, or has whole classes inside."""
    if set(rule.columns) == {evaluation.dataset.label}:
        return "class rates"
    if evaluation.task != "classification":
        return "errors"
    rows = members = np.zeros(len(evaluation.classes), dtype=np.int64)
    for sample in (ground.explore, ground.confirm):
        rows = rows + np.bincount(sample.classes, minlength=len(evaluation.classes))
        members = members + np.bincount(sample.classes[member[sample.rows]], minlength=len(evaluation.classes))
    whole = bool(np.all((members == 0) | (members == rows)))
    return "class rates" if whole and 0 < members.sum() < rows.sum() else "errors"


def _too_small(proposal: Proposal, ground: Ground, *, rows: int, least: int | None, held_out: bool) -> str:
    member = proposal.members(rows)
    folds = (("explore", ground.explore), ("confirm", ground.confirm))
    for name, sample in folds if held_out else folds[:1]:
        needed = least_support(ground, least)
        found = sample.support(member[sample.rows])
        if found < needed:
            return f"{found} {ground.unit} among {name} rows, fewer than {needed}"
    return ""


def least_support(ground: Ground, least: int | None = None) -> int:
    """How many rows, or groups where they are the unit, must be members: `least` where it was asked for."""
    return least if least is not None else LEAST_GROUPS if ground.unit == "groups" else LEAST_ROWS


def _with_gain(proposal: Proposal, ground: Ground, *, rows: int) -> Proposal:
    sample = ground.explore
    member = proposal.members(rows)[sample.rows]
    difference = measure(sample, member, error=False).difference.difference
    # The gain does not tell more errors from fewer; a slice that errs less must not stand in for one that errs more.
    if difference <= 0:
        return replace(proposal, gain=-np.inf)
    length = int(sample.classes.max(initial=0)) + 1
    count = np.bincount(sample.classes, minlength=length)
    members = np.bincount(sample.classes[member], minlength=length)
    loss = np.bincount(sample.classes, weights=sample.loss, minlength=length)
    inside = np.bincount(sample.classes[member], weights=sample.loss[member], minlength=length)
    literals = _literals(proposal.slice.rule)
    if sample.binary:
        value = gain(inside, members, wrong=loss, rows=count, literals=literals)
    else:
        squares = float(sample.loss @ sample.loss)
        value = loss_gain(inside, members, loss=loss, rows=count, squares=squares, literals=literals)
    return replace(proposal, gain=float(value))


def _merge(ordered: list[Proposal], ground: Ground, *, rows: int, dropped: list[Dropped]) -> list[Proposal]:
    """By falling gain: what is alike, or has nearly all of the smaller one's members inside the larger, is one."""
    mask = np.zeros(rows, dtype=bool)
    mask[ground.explore.rows] = mask[ground.confirm.rows] = True
    judged = _pack(mask)
    kept: list[Proposal] = []
    sizes: list[int] = []
    stack = np.empty((len(ordered), len(judged)), dtype=np.uint64)
    for proposal in ordered:
        bits = proposal.packed & judged
        size = _count(bits[None])[0]
        common = _count(stack[: len(kept)] & bits)
        others = np.array(sizes, dtype=np.int64)
        alike = common >= JACCARD * (others + size - common)
        nested = common >= NESTED * np.minimum(others, size)
        hits = np.flatnonzero(alike | nested)
        if len(hits) == 0:
            stack[len(kept)] = bits
            kept.append(proposal)
            sizes.append(int(size))
            continue
        first = int(hits[0])
        why = "has nearly the same members as" if alike[first] else "lies in, or contains,"
        dropped.append(_drop(proposal, f"{why} a better proposal", under=kept[first].slice.id))
        if alike[first]:
            kept[first] = kept[first].also_by(proposal)
    return kept


def _without_redundant(
    ordered: list[Proposal], ground: Ground, *, rows: int, least: int | None, dropped: list[Dropped]
) -> list[Proposal]:
    """By falling gain: proposals whose members outside all kept ones err no more than the rest outside them go."""
    sample = ground.explore
    covered = np.zeros(len(sample), dtype=bool)
    kept: list[Proposal] = []
    for proposal in ordered:
        member = proposal.members(rows)[sample.rows]
        why = _redundant(proposal, sample, member, covered, needed=least_support(ground, least))
        if why:
            dropped.append(_drop(proposal, why))
            continue
        kept.append(proposal)
        covered |= member
    return kept


def _redundant(proposal: Proposal, sample: Sample, member: Bool, covered: Bool, *, needed: int) -> str:
    outside = sample.without(covered) if covered.any() else sample
    left = member[~covered]
    if outside.support(left) < needed:
        return f"fewer than {needed} members lie outside the better proposals"
    test = run_test(outside, left, seed=proposal.seed)
    if test.p_value is None and run_test(sample, member, seed=proposal.seed).p_value is None:
        return ""  # nothing here is comparable with it: it is untestable, which is for the report to say
    p = 1.0 if test.p_value is None else test.p_value
    return f"on explore rows nothing is left of it outside the better proposals (p = {p:.2g})" \
        if p > REDUNDANT_ABOVE else ""  # fmt: skip


def _cap(
    proposals: list[Proposal], kinds: Mapping[Family, Ground], *, rows: int, most: int, dropped: list[Dropped]
) -> list[Proposal]:
    """The proposals that explain most errors: members times difference, on explore rows."""
    if len(proposals) <= most:
        return proposals

    def explained(proposal: Proposal) -> float:
        sample = kinds[proposal.family].explore
        member = proposal.members(rows)[sample.rows]
        difference = measure(sample, member, error=False).difference
        return 0.0 if difference.used == 0 else float(member.sum()) * difference.difference

    ranked = sorted(proposals, key=lambda p: (-explained(p), p.slice.id))
    dropped += [_drop(proposal, f"beyond the {most} proposals that explain most errors") for proposal in ranked[most:]]
    return ranked[:most]


def _drop(proposal: Proposal, why: str, *, under: str | None = None) -> Dropped:
    return Dropped(id=proposal.slice.id, rule=proposal.slice.rule.text, why=why, under=under)


def _literals(rule: Rule) -> int:
    """How many conditions a rule makes; what a rule over an embedding counts as, see `EMBEDDED_LITERALS`."""
    return _atoms(rule.test) if isinstance(rule, Where) else EMBEDDED_LITERALS


def _atoms(test: Predicate) -> int:
    if isinstance(test, And | Or):
        return sum(_atoms(term) for term in test.terms)
    return _atoms(test.term) if isinstance(test, Not) else 1


def _pack(member: Bool) -> Words:
    packed = np.packbits(member)
    return np.pad(packed, (0, -len(packed) % 8)).view(np.uint64)


def _count(bits: Words) -> NDArray[np.int64]:
    """Set bits in each row of `(p, w)` words."""
    return np.asarray(np.bitwise_count(bits).sum(axis=1, dtype=np.int64))
