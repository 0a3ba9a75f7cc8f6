"""The error heatmap: every row in one cell, totals that equal the whole, metrics by their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from errata.core.columns import Column
from errata.core.errors import UsageError
from errata.core.evaluation import CONFIRM
from errata.core.method import Job
from errata.core.rules import Where
from errata.methods.explain.error_heatmap import ErrorHeatmap
from errata.testing import TINY, planted, tiny_table


def drawn(evaluation, *, where=None, **options):
    (heatmap,) = ErrorHeatmap(**options).run(evaluation, Job(rng=np.random.default_rng(0)), where=where)
    return heatmap


def shape(heatmap):
    return tuple(len(labels) for labels in heatmap.labels)


@pytest.mark.parametrize("columns", [("age",), ("city",), ("hours", "plan"), ("income", "distance"), ("label", "city")])
@pytest.mark.parametrize("binning", ["quantile", "equal-width"])
def test_cells_add_up_to_the_whole(columns, binning):
    evaluation = planted("intersection", n=4_000, missing=0.03, seed=0).evaluation().part(CONFIRM)
    heatmap = drawn(evaluation, columns=columns, binning=binning)
    loss = evaluation.view().loss
    assert sum(heatmap.count) == len(evaluation)
    assert len(heatmap.count) == len(heatmap.value) == np.prod(shape(heatmap))
    wrong = sum(count * (value or 0.0) for count, value in zip(heatmap.count, heatmap.value, strict=True))
    assert wrong == pytest.approx(loss.sum())
    assert heatmap.overall == pytest.approx(loss.mean())
    assert all((value is None) == (count == 0) for count, value in zip(heatmap.count, heatmap.value, strict=True))


def test_a_cell_is_the_rows_its_labels_say():
    evaluation = planted("intersection", n=4_000, seed=1).evaluation()
    heatmap = drawn(evaluation, columns=("age", "city"), bins=4)
    age, city = evaluation.column("age").values, evaluation.column("city")
    lowest = float(heatmap.labels[0][0].removeprefix("≤ "))
    inside = (age <= lowest) & (city.values == city.levels.index(heatmap.labels[1][2]))
    assert heatmap.count[2] == inside.sum()
    assert heatmap.value[2] == pytest.approx(evaluation.view().loss[inside].mean())


def test_quantiles_share_out_the_rows_and_steps_the_values():
    evaluation = planted("literal", n=8_000, seed=0).evaluation()
    even = drawn(evaluation, columns="income", binning="quantile").count
    steps = drawn(evaluation, columns="income", binning="equal-width").count
    assert max(even) < 1.5 * min(even)
    assert max(steps) > 10 * min(steps)


@pytest.mark.parametrize(("values", "cells"), [(8, 8), (9, 5)])
def test_few_values_are_shown_one_by_one(values, cells):
    world = planted("literal", n=900, seed=0)
    table = world.table.with_columns({"rooms": Column.number(np.arange(900) % values)})
    evaluation = type(world)(name="rooms", table=table, outside=0.1).evaluation()
    assert shape(drawn(evaluation, columns="rooms", bins=5)) == (cells,)


def test_whole_numbers_are_said_with_both_ends():
    world = planted("literal", n=6_000, seed=0)
    labels = drawn(world.evaluation(), columns="age", bins=4).labels[0]
    assert labels[0].startswith("≤ ")
    upto = int(labels[0].removeprefix("≤ "))
    assert labels[1].startswith(f"{upto + 1} – ")


def test_rare_levels_share_a_cell():
    evaluation = tiny_table("many levels").evaluation()
    heatmap = drawn(evaluation, columns="city")
    assert shape(heatmap) == (12,)
    assert heatmap.labels[0][-1] == "229 others"


def test_the_cuts_of_a_rule_are_borders_of_cells():
    evaluation = planted("literal", n=5_000, seed=0).evaluation()
    where = Where.parse('age > 61 and age <= 77 and city = "lima"')
    heatmap = drawn(evaluation, columns=("age", "city"), where=where)
    assert set(heatmap.member) <= {0.0, 1.0, None}
    inside = sum(count for count, share in zip(heatmap.count, heatmap.member, strict=True) if share)
    assert inside == where.members(evaluation).sum()
    assert drawn(evaluation, columns="hours").member is None


@pytest.mark.parametrize(
    "metric", ["error", "accuracy", "precision", "recall", "f1", "false-positive", "false-negative"]
)
def test_metrics_agree_with_scikit_learn(metric):
    metrics = pytest.importorskip("sklearn.metrics")
    evaluation = planted("literal", n=3_000, inside=0.5, outside=0.3, seed=2).evaluation()
    view = evaluation.view()
    by_hand = {
        "error": lambda y, p: 1 - metrics.accuracy_score(y, p),
        "accuracy": metrics.accuracy_score,
        "precision": metrics.precision_score,
        "recall": metrics.recall_score,
        "f1": metrics.f1_score,
        "false-positive": lambda y, p: 1 - metrics.recall_score(1 - y, 1 - p),
        "false-negative": lambda y, p: 1 - metrics.recall_score(y, p),
    }[metric]
    heatmap = drawn(evaluation, columns="plan", metric=metric)
    plan = evaluation.column("plan")
    for level, value in zip(heatmap.labels[0], heatmap.value, strict=True):
        inside = plan.values == plan.levels.index(level)
        assert value == pytest.approx(by_hand(view.labels[inside], view.predicted[inside]))
    assert heatmap.overall == pytest.approx(by_hand(view.labels, view.predicted))


def test_many_classes_are_averaged():
    metrics = pytest.importorskip("sklearn.metrics")
    evaluation = planted("literal", n=3_000, classes=4, seed=2).evaluation()
    view = evaluation.view()
    heatmap = drawn(evaluation, columns="plan", metric="f1")
    assert heatmap.overall == pytest.approx(metrics.f1_score(view.labels, view.predicted, average="macro"))


def test_regression_metrics():
    evaluation = planted("regression", n=2_000, seed=2).evaluation()
    view = evaluation.view()
    assert drawn(evaluation, columns="age").overall == pytest.approx(np.abs(view.labels - view.predicted).mean())
    squared = drawn(evaluation, columns="age", metric="squared-error").overall
    assert squared == pytest.approx(((view.labels - view.predicted) ** 2).mean())
    assert drawn(evaluation, columns="age", metric="prediction").overall == pytest.approx(view.predicted.mean())


def test_a_metric_of_one_class_leaves_the_other_rows_out():
    evaluation = planted("literal", n=2_000, seed=0).evaluation(metric="false-negative")
    yes = (np.asarray(evaluation.labels) == 1).sum()
    assert sum(drawn(evaluation, columns="age").count) == yes


@pytest.mark.parametrize("kind", TINY)
def test_odd_tables_are_survived(kind):
    evaluation = tiny_table(kind).evaluation()
    for name in evaluation.features:
        assert sum(drawn(evaluation, columns=name).count) == len(evaluation)


def test_dates_are_binned():
    world = planted("literal", n=500, seed=0)
    days = np.datetime64("2024-01-01") + np.arange(500)
    table = world.table.with_columns({"day": Column(kind="datetime", values=days.astype("datetime64[us]"))})
    heatmap = drawn(type(world)(name="days", table=table, outside=0.1).evaluation(), columns="day", bins=4)
    assert sum(heatmap.count) == 500
    assert heatmap.labels[0][0].startswith("≤ 2024-0")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": ("agee",)}, "`age`"),
        ({"columns": ()}, "one or two"),
        ({"columns": ("age", "age")}, "different"),
        ({"columns": ("age",), "metric": "absolute-error"}, "cannot be computed"),
        ({"columns": ("age",), "metric": "accurcy"}, "`accuracy`"),
        ({"columns": ("age",), "bins": 1}, "2 to 50"),
        ({"columns": ("age",), "binning": "quantiles"}, "`quantile`"),
    ],
)
def test_wrong_options_are_refused(options, message):
    evaluation = tiny_table("plain").evaluation()
    with pytest.raises(UsageError, match=message):
        drawn(evaluation, **options)


def test_only_the_rows_asked_for_are_counted():
    evaluation = planted("intersection", n=4_000, seed=0).evaluation().part(CONFIRM)
    job, rule = Job(rng=np.random.default_rng(0)), Where.parse('city = "cairo"')
    (heatmap,) = ErrorHeatmap(columns=("age", "plan")).run(evaluation, job, among=rule)
    members = rule.members(evaluation)
    assert sum(heatmap.count) == members.sum()
    assert heatmap.overall == pytest.approx(evaluation.view().loss[members].mean())
    assert heatmap.among == rule.text


def test_negative_edges_have_a_minus_sign():
    labels = ErrorHeatmap(columns=("x",))._side("x", Column.number(np.linspace(-3, 3, 200)), ()).labels
    assert labels[0].startswith("≤ −")
    assert not any("-" in label for label in labels)
