"""A batch of equally large images, with what several attributes read computed once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, what most image libraries use for grey
LEAST_CONTRAST = 0.02  # five grey levels of 255: below it an image counts as blank
SHAPE_SIDE = 256  # shapes are measured at this side length at most: finer pixels add cost, not information
THRESHOLD_BINS = 64


@dataclass(frozen=True)
class Pixels:
    """Images as (n, h, w) or (n, h, w, 3) float32 in [0, 1], with derived arrays that are computed when first read."""

    values: Floats

    @property
    def n(self) -> int:
        """Number of images."""
        return int(self.values.shape[0])

    @property
    def height(self) -> int:
        """Rows of each image, in pixels."""
        return int(self.values.shape[1])

    @property
    def width(self) -> int:
        """Columns of each image, in pixels."""
        return int(self.values.shape[2])

    @property
    def coloured(self) -> bool:
        """Whether the images have three channels."""
        return self.values.ndim == 4

    @cached_property
    def grey(self) -> Floats:
        """Luminance, (n, h, w) float32."""
        return self.values @ LUMA if self.coloured else self.values

    @cached_property
    def factor(self) -> int:
        """By how much the images are reduced before shapes are measured (1: not at all)."""
        return -(-max(self.height, self.width) // SHAPE_SIDE)

    @cached_property
    def reduced(self) -> Floats:
        """The values averaged over squares of `factor` pixels, (n, h // factor, w // factor[, 3]) float32."""
        f = self.factor
        if f == 1:
            return self.values
        h, w = max(1, self.height // f), max(1, self.width // f)
        rows, columns = min(f, self.height), min(f, self.width)
        cropped = self.values[:, : h * rows, : w * columns]
        blocks = cropped.reshape(self.n, h, rows, w, columns, *self.values.shape[3:])
        return np.ascontiguousarray(blocks.mean(axis=(2, 4), dtype=np.float32))

    @cached_property
    def border(self) -> Floats:
        """The outermost pixels of the reduced images, (n, pixels[, 3]) float32."""
        r = self.reduced
        if min(r.shape[1:3]) < 3:
            return r.reshape(self.n, -1, *r.shape[3:])
        return np.concatenate([r[:, 0], r[:, -1], r[:, 1:-1, 0], r[:, 1:-1, -1]], axis=1)

    @cached_property
    def background(self) -> Floats:
        """The colour of the background: the median of the border, (n,) or (n, 3) float32."""
        median: Floats = np.median(self.border, axis=1).astype(np.float32)
        return median

    @cached_property
    def distance(self) -> Floats:
        """How far each pixel is from the background's colour (largest channel), (n, h, w) float32."""
        away: Floats = np.abs(self.reduced - self.background[:, None, None])
        return away.max(axis=3) if self.coloured else away

    @cached_property
    def threshold(self) -> Floats:
        """The distance that best separates background from foreground, (n,) float32; NaN for blank images.

        The cut maximises the variance between the two sides.
        Reference: Nobuyuki Otsu, A threshold selection method from gray-level histograms, IEEE Transactions on
        Systems, Man, and Cybernetics, 1979.
        """
        flat = self.distance.reshape(self.n, -1)
        top = flat.max(axis=1)
        scale = np.where(top > 0, top, 1.0).astype(np.float32)
        bins = (flat * ((THRESHOLD_BINS - 1e-3) / scale)[:, None]).astype(np.int32)
        counts = binned(bins, THRESHOLD_BINS).astype(np.float64)
        below = np.cumsum(counts, axis=1)
        mass = np.cumsum(counts * np.arange(THRESHOLD_BINS), axis=1)
        total, whole = below[:, -1:], mass[:, -1:]
        with np.errstate(divide="ignore", invalid="ignore"):
            between = (whole * below - mass * total) ** 2 / (below * (total - below))
        between[~np.isfinite(between)] = -1.0
        # The criterion is flat over an empty gap between the two sides; its middle is the cut that noise moves least.
        ties = between >= between.max(axis=1, keepdims=True) * (1 - 1e-9)
        first = ties.argmax(axis=1)
        last = THRESHOLD_BINS - 1 - ties[:, ::-1].argmax(axis=1)
        cut = ((first + last) / 2 + 1) / THRESHOLD_BINS * scale
        return np.where(top >= LEAST_CONTRAST, cut, np.nan).astype(np.float32)

    @cached_property
    def foreground(self) -> Flags:
        """Pixels that stand out from the background, (n, h, w) bool; none in blank images."""
        with np.errstate(invalid="ignore"):
            mask: Flags = self.distance >= self.threshold[:, None, None]
        return mask

    @cached_property
    def area(self) -> Floats:
        """Number of foreground pixels, (n,) float32; NaN for blank images."""
        count = self.foreground.sum(axis=(1, 2)).astype(np.float32)
        return np.where(count > 0, count, np.nan).astype(np.float32)

    @cached_property
    def ink(self) -> Floats:
        """Distance from the background where it is over half the threshold, else 0: a foreground with soft edges."""
        with np.errstate(invalid="ignore"):
            seen = self.distance >= 0.5 * self.threshold[:, None, None]
        return np.where(seen, self.distance, np.float32(0.0))

    @cached_property
    def moments(self) -> Moments:
        """Centre and second moments of the ink."""
        _, h, w = self.ink.shape
        y, x = np.arange(h, dtype=np.float64), np.arange(w, dtype=np.float64)
        rows = self.ink.sum(axis=2, dtype=np.float64)
        columns = self.ink.sum(axis=1, dtype=np.float64)
        total = rows.sum(axis=1)
        total = np.where(total > 0, total, np.nan)
        cy, cx = rows @ y / total, columns @ x / total
        crossed = np.einsum("nh,h->n", self.ink @ x.astype(np.float32), y) / total
        return Moments(
            x=cx,
            y=cy,
            xx=columns @ x**2 / total - cx**2,
            yy=rows @ y**2 / total - cy**2,
            xy=crossed - cx * cy,
            total=total,
        )

    @cached_property
    def box(self) -> Box:
        """The smallest upright rectangle that holds the foreground; NaN for blank images."""
        rows: Flags = np.any(self.foreground, axis=2)
        columns: Flags = np.any(self.foreground, axis=1)
        h, w = rows.shape[1], columns.shape[1]
        high = np.where(rows.any(axis=1), h - rows[:, ::-1].argmax(axis=1) - rows.argmax(axis=1), np.nan)
        wide = np.where(columns.any(axis=1), w - columns[:, ::-1].argmax(axis=1) - columns.argmax(axis=1), np.nan)
        return Box(height=high, width=wide)

    @cached_property
    def steepness(self) -> Gradient:
        """Differences of neighbouring pixels at full resolution."""
        g = self.grey
        if min(g.shape[1:]) < 2:
            g = np.pad(g, ((0, 0), (0, int(g.shape[1] < 2)), (0, int(g.shape[2] < 2))), mode="edge")
        down = g[:, 1:, :-1] - g[:, :-1, :-1]
        across = g[:, :-1, 1:] - g[:, :-1, :-1]
        return Gradient(across=across, down=down, size=np.sqrt(across**2 + down**2))


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Centre (pixels) and central second moments (square pixels) of the ink, each (n,) float64, NaN when blank."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    xx: NDArray[np.float64]
    yy: NDArray[np.float64]
    xy: NDArray[np.float64]
    total: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Box:
    """Height and width of the foreground in reduced pixels, each (n,) float64."""

    height: NDArray[np.float64]
    width: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Gradient:
    """Horizontal and vertical differences and their length, each (n, h - 1, w - 1) float32."""

    across: Floats
    down: Floats
    size: Floats


def binned(codes: NDArray[Any], bins: int) -> NDArray[np.int64]:
    """How often each code in 0..bins-1 occurs in each row of codes (n, m): (n, bins) int64."""
    n = codes.shape[0]
    offset = np.arange(n, dtype=np.int64)[:, None] * bins
    counts: NDArray[np.int64] = np.bincount((codes + offset).ravel(), minlength=n * bins).reshape(n, bins)
    return counts
