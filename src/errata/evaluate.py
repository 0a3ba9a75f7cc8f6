"""What a model said of every example, as one immutable Evaluation: where data, model, metric and folds meet."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Column, Level
from errata.core.copies import Copies, copies
from errata.core.dataset import Dataset, SetAside
from errata.core.errors import UsageError, nearest
from errata.core.evaluation import EXPLORE, LEFT_OUT, Evaluation, Metric, Predictions
from errata.core.folds import Split, fifths, split
from errata.core.model import Model, ModelSpec, Task
from errata.core.pictures import kept
from errata.engine.cache import users_cache
from errata.engine.embed import embedded, own_layers
from errata.engine.out_of_fold import predict_out_of_fold
from errata.engine.outcome import Outcome, from_output, from_table, losses, positive_class, task_of
from errata.engine.predict import predict_all
from errata.engine.remote import prepared
from errata.engine.showing import OwnLayer
from errata.engine.trial import asked_at_the_end, try_model
from errata.open import open_dataset, open_encoder, open_model
from errata.ops.measure.columns import measured
from errata.ops.near_duplicates import near_duplicates
from errata.ops.outputs import detect_outputs, identifiers, named_outputs

__all__ = ["evaluate"]

Progress = Callable[[float, str], None]


_ORIGINS = {
    "unknown": (
        "It is not known whether the model was trained on these rows; if it was, its errors on other rows are more and "
        "may be others (say --trained-on these, other, or the file it was trained on).",
    ),
    "in-sample": ("The model was trained on these rows; its errors on other rows are more and may be others.",),
    "out-of-fold": ("Predictions are out of fold: findings concern how the model is trained, not one trained model.",),
}
"""What a reader must know of where the predictions come from (proof.md section 12)."""


def evaluate(
    first: Any,
    second: Any = None,
    *,
    model: Any = None,
    use: Sequence[str] = (),
    task: Task | None = None,
    metric: Metric | None = None,
    positive: Level | None = None,
    out_of_fold: int | None = None,
    trained_on: str | None = None,
    seed: int = 0,
    split_seed: int = 0,
    shares: Sequence[float] | None = None,
    folder: Path | None = None,
    embeddings: Sequence[str] | None = (),
    progress: Progress | None = None,
) -> Evaluation:
    """The evaluation of `evaluate(model, data)`, or of data that already hold their predictions.

    metric       "error" for classes and "absolute-error" for numbers when None
    out_of_fold  number of folds: the model is trained afresh without the rows that it then predicts
    trained_on   "these" rows (in-sample), "other" rows (held-out), or a path to the training data, whose rows are left
                 out here; None when not known
    use          columns to bring back that would be set aside
    embeddings   embedding columns to compute, such as "encoder" or "penultimate" (see `errata.engine.embed`); what
                 suits the data and the model when None, and none by default
    folder       the run directory in which predictions in the making are kept, so that a killed evaluation resumes

    Raises UsageError for data, labels or options that cannot be used, CannotRunError when the model fails.
    """
    report = progress or (lambda share, words: None)
    given, data = (first, second) if second is not None else (model, first)
    dataset = data if isinstance(data, Dataset) else open_dataset(data)
    connected = None if given is None else open_model(given)
    with kept(dataset.image):
        _check_columns(dataset, use)
        said = _predictions(
            dataset, connected, task, out_of_fold, positive=positive, seed=seed, folder=folder, embeddings=embeddings,
            report=report,
        )  # fmt: skip
        outcome = said.outcome
        metric = metric or ("error" if outcome.task == "classification" else "absolute-error")
        _check_metric(metric, outcome.task)
        needs_positive = metric in ("false-positive", "false-negative")
        chosen = positive_class(outcome.classes, positive) if needs_positive else None
        loss = losses(outcome, metric, chosen)
        report(0.9, "measuring")
        dataset = measured(_with_label(dataset, outcome))
        folds, alike, notes = _folds(dataset, outcome, shares=shares, split_seed=split_seed, trained_on=trained_on)
        fold = np.where(np.isnan(loss), LEFT_OUT, folds.fold).astype(np.int8)
        origin = _origin(dataset, out_of_fold, trained_on)
        evaluation = Evaluation(
            dataset=dataset, model=said.model, task=outcome.task, metric=metric, classes=outcome.classes,
            labels=outcome.labels, predicted=outcome.predicted, scores=outcome.scores, loss=np.nan_to_num(loss),
            stratum=_strata(outcome, fold), fold=fold, counted=alike.counted, group=folds.group, features=(),
            positive=chosen, predictions=origin, caveats=(*outcome.caveats, *notes, *_ORIGINS.get(origin, ())),
            fingerprint=_fingerprint(dataset, outcome),
        )  # fmt: skip
        evaluation = _with_features(evaluation, use)
        if embeddings == ():
            return evaluation
        return embedded(
            evaluation, layers=said.layers, asked=embeddings, seed=seed, open_encoder=open_encoder,
            cache=users_cache(), progress=lambda share, words: report(0.93 + 0.07 * share, words),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class _Said:
    """What was predicted, and by which model; None where predictions came with the data.

    layers  what is read of the model's own layers; none out of fold, where there are several models
    """

    outcome: Outcome
    model: ModelSpec | None = None
    layers: Mapping[str, OwnLayer] = field(default_factory=dict)


def _predictions(
    dataset: Dataset, model: Model | None, asked: Task | None, folds: int | None, *, positive: Level | None, seed: int,
    folder: Path | None, embeddings: Sequence[str] | None, report: Progress,
) -> _Said:  # fmt: skip
    """The predictions: from the table, from the model, or out of fold."""
    if dataset.label is None:
        there = nearest("", dataset.table.names)
        raise UsageError("There is no label.", hint=f"name its column with --label; {there}")
    task = task_of(dataset.table.column(dataset.label), asked=asked, model=None if model is None else model.spec)
    if model is None:
        if folds is not None:
            raise UsageError("`--out-of-fold` trains a model, and there is none.", hint="connect one with --model.")
        return _Said(outcome=from_table(dataset, task, positive=positive))

    def tick(done: int, total: int) -> None:
        report(0.9 * done / max(total, 1), "predicting")

    told: tuple[str, ...] = ()
    layers: Mapping[str, OwnLayer] = {}
    if folds is not None:
        said = predict_out_of_fold(model, dataset, folds=folds, seed=seed, folder=folder, progress=tick, task=task)
    else:
        trial = try_model(prepared(model, dataset, folder=folder), dataset, task=task)
        layers = own_layers(trial.model, dataset, embeddings)
        said = predict_all(trial.model, dataset, beside=next(iter(layers.values()), None), folder=folder, progress=tick)
        told = (*trial.caveats, *asked_at_the_end(trial.model, dataset, said.output, said.answered))
    outcome = from_output(dataset, task, said.output, said.spec, answered=said.answered)
    return _Said(
        outcome=replace(outcome, caveats=(*outcome.caveats, *told, *said.caveats)), model=said.spec, layers=layers
    )


def _check_columns(dataset: Dataset, use: Sequence[str]) -> None:
    for name in use:
        if name not in dataset.table:
            raise UsageError(f"`--use` names `{name}`, which is no column.", hint=nearest(name, dataset.table.names))


def _check_metric(metric: str, task: Task) -> None:
    fits = {"classification": ("error", "false-positive", "false-negative", "loss"),
            "regression": ("absolute-error", "loss")}[task]  # fmt: skip
    if metric not in fits:
        raise UsageError(f"`metric` is `{metric}`, and the task is {task}.", hint=f"one of {', '.join(fits)}.")


def _with_label(dataset: Dataset, outcome: Outcome) -> Dataset:
    """The label column as classes, so that rules name them however the file spelt them."""
    if outcome.task == "regression":
        return dataset
    column = Column(kind="category", values=outcome.labels, levels=outcome.classes)
    return dataset.with_table(dataset.table.with_columns({str(dataset.label): column}))


def _strata(outcome: Outcome, fold: NDArray[np.int8]) -> NDArray[np.int32]:
    if outcome.task == "classification":
        return np.asarray(outcome.labels, dtype=np.int32)
    target = np.asarray(outcome.labels, dtype=np.float64)
    return fifths(target, cut_on=fold == EXPLORE)


def _folds(
    dataset: Dataset, outcome: Outcome, *, shares: Sequence[float] | None, split_seed: int, trained_on: str | None
) -> tuple[Split, Copies, tuple[str, ...]]:
    """Folds and copies of proof.md section 1; rows that the model was trained on are left out."""
    usable, notes = outcome.usable, []
    if trained_on not in (None, "these", "other"):
        seen = np.isin(dataset.id_hash, open_dataset(trained_on).id_hash)
        notes.append(f"{int(seen.sum())} rows that the model was trained on are left out.")
        usable = usable & ~seen
        if not usable.any():
            raise UsageError(f"Every row is among the training data `{trained_on}`.", hint="give other rows.")
    alike = copies(dataset, eligible=usable, near=near_duplicates(dataset))
    folds = split(
        dataset, labels=outcome.labels, task=outcome.task, copies=alike, eligible=usable,
        shares=None if shares is None else tuple(shares), split_seed=split_seed,
    )  # fmt: skip
    return folds, alike, (*notes, *filter(None, [alike.note]), *folds.notes)


def _origin(dataset: Dataset, out_of_fold: int | None, trained_on: str | None) -> Predictions:
    if out_of_fold is not None:
        return "out-of-fold"
    if trained_on is None:
        return "held-out" if dataset.split is not None else "unknown"
    return "in-sample" if trained_on == "these" else "held-out"


def _fingerprint(dataset: Dataset, outcome: Outcome) -> str:
    """Of inputs, labels and predictions together, whatever the order of rows: what the ledger of looks goes by."""
    rows = dataset.id_hash ^ (dataset.occurrence.astype(np.uint64) << np.uint64(32))
    order = np.argsort(rows, kind="stable")
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr(outcome.classes).encode())
    for values in (rows, np.asarray(outcome.labels), np.asarray(outcome.predicted)):
        digest.update(np.ascontiguousarray(values[order]).tobytes())
    return digest.hexdigest()


def _with_features(evaluation: Evaluation, use: Sequence[str]) -> Evaluation:
    """The columns that methods may read; outputs and identifiers are set aside and named (proof.md section 2)."""
    dataset = evaluation.dataset
    roles = {dataset.prediction, dataset.id, dataset.group, dataset.time, dataset.split, *dataset.scores}
    measures = {name for source in dataset.sources for name in source.columns}
    candidates = [
        name for name in dataset.table
        if name not in roles and dataset.table.column(name).kind in ("number", "category", "boolean", "datetime")
    ]  # fmt: skip
    named = named_outputs(replace(evaluation, features=tuple(candidates)))
    hidden = {item.column for item in (*dataset.set_aside, *named)}
    unnamed = tuple(name for name in candidates if name not in hidden and name not in measures)
    # Embeddings that the data brought may be the model's own; those fitted here come later and are not.
    brought = tuple(name for name in dataset.table if dataset.table.kind_of(name) == "embedding")
    reading = detect_outputs(replace(evaluation, features=(*unnamed, *brought)))
    marks = identifiers(replace(evaluation, features=unnamed))
    aside: dict[str, SetAside] = {}
    for item in (*dataset.set_aside, *named, *reading, *marks):
        if item.column not in use:
            aside.setdefault(item.column, item)
    outputs = [item.column for item in (*named, *reading) if item.column in aside]
    return replace(
        evaluation,
        features=tuple(name for name in candidates if name not in aside),
        outputs=tuple(dict.fromkeys([*outputs, *filter(None, [dataset.prediction]), *dataset.scores])),
        set_aside=tuple(aside.values()),
    )
