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
from errata.engine.labels import Labels, labels_in, labels_of

__all__ = ["Outcome", "from_output", "from_table", "losses", "positive_class", "task_of"]

_FEW_CLASSES = 20
_SMALLEST_PROBABILITY = 1e-7
"""Losses are capped at -log of this, about 16: one infinite loss would drown every mean."""

_LARGEST = 1e100
"""Numbers beyond this are taken for infinite: the sum of their squares would be."""

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


def from_table(dataset: Dataset, task: Task, *, positive: Level | None = None) -> Outcome:
    """The outcome of predictions that stand in the table, as a prediction column or as score columns.

    positive  the class that one lone score column speaks of; see `positive_class` when None
    """
    if task == "regression":
        values = _numbers(dataset, dataset.prediction, "prediction")
        return _regression(_numbers(dataset, dataset.label, "label"), values)
    coded = _label_codes(dataset)
    given = _given_scores(dataset, coded, positive)
    if dataset.prediction is None:
        if given is None:
            there = nearest("", dataset.table.names)
            hint = f"connect a --model, or name the column with --prediction; {there}"
            raise UsageError("There is no prediction.", hint=hint)
        predicted = _best(given.scores, given.classes)
    else:
        predicted = labels_of(dataset.table.column(dataset.prediction), name=dataset.prediction)
    if given is None:
        return _classification(coded, predicted, None, ())
    outcome = _classification(coded, predicted, given.scores, given.classes)
    return replace(outcome, caveats=(*given.caveats, *outcome.caveats))


def from_output(dataset: Dataset, task: Task, output: Output, spec: ModelSpec, *, answered: Bool) -> Outcome:
    """The outcome of a model that was run on every row; `answered` (N,) bool is false where it raised."""
    if task == "regression":
        if output.values is None:
            raise UsageError(
                f"`{spec.name}` gives classes, and the task is regression.", hint="say --task classification."
            )
        return _without(_regression(_numbers(dataset, dataset.label, "label"), output.values), answered)
    coded = _label_codes(dataset)
    if output.scores is None and output.labels is None:
        raise UsageError(f"`{spec.name}` gives numbers, and the task is classification.", hint="say --task regression.")
    if output.scores is None:
        predicted = labels_in(np.asarray(output.labels))
        return _without(_classification(coded, predicted, None, ()), answered)
    classes = spec.classes or _classes_by_order(coded.levels, output.scores.shape[1], spec)
    predicted = _best(output.scores, classes) if output.labels is None else labels_in(np.asarray(output.labels))
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
    wrong: NDArray[np.float64] = (outcome.labels != outcome.predicted).astype(np.float64)
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
        raise UsageError(f"With {len(classes)} classes the positive one must be named.", hint="add --positive LABEL.")
    usual = {"1", "true", "yes", "y", "positive", "pos", "t"}
    named = [level for level in classes if str(level).lower() in usual]
    return named[0] if len(named) == 1 else classes[1]


def _regression(labels: Float, predicted: Float) -> Outcome:
    usable, caveats = _usable([("label", np.abs(labels) <= _LARGEST), ("prediction", np.abs(predicted) <= _LARGEST)])
    if np.ptp(labels[usable]) == 0:
        caveats += (f"The label is {labels[usable][0]:g} in every row.",)
    return Outcome(
        task="regression", classes=(), labels=labels, predicted=np.asarray(predicted, dtype=np.float64), scores=None,
        usable=usable, caveats=caveats,
    )  # fmt: skip


def _classification(
    label: Labels, predicted: Labels, scores: NDArray[np.float32] | None, score_classes: tuple[Level, ...]
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
    labels, said = _recode(label, classes), _recode(predicted, classes)
    return Outcome(
        task="classification", classes=classes, labels=labels, predicted=said, scores=scores, usable=usable,
        caveats=(*caveats, *left, *_odd_labels(labels[usable], said[usable], classes)),
    )  # fmt: skip


def _odd_labels(labels: NDArray[np.int32], predicted: NDArray[np.int32], classes: tuple[Level, ...]) -> tuple[str, ...]:
    """Caveats where the truth is always the same, or the prediction never is the truth."""
    said = []
    if len(labels) and (labels == labels[0]).all():
        said.append(f"Every row is labelled `{classes[labels[0]]}`: nothing is known of other classes.")
    if len(labels) > 1 and (labels != predicted).all():
        said.append("Every prediction is wrong. Are labels and predictions of the same rows, in the same words?")
    return tuple(said)


def _same_words(
    label: Labels, predicted: Labels, score_classes: tuple[Level, ...]
) -> tuple[Labels, Labels, tuple[Level, ...]]:
    """Labels read as 1 and predictions read as "1" are the same words; they are compared as the label has them."""
    wanted = {str(level): level for level in label.levels}

    def renamed(levels: tuple[Level, ...]) -> tuple[Level, ...]:
        if set(levels) & set(label.levels):
            return levels
        as_written = {**wanted, **{f"{level}.0": level for level in label.levels if isinstance(level, int)}}
        return tuple(as_written.get(str(level), level) for level in levels)

    return label, replace(predicted, levels=renamed(predicted.levels)), renamed(score_classes)


def _strangers(label: Labels, predicted: Labels, known: tuple[Level, ...]) -> tuple[str, ...]:
    """Labels that the model never says; an error when it knows none of them."""
    says = set(known) or set(predicted.levels)
    common = set(label.levels) & says
    if label.levels and says and not common:
        raise UsageError(
            f"Labels and predictions share no class: labels are {_some(label.levels)}, predictions {_some(says)}.",
            hint="check --label and --prediction, or the order of the model's classes.",
        )
    strangers = [level for level in label.levels if level not in says]
    if not strangers:
        return ()
    rows = int(np.isin(label.codes, [label.levels.index(level) for level in strangers]).sum())
    why = "the model cannot predict" if known else "are never predicted"
    return (f"{_rows(rows, 'has', 'have')} labels that {why} ({_some(strangers)}); they count as wrong.",)


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
            error = UsageError if what == "label" else CannotRunError
            raise error(
                f"No row has {what if what == 'scores' else f'a {what}'}: all {rows} are missing, NaN or infinite.",
                hint=f"look at the {what} in the data" + ("." if what == "label" else ", or at what the model gives."),
            )
        if what != "label" and bad > max(1.0, _LEFT_OUT_LIMIT * rows):
            raise CannotRunError(
                f"{bad} of {rows} rows ({bad / rows:.1%}) have no usable {what} (missing, NaN or infinite), "
                "more than the 1 % that can be left out.",
                hint=f"repair the {what} of these rows, or leave the rows out of the data.",
            )
        usable_one = what if what == "scores" else f"a usable {what}"
        caveats.append(f"{_rows(bad, 'is', 'are')} left out without {usable_one} (missing, NaN or infinite).")
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


def _recode(coded: Labels, classes: tuple[Level, ...]) -> NDArray[np.int32]:
    place = {level: code for code, level in enumerate(classes)}
    table = np.array([*(place[level] for level in coded.levels), -1], dtype=np.int32)
    return table[coded.codes]


def _best(scores: NDArray[np.float32], classes: tuple[Level, ...]) -> Labels:
    codes = np.where(np.isfinite(scores).all(axis=1), np.nan_to_num(scores).argmax(axis=1), -1)
    return Labels(codes=codes.astype(np.int32), levels=classes)


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


@dataclass(frozen=True, kw_only=True, eq=False)
class _Given:
    """Scores that stand in the table, (N, k) float32, and the class of each column."""

    scores: NDArray[np.float32]
    classes: tuple[Level, ...]
    caveats: tuple[str, ...] = ()


def _given_scores(dataset: Dataset, label: Labels, positive: Level | None) -> _Given | None:
    """Scores with the classes of their columns: by name, else in the order of the sorted labels."""
    scores = _score_columns(dataset)
    if scores is None:
        return None
    named, levels, k = tuple(dataset.score_classes), label.levels, scores.shape[1]
    if k == 1:
        return _one_score(scores[:, 0], str(dataset.scores[0]), named, levels, positive)
    if {str(name) for name in named} & {str(level) for level in levels}:
        return _Given(scores=scores, classes=named)
    numbered = not named or [str(name) for name in named] == [str(number) for number in range(k)]
    if numbered and k == len(levels):
        words = f"The {k} score columns are taken in the order of the sorted labels: {', '.join(map(str, levels[:6]))}"
        return _Given(scores=scores, classes=levels, caveats=(words + (" ..." if k > 6 else "."),))
    if named:
        return _Given(scores=scores, classes=named)
    raise UsageError(
        f"There are {k} score columns, and the label has {len(levels)} classes ({_some(levels)}).",
        hint="name the columns by their classes, such as p_yes and p_no, and say --scores p_.",
    )


def _one_score(
    scores: NDArray[np.float32], column: str, named: tuple[Level, ...], levels: tuple[Level, ...],
    positive: Level | None,
) -> _Given:  # fmt: skip
    """One lone column is the probability of the positive class; the other of two classes has the rest."""
    if len(levels) > 2:
        raise UsageError(
            f"`{column}` is one column of scores, and the label has {len(levels)} classes ({_some(levels)}).",
            hint="give one column per class, such as p_yes and p_no, and say --scores p_.",
        )
    known = np.isfinite(scores)
    if known.any() and not (scores[known].min() >= -1e-6 and scores[known].max() <= 1.0 + 1e-6):
        raise UsageError(
            f"`{column}` goes from {scores[known].min():g} to {scores[known].max():g}, expected a probability.",
            hint="apply a sigmoid before saving it, or name a column of predictions with --prediction.",
        )
    meant = named[0] if named and positive is None else positive
    chosen = positive_class(levels, meant) if len(levels) == 2 or meant is not None else levels[0]
    rest: Level = next((level for level in levels if level != chosen), f"not {chosen}")
    said = f"`{column}` is read as the probability of `{chosen}`."
    return _Given(scores=np.stack([1.0 - scores, scores], axis=1), classes=(rest, chosen), caveats=(said,))


def _score_columns(dataset: Dataset) -> NDArray[np.float32] | None:
    if not dataset.scores:
        return None
    columns = [dataset.table.column(name) for name in dataset.scores]
    if len(columns) == 1 and columns[0].values.ndim == 2:
        return np.asarray(columns[0].values, dtype=np.float32)
    return np.stack([np.asarray(column.values, dtype=np.float32) for column in columns], axis=1)


def _label_codes(dataset: Dataset) -> Labels:
    """The label as classes; refused where it has no values, or nearly as many as rows."""
    name = str(_known(dataset.label, "label"))
    coded = labels_of(dataset.table.column(name), name=name)
    codes = coded.codes[coded.codes >= 0]
    if not len(codes):
        raise UsageError(f"The label `{name}` has no values.", hint="name another column with --label.")
    distinct = int(np.count_nonzero(np.bincount(codes)))
    if distinct > max(_FEW_CLASSES, len(codes) // 2):
        raise UsageError(
            f"The label `{name}` has {distinct:,} different values in {len(codes):,} rows, which are no classes.",
            hint="name another column with --label, or say --task regression for numbers.",
        )
    return coded


def _numbers(dataset: Dataset, name: str | None, what: str) -> Float:
    column = dataset.table.column(_known(name, what))
    if column.kind not in ("number", "boolean"):
        raise UsageError(
            f"The {what} `{name}` holds {column.kind} values, and regression needs numbers.",
            hint=f"name another column with --{what}, or say --task classification.",
        )
    return np.asarray(column.values, dtype=np.float64)


def _rows(count: int, one: str, many: str) -> str:
    """The subject and verb of a sentence about rows: "1 row is", "7 rows are"."""
    return f"1 row {one}" if count == 1 else f"{count} rows {many}"


def _known(value: Any, what: str) -> Any:
    if value is None:
        raise UsageError(f"There is no {what}.", hint=f"name it with --{what.split()[0]}.")
    return value


def _some(levels: Any) -> str:
    shown = sorted(map(str, levels))
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")
