"""Pictures in files: unpacked when asked for, and while an evaluation is made, once for all who look at them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Int
from errata.core.model import Inputs

__all__ = ["ROOM", "SIDE", "Pictures", "compact", "kept", "shrunk", "stretches"]

SIDE: Final = 32
"""Who compares pictures at a glance (near-duplicates, the encoder without labels) reads so many pixels a side."""

ROOM: Final = 256 << 20
"""Bytes of compact pictures kept at a time: 21,000 large colour pictures, or 87,000 of 32 x 32. Those over it are
unpacked whenever they are asked for."""

Picture = NDArray[np.uint8]
Compact = NDArray[np.uint8] | NDArray[np.float32]


class Pictures:
    """The pictures of a dataset by row: called with one, gives (h, w) or (h, w, 3) uint8.

    Nothing is kept but within `kept`: there, each picture that is unpacked leaves its compact form, until `room` bytes
    are full. A picture that is small enough is its own compact form, and is not unpacked again for anything.
    """

    def __init__(self, unpack: Callable[[int], Picture]) -> None:
        self._unpack = unpack
        self._held: dict[int, Compact] = {}
        self._room = 0

    def __call__(self, row: int) -> Picture:
        known = self._held.get(row)
        if known is not None and known.dtype == np.uint8:
            return np.asarray(known, dtype=np.uint8)
        picture = self._unpack(row)
        if known is None and self._room > 0:
            self._hold(row, compact(picture))
        return picture

    def read(self, rows: Int) -> Inputs:
        """A stack (b, h, w[, 3]) uint8 where all pictures of the batch have one shape, else a list."""
        pixels = [self(row) for row in np.asarray(rows).tolist()]
        alike = len({picture.shape for picture in pixels}) == 1
        return np.stack(pixels) if alike else pixels

    def compact(self, row: int) -> Compact:
        """The picture in its compact form, see `compact`."""
        known = self._held.get(row)
        if known is None:
            known = compact(self._unpack(row))
            self._hold(row, known)
        return known

    @contextmanager
    def kept(self, *, room: int = ROOM) -> Iterator[None]:
        """Keep compact pictures, so many bytes of them, as long as this lasts; within another, that one's last."""
        if self._room or self._held:
            yield
            return
        self._room = room
        try:
            yield
        finally:
            self._room = 0
            self._held.clear()

    def _hold(self, row: int, picture: Compact) -> None:
        if picture.nbytes <= self._room:
            self._room -= picture.nbytes
            picture.flags.writeable = False  # others will be given the same array
            self._held[row] = picture


@contextmanager
def kept(image: object) -> Iterator[None]:
    """Keep what is unpacked of pictures in files as long as this lasts; others lie in memory anyway."""
    if not isinstance(image, Pictures):
        yield
        return
    with image.kept():
        yield


def compact(picture: Picture) -> Compact:
    """The picture itself where it has at most 4 x SIDE x SIDE pixels, else its means over SIDE x SIDE fields, float32.

    So that both take as many bytes at most, and which it is depends on the picture alone.
    """
    if picture.shape[0] * picture.shape[1] <= 4 * SIDE * SIDE:
        return picture
    return shrunk(picture, SIDE)


def shrunk(picture: NDArray[Any], side: int) -> NDArray[np.float32]:
    """(side, side[, c]) float32 means of a picture (h, w[, c]) over equal fields, fractions of pixels included."""
    values = picture
    for axis in (0, 1):
        values = np.moveaxis(stretches(np.moveaxis(values, axis, 0), side), 0, axis)
    return values


def stretches(values: NDArray[Any], side: int) -> NDArray[np.float32]:
    """The first axis in `side` steps: means over equal stretches, fractions of pixels included, float32."""
    length = len(values)
    ends = np.linspace(0.0, length, side + 1)
    low = np.minimum(ends.astype(np.int64), length - 1)
    part = (ends - low).reshape(-1, *[1] * (values.ndim - 1))
    # Whole pixels from each end to the next, then the part of its first pixel that lies before it goes to the last.
    sums = np.add.reduceat(values, low[:-1], axis=0, dtype=np.float64)
    sums[:-1][low[:-2] == low[1:-1]] = 0.0  # for an empty stretch `reduceat` gives its first pixel
    cut = part * values[low]
    sums -= cut[:-1]
    sums[:-1] += cut[1:-1]
    return np.asarray(sums * (side / length), dtype=np.float32)
