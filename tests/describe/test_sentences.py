"""Sentences: what is wrong, how much, against what; in every status, metric and task."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from errata.core.columns import Column
from errata.core.diagnosis import Detectable
from errata.core.finding import Effect, Support
from errata.core.rules import Where
from errata.describe import describe, sentence, title, verdict
from errata.describe.sentences import looked, numbers


def effect(name="error", inside=0.58, outside=0.12, interval=(0.40, 0.52), level=0.95):
    return Effect(
        name=name, inside=inside, outside=outside, difference=inside - outside, interval=interval, interval_level=level
    )


@pytest.fixture(scope="module")
def run(by_hand):
    return by_hand.table_run()


@pytest.fixture(scope="module")
def cairo(run):
    return next(finding for finding in run.findings if finding.rule.text == 'city = "cairo" and age > 60.5')


def test_the_sentence_of_the_contract(run, cairo):
    told = replace(cairo, metric=effect(), evidence=())
    assert describe(told, run.evaluation) == (
        "city is cairo and age over 60: 58 % wrong, against 12 % among comparable rows "
        "(95 % interval of the difference 40 to 52 points)"
    )
    near = replace(told, metric=effect(outside=cairo.metric.outside, inside=0.58))
    assert " elsewhere (95 %" in describe(near, run.evaluation)


def test_title_and_effect_make_the_sentence(run, cairo):
    assert title(cairo, run.evaluation) == "city is cairo and age over 60"
    whole = f"{title(cairo, run.evaluation)}: {sentence(cairo, run.evaluation, style='effect')}"
    assert describe(cairo, run.evaluation) == whole == cairo.title


def test_few_groups_are_named(run, cairo):
    told = replace(cairo, strata="class x group", support=Support(explore=10, confirm=10, groups=13))
    assert ", in these 13 groups (" in describe(told, run.evaluation)
    one = replace(told, support=Support(explore=10, confirm=10, groups=1))
    assert ", in this group (" in describe(one, run.evaluation)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("rejected", "no difference shown (58 % wrong, against 12 %"),
        ("untestable", "cannot be tested"),
        ("circular", "reads what the model itself says"),
        ("seen", "only fresh rows can confirm it"),
    ],
)
def test_every_status_is_said(run, cairo, status, words):
    assert words in describe(replace(cairo, status=status, metric=effect()), run.evaluation)


def test_class_rates_and_other_metrics(run, cairo):
    labelled = replace(cairo, rule=Where.parse('label = "repaid"'), family="class rates", metric=effect())
    assert describe(labelled, run.evaluation).startswith(
        "Rows labelled repaid: 58 % wrong, against 12 % in the other class"
    )
    positive = replace(run.evaluation, positive="defaulted", metric="false-positive")
    wrongly = replace(cairo, metric=effect("false-positive"))
    assert ": 58 % wrongly taken for defaulted, against 12 %" in describe(wrongly, positive)
    missed = replace(cairo, metric=effect("false-negative"))
    assert ": 58 % missed, against 12 %" in describe(missed, replace(run.evaluation, metric="false-negative"))
    loss = replace(cairo, metric=effect("loss", 1.234, 0.31, (0.6, 1.2)))
    assert ": mean loss 1.23, against 0.31 " in describe(loss, run.evaluation)
    assert "interval of the difference 0.6 to 1.2)" in describe(loss, run.evaluation)


def test_direction_of_images_and_numbers(by_hand):
    images = by_hand.image_run()
    eights = next(finding for finding in images.findings if '"8"' in finding.rule.text)
    assert "wrong (all read as 1), against" in eights.title
    assert "among other 8s" in eights.title
    houses = by_hand.house_run()
    assert "(mostly predicted too low)" in houses.findings[0].title
    assert "EUR on average" in houses.findings[0].title
    assert "mostly predicted" not in houses.findings[1].title


def test_a_direction_needs_most_of_the_wrong_rows(by_hand):
    n = 400
    label = np.zeros(n, dtype=int)
    predicted = np.arange(n) // 2 % 3  # of the wrong ones, half each way
    columns = {"age": Column.number(np.full(n, 30) + np.arange(n) % 7)}
    evaluation = by_hand.evaluation_of(columns, label, predicted, ("a", "b", "c"))
    finding = by_hand.finding_of(evaluation, 'label = "a" and age > 31.5')
    assert numbers(finding, evaluation).detail == ""
    mostly = np.where(np.arange(n) % 10 < 8, 1, 2)
    evaluation = by_hand.evaluation_of(columns, label, mostly, ("a", "b", "c"))
    finding = by_hand.finding_of(evaluation, 'label = "a" and age > 31.5')
    assert numbers(finding, evaluation).detail == "most taken for b"


def test_sentences_without_rows_keep_their_numbers(run, cairo):
    assert describe(cairo, None).startswith("city is cairo and age over 60.5: 57 % wrong, against 14 % elsewhere")


def test_verdicts(by_hand, run):
    assert verdict(run).startswith(
        "Three groups of rows err more often than the rest: the worst holds 32 % of all errors"
    )
    one = replace(run, findings=run.findings[:1])
    assert verdict(one).startswith("One group of rows errs more often than the rest: it holds")
    near = replace(one.findings[0], metric=effect(interval=(-0.01, 0.4)))
    assert verdict(replace(one, findings=(near,))).startswith("One group of rows barely errs more often than the rest")
    barely_first = (replace(near, share_of_errors=0.9), *run.findings[1:])
    assert "the worst holds 90 %" not in verdict(replace(run, findings=barely_first))
    nothing = by_hand.nothing_run()
    assert verdict(nothing) == (
        "Nothing found: no group of rows errs more than the rest by a margin that these data can prove; "
        "an error 27 points higher in 5 % of the rows would have been seen in 4 of 5 runs."
    )
    assert looked(nothing) == "12 proposals tested; in 5 % of the rows, differences under 27 points could hide."
    assert "no row is wrong" in verdict(replace(nothing, run=replace(nothing.run, error_rate=0.0)))
    assert "every row is wrong" in verdict(replace(nothing, run=replace(nothing.run, error_rate=1.0)))
    blind = replace(nothing.run, detectable=(Detectable(share=0.05, difference=None),), tested=0)
    assert "too few to show any but the largest" in verdict(replace(nothing, run=blind))
    assert "much could hide" in looked(replace(nothing, run=blind))
    seen = replace(nothing, findings=tuple(replace(finding, status="seen") for finding in nothing.findings))
    assert verdict(seen).startswith("Nothing found: this look, a later one at the same predictions")
    assert "is further off than the rest" in verdict(by_hand.house_run())
