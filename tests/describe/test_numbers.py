"""Numbers as people write them."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errata.core.finding import Effect
from errata.describe.numbers import counted, listed, number, of_unit, percent, percents, points, roundest, shown


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (0.0, "0 %"), (1.0, "100 %"), (0.583, "58 %"), (0.004, "0.4 %"), (0.996, "99.6 %"), (0.9999, "99.99 %"),
        (0.00001, "under 0.01 %"), (0.99999, "over 99.99 %"), (None, "not known"), (0.125, "12 %"),
    ],
)  # fmt: skip
def test_percent(rate, text):
    assert percent(rate) == text


@given(st.floats(0, 1))
def test_percent_never_says_none_or_all_for_less(rate):
    text = percent(rate)
    assert (text == "0 %") == (rate == 0)
    assert (text == "100 %") == (rate == 1)


def test_percents_tell_different_rates_apart():
    assert percents(0.124, 0.121) == ("12.4 %", "12.1 %")
    assert percents(0.58, 0.12) == ("58 %", "12 %")
    assert percents(0.5, 0.5) == ("50 %", "50 %")


@pytest.mark.parametrize(
    ("difference", "text"),
    [(0.46, "46 points"), (0.01, "1 point"), (0.004, "0.4 points"), (-0.02, "−2 points"), (0.0, "0 points"),
     (0.0001, "0.1 points"), (-0.0001, "−0.1 points")],
)  # fmt: skip
def test_points(difference, text):
    assert points(difference) == text


@given(st.floats(-1, 1))
def test_points_never_hide_a_sign(difference):
    text = points(difference, bare=True)
    assert text.startswith("−") == (difference < 0)
    assert (text == "0") == (difference == 0)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.2345, "1.23"), (36602.0, "36,600"), (0.00123456, "0.00123"), (-4.0, "−4"), (0.0, "0"), (1e20, "1.00e+20")],
)
def test_number(value, text):
    assert number(value) == text


def test_numbers_of_one_scale_have_the_same_step():
    assert [number(value, scale=36602.0) for value in (36602.0, 9487.0, 12.0)] == ["36,600", "9,500", "10"]


def test_shown_pairs_agree_and_keep_the_interval_signs():
    effect = Effect(
        name="error", inside=0.58, outside=0.12, difference=0.46, interval=(-0.02, 0.52), interval_level=0.95
    )
    texts = shown(effect)
    assert (texts.inside, texts.outside, texts.interval, texts.level) == ("58 %", "12 %", "−2 to 52 points", "95 %")
    loss = Effect(name="loss", inside=1.234, outside=0.3, difference=0.934, interval=(0.5, 1.4), interval_level=0.999)
    assert shown(loss).inside == "1.23"
    assert shown(loss).level == "99.9 %"
    assert (shown(loss).outside, shown(loss).interval) == ("0.30", "0.5 to 1.4")
    uneven = Effect(name="loss", inside=0.54, outside=0, difference=0.54, interval=(0.362, 0.47), interval_level=0.95)
    assert (shown(uneven).outside, shown(uneven).interval) == ("0", "0.362 to 0.470")
    empty = Effect(name="error", inside=None, outside=None, difference=None, interval=None, interval_level=None)
    assert shown(empty).inside == "not known"
    assert shown(empty).interval is None


@pytest.mark.parametrize(
    ("first", "second", "texts"),
    [
        (0.019, 0.02, ("1.9 %", "2.0 %")),
        (0.029, 0.002, ("2.9 %", "0.2 %")),
        (0.512, 0.002, ("51 %", "0.2 %")),
        (0.12, 0.1204, ("12.00 %", "12.04 %")),
        (0.997, 0.98, ("99.7 %", "98.0 %")),
        (0.1, 0.0, ("10 %", "0 %")),
        (0.06, 0.03, ("6 %", "3 %")),
    ],
)
def test_two_shares_that_are_compared_have_one_precision(first, second, texts):
    assert percents(first, second) == texts
    assert percents(second, first) == texts[::-1]


@given(st.floats(-1e9, 1e9), st.floats(1e-9, 1e6), st.floats(0, 1))
def test_roundest_stays_between_its_neighbours(low, width, share):
    high = low + width
    if not low < high:
        return
    near = min(max(low + share * (high - low), low), high)
    found = roundest(low, high, near)
    assert low <= found < high or found == near


@pytest.mark.parametrize(
    ("low", "high", "near", "found"),
    [(60, 61, 60.5, 60), (59, 60, 59.5, 59), (10, 1000, 437, 400), (0.0512, 0.0549, 0.053, 0.053),
     (-3.2, -2.1, -2.6, -3.0),
     (2.04, 2.31, 2.2, 2.2), (99.5, 131, 110, 100)],
)  # fmt: skip
def test_roundest_is_the_number_with_the_fewest_digits(low, high, near, found):
    assert roundest(low, high, near) == found


def test_counts_and_lists():
    assert [counted(n, "row") for n in (0, 1, 2, 12000)] == ["no rows", "1 row", "2 rows", "12,000 rows"]
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"], last="or") == "a, b or c"
    assert listed(list("abcdefgh"), most=4) == "a, b, c and 5 more"
    assert re.fullmatch(r"", listed([]))
    assert not math.isnan(float(roundest(1.0, 1.0, 1.0)))


def test_words_about_rows_are_said_of_what_a_row_is():
    words = "1 row of `rows` is left out; 3 rows throw no arrows"
    assert of_unit(words, "rows") == words
    assert of_unit(words, "images") == "1 image of `rows` is left out; 3 images throw no arrows"
