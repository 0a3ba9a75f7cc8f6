"""Rows by their ids, thumbnails, values as people read them."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import pytest

from errata.core.columns import Column
from errata.report.rows import find_rows, label_text, predicted_text, row_fold, value_text
from errata.report.thumbnails import SIDE, data_uri


def test_rows_are_found_by_hash_and_occurrence(table_run):
    dataset = table_run.evaluation.dataset
    again = np.zeros(len(dataset), dtype=np.uint32)
    again[7] = 1
    hashes = dataset.id_hash.copy()
    hashes[7] = hashes[3]
    dataset = replace(dataset, id_hash=hashes, occurrence=again)
    ids = dataset.ids()
    assert ids[7] == f"{ids[3]}-1"
    assert find_rows(dataset, [ids[7], ids[3], "not an id", "ffff"]) == {ids[3]: 3, ids[7]: 7}
    assert find_rows(dataset, []) == {}


@pytest.mark.parametrize(
    "column",
    [
        Column.category([f"row {k}" for k in range(2400)]),
        Column.strings([f"row {k}" for k in range(2400)]),
        Column.number(np.arange(2400) * 3),
        Column.number(np.arange(2400) / 4),
    ],
)
def test_rows_are_found_by_their_column(table_run, column):
    dataset = table_run.evaluation.dataset
    dataset = replace(dataset, table=dataset.table.with_columns({"key": column}), id="key")
    chosen = np.array([0, 17, 2399])
    ids = dataset.ids(chosen)
    assert find_rows(dataset, [*ids, "nobody"]) == dict(zip(ids, chosen.tolist(), strict=True))


def test_what_is_said_of_a_row(table_run, house_run):
    evaluation = table_run.evaluation
    assert label_text(evaluation, 0) in evaluation.classes
    assert predicted_text(replace(evaluation, predicted=np.full(2400, -1)), 0) == "unknown"
    assert (row_fold(evaluation, 0), row_fold(evaluation, 1)) == ("explore", "confirm")
    assert label_text(house_run.evaluation, 0).replace(",", "").isdigit()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "missing"),
        (True, "yes"),
        ("\u202ecat", "�cat"),
        ("\x1b[2Jdog", "�[2Jdog"),
        ("لا", "لا"),
        (3, "3"),
        (120000, "120,000"),
        (3.0, "3"),
        (3.14159, "3.142"),
        ("a" * 200, "a" * 89 + "…"),
    ],
)
def test_values(value, text):
    assert value_text(value) == text


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3), (300, 100), (100, 400, 3), (1, 1), (96, 96)])
def test_thumbnails_are_small_and_keep_their_shape(shape):
    from PIL import Image

    rng = np.random.default_rng(0)
    uri = data_uri(rng.integers(0, 256, shape, dtype=np.uint8))
    assert len(uri) < 20_000
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as picture:
        width, height = picture.size
        assert max(width, height) <= SIDE
        assert width / height == pytest.approx(shape[1] / shape[0], rel=0.05)


def test_small_images_are_enlarged_without_smoothing():
    from PIL import Image

    image = np.array([[0, 255], [255, 0]], dtype=np.uint8)
    with Image.open(io.BytesIO(base64.b64decode(data_uri(image).partition(",")[2]))) as picture:
        assert picture.size == (SIDE, SIDE)
        assert set(np.unique(np.asarray(picture))) == {0, 255}
