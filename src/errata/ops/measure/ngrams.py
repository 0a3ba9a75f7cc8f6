"""Words and pairs of words whose presence tells wrong from right within a class, as boolean columns."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Column, Float
from errata.core.dataset import Dataset
from errata.core.evaluation import Evaluation
from errata.core.source import Source
from errata.ops.measure.grams import KIND, VERSION, column_of
from errata.ops.measure.texts import Vocabulary, plain_word, strings_of, words_of

__all__ = ["with_grams", "with_ngrams"]

MOST_TEXTS = 20_000  # explore rows that the choice rests on; presence is then looked up in all rows
ALIKE = 0.9  # of two n-grams that nearly always come together, the better one stands for both
_SEPARATOR = "\n"  # never part of a word


def with_ngrams(evaluation: Evaluation, *, most: int = 50, least: int = 10) -> Evaluation:
    """The evaluation with a boolean column for each chosen n-gram, among the features; as is without texts.

    Chosen on explore rows alone: words and pairs of neighbours, in lower case, that at least `least` explore rows have
    and at least `least` have not, by the gain in likelihood when the rows that have them get error rates of their own
    in each class; at most `most`, and only those whose gain is above 0. What was chosen is a Source, so that the same
    columns are made of fresh rows (`with_grams`).
    """
    dataset = evaluation.dataset
    if _text_column(dataset) is None or any(source.kind == KIND for source in dataset.sources):
        return evaluation
    grams = _chosen(evaluation.explore(), most=most, least=least)
    if not grams:
        return evaluation
    more = with_grams(dataset, grams)
    new = tuple(name for name in more.table if name not in dataset.table)
    return replace(evaluation, dataset=more, features=(*evaluation.features, *new))


def with_grams(dataset: Dataset, grams: Sequence[str] | Source) -> Dataset:
    """The data with the columns of the given n-grams, or of those that a run's Source names; as is without texts."""
    name = _text_column(dataset)
    if name is None:
        return dataset
    asked = str(grams.options["grams"]).split(_SEPARATOR) if isinstance(grams, Source) else list(grams)
    asked = [gram for gram in asked if column_of(gram) not in dataset.table]
    texts = strings_of(dataset.table.column(name))
    held = presence(texts, asked)
    gone = np.array([text is None for text in texts], dtype=bool)
    columns = {}
    for place, gram in enumerate(asked):
        values = np.where(gone, -1, held[:, place]).astype(np.int8)
        columns[column_of(gram)] = Column(kind="boolean", values=values, words=f"contains “{gram}”")
    joined = _SEPARATOR.join(asked)
    source = Source(
        kind=KIND, columns=tuple(columns), options={"version": VERSION, "grams": joined},
        fingerprint=hashlib.sha256(f"{KIND} {VERSION} {joined}".encode()).hexdigest()[:16],
    )  # fmt: skip
    return dataset.with_table(dataset.table.with_columns(columns), sources=(source,))


def presence(texts: Sequence[str | None], grams: Sequence[str]) -> Bool:
    """(n, g) bool: which texts contain which words or pairs of words, given in lower case."""
    held = np.zeros((len(texts), len(grams)), dtype=bool)
    singles = {gram: place for place, gram in enumerate(grams) if " " not in gram}
    pairs = {tuple(gram.split(" ", 1)): place for place, gram in enumerate(grams) if " " in gram}
    firsts = {first for first, _ in pairs}
    for row, text in enumerate(texts):
        if not text:
            continue
        words = list(map(plain_word, words_of(text)))
        found = [singles[word] for word in singles.keys() & set(words)]
        if firsts:
            met = firsts.intersection(words)
            if met:
                found += [pairs[pair] for pair in pairwise(words) if pair[0] in met and pair in pairs]
        held[row, found] = True
    return held


def _text_column(dataset: Dataset) -> str | None:
    name = getattr(dataset, "text", None)
    return name if isinstance(name, str) and name in dataset.table else None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Grams:
    """Different n-grams of some texts: each pair (row, n-gram) once.

    names  n-gram of each code
    row    (m,) text
    code   (m,) n-gram that it contains
    """

    names: list[str]
    row: NDArray[np.int64]
    code: NDArray[np.int64]

    def of(self, code: int) -> NDArray[np.int64]:
        """Texts that contain an n-gram."""
        rows: NDArray[np.int64] = self.row[self.code == code]
        return rows


def _chosen(explore: Evaluation, *, most: int, least: int) -> list[str]:
    """The n-grams of the highest gain, best first."""
    view = explore.view()
    usable = np.flatnonzero(view.stratum >= 0)
    usable = usable[:: max(1, -(-len(usable) // MOST_TEXTS))]
    loss, stratum = view.loss[usable], view.stratum[usable].astype(np.int64)
    if not len(usable) or float(loss.sum()) == 0.0:
        return []
    column = explore.column(str(_text_column(explore.dataset))).take(usable)
    grams = _grams(strings_of(column), least=least)
    gains = _gains(grams, loss, stratum, binary=explore.binary_loss)
    rows = np.bincount(grams.code, minlength=len(grams.names))
    gains[(rows < least) | (rows > len(usable) - least)] = -np.inf
    chosen: list[int] = []
    sets: list[NDArray[np.int64]] = []
    for code in np.argsort(-gains, kind="stable")[: 8 * most].tolist():
        if gains[code] <= 0.0 or len(chosen) == most:
            break
        mine = grams.of(code)
        if any(_jaccard(mine, other) >= ALIKE for other in sets):
            continue
        chosen.append(code)
        sets.append(mine)
    return [grams.names[code] for code in chosen]


def _jaccard(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    both = len(np.intersect1d(first, second, assume_unique=True))
    return both / (len(first) + len(second) - both)


def _gains(grams: _Grams, loss: Float, stratum: NDArray[np.int64], *, binary: bool) -> NDArray[np.float64]:
    from errata.stats.gain import gain, loss_gain

    classes, count = int(stratum.max()) + 1, len(grams.names)
    cell = grams.code * classes + stratum[grams.row]
    n1 = np.bincount(cell, minlength=count * classes).reshape(count, classes)
    x1 = np.bincount(cell, weights=loss[grams.row], minlength=count * classes).reshape(count, classes)
    n, x = np.bincount(stratum, minlength=classes), np.bincount(stratum, weights=loss, minlength=classes)
    if binary:
        return np.asarray(gain(x1, n1, wrong=x, rows=n))
    return np.asarray(loss_gain(x1, n1, loss=x, rows=n, squares=float(np.sum(loss**2))))


def _grams(texts: Sequence[str | None], *, least: int) -> _Grams:
    """Words that `least` texts have, and pairs of neighbours among them."""
    vocabulary = Vocabulary()
    words: list[str] = []
    counts = np.zeros(len(texts), dtype=np.int64)
    for place, text in enumerate(texts):
        found = words_of(text) if text else []
        words += map(plain_word, found)
        counts[place] = len(found)
    codes = vocabulary.codes(words)
    row = np.repeat(np.arange(len(texts)), counts)
    names = list(vocabulary.code)
    single = _often(row, codes, kinds=len(names), least=least)
    kept = [names[code] for code in single.kinds.tolist()]
    known = np.full(len(names), -1, dtype=np.int64)
    known[single.kinds] = np.arange(len(kept))
    here = known[codes]
    beside = np.flatnonzero((row[1:] == row[:-1]) & (here[1:] >= 0) & (here[:-1] >= 0))
    different, pair = np.unique(here[beside] * len(kept) + here[beside + 1], return_inverse=True)
    double = _often(row[beside], pair, kinds=len(different), least=least)
    keys = different[double.kinds].tolist()
    return _Grams(
        names=[*kept, *(f"{kept[key // len(kept)]} {kept[key % len(kept)]}" for key in keys)],
        row=np.concatenate([single.row, double.row]),
        code=np.concatenate([single.code, len(kept) + double.code]),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Often:
    """Codes that enough texts have: `kinds` are those codes, `code` places among them, each (row, code) once."""

    kinds: NDArray[np.int64]
    row: NDArray[np.int64]
    code: NDArray[np.int64]


def _often(row: NDArray[np.int64], code: NDArray[np.int64], *, kinds: int, least: int) -> _Often:
    once: NDArray[np.int64] = np.unique(row * max(kinds, 1) + code)
    rows, codes = once // max(kinds, 1), once % max(kinds, 1)
    frequent = np.bincount(codes, minlength=kinds) >= least
    place = np.cumsum(frequent) - 1
    keep = frequent[codes]
    return _Often(kinds=np.flatnonzero(frequent), row=rows[keep], code=place[codes[keep]])
