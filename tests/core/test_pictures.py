"""Pictures in files: unpacked once while they are kept, within the room there is, and small forms that are exact."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from errata.core.pictures import SIDE, Pictures, compact, kept, shrunk


class Files:
    """Pictures of given sizes by row, which counts how often each was unpacked."""

    def __init__(self, *shapes: tuple[int, ...]) -> None:
        rng = np.random.default_rng(0)
        self.pixels = [rng.integers(0, 256, shape).astype(np.uint8) for shape in shapes]
        self.unpacked: Counter[int] = Counter()

    def __call__(self, row: int) -> np.ndarray:
        self.unpacked[row] += 1
        return self.pixels[row].copy()


def test_small_pictures_are_unpacked_once_while_kept_and_are_what_they_were() -> None:
    files = Files((8, 6, 3), (64, 64), (8, 6, 3))
    pictures = Pictures(files)
    with pictures.kept():
        for _ in range(3):
            for row, pixels in enumerate(files.pixels):
                assert np.array_equal(pictures(row), pixels)
                assert np.array_equal(pictures.compact(row), pixels)
        assert isinstance(pictures.read(np.array([0, 1])), list)
        assert np.array_equal(pictures.read(np.array([2, 0])), np.stack([files.pixels[2], files.pixels[0]]))
    assert files.unpacked == {0: 1, 1: 1, 2: 1}


def test_large_pictures_are_kept_small_and_given_whole() -> None:
    files = Files((90, 120, 3), (200, 65))
    pictures = Pictures(files)
    with kept(pictures):
        for row, pixels in enumerate(files.pixels):
            assert np.array_equal(pictures(row), pixels)
            small = pictures.compact(row)
            assert small.shape == (SIDE, SIDE, *pixels.shape[2:])
            assert small.dtype == np.float32
            assert np.array_equal(small, compact(pixels))
            pictures.compact(row)
        assert files.unpacked == {0: 1, 1: 1}
        assert np.array_equal(pictures(0), files.pixels[0])
        assert files.unpacked[0] == 2


def test_nothing_is_kept_outside_and_nothing_afterwards() -> None:
    files = Files((8, 8), (8, 8))
    pictures = Pictures(files)
    pictures(0)
    pictures.compact(0)
    assert files.unpacked[0] == 2
    with pytest.raises(IndexError), pictures.kept():
        pictures.read(np.array([1, 7]))
    pictures(1)
    assert files.unpacked[1] == 2
    with kept(None), kept(files):
        pass


def test_no_more_is_kept_than_there_is_room_for() -> None:
    files = Files(*[(10, 10)] * 6)
    pictures = Pictures(files)
    with pictures.kept(room=350):
        with pictures.kept(room=10_000):
            for row in range(6):
                pictures(row)
        for row in range(6):
            pictures(row)
    assert [files.unpacked[row] for row in range(6)] == [1, 1, 1, 2, 2, 2]


def test_what_is_kept_cannot_be_written_to() -> None:
    pictures = Pictures(Files((8, 8)))
    with pictures.kept(), pytest.raises(ValueError, match="read-only"):
        pictures(0)[:] = 0


@pytest.mark.parametrize("shape", [(64, 96, 3), (33, 70), (500, 17, 3), (20, 300), (7, 5, 3), (32, 32)])
def test_fields_are_means_fractions_of_pixels_included(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    fine = np.repeat(np.repeat(pixels.astype(float), SIDE, axis=0), SIDE, axis=1)  # each field holds whole pixels now
    blocks = fine.reshape(SIDE, shape[0], SIDE, shape[1], *shape[2:])
    assert shrunk(pixels, SIDE) == pytest.approx(blocks.mean(axis=(1, 3)), abs=1e-3)
