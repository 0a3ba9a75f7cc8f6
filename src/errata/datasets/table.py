"""Tables: CSV, Parquet and JSONL files, dataframes, and mappings of arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from errata.core.columns import Column, Table
from errata.core.dataset import Dataset, SetAside
from errata.core.errors import UsageError
from errata.core.foreign import column_from
from errata.datasets.arrow import Reading, Words, column_of_arrow
from errata.datasets.assemble import assemble
from errata.datasets.content import Content
from errata.datasets.delimited import read_delimited, text_head
from errata.datasets.inputs import with_frame, with_inputs
from errata.datasets.pictures import pictures_of, readable
from errata.datasets.roles import Roles, said_columns
from errata.datasets.text import encodable

__all__ = ["read_columns", "read_frame", "read_table"]


def read_table(path: str | Path, roles: Roles | None = None) -> Dataset:
    """The rows of a `.csv`, `.tsv`, `.parquet` or `.jsonl` file (text may be gzipped), typed column by column.

    Parquet is read one column at a time, so that memory stays near one copy of the numbers. Raises UsageError for files
    that are empty, cut short, ragged, binary, or name a column twice, and for roles that do not fit.
    """
    path, roles = Path(path), roles or Roles()
    name = path.name.lower().removesuffix(".gz")
    if name.endswith((".parquet", ".pq")):
        taken = _collect(_parquet(path), roles, spelled=False)
    elif name.endswith((".jsonl", ".ndjson", ".json")):
        taken = _collect(_jsonl(path), roles, spelled=False)
    else:
        cells = read_delimited(path)
        notes = cells.notes
        pairs = _handed_over(cells.table)
        del cells
        taken = _collect(pairs, roles, spelled=True)
        taken.notes[:0] = notes
    pictures = None if roles.image is None else _pictures(taken, roles.image, path)
    stem = path.name.partition(".")[0]
    dataset = assemble(
        taken.columns, roles=roles, name=stem, origin=str(path), notes=taken.notes, aside=taken.aside, content=pictures
    )
    return with_inputs(dataset, dataset.input_names)


def read_frame(frame: Any, roles: Roles | None = None, *, name: str = "frame") -> Dataset:
    """The rows of a pandas, polars or pyarrow frame; models are given rows of this very frame.

    Raises UsageError for a lazy frame, repeated names, and roles that do not fit.
    """
    import narwhals as nw

    roles = roles or Roles()
    if not hasattr(frame, "collect"):
        _check_repeats(getattr(frame, "columns", None), name)
    try:
        opened = nw.from_native(frame, eager_only=True)
    except TypeError as error:
        if hasattr(frame, "collect"):
            raise UsageError("A lazy frame cannot be diagnosed.", hint="give `frame.collect()`.") from error
        raise UsageError(f"`{type(frame).__name__}` is no dataframe.", hint="pandas, polars or pyarrow.") from error
    # By place: a name of a pandas column may be a number or a tuple, which would be taken for rows.
    named = ((str(name), opened[:, place]) for place, name in enumerate(opened.columns))
    taken = _collect(named, roles, spelled=False)
    implementation = str(opened.implementation.value)
    native = implementation if implementation in ("pandas", "polars", "pyarrow") else "pandas"
    dataset = assemble(
        taken.columns, roles=roles, name=name, origin="frame", notes=taken.notes, aside=taken.aside, native=native
    )
    return with_frame(dataset, frame)


def read_columns(mapping: Mapping[str, Any], roles: Roles | None = None, *, name: str = "columns") -> Dataset:
    """The rows of a mapping from names to arrays of one length."""
    columns = {str(key): column_from(values, name=str(key)) for key, values in mapping.items()}
    lengths = {key: len(column) for key, column in columns.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"`{key}` {length}" for key, length in list(lengths.items())[:6])
        raise UsageError(f"Columns have different lengths: {listed}.", hint="give every row a value in every column.")
    dataset = assemble(columns, roles=roles or Roles(), name=name, origin=name)
    return with_inputs(dataset, dataset.input_names)


def _pictures(taken: _Taken, name: str, path: Path) -> Content:
    """The pictures that a column of file names points to; rows whose picture cannot be read are let go."""
    column = Table(taken.columns).column(name)
    names = [str(column.value(row)) for row in range(len(column))]
    tried = readable([path.parent / each for each in names], names, origin=f"{path}: {name}")
    kept = np.array([picture.at for picture in tried.found], dtype=np.int64)
    taken.columns = {key: values.take(kept) for key, values in taken.columns.items()}
    taken.notes.extend(tried.notes)
    taken.aside.append(SetAside(column=name, why="identifier: the name of the file"))
    return pictures_of(tried.found)


class _Taken:
    """Columns as they come in, with what is to be said of them."""

    def __init__(self) -> None:
        self.columns: dict[str, Column] = {}
        self.notes: list[str] = []
        self.aside: list[SetAside] = []


def _collect(named: Iterable[tuple[str, Any]], roles: Roles, *, spelled: bool) -> _Taken:
    taken = _Taken()
    coded = {column for option, column in said_columns(roles).items() if option not in ("text", "id")}
    for name, values in named:
        words: Words = "text" if name == roles.text else "category" if name in coded else "auto"
        reading = _column(values, name, words=words, spelled=spelled)
        if reading.note is not None:
            taken.notes.append(reading.note)
        if reading.column is not None:
            taken.columns[name] = reading.column
    return taken


def _handed_over(table: Any) -> Iterator[tuple[str, Any]]:
    """The columns of an arrow table, each let go of once it is taken, so that memory stays near one copy."""
    pairs = list(zip(table.column_names, table.itercolumns(), strict=True))[::-1]
    del table
    while pairs:
        yield pairs.pop()


def _column(values: Any, name: str, *, words: Words, spelled: bool) -> Reading:
    import pyarrow as pa

    if isinstance(values, pa.Array | pa.ChunkedArray):
        return column_of_arrow(values, name, words=words, spelled=spelled)
    try:
        arrow = values.to_arrow()
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, UnicodeEncodeError):
        # A pandas column of mixed objects: arrow has no type for it.
        try:
            return Reading(column=column_from(values.to_native(), name=name))
        except UsageError as error:
            # A column of lists or of objects, as arrow's own types of that kind: the others can still be read.
            return Reading(column=None, note=f"{str(error).splitlines()[0].rstrip('.')} and is left out.")
    return column_of_arrow(arrow, name, words=words, spelled=spelled)


def _check_repeats(names: Any, origin: str) -> None:
    if names is None or callable(names):
        return
    seen: set[str] = set()
    for name in map(str, names):
        if name in seen:
            raise UsageError(f"`{origin}` has two columns named `{name}`.", hint="give every column a name of its own.")
        seen.add(name)


def _parquet(path: Path) -> Iterable[tuple[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq
    import pyarrow.types as kinds

    try:
        with pq.ParquetFile(path) as peek:
            schema = peek.schema_arrow
        _check_repeats(schema.names, str(path))
        words = [field.name for field in schema if kinds.is_string(field.type) or kinds.is_large_string(field.type)]
        with pq.ParquetFile(path, read_dictionary=words) as file:
            if file.metadata.num_rows == 0:
                raise UsageError(f"`{path}` has no rows.", hint="give at least one row of data.")
            for field in schema:
                yield field.name, file.read(columns=[field.name]).column(field.name)
    except (pa.ArrowException, OSError) as error:
        first = str(error).splitlines()[0].rstrip(".")
        raise UsageError(f"`{path}` cannot be read as Parquet: {first}.", hint="is the file whole?") from error


def _jsonl(path: Path) -> Iterable[tuple[str, Any]]:
    import pyarrow as pa
    from pyarrow import json as arrow_json

    head = text_head(path)
    if head.lstrip()[:1] == b"[":
        raise UsageError(f"`{path}` is one JSON list.", hint="write one object per line (.jsonl).")
    packed = path.open("rb").read(2) == b"\x1f\x8b"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] != b"{":
        # pyarrow 26 crashes the process where the first line is `null`.
        yield from _jsonl_line_by_line(path, packed=packed).items()
        return
    try:
        with pa.input_stream(str(path), compression="gzip" if packed else None) as stream:
            table = arrow_json.read_json(stream, read_options=arrow_json.ReadOptions(block_size=1 << 26))
    except pa.ArrowInvalid:
        yield from _jsonl_line_by_line(path, packed=packed).items()
        return
    yield from zip(table.column_names, table.itercolumns(), strict=True)


def _jsonl_line_by_line(path: Path, *, packed: bool) -> dict[str, Any]:
    """For files whose types change from line to line, and to say which line is wrong."""
    import gzip
    import json

    import pyarrow as pa

    cells: dict[str, list[Any]] = {}
    count = 0
    with gzip.open(path, "rb") if packed else path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UsageError(f"`{path}` line {number} is not JSON: {error}.", hint="an object a line.") from error
            if not isinstance(row, dict):
                raise UsageError(f"`{path}` line {number} is no object.", hint='one object per line: {"age": 3}.')
            for name, value in row.items():
                column = cells.setdefault(encodable(name), [None] * count)
                column.append(None if isinstance(value, list | dict) else value)
            count += 1
            for column in cells.values():
                column.extend([None] * (count - len(column)))
    arrays: dict[str, Any] = {}
    for name, values in cells.items():
        try:
            arrays[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError):
            arrays[name] = pa.array([None if value is None else encodable(str(value)) for value in values])
    return arrays
