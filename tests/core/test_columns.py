"""Columns: taking rows, missing values, plain values."""

from __future__ import annotations

import numpy as np
import pytest

from errata.core.columns import Column, Table
from errata.core.errors import UsageError

COLUMNS = {
    "number": Column.number([1.0, np.nan, 3.5]),
    "whole": Column.number(np.array([1, 2, 3])),
    "category": Column.category(["b", None, "a"]),
    "boolean": Column(kind="boolean", values=np.array([1, -1, 0], dtype=np.int8)),
    "datetime": Column(kind="datetime", values=np.array(["2024-01-31", "NaT", "2024-02-01"], dtype="datetime64[D]")),
    "text": Column.strings(["ä", None, ""]),
    "embedding": Column(kind="embedding", values=np.arange(6, dtype=np.float32).reshape(3, 2)),
}
PLAIN = {
    "number": [1.0, None, 3.5],
    "whole": [1, 2, 3],
    "category": ["b", None, "a"],
    "boolean": [True, None, False],
    "datetime": ["2024-01-31", None, "2024-02-01"],
    "text": ["ä", None, ""],
}


@pytest.mark.parametrize("name", PLAIN)
def test_plain_values(name: str) -> None:
    column = COLUMNS[name]
    assert [column.value(row) for row in range(3)] == PLAIN[name]
    assert column.missing().tolist() == [value is None for value in PLAIN[name]]


@pytest.mark.parametrize("name", PLAIN)
def test_take_by_index_and_by_mask(name: str) -> None:
    column = COLUMNS[name]
    assert [column.take(np.array([2, 0, 2])).value(row) for row in range(3)] == [PLAIN[name][row] for row in (2, 0, 2)]
    masked = column.take(np.array([True, False, True]))
    assert len(masked) == 2
    assert masked.value(1) == PLAIN[name][2]
    assert len(column.take(np.zeros(3, dtype=bool))) == 0
    assert masked.integer == column.integer


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_moments_say_no_more_than_they_hold(unit: str) -> None:
    moments = np.array(["2024-01-31", "2024-01-31T10:00", "2024-01-31T10:00:00.5"], dtype="datetime64[ms]")
    column = Column(kind="datetime", values=moments.astype(f"datetime64[{unit}]"))
    texts = [str(column.value(row)) for row in range(3)]
    assert texts[:2] == ["2024-01-31", "2024-01-31T10:00:00"]
    assert texts[2] == ("2024-01-31T10:00:00" if unit == "s" else "2024-01-31T10:00:00.5")


def test_levels_are_sorted_numbers_first() -> None:
    assert Column.category(["b", 10, 2, "a", None]).levels == (2, 10, "a", "b")


def test_kinds_of_numbers() -> None:
    assert Column.number(np.array([1, 2])).integer
    assert not Column.number([1.0, 2.0]).integer
    assert Column.number(np.zeros(2, dtype=np.float32)).values.dtype == np.float32
    assert Column.number(np.zeros(2, dtype=np.float16)).values.dtype == np.float64


def test_text_with_half_characters_is_kept_apart() -> None:
    column = Column.strings(["\ud800", "ok"])
    assert len(column) == 2
    assert column.value(1) == "ok"


def test_tables() -> None:
    table = Table(COLUMNS)
    assert len(table) == 3
    assert len(table.take(np.array([0]))) == 1
    assert "text" not in table.without(["text"])
    assert table.with_columns({"more": COLUMNS["whole"]}).names[-1] == "more"
    with pytest.raises(UsageError, match="did you mean `number`"):
        table.column("numbre")
    with pytest.raises(AssertionError, match="lengths"):
        Table({"a": COLUMNS["whole"], "b": Column.number([1.0])})


def test_an_embedding_that_is_infinite_or_too_large_is_missing():
    column = Column.embedding(np.array([[1.0, 2.0], [np.inf, 0.0], [1e200, 0.0], [np.nan, 0.0]]))
    assert column.values.dtype == np.float32
    assert column.missing().tolist() == [False, True, True, True]
    assert not np.isinf(column.values).any()
