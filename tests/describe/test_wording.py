"""Rules in words: every kind of test, rounding that changes nobody's side, names that cannot be misread."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from errata.core.columns import Column, Table
from errata.core.evaluation import EXPLORE
from errata.core.rules import Where
from errata.describe import Wording
from errata.describe.wording import level_text
from errata.testing import World


@pytest.fixture(scope="module")
def people(by_hand):
    rng = np.random.default_rng(0)
    n = 4000
    days = np.datetime64("2023-01-01") + rng.integers(0, 730, n) * np.timedelta64(1, "D")
    columns = {
        "age": Column.number(rng.integers(18, 90, n)),
        "children": Column.number(rng.integers(0, 4, n)),
        "built_year": Column.number(rng.integers(1900, 2020, n)),
        "weight": Column.number(rng.normal(70, 10, n), unit="kg"),
        "hours": Column.number(rng.normal(40, 10, n).round(1), unit="hours"),
        "city": Column.category(list(rng.choice(["cairo", "giza", "luxor", "New York, NY", "aswan and cairo"], n))),
        "member": Column(kind="boolean", values=rng.integers(-1, 2, n).astype(np.int8)),
        "visited": Column(kind="datetime", values=days),
        "savings": Column.number(np.where(rng.random(n) < 0.2, np.nan, rng.lognormal(8, 1, n).round()), integer=True),
    }  # fmt: skip
    label = rng.integers(0, 3, n)
    return by_hand.evaluation_of(columns, label, label, ("benign", "malignant", "unsure"))


@pytest.fixture(scope="module")
def scans(by_hand):
    rng = np.random.default_rng(1)
    n = 4000
    columns = {
        "image.stroke_thickness": Column.number(rng.gamma(3, 1, n).astype(np.float32)),
        "image.holes": Column.number(rng.integers(0, 4, n)),
        "image.dominant_colour": Column.category(list(rng.choice(["red", "blue", "grey"], n))),
        "age": Column.number(rng.integers(18, 90, n)),
        "image.slant": Column.number(np.linspace(-30, 30, n, dtype=np.float32)),
        "image.top_light": Column.number(np.tile(np.arange(-8, 9) / 16, n)[:n].astype(np.float32)),
        "image.strokes_across": Column.number(np.tile(np.array([1, 1, 1.125, 1.5, 2], np.float32), n)[:n]),
    }
    label = rng.integers(0, 10, n)
    return by_hand.evaluation_of(columns, label, label, tuple("0123456789"), modality="image")


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ('city = "cairo" and age > 60.5', "city is cairo and age over 60"),
        ("age > 59.5", "age 60 or more"),
        ("age <= 60.5", "age 60 or less"),
        ("age <= 59.5", "age under 60"),
        ("age > 30.5 and age <= 40.5", "age between 31 and 40"),
        ("age > 30.5 and age <= 31.5", "age is 31"),
        ("children <= 0.5", "children is 0"),
        ("children > 2.5", "children is 3"),
        ("children > 0.5", "children 1 or more"),
        ("children = 2", "children is 2"),
        ("built_year <= 1950.5", "built year before 1951"),
        ("built_year > 1950.5", "built year after 1950"),
        ("built_year > 1949.5 and built_year <= 1959.5", "built year between 1950 and 1959"),
        ("hours > 45", "hours over 45"),
        ('city in ("cairo", "giza", "luxor")', "city is cairo, giza or luxor"),
        ("city is null", "city is missing"),
        ("savings is not null", "savings is not missing"),
        ('not (city = "cairo")', "city is not cairo"),
        ('city != "New York, NY"', "city is not “New York, NY”"),
        ('city = "aswan and cairo"', "city is “aswan and cairo”"),
        ("not (savings > 3000)", "savings 3000 or less, or missing"),
        ("age > 60.5 or age is null", "age over 60, or missing"),
        ('age > 60.5 or city = "giza"', "either age over 60 or city is giza"),
        ('(age > 60.5 and member = true) or city = "giza"', "either (age over 60 and member is true) or city is giza"),
        ('(age > 60.5 or age is null) and city = "giza"', "(age over 60, or missing) and city is giza"),
        ("not (age > 60.5 and children > 0.5)", "not (age over 60 and children 1 or more)"),
        ("member = true", "member is true"),
        ("visited >= 2024-01-01", "visited from 2024 on"),
        ("visited < 2024-03-01", "visited before March 2024"),
        ("visited > 2024-03-14T12:00", "visited from 15 March 2024 on"),
        ("visited >= 2023-03-01 and visited < 2023-04-01", "visited from 1 March 2023 to 31 March 2023"),
        ('label = "malignant"', "Rows labelled malignant"),
        ('label = "malignant" and age > 60.5', "Among rows labelled malignant, age over 60"),
        ('label in ("malignant", "unsure") and age > 60.5', "Among rows labelled malignant or unsure, age over 60"),
        ('label != "benign" and age > 60.5', "Among rows not labelled benign, age over 60"),
    ],
)  # fmt: skip
def test_rules_of_a_table(people, rule, words):
    assert Wording(people).title(Where.parse(rule)) == words


def test_whole_numbers_stored_as_floats_are_said_as_whole_numbers(by_hand):
    """No row of 18 is in `age > 18`: "between 18 and 64" would say that it is."""
    rng = np.random.default_rng(0)
    ages = rng.integers(0, 90, 2000).astype(np.float32)
    ages[::7] = np.nan
    label = rng.integers(0, 2, 2000)
    people = by_hand.evaluation_of({"age": Column.number(ages)}, label, label, ("no", "yes"))
    said = {
        "age > 18 and age <= 64": "age between 19 and 64", "age >= 64 and age < 66": "age between 64 and 65",
        "age < 68": "age 67 or less",
    }  # fmt: skip
    assert {rule: Wording(people).title(Where.parse(rule)) for rule in said} == said


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ('label = "8"', "8s"),
        ('label in ("3", "5")', "3s or 5s"),
        ('label = "8" and image.holes > 1.5', "8s whose number of holes is 2 or more"),
        ("image.holes <= 0.5", "Images whose number of holes is 0"),
        ('image.dominant_colour in ("blue", "red")', "Images mostly blue or red"),
        ('image.dominant_colour != "red"', "Images not mostly red"),
        ('label = "8" and age > 60.5', "Among 8s, age over 60"),
        ("image.stroke_thickness is null", "Images whose stroke thickness cannot be measured"),
    ],
)
def test_rules_of_images(scans, rule, words):
    assert Wording(scans).title(Where.parse(rule)) == words


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("image.slant > 12", "Images slanted to the right by over 12°"),
        ("image.slant <= 12", "Images not slanted to the right by over 12°"),
        ("image.slant > -3", "Images not slanted to the left by over 3°"),
        ("image.slant <= -3", "Images slanted to the left by over 3°"),
        ("image.slant > 0", "Images slanted to the right"),
        ("image.slant <= 0", "Images not slanted to the right"),
        ("image.slant > -4 and image.slant <= 12", "Images slanted between 4° to the left and 12° to the right"),
        ("image.slant > 4 and image.slant <= 12", "Images slanted to the right by 4 to 12°"),
        ("image.slant > -12 and image.slant <= -4", "Images slanted to the left by 4 to 12°"),
        ("image.slant > 0 and image.slant <= 12", "Images slanted to the right by up to 12°"),
        ("image.top_light <= -0.04", "Images darker at the top than at the bottom by over 0.04"),
        ("image.top_light <= -0.125", "Images darker at the top than at the bottom by over 0.1"),
        ("image.top_light > -0.3", "Images not darker at the top than at the bottom by over 0.3"),
        (
            "image.top_light > -0.3 and image.top_light <= 0.2",
            "Images between 0.3 darker and 0.2 brighter at the top than at the bottom",
        ),
    ],
)
def test_a_sign_that_is_a_direction_is_never_told_of_the_other_side(scans, rule, words):
    assert Wording(scans).title(Where.parse(rule)) == words


def test_fewer_than_a_number_is_not_said_of_rows_that_have_it(scans):
    wording = Wording(scans)
    few, more = (wording.phrase(Where.parse(f"image.strokes_across {op} 1").test) for op in ("<=", ">"))
    assert few == "where a horizontal line meets fewer strokes than 1.1"
    assert more == "where a horizontal line meets more strokes than 1"


def test_a_step_of_a_tree_is_rounded_by_the_rows_that_reach_it(scans):
    wording, cut = Wording(scans), Where.parse("image.slant > 12.345").test
    above = [Where.parse("image.slant <= -1 or image.slant > 29").test]
    assert wording.phrase(cut) == "slanted to the right by over 12.35°"
    assert wording.step(cut, above) == "slanted to the right by over 10°"
    assert wording.step(cut, ()) == wording.phrase(cut) == "slanted to the right by over 12.35°"


def test_attributes_are_said_as_people_say_them(scans):
    words = Wording(scans).title(Where.parse('label = "8" and image.stroke_thickness > 2.1234 and age > 60.5'))
    assert words.startswith("8s with strokes thicker than 2.1")
    assert words.endswith("pixels, where age over 60")
    words = Wording(scans).title(Where.parse("image.stroke_thickness > 1.02 and image.stroke_thickness <= 2.03"))
    assert words.startswith("Images whose stroke thickness is between 1.0")


@pytest.mark.parametrize("column", ["weight", "savings", "age", "hours"])
@pytest.mark.parametrize("share", [0.03, 0.31, 0.5, 0.77, 0.98])
def test_a_rounded_cut_moves_no_explore_row(people, column, share):
    explore = people.part(EXPLORE)
    values = np.asarray(explore.column(column).values, dtype=float)
    values = values[~np.isnan(values)]
    cut = float(np.quantile(values, share)) + 1e-4
    text = Wording(people).title(Where.parse(f"{column} > {cut!r}"))
    said = text.removeprefix(column).removesuffix(" kg").strip().replace(",", "")
    if said.endswith(" or more"):
        kept = values >= float(said.removesuffix(" or more"))
    elif said.startswith("is "):
        kept = values == float(said.removeprefix("is "))
    else:
        kept = values > float(said.removeprefix("over "))
    assert (kept == (values > cut)).all()


def test_both_sides_of_a_cut_are_said_with_one_number(people):
    wording = Wording(people)
    high, low = (wording.title(Where.parse(f"weight {op} 71.2345")) for op in (">", "<="))
    assert high.split()[2] == low.split()[2] if low.startswith("weight under") else high.split()[2] == low.split()[1]
    assert high.endswith(" kg")


def test_names_cannot_hide_or_reorder_words(by_hand):
    names = ["", " padded ", 'say "no"', "line\nbreak", "שלום", "a\u202eb", "x" * 300, "e\u0301"]
    label = np.arange(len(names) * 4) % 2
    columns = {"who": Column.category(names * 4)}
    evaluation = by_hand.evaluation_of(columns, label, label, ("no", "yes"))
    for name in names:
        rule = Where.all_of([Where.parse("who = 'x'").test.__class__("who", "=", name)])
        words = Wording(evaluation).title(rule)
        assert "\n" not in words
        assert "\u202e" not in words
        assert len(words) < 120
        assert words != "who is "
    hebrew = Wording(evaluation).title(Where.parse('who = "שלום"'))
    assert hebrew == "who is \u2068שלום\u2069"


def test_without_rows_a_rule_is_said_as_it_stands():
    assert Wording(None).title(Where.parse('city = "cairo" and age > 60.5')) == "city is cairo and age over 60.5"
    assert Wording(None).title(Where.parse("age <= 60.5")) == "age 60.5 or less"
    assert Wording(None).title(Where.parse("age < 60")) == "age under 60"


def test_a_rule_of_another_kind_is_its_text():
    class Odd:
        kind, text, columns = "near", "near the third prototype", ()

    assert Wording(None).title(Odd()) == "near the third prototype"
    assert Wording(None).subject(Odd()).noun == "rows"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("text.sentiment > 0", "Texts more positive than negative in words"),
        ("text.sentiment > 1.5", "Texts more positive than negative in words by 2 or more"),
        ("text.sentiment > -1", "Texts not more negative than positive in words"),
        ("text.sentiment >= -1", "Texts not more negative than positive in words by over 1"),
        ("text.sentiment <= -1", "Texts more negative than positive in words"),
        ("text.sentiment <= 2", "Texts not more positive than negative in words by over 2"),
        ("text.sentiment > -1 and text.sentiment <= 0", "Texts as positive as negative in words"),
        (
            "text.sentiment >= -1 and text.sentiment <= 0",
            "Texts as positive as negative in words or more negative than positive in words by up to 1",
        ),
        ("text.sentiment > 1 and text.sentiment <= 2", "Texts more positive than negative in words by 2"),
        ("text.sentiment >= -3 and text.sentiment <= -1", "Texts more negative than positive in words by 1 to 3"),
        (
            "text.sentiment > -2 and text.sentiment < 2",
            "Texts with at most 1 more negative than positive words and at most 1 more positive than negative",
        ),
    ],
)
def test_a_whole_number_whose_sign_is_a_direction_is_counted(rule, words):
    texts = ["good", "bad", "good fine", "bad awful boring", "a table", "good but bad"]
    named = Column.category(["a"] * len(texts))
    table = Table({
        "text": Column.strings(texts),
        "text.sentiment": Column.number(np.array([1, -1, 2, -3, 0, 0], dtype=np.float32)),
        "label": named,
        "prediction": named,
    })  # fmt: skip
    scene = World(name="texts", table=table, outside=0.1).evaluation()
    scene = replace(scene, dataset=replace(scene.dataset, modality="text", text="text"))
    assert Wording(scene).title(Where.parse(rule)) == words


@pytest.mark.parametrize(("level", "words"), [
    ("می\u200cخواهم", "\u2068می\u200cخواهم\u2069"),
    ("👩\u200d🔬", "👩\u200d🔬"),
    ("a\u200bb", "a�b"),
    ("a\u202eb", "a�b"),
])  # fmt: skip
def test_what_cannot_be_seen_is_marked_and_what_spells_is_kept(level: str, words: str) -> None:
    assert level_text(level, quoted=False) == words
