"""Learning to Split beside its reference: label noise, clean data, a planted minority, and the quick start on Tox21.

    python benchmarks/learning_to_split.py                         all parts of ours, about twenty minutes
    python benchmarks/learning_to_split.py noise minority          some of them
    python benchmarks/learning_to_split.py --reference FOLDER      the reference on digits, noisy and clean, seed 0

Parts write their numbers to results/learning_to_split.json, and the table is made of what is there.

noise      digits (1,797 x 64, standardised), 20 % of the labels moved to another digit at random; seeds 40 to 49
           (the verdict, its margin and the last rounds of the search were chosen on seeds below 40). Precision and
           recall of the moved labels among the rows on the test side, and among the suspected labels.
clean      the same digits with their own labels, the same seeds: how often a systematic split is claimed.
minority   target: digit 5 or more; pixels get normal noise (.5), and four corner pixels +3 where the cue is on; the cue
           agrees with the target in 90 % of the training rows. Two thirds train, a third tests. Precision and recall of
           the rows where the cue disagrees among the test side; worst accuracy over target x cue, on test rows where
           the cue agrees in half, of a head trained on all rows (ERM), with equal weights for target x learnt side, and
           for target x true group (oracle).
blackbox   the same data; the frozen head (ERM, trained on the training rows) is the black box, judged on rows in which
           the cue disagrees in 20 %: share of those among what the splitter sets aside.
tox21      NR-AR of ERRATA_DATA/tox21/tox21.csv.gz; hashed n-grams of the SMILES (512), a linear head; ROC-AUC.

The reference runs from a checkout of YujiaBao/ls (04c0697), its two libraries for pictures and texts replaced by empty
stand-ins: MLP 64-128-128 (dropout .3), 20 batches of 200 per epoch, no worker processes, one thread as for ours
(`OMP_NUM_THREADS=1`); all else default.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import sys
import time
from datetime import date
from pathlib import Path
from unittest.mock import MagicMock
from zlib import crc32

import numpy as np
import torch
from sklearn.datasets import load_digits

import errata
from errata.learn import LearnedSplit, learning_to_split
from errata.ops.nets.heads import as_features, fit_head, own_threads, schedule_for

TABLE = Path(__file__).parent / "results" / "learning_to_split.md"
NUMBERS = TABLE.with_suffix(".json")
SEEDS, FEWER = range(40, 50), range(40, 45)


def digits() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_digits(return_X_y=True)
    return ((X - X.mean(axis=0)) / (X.std(axis=0) + 1e-6)).astype(np.float32), y


def noisy(y: np.ndarray, seed: int, share: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    moved = rng.random(len(y)) < share
    return np.where(moved, (y + rng.integers(1, 10, len(y))) % 10, y), moved


def hit(found: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Precision and recall."""
    both = float((found & truth).sum())
    return both / max(1.0, float(found.sum())), both / max(1.0, float(truth.sum()))


def numbers_of(learnt: LearnedSplit, seconds: float) -> dict[str, float]:
    best, verdict = learnt.log[learnt.best], learnt.verdict
    return {
        "seconds": seconds, "loops": len(learnt.log), "gap": best.gap, "validation": best.validation, "test": best.test,
        "share": float(learnt.split.mean()), "held_out_gap": verdict.gap, "null_mean": verdict.null_mean,
        "null_limit": verdict.null_limit, "p_value": verdict.p_value, "systematic": float(verdict.systematic),
        "suspected": float(len(learnt.suspected)),
    }  # fmt: skip


def timed(data: object, **options: object) -> tuple[LearnedSplit, dict[str, float]]:
    began, worked = time.perf_counter(), time.process_time()
    learnt = learning_to_split(data, **options)
    return learnt, numbers_of(learnt, time.perf_counter() - began) | {"processor": time.process_time() - worked}


def noise() -> list[dict[str, object]]:
    X, y = digits()
    rows: list[dict[str, object]] = []
    for seed in SEEDS:
        for predictor in ("linear", "mlp"):
            given, moved = noisy(y, seed)
            learnt, told = timed((X, given), predictor=predictor, seed=seed)
            precision, recall = hit(learnt.split, moved)
            suspects = np.zeros(len(y), dtype=bool)
            suspects[learnt.suspected] = True
            own = hit(suspects, moved)
            rows.append({"seed": seed, "predictor": predictor, "precision": precision, "recall": recall,
                         "suspect_precision": own[0], "suspect_recall": own[1], **told})  # fmt: skip
            print(rows[-1], flush=True)
    return rows


def clean() -> list[dict[str, object]]:
    X, y = digits()
    rows: list[dict[str, object]] = []
    for seed in SEEDS:
        for predictor in ("linear", "mlp"):
            _, told = timed((X, y), predictor=predictor, seed=seed)
            rows.append({"seed": seed, "predictor": predictor, **told})
            print(rows[-1], flush=True)
    return rows


def painted(X: np.ndarray, target: np.ndarray, rng: np.random.Generator, agree: float) -> tuple[np.ndarray, np.ndarray]:
    """Pixels with the cue, and where it disagrees with the target."""
    aside = rng.random(len(target)) >= agree
    cue = np.where(aside, 1 - target, target)
    pixels = X / 16.0 + rng.normal(0.0, 0.5, X.shape)
    pixels[:, [0, 1, 8, 9]] += 3.0 * cue[:, None]
    return pixels.astype(np.float32), aside


def worst_group(layers: object, F: np.ndarray, target: np.ndarray, aside: np.ndarray) -> float:
    right = layers.logits(F).argmax(axis=1) == target
    return min(float(right[(target == k) & (aside == side)].mean()) for k in (0, 1) for side in (False, True))


def equal_weights(target: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Every target x side counts the same in sum."""
    cell = target * 2 + side
    count = np.bincount(cell, minlength=4)
    return (len(cell) / (np.count_nonzero(count) * np.maximum(count, 1)))[cell].astype(np.float32)


def minority() -> list[dict[str, object]]:
    X, y = load_digits(return_X_y=True)
    target = (y >= 5).astype(np.int64)
    rows: list[dict[str, object]] = []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(y))
        train, test = order[: len(y) * 2 // 3], order[len(y) * 2 // 3 :]
        F, aside = painted(X[train], target[train], rng, 0.9)
        G, other = painted(X[test], target[test], rng, 0.5)
        for predictor in ("linear", "mlp"):
            learnt, told = timed((F, target[train]), predictor=predictor, seed=seed)
            precision, recall = hit(learnt.split, aside)
            found = {"seed": seed, "predictor": predictor, "precision": precision, "recall": recall, **told}
            space, labels = learnt.splitter.space, target[train]
            features = as_features(space(F))
            held = rng.permutation(len(train))
            for name, weights in (("erm", None), ("learnt", equal_weights(labels, learnt.split)),
                                  ("oracle", equal_weights(labels, aside))):  # fmt: skip
                with own_threads():
                    head = fit_head(features, labels, rows=held[len(held) // 5 :], stop=held[: len(held) // 5],
                                    classes=2, schedule=schedule_for(predictor), rng=np.random.default_rng(seed),
                                    weights=weights)  # fmt: skip
                found[f"worst_{name}"] = worst_group(head, space(G).astype(np.float32), target[test], other)
            rows.append(found)
            print(rows[-1], flush=True)
    return rows


def blackbox() -> list[dict[str, object]]:
    X, y = load_digits(return_X_y=True)
    target = (y >= 5).astype(np.int64)
    rows: list[dict[str, object]] = []
    for seed in FEWER:
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(y))
        train, test = order[: len(y) // 3], order[len(y) // 3 :]
        F, _ = painted(X[train], target[train], rng, 0.9)
        G, aside = painted(X[test], target[test], rng, 0.8)
        with own_threads():
            at = np.arange(len(train))
            head = fit_head(as_features(F), target[train], rows=at[len(at) // 5 :], stop=at[: len(at) // 5], classes=2,
                            schedule=schedule_for("linear"), rng=rng)  # fmt: skip
        learnt, told = timed((G, target[test]), black_box=lambda inputs, head=head: head.logits(inputs).argmax(axis=1),
                             seed=seed)  # fmt: skip
        precision, recall = hit(learnt.split, aside)
        rows.append({"seed": seed, "predictor": "black box", "precision": precision, "recall": recall, **told})
        print(rows[-1], flush=True)
    return rows


def smiles_ngrams(text: str, width: int = 512) -> np.ndarray:
    """Counts of the runs of one to four characters, hashed to `width` places, under a logarithm."""
    counts = np.zeros(width, dtype=np.float32)
    for size in (1, 2, 3, 4):
        for at in range(len(text) - size + 1):
            counts[crc32(text[at : at + size].encode()) % width] += 1.0
    return np.log1p(counts)


class Tox21(torch.utils.data.Dataset):
    """Molecules as hashed n-grams of their SMILES, and one of the twelve assays."""

    def __init__(self, task: str = "NR-AR") -> None:
        path = Path(os.environ["ERRATA_DATA"]) / "tox21" / "tox21.csv.gz"
        with gzip.open(path, "rt", encoding="utf-8") as file:
            kept = [row for row in csv.DictReader(file) if row[task] != ""]
        self.data = torch.tensor(np.stack([smiles_ngrams(row["smiles"]) for row in kept]))
        self.targets = torch.tensor([int(float(row[task])) for row in kept])

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, at: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.data[at], self.targets[at]


def tox21() -> list[dict[str, object]]:
    if "ERRATA_DATA" not in os.environ:
        print("tox21: left out, ERRATA_DATA is not set")
        return []
    data = Tox21()
    rows: list[dict[str, object]] = []
    for seed in range(3):
        learnt, told = timed(data, metric="roc_auc", seed=seed)
        train, test = learnt
        rows.append({"seed": seed, "predictor": "linear", "train": len(train), "tested": len(test),
                     "positives_train": learnt.log[learnt.best].train_labels[1],
                     "positives_test": learnt.log[learnt.best].test_labels[1], **told,
                     "text": learnt.text.partition("best: ")[2]})  # fmt: skip
        print(rows[-1]["text"], flush=True)
    return rows


def reference(folder: str, shares: tuple[float, ...] = (0.2, 0.0)) -> list[dict[str, object]]:
    """The published code on digits, noisy and clean, or with the shares of noise that are given."""
    for name in ("torchtext", "torchtext.vocab", "torchvision", "torchvision.models", "torchvision.datasets",
                 "torchvision.transforms", "transformers"):  # fmt: skip
        sys.modules[name] = MagicMock()
    sys.path.insert(0, folder)
    import ls

    # One thread: waiting threads would count as work in processor time.
    torch.set_num_threads(1)
    X, y = digits()
    rows: list[dict[str, object]] = []
    for share in shares:
        given, moved = noisy(y, 0, share)
        torch.manual_seed(0)
        began, worked = time.perf_counter(), time.process_time()
        (test,) = ls.learning_to_split(
            torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(given)), return_order=["test_indices"],
            model={"name": "mlp", "args": {"hidden_dim_list": [64, 128, 128], "dropout": 0.3}}, num_classes=10,
            device="cpu", num_workers=0, num_batches=20, verbose=False,
        )  # fmt: skip
        found = np.zeros(len(y), dtype=bool)
        found[test] = True
        precision, recall = hit(found, moved)
        rows.append({"noise": share, "seconds": time.perf_counter() - began,
                     "processor": time.process_time() - worked, "share": float(found.mean()),
                     "precision": precision, "recall": recall})  # fmt: skip
        print(rows[-1], flush=True)
    return rows


PARTS = {"noise": noise, "clean": clean, "minority": minority, "blackbox": blackbox, "tox21": tox21}


def main() -> None:
    words = sys.argv[1:]
    if words[:1] == ["--reference"]:
        done = {"reference": reference(words[1], tuple(float(word) for word in words[2:]) or (0.2, 0.0))}
    else:
        done = {name: PARTS[name]() for name in words or PARTS}
    # Read again: parts may be measured side by side.
    stored = (json.loads(NUMBERS.read_text()) if NUMBERS.exists() else {}) | done
    NUMBERS.parent.mkdir(exist_ok=True)
    NUMBERS.write_text(json.dumps(stored, indent=1) + "\n")
    TABLE.write_text(page(stored))


def mean(rows: list[dict[str, float]], name: str) -> str:
    return f"{np.mean([row[name] for row in rows]):.2f}"


def points(rows: list[dict[str, float]], name: str) -> str:
    return f"{np.mean([row[name] for row in rows]):.1f}"


def page(stored: dict[str, list[dict[str, float]]]) -> str:
    """The table as Markdown."""
    said = [
        "# Learning to Split", "",
        f"`python benchmarks/learning_to_split.py`, {date.today()}, errata {errata.__version__}, torch "
        f"{torch.__version__}, numpy {np.__version__}; what is measured stands in the script. Means over seeds; "
        "seconds are medians of processor time, because the machine had other work, and hold all of it: search, "
        "verdict, and what lies on the test side. What is tested: of the data, how many of 100 failures on rows that "
        "predictors had not seen look drawn whatever the input; of a black box, points between the error rates of the "
        "two sides.", "",
        "| part | predictor | seeds | precision | recall | test share | gap, best loop | tested "
        "| null (95 % limit) | systematic | seconds |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for part in ("noise", "clean", "minority", "blackbox", "tox21"):
        for predictor in ("linear", "mlp", "black box"):
            rows = [row for row in stored.get(part, []) if row["predictor"] == predictor]
            if not rows:
                continue
            found = [mean(rows, name) if name in rows[0] else "" for name in ("precision", "recall")]
            claimed = f"{sum(row['systematic'] for row in rows):.0f} of {len(rows)}"
            limit = f"{points(rows, 'null_mean')} ({points(rows, 'null_limit')})"
            seconds = f"{np.median([row['processor'] for row in rows]):.1f}"
            said.append("| " + " | ".join([
                part, predictor, str(len(rows)), *found, mean(rows, "share"), points(rows, "gap"),
                points(rows, "held_out_gap"), limit, claimed, seconds,
            ]) + " |")  # fmt: skip
    said += _beside(stored) + _repaired(stored) + _suspects(stored)
    if stored.get("tox21"):
        said += ["", "## The quick start on Tox21, seed 0", "", "```", stored["tox21"][0]["text"], "```"]
    return "\n".join(said) + "\n"


def _beside(stored: dict[str, list[dict[str, float]]]) -> list[str]:
    rows = stored.get("reference", [])
    if not rows:
        return []
    said = ["", "## The reference on digits, seed 0", "", "| noise | precision | recall | test share | seconds |",
            "|---:|---:|---:|---:|---:|"]  # fmt: skip
    return said + [
        f"| {row['noise']:.0%} | {row['precision']:.2f} | {row['recall']:.2f} | {row['share']:.2f} "
        f"| {row['processor']:.0f} |" for row in rows
    ]  # fmt: skip


def _repaired(stored: dict[str, list[dict[str, float]]]) -> list[str]:
    rows = stored.get("minority", [])
    if not rows:
        return []
    said = [
        "",
        "## Worst group after equal weights",
        "",
        "| head | ERM | learnt split | oracle |",
        "|---|---:|---:|---:|",
    ]
    for predictor in ("linear", "mlp"):
        own = [row for row in rows if row["predictor"] == predictor]
        said.append(
            "| " + " | ".join([predictor, *(mean(own, f"worst_{k}") for k in ("erm", "learnt", "oracle"))]) + " |"
        )
    return said


def _suspects(stored: dict[str, list[dict[str, float]]]) -> list[str]:
    rows = stored.get("noise", [])
    if not rows:
        return []
    said = ["", "## Suspected labels under 20 % noise", "", "| head | precision | recall |", "|---|---:|---:|"]
    for predictor in ("linear", "mlp"):
        own = [row for row in rows if row["predictor"] == predictor]
        said.append(f"| {predictor} | {mean(own, 'suspect_precision')} | {mean(own, 'suspect_recall')} |")
    return said


if __name__ == "__main__":
    main()
