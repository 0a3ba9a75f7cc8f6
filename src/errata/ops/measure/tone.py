"""Size, light and contrast of an image."""

from __future__ import annotations

import numpy as np

from errata.ops.measure.attribute import Attribute, Directions, Measured, float32, signed
from errata.ops.measure.pixels import LEAST_CONTRAST, LUMA, Pixels, binned

ENTROPY_BINS = 32


def _constant(value: float, n: int) -> Measured:
    return np.full(n, value, np.float32)


def _quantile(pixels: Pixels, share: float) -> Measured:
    # Nearest rank instead of interpolation: one partition per image, several times faster on many small images.
    flat = pixels.grey.reshape(pixels.n, -1)
    rank = round(share * (flat.shape[1] - 1))
    ranked: Measured = np.partition(flat, rank, axis=1)[:, rank]
    return ranked


def darkest(pixels: Pixels) -> Measured:
    """Brightness that one pixel in a hundred falls below, (n,) float32 in [0, 1]."""
    return _quantile(pixels, 0.01)


def lightest(pixels: Pixels) -> Measured:
    """Brightness that one pixel in a hundred exceeds, (n,) float32 in [0, 1]."""
    return _quantile(pixels, 0.99)


def entropy(pixels: Pixels) -> Measured:
    """Entropy of the histogram of brightness, (n,) float32 in bits, 0 to 5."""
    codes = np.minimum(pixels.grey * ENTROPY_BINS, ENTROPY_BINS - 1).astype(np.int32).reshape(pixels.n, -1)
    share = binned(codes, ENTROPY_BINS) / codes.shape[1]
    logs = np.log2(share, out=np.zeros_like(share), where=share > 0)
    bits: Measured = (-(share * logs).sum(axis=1)).astype(np.float32)
    return bits


def top_light(pixels: Pixels) -> Measured:
    """Brightness of the upper half minus that of the lower half, (n,) float32 in [-1, 1]; NaN in flat images."""
    half = max(1, pixels.height // 2)
    difference = pixels.grey[:, :half].mean(axis=(1, 2)) - pixels.grey[:, -half:].mean(axis=(1, 2))
    return float32(difference)


def left_light(pixels: Pixels) -> Measured:
    """Brightness of the left half minus that of the right half, (n,) float32 in [-1, 1]."""
    half = max(1, pixels.width // 2)
    difference = pixels.grey[:, :, :half].mean(axis=(1, 2)) - pixels.grey[:, :, -half:].mean(axis=(1, 2))
    return float32(difference)


def background_brightness(pixels: Pixels) -> Measured:
    """Luminance of the median border pixel, (n,) float32 in [0, 1]."""
    brightness: Measured = pixels.background @ LUMA if pixels.coloured else pixels.background
    return brightness


def background_variation(pixels: Pixels) -> Measured:
    """Mean distance of the border pixels from their median, (n,) float32 in [0, 1]."""
    away = np.abs(pixels.border - pixels.background[:, None])
    variation: Measured = away.reshape(pixels.n, -1).mean(axis=1)
    return variation


def contrast(pixels: Pixels) -> Measured:
    """Standard deviation of brightness, (n,) float32 in [0, 0.5]."""
    deviation: Measured = pixels.grey.std(axis=(1, 2))
    return deviation


def foreground_contrast(pixels: Pixels) -> Measured:
    """Mean distance of the foreground from the background's colour, (n,) float32 in [0, 1]; NaN when blank."""
    away = (pixels.distance * pixels.foreground).sum(axis=(1, 2)) / pixels.area
    return float32(np.where(away >= LEAST_CONTRAST, away, np.nan))


ATTRIBUTES = (
    Attribute(
        name="image.width",
        noun="width",
        high="wider than",
        low="narrower than",
        unit="pixels",
        whole=True,
        explanation="Number of pixels from left to right.",
        measured=lambda p: _constant(p.width, p.n),
    ),
    Attribute(
        name="image.height",
        noun="height",
        high="taller than",
        low="shorter than",
        unit="pixels",
        whole=True,
        explanation="Number of pixels from top to bottom.",
        measured=lambda p: _constant(p.height, p.n),
    ),
    Attribute(
        name="image.aspect_ratio",
        noun="aspect ratio",
        high="with an aspect ratio over",
        low="with an aspect ratio under",
        explanation="Width of the image divided by its height: over 1 is landscape, under 1 portrait.",
        measured=lambda p: _constant(p.width / p.height, p.n),
    ),
    Attribute(
        name="image.brightness",
        noun="brightness",
        high="brighter than",
        low="darker than",
        explanation="Mean brightness of all pixels, from 0 (black) to 1 (white).",
        measured=lambda p: p.grey.mean(axis=(1, 2)),
    ),
    Attribute(
        name="image.contrast",
        noun="contrast",
        high="with more contrast than",
        low="with less contrast than",
        explanation="Standard deviation of brightness, from 0 (flat) to 0.5 (half black, half white).",
        measured=contrast,
    ),
    Attribute(
        name="image.darkest",
        noun="brightness of the darkest pixels",
        high="whose darkest pixels are brighter than",
        low="whose darkest pixels are darker than",
        explanation="Brightness of the darkest hundredth of the pixels, from 0 to 1.",
        measured=darkest,
    ),
    Attribute(
        name="image.lightest",
        noun="brightness of the lightest pixels",
        high="whose lightest pixels are brighter than",
        low="whose lightest pixels are darker than",
        explanation="Brightness of the lightest hundredth of the pixels, from 0 to 1.",
        measured=lightest,
    ),
    Attribute(
        name="image.entropy",
        noun="variety of tones",
        high="with a greater variety of tones than",
        low="with a smaller variety of tones than",
        unit="bits",
        explanation="Entropy of the histogram of brightness in 32 steps: 0 for one tone, 5 for all tones alike.",
        measured=entropy,
    ),
    signed(
        name="image.top_light",
        noun="light from the top",
        directions=Directions(
            positive="brighter at the top than at the bottom",
            negative="darker at the top than at the bottom",
            across="between {low} darker and {high} brighter at the top than at the bottom",
        ),
        explanation="Brightness of the upper half minus that of the lower half; negative where the bottom is brighter.",
        measured=top_light,
    ),
    signed(
        name="image.left_light",
        noun="light from the left",
        directions=Directions(
            positive="brighter on the left than on the right",
            negative="darker on the left than on the right",
            across="between {low} darker and {high} brighter on the left than on the right",
        ),
        explanation="Brightness of the left half minus that of the right half; negative where the right is brighter.",
        measured=left_light,
    ),
    Attribute(
        name="image.background_brightness",
        noun="background brightness",
        high="with a background brighter than",
        low="with a background darker than",
        explanation="Brightness of the median pixel of the image's border, from 0 (black) to 1 (white).",
        measured=background_brightness,
    ),
    Attribute(
        name="image.background_variation",
        noun="variation of the background",
        high="with a background that varies by more than",
        low="with a background that varies by less than",
        explanation="Mean distance of the border's pixels from their median: 0 for a plain background.",
        measured=background_variation,
    ),
    Attribute(
        name="image.foreground_contrast",
        noun="contrast of the foreground",
        high="whose foreground stands out by more than",
        low="whose foreground stands out by less than",
        explanation="Mean difference between the foreground and the colour of the background, from 0 to 1.",
        measured=foreground_contrast,
    ),
)
