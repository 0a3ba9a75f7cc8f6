"""What stands out from the background: how much, where, how thick, how slanted, how many pieces and holes.

The foreground is what differs from the colour of the border; an attribute is NaN in an image without any.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from errata.ops.measure.attribute import Attribute, Directions, Measured, float32, signed
from errata.ops.measure.pixels import Flags, Pixels

LEAST_SPECK = 0.02  # pieces under a fiftieth of the foreground are specks
LEAST_HOLE = 0.001  # holes under a thousandth of the image are gaps in the grain
LEAST_SPREAD = 0.05  # square pixels; a flatter shape has no slant


def foreground_share(pixels: Pixels) -> Measured:
    """Share of the pixels that belong to the foreground, (n,) float32 in (0, 1]."""
    return float32(pixels.area / (pixels.foreground.shape[1] * pixels.foreground.shape[2]))


def foreground_width(pixels: Pixels) -> Measured:
    """Width of the foreground over that of the image, (n,) float32 in (0, 1]."""
    return float32(pixels.box.width / pixels.foreground.shape[2])


def foreground_height(pixels: Pixels) -> Measured:
    """Height of the foreground over that of the image, (n,) float32 in (0, 1]."""
    return float32(pixels.box.height / pixels.foreground.shape[1])


def foreground_aspect(pixels: Pixels) -> Measured:
    """Width of the foreground over its height, (n,) float32."""
    return float32(pixels.box.width / pixels.box.height)


def fill(pixels: Pixels) -> Measured:
    """Share of the smallest upright box around the foreground that is foreground, (n,) float32 in (0, 1]."""
    return float32(pixels.area / (pixels.box.width * pixels.box.height))


def position_x(pixels: Pixels) -> Measured:
    """Where the centre of the foreground lies, (n,) float32, 0 at the left edge and 1 at the right one."""
    return float32((pixels.moments.x + 0.5) / pixels.ink.shape[2])


def position_y(pixels: Pixels) -> Measured:
    """Where the centre of the foreground lies, (n,) float32, 0 at the top edge and 1 at the bottom one."""
    return float32((pixels.moments.y + 0.5) / pixels.ink.shape[1])


def slant(pixels: Pixels) -> Measured:
    """The angle of the shear that would set the foreground upright, (n,) float32 degrees in (-90, 90).

    From second moments: x moves by -xy / yy per pixel of height. Positive leans to the right, as italics do.
    """
    m = pixels.moments
    with np.errstate(divide="ignore", invalid="ignore"):
        shear = -m.xy / m.yy
    return float32(np.where(m.yy >= LEAST_SPREAD, np.degrees(np.arctan(shear)), np.nan))


def stroke_thickness(pixels: Pixels) -> Measured:
    """Mean thickness of the foreground's parts, (n,) float32 in pixels of the original image.

    A stroke of thickness t and length L holds t L of ink and has two edges, so that the absolute differences between
    neighbours add up to 2 L: twice the one over the other is t, without a skeleton and with parts of a pixel.
    """
    edged = np.pad(pixels.ink, ((0, 0), (1, 1), (1, 1)))
    across = edged[:, :-1, 1:] - edged[:, :-1, :-1]
    down = edged[:, 1:, :-1] - edged[:, :-1, :-1]
    edges = np.sqrt(across**2 + down**2).sum(axis=(1, 2), dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float32(2.0 * pixels.moments.total / edges * pixels.factor)


def _symmetry(ink: NDArray[np.float32], centre: NDArray[np.float64]) -> Measured:
    """Overlap of ink (n, h, w) with its mirror image about the column `centre` (n,): smaller over larger ink."""
    w = ink.shape[2]
    middle = np.where(np.isnan(centre), 0.0, centre)
    source = np.rint(2 * middle).astype(np.int64)[:, None] - np.arange(w)
    inside = (source >= 0) & (source < w)
    mirrored = np.take_along_axis(ink, np.clip(source, 0, w - 1)[:, None, :], axis=2) * inside[:, None, :]
    shared = np.minimum(ink, mirrored).sum(axis=(1, 2), dtype=np.float64)
    # Ink whose mirror image falls off the image is in neither sum of the mirrored side, so both sides are counted.
    either = ink.sum(axis=(1, 2), dtype=np.float64) + mirrored.sum(axis=(1, 2), dtype=np.float64) - shared
    with np.errstate(divide="ignore", invalid="ignore"):
        return float32(np.where(np.isnan(centre), np.nan, shared / either))


def symmetry_left_right(pixels: Pixels) -> Measured:
    """Overlap of the foreground with its left-right mirror image about its own centre, (n,) float32 in [0, 1]."""
    return _symmetry(pixels.ink, pixels.moments.x)


def symmetry_top_bottom(pixels: Pixels) -> Measured:
    """Overlap of the foreground with its upside-down image about its own centre, (n,) float32 in [0, 1]."""
    return _symmetry(np.ascontiguousarray(pixels.ink.transpose(0, 2, 1)), pixels.moments.y)


def _crossings(mask: Flags) -> Measured:
    """Mean number of runs of foreground over the rows of mask (n, h, w) that have any, (n,) float32."""
    starts = mask[:, :, 0].sum(axis=1) + (mask[:, :, 1:] & ~mask[:, :, :-1]).sum(axis=(1, 2))
    rows = mask.any(axis=2).sum(axis=1)
    return float32(starts / np.where(rows > 0, rows, np.nan))


def strokes_across(pixels: Pixels) -> Measured:
    """How many parts of the foreground a horizontal line meets, mean over the foreground's rows, (n,) float32."""
    return _crossings(pixels.foreground)


def strokes_down(pixels: Pixels) -> Measured:
    """How many parts of the foreground a vertical line meets, mean over the foreground's columns, (n,) float32."""
    return _crossings(pixels.foreground.transpose(0, 2, 1))


def touches_border(pixels: Pixels) -> Measured:
    """Share of the image's border that is foreground, (n,) float32 in [0, 1]."""
    f = pixels.foreground
    edge = np.concatenate([f[:, 0], f[:, -1], f[:, 1:-1, 0], f[:, 1:-1, -1]], axis=1)
    return float32(np.where(np.isnan(pixels.area), np.nan, edge.mean(axis=1)))


def _components(mask: Flags, *, diagonal: bool, least: NDArray[np.float32]) -> NDArray[np.int64]:
    """Connected pieces of each mask (n, h, w) with at least `least` (n,) pixels: (n,) counts.

    The images are laid below one another, each with an empty frame, so that one labelling serves all of them.
    """
    from scipy import ndimage

    n = mask.shape[0]
    framed = np.pad(mask, ((0, 0), (1, 1), (1, 1)))
    structure = np.ones((3, 3), dtype=bool) if diagonal else None
    labels, found = ndimage.label(framed.reshape(-1, framed.shape[2]), structure=structure)
    flat = labels.reshape(n, -1)
    sizes = np.bincount(flat.ravel(), minlength=found + 1)[1:]
    owner = np.zeros(found + 1, dtype=np.int64)
    owner[flat.ravel()] = np.repeat(np.arange(n), flat.shape[1])
    kept = owner[1:][sizes >= least[owner[1:]]]
    return np.bincount(kept, minlength=n)


def pieces(pixels: Pixels) -> Measured:
    """Number of connected pieces of the foreground, specks left out; corners connect. (n,) float32."""
    least = np.where(np.isnan(pixels.area), 0, LEAST_SPECK * pixels.area).astype(np.float32)
    count = _components(pixels.foreground, diagonal=True, least=least)
    return float32(np.where(np.isnan(pixels.area), np.nan, count))


def holes(pixels: Pixels) -> Measured:
    """Number of holes in the foreground: pieces of background that it encloses. (n,) float32.

    Background connects by sides only, the complement of a foreground that connects by corners. Pieces that touch the
    edge of the image are not enclosed.
    """
    f = pixels.foreground
    n, h, w = f.shape
    least = np.full(n, max(1.0, LEAST_HOLE * h * w), np.float32)
    # Within an open frame everything outside is one piece per image, which is then taken off again.
    opened = np.pad(~f, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    count = _components(opened, diagonal=False, least=least) - 1
    return float32(np.where(np.isnan(pixels.area), np.nan, count))


ATTRIBUTES = (
    Attribute(
        name="image.foreground_share",
        noun="share of foreground",
        high="with a share of foreground over",
        low="with a share of foreground under",
        explanation="Share of the pixels that stand out from the colour of the border, from 0 to 1.",
        measured=foreground_share,
    ),
    Attribute(
        name="image.foreground_width",
        noun="width of the foreground",
        high="with a foreground wider than",
        low="with a foreground narrower than",
        unit="of the image",
        explanation="Width of the foreground as a share of the image's width, from 0 to 1.",
        measured=foreground_width,
    ),
    Attribute(
        name="image.foreground_height",
        noun="height of the foreground",
        high="with a foreground taller than",
        low="with a foreground shorter than",
        unit="of the image",
        explanation="Height of the foreground as a share of the image's height, from 0 to 1.",
        measured=foreground_height,
    ),
    Attribute(
        name="image.foreground_aspect",
        noun="aspect ratio of the foreground",
        high="with a foreground of an aspect ratio over",
        low="with a foreground of an aspect ratio under",
        explanation="Width of the foreground divided by its height: over 1 is broad, under 1 is tall.",
        measured=foreground_aspect,
    ),
    Attribute(
        name="image.fill",
        noun="fullness of the foreground's box",
        high="whose foreground fills more of its box than",
        low="whose foreground fills less of its box than",
        explanation="Share of the smallest upright box around the foreground that is foreground: 1 for a full box.",
        measured=fill,
    ),
    Attribute(
        name="image.position_x",
        noun="horizontal position",
        high="with a foreground further right than",
        low="with a foreground further left than",
        unit="of the width",
        explanation="Where the foreground's centre lies between the left edge (0) and the right edge (1).",
        measured=position_x,
    ),
    Attribute(
        name="image.position_y",
        noun="vertical position",
        high="with a foreground further down than",
        low="with a foreground further up than",
        unit="of the height",
        explanation="Where the foreground's centre lies between the top edge (0) and the bottom edge (1).",
        measured=position_y,
    ),
    signed(
        name="image.slant",
        noun="slant",
        unit="°",
        directions=Directions(
            positive="slanted to the right",
            negative="slanted to the left",
            across="slanted between {low} to the left and {high} to the right",
        ),
        explanation="Angle by which the foreground leans: 0 upright, positive to the right, negative to the left.",
        measured=slant,
    ),
    Attribute(
        name="image.stroke_thickness",
        noun="stroke thickness",
        high="with strokes thicker than",
        low="with strokes thinner than",
        unit="pixels",
        explanation="Mean thickness of the parts of the foreground: twice its area over the length of its edge.",
        measured=stroke_thickness,
    ),
    Attribute(
        name="image.symmetry_left_right",
        noun="left-right symmetry",
        high="more symmetric between left and right than",
        low="less symmetric between left and right than",
        explanation="Overlap of the foreground with its mirror image about its own centre: 1 for perfect symmetry.",
        measured=symmetry_left_right,
    ),
    Attribute(
        name="image.symmetry_top_bottom",
        noun="top-bottom symmetry",
        high="more symmetric between top and bottom than",
        low="less symmetric between top and bottom than",
        explanation="Overlap of the foreground with itself upside down about its centre: 1 for perfect symmetry.",
        measured=symmetry_top_bottom,
    ),
    Attribute(
        name="image.strokes_across",
        noun="number of strokes met by a horizontal line",
        high="where a horizontal line meets more strokes than",
        low="where a horizontal line meets fewer strokes than",
        explanation="Mean number of separate parts of the foreground along a row: 1 for a bar, 2 for a ring's sides.",
        measured=strokes_across,
    ),
    Attribute(
        name="image.strokes_down",
        noun="number of strokes met by a vertical line",
        high="where a vertical line meets more strokes than",
        low="where a vertical line meets fewer strokes than",
        explanation="Mean number of separate parts of the foreground along a column: 3 for the bars of an E.",
        measured=strokes_down,
    ),
    Attribute(
        name="image.touches_border",
        noun="share of the border covered by foreground",
        high="with a share of the border covered by foreground over",
        low="with a share of the border covered by foreground under",
        explanation="Share of the image's border that is foreground: over 0 where the shape is cut off by the edge.",
        measured=touches_border,
    ),
    Attribute(
        name="image.pieces",
        noun="number of pieces",
        high="with more pieces than",
        low="with fewer pieces than",
        whole=True,
        explanation="Number of separate pieces of the foreground, specks under a fiftieth of it left out.",
        measured=pieces,
    ),
    Attribute(
        name="image.holes",
        noun="number of holes",
        high="with more holes than",
        low="with fewer holes than",
        whole=True,
        explanation="Number of areas of background that the foreground encloses: 1 for a ring, 2 for an 8.",
        measured=holes,
    ),
)
