"""Measured attributes as columns of a dataset, for every method to read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Column
from errata.core.dataset import Dataset
from errata.core.source import Source
from errata.ops.measure import text
from errata.ops.measure.attribute import Attribute
from errata.ops.measure.image import ATTRIBUTES, VERSION, measure
from errata.ops.measure.texts import strings_of

__all__ = ["measured"]

KIND = "image attributes"
TEXT_KIND = "text attributes"
BLOCK_PIXELS = 8_000_000  # pictures held at once, so that a folder of photographs is never in memory as a whole


def measured(dataset: Dataset, *, progress: Callable[[int, int], None] | None = None) -> Dataset:
    """The same data with a column for every attribute that differs between its pictures, or its texts.

    Data with neither stay as they are, and so does a column of the user's that has the name of an attribute. What is
    the same for all rows (the width of pictures of one size, web addresses where no text has one) is left out.
    """
    if len(dataset) == 0:
        return dataset
    return _texts_measured(_images_measured(dataset, progress), progress)


def _images_measured(dataset: Dataset, progress: Callable[[int, int], None] | None) -> Dataset:
    names = [name for name in ATTRIBUTES if name not in dataset.table]
    if dataset.image is None or not names:
        return dataset
    return _with_columns(dataset, ATTRIBUTES, _values(dataset, names, progress), kind=KIND, version=VERSION)


def _texts_measured(dataset: Dataset, progress: Callable[[int, int], None] | None) -> Dataset:
    names = [name for name in text.ATTRIBUTES if name not in dataset.table]
    if dataset.text is None or dataset.text not in dataset.table or not names:
        return dataset
    texts = strings_of(dataset.table.column(dataset.text))
    values = text.measure(texts, names=names, progress=progress)
    return _with_columns(dataset, text.ATTRIBUTES, values, kind=TEXT_KIND, version=text.VERSION)


def _with_columns(
    dataset: Dataset, attributes: Mapping[str, Attribute], values: Mapping[str, NDArray[Any]], *, kind: str,
    version: int,
) -> Dataset:  # fmt: skip
    columns = {name: _column(attributes[name], found) for name, found in values.items() if _differs(found)}
    source = Source(
        kind=kind,
        columns=tuple(columns),
        options={"version": version},
        fingerprint=hashlib.sha256(f"{kind} {version} {' '.join(columns)}".encode()).hexdigest()[:16],
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


def _column(attribute: Attribute, values: NDArray[Any]) -> Column:
    if attribute.kind == "category":
        present = np.unique(values[values >= 0])
        places = np.full(len(attribute.levels) + 1, -1, dtype=np.int32)  # the last place is that of -1, missing
        places[present] = np.arange(len(present))
        levels = tuple(attribute.levels[code] for code in present)
        return Column(kind="category", values=places[values], levels=levels, words=attribute.noun)
    return Column(
        kind="number", values=values, unit=attribute.unit or None, words=attribute.noun, integer=attribute.whole
    )
