"""What a clumsy user may hand in: each ends with a clear error and a hint, or runs with a caveat that says it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import errata
from errata.store.directory import is_run, load

Frame = pd.DataFrame
N = 240
QUICK = ("--methods", "error_tree")


def changed(**columns: object) -> Callable[[Frame], Frame]:
    """The data with some columns replaced or added; a function gets the frame."""
    return lambda frame: frame.assign(**columns)


def some(column: str, value: object, rows: slice) -> Callable[[Frame], Frame]:
    """The data with one value in some rows of a column."""

    def change(frame: Frame) -> Frame:
        frame = frame.astype({column: object})
        frame.loc[frame.index[rows], column] = value
        return frame

    return change


def scored(**columns: object) -> Callable[[Frame], Frame]:
    """The data with probabilities `p_no` and `p_yes`, and then some columns replaced."""

    def change(frame: Frame) -> Frame:
        p = np.where(frame["prediction"] == "yes", 0.8, 0.2)
        return frame.assign(p_no=1 - p, p_yes=p).assign(**columns)

    return change


def measured(**columns: object) -> Callable[[Frame], Frame]:
    """A regression whose predictions are off by about 1, and then some columns replaced."""

    def change(frame: Frame) -> Frame:
        rng = np.random.default_rng(1)
        label = frame["income"] + rng.normal(0, 5, len(frame))
        return frame.assign(label=label, prediction=label + rng.normal(0, 1, len(frame))).assign(**columns)

    return change


def holes(value: float, rows: int) -> np.ndarray:
    """0.5 everywhere but in the first rows."""
    return np.where(np.arange(N) < rows, value, 0.5)


def same(frame: Frame) -> Frame:
    return frame


NAMES = [f"g{row}" for row in range(N)]
WORDS = np.array(["train", "test"])[np.arange(N) % 2]

# name, how the data are changed, further words of the command, exit code, what is said (the error, or a caveat)
TABLES = [
    ("misspelt label", same, "--label lable", 2, "did you mean `label`"),
    ("misspelt prediction", same, "--prediction predicton", 2, "did you mean `prediction`?"),
    ("misspelt id", same, "--id agee", 2, "did you mean `age`?"),
    ("misspelt group", same, "--group citty", 2, "did you mean `city`?"),
    ("misspelt time", same, "--time agee", 2, "`--time agee`"),
    ("misspelt split", same, "--split agee", 2, "`--split agee`"),
    ("misspelt ignore", same, "--ignore agee", 2, "`--ignore agee`"),
    ("misspelt use", same, "--use agee", 2, "`--use agee`"),
    ("misspelt image", same, "--image agee", 2, "did you mean `age`?"),
    ("misspelt scores", same, "--scores q_", 2, "no number column starts with `q_`"),
    ("no label", lambda f: f.drop(columns="label"), "", 2, "known are `age`"),
    ("no prediction", lambda f: f.drop(columns="prediction"), "", 2, "There is no prediction"),
    ("label is the prediction", same, "--label prediction --prediction prediction", 2, "same column"),
    ("a label without values", changed(label=None), "", 2, "The label `label` has no values"),
    ("a label of two thirds", some("label", None, slice(None, None, 3)), "", 0, "80 rows are left out without"),
    ("one class", changed(label="yes"), "", 0, "Every row is labelled `yes`"),
    ("all right", lambda f: f.assign(prediction=f["label"]), "", 0, "0 of 120 held-out rows are wrong"),
    ("all wrong", lambda f: f.assign(prediction=np.where(f["label"] == "yes", "no", "yes")), "", 0,
     "Every prediction is wrong"),
    ("labels never predicted", some("label", "maybe", slice(20)), "", 0, "20 rows have labels that are never"),
    ("no class in common", changed(prediction="A"), "", 2, "share no class"),
    ("labels are ids", changed(label=NAMES), "", 2, "240 different values in 240 rows"),
    ("a label of dates", changed(label=pd.date_range("2020", periods=N)), "", 2, "which are no classes"),
    ("a third has no prediction", some("prediction", None, slice(80)), "", 3, "80 of 240 rows (33.3%)"),
    ("two rows have no prediction", some("prediction", None, slice(2)), "", 0, "2 rows are left out without"),
    ("no prediction at all", changed(prediction=None), "", 3, "No row has a prediction"),
    ("NaN scores", scored(p_yes=holes(np.nan, 60)), "--scores p_", 3, "60 of 240 rows (25.0%) have no usable scores"),
    ("infinite scores", scored(p_yes=holes(-np.inf, 60)), "--scores p_", 3, "no usable scores"),
    ("two NaN scores", scored(p_yes=holes(np.nan, 2)), "--scores p_", 0, "2 rows are left out without scores"),
    ("only NaN scores", scored(p_yes=np.nan), "--scores p_", 3, "No row has scores"),
    ("scores that sum to more", scored(p_yes=0.9), "--scores p_", 0, "do not sum to one"),
    ("their loss", scored(p_yes=0.9), "--scores p_ --metric loss", 2, "needs probabilities"),
    ("loss without scores", same, "--metric loss", 2, "needs scores"),
    ("scores of words", scored(p_yes="high"), "--scores p_", 2, "`p_yes` holds category values"),
    ("a score of words", scored(p_yes="high"), "--scores p_yes", 2, "holds category values"),
    ("one score", lambda f: scored()(f).drop(columns=["prediction", "p_no"]), "--scores p_yes", 0,
     "`p_yes` is read as the probability of `yes`"),
    ("one score that is none", lambda f: scored(p_yes=f["income"])(f).drop(columns="prediction"), "--scores p_yes", 2,
     "expected a probability"),
    ("duplicate ids", changed(key=np.arange(N) % 50), "--id key", 2, "say `--group key`"),
    ("an id with holes", changed(key=np.where(np.arange(N) < 5, np.nan, np.arange(N))), "--id key", 2, "not unique"),
    ("one row", lambda f: f.assign(prediction=f["label"]).iloc[:1], "", 2, "1 usable row"),
    ("two rows per class", lambda f: f.groupby("label").head(2), "", 0, "Few errors"),
    ("five errors", lambda f: f.assign(prediction=f["label"].where(f.index > 4, "no")), "", 0, "Few errors"),
    ("constant columns", changed(c=1, d="x", e=2.5), "", 0, ""),
    ("nothing but outputs", lambda f: f[["label", "prediction"]], "", 0, "count as independent rows"),
    ("columns without values", changed(c=None, d=np.nan), "", 0, "`c` has no values"),
    ("mixed types", changed(c=[1, "a", 2.5, "", None] * (N // 5)), "", 0, ""),
    ("huge integers", changed(c=[2**63 + row for row in range(N)], d=[2**70 * row for row in range(N)]), "", 0, ""),
    ("huge and infinite numbers", lambda f: f.assign(c=np.where(f["age"] > 50, np.inf, 1e308)), "", 0, ""),
    ("dates far away", changed(c=["0001-01-01", "9999-12-31"] * (N // 2)), "--time c", 0, ""),
    ("dates that are none", changed(c="2020-02-30"), "--time c", 2, "holds category, not moments"),
    ("time with holes", lambda f: f.assign(c=pd.date_range("2020", periods=N).where(np.arange(N) > 8)), "--time c", 0,
     "9 rows without `c` are left out"),
    ("time without values", changed(c=None), "--time c", 2, "0 different values"),
    ("one moment", changed(c="2020-01-01"), "--time c", 2, "1 different values"),
    ("every group alone", changed(c=NAMES), "--group c", 0, ""),
    ("groups with holes", changed(c=[f"g{row % 40}" if row % 5 else None for row in range(N)]), "--group c", 0,
     "48 rows have no `c`"),
    ("one group", changed(c="g"), "--group c", 0, "only 1 group"),
    ("no group", changed(c=None), "--group c", 0, "they count as one group"),
    ("a split of other words", changed(c=["left", "right"] * (N // 2)), "--split c", 2, "`left`, which is neither"),
    ("a split of training rows", changed(c="train"), "--split c", 2, "training rows by `c`"),
    ("a split with holes", changed(c=np.where(np.arange(N) < 12, None, WORDS)), "--split c", 0,
     "12 rows without `c` are left out"),
    ("a constant target", measured(label=3.25), "", 0, "The label is 3.25 in every row"),
    ("NaN predictions", measured(prediction=holes(np.nan, 60)), "", 3, "60 of 240 rows"),
    ("two NaN predictions", measured(prediction=holes(np.nan, 2)), "", 0, "2 rows are left out"),
    ("only NaN predictions", measured(prediction=np.nan), "", 3, "No row has a prediction"),
    ("a target beyond bounds", measured(label=holes(1e300, 2)), "--task regression", 0, "2 rows are left out"),
    ("a regression without errors", lambda f: f.assign(label=f["income"], prediction=f["income"]), "", 0, ""),
    ("a regression of words", same, "--task regression", 2, "The prediction `prediction` holds category values"),
    ("words for numbers", measured(prediction="x"), "", 2, "regression needs numbers"),
    ("a column named like ours", changed(**{"errata:fold": range(N), "fold": 1, "errata:label": "x"}), "", 0, ""),
    ("a label beside a label", changed(target="x"), "", 0, "Label column guessed"),
    ("two labels", lambda f: f.rename(columns={"label": "y"}).assign(target="x"), "", 2, "`y`, `target`"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words", "code", "said"), [row[1:] for row in TABLES], ids=[row[0] for row in TABLES]
)
def test_tables(command, folder, predicted, change, words, code, said):
    change(predicted).to_csv("d.csv", index=False)
    ended = command("diagnose", "d.csv", *words.split(), *QUICK)
    assert ended.code == code, ended.err
    if code:
        assert said in ended.err
        assert not (folder / "errata-runs").exists()
    else:
        assert said in ended.caveats
        assert ended.err == ""
        (made,) = (folder / "errata-runs").iterdir()
        assert is_run(made)
        assert load(made).evaluation is not None


def parquet(frame: Frame) -> bytes:
    frame.to_parquet("whole.parquet")
    return Path("whole.parquet").read_bytes()


def scribbled(content: bytes) -> bytes:
    rng = np.random.default_rng(0)
    return content[:100] + rng.bytes(800) + content[900:]


FILES = [
    ("empty.csv", lambda f: b"", 2, "is empty"),
    ("blank.csv", lambda f: b"\n\n \n", 2, "is empty"),
    ("header.csv", lambda f: b"age,label,prediction\n", 2, "a header and no rows"),
    ("ragged.csv", lambda f: b"label,prediction\n1,1\n2\n1,1,1\n", 2, "row 3 has 1 cells, the header has 2"),
    ("twice.csv", lambda f: b"label,label,prediction\n1,1,1\n", 2, "two columns named `label`"),
    ("binary.csv", lambda f: bytes(range(256)) * 9, 2, "binary data"),
    ("really.csv", parquet, 2, "a Parquet file"),
    ("cut.csv.gz", lambda f: gzip.compress(b"label,prediction\n1,1\n" * 99)[:40], 2, "cannot be unpacked"),
    ("no.csv.gz", lambda f: b"\x1f\x8bnot", 2, "cannot be unpacked"),
    ("empty.parquet", lambda f: b"", 2, "cannot be read as Parquet"),
    ("half.parquet", lambda f: parquet(f)[: len(parquet(f)) // 2], 2, "cannot be read as Parquet"),
    ("tail.parquet", lambda f: parquet(f)[:-1], 2, "is the file whole?"),
    ("scribbled.parquet", lambda f: scribbled(parquet(f)), 2, "cannot be read as Parquet"),
    ("norows.parquet", lambda f: parquet(f.iloc[:0]), 2, "has no rows"),
    ("empty.jsonl", lambda f: b"", 2, "is empty"),
    ("list.jsonl", lambda f: b'[{"a": 1}]', 2, "one JSON list"),
    ("null.jsonl", lambda f: b"null\n", 2, "line 1 is no object"),  # pyarrow alone would crash the process
    ("word.jsonl", lambda f: b'"label"\n', 2, "line 1 is no object"),
    ("cut.jsonl", lambda f: b'{"label": 1, "prediction": 1}\n{"label":', 2, "line 2 is not JSON"),
    ("deep.jsonl", lambda f: b"[" * 99_999, 2, "Hint"),
    ("empty.npz", lambda f: b"", 2, "is no .npz file"),
    ("data.xlsx", lambda f: b"PK\x03\x04", 2, "of no kind that is read here"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "code", "said"), FILES, ids=[row[0] for row in FILES])
def test_files(command, folder, predicted, name, content, code, said):
    Path(name).write_bytes(content(predicted))
    ended = command("diagnose", name, *QUICK)
    assert ended.code == code, ended.err
    assert said in ended.err
    assert not (folder / "errata-runs").exists()


def test_encodings_mixed_in_one_file_are_read_and_said(command, predicted):
    text = predicted.to_csv(index=False).encode()
    Path("d.csv").write_bytes(text.replace(b"oslo", "øslo".encode("latin-1"), 5).replace(b"lima", "límá".encode(), 7))
    ended = command("diagnose", "d.csv", *QUICK)
    assert ended.code == 0
    assert "not UTF-8" in ended.caveats


def test_half_a_surrogate_pair_in_json_is_read(command):
    rows = [{"label": "ab"[row % 2], "prediction": "a", "x\ud800": f"\ud800{row % 3}"} for row in range(60)]
    Path("d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert command("diagnose", "d.jsonl", *QUICK).code == 0


def test_a_different_word_in_every_row(command):
    n = 200_000  # a million goes the same way and takes five times as long
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, n)
    frame = pd.DataFrame({"label": label, "prediction": np.where(rng.random(n) < 0.1, 1 - label, label)})
    frame["name"] = "u" + pd.Series(np.arange(n)).astype(str)
    frame.to_parquet("d.parquet")
    ended = command("diagnose", "d.parquet", *QUICK)
    assert ended.code == 0
    aside = json.loads(next(Path("errata-runs").glob("*/run.json")).read_text())["data"]["set_aside"]
    assert [item["column"] for item in aside] == ["name"]
    named = command("diagnose", "d.parquet", "--label", "name", *QUICK)
    assert named.code == 2
    assert "200,000 different values" in named.err


NASTY = ["a\"g\ne'", "🙂 🏳️‍🌈", 'אבג <script>alert(1)</script> "', "errata:fold"]


def test_names_with_quotes_line_breaks_emoji_and_another_direction(command, folder):
    rng = np.random.default_rng(3)
    n = 900
    frame = pd.DataFrame({name: rng.integers(0, 9, n) for name in NASTY})
    bad = frame[NASTY[0]].between(3, 5) & (frame[NASTY[2]] > 4)
    frame["label"] = rng.choice(["\x1b[31mno", '"yes"\n<b>'], n)
    other = frame["label"].map({"\x1b[31mno": '"yes"\n<b>', '"yes"\n<b>': "\x1b[31mno"})
    frame["prediction"] = frame["label"].where(rng.random(n) > np.where(bad, 0.7, 0.05), other)
    frame.iloc[:500].to_parquet("d.parquet")
    frame.iloc[500:].to_parquet("fresh.parquet")
    ended = command("diagnose", "d.parquet", "--out", "run", *QUICK)
    assert ended.code == 0
    found = load("run").confirmed[0]
    assert set(found.rule.columns) == {NASTY[0], NASTY[2]}
    page = (folder / "run" / "report.html").read_text()
    assert "<script>alert" not in page
    assert "\x1b" not in ended.out
    quoted = '"' + NASTY[0].replace('"', '""') + '"'
    for words in (
        ("run/",), ("explain", "run", "--finding", found.id), ("explain", "run", "--heatmap", quoted),
        ("export", "run", "--as", "markdown"), ("check", "run", "fresh.parquet"),
    ):  # fmt: skip
        again = command(*words)
        assert again.code == 0, again.err
        assert "\x1b" not in again.out
    assert "confirmed again" in again.out
    source = command("export", "run", "--as", "pytest").out
    compile(source, "test_errors.py", "exec")


def test_columns_named_like_ours_come_back_as_they_were(folder, predicted):
    frame = predicted.assign(**dict.fromkeys(("errata:fold", "errata:loss", "id", "fold"), predicted["age"]))
    made = errata.diagnose(frame, label="label", methods=["error_tree"], out="run", state="state").evaluation
    again = load("run").evaluation
    assert np.array_equal(made.fold, again.fold)
    for name in ("errata:fold", "errata:loss", "id", "fold"):
        assert np.array_equal(again.dataset.table.column(name).values, predicted["age"])
