"""Texts as the inputs: which column, what a model is given, ids and copies by the bytes."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from errata.core.copies import copies
from errata.core.errors import UsageError
from errata.datasets.kinds import read_dataset
from errata.datasets.roles import Roles

TEXTS = [f"{word} film number {i}" for i, word in enumerate(["a good", "a bad", "no", "the very best"] * 20)]
LABELS = ["pos", "neg", "neg", "pos"] * 20


def written(folder, kind):
    frame = pd.DataFrame({"remark": TEXTS, "label": LABELS, "year": np.arange(80) % 7})
    path = folder / f"data.{kind}"
    if kind == "csv":
        frame.to_csv(path, index=False)
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pandas(frame), path)
    else:
        path.write_text("\n".join(json.dumps(row) for row in frame.to_dict("records")))
    return path


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_a_column_of_a_file_is_the_input(tmp_path, kind):
    data = read_dataset(written(tmp_path, kind), Roles(text="remark"))
    assert (data.modality, data.text, data.label) == ("text", "remark", "label")
    assert data.read(np.array([2, 0])) == [TEXTS[2], TEXTS[0]]
    assert data.input_names == ()
    assert data.table.column("year").kind == "number", "the others stay columns that rules may read"


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame, pa.table])
def test_a_column_of_a_frame_is_the_input(library):
    data = read_dataset(library({"remark": TEXTS, "label": LABELS}), Roles(text="remark", label="label"))
    assert data.read(np.array([1])) == [TEXTS[1]]


@pytest.mark.parametrize("few", [["yes", "no"] * 40, pd.Categorical(["yes", "no"] * 40)])
def test_few_different_texts_are_texts_when_they_are_said_to_be(few):
    data = read_dataset(pd.DataFrame({"answer": few, "label": LABELS}), Roles(text="answer"))
    assert data.table.column("answer").kind == "text"
    assert data.read(np.array([0, 1])) == ["yes", "no"]


@pytest.mark.parametrize("texts", [TEXTS, tuple(TEXTS), np.array(TEXTS), np.array(TEXTS, object), pd.Series(TEXTS)])
def test_texts_and_labels_as_scikit_learn_knows_them(texts):
    data = read_dataset((texts, LABELS), Roles())
    assert (data.modality, data.text, data.label, data.caveats) == ("text", "text", "label", ())
    assert data.read(np.array([79])) == [TEXTS[79]]


def test_ids_are_of_the_text_alone_and_the_same_however_it_came(tmp_path):
    one = read_dataset(written(tmp_path, "csv"), Roles(text="remark"))
    other = read_dataset((TEXTS, LABELS[::-1]), Roles())
    assert one.ids() == other.ids()
    assert len(set(one.ids())) == 80


def test_equal_texts_with_one_label_are_copies_whatever_else_differs():
    texts, labels = [*TEXTS, TEXTS[0], TEXTS[1]], [*LABELS, LABELS[0], "pos"]
    frame = pd.DataFrame({"remark": texts, "label": labels, "year": np.arange(82)})
    data = read_dataset(frame, Roles(text="remark"))
    found = copies(data)
    assert np.flatnonzero(~found.counted).tolist() == [80], "the text with the other label is no copy"
    assert "equal bytes" in (found.note or "")


def test_a_missing_text_is_an_empty_one_and_said():
    data = read_dataset(([*TEXTS[:5], None, float("nan"), ""], [*LABELS[:5], "neg", "neg", "pos"]), Roles())
    assert data.read(np.arange(5, 8)) == ["", "", ""]
    assert any("2 rows have no text" in caveat for caveat in data.caveats)


def test_half_a_surrogate_is_no_traceback():
    data = read_dataset((["fine", "half \ud83d of it"], ["a", "b"]), Roles())
    assert data.read(np.array([1])) == ["half ? of it"]


def test_a_column_is_guessed_where_nothing_can_be_lost(tmp_path):
    path = tmp_path / "reviews.csv"
    pd.DataFrame({"review": TEXTS, "label": LABELS, "prediction": LABELS}).to_csv(path, index=False)
    data = read_dataset(path, Roles())
    assert data.text == "review"
    assert any("text column guessed" in caveat for caveat in data.caveats)


def test_a_column_beside_others_is_not_guessed_and_the_flag_is_named(tmp_path):
    data = read_dataset(written(tmp_path, "csv"), Roles())
    assert (data.modality, data.text) == ("table", None)
    assert any("--text remark" in caveat for caveat in data.caveats)


def test_names_are_no_texts(tmp_path):
    path = tmp_path / "people.csv"
    pd.DataFrame({"text": [f"K{i}" for i in range(80)], "label": LABELS}).to_csv(path, index=False)
    assert read_dataset(path, Roles()).modality == "table"


def test_a_frame_for_a_model_stays_a_frame():
    data = read_dataset(pd.DataFrame({"text": TEXTS, "label": LABELS}), Roles())
    assert data.modality == "table"
    assert list(data.read(np.array([0])).columns) == ["text"]


@pytest.mark.parametrize(
    ("roles", "said"),
    [
        (Roles(text="year"), "holds number values"),
        (Roles(text="remarks"), "no column `remarks`"),
        (Roles(text="label", label="label"), "label"),
    ],
)
def test_what_is_no_column_of_texts_is_refused(tmp_path, roles, said):
    with pytest.raises(UsageError, match=said) as caught:
        read_dataset(written(tmp_path, "csv"), roles)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("texts", "labels", "said"),
    [(["a b", 3], ["x", "y"], "`3`"), (["a b", "c d"], ["x"], "2 texts and 1 labels")],
)
def test_lists_that_do_not_fit_are_refused(texts, labels, said):
    with pytest.raises(UsageError, match=said):
        read_dataset((texts, labels), Roles())
