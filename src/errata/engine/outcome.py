"""What was predicted, in one form: codes into one list of classes, or numbers; and what a metric counts in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Column, Float, Int, Level
from errata.core.dataset import Dataset
from errata.core.errors import CannotRunError, UsageError, nearest
from errata.core.evaluation import Metric
from errata.core.model import ModelSpec, Output, Task

__all__ = ["Outcome", "from_output", "from_table", "losses", "positive_class", "task_of"]

_FEW_CLASSES = 20
_SMALLEST_PROBABILITY = 1e-7
"""Losses are capped at -log of this, about 16: one infinite loss would drown every mean."""

_LEFT_OUT_LIMIT = 0.01
"""The contract's limit: up to 1 % of rows without a usable output are left out with a caveat, above it nothing runs."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """Labels and predictions of N rows in one form.

    classes    label values in the order of codes and scores, () in regression
    labels     (N,) int32 codes, or (N,) float64
    predicted  as `labels`
    scores     (N, k) float32 or None
    usable     (N,) bool: has a label and a usable prediction
    """

    task: Task
    classes: tuple[Level, ...]
    labels: Int | Float
    predicted: Int | Float
    scores: NDArray[np.float32] | None
    usable: Bool
    caveats: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class _Coded:
    """A column as codes into plain levels; -1 where missing."""

    codes: NDArray[np.int32]
    levels: tuple[Level, ...]


def task_of(label: Column, *, asked: Task | None, model: ModelSpec | None = None) -> Task:
    """Classification or regression: as asked, as the model says, or by the label's kind.

    A label of whole numbers with at most 20 distinct values is a class; any other number is a target.
    """
    if asked is not None:
        if asked not in ("classification", "regression"):
            raise UsageError(f"`task` is `{asked}`.", hint="write `classification` or `regression`.")
        return asked
    if model is not None and model.task is not None:
        return model.task
    if label.kind != "number":
        return "classification"
    values = np.asarray(label.values, dtype=np.float64)
    distinct = np.unique(values[~np.isnan(values)])
    whole = bool(np.all(distinct == np.floor(distinct)))
    return "classification" if whole and len(distinct) <= _FEW_CLASSES else "regression"


def from_table(dataset: Dataset, task: Task) -> Outcome:
    """The outcome of predictions that stand in the table, as a prediction column or as score columns."""
    label = dataset.table.column(_known(dataset.label, "label"))
    if task == "regression":
        predicted = _numbers(dataset.table.column(_known(dataset.prediction, "prediction")), "prediction")
        return _regression(_numbers(label, "label"), predicted)
    coded = _code(label, str(dataset.label))
    scores = _score_columns(dataset)
    if dataset.prediction is None:
        if scores is None:
            raise UsageError("There is no prediction.", hint="name its column with --prediction, or connect a --model.")
        return _classification(coded, _best(scores, tuple(dataset.score_classes)), scores, tuple(dataset.score_classes))
    predicted = _code(dataset.table.column(dataset.prediction), dataset.prediction)
    return _classification(coded, predicted, scores, tuple(dataset.score_classes))


def from_output(dataset: Dataset, task: Task, output: Output, spec: ModelSpec, *, answered: Bool) -> Outcome:
    """The outcome of a model that was run on every row; `answered` (N,) bool is false where it raised."""
    label = dataset.table.column(_known(dataset.label, "label"))
    if task == "regression":
        if output.values is None:
            raise UsageError(
                f"`{spec.name}` gives classes, and the task is regression.", hint="say --task classification."
            )
        return _without(_regression(_numbers(label, "label"), output.values), answered)
    coded = _code(label, str(dataset.label))
    if output.scores is None and output.labels is None:
        raise UsageError(f"`{spec.name}` gives numbers, and the task is classification.", hint="say --task regression.")
    if output.scores is None:
        predicted = _code_labels(np.asarray(output.labels))
        return _without(_classification(coded, predicted, None, ()), answered)
    classes = spec.classes or _classes_by_order(coded.levels, output.scores.shape[1], spec)
    predicted = _best(output.scores, classes) if output.labels is None else _code_labels(np.asarray(output.labels))
    return _without(_classification(coded, predicted, output.scores, classes), answered)


def losses(outcome: Outcome, metric: Metric, positive: Level | None) -> NDArray[np.float64]:
    """What `metric` counts in each row: (N,) float64; rows outside the metric's reach are NaN.

    error 1 where wrong; false-positive 1 where `positive` is predicted, over rows whose label it is not;
    false-negative 1 where wrong, over rows whose label is `positive`; loss the cross-entropy -log p(label) in nats,
    or the squared error; absolute-error |predicted - label|.
    """
    if outcome.task == "regression":
        off = np.asarray(outcome.predicted, dtype=np.float64) - np.asarray(outcome.labels, dtype=np.float64)
        return np.asarray(np.abs(off) if metric == "absolute-error" else off * off)
    if metric == "loss":
        return _cross_entropy(outcome)
    wrong = (outcome.labels != outcome.predicted).astype(np.float64)
    if metric == "error":
        return wrong
    code = outcome.classes.index(_known(positive, "positive class"))
    is_positive = outcome.labels == code
    if metric == "false-negative":
        return np.where(is_positive, wrong, np.nan)
    return np.where(is_positive, np.nan, (outcome.predicted == code).astype(np.float64))


def positive_class(classes: Sequence[Level], asked: Level | None) -> Level:
    """The positive class: as asked, else by its usual names, else the second of two.

    Raises UsageError when it is unknown, or when more than two classes leave it open.
    """
    if asked is not None:
        for level in classes:
            if level == asked or str(level) == str(asked):
                return level
        raise UsageError(f"`positive` is `{asked}`, which is no class.", hint=nearest(str(asked), map(str, classes)))
    if len(classes) != 2:
        raise UsageError(
            f"With {len(classes)} classes the positive one must be named.", hint="add --positive LABEL."
        )
    usual = {"1", "true", "yes", "y", "positive", "pos", "t"}
    named = [level for level in classes if str(level).lower() in usual]
    return named[0] if len(named) == 1 else classes[1]


def _regression(labels: Float, predicted: Float) -> Outcome:
    usable, caveats = _usable([("label", np.isfinite(labels)), ("prediction", np.isfinite(predicted))])
    return Outcome(
        task="regression", classes=(), labels=labels, predicted=np.asarray(predicted, dtype=np.float64), scores=None,
        usable=usable, caveats=caveats,
    )  # fmt: skip


def _classification(
    label: _Coded, predicted: _Coded, scores: NDArray[np.float32] | None, score_classes: tuple[Level, ...]
) -> Outcome:
    label, predicted, score_classes = _same_words(label, predicted, score_classes)
    levels = score_classes if score_classes else ()
    extra = {*label.levels, *predicted.levels} - set(levels)
    classes = (*levels, *sorted(extra, key=lambda level: (isinstance(level, str), level)))
    caveats = _strangers(label, predicted, score_classes)
    checks: list[tuple[str, Bool]] = [("label", label.codes >= 0), ("prediction", predicted.codes >= 0)]
    if scores is not None:
        checks.append(("scores", np.asarray(np.isfinite(scores).all(axis=1))))
        caveats += _odd_scores(scores)
        if len(classes) > scores.shape[1]:
            scores = np.pad(scores, ((0, 0), (0, len(classes) - scores.shape[1])))
    usable, left = _usable(checks)
    return Outcome(
        task="classification", classes=classes, labels=_recode(label, classes), predicted=_recode(predicted, classes),
        scores=scores, usable=usable, caveats=(*caveats, *left),
    )  # fmt: skip


def _same_words(
    label: _Coded, predicted: _Coded, score_classes: tuple[Level, ...]
) -> tuple[_Coded, _Coded, tuple[Level, ...]]:
    """Labels read as 1 and predictions read as "1" are the same words; they are compared as the label has them."""
    wanted = {str(level): level for level in label.levels}

    def renamed(levels: tuple[Level, ...]) -> tuple[Level, ...]:
        if set(levels) & set(label.levels):
            return levels
        as_written = {**wanted, **{f"{level}.0": level for level in label.levels if isinstance(level, int)}}
        return tuple(as_written.get(str(level), level) for level in levels)

    return label, replace(predicted, levels=renamed(predicted.levels)), renamed(score_classes)


def _strangers(label: _Coded, predicted: _Coded, known: tuple[Level, ...]) -> tuple[str, ...]:
    """Labels that the model never says; an error when it knows none of them."""
    says = set(known) or set(predicted.levels)
    common = set(label.levels) & says
    if label.levels and says and not common:
        raise UsageError(
            f"Labels and predictions share no class: labels are {_some(label.levels)}, predictions {_some(says)}.",
            hint="check --label and --prediction, or the order of the model's classes.",
        )
    strangers = [level for level in label.levels if known and level not in says]
    if not strangers:
        return ()
    rows = int(np.isin(label.codes, [label.levels.index(level) for level in strangers]).sum())
    return (f"{rows} rows have labels that the model cannot predict ({_some(strangers)}); they count as wrong.",)


def _odd_scores(scores: NDArray[np.float32]) -> tuple[str, ...]:
    """A caveat where scores are no probabilities; `losses` refuses them, rates do not need them."""
    good = np.isfinite(scores).all(axis=1)
    if not good.any():
        return ()
    total = scores[good].sum(axis=1, dtype=np.float64)
    off = float((np.abs(total - 1.0) > 1e-3).mean())
    negative = float((scores[good] < -1e-6).any(axis=1).mean())
    if max(off, negative) == 0.0:
        return ()
    return (f"{max(off, negative):.0%} of the rows have scores that are no probabilities (they do not sum to one).",)


def _usable(checks: Sequence[tuple[str, Bool]]) -> tuple[Bool, tuple[str, ...]]:
    """Rows that pass every check, and what was left out. A missing label is no failure; a missing output can be."""
    usable = np.ones(len(checks[0][1]), dtype=bool)
    caveats = []
    for what, good in checks:
        bad = int((usable & ~good).sum())
        if not bad:
            continue
        rows = int(usable.sum())
        if bad == rows:
            raise UsageError(f"No row has a {what}: all {rows} values are missing or not numbers.")
        if what != "label" and bad > max(1.0, _LEFT_OUT_LIMIT * rows):
            raise CannotRunError(
                f"{bad} of {rows} rows ({bad / rows:.1%}) have no usable {what} (missing, NaN or infinite), "
                "more than the 1 % that can be left out.",
                hint=f"repair the {what} of these rows, or leave the rows out of the data.",
            )
        caveats.append(f"{bad} rows without a usable {what} are left out.")
        usable &= good
    return usable, tuple(caveats)


def _without(outcome: Outcome, answered: Bool) -> Outcome:
    """The outcome with the rows on which the model raised left out; the engine has counted and said them."""
    return replace(outcome, usable=outcome.usable & answered)


def _cross_entropy(outcome: Outcome) -> NDArray[np.float64]:
    if outcome.scores is None:
        raise UsageError("`--metric loss` needs scores, and there are none.", hint="name the columns with --scores p_.")
    if _odd_scores(outcome.scores):
        raise UsageError(
            "`--metric loss` needs probabilities, and these scores do not sum to one.",
            hint="apply a softmax before saving them, or use --metric error.",
        )
    rows = np.arange(len(outcome.labels))
    chance = outcome.scores[rows, np.asarray(outcome.labels, dtype=np.int64)].astype(np.float64)
    return np.asarray(-np.log(np.clip(chance, _SMALLEST_PROBABILITY, 1.0)))


def _code(column: Column, name: str) -> _Coded:
    if column.kind == "category":
        return _Coded(codes=np.asarray(column.values, dtype=np.int32), levels=column.levels)
    if column.kind == "boolean":
        return _Coded(codes=np.asarray(column.values, dtype=np.int32), levels=(False, True))
    if column.kind == "text":
        column = Column.category([column.text(row) for row in range(len(column))])
        return _Coded(codes=np.asarray(column.values, dtype=np.int32), levels=column.levels)
    if column.kind != "number":
        raise UsageError(f"Column `{name}` holds {column.kind} values, which are no classes.")
    return _code_labels(np.asarray(column.values))


def _code_labels(values: NDArray[Any]) -> _Coded:
    """Codes of plain labels as a model gives them: numbers, booleans or strings."""
    if values.dtype.kind in "OUS":
        column = Column.category([None if value is None else _plain(value) for value in values.tolist()])
        return _Coded(codes=np.asarray(column.values, dtype=np.int32), levels=column.levels)
    missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), dtype=bool)
    distinct, codes = np.unique(np.where(missing, values[~missing][:1].sum(), values), return_inverse=True)
    levels = tuple(_plain(value) for value in distinct.tolist())
    return _Coded(codes=np.where(missing, -1, codes).astype(np.int32), levels=levels)


def _plain(value: Any) -> Level:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _recode(coded: _Coded, classes: tuple[Level, ...]) -> NDArray[np.int32]:
    place = {level: code for code, level in enumerate(classes)}
    table = np.array([*(place[level] for level in coded.levels), -1], dtype=np.int32)
    return table[coded.codes]


def _best(scores: NDArray[np.float32], classes: tuple[Level, ...]) -> _Coded:
    codes = np.where(np.isfinite(scores).all(axis=1), np.nan_to_num(scores).argmax(axis=1), -1)
    return _Coded(codes=codes.astype(np.int32), levels=classes)


def _classes_by_order(levels: tuple[Level, ...], k: int, spec: ModelSpec) -> tuple[Level, ...]:
    """A model that does not name its classes means the sorted labels, or the numbers 0 to k - 1."""
    if all(isinstance(level, int) and 0 <= level < k for level in levels):
        return tuple(range(k))
    if len(levels) == k:
        return levels
    raise UsageError(
        f"`{spec.name}` gives {k} scores, and the data have {len(levels)} labels ({_some(levels)}).",
        hint="the scores must be in the order of the sorted labels; is this the right --label?",
    )


def _score_columns(dataset: Dataset) -> NDArray[np.float32] | None:
    if not dataset.scores:
        return None
    columns = [dataset.table.column(name) for name in dataset.scores]
    if len(columns) == 1 and columns[0].values.ndim == 2:
        return np.asarray(columns[0].values, dtype=np.float32)
    return np.stack([np.asarray(column.values, dtype=np.float32) for column in columns], axis=1)


def _numbers(column: Column, what: str) -> Float:
    if column.kind not in ("number", "boolean"):
        raise UsageError(f"The {what} holds {column.kind} values, and regression needs numbers.")
    return np.asarray(column.values, dtype=np.float64)


def _known(value: Any, what: str) -> Any:
    if value is None:
        raise UsageError(f"There is no {what}.", hint=f"name it with --{what.split()[0]}.")
    return value


def _some(levels: Any) -> str:
    shown = sorted(map(str, levels))
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")
