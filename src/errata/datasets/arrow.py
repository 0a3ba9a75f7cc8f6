"""Arrow arrays as columns: the one way in for CSV, Parquet, JSONL and the dataframe libraries."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from errata.core.columns import Column, Level
from errata.core.foreign import plain_level

__all__ = ["Reading", "Words", "column_of_arrow"]

Words = Literal["auto", "category", "text"]

FEW_LEVELS: Final = 1_000
"""Words with at most so many different values are categories, whatever the number of rows."""
MOST_LEVELS: Final = 100_000
_NUMERAL = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")
_STAND_INS: Final = frozenset({
    "?", "-", "--", ".", "..", "*", "na", "n/a", "nan", "none", "null", "nil", "missing", "unknown", "not available",
    "#n/a", "#value!", "inf", "-inf",
})  # fmt: skip
_EXACT: Final = 2**53


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """A column, or why there is none; `note` is what a reader should know of it."""

    column: Column | None
    note: str | None = None


def column_of_arrow(values: Any, name: str, *, words: Words = "auto", spelled: bool = False) -> Reading:
    """One arrow array (chunked or not) as a column.

    words    "category" however many they are (labels, predictions, groups), "text" always, "auto" by their number
    spelled  the type was read from text, so that numbers among stand-ins such as `?` are numbers
    """
    import pyarrow as pa
    import pyarrow.types as kinds

    chunked = values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values])
    kind = chunked.type
    if kinds.is_dictionary(kind):
        return _dictionary(chunked, name, words=words, spelled=spelled)
    if kinds.is_boolean(kind):
        return Reading(column=Column(kind="boolean", values=_fill(chunked.cast(pa.int8()), np.int8, missing=-1)))
    if kinds.is_integer(kind):
        return _whole(chunked, name, words=words)
    if kinds.is_floating(kind):
        dtype = np.float64 if kind == pa.float64() else np.float32
        return Reading(column=Column.number(_fill(chunked, dtype), integer=False))
    if kinds.is_decimal(kind):
        return Reading(column=Column.number(_fill(chunked.cast(pa.float64()), np.float64)))
    if kinds.is_date(kind) or kinds.is_timestamp(kind):
        return Reading(column=_moments(chunked))
    if kinds.is_duration(kind) or kinds.is_time(kind):
        return Reading(column=_seconds(chunked))
    if kinds.is_null(kind):
        return Reading(column=Column.number(np.full(len(chunked), np.nan)), note=f"`{name}` has no values.")
    if kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind):
        return _embedding(chunked, name)
    if _is_words(kind):
        return _dictionary(chunked.dictionary_encode(), name, words=words, spelled=spelled)
    return Reading(column=None, note=f"`{name}` holds {kind} and is left out.")


def _is_words(kind: Any) -> bool:
    import pyarrow.types as kinds

    tests = (kinds.is_string, kinds.is_large_string, kinds.is_binary, kinds.is_large_binary, kinds.is_string_view)
    return any(test(kind) for test in tests)


def _fill(chunked: Any, dtype: Any, *, missing: Any = np.nan) -> Any:
    """One array from all chunks, converted chunk by chunk so that only one copy is alive.

    From the buffers: the library's own conversion loads a dataframe library when one is installed.
    """
    filled = np.empty(len(chunked), dtype=dtype)
    at = 0
    for chunk in chunked.chunks:
        if len(chunk):
            part = filled[at : at + len(chunk)]
            part[:] = _stored(chunk)
            if chunk.null_count:
                part[~_valid(chunk)] = missing
        at += len(chunk)
    return filled


def _stored(chunk: Any) -> Any:
    """The stored values of a chunk of numbers or moments, anything where it is null."""
    import pyarrow.types as kinds

    kind = chunk.type
    name = f"int{kind.bit_width}" if not (kinds.is_integer(kind) or kinds.is_floating(kind)) else str(kind)
    dtype = np.dtype({"halffloat": "float16", "float": "float32", "double": "float64"}.get(name, name))
    data = chunk.buffers()[1]
    if data is None:
        return np.zeros(len(chunk), dtype=dtype)
    return np.frombuffer(data, dtype=dtype, count=len(chunk), offset=chunk.offset * dtype.itemsize)


def _valid(chunk: Any) -> Any:
    """(n,) bool: false where the value is null."""
    bitmap = chunk.buffers()[0]
    if bitmap is None:
        return np.full(len(chunk), chunk.null_count == 0)
    bits = np.unpackbits(np.frombuffer(bitmap, dtype=np.uint8), bitorder="little")
    return bits[chunk.offset : chunk.offset + len(chunk)].astype(bool)


def _whole(chunked: Any, name: str, *, words: Words) -> Reading:
    import pyarrow as pa
    import pyarrow.compute as pc

    # 16-bit numbers are exact in float32, 32-bit ones in float64; longer ones may be ids, which must stay exact.
    if chunked.type.bit_width <= 16:
        return Reading(column=Column.number(_fill(chunked, np.float32), integer=True))
    if chunked.type.bit_width == 64:
        ends = pc.min_max(chunked).as_py()
        if ends["min"] is not None and max(abs(ends["min"]), abs(ends["max"])) > _EXACT:
            spelt = chunked.cast(pa.string()).dictionary_encode()
            return _dictionary(spelt, name, words=words, spelled=False)
    return Reading(column=Column.number(_fill(chunked, np.float64), integer=True))


def _moments(chunked: Any) -> Column:
    import pyarrow.types as kinds

    unit = "D" if kinds.is_date32(chunked.type) else "ms" if kinds.is_date64(chunked.type) else chunked.type.unit
    # NaT is the smallest integer.
    counts = _fill(chunked, np.int64, missing=np.iinfo(np.int64).min)
    return Column(kind="datetime", values=counts.view(f"datetime64[{unit}]"))


def _seconds(chunked: Any) -> Column:
    import pyarrow as pa
    import pyarrow.types as kinds

    per_second = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[chunked.type.unit]
    plain = chunked.cast(pa.int32()) if kinds.is_time32(chunked.type) else chunked.cast(pa.int64())
    return Column.number(_fill(plain, np.float64) / per_second, integer=False, unit="s")


def _embedding(chunked: Any, name: str) -> Reading:
    """Lists of numbers of one length; anything else is left out."""
    import pyarrow.compute as pc
    import pyarrow.types as kinds

    inner = chunked.type.value_type
    lengths = pc.unique(pc.list_value_length(chunked)).to_pylist()
    if (kinds.is_floating(inner) or kinds.is_integer(inner)) and len(lengths) == 1 and lengths[0]:
        flat = pc.list_flatten(chunked)
        values = _fill(flat, np.float32)
        return Reading(column=Column.embedding(values.reshape(len(chunked), lengths[0])))
    return Reading(column=None, note=f"`{name}` holds lists of different kinds or lengths and is left out.")


def _dictionary(chunked: Any, name: str, *, words: Words, spelled: bool) -> Reading:
    """Words as a category, as numbers where all but stand-ins spell numbers, or as text where there are too many."""
    import pyarrow as pa
    import pyarrow.compute as pc

    unified = chunked.unify_dictionaries()
    dictionary = unified.chunks[0].dictionary if unified.num_chunks else pa.array([], type=chunked.type.value_type)
    codes = np.empty(len(chunked), dtype=np.int32)
    at = 0
    for chunk in unified.chunks:
        codes[at : at + len(chunk)] = _fill(pa.chunked_array([chunk.indices]), np.int32, missing=-1)
        at += len(chunk)
    present = int((codes >= 0).sum())
    used = int(np.count_nonzero(np.bincount(codes[codes >= 0]))) if present else 0
    many = words == "text" or (words == "auto" and _is_text(used, present))
    plain = _is_words(dictionary.type) and not _is_bytes(dictionary.type)
    if many and plain and not (spelled and words == "auto" and _looks_numeric(dictionary)):
        # Before the words become Python strings: there may be a million of them.
        del unified, codes
        return Reading(column=_text(pc.cast(chunked, pa.large_string())))
    found, note = _levels(dictionary, name)
    codes, levels = _tidy(codes, found)
    if spelled and words != "text" and (numbers := _numbers(codes, levels)) is not None:
        return Reading(column=numbers, note=note)
    if many and (words == "text" or all(isinstance(level, str) for level in levels[:100])):
        texts = [None if code < 0 else str(levels[code]) for code in codes.tolist()]
        return Reading(column=Column.strings(texts), note=note)
    return Reading(column=Column(kind="category", values=codes, levels=levels), note=note)


def _is_bytes(kind: Any) -> bool:
    import pyarrow.types as kinds

    return bool(kinds.is_binary(kind) or kinds.is_large_binary(kind))


def _looks_numeric(dictionary: Any) -> bool:
    head = dictionary[:1_000].to_pylist()
    return sum(bool(_NUMERAL.fullmatch(word)) for word in head if word is not None) > len(head) / 2


def _levels(dictionary: Any, name: str) -> tuple[list[Level], str | None]:
    values = dictionary.to_pylist()
    odd = 0
    levels: list[Level] = []
    for value in values:
        if isinstance(value, bytes):
            try:
                levels.append(value.decode("utf-8"))
            except UnicodeDecodeError:
                odd += 1
                levels.append(_decode(value))
            continue
        level = plain_level(value)
        levels.append(level if isinstance(level, str | int | float | bool) else str(level))
    note = f"`{name}` has {odd:,} different words that are not UTF-8; they are read as Windows-1252." if odd else None
    return levels, note


def _decode(value: bytes) -> str:
    try:
        return value.decode("cp1252")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _tidy(codes: Any, levels: list[Level]) -> tuple[Any, tuple[Level, ...]]:
    """Levels sorted, each once, and only those in use, so that the same data give the same codes."""
    used = np.unique(codes[codes >= 0])
    kept = {levels[code] for code in used.tolist() if levels[code] is not None}
    # "True" sorts with words; numbers come first, so that 2 stands before 10.
    order = sorted(kept, key=lambda level: (isinstance(level, str), level))
    index = {level: at for at, level in enumerate(order)}
    table = np.array([index.get(level, -1) for level in levels] + [-1], dtype=np.int32)
    return table[codes], tuple(order)


def _numbers(codes: Any, levels: tuple[Level, ...]) -> Column | None:
    """Words that spell numbers, where the others only stand for missing ones."""
    parsed = [float(level) if isinstance(level, str) and _NUMERAL.fullmatch(level) else None for level in levels]
    others = [level for level, number in zip(levels, parsed, strict=True) if number is None]
    if len(others) == len(levels) or any(str(level).strip().lower() not in _STAND_INS for level in others):
        return None
    table = np.array([np.nan if number is None else number for number in parsed] + [np.nan])
    values = table[codes]
    known = values[~np.isnan(values)]
    return Column.number(values, integer=bool((known == np.floor(known)).all()))


def _is_text(used: int, present: int) -> bool:
    """Whether so many different words in so many rows are text rather than categories."""
    if used > 50 and used > present / 2:
        return True
    return used > MOST_LEVELS or (used > FEW_LEVELS and used > present / 20)


def _text(chunked: Any) -> Column:
    import pyarrow as pa

    array = chunked.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], type=pa.large_string())
    absent = ~_valid(array)
    array = array.fill_null("")
    _, offsets, data = array.buffers()
    cuts = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    raw = np.frombuffer(data, dtype=np.uint8) if data is not None else np.zeros(0, dtype=np.uint8)
    values = raw[cuts[0] : cuts[-1]].copy()
    return Column(kind="text", values=values, offsets=cuts - cuts[0], absent=absent)
