"""Colours of an image, measured and named."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from errata.ops.measure.attribute import Attribute, Measured, float32
from errata.ops.measure.pixels import Pixels, binned

COLOURS = (
    "black", "grey", "white", "red", "orange", "brown", "yellow", "green", "cyan", "blue", "purple", "pink",
)  # fmt: skip
STEPS = 16  # per channel; 4,096 cells name every colour to within what the eye would call the same


def colour_codes(rgb: NDArray[np.float32]) -> NDArray[np.int32]:
    """The index in `COLOURS` of each colour in rgb (..., 3) float in [0, 1]; int32 of shape (...).

    Dark is black, unsaturated is grey or white, the rest goes by hue in degrees; the borders are ours.
    """
    top, low = rgb.max(axis=-1), rgb.min(axis=-1)
    chroma = top - low
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    safe = np.where(chroma > 0, chroma, 1.0)
    hue = np.select(
        [top == red, top == green],
        [((green - blue) / safe) % 6.0, (blue - red) / safe + 2.0],
        (red - green) / safe + 4.0,
    )
    hue = hue * 60.0
    saturation = chroma / np.where(top > 0, top, 1.0)
    warm = (hue < 50) | (hue >= 345)
    names = [
        (top < 0.2, "black"),
        ((saturation < 0.15) & (top >= 0.85), "white"),
        ((saturation < 0.15) | (chroma < 0.08), "grey"),
        ((hue >= 290) & (hue < 345), "pink"),
        (((hue >= 345) | (hue < 15)) & (saturation < 0.5) & (top > 0.7), "pink"),
        (warm & (hue >= 12) & (hue < 50) & (top < 0.65), "brown"),
        ((hue >= 345) | (hue < 15), "red"),
        (hue < 42, "orange"),
        (hue < 70, "yellow"),
        (hue < 165, "green"),
        (hue < 195, "cyan"),
        (hue < 255, "blue"),
    ]
    tests, words = zip(*names, strict=True)
    codes = np.select(list(tests), [COLOURS.index(word) for word in words], COLOURS.index("purple"))
    return codes.astype(np.int32)


@lru_cache(maxsize=1)
def _table() -> NDArray[np.int32]:
    axis = np.linspace(0, 1, STEPS)
    cells = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    return colour_codes(cells.reshape(-1, 3).astype(np.float32))


def _named(pixels: Pixels) -> NDArray[np.int32]:
    """The colour of every pixel of the reduced images, (n, h, w) int32."""
    r = pixels.reduced
    cells = (r * (STEPS - 1) + 0.5).astype(np.int32)
    if not pixels.coloured:
        return _table().take(cells * (STEPS * STEPS + STEPS + 1))
    return _table().take((cells[..., 0] * STEPS + cells[..., 1]) * STEPS + cells[..., 2])


def dominant_colour(pixels: Pixels) -> Measured:
    """The most frequent colour, (n,) int32 codes into `COLOURS`."""
    counts = binned(_named(pixels).reshape(pixels.n, -1), len(COLOURS))
    return np.asarray(counts.argmax(axis=1), dtype=np.int32)


def background_colour(pixels: Pixels) -> Measured:
    """The name of the background's colour, (n,) int32 codes into `COLOURS`."""
    b = pixels.background
    return colour_codes(b if pixels.coloured else np.repeat(b[:, None], 3, axis=1))


def foreground_colour(pixels: Pixels) -> Measured:
    """The most frequent colour of the foreground, (n,) int32 codes into `COLOURS`, -1 when blank."""
    k = len(COLOURS)
    codes = np.where(pixels.foreground, _named(pixels), k).reshape(pixels.n, -1)
    most = binned(codes, k + 1)[:, :k].argmax(axis=1)
    return np.where(np.isnan(pixels.area), -1, most).astype(np.int32)


def saturation(pixels: Pixels) -> Measured:
    """Difference of the strongest and weakest channel over the strongest, summed first; (n,) float32 in [0, 1].

    Sums come before the division because the saturation of a single dark pixel is noise. NaN without colour channels.
    """
    if not pixels.coloured:
        return np.full(pixels.n, np.nan, np.float32)
    v = pixels.values
    top = np.maximum(np.maximum(v[..., 0], v[..., 1]), v[..., 2])
    low = np.minimum(np.minimum(v[..., 0], v[..., 1]), v[..., 2])
    strongest = top.sum(axis=(1, 2))
    chroma = strongest - low.sum(axis=(1, 2))
    return float32(chroma / np.where(strongest > 0, strongest, 1.0))


def warmth(pixels: Pixels) -> Measured:
    """Mean of red minus blue, (n,) float32 in [-1, 1]; NaN without colour channels."""
    if not pixels.coloured:
        return np.full(pixels.n, np.nan, np.float32)
    means = pixels.values.mean(axis=(1, 2))
    return float32(means[:, 0] - means[:, 2])


ATTRIBUTES = (
    Attribute(
        name="image.saturation",
        noun="saturation",
        high="with colours more saturated than",
        low="with colours less saturated than",
        explanation="How far the colours are from grey, from 0 (grey) to 1 (pure colours).",
        measured=saturation,
    ),
    Attribute(
        name="image.warmth",
        noun="warmth of the colours",
        high="with colours warmer than",
        low="with colours cooler than",
        explanation="Mean of red minus mean of blue, from -1 (blue) to 1 (red).",
        measured=warmth,
    ),
    Attribute(
        name="image.dominant_colour",
        noun="dominant colour",
        high="mostly",
        low="mostly",
        kind="category",
        levels=COLOURS,
        explanation="The colour, out of twelve names, that most pixels have.",
        measured=dominant_colour,
    ),
    Attribute(
        name="image.background_colour",
        noun="background colour",
        high="with a background that is",
        low="with a background that is",
        kind="category",
        levels=COLOURS,
        explanation="The colour, out of twelve names, of the median pixel of the border.",
        measured=background_colour,
    ),
    Attribute(
        name="image.foreground_colour",
        noun="foreground colour",
        high="with a foreground that is mostly",
        low="with a foreground that is mostly",
        kind="category",
        levels=COLOURS,
        explanation="The colour, out of twelve names, that most pixels of the foreground have.",
        measured=foreground_colour,
    ),
)
