"""Rules proposed on four fifths of the rows and judged on the fifth: folds, and which rules of five folds are one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from errata.core.copies import copies
from errata.core.evaluation import CONFIRM, EXPLORE, LEFT_OUT, Evaluation
from errata.core.folds import FEW_GROUPS
from errata.core.hashing import keyed
from errata.proof.effect import group_contrast
from errata.proof.sample import Ground, Sample, grounds
from errata.proof.settle import Proposal
from errata.stats.clusters import Cells
from errata.stats.exact import exact_test

__all__ = ["FOLDS", "RuleFamily", "cross_folds", "cross_ground", "gathered", "jaccard", "statistic", "with_fold"]

Bool = NDArray[np.bool_]
Fold = NDArray[np.int8]

FOLDS = 5

ALIKE = 0.25
"""Least Jaccard index of two rules of one family, over all rows."""

LEAST_FOLDS = 3
"""A family has rules of at least so many folds: what appears in two of five is no finding."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RuleFamily:
    """Rules of different folds with much the same members.

    folds      the fold that each was judged on; it was proposed on the others
    proposals  the rules, in the order of `folds`
    place      which of them is the consensus: the one with the best mean Jaccard index with the others
    alike      that mean
    member     (n,) bool over the ground's rows: whether the rule of the row's fold selects it
    statistic  see `statistic`
    """

    folds: tuple[int, ...]
    proposals: tuple[Proposal, ...]
    place: int
    alike: float
    member: Bool
    statistic: float

    @property
    def consensus(self) -> Proposal:
        return self.proposals[self.place]


def cross_folds(evaluation: Evaluation, *, split_seed: int = 0) -> Fold:
    """(N,) int8: the fold 0 to 4 in which each row is judged, -1 for rows that are sealed or left out.

    By a keyed hash of the id, within class (and group); whole groups from 24 groups on; with time and no group, blocks
    of time. Copies go with the first.
    """
    used = np.isin(evaluation.fold, (EXPLORE, CONFIRM)) & (evaluation.stratum >= 0)
    fold = np.full(len(used), -1, dtype=np.int8)
    rows = np.flatnonzero(used & evaluation.counted)
    data, group = evaluation.dataset, evaluation.group
    named = keyed(data.id_hash[rows] ^ keyed(data.occurrence[rows].astype(np.uint64), seed="occurrence"), seed="cross")
    key = keyed(named, seed=split_seed)
    stratum = evaluation.stratum[rows].astype(np.int64)
    if group is not None and len(np.unique(group[rows])) >= FEW_GROUPS:
        codes, first, of = np.unique(group[rows], return_index=True, return_inverse=True)
        order = np.lexsort((keyed(codes.astype(np.uint64), seed=split_seed), stratum[first]))
        of_group = np.empty(len(codes), dtype=np.int8)
        of_group[order] = np.arange(len(codes)) % FOLDS
        fold[rows] = of_group[of]
    elif group is None and data.time is not None:
        moments = np.argsort(data.table.column(data.time).values[rows], kind="stable")
        fold[rows[moments]] = np.arange(len(rows)) * FOLDS // max(len(rows), 1)
    else:
        within = np.zeros(len(rows), dtype=np.int64) if group is None else group[rows].astype(np.int64)
        fold[rows[np.lexsort((key, within, stratum))]] = np.arange(len(rows)) % FOLDS
    if not evaluation.counted[used].all():
        fold[used] = fold[copies(data, eligible=used).first[used]]
    return fold


def with_fold(evaluation: Evaluation, folds: Fold, held_out: int | None) -> Evaluation:
    """The evaluation that confirms on one fold and explores the others; that confirms on all of them when None."""
    judged = folds >= 0 if held_out is None else folds == held_out
    fold = np.where(judged, CONFIRM, np.where(folds >= 0, EXPLORE, LEFT_OUT)).astype(np.int8)
    return replace(evaluation, fold=fold)


def cross_ground(evaluation: Evaluation, folds: Fold) -> Ground:
    """What families are judged on: every row, compared with the rest of its class (and group) in its fold."""
    ground = grounds(with_fold(evaluation, folds, None))["errors"]
    sample = ground.confirm
    of_row = folds[sample.rows].astype(np.int64)
    cells = sample.cells
    if cells is not None and sample.group is not None:
        cells = Cells.of(sample.loss, group=sample.group, stratum=sample.classes * FOLDS + of_row)
    parted = replace(sample, stratum=sample.stratum * FOLDS + of_row, cells=cells)
    return replace(
        ground, explore=parted, confirm=parted, strata=f"{ground.strata} x fold", baseline=f"{ground.baseline} and fold"
    )


def gathered(per_fold: Sequence[Sequence[Proposal]], ground: Ground, folds: Fold, *, least: int) -> list[RuleFamily]:
    """The families of the rules that each fold's other rows proposed, the most extreme first.

    The rule that is most like rules of other folds takes its best match of each other fold; then the next among those
    that are left. Folds without a rule of the family have no members. Only membership decides what belongs together.
    """
    fold_of = np.array([fold for fold, rules in enumerate(per_fold) for _ in rules], dtype=np.int64)
    every = [rule for rules in per_fold for rule in rules]
    if len(set(fold_of.tolist())) < LEAST_FOLDS:
        return []
    sample, rows = ground.confirm, len(folds)
    members = np.stack([rule.members(rows)[sample.rows] for rule in every])
    alike = _all_jaccard(members)
    alike[fold_of[:, None] == fold_of[None, :]] = 0.0
    alike[alike < ALIKE] = 0.0
    of_row = folds[sample.rows]
    found, free = [], np.ones(len(every), dtype=bool)
    while True:
        chosen = _most_alike(np.where(free[:, None] & free[None, :], alike, 0.0), fold_of)
        if len(chosen) < LEAST_FOLDS:
            break
        free[chosen] = False
        member = np.zeros(len(sample), dtype=bool)
        for at in chosen:
            member |= members[at] & (of_row == fold_of[at])
        if sample.support(member) >= least:
            found.append(_family(chosen, fold_of, every, members, member, sample))
    return sorted(found, key=lambda family: (-family.statistic, family.consensus.slice.id))


def _most_alike(alike: NDArray[np.float64], fold_of: NDArray[np.int64]) -> list[int]:
    """The rule whose best matches in the other folds are most alike it, with them, by fold."""
    best = np.stack([alike[:, fold_of == fold].max(axis=1, initial=0.0) for fold in range(FOLDS)], axis=1)
    centre = int(best.sum(axis=1).argmax())
    chosen = [centre]
    for fold in range(FOLDS):
        if best[centre, fold] > 0.0:
            here = np.flatnonzero(fold_of == fold)
            chosen.append(int(here[alike[centre, here].argmax()]))
    return sorted(chosen, key=lambda at: int(fold_of[at]))


def _family(
    chosen: Sequence[int], fold_of: NDArray[np.int64], every: Sequence[Proposal], members: Bool, member: Bool,
    sample: Sample,
) -> RuleFamily:  # fmt: skip
    among = _all_jaccard(members[list(chosen)])
    mean = (among.sum(axis=1) - 1.0) / (len(chosen) - 1)
    place = int(mean.argmax())
    return RuleFamily(
        folds=tuple(int(fold_of[at]) for at in chosen), proposals=tuple(every[at] for at in chosen), place=place,
        alike=float(mean[place]), member=member, statistic=statistic(sample, member),
    )  # fmt: skip


def jaccard(first: Bool, second: Bool) -> float:
    """Common members over all members of two rules; 0 where neither has any."""
    either = int(np.count_nonzero(first | second))
    return int(np.count_nonzero(first & second)) / max(either, 1)


def _all_jaccard(members: Bool) -> NDArray[np.float64]:
    """`jaccard` of every pair of `(r, n)` rules, `(r, r)`."""
    inside = members.astype(np.float32)
    common = (inside @ inside.T).astype(np.float64)
    size = np.diag(common)
    return np.asarray(common / np.maximum(size[:, None] + size[None, :] - common, 1.0))


def statistic(sample: Sample, member: Bool) -> float:
    """How much more members err than the rest of their strata: -log of a p-value that is no proof, only a scale.

    Exact for rows that are right or wrong; for losses and groups by the normal distribution. Members that a rule was
    chosen for would be too extreme for such a p-value (measured: 19 % false), hence the reruns.
    """
    from scipy.special import log_ndtr

    if sample.cells is not None:
        contrast = group_contrast(sample.cells, member, sample.loss)
        if contrast is None or contrast.chosen is not None or not contrast.sums.any():
            return 0.0
        return -float(log_ndtr(-contrast.sums.sum() / np.linalg.norm(contrast.sums)))
    if sample.binary:
        return -float(np.log(exact_test(sample.counts(member))))
    strata = sample.loss_counts(member)
    keep = strata.has_rest & (strata.rows > 1)
    rows, members = strata.rows[keep], strata.members[keep]
    mean = strata.loss[keep] / rows
    spread = np.maximum(strata.squares[keep] / rows - mean * mean, 0.0)
    variance = float((members * (rows - members) / (rows - 1) * spread).sum())
    excess = float((strata.members_loss[keep] - members * mean).sum())
    return -float(log_ndtr(-excess / np.sqrt(variance))) if variance > 0 else 0.0
