"""Sharpness, edges, texture and noise of an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from errata.ops.measure.attribute import Attribute, Measured, float32
from errata.ops.measure.pixels import LEAST_CONTRAST, Pixels
from errata.ops.measure.tone import darkest, lightest

EDGE = 0.1  # a step of a tenth of the range counts as an edge
MAD_TO_SD = 1 / 0.6744897501960817  # of a normal distribution


def _box(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean over 3 x 3 pixels, borders repeated; (n, h, w) float32."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    mean: NDArray[np.float32] = (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) * np.float32(1 / 9)
    return mean


def sharpness(pixels: Pixels) -> Measured:
    """The steepest hundredth of the steps between neighbours over the range of tones, (n,) float32 in [0, 1.5].

    About 1 where edges go from one side to the other within a pixel; a blur over b pixels brings it to about 1 / b.
    NaN in flat images.
    """
    flat = pixels.steepness.size.reshape(pixels.n, -1)
    rank = round(0.99 * (flat.shape[1] - 1))
    steep = np.partition(flat, rank, axis=1)[:, rank]
    tones = lightest(pixels) - darkest(pixels)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float32(np.where(tones >= LEAST_CONTRAST, np.minimum(steep / tones, 1.5), np.nan))


def edge_density(pixels: Pixels) -> Measured:
    """Share of neighbouring pixels that differ by more than a tenth of the range, (n,) float32 in [0, 1]."""
    return float32((pixels.steepness.size > EDGE).mean(axis=(1, 2)))


def vertical_edges(pixels: Pixels) -> Measured:
    """Share of the squared differences that lies between left and right, (n,) float32 in [0, 1]; NaN when flat."""
    s = pixels.steepness
    across = np.einsum("nij,nij->n", s.across, s.across)
    down = np.einsum("nij,nij->n", s.down, s.down)
    total = across + down
    with np.errstate(divide="ignore", invalid="ignore"):
        return float32(np.where(np.isnan(pixels.threshold), np.nan, across / total))


def texture(pixels: Pixels) -> Measured:
    """Mean standard deviation of brightness within 3 x 3 pixels, (n,) float32 in [0, 0.5]."""
    g = pixels.grey
    variance = _box(g * g) - _box(g) ** 2
    local: Measured = np.sqrt(np.maximum(variance, 0.0)).mean(axis=(1, 2))
    return local


def fine_detail(pixels: Pixels) -> Measured:
    """Share of the variance of brightness that a mean over 3 x 3 pixels removes, (n,) float32; NaN in flat images."""
    g = pixels.grey
    rest = (g - _box(g)).var(axis=(1, 2))
    whole = g.var(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        return float32(np.where(whole >= (LEAST_CONTRAST / 4) ** 2, rest / whole, np.nan))


def noise(pixels: Pixels) -> Measured:
    """Standard deviation of pixel noise, (n,) float32 in [0, 1]; NaN below 3 x 3 pixels.

    The image is filtered with the difference of two Laplacians, which cancels planes and straight edges; we take the
    median size of the answer instead of the mean so that texture counts less.
    Reference: John Immerkaer, Fast noise variance estimation, Computer Vision and Image Understanding, 1996.
    """
    g = pixels.grey
    if min(g.shape[1:]) < 3:
        return np.full(pixels.n, np.nan, np.float32)
    rows = g[:, :-2] - 2 * g[:, 1:-1] + g[:, 2:]
    answer = np.abs(rows[:, :, :-2] - 2 * rows[:, :, 1:-1] + rows[:, :, 2:]).reshape(pixels.n, -1)
    middle = answer.shape[1] // 2
    median: Measured = np.partition(answer, middle, axis=1)[:, middle]
    return median * np.float32(MAD_TO_SD / 6.0)  # the squared weights of the filter add up to 36


ATTRIBUTES = (
    Attribute(
        name="image.sharpness",
        noun="sharpness",
        high="sharper than",
        low="blurrier than",
        explanation="The steepest steps between neighbouring pixels over the range of tones: 1 crisp, 0.2 blurred.",
        measured=sharpness,
    ),
    Attribute(
        name="image.edge_density",
        noun="density of edges",
        high="with more edges than",
        low="with fewer edges than",
        explanation="Share of the image where neighbouring pixels differ by more than a tenth of the range.",
        measured=edge_density,
    ),
    Attribute(
        name="image.vertical_edges",
        noun="share of vertical edges",
        high="with a share of vertical edges over",
        low="with a share of vertical edges under",
        explanation="Share of the edges that run up and down: 0.5 balanced, 1 vertical stripes, 0 horizontal stripes.",
        measured=vertical_edges,
    ),
    Attribute(
        name="image.texture",
        noun="texture",
        high="more textured than",
        low="smoother than",
        explanation="Mean standard deviation of brightness within squares of 3 x 3 pixels, from 0 (smooth) to 0.5.",
        measured=texture,
    ),
    Attribute(
        name="image.fine_detail",
        noun="share of fine detail",
        high="with a share of fine detail over",
        low="with a share of fine detail under",
        explanation="Share of the variation in brightness that averaging over 3 x 3 pixels takes away.",
        measured=fine_detail,
    ),
    Attribute(
        name="image.noise",
        noun="noise",
        high="noisier than",
        low="less noisy than",
        explanation="Standard deviation of the grain of single pixels, as a share of the range of brightness.",
        measured=noise,
    ),
)
