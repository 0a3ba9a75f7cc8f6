"""Regions of rows that err more than the rest, as conjunctions of at most a few literals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from errata.core.columns import Bool, Column, Float, Int
from errata.core.evaluation import Evaluation
from errata.core.rules import Where
from errata.ops.boundaries import Fitted, climb, fitted, settle
from errata.ops.ground import Ground
from errata.ops.scan import PairBoxes, Start, extensions, single_starts
from errata.ops.literals import where_of

__all__ = ["Candidate", "search"]

_STARTS = 14
_CLIMBS = 12


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """A region found by a search.

    gain     log-likelihood gained by an error rate of its own, less what its cuts cost
    members  (n,) bool over the rows of the evaluation that was searched
    """

    where: Where
    gain: float
    members: Bool


def search(
    evaluation: Evaluation,
    *,
    features: Sequence[str] | None = None,
    max_literals: int = 3,
    min_support: int = 15,
    most: int = 20,
    floor: float = 0.0,
) -> list[Candidate]:
    view = evaluation.view()
    names = evaluation.features if features is None else features
    ground = Ground.of(
        evaluation, names, loss=view.loss, stratum=view.stratum, binary=evaluation.binary_loss, least=min_support
    )
    return _search(ground, max_literals=max_literals, most=most, floor=floor)


def _search(whole: Ground, *, max_literals: int, most: int, floor: float) -> list[Candidate]:
    found: list[Candidate] = []
    ground, boxes = whole, PairBoxes()
    if max_literals > 1:
        boxes.scan(ground)
    while len(found) < most and len(ground) > 2 * ground.least:
        best = _best_region(ground, boxes, max_literals=max_literals)
        if best is None or best.value <= floor:
            break
        best = settle(best, ground)
        columns = {literal.column: ground.column(literal.column) for literal in best.literals}
        where = where_of(best.literals, columns)
        everywhere = fitted(best.literals, whole)
        members = np.zeros(len(whole.columns), dtype=bool)
        members[whole.rows] = everywhere.members
        found.append(Candidate(where=where, gain=everywhere.value, members=members))
        if not best.members.any():
            break
        ground = ground.without(best.members)
        boxes.rescan(ground)
    return sorted(found, key=lambda candidate: -candidate.gain)


def _best_region(ground: Ground, boxes: PairBoxes, *, max_literals: int) -> Fitted | None:
    starts = [*single_starts(ground), *boxes.starts(ground, _STARTS)]
    starts = _leading(starts, _STARTS)
    if max_literals > 2:
        for start in list(starts):
            if len(start.literals) < max_literals:
                starts += _leading(extensions(start.literals, fitted(start.literals, ground).members, ground), 2)
    climbed = [climb(fitted(start.literals, ground), ground) for start in _leading(starts, _CLIMBS)]
    if not climbed:
        return None
    best = max(climbed, key=lambda state: state.value)
    while len(best.literals) < max_literals:
        longer = _leading(extensions(best.literals, best.members, ground), 2)
        tries = [climb(fitted(start.literals, ground), ground) for start in longer]
        top = max(tries, key=lambda state: state.value, default=best)
        if top.value <= best.value + 1e-9:
            break
        best = top
    return best


def _leading(starts: Sequence[Start], most: int) -> list[Start]:
    ranked = sorted((start for start in starts if start.literals), key=lambda start: -start.value)
    return ranked[:most]
