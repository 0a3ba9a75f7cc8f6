"""How often the failure type of a planted slice is told: 100 slices of each type, real models, confusion table.

    python benchmarks/failure_types.py                 table into benchmarks/results/failure_types.md
    python benchmarks/failure_types.py --runs 10       fewer

Worlds of 4,000 explore rows: a label that four numbers decide, four columns of noise and a cue, a slice that fails for
a planted reason, and a model (logistic regression, boosted trees or a random forest, in turn) trained on 4,000 rows.
A tenth of the slice is missing from the members and as many strangers are among them. In three worlds of ten (shifted:
always) the training rows are known.

rare         a cluster of its own, of one class, 0.2 % of the training rows and 3 to 8 % here
shortcut     a cue that follows the label in 97 % of the training rows, 50 to 85 % here, while the other columns are
             faint; the slice are the rows of one class where the cue points to the other
mislabelled  15 to 40 % of the labels of a region are flipped here, and none in training
ambiguous    a region where the label is decided by chance (35 to 65 %), in training as here
shifted      a region that training does not have; the training rows are known
unknown      predictions changed at random in a region, 25 to 50 %: a bug, for which rows hold no reason
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from errata.core.columns import Bool, Float, Int
from errata.ops.failure_type import Cue, Scene, failure_type

KINDS = ("rare", "shortcut", "mislabelled", "ambiguous", "shifted", "unknown")
ROWS = 4_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Planted:
    scene: Scene
    members: Bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """Rows of one world: features (n, 9), the chance of class 1, labels, members of the region."""

    x: Float
    y: Int
    inside: Bool


def region(x: Float, rng: np.random.Generator) -> tuple[int, float, int, float]:
    """A corner of two columns that holds some 4 to 12 % of the rows."""
    first, second = rng.choice(8, size=2, replace=False)
    share = np.sqrt(rng.uniform(0.04, 0.12))
    return (
        int(first),
        float(np.quantile(x[:, first], 1 - share)),
        int(second),
        float(np.quantile(x[:, second], 1 - share)),
    )


def labels_of(x: Float, weights: Float, sharp: float, rng: np.random.Generator) -> Int:
    return (rng.random(len(x)) < 1 / (1 + np.exp(-sharp * (x[:, :4] @ weights + 0.5 * x[:, 0] * x[:, 1])))).astype(int)


def model_for(number: int, seed: int):
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    if number % 3 == 0:
        return LogisticRegression(max_iter=500)
    if number % 3 == 1:
        return HistGradientBoostingClassifier(max_iter=60, random_state=seed)
    return RandomForestClassifier(60, min_samples_leaf=3, random_state=seed)


def draw(kind: str, seed: int) -> Planted:
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    weights = rng.normal(size=4)
    weights *= 1.6 / np.linalg.norm(weights)
    x, t = rng.normal(size=(ROWS, 9)), rng.normal(size=(ROWS, 9))
    x[:, 8], t[:, 8] = rng.random(ROWS) < 0.3, rng.random(ROWS) < 0.3
    sharp = 1.0 if kind == "shortcut" else 4.0
    y, u = labels_of(x, weights, sharp, rng), labels_of(t, weights, sharp, rng)
    a, at, b, bt = region(x, rng)
    inside = lambda z: (z[:, a] > at) & (z[:, b] > bt)  # noqa: E731
    members, known = inside(x), False
    if kind == "rare":
        centre = rng.normal(size=8) * 1.2
        label = int(1 / (1 + np.exp(-(centre[:4] @ weights + 0.5 * centre[0] * centre[1]))) < 0.5)
        for data, target, share in ((x, y, rng.uniform(0.03, 0.08)), (t, u, 0.002)):
            rows = rng.random(ROWS) < share
            data[rows, :8] = centre + 0.45 * rng.normal(size=(int(rows.sum()), 8))
            target[rows] = label
            members = rows if data is x else members
    elif kind == "shortcut":
        follow = rng.uniform(0.5, 0.85)
        x[:, 8] = np.where(rng.random(ROWS) < follow, y, 1 - y)
        t[:, 8] = np.where(rng.random(ROWS) < 0.97, u, 1 - u)
        label = int(rng.integers(2))
        members = (y == label) & (x[:, 8] == 1 - label)
    elif kind == "ambiguous":
        chance = rng.uniform(0.35, 0.65)
        for data, target in ((x, y), (t, u)):
            rows = inside(data)
            target[rows] = rng.random(int(rows.sum())) < chance
    elif kind == "shifted":
        known = True
        move = rng.normal(size=8)
        move *= rng.uniform(4.0, 6.0) / np.linalg.norm(move)
        members = rng.random(ROWS) < 0.08
        x[members, :8] += move
        y = np.where(members, labels_of(x - np.append(move, 0.0), -weights, sharp, rng), y)
    model = model_for(seed, seed).fit(t, u)
    predicted = model.predict(x)
    if kind == "mislabelled":
        flip = members & (rng.random(ROWS) < rng.uniform(0.15, 0.4))
        y = np.where(flip, 1 - y, y)
    if kind == "unknown":
        flip = members & (rng.random(ROWS) < rng.uniform(0.25, 0.5))
        predicted = np.where(flip, 1 - predicted, predicted)
    found = members ^ (members & (rng.random(ROWS) < 0.1)) | (rng.random(ROWS) < 0.1 * members.mean())
    spread = x.std(axis=0)
    cues = [Cue(name="cue", present=x[:, 8] > 0, features=(8,))]
    for column in range(8):
        cues += [
            Cue(name=f"x{column} high", present=x[:, column] > q, features=(column,))
            for q in np.quantile(x[:, column], (0.25, 0.5, 0.75))
        ]
    scene = Scene(
        features=x / spread,
        labels=y,
        predicted=predicted,
        classes=2,
        cues=tuple(cues),
        training=t / spread if known or rng.random() < 0.3 else None,
        trained=u,
        seed=seed,
    )
    return Planted(scene=scene, members=found)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "failure_types.md")
    asked = parser.parse_args()
    lines = ["| planted | " + " | ".join(KINDS) + " |", "|---" * (len(KINDS) + 1) + "|"]
    for kind in KINDS:
        told: Counter[str] = Counter()
        for seed in range(asked.runs):
            planted = draw(kind, seed)
            told[failure_type(planted.scene, planted.members).type] += 1
        lines.append(f"| {kind} | " + " | ".join(str(told[name]) for name in KINDS) + " |")
        print(lines[-1], flush=True)
    if asked.runs >= 100:
        said = f"{asked.runs} planted slices of each type; rows planted, columns told. {date.today()}."
        head = f"# Failure types told\n\n{said}"
        asked.out.write_text(f"{head}\n\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
