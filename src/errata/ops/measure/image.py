"""A bank of measured attributes: a slice of images becomes a sentence and a predicate without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.errors import UsageError
from errata.ops.measure import colour, shape, texture, tone
from errata.ops.measure.attribute import Attribute, Measured, chosen
from errata.ops.measure.pixels import Pixels

__all__ = ["ATTRIBUTES", "VERSION", "Attribute", "Measured", "Range", "measure", "value_range"]

ATTRIBUTES: Mapping[str, Attribute] = MappingProxyType(
    {a.name: a for a in (*tone.ATTRIBUTES, *colour.ATTRIBUTES, *texture.ATTRIBUTES, *shape.ATTRIBUTES)}
)
"""Every attribute by its name, in the order in which they are shown."""

VERSION = 1
"""Changes when a measurement gives other numbers; part of the fingerprint of the columns it makes."""

BLOCK_PIXELS = 400_000  # a few arrays of 1.6 MB at a time, so that the work stays in the cache

Images = NDArray[Any] | Sequence[NDArray[Any]]


@dataclass(frozen=True)
class Range:
    """The values that stand for black (`low`) and white (`high`) in a whole dataset."""

    low: float
    high: float


def measure(
    images: Images, *, names: Sequence[str] | None = None, value_range: Range | tuple[float, float] | None = None
) -> dict[str, Measured]:
    """The measured attributes of images, by name: (n,) float32 (NaN where undefined) or int32 codes (-1 likewise).

    images       (n, h, w), (n, h, w, c) or (n, c, h, w) array, or n images of any sizes; c is 1 (grey), 2 (grey and
                 alpha), 3 (red, green, blue) or 4 (with alpha); alpha is ignored
    names        which of `ATTRIBUTES`; all when None
    value_range  the values of black and white, the same for the whole dataset; when None that of `value_range(images)`,
                 so pass it when a dataset is measured in batches

    An image with a value that is not finite has only its size measured.
    Raises UsageError for an unknown attribute, or for arrays that are not images.
    """
    asked = chosen(names, ATTRIBUTES)
    array = _batch(images)
    scale = _scale(value_range) if value_range is not None else _found_range(images)
    if array is not None:
        return _measured(array, asked, scale)
    n = len(images)
    singles = [np.asarray(image) for image in images]
    results = {a.name: np.full(n, a.missing) for a in asked}
    by_shape: dict[tuple[tuple[int, ...], np.dtype[Any]], list[int]] = {}
    for row, single in enumerate(singles):
        by_shape.setdefault((single.shape, single.dtype), []).append(row)
    for (size, _), members in by_shape.items():
        step = max(1, 8 * BLOCK_PIXELS // max(1, int(np.prod(size))))  # a large group is never stacked as a whole
        for start in range(0, len(members), step):
            rows = members[start : start + step]
            for name, values in _measured(np.stack([singles[row] for row in rows]), asked, scale).items():
                results[name][rows] = values
    return results


def value_range(images: Images) -> Range:
    """The values that stand for black and white in a dataset, guessed from its type and its extremes.

    bytes 0 to 255, booleans 0 to 1, other numbers: [0, 1], [-1, 1] or [0, 255] when they lie within and fill more than
    half of it, else from the least to the greatest finite value.
    """
    return _found_range(images)


def _found_range(images: Images) -> Range:
    array = _batch(images)
    arrays = [array] if array is not None else [np.asarray(image) for image in images]
    kinds = {a.dtype for a in arrays}
    if kinds <= {np.dtype(np.uint8)}:
        return Range(0.0, 255.0)
    if kinds <= {np.dtype(bool)}:
        return Range(0.0, 1.0)
    low, high = np.inf, -np.inf
    for values in arrays:
        if values.size == 0:
            continue
        least, most = float(values.min()), float(values.max())
        if not (np.isfinite(least) and np.isfinite(most)):
            finite = values[np.isfinite(values)]
            if finite.size == 0:
                continue
            least, most = float(finite.min()), float(finite.max())
        low, high = min(low, least), max(high, most)
    for candidate in (Range(0.0, 1.0), Range(-1.0, 1.0), Range(0.0, 255.0)):
        half = (candidate.high - candidate.low) / 2
        if candidate.low <= low and high <= candidate.high and high > candidate.low + half:
            return candidate
    return Range(low, high) if high > low else Range(min(low, 0.0), max(high, 1.0)) if high == low else Range(0.0, 1.0)


def _scale(given: Range | tuple[float, float]) -> Range:
    scale = given if isinstance(given, Range) else Range(float(given[0]), float(given[1]))
    if not (np.isfinite(scale.low) and np.isfinite(scale.high) and scale.high > scale.low):
        raise UsageError(
            f"`value_range` is `({scale.low}, {scale.high})`, expected two finite numbers, the first the smaller.",
            hint="give the values that stand for black and white, such as (0, 255).",
        )
    return scale


def _batch(images: Images) -> NDArray[Any] | None:
    """The images as one array, or None when they come one by one."""
    if isinstance(images, np.ndarray) and images.dtype != object:
        if images.ndim not in (3, 4):
            raise UsageError(
                f"The images have shape `{images.shape}`, expected (n, h, w) or (n, h, w, channels).",
                hint="reshape flat pixels to images first.",
            )
        return images
    return None


def _channels_last(images: NDArray[Any]) -> NDArray[Any]:
    """Images as (n, h, w), or (n, h, w, 3)."""
    if images.ndim == 3:
        return images
    if images.shape[-1] not in (1, 2, 3, 4):
        if images.shape[1] not in (1, 2, 3, 4):
            raise UsageError(
                f"The images have shape `{images.shape}`, expected 1 to 4 channels in the last axis.",
                hint="give (n, h, w) for grey images or (n, h, w, 3) for colour.",
            )
        images = np.moveaxis(images, 1, -1)
    return images[..., :3] if images.shape[-1] >= 3 else images[..., 0]


def _measured(images: NDArray[Any], asked: Sequence[Attribute], scale: Range) -> dict[str, Measured]:
    last = _channels_last(np.asarray(images))
    if last.ndim not in (3, 4):
        raise UsageError(
            f"An image has shape `{last.shape[1:]}`, expected (h, w) or (h, w, channels).",
            hint="reshape flat pixels to images first.",
        )
    n = last.shape[0]
    results = {a.name: np.full(n, a.missing) for a in asked}
    per_image = int(np.prod(last.shape[1:]))
    if per_image == 0:
        return results
    step = max(1, BLOCK_PIXELS // per_image)
    for start in range(0, n, step):
        block = slice(start, min(start + step, n))
        values = _normalised(last[block], scale)
        sound = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
        pixels = Pixels(np.where(sound.reshape(-1, *([1] * (values.ndim - 1))), values, np.float32(0.0)))
        for attribute in asked:
            measured = attribute.measured(pixels)
            if not sound.all() and attribute.name not in _SIZES:
                measured = np.where(sound, measured, attribute.missing)
            results[attribute.name][block] = measured
    return results


_SIZES = ("image.width", "image.height", "image.aspect_ratio")


def _normalised(images: NDArray[Any], scale: Range) -> NDArray[np.float32]:
    values = images.astype(np.float32)
    if (scale.low, scale.high) != (0.0, 1.0):
        values -= np.float32(scale.low)
        values /= np.float32(scale.high - scale.low)  # a division, so that bytes and their floats agree to the bit
    clipped: NDArray[np.float32] = np.clip(values, 0.0, 1.0, out=values)  # NaN stays NaN
    return clipped
