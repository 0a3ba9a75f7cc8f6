"""What a table model is given: rows as a dataframe of the kind that the user brought."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from errata.core.columns import Column, Int, Table
from errata.core.dataset import Dataset
from errata.core.errors import MissingExtraError

__all__ = ["frame_of", "with_frame", "with_inputs"]

_BROUGHT = "errata_frame"


def with_inputs(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """The same data, whose `read(rows)` gives exactly these columns in this order, also ids, groups or times.

    Raises UsageError for a column that is not there, offering the nearest names.
    """
    chosen = tuple(names)
    for name in chosen:
        dataset.table.column(name)
    brought = getattr(dataset.read, _BROUGHT, None)
    if brought is not None:
        return with_frame(replace(dataset, input_names=chosen), brought)
    if dataset.modality != "table":
        return dataset
    table, native = dataset.table, dataset.native

    def read(rows: Int) -> Any:
        return frame_of(table, chosen, rows, native=native)

    return replace(dataset, input_names=chosen, read=read)


def with_frame(dataset: Dataset, frame: Any) -> Dataset:
    """The same data, whose `read(rows)` gives rows of the user's own frame, untouched; texts are read as texts."""
    if dataset.modality != "table":
        return dataset
    import narwhals as nw

    opened = nw.from_native(frame, eager_only=True)
    # By place: the user's own name of a column may be a number or a tuple.
    place_of = {str(name): place for place, name in enumerate(opened.columns)}
    places = [place_of[name] for name in dataset.input_names]

    def read(rows: Int) -> Any:
        return opened[:, places][np.asarray(rows).tolist()].to_native()

    setattr(read, _BROUGHT, frame)
    return replace(dataset, read=read)


def frame_of(table: Table, names: Sequence[str], rows: Int, *, native: str | None = None) -> Any:
    """Some rows of some columns as a dataframe: of `native`, else of the first installed of pandas, polars and Arrow.

    Raises MissingExtraError when there is none.
    """
    for library in ("pandas", "polars", "pyarrow") if native is None else (native,):
        if importlib.util.find_spec(library) is None:
            continue
        cells = {name: _cells(table.column(name).take(rows)) for name in names}
        if library == "pandas":
            import pandas as pd

            return pd.DataFrame(cells)
        if library == "pyarrow":
            import pyarrow as pa

            return pa.table({name: pa.array(values, from_pandas=True) for name, values in cells.items()})
        import polars as pl

        return pl.DataFrame({name: pl.Series(name, _listed(values)) for name, values in cells.items()})
    raise MissingExtraError(
        "A model that takes a table needs a dataframe library, and none is installed.", hint="pip install pandas"
    )


def _cells(column: Column) -> Any:
    """(m,) array in the type that a dataframe library would have read from a file."""
    missing = column.missing()
    if column.kind == "number":
        return column.values.astype(np.int64) if column.integer and not missing.any() else column.values
    if column.kind == "boolean":
        return _objects(column.values.astype(bool), missing) if missing.any() else column.values.astype(bool)
    if column.kind == "datetime":
        # Not every dataframe library knows days and seconds as units.
        moments: Any = column.values
        coarse = np.datetime_data(moments.dtype)[0] not in ("ms", "us", "ns")
        return moments.astype("datetime64[us]") if coarse else moments
    if column.kind == "text":
        return _objects(np.array([column.text(row) for row in range(len(column))], dtype=object), missing)
    if column.kind in ("embedding", "scores"):
        return _objects(np.array([*list(column.values), None], dtype=object)[:-1], missing)
    levels = np.array([*column.levels, None], dtype=object)
    words = levels[column.values]
    whole = bool(column.levels) and all(isinstance(level, int) for level in column.levels)
    return words.astype(np.int64) if whole and not missing.any() else words


def _objects(values: Any, missing: Any) -> Any:
    cells = values.astype(object)
    cells[missing] = None
    return cells


def _listed(values: Any) -> Any:
    return values.tolist() if values.dtype == object else values
