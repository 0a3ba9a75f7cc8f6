"""Other words for a sentence: those that say the same pass, each way of saying something else is refused."""

from __future__ import annotations

import pytest

from errata.describe.faithful import Said, refusal

SAID = Said(
    rule="City is cairo and age over 60",
    effect="58 % wrong, against 12 % elsewhere (95 % interval of the difference 40 to 52 points)",
    inside="58 % wrong", outside="12 % elsewhere", level="95 %", wrong=True, names=("cairo", "oslo", "yes", "no"),
)  # fmt: skip
PLAIN = (
    "Where the city is Cairo and the age is over 60, the model is wrong in 58 % of cases, against 12 % elsewhere "
    "(95 % interval of the difference: 40 to 52 points)."
)
DIGITS = Said(
    rule="8s with strokes thicker than 2.1 pixels",
    effect="58 % wrong (most read as 1), against 6 % among other 8s (95 % interval of the difference 40 to 52 points)",
    inside="58 % wrong", outside="6 % among other 8s", level="95 %", wrong=True, detail="most read as 1",
)  # fmt: skip
PETS = Said(
    rule="Among rows labelled cat, width under 30",
    effect="58 % wrong (most cat taken for dog), against 6 % elsewhere (95 % interval of the difference 40 to 52 "
    "points)",
    inside="58 % wrong", outside="6 % elsewhere", level="95 %", wrong=True, detail="most cat taken for dog",
    names=("cat", "dog", "bird"),
)  # fmt: skip
PET = (
    "Among rows labelled cat of a width under 30, 58 % are wrong (most cat taken for dog), against 6 % elsewhere; the "
    "95 % interval of the difference is 40 to 52 points."
)
TWO = Said(
    rule="Age over 60 and hours over 20", effect=SAID.effect, inside=SAID.inside, outside=SAID.outside, level="95 %",
    wrong=True,
)  # fmt: skip
PRICES = Said(
    rule="Rooms 4 or more", effect="off by 3.2 € on average (mostly predicted too high), against 1.1 € elsewhere (95 % "
    "interval of the difference 1.6 to 2.6 €)", inside="off by 3.2 € on average", outside="1.1 € elsewhere",
    level="95 %", wrong=False, detail="mostly predicted too high",
)  # fmt: skip


@pytest.mark.parametrize("said", [SAID, DIGITS, PETS, TWO, PRICES], ids=lambda said: said.rule)
def test_the_sentence_itself_says_the_same(said) -> None:
    assert refusal(said, said.sentence) == ""


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (SAID, PLAIN),
        (SAID, "For people aged over 60 in the city of Cairo, 58 percent of the predictions are errors, compared "
               "with 12 per cent for the rest; the 95 % confidence interval of the difference is 40 to 52 percentage "
               "points."),
        (SAID, "Once the city is Cairo and the age lies above 60, the model errs 58 % of the time versus 12 % "
               "elsewhere: a difference between 40 and 52 points (95 % interval)."),
        (DIGITS, "When 8s have strokes thicker than 2.1 pixels, 58 % of them are misclassified (most are read as 1), "
                 "compared with 6 % among other 8s, a difference of 40 to 52 points at a 95 % interval."),
        (PETS, PET),
        (PRICES, "With 4 or more rooms the model is off by 3.2 € on average, mostly too high, against 1.1 € elsewhere "
                 "(95 % interval of the difference: 1.6 to 2.6 €)."),
    ],
)  # fmt: skip
def test_what_says_the_same_passes(said, words) -> None:
    assert refusal(said, words) == ""


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("58 % of", "57 % of", "a number that is not"),
        ("58 % of", "58.0001 % of", "a number that is not"),
        (" (95 % interval of the difference: 40 to 52 points)", "", "lack a number"),
        ("58 % of cases, against 12 %", "12 % of cases, against 58 %", "another role"),
        ("58 % of", "58 points of", "a number that is not"),
        ("95 % interval", "95 % chance", "another role"),
        ("40 to 52", "52 to 40", "range apart"),
        ("40 to 52 points", "52 points, or 40 points", "range apart"),
        ("over 60", "under 60", "turn a cut"),
        ("over 60", "60 or more", "turn a cut"),
        ("over 60", "at most 60", "turn a cut"),
        ("over 60", "of 60", "turn a cut"),
        ("over 60", "not over 60", "turn a cut"),
        ("is Cairo", "is not Cairo", "negations"),
        ("is wrong in", "is never wrong in", "negations"),
        ("the model is wrong", "the model isn't wrong", "negations"),
        ("the city is Cairo", "the city is Oslo", "whom the numbers are about"),
        ("the city is Cairo", "the city is Cairo or Oslo", "join|name what"),
        ("Cairo and the age", "Cairo or the age", "join what"),
        ("elsewhere", "in Oslo", "second number|name what"),
        ("the age is", "the tenure is", "whom the numbers are about"),
        ("wrong in", "right in", "what the numbers are"),
        ("wrong in", "wrong, hence unfair, in", "claim more"),
        ("wrong in", "wrong about five times as often, in", "claim more"),
        ("is wrong in 58 % of cases", "is less often wrong, in 58 % of cases", "claim more"),
        ("wrong in", "wrong because of age in", "claim more"),
        ("wrong in", "terribly wrong in", "of their own"),
        ("wrong in", "wrong, which is acceptable, in", "of their own"),
        ("elsewhere", "in the training data", "of their own"),
        ("in 58 % of cases", "in most cases, 58 %", "claim more"),
        ("is Cairo", "is Cairo (Egypt)", "name what"),
        ("Where the", "Elsewhere, where the", "another role"),
        ("Where the", "**Where** the", "marked up"),
        ("elsewhere", "<b>elsewhere</b>", "marked up"),
        ("elsewhere", "elsewhere, see https://example.com", "marked up"),
        (", the model", ",\n\nthe model", "one paragraph"),
        ("the model", "the \u202emodel", "hidden"),
        (".", ". " + "And so it is, as was said above and is said here. " * 6, "twice as long"),
        (PLAIN, "I am sorry, I can't help with that.", "lack a number"),
        (PLAIN, "", "say nothing"),
        (PLAIN, "58 % wrong elsewhere, against 12 % where the city is Cairo and the age over 60 (95 % interval of the "
                "difference 40 to 52 points).", "whom the numbers are about"),
    ],
)  # fmt: skip
def test_what_says_something_else_is_refused(old, new, why) -> None:
    import re

    assert old in PLAIN
    words = PLAIN.replace(old, new, 1)
    assert re.search(why, refusal(SAID, words)), refusal(SAID, words)


@pytest.mark.parametrize(
    ("said", "old", "new"),
    [
        (DIGITS, "thicker", "thinner"),
        (DIGITS, "read as 1", "not read as 1"),
        (PETS, "cat taken for dog", "dog taken for cat"),
        (PETS, "cat taken for dog", "cat and dog confused"),
        (PETS, "labelled cat", "labelled dog"),
        (PETS, "cat taken for dog", "cat taken for bird"),
        (PETS, "under 30", "over 30"),
        (TWO, "Age over 60 and hours over 20", "Age over 20 and hours over 60"),
        (TWO, "Age over 60 and hours over 20", "Hours over 60 and age over 20"),
        (PRICES, "too high", "too low"),
        (PRICES, "mostly predicted too high", "mostly"),
        (PRICES, "4 or more", "4 or less"),
        (PRICES, "off by 3.2 €", "wrong in 3.2 €"),
        (PRICES, "3.2 € on average (mostly predicted too high), against 1.1 €",
         "1.1 € on average (mostly predicted too high), against 3.2 €"),
    ],
)  # fmt: skip
def test_each_kind_of_sentence_can_be_turned_around_and_is_refused(said, old, new) -> None:
    assert old in said.sentence
    assert refusal(said, said.sentence.replace(old, new))


@pytest.mark.parametrize("side", ["over", "under"])
def test_the_next_condition_says_nothing_of_the_cut_before_it(side) -> None:
    ratio = Said(
        rule=f"Images with an aspect ratio {side} 1.27 and less noisy than 0.009", effect=SAID.effect,
        inside=SAID.inside, outside=SAID.outside, level="95 %", wrong=True,
    )  # fmt: skip
    assert refusal(ratio, ratio.sentence) == ""
    turned = {"over": "under", "under": "over"}[side]
    assert refusal(ratio, ratio.sentence.replace(f"{side} 1.27", f"{turned} 1.27")) == "they turn a cut around"


def test_other_things_in_a_sentence_stay() -> None:
    group = Said(
        rule="Cats alike in what they show (group 3f2a9c), roughly “Images darker than 0.4”", effect=SAID.effect,
        inside=SAID.inside, outside=SAID.outside, level="95 %", wrong=True, names=("cat", "dog"),
    )  # fmt: skip
    words = "Cats alike in what they show (group 3f2a9c), roughly images darker than 0.4, are wrong in 58 % of cases, "
    tail = "against 12 % elsewhere (95 % interval of the difference 40 to 52 points)."
    assert refusal(group, words + tail) == ""
    assert refusal(group, words.replace("darker", "brighter") + tail)
    assert refusal(group, words.replace("3f2a9c", "3f2a9d") + tail)
    assert refusal(group, words.replace("Cats", "Dogs") + tail)
