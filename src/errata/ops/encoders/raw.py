"""Raw features as an embedding: numbers standardised, levels one-hot, all on the scale of explore rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Column, Columns, Int
from errata.ops.encoders.fitted import Fitted
from errata.ops.regions.bins import numeric_values

__all__ = ["VERSION", "encode", "fit"]

VERSION = 1
MOST_LEVELS = 20
"""Most frequent levels of a category that get a dimension of their own; the others share none."""


def fit(columns: Columns, names: Sequence[str]) -> Fitted:
    """The scales and levels of number, boolean, datetime and category columns among the rows given (explore rows).

    A level weighs as a number does: its dimension is divided by its standard deviation, and by the root of the number
    of levels, so that a category counts about as much as one number.
    """
    said: dict[str, NDArray[np.generic]] = {}
    used = []
    for name in names:
        column = columns.column(name)
        if column.kind == "category":
            counts = np.bincount(np.asarray(column.values, dtype=np.int64) + 1, minlength=len(column.levels) + 1)[1:]
            frequent = np.argsort(-counts, kind="stable")[:MOST_LEVELS]
            levels = [str(column.levels[code]) for code in frequent if 0 < counts[code] < len(column)]
            if not levels:
                continue
            said[f"levels:{name}"] = np.array(levels, dtype=np.str_)
            share = np.array([counts[code] for code in frequent if 0 < counts[code] < len(column)]) / len(column)
            said[f"scale:{name}"] = np.sqrt(share * (1.0 - share) * len(levels))
            said[f"centre:{name}"] = share
        elif column.kind in ("number", "boolean", "datetime"):
            values = numeric_values(column)
            known = values[np.isfinite(values)]
            if not len(known) or known.min() == known.max():
                continue
            said[f"centre:{name}"] = np.array([known.mean()])
            said[f"scale:{name}"] = np.array([known.std()])
        else:
            continue
        used.append(name)
    return Fitted(arrays={**said, "names": np.array(used, dtype=np.str_)})


def encode(columns: Columns, fitted: Fitted) -> NDArray[np.float32]:
    """(n, d) float32; a missing value lies at the mean, so that it says nothing."""
    arrays = fitted.arrays
    names = [str(name) for name in arrays["names"]]
    if not names:
        return np.zeros((len(columns), 1), dtype=np.float32)
    return np.concatenate([_part(columns.column(name), name, arrays) for name in names], axis=1)


def _part(column: Column, name: str, arrays: Mapping[str, NDArray[np.generic]]) -> NDArray[np.float32]:
    centre, scale = np.asarray(arrays[f"centre:{name}"], float), np.asarray(arrays[f"scale:{name}"], float)
    if f"levels:{name}" in arrays:
        place = {str(level): at for at, level in enumerate(arrays[f"levels:{name}"])}
        codes = np.array([*(place.get(str(level), -1) for level in column.levels), -1])[_codes(column)]
        one_hot = (codes[:, None] == np.arange(len(place))).astype(np.float32)
        return np.asarray((one_hot - centre) / scale, dtype=np.float32)
    values = (numeric_values(column)[:, None] - centre) / scale
    # Far outliers would make every other difference vanish.
    return np.asarray(np.nan_to_num(np.clip(values, -8.0, 8.0), nan=0.0), dtype=np.float32)


def _codes(column: Column) -> Int:
    return np.asarray(column.values, dtype=np.int64)
