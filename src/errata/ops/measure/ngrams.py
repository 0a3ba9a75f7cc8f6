"""Words and pairs of words whose presence tells wrong from right within a class, as boolean columns."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Column, Float
from errata.core.dataset import Dataset
from errata.core.evaluation import EXPLORE, Evaluation
from errata.core.source import Source
from errata.ops.measure.grams import KIND, VERSION, column_of
from errata.ops.measure.texts import plain_word, strings_of, words_of

__all__ = ["NGrams", "with_grams", "with_ngrams"]

MOST_TEXTS = 100_000
"""Texts that are all taken apart, so that n-grams can be chosen again and again without reading one twice."""

SAMPLED = 20_000
"""Explore rows that the choice rests on where there are more texts; presence is then looked up in all of them."""

ALIKE = 0.9  # of two n-grams that nearly always come together, the better one stands for both
_SEPARATOR = "\n"  # never part of a word
_TRIED = 8  # times as many n-grams as are wanted are looked at, since most that are left out are alike


def with_ngrams(evaluation: Evaluation, *, most: int = 50, least: int = 10) -> Evaluation:
    """The evaluation with a boolean column for each chosen n-gram, among the features; as is without texts.

    As `NGrams` chooses them. An evaluation that has such columns already stays as it is.
    """
    if any(source.kind == KIND for source in evaluation.dataset.sources):
        return evaluation
    grams = NGrams.of(evaluation, most=most, least=least)
    return evaluation if grams is None else grams(evaluation)


@dataclass(frozen=True, kw_only=True, eq=False)
class NGrams:
    """Which texts hold which words and pairs of neighbours, in lower case; the errors of a model have no part in it.

    Called with an evaluation of the same rows, it gives it a boolean column for each n-gram that its explore rows
    choose. Folds and reruns on permuted errors so choose anew, and read no text again.

    names   g n-grams that at least `least` texts hold, in alphabetical order
    starts  (g + 1,) int64: where the texts of each begin in `row`
    row     (m,) int32: texts, by n-gram
    absent  (N,) bool: rows without a text
    whole   whether every text was taken apart; else only some explore rows were
    most    at most so many n-grams are chosen
    least   an n-gram is chosen only where so many explore rows have it, and so many have it not
    """

    names: tuple[str, ...]
    starts: NDArray[np.int64]
    row: NDArray[np.int32]
    absent: Bool
    whole: bool
    most: int
    least: int

    @staticmethod
    def of(evaluation: Evaluation, *, most: int = 50, least: int = 10) -> NGrams | None:
        """The n-grams of an evaluation's texts; None where it has none."""
        name = _text_column(evaluation.dataset)
        if name is None:
            return None
        column = evaluation.dataset.table.column(name)
        whole = len(column) <= MOST_TEXTS
        rows = np.arange(len(column)) if whole else _sample(evaluation)
        held = _held(strings_of(column if whole else column.take(rows)), least=least)
        order = np.argsort(np.array(held.names, dtype=object), kind="stable")
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        code = place[held.code]
        by_code = np.lexsort((held.row, code))
        return NGrams(
            names=tuple(held.names[at] for at in order.tolist()),
            starts=np.concatenate([[0], np.cumsum(np.bincount(code, minlength=len(order)))]).astype(np.int64),
            row=rows[held.row[by_code]].astype(np.int32), absent=column.missing(), whole=whole, most=most, least=least,
        )  # fmt: skip

    def __call__(self, evaluation: Evaluation) -> Evaluation:
        """The evaluation with the columns of the n-grams that its explore rows choose, in the place of earlier ones.

        What was chosen is a Source, so that the same columns are made of fresh rows (`with_grams`).
        """
        earlier = {name for one in evaluation.dataset.sources if one.kind == KIND for name in one.columns}
        features = [name for name in evaluation.features if name not in earlier]
        codes = self.chosen(evaluation)
        dataset = self.added(evaluation.dataset, [self.names[code] for code in codes])
        grams = [column_of(self.names[code]) for code in codes]
        return replace(evaluation, dataset=dataset, features=tuple(dict.fromkeys((*features, *grams))))

    def added(self, dataset: Dataset, grams: Sequence[str]) -> Dataset:
        """The data with the columns of some of the n-grams; those that it has already stay."""
        asked = [gram for gram in grams if column_of(gram) not in dataset.table]
        if not asked:
            return dataset
        if not self.whole:
            return with_grams(dataset, asked)
        place = {name: code for code, name in enumerate(self.names)}
        held = np.zeros((len(self.absent), len(asked)), dtype=bool)
        for at, gram in enumerate(asked):
            held[self._rows(place[gram]), at] = True
        return _with_columns(dataset, asked, held, self.absent)

    def chosen(self, evaluation: Evaluation) -> list[int]:
        """Places in `names`, best first: by the gain in likelihood when the explore rows that have an n-gram get error
        rates of their own in each class, as long as it is above 0; of those that nearly always come together the best.
        """
        explore = evaluation.explore()
        rows = np.arange(len(explore)) if explore.rows is None else explore.rows
        loss, stratum = np.zeros(len(self.absent)), np.full(len(self.absent), -1, dtype=np.int64)
        view = explore.view()
        loss[rows], stratum[rows] = view.loss, view.stratum
        if not self.whole:
            seen = np.zeros(len(stratum), dtype=bool)
            seen[_sample(evaluation)] = True
            stratum[~seen] = -1
        usable = stratum >= 0
        if not len(self.names) or not float(loss[usable].sum()):
            return []
        gains = self._gains(loss, stratum, binary=evaluation.binary_loss)
        chosen: list[int] = []
        kept: list[NDArray[np.uint8]] = []
        for code in np.argsort(-gains, kind="stable")[: _TRIED * self.most].tolist():
            if gains[code] <= 0.0 or len(chosen) == self.most:
                break
            member = np.zeros(len(stratum), dtype=bool)
            member[self._rows(code)] = True
            bits = np.packbits(member & usable)
            if not kept or not _alike(np.stack(kept), bits):
                chosen.append(code)
                kept.append(bits)
        return chosen

    def _rows(self, code: int) -> NDArray[np.int32]:
        return self.row[self.starts[code] : self.starts[code + 1]]

    def _gains(self, loss: Float, stratum: NDArray[np.int64], *, binary: bool) -> NDArray[np.float64]:
        """(g,) gains, -inf where too few explore rows have the n-gram, or have it not; `stratum` is -1 elsewhere."""
        from errata.stats.gain import gain, loss_gain

        usable = stratum >= 0
        classes, size = int(stratum.max()) + 1, len(self.names)
        code = np.repeat(np.arange(size), np.diff(self.starts))
        seen = usable[self.row]
        at = self.row[seen]
        cell = code[seen] * classes + stratum[at]
        n1 = np.bincount(cell, minlength=size * classes).reshape(size, classes)
        x1 = np.bincount(cell, weights=loss[at], minlength=size * classes).reshape(size, classes)
        mine = loss[usable]
        n = np.bincount(stratum[usable], minlength=classes)
        x = np.bincount(stratum[usable], weights=mine, minlength=classes)
        if binary:
            gains = np.asarray(gain(x1, n1, wrong=x, rows=n))
        else:
            gains = np.asarray(loss_gain(x1, n1, loss=x, rows=n, squares=float(mine @ mine)))
        rows = n1.sum(axis=1)
        return np.where((rows < self.least) | (rows > len(mine) - self.least), -np.inf, gains)


def with_grams(dataset: Dataset, grams: Sequence[str] | Source) -> Dataset:
    """The data with the columns of the given n-grams, or of those that a run's Source names; as is without texts."""
    name = _text_column(dataset)
    if name is None:
        return dataset
    asked = str(grams.options["grams"]).split(_SEPARATOR) if isinstance(grams, Source) else list(grams)
    asked = [gram for gram in asked if column_of(gram) not in dataset.table]
    texts = strings_of(dataset.table.column(name))
    absent = np.array([text is None for text in texts], dtype=bool)
    return _with_columns(dataset, asked, presence(texts, asked), absent)


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


def _with_columns(dataset: Dataset, grams: Sequence[str], held: Bool, absent: Bool) -> Dataset:
    columns = {
        column_of(gram): Column(
            kind="boolean", values=np.where(absent, -1, held[:, at]).astype(np.int8), words=f"contains “{gram}”"
        )
        for at, gram in enumerate(grams)
    }
    joined = _SEPARATOR.join(grams)
    source = Source(
        kind=KIND, columns=tuple(columns), options={"version": VERSION, "grams": joined},
        fingerprint=hashlib.sha256(f"{KIND} {VERSION} {joined}".encode()).hexdigest()[:16],
    )  # fmt: skip
    return dataset.with_table(dataset.table.with_columns(columns), sources=(source,))


def _text_column(dataset: Dataset) -> str | None:
    name = getattr(dataset, "text", None)
    return name if isinstance(name, str) and name in dataset.table else None


def _sample(evaluation: Evaluation) -> NDArray[np.int64]:
    """Explore rows, evenly drawn, that stand for all of them."""
    rows = np.flatnonzero((evaluation.fold == EXPLORE) & evaluation.counted & (evaluation.stratum >= 0))
    drawn: NDArray[np.int64] = rows[:: max(1, -(-len(rows) // SAMPLED))]
    return drawn


def _alike(kept: NDArray[np.uint8], bits: NDArray[np.uint8]) -> bool:
    """Whether the rows of an n-gram, eight to a byte, are nearly those of one that is kept (k, bytes)."""
    both = np.bitwise_count(kept & bits).sum(axis=1, dtype=np.int64)
    either = np.bitwise_count(kept | bits).sum(axis=1, dtype=np.int64)
    return bool((both >= ALIKE * either).any())


@dataclass(frozen=True, kw_only=True, eq=False)
class _Held:
    """Different n-grams of some texts: each pair of `row` and `code`, a place in `names`, once."""

    names: list[str]
    row: NDArray[np.int64]
    code: NDArray[np.int64]


class _Codes(dict[str, int]):
    """Codes of words as written; words that differ in case alone have one."""

    def __init__(self) -> None:
        super().__init__()
        self.plain: dict[str, int] = {}

    def __missing__(self, word: str) -> int:
        code = self[word] = self.plain.setdefault(plain_word(word), len(self.plain))
        return code


def _held(texts: Sequence[str | None], *, least: int) -> _Held:
    """Words that `least` texts hold, and pairs of neighbours among them."""
    known = _Codes()
    every = array("i")
    counts = np.zeros(len(texts), dtype=np.int64)
    for place, text in enumerate(texts):
        found = words_of(text) if text else []
        every.extend(map(known.__getitem__, found))
        counts[place] = len(found)
    codes = np.frombuffer(every, dtype=np.int32).astype(np.int64) if every else np.zeros(0, dtype=np.int64)
    row = np.repeat(np.arange(len(texts)), counts)
    names = list(known.plain)
    single = _often(row, codes, kinds=len(names), least=least)
    kept = [names[code] for code in single.kinds.tolist()]
    renamed = np.full(len(names), -1, dtype=np.int64)
    renamed[single.kinds] = np.arange(len(kept))
    here = renamed[codes]
    beside = np.flatnonzero((row[1:] == row[:-1]) & (here[1:] >= 0) & (here[:-1] >= 0))
    different, pair = np.unique(here[beside] * len(kept) + here[beside + 1], return_inverse=True)
    double = _often(row[beside], pair, kinds=len(different), least=least)
    keys = different[double.kinds].tolist()
    return _Held(
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
