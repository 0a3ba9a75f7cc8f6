"""Hashes of values and rows: equal where values are, different where they are not, whatever the storage."""

from __future__ import annotations

import numpy as np

from errata.core.columns import Column
from errata.core.hashing import bytes_hash, column_hash, fingerprint, keyed, occurrences, repeats, row_hash


def test_equal_values_hash_equal_however_they_are_stored() -> None:
    number = column_hash(Column.number(np.array([1.0, 0.0, np.nan])))
    assert (number == column_hash(Column.number(np.array([1.0, -0.0, -np.nan], dtype=np.float32)))).all()
    assert (number == column_hash(Column.category([1, 0, None]))).all()
    assert (number[:2] == column_hash(Column(kind="boolean", values=np.array([1, 0], dtype=np.int8)))).all()
    words = ["a", "", "ä", None]
    assert (column_hash(Column.category(words)) == column_hash(Column.strings(words))).all()
    seconds = np.array(["2024-01-31T10:00:00", "NaT"], dtype="datetime64[s]")
    coarse, fine = Column(kind="datetime", values=seconds), Column(kind="datetime", values=seconds.astype("M8[ns]"))
    assert (column_hash(coarse) == column_hash(fine)).all()


def test_different_values_hash_differently() -> None:
    numbers = column_hash(Column.number(np.arange(-50_000, 50_000) / 7))
    assert len(np.unique(numbers)) == 100_000
    words = column_hash(Column.strings([f"{i:b}" for i in range(20_000)] + ["", "0" * 3, "ab", "ba"]))
    assert len(np.unique(words)) == 20_004
    fine = np.array([0, 1, 2], dtype="datetime64[ns]")
    assert len(np.unique(column_hash(Column(kind="datetime", values=fine)))) == 3


def test_bits_are_spread() -> None:
    hashes = row_hash({"x": Column.number(np.arange(20_000.0))})
    bits = (hashes[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 0.02


def test_columns_count_by_name_not_by_place() -> None:
    a, b = Column.number([1.0, 2.0]), Column.number([2.0, 1.0])
    assert (row_hash({"a": a, "b": b}) == row_hash({"b": b, "a": a})).all()
    assert (row_hash({"a": a, "b": b}) != row_hash({"a": b, "b": a})).all()
    assert (row_hash({"a": a}) != row_hash({"b": a})).all()


def test_long_text_is_hashed_in_blocks() -> None:
    long = "x" * 3_000_000
    hashes = column_hash(Column.strings(["a", long, "a", long + "y", "", long]))
    assert hashes[0] == hashes[2]
    assert hashes[1] == hashes[5]
    assert len(np.unique(hashes)) == 4


def test_occurrences_and_repeats() -> None:
    hashes = np.array([5, 7, 5, 5, 9, 7], dtype=np.uint64)
    assert occurrences(hashes).tolist() == [0, 0, 1, 2, 0, 1]
    assert repeats(hashes).tolist() == [0, 1, 2, 3, 5]
    assert occurrences(hashes[:0]).tolist() == []
    assert repeats(np.arange(10, dtype=np.uint64)).tolist() == []


def test_another_seed_is_another_order() -> None:
    hashes = np.arange(1_000, dtype=np.uint64)
    orders = [np.argsort(keyed(hashes, seed=seed)) for seed in (0, 1)]
    assert abs(np.corrcoef(orders[0], orders[1])[0, 1]) < 0.15


def test_fingerprint_of_shuffled_rows() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(100, 2))
    shuffled = values[rng.permutation(100)]

    def of(array: np.ndarray, *, ordered: bool) -> str:
        return fingerprint({"a": Column.number(array[:, 0]), "b": Column.number(array[:, 1])}, ordered=ordered)

    assert of(values, ordered=False) == of(shuffled, ordered=False)
    assert of(values, ordered=True) != of(shuffled, ordered=True)
    crossed = np.stack([values[:, 0], values[::-1, 1]], axis=1)
    assert of(values, ordered=False) != of(crossed, ordered=False)


def test_bytes_of_arrays() -> None:
    images = np.zeros((3, 4, 4), dtype=np.uint8)
    images[1, 0, 0] = 1
    hashes = bytes_hash(images)
    assert hashes[0] == hashes[2] != hashes[1]
    assert bytes_hash([b"a", b"b", b"a"])[0] == bytes_hash([b"a"])[0]
