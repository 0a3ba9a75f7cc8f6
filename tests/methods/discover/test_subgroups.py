from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from errata.core.columns import Column, Table
from errata.core.dataset import Dataset
from errata.core.errors import UsageError
from errata.core.evaluation import Evaluation
from errata.core.hashing import column_hash
from errata.core.method import Job, load_method
from errata.core.slices import claim_for
from errata.core.source import Source
from errata.diagnose import plan, suited
from errata.engine.propose import propose
from errata.evaluate import evaluate
from errata.methods.discover.subgroups import Subgroups

WORDS = ["red", "green", "blue", "film", "actor", "plot", "story", "scene", "music"]


def job() -> Job:
    return Job(rng=np.random.default_rng(0))


def texts(n: int = 2_000, *, rate=None, label=None, seed: int = 0, **columns: Column) -> Dataset:
    """Texts of two classes with columns of the user's own; `rate` (n,) is how often each row is wrong."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n) if label is None else label
    wrong = rng.random(n) < (0.1 if rate is None else rate)
    said = Column.strings([" ".join(rng.choice(WORDS, 6)) + f" {row}" for row in range(n)])
    names = np.array(["fine", "rude"])
    return Dataset(
        name="t", modality="text", text="text", id_hash=column_hash(said), occurrence=np.zeros(n, np.uint32),
        content_hash=column_hash(said), label="y", prediction="p",
        table=Table({
            "text": said, **columns, "y": Column.category(names[labels].tolist()),
            "p": Column.category(names[np.where(wrong, 1 - labels, labels)].tolist()),
        }),
    )  # fmt: skip


def boolean(values) -> Column:
    return Column(kind="boolean", values=np.asarray(values).astype(np.int8))


def rules(dataset: Dataset | Evaluation, **options) -> list[str]:
    evaluation = dataset if isinstance(dataset, Evaluation) else evaluate(dataset)
    return [found.rule.text for found in Subgroups(**options).run(evaluation.explore(), job())]


def drawn(n: int = 2_000, share: float = 0.06) -> np.ndarray:
    return np.random.default_rng(7).random(n) < share


def test_a_level_that_errs_more_is_proposed() -> None:
    dialect = drawn()
    city = np.random.default_rng(8).choice(["lima", "oslo", "cairo"], 2_000)
    found = rules(
        texts(rate=np.where(dialect, 0.45, 0.08), dialect=boolean(dialect), city=Column.category(city.tolist()))
    )
    assert found[0] == "dialect = true"
    assert len(found) <= 3
    found = rules(texts(rate=np.where(city == "oslo", 0.3, 0.08), city=Column.category(city.tolist())))
    assert found == ['city = "oslo"']


def test_a_level_that_errs_in_one_class_alone_comes_with_the_class() -> None:
    dialect, labels = drawn(share=0.2), np.random.default_rng(3).integers(0, 2, 2_000)
    rate = np.where(dialect, np.where(labels == 0, 0.45, 0.02), 0.12)
    data = texts(rate=rate, label=labels, dialect=boolean(dialect))
    # Who errs less in the other class leaves the others there to err more.
    assert rules(data) == ['y = "fine" and dialect = true', 'y = "rude" and dialect = false']
    hidden = evaluate(data)
    hidden = replace(hidden, features=tuple(name for name in hidden.features if name != "y"))
    assert rules(hidden) == ["dialect = true"]


def test_a_level_that_only_holds_more_of_a_hard_class_is_none() -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 4_000)
    dialect = rng.random(4_000) < np.where(labels == 0, 0.4, 0.05)
    data = texts(4_000, rate=np.where(labels == 0, 0.4, 0.05), label=labels, dialect=boolean(dialect))
    evaluation = evaluate(data)
    view = evaluation.explore()
    inside = np.asarray(view.column("dialect").values) == 1
    assert view.view().loss[inside].mean() > 1.5 * view.view().loss[~inside].mean()
    assert rules(evaluation, chance=3.0) == []  # more than ten without the classes


def test_only_columns_that_came_with_the_data_are_read() -> None:
    dialect = drawn(share=0.2)
    data = texts(rate=np.where(dialect, 0.45, 0.08), dialect=boolean(dialect), twin=boolean(dialect))
    made = replace(data, sources=(Source(kind="made", columns=("twin",)),))
    assert made.metadata == ("dialect",)
    assert rules(made) == ["dialect = true"]
    assert rules(replace(data, group="dialect")) == ["twin = true"]
    hidden = evaluate(data)
    hidden = replace(hidden, features=tuple(name for name in hidden.features if name != "dialect"))
    assert rules(hidden) == ["twin = true"]


def test_small_levels_and_long_lists_of_names_are_left_out() -> None:
    rare = drawn(share=0.015)
    data = texts(rate=np.where(rare, 0.9, 0.05), rare=boolean(rare))
    size = int(np.count_nonzero(evaluate(data).explore().column("rare").values == 1))
    assert size < 20
    assert rules(data) == []
    assert rules(data, least=size) == ["rare = true"]
    names = [f"n{row % 60}" if row % 60 else "bad" for row in range(2_000)]
    rate = np.where(np.arange(2_000) % 60 == 0, 0.9, 0.05)
    assert rules(texts(rate=rate, name=Column.category(names)), least=5) == []
    fewer = [name if name == "bad" else "other" for name in names]
    assert rules(texts(rate=rate, name=Column.category(fewer)), least=5) == ['name = "bad"']


def test_few_are_proposed_and_the_clearest_lead() -> None:
    rng = np.random.default_rng(2)
    columns = {f"c{at}": rng.random(3_000) < 0.2 for at in range(8)}
    rate = 0.05 + sum(np.where(member, 0.03 * (at + 1), 0.0) for at, member in enumerate(columns.values()))
    found = rules(texts(3_000, rate=rate, **{name: boolean(member) for name, member in columns.items()}))
    assert len(found) == 5
    assert found[0] in ("c7 = true", "c6 = true")
    assert rules(texts(3_000, rate=rate, **{n: boolean(m) for n, m in columns.items()}), slices=2) == found[:2]


def test_where_nothing_is_hardly_anything_is_proposed() -> None:
    counts = []
    for seed in range(20):
        rng = np.random.default_rng(100 + seed)
        city = Column.category(rng.choice(["lima", "oslo", "cairo", "rome"], 1_000).tolist())
        counts.append(len(rules(texts(1_000, seed=seed, city=city, dialect=boolean(rng.random(1_000) < 0.2)))))
    assert np.mean(counts) < 1.5


@pytest.mark.parametrize("metric", ["error", "false-positive", "false-negative"])
def test_every_metric_finds_what_it_counts(metric: str) -> None:
    dialect = drawn(share=0.2)
    evaluation = evaluate(
        texts(rate=np.where(dialect, 0.45, 0.08), dialect=boolean(dialect)), metric=metric, positive="rude"
    )
    (found,) = Subgroups().run(evaluation.explore(), job())
    assert found.rule.text == "dialect = true"
    assert found.claim == claim_for(metric)


def test_missing_values_are_no_group() -> None:
    member = drawn(share=0.2)
    values = np.where(member, -1, np.random.default_rng(4).integers(0, 2, 2_000)).astype(np.int8)
    data = texts(rate=np.where(member, 0.5, 0.05), known=Column(kind="boolean", values=values))
    assert rules(data, chance=3.0) == []


def test_losses_of_any_size_and_numbers_as_targets() -> None:
    rng = np.random.default_rng(1)
    dialect, target = drawn(share=0.2), rng.normal(50, 10, 2_000)
    said = target + rng.standard_t(3, 2_000) * np.where(dialect, 3.0, 1.0)
    data = texts(dialect=boolean(dialect))
    table = data.table.with_columns({"y": Column.number(target), "p": Column.number(said)})
    assert rules(replace(data, table=table)) == ["dialect = true"]


def test_it_runs_by_itself_where_there_is_metadata_beside_texts() -> None:
    def names(dataset: Dataset, embedding=None) -> list[str]:
        return [type(one).__name__ for one in suited(plan(None), dataset, embedding)]

    data = texts(dialect=boolean(drawn()))
    assert "Subgroups" in names(data)
    assert "Subgroups" not in names(texts())
    assert "Subgroups" not in names(replace(data, modality="table", text=None))
    assert "Subgroups" in names(replace(data, modality="table", text=None), embedding=["raw"])


def test_without_metadata_it_says_so() -> None:
    (record,) = propose([Subgroups()], evaluate(texts()), job()).records
    assert record.status == "skipped"
    assert "needs metadata" in record.message


def test_options_are_checked() -> None:
    assert load_method("subgroups") is Subgroups
    with pytest.raises(UsageError, match=r"subgroups\.least"):
        Subgroups(least=1)
