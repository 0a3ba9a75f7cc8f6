"""Which column plays which part: what the user said, and what usual names say where the user did not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from errata.core.columns import Column, Level, Table
from errata.core.errors import UsageError, nearest
from errata.core.model import Task

__all__ = ["Resolved", "Roles", "named_as_output", "resolve", "said_columns"]

_LABELS: Final = (
    "label", "labels", "target", "targets", "y", "class", "y_true", "ytrue", "true_y", "truth", "ground_truth",
    "groundtruth", "gold", "gt", "true_label", "true_class", "label_true", "actual", "outcome",
)  # fmt: skip
_PREDICTIONS: Final = (
    "prediction", "predictions", "pred", "preds", "y_pred", "ypred", "pred_y", "yhat", "y_hat", "predicted",
    "predicted_label", "predicted_class", "pred_label", "pred_class", "label_pred", "model_prediction", "y_prediction",
)  # fmt: skip
_SCORE_PREFIXES: Final = ("p_", "proba_", "prob_", "probability_", "score_", "scores_")
_OUTPUT = re.compile(
    r"(?:.*[_. ])?(?:pred|preds|prediction|predictions|predicted|yhat|y_hat|ypred|proba|probability|logits?|loss|"
    r"correct|incorrect|is_correct|is_wrong|misclassified|residual)(?:[_. ].*)?"
)


@dataclass(frozen=True, kw_only=True)
class Roles:
    """What the user said about columns, in the words of the command line.

    scores      a prefix (`p_` for columns `p_<class>`), the name of one column (probability of the positive class), or
                names in the order of the classes
    ignore      columns to leave out of everything
    use         columns to bring back that would be set aside
    prediction_needed
                false when a model is connected: then no prediction column is looked for
    """

    label: str | None = None
    prediction: str | None = None
    scores: str | Sequence[str] | None = None
    text: str | None = None
    image: str | None = None
    id: str | None = None
    group: str | None = None
    time: str | None = None
    split: str | None = None
    ignore: tuple[str, ...] = ()
    use: tuple[str, ...] = ()
    task: Task | None = None
    prediction_needed: bool = True

    def __post_init__(self) -> None:
        for option in ("label", "prediction", "text", "image", "id", "group", "time", "split"):
            name = getattr(self, option)
            if name is not None and not isinstance(name, str):  # columns of pandas may be numbers; here all are words
                object.__setattr__(self, option, str(name))


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """The roles as columns that are there; `notes` say what was guessed."""

    label: str | None
    prediction: str | None
    scores: tuple[str, ...]
    score_classes: tuple[str, ...]
    notes: tuple[str, ...]


def named_as_output(name: str) -> bool:
    """Whether a column's name says that a model wrote it."""
    return bool(_OUTPUT.fullmatch(name.strip().lower()))


def said_columns(roles: Roles) -> dict[str, str]:
    """{option: column} of every single column that the user named."""
    options = ("label", "prediction", "text", "image", "id", "group", "time", "split")
    named = {option: getattr(roles, option) for option in options}
    return {option: str(name) for option, name in named.items() if name is not None}


def resolve(table: Table, roles: Roles) -> Resolved:
    """Check what was said against the columns, and guess label, prediction and scores from usual names.

    Raises UsageError for a column that is not there (offering the nearest), one column in two roles, and guesses that
    are not unique (naming the candidates).
    """
    said = said_columns(roles)
    for option, name in said.items():
        _check(name, table, f"--{option}")
    for option, names in (("--ignore", roles.ignore), ("--use", roles.use)):
        for name in names:
            _check(name, table, option)
    if roles.label is not None and roles.label == roles.prediction:
        raise UsageError(
            f"`--label {roles.label}` and `--prediction {roles.prediction}` are the same column.",
            hint="the label is what is true, the prediction what the model said.",
        )
    notes: list[str] = []
    free = [name for name in table if name not in {*said.values(), *roles.ignore}]
    label, prediction = roles.label, roles.prediction
    if label is None:
        label = _guess("label", _LABELS, free, notes)
    if prediction is None and roles.prediction_needed:
        prediction = _guess("prediction", _PREDICTIONS, [name for name in free if name != label], notes)
    levels = _levels(table.column(label)) if label is not None else ()
    scores, classes = _scores(table, roles.scores, levels, notes, taken={label, prediction, *said.values()})
    return Resolved(label=label, prediction=prediction, scores=scores, score_classes=classes, notes=tuple(notes))


def _check(name: str, table: Table, option: str) -> None:
    if name not in table:
        raise UsageError(f"`{option} {name}`: there is no column `{name}`.", hint=nearest(name, table.names))


def _plain(name: str) -> str:
    return re.sub(r"[\s.\-]+", "_", name.strip().lower())


def _guess(role: str, usual: Sequence[str], names: Iterable[str], notes: list[str]) -> str | None:
    found = [name for name in names if _plain(name) in usual]
    # The role's own word settles it; other usual names beside it are ordinary columns.
    exact = [name for name in found if _plain(name) == role]
    if len(exact) == 1:
        found = exact
    if len(found) > 1:
        listed = ", ".join(f"`{name}`" for name in found)
        raise UsageError(f"The {role} column is not clear: {listed}.", hint=f"say which with `--{role} {found[0]}`.")
    if not found:
        return None
    notes.append(f"{role} column guessed from its name: `{found[0]}`.")
    return found[0]


def _levels(column: Column) -> tuple[str, ...]:
    if column.kind == "category":
        return tuple(_spell(level) for level in column.levels)
    if column.kind == "boolean":
        return ("False", "True", "0", "1", "false", "true")
    if column.kind == "number" and column.integer:
        head = {column.value(row) for row in range(min(len(column), 10_000))} - {None}
        return tuple(_spell(level) for level in head if level is not None)
    return ()


def _spell(level: Level) -> str:
    return str(int(level)) if isinstance(level, float) and level.is_integer() else str(level)


def _scores(
    table: Table, said: str | Sequence[str] | None, levels: tuple[str, ...], notes: list[str], *, taken: set[str | None]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Score columns and the classes they stand for; no classes where one column scores the positive class."""
    numeric = [name for name in table if name not in taken and table.column(name).kind in ("number", "boolean")]
    if said is None:
        return _guess_scores(numeric, levels, notes)
    if not isinstance(said, str):
        for name in said:
            _check(name, table, "--scores")
        prefix = _shared_prefix(said)
        return tuple(said), tuple(name[len(prefix) :] for name in said) if prefix else ()
    if said in table:
        if table.column(said).kind not in ("number", "boolean", "scores", "embedding"):
            raise UsageError(
                f"`--scores {said}`: the column holds {table.column(said).kind} values.",
                hint="scores are numbers; a column of words is a `--prediction`.",
            )
        return (said,), ()
    wordy = [f"{said}{level}" for level in levels if f"{said}{level}" in table and f"{said}{level}" not in numeric]
    if wordy and wordy[0] not in taken:
        raise UsageError(
            f"`--scores {said}`: `{wordy[0]}` holds {table.column(wordy[0]).kind} values.",
            hint="scores are numbers, one column per class.",
        )
    found = tuple(name for name in numeric if name.startswith(said) and len(name) > len(said))
    if not found:
        wanted = f"{said}{levels[0]}" if levels else f"{said}<class>"
        raise UsageError(
            f"`--scores {said}`: no number column starts with `{said}`.", hint=nearest(wanted, table.names)
        )
    return found, tuple(name[len(said) :] for name in found)


def _guess_scores(
    names: Sequence[str], levels: tuple[str, ...], notes: list[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    same: Callable[[str], str] = _plain
    wanted = {same(level) for level in levels}
    for prefix in _SCORE_PREFIXES:
        found = tuple(name for name in names if name.lower().startswith(prefix) and same(name[len(prefix) :]) in wanted)
        if len(found) > 1:
            notes.append(f"scores guessed from their names: {', '.join(f'`{name}`' for name in found[:6])}.")
            return found, tuple(name[len(prefix) :] for name in found)
    return (), ()


def _shared_prefix(names: Sequence[str]) -> str:
    for prefix in _SCORE_PREFIXES:
        if len(names) > 1 and all(name.lower().startswith(prefix) and len(name) > len(prefix) for name in names):
            return prefix
    return ""
