"""A world: a labelled table with predictions whose errors we placed ourselves, so that the truth is known."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from errata.core.columns import Bool, Column, Float, Level, Table
from errata.core.dataset import Dataset, SetAside
from errata.core.errors import UsageError
from errata.core.evaluation import CONFIRM, EXPLORE, SEALED, Evaluation, Metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Region", "World"]

FIFTHS = 5
WHOLE_GROUPS = 24
"""From so many groups on, whole groups share a fold (proof.md section 1)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Region:
    """A planted region: who lies in it, and how often the model errs there.

    text     the region as a predicate that `errata.core.rules.Where.parse` reads
    members  (n,) bool
    columns  names of the columns that the predicate reads
    inside   the error rate planted inside (absolute error in regression)
    """

    text: str
    members: Bool
    columns: tuple[str, ...]
    inside: float


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """A table of n rows with label and prediction inside, and the regions where the predictions were spoilt.

    truth    the planted regions; () in a null world
    outside  the error rate everywhere else
    unit     (n,) int64, equal where two rows are copies of one another; None where every row stands for itself
    rate     (n,) float64, the chance with which each row was spoilt; None where rows were not spoilt one by one
    aside    columns that a diagnosis should set aside by itself, such as disguised scores
    """

    name: str
    table: Table
    label: str = "label"
    prediction: str = "prediction"
    scores: tuple[str, ...] = ()
    group: str | None = None
    truth: tuple[Region, ...] = ()
    outside: float
    regression: bool = False
    unit: NDArray[np.int64] | None = None
    rate: Float | None = None
    aside: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        planted = ", ".join(region.text for region in self.truth) or "nothing"
        return f"World({self.name}: {len(self):,} rows, {len(self.features)} columns, planted: {planted})"

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the columns that are neither label, prediction, scores nor group."""
        taken = {self.label, self.prediction, *self.scores, self.group}
        return tuple(name for name in self.table if name not in taken)

    @property
    def wrong(self) -> Float:
        """(n,) float64: 1 where the prediction differs from the label; the absolute error in regression."""
        label, prediction = self.table.column(self.label), self.table.column(self.prediction)
        if self.regression:
            gap = np.asarray(label.values, dtype=np.float64) - np.asarray(prediction.values, dtype=np.float64)
            return np.abs(gap)
        return np.asarray(_texts(label) != _texts(prediction), dtype=np.float64)

    def to_frame(self, library: str = "pandas") -> Any:
        """The table as a dataframe of "pandas" or "polars"; missing values are the library's own."""
        arrays = {name: plain(column) for name, column in self.table.columns.items()}
        if library == "pandas":
            import pandas as pd

            return pd.DataFrame(arrays)
        if library == "polars":
            import polars as pl

            return pl.DataFrame(arrays)
        raise UsageError(f"The dataframe library `{library}` is not known.", hint='"pandas" or "polars".')

    def dataset(self) -> Dataset:
        """The world as a Dataset; ids are hashes of the row number and the world's name."""
        salt = int.from_bytes(hashlib.blake2b(self.name.encode(), digest_size=8).digest(), "big")
        unit = np.arange(len(self)) if self.unit is None else self.unit
        return Dataset(
            name=self.name,
            modality="table",
            table=self.table,
            id_hash=_mix(unit.astype(np.uint64) + np.uint64(salt >> 8)),
            occurrence=_occurrence(unit),
            label=self.label,
            prediction=self.prediction,
            scores=self.scores,
            score_classes=tuple(name.removeprefix("p_") for name in self.scores),
            group=self.group,
            native="pandas",
            origin="frame",
        )

    def evaluation(
        self, *, metric: Metric | None = None, confirm: float = 0.5, sealed: float = 0.0, split_seed: int = 0
    ) -> Evaluation:
        """The world as an Evaluation, built on `core` alone, so that a method can be tried by itself.

        Folds are drawn by a seeded hash of the id (of the group where there is one), not ranked within the label as
        the proof does it: good enough to test a method, not to reproduce a run.
        metric  "error", or "absolute-error" in regression, when None; the positive class is the last one
        """
        dataset = self.dataset()
        metric = metric or ("absolute-error" if self.regression else "error")
        group = None if self.group is None else self.table.column(self.group)
        codes = None if group is None else np.asarray(_codes(group), dtype=np.int32)
        whole = codes is not None and len(np.unique(codes)) >= WHOLE_GROUPS
        key = _mix(codes.astype(np.uint64) + np.uint64(17)) if whole and codes is not None else dataset.id_hash
        draw = _mix(key + np.uint64(split_seed * 2 + 1)) / np.float64(2**64)
        fold = np.full(len(self), EXPLORE, dtype=np.int8)
        fold[draw < confirm + sealed] = SEALED
        fold[draw < confirm] = CONFIRM
        known = self._numbers(metric, fold) if self.regression else self._classes(metric)
        return Evaluation(
            dataset=dataset,
            model=None,
            metric=metric,
            scores=self._scores(),
            fold=np.where(known.stratum < 0, np.int8(-1), fold).astype(np.int8),
            counted=dataset.occurrence == 0,
            group=codes,
            features=tuple(name for name in (*self.features, self.label) if name not in self.aside),
            outputs=(self.prediction, *self.scores, *self.aside),
            set_aside=tuple(SetAside(column=name, why="it reproduces the prediction") for name in self.aside),
            task="regression" if self.regression else "classification",
            classes=known.classes,
            labels=known.labels,
            predicted=known.predicted,
            loss=known.loss,
            stratum=known.stratum,
            positive=known.classes[-1] if metric in ("false-positive", "false-negative") else None,
        )

    def without_truth(self) -> World:
        """The same table, said to hold nothing: for scripts that must not peek."""
        return replace(self, truth=())

    def _scores(self) -> NDArray[np.float32] | None:
        if not self.scores:
            return None
        return np.stack([np.asarray(self.table.column(name).values, dtype=np.float32) for name in self.scores], axis=1)

    def _classes(self, metric: str) -> _Known:
        label, prediction = self.table.column(self.label), self.table.column(self.prediction)
        classes = tuple(sorted({*label.levels, *prediction.levels}, key=lambda level: (isinstance(level, str), level)))
        recode = {level: code for code, level in enumerate(classes)}
        labels = np.array([recode[level] for level in label.levels], dtype=np.int32)[label.values]
        predicted = np.array([recode[level] for level in prediction.levels], dtype=np.int32)[prediction.values]
        loss, stratum, positive = (labels != predicted).astype(np.float64), labels.copy(), len(classes) - 1
        if metric == "false-positive":
            stratum[labels == positive] = -1
            loss = (predicted == positive).astype(np.float64)
        elif metric == "false-negative":
            stratum[labels != positive] = -1
        elif metric == "loss":
            scores = self._scores()
            assert scores is not None, "a loss needs scores"
            loss = -np.log(np.maximum(scores[np.arange(len(labels)), labels], 1e-7)).astype(np.float64)
        return _Known(labels=labels, predicted=predicted, loss=loss, stratum=stratum, classes=classes)

    def _numbers(self, metric: str, fold: NDArray[np.int8]) -> _Known:
        label = np.asarray(self.table.column(self.label).values, dtype=np.float64)
        predicted = np.asarray(self.table.column(self.prediction).values, dtype=np.float64)
        gap = np.abs(label - predicted)
        cuts = np.quantile(label[fold == EXPLORE], np.arange(1, FIFTHS) / FIFTHS)
        stratum = np.searchsorted(cuts, label, side="right").astype(np.int32)
        loss = gap**2 if metric == "loss" else gap
        return _Known(labels=label, predicted=predicted, loss=loss, stratum=stratum, classes=())


@dataclass(frozen=True, kw_only=True, eq=False)
class _Known:
    """The row arrays of an Evaluation that depend on the task."""

    labels: NDArray[Any]
    predicted: NDArray[Any]
    loss: NDArray[np.float64]
    stratum: NDArray[np.int32]
    classes: tuple[Level, ...]


def plain(column: Column) -> Any:
    """A column as a numpy array, or as a list of plain values where some are missing or words."""
    if column.kind in ("category", "boolean", "text"):
        return [column.value(row) for row in range(len(column))]
    if column.integer and not np.isnan(column.values).any():
        return column.values.astype(np.int64)
    return column.values


def _texts(column: Column) -> NDArray[np.str_]:
    levels = np.array([str(level) for level in column.levels])
    return np.asarray(levels[column.values])


def _codes(column: Column) -> NDArray[np.int64]:
    if column.kind == "category":
        return np.asarray(column.values, dtype=np.int64)
    return np.asarray(np.unique(column.values, return_inverse=True)[1], dtype=np.int64)


def _occurrence(unit: NDArray[np.integer[Any]]) -> NDArray[np.uint32]:
    """How often the same unit came before, per row."""
    order = np.argsort(unit, kind="stable")
    ranked = unit[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    within = np.arange(len(unit)) - np.repeat(starts, np.diff(np.r_[starts, len(unit)]))
    again = np.empty(len(unit), dtype=np.uint32)
    again[order] = within
    return again


def _mix(key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A well-mixed 64-bit hash of each number (the finaliser of splitmix64)."""
    mixed = key + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
