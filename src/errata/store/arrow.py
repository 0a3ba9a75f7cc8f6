"""Columns to Arrow arrays and back, block by block, so that a table is written without a second copy of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from errata.core.columns import Column, Level

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["from_arrow", "note", "to_arrow"]

MOST_LEVELS = 4096
"""Levels keep their order up to this many; beyond, they come back sorted, so that a file's footer stays small."""

_BLOCK = 1 << 18
_WHOLE_IN_FLOAT64 = 2.0**53


def note(column: Column) -> dict[str, Any]:
    """What an Arrow array does not say of a column, as plain JSON values; `to_arrow` and `from_arrow` read it."""
    said: dict[str, Any] = {"kind": column.kind}
    if column.kind == "category":
        # Arrow holds levels of one type; mixed ones travel as words, and the types lie here.
        said["as_text"] = len({type(level) for level in column.levels}) > 1
        if said["as_text"] or len(column.levels) <= MOST_LEVELS:
            said["levels"] = list(column.levels)
    if column.kind in ("number", "datetime", "scores", "embedding"):
        said["dtype"] = str(column.values.dtype)
    if column.integer:
        said["integer"] = True
        said["int64"] = _whole(column.values)
    return said | {name: value for name in ("unit", "words") if (value := getattr(column, name)) is not None}


def to_arrow(column: Column, start: int, stop: int, said: Mapping[str, Any]) -> pa.Array:
    """Rows `start` to `stop` of a column as an Arrow array, missing as null; `said` is the column's `note`."""
    import pyarrow as pa

    if column.kind == "text":
        return _text_to_arrow(column, start, stop)
    values: Any = column.values[start:stop]
    if column.kind == "category":
        levels = [str(level) for level in column.levels] if said["as_text"] else list(column.levels)
        dictionary = pa.array(levels, type=None if levels else pa.string())
        return pa.DictionaryArray.from_arrays(pa.array(values, mask=values < 0), dictionary)
    if column.kind == "boolean":
        return pa.array(values == 1, mask=values < 0)
    if column.kind == "datetime":
        known = np.datetime_data(values.dtype)[0] in ("D", "s", "ms", "us", "ns")
        return pa.array(values if known else values.astype("datetime64[s]"))
    if column.kind in ("scores", "embedding"):
        return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values).ravel()), values.shape[1])
    missing = np.isnan(values)
    if said.get("int64"):
        return pa.array(np.where(missing, 0, values).astype(np.int64), mask=missing)
    return pa.array(values, mask=missing)


def from_arrow(array: pa.ChunkedArray, said: Mapping[str, Any]) -> Column:
    """The column that `to_arrow` wrote."""
    kind = said["kind"]
    more: dict[str, Any] = {name: said[name] for name in ("unit", "words") if name in said}
    if kind == "text":
        return _text_from_arrow(array, more)
    if kind == "category":
        return _category_from_arrow(array, said, more)
    if kind == "boolean":
        return Column(kind=kind, values=array.cast("int8").fill_null(-1).to_numpy(), **more)
    if kind in ("scores", "embedding"):
        flat = array.combine_chunks().flatten().to_numpy(zero_copy_only=False)
        values = flat.reshape(len(array), array.type.list_size)
    else:
        values = array.to_numpy()
    return Column(
        kind=kind, values=values.astype(said["dtype"], copy=False), integer=said.get("integer", False), **more
    )


def _whole(values: Any) -> bool:
    """True where every number of the column is whole and so small that int64 and float64 agree."""
    for start in range(0, len(values), _BLOCK):
        block = values[start : start + _BLOCK]
        block = block[~np.isnan(block)]
        if not bool(np.all((np.rint(block) == block) & (np.abs(block) <= _WHOLE_IN_FLOAT64))):
            return False
    return True


def _text_to_arrow(column: Column, start: int, stop: int) -> pa.Array:
    import pyarrow as pa

    assert column.offsets is not None
    cuts = column.offsets[start : stop + 1]
    offsets = (cuts - cuts[0]).astype(np.int64)
    pieces = np.ascontiguousarray(column.values[cuts[0] : cuts[-1]])
    mask = None
    if column.absent is not None:
        mask = pa.py_buffer(np.packbits(~column.absent[start:stop], bitorder="little").tobytes())
    buffers = [mask, pa.py_buffer(offsets.tobytes()), pa.py_buffer(pieces.tobytes())]
    return pa.Array.from_buffers(pa.large_string(), stop - start, buffers)


def _text_from_arrow(array: pa.ChunkedArray, more: Mapping[str, Any]) -> Column:
    import pyarrow as pa

    whole = array.cast(pa.large_string()).combine_chunks()
    absent = whole.is_null().to_numpy(zero_copy_only=False)
    whole = whole.fill_null("")
    _, offsets, pieces = whole.buffers()
    cuts = np.frombuffer(offsets, dtype=np.int64)[whole.offset : whole.offset + len(whole) + 1]
    values = np.frombuffer(pieces, dtype=np.uint8) if pieces is not None else np.empty(0, dtype=np.uint8)
    values = values[cuts[0] : cuts[-1]]
    return Column(kind="text", values=values, offsets=cuts - cuts[0], absent=absent, **more)


def _category_from_arrow(array: pa.ChunkedArray, said: Mapping[str, Any], more: Mapping[str, Any]) -> Column:
    import pyarrow as pa

    # Parquet gives dictionaries of words back as such, those of numbers as plain numbers.
    worded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    whole = worded.unify_dictionaries().combine_chunks()
    found: list[Any] = whole.dictionary.to_pylist()
    levels = _levels(found, said)
    place = {str(level) if said["as_text"] else level: code for code, level in enumerate(levels)}
    recode = np.array([*(place[level] for level in found), -1], dtype=np.int32)
    codes = whole.indices.fill_null(len(found)).to_numpy(zero_copy_only=False)
    return Column(kind="category", values=recode[codes], levels=levels, **more)


def _levels(found: Sequence[Any], said: Mapping[str, Any]) -> tuple[Level, ...]:
    if "levels" in said:
        return tuple(said["levels"])
    return tuple(sorted(found, key=lambda level: (isinstance(level, str), level)))
