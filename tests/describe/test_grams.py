"""Conditions on words that texts contain are said together."""

from __future__ import annotations

import pytest

from errata.core.rules import Where
from errata.describe.wording import Wording


@pytest.mark.parametrize(("rule", "words"), [
    ('`contains "gay"` = true', "Texts that contain “gay”"),
    ('`contains "gay"` = false', "Texts that do not contain “gay”"),
    ('`contains "a"` = true and text.words > 4 and `contains "b"` = true',
     "Texts that contain “a” and “b” and whose number of words is over 4"),
    ('`contains "a"` = false and text.words > 4 and `contains "b"` = false',
     "Texts that contain neither “a” nor “b” and whose number of words is over 4"),
    ('`contains "a"` = false and `contains "b"` = false and `contains "c"` = false',
     "Texts that contain neither “a”, “b” nor “c”"),
    ('`contains "a"` = true and `contains "b"` = false', "Texts that contain “a” and that do not contain “b”"),
])  # fmt: skip
def test_words_that_texts_contain(rule: str, words: str) -> None:
    assert Wording(None).title(Where.parse(rule)) == words


def test_a_mean_is_said_to_be_one() -> None:
    title = Wording(None).title(Where.parse("text.word_length <= 4.1 and text.sentence_length > 20"))
    assert title == "Texts with a mean word length under 4.1 letters and with a mean sentence length over 20 words"
