"""Columns that only name rows are set aside; numbers that happen to differ are not."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from errata.core.columns import Column
from errata.ops.identifiers import identifiers
from errata.testing import planted


def found(**columns):
    world = planted("literal", n=200)
    evaluation = replace(world, table=world.table.with_columns(columns)).evaluation()
    return {item.column: item.why for item in identifiers(evaluation)}


def test_names_of_rows_are_found():
    hexed = [hashlib.md5(str(row // 2).encode()).hexdigest() for row in range(200)]
    some = found(
        ticket=Column.category([f"T-{row}" for row in range(200)]),
        mostly=Column.category([f"T-{row % 194}" for row in range(200)]),
        hash=Column.category(hexed),
        customer_id=Column.number(np.random.default_rng(0).permutation(10_000)[:200]),
        rowNumber=Column.number(np.arange(200)),
        file=Column.strings([f"images/{row}.png" for row in range(200)]),
    )
    assert set(some) == {"ticket", "mostly", "hash", "customer_id", "rowNumber", "file"}
    assert some["rowNumber"] == "identifier: a running number"
    assert some["mostly"] == "identifier: 194 different values in 200 rows"


def test_measurements_are_left_alone():
    assert not found(
        price=Column.number(np.arange(200) * 7),
        width=Column.number(np.random.default_rng(0).random(200)),
        shop_id=Column.number(np.arange(200) % 9),
        street=Column.category([f"street {row % 60}" for row in range(200)]),
        remark=Column.strings([f"the parcel number {row} came late" for row in range(200)]),
        paid=Column.number(np.arange(200)),
    )


def test_a_handful_of_rows_says_nothing():
    world = planted("literal", n=12)
    names = Column.category([f"T-{row}" for row in range(12)])
    assert identifiers(replace(world, table=world.table.with_columns({"name": names})).evaluation()) == ()
