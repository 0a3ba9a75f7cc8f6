"""Texts taken apart once: characters as code points with classes, words as codes into a vocabulary, counts per text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from html import unescape
from html.entities import html5
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Column
from errata.ops.measure.lexicon import LEXICA, is_negation

__all__ = ["SCRIPTS", "Characters", "Texts", "Vocabulary", "as_seen", "markup_in", "strings_of", "words_of"]

LETTER, UPPER, DIGIT, SPACE, PUNCTUATION, EMOJI, END, QUOTE = (1 << bit for bit in range(8))

SCRIPTS: Final = (
    "Latin", "Cyrillic", "Greek", "Arabic", "Hebrew", "Devanagari", "Thai", "Han", "Kana", "Hangul", "other",
)  # fmt: skip
_SCRIPT_NAMES: Final = {
    **{name.upper(): code for code, name in enumerate(SCRIPTS[:7])},
    "CJK": 7, "HIRAGANA": 8, "KATAKANA": 8, "HANGUL": 9,
}  # fmt: skip
_NO_SCRIPT: Final = len(SCRIPTS)

_IDEOGRAPH = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TAIL = r"(?:['’]\w+|(?<=\d)[.,]\d+)*"  # it's, 3.5
_WORD = re.compile(rf"\w+{_TAIL}")
_WORD_OR_IDEOGRAPH = re.compile(rf"[{_IDEOGRAPH}]|(?:(?![{_IDEOGRAPH}])\w)+{_TAIL}")
URL = re.compile(r"(?:https?://|www\.)[^\s<>\"]+", re.IGNORECASE)
MENTION = re.compile(r"(?<![\w@])@\w+")
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_REFERENCE = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")


def strings_of(column: Column) -> list[str | None]:
    """The texts of a text or category column, None where missing."""
    if column.kind == "text":
        assert column.offsets is not None
        whole = column.values.tobytes()
        ends = column.offsets.tolist()
        absent = column.missing().tolist()
        pairs = zip(ends[:-1], ends[1:], absent, strict=True)
        return [None if gone else whole[start:stop].decode("utf-8", "replace") for start, stop, gone in pairs]
    return [None if (value := column.value(row)) is None else str(value) for row in range(len(column))]


def as_seen(text: str) -> str:
    """The text as a person sees it: `&amp;` is &, `&#8220;` is “.

    Only known references that end with ";": "AT&T", "a&b" and "R&D;" stay, and "&amp;lt;" is "&lt;" for people too.
    """
    return _REFERENCE.sub(lambda found: _character(found[0]) or found[0], text) if "&" in text else text


def _character(reference: str) -> str:
    """What a character reference stands for; "" where it stands for nothing."""
    if reference[1] != "#":
        return html5.get(reference[1:], "")
    found = unescape(reference)
    # What is no character comes back as the sign for that, which may also be meant.
    return "" if found == "\ufffd" and reference.lower() not in ("&#65533;", "&#xfffd;") else found


def markup_in(text: str) -> int:
    """How many tags and known character references are written in a text."""
    tags = len(_TAG.findall(text)) if "<" in text else 0
    return tags + (sum(bool(_character(one)) for one in _REFERENCE.findall(text)) if "&" in text else 0)


def words_of(text: str) -> list[str]:
    """The words of a text as a person sees it, without addresses, @mentions and tags.

    Each Chinese or Japanese character is a word, since nothing between them says where words end.
    """
    return _words_in(as_seen(text))


def _words_in(text: str) -> list[str]:
    """The words of a text that is as a person sees it."""
    if "@" in text:
        text = MENTION.sub(" ", text)
    if "http" in text or "www." in text or "HTTP" in text or "WWW." in text:
        text = URL.sub(" ", text)
    if "<" in text:
        text = _TAG.sub(" ", text)
    # One test of the highest character saves the slower pattern for the texts that need it.
    return (_WORD if text.isascii() or max(text) < "\u3040" else _WORD_OR_IDEOGRAPH).findall(text)


@dataclass(eq=False)
class Vocabulary:
    """Every different word of the texts met so far; grows, so that blocks of texts share its work.

    code   word as written to its code
    lower  code to the code of the lower-case word with straight apostrophes
    marks  code to a bit for each lexicon and oddity
    """

    code: dict[str, int] = field(default_factory=dict)
    lower: list[int] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    length: list[int] = field(default_factory=list)

    def codes(self, words: Sequence[str]) -> NDArray[np.int64]:
        """(m,) codes of words as written."""
        known = self.code
        for word in set(words).difference(known):
            self._add(word)
        return np.fromiter(map(known.__getitem__, words), dtype=np.int64, count=len(words))

    def _add(self, word: str) -> int:
        if word in self.code:
            return self.code[word]
        code = self.code[word] = len(self.code)
        self.marks.append(_marks(word))
        self.length.append(sum(one.isalnum() for one in word))
        self.lower.append(code)  # its own, until the plain form is known to differ
        plain = plain_word(word)
        if plain != word:
            self.lower[code] = self._add(plain)
        return code


def plain_word(word: str) -> str:
    """The word as lexica and n-grams know it."""
    return word.lower().replace("’", "'")


_BITS: Final = {name: 1 << place for place, name in enumerate((*LEXICA, "shouted", "stretched", "number"))}
_STRETCHED = re.compile(r"([^\W\d_])\1\1")


def _marks(word: str) -> int:
    plain = plain_word(word)
    marks = sum(_BITS[name] for name, entries in LEXICA.items() if plain in entries)
    if is_negation(plain):
        marks |= _BITS["negation"]
    if len(word) > 1 and word.isupper():
        marks |= _BITS["shouted"]
    if _STRETCHED.search(plain):
        marks |= _BITS["stretched"]
    if word[0].isdigit():
        marks |= _BITS["number"]
    return marks


@dataclass(eq=False)
class Characters:
    """Classes and scripts of the code points met so far."""

    classes: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0x110000, dtype=np.uint8))
    scripts: NDArray[np.uint8] = field(default_factory=lambda: np.full(0x110000, _NO_SCRIPT, dtype=np.uint8))
    known: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0x110000, dtype=bool))

    def learn(self, points: NDArray[np.uint32]) -> None:
        """Classify those of the code points that are new."""
        seen = np.zeros(0x110000, dtype=bool)
        seen[points] = True
        for point in np.flatnonzero(seen & ~self.known).tolist():
            one = chr(point)
            self.classes[point] = _class(one, point)
            if one.isalpha():
                name = unicodedata.name(one, "").partition(" ")[0]
                self.scripts[point] = _SCRIPT_NAMES.get(name, len(SCRIPTS) - 1)
            self.known[point] = True


def _class(one: str, point: int) -> int:
    kind = unicodedata.category(one)
    found = LETTER if one.isalpha() else DIGIT if one.isdigit() else SPACE if one.isspace() else 0
    if kind in ("Lu", "Lt"):
        found |= UPPER
    if kind[0] == "P":
        found |= PUNCTUATION
    if _is_emoji(point):
        found |= EMOJI
    if one in ".!?…。！？؟।":
        found |= END
    if one in '"“”„«»「」『』':
        found |= QUOTE
    return found


def _is_emoji(point: int) -> bool:
    if 0x1F3FB <= point <= 0x1F3FF:
        return False  # a skin tone belongs to the emoji before it
    return 0x1F300 <= point <= 0x1FAFF or 0x1F1E6 <= point <= 0x1F1FF or 0x2600 <= point <= 0x27BF or point == 0x2B50


@dataclass(frozen=True, kw_only=True, eq=False)
class _Tokens:
    """Codes of all words, and how many each text has."""

    codes: NDArray[np.int64]
    counts: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Texts:
    """Some texts, taken apart when asked for; every count is (n,), and of the text as a person sees it.

    written  the texts as the data have them
    """

    written: Sequence[str]
    characters: Characters
    vocabulary: Vocabulary

    @property
    def n(self) -> int:
        return len(self.written)

    @cached_property
    def seen(self) -> list[str]:
        """The texts with what their character references stand for."""
        return [as_seen(text) for text in self.written]

    @cached_property
    def points(self) -> NDArray[np.uint32]:
        """Code points of all texts, one after the other."""
        joined = "".join(self.seen).encode("utf-32-le", "surrogatepass")
        points = np.frombuffer(joined, dtype=np.uint32)
        self.characters.learn(points)
        return points

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """(n + 1,) where each text begins among the points, and where the last one ends."""
        lengths = np.fromiter(map(len, self.seen), dtype=np.int64, count=self.n)
        return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])

    @cached_property
    def classes(self) -> NDArray[np.uint8]:
        """(c,) bits of every character."""
        points = self.points
        return np.asarray(self.characters.classes[points])

    @cached_property
    def scripts(self) -> NDArray[np.int64]:
        """(n, scripts) letters of each script."""
        codes = self.characters.scripts[self.points]
        return np.stack([self.per_text(codes == code) for code in range(len(SCRIPTS))], axis=1)

    @cached_property
    def length(self) -> NDArray[np.int64]:
        """Characters of each text."""
        return np.diff(self.ends)

    def per_text(self, flags: NDArray[np.bool_]) -> NDArray[np.int64]:
        """How many characters of each text are flagged."""
        sums = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(flags, dtype=np.int64)])
        return np.asarray(sums[self.ends[1:]] - sums[self.ends[:-1]])

    def having(self, bits: int) -> NDArray[np.int64]:
        """How many characters of each text have one of the class bits."""
        return self.per_text((self.classes & bits) > 0)

    def equal(self, characters: str) -> NDArray[np.int64]:
        """How many characters of each text are one of these."""
        return self.per_text(np.isin(self.points, [ord(one) for one in characters]))

    def matching(self, pattern: re.Pattern[str], *, among: NDArray[np.bool_]) -> NDArray[np.int64]:
        """How often a pattern is found in each of the texts `among`; 0 in the others, which are not searched."""
        found = np.zeros(self.n, dtype=np.int64)
        for row in np.flatnonzero(among).tolist():
            found[row] = len(pattern.findall(self.seen[row]))
        return found

    @cached_property
    def _tokens(self) -> _Tokens:
        words: list[str] = []
        counts = np.zeros(self.n, dtype=np.int64)
        for row, text in enumerate(self.seen):
            found = _words_in(text)
            words += found
            counts[row] = len(found)
        return _Tokens(codes=self.vocabulary.codes(words), counts=counts)

    @property
    def tokens(self) -> NDArray[np.int64]:
        """Codes of all words as written, text after text."""
        return self._tokens.codes

    @property
    def words(self) -> NDArray[np.int64]:
        """Words of each text."""
        return self._tokens.counts

    @cached_property
    def plain(self) -> NDArray[np.int64]:
        """Codes of all words in lower case."""
        tokens = self.tokens  # first, since they are what fills the vocabulary
        return np.asarray(np.asarray(self.vocabulary.lower, dtype=np.int64)[tokens])

    @cached_property
    def token_row(self) -> NDArray[np.int64]:
        """The text that each word stands in."""
        return np.repeat(np.arange(self.n), self.words)

    @cached_property
    def _token_marks(self) -> NDArray[np.int64]:
        tokens = self.tokens
        return np.asarray(np.asarray(self.vocabulary.marks, dtype=np.int64)[tokens])

    def marked(self, name: str) -> NDArray[np.int64]:
        """How many words of each text are of a lexicon, or "shouted", "stretched", "number"."""
        flags = (self._token_marks & _BITS[name]) > 0
        return self.per_text_of_words(flags)

    def per_text_of_words(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Sums over the words of each text."""
        ends = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(self.words)])
        sums = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(values, dtype=np.int64)])
        return np.asarray(sums[ends[1:]] - sums[ends[:-1]])

    @cached_property
    def word_letters(self) -> NDArray[np.int64]:
        """Letters and digits inside the words of each text."""
        tokens = self.tokens
        return self.per_text_of_words(np.asarray(self.vocabulary.length, dtype=np.int64)[tokens])

    @cached_property
    def sentences(self) -> NDArray[np.int64]:
        """Sentences of each text: ends of sentences, and what stands behind the last one."""
        stops = (self.classes & END) > 0
        after = np.append(self.classes[1:], np.uint8(SPACE))
        last = np.zeros(len(stops), dtype=bool)
        last[self.ends[1:][self.length > 0] - 1] = True
        # An end is followed by a space, a closing mark or nothing, so that 3.5 is not two sentences.
        ends = stops & (last | ((after & (SPACE | QUOTE)) > 0) | (self.points > 0x2FFF))
        open_after = np.zeros(self.n, dtype=np.int64)
        letters = (self.classes & (LETTER | DIGIT)) > 0
        place = np.arange(len(stops))
        some = np.flatnonzero(self.length > 0)
        if len(some):
            starts = self.ends[some]
            end_at = np.maximum.reduceat(np.where(ends, place, -1), starts)
            letter_at = np.maximum.reduceat(np.where(letters, place, -1), starts)
            open_after[some] = letter_at > end_at
        sentences: NDArray[np.int64] = np.maximum(self.per_text(ends) + open_after, 1)
        return sentences
