"""The split as docs/proof.md section 1 has it: by hash, within labels, groups whole, copies together."""

from __future__ import annotations

import numpy as np
import pytest

from errata.core.columns import Column, Table
from errata.core.copies import copies
from errata.core.dataset import Dataset
from errata.core.errors import UsageError
from errata.core.evaluation import CONFIRM, EXPLORE, LEFT_OUT, SEALED
from errata.core.folds import Split, fifths, split
from errata.core.hashing import bytes_hash, occurrences, row_hash


def dataset(columns: dict[str, Column], **roles: str) -> Dataset:
    """A dataset with ids as a reader makes them."""
    inputs = {name: column for name, column in columns.items() if name not in ("label", "prediction", "split")}
    ids = row_hash(inputs)
    return Dataset(
        name="test", modality="table", table=Table(columns), id_hash=ids, occurrence=occurrences(ids),
        label="label" if "label" in columns else None, **roles,
    )  # fmt: skip


def world(n: int = 3_000, *, seed: int = 0) -> dict[str, Column]:
    rng = np.random.default_rng(seed)
    return {
        "x": Column.number(rng.normal(size=n)),
        "city": Column.category(rng.choice(["cairo", "rome", "oslo"], n).tolist()),
        "label": Column.number(rng.choice(3, n, p=[0.7, 0.2, 0.1]), integer=True),
    }


def deal(data: Dataset, *, labels: np.ndarray | None = None, task: str = "classification", **options) -> Split:
    codes = data.table.column("label").values.astype(np.int32) if labels is None else labels
    return split(data, labels=codes, task=task, copies=copies(data), **options)  # type: ignore[arg-type]


def shares_of(fold: np.ndarray) -> list[float]:
    return [float(np.mean(fold == part)) for part in (EXPLORE, CONFIRM, SEALED)]


@pytest.mark.parametrize(("n", "expected"), [(4_999, [0.5, 0.5, 0.0]), (5_000, [0.4, 0.4, 0.2])])
def test_shares_by_number_of_rows(n: int, expected: list[float]) -> None:
    result = deal(dataset(world(n)))
    assert np.allclose(shares_of(result.fold), expected, atol=2 / n)
    assert result.how == "rows"


def test_every_class_is_split_in_the_same_shares() -> None:
    columns = world()
    fold = deal(dataset(columns)).fold
    for label in range(3):
        inside = columns["label"].values == label
        assert abs((fold[inside] == EXPLORE).sum() - inside.sum() / 2) <= 1


def test_many_tiny_classes_do_not_all_round_to_one_side() -> None:
    n = 900
    columns = world(n) | {"label": Column.number(np.arange(n) // 3, integer=True)}
    fold = deal(dataset(columns)).fold
    assert abs((fold == EXPLORE).sum() - n / 2) <= 1
    per_class = np.bincount(np.arange(n) // 3, weights=fold == EXPLORE)
    assert set(per_class.tolist()) == {1.0, 2.0}


@pytest.mark.parametrize("roles", [{}, {"group": "group"}, {"group": "few"}])
def test_the_order_of_rows_and_columns_does_not_matter(roles: dict[str, str]) -> None:
    columns = world() | {
        "group": Column.category([f"g{i % 60}" for i in range(3_000)]),
        "few": Column.category([f"g{i % 7}" for i in range(3_000)]),
    }
    before = deal(dataset(columns, **roles)).fold
    order = np.random.default_rng(1).permutation(3_000)
    turned = {name: columns[name].take(order) for name in reversed(list(columns))}
    assert (deal(dataset(turned, **roles)).fold == before[order]).all()


def test_equal_inputs_with_different_labels_do_not_depend_on_row_order() -> None:
    # One occurrence number for both labels would deal them by which came first.
    n = 400
    rng = np.random.default_rng(0)
    columns = {"x": Column.number(np.arange(n) // 2 % 50), "label": Column.number(np.arange(n) % 2, integer=True)}
    order = rng.permutation(n)
    a, b = dataset(columns), dataset({name: column.take(order) for name, column in columns.items()})

    def dealt(data: Dataset) -> np.ndarray:
        cells = np.stack([data.table.column("x").values, data.table.column("label").values, deal(data).fold], axis=1)
        return cells[np.lexsort(cells.T[::-1])]

    assert (dealt(a) == dealt(b)).all()


def test_predictions_do_not_move_the_split() -> None:
    columns = world()
    with_one = columns | {"prediction": Column.number(np.zeros(3_000))}
    with_other = columns | {"prediction": Column.number(np.arange(3_000))}
    results = [deal(dataset(each, prediction="prediction")).fold for each in (with_one, with_other)]
    assert (results[0] == results[1]).all()


def test_the_coding_of_classes_does_not_matter() -> None:
    data = dataset(world())
    codes = data.table.column("label").values.astype(np.int32)
    # Occurrence numbers go by label too, so codes are renamed where ids are unique.
    fold = deal(data, labels=codes).fold
    shares = [shares_of(each[codes == 0]) for each in (fold, deal(data, labels=(codes + 1) % 3).fold)]
    assert np.allclose(shares[0], shares[1], atol=0.01)


def test_split_seed_moves_the_split() -> None:
    data = dataset(world())
    first, second = deal(data).fold, deal(data, split_seed=1).fold
    assert 0.4 < np.mean(first == second) < 0.6


def test_a_row_that_is_left_over_goes_to_either_side() -> None:
    data = dataset(world(101))
    sizes = {int((deal(data, split_seed=seed).fold == EXPLORE).sum()) for seed in range(12)}
    assert sizes == {50, 51}


def test_folds_are_like_each_other() -> None:
    columns = world(20_000)
    fold = deal(dataset(columns)).fold
    x = columns["x"].values
    assert abs(x[fold == EXPLORE].mean() - x[fold == CONFIRM].mean()) < 4 * np.sqrt(2 / 8_000)


def test_regression_is_split_within_fifths_of_the_target() -> None:
    target = np.random.default_rng(0).exponential(size=2_000)
    data = dataset(world(2_000) | {"label": Column.number(target)})
    fold = deal(data, labels=target, task="regression").fold
    fifth = fifths(target)
    assert np.bincount(fifth).tolist() == [400] * 5
    for code in range(5):
        assert abs((fold[fifth == code] == EXPLORE).sum() - 200) <= 1


def test_fifths_are_cut_where_told() -> None:
    target = np.array([1.0, 2, 3, 4, 5, 100, 200, np.nan])
    codes = fifths(target, cut_on=target < 50)
    assert codes.tolist() == [0, 1, 2, 3, 4, 4, 4, -1]
    assert fifths(np.zeros(10)).tolist() == [0] * 10


def test_rows_without_label_or_not_eligible_are_left_out() -> None:
    data = dataset(world())
    codes = data.table.column("label").values.astype(np.int32)
    codes[:100] = -1
    eligible = np.ones(3_000, dtype=bool)
    eligible[100:200] = False
    fold = deal(data, labels=codes, eligible=eligible).fold
    assert (fold[:200] == LEFT_OUT).all()
    assert (fold[200:] != LEFT_OUT).all()


def test_shares_of_the_user() -> None:
    fold = deal(dataset(world()), shares=(60, 30, 10)).fold
    assert np.allclose(shares_of(fold), [0.6, 0.3, 0.1], atol=0.001)
    for bad in ((1.0,), (0, 50, 50), (-1, 2, 1), (float("inf"), 1, 1)):
        with pytest.raises(UsageError, match="--shares"):
            deal(dataset(world()), shares=bad)


def test_one_row_is_too_few() -> None:
    with pytest.raises(UsageError, match="1 usable row"):
        deal(dataset(world(1)))


# --- groups, time, split columns ------------------------------------------------------------------------------------


def test_many_groups_stay_whole() -> None:
    groups = np.random.default_rng(0).integers(0, 200, 3_000)
    columns = world() | {"family": Column.number(groups, integer=True)}
    result = deal(dataset(columns, group="family"))
    assert result.how == "groups"
    assert result.groups == 200
    assert result.group is not None
    for group in range(200):
        assert len(set(result.fold[groups == group].tolist())) == 1
    of_group = np.array([result.fold[groups == group][0] for group in range(200)])
    assert abs((of_group == EXPLORE).sum() - 100) <= 1


def test_groups_of_one_class_are_spread_by_class() -> None:
    groups = np.repeat(np.arange(60), 50)
    labels = (groups % 3 == 0).astype(int)
    columns = world() | {
        "group": Column.number(groups, integer=True), "label": Column.number(labels, integer=True)
    }  # fmt: skip
    fold = deal(dataset(columns, group="group")).fold
    for label in (0, 1):
        mine = fold[labels == label]
        assert abs((mine == EXPLORE).sum() / 50 - len(mine) / 100) <= 1


def test_few_groups_are_split_inside_with_their_classes() -> None:
    columns = world() | {"writer": Column.category([f"w{i % 13}" for i in range(3_000)])}
    result = deal(dataset(columns, group="writer"))
    assert result.how == "class x group"
    assert result.groups == 13
    labels = columns["label"].values
    for writer in range(13):
        mine = np.arange(3_000) % 13 == writer
        for label in range(3):
            cell = result.fold[mine & (labels == label)]
            assert abs((cell == EXPLORE).sum() - len(cell) / 2) <= 1
    for label in range(3):
        rows = result.fold[labels == label]
        assert abs((rows == EXPLORE).sum() - len(rows) / 2) <= 1


@pytest.mark.parametrize(("groups", "how"), [(23, "class x group"), (24, "groups")])
def test_where_few_groups_end(groups: int, how: str) -> None:
    columns = world() | {"g": Column.number(np.arange(3_000) % groups, integer=True)}
    assert deal(dataset(columns, group="g")).how == how


def test_rows_without_a_group_are_groups_of_their_own() -> None:
    words = [None if i % 10 == 0 else f"g{i % 30}" for i in range(3_000)]
    result = deal(dataset(world() | {"g": Column.category(words)}, group="g"))
    assert result.how == "groups"
    assert result.group is not None
    alone = np.arange(3_000) % 10 == 0
    assert len(np.unique(result.group[alone])) == 300
    assert len(set(result.fold[alone].tolist())) == 2
    assert "300 rows have no `g`" in result.notes[0]


@pytest.mark.parametrize("kind", ["datetime", "number"])
def test_time_is_cut_into_blocks(kind: str) -> None:
    days = np.random.default_rng(0).integers(0, 365, 6_000)
    moments = Column.number(days) if kind == "number" else Column(
        kind="datetime", values=np.datetime64("2024-01-01") + days)  # fmt: skip
    result = deal(dataset(world(6_000) | {"day": moments}, time="day"))
    assert result.how == "time"
    parts = [days[result.fold == part] for part in (EXPLORE, CONFIRM, SEALED)]
    assert parts[0].max() < parts[1].min()
    assert parts[1].max() < parts[2].min()
    assert np.allclose(shares_of(result.fold), [0.4, 0.4, 0.2], atol=0.01)


def test_time_with_few_values_still_has_two_blocks() -> None:
    years = np.where(np.arange(1_000) < 900, 2020, 2021)
    result = deal(dataset(world(1_000) | {"year": Column.number(years)}, time="year"))
    assert (result.fold[:900] == EXPLORE).all()
    assert (result.fold[900:] == CONFIRM).all()
    with pytest.raises(UsageError, match="two or more"):
        deal(dataset(world(100) | {"year": Column.number(np.zeros(100))}, time="year"))


def test_words_are_no_time() -> None:
    with pytest.raises(UsageError, match="time column `city`"):
        deal(dataset(world(), time="city"))


@pytest.mark.parametrize(
    "words", [("train", "val", "test"), ("Training", "dev", "hold-out"), ("fit", "valid", "test_set")]
)
def test_the_users_split_is_kept(words: tuple[str, str, str]) -> None:
    said = np.random.default_rng(0).choice(3, 3_000)
    columns = world() | {"split": Column.category([words[i] for i in said])}
    result = deal(dataset(columns, split="split"))
    assert result.how == "column"
    assert (result.fold[said == 0] == LEFT_OUT).all()
    assert (result.fold[said == 1] == EXPLORE).all()
    assert (result.fold[said == 2] == CONFIRM).all()


def test_a_split_without_validation_rows_splits_the_test_rows() -> None:
    said = np.arange(3_000) % 3
    columns = world() | {"split": Column.category([["train", "train", "test"][i] for i in said])}
    result = deal(dataset(columns, split="split"))
    assert (result.fold[said != 2] == LEFT_OUT).all()
    assert abs((result.fold == EXPLORE).sum() - 500) <= 1
    assert "training rows" in result.notes[0]


def test_a_split_column_of_unknown_words() -> None:
    columns = world(300) | {"split": Column.category(["trainn", "test", "val"] * 100)}
    with pytest.raises(UsageError, match="did you mean `train`"):
        deal(dataset(columns, split="split"))
    with pytest.raises(UsageError, match="none to explore"):
        deal(dataset(world(300) | {"split": Column.category(["train"] * 300)}, split="split"))


def test_a_boolean_split_column() -> None:
    flags = np.arange(300) % 2
    columns = world(300) | {"is_train": Column(kind="boolean", values=flags.astype(np.int8))}
    fold = deal(dataset(columns, split="is_train")).fold
    assert (fold[flags == 1] == LEFT_OUT).all()


# --- copies ---------------------------------------------------------------------------------------------------------


def _with_copies(n: int = 1_000) -> dict[str, Column]:
    columns = world(n)
    rows = np.concatenate([np.arange(n), np.arange(100)])
    return {name: column.take(rows) for name, column in columns.items()}


def test_copies_share_a_fold_and_the_first_counts() -> None:
    data = dataset(_with_copies())
    found = copies(data)
    assert found.number == 100
    assert found.counted[:1_000].all()
    assert not found.counted[1_000:].any()
    assert (found.first[1_000:] == np.arange(100)).all()
    fold = deal(data).fold
    assert (fold[1_000:] == fold[:100]).all()
    assert "100 rows are copies" in str(found.note)


def test_another_label_is_no_copy() -> None:
    columns = _with_copies()
    labels = columns["label"].values.copy()
    labels[1_000:1_010] += 1
    assert copies(dataset(columns | {"label": Column.number(labels, integer=True)})).number == 90


def test_without_a_fine_column_equal_rows_are_independent() -> None:
    rng = np.random.default_rng(0)
    columns = {name: Column.number(rng.integers(0, 6, 2_000), integer=True) for name in ("a", "b", "label")}
    found = copies(dataset(columns))
    assert found.number == 0
    assert found.counted.all()
    equal = 2_000 - len(np.unique(np.stack([columns[name].values for name in columns], axis=1), axis=0))
    assert f"{equal:,} rows equal another" in str(found.note)


def test_how_fine_is_fine_enough() -> None:
    def number(values: int) -> int:
        x = np.arange(1_000) % values
        columns = {
            "x": Column.number(np.concatenate([x, x[:10]])),
            "y": Column.number(np.concatenate([np.arange(1_000) // values, np.arange(10) // values])),
            "label": Column.number(np.zeros(1_010), integer=True),
        }
        return copies(dataset(columns)).number

    assert number(501) == 10
    assert number(500) == 0


def test_an_output_column_does_not_make_rows_differ() -> None:
    columns = _with_copies() | {"loss": Column.number(np.random.default_rng(1).normal(size=1_100))}
    ids = row_hash({"x": columns["x"], "city": columns["city"]})
    data = Dataset(
        name="test", modality="table", table=Table(columns), id_hash=ids, occurrence=occurrences(ids), label="label"
    )
    assert copies(data, outputs=("loss",)).number == 100
    assert copies(data).number == 0


def test_copies_under_different_ids_do_not_depend_on_row_order() -> None:
    columns = _with_copies()
    columns["id"] = Column.number(np.arange(1_100), integer=True)
    ids = row_hash({"id": columns["id"]})

    def dealt(order: np.ndarray) -> np.ndarray:
        data = Dataset(
            name="test", modality="table", table=Table(columns).take(order), id_hash=ids[order],
            occurrence=np.zeros(1_100, dtype=np.uint32), label="label", id="id",
        )  # fmt: skip
        assert copies(data).number == 100
        fold = np.empty(1_100, dtype=np.int8)
        fold[order] = deal(data).fold
        return fold

    assert (dealt(np.arange(1_100)) == dealt(np.arange(1_100)[::-1])).all()


def test_images_are_copies_when_their_bytes_are_equal() -> None:
    images = np.random.default_rng(0).integers(0, 255, (60, 4, 4), dtype=np.uint8)
    images[30] = images[3]
    content = bytes_hash(images)
    table = Table({"label": Column.number(np.zeros(60), integer=True)})
    data = Dataset(
        name="test", modality="image", table=table, id_hash=content, occurrence=occurrences(content), label="label",
        content_hash=content,
    )  # fmt: skip
    found = copies(data)
    assert np.flatnonzero(~found.counted).tolist() == [30]
    assert found.first[30] == 3


def test_copies_of_rows_that_may_not_be_used_do_not_count() -> None:
    data = dataset(_with_copies())
    eligible = np.ones(1_100, dtype=bool)
    eligible[:50] = False
    found = copies(data, eligible=eligible)
    assert found.number == 50
    assert found.counted[1_000:1_050].all()


def test_copies_of_training_rows_are_named() -> None:
    columns = _with_copies()
    words = ["train"] * 100 + ["val", "test"] * 450 + ["test"] * 100
    result = deal(dataset(columns | {"split": Column.category(words)}, split="split"))
    assert any("100 validation or test rows are copies of training rows" in note for note in result.notes)
