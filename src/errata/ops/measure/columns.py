"""Measured attributes as columns of a dataset, for every method to read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Column
from errata.core.dataset import Dataset
from errata.core.source import Source
from errata.ops.measure.image import ATTRIBUTES, VERSION, measure

__all__ = ["measured"]

KIND = "image attributes"
BLOCK_PIXELS = 8_000_000  # pictures held at once, so that a folder of photographs is never in memory as a whole


def measured(dataset: Dataset, *, progress: Callable[[int, int], None] | None = None) -> Dataset:
    """The same data with a column for every attribute that differs between its pictures; data without pictures as is.

    A column of the user's that has the name of an attribute stays. What is the same for all pictures (their width, the
    saturation of grey ones) is left out.
    """
    if dataset.image is None or len(dataset) == 0:
        return dataset
    names = [name for name in ATTRIBUTES if name not in dataset.table]
    if not names:
        return dataset
    values = _values(dataset, names, progress)
    columns = {name: _column(name, values[name]) for name in names if _differs(values[name])}
    source = Source(
        kind=KIND,
        columns=tuple(columns),
        options={"version": VERSION},
        fingerprint=hashlib.sha256(f"{KIND} {VERSION} {' '.join(columns)}".encode()).hexdigest()[:16],
    )
    return dataset.with_table(dataset.table.with_columns(columns), sources=(source,))


def _values(dataset: Dataset, names: list[str], progress: Callable[[int, int], None] | None) -> dict[str, NDArray[Any]]:
    assert dataset.image is not None
    parts: list[dict[str, NDArray[Any]]] = []
    held: list[NDArray[np.uint8]] = []
    pixels = 0
    for row in range(len(dataset)):
        held.append(dataset.image(row))
        pixels += held[-1].size
        if pixels >= BLOCK_PIXELS or row == len(dataset) - 1:
            parts.append(measure(held, names=names, value_range=(0, 255)))
            held, pixels = [], 0
            if progress is not None:
                progress(row + 1, len(dataset))
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def _differs(values: NDArray[Any]) -> bool:
    known = values[values >= 0] if values.dtype == np.int32 else values[~np.isnan(values)]
    return len(known) > 0 and bool((known != known[0]).any())


def _column(name: str, values: NDArray[Any]) -> Column:
    attribute = ATTRIBUTES[name]
    if attribute.kind == "category":
        present = np.unique(values[values >= 0])
        places = np.full(len(attribute.levels) + 1, -1, dtype=np.int32)  # the last place is that of -1, missing
        places[present] = np.arange(len(present))
        levels = tuple(attribute.levels[code] for code in present)
        return Column(kind="category", values=places[values], levels=levels, words=attribute.noun)
    return Column(
        kind="number", values=values, unit=attribute.unit or None, words=attribute.noun, integer=attribute.whole
    )
