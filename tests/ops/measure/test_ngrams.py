"""N-grams are chosen by explore rows, and found again in fresh ones."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import errata
from errata.core.columns import Column, Table
from errata.core.dataset import Dataset
from errata.core.evaluation import CONFIRM, EXPLORE, Evaluation
from errata.core.hashing import column_hash
from errata.core.rules import Where
from errata.evaluate import evaluate
from errata.ops.measure.columns import measured
from errata.ops.measure.grams import KIND, column_of, gram_of
from errata.ops.measure.ngrams import NGrams, presence, with_grams, with_ngrams
from errata.ops.measure.texts import strings_of

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


def grams_of(one: Evaluation) -> list[str]:
    """The n-grams among the features, best first."""
    return [gram for name in one.features if (gram := gram_of(name)) is not None]


def halves(one: Evaluation, seed: int) -> Evaluation:
    """The evaluation with other rows to explore."""
    fold = np.random.default_rng(seed).choice(np.array([EXPLORE, CONFIRM], dtype=np.int8), len(one.fold))
    return replace(one, fold=fold)


@pytest.mark.parametrize("seed", range(3))
def test_texts_taken_apart_once_give_what_those_of_the_explore_rows_alone_give(seed: int) -> None:
    one = evaluation()
    grams = pickle.loads(pickle.dumps(NGrams.of(one)))
    part = halves(one, seed)
    found = grams(part)
    names = grams_of(found)
    assert names
    texts_there = strings_of(part.explore().column("text"))
    held = presence(texts_there, names)
    assert (held.sum(axis=0) >= 10).all()
    assert ((~held).sum(axis=0) >= 10).all()
    # Words read anew from the explore rows, with nothing of the others, lead to the same choice.
    column = Column.strings(texts_there)
    rows = part.explore().rows
    few = Dataset(
        name="few", modality="text", text="text", id_hash=column_hash(column), label="y", prediction="p",
        occurrence=np.zeros(len(rows), np.uint32), content_hash=column_hash(column),
        table=Table({"text": column, **{name: part.dataset.table.column(name).take(rows) for name in ("y", "p")}}),
    )  # fmt: skip
    anew = evaluate(few, embeddings=())
    anew = with_ngrams(replace(anew, fold=np.full(len(rows), EXPLORE, dtype=np.int8)))
    assert grams_of(anew) == names


def test_other_errors_choose_other_words_in_the_place_of_the_first() -> None:
    one = evaluation()
    grams = NGrams.of(one)
    assert grams is not None
    first = grams(one)
    red = np.array(["red" in text.split() for text in texts(1200, 0)])
    second = grams(replace(first, loss=(red & (np.arange(1200) % 3 == 0)).astype(float)))
    assert {"zorba", "zorba good"}.intersection(grams_of(first))
    assert "red" in grams_of(second)
    assert not any("zorba" in gram for gram in grams_of(second))
    assert grams(first).features == first.features
    np.testing.assert_array_equal(second.dataset.table.column(column_of("red")).values == 1, red)


def test_of_very_many_texts_only_some_are_read_to_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    one = evaluation()
    whole = with_ngrams(one)
    monkeypatch.setattr("errata.ops.measure.ngrams.MOST_TEXTS", 1_000)
    grams = NGrams.of(one)
    assert grams is not None
    assert not grams.whole
    found = grams(one)
    assert found.features == whole.features  # 600 explore rows are few enough to be all read
    name = next(name for name in found.features if gram_of(name))
    np.testing.assert_array_equal(found.dataset.table.column(name).values, whole.dataset.table.column(name).values)
    monkeypatch.setattr("errata.ops.measure.ngrams.SAMPLED", 100)
    assert len(np.unique(NGrams.of(one).row)) <= 100


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
