"""Rules that list rows."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from errata.core.codec import decode, encode
from errata.core.columns import Column
from errata.core.errors import UsageError
from errata.core.ids import Ids
from errata.core.slices import MISLABELLED, Rule, Slice
from errata.testing import planted

WORLD = planted("literal", n=400, seed=1)


def test_the_listed_rows_belong_in_any_view() -> None:
    evaluation = WORLD.evaluation()
    ids = evaluation.dataset.ids(np.array([3, 17, 200]))
    rule = Ids((*ids, "ffffffffffffffff", "no hash at all"))
    assert np.flatnonzero(rule.members(evaluation)).tolist() == [3, 17, 200]
    assert np.flatnonzero(rule.members(evaluation.dataset)).tolist() == [3, 17, 200]
    view = evaluation.take(np.array([200, 5, 3]))
    assert rule.members(view).tolist() == [True, False, True]


def test_copies_are_told_apart_by_their_occurrence() -> None:
    data = WORLD.dataset()
    data = replace(data, id_hash=np.repeat(data.id_hash[::2], 2), occurrence=np.tile([0, 1], 200).astype(np.uint32))
    rule = Ids((data.ids(np.array([9]))[0],))
    assert rule.ids[0].endswith("-1")
    assert np.flatnonzero(rule.members(data)).tolist() == [9]


def test_ids_of_a_column_are_read_as_they_stand() -> None:
    data = WORLD.dataset()
    table = data.table.with_columns({"name": Column.category([f"row {row}" for row in range(400)])})
    data = replace(data, table=table, id="name")
    assert np.flatnonzero(Ids(("row 7", "row 399")).members(data)).tolist() == [7, 399]


def test_the_text_is_the_list_whatever_its_order() -> None:
    first = Ids(("a", "b"), doubt=np.array([0.9, 0.8]))
    assert first == Ids(("b", "a"))
    assert hash(first) == hash(Ids(("b", "a")))
    assert first != Ids(("a", "c"))
    assert Ids(("ab", "c")) != Ids(("a", "bc"))
    assert first.text.startswith("2 listed rows (")
    assert Slice(rule=first, claim=MISLABELLED).id == Slice(rule=Ids(("b", "a")), claim=MISLABELLED).id


def test_it_travels_as_json_and_arrays() -> None:
    rule = Ids(("ü", "b"), doubt=np.array([0.9, 0.8]), how={"neighbours": 10, "embeddings": ""})
    plain = json.loads(json.dumps(encode(rule)))
    again = decode({**plain, "arrays": rule.arrays()}, Rule)
    assert again == rule
    assert again.doubts() == {"ü": 0.9, "b": 0.8}
    assert again.how == rule.how
    assert all(array.dtype != object for array in rule.arrays().values())


def test_what_is_damaged_is_said() -> None:
    rule = Ids(("a", "b"))
    with pytest.raises(UsageError, match="has no ids"):
        Ids.from_json(rule.to_json(), {})
    with pytest.raises(UsageError, match="is damaged"):
        Ids.from_json(rule.to_json(), Ids(("a", "c")).arrays())
    with pytest.raises(UsageError, match="twice"):
        Ids(("a", "a"))
    with pytest.raises(UsageError, match="one number per id"):
        Ids(("a",), doubt=np.zeros(2))
    with pytest.raises(UsageError, match="carry no ids"):
        rule.members(WORLD.table)
