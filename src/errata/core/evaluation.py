"""An evaluation: what a model said of every example, as immutable columns; the one thing that methods read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Column, Float, Int, Level, indices
from errata.core.dataset import Dataset, SetAside
from errata.core.errors import UsageError, nearest
from errata.core.model import ModelSpec, Task

__all__ = [
    "CONFIRM",
    "EXPLORE",
    "FOLDS",
    "LEFT_OUT",
    "OUTPUT_COLUMNS",
    "SEALED",
    "Evaluation",
    "Metric",
    "Predictions",
    "embedding_of",
]

Metric = Literal["error", "false-positive", "false-negative", "loss", "absolute-error"]
Predictions = Literal["in-sample", "held-out", "out-of-fold", "unknown"]

EXPLORE, CONFIRM, SEALED, LEFT_OUT = 0, 1, 2, -1
OUTPUT_COLUMNS = ("errata:scores", "errata:predicted", "errata:wrong")
"""What the model said, as columns that a proposal may read and a rule that is tested may not."""
FOLDS = {EXPLORE: "explore", CONFIRM: "confirm", SEALED: "sealed"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """One row per unit that can be wrong. N rows in all, n of them in this view.

    All arrays are over the N rows of the dataset; a view (`explore()`, `take()`) selects rows without copying columns,
    so a column is gathered only when a method asks for it.

    classes     label values in the order of the codes and of the scores; () in regression
    labels      (N,) int32 codes into `classes`, or (N,) float64 in regression
    predicted   as `labels`; the code of a predicted class
    scores      (N, k) float32 probabilities, or None
    loss        (N,) float64, what `metric` counts in each row: 0 or 1 for error, false-positive and false-negative
    stratum     (N,) int32: class, or fifth of the target (cut on explore rows) in regression; -1 where the row has none
    fold        (N,) int8: EXPLORE, CONFIRM, SEALED, or LEFT_OUT for rows that the metric or the user leaves out
    counted     (N,) bool: the first of its copies; the others count neither in rates nor in tests
    group       (N,) int32 codes of the groups, or None
    features    names of the columns that methods may use: inputs, metadata, measured attributes and the label
    outputs     names of columns that are or reproduce the model's output: may propose, never confirm
    rows        (n,) indices of this view into the N rows, None for all
    """

    dataset: Dataset
    model: ModelSpec | None
    task: Task
    metric: Metric
    classes: tuple[Level, ...]
    labels: Int | Float
    predicted: Int | Float
    scores: NDArray[np.float32] | None
    loss: NDArray[np.float64]
    stratum: NDArray[np.int32]
    fold: NDArray[np.int8]
    counted: Bool
    group: NDArray[np.int32] | None
    features: tuple[str, ...]
    outputs: tuple[str, ...] = ()
    set_aside: tuple[SetAside, ...] = ()
    predictions: Predictions = "unknown"
    caveats: tuple[str, ...] = ()
    fingerprint: str = ""
    positive: Level | None = None
    """The positive class, where the metric needs one."""
    cross: NDArray[np.int8] | None = None
    """(N,) the fold 0 to 4 in which each row was judged by rules of the others, -1 for rows that were not; None where
    the rows were split. In a cross-confirmation every judged row is a confirm row."""
    rows: Int | None = None

    def __len__(self) -> int:
        return len(self.dataset) if self.rows is None else len(self.rows)

    @property
    def binary_loss(self) -> bool:
        """True where a row is simply wrong or right, so that exact tests apply."""
        return self.metric in ("error", "false-positive", "false-negative")

    def take(self, rows: Int | Bool) -> Evaluation:
        """A view of some rows of this view, by index (m,) or mask (n,)."""
        chosen = indices(rows)
        return replace(self, rows=chosen if self.rows is None else self.rows[chosen])

    def part(self, fold: int, *, copies: bool = False) -> Evaluation:
        """The view of one fold (EXPLORE, CONFIRM, SEALED); without the copies unless asked for."""
        keep = self.of(self.fold) == fold
        if not copies:
            keep &= self.of(self.counted)
        return self.take(keep)

    def explore(self) -> Evaluation:
        """The rows that methods read."""
        return self.part(EXPLORE)

    def of(self, values: NDArray[np.generic]) -> NDArray[np.generic]:  # type: ignore[explicit-any, unused-ignore]
        """The entries of a full-length array (N, ...) that belong to this view: (n, ...)."""
        return values if self.rows is None else values[self.rows]

    def column(self, name: str) -> Column:
        """A column of the data, gathered for this view's rows; `errata:scores`, `errata:predicted` and `errata:wrong`
        are what the model said."""
        table = self.dataset.table
        if name not in table and name in OUTPUT_COLUMNS:
            return self._output(name)
        if name not in table:
            raise UsageError(f"There is no column `{name}`.", hint=nearest(name, table.names))
        column = table.column(name)
        return column if self.rows is None else column.take(self.rows)

    @property
    def metadata(self) -> tuple[str, ...]:
        """The category and boolean columns that came with the data, as far as methods may use them; not the label."""
        return tuple(name for name in self.dataset.metadata if name in self.features)

    @property
    def embeddings(self) -> tuple[str, ...]:
        """The embedding columns, those that are independent of the model first: its own may propose, never confirm."""
        names = [name for name in self.dataset.table if self.dataset.table.kind_of(name) == "embedding"]
        return tuple(sorted(names, key=lambda name: name in self.outputs))

    def embedding(self, name: str = "") -> str | None:
        """The embedding to read: the one of that name, the first for "", None where there is none and none was named.

        Raises UsageError where there is no embedding of that name.
        """
        return embedding_of(self.embeddings, name)

    def _output(self, name: str) -> Column:
        if name == "errata:scores":
            if self.scores is None:
                raise UsageError("There are no scores: the model gives labels alone.", hint="see `--scores`.")
            return Column(kind="scores", values=self.of(self.scores))
        predicted = np.asarray(self.of(self.predicted))
        if name == "errata:wrong":
            wrong = (predicted != self.of(self.labels)) if self.binary_loss else np.full(len(predicted), -1)
            return Column(kind="boolean", values=wrong.astype(np.int8))
        if self.task == "regression":
            return Column.number(predicted.astype(np.float64))
        return Column(kind="category", values=predicted.astype(np.int32), levels=self.classes)

    def __repr__(self) -> str:
        return f"<Evaluation of {self.dataset.name}: {len(self):,} rows, {self.task}, {self.metric}>"

    def _repr_html_(self) -> str:
        from errata.report.notebook import evaluation_html

        return evaluation_html(self)

    def view(self) -> View:
        """This view's row arrays, gathered once."""
        group = None if self.group is None else np.asarray(self.of(self.group), dtype=np.int32)
        return View(
            loss=np.asarray(self.of(self.loss), dtype=np.float64),
            stratum=np.asarray(self.of(self.stratum), dtype=np.int32),
            labels=np.asarray(self.of(self.labels)),
            predicted=np.asarray(self.of(self.predicted)),
            group=group,
        )


def embedding_of(known: Sequence[str], name: str = "") -> str | None:
    """As `Evaluation.embedding`, of the embeddings `known`, best first."""
    if name and name not in known:
        raise UsageError(f"There is no embedding `{name}`.", hint=nearest(name, known))
    return name or next(iter(known), None)


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """The row arrays of one view of an Evaluation, each (n,): see Evaluation for what they hold."""

    loss: NDArray[np.float64]
    stratum: NDArray[np.int32]
    labels: NDArray[np.generic]
    predicted: NDArray[np.generic]
    group: NDArray[np.int32] | None
