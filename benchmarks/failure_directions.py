"""Failure directions under a planted imbalance of two attributes: who is hard, and whether anything is.

    python benchmarks/failure_directions.py         the table, about four minutes

As in the paper (CelebA: age by gender, one to four), a model is trained where the target goes with another attribute
in four of five rows, so that it errs on the two minority groups. Sprites: whether a bar lies or stands, with a ground
that is mostly bright in one class and mostly dark in the other; a small neural network. Digits: five or above, with
odd digits mostly in one class and even ones in the other; logistic regression. Validation and test rows are balanced.
Directions are fitted on validation rows, on pixels; test rows of each class are ranked by them, by the model's
probability of its answer and by that of the label, the lowest first. The share of the minority among the K hardest of
a class is .5 by chance. The detector is the largest cross-validated score over the classes; its AUROC is over models
trained with and without the imbalance. Group accuracies say that the imbalance was felt. A balanced digits model
fails consistently as well, on digits that are hard for it, so that the detector's AUROC there tells how much clearer
the planted failure is and not whether there is one.
"""

from __future__ import annotations

import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier

from errata.core.columns import Column, Table
from errata.core.evaluation import EXPLORE, Evaluation
from errata.core.method import Job
from errata.methods.discover.failure_directions import FailureDirections, FoundDirection
from errata.testing import World

TABLE = Path(__file__).parent / "results" / "failure_directions.md"
MODELS = 20
HARDEST = (10, 25, 50, 100)
MINORITY = 0.2
NAME = "embedding:pixels"
GROUND, NOISE = 0.05, 0.2


@dataclass(frozen=True, kw_only=True, eq=False)
class Data:
    """Rows with a target and an attribute; the minority are rows whose target and attribute differ."""

    x: NDArray[np.float64]
    target: NDArray[np.int64]
    attribute: NDArray[np.int64]

    @property
    def minority(self) -> NDArray[np.bool_]:
        return self.target != self.attribute

    def take(self, rows: NDArray[np.int64]) -> Data:
        return Data(x=self.x[rows], target=self.target[rows], attribute=self.attribute[rows])


def sprites(n: int, rng: np.random.Generator) -> Data:
    """Bars of 16 x 16 pixels under noise: lying or standing, on a bright or a dark ground."""
    target, attribute = rng.integers(0, 2, n), rng.integers(0, 2, n)
    images = np.zeros((n, 16, 16))
    for row in range(n):
        length, at, start = rng.integers(5, 10), rng.integers(2, 14), rng.integers(0, 6)
        place = (slice(start, start + length), at) if target[row] else (at, slice(start, start + length))
        images[row][place] = 1.0
    images += np.where(attribute == 1, GROUND, -GROUND)[:, None, None] * rng.uniform(0.5, 1.5, (n, 1, 1))
    return Data(x=(images + NOISE * rng.standard_normal(images.shape)).reshape(n, -1), target=target,
                attribute=attribute)  # fmt: skip


def digits() -> Data:
    x, y = load_digits(return_X_y=True)
    return Data(x=x / 16.0, target=(y >= 5).astype(np.int64), attribute=(y % 2).astype(np.int64))


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    train: Data
    valid: Data
    test: Data


def split(name: str, seed: int, *, planted: bool) -> Split:
    """Training rows with the imbalance where it is planted, balanced ones elsewhere."""
    rng = np.random.default_rng(seed)
    data = sprites(9_000, rng) if name == "sprites" else digits()
    order = rng.permutation(len(data.target))
    third = len(order) // 3
    train, valid, test = (data.take(order[part * third : (part + 1) * third]) for part in range(3))
    share = MINORITY if planted else 0.5
    minority, majority = np.flatnonzero(train.minority), np.flatnonzero(~train.minority)
    # As many rows with the imbalance as without: one set differs from the other in nothing else.
    total = int(min(len(minority) / 0.5, len(majority) / (1.0 - MINORITY)))
    few = round(share * total)
    rows = total - few
    chosen = np.concatenate([rng.choice(majority, rows, replace=False), rng.choice(minority, few, replace=False)])
    return Split(train=train.take(chosen), valid=valid, test=test)


def model_of(name: str, train: Data, seed: int) -> MLPClassifier | LogisticRegression:
    if name == "digits":
        model: MLPClassifier | LogisticRegression = LogisticRegression(C=0.3, max_iter=500)
    else:
        model = MLPClassifier((32,), alpha=0.01, max_iter=25, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(train.x, train.target)


def evaluation_of(data: Data, predicted: NDArray[np.int64]) -> Evaluation:
    levels = ("no", "yes")
    table = Table({
        "label": Column(kind="category", values=data.target.astype(np.int32), levels=levels),
        "prediction": Column(kind="category", values=predicted.astype(np.int32), levels=levels),
        NAME: Column(kind="embedding", values=data.x.astype(np.float32)),
    })  # fmt: skip
    evaluation = World(name="imbalance", table=table, outside=0.1).evaluation()
    evaluation.fold[:] = EXPLORE
    return evaluation


@dataclass(kw_only=True, eq=False)
class Outcome:
    """What one model and its directions came to."""

    groups: tuple[float, float]
    score: float
    z: float
    shares: dict[str, list[float]]
    precision: float | None
    member_error: float | None
    error: float
    seconds: float


def outcome(name: str, seed: int, *, planted: bool, method: FailureDirections) -> Outcome:
    data = split(name, seed, planted=planted)
    model = model_of(name, data.train, seed)
    valid = evaluation_of(data.valid, model.predict(data.valid.x))
    began = time.perf_counter()
    # The detector's score is asked of every class; those that stay below `chance` are not proposed.
    every = FailureDirections(chance=0.0, directions=1, least=method.least).directions_of(valid, job(seed))
    found = method.directions_of(valid, job(seed))
    seconds = time.perf_counter() - began
    predicted, p = model.predict(data.test.x), model.predict_proba(data.test.x)
    test = evaluation_of(data.test, predicted)
    wrong = predicted != data.test.target
    minority = data.test.minority
    ranks = {
        "failure direction": hardness(found, every, test, data.test),
        "confidence in the answer": -p.max(axis=1),
        "confidence in the label": -p[np.arange(len(p)), data.test.target],
    }
    shares = {
        key: [
            float(np.mean([minority[hardest(doubt, data.test.target == code, count)].mean() for code in (0, 1)]))
            for count in HARDEST
        ]
        for key, doubt in ranks.items()
    }
    members = np.zeros(len(wrong), dtype=bool)
    for one in found:
        if one.rule.columns:
            members |= one.rule.members(test)
    return Outcome(
        groups=(float(1 - wrong[~minority].mean()), float(1 - wrong[minority].mean())),
        score=max((one.score for one in every), default=0.5), z=max((one.z for one in every), default=0.0),
        shares=shares, precision=float(minority[members].mean()) if members.any() else None,
        member_error=float(wrong[members].mean()) if members.any() else None, error=float(wrong.mean()),
        seconds=seconds,
    )  # fmt: skip


def hardness(
    found: list[FoundDirection], every: list[FoundDirection], test: Evaluation, data: Data
) -> NDArray[np.float64]:
    """The score of each class's first direction, proposed or not."""
    score = np.full(len(data.target), -np.inf)
    for code in (0, 1):
        first = next((one for one in (*found, *every) if one.label == code), None)
        if first is not None:
            rows = data.target == code
            score[rows] = first.rule.score(test)[rows]
    return score


def hardest(doubt: NDArray[np.float64], rows: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
    among = np.flatnonzero(rows)
    return among[np.argsort(-doubt[among], kind="stable")[:count]]


def job(seed: int) -> Job:
    return Job(rng=np.random.default_rng(seed))


def main() -> None:
    methods = {"Errata": FailureDirections(directions=1), "as published": FailureDirections(faithful=True)}
    lines = [
        "# Failure directions under a planted imbalance", "",
        f"`python benchmarks/failure_directions.py`, {time.strftime('%Y-%m-%d')}, numpy {np.__version__}, "
        f"{MODELS} models with and {MODELS} without the imbalance. {' '.join(__doc__.split(chr(10) * 2)[2].split())}",
    ]  # fmt: skip
    for name in ("sprites", "digits"):
        runs = {
            (key, planted): [outcome(name, seed, planted=planted, method=method) for seed in range(MODELS)]
            for key, method in methods.items()
            for planted in (True, False)
        }
        lines += told(name, runs)
    TABLE.write_text("\n".join(lines) + "\n")
    print("\n".join(lines), file=sys.stderr)


def told(name: str, runs: dict[tuple[str, bool], list[Outcome]]) -> list[str]:
    planted, plain = runs["Errata", True], runs["Errata", False]
    auroc = {
        key: roc_auc_score([1] * len(planted) + [0] * len(plain), [getattr(one, key) for one in (*planted, *plain)])
        for key in ("score", "z")
    }
    groups = [np.mean([one.groups[at] for one in runs["Errata", True]]) for at in (0, 1)]
    even = [np.mean([one.groups[at] for one in plain]) for at in (0, 1)]
    lines = [
        "", f"## {name}", "",
        f"Accuracy of majority and minority groups: {groups[0]:.3f} and {groups[1]:.3f} with the imbalance, "
        f"{even[0]:.3f} and {even[1]:.3f} without. Cross-validated score of the detector: "
        f"{np.mean([one.score for one in planted]):.3f} with, {np.mean([one.score for one in plain]):.3f} without; "
        f"AUROC {auroc['score']:.3f} by balanced accuracy, {auroc['z']:.3f} by deviations above chance. "
        f"{np.mean([one.seconds for one in planted]):.2f} s per model.",
        "", "| ranked by | " + " | ".join(f"K = {count}" for count in HARDEST) + " |",
        "|---|" + "---:|" * len(HARDEST),
    ]  # fmt: skip
    for key in planted[0].shares:
        values = np.array([one.shares[key] for one in planted])
        lines.append(f"| {key} | " + " | ".join(f"{value:.3f}" for value in values.mean(axis=0)) + " |")
    values = np.array([one.shares["failure direction"] for one in runs["as published", True]])
    lines.append("| failure direction, as published | " + " | ".join(f"{v:.3f}" for v in values.mean(axis=0)) + " |")
    lines += ["", "| members of the rules on test rows | minority | wrong | wrong of all |", "|---|---:|---:|---:|"]
    for key in ("Errata", "as published"):
        some = [one for one in runs[key, True] if one.precision is not None]
        if some:
            lines.append(
                f"| {key} ({len(some)} of {MODELS} models) | {np.mean([o.precision for o in some]):.3f} | "
                f"{np.mean([o.member_error for o in some]):.3f} | {np.mean([o.error for o in some]):.3f} |"
            )
    return lines


if __name__ == "__main__":
    main()
