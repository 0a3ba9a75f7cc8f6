"""Domino beside the original package `domino` on the same embeddings: precision at ten, likelihood and seconds.

    python benchmarks/domino_peer.py            prints
    python benchmarks/domino_peer.py --write    and writes results/domino_peer.md

The package (0.1.5, the only release that pip has) runs in an environment of its own under the pins below, without the
libraries that its mixture does not use (meerkat, torch, torchvision and plotting are stubbed) and with the names that
scikit-learn moved since. Its mixture, starts and slices are untouched.

Settings are the published protocol on scikit-learn's digits: three binary targets, a digit as the slice; "rare" 3, 5
and 10 % of the positives, "noisy" 20 and 30 % of the slice's labels flipped, answers drawn as p ~ Beta(s, 1 - s) with
s = .40 inside and .75 outside; "trained rare", a logistic regression that saw none or a tenth of the digit; "trained
correlation", a faint painted cue with skew .90 or .95. Trained settings count where the model errs five points more
inside. Everyone reads 20 principal components, fits on one half and gives five slices; the score is the best P@10 of
the five on the other half, membership with labels and predictions, mean over planted slices and three seeds. "tested"
is what Errata puts to the proof: membership without predictions.

Speed: 30,000 rows of 512 dimensions, 40 blobs in 32 noisy directions; seconds of one CPU thread, median of five seeds,
from the raw embedding to the fitted mixture; imports are not counted. Likelihoods are compared where they can be: on
the same 128 axes, five seeds each, exponents of 10, k-means start.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import errata
from errata.core.columns import Column, Table
from errata.core.dataset import Dataset
from errata.core.evaluation import CONFIRM, EXPLORE, Evaluation
from errata.core.method import Job
from errata.methods.discover.domino import Domino
from errata.ops.vectors.mixture import Outcome, fit_mixture
from errata.ops.vectors.mixture_starts import responsibilities_at_start
from errata.ops.vectors.principal import principal_axes

TABLE = Path(__file__).parent / "results" / "domino_peer.md"
PINS = ("numpy<2", "scipy<1.14", "scikit-learn==1.5.2", "tqdm")
PACKAGE = "domino==0.1.5"
TARGETS = {"five or more": (5, 6, 7, 8, 9), "odd": (1, 3, 5, 7, 9), "closed loop": (0, 4, 6, 8, 9)}
SEEDS = 5
REPEATS = 3
SOME = 4_096

PEER = r"""
import sys, time, warnings
warnings.filterwarnings("ignore")
from unittest.mock import MagicMock
import numpy as np, sklearn.cluster, sklearn.decomposition, sklearn.mixture._base as base, sklearn.utils
STUBS = '''meerkat torch torch.nn torch.nn.functional torchvision ipywidgets matplotlib matplotlib.pyplot seaborn
    IPython IPython.display fvcore fvcore.common fvcore.common.registry tabulate pandas PIL requests domino._embed
    domino._slice.spotlight domino._describe domino._describe.generate domino.gui'''.split()
for name in STUBS:
    sys.modules.setdefault(name, MagicMock())
base._check_X = lambda X, *a, **k: np.asarray(X)
base.check_random_state = sklearn.utils.check_random_state
import domino._slice.domino as original
for name in STUBS:
    if not name.startswith("domino"):
        del sys.modules[name]  # scikit-learn would ask the stub of pandas for its types
original.tqdm = lambda rows, **k: rows
original.DominoMixture._check_initial_parameters = lambda self, X: self._check_parameters(X)
original.DominoMixture._print_verbose_msg_init_end = lambda self, *a: None
asked = np.load(sys.argv[1])
given = {}
for name in asked.files:
    at, _, part = name.partition("/")
    given.setdefault(int(at), {})[part] = asked[name]
answers = {}
for at, one in given.items():
    weight, pca = float(one["weight"]), int(one["pca"])
    slicer = original.DominoSlicer(
        n_pca_components=pca or None, init_params=str(one["start"]), random_state=int(one["seed"]),
        y_log_likelihood_weight=weight, y_hat_log_likelihood_weight=weight)
    began = time.process_time()
    slicer.fit(data=None, embeddings=one["x"], targets=one["y"], pred_probs=one["s"])
    answers[f"{at}/seconds"] = time.process_time() - began
    answers[f"{at}/likelihood"] = slicer.mm.lower_bound_
    answers[f"{at}/membership"] = slicer.predict_proba(
        data=None, embeddings=one["held_x"], targets=one["held_y"], pred_probs=one["held_s"])
np.savez(sys.argv[2], **answers)
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Setting:
    """One planted setting: embedding (n, 20), labels, scores (n, 2), fold, and slices (k, n) bool."""

    kind: str
    x: np.ndarray
    y: np.ndarray
    s: np.ndarray
    explore: np.ndarray
    truth: np.ndarray


def digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    data = load_digits()
    return data.data / 16.0, data.target


def settings() -> Iterator[Setting]:
    """All settings, in a fixed order."""
    for at, positive in enumerate(TARGETS.values()):
        for digit in positive:
            for share in (0.03, 0.05, 0.1):
                yield drawn("rare", positive, digit, share, np.random.default_rng([at, digit, int(1e3 * share), 0]))
            for share in (0.2, 0.3):
                yield drawn("noisy", positive, digit, share, np.random.default_rng([at, digit, int(1e3 * share), 1]))
            for share in (0.0, 0.1):
                rng = np.random.default_rng([at, digit, int(1e3 * share), 2])
                yield from trained_rare(positive, digit, share, rng)
        for skew in (0.9, 0.95):
            for seed in range(4):
                yield from trained_cue(positive, skew, np.random.default_rng([at, seed, int(1e3 * skew), 3]))


def drawn(kind: str, positive: tuple[int, ...], digit: int, share: float, rng: np.random.Generator) -> Setting:
    """A rare slice, or one with noisy labels, and answers of the synthetic model."""
    x, c = digits()
    if kind == "rare":
        others = np.isin(c, positive) & (c != digit)
        kept = rng.permutation(np.flatnonzero(c == digit))[: max(8, round(share / (1 - share) * others.sum()))]
        rows = np.sort(np.concatenate([np.flatnonzero(c != digit), kept]))
        x, c = x[rows], c[rows]
    y, inside = np.isin(c, positive).astype(int), c == digit
    s = np.where(inside, 0.40, 0.75)
    a = np.where(y == 1, s, 1 - s)
    p = rng.beta(a, 1 - a)
    if kind == "noisy":
        y = np.where(inside & (rng.random(len(y)) < share), 1 - y, y)
    return packed(kind, x, y, p, inside[None], rng.random(len(y)) < 0.5)


def trained_rare(positive: tuple[int, ...], digit: int, share: float, rng: np.random.Generator) -> Iterator[Setting]:
    """A model that saw few of a digit in training."""
    x, c = digits()
    y = np.isin(c, positive).astype(int)
    part = rng.integers(0, 3, len(y))
    seen = (part == 0) & ((c != digit) | (rng.random(len(y)) < share))
    yield from answered("trained rare", x + rng.normal(0, 0.15, x.shape), y, seen, part, (c == digit)[None])


def trained_cue(positive: tuple[int, ...], skew: float, rng: np.random.Generator) -> Iterator[Setting]:
    """A model that could rely on a faint cue."""
    x, c = digits()
    y = np.isin(c, positive).astype(int)
    x = x + rng.normal(0, 0.15, x.shape)
    cue = rng.random(len(y)) < np.where(y == 1, skew, 1 - skew)
    x[np.ix_(np.flatnonzero(cue), [0, 7, 56])] += 0.5
    part = rng.integers(0, 3, len(y))
    truth = np.stack([(y == 0) & cue, (y == 1) & ~cue])
    yield from answered("trained correlation", x, y, part == 0, part, truth)


def answered(
    kind: str, x: np.ndarray, y: np.ndarray, seen: np.ndarray, part: np.ndarray, truth: np.ndarray
) -> Iterator[Setting]:
    """The setting under a logistic regression, where it fails in the slices."""
    from sklearn.linear_model import LogisticRegression

    p = LogisticRegression(C=0.3, max_iter=300).fit(x[seen], y[seen]).predict_proba(x)[:, 1]
    wrong, held = (p > 0.5) != y, part == 2
    kept = [
        one for one in truth
        if (one & held).sum() >= 10 and wrong[one & held].mean() - wrong[~one & held].mean() > 0.05
    ]  # fmt: skip
    if kept:
        rest = part > 0
        yield packed(kind, x[rest], y[rest], p[rest], np.stack(kept)[:, rest], part[rest] == 1)


def packed(kind: str, x: np.ndarray, y: np.ndarray, p: np.ndarray, truth: np.ndarray, explore: np.ndarray) -> Setting:
    axes = principal_axes(x[explore], 20, rng=np.random.default_rng(0))
    scores = np.column_stack([1 - p, p])
    return Setting(kind=kind, x=(x - axes.centre) @ axes.axes, y=y, s=scores, explore=explore, truth=truth)


def evaluation(setting: Setting) -> Evaluation:
    """The setting as the methods read it."""
    y, said, n = setting.y.astype(np.int32), setting.s.argmax(axis=1).astype(np.int32), len(setting.y)
    levels = ("no", "yes")
    table = Table({
        "label": Column(kind="category", values=y, levels=levels),
        "prediction": Column(kind="category", values=said, levels=levels),
        "embedding:pca": Column(kind="embedding", values=setting.x.astype(np.float32)),
    })  # fmt: skip
    dataset = Dataset(
        name="planted", modality="array", table=table, id_hash=np.arange(n, dtype=np.uint64),
        occurrence=np.zeros(n, dtype=np.uint32), label="label", prediction="prediction",
    )  # fmt: skip
    return Evaluation(
        dataset=dataset, model=None, task="classification", metric="error", classes=levels, labels=y, predicted=said,
        scores=setting.s.astype(np.float32), loss=(y != said).astype(float), stratum=y,
        fold=np.where(setting.explore, EXPLORE, CONFIRM).astype(np.int8), counted=np.ones(n, dtype=bool), group=None,
        features=("label",), outputs=("prediction",),
    )  # fmt: skip


def precision(score: np.ndarray, truth: np.ndarray, k: int = 10) -> float:
    """P@10; rows that tie at the border count by their mean."""
    score = np.where(np.isfinite(score), score, -1e300)
    border = np.partition(score, -k)[-k]
    above, tied = score > border, score == border
    return float((truth[above].sum() + (k - above.sum()) * truth[tied].mean()) / k)


def best(memberships: list[np.ndarray], truth: np.ndarray) -> float:
    return float(np.mean([max((precision(score, one) for score in memberships), default=0.0) for one in truth]))


def of_peer(jobs: list[dict[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
    """What the package says to each job."""
    folder = Path(tempfile.gettempdir()) / "errata-peer-domino"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PINS], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", PACKAGE], check=True)
        (folder / "ready").touch()
    with tempfile.TemporaryDirectory() as place:
        asked, said = Path(place) / "asked.npz", Path(place) / "said.npz"
        np.savez(asked, **{f"{at}/{name}": part for at, job in enumerate(jobs) for name, part in job.items()})
        subprocess.run([python, "-c", PEER, asked, said], check=True)
        answers = np.load(said)
        names = ("seconds", "likelihood", "membership")
        return [{name: answers[f"{at}/{name}"] for name in names} for at in range(len(jobs))]


def job(setting: Setting, *, start: str, weight: float, seed: int) -> dict[str, np.ndarray]:
    e, h = setting.explore, ~setting.explore
    return {
        "x": setting.x[e], "y": setting.y[e], "s": setting.s[e],
        "held_x": setting.x[h], "held_y": setting.y[h], "held_s": setting.s[h],
        "weight": np.array(weight), "pca": np.array(0), "start": np.array(start), "seed": np.array(seed),
    }  # fmt: skip


OURS = {
    "Errata, defaults": Domino(),
    "Errata, as published, kmeans, 10/10": Domino(start="kmeans", label_weight=10, prediction_weight=10, faithful=True),
    "Errata, as published, confusion, 1/1": Domino(
        start="confusion", label_weight=1, prediction_weight=1, faithful=True
    ),
}
THEIRS = {f"domino 0.1.5, {start}, {w:g}/{w:g}": (start, w) for start in ("kmeans", "confusion") for w in (1.0, 10.0)}


def planted() -> list[str]:
    """The table of P@10."""
    every = list(settings())
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    drawn_by = [(setting, seed) for setting in every for seed in range(REPEATS)]
    for name, (start, weight) in THEIRS.items():
        answers = of_peer([job(setting, start=start, weight=weight, seed=seed) for setting, seed in drawn_by])
        for (setting, _), answer in zip(drawn_by, answers, strict=True):
            held = setting.truth[:, ~setting.explore]
            found[name, setting.kind].append(best(list(answer["membership"].T), held))
    for name, method in OURS.items():
        for setting, seed in drawn_by:
            whole = evaluation(setting)
            held = whole.part(CONFIRM)
            truth = setting.truth[:, held.rows]
            slices = method.run(whole.explore(), Job(rng=np.random.default_rng(seed)))
            found[name, setting.kind].append(best([one.rule.score(held) for one in slices], truth))
            tested = [one.independent.score(held) for one in slices if one.independent is not None]
            found[f"{name}, tested", setting.kind].append(best(tested, truth))
    kinds = list(dict.fromkeys(setting.kind for setting in every))
    head = [f"{kind} ({sum(s.kind == kind for s in every)})" for kind in kinds]
    lines = ["| P@10, best of five slices | " + " | ".join(head) + " | mean |", "|---" * (len(kinds) + 2) + "|"]
    for name in dict.fromkeys(name for name, _ in found):
        means = [float(np.mean(found[name, kind])) for kind in kinds]
        lines.append(f"| {name} | " + " | ".join(f"{mean:.3f}" for mean in (*means, np.mean(means))) + " |")
    return lines


def large() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    n, d = 30_000, 512
    blob = rng.integers(0, 40, n)
    ways = rng.standard_normal((32, d)) * np.geomspace(1, 0.1, 32)[:, None]
    x = (2 * rng.standard_normal((40, 32))[blob] + rng.standard_normal((n, 32))) @ ways
    y = blob % 2
    p = np.clip(np.where(blob < 4, 0.3, 0.85) + 0.1 * rng.standard_normal(n), 0.01, 0.99)
    p = np.where(y == 1, p, 1 - p)
    return {"x": (x + 0.3 * rng.standard_normal((n, d))).astype(np.float32), "y": y, "s": np.column_stack([1 - p, p])}


def fitted(data: dict[str, np.ndarray], *, pca: int, seed: int) -> tuple[float, float]:
    """Seconds and likelihood of ours, by the steps that the method takes."""
    rng = np.random.default_rng(seed)
    began = time.process_time()
    values = data["x"]
    if pca:
        axes = principal_axes(values, pca, rng=rng)
        values = values @ axes.axes.astype(np.float32) - (axes.centre @ axes.axes).astype(np.float32)
    some = np.sort(rng.choice(len(values), SOME, replace=False))
    start = responsibilities_at_start(
        "kmeans", values[some], components=25, labels=data["y"][some], scores=data["s"][some], rng=rng
    )
    outcome = Outcome(classes=2, labels=data["y"], scores=data["s"], label_weight=10.0, prediction_weight=10.0)
    found = fit_mixture(values, start, start_rows=some, outcome=outcome, soft="published")
    return time.process_time() - began, found.log_likelihood


def speed() -> list[str]:
    """The table of seconds and likelihoods."""
    data = large()
    centred = data["x"] - data["x"].mean(axis=0)
    axes = np.linalg.eigh(centred.T.astype(np.float64) @ centred)[1][:, ::-1][:, :128].astype(np.float32)
    same = {**data, "x": centred @ axes}
    rest = {f"held_{name}": data[name][:10] for name in "ys"}

    def jobs(what: dict[str, np.ndarray], pca: int) -> list[dict[str, np.ndarray]]:
        more = {"weight": np.array(10.0), "pca": np.array(pca), "start": np.array("kmeans")}
        return [{**what, **rest, "held_x": what["x"][:10], **more, "seed": np.array(seed)} for seed in range(SEEDS)]

    fitted(data, pca=128, seed=0)
    ours = [fitted(data, pca=128, seed=seed)[0] for seed in range(SEEDS)]
    theirs = [float(one["seconds"]) for one in of_peer(jobs(data, 128))]
    our_fit = [fitted(same, pca=0, seed=seed) for seed in range(SEEDS)]
    their_fit = [(float(one["seconds"]), float(one["likelihood"])) for one in of_peer(jobs(same, 0))]
    lines = ["| n = 30,000, d = 512 | Errata | domino 0.1.5 | ratio |", "|---|---|---|---|"]
    a, b = statistics.median(ours), statistics.median(theirs)
    lines.append(f"| seconds with principal axes | {a:.2f} | {b:.2f} | {b / a:.1f} |")
    a, b = statistics.median(one[0] for one in our_fit), statistics.median(one[0] for one in their_fit)
    lines.append(f"| seconds on the same 128 axes | {a:.2f} | {b:.2f} | {b / a:.1f} |")
    for word, pick in (("mean", statistics.mean), ("best", max)):
        a, b = pick([one[1] for one in our_fit]), pick([one[1] for one in their_fit])
        lines.append(f"| log-likelihood per row there, {word} of five seeds | {a:.2f} | {b:.2f} | {a - b:+.2f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    made = (
        f"errata {errata.__version__}, numpy {np.__version__}, Python {sys.version.split()[0]}; {PACKAGE} with "
        f"{', '.join(PINS)}; {datetime.now(UTC).date().isoformat()}; one thread."
    )
    text = "\n".join([
        "# Domino beside the original", "",
        "Written by `benchmarks/domino_peer.py`, whose first lines say what is done.",
        "", made, "", *planted(), "", *speed(), "",
    ])  # fmt: skip
    print(text)
    if asked.write:
        TABLE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
