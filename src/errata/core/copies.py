"""Copies: rows that are one observation written down twice, and so count once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Column
from errata.core.dataset import Dataset
from errata.core.hashing import Hashes, column_hash, keyed, repeats, row_hash

__all__ = ["Copies", "copies", "identity_columns"]

_SAMPLE = 20_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Copies:
    """Which rows are copies of an earlier one.

    counted  (N,) bool: false for every copy but the first
    first    (N,) int64: the row of the first copy, the row itself where it has none
    number   how many rows are not counted
    near     how many of those are near-duplicates, whose bytes differ from those of the first
    note     what a reader should know, None when no two rows are equal
    """

    counted: Bool
    first: NDArray[np.int64]
    number: int
    near: int = 0
    note: str | None = None


def identity_columns(dataset: Dataset, *, outputs: tuple[str, ...] = ()) -> dict[str, Column]:
    """The columns that say what a row is: all but the label, the model's output, ids, the split and those set aside."""
    roles = {dataset.label, dataset.prediction, dataset.id, dataset.split, *dataset.scores, *outputs}
    away = roles | {item.column for item in dataset.set_aside}
    return {name: dataset.table.column(name) for name in dataset.table if name not in away}


def copies(
    dataset: Dataset, *, outputs: tuple[str, ...] = (), eligible: Bool | None = None, near: Hashes | None = None
) -> Copies:
    """Rows with equal inputs and label, where some column is fine enough to tell observations apart.

    Fine enough: more values than half the number of distinct rows. Images and arrays are copies when their bytes are
    equal. `outputs` are columns with the model's output, which do not make rows differ; rows that are not eligible are
    neither copies nor have any. `near` are keys that near-duplicates share: with them, rows of equal key and label are
    copies too, and the one of the lowest content hash is the first, whatever the order of rows.
    """
    if near is not None and dataset.content_hash is not None:
        return _near_copies(dataset, dataset.content_hash, near, eligible)
    n = len(dataset)
    rows = np.arange(n) if eligible is None else np.flatnonzero(eligible)
    alike = _candidates(dataset, outputs, rows)
    first = np.arange(n, dtype=np.int64)
    if not len(alike):
        return Copies(counted=np.ones(n, dtype=bool), first=first, number=0)
    key = _exact(dataset, outputs, alike)
    if dataset.label is not None:
        key = keyed(key ^ column_hash(dataset.table.column(dataset.label).take(alike)), seed="label")
    _, index, inverse = np.unique(key, return_index=True, return_inverse=True)
    first[alike] = alike[index[inverse]]
    counted = first == np.arange(n)
    number = int(n - counted.sum())
    distinct = len(rows) - number
    if number == 0:
        return Copies(counted=counted, first=first, number=0)
    if dataset.content_hash is None and not _fine(dataset, outputs, rows[counted[rows]], distinct):
        note = (
            f"{number:,} rows equal another in inputs and label; no column is fine enough to tell copies from chance, "
            "so they count as independent rows."
        )
        return Copies(counted=np.ones(n, dtype=bool), first=np.arange(n, dtype=np.int64), number=0, note=note)
    what = "equal inputs and label" if dataset.content_hash is None else "equal bytes and label"
    note = f"{number:,} rows are copies of another ({what}): they share its fold and are not counted."
    if number == 1:
        note = f"1 row is a copy of another ({what}): it shares its fold and is not counted."
    return Copies(counted=counted, first=first, number=number, note=note)


def _near_copies(dataset: Dataset, content: Hashes, near: Hashes, eligible: Bool | None) -> Copies:
    n = len(dataset)
    rows = np.arange(n) if eligible is None else np.flatnonzero(eligible)
    alike = rows[repeats(near[rows])]
    key = near[alike]
    if dataset.label is not None:
        key = keyed(key ^ column_hash(dataset.table.column(dataset.label).take(alike)), seed="label")
    order = np.lexsort((alike, content[alike], key))
    alike, key = alike[order], key[order]
    _, index, inverse = np.unique(key, return_index=True, return_inverse=True)
    first = np.arange(n, dtype=np.int64)
    first[alike] = alike[index[inverse]]
    counted = first == np.arange(n)
    number = int(n - counted.sum())
    other = int((content != content[first]).sum())
    return Copies(counted=counted, first=first, number=number, near=other, note=_near_note(dataset, number, other))


def _near_note(dataset: Dataset, number: int, near: int) -> str | None:
    if number == 0:
        return None
    how = "their pictures agree" if dataset.image is not None else "they differ in case, spaces or punctuation alone"
    also = f", {near:,} of them near-duplicates ({how})" if near else ""
    if number == 1:
        kind = "a near-duplicate" if near else "a copy"
        return f"1 row is {kind} of another with the same label: it shares its fold and is not counted."
    return f"{number:,} rows are copies of another with the same label{also}: they share its fold and are not counted."


def _candidates(dataset: Dataset, outputs: tuple[str, ...], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows whose cheap key another row shares; ids are made of the inputs unless the user named an id column."""
    if dataset.content_hash is not None:
        key = dataset.content_hash
    elif dataset.id is None:
        key = dataset.id_hash
        if not dataset.occurrence.any():
            return rows[:0]
    else:
        key = row_hash(identity_columns(dataset, outputs=outputs))
        if not len(key):
            return rows[:0]
    return rows[repeats(key[rows])]


def _exact(dataset: Dataset, outputs: tuple[str, ...], rows: NDArray[np.int64]) -> Hashes:
    if dataset.content_hash is not None:
        return dataset.content_hash[rows]
    parts = {name: column.take(rows) for name, column in identity_columns(dataset, outputs=outputs).items()}
    return row_hash(parts) if parts else dataset.id_hash[rows]


def _fine(dataset: Dataset, outputs: tuple[str, ...], rows: NDArray[np.int64], distinct: int) -> bool:
    """Whether some column has more values than half the number of distinct rows."""
    sample = rows[:: max(1, len(rows) // _SAMPLE)]
    for column in identity_columns(dataset, outputs=outputs).values():
        if column.kind in ("category", "boolean") and len(column.levels) + 1 <= distinct / 2:
            continue
        # A sample has at least the whole's share of different values, so a coarse sample settles it.
        if len(np.unique(column_hash(column.take(sample)))) <= 0.4 * len(sample):
            continue
        if len(np.unique(column_hash(column.take(rows)))) > distinct / 2:
            return True
    return False
