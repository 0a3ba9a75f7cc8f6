"""Any array-like as a column."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from errata.core.errors import UsageError
from errata.core.foreign import column_from, foreign_column


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1, 2, None], "number", [1, 2, None]),
        ([1.5, float("nan")], "number", [1.5, None]),
        ([Decimal("1.5"), None], "number", [1.5, None]),
        ([1, "x", None], "category", [1, "x", None]),
        (["b", "a", None], "category", ["b", "a", None]),
        ([True, None, False], "boolean", [True, None, False]),
        ([date(2024, 1, 31), None], "datetime", ["2024-01-31", None]),
        ([datetime(2024, 1, 31, 12, tzinfo=timezone(timedelta(hours=2)))], "datetime", ["2024-01-31T10:00:00"]),
        (np.array(["b", "a"]), "category", ["b", "a"]),
        (np.array([b"b", b"a"]), "category", ["b", "a"]),
        (np.array([True, False]), "boolean", [True, False]),
        (np.array([1, 2], dtype="timedelta64[m]"), "number", [60, 120]),
        (np.array(["x", "y"], dtype=np.dtypes.StringDType()), "category", ["x", "y"]),
        (pd.Series([1, None], dtype="Int64"), "number", [1, None]),
        (pd.Series(["a", None], dtype="category"), "category", ["a", None]),
        (pd.Categorical([3, 1, None]), "category", [3, 1, None]),
        (
            pd.Series(pd.to_datetime(["2024-01-31 10:00"]).tz_localize("UTC")),
            "datetime",
            ["2024-01-31T10:00:00"],
        ),
        ([None, None], "category", [None, None]),
        ([], "category", []),
    ],
)
def test_columns_of_any_values(values: object, kind: str, expected: list[object]) -> None:
    column = column_from(values)
    assert column.kind == kind
    assert [column.value(row) for row in range(len(column))] == expected


def test_whole_numbers_are_remembered() -> None:
    assert column_from([1, 2, None]).integer
    assert not column_from([1.0, 2.0]).integer


def test_values_that_are_no_column() -> None:
    for bad in ([[1], [2, 3]], np.zeros((2, 2)), np.zeros(2, dtype=complex), [{"a": 1}]):
        with pytest.raises(UsageError, match="`size`"):
            column_from(bad, name="size")


def test_two_columns_of_one_name() -> None:
    frame = pd.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(UsageError, match="`a` is not one column"):
        foreign_column(frame, "a")


def test_structured_arrays() -> None:
    table = np.array([(1, "x"), (2, "y")], dtype=[("n", int), ("s", "U1")])
    assert foreign_column(table, "s").levels == ("x", "y")
    with pytest.raises(UsageError, match="no column `z`"):
        foreign_column(table, "z")
