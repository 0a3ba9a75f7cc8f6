"""Near-duplicates: the same picture encoded or resized again, the same words in other capitals and punctuation.

A pair merged by mistake takes a row away, a pair that is missed lets one picture lie in two folds; the first is worse
where many pictures are much alike. So every step is strict, and strictest where a picture's other neighbours are close.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Column
from errata.core.dataset import Dataset
from errata.core.hashing import Hashes, column_hash, keyed
from errata.core.pictures import SIDE, Pictures
from errata.ops.measure.texts import strings_of

__all__ = ["near_duplicates", "same_picture", "same_words"]

HAMMING = 6
"""Of 64 bits of the perceptual hash, so many may differ in a candidate pair."""

FURTHEST = 0.02
"""1 - correlation of two pictures that may be the same (ours): JPEG at quality 50 of a 32 x 32 photograph is there."""

CLOSER = 0.05
"""And it must be below this share of the distance of either to its fifth neighbour among `_AGAINST` others (ours):
two ones of MNIST agree as well as a photograph agrees with its JPEG at quality 50, but so do many other ones."""

NEIGHBOUR = 5

COLOUR = 0.06
"""Mean difference of the colours in an 8 x 8 grid, of a range of 1: a picture painted another colour is another one."""

LEAST_CONTRAST = 0.02
WORDS = 5
"""Shorter texts are often the same by chance: of them only case and spaces are passed over."""

_BANDS = 7  # one more than HAMMING, so that a pair within it agrees in one band at least
_WINDOW = 200
_AGAINST = 4_000
_BLOCK = 256

Keys = NDArray[np.uint64]


def near_duplicates(dataset: Dataset) -> Keys | None:
    """(N,) keys that near-duplicates share, None for data of which nobody can say what is nearly the same.

    The key of a row without near-duplicates is its content hash. Keys do not depend on the order of rows.
    """
    if dataset.text is not None and dataset.text in dataset.table:
        column = dataset.table.column(dataset.text)
        own = dataset.content_hash if dataset.content_hash is not None else column_hash(column)
        return same_words(strings_of(column), own)
    if dataset.image is None or dataset.content_hash is None or len(dataset) < 2:
        return None
    _, rows = np.unique(dataset.content_hash, return_index=True)
    keys = dataset.content_hash.copy()
    place = same_picture([int(row) for row in rows], dataset, order=dataset.content_hash[rows])
    alike = dict(zip(dataset.content_hash[rows].tolist(), dataset.content_hash[rows[place]].tolist(), strict=True))
    changed = np.flatnonzero(np.isin(keys, rows_of(dataset.content_hash[rows], place)))
    keys[changed] = [alike[key] for key in keys[changed].tolist()]
    return keys


def rows_of(keys: Keys, place: NDArray[np.int64]) -> Keys:
    """The keys of what stands for another."""
    moved: Keys = keys[place != np.arange(len(place))]
    return moved


_SPACES = re.compile(r"\s+")


def same_words(texts: Sequence[str | None], own: Hashes) -> Keys:
    """(n,) keys equal for texts of the same words, whatever their case, spaces, punctuation and Unicode form.

    own  (n,) content hashes, kept where a text is missing or holds nothing but marks
    """
    marks: dict[int, int | None] = {}
    plain: list[str] = []
    for text in texts:
        folded = unicodedata.normalize("NFKC", text or "").casefold()
        for point in set(map(ord, folded)) - marks.keys():
            marks[point] = 32 if unicodedata.category(chr(point))[0] == "P" else point
        bare = " ".join(folded.replace("'", "").replace("’", "").translate(marks).split())
        plain.append(bare if bare.count(" ") >= WORDS - 1 else _SPACES.sub(" ", folded).strip())
    keys = keyed(column_hash(Column.strings(plain)), seed="same words")
    nothing = np.array([not text for text in plain], dtype=bool)
    return np.where(nothing, own, keys)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Thumbs:
    """Pictures made small: (n, SIDE x SIDE) uint8 shades of grey, (n, 192) uint8 colours of an 8 x 8 grid."""

    grey: NDArray[np.uint8]
    colour: NDArray[np.uint8]


def same_picture(rows: Sequence[int], dataset: Dataset, *, order: Keys) -> NDArray[np.int64]:
    """(n,) for each of the rows the place, among them, of the row that stands for it; its own where it stands alone.

    A pair is the same picture when perceptual hashes of 64 bits (the signs of low frequencies of the cosine transform)
    differ in at most `HAMMING` bits and the pictures themselves, made small, agree (`FURTHEST`, `CLOSER`, `COLOUR`).

    order  (n,) which of a set stands for the others: the lowest
    Reference: C. Zauner, Implementation and benchmarking of perceptual image hash functions, thesis, Hagenberg, 2010.
    """
    thumbs = _thumbs(rows, dataset)
    shapes = _standardised(thumbs.grey)
    known = np.asarray(shapes.any(axis=1), dtype=np.bool_)
    pairs = _candidates(_perceptual(thumbs.grey), known)
    distance = np.zeros(len(pairs))
    away = np.zeros(len(pairs))
    for start in range(0, len(pairs), 16_384):
        block = slice(start, start + 16_384)
        a, b = pairs[block, 0], pairs[block, 1]
        distance[block] = 1.0 - np.einsum("ij,ij->i", shapes[a], shapes[b])
        away[block] = np.abs(thumbs.colour[a].astype(np.int16) - thumbs.colour[b]).mean(axis=1) / 255.0
    near = (distance <= FURTHEST) & (away <= COLOUR)
    pairs, distance = pairs[near], distance[near]
    usual = _usual_distance(shapes, np.flatnonzero(known), np.unique(pairs), order)
    return _stars(pairs[distance <= CLOSER * usual[pairs].min(axis=1)], order)


def _thumbs(rows: Sequence[int], dataset: Dataset) -> _Thumbs:
    assert dataset.image is not None
    grey = np.zeros((len(rows), SIDE * SIDE), dtype=np.uint8)
    colour = np.zeros((len(rows), 192), dtype=np.uint8)
    held: dict[tuple[int, ...], list[int]] = {}
    images: dict[int, NDArray[Any]] = {}

    def flush(size: tuple[int, ...]) -> None:
        places = held.pop(size)
        stack = np.stack([images.pop(place) for place in places]).astype(np.float32)
        colours = stack[..., :3] if stack.ndim == 4 and stack.shape[-1] >= 3 else np.repeat(
            (stack[..., 0] if stack.ndim == 4 else stack)[..., None], 3, axis=-1
        )  # fmt: skip
        shades = colours @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
        down, across = _averaging(size[0], SIDE), _averaging(size[1], SIDE)
        grey[places] = np.rint(down @ shades @ across.T).reshape(len(places), -1).clip(0, 255)
        low, side = _averaging(size[0], 8), _averaging(size[1], 8)
        small = np.einsum("ih,nhwc,jw->nijc", low, colours, side, optimize=True)
        colour[places] = np.rint(small).reshape(len(places), -1).clip(0, 255)

    given = dataset.image.compact if isinstance(dataset.image, Pictures) else dataset.image
    for place, row in enumerate(rows):
        image = np.asarray(given(row))
        images[place] = image
        held.setdefault(image.shape, []).append(place)
        if len(held[image.shape]) * image.size >= 2_000_000 or len(held[image.shape]) == _BLOCK:
            flush(image.shape)
    for size in list(held):
        flush(size)
    return _Thumbs(grey=grey, colour=colour)


def _averaging(size: int, side: int) -> NDArray[np.float32]:
    """(side, size) weights that average `size` pixels over `side` equal stretches."""
    ends = np.linspace(0.0, size, side + 1)
    pixel = np.arange(size)
    covered = np.minimum(ends[1:, None], pixel + 1.0) - np.maximum(ends[:-1, None], pixel)
    weights = np.maximum(covered, 0.0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


def _standardised(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, p) of mean 0 and length 1, so that products are correlations; 0 for plain pictures."""
    values = grey.astype(np.float32) / np.float32(255.0)
    values -= values.mean(axis=1, keepdims=True)
    deviation = np.sqrt((values**2).mean(axis=1, keepdims=True))
    length = deviation * np.float32(np.sqrt(values.shape[1]))
    return np.asarray(np.where(deviation >= LEAST_CONTRAST, values / np.maximum(length, 1e-6), 0.0), dtype=np.float32)


def _usual_distance(
    shapes: NDArray[np.float32], known: NDArray[np.int64], rows: NDArray[np.int64], order: Keys
) -> NDArray[np.float64]:
    """(n,) 1 - correlation of some rows with their fifth neighbour in a sample that order alone decides; else inf."""
    usual = np.full(len(shapes), np.inf)
    sample = known[np.argsort(keyed(order[known], seed="neighbours"))][:_AGAINST]
    if len(sample) <= NEIGHBOUR:
        return usual
    for start in range(0, len(rows), 1_024):
        block = rows[start : start + 1_024]
        away = 1.0 - shapes[block] @ shapes[sample].T
        away[block[:, None] == sample[None]] = np.inf
        usual[block] = np.partition(away, NEIGHBOUR - 1, axis=1)[:, NEIGHBOUR - 1]
    return usual


def _perceptual(grey: NDArray[np.uint8]) -> Hashes:
    """(n,) 64 bits: which of the 8 x 8 lowest frequencies lie above their median, the mean brightness left out."""
    place = np.arange(SIDE) + 0.5
    waves = np.cos(np.pi / SIDE * np.outer(np.arange(8), place)).astype(np.float32)
    bits = np.empty((len(grey), 64), dtype=bool)
    for start in range(0, len(grey), 4_096):
        block = grey[start : start + 4_096].reshape(-1, SIDE, SIDE).astype(np.float32)
        low = (waves @ block @ waves.T).reshape(len(block), 64)
        middle = np.median(low[:, 1:], axis=1, keepdims=True)
        bits[start : start + len(block)] = low > middle
    bits[:, 0] = False
    return np.packbits(bits, axis=1).view(np.uint64)[:, 0]


def _candidates(hashes: Hashes, known: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(m, 2) pairs of rows whose hashes differ in at most `HAMMING` bits, each once.

    Hashes are sorted by one band of their bits after the other; rows with an equal band lie together, and each is
    compared with those that follow it, at most `_WINDOW` of them.
    """
    rows = np.flatnonzero(known)
    found: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    edges = np.linspace(0, 64, _BANDS + 1).astype(int)
    for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        mask = np.uint64(((1 << (high - low)) - 1) << low)
        band = hashes[rows] & mask
        order = np.lexsort((hashes[rows], band))
        sorted_rows, sorted_band = rows[order], band[order]
        values = hashes[sorted_rows]
        for step in range(1, min(_WINDOW, len(rows) - 1) + 1):
            same = np.flatnonzero(sorted_band[step:] == sorted_band[:-step])
            if not len(same):
                break
            close = same[np.bitwise_count(values[same] ^ values[same + step]) <= HAMMING]
            a, b = sorted_rows[close], sorted_rows[close + step]
            found.append(np.minimum(a, b) * len(hashes) + np.maximum(a, b))
    pairs = np.unique(np.concatenate(found))
    return np.stack([pairs // max(len(hashes), 1), pairs % max(len(hashes), 1)], axis=1)


def _stars(pairs: NDArray[np.int64], order: Keys) -> NDArray[np.int64]:
    """Sets around the lowest of each: every member is the same as the one that stands for it, so none drifts off."""
    stands = np.arange(len(order))
    beside: dict[int, list[int]] = {}
    for a, b in pairs.tolist():
        beside.setdefault(a, []).append(b)
        beside.setdefault(b, []).append(a)
    taken: set[int] = set()
    for row in sorted(beside, key=lambda place: int(order[place])):
        if row in taken:
            continue
        taken.add(row)
        for other in beside[row]:
            if other not in taken:
                taken.add(other)
                stands[other] = row
    return stands
