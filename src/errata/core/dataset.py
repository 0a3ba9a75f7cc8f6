"""A dataset: examples with stable ids, labels, metadata columns, groups, time and splits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Int, Table, indices
from errata.core.model import Inputs
from errata.core.source import Source

__all__ = ["Dataset", "Modality", "SetAside"]

Modality = Literal["table", "image", "array", "text"]


@dataclass(frozen=True, kw_only=True)
class SetAside:
    """A column that rules may not read, and why."""

    column: str
    why: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Examples, one row each; what is heavy (pixels) is read when asked for.

    table        every column as read, under its own name: inputs, metadata, label, prediction, scores
    id_hash      (n,) uint64: of the `--id` column, or of the inputs alone (never label, prediction or scores)
    occurrence   (n,) uint32: how often the same id_hash came before; always 0 with an `--id` column
    label, prediction, id, group, time, split
                 names of columns in `table` with that role, None where there is none
    scores       names of the score columns in the order of `score_classes`
    read         gives a batch of model inputs for row indices (m,); None for predictions-only data
    image        gives one image as (h, w) or (h, w, 3) uint8 for a row; None where there are no pictures
    text         the column of kind text that is the input of every row; `read` then gives a list of str
    content_hash (n,) uint64 of the bytes of the input (image files, arrays, texts); None for tables
    input_names  columns that a table model takes; () means all columns without another role
    native       "pandas", "polars" or "pyarrow": what `to_frame` gives back; None where no dataframe was brought
    """

    name: str
    modality: Modality
    table: Table
    id_hash: NDArray[np.uint64]
    occurrence: NDArray[np.uint32]
    label: str | None = None
    prediction: str | None = None
    scores: tuple[str, ...] = ()
    score_classes: tuple[str, ...] = ()
    id: str | None = None
    group: str | None = None
    time: str | None = None
    split: str | None = None
    input_names: tuple[str, ...] = ()
    read: Callable[[Int], Inputs] | None = None
    image: Callable[[int], NDArray[np.uint8]] | None = None
    text: str | None = None
    content_hash: NDArray[np.uint64] | None = None
    sources: tuple[Source, ...] = ()
    set_aside: tuple[SetAside, ...] = ()
    caveats: tuple[str, ...] = ()
    fingerprint: str = ""
    native: str | None = None
    origin: str = ""
    """What the user typed: a path, `sample:digits`, or "frame"."""

    def __len__(self) -> int:
        return len(self.id_hash)

    def __repr__(self) -> str:
        return f"<Dataset {self.name}: {len(self):,} rows, {len(self.table.names)} columns>"

    def _repr_html_(self) -> str:
        from errata.report.notebook import dataset_html

        return dataset_html(self)

    @property
    def metadata(self) -> tuple[str, ...]:
        """The category and boolean columns that came with the data and have no other role; none is measured."""
        roles = {self.label, self.prediction, self.id, self.group, self.time, self.split, self.text, *self.scores}
        measured = {name for source in self.sources for name in source.columns}
        return tuple(
            name for name in self.table
            if name not in roles | measured and self.table.kind_of(name) in ("category", "boolean")
        )  # fmt: skip

    def ids(self, rows: Int | Bool | None = None) -> list[str]:
        """The ids of some rows (all when None), as shown to people and written to files."""
        chosen = np.arange(len(self)) if rows is None else indices(rows)
        if self.id is not None:
            column = self.table.column(self.id)
            return [str(column.value(int(row))) for row in chosen]
        pairs = zip(self.id_hash[chosen].tolist(), self.occurrence[chosen].tolist(), strict=True)
        return [f"{key:016x}" if again == 0 else f"{key:016x}-{again}" for key, again in pairs]

    def with_table(self, table: Table, *, sources: tuple[Source, ...] = ()) -> Dataset:
        """The same rows with other columns, such as measured attributes added."""
        return replace(self, table=table, sources=self.sources + sources)
