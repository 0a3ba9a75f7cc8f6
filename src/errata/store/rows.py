"""`evaluation.parquet` and `members.parquet`: every row of a run, written in row groups and read column by column."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from errata.core.codec import decode, encode
from errata.core.columns import Bool, Column, Kind, Table
from errata.core.dataset import Dataset, SetAside
from errata.core.errors import CannotRunError
from errata.core.evaluation import FOLDS, Evaluation
from errata.core.model import ModelSpec
from errata.core.source import Source
from errata.store.arrow import from_arrow, note, numpy_values, plain_array, to_arrow

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["StoredColumns", "StoredMembers", "read_evaluation", "write_evaluation", "write_members"]

ROW_GROUP = 1 << 18
"""Rows of a row group: 2 MB a column, so that a block of fifty columns stays near 100 MB."""

OURS = "errata:"
_NOTE = b"errata"

_DATASET = (
    "name", "modality", "label", "prediction", "scores", "score_classes", "id", "group", "time", "split", "input_names",
    "text", "set_aside", "caveats", "fingerprint", "native", "origin",
)  # fmt: skip
_EVALUATION = (
    "model", "task", "metric", "classes", "features", "outputs", "set_aside", "predictions", "caveats", "fingerprint",
    "positive",
)  # fmt: skip


def write_evaluation(evaluation: Evaluation, path: Path, arrays: Path) -> None:
    """Write every row: the data's columns under their own names, what Errata adds as `errata:NAME`.

    Embeddings lie beside the file, as `arrays/NAME.npy`.
    """
    table = evaluation.dataset.table
    flat = {name: column for name, column in table.columns.items() if column.kind != "embedding"}
    embeddings = {name: column for name, column in table.columns.items() if column.kind == "embedding"}
    stored = _free_names(flat)
    columns = {stored[name]: column for name, column in flat.items()} | _added(evaluation)
    notes = {name: note(column) for name, column in columns.items()}
    files = {name: f"{index:02d}.npy" for index, name in enumerate(embeddings)}
    for name, column in embeddings.items():
        arrays.mkdir(parents=True, exist_ok=True)
        np.save(arrays / files[name], column.values, allow_pickle=False)
    said = {
        "schema": 1,
        "order": list(table.names),
        "stored": stored,
        "arrays": files,
        "notes": notes,
        "dataset": {name: encode(getattr(evaluation.dataset, name)) for name in _DATASET},
        "evaluation": {name: encode(getattr(evaluation, name)) for name in _EVALUATION},
    }
    _write(columns, notes, len(evaluation.dataset), path, json.dumps(said, allow_nan=False))


def _free_names(names: Mapping[str, Column]) -> dict[str, str]:
    """Under which name each column of the data is stored: its own, unless it looks like one of ours."""
    taken = set(names)
    stored = {}
    for name in names:
        free = name
        while free.startswith(OURS) or (free != name and free in taken):
            free = f"data:{free}"
        stored[name] = free
    return stored


def _added(evaluation: Evaluation) -> dict[str, Column]:
    """The columns that Errata adds to the data's own."""
    dataset = evaluation.dataset
    added = {
        "id_hash": _raw(dataset.id_hash),
        "occurrence": _raw(dataset.occurrence),
        "label": _outcome(evaluation, evaluation.labels),
        "prediction": _outcome(evaluation, evaluation.predicted),
        "loss": _raw(evaluation.loss),
        "stratum": _raw(evaluation.stratum),
        "fold": fold_column(evaluation),
        "counted": Column(kind="boolean", values=evaluation.counted.view(np.int8)),
    }
    if evaluation.task == "classification":
        known = (evaluation.labels >= 0) & (evaluation.predicted >= 0)
        wrong = np.where(known, evaluation.labels != evaluation.predicted, -1).astype(np.int8)
        added["wrong"] = Column(kind="boolean", values=wrong)
    if evaluation.group is not None:
        added["group"] = _raw(evaluation.group)
    if evaluation.scores is not None:
        added["scores"] = Column(kind="scores", values=evaluation.scores)
    if evaluation.cross is not None:
        added["cross"] = _raw(evaluation.cross)
    return {OURS + name: column for name, column in added.items()}


def _raw(values: NDArray[np.generic]) -> Column:
    """An array that is stored as it is; integers of any width included."""
    return Column(kind="number", values=values, integer=False)


def _outcome(evaluation: Evaluation, values: NDArray[Any]) -> Column:
    if evaluation.task == "regression":
        return _raw(values)
    return Column(kind="category", values=values, levels=evaluation.classes)


def fold_column(evaluation: Evaluation) -> Column:
    """The fold of every row in words, missing for rows left out."""
    return Column(kind="category", values=evaluation.fold.astype(np.int32), levels=tuple(FOLDS.values()))


def cross_column(cross: NDArray[np.int8]) -> Column:
    """The fold in which each row of a cross-confirmation was judged, "cross:1" on; missing for the others."""
    levels = tuple(f"cross:{fold + 1}" for fold in range(int(cross.max(initial=-1)) + 1))
    return Column(kind="category", values=cross.astype(np.int32), levels=levels)


def write_members(evaluation: Evaluation, members: Mapping[str, Bool], path: Path) -> None:
    """Write `id`, `fold` and one boolean column per finding id; every row, in the order of the data."""
    dataset = evaluation.dataset
    columns = {"fold": fold_column(evaluation) if evaluation.cross is None else cross_column(evaluation.cross)}
    for name, mask in members.items():
        columns[name] = Column(kind="boolean", values=np.ascontiguousarray(mask).view(np.int8))
    notes = {name: note(column) for name, column in columns.items()}
    if dataset.id is not None:
        own = dataset.table.column(dataset.id)
        columns, notes = {"id": own, **columns}, {"id": note(own), **notes}
        _write(columns, notes, len(dataset), path, "{}")
    else:
        _write(columns, notes, len(dataset), path, "{}", ids=lambda start, stop: hash_ids(dataset, start, stop))


def hash_ids(dataset: Dataset, start: int, stop: int) -> pa.Array:
    """The ids of some rows without an id column, as `Dataset.ids` words them, sixteen hexadecimal digits at a time."""
    import pyarrow as pa

    digits = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
    octets = dataset.id_hash[start:stop].astype(">u8").view(np.uint8).reshape(-1, 8)
    text = np.empty((stop - start, 16), dtype=np.uint8)
    text[:, 0::2], text[:, 1::2] = digits[octets >> 4], digits[octets & 15]
    again = np.flatnonzero(dataset.occurrence[start:stop])
    if len(again):
        words: list[str | None] = [bytes(row).decode() for row in text]
        for row in again:
            words[row] = f"{words[row]}-{dataset.occurrence[start + row]}"
        return to_arrow(Column.strings(words), 0, len(words), {})
    offsets = np.arange(stop - start + 1, dtype=np.int64) * 16
    return pa.Array.from_buffers(pa.large_string(), stop - start, [None, pa.py_buffer(offsets), pa.py_buffer(text)])


def _write(
    columns: Mapping[str, Column],
    notes: Mapping[str, Mapping[str, Any]],
    n: int,
    path: Path,
    said: str,
    *,
    ids: Callable[[int, int], pa.Array] | None = None,
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def block(start: int, stop: int) -> pa.Table:
        first = {} if ids is None else {"id": ids(start, stop)}
        return pa.table(first | {name: _array(column, start, stop, notes[name]) for name, column in columns.items()})

    schema = block(0, 0).schema.with_metadata({_NOTE: said.encode()})
    # Measured numbers hardly repeat: a dictionary of them only costs time.
    worded = [name for name, column in columns.items() if column.kind in ("category", "text")]
    with pq.ParquetWriter(path, schema, use_dictionary=worded, compression="lz4") as writer:
        for start in range(0, n, ROW_GROUP):
            writer.write_table(block(start, min(start + ROW_GROUP, n)), row_group_size=ROW_GROUP)


def _array(column: Column, start: int, stop: int, said: Mapping[str, Any]) -> pa.Array:
    if column.kind == "number" and not np.issubdtype(column.values.dtype, np.floating):
        return plain_array(column.values[start:stop])
    return to_arrow(column, start, stop, said)


def read_evaluation(
    path: Path, *, sources: Sequence[Source] = (), image: Callable[[int], NDArray[np.uint8]] | None = None
) -> Evaluation:
    """The evaluation that `write_evaluation` wrote; the data's columns are read when somebody asks for them."""
    rows = _Rows(path)
    dataset = Dataset(
        table=Table(StoredColumns(rows)), id_hash=rows.ours("id_hash"), occurrence=rows.ours("occurrence"),
        sources=tuple(sources), image=image, **_fields(rows.said["dataset"]),
    )  # fmt: skip
    return Evaluation(
        dataset=dataset,
        labels=rows.ours("label"),
        predicted=rows.ours("prediction"),
        scores=rows.ours("scores") if rows.has("scores") else None,
        loss=rows.ours("loss"),
        stratum=rows.ours("stratum"),
        fold=rows.ours("fold").astype(np.int8),
        counted=rows.ours("counted") == 1,
        group=rows.ours("group") if rows.has("group") else None,
        cross=rows.ours("cross").astype(np.int8) if rows.has("cross") else None,
        **_fields(rows.said["evaluation"]),
    )


def _fields(plain: Mapping[str, Any]) -> dict[str, Any]:
    """The small fields of a dataset or an evaluation as the records they were."""
    known = {name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}
    known["set_aside"] = tuple(decode(item, SetAside) for item in plain["set_aside"])
    if plain.get("model") is not None:
        known["model"] = decode(plain["model"], ModelSpec)
    return known


class _Rows:
    """An open `evaluation.parquet`."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self.path = path
        self.file = pq.ParquetFile(path, memory_map=True)
        footer = self.file.schema_arrow.metadata or {}
        if _NOTE not in footer:
            raise CannotRunError(f"`{path}` was not written by Errata.", hint="run the command again with --force.")
        self.said: dict[str, Any] = json.loads(footer[_NOTE])

    def has(self, name: str) -> bool:
        return OURS + name in self.said["notes"]

    def ours(self, name: str) -> Any:
        """The values of a column that Errata added."""
        return self.read(OURS + name).values

    def read(self, stored: str) -> Column:
        return from_arrow(read_column(self.file, stored), self.said["notes"][stored])


def read_column(file: Any, name: str) -> pa.ChunkedArray:
    """One column of an open Parquet file; asking for `a` also reads `a.b`, so it is picked by its exact name."""
    return file.read(columns=[name]).column(name)


class StoredColumns(Mapping[str, Column]):
    """The data's columns of a saved run, each read on first use."""

    def __init__(self, rows: _Rows) -> None:
        self._rows = rows
        self._read: dict[str, Column] = {}

    def __getitem__(self, name: str) -> Column:
        if name not in self._read:
            said = self._rows.said
            if name in said["arrays"]:
                path = self._rows.path.parent / "arrays" / said["arrays"][name]
                values = np.load(path, mmap_mode="r", allow_pickle=False)
                self._read[name] = Column(kind="embedding", values=values)
            else:
                self._read[name] = self._rows.read(said["stored"][name])
        return self._read[name]

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """The kind of every column, known without reading any."""
        said = self._rows.said
        kinds: dict[str, Kind] = {name: said["notes"][stored]["kind"] for name, stored in said["stored"].items()}
        return kinds | dict.fromkeys(said["arrays"], "embedding")

    def __contains__(self, name: object) -> bool:
        return name in self._rows.said["stored"] or name in self._rows.said["arrays"]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows.said["order"])

    def __len__(self) -> int:
        return len(self._rows.said["order"])


class StoredMembers(Mapping[str, Bool]):
    """The members of a saved run's findings, (N,) bool each, read when asked for."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self._file = pq.ParquetFile(path, memory_map=True)
        self._names = [name for name in self._file.schema_arrow.names if name not in ("id", "fold")]

    def __getitem__(self, name: str) -> Bool:
        if name not in self._names:
            raise KeyError(name)
        return np.asarray(numpy_values(read_column(self._file, name).cast("int8")) == 1)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
