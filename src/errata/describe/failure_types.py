"""The explore rows of an evaluation as the tests of a failure type read them: features, cues, training rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Column, Float, Int
from errata.core.evaluation import EXPLORE, LEFT_OUT, Evaluation
from errata.core.evidence import Statistic
from errata.core.finding import Finding
from errata.core.method import Job
from errata.describe.wording import level_text
from errata.ops.failure_type import Cue, Scene, failure_type

__all__ = ["scene_of", "with_failure_type"]

MOST_ROWS = 5_000
MOST_FEATURES = 60
MOST_CUES = 300
MOST_LEVELS = 12
AXES = 24
LEAST_SHARE = 0.02  # of rows that have a cue, and that have it not
TRAINING = frozenset({"train", "training", "trn", "fit"})


def with_failure_type(finding: Finding, evaluation: Evaluation, *, members: Bool, job: Job) -> Finding:
    """The finding with its failure type, and what the test measured; as it is where errors are no wrong classes.

    Told from explore rows alone; confirm rows have no part in it, so that it is a hint and not a confirmed claim.

    members  (N,) bool over all rows of the evaluation
    """
    if evaluation.task != "classification" or evaluation.metric != "error" or finding.family != "errors":
        return finding
    staged: Staged | None = job.cached("failure scene", lambda: scene_of(evaluation))
    if staged is None:
        return finding
    verdict = failure_type(staged.scene, members[staged.rows])
    told = replace(finding, failure_type=verdict.type)
    if verdict.type == "unknown":
        return told
    return replace(told, evidence=(*told.evidence, Statistic(name="failure type", value=None, words=verdict.words)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Staged:
    """A scene and which rows of the evaluation it is made of."""

    scene: Scene
    rows: Int


def scene_of(evaluation: Evaluation) -> Staged | None:
    """Explore rows, at most 5,000, as features and cues; None where there is nothing to read."""
    rows = _some(np.flatnonzero((evaluation.fold == EXPLORE) & evaluation.counted))
    if not len(rows):
        return None
    there = _some(_training(evaluation))
    both = np.concatenate([rows, there])
    whole = evaluation if evaluation.rows is None else replace(evaluation, rows=None)
    view = whole.take(both)
    read = _features(view, explored=len(rows))
    if read.values.shape[1] == 0:
        return None
    labels, predicted = (np.asarray(values, dtype=np.int64) for values in (evaluation.labels, evaluation.predicted))
    scene = Scene(
        features=read.values[: len(rows)], labels=labels[rows], predicted=predicted[rows],
        classes=len(evaluation.classes), cues=_cues(view, len(rows), read), embedded=read.embedded,
        training=read.values[len(rows) :] if len(there) else None, trained=labels[there] if len(there) else None,
    )  # fmt: skip
    return Staged(scene=scene, rows=rows)


def _some(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    some: NDArray[np.int64] = rows[:: max(1, -(-len(rows) // MOST_ROWS))]
    return some


def _training(evaluation: Evaluation) -> NDArray[np.int64]:
    """Rows that a split column says the model was trained on."""
    name = evaluation.dataset.split
    if name is None:
        return np.zeros(0, dtype=np.int64)
    column = evaluation.dataset.table.column(name)
    if column.kind != "category":
        return np.zeros(0, dtype=np.int64)
    codes = [code for code, level in enumerate(column.levels) if str(level).strip().lower() in TRAINING]
    usable = (evaluation.fold == LEFT_OUT) & (np.asarray(evaluation.labels) >= 0)
    return np.flatnonzero(np.isin(column.values, codes) & usable)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Read:
    """Features (n, d) and which of them each column gives."""

    values: Float
    places: dict[str, tuple[int, ...]]
    embedded: bool


def _features(view: Evaluation, *, explored: int) -> _Read:
    parts: list[Float] = []
    names: list[str] = []
    for name in _columns(view):
        for part in _numbers(view.column(name), explored):
            parts.append(part)
            names.append(name)
    table = np.stack(parts, axis=1) if parts else np.zeros((len(view), 0))
    embedding = _embedding(view)
    most = MOST_FEATURES if embedding is None else 10
    if table.shape[1] > most:
        label = np.asarray(view.of(view.labels), dtype=np.int64)[:explored]
        chosen = np.sort(np.argsort(-_separation(table[:explored], label), kind="stable")[:most])
        table, names = table[:, chosen], [names[place] for place in chosen.tolist()]
    places: dict[str, tuple[int, ...]] = {}
    for place, name in enumerate(names):
        places[name] = (*places.get(name, ()), place)
    values = table if embedding is None else np.concatenate([table, _axes(embedding, explored)], axis=1)
    return _Read(values=values, places=places, embedded=embedding is not None)


def _columns(view: Evaluation) -> list[str]:
    barred = {view.dataset.label, *view.outputs}
    return [name for name in view.features if name not in barred]


def _numbers(column: Column, explored: int) -> list[Float]:
    """A column as standardised numbers, 0 where missing; a category as one of them for each of its commoner levels."""
    if column.kind == "category":
        counts = np.bincount(column.values[:explored] + 1, minlength=len(column.levels) + 1)[1:]
        common = np.argsort(-counts, kind="stable")[:MOST_LEVELS]
        return [np.asarray(column.values == code, dtype=np.float64) for code in common.tolist() if counts[code]]
    if column.kind == "boolean":
        return [np.asarray(column.values == 1, dtype=np.float64)]
    if column.kind not in ("number", "datetime"):
        return []
    gone = column.missing()
    values = np.where(gone, 0.0, column.values.astype(np.float64))
    known = values[:explored][~gone[:explored]]
    if not len(known) or known.std() == 0.0:
        return []
    return [np.where(gone, 0.0, np.clip((values - known.mean()) / known.std(), -4.0, 4.0))]


def _separation(table: Float, label: NDArray[np.int64]) -> Float:
    """(d,) share of each feature's variance that lies between the classes."""
    total = table.var(axis=0)
    between = np.zeros(table.shape[1])
    for code in np.unique(label):
        rows = label == code
        between += rows.mean() * (table[rows].mean(axis=0) - table.mean(axis=0)) ** 2
    return np.asarray(between / np.maximum(total, 1e-12))


def _embedding(view: Evaluation) -> Float | None:
    """The first independent embedding of images and texts; in a table the columns themselves say as much."""
    if view.dataset.modality == "table":
        return None
    names = [name for name in view.embeddings if name not in view.outputs]
    if not names:
        return None
    return np.nan_to_num(np.asarray(view.column(names[0]).values, dtype=np.float64))


def _axes(values: Float, explored: int) -> Float:
    """The widest directions of an embedding, together as wide as ten features."""
    centred = values - values[:explored].mean(axis=0)
    spread = centred[:explored].T @ centred[:explored] / max(explored, 1)
    sizes, vectors = np.linalg.eigh(spread)
    axes = centred @ vectors[:, ::-1][:, :AXES]
    return np.asarray(axes * np.sqrt(10.0 / max(float(sizes[-AXES:].sum()), 1e-12)))


def _cues(view: Evaluation, explored: int, read: _Read) -> tuple[Cue, ...]:
    """Levels, and numbers over their quartiles, that enough explore rows have and have not."""
    found: list[Cue] = []
    for name in _columns(view):
        column = view.column(name).take(np.arange(explored))
        for words, present in _told(name, column):
            if LEAST_SHARE <= float(present.mean()) <= 1.0 - LEAST_SHARE:
                found.append(Cue(name=words, present=present, features=read.places.get(name, ())))
    return tuple(found[:MOST_CUES])


def _told(name: str, column: Column) -> list[tuple[str, Bool]]:
    words = column.words or name
    if column.kind == "boolean":
        return [(words if column.words else f"{name} is true", np.asarray(column.values == 1))]
    if column.kind == "category":
        return [
            (f"{words} is {level_text(level)}", np.asarray(column.values == code))
            for code, level in enumerate(column.levels)
        ]
    if column.kind != "number":
        return []
    values = np.asarray(column.values, dtype=np.float64)
    known = values[~np.isnan(values)]
    if not len(known):
        return []
    cuts = np.unique(np.quantile(known, (0.25, 0.5, 0.75), method="lower"))
    return [(f"{words} over {cut:.3g}", values > cut) for cut in cuts.tolist()]
