"""64-bit hashes of values and rows, vectorised: what ids, copies, splits and fingerprints stand on.

Equal values hash equal however they are stored: 1, 1.0 and float32 1; -0.0 and 0.0; every NaN; a word as a level or as
text; a moment in seconds or nanoseconds. The order of columns does not matter, their names do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Column, Level

__all__ = ["Hashes", "bytes_hash", "column_hash", "fingerprint", "keyed", "occurrences", "repeats", "row_hash"]

Hashes = NDArray[np.uint64]

_MISSING: Final = np.uint64(0x9E6C63D0876A9A47)
_MOMENT: Final = np.uint64(0xD6E8FEB86659FD93)
_BLOCK: Final = 1 << 20


def _mix(values: Hashes) -> Hashes:
    """A bijection of 64-bit words that spreads every bit over all, in place.

    Reference: Steele, Lea and Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
    """
    values += np.uint64(0x9E3779B97F4A7C15)
    values ^= values >> np.uint64(30)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values


def _word(text: str) -> np.uint64:
    """The key that a name or a seed stands for."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def keyed(hashes: Hashes, *, seed: int | str) -> Hashes:
    """(n,) uint64: the hashes as another seed sees them; equal stay equal, the order is shuffled."""
    return _mix(hashes ^ _word(f"seed:{seed}"))


def occurrences(hashes: Hashes) -> NDArray[np.uint32]:
    """(n,) uint32: how often the same hash came before, in the order of the rows."""
    again = np.zeros(len(hashes), dtype=np.uint32)
    repeated = repeats(hashes)
    if not len(repeated):
        return again
    order = repeated[np.argsort(hashes[repeated], kind="stable")]
    ordered = hashes[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    counts = np.diff(np.append(starts, len(ordered)))
    again[order] = np.arange(len(ordered)) - np.repeat(starts, counts)
    return again


def repeats(hashes: Hashes) -> NDArray[np.int64]:
    """(m,) rows, ascending, whose hash another row has too."""
    ordered = np.sort(hashes)
    same = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(same):
        # Most tables have no equal rows: a sort without indices settles it in little memory.
        return np.zeros(0, dtype=np.int64)
    found = np.searchsorted(same, hashes).clip(max=len(same) - 1)
    return np.flatnonzero(same[found] == hashes)


def bytes_hash(pieces: Iterable[bytes] | NDArray[np.generic]) -> Hashes:
    """(n,) uint64: one hash of the exact bytes of each piece, or of each row of an array (n, ...) with its shape."""
    if isinstance(pieces, np.ndarray):
        head = f"{pieces.dtype.str}{pieces.shape[1:]}".encode()
        rows = (np.ascontiguousarray(row).data for row in pieces)
    else:
        head, rows = b"", (memoryview(piece) for piece in pieces)
    start = hashlib.blake2b(head, digest_size=8)
    digests = bytearray()
    for row in rows:
        hasher = start.copy()
        hasher.update(row)
        digests += hasher.digest()
    return np.frombuffer(bytes(digests), dtype="<u8").astype(np.uint64)


def row_hash(columns: Mapping[str, Column], *, seed: int | str = 0) -> Hashes:
    """(n,) uint64: a hash of each row over all columns, which have one length; no columns give an empty array."""
    total: Hashes | None = None
    for name, column in columns.items():
        hashes = column_hash(column)
        hashes ^= _word(f"column:{name}")
        hashes = _mix(hashes)
        # A sum commutes, so the order of the columns is forgotten.
        if total is None:
            total = hashes
        else:
            total += hashes
    return np.zeros(0, dtype=np.uint64) if total is None else keyed(total, seed=seed)


def fingerprint(columns: Mapping[str, Column], *, ordered: bool = True, also: Hashes | None = None) -> str:
    """32 hexadecimal digits that names and values decide; `ordered=False` also for the same rows in another order.

    `also` (n,) stands for further content of each row.
    """
    rows = row_hash(columns)
    if also is not None:
        rows = _mix(rows ^ also) if len(rows) else also.copy()
    if ordered:
        rows ^= np.arange(len(rows), dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    rows = _mix(rows)
    total = f"{len(rows)}:{int(rows.sum(dtype=np.uint64))}:{int(np.bitwise_xor.reduce(rows)) if len(rows) else 0}"
    said = "\0".join([total, *sorted(columns)]).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(said, digest_size=16).hexdigest()


def column_hash(column: Column) -> Hashes:
    """(n,) uint64: a hash of each value of one column; all missing values are equal."""
    if column.kind == "number":
        return _mix(_number_bits(column.values))
    if column.kind in ("category", "boolean"):
        levels = column.levels if column.kind == "category" else (False, True)
        # The last entry answers for the code -1.
        table = np.append(_level_hashes(levels), _missing())
        return np.asarray(table[column.values], dtype=np.uint64)
    if column.kind == "datetime":
        return _hash_moments(column.values)
    if column.kind == "text":
        return _hash_text(column)
    hashes = _mix(_number_bits(column.values[:, 0])) if column.values.shape[1] else np.zeros(len(column), np.uint64)
    for j in range(1, column.values.shape[1]):
        hashes = _mix(hashes ^ _number_bits(column.values[:, j]))
    return hashes


def _missing() -> np.uint64:
    return np.uint64(_mix(np.array([_MISSING]))[0])


def _number_bits(values: NDArray[np.generic]) -> Hashes:
    numbers = values.astype(np.float64)
    numbers += 0.0  # -0.0 becomes 0.0
    absent = np.isnan(numbers)
    bits = numbers.view(np.uint64)
    bits[absent] = _MISSING
    return bits


def _level_hashes(levels: tuple[Level, ...]) -> Hashes:
    plain = [isinstance(level, bool | int | float) for level in levels]
    hashes = np.empty(len(levels), dtype=np.uint64)
    numbers = np.array([float(level) for level, number in zip(levels, plain, strict=True) if number], dtype=np.float64)
    words = [str(level) for level, number in zip(levels, plain, strict=True) if not number]
    chosen = np.array(plain, dtype=bool)
    hashes[chosen] = _mix(_number_bits(numbers))
    hashes[~chosen] = _hash_text(Column.strings(words))
    return hashes


def _hash_moments(values: NDArray[Any]) -> Hashes:
    absent = np.isnat(values)
    coarse = values.astype("datetime64[us]")
    hashes = coarse.astype(np.int64).view(np.uint64) ^ _MOMENT
    if np.datetime_data(values.dtype)[0] in ("ns", "ps", "fs", "as"):
        rest = (values - coarse).astype(np.int64)
        rest[absent] = 0
        hashes ^= rest.view(np.uint64) << np.uint64(54)
    hashes[absent] = _MISSING
    return _mix(hashes)


def _hash_text(column: Column) -> Hashes:
    """Every byte is mixed with its place in the row and summed, block by block of rows."""
    assert column.offsets is not None
    offsets = column.offsets
    lengths = np.diff(offsets)
    hashes = np.zeros(len(lengths), dtype=np.uint64)
    row = 0
    while row < len(lengths):
        # As many rows as fit a block of bytes, at least one.
        stop = max(row + 1, int(np.searchsorted(offsets, offsets[row] + _BLOCK, side="right")) - 1)
        block = slice(row, stop)
        starts = offsets[row:stop] - offsets[row]
        size = int(offsets[stop] - offsets[row])
        place = np.arange(size, dtype=np.int64) - np.repeat(starts, lengths[block])
        mixed = _mix((place.view(np.uint64) << np.uint64(8)) + column.values[offsets[row] : offsets[stop]])
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)])
        hashes[block] = sums[starts + lengths[block]] - sums[starts]
        row = stop
    hashes ^= lengths.astype(np.uint64) << np.uint64(40)
    hashes = _mix(hashes)
    if column.absent is not None:
        hashes[column.absent] = _missing()
    return hashes
