"""What is measured of a text, and the words for it."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from errata.ops.measure.attribute import Attribute, Directions, Measured, float32, signed
from errata.ops.measure.texts import (
    DIGIT,
    EMOJI,
    LETTER,
    MENTION,
    PUNCTUATION,
    QUOTE,
    SCRIPTS,
    UPPER,
    URL,
    Texts,
    markup_in,
)

__all__ = ["ATTRIBUTES"]

VARIETY_OVER = 50  # words: every text gets less varied as it goes on, so that only equal stretches compare

_EMOTICON = re.compile(r"(?<!\w)(?:[:;=8][-^o']?[)(DPpO/\\|*]|<3)(?!\w)")
_HASHTAG = re.compile(r"(?<![\w&#])#\w*[^\W\d]\w*")
_ELLIPSIS = re.compile(r"\.{3,}|…")


def ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> Measured:
    """(n,) float32 shares, NaN where there is no whole."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float32(np.where(whole > 0, part / whole, np.nan))


def readability(texts: Texts) -> Measured:
    """The Automated Readability Index, (n,) float32: the American school grade that reads such a text with ease.

    4.71 x characters per word + 0.5 x words per sentence - 21.43; NaN without words.
    Reference: E. A. Smith and R. J. Senter, Automated Readability Index, AMRL-TR-66-220, 1967.
    """
    letters = ratio(texts.word_letters, texts.words)
    return float32(4.71 * letters + 0.5 * ratio(texts.words, texts.sentences) - 21.43)


def variety(texts: Texts) -> Measured:
    """Share of the first 50 words that did not come before, (n,) float32; NaN without words."""
    words = texts.words
    first = np.cumsum(words) - words
    early = np.arange(len(texts.tokens)) - np.repeat(first, words) < VARIETY_OVER
    rows, codes = texts.token_row[early], texts.plain[early]
    size = len(texts.vocabulary.code) + 1
    different = np.unique(rows * size + codes) // size
    return ratio(np.bincount(different, minlength=texts.n), np.minimum(words, VARIETY_OVER))


def repetitions(texts: Texts) -> Measured:
    """Words equal to the one before, (n,) float32."""
    plain, row = texts.plain, texts.token_row
    again = np.zeros(len(plain), dtype=np.int64)
    again[1:] = (plain[1:] == plain[:-1]) & (row[1:] == row[:-1])
    return float32(texts.per_text_of_words(again))


def script(texts: Texts) -> Measured:
    """(n,) int32 codes of the script that most letters are of, -1 without letters."""
    letters = texts.scripts
    return np.where(letters.sum(axis=1) > 0, letters.argmax(axis=1), -1).astype(np.int32)


def emoji(texts: Texts) -> Measured:
    """Emoji and emoticons, (n,) float32."""
    return float32(texts.having(EMOJI) + texts.matching(_EMOTICON, among=texts.equal(":;=8<") > 0))


def _count(name: str, what: str, explanation: str, measured: Callable[[Texts], Measured]) -> Attribute:
    return Attribute(
        name=f"text.{name}", noun=f"number of {what}", high=f"with more {what} than", low=f"with fewer {what} than",
        whole=True, explanation=explanation, measured=lambda texts: float32(measured(texts)),
    )  # fmt: skip


def _share(name: str, noun: str, explanation: str, measured: Callable[[Texts], Measured]) -> Attribute:
    return Attribute(
        name=f"text.{name}", noun=noun, high=f"with a {noun} over", low=f"with a {noun} under",
        explanation=explanation, measured=measured,
    )  # fmt: skip


def _lexicon(name: str, what: str, examples: str) -> Attribute:
    return _count(name, what, f"Number of words such as {examples} (English).", lambda texts: texts.marked(name))


_LENGTH = (
    _count("characters", "characters", "Number of characters, spaces and marks among them.", lambda t: t.length),
    _count("words", "words", "Number of words, without addresses, @mentions and markup.", lambda t: t.words),
    _count("sentences", "sentences", "Number of ends of sentences, and what stands behind the last.",
           lambda t: t.sentences),
    _count("line_breaks", "line breaks", "Number of line breaks.", lambda t: t.equal("\n")),
    Attribute(
        name="text.word_length", noun="mean word length", high="with a mean word length over",
        low="with a mean word length under", unit="letters",
        explanation="Letters and digits of all words over the number of words.",
        measured=lambda t: ratio(t.word_letters, t.words),
    ),
    Attribute(
        name="text.sentence_length", noun="mean sentence length", high="with a mean sentence length over",
        low="with a mean sentence length under", unit="words",
        explanation="Number of words over the number of sentences.",
        measured=lambda t: ratio(t.words, t.sentences),
    ),
    Attribute(
        name="text.readability", noun="reading grade", high="harder to read than grade",
        low="easier to read than grade",
        explanation="Automated Readability Index: 4.71 x letters per word + 0.5 x words per sentence - 21.43.",
        measured=readability,
    ),
    _share("variety", "variety of words", "Share of the first 50 words that did not come before.", variety),
    _count("repetitions", "words said twice in a row", "Number of words equal to the word before.", repetitions),
)  # fmt: skip

_MARKS = (
    _share("capitals", "share of capitals", "Capital letters over all letters.",
           lambda t: ratio(t.having(UPPER), t.having(LETTER))),
    _count("shouted", "words in capitals", "Number of words of two letters or more, all of them capitals.",
           lambda t: t.marked("shouted")),
    _share("punctuation", "share of punctuation", "Punctuation marks over all characters.",
           lambda t: ratio(t.having(PUNCTUATION), t.length)),
    _count("question_marks", "question marks", "Number of question marks.", lambda t: t.equal("?？؟")),
    _count("exclamation_marks", "exclamation marks", "Number of exclamation marks.", lambda t: t.equal("!！")),
    _count("commas", "commas", "Number of commas.", lambda t: t.equal(",，、،")),
    _count("quotes", "quotation marks", "Number of quotation marks; apostrophes are none.", lambda t: t.having(QUOTE)),
    _count("brackets", "brackets", "Number of opening brackets.", lambda t: t.equal("([{（")),
    _count("ellipses", "ellipses", "Number of places with three dots or more.",
           lambda t: t.matching(_ELLIPSIS, among=t.equal(".…") > 0)),
    _count("numbers", "numbers", "Number of words that begin with a digit.", lambda t: t.marked("number")),
    _share("digits", "share of digits", "Digits over all characters.", lambda t: ratio(t.having(DIGIT), t.length)),
    _count("urls", "web addresses", "Number of web addresses.", lambda t: t.matching(URL, among=t.equal(":.") > 0)),
    _count("mentions", "@mentions", "Number of @names.", lambda t: t.matching(MENTION, among=t.equal("@") > 0)),
    _count("hashtags", "hashtags", "Number of #words.", lambda t: t.matching(_HASHTAG, among=t.equal("#") > 0)),
    _count("emoji", "emoji", "Number of emoji, and of emoticons such as :).", emoji),
    _count("markup", "markup tags", "Number of HTML tags and entities.",
           lambda t: np.fromiter(map(markup_in, t.written), dtype=np.int64, count=t.n)),
    _share("non_ascii", "share of characters beyond ASCII", "Characters outside plain ASCII over all characters.",
           lambda t: ratio(t.per_text(t.points > 127), t.length)),
    _share("latin", "share of Latin letters", "Latin letters over all letters.",
           lambda t: ratio(t.scripts[:, 0], t.scripts.sum(axis=1))),
    Attribute(
        name="text.script", noun="script", high="mostly in the script", low="mostly in the script", kind="category",
        levels=SCRIPTS, explanation="The script that most letters are of.", measured=script,
    ),
)  # fmt: skip

_WORDS = (
    _lexicon("negation", "negations", "not, never, n't"),
    _lexicon("contrast", "words of contrast", "but, however, although"),
    _lexicon("conditions", "conditions", "if, unless, whether"),
    _lexicon("comparatives", "comparisons", "than, more, best"),
    _lexicon("modals", "modal verbs", "can, would, should"),
    _lexicon("hedges", "hedges", "maybe, probably, seems"),
    _lexicon("intensifiers", "intensifiers", "very, really, totally"),
    _lexicon("first_person", "words of the first person", "I, my, we"),
    _lexicon("second_person", "words of the second person", "you, your"),
    _lexicon("question_words", "question words", "what, why, how"),
    _lexicon("positive", "positive words", "good, love, brilliant"),
    _lexicon("negative", "negative words", "bad, boring, waste"),
    signed(
        name="text.sentiment", noun="positive less negative words", whole=True,
        directions=Directions(
            positive="more positive than negative in words",
            negative="more negative than positive in words",
            across="with at most {low} more negative than positive words and at most {high} more positive than"
            " negative",
            neither="as positive as negative in words",
        ),
        explanation="Number of positive words less the number of negative words (English).",
        measured=lambda t: float32(t.marked("positive") - t.marked("negative")),
    ),
    _share("common", "share of common English words", "Words among the hundred commonest of English over all words.",
           lambda t: ratio(t.marked("common"), t.words)),
    _count("stretched", "stretched words", "Number of words with a letter three times in a row, such as sooo.",
           lambda t: t.marked("stretched")),
    _count("bare", "contractions without apostrophe", "Number of words such as dont, im, gonna (English).",
           lambda t: t.marked("bare")),
)  # fmt: skip

ATTRIBUTES = (*_LENGTH, *_MARKS, *_WORDS)
