"""Attributes become columns; what says nothing does not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from errata.core.columns import Column, Table
from errata.core.dataset import Dataset
from errata.ops.measure import columns
from errata.ops.measure.columns import measured
from errata.ops.measure.image import ATTRIBUTES, measure

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (30, 12, 12), dtype=np.uint8)
COLOURED = RNG.integers(0, 256, (30, 12, 12, 3), dtype=np.uint8)


def pictures(image: Callable[[int], NDArray[np.uint8]] | None, **extra: Column) -> Dataset:
    table = Table({"label": Column.number(np.arange(30)), **extra})
    hashes = np.arange(30, dtype=np.uint64)
    occurrence = np.zeros(30, dtype=np.uint32)
    return Dataset(name="p", modality="image", table=table, id_hash=hashes, occurrence=occurrence, image=image)


def test_columns_hold_what_is_measured() -> None:
    data = measured(pictures(lambda row: PICTURES[row]))
    values = measure(PICTURES, value_range=(0, 255))
    brightness = data.table.column("image.brightness")
    np.testing.assert_array_equal(brightness.values, values["image.brightness"])
    assert brightness.words == "brightness"
    assert data.table.column("image.stroke_thickness").unit == "pixels"
    assert data.table.column("image.holes").integer
    assert data.sources[0].columns == tuple(name for name in data.table if name.startswith("image."))


def test_what_is_the_same_for_all_is_left_out() -> None:
    names = measured(pictures(lambda row: PICTURES[row])).table.names
    assert not {"image.width", "image.height", "image.aspect_ratio", "image.saturation", "image.warmth"} & set(names)
    assert "image.saturation" in measured(pictures(lambda row: COLOURED[row])).table.names


def test_categories_keep_the_levels_that_occur() -> None:
    red_or_blue = np.zeros((30, 8, 8, 3), np.uint8)
    red_or_blue[:15, ..., 0] = 255
    red_or_blue[15:, ..., 2] = 255
    column = measured(pictures(lambda row: red_or_blue[row])).table.column("image.dominant_colour")
    assert column.levels == ("red", "blue")
    assert [column.value(row) for row in (0, 20)] == ["red", "blue"]
    assert "image.foreground_colour" not in measured(pictures(lambda row: red_or_blue[row])).table  # all are blank


def test_blocks_give_the_same_and_report(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = measured(pictures(lambda row: PICTURES[row])).table
    monkeypatch.setattr(columns, "BLOCK_PIXELS", 500)
    seen: list[int] = []
    parts = measured(pictures(lambda row: PICTURES[row]), progress=lambda done, total: seen.append(done)).table
    assert seen == sorted(seen)
    assert len(seen) > 5
    for name in whole:
        np.testing.assert_array_equal(whole.column(name).values, parts.column(name).values)


def test_a_column_of_the_users_stays() -> None:
    own = Column.number(np.arange(30.0))
    data = measured(pictures(lambda row: PICTURES[row], **{"image.brightness": own}))
    assert data.table.column("image.brightness") is own


def test_data_without_pictures_are_left_alone() -> None:
    data = pictures(None)
    assert measured(data) is data


def test_mixed_sizes_are_columns_too() -> None:
    mixed = [np.full((5 + row, 9), row, np.uint8) for row in range(30)]
    table = measured(pictures(lambda row: mixed[row])).table
    assert table.column("image.height").values.tolist() == [5 + row for row in range(30)]
    assert set(table.names) <= {"label", *ATTRIBUTES}
