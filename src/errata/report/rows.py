"""Rows by their ids: where they lie in the evaluation, what is shown of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from errata.core.columns import Column, Level
from errata.core.dataset import Dataset
from errata.core.evaluation import FOLDS, LEFT_OUT, Evaluation
from errata.describe.numbers import clipped, count, number

__all__ = ["Shown", "find_rows", "label_text", "predicted_text", "row_fold", "value_text"]

MOST_CHARACTERS = 90
_NO_SIGNS = frozenset({"Cc", "Cs", "Co", "Cn"})
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One row as people see it.

    label, predicted  as words; None where the run has no evaluation
    loss              what the metric counts in this row
    """

    id: str
    label: str | None
    predicted: str | None
    loss: float | None
    fold: str | None


def find_rows(dataset: Dataset, ids: Iterable[str]) -> dict[str, int]:
    """The row of each id that the dataset has; ids that it does not have are left out."""
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        return {}
    if dataset.id is None:
        return _by_hash(dataset, wanted)
    return _by_column(dataset.table.column(dataset.id), wanted)


def _by_hash(dataset: Dataset, wanted: Sequence[str]) -> dict[str, int]:
    keys: dict[tuple[int, int], str] = {}
    for name in wanted:
        key, _, again = name.partition("-")
        try:
            keys[int(key, 16), int(again or 0)] = name
        except ValueError:
            continue  # an id of another dataset
    hashes = np.array([key for key, _ in keys], dtype=np.uint64)
    candidates = np.flatnonzero(np.isin(dataset.id_hash, hashes))
    found: dict[str, int] = {}
    for row in candidates.tolist():
        asked = keys.get((int(dataset.id_hash[row]), int(dataset.occurrence[row])))
        if asked is not None:
            found.setdefault(asked, row)
    return found


def _by_column(column: Column, wanted: Sequence[str]) -> dict[str, int]:
    names = set(wanted)
    if column.kind == "category":
        codes = {code: str(level) for code, level in enumerate(column.levels) if str(level) in names}
        candidates = np.flatnonzero(np.isin(column.values, np.array(list(codes), dtype=np.int32)))
    elif column.kind == "number":
        values = np.array([_as_float(name) for name in names])
        candidates = np.flatnonzero(np.isin(column.values, values))
    else:
        candidates = np.arange(len(column))
    found: dict[str, int] = {}
    for row in candidates.tolist():
        name = str(column.value(row))
        if name in names:
            found.setdefault(name, row)
            if len(found) == len(names):
                break
    return found


def _as_float(name: str) -> float:
    try:
        return float(name)
    except ValueError:
        return float("nan")


def label_text(evaluation: Evaluation, row: int) -> str:
    """The label of a row as words."""
    return _output_text(evaluation, evaluation.labels, row)


def predicted_text(evaluation: Evaluation, row: int) -> str:
    """What the model said of a row, as words."""
    return _output_text(evaluation, evaluation.predicted, row)


def _output_text(evaluation: Evaluation, values: np.ndarray, row: int) -> str:
    value = values[row]
    if evaluation.task == "classification":
        code = int(value)
        return value_text(evaluation.classes[code]) if 0 <= code < len(evaluation.classes) else "unknown"
    return value_text(float(value))


def row_fold(evaluation: Evaluation, row: int) -> str:
    """The fold of a row as a word."""
    fold = int(evaluation.fold[row])
    return "left out" if fold == LEFT_OUT else FOLDS[fold]


def shown(evaluation: Evaluation | None, row: int | None, name: str) -> Shown:
    """One row as people see it, as far as the run knows it."""
    if evaluation is None or row is None:
        return Shown(id=name, label=None, predicted=None, loss=None, fold=None)
    loss = float(evaluation.loss[row])
    return Shown(
        id=name,
        label=label_text(evaluation, row),
        predicted=predicted_text(evaluation, row),
        loss=None if np.isnan(loss) else loss,
        fold=row_fold(evaluation, row),
    )


def value_text(value: Level | None, *, most: int = MOST_CHARACTERS) -> str:
    """One value of a row for people; long texts are cut."""
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value) if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e15:
            return value_text(int(value))
        return number(value, digits=4)
    text = str(value)
    return _visible(clipped(text, most))


def _visible(text: str) -> str:
    """A sign in place of each that steers a terminal or turns the words after it around, and of what is none."""
    if text.isprintable():
        return text
    return "".join(
        "�" if sign in _TURNING or (unicodedata.category(sign) in _NO_SIGNS and not sign.isspace()) else sign
        for sign in text
    )


def values_of(evaluation: Evaluation, row: int, names: Sequence[str]) -> Mapping[str, Level | None]:
    """The values of one row in some columns."""
    table = evaluation.dataset.table
    plain = [name for name in names if name in table and table.kind_of(name) not in ("embedding", "scores")]
    return {name: table.column(name).value(row) for name in plain}
