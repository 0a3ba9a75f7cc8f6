"""Regions of rows that err more than the rest, as conjunctions of a few literals with free cuts.

`search` looks for them, `refine` moves the boundaries of a given rule, `imitate` finds a rule for a given set of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from errata.core.columns import Bool, Columns, Float, Int
from errata.core.evaluation import Evaluation
from errata.core.rules import OneOf, Where
from errata.ops.regions.boundaries import Fitted, climb, fitted, settle
from errata.ops.regions.champions import champions
from errata.ops.regions.ground import Ground
from errata.ops.regions.literals import literals_of, where_of
from errata.ops.regions.scan import PairBoxes, Start, extensions, falling, single_starts

__all__ = ["Candidate", "imitate", "of_classes", "refine", "search"]

# Regions to look at closely: measured, twice as many find nothing more on planted worlds.
_STARTS = 14
_CLIMBS = 12
_FLOOR = -6.0
_IMITATED = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """A region found by a search.

    gain     see `errata.stats.gain`: log-likelihood gained by error rates of its own in each class, less half the
             logarithm of the number of rows for each comparison and one more
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
    min_support: int = 10,
    most: int = 20,
    floor: float = _FLOOR,
    weak: bool = False,
    loss: Float | None = None,
) -> list[Candidate]:
    """The regions where rows err more than the rest of their classes, best gain first.

    Every interval of a number and set of levels, alone and by pairs of columns, is counted in bins; the best are
    extended by further columns, and their boundaries then moved on the raw values, one literal at a time, until nothing
    improves; cuts end at the roundest number near the middle of where they may lie. Then the members of the best region
    are taken away and the rest is searched again, so that one region does not come back in pieces.
    Time grows linearly in rows and with the square of the columns, up to `MOST_PAIRS` pairs of them.

    evaluation   the rows to search, usually `evaluation.explore()`; rows without a stratum are left out
    features     columns that rules may read; the evaluation's features when None
    max_literals columns per rule, at least 1; 3 as longer rules are seldom understood (ours)
    min_support  fewest members
    most         regions at most
    floor        regions whose log-likelihood gain less the price of their cuts and columns is lower are left out; at -6
                 null worlds of 12,000 rows give 0.4 regions each, of 2,000 rows two (measured): the proof judges them,
                 and weak regions that are there have a chance
    weak         also the best region of a single column and the best two of two columns, wherever they are not found
                 yet, whatever their gain (see `errata.ops.regions.champions`): a weak region that is there has a chance
    loss         (n,) what to count instead of the evaluation's own loss: all 0 or 1, or any real numbers
    """
    view = evaluation.view()
    counted = view.loss if loss is None else loss
    binary = evaluation.binary_loss if loss is None else bool(np.isin(loss, (0, 1)).all())
    names = evaluation.features if features is None else features
    if not len(evaluation) or not (view.stratum >= 0).any():
        return []
    ground = Ground.of(evaluation, names, loss=counted, stratum=view.stratum, binary=binary, least=min_support)
    found = _regions(ground, max_literals=max_literals, most=most, floor=floor, weak=weak)
    candidates = [_candidate(where, evaluation, counted, view.stratum, binary) for where in found]
    return sorted(candidates, key=lambda candidate: -candidate.gain)


def of_classes(evaluation: Evaluation, codes: Sequence[int]) -> Where | None:
    """The rule that the label is one of some classes, given by code; None where rules may not read the label."""
    label = evaluation.dataset.label
    if label is None or label not in evaluation.features:
        return None
    return Where(OneOf(label, tuple(evaluation.classes[code] for code in codes)))


def refine(where: Where, evaluation: Evaluation, *, min_support: int = 10) -> Where:
    """The rule with its boundaries where the errors change; comparisons that do not pay are dropped.

    Rules that are no plain conjunction (with `or`, `not`, two ranges of one column), and rules with fewer than
    `min_support` members, are returned as they are.
    """
    view = evaluation.view()
    loss, stratum = view.loss, view.stratum
    columns = {name: evaluation.column(name) for name in where.columns}
    literals = literals_of(where, columns)
    if literals is None or not (stratum >= 0).any():
        return where
    ground = Ground.of(
        evaluation, where.columns, loss=loss, stratum=stratum, binary=evaluation.binary_loss, least=min_support
    )
    start = fitted(literals, ground)
    if start.gain <= 0.0:
        return where
    return _where(settle(climb(start, ground), ground), ground)


def imitate(
    members: Bool,
    evaluation: Evaluation,
    *,
    exclude: Sequence[str] = (),
    least: float = 0.5,
    max_literals: int = 3,
    min_support: int = 10,
) -> Where | None:
    """A rule over inputs, metadata and label that selects nearly the given rows, None where there is none.

    The rows are searched for the regions where members are most frequent; the rule is the best of the first region, and
    of the union of the first two or three. Its quality is the Jaccard index with the members on the rows given, rows in
    both over rows in either; below `least` (one half: ours) the imitation has failed.

    members  (n,) bool over the evaluation's rows
    exclude  columns that the rule may not read, besides the evaluation's outputs
    """
    barred = {*exclude, *evaluation.outputs}
    names = [name for name in evaluation.features if name not in barred]
    if not names or members.sum() < min_support or members.all():
        return None
    zero = np.zeros(len(members), dtype=np.int32)
    ground = Ground.of(evaluation, names, loss=members.astype(np.float64), stratum=zero, binary=True, least=min_support)
    best, score = None, least
    union: Where | None = None
    for where in _regions(ground, max_literals=max_literals, most=_IMITATED, floor=0.0):
        union = where if union is None else union | where
        chosen = union.members(evaluation)
        quality = np.count_nonzero(chosen & members) / np.count_nonzero(chosen | members)
        if quality >= score + (0.02 if best is not None else 0.0):
            best, score = union, quality
    return best


def _regions(whole: Ground, *, max_literals: int, most: int, floor: float, weak: bool = False) -> list[Where]:
    found: list[Where] = []
    known: list[Fitted] = []
    ground, boxes = whole, PairBoxes()
    if max_literals > 1:
        boxes.scan(ground, of_two=_STARTS if weak else 0)
    pairs = boxes.starts_of_two(whole, _STARTS) if weak else []
    while len(found) < most and len(ground) > 2 * ground.least:
        best = _best_region(ground, boxes, max_literals=max_literals)
        if best is None or best.value <= floor:
            break
        best = settle(best, ground)
        found.append(_where(best, ground))
        if weak:
            known.append(fitted(best.literals, whole))
        ground = ground.without(best.members)
        boxes.rescan(ground)
    if weak:
        singles = [start for start in single_starts(whole, _STARTS) if start.literals]
        found += [_where(state, whole) for state in champions(singles, pairs, whole, beside=known)]
    return found[:most]


def _where(state: Fitted, ground: Ground) -> Where:
    return where_of(state.literals, {literal.column: ground.column(literal.column) for literal in state.literals})


def _best_region(ground: Ground, boxes: PairBoxes, *, max_literals: int) -> Fitted | None:
    starts = _leading([*single_starts(ground, _STARTS), *boxes.starts(ground, _STARTS)], _STARTS)
    if max_literals > 2:
        for start in list(starts):
            if len(start.literals) < max_literals:
                starts += extensions(start.literals, fitted(start.literals, ground).members, ground, 2)
    climbed = [climb(fitted(start.literals, ground), ground) for start in _leading(starts, _CLIMBS)]
    best = max(climbed, key=lambda state: state.value, default=None)
    while best is not None and len(best.literals) < max_literals:
        longer = extensions(best.literals, best.members, ground, 2)
        tries = [climb(fitted(start.literals, ground), ground) for start in longer]
        top = max(tries, key=lambda state: state.value, default=best)
        if top.value <= best.value + 1e-9:
            break
        best = top
    return best


def _leading(starts: Sequence[Start], most: int) -> list[Start]:
    ranked = sorted((start for start in starts if start.literals), key=lambda start: falling(start.value))
    return ranked[:most]


def _candidate(where: Where, columns: Columns, loss: Float, stratum: Int, binary: bool) -> Candidate:
    from errata.stats.gain import gain, loss_gain

    members = where.members(columns)
    known = stratum >= 0
    classes = int(stratum.max()) + 1
    inside = known & members
    n1, n = (np.bincount(stratum[rows], minlength=classes) for rows in (inside, known))
    x1, x = (np.bincount(stratum[rows], weights=loss[rows], minlength=classes) for rows in (inside, known))
    parts = len(where.literals() or where.columns)
    if binary:
        value = gain(x1, n1, wrong=x, rows=n, literals=parts)
    else:
        value = loss_gain(x1, n1, loss=x, rows=n, squares=float(np.sum(loss[known] ** 2)), literals=parts)
    return Candidate(where=where, gain=float(value), members=members)
