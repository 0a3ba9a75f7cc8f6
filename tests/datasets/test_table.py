"""Tables from files and frames: types, roles, ids, what models are given, and what bad files are told."""

from __future__ import annotations

import gzip
import os
import random
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pytest

from errata.core.columns import Kind
from errata.core.dataset import Dataset
from errata.core.errors import UsageError
from errata.datasets.inputs import frame_of, with_inputs
from errata.datasets.kinds import read_dataset
from errata.datasets.roles import Roles
from errata.datasets.table import read_columns, read_frame, read_table

Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


def kinds(dataset: Dataset) -> dict[str, Kind]:
    return {name: dataset.table.column(name).kind for name in dataset.table}


def column(dataset: Dataset, name: str) -> list[object]:
    found = dataset.table.column(name)
    return [found.value(row) for row in range(len(found))]


CSV = """age,city,smoker,when,share,label
31,cairo,true,2024-01-31,0.5,yes
,rome,false,2024-02-01,,no
52,,,,1.5,yes
"""


def test_csv_types(write: Write) -> None:
    found = read_table(write("a.csv", CSV))
    assert kinds(found) == {
        "age": "number", "city": "category", "smoker": "boolean", "when": "datetime", "share": "number",
        "label": "category",
    }  # fmt: skip
    assert column(found, "age") == [31, None, 52]
    assert column(found, "city") == ["cairo", "rome", None]
    assert column(found, "smoker") == [True, False, None]
    assert column(found, "when") == ["2024-01-31", "2024-02-01", None]
    assert column(found, "share") == [0.5, None, 1.5]
    assert found.label == "label"
    assert "label column guessed" in found.caveats[0]


@pytest.mark.parametrize(
    ("name", "encode"),
    [
        ("a.csv.gz", lambda text: gzip.compress(text.encode())),
        ("a.csv", lambda text: gzip.compress(text.encode())),
        ("a.csv", lambda text: text.replace(",", ";").encode()),
        ("a.tsv", lambda text: text.replace(",", "\t").encode()),
        ("a.csv", lambda text: text.replace("\n", "\r\n").encode()),
        ("a.csv", lambda text: text.encode("utf-8-sig")),
        ("a.csv", lambda text: text.encode("utf-16")),
    ],
)
def test_the_same_table_in_other_forms(write: Write, name: str, encode: Callable[[str], bytes]) -> None:
    expected = read_table(write("plain.csv", CSV))
    found = read_table(write(name, encode(CSV)))
    assert kinds(found) == kinds(expected)
    assert (found.id_hash == expected.id_hash).all()


def test_decimal_commas(write: Write) -> None:
    found = read_table(write("a.csv", "x;label\n1,5;a\n2,25;b\n"))
    assert column(found, "x") == [1.5, 2.25]
    assert "decimal commas" in found.caveats[0]


def test_encodings_that_are_not_utf8(write: Write) -> None:
    text = "city,label\n" + "Köln,a\nZürich,b\n" * 5
    found = read_table(write("a.csv", text.encode("latin-1")))
    assert set(column(found, "city")) == {"Köln", "Zürich"}
    assert "Windows-1252" in found.caveats[0]
    mixed = read_table(write("b.csv", text.encode() + "Köln,a\n".encode("latin-1")))
    assert set(column(mixed, "city")) == {"Köln", "Zürich"}
    header = read_table(write("c.csv", "größe,label\n1,a\n2,b\n".encode("latin-1")))
    assert "größe" in header.table


def test_types_that_change_late_in_the_file(write: Write) -> None:
    rows = "1,2,b,0\n" * 600_000
    late = write("a.csv", b"x,w,t,label\n" + rows.encode() + "1.5,abc,Köln,1\n".encode("latin-1"))
    found = read_table(late)
    assert kinds(found) == {"x": "number", "w": "category", "t": "category", "label": "number"}
    assert found.table.column("x").value(600_000) == 1.5
    assert found.table.column("t").value(600_000) == "Köln"


def test_stand_ins_for_missing_numbers(write: Write) -> None:
    found = read_table(write("a.csv", "x,y,label\n1,?,a\n?,b,b\n2.5,?,a\n"))
    assert column(found, "x") == [1, None, 2.5]
    assert column(found, "y") == ["?", "b", "?"]


def test_quoted_cells_hold_separators_and_line_breaks(write: Write) -> None:
    found = read_table(write("a.csv", 'x,label\n"a\nb",0\n"c,d",1\n'))
    assert column(found, "x") == ["a\nb", "c,d"]


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("pack", [lambda text: text.encode(), lambda text: gzip.compress(text.encode())])
def test_rows_longer_than_what_is_first_looked_at(write: Write, rows: int, pack: Callable[[str], bytes]) -> None:
    words = ["word " * 120_000, "short, and quoted", "word " * 120_000][:rows]
    text = "note;label\n" + "\n".join(f'"{note}";{place % 2}' for place, note in enumerate(words)) + "\n"
    found = read_table(write("a.csv", pack(text)))
    assert column(found, "note") == words
    assert column(found, "label") == [place % 2 for place in range(rows)]


def test_a_header_longer_than_what_is_first_looked_at(write: Write) -> None:
    names = [f"a column with a rather long name, number {place}" for place in range(9_000)]
    row = ["1"] * len(names)
    header = ",".join(f'"{name}"' for name in names)
    found = read_table(write("a.csv", "\n".join([header, ",".join(row), ",".join(row)])))
    assert list(found.table) == names
    assert len(found) == 2


def test_many_words(write: Write) -> None:
    n = 3_000
    head = "id,name,zip,note,label\n"
    rows = [f"k{i},{i % 900:03d}x,z{i % 40},a long note about number {i},{i % 2}" for i in range(n)]
    found = read_table(write("a.csv", head + "\n".join(rows)))
    assert kinds(found) == {"id": "text", "name": "category", "zip": "category", "note": "text", "label": "number"}
    assert [item.column for item in found.set_aside] == ["id"]
    assert found.input_names == ("name", "zip", "note")
    assert found.table.column("note").text(7) == "a long note about number 7"


def test_a_million_different_words_are_text() -> None:
    import pyarrow as pa

    n = 1_000_000
    words = pa.array(np.char.add("w", np.arange(n).astype(str)))
    found = read_frame(pa.table({"word": words, "x": np.arange(n) % 7, "label": np.arange(n) % 2}))
    assert found.table.column("word").kind == "text"
    assert found.table.column("word").text(999_999) == "w999999"


def test_parquet_and_jsonl_give_the_same_rows(write: Write, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    plain = {"age": [31, None, 52], "a.b": ["x", "y", None], "ok": [True, None, False], "label": ["yes", "no", "yes"]}
    pq.write_table(pa.table(plain), tmp_path / "a.parquet")
    parquet = read_table(tmp_path / "a.parquet")
    lines = ['{"age":31,"a.b":"x","ok":true,"label":"yes"}', '{"a.b":"y","ok":null,"label":"no"}',
             '{"age":52,"ok":false,"label":"yes"}']  # fmt: skip
    jsonl = read_table(write("a.jsonl", "\n".join(lines)))
    packed = read_table(write("b.jsonl.gz", gzip.compress("\n".join(lines).encode())))
    assert kinds(parquet) == kinds(jsonl)
    assert (parquet.id_hash == jsonl.id_hash).all()
    assert (parquet.id_hash == packed.id_hash).all()


def test_jsonl_whose_types_change(write: Write) -> None:
    found = read_table(write("a.jsonl", '{"a":1,"label":0}\n\n{"a":"x","label":1}\n{"a":2.5,"z":[1,2]}\n'))
    assert column(found, "a") == ["1", "x", "2.5"]
    assert column(found, "label") == [0, 1, None]


def test_arrow_types() -> None:
    import pyarrow as pa

    moments = [datetime(2024, 1, 31, 10), None]
    table = pa.table({
        "small": pa.array([1, 2], type=pa.int8()),
        "huge": pa.array([2**60 + 1, 2**60 + 2], type=pa.int64()),
        "half": pa.array([0.5, None], type=pa.float32()),
        "decimal": pa.array([1, None], type=pa.decimal128(5, 2)),
        "zoned": pa.array(moments, type=pa.timestamp("ms", tz="Europe/Berlin")),
        "day": pa.array([date(2024, 1, 31), None]),
        "levels": pa.array(["b", None]).dictionary_encode(),
        "vector": pa.array([[1.0, 2.0], [3.0, 4.0]], type=pa.list_(pa.float64(), 2)),
        "ragged": pa.array([[1.0], [3.0, 4.0]]),
        "nested": pa.array([{"a": 1}, {"a": 2}]),
        "nothing": pa.nulls(2),
        "label": [0, 1],
    })  # fmt: skip
    found = read_frame(table)
    assert found.table.column("small").values.dtype == np.float32
    assert column(found, "huge") == [str(2**60 + 1), str(2**60 + 2)]
    assert found.table.column("half").values.dtype == np.float32
    assert column(found, "decimal") == [1.0, None]
    assert str(column(found, "zoned")[0]).startswith("2024-01-31T10:00")
    assert column(found, "day") == ["2024-01-31", None]
    assert column(found, "levels") == ["b", None]
    assert found.table.column("vector").values.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert "ragged" not in found.table
    assert "nested" not in found.table
    assert any("`ragged`" in note for note in found.caveats)
    assert column(found, "nothing") == [None, None]


def test_arrow_chunks_and_slices() -> None:
    import pyarrow as pa

    whole = pa.table({
        "x": [float(i) if i % 3 else None for i in range(40)],
        "w": [f"w{i % 5}" if i % 4 else None for i in range(40)],
        "t": [f"text {i}" if i % 7 else None for i in range(40)],
        "b": [None if i % 5 == 0 else i % 2 == 0 for i in range(40)],
        "when": [datetime(2024, 1, 1 + i % 28) if i % 6 else None for i in range(40)],
        "label": [i % 2 for i in range(40)],
    })  # fmt: skip
    expected = read_frame(whole, Roles(text="t"))
    cut = pa.concat_tables([whole.slice(0, 13), whole.slice(13, 0), whole.slice(13, 11), whole.slice(24)])
    found = read_frame(cut, Roles(text="t"))
    later = read_frame(whole.slice(5), Roles(text="t"))
    for name in whole.column_names:
        assert column(found, name) == column(expected, name)
        assert column(later, name) == column(expected, name)[5:]
    assert column(expected, "x")[:4] == [None, 1.0, 2.0, None]
    assert column(expected, "t")[6:8] == ["text 6", None]


def test_reading_a_file_loads_no_dataframe_library(write: Write) -> None:
    import subprocess
    import sys

    path = write("a.csv", CSV + "60,oslo,true,2024-03-01,,no\n")
    code = (
        "import sys; from errata.datasets.kinds import read_dataset; from errata.datasets.roles import Roles; "
        f"read_dataset({str(path)!r}, Roles()); "
        "print({'pandas', 'polars', 'sklearn', 'scipy', 'PIL'} & {name.partition('.')[0] for name in sys.modules})"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env).stdout
    assert said.strip() == "set()"


# --- frames -----------------------------------------------------------------------------------------------------------


def frames() -> dict[str, object]:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    plain = {"age": [31.0, None, 52.0, 7.0], "city": ["cairo", "rome", None, "rome"], "ok": [True, False, True, True],
             "label": [0, 1, 1, 0]}  # fmt: skip
    pandas = pd.DataFrame(plain)
    return {
        "pandas": pandas,
        "pandas nullable": pandas.convert_dtypes(),
        "pandas categorical": pandas.astype({"city": "category"}),
        "pandas objects": pandas.astype(object),
        "pandas indexed": pandas.set_index(pd.Index([5, 5, 6, 7])),
        "polars": pl.DataFrame(plain),
        "polars categorical": pl.DataFrame(plain).with_columns(pl.col("city").cast(pl.Categorical)),
        "pyarrow": pa.table(plain),
    }


@pytest.mark.parametrize("kind", list(frames()))
def test_frames_of_every_library(kind: str) -> None:
    frame = frames()[kind]
    found = read_dataset(frame, Roles())
    assert column(found, "age") == [31.0, None, 52.0, 7.0]
    assert column(found, "city") == ["cairo", "rome", None, "rome"]
    assert found.native == kind.split()[0]
    assert (found.id_hash == read_dataset(frames()["pandas"], Roles()).id_hash).all()
    assert found.read is not None
    batch = found.read(np.array([3, 0]))
    assert type(batch) is type(frame)
    assert list(getattr(batch, "column_names", None) or batch.columns) == ["age", "city", "ok"]
    assert [float(value) for value in np.asarray(batch["age"])] == [7.0, 31.0]


def test_rows_of_the_users_own_frame_keep_their_types() -> None:
    frame = frames()["pandas categorical"]
    found = read_dataset(frame, Roles())
    assert found.read is not None
    assert found.read(np.array([0])).dtypes["city"].name == "category"
    narrowed = with_inputs(found, ["label", "city"])
    assert narrowed.read is not None
    assert list(narrowed.read(np.array([1])).columns) == ["label", "city"]
    with pytest.raises(UsageError, match="did you mean `city`"):
        with_inputs(found, ["cty"])


def test_models_are_given_pandas_rows_from_files(write: Write) -> None:
    import pandas as pd

    found = read_table(write("a.csv", CSV))
    assert found.read is not None
    batch = found.read(np.array([0, 1]))
    assert isinstance(batch, pd.DataFrame)
    assert list(batch.columns) == ["age", "city", "smoker", "when", "share"]
    assert batch["age"].tolist()[0] == 31
    assert batch["city"].tolist() == ["cairo", "rome"]
    only = with_inputs(found, ["share", "label"])
    assert only.read is not None
    assert only.read(np.array([2]))["label"].tolist() == ["yes"]


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_frames_are_made_in_any_library(write: Write, library: str) -> None:
    found = read_table(write("a.csv", CSV))
    frame = frame_of(found.table, found.table.names, np.arange(3), native=library)
    again = read_frame(frame)
    for name in found.table:
        assert column(again, name) == column(found, name) or name == "when"
    assert again.table.column("when").kind == "datetime"


def test_frames_that_cannot_be_read() -> None:
    import pandas as pd
    import polars as pl

    twice = pd.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(UsageError, match="two columns named `a`"):
        read_frame(twice)
    with pytest.raises(UsageError, match="collect"):
        read_frame(pl.DataFrame({"a": [1]}).lazy())
    with pytest.raises(UsageError, match="no dataframe"):
        read_frame(3)
    with pytest.raises(UsageError, match="no rows"):
        read_frame(pd.DataFrame({"a": []}))


def test_a_pandas_column_of_mixed_objects() -> None:
    import pandas as pd

    found = read_frame(pd.DataFrame({"a": [1, "x", None], "label": [0, 1, 0]}))
    assert column(found, "a") == [1, "x", None]


def test_mappings_of_arrays() -> None:
    found = read_columns({"x": np.arange(3), "city": ["a", "b", "a"], "label": np.array([True, False, True])})
    assert kinds(found) == {"x": "number", "city": "category", "label": "boolean"}
    with pytest.raises(UsageError, match="different lengths"):
        read_columns({"x": [1], "y": [1, 2]})


# --- bad files --------------------------------------------------------------------------------------------------------

ROWS = "a,b,label\n" + "\n".join(f"{i},{i % 3},{i % 2}" for i in range(50))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "is empty"),
        ("a.csv", "\n\n  \n", "is empty"),
        ("a.csv", "a,b,label\n", "header and no rows"),
        ("a.csv", "a,b,label", "header and no rows"),
        ("a.csv", "a,a,label\n1,2,0\n", "two columns named `a`"),
        ("a.csv", ROWS + "\n1,2,3,4\n", "row 52 has 4 cells, the header has 3"),
        ("a.csv", ROWS + "\n1,2\n", "row 52 has 2 cells"),
        ("a.csv", "0,1,2\n1,2,0\n", "no header"),
        ("a.csv", random.Random(0).randbytes(5_000), "binary data"),
        ("a.csv", b"PAR1" + bytes(100), "a Parquet file"),
        ("a.csv", b"PK\x03\x04" + bytes(100), "zip archive or a spreadsheet"),
        ("a.csv.gz", gzip.compress(ROWS.encode() * 100)[:-30], "cannot be unpacked"),
        ("a.csv.gz", b"\x1f\x8bhello", "cannot be unpacked"),
        ("a.parquet", b"PAR1" + bytes(100), "cannot be read as Parquet"),
        ("a.parquet", b"", "cannot be read as Parquet"),
        ("a.jsonl", '{"a":1,"label":0}\n{"a":2,"la\n', "line 2 is not JSON"),
        ("a.jsonl", '[{"a":1}]', "one JSON list"),
        ("a.jsonl", "1\n2\n", "line 1 is no object"),
        ("a.jsonl", "[" * 100_000, "one JSON list"),
        ("a.jsonl", '{"a":' * 100_000, "line 1 is not JSON"),
        ("a.xlsx", "PK", "of no kind that is read here"),
    ],
)
def test_bad_files_say_what_is_wrong(write: Write, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_dataset(write(name, content), Roles())
    assert message in str(caught.value)
    assert "Hint: " in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_truncated_parquet_file(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"x": np.arange(10_000), "label": np.arange(10_000) % 2}), tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    for cut in (whole[: len(whole) // 2], whole[50:], whole[:100] + bytes(1_000) + whole[1_100:]):
        (tmp_path / "b.parquet").write_bytes(cut)
        with pytest.raises(UsageError, match="b\\.parquet"):
            read_table(tmp_path / "b.parquet")


def test_a_file_that_is_not_there(write: Write) -> None:
    path = write("people.csv", CSV)
    with pytest.raises(UsageError, match="did you mean `people"):
        read_dataset(path.with_name("peopel.csv"), Roles())
    with pytest.raises(UsageError, match="sample:NAME"):
        read_dataset(Path(os.devnull) / "x.csv", Roles())


def test_data_of_no_kind() -> None:
    for thing in (3, object(), [1, 2, 3]):
        with pytest.raises(UsageError, match="no data"):
            read_dataset(thing, Roles())
