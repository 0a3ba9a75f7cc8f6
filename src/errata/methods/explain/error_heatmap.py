"""Error heatmap: a metric over one or two columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Column, Float, Int
from errata.core.errors import UsageError, nearest
from errata.core.evaluation import Evaluation
from errata.core.evidence import Evidence, Heatmap
from errata.core.method import Job, method
from errata.core.rules import Compare, Where
from errata.ops.regions.bins import numeric_values, usable
from errata.ops.regions.roundness import round_number

__all__ = ["METRICS", "ErrorHeatmap", "HeatmapMetric"]

HeatmapMetric = Literal[
    "error",
    "accuracy",
    "false-positive",
    "false-negative",
    "precision",
    "recall",
    "f1",
    "selection",
    "loss",
    "absolute-error",
    "squared-error",
    "prediction",
]
METRICS: tuple[HeatmapMetric, ...] = get_args(HeatmapMetric)

FEW_VALUES = 8
"""A number with no more distinct values than this is shown value by value."""
MOST_LEVELS = 12
"""More levels than this are shown as the most frequent ones and one cell for the others."""
_NUMBERS = ("absolute-error", "squared-error", "prediction")
_CLASSES = ("error", "accuracy", "false-positive", "false-negative", "precision", "recall", "f1", "selection")


@method(cite="Nushi, Kamar, Horvitz, HCOMP 2018")
@dataclass(frozen=True, kw_only=True)
class ErrorHeatmap:
    """A metric in every cell of one or two columns, with the number of rows in each.

    Numbers and dates are cut into bins at round places; numbers with at most 8 distinct values are not. Missing values
    have a cell of their own, rare levels of a long category share one. Every row lies in exactly one cell. With a rule,
    its cuts replace the bin edges next to them, and each cell says which share of its rows the rule selects.

    columns  one or two names; the second is drawn across
    bins     bins of a number, 2 to 50; 8 is the peer's threshold for binning at all
    binning  "quantile" equal numbers of rows, "equal-width" equal steps
    metric   one of METRICS, None for the metric of the evaluation; precision, recall, f1 and selection are those of the
             positive class (the last one unless given), and the mean over the classes where there are more than two

    Raises UsageError for a column that is not there or cannot be binned, and for a metric that does not fit the task.

    Reference: B. Nushi, E. Kamar, E. Horvitz, "Towards accountable AI: hybrid human-machine analyses for characterizing
    system failure", HCOMP 2018.
    """

    columns: tuple[str, ...] = ()
    bins: int = 8
    binning: str = "quantile"
    metric: str | None = None

    def __post_init__(self) -> None:
        # Options come back from JSON as lists, and one name may be given by itself.
        given: object = self.columns
        object.__setattr__(self, "columns", (given,) if isinstance(given, str) else tuple(self.columns))
        if not 2 <= self.bins <= 50:
            raise UsageError(f"`bins` is {self.bins}, expected 2 to 50.", hint="8 is usual.")
        if self.binning not in ("quantile", "equal-width"):
            raise UsageError(f"`binning` is `{self.binning}`.", hint=nearest(self.binning, ("quantile", "equal-width")))
        if self.metric is not None and self.metric not in METRICS:
            raise UsageError(f"`metric` is `{self.metric}`.", hint=nearest(self.metric, METRICS))

    def run(
        self, evaluation: Evaluation, job: Job, *, where: Where | None = None, among: Where | None = None
    ) -> list[Evidence]:
        """One Heatmap of the rows of `evaluation`, or of those `among` them that a rule selects.

        where  marks the cells that this rule selects
        """
        if not 1 <= len(self.columns) <= 2 or len(set(self.columns)) < len(self.columns):
            raise UsageError(f"`columns` is `{self.columns!r}`.", hint="expected one or two different names.")
        job.progress(0.0, "drawing the heatmap")
        stratum = evaluation.view().stratum
        counted = stratum >= 0 if among is None else (stratum >= 0) & among.members(evaluation)
        rows = evaluation if bool(counted.all()) else evaluation.take(counted)
        cuts = _cuts(where)
        sides = [self._side(name, rows.column(name), cuts.get(name, ())) for name in self.columns]
        cell, cells = sides[0].codes, len(sides[0].labels)
        for side in sides[1:]:
            cell, cells = cell * len(side.labels) + side.codes, cells * len(side.labels)
        count = np.bincount(cell, minlength=cells)
        metric = self.metric or evaluation.metric
        measure = _measure(metric, rows)
        member = None
        if where is not None:
            inside = np.bincount(cell[where.members(rows)], minlength=cells)
            member = tuple(_ratio(float(a), float(b)) for a, b in zip(inside, count, strict=True))
        return [
            Heatmap(
                columns=self.columns,
                labels=tuple(side.labels for side in sides),
                metric=metric,
                count=tuple(int(value) for value in count),
                value=measure(cell, cells),
                member=member,
                overall=measure(np.zeros(len(rows), dtype=np.int64), 1)[0],
                among="" if among is None else among.text,
            )
        ]

    def _side(self, name: str, column: Column, cuts: Sequence[float]) -> _Side:
        if not usable(column):
            raise UsageError(
                f"The column `{name}` holds {column.kind} values, which have no bins.",
                hint="choose a number, a category, a boolean or a date.",
            )
        if column.kind in ("category", "boolean"):
            return _levels(column)
        values = numeric_values(column)
        missing = np.isnan(values)
        present = np.unique(values[~missing])
        if len(present) <= FEW_VALUES:
            codes = np.searchsorted(present, values)
            labels = [_number(value, column) for value in present]
        else:
            edges = _moved(self._edges(values[~missing], present), cuts)
            codes = np.searchsorted(edges, values, side="left")
            labels = _interval_labels(edges, column)
        codes[missing] = len(labels)
        return _Side(labels=(*labels, "missing") if missing.any() else tuple(labels), codes=codes)

    def _edges(self, values: Float, present: Float) -> Float:
        """Ascending inner edges, bin i holds edges[i - 1] < x <= edges[i], rounded within a tenth of a bin."""
        shares = np.arange(1, self.bins) / self.bins
        slack = 0.1 / self.bins
        if self.binning == "quantile":
            low, near, high = (np.quantile(values, shares + shift) for shift in (-slack, 0.0, slack))
        else:
            start, width = float(present[0]), float(present[-1] - present[0])
            low, near, high = (start + width * (shares + shift) for shift in (-slack, 0.0, slack))
        rounded = [round_number(float(a), float(c), float(b)) for a, b, c in zip(low, near, high, strict=True)]
        edges = np.unique(rounded)
        return np.asarray(edges[(edges >= present[0]) & (edges < present[-1])], dtype=np.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Side:
    """One axis of a heatmap: names of its bins, and which of them each row (n,) lies in."""

    labels: tuple[str, ...]
    codes: Int


def _levels(column: Column) -> _Side:
    names = [str(level) for level in column.levels] if column.kind == "category" else ["false", "true"]
    codes = np.asarray(column.values, dtype=np.int64)
    count = np.bincount(codes[codes >= 0], minlength=len(names))
    used = np.flatnonzero(count)
    kept = used
    if len(used) > MOST_LEVELS:
        kept = np.sort(used[np.argsort(-count[used], kind="stable")[: MOST_LEVELS - 1]])
    labels = [names[code] for code in kept]
    table = np.full(len(names) + 1, len(kept), dtype=np.int64)
    table[kept] = np.arange(len(kept))
    if len(kept) < len(used):
        labels.append(f"{len(used) - len(kept)} others")
    missing = bool((codes < 0).any())
    table[-1] = len(labels)
    return _Side(labels=(*labels, "missing") if missing else tuple(labels), codes=table[codes])


def _cuts(where: Where | None) -> Mapping[str, Sequence[float]]:
    """The numbers that a rule compares each column with."""
    found: dict[str, list[float]] = {}
    for atom in (where.literals() if where is not None else None) or ():
        if isinstance(atom, Compare) and isinstance(atom.value, int | float) and not isinstance(atom.value, bool):
            found.setdefault(atom.column, []).append(float(atom.value))
    return found


def _moved(edges: Float, cuts: Sequence[float]) -> Float:
    """The edges with the nearest one moved to each cut, so that a rule's border is a border of cells."""
    moved = edges.astype(np.float64)
    for cut in cuts:
        if len(moved):
            moved[int(np.abs(moved - cut).argmin())] = cut
    return np.unique([*moved, *cuts])


def _interval_labels(edges: Float, column: Column) -> list[str]:
    if not len(edges):
        return ["all values"]
    words = [_number(edge, column) for edge in edges]
    # Whole numbers are said with both ends inside, as people do.
    starts = [_number(np.floor(edge) + 1, column) for edge in edges] if column.integer else words
    ends = words[1:]
    between = [
        high if column.integer and low == high else f"{low} – {high}"
        for low, high in zip(starts[:-1], ends, strict=True)
    ]
    return [f"≤ {words[0]}", *between, f"> {words[-1]}"]


def _number(value: float, column: Column) -> str:
    if column.kind == "datetime":
        moment = np.int64(value).astype(column.values.dtype).astype("datetime64[s]").item()
        return str(moment.date()) if not (moment.hour or moment.minute or moment.second) else str(moment)
    if not float(value).is_integer() or abs(value) >= 1e15:
        text = f"{value:.6g}"
    else:
        # Four digits stay together, because they may be a year.
        text = f"{value:.0f}" if abs(value) < 10_000 else f"{value:,.0f}"
    return text.replace("-", "−", 1) if value < 0 else text


_Measure = Callable[[Int, int], tuple[float | None, ...]]


def _measure(metric: str, rows: Evaluation) -> _Measure:
    """A function from the cell of each row (n,) and the number of cells to the metric in each cell."""
    view = rows.view()
    classification = rows.task == "classification"
    if metric == rows.metric:
        return _mean_of(view.loss)
    if metric in _NUMBERS and not classification:
        label, predicted = np.asarray(view.labels, np.float64), np.asarray(view.predicted, np.float64)
        values = {"absolute-error": np.abs(predicted - label), "squared-error": (predicted - label) ** 2}
        return _mean_of(values.get(metric, predicted))
    if metric not in _CLASSES or not classification:
        raise UsageError(
            f"The metric `{metric}` cannot be computed for this {rows.task} with the metric `{rows.metric}`.",
            hint=nearest(metric, _CLASSES if classification else _NUMBERS),
        )
    codes, said = np.asarray(view.labels, np.int64), np.asarray(view.predicted, np.int64)
    if metric in ("error", "accuracy"):
        return _mean_of((codes != said) == (metric == "error"))
    return _per_class(metric, codes, said, rows)


def _mean_of(values: NDArray[np.generic]) -> _Measure:
    weights = np.asarray(values, dtype=np.float64)

    def measure(cell: Int, cells: int) -> tuple[float | None, ...]:
        sums = np.bincount(cell, weights=weights, minlength=cells)
        count = np.bincount(cell, minlength=cells)
        return tuple(_ratio(float(a), float(b)) for a, b in zip(sums, count, strict=True))

    return measure


def _per_class(metric: str, labels: Int, predicted: Int, rows: Evaluation) -> _Measure:
    k = len(rows.classes)
    positive = k - 1 if rows.positive is None else rows.classes.index(rows.positive)
    asked = [positive] if k <= 2 or rows.positive is not None else list(range(k))

    def measure(cell: Int, cells: int) -> tuple[float | None, ...]:
        per_class = [_rates(metric, cell, cells, labels == code, predicted == code) for code in asked]
        means = []
        for values in zip(*per_class, strict=True):
            known = [value for value in values if value is not None]
            means.append(float(np.mean(known)) if known else None)
        return tuple(means)

    return measure


def _rates(
    metric: str, cell: Int, cells: int, actual: NDArray[np.bool_], said: NDArray[np.bool_]
) -> list[float | None]:
    hit, label, taken, count = (
        np.bincount(cell[mask], minlength=cells).astype(np.float64)
        for mask in (actual & said, actual, said, np.ones(len(cell), dtype=bool))
    )
    over = {
        "precision": (hit, taken),
        "recall": (hit, label),
        "f1": (2 * hit, label + taken),
        "selection": (taken, count),
        "false-positive": (taken - hit, count - label),
        "false-negative": (label - hit, label),
    }
    above, below = over[metric]
    return [_ratio(float(a), float(b)) for a, b in zip(above, below, strict=True)]


def _ratio(above: float, below: float) -> float | None:
    return above / below if below else None
