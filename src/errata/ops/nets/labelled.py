"""Labelled examples of any kind as whole arrays: torch data sets, `(X, y)`, our data sets and evaluations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Column, Int, Level, indices
from errata.core.dataset import Dataset
from errata.core.errors import UsageError, nearest
from errata.core.evaluation import Evaluation, embedding_of

__all__ = ["Labelled", "read_labelled"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Labelled:
    """Examples in memory.

    inputs  (n, ...) as given; what a torch module or a black box is called with
    values  (n, d) float32, the embedding or the flattened inputs; NaN where missing
    labels  (n,) codes into `levels`
    part    gives some of the examples in the form in which they came
    group   (n,) codes of groups, or None
    column  name of the embedding column, "" where there is none
    """

    inputs: Any
    values: NDArray[np.float32]
    labels: Int
    levels: tuple[Level, ...]
    part: Callable[[Int], Any]
    group: Int | None = None
    column: str = ""


def read_labelled(
    data: Any, *, embedding: str | NDArray[Any] | None = None, levels: tuple[Level, ...] = ()
) -> Labelled:
    """Examples from a torch data set of (x, y), `(X, y)`, our Dataset or Evaluation.

    embedding  (n, d) array, or the name of an embedding column; None for the first column of that kind or the inputs
    levels     the classes, where they are known from elsewhere

    Raises UsageError for data without labels, of unequal lengths, or without anything numeric to read.
    """
    named = embedding if isinstance(embedding, str) else ""
    if isinstance(data, Evaluation):
        found = _of_evaluation(data, named)
    elif isinstance(data, Dataset):
        found = _of_dataset(data, named)
    elif isinstance(data, tuple | list) and len(data) == 2:
        found = _of_arrays(data[0], data[1], levels)
    elif hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, np.ndarray | dict):
        found = _of_torch(data, levels)
    else:
        raise UsageError(
            f"`{type(data).__name__}` holds no labelled examples.",
            hint="give `(X, y)`, a torch data set whose items are (x, y), or an Errata dataset or evaluation.",
        )
    if isinstance(embedding, np.ndarray):
        if embedding.ndim != 2 or len(embedding) != len(found.labels):
            raise UsageError(
                f"`embedding` has shape {embedding.shape}; there are {len(found.labels):,} examples.",
                hint="give one row per example.",
            )
        found = replace(found, values=embedding.astype(np.float32), column="")
    return found


def _codes(y: Any, levels: tuple[Level, ...]) -> tuple[Int, tuple[Level, ...]]:
    plain = np.asarray(y)
    if plain.ndim == 2 and plain.shape[1] == 1:
        plain = plain[:, 0]
    if plain.ndim != 1:
        raise UsageError(f"The labels have shape {plain.shape}.", hint="give one class per example.")
    if not levels:
        unique, codes = np.unique(plain, return_inverse=True)
        return codes.astype(np.int64), tuple(unique.tolist())
    place = {level: code for code, level in enumerate(levels)}
    unknown = sorted({str(value) for value in plain.tolist() if value not in place})
    if unknown:
        raise UsageError(f"`{unknown[0]}` is no class of this splitter.", hint=nearest(unknown[0], map(str, levels)))
    return np.array([place[value] for value in plain.tolist()], dtype=np.int64), levels


def _flat(inputs: Any) -> NDArray[np.float32]:
    plain = np.asarray(inputs)
    if plain.dtype.kind not in "fiub":
        raise UsageError(
            f"The inputs have type {plain.dtype}, and a splitter reads numbers.", hint="give `embedding=`, (n, d)."
        )
    return plain.reshape(len(plain), -1).astype(np.float32)


def _of_arrays(X: Any, y: Any, levels: tuple[Level, ...]) -> Labelled:
    if len(X) != len(y):
        raise UsageError(f"X has {len(X):,} rows and y has {len(y):,}.", hint="give one label per row.")
    codes, levels = _codes(y, levels)

    def part(rows: Int) -> Any:
        taken = X.iloc[rows] if hasattr(X, "iloc") else X[rows]
        own = y.iloc[rows] if hasattr(y, "iloc") else (y[rows] if hasattr(y, "shape") else [y[row] for row in rows])
        return taken, own

    X = X if hasattr(X, "shape") else np.asarray(X)
    return Labelled(inputs=X, values=_flat(X), labels=codes, levels=levels, part=part)


def _of_torch(data: Any, levels: tuple[Level, ...]) -> Labelled:
    import torch

    tensors = getattr(data, "tensors", None)
    if tensors is not None and len(tensors) >= 2:
        inputs, labels = tensors[0], tensors[1]
    else:
        items = [data[at] for at in range(len(data))]
        if not items or not isinstance(items[0], tuple | list) or len(items[0]) < 2:
            raise UsageError(
                f"The items of `{type(data).__name__}` are no pairs (x, y).",
                hint="a torch data set gives the input and the label of an example.",
            )
        inputs = torch.stack([torch.as_tensor(item[0]) for item in items])
        labels = torch.as_tensor([int(item[1]) for item in items])
    codes, levels = _codes(labels, levels)
    return Labelled(
        inputs=inputs, values=_flat(inputs), labels=codes, levels=levels,
        part=lambda rows: torch.utils.data.Subset(data, rows.tolist()),
    )  # fmt: skip


def _of_evaluation(data: Evaluation, embedding: str) -> Labelled:
    if data.task != "classification":
        raise UsageError("Learning to Split needs classes, and this is regression.", hint="use `error_tree`.")
    name = data.embedding(embedding)
    view = data.view()
    rows = np.arange(len(data.dataset)) if data.rows is None else data.rows
    values = np.asarray(data.column(name).values) if name else _of_columns(data.dataset)[rows]
    known = np.flatnonzero(view.labels >= 0)  # type: ignore[operator]
    group = None if view.group is None else view.group[known].astype(np.int64)
    return Labelled(
        inputs=values[known], values=values[known].astype(np.float32), labels=view.labels[known].astype(np.int64),
        levels=tuple(data.classes), part=lambda chosen: data.take(known[chosen]), group=group, column=name or "",
    )  # fmt: skip


def _of_dataset(data: Dataset, embedding: str) -> Labelled:
    if data.label is None:
        raise UsageError(f"`{data.name}` has no label.", hint="say which column it is.")
    label = data.table.column(data.label)
    plain = [label.value(row) for row in range(len(data))]
    known = np.array([row for row, value in enumerate(plain) if value is not None], dtype=np.int64)
    codes, levels = _codes(np.array([plain[row] for row in known]), ())
    name = embedding_of([name for name in data.table if data.table.kind_of(name) == "embedding"], embedding)
    if name:
        values = np.asarray(data.table.column(name).values, dtype=np.float32)
    elif data.modality in ("image", "array") and data.read is not None:
        values = _flat(data.read(np.arange(len(data))))
    else:
        values = _of_columns(data)
    return Labelled(
        inputs=values[known], values=values[known], labels=codes, levels=levels,
        part=lambda chosen: _some(data, known[chosen]), column=name or "",
    )  # fmt: skip


def _of_columns(data: Dataset) -> NDArray[np.float32]:
    """(n, d) numbers, booleans and one-hot categories of a table's inputs."""
    taken = {data.label, data.prediction, data.id, data.group, data.time, data.split, *data.scores}
    names = data.input_names or tuple(name for name in data.table if name not in taken)
    parts = [part for name in names for part in _numbers(data.table.column(name))]
    if not parts:
        raise UsageError(f"`{data.name}` has no numeric inputs.", hint="give `embedding=`, (n, d).")
    return np.column_stack(parts).astype(np.float32)


def _numbers(column: Column) -> list[NDArray[Any]]:
    if column.kind in ("number", "boolean"):
        values = np.asarray(column.values, dtype=np.float64)
        missing = column.missing()
        # A missing number is the mean: it says nothing; that it is missing is not read.
        return [np.where(missing, values[~missing].mean() if (~missing).any() else 0.0, values)]
    if column.kind == "category" and len(column.levels) <= 50:
        return [np.asarray(column.values == code, dtype=np.float64) for code in range(len(column.levels))]
    return []


def _some(data: Dataset, rows: Int) -> Dataset:
    """Some rows of a data set, as a data set."""
    read, image = data.read, data.image
    return replace(
        data, table=data.table.take(rows), id_hash=data.id_hash[rows], occurrence=data.occurrence[rows],
        content_hash=None if data.content_hash is None else data.content_hash[rows],
        read=None if read is None else lambda chosen: read(rows[indices(chosen)]),
        image=None if image is None else lambda row: image(int(rows[row])),
    )  # fmt: skip
