"""What is measured of a text is what a person would count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from errata.core.errors import UsageError
from errata.ops.measure import text
from errata.ops.measure.text import ATTRIBUTES, measure
from errata.ops.measure.texts import as_seen, words_of


@pytest.mark.parametrize(
    ("written", "name", "value"),
    [
        ("I don't LOVE it... Really?!", "text.words", 5),
        ("I don't LOVE it... Really?!", "text.shouted", 1),
        ("I don't LOVE it... Really?!", "text.negation", 1),
        ("I don’t", "text.negation", 1),
        ("I don't LOVE it... Really?!", "text.sentences", 2),
        ("It is 3.5 years old", "text.sentences", 1),
        ("It is 3.5 years old", "text.numbers", 1),
        ("see http://t.co/aB1 and www.x.org, @bob!", "text.urls", 2),
        ("see http://t.co/aB1 and www.x.org, @bob!", "text.words", 2),
        ("see http://t.co/aB1 and www.x.org, @bob!", "text.mentions", 1),
        ("a@b.org is no mention", "text.mentions", 0),
        ("#fail #2 &#8220;", "text.hashtags", 1),
        ("good :) 😀👍🏽", "text.emoji", 3),
        ("soooo good", "text.stretched", 1),
        ("good but bad", "text.sentiment", 0),
        ("good but bad", "text.contrast", 1),
        ("very very good", "text.repetitions", 1),
        ("one two\none", "text.variety", 2 / 3),
        ("one two\none", "text.line_breaks", 1),
        ("<b>x</b> &amp; y", "text.markup", 3),
        ("ABc d", "text.capitals", 0.5),
        ("dont", "text.bare", 1),
        ("Привет мир", "text.latin", 0.0),
        ("Привет abc", "text.non_ascii", 0.6),
        ("这是测试", "text.words", 4),
        ("“quoted” it's", "text.quotes", 2),
        ("", "text.words", 0),
        ("&#8220;quoted&#8221; it&#39;s", "text.quotes", 2),
        ("&#8220;quoted&#8221; it&#39;s", "text.digits", 0.0),
        ("&#8220;quoted&#8221; it&#39;s", "text.words", 2),
        ("you &amp; me", "text.characters", 8),
        ("you &amp; me", "text.punctuation", 1 / 8),
        ("&#128514; so funny", "text.emoji", 1),
        ("I &lt;3 you", "text.emoji", 1),
        ("caf&eacute;", "text.non_ascii", 0.25),
        ("don&#8217;t", "text.negation", 1),
        ("AT&T and R&D; and &nosuch;", "text.markup", 0),
        ("x=1&copy=2", "text.characters", 10),
    ],
)
def test_counts(written: str, name: str, value: float) -> None:
    assert measure([written], names=[name])[name][0] == pytest.approx(value)


def test_readability_is_the_published_formula() -> None:
    # 4 words of 3 letters in 2 sentences: 4.71 x 3 + 0.5 x 2 - 21.43
    assert measure(["The cat sat. Too"])["text.readability"][0] == pytest.approx(4.71 * 3 + 0.5 * 2 - 21.43, abs=1e-4)


def test_scripts_are_named() -> None:
    found = measure(["abc", "Привет", "汉字", "123", "ひらがな"])["text.script"]
    levels = ATTRIBUTES["text.script"].levels
    assert [levels[code] if code >= 0 else None for code in found] == ["Latin", "Cyrillic", "Han", None, "Kana"]


def test_missing_and_empty() -> None:
    values = measure(["", None])
    assert np.isnan(values["text.words"][1])
    assert values["text.script"][1] == -1
    assert np.isnan(values["text.capitals"][0])


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["A b c.", "", None, "very VERY long text, isn't it? 😀", "日本 nihon", "x" * 50]
    whole = measure(texts)
    monkeypatch.setattr(text, "BLOCK_CHARACTERS", 10)
    for name, values in measure(texts).items():
        np.testing.assert_array_equal(values, whole[name], err_msg=name)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UsageError, match=r"text\.word"):
        measure(["x"], names=["text.wrods"])


def test_lone_surrogates_and_odd_characters_are_measured() -> None:
    assert measure(["\ud800 \x00 \u202e x"])["text.words"][0] == 1


def test_words() -> None:
    assert words_of("It’s 1,000.5 <br> at-once") == ["It’s", "1,000.5", "at", "once"]


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("&lt;b&gt; &quot;x&quot; &#x201C;", '<b> "x" “'),
        ("AT&T, a&b, R&D;, &copy 2020", "AT&T, a&b, R&D;, &copy 2020"),
        ("&notit; &hellip;", "&notit; …"),
        ("&amp;lt;", "&lt;"),  # once, as a browser does it
        ("&#0; &#99999999; &#xD800; &#1;", "&#0; &#99999999; &#xD800; &#1;"),
        ("I&#65533;m", "I\ufffdm"),
    ],
)
def test_character_references_are_read_as_people_see_them(written: str, seen: str) -> None:
    assert as_seen(written) == seen
    assert words_of(written) == words_of(seen) or "&lt;" in seen


def test_what_stands_for_nothing_is_read_as_written() -> None:
    assert words_of("R&D; &nosuch; rock &amp; roll") == ["R", "D", "nosuch", "rock", "roll"]


def test_every_attribute_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "attributes.md").read_text("utf-8")
    for one in ATTRIBUTES.values():
        assert f"| `{one.name}` | {one.noun} |" in page, one.name
        assert one.explanation in page, one.name


@pytest.mark.parametrize("name", list(ATTRIBUTES))
def test_each_attribute_alone_is_what_it_is_among_the_others(name: str) -> None:
    texts = ["I don't LOVE it... Really?!", "", "very very sooo Good (2)"]
    np.testing.assert_array_equal(measure(texts, names=[name])[name], measure(texts)[name])
