from __future__ import annotations

import numpy as np
import pytest

from errata.core.columns import Column, Table
from errata.core.rules import Where
from errata.ops.regions.literals import Absent, Levels, Literal, Prices, Span, holds, literals_of, set_cost, where_of

INF = float("inf")
TABLE = Table(
    {
        "age": Column.number([59.0, 60.0, 61.0, np.nan, 30.0], integer=True),
        "city": Column(kind="category", values=np.array([0, 1, 2, -1, 1], dtype=np.int32), levels=("a", "b", "c")),
        "paid": Column(kind="boolean", values=np.array([1, 0, -1, 1, 0], dtype=np.int8)),
        "day": Column(
            kind="datetime",
            values=np.array(["2020-01-01", "2020-01-02", "NaT", "2020-01-03", "2020-01-04"], dtype="datetime64[us]"),
        ),
    }
)
DAY_2 = float(np.datetime64("2020-01-02", "us").astype(np.int64))

CASES: list[tuple[Literal, str]] = [
    (Span(column="age", low=59.0), "age > 59"),
    (Span(column="age", low=float(np.nextafter(60.0, -INF))), "age >= 60"),
    (Span(column="age", high=float(np.nextafter(60.0, -INF))), "age < 60"),
    (Span(column="age", low=30.0, high=60.0), "age > 30 and age <= 60"),
    (Span(column="age"), "age is not null"),
    (Absent(column="age"), "age is null"),
    (Absent(column="day"), "day is null"),
    (Span(column="day", low=DAY_2), "day > 2020-01-02"),
    (Levels(column="city", codes=frozenset({1}), of=3), 'city = "b"'),
    (Levels(column="city", codes=frozenset({0, 2}), of=3), 'city != "b"'),
    (Levels(column="city", codes=frozenset({-1}), of=4), "city is null"),
    (Levels(column="city", codes=frozenset({-1, 2}), of=4), 'city = "c" or city is null'),
    (Levels(column="city", codes=frozenset({0, 1, 2}), of=4), 'city in ("a", "b", "c")'),
    (Levels(column="paid", codes=frozenset({1}), of=2), "paid = true"),
    (Levels(column="paid", codes=frozenset({0, 1}), of=3), "paid in (false, true)"),
]


@pytest.mark.parametrize(("literal", "text"), CASES)
def test_the_rule_selects_what_the_literal_selects(literal: Literal, text: str) -> None:
    rule = where_of([literal], dict(TABLE.columns))
    assert rule.text == text
    assert rule.members(TABLE).tolist() == holds(literal, TABLE.column(literal.column)).tolist()
    assert Where.parse(text) == rule


@pytest.mark.parametrize("literal", [literal for literal, text in CASES if " or " not in text])
def test_a_rule_is_read_back(literal: Literal) -> None:
    rule = where_of([literal], dict(TABLE.columns))
    read = literals_of(rule, dict(TABLE.columns))
    assert read is not None
    assert len(read) == 1
    again = read[0]
    assert type(again) is type(literal)
    assert holds(again, TABLE.column(literal.column)).tolist() == rule.members(TABLE).tolist()


@pytest.mark.parametrize(
    "text", ['age > 3 or city = "a"', 'not (city = "a")', 'city = "a" and city != "b"', "age = 60", 'age > "x"']
)
def test_other_rules_are_no_plain_conjunction(text: str) -> None:
    assert literals_of(Where.parse(text), dict(TABLE.columns)) is None


def test_two_bounds_of_a_column_are_one_interval() -> None:
    read = literals_of(Where.parse("age > 30 and age <= 60 and age > 40"), dict(TABLE.columns))
    assert read == (Span(column="age", low=40.0, high=60.0),)


def test_prices() -> None:
    prices = Prices.of(rows=int(np.exp(8.0)), columns=6)
    assert prices.cut == pytest.approx(4.0, abs=1e-3)
    two_sided, one_sided = Span(column="age", low=1.0, high=2.0), Span(column="age", low=1.0)
    level = Levels(column="city", codes=frozenset({1}), of=7)
    assert prices.all([one_sided]) == pytest.approx(2 * prices.cut + np.log(6))
    assert prices.all([two_sided, level]) == pytest.approx(4 * prices.cut + np.log(15))
    assert prices.sets(7, gaps=False)[[1, 3, 7]] == pytest.approx([prices.cut, prices.cut + np.log(35 / 7), 0.0])
    assert prices.sets(7, gaps=True)[7] == prices.cut
    assert prices.span(np.array([0, 1, 2]), gaps=True).tolist() == [prices.cut, prices.cut, 2 * prices.cut]
    assert set_cost(1, 50) == 0.0
    assert set_cost(25, 50) > 25
