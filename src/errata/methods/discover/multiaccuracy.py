"""Multiaccuracy: an auditor that predicts a model's excess error from an embedding, again and again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from errata.core.embedded import Direction, Space
from errata.core.evaluation import Evaluation
from errata.core.evidence import Statistic
from errata.core.method import Job, check_range, method
from errata.core.slices import Slice, claim_for
from errata.ops.conjunctions import of_classes
from errata.ops.vectors.ground import EmbeddingGround, standard_space
from errata.stats.gain import gain, loss_gain

__all__ = ["Multiaccuracy"]

Floats = NDArray[np.float64]

PENALTIES = tuple(np.logspace(-2, 3, 11).tolist())
"""Ridge penalties tried, in units of the mean square of a dimension over all rows."""

SIZES = 200
"""Most cuts tried along one direction."""


@method(needs={"label", "embedding"}, cite="Kim, Ghorbani, Zou, AIES 2019")
@dataclass(frozen=True, kw_only=True)
class Multiaccuracy:
    """Directions of an embedding along which the loss is higher than the mean of its class says.

    A ridge regression predicts from the embedding how much more a row errs than its class does, over all rows and over
    each class by itself. Of these audits the one that explains most of what it has not seen (leave-one-out, in closed
    form) becomes a direction; what it explains is taken off the residuals, and the audit is repeated until none
    explains more than chance does. The cut is put where the predictions for unseen rows describe the errors best.

    embedding  name of the embedding column; "" for the first of the evaluation
    rounds     most directions; 10 (ours)
    chance     standard deviations by which predictions and residuals must agree; 3 (ours: several audits per round)
    least      fewest rows of an audit's class, and fewest members; 10, the least support that the proof asks for

    Raises UsageError where there is no embedding of that name. Fails where errors are many small islands, which no
    single direction reaches.

    Reference: M. P. Kim, A. Ghorbani, J. Zou, "Multiaccuracy: black-box post-processing for fairness in
    classification", AIES 2019.
    """

    embedding: str = ""
    rounds: int = 10
    chance: float = 3.0
    least: int = 10

    def __post_init__(self) -> None:
        check_range(self, {"rounds": (1, 100), "chance": (0.0, 20.0), "least": (4, math.inf)})

    def run(self, evaluation: Evaluation, job: Job) -> list[Slice]:
        """The proposals, in the order in which the audits found them."""
        ground = EmbeddingGround.of(evaluation, self.embedding)
        if ground is None:
            return []
        space = standard_space(ground.values)
        residual = ground.loss - ground.expected
        audits = self._audits(
            space(ground.values), residual, ground.stratum, classes=evaluation.task == "classification"
        )
        began = perf_counter()
        found: list[Slice] = []
        for turn in range(self.rounds):
            if job.budget is not None and perf_counter() - began > job.budget:
                break
            job.progress(turn / self.rounds, f"audit {turn + 1}")
            answers = [audit.ask(residual) for audit in audits]
            best = max(answers, key=lambda answer: answer.z, default=None)
            if best is None or best.z < self.chance:
                break
            residual[best.audit.rows] -= best.unseen
            proposal = self._slice(evaluation, ground, space, best)
            if proposal is not None:
                found.append(proposal)
        return found

    def _audits(self, read: Floats, residual: Floats, stratum: NDArray[np.int32], *, classes: bool) -> list[_Audit]:
        """All rows, then each class (or fifth of the target) that has rows enough, and errors of both kinds."""
        strata = np.unique(stratum)
        wanted: list[tuple[int | None, NDArray[np.intp]]] = [(None, np.arange(len(stratum)))]
        if classes and len(strata) > 1:
            wanted += [(int(code), np.flatnonzero(stratum == code)) for code in strata]
        return [
            _Audit.of(read, rows, label)
            for label, rows in wanted
            if len(rows) >= 2 * self.least and float(np.ptp(residual[rows])) > 1e-12
        ]

    def _slice(self, evaluation: Evaluation, ground: EmbeddingGround, space: Space, answer: _Answer) -> Slice | None:
        """The direction of an audit with its cut; None where no cut pays."""
        cut = _cut(answer, ground, least=self.least)
        given = None if answer.audit.label is None else of_classes(evaluation, [answer.audit.label])
        if cut is None or (answer.audit.label is not None and given is None):
            return None
        rule = Direction(
            column=ground.column, space=space, weights=answer.weights, bias=answer.bias, cut=cut, given=given
        )
        words = (
            f"Predictions of an auditor agree with the excess error of rows that it has not seen: {answer.z:.1f} "
            "standard deviations above chance, on explore rows."
        )
        score = Statistic(name="audit", value=answer.z, n=len(answer.audit.rows), words=words)
        claim = claim_for(evaluation.metric)
        return Slice(rule=rule, claim=claim, proposed_by=("multiaccuracy",), evidence=(score,))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Answer:
    """What an audit says of residuals: a direction, its predictions (m,) for unseen rows, and how well they agree."""

    audit: _Audit
    weights: Floats
    bias: float
    unseen: Floats
    z: float


@dataclass(frozen=True, kw_only=True, eq=False)
class _Audit:
    """Ridge regressions of any residual on the same rows: the geometry is worked out once.

    label  code of the class whose rows these are, None for all rows
    rows   (m,) indices into the ground
    turned (m, r) centred rows in the axes (p, r) of their own covariance; `squares` (r,) are its eigenvalues times m
    """

    label: int | None
    rows: NDArray[np.intp]
    centre: Floats
    turned: NDArray[np.float32]
    axes: Floats
    squares: Floats

    @staticmethod
    def of(read: Floats, rows: NDArray[np.intp], label: int | None) -> _Audit:
        x = read[rows]
        centre = x.mean(axis=0)
        x = x - centre
        squares, axes = np.linalg.eigh(x.T @ x)
        keep = squares > 1e-9 * max(float(squares[-1]), 1e-12)
        return _Audit(
            label=label, rows=rows, centre=centre, turned=(x @ axes[:, keep]).astype(np.float32), axes=axes[:, keep],
            squares=squares[keep],
        )  # fmt: skip

    def ask(self, residual: Floats) -> _Answer:
        """The ridge regression whose leave-one-out predictions have the smallest squared error, of all penalties."""
        r = residual[self.rows]
        mean = float(r.mean())
        r = r - mean
        m = len(r)
        along = self.turned.T.astype(np.float64) @ r
        unit = float(self.squares.sum()) / max(len(self.axes), 1)
        best: tuple[float, Floats, Floats] | None = None
        for penalty in PENALTIES:
            shrunk = 1.0 / (self.squares + penalty * unit)
            fitted = self.turned @ (shrunk * along)
            leverage = np.minimum((self.turned**2) @ shrunk + 1.0 / m, 1.0 - 1e-6)
            # What the regression without a row would say of it, in closed form.
            unseen = r - (r - fitted) / (1.0 - leverage)
            error = float(((r - unseen) ** 2).sum())
            if best is None or error < best[0]:
                best = (error, unseen, shrunk)
        assert best is not None
        _, unseen, shrunk = best
        spread = math.sqrt(float(((unseen - unseen.mean()) ** 2 * r * r).sum()))
        z = float((unseen - unseen.mean()) @ r) / spread if spread > 0.0 else 0.0
        weights = self.axes @ (shrunk * along)
        bias = mean - float(weights @ self.centre)
        return _Answer(audit=self, weights=weights, bias=bias, unseen=unseen + mean, z=z)


def _cut(answer: _Answer, ground: EmbeddingGround, *, least: int) -> float | None:
    """Where rows above the cut are best described by error rates of their own; None where they err no more."""
    rows = answer.audit.rows
    order = np.argsort(-answer.unseen, kind="stable")
    score = answer.unseen[order]
    _, stratum = np.unique(ground.stratum[rows[order]], return_inverse=True)
    loss = ground.loss[rows[order]]
    residual = loss - ground.expected[rows[order]]
    classes = int(stratum.max()) + 1
    sizes = np.unique(np.geomspace(least, max(len(rows) // 2, least), SIZES).astype(np.int64))
    sizes = sizes[sizes < len(rows)]
    sizes = sizes[score[sizes - 1] > score[sizes]]
    above = np.cumsum(residual)[sizes - 1] > 0 if len(sizes) else np.zeros(0, dtype=bool)
    sizes = sizes[above]
    if not len(sizes):
        return None
    block = np.searchsorted(sizes, np.arange(len(rows)), side="right")
    cell = block * classes + stratum
    length = (len(sizes) + 1) * classes

    def counted(weights: Floats | None) -> Floats:
        table = np.bincount(cell, weights=weights, minlength=length).reshape(-1, classes)
        return np.asarray(np.cumsum(table, axis=0), dtype=np.float64)

    count, total = counted(None), counted(loss)
    if ground.binary:
        gains = gain(total[:-1], count[:-1], wrong=total[-1], rows=count[-1])
    else:
        gains = loss_gain(total[:-1], count[:-1], loss=total[-1], rows=count[-1], squares=float(loss @ loss))
    size = int(sizes[int(np.argmax(gains))])
    return float(0.5 * (score[size - 1] + score[size]))
