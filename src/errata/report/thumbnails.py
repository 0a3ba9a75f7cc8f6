"""Images of a dataset as small PNG data URIs, so that a report is one file."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray

__all__ = ["SIDE", "data_uri"]

SIDE = 96
"""Longest side in pixels: twice the 48 at which a thumbnail is shown, for screens of double density."""
_PALETTE_ABOVE = 12_000  # bytes; a photograph is quantised before it fills the report


def data_uri(image: NDArray[np.uint8], *, side: int = SIDE) -> str:
    """One image (h, w) or (h, w, 3) uint8 as a PNG data URI of at most `side` pixels.

    A small image is enlarged by whole factors without smoothing, so that its pixels stay visible.
    """
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(image))
    longest = max(picture.size)
    if longest > side:
        scale = side / longest
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    elif longest * 2 <= side:
        factor = side // longest
        picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    data = _png(picture)
    if len(data) > _PALETTE_ABOVE:
        data = _png(picture.convert("RGB").quantize(64, method=Image.Quantize.FASTOCTREE))
    return "data:image/png;base64," + base64.b64encode(data).decode("ascii")


def _png(picture: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)  # type: ignore[attr-defined]
    return buffer.getvalue()
