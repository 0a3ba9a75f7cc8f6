"""Failure directions: along which direction of an embedding the examples of a class become hard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool
from errata.core.embedded import Direction, Space
from errata.core.errors import UsageError
from errata.core.evaluation import Evaluation
from errata.core.evidence import Evidence, Examples, Extremes, Statistic
from errata.core.method import Job, check_range, method
from errata.core.slices import Slice, claim_for
from errata.ops.conjunctions import of_classes
from errata.ops.vectors.extremes import SHOWN, extremes_of
from errata.ops.vectors.ground import EmbeddingGround, standard_space
from errata.ops.vectors.linear_svm import Plane, balanced, fit_svm
from errata.stats.gain import gain

__all__ = ["FailureDirections", "FoundDirection", "caption_scores"]

Floats = NDArray[np.float64]

COSTS = tuple(np.logspace(-6, 0, 7).tolist())
"""The costs tried: seven steps of the logarithm from 1e-6 to 1, as published."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FoundDirection:
    """One direction of one class.

    label     code of the class
    rule      `Direction` whose score is the log-odds of being wrong, calibrated on held-out folds of explore
    score     balanced accuracy of the plane in cross-validation, in [0, 1]; .5 is chance
    z         by how many standard deviations of chance `score` exceeds .5
    cost      the cost chosen
    evidence  the score, and the hardest and the easiest examples
    extremes  the rows at either end of it, right or wrong, and what tells them apart; None where nobody will look
    """

    label: int
    rule: Direction
    score: float
    z: float
    cost: float
    evidence: tuple[Evidence, ...] = ()
    extremes: Extremes | None = None


@method(needs={"label", "wrong", "classification", "embedding"}, cite="Jain et al., ICLR 2023")
@dataclass(frozen=True, kw_only=True)
class FailureDirections:
    """Directions of an embedding along which the examples of one class become hard for the model.

    For each class a linear support vector machine tells its wrong rows from its right ones, on embeddings that are
    standardised and brought to length one. Its balanced accuracy in cross-validation says whether there is a consistent
    failure at all; only then a direction is proposed. It is then projected out and the search goes on in what is left,
    so that several failures of one class are found one after another. The score is turned into a probability of being
    wrong on held-out folds, and the cut is put where it describes those rows best.

    embedding   name of the embedding column; "" for the first of the evaluation, which is independent of the model
                where there is such a one
    directions  most directions per class; 3 (ours; the paper has 1)
    chance      standard deviations by which the cross-validated score must exceed that of chance; 2 (ours)
    least       fewest wrong and right rows of a class: 10, the least support that the proof asks for
    folds       folds on which the cut and the calibration rest; the cost is chosen by two, as published
    faithful    as published: one direction for every class that has errors, and all rows on its wrong side are members

    Raises UsageError where there is no embedding of that name. Fails where the model errs at random within each class,
    where it errs in many small unlike places, or where what makes examples hard is not linear in the embedding.

    Reference: S. Jain, H. Lawrence, A. Moitra, A. Madry, "Distilling model failures as directions in latent space",
    ICLR 2023.
    """

    embedding: str = ""
    directions: int = 3
    chance: float = 2.0
    least: int = 10
    folds: int = 5
    faithful: bool = False

    def __post_init__(self) -> None:
        check_range(self, {
            "directions": (1, 20), "chance": (0.0, 20.0), "least": (4, math.inf), "folds": (2, 20),
        })  # fmt: skip

    def run(self, evaluation: Evaluation, job: Job) -> list[Slice]:
        """The proposals, the class with the clearest failure first."""
        found = self.directions_of(evaluation, job)
        job.show(*(one.extremes for one in found if one.extremes is not None))
        found.sort(key=lambda one: (-one.z, one.label))
        claim = claim_for(evaluation.metric)
        return [
            Slice(rule=one.rule, claim=claim, proposed_by=("failure_directions",), evidence=one.evidence)
            for one in found
        ]

    def directions_of(self, evaluation: Evaluation, job: Job) -> list[FoundDirection]:
        """Every direction by class, in the order of the classes; what `run` proposes, with its numbers."""
        ground = EmbeddingGround.of(evaluation, self.embedding)
        if ground is None:
            return []
        space = standard_space(ground.values, unit=True)
        began = perf_counter()
        found: list[FoundDirection] = []
        for label in range(len(evaluation.classes)):
            job.progress(label / len(evaluation.classes), f"class {evaluation.classes[label]}")
            if job.budget is not None and perf_counter() - began > job.budget:
                break
            found += self._of_class(evaluation, ground, space, label, job)
        return found

    def _of_class(
        self, evaluation: Evaluation, ground: EmbeddingGround, space: Space, label: int, job: Job
    ) -> list[FoundDirection]:
        rows = np.flatnonzero(ground.stratum == label)
        wrong = ground.loss[rows] > 0
        least = 2 if self.faithful else self.least
        if min(int(wrong.sum()), int((~wrong).sum())) < least:
            return []
        x = space(ground.values[rows])
        y = np.where(wrong, 1.0, -1.0)
        group = None if ground.group is None else ground.group[rows]
        two = _Folds.deal(wrong, group, 2, job.rng)
        more = two if self.faithful else _Folds.deal(wrong, group, self.folds, job.rng)
        given = of_classes(evaluation, [label]) if len(np.unique(ground.stratum)) > 1 else None
        found: list[FoundDirection] = []
        basis: list[Floats] = []
        for _ in range(1 if self.faithful else self.directions):
            best = _best_cost(x, y, two)
            if best.z < self.chance and not self.faithful:
                break
            plane = _orthogonal(fit_svm(_without(x, basis), y, balanced(y), cost=best.cost), basis)
            # Decisions of folds that did not see a row tell how far its score carries; those of the fit flatter it.
            held_out = best.decisions if self.faithful else more.decisions(x, y, best.cost)
            placed = _Placed(scale=1.0, shift=0.0, cut=0.0) if self.faithful else _place(held_out, wrong, self.least)
            if placed is None:
                break
            rule = Direction(
                column=ground.column, space=space, weights=placed.scale * plane.weights,
                bias=placed.scale * plane.bias + placed.shift, cut=placed.cut, given=given,
            )  # fmt: skip
            found.append(FoundDirection(
                label=label, rule=rule, score=best.score, z=best.z, cost=best.cost,
                evidence=_evidence(evaluation, ground.rows[rows], wrong, held_out, best, number=len(found) + 1),
                extremes=extremes_of(
                    evaluation, ground.rows[rows], wrong, held_out, label=label, direction=len(found) + 1,
                    column=ground.column, score=best.score,
                ) if job.showing else None,
            ))  # fmt: skip
            basis.append(_unit(plane.weights))
            for folds in {id(two): two, id(more): more}.values():
                folds.deflate(x, y, best.cost)
        return found


def caption_scores(
    rule: Direction, captions: Floats, reference: Floats, *, faithful: bool = False
) -> NDArray[np.float64]:
    """(c,) scores of captions along a direction: the higher, the better a caption says what is hard.

    A caption (c, d) is embedded by the text encoder of the pair whose image encoder made `rule.column`, and read as its
    difference from the class's own caption `reference` (d,), such as "a photo of a cat". A difference has no mean, so
    that of the images is not taken off it; `faithful` takes it off, as published.

    Raises UsageError where the captions have another width than the embedding.
    """
    space = rule.space
    change = np.atleast_2d(np.asarray(captions, dtype=np.float64)) - np.asarray(reference, dtype=np.float64)
    width = len(rule.weights) if space.centre is None else len(space.centre)
    if change.shape[1] != width:
        raise UsageError(
            f"The captions have {change.shape[1]} dimensions, and the direction was fitted on {width}.",
            hint="embed them by the text encoder that belongs to the image encoder.",
        )
    centre = space.centre if faithful else None
    read = Space(centre=centre, scale=space.scale, unit=space.unit, axes=space.axes)(change)
    return np.asarray(read @ np.asarray(rule.weights, dtype=np.float64))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Best:
    """The cost with the best score in cross-validation, and the decisions (n,) that it rests on."""

    cost: float
    score: float
    z: float
    decisions: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class _Folds:
    """Cross-validation that projects out, in each fold, the directions found in that fold's own training rows."""

    fold: NDArray[np.int64]
    count: int
    bases: list[list[Floats]] = field(default_factory=list)

    @staticmethod
    def deal(wrong: Bool, group: NDArray[np.int32] | None, count: int, rng: np.random.Generator) -> _Folds:
        """Rows dealt to `count` folds, wrong and right ones evenly; whole groups where there are enough of them."""
        fold = np.empty(len(wrong), dtype=np.int64)
        groups = np.unique(group) if group is not None else np.zeros(0, dtype=np.int32)
        if group is not None and len(groups) >= 4 * count:
            # Rows of one group are alike: a fold that had seen some would know the others.
            place = rng.permutation(len(groups)) % count
            fold = place[np.searchsorted(groups, group)]
        if len(groups) < 4 * count or any(len(np.unique(wrong[fold != f])) < 2 for f in range(count)):
            for kind in (True, False):
                rows = np.flatnonzero(wrong == kind)
                fold[rng.permutation(rows)] = np.arange(len(rows)) % count
        return _Folds(fold=fold, count=count, bases=[[] for _ in range(count)])

    def decisions(self, x: Floats, y: Floats, cost: float) -> Floats:
        """(n,) decision values of rows by planes that did not see them."""
        return np.asarray(self.path(x, y, (cost,))[0])

    def path(self, x: Floats, y: Floats, costs: Sequence[float]) -> Floats:
        """(c, n) the same for several costs."""
        found = np.zeros((len(costs), len(y)))
        for f in range(self.count):
            seen, unseen = self.fold != f, self.fold == f
            left = _without(x, self.bases[f])
            plane: Plane | None = None
            for at, cost in enumerate(costs):
                plane = self._fit(left, y, seen, cost, plane)
                found[at, unseen] = plane(left[unseen])
        return found

    def deflate(self, x: Floats, y: Floats, cost: float) -> None:
        """Take the direction of each fold's plane out of what the fold will read from now on."""
        for f in range(self.count):
            plane = self._fit(_without(x, self.bases[f]), y, self.fold != f, cost, None)
            self.bases[f].append(_unit(_orthogonal(plane, self.bases[f]).weights))

    def _fit(self, x: Floats, y: Floats, seen: Bool, cost: float, start: Plane | None) -> Plane:
        # The cost counts per row: with fewer rows it is raised, so that decisions keep the scale of the whole fit.
        share = len(y) / max(int(seen.sum()), 1)
        return fit_svm(x[seen], y[seen], balanced(y[seen]), cost=cost * share, start=start)


def _best_cost(x: Floats, y: Floats, folds: _Folds) -> _Best:
    decisions = folds.path(x, y, COSTS)
    hit = (decisions > 0) == (y > 0)
    wrong = y > 0
    scores = 0.5 * (hit[:, wrong].mean(axis=1) + hit[:, ~wrong].mean(axis=1))
    at = int(np.argmax(scores))
    deviation = 0.25 * math.sqrt(1.0 / int(wrong.sum()) + 1.0 / int((~wrong).sum()))
    score = float(scores[at])
    return _Best(cost=COSTS[at], score=score, z=(score - 0.5) / deviation, decisions=decisions[at])


@dataclass(frozen=True, kw_only=True)
class _Placed:
    """How decisions become log-odds of being wrong (scale x decision + shift), and the cut in log-odds."""

    scale: float
    shift: float
    cut: float


def _place(decisions: Floats, wrong: Bool, least: int) -> _Placed | None:
    """Calibration and cut from held-out decisions; None where harder rows do not err more."""
    odds = _platt(decisions, wrong)
    if odds is None:
        return None
    order = np.argsort(-decisions, kind="stable")
    sizes = np.arange(1, len(order) + 1)
    inside = np.cumsum(wrong[order])
    gains = gain(inside[:, None], sizes[:, None], wrong=[wrong.sum()], rows=[len(wrong)])
    # Above one half a slice is the class and its complement the exception.
    allowed = (sizes >= least) & (2 * sizes <= len(order)) & (inside / sizes > wrong.mean())
    allowed[:-1] &= decisions[order[:-1]] > decisions[order[1:]]
    if not allowed.any():
        return None
    size = int(sizes[allowed][np.argmax(gains[allowed])])
    between = 0.5 * (decisions[order[size - 1]] + decisions[order[min(size, len(order) - 1)]])
    return replace(odds, cut=float(odds.scale * between + odds.shift))


def _platt(decisions: Floats, wrong: Bool) -> _Placed | None:
    """The log-odds of being wrong by Newton's steps, cut at even odds; None where harder rows do not err more.

    Targets are drawn in by one row each, so that rows told apart without fault still give finite odds.

    Reference: J. Platt, "Probabilistic outputs for support vector machines", 1999.
    """
    ones, zeros = int(wrong.sum()), int((~wrong).sum())
    target = np.where(wrong, (ones + 1) / (ones + 2), 1 / (zeros + 2))
    spread = float(decisions.std())
    if spread == 0.0:
        return None
    z = np.column_stack([(decisions - decisions.mean()) / spread, np.ones(len(decisions))])
    at = np.array([0.0, math.log((ones + 1) / (zeros + 1))])
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-np.clip(z @ at, -30.0, 30.0)))
        hessian = (z * (p * (1 - p))[:, None]).T @ z + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, z.T @ (target - p))
        at = at + step
        if float(np.abs(step).max()) < 1e-8:
            break
    if at[0] <= 0.0:
        return None
    slope = float(at[0]) / spread
    return _Placed(scale=slope, shift=float(at[1]) - slope * float(decisions.mean()), cut=0.0)


def _evidence(
    evaluation: Evaluation, rows: NDArray[np.intp], wrong: Bool, held_out: Floats, best: _Best, *, number: int
) -> tuple[Evidence, ...]:
    """The score of the detector, and the hardest wrong rows beside the easiest right ones."""
    order = np.argsort(-held_out, kind="stable")
    places = rows if evaluation.rows is None else evaluation.rows[rows]
    hardest = evaluation.dataset.ids(places[order[wrong[order]][:SHOWN]])
    easiest = evaluation.dataset.ids(places[order[~wrong[order]][::-1][:SHOWN]])
    words = (
        f"Direction {number} of its class tells wrong from right with a balanced accuracy of {100 * best.score:.0f} % "
        "on explore rows that it was not fitted on; 50 % is chance."
    )
    score = Statistic(name="cross-validated balanced accuracy", value=best.score, n=len(rows), words=words)
    title = f"The hardest wrong rows and the easiest right ones along direction {number} of the class, of explore rows."
    return score, Examples(wrong=tuple(hardest), right=tuple(easiest), words=title)


def _without(x: Floats, basis: Sequence[Floats]) -> Floats:
    """Rows with some directions, orthonormal, projected out."""
    if not basis:
        return x
    axes = np.column_stack(basis)
    return np.asarray(x - (x @ axes) @ axes.T)


def _orthogonal(plane: Plane, basis: Sequence[Floats]) -> Plane:
    """The plane without what little of the earlier directions its solver left in it."""
    return Plane(weights=_without(plane.weights[None], basis)[0], bias=plane.bias)


def _unit(weights: Floats) -> Floats:
    length = float(np.linalg.norm(weights))
    return weights / length if length > 0.0 else weights
