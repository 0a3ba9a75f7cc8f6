"""Rules: text and back, which rows belong, and the same rows in SQL, pandas and polars."""

from __future__ import annotations

import json
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errata.core.columns import Column, Table
from errata.core.errors import UsageError
from errata.core.rules import And, Compare, Missing, Not, OneOf, Or, Present, Where

names = st.one_of(
    st.sampled_from(["age", "image.brightness", "mean radius", "and", "NULL", "größe", "a`b", 'a"b', "x\\y", ""]),
    st.text(max_size=8),
)
values = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["it's", 'say "x"', "a\nb", "\\", "\\n", "`", "\u202eabc", "\x00", "null", "\ud800", "😀"]),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.booleans(),
    st.datetimes(),
)
ops = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
atoms = st.one_of(
    st.builds(Compare, names, ops, values),
    st.builds(OneOf, names, st.lists(values, min_size=1, max_size=4).map(tuple)),
    st.builds(Missing, names),
    st.builds(Present, names),
)
tests = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda terms: And(tuple(terms))),
        st.lists(inner, min_size=1, max_size=3).map(lambda terms: Or(tuple(terms))),
        st.builds(Not, inner),
    ),
    max_leaves=8,
)


@given(tests)
@settings(max_examples=200, deadline=None)
def test_text_reads_back_as_the_same_rule(test) -> None:
    rule = Where(test)
    again = Where.parse(rule.text)
    assert again.text == rule.text
    assert again == rule
    assert hash(again) == hash(rule)
    assert "\n" not in rule.text


@given(tests)
@settings(max_examples=50, deadline=None)
def test_json_round_trip(test) -> None:
    rule = Where(test)
    assert Where.from_json(json.loads(json.dumps(rule.to_json()))) == rule


@given(st.text(max_size=40))
@settings(max_examples=150, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        rule = Where.parse(text)
    except UsageError as error:
        said = str(error)
    else:
        said = "`" + "Hint:" if Where.parse(rule.text) == rule else ""
    assert "`" in said
    assert "Hint:" in said


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ('city = "cairo" and age > 60.5', 'city = "cairo" and age > 60.5'),
        ("city == 'it''s'", 'city = "it\'s"'),
        ("age <> 3", "age != 3"),
        ("20.5 < age <= 60.5", "age > 20.5 and age <= 60.5"),
        ("60 > age", "age < 60"),
        ("age between 20 and 60.0", "age >= 20 and age <= 60"),
        ("age not between 20 and 60", "age < 20 or age > 60"),
        ('city not in ("b", "a")', 'city != "b" and city != "a"'),
        ('city IN ("b", "a", "b")', 'city in ("a", "b")'),
        ('city in ("a")', 'city = "a"'),
        ("not not age is null", "age is null"),
        ("not (age is null)", "age is not null"),
        ("`mean concave points` > 5e-2", "`mean concave points` > 0.05"),
        ("image.brightness < -0.0", "image.brightness < 0"),
        ("when >= 2024-01-31T00:00:00", "when >= 2024-01-31"),
        ("when < 2024-01-31 10:00:00.5", "when < 2024-01-31T10:00:00.500000"),
        ("when < 2024-01-31T12:00:00+02:00", "when < 2024-01-31T10:00:00"),
        ("smoker = TRUE", "smoker = true"),
        ("x < inf and x > -inf", "x < inf and x > -inf"),
        ("a = 1 or b = 2 and c = 3", "a = 1 or (b = 2 and c = 3)"),
        ("(a = 1 or b = 2) and c = 3", "(a = 1 or b = 2) and c = 3"),
        ("a = 1 and (b = 2 and a = 1)", "a = 1 and b = 2"),
        ("not a = 1", "not (a = 1)"),
        ("x = 1" + "0" * 30, "x = 1e+30"),
    ],
)
def test_canonical_text(written: str, canonical: str) -> None:
    assert Where.parse(written).text == canonical


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("city = cairo", 'quotes: "cairo"'),
        ("age >", "a constant was expected"),
        ("(a = 1", "`)` was expected"),
        ("a = 1)", "`and`, `or` or the end"),
        ("smoker", "smoker = true"),
        ('city = "x', "both quotes"),
        ("a = null", "is null"),
        ("a = 2024-13-01", "not a date"),
        ("a = 5x", "cannot be read at"),
        ("", "a comparison was expected"),
        ("a in ()", "a constant was expected"),
        ("mean radius > 5", "backticks"),
        ("a = b", "quotes"),
        ("(" * 100 + "a = 1" + ")" * 100, "nested more than 50"),
        ("not " * 100 + "a = 1", "nested more than 50"),
        ("a = 1 or " * 200_000 + "a = 1", "characters"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        Where.parse(text)
    assert expected in str(caught.value)
    assert caught.value.exit_code == 2
    assert len(str(caught.value)) < 600


def test_algebra_is_flat_and_hashable() -> None:
    a, b, c = Where.parse("a = 1"), Where.parse("b = 2"), Where.parse("c = 3")
    assert ((a & b) & c) == (a & (b & c))
    assert (a & a) == a
    assert ~~a == a
    assert (a | b).columns == ("a", "b")
    assert len({a, Where.parse("a = 1.0"), b}) == 2
    # Python takes 1 and True for equal; a rule does not.
    assert Where(Compare("a", "=", True)) != Where(Compare("a", "=", 1))


def test_deep_algebra_is_refused_not_a_crash() -> None:
    def nest(rule: Where, times: int) -> Where:
        for i in range(times):
            rule = ~(rule & Where.parse(f"b{i} = 1"))
        return rule

    assert nest(Where.parse("a = 0"), 10).columns[0] == "a"
    with pytest.raises(UsageError, match="nested"):
        nest(Where.parse("a = 0"), 200)


def test_constants_that_no_rule_can_hold() -> None:
    for bad in (float("nan"), None, np.datetime64("NaT"), [1]):
        with pytest.raises(UsageError):
            Compare("a", "=", bad)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="empty"):
        OneOf("a", ())


def test_numpy_constants_become_plain() -> None:
    assert Where(Compare("a", ">", np.float32(0.5))).text == "a > 0.5"
    assert Where(Compare("a", ">", np.int64(3))).text == "a > 3"
    assert Where(Compare("a", ">", np.datetime64("2024-01-31T10:00", "ns"))).text == "a > 2024-01-31T10:00:00"


def test_literals_of_plain_conjunctions() -> None:
    rule = Where.parse('city in ("a", "b") and age > 3 and x is not null')
    assert rule.literals() == (OneOf("city", ("a", "b")), Compare("age", ">", 3), Present("x"))
    assert Where.all_of(rule.literals() or ()) == rule
    assert Where.parse("age > 3").literals() == (Compare("age", ">", 3),)
    assert Where.parse("a = 1 or b = 2").literals() is None
    assert Where.parse("not (a = 1)").literals() is None


TABLE = Table({
    "age": Column.number(np.array([10.0, 20.0, np.nan, 60.5, -0.0])),
    "small": Column.number(np.array([0.1, 0.2, np.nan, 0.3, 0.0], dtype=np.float32)),
    "city": Column.category(["cairo", "rome", None, "cairo", "7"]),
    "label": Column.category([1, 2, None, 1, 0]),
    "ok": Column(kind="boolean", values=np.array([1, 0, -1, 1, 0], dtype=np.int8)),
    "when": Column(kind="datetime", values=np.array(["2024-01-31", "2024-02-01", "NaT", "1900-01-01", "2300-01-01"],
                                                    dtype="datetime64[s]")),
    "note": Column.strings(["a", "ab", None, "ä", ""]),
})  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("age > 10", [0, 1, 0, 1, 0]),
        ("age != 10", [0, 1, 0, 1, 1]),
        ("not (age = 10)", [0, 1, 1, 1, 1]),
        ("not (age != 10)", [1, 0, 1, 0, 0]),
        ("age = 0", [0, 0, 0, 0, 1]),
        ("age = 20 or age is null", [0, 1, 1, 0, 0]),
        ("age in (10, 20, 99)", [1, 1, 0, 0, 0]),
        ("age in (10, 20, 1, 2, 3, 4, 5, 6, 7, 8)", [1, 1, 0, 0, 0]),
        ('age = "20"', [0, 1, 0, 0, 0]),
        ('age != "word"', [1, 1, 0, 1, 1]),
        ('age = "word"', [0, 0, 0, 0, 0]),
        # 0.1 as float32 is a little more than 0.1 as float64.
        ("small > 0.1", [1, 1, 0, 1, 0]),
        ("small <= 0.1", [0, 0, 0, 0, 1]),
        ('city = "cairo"', [1, 0, 0, 1, 0]),
        ('city != "cairo"', [0, 1, 0, 0, 1]),
        ('not (city = "cairo")', [0, 1, 1, 0, 1]),
        ('city in ("rome", "7")', [0, 1, 0, 0, 1]),
        ('city > "d"', [0, 1, 0, 0, 0]),
        ("city = 7", [0, 0, 0, 0, 1]),
        ("city in (7, 8)", [0, 0, 0, 0, 1]),
        ("city is null", [0, 0, 1, 0, 0]),
        ("label = 1", [1, 0, 0, 1, 0]),
        ('label = "1"', [1, 0, 0, 1, 0]),
        ("label >= 1", [1, 1, 0, 1, 0]),
        ("ok = true", [1, 0, 0, 1, 0]),
        ("ok = 0", [0, 1, 0, 0, 1]),
        ("ok != true", [0, 1, 0, 0, 1]),
        ("when < 2024-02-01", [1, 0, 0, 1, 0]),
        ("when = 2024-01-31", [1, 0, 0, 0, 0]),
        ("when is not null", [1, 1, 0, 1, 1]),
        ('note = "ab"', [0, 1, 0, 0, 0]),
        ('note != "ab"', [1, 0, 0, 1, 1]),
        ('note in ("a", "")', [1, 0, 0, 0, 1]),
        ('note >= "ab"', [0, 1, 0, 1, 0]),
        ('note < "ab"', [1, 0, 0, 0, 1]),
        ('note > ""', [1, 1, 0, 1, 0]),
        ("age < inf", [1, 1, 0, 1, 1]),
    ],
)
def test_members(text: str, expected: list[int]) -> None:
    assert Where.parse(text).members(TABLE).astype(int).tolist() == expected


@pytest.mark.parametrize("when", ["1500-01-01", "2500-01-01"])
def test_moments_beyond_nanoseconds(when: str) -> None:
    table = Table({"when": Column(kind="datetime", values=np.array(["2024-01-01", "NaT"], dtype="datetime64[ns]"))})
    later = when < "2024"
    assert Where.parse(f"when > {when}").members(table).tolist() == [later, False]
    assert Where.parse(f"when <= {when}").members(table).tolist() == [not later, False]
    assert Where.parse(f"when != {when}").members(table).tolist() == [True, False]


def test_large_sets_agree_with_one_by_one() -> None:
    rng = np.random.default_rng(0)
    levels = [f"w{i}" for i in range(300)] + [str(i) for i in range(50)] + ["1.0"]
    column = Column.category([levels[i] for i in rng.integers(0, len(levels), 5_000)])
    wanted = ("w3", "w77", 12, 7.0, "33", 1)
    table = Table({"c": column})
    one_by_one = np.any([Where(Compare("c", "=", value)).members(table) for value in wanted], axis=0)
    assert one_by_one.any()
    assert (Where(OneOf("c", wanted)).members(table) == one_by_one).all()


def test_text_columns_agree_with_python() -> None:
    rng = np.random.default_rng(1)
    words = ["".join(rng.choice(list("ab ä"), size=rng.integers(0, 4))) for _ in range(500)]
    table = Table({"t": Column.strings(words)})
    for wanted in ("a", "ab", "", "ä", "b a"):
        for op, holds in (("=", str.__eq__), ("<", str.__lt__), (">=", str.__ge__), ("!=", str.__ne__)):
            got = Where(Compare("t", op, wanted)).members(table)
            assert got.tolist() == [holds(word, wanted) for word in words]


def test_a_column_that_is_not_there() -> None:
    for frame in (TABLE, {"age": [1]}):
        with pytest.raises(UsageError, match="did you mean `age`"):
            Where.parse("agee > 3").members(frame)


def test_embeddings_are_not_compared() -> None:
    table = Table({"e": Column(kind="embedding", values=np.zeros((2, 3), dtype=np.float32))})
    assert Where.parse("e is null").members(table).tolist() == [False, False]
    with pytest.raises(UsageError, match="embedding"):
        Where.parse("e > 1").members(table)


def _frame() -> dict[str, list[object]]:
    return {
        "age": [10.0, 20.0, None, 60.5],
        "n": [1, 2, None, 4],
        "city": ["cairo", "rome", None, "cairo"],
        "ok": [True, False, None, True],
        "when": [datetime(2024, 1, 31), datetime(2024, 2, 1), None, datetime(1900, 1, 1)],
    }


RULES = [
    "age > 10", "age != 10", "not (age > 10)", "n in (1, 4)", "n != 2", 'city = "cairo"', 'city != "cairo"',
    'not (city != "cairo")', "ok = true", "ok != true", "not (ok = true)", "when < 2024-02-01", "when != 2024-01-31",
    'age > 10 and (city = "cairo" or n is null)', "city is null", "not (age > 10 or n = 1)", "age is not null",
]  # fmt: skip


def _expected(text: str) -> list[bool]:
    frame = _frame()
    columns = {
        "age": Column.number(np.array([10.0, 20.0, np.nan, 60.5])),
        "n": Column.number(np.array([1.0, 2.0, np.nan, 4.0])),
        "city": Column.category(frame["city"]),  # type: ignore[arg-type]
        "ok": Column(kind="boolean", values=np.array([1, 0, -1, 1], dtype=np.int8)),
        "when": Column(kind="datetime", values=np.array(frame["when"], dtype="datetime64[us]")),
    }
    return Where.parse(text).members(Table(columns)).tolist()


@pytest.mark.parametrize("text", RULES)
def test_members_of_every_kind_of_frame(text: str) -> None:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    plain = _frame()
    pandas = pd.DataFrame(plain)
    frames = [
        pandas,
        pandas.astype(object),
        pandas.convert_dtypes(),
        pandas.assign(city=pandas["city"].astype("category")),
        pl.DataFrame(plain),
        pl.DataFrame(plain).with_columns(pl.col("city").cast(pl.Categorical)),
        pa.table(plain),
        {name: np.array(values, dtype=object) for name, values in plain.items()},
    ]
    for frame in frames:
        assert Where.parse(text).members(frame).tolist() == _expected(text)


@pytest.mark.parametrize("text", RULES)
def test_the_line_for_pandas_and_polars_selects_the_same_rows(text: str) -> None:
    import pandas as pd
    import polars as pl

    rule = Where.parse(text)
    rows = np.flatnonzero(_expected(text)).tolist()
    pandas = pd.DataFrame(_frame())
    for frame in (pandas, pandas.assign(city=pandas["city"].astype("category")), pandas.convert_dtypes()):
        assert eval(rule.python(), {"frame": frame}).index.tolist() == rows
    polars = pl.DataFrame(_frame()).with_row_index("at")
    assert eval(rule.python("polars"), {"frame": polars, "pl": pl})["at"].to_list() == rows


def test_the_line_for_python_cannot_be_broken_out_of() -> None:
    import pandas as pd

    name, word = "a'] or __import__('os').abort() #", "'); raise SystemExit #"
    frame = pd.DataFrame({name: [word, "x"]})
    assert len(eval(Where(Compare(name, "=", word)).python(), {"frame": frame})) == 1


def test_an_unknown_library_is_refused() -> None:
    with pytest.raises(UsageError, match="pandas, polars"):
        Where.parse("a = 1").python("spark")


# --- SQL, run in a real database -----------------------------------------------------------------------------------


def _rows_by_sql(rule: Where, table: object) -> list[int]:
    import duckdb

    with duckdb.connect() as base:
        base.register("t", table)
        found = base.execute(f"SELECT row_no FROM t WHERE {rule.sql()} ORDER BY row_no").fetchall()
    return [row[0] for row in found]


@pytest.mark.parametrize("text", RULES)
def test_sql_selects_the_same_rows(text: str) -> None:
    import pyarrow as pa

    table = pa.table({**_frame(), "row_no": [0, 1, 2, 3]})
    assert _rows_by_sql(Where.parse(text), table) == np.flatnonzero(_expected(text)).tolist()


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(-3, 3, width=32)),
            st.one_of(st.none(), st.integers(-3, 3)),
            st.one_of(st.none(), st.sampled_from(["", "a", "it's", 'q"', "\\", "ä", "%", "a\nb"])),
            st.one_of(st.none(), st.booleans()),
        ),
        min_size=1, max_size=12,
    ),
    st.recursive(
        st.one_of(
            st.builds(Compare, st.just('f"; DROP'), ops, st.one_of(st.floats(-3, 3, width=32), st.floats(-3, 3))),
            st.builds(Compare, st.just("n"), ops, st.integers(-3, 3)),
            st.builds(OneOf, st.just("n"), st.lists(st.integers(-3, 3), min_size=1, max_size=3).map(tuple)),
            st.builds(Compare, st.just("s"), ops, st.sampled_from(["", "a", "it's", 'q"', "\\", "ä", "' OR 1=1 --"])),
            st.builds(Compare, st.just("b"), st.sampled_from(["=", "!="]), st.booleans()),
            st.builds(Missing, st.sampled_from(["n", "s"])),
            st.builds(Present, st.sampled_from(["b"])),
        ),
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map(lambda terms: And(tuple(terms))),
            st.lists(inner, min_size=1, max_size=3).map(lambda terms: Or(tuple(terms))),
            st.builds(Not, inner),
        ),
        max_leaves=6,
    ),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_sql_and_members_agree_on_any_rule(rows, test) -> None:
    import pyarrow as pa

    floats, wholes, words, flags = (list(column) for column in zip(*rows, strict=True))
    table = pa.table({
        'f"; DROP': pa.array(floats, type=pa.float32()), "n": pa.array(wholes, type=pa.int64()),
        "s": pa.array(words, type=pa.string()), "b": pa.array(flags, type=pa.bool_()), "row_no": list(range(len(rows))),
    })  # fmt: skip
    rule = Where(test)
    assert _rows_by_sql(rule, table) == np.flatnonzero(rule.members(table)).tolist()


def test_sql_refuses_what_no_database_can_hold() -> None:
    for word in ("a\x00b", "\ud800"):
        with pytest.raises(UsageError, match="NUL"):
            Where(Compare("a", "=", word)).sql()


def test_sql_moments() -> None:
    import pyarrow as pa

    moments = [datetime(2024, 1, 31, 10, 0, 0, 5), datetime(2024, 1, 31), None]
    table = pa.table({"when": moments, "row_no": [0, 1, 2]})
    assert _rows_by_sql(Where.parse("when > 2024-01-31T10:00:00.000004"), table) == [0]
    assert _rows_by_sql(Where.parse("not (when = 2024-01-31)"), table) == [0, 2]


def test_sql_compares_single_precision_as_doubles() -> None:
    import pyarrow as pa

    small = pa.array([0.1, 0.2, 16_777_216.0], type=pa.float32())
    table = pa.table({"x": small, "row_no": [0, 1, 2]})
    for text, expected in (("x > 0.1", [0, 1, 2]), ("x <= 0.1", []), ("x >= 16777217", [])):
        assert _rows_by_sql(Where.parse(text), table) == expected
        assert np.flatnonzero(Where.parse(text).members(table)).tolist() == expected


def test_a_notebook_shows_the_rule_escaped() -> None:
    shown = Where.parse('city = "<script>"')._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_saved_rules_that_were_cut_short() -> None:
    with pytest.raises(UsageError, match="saved rule"):
        Where.from_json({"kind": "where"})
