"""Out-of-fold predictions: every row is predicted by a model that was trained without it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Column, Level
from errata.core.dataset import Dataset
from errata.core.errors import CannotRunError, UsageError
from errata.core.model import Model, ModelSpec, Output, Task, Trainable
from errata.engine.blocks import Block, Blocks, key_of
from errata.engine.labels import labels_of
from errata.engine.machine import numeric_threads
from errata.engine.outcome import task_of
from errata.engine.predict import Predictions, Progress, Runner, concatenated, joined
from errata.engine.trial import settle

__all__ = ["assign_folds", "predict_out_of_fold"]

FIFTHS = 5


def predict_out_of_fold(
    model: Model, dataset: Dataset, *, folds: int = 5, seed: int = 0, folder: Path | None = None,
    progress: Progress | None = None, task: Task | None = None,
) -> Predictions:  # fmt: skip
    """What models trained on the other folds say of every row; rows without a label are predicted, not trained on.

    folds   how many; whole groups, and equal inputs, stay in one fold, classes are spread evenly over them
    seed    moves the folds and seeds the training; the folds do not depend on the order of the rows
    folder  a run directory in whose `.partial/` finished folds are kept, so that the same call goes on after a kill
    Raises UsageError when the model cannot be trained or the data are too few, CannotRunError when training fails.
    """
    if not isinstance(model, Trainable):
        raise UsageError(
            f"`{model.spec.name}` ({model.spec.kind}) cannot be trained afresh, which out-of-fold predictions need.",
            hint="leave --out-of-fold out and say --trained-on, or connect a scikit-learn estimator.",
        )
    if dataset.label is None or dataset.read is None:
        raise UsageError("Out-of-fold predictions need a label to train on.", hint="name its column with --label.")
    target = _target(dataset.table.column(dataset.label), task_of_model(model, dataset, task))
    units = _units(dataset)
    fold = assign_folds(units, target.strata, folds=folds, keys=_keys(dataset, seed))
    done: list[Block] = []
    caveats = _too_few(target, fold)
    for number in range(folds):
        rows = np.flatnonzero(fold == number)
        block = _one_fold(model, dataset, target, _Fold(number=number, rows=rows, train=fold != number, seed=seed),
                          folder=folder, progress=progress, done=sum(len(b.rows) for b in done))  # fmt: skip
        done.append(block)
    spec = replace(model.spec, task=target.task, classes=target.classes, fingerprint=model.spec.fingerprint)
    return joined(done, spec, dataset, extra=caveats)


def assign_folds(
    units: NDArray[np.int64], strata: NDArray[np.int32], *, folds: int, keys: NDArray[np.uint64]
) -> NDArray[np.int8]:
    """The fold of every row, (n,) int8: whole units together, each stratum spread evenly.

    units   (n,) codes from 0 of what must stay together
    strata  (n,) codes of classes, -1 for none
    keys    (n,) pseudo-random numbers that decide in which order units are dealt
    Raises UsageError when there are fewer units than folds.
    """
    count = int(units.max(initial=-1)) + 1
    if folds < 2 or count < folds:
        raise UsageError(
            f"`folds` is {folds}, and there are {count} groups of rows to spread over them.",
            hint="use at least 2 folds and at most as many as there are groups.",
        )
    sizes = np.bincount(units, minlength=count)
    key = np.zeros(count, dtype=np.uint64)
    np.bitwise_xor.at(key, units, keys)  # does not depend on the order of rows
    width = int(strata.max(initial=-1)) + 2
    held = np.zeros((folds, width), dtype=np.int64)
    of_unit = np.full(count, -1, dtype=np.int8)
    large = np.flatnonzero(sizes > 1)
    order = np.argsort(units, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)])
    for unit in large[np.lexsort((key[large], -sizes[large]))]:
        classes = np.bincount(strata[order[starts[unit] : starts[unit + 1]]] + 1, minlength=width)
        # Where the classes of this unit are rarest so far, then where there are fewest rows.
        crowded = (held * classes).sum(axis=1) / max(1, int((classes > 0).sum()))
        best = int(np.lexsort((held.sum(axis=1), crowded))[0])
        of_unit[unit] = best
        held[best] += classes
    single = np.flatnonzero(sizes == 1)
    stratum = strata[order[starts[single]]] + 1
    for code in range(width):
        members = single[stratum == code]
        members = members[np.argsort(key[members], kind="stable")]
        of_unit[members] = _dealt(held, code, len(members))
    return of_unit[units]


def _dealt(held: NDArray[np.int64], code: int, count: int) -> NDArray[np.int8]:
    """The folds of `count` single rows of one class, so that every fold ends with as many of it as the others."""
    folds = len(held)
    room = np.zeros(folds, dtype=np.int64)
    total = held[:, code].copy()
    for _ in range(min(count, folds * (int(total.max() - total.min()) + 1))):
        best = int(np.lexsort((held.sum(axis=1) + room, total))[0])
        room[best] += 1
        total[best] += 1
    rest = count - int(room.sum())
    start = held.sum(axis=1) + room
    turns = np.argsort(start, kind="stable")
    room += rest // folds
    room[turns[: rest % folds]] += 1
    held[:, code] += room
    # Dealt in turn and not in runs, so that the keys alone decide who lands where.
    ranks = np.concatenate([(np.arange(r) + 0.5) / r for r in room if r]) if count else np.empty(0)
    owners = np.repeat(np.arange(folds), room)
    return owners[np.argsort(ranks, kind="stable")].astype(np.int8)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Target:
    """What a model is trained on: values (n,), which of them are there, and the strata of the folds."""

    task: Task
    values: NDArray[Any]
    present: NDArray[np.bool_]
    strata: NDArray[np.int32]
    classes: tuple[Level, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Fold:
    number: int
    rows: NDArray[np.int64]
    train: NDArray[np.bool_]
    seed: int


def task_of_model(model: Model, dataset: Dataset, task: Task | None) -> Task:
    """The task as asked, as the model says, or by the label's kind."""
    assert dataset.label is not None
    return task_of(dataset.table.column(dataset.label), asked=task, model=model.spec)


def _target(column: Column, task: Task) -> _Target:
    if task == "regression":
        if column.kind not in ("number", "boolean"):
            raise UsageError(
                f"The label holds {column.kind} values, and regression needs numbers.",
                hint="connect a classifier, or name another column with --label.",
            )
        values = np.asarray(column.values, dtype=np.float64)
        present = np.isfinite(values)
        cuts = np.quantile(values[present], np.arange(1, FIFTHS) / FIFTHS) if present.any() else np.empty(0)
        strata = np.where(present, np.searchsorted(cuts, values), -1).astype(np.int32)
        return _Target(task=task, values=values, present=present, strata=strata, classes=())
    labels = labels_of(column)
    present = labels.codes >= 0
    if len(np.unique(labels.codes[present])) < 2:
        raise UsageError(
            f"The label has {len(np.unique(labels.codes[present]))} class, and training needs two or more.",
            hint="check --label.",
        )
    levels = np.array(labels.levels)
    values = levels[np.where(present, labels.codes, 0)]
    return _Target(task=task, values=values, present=present, strata=labels.codes, classes=labels.levels)


def _units(dataset: Dataset) -> NDArray[np.int64]:
    """What stays together: groups where there are any, else rows with equal inputs, which would teach each other."""
    if dataset.group is not None:
        column = dataset.table.column(dataset.group)
        missing = column.missing()
        words = np.array([str(column.value(row)) for row in range(len(column))])
        codes = np.unique(words, return_inverse=True)[1].astype(np.int64)
        alone = np.flatnonzero(missing)  # a row without a group is a group of its own
        codes[alone] = codes.max(initial=0) + 1 + np.arange(len(alone))
        return np.unique(codes, return_inverse=True)[1].astype(np.int64)
    content = dataset.content_hash if dataset.content_hash is not None else dataset.id_hash
    return np.unique(content, return_inverse=True)[1].astype(np.int64)


def _keys(dataset: Dataset, seed: int) -> NDArray[np.uint64]:
    """Pseudo-random numbers from the ids and the seed, (n,) uint64, by the finaliser of SplitMix64."""
    salt = int.from_bytes(hashlib.sha256(f"errata folds {seed}".encode()).digest()[:8], "little")
    with np.errstate(over="ignore"):
        mixed = dataset.id_hash ^ np.uint64(salt)
        mixed = mixed + dataset.occurrence.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(mixed ^ (mixed >> np.uint64(31)), dtype=np.uint64)


def _one_fold(
    model: Trainable, dataset: Dataset, target: _Target, fold: _Fold, *, folder: Path | None,
    progress: Progress | None, done: int,
) -> Block:  # fmt: skip
    assert dataset.read is not None
    spec: ModelSpec = model.spec  # type: ignore[attr-defined]
    rows_hash = hashlib.sha256(fold.rows.tobytes()).hexdigest()
    key = key_of({"data": dataset.fingerprint, "model": repr(spec), "rows": rows_hash, "seed": fold.seed,
                  "label": dataset.label, "task": target.task})  # fmt: skip
    blocks = Blocks(folder=folder, name=f"fold-{fold.number + 1}", key=key)
    blocks.open()
    stored = blocks.load(0)
    report = progress or (lambda _done, _total: None)
    if stored is not None and np.array_equal(stored.rows, fold.rows):
        report(done + len(fold.rows), len(dataset))
        return stored
    train = np.flatnonzero(fold.train & target.present)
    with numeric_threads():
        try:
            seed = (fold.seed + fold.number) % 2**32  # scikit-learn takes 32 bits
            fresh = model.fit(dataset.read(train), target.values[train], seed=seed)
        except UsageError:
            raise
        except Exception as error:
            raise CannotRunError(
                f"`{spec.name}` could not be trained on fold {fold.number + 1} ({len(train)} rows): "
                f"{type(error).__name__}: {' '.join(str(error).split())[:600]}",
                hint="fit it by hand on the same data; columns that it cannot take can be left out with --ignore.",
            ) from error
        fresh = settle(fresh, dataset.read(fold.rows[:64]), levels=target.classes, task=target.task)
        runner = Runner(
            model=fresh, dataset=dataset, blocks=Blocks(folder=None, name="", key=""), total=len(dataset),
            progress=progress, done=done,
        )  # fmt: skip
        block = concatenated(runner.run(fold.rows))
    block = replace(block, output=_in_order(block.output, fresh.spec.classes, target.classes))
    blocks.save(0, block)
    return block


def _in_order(output: Output, classes: Sequence[Level], wanted: tuple[Level, ...]) -> Output:
    """The scores with one column per class of the data; a class that a fold did not hold has probability 0."""
    if output.scores is None or tuple(classes) == wanted:
        return output
    scores = np.zeros((len(output.scores), len(wanted)), dtype=np.float32)
    for place, level in enumerate(classes):
        if level in wanted:
            scores[:, wanted.index(level)] = output.scores[:, place]
    return replace(output, scores=scores)


def _too_few(target: _Target, fold: NDArray[np.int8]) -> list[str]:
    """A caveat for classes that some training part does not hold."""
    if target.task == "regression":
        return []
    lonely = [level for code, level in enumerate(target.classes)
              if 0 < len(np.unique(fold[target.strata == code])) < 2]  # fmt: skip
    if not lonely:
        return []
    names = ", ".join(f"`{level}`" for level in lonely[:5])
    return [f"All rows of class {names} are in one fold, so the model that predicts them was trained without them."]
