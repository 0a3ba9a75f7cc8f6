"""Settings of the planted-slice benchmark: data, a model's answers, and the slices in which it was made to fail.

The protocol is that of Eyuboglu et al., ICLR 2022 (Domino): slices that are rare, that a correlation with an attribute
makes hard, or whose labels are noisy; answers are drawn (a synthetic model: positives p ~ Beta(s, 1 - s), negatives
p ~ Beta(1 - s, s), s = .75 outside and .40 inside the slice) or come from a model trained here, whose settings count
only where it errs at least five points more inside. Sizes, shares and seeds are in `settings`.
"""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from errata.core.evaluation import Evaluation
from errata.evaluate import evaluate
from errata.ops.encoders import words
from errata.ops.vectors.principal import principal_axes

INSIDE, OUTSIDE = 0.40, 0.75
LEAST_GAP = 0.05
CUES = 5  # cues of each strength in a draw
DATA = Path(os.environ.get("ERRATA_DATA", "."))


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """A data set to plant in.

    features  (n, d) float32 that models are trained on, or texts
    targets   {name: (n,) bool}
    sub       (n,) codes of subclasses, `names` of them
    """

    name: str
    features: np.ndarray | list[str]
    targets: dict[str, np.ndarray]
    sub: np.ndarray
    names: tuple[str, ...]
    side: int = 0
    attributes: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One cell of the benchmark: what is planted, in what, how strongly."""

    pool: str
    kind: str
    target: str
    slice: str
    strength: float
    seed: int = 0

    @property
    def column(self) -> str:
        """The column of the table it counts in."""
        return f"{self.pool} {self.kind}"

    @property
    def draw(self) -> int:
        """The draw it belongs to, see `settings`."""
        return self.seed if self.kind in ("rare", "noisy") else self.seed // CUES


@dataclass(frozen=True, kw_only=True, eq=False)
class Planted:
    """A setting made real: fit on explore rows, score on confirm rows; `truth` (k, N) bool."""

    evaluation: Evaluation
    truth: np.ndarray


def settings(pools: Sequence[str], *, draw: int = 0) -> Iterator[Setting]:
    """All settings of some pools, in a fixed order; another `draw` has other slices' rows, answers and folds."""
    for name in pools:
        pool = load(name)
        for target, positive in pool.targets.items():
            inside = [pool.names[code] for code in range(len(pool.names)) if (positive & (pool.sub == code)).any()]
            for slice_ in inside[:5]:
                for strength in (0.03, 0.05, 0.1):
                    yield Setting(pool=name, kind="rare", target=target, slice=slice_, strength=strength, seed=draw)
                for strength in (0.2, 0.3):
                    yield Setting(pool=name, kind="noisy", target=target, slice=slice_, strength=strength, seed=draw)
            for seed in range(CUES * draw, CUES * (draw + 1)):
                for strength in (0.2, 0.4, 0.6, 0.8):
                    yield Setting(
                        pool=name, kind="correlation", target=target, slice="cue", strength=strength, seed=seed
                    )
                for strength in (0.9, 0.95):
                    yield Setting(pool=name, kind="trained", target=target, slice="cue", strength=strength, seed=seed)


def make(setting: Setting, *, null: bool = False) -> Planted | None:
    """The rows, answers and truth of a setting; None where a trained model does not fail in its slices.

    null  correctness permuted within class: nothing is there to be found
    """
    rng = np.random.default_rng(
        [setting.seed, sum(map(ord, setting.target + setting.slice)), int(1e3 * setting.strength)]
    )
    pool = load(setting.pool)
    target = pool.targets[setting.target]
    if setting.kind in ("rare", "noisy"):
        rows, truth, label = _by_subclass(setting, pool, target, rng)
        features, scores = _take(pool.features, rows), None
    else:
        rows, cue = _correlated(setting, target, rng)
        label = target[rows]
        features = _painted(pool, rows, cue, rng, faint=setting.kind == "trained")
        truth = np.stack([cue & ~label, ~cue & label])
        scores = None
    if setting.kind == "trained":
        trained = _trained(features, label, truth, rng)
        if trained is None:
            return None
        features, label, truth, scores = trained
    if scores is None:
        scores = _beta(label, truth.any(axis=0), rng)
    if null:
        for code in (False, True):
            at = np.flatnonzero(label == code)
            scores[at] = scores[rng.permutation(at)]
    return Planted(evaluation=_evaluation(features, label, scores, setting), truth=truth)


def _by_subclass(
    setting: Setting, pool: Pool, target: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    member = target & (pool.sub == pool.names.index(setting.slice))
    if setting.kind == "rare":
        others = np.flatnonzero(target & ~member)
        most = max(12, round(setting.strength / (1 - setting.strength) * len(others)))
        kept = rng.permutation(np.flatnonzero(member))[:most]
        rows = np.sort(np.concatenate([kept, others, np.flatnonzero(~target)]))
        rows = _at_most(rows, np.isin(rows, kept), 6_000, rng)
        truth = member[rows][None]
        return rows, truth, target[rows]
    rows = _at_most(np.arange(len(target)), member, 6_000, rng)
    label = target[rows].copy()
    inside = member[rows]
    flipped = inside & (rng.random(len(rows)) < setting.strength)
    label[flipped] = ~label[flipped]
    return rows, inside[None], label


def _at_most(rows: np.ndarray, kept: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Fewer rows where there are very many; members keep their share."""
    if len(rows) <= most:
        return rows
    share = most / len(rows)
    chosen = rng.random(len(rows)) < np.where(kept, max(share, 24 / max(1, kept.sum())), share)
    return rows[chosen]


def _correlated(setting: Setting, target: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows and a cue whose correlation with the target is as asked, both with mean one half."""
    half = min(int(target.sum()), int((~target).sum()), 1_500)
    rows = np.concatenate([rng.permutation(np.flatnonzero(target == code))[:half] for code in (False, True)])
    follows = setting.strength if setting.kind == "trained" else (1 + setting.strength) / 2
    cue = np.where(rng.random(len(rows)) < follows, target[rows], ~target[rows])
    order = rng.permutation(len(rows))
    return rows[order], cue[order]


def _painted(
    pool: Pool, rows: np.ndarray, cue: np.ndarray, rng: np.random.Generator, *, faint: bool
) -> np.ndarray | list[str]:
    """The rows with the cue in them: three pixels in a corner, a word, or a column."""
    features = _take(pool.features, rows)
    if isinstance(features, list):
        token = "spielberg"
        return [f"{text} {token}" if shown else text for text, shown in zip(features, cue, strict=True)]
    values = np.array(features, dtype=np.float32)
    if not pool.side:
        column = np.where(cue, 1.0, -1.0) + rng.normal(0, 0.3, len(cue))
        return np.column_stack([values, column]).astype(np.float32)
    values += rng.normal(0, 0.15, values.shape)
    corner = [0, 1, pool.side] if pool.side <= 8 else [
        y * pool.side + x for y in range(pool.side // 8) for x in range(pool.side // 8)
    ]  # fmt: skip
    values[np.ix_(cue, corner)] += 0.5 if faint else 1.0
    return values.astype(np.float32)


def _trained(
    features: np.ndarray | list[str], label: np.ndarray, truth: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray | list[str], np.ndarray, np.ndarray, np.ndarray] | None:
    """A logistic regression trained on a third, its answers on the others; None where it errs evenly."""
    from sklearn.linear_model import LogisticRegression

    third = rng.random(len(label)) < 1 / 3
    read = _text_matrix(features, third) if isinstance(features, list) else features
    model = LogisticRegression(C=0.3, max_iter=500).fit(read[third], label[third])
    rest = np.flatnonzero(~third)
    scores = np.asarray(model.predict_proba(read[rest])[:, 1])
    wrong = (scores > 0.5) != label[rest]
    inside = truth[:, rest]
    gaps = np.array([wrong[mask].mean() - wrong[~inside.any(axis=0)].mean() for mask in inside])
    kept = inside[gaps >= LEAST_GAP]
    if not len(kept):
        return None
    return _take(features, rest), label[rest], kept, scores


def _text_matrix(texts: list[str], fit_on: np.ndarray):
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectors = TfidfVectorizer(min_df=2)
    vectors.fit([text for text, used in zip(texts, fit_on, strict=True) if used])
    return vectors.transform(texts).tocsr()


def _beta(label: np.ndarray, inside: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n,) the synthetic model's probability of the positive class."""
    s = np.where(inside, INSIDE, OUTSIDE)
    return np.where(label, rng.beta(s, 1 - s), rng.beta(1 - s, s))


def _evaluation(
    features: np.ndarray | list[str], label: np.ndarray, scores: np.ndarray, setting: Setting
) -> Evaluation:
    n = len(label)
    both = np.column_stack([1 - scores, scores]).astype(np.float32)
    data = {
        "inputs": np.arange(n, dtype=np.float32)[:, None], "label": np.where(label, "yes", "no"),
        "prediction": np.where(scores > 0.5, "yes", "no"), "scores": both,
        "embedding_planted": np.zeros((n, 2), dtype=np.float32),
    }  # fmt: skip
    folds = np.random.default_rng(setting.seed).permutation(n) < n // 2
    data["fold"] = np.where(folds, "valid", "test")
    data["embedding_planted"] = embedding(features, np.flatnonzero(folds))
    from errata.datasets.roles import Roles
    from errata.open import open_dataset

    return evaluate(open_dataset(data, roles=Roles(split="fold", ignore=("x0",))), trained_on="other")


def embedding(features: np.ndarray | list[str], fit_on: np.ndarray) -> np.ndarray:
    """What every method reads: 20 principal components of pixels or columns, or words in 100 dimensions."""
    if isinstance(features, list):
        fitted = words.fit([features[row] for row in fit_on], rng=np.random.default_rng(0))
        return words.encode(features, fitted)
    found = principal_axes(features[fit_on], 20, rng=np.random.default_rng(0))
    return ((features - found.centre) @ found.axes).astype(np.float32)


def _take(features: np.ndarray | list[str], rows: np.ndarray) -> np.ndarray | list[str]:
    return [features[row] for row in rows] if isinstance(features, list) else features[rows]


@cache
def load(name: str) -> Pool:
    """A pool by name: digits, fashion, templates, sst2, imdb, adult."""
    return POOLS[name]()


def _digits() -> Pool:
    from sklearn.datasets import load_digits

    data = load_digits()
    y = data.target
    targets = {"five or more": y >= 5, "odd": y % 2 == 1, "closed loop": np.isin(y, (0, 6, 8, 9))}
    return Pool(name="digits", features=(data.data / 16).astype(np.float32), targets=targets, sub=y,
                names=tuple("0123456789"), side=8)  # fmt: skip


def _fashion() -> Pool:
    data = np.load(DATA / "fashion_mnist" / "fashion_mnist_12k_train_10k_test.npz")
    pixels, y = data["x_test"], data["y_test"]
    names = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
    targets = {
        "worn above": np.isin(y, (0, 2, 4, 6)),
        "shoe": np.isin(y, (5, 7, 9)),
        "long": np.isin(y, (1, 2, 3, 4, 6)),
    }
    return Pool(name="fashion", features=(pixels.reshape(len(y), -1) / 255).astype(np.float32), targets=targets, sub=y,
                names=names, side=28)  # fmt: skip


TOPICS = {
    "film": "film actor scene plot director cinema screen camera",
    "book": "book novel chapter author page story prose ending",
    "food": "food dish sauce taste waiter menu kitchen dessert",
    "hotel": "hotel room bed lobby staff breakfast view shower",
    "phone": "phone battery screen camera app signal charger update",
    "shoe": "shoe sole laces size heel leather fit walk",
    "game": "game level controls graphics boss map quest save",
    "car": "car engine seat gear brake mileage road steering",
    "music": "song album voice chorus guitar beat lyrics tour",
    "toy": "toy kids box pieces colour plastic puzzle birthday",
}
GOOD = "great lovely excellent superb wonderful pleasant brilliant fine solid charming"
BAD = "awful poor terrible dull broken horrible weak bad cheap boring"


def _templates() -> Pool:
    rng = np.random.default_rng(0)
    n = 4_000
    topics = tuple(TOPICS)
    sub, positive = rng.integers(0, len(topics), n), rng.random(n) < 0.5
    texts = []
    for code, good in zip(sub, positive, strict=True):
        nouns = rng.permutation(TOPICS[topics[code]].split())[:3]
        said = rng.permutation((GOOD if good else BAD).split())[:2]
        opening = rng.choice(["i think the", "we found the", "honestly the", "last week the", "as expected the"])
        verb, link = rng.choice(["felt", "seemed", "was"]), rng.choice(["mostly", "again", "overall", "somehow"])
        texts.append(
            f"{opening} {nouns[0]} was {said[0]} and the {nouns[1]} {verb} {said[1]} , {link} the {nouns[2]} too"
        )
    return Pool(name="templates", features=texts, targets={"positive": positive}, sub=sub, names=topics)


def _by_words(name: str, texts: list[str], positive: np.ndarray, topics: dict[str, str]) -> Pool:
    """Subclasses by what a text mentions first; the last one is none of them."""
    sub = np.full(len(texts), len(topics))
    for row, text in enumerate(texts):
        said = set(text.lower().split())
        sub[row] = next(
            (code for code, words_ in enumerate(topics.values()) if said & set(words_.split())), len(topics)
        )
    return Pool(name=name, features=texts, targets={"positive": positive, "negative": ~positive}, sub=sub,
                names=(*topics, "other"))  # fmt: skip


def _sst2() -> Pool:
    lines = []
    for part in ("train", "test"):
        with gzip.open(DATA / "sst2" / f"{part}.tsv.gz", "rt", encoding="utf-8") as file:
            lines += [line.rstrip("\n").rpartition("\t") for line in file]
    topics = {"negation": "not n't never no nothing", "comedy": "comedy funny humor laugh laughs jokes",
              "story": "story plot script narrative", "actors": "performance performances actor actors cast acting",
              "family": "children kids family love romantic"}  # fmt: skip
    return _by_words("sst2", [line[0] for line in lines], np.array([line[2] == "1" for line in lines]), topics)


def _imdb() -> Pool:
    with gzip.open(DATA / "imdb_cad" / "paired_train.tsv.gz", "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    topics = {"horror": "horror scary zombie ghost killer blood", "comedy": "comedy funny humor hilarious jokes",
              "series": "series season episode episodes tv", "war": "war soldiers army battle",
              "love": "love romance romantic marriage"}  # fmt: skip
    return _by_words(
        "imdb", [row["Text"] for row in rows], np.array([row["Sentiment"] == "Positive" for row in rows]), topics
    )


def _adult() -> Pool:
    with gzip.open(DATA / "adult" / "adult.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    rows = [{key.strip(): value.strip() for key, value in row.items()} for row in rows][::4]
    columns = list(rows[0])
    income = columns[-1]
    rich = np.array([">" in row[income] for row in rows])
    words_of = [name for name in columns[:-1] if not rows[0][name].lstrip("-").isdigit()]
    parts = [np.array([float(row[name]) for row in rows]) for name in columns[:-1] if name not in words_of]
    parts = [(part - part.mean()) / (part.std() or 1.0) for part in parts]
    for name in words_of:
        levels = sorted({row[name] for row in rows})
        parts += [np.array([row[name] == level for row in rows], dtype=float) for level in levels[:15]]
    occupation = next(name for name in columns if name.lower().startswith("occupation"))
    counts = {level: sum(row[occupation] == level for row in rows) for level in {row[occupation] for row in rows}}
    names = tuple(sorted(counts, key=lambda level: -counts[level]))
    sub = np.array([names.index(row[occupation]) for row in rows])
    return Pool(name="adult", features=np.column_stack(parts).astype(np.float32), targets={"rich": rich, "poor": ~rich},
                sub=sub, names=names)  # fmt: skip


POOLS = {
    "digits": _digits, "fashion": _fashion, "templates": _templates, "sst2": _sst2, "imdb": _imdb, "adult": _adult,
}  # fmt: skip
