"""N-grams are chosen by explore rows, and found again in fresh ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

import errata
from errata.core.columns import Column, Table
from errata.core.dataset import Dataset
from errata.core.evaluation import EXPLORE, Evaluation
from errata.core.hashing import column_hash
from errata.core.rules import Where
from errata.evaluate import evaluate
from errata.ops.measure.columns import measured
from errata.ops.measure.grams import KIND, column_of, gram_of
from errata.ops.measure.ngrams import presence, with_grams, with_ngrams

WORDS = ["red", "green", "blue", "film", "actor", "plot", "story", "scene", "music", "long", "short", "slow", "fast"]


def texts(n: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    found = [" ".join(rng.choice(WORDS, size=8)) for _ in range(n)]
    others = rng.choice(["Plain", "Solid", "Brave", "Quiet"], size=n)  # as long, so that only words tell
    return [f"{text} {'Zorba' if row % 5 == 0 else others[row]} Good" for row, text in enumerate(found)]


def dataset(n: int = 1200, *, seed: int = 0, spoilt: bool = True) -> Dataset:
    rng = np.random.default_rng(seed)
    said = texts(n, seed)
    label = rng.integers(0, 2, n)
    rate = np.array([0.5 if spoilt and "Zorba" in text else 0.08 for text in said])
    prediction = np.where(rng.random(n) < rate, 1 - label, label)
    column = Column.strings(said)
    return Dataset(
        name="t", modality="text", text="text", id_hash=column_hash(column), occurrence=np.zeros(n, np.uint32),
        content_hash=column_hash(column), label="y", prediction="p",
        table=Table({"text": column, "y": Column.category(label.tolist()), "p": Column.category(prediction.tolist())}),
    )  # fmt: skip


def evaluation(n: int = 1200, *, seed: int = 0, spoilt: bool = True) -> Evaluation:
    return evaluate(dataset(n, seed=seed, spoilt=spoilt))


def test_the_telling_pair_is_found() -> None:
    found = with_ngrams(evaluation())
    names = [name for name in found.features if gram_of(name)]
    assert names[0] in (column_of("zorba"), column_of("zorba good"))
    assert len(names) < 10  # "zorba" and "zorba good" always come together: one of them is enough
    rule = Where.parse(f"`{names[0]}` = true")
    np.testing.assert_array_equal(rule.members(found), ["Zorba" in text for text in texts(1200, 0)])


def test_nothing_telling_gives_few_columns() -> None:
    found = with_ngrams(evaluation(spoilt=False))
    assert len([name for name in found.features if gram_of(name)]) <= 2


def test_confirm_rows_have_no_part() -> None:
    one = evaluation()
    turned = np.where(one.fold == EXPLORE, one.loss, 1.0 - one.loss)
    same = with_ngrams(replace(one, loss=turned))
    assert with_ngrams(one).features == same.features


def test_fresh_rows_get_the_same_columns() -> None:
    source = next(item for item in with_ngrams(evaluation()).dataset.sources if item.kind == KIND)
    fresh = with_grams(dataset(60, seed=9), source)
    assert set(source.columns) <= set(fresh.table.names)
    held = fresh.table.column(source.columns[0]).values == 1
    np.testing.assert_array_equal(held, ["Zorba" in text for text in texts(60, 9)])


def test_presence_of_words_and_neighbours() -> None:
    held = presence(["Not good", "good, not", None, "knot good", "it’s"], ["not good", "not", "it's"])
    np.testing.assert_array_equal(held, [[1, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 1]])


def test_missing_texts_are_missing() -> None:
    data = dataset(20)
    column = Column.strings([None, *texts(19, 0)])
    found = with_grams(data.with_table(data.table.with_columns({"text": column})), ["good"])
    assert found.table.column(column_of("good")).value(0) is None
    assert found.table.column(column_of("good")).value(1) is True


def test_texts_are_measured_once() -> None:
    data = measured(dataset(50))
    assert "text.characters" in data.table
    assert "text.urls" not in data.table  # no text has one
    assert measured(data).sources[0] == data.sources[0]


def test_data_without_texts_stay_as_they_are() -> None:
    one = evaluation(100)
    bare = replace(one, dataset=replace(one.dataset, text=None))
    assert with_ngrams(bare) is bare


def test_names_lead_back() -> None:
    assert gram_of(column_of('say "x"')) == 'say "x"'
    assert gram_of("contains") is None


def test_a_finding_about_words_is_checked_on_fresh_texts(tmp_path: Path) -> None:
    run = errata.diagnose(
        with_ngrams(evaluation(3_000)), methods=["slice_lattice"], state=tmp_path / "state", out=tmp_path / "run"
    )
    found = next(item for item in run.confirmed if any(gram_of(name) for name in item.rule.columns))
    assert "Texts that contain “zorba" in found.title
    fresh = errata.check(tmp_path / "run", evaluation(3_000, seed=7), state=tmp_path / "state")
    result = next(item for item in fresh.results if item.id == found.id)
    assert result.verdict == "confirmed again"
