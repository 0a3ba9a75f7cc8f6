"""The same picture encoded again is one picture; two pictures that are merely alike are two."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from errata.core.columns import Column, Table
from errata.core.copies import copies
from errata.core.dataset import Dataset
from errata.core.hashing import bytes_hash, column_hash
from errata.ops.near_duplicates import near_duplicates, same_words

Pictures = NDArray[np.uint8]


def photographs(n: int, *, seed: int = 0, side: int = 40) -> Pictures:
    """Soft colours and a few shapes each: what a small photograph is to a hash."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (n, 6, 6, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(one).resize((side, side), Image.Resampling.BICUBIC)) for one in coarse])


def encoded(picture: Pictures, quality: int) -> Pictures:
    held = io.BytesIO()
    Image.fromarray(picture).save(held, "JPEG", quality=quality)
    return np.asarray(Image.open(held))


def dataset(pictures: list[Pictures], label: list[int] | None = None) -> Dataset:
    n = len(pictures)
    content = np.array([bytes_hash(picture[None])[0] for picture in pictures], dtype=np.uint64)
    return Dataset(
        name="p", modality="image", table=Table({"y": Column.category(label or [0] * n)}), label="y",
        id_hash=content, occurrence=np.zeros(n, np.uint32), content_hash=content, image=lambda row: pictures[row],
    )  # fmt: skip


def test_encoded_and_resized_again_is_the_same() -> None:
    base = list(photographs(60))
    small = np.asarray(Image.fromarray(base[1]).resize((32, 32), Image.Resampling.BOX))
    data = dataset([*base, encoded(base[0], 75), small])
    keys = near_duplicates(data)
    assert keys is not None
    assert keys[60] == keys[0]
    assert keys[61] == keys[1]
    assert len(np.unique(keys)) == 60


def test_another_colour_or_a_mirror_is_another_picture() -> None:
    base = list(photographs(60))
    recoloured = np.ascontiguousarray(base[0][..., ::-1])
    data = dataset([*base, recoloured, np.ascontiguousarray(base[1][:, ::-1])])
    keys = near_duplicates(data)
    assert keys is not None
    assert len(np.unique(keys)) == 62


def test_digits_that_are_merely_alike_stay_apart() -> None:
    from sklearn.datasets import load_digits

    digits = (load_digits().images * 255 / 16).astype(np.uint8)
    data = dataset(list(digits))
    np.testing.assert_array_equal(near_duplicates(data), data.content_hash)


def test_blank_pictures_are_no_near_duplicates() -> None:
    data = dataset([np.full((10, 10), shade, np.uint8) for shade in range(0, 250, 10)])
    np.testing.assert_array_equal(near_duplicates(data), data.content_hash)


def test_the_order_of_rows_does_not_matter() -> None:
    base = list(photographs(40))
    pictures = [*base, encoded(base[0], 80), encoded(base[0], 60), encoded(base[7], 80)]
    data = dataset(pictures)
    order = np.random.default_rng(1).permutation(len(pictures))
    one, two = near_duplicates(data), near_duplicates(dataset([pictures[row] for row in order]))
    assert one is not None
    assert two is not None
    np.testing.assert_array_equal(one[order], two)


def test_copies_join_near_duplicates_of_one_label_only() -> None:
    base = list(photographs(40))
    pictures = [*base, encoded(base[0], 80), encoded(base[1], 80), base[2].copy()]
    label = [0] * 40 + [0, 1, 0]
    found = copies(dataset(pictures, label), near=near_duplicates(dataset(pictures, label)))
    assert found.number == 2
    assert found.near == 1
    assert found.first[0] == found.first[40]
    assert found.first[1] != found.first[41]
    assert "1 of them near-duplicates" in str(found.note)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("The film was not good at all", "the film was  NOT good, at all!", True),
        ("don't you like the film", "dont you like the film", True),
        ("The film was not good at all", "The film was good at all", False),
        ("ﬁne film and a good story", "fine film and a good story", True),
        ("Great!", "great!", True),
        ("Great!", "Great?", False),
        ("!!!", "???", False),
        ("😀 I liked this film a lot", "😡 I liked this film a lot", False),
    ],
)
def test_same_words(first: str, second: str, same: bool) -> None:
    column = Column.strings([first, second])
    keys = same_words([first, second], column_hash(column))
    assert (keys[0] == keys[1]) == same


def test_missing_texts_are_not_alike() -> None:
    keys = same_words([None, "", "x"], np.array([1, 2, 3], dtype=np.uint64))
    assert keys[0] == 1
    assert keys[1] == 2
