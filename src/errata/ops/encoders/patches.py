"""An image encoder without labels: a dictionary of small patches, learnt by k-means on explore images.

Every patch of an image is brought to equal contrast and whitened, and told by how much nearer than usual it lies to
each entry of the dictionary; that is summed over the four quadrants. Beside it stand the light and colour of a coarse
grid, which equal contrast takes away. Both together are reduced to the leading principal components.
Minutes of training are not needed: it takes seconds, no weights come from elsewhere, and it is plain arrays.

Reference: A. Coates, H. Lee, A. Y. Ng, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning",
AISTATS 2011.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Int
from errata.core.pictures import SIDE, Pictures, shrunk, stretches
from errata.ops.encoders.fitted import Encoded, Fitted

__all__ = ["VERSION", "encode", "fit", "fit_and_encode"]

VERSION = 1
Image = Callable[[int], NDArray[np.uint8]]
Array = NDArray[np.float32]

PATCH = 6
WORDS = 256
PATCHES = 60_000
FIT_IMAGES = 6_000
DIMENSIONS = 128
_EACH = 60
_GRID = 4
_GRID_WEIGHT = 0.5
_BLOCK = 64
_AT_ONCE = 16_384  # rows whose features, 4 KB each, are held at a time
# Regularisers of contrast and whitening for pixels in 0..255, from the paper.
_CONTRAST = 10.0
_WHITENING = 0.1


def fit(image: Image, rows: Int, *, rng: np.random.Generator) -> Fitted:
    """Learn the dictionary and the projection on some rows (explore rows) of a data set."""
    chosen = _chosen(rows, rng)
    learnt = _learnt(image, chosen, rng)
    return _projecting(learnt, _features(image, chosen, learnt))


def encode(
    image: Image, rows: Int, fitted: Fitted, *, progress: Callable[[int, int], None] | None = None
) -> NDArray[np.float32]:
    """(m, d) float32 embedding of some rows."""
    found = np.empty((len(rows), fitted.arrays["axes"].shape[1]), dtype=np.float32)
    for start in range(0, len(rows), _AT_ONCE):
        told = None if progress is None else partial(_told, progress, start, len(rows))
        some = rows[start : start + _AT_ONCE]
        found[start : start + len(some)] = _projected(_features(image, some, fitted, progress=told), fitted)
    return found


def fit_and_encode(
    image: Image, rows: Int, *, count: int, rng: np.random.Generator, progress: Callable[[int, int], None] | None = None
) -> Encoded:
    """What `fit` on some rows and `encode` of all `count` rows give; what fitting reads is not computed again."""
    if count > _AT_ONCE:
        fitted = fit(image, rows, rng=rng)
        return Encoded(fitted=fitted, values=encode(image, np.arange(count), fitted, progress=progress))
    chosen = _chosen(rows, rng)
    learnt = _learnt(image, chosen, rng)
    features = _features(image, np.arange(count), learnt, progress=progress)
    fitted = _projecting(learnt, features[chosen])
    return Encoded(fitted=fitted, values=_projected(features, fitted))


def _told(progress: Callable[[int, int], None], start: int, total: int, done: int, part: int) -> None:
    del part
    progress(start + done, total)


def _chosen(rows: Int, rng: np.random.Generator) -> Int:
    return np.sort(rng.choice(rows, size=min(len(rows), FIT_IMAGES), replace=False))


def _learnt(image: Image, chosen: Int, rng: np.random.Generator) -> Fitted:
    """The dictionary, without the projection."""
    side, colours = _form(image, chosen)
    patch = max(2, min(PATCH, side // 3))
    each = int(np.clip(PATCHES // max(1, len(chosen)), 1, _EACH))
    pictures = _pictures(image, chosen, side, colours)
    sampled = np.concatenate([_sampled(picture, patch, each, rng) for picture in pictures])
    level = _level(sampled)
    mean = level.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(level - mean, rowvar=False).astype(np.float64))
    whiten = (vectors * (1.0 / np.sqrt(np.maximum(values, 0.0) + _WHITENING))) @ vectors.T
    white = ((level - mean) @ whiten).astype(np.float32)
    words = _dictionary(white, min(WORDS, len(white)), rng)
    return Fitted(
        options={"side": side, "colours": colours, "patch": patch},
        arrays={"mean": mean.astype(np.float32), "whiten": whiten.astype(np.float32), "words": words},
    )


def _projecting(learnt: Fitted, features: NDArray[np.float32]) -> Fitted:
    """The dictionary with the leading principal components of what it says of the rows that it was learnt on."""
    centre = features.mean(axis=0)
    scale = np.maximum(features.std(axis=0), 1e-6)
    # Both parts standardised, the grid would be drowned by the many more words.
    coarse = _GRID * _GRID * int(learnt.options["colours"])
    scale[-coarse:] /= np.sqrt(_GRID_WEIGHT * (features.shape[1] - coarse) / coarse)
    standard = (features - centre) / scale
    dimensions = min(DIMENSIONS, standard.shape[1], len(standard))
    axes = np.linalg.eigh((standard.T @ standard / len(standard)).astype(np.float64))[1]
    axes = axes[:, ::-1][:, :dimensions]
    return Fitted(
        options=learnt.options,
        arrays={**learnt.arrays, "centre": centre, "scale": scale, "axes": axes.astype(np.float32)},
    )


def _projected(features: NDArray[np.float32], fitted: Fitted) -> NDArray[np.float32]:
    return np.asarray((features - fitted.arrays["centre"]) / fitted.arrays["scale"] @ fitted.arrays["axes"], np.float32)


def _form(image: Image, rows: Int) -> tuple[int, int]:
    first = [image(int(row)) for row in rows[:50]]
    side = int(np.clip(np.median([min(picture.shape[:2]) for picture in first]), 6, SIDE))
    return side, 3 if any(picture.ndim == 3 for picture in first) else 1


def _pictures(image: Image, rows: Int, side: int, colours: int) -> list[Array]:
    # A compact picture has SIDE pixels a side, from which fewer cannot be made as exactly.
    given = image.compact if isinstance(image, Pictures) and side == SIDE else image
    return [_sized(given(int(row)), side, colours) for row in rows]


def _sized(picture: NDArray[np.uint8] | Array, side: int, colours: int) -> Array:
    """(side, side, colours) float32 in 0..255, averaged over the pixels that fall together."""
    if picture.shape[:2] != (side, side):
        picture = shrunk(picture, side)
    values = np.asarray(picture, dtype=np.float32)
    if values.ndim == 2:
        values = values[:, :, None]
    if values.shape[2] != colours:
        values = values.mean(axis=2, keepdims=True) if colours == 1 else np.repeat(values[:, :, :1], colours, axis=2)
    return values


def _sampled(picture: Array, patch: int, each: int, rng: np.random.Generator) -> Array:
    corners = rng.integers(0, len(picture) - patch + 1, size=(each, 2))
    return np.stack([picture[y : y + patch, x : x + patch].ravel() for y, x in corners])


def _level(patches: Array) -> Array:
    """Patches (m, p) with their own mean taken off and brought to equal contrast."""
    away = patches - patches.mean(axis=1, keepdims=True)
    return np.asarray(away / np.sqrt(away.var(axis=1, keepdims=True) + _CONTRAST), dtype=np.float32)


def _dictionary(white: Array, k: int, rng: np.random.Generator, rounds: int = 12) -> Array:
    """(k, p) centres by Lloyd's steps; a centre that nothing is near to starts anew at a random patch."""
    words = white[rng.choice(len(white), size=k, replace=False)].copy()
    for _ in range(rounds):
        nearest = np.concatenate([
            (block @ words.T - 0.5 * (words * words).sum(axis=1)).argmax(axis=1) for block in _blocks(white, 8_192)
        ])  # fmt: skip
        counts = np.bincount(nearest, minlength=k)
        order = np.argsort(nearest, kind="stable")
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        filled = counts > 0
        words[filled] = np.add.reduceat(white[order], starts[filled], axis=0) / counts[filled, None]
        words[~filled] = white[rng.choice(len(white), size=int((~filled).sum()))]
    return words


def _blocks(values: Array, size: int) -> Sequence[Array]:
    return [values[start : start + size] for start in range(0, len(values), size)]


def _features(
    image: Image, rows: Int, fitted: Fitted, *, progress: Callable[[int, int], None] | None = None
) -> NDArray[np.float32]:
    """(m, 4 k + g): how much nearer than usual the patches of each quadrant lie to each word, then the coarse grid."""
    side, colours = int(fitted.options["side"]), int(fitted.options["colours"])
    patch = int(fitted.options["patch"])
    words = np.asarray(fitted.arrays["words"])
    places = side - patch + 1
    half = (np.arange(places) >= places / 2).astype(np.int64)
    quadrant = (half[:, None] * 2 + half[None, :]).ravel()
    pool = np.zeros((4, places * places), dtype=np.float32)
    pool[quadrant, np.arange(places * places)] = 1.0
    pool /= np.maximum(pool.sum(axis=1, keepdims=True), 1.0)
    near_to = 4 * len(words)
    found = np.empty((len(rows), near_to + _GRID * _GRID * colours), dtype=np.float32)
    for start in range(0, len(rows), _BLOCK):
        block = np.stack(_pictures(image, rows[start : start + _BLOCK], side, colours))
        windows = np.lib.stride_tricks.sliding_window_view(block, (patch, patch), axis=(1, 2))
        flat = windows.transpose(0, 1, 2, 4, 5, 3).reshape(len(block) * places * places, -1)
        white = (_level(flat) - fitted.arrays["mean"]) @ fitted.arrays["whiten"]
        squares = np.maximum((white * white).sum(axis=1, keepdims=True) - 2.0 * (white @ words.T)
                             + (words * words).sum(axis=1), 0.0)  # fmt: skip
        away = np.sqrt(squares)
        near = np.maximum(away.mean(axis=1, keepdims=True) - away, 0.0).reshape(len(block), places * places, -1)
        found[start : start + len(block), :near_to] = np.matmul(pool, near).reshape(len(block), -1)
        grid = stretches(np.moveaxis(stretches(np.moveaxis(block, 1, 0), _GRID), 2, 0), _GRID)
        found[start : start + len(block), near_to:] = np.moveaxis(grid, 2, 0).reshape(len(block), -1) / 255.0
        if progress is not None:
            progress(min(start + _BLOCK, len(rows)), len(rows))
    return found
