"""The two ends of an order of rows, side by side: who stands there, and in which columns they differ most."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Column, Level
from errata.core.evaluation import Evaluation
from errata.core.evidence import Extremes

__all__ = ["SHOWN", "extremes_of"]

SHOWN = 6
"""Rows of each end that are kept: as many as a phone shows in one line."""
COLUMNS = 4
MOST_TEXT = 400
_MOST_COLUMNS = 200
_MOST_ROWS = 200
_CLEAR = 3.0
"""Standard errors by which a column must differ: with dozens of columns, two come by chance."""


def extremes_of(
    evaluation: Evaluation, rows: NDArray[np.intp], wrong: Bool, hardness: NDArray[np.float64], *, label: int,
    direction: int, column: str, score: float,
) -> Extremes:  # fmt: skip
    """The rows of a class at either end of a direction.

    rows      (m,) places of the class's rows in the view
    wrong     (m,) bool
    hardness  (m,) how hard each row is by planes that did not see it
    """
    order = np.argsort(-hardness, kind="stable")
    shown = min(SHOWN, len(order) // 2)
    hard, easy = order[:shown], order[::-1][:shown]
    end = min(max(SHOWN, len(order) // 5), _MOST_ROWS, len(order) // 2)
    names = _names(evaluation)
    hardest_end, easiest_end = evaluation.take(rows[order[:end]]), evaluation.take(rows[order[::-1][:end]])
    found = [_difference(name, hardest_end.column(name), easiest_end.column(name)) for name in names]
    known = sorted((one for one in found if one is not None), key=lambda one: -float(one["errors"] or 0.0))
    ends = evaluation.take(rows[np.concatenate([hard, easy])])
    ids = ends.dataset.ids(np.arange(len(ends)) if ends.rows is None else ends.rows)
    columns = {name: ends.column(name) for name in (str(one["column"]) for one in known[:COLUMNS])}
    return Extremes(
        label=evaluation.classes[label], direction=direction, column=column, score=score, rows=len(rows),
        wrong=int(wrong.sum()), hardest=tuple(ids[:shown]), easiest=tuple(ids[shown:]),
        hardest_wrong=int(wrong[hard].sum()), easiest_wrong=int(wrong[easy].sum()), end=end,
        differences=tuple(
            {key: value for key, value in one.items() if key != "errors"}
            for one in known[:COLUMNS] if float(one["errors"] or 0.0) >= _CLEAR
        ),
        values={
            name: _said(ends, place) | {key: value.value(place) for key, value in columns.items()}
            for place, name in enumerate(ids)
        },
    )  # fmt: skip


def _said(ends: Evaluation, place: int) -> dict[str, Level | None]:
    """Label, prediction and text of a row, so that a run without its rows can still show it."""
    codes = {"label": int(ends.of(ends.labels)[place]), "prediction": int(ends.of(ends.predicted)[place])}
    said: dict[str, Level | None] = {name: ends.classes[code] if code >= 0 else None for name, code in codes.items()}
    if ends.dataset.text is not None:
        said[ends.dataset.text] = (ends.column(ends.dataset.text).text(place) or "")[:MOST_TEXT]
    return said


def _names(evaluation: Evaluation) -> list[str]:
    """Columns that people can read and that are no output of the model, nor the label: of one class it says nothing."""
    table = evaluation.dataset.table
    left_out = {evaluation.dataset.label, evaluation.dataset.text, *evaluation.outputs}
    kinds = ("number", "category", "boolean")
    names = [name for name in evaluation.features if name not in left_out and table.kind_of(name) in kinds]
    return names[:_MOST_COLUMNS]


def _difference(name: str, hardest: Column, easiest: Column) -> dict[str, Level | None] | None:
    """How two ends differ in a column, in standard errors; None where they do not, or one of them is missing."""
    if hardest.kind == "number":
        ends = [np.asarray(end.values, dtype=np.float64) for end in (hardest, easiest)]
        known = [end[np.isfinite(end)] for end in ends]
        if min(len(end) for end in known) < 2:
            return None
        means = [float(end.mean()) for end in known]
        error = math.sqrt(sum(float(end.var(ddof=1)) / len(end) for end in known))
        level: Level | None = None
    else:
        codes = [np.asarray(end.values)[np.asarray(end.values) >= 0].astype(np.int64) for end in (hardest, easiest)]
        if min(len(end) for end in codes) < 2:
            return None
        size = max(int(end.max()) for end in codes) + 1
        shares = [np.bincount(end, minlength=size) / len(end) for end in codes]
        at = int(np.argmax(np.abs(shares[0] - shares[1])))
        if hardest.kind == "boolean":
            at = 1 if size > 1 else 0
        level = bool(at) if hardest.kind == "boolean" else hardest.levels[at]
        means = [float(share[at]) for share in shares]
        # Drawn in by half a row, so that a level that all rows or none have is not infinitely sure.
        drawn = [(mean * len(end) + 0.5) / (len(end) + 1) for mean, end in zip(means, codes, strict=True)]
        error = math.sqrt(sum(p * (1.0 - p) / len(end) for p, end in zip(drawn, codes, strict=True)))
    gap = abs(means[0] - means[1])
    if gap == 0.0:
        return None
    scale = max(error, 1e-9 * max(abs(means[0]), abs(means[1])))
    return {"column": name, "level": level, "hardest": means[0], "easiest": means[1], "errors": gap / scale}
