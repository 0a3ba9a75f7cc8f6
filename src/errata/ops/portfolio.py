"""Leads: which of many methods' slices to look at first, and which rows of each, by how well they hold on held rows.

No method of finding slices wins everywhere: kernels find rare clusters, linear directions find shortcuts, and where an
embedding says little, a cell of the confusion matrix is as good. Which of them to believe can be read from rows that
the methods did not see. Reference: Eyuboglu et al., "Domino", ICLR 2022, for the comparison and for the cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Level
from errata.core.evaluation import Evaluation
from errata.core.slices import Rule, Slice
from errata.ops.error_mixture import Codes, Floats, doubt_levels, fit_error_mixture, normal_scores

__all__ = ["Cell", "Lead", "leads", "score_of"]

TOP = 25
ALIKE = 12
"""Two slices are alike that share more than 12 of the 25 rows they rank first."""

HOLDS = 2.0
"""Standard deviations by which wrong members must exceed their number by chance, on held rows, for a slice to come
before the cells: a low bar, which one in forty slices that say nothing passes, for an order and not for a claim."""

BEFORE_CELLS, CELLS = 3, 2
"""So many slices that hold come before the cells, and so many cells there are."""

HIGH_LOSS = 0.1
"""Share of each stratum's rows, those of highest loss, that count as wrong where a metric is not right or wrong."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A wrong cell of the confusion matrix: rows of class `given` that were taken for `said`, `rows` of them."""

    given: Level
    said: Level
    rows: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Lead:
    """Where to look; nothing in it is proven.

    slice        the slice it comes from; None for a cell
    cell         the cell of the confusion matrix; None for a slice
    membership   (n,) over the held rows, higher for more a member, -inf outside. It reads the row's own label and what
                 the model said of it: good for picking examples, useless as a test. Slice: log odds. Cell: probability.
    evidence     log-likelihood gain (nats) of telling members from others, over explore and held rows; 0 for a cell
    holds        whether members by the slice's rule err more on held rows alone, by two standard deviations; no proof
    proposed_by  methods that proposed it or one alike, the best first; () for a cell
    """

    slice: Slice | None
    cell: Cell | None
    membership: Floats
    evidence: float
    holds: bool
    proposed_by: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Judged:
    """The rows of one fold, as all slices see them."""

    scores: Floats
    members: Bool
    wrong: Bool
    doubt: Floats
    stratum: NDArray[np.int32]


def score_of(rule: Rule, evaluation: Evaluation) -> Floats:
    """(n,) how much each row is a member, higher for more: the rule's own score, or 1 and 0 for a predicate."""
    scored = getattr(rule, "score", None)
    if scored is None:
        return np.asarray(rule.members(evaluation), dtype=np.float64)
    return np.asarray(scored(evaluation), dtype=np.float64)


def leads(slices: Sequence[Slice], explore: Evaluation, held: Evaluation, *, most: int = 5) -> list[Lead]:
    """At most `most` leads among what methods proposed on `explore`, judged on `explore` and `held` rows together.

    Slices should come as they can be tested (`engine.propose.as_testable`): rules that read the model's output would
    count a row's own error twice. Each slice's score is read within each class by an `ErrorMixture`, whose gain in
    likelihood is the slice's evidence and whose log odds, the row's own doubt included, are its membership. Those of
    most evidence come first and alike ones once, in this order: up to three that hold on held rows alone, the two wrong
    cells of the confusion matrix that gather most rows, what else holds, what does not.

    Held rows are used here to choose and to fit. A p-value from the same rows for a lead so chosen would be
    worthless: leads never decide what is tested, and `confirm` takes all slices, chosen without held rows.
    """
    before, after = _judged(slices, explore), _judged(slices, held)
    if not (before.wrong.any() or after.wrong.any()):
        return []
    evidence, membership = _membership(before, after)
    holds = _deviation(after) > HOLDS
    groups = _unlike(evidence, membership)
    found = [
        Lead(
            slice=slices[group[0]], cell=None, membership=membership[group[0]], evidence=float(evidence[group[0]]),
            holds=bool(holds[group[0]]),
            proposed_by=tuple(dict.fromkeys(name for at in group for name in slices[at].proposed_by)),
        )
        for group in groups[:most]
    ]  # fmt: skip
    strong = [lead for lead in found if lead.holds]
    weak = [lead for lead in found if not lead.holds]
    return [*strong[:BEFORE_CELLS], *_cells(explore, held), *strong[BEFORE_CELLS:], *weak][:most]


def _judged(slices: Sequence[Slice], rows: Evaluation) -> _Judged:
    """Scores and members (m, n) of the slices on some rows, and how wrong each row is."""
    view = rows.view()
    shape = (len(slices), len(rows))
    scores = np.array([score_of(one.rule, rows) for one in slices], dtype=np.float64).reshape(shape)
    members = np.array([one.rule.members(rows) for one in slices], dtype=bool).reshape(shape)
    wrong, doubt = view.loss > 0, view.loss
    if not rows.binary_loss:
        wrong = _highest(view.loss, view.stratum)
    elif rows.scores is not None and rows.task == "classification":
        doubt = 1.0 - np.asarray(rows.of(rows.scores), dtype=np.float64)[np.arange(len(rows)), view.labels.astype(int)]
    return _Judged(scores=scores, members=members, wrong=wrong, doubt=doubt, stratum=view.stratum)


def _highest(loss: Floats, stratum: NDArray[np.int32]) -> Bool:
    """(n,) rows among the tenth of highest loss in their stratum."""
    wrong = np.zeros(len(loss), dtype=bool)
    for code in np.unique(stratum):
        rows = stratum == code
        wrong[rows] = loss[rows] > np.quantile(loss[rows], 1 - HIGH_LOSS)
    return wrong


def _membership(before: _Judged, after: _Judged) -> tuple[Floats, Floats]:
    """(m,) evidence and (m, n) log odds on the held rows; -inf in classes without a wrong row."""
    evidence = np.zeros(len(after.scores))
    membership = np.full(after.scores.shape, -np.inf)
    for code in np.unique(after.stratum[after.stratum >= 0]):
        first, second = before.stratum == code, after.stratum == code
        wrong = np.concatenate([before.wrong[first], after.wrong[second]])
        if wrong.all() or not wrong.any():
            continue
        normal = normal_scores(np.concatenate([before.scores[:, first], after.scores[:, second]], axis=1))
        levels: Codes = doubt_levels(np.concatenate([before.doubt[first], after.doubt[second]]), wrong)
        fitted = fit_error_mixture(normal, levels)
        start = int(first.sum())
        membership[:, second] = fitted.log_odds(normal[:, start:], levels[start:])
        evidence += fitted.gain
    return evidence, membership


def _deviation(rows: _Judged) -> Floats:
    """(m,) how many standard deviations more members are wrong than if wrong rows lay at random within their class."""
    excess, variance = np.zeros(len(rows.members)), np.zeros(len(rows.members))
    for code in np.unique(rows.stratum[rows.stratum >= 0]):
        inside, wrong = rows.members[:, rows.stratum == code], rows.wrong[rows.stratum == code]
        n, k, size = len(wrong), int(wrong.sum()), inside.sum(axis=1)
        excess += (inside & wrong).sum(axis=1) - size * k / n
        variance += size * (n - size) * (k * (n - k) / (n * n * max(n - 1, 1)))
    return excess / np.sqrt(np.where(variance > 0, variance, np.inf))


def _unlike(evidence: Floats, membership: Floats) -> list[list[int]]:
    """Groups of alike slices, by falling evidence; the first of each leads it. Slices without evidence are left out."""
    order = [int(at) for at in np.argsort(-evidence, kind="stable") if evidence[at] > 0]
    first = {at: _first_rows(membership[at]) for at in order}
    groups: list[list[int]] = []
    for at in order:
        home = next((group for group in groups if len(first[group[0]] & first[at]) > ALIKE), None)
        if home is None:
            groups.append([at])
        else:
            home.append(at)
    return groups


def _first_rows(membership: Floats) -> set[int]:
    rows = np.argsort(-membership, kind="stable")[:TOP]
    return {int(row) for row in rows if membership[row] > -np.inf}


def _cells(explore: Evaluation, held: Evaluation) -> list[Lead]:
    """The wrong cells of the confusion matrix with most rows, each ranked by what the model gave the class it said."""
    if held.task != "classification" or not held.binary_loss:
        return []
    k = len(held.classes)
    table = np.zeros((k, k), dtype=np.int64)
    for rows in (explore.view(), held.view()):
        wrong = rows.loss > 0
        np.add.at(table, (rows.labels[wrong].astype(int), rows.predicted[wrong].astype(int)), 1)
    np.fill_diagonal(table, 0)
    order = np.argsort(-table, axis=None, kind="stable")[:CELLS]
    view = held.view()
    found = []
    for given, said in zip(*np.unravel_index(order, table.shape), strict=True):
        if not table[given, said]:
            continue
        taken = (view.predicted == said).astype(np.float64)
        if held.scores is not None:
            taken = np.asarray(held.of(held.scores), dtype=np.float64)[:, said]
        cell = Cell(given=held.classes[given], said=held.classes[said], rows=int(table[given, said]))
        found.append(
            Lead(slice=None, cell=cell, membership=np.where(view.labels == given, taken, -np.inf), evidence=0.0,
                 holds=False, proposed_by=())
        )  # fmt: skip
    return found
