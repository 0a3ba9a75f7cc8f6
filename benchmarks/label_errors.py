"""Suspected labels beside cleanlab: CIFAR-10 test labels, and flips planted in them and in digits.

    ERRATA_DATA=... python benchmarks/label_errors.py         the table, about five minutes

Labels of a share of the rows are flipped, uniformly or to the class that the model takes them for most often, and
both sides list suspects. On CIFAR-10 both get the scores of a residual network that had not seen the labels; Errata
hears its penultimate layer as well. On digits and breast cancer there is no model: Errata judges by the raw columns,
cleanlab by five-fold logistic regression, as its quick start does, and once more by Errata's own probabilities, so
that lists are told from scores. AP is the average precision of the planted flips in the ranking by doubt; precision
and recall are those of the list. Real label errors in CIFAR-10 (about .5 %) count as mistakes here, on both sides.
Errata's lists are the default and `wide`; cleanlab's is that of `find_label_issues`, its ranking `self_confidence`.

Then labels that are all right, where they are hard to tell: classes of normal points in 12 or 100 dimensions, 500 to
3,000 rows, 2 to 10 classes, their means so many standard deviations apart along an axis of each. Every list is false.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from peers import peer_python
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from errata.ops.labels.noise import FlipTrial, LabelJudge, View, list_labels, plant_flips

TABLE = Path(__file__).parent / "results" / "label_errors.md"
SEEDS = range(3)
ALPHA = 0.05

PEER = """
import json, sys, time, warnings
warnings.filterwarnings("ignore")
import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from importlib.metadata import version
stored = np.load(sys.argv[1])
answers = {"version": version("cleanlab")}
for name in {key.split("|")[0] for key in stored}:
    labels, p = stored[name + "|labels"], stored[name + "|p"]
    began = time.perf_counter()
    listed = find_label_issues(labels, p, return_indices_ranked_by="self_confidence", n_jobs=1)
    quality = get_label_quality_scores(labels, p)
    answers[name] = {"seconds": time.perf_counter() - began, "listed": listed.tolist(), "quality": quality.tolist()}
print(json.dumps(answers))
"""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(kw_only=True, eq=False)
class Case:
    """One set of labels with flips in it, and what is judged from."""

    data: str
    noise: str
    seed: int
    labels: Ints
    flips: NDArray[np.bool_]
    judge: LabelJudge
    scores: dict[str, Floats]
    """Probabilities that cleanlab gets, by what made them."""


@dataclass(kw_only=True)
class Row:
    """What one side's lists come to, over seeds."""

    ap: list[float] = field(default_factory=list)
    listed: list[int] = field(default_factory=list)
    precision: list[float] = field(default_factory=list)
    recall: list[float] = field(default_factory=list)
    expected: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def flipped(truth: Ints, share: float, *, similar: Floats | None, classes: int, seed: int) -> Ints:
    """Labels of which a share is flipped; to the likeliest other class where `similar` (n, k) is given."""
    rng = np.random.default_rng(seed)
    chosen = rng.random(len(truth)) < share
    other = (truth + rng.integers(1, classes, len(truth))) % classes
    if similar is not None:
        p = similar.copy()
        p[np.arange(len(truth)), truth] = -1.0
        mean = np.array([p[truth == c].mean(axis=0) for c in range(classes)])
        other = mean.argmax(axis=1)[truth]
    return np.where(chosen, other, truth)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    cases = [*tables()]
    folder = os.environ.get("ERRATA_DATA")
    suspects: list[str] = []
    if folder:
        cases += cifar_cases(Path(folder))
        suspects = clean_cifar(Path(folder))
    answers = cleanlab(cases)
    write(judged(cases, answers), [*overlapping(), *suspects], answers["version"])


def judged(cases: list[Case], answers: dict[str, dict]) -> dict[tuple[str, str, str], Row]:
    """Both sides' lists of each case, by data, flips and side."""
    rows: dict[tuple[str, str, str], Row] = {}
    for at, case in enumerate(cases):
        for name, found in ours(case).items():
            add(rows, case, name, found)
        for name in case.scores:
            told = answers[f"{at}:{name}"]
            add(rows, case, f"cleanlab, {name}", Found(
                doubt=-np.array(told["quality"]), listed=np.array(told["listed"], dtype=np.int64),
                seconds=told["seconds"], expected=None,
            ))  # fmt: skip
    return rows


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    doubt: Floats
    listed: Ints
    seconds: float
    expected: float | None


def ours(case: Case) -> dict[str, Found]:
    began = time.perf_counter()
    belief = case.judge.believe(case.labels)
    trial: FlipTrial = plant_flips(case.judge, case.labels, belief, np.random.default_rng(case.seed))
    given = belief.given(case.labels)
    found = {}
    for name, kind in (("Errata", "right"), ("Errata, wide", "given")):
        listed = list_labels(belief, case.labels, kind, trial=trial, alpha=ALPHA)
        expected = trial.estimate(len(listed), np.random.default_rng(0)).precision if len(listed) else None
        found[name] = Found(doubt=1 - given, listed=listed, seconds=time.perf_counter() - began, expected=expected)
    # So that lists can be told from scores, cleanlab gets these too.
    case.scores.setdefault("Errata's probabilities", belief.labels)
    return found


def add(rows: dict[tuple[str, str, str], Row], case: Case, name: str, found: Found) -> None:
    row = rows.setdefault((case.data, case.noise, name), Row())
    row.listed.append(len(found.listed))
    row.seconds.append(found.seconds)
    if case.flips.any():
        row.ap.append(float(average_precision_score(case.flips, found.doubt)))
        row.recall.append(float(case.flips[found.listed].sum() / case.flips.sum()))
    if len(found.listed):
        row.precision.append(float(case.flips[found.listed].mean()))
    if found.expected is not None:
        row.expected.append(found.expected)


def tables() -> list[Case]:
    cases = []
    for data, load in (("digits", load_digits), ("breast cancer", load_breast_cancer)):
        x, truth = load(return_X_y=True)
        truth = truth.astype(np.int64)
        k = int(truth.max()) + 1
        view = View.of(x, neighbours=10)
        plain = logistic(x, truth)
        for share in (0.0, 0.01, 0.03, 0.1, 0.2):
            for kind in ("uniform",) if share == 0.0 or k == 2 else ("uniform", "similar"):
                for seed in SEEDS:
                    similar = plain if kind == "similar" else None
                    labels = flipped(truth, share, similar=similar, classes=k, seed=seed)
                    judge = LabelJudge(views=[view], model=None, classes=k)
                    cases.append(Case(
                        data=data, noise=f"{100 * share:g} % {kind}" if share else "none", seed=seed, labels=labels,
                        flips=labels != truth, judge=judge, scores={"logistic": logistic(x, labels)},
                    ))  # fmt: skip
    return cases


def logistic(x: Floats, labels: Ints) -> Floats:
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=400))
    return np.asarray(cross_val_predict(model, x, labels, cv=5, method="predict_proba"))


def cifar_cases(folder: Path) -> list[Case]:
    from cifar10_resnet import read

    cases = []
    for name in ("resnet20", "resnet56"):
        seen = read(folder, name)
        view = View.of(seen.penultimate, neighbours=10)
        scores = seen.scores.astype(np.float64)
        for share, kind in ((0.02, "uniform"), (0.05, "uniform"), (0.1, "uniform"), (0.05, "similar")):
            for seed in SEEDS:
                similar = scores if kind == "similar" else None
                labels = flipped(seen.labels, share, similar=similar, classes=10, seed=seed)
                cases.append(Case(
                    data=f"CIFAR-10, {name}", noise=f"{100 * share:g} % {kind}", seed=seed, labels=labels,
                    flips=labels != seen.labels, judge=LabelJudge(views=[view], model=scores, classes=10),
                    scores={"model": scores},
                ))  # fmt: skip
    return cases


def cleanlab(cases: list[Case]) -> dict[str, dict]:
    """cleanlab's answers to all cases, by number and scores, from one process of its own environment."""
    arrays = {}
    for at, case in enumerate(cases):
        ours(case)
        for name, p in case.scores.items():
            arrays[f"{at}:{name}|labels"] = case.labels
            arrays[f"{at}:{name}|p"] = p / p.sum(axis=1, keepdims=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cases.npz"
        np.savez(path, **arrays)
        done = subprocess.run(
            [peer_python("cleanlab"), "-c", PEER, str(path)], capture_output=True, text=True, check=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    return json.loads(done.stdout)


def overlapping() -> list[str]:
    """Lists of right labels, where classes overlap."""
    lines = [
        "", "## Right labels where classes overlap", "",
        "| standard deviations apart | side | sets | sets with a list | rows listed, mean | most |",
        "|---|---|---:|---:|---:|---:|",
    ]  # fmt: skip
    for apart in (0.0, 0.5, 1.0, 2.0, 3.0):
        cases = [
            overlapping_case(apart, classes=k, rows=n, width=d, seed=seed)
            for k in (2, 3, 10) for n in (500, 1_000, 3_000) for d in (12, 100) for seed in range(4)
        ]  # fmt: skip
        listed: dict[str, list[int]] = {}
        for (_, _, name), row in judged(cases, cleanlab(cases)).items():
            listed.setdefault(name, []).extend(row.listed)
        for name, sizes in listed.items():
            lines.append(
                f"| {apart:g} | {name} | {len(sizes)} | {np.count_nonzero(sizes)} | {np.mean(sizes):.1f} | "
                f"{max(sizes)} |"
            )
    return lines


def overlapping_case(apart: float, *, classes: int, rows: int, width: int, seed: int) -> Case:
    rng = np.random.default_rng([seed, classes, rows, width])
    labels = rng.integers(0, classes, rows)
    x = rng.standard_normal((rows, width)) + apart * np.eye(width)[labels]
    return Case(
        data=f"{classes} {rows} {width}", noise="none", seed=seed, labels=labels, flips=np.zeros(rows, dtype=bool),
        judge=LabelJudge(views=[View.of(x, neighbours=10)], model=None, classes=classes), scores={},
    )  # fmt: skip


def clean_cifar(folder: Path) -> list[str]:
    """The real suspects: how the lists of two networks and of cleanlab agree, and what the other network says."""
    from cifar10_resnet import read

    seen = {name: read(folder, name) for name in ("resnet20", "resnet56")}
    labels = seen["resnet20"].labels
    cases = [
        Case(data=name, noise="none", seed=0, labels=labels, flips=np.zeros(len(labels), dtype=bool),
             judge=LabelJudge(views=[View.of(one.penultimate, neighbours=10)], model=one.scores.astype(np.float64),
                              classes=10),
             scores={"model": one.scores.astype(np.float64)})
        for name, one in seen.items()
    ]  # fmt: skip
    lists: dict[str, tuple[str, Ints, Ints, float | None]] = {}
    answers = cleanlab(cases)
    for at, case in enumerate(cases):
        found = ours(case)
        for name, one in found.items():
            lists[f"{name}, {case.data}"] = (case.data, one.listed, np.argsort(-one.doubt), one.expected)
        told = answers[f"{at}:model"]
        listed = np.array(told["listed"], dtype=np.int64)
        lists[f"cleanlab, {case.data}"] = (case.data, listed, np.argsort(told["quality"]), None)
    lines = [
        "", "## The suspects themselves: CIFAR-10 test labels as they are", "",
        "Overlap: how many of the first 100 by doubt are among the first 100 of cleanlab with the same network. "
        "Second opinion: in how many of the listed rows the other network, too, gives another class more than .5.",
        "", "| list | listed | expected to be wrong | overlap of the first 100 | second opinion |",
        "|---|---:|---:|---:|---:|",
    ]  # fmt: skip
    for name, (network, listed, order, expected) in lists.items():
        peer = lists[f"cleanlab, {network}"][2][:100]
        other = seen["resnet56" if network == "resnet20" else "resnet20"].scores
        against = np.where(np.arange(10) == labels[:, None], 0.0, other).max(axis=1) > 0.5
        share = f"{against[listed].mean():.0%}" if len(listed) else ""
        lines.append(
            f"| {name} | {len(listed)} | {'' if expected is None else f'{expected:.0%}'} | "
            f"{len(np.intersect1d(order[:100], peer))} | {share} |"
        )
    picked = lists["Errata, resnet20"][1]
    classes = seen["resnet20"].classes
    both = np.intersect1d(picked, lists["Errata, resnet56"][1])
    names = ", ".join(
        f"{classes[labels[row]]} {row - int(np.flatnonzero(labels == labels[row])[0])} "
        f"(looks like {classes[int(seen['resnet56'].scores[row].argmax())]})"
        for row in both
    )  # fmt: skip
    lines += ["", f"In Errata's list by both networks: {names or 'none'} (class and number of the file)."]
    return lines


def write(rows: dict[tuple[str, str, str], Row], suspects: list[str], version: str) -> None:
    def mean(values: list[float] | list[int], spec: str) -> str:
        return format(float(np.mean(values)), spec) if values else ""

    lines = [
        "# Suspected labels beside cleanlab", "",
        f"`python benchmarks/label_errors.py`, {time.strftime('%Y-%m-%d')}, cleanlab {version}, "
        f"numpy {np.__version__}, means over {len(SEEDS)} seeds, alpha {ALPHA}. "
        f"{' '.join(' '.join(__doc__.split(chr(10) * 2)[2:]).split())}",
        "", "| data | flips | side | AP | listed | precision | expected | recall | seconds |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for (data, noise, name), row in rows.items():
        lines.append(
            f"| {data} | {noise} | {name} | {mean(row.ap, '.3f')} | {mean(row.listed, '.0f')} | "
            f"{mean(row.precision, '.3f')} | {mean(row.expected, '.2f')} | {mean(row.recall, '.3f')} | "
            f"{mean(row.seconds, '.2f')} |"
        )
    TABLE.write_text("\n".join([*lines, *suspects]) + "\n")
    print("\n".join(lines + suspects), file=sys.stderr)


if __name__ == "__main__":
    main()
