"""Leads: which of many methods' slices to look at first, and which rows of each, by how well they hold on held rows.

No method of finding slices wins everywhere: kernels find rare clusters, linear directions find shortcuts, and where an
embedding says little, a cell of the confusion matrix is as good. Which of them to believe can be read from rows that
the methods did not see. Reference: Eyuboglu et al., "Domino", ICLR 2022, for the comparison and for the cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Level
from errata.core.embedded import Embedded
from errata.core.evaluation import Evaluation
from errata.core.slices import Rule, Slice
from errata.ops.error_mixture import (
    Codes,
    ErrorMixture,
    Floats,
    agreement,
    doubt_levels,
    fit_error_mixture,
    normal_scores,
    null_gain,
)

__all__ = ["Cell", "Lead", "leads", "score_of"]

TOP = 25
ALIKE = 12
"""Two slices are alike that share more than 12 of the 25 rows they rank first."""

HOLDS, HOLDS_BY_SCORE = 2.0, 4.0
"""For a slice to come before the cells: standard deviations by which its wrong members exceed their number by chance on
held rows, or nats that its score gains on them. A low bar, for an order and not for a claim: of slices that say
nothing one in forty passes the first."""

SMOOTH = 0.4
"""Rank correlation of a score with doubt, among rows that are right, beyond which doubt follows the score: it no longer
counts as a second witness, and the slice runs along the border of two classes, of which their confusion says as much.
"""

AS_GOOD = 0.8
"""Of alike slices those with at least this share of the leading one's evidence have a say in its membership."""

BEFORE_CELLS, CELLS = 3, 2
"""So many slices that hold come before the cells, and so many cells there are."""

FIRST_GAIN = 1.5
"""Nats that a slice gains in telling wrong from right on held rows, to come before the first cell."""

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
    reaches      codes of other classes in which the slice's score tells errors too, though its rule is of one class;
                 their rows follow the likely ones of its own class (log of the probability, not of the odds)
    evidence     log-likelihood gain (nats) of telling members from others, over explore and held rows; 0 for a cell
    holds        whether on held rows alone members by the slice's rule err more, by two standard deviations, or its
                 score gains four nats; no proof
    proposed_by  methods that proposed it or one alike, the best first; () for a cell
    """

    slice: Slice | None
    cell: Cell | None
    membership: Floats
    evidence: float
    holds: bool
    proposed_by: tuple[str, ...]
    reaches: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class _Judged:
    """The rows of one fold, as all slices see them; `beyond` are scores outside the class that a rule is of."""

    scores: Floats
    beyond: Floats
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
    most evidence come first and alike ones once, in this order: up to three that hold on held rows alone, among
    themselves by what they gain there in telling wrong from right; the two wrong cells of the confusion matrix that
    gather most rows; what else holds; what does not. The first cell comes before all where those slices gain next to
    nothing, or where doubt follows a slice's score.

    Held rows are used here to choose and to fit. A p-value from the same rows for a lead so chosen would be
    worthless: leads never decide what is tested, and `confirm` takes all slices, chosen without held rows.
    """
    before, after = _judged(slices, explore), _judged(slices, held)
    if not (before.wrong.any() or after.wrong.any()):
        return []
    read = _read(before, after)
    holds = (_deviation(after) > HOLDS) | (read.on_held > HOLDS_BY_SCORE)
    groups = _unlike(read.evidence, read.own)[:most]

    def told(group: Sequence[int]) -> Lead:
        at = group[0]
        return Lead(
            slice=slices[at], cell=None, membership=read.agreed(group), evidence=float(read.evidence[at]),
            holds=bool(holds[at]),
            proposed_by=tuple(dict.fromkeys(name for one in group for name in slices[one].proposed_by)),
            reaches=tuple(int(code) for code in read.classes[read.reaches[:, at]]),
        )  # fmt: skip

    strong = [group for group in groups if holds[group[0]]]
    # Evidence counts whatever tells the doubtful from the sure; what is read first should tell wrong from right.
    first = sorted(strong[:BEFORE_CELLS], key=lambda group: -read.of_errors[group[0]])
    weak = [told(group) for group in groups if not holds[group[0]]]
    cells = _cells(explore, held)
    sure = bool(first) and read.of_errors[first[0][0]] >= FIRST_GAIN and not (read.follows > SMOOTH).any()
    return [
        *([] if sure else cells[:1]), *map(told, first), *(cells if sure else cells[1:]),
        *map(told, strong[BEFORE_CELLS:]), *weak,
    ][:most]  # fmt: skip


def _judged(slices: Sequence[Slice], rows: Evaluation) -> _Judged:
    """Scores and members (m, n) of the slices on some rows, and how wrong each row is."""
    view = rows.view()
    shape = (len(slices), len(rows))
    scores = np.array([score_of(one.rule, rows) for one in slices], dtype=np.float64).reshape(shape)
    beyond = np.array([_beyond(one.rule, rows) for one in slices], dtype=np.float64).reshape(shape)
    members = np.array([one.rule.members(rows) for one in slices], dtype=bool).reshape(shape)
    wrong, doubt = view.loss > 0, view.loss
    if not rows.binary_loss:
        wrong = _highest(view.loss, view.stratum)
    elif rows.scores is not None and rows.task == "classification":
        doubt = 1.0 - np.asarray(rows.of(rows.scores), dtype=np.float64)[np.arange(len(rows)), view.labels.astype(int)]
    return _Judged(scores=scores, beyond=beyond, members=members, wrong=wrong, doubt=doubt, stratum=view.stratum)


def _beyond(rule: Rule, rows: Evaluation) -> Floats:
    """(n,) the score of a rule of some classes in all classes; -inf everywhere for other rules."""
    label = rows.dataset.label
    if not isinstance(rule, Embedded) or rule.given is None or rule.given.columns != (label,):
        return np.full(len(rows), -np.inf)
    return score_of(replace(rule, given=None), rows)


def _highest(loss: Floats, stratum: NDArray[np.int32]) -> Bool:
    """(n,) rows among the tenth of highest loss in their stratum."""
    wrong = np.zeros(len(loss), dtype=bool)
    for code in np.unique(stratum):
        rows = stratum == code
        wrong[rows] = loss[rows] > np.quantile(loss[rows], 1 - HIGH_LOSS)
    return wrong


@dataclass(frozen=True, kw_only=True, eq=False)
class _Read:
    """What m slices say of errors, over c classes that have some.

    evidence, on_held, of_errors  (m,) nats gained in telling the doubtful from the sure, over all rows and over held
                                  rows; in telling wrong from right, over held rows
    follows                       (m,) largest rank correlation, over classes, of score and doubt among right rows
    own, membership               (m, n) log odds within the classes of the rule; the same, and beyond
    classes, reaches              (c,) codes, (c, m) where slices reach beyond their rule's classes
    """

    evidence: Floats
    on_held: Floats
    of_errors: Floats
    follows: Floats
    own: Floats
    membership: Floats
    classes: NDArray[np.int32]
    reaches: Bool

    def agreed(self, group: Sequence[int]) -> Floats:
        """(n,) membership of the first slice of a group: what those nearly as good say on average, on its own rows.

        Where doubt follows their scores such slices differ in nothing but how well they see the border.
        """
        first = group[0]
        good = [
            at for at in group if self.evidence[at] >= AS_GOOD * self.evidence[first] and self.follows[at] <= SMOOTH
        ]
        membership: Floats = self.membership[first]
        if self.follows[first] > SMOOTH or len(good) < 2:
            return membership
        odds = self.own[good]
        said = np.isfinite(odds)
        mean = np.where(said, odds, 0.0).sum(axis=0) / np.maximum(said.sum(axis=0), 1)
        return np.where(said[0], mean, membership)


def _read(before: _Judged, after: _Judged) -> _Read:
    """Every slice in every class, by one mixture each; rows of classes without a wrong row, or all wrong, stay -inf."""
    m = len(after.scores)
    gains, follows = np.zeros((3, m)), np.zeros(m)
    own = np.full(after.scores.shape, -np.inf)
    membership = own.copy()
    classes, reaches = [], []
    for code in np.unique(after.stratum[after.stratum >= 0]):
        first, second = before.stratum == code, after.stratum == code
        wrong = np.concatenate([before.wrong[first], after.wrong[second]])
        if wrong.all() or not wrong.any():
            continue
        scores = np.concatenate([before.scores[:, first], after.scores[:, second]], axis=1)
        within = np.isfinite(scores).any(axis=1)
        beyond = np.concatenate([before.beyond[:, first], after.beyond[:, second]], axis=1)
        normal = normal_scores(np.where(within[:, None], scores, beyond))
        doubt = np.concatenate([before.doubt[first], after.doubt[second]])
        levels: Codes = doubt_levels(doubt, wrong)
        fitted = fit_error_mixture(normal, levels)
        reached = ~within & (fitted.gain > null_gain(levels, tries=m))
        start = int(first.sum())
        along = np.abs(agreement(normal[:, ~wrong], doubt[~wrong]))
        odds = _log_odds(fitted, normal, levels, along)[:, start:]
        own[:, second] = np.where(within[:, None], odds, -np.inf)
        further = np.where(reached[:, None], -np.logaddexp(0, -odds), -np.inf)
        membership[:, second] = np.where(within[:, None], odds, further)
        held = fitted.gains(normal[:, start:], levels[start:], base=levels)
        errors = fitted.error_gain(normal[:, start:], wrong[start:], base=wrong)
        gains += np.where(within, [fitted.gain, held, errors], 0.0)
        follows = np.maximum(follows, np.where(within, along, 0.0))
        classes.append(code)
        reaches.append(reached)
    return _Read(
        evidence=gains[0], on_held=gains[1], of_errors=gains[2], follows=follows, own=own, membership=membership,
        classes=np.array(classes, dtype=np.int32), reaches=np.array(reaches, dtype=bool).reshape(len(classes), m),
    )  # fmt: skip


def _log_odds(fitted: ErrorMixture, normal: Floats, levels: Codes, along: Floats) -> Floats:
    """(m, n) log odds of membership, by score and doubt; by score alone where doubt follows the score.

    The mixture takes doubt for independent of the score among members and among others. In a model whose answer is a
    smooth function of what the score reads, as a linear model's is, the two are one witness heard twice.
    """
    return np.where((along > SMOOTH)[:, None], fitted.prior_odds(normal), fitted.log_odds(normal, levels))


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
