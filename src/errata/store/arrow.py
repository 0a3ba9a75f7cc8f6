"""Columns to Arrow arrays and back, block by block, so that a table is written without a second copy of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Column, Level

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["from_arrow", "note", "plain_array", "to_arrow"]

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
        # A level that stands for none: Arrow wants a dictionary even where every value is missing.
        levels = [str(level) for level in column.levels] if said["as_text"] else list(column.levels or ("",))
        return pa.DictionaryArray.from_arrays(plain_array(values, values < 0), _level_array(levels))
    if column.kind == "boolean":
        return plain_array(values == 1, values < 0)
    if column.kind == "datetime":
        known = np.datetime_data(values.dtype)[0] in ("s", "ms", "us", "ns")
        return plain_array(values if known else values.astype("datetime64[s]"), np.isnat(values))
    if column.kind in ("scores", "embedding"):
        return pa.FixedSizeListArray.from_arrays(plain_array(values.ravel()), values.shape[1])
    missing = np.isnan(values)
    if said.get("int64"):
        return plain_array(np.where(missing, 0, values).astype(np.int64), missing)
    return plain_array(values, missing)


def plain_array(values: NDArray[Any], missing: Bool | None = None) -> pa.Array:
    """A numpy array as an Arrow array without a look at pandas, which `pa.array` would import to ask for its type."""
    import pyarrow as pa

    kind = pa.from_numpy_dtype(values.dtype)
    if values.dtype == bool:
        content = np.packbits(values, bitorder="little")
    else:
        content = np.ascontiguousarray(values)
        content = content.view(np.int64) if values.dtype.kind == "M" else content
    valid = None
    if missing is not None and missing.any():
        valid = pa.py_buffer(np.packbits(~missing, bitorder="little"))
    return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(content)])


def _level_array(levels: Sequence[Level]) -> pa.Array:
    if isinstance(levels[0], str):
        words = Column.strings([str(level) for level in levels])
        return _text_to_arrow(words, 0, len(levels)).cast("string")
    return plain_array(np.array(levels))


def from_arrow(array: pa.ChunkedArray, said: Mapping[str, Any]) -> Column:
    """The column that `to_arrow` wrote."""
    kind = said["kind"]
    more: dict[str, Any] = {name: said[name] for name in ("unit", "words") if name in said}
    if kind == "text":
        return _text_from_arrow(array, more)
    if kind == "category":
        return _category_from_arrow(array, said, more)
    if kind == "boolean":
        values = numpy_values(array.cast("int8"))
        return Column(kind=kind, values=np.where(missing_values(array), np.int8(-1), values), **more)
    if kind in ("scores", "embedding"):
        flat = numpy_values(array.combine_chunks().flatten())
        return Column(kind=kind, values=flat.reshape(len(array), array.type.list_size), **more)
    values = numpy_values(array)
    if array.null_count:
        values = values.astype(said["dtype"], copy=values.dtype.kind == said["dtype"][0])
        values[missing_values(array)] = np.datetime64("NaT") if kind == "datetime" else np.nan
    values = values.astype(said["dtype"], copy=False)
    return Column(kind=kind, values=values, integer=said.get("integer", False), **more)


def numpy_values(array: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """The values of an Arrow array of numbers or times, anything where one is missing; pandas is not asked."""
    chunks = getattr(array, "chunks", [array])
    dtype = _dtype(array.type)
    pieces = [
        np.frombuffer(chunk.buffers()[1], dtype=dtype, count=len(chunk), offset=chunk.offset * dtype.itemsize)
        for chunk in chunks if len(chunk)
    ]  # fmt: skip
    return pieces[0] if len(pieces) == 1 else np.concatenate([np.empty(0, dtype=dtype), *pieces])


def missing_values(array: pa.Array | pa.ChunkedArray) -> Bool:
    """(n,) bool, true where an Arrow array has no value."""
    found = []
    for chunk in getattr(array, "chunks", [array]):
        bitmap = chunk.buffers()[0]
        if bitmap is None:
            found.append(np.zeros(len(chunk), dtype=bool))
            continue
        bits = np.unpackbits(np.frombuffer(bitmap, dtype=np.uint8), bitorder="little")
        found.append(bits[chunk.offset : chunk.offset + len(chunk)] == 0)
    return np.concatenate([np.zeros(0, dtype=bool), *found])


def _dtype(kind: pa.DataType) -> np.dtype[Any]:
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return np.dtype(f"datetime64[{kind.unit}]")
    named: np.dtype[Any] = np.dtype(kind.to_pandas_dtype())
    return named


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
        mask = pa.py_buffer(np.packbits(~column.absent[start:stop], bitorder="little"))
    buffers = [mask, pa.py_buffer(offsets), pa.py_buffer(pieces)]
    return pa.Array.from_buffers(pa.large_string(), stop - start, buffers)


def _text_from_arrow(array: pa.ChunkedArray, more: Mapping[str, Any]) -> Column:
    import pyarrow as pa

    whole = array.cast(pa.large_string()).combine_chunks()
    absent = missing_values(whole)
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
    recode = np.array([*(place.get(level, -1) for level in found), -1], dtype=np.int32)
    codes = np.where(missing_values(whole), len(found), numpy_values(whole.indices))
    return Column(kind="category", values=recode[codes], levels=levels, **more)


def _levels(found: Sequence[Any], said: Mapping[str, Any]) -> tuple[Level, ...]:
    if "levels" in said:
        return tuple(said["levels"])
    return tuple(sorted(found, key=lambda level: (isinstance(level, str), level)))
