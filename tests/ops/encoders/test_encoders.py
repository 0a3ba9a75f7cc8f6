"""Encoders: what they keep of the rows, and that what was fitted can be applied again."""

from __future__ import annotations

import numpy as np
import pytest

from errata.core.columns import Column, Table
from errata.ops.encoders import inputs, patches, raw, words


def nearest_agrees(embedding: np.ndarray, labels: np.ndarray) -> float:
    """How often a row's nearest other row has its label."""
    squares = (embedding**2).sum(axis=1)
    away = squares[:, None] + squares[None, :] - 2.0 * embedding @ embedding.T
    np.fill_diagonal(away, np.inf)
    return float((labels[away.argmin(axis=1)] == labels).mean())


def stripes(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of stripes across or down, at any phase and contrast: pixels tell them apart badly, patches well."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, size=n)
    at = np.arange(16)
    pictures = []
    for label in labels:
        wave = 128 + rng.uniform(20, 60) * np.sin(at / rng.uniform(0.6, 0.9) + rng.uniform(0, 6.3))
        picture = np.tile(wave, (16, 1)) if label else np.tile(wave[:, None], (1, 16))
        pictures.append(np.clip(picture + rng.normal(0, 25, (16, 16)), 0, 255).astype(np.uint8))
    return np.stack(pictures), labels


def test_patches_tell_apart_what_pixels_do_not() -> None:
    pictures, labels = stripes(240, 0)
    fitted = patches.fit(lambda row: pictures[row], np.arange(120), rng=np.random.default_rng(0))
    embedding = patches.encode(lambda row: pictures[row], np.arange(240), fitted)
    assert embedding.dtype == np.float32
    assert embedding.shape[0] == 240
    assert nearest_agrees(embedding, labels) > 0.97
    again = patches.encode(lambda row: pictures[row], np.array([7, 3]), fitted)
    np.testing.assert_allclose(again, embedding[[7, 3]], rtol=1e-4, atol=1e-4)


def test_patches_take_pictures_of_mixed_sizes_and_colours() -> None:
    rng = np.random.default_rng(0)
    shapes = [(8, 8), (40, 20, 3), (9, 30), (64, 64, 3)] * 5
    pictures = [rng.integers(0, 255, size=shape, dtype=np.uint8) for shape in shapes]
    fitted = patches.fit(lambda row: pictures[row], np.arange(20), rng=rng)
    embedding = patches.encode(lambda row: pictures[row], np.arange(20), fitted)
    assert np.isfinite(embedding).all()


@pytest.mark.parametrize("at_once", [64, 16_384])
def test_patches_fitted_and_encoded_at_once_are_those_of_two_steps(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(patches, "_AT_ONCE", at_once)
    pictures, _ = stripes(150, 1)
    rows = np.arange(0, 150, 2)
    told: list[tuple[int, int]] = []
    both = patches.fit_and_encode(
        lambda row: pictures[row], rows, count=150, rng=np.random.default_rng(0),
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    fitted = patches.fit(lambda row: pictures[row], rows, rng=np.random.default_rng(0))
    assert np.array_equal(both.fitted.arrays["words"], fitted.arrays["words"])
    np.testing.assert_allclose(both.fitted.arrays["centre"], fitted.arrays["centre"], atol=1e-5)
    # Directions of equal spread may be turned by the last bits: what is the same are distances.
    plain = patches.encode(lambda row: pictures[row], np.arange(150), fitted)
    ours, theirs = (((values[:40, None] - values[None]) ** 2).sum(axis=2) for values in (both.values, plain))
    np.testing.assert_allclose(ours, theirs, rtol=1e-2)
    assert told[-1] == (150, 150)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_patches_of_one_flat_picture_are_finite() -> None:
    pictures = np.zeros((3, 8, 8), dtype=np.uint8)
    fitted = patches.fit(lambda row: pictures[row], np.arange(3), rng=np.random.default_rng(0))
    assert np.isfinite(patches.encode(lambda row: pictures[row], np.arange(3), fitted)).all()


def test_raw_standardises_numbers_and_spreads_levels() -> None:
    table = Table({
        "age": Column.number([10.0, 20.0, 30.0, np.nan]),
        "city": Column.category(["a", "b", "a", None]),
        "same": Column.number([1.0, 1.0, 1.0, 1.0]),
    })  # fmt: skip
    fitted = raw.fit(table, table.names)
    embedding = raw.encode(table, fitted)
    assert embedding.shape == (4, 3)
    np.testing.assert_allclose(embedding[:, 0], [-1.2247, 0.0, 1.2247, 0.0], atol=1e-3)
    other = Table({"age": Column.number([20.0]), "city": Column.category(["c"])})
    assert np.isfinite(raw.encode(other, fitted)).all()


def test_raw_without_a_usable_column_is_one_dimension_of_zeros() -> None:
    table = Table({"same": Column.number([1.0, 1.0])})
    np.testing.assert_array_equal(raw.encode(table, raw.fit(table, table.names)), np.zeros((2, 1), np.float32))


TEXTS = [f"the {adjective} {noun} was {verb}" for adjective in ("red", "old", "new") for noun in ("film", "plot")
         for verb in ("good", "bad", "dull")] + [f"goal by {who} in the {when} half" for who in ("smith", "lee")
         for when in ("first", "second", "last")] * 3  # fmt: skip


def test_words_bring_texts_of_one_topic_together() -> None:
    topics = np.array([0] * 18 + [1] * 18)
    fitted = words.fit(TEXTS, rng=np.random.default_rng(0))
    embedding = words.encode(TEXTS, fitted)
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1.0, rtol=1e-4)
    assert nearest_agrees(embedding, topics) == 1.0
    np.testing.assert_allclose(words.encode(TEXTS[5:6], fitted), embedding[5:6], rtol=1e-5)
    np.testing.assert_array_equal(words.encode(["", "zzz"], fitted), np.zeros((2, embedding.shape[1]), np.float32))


def test_words_of_nothing() -> None:
    fitted = words.fit(["", "", ""], rng=np.random.default_rng(0))
    assert words.encode(["a", ""], fitted).shape == (2, 1)


@pytest.mark.parametrize("shape", [(64,), (3, 40, 40), (12,)])
def test_inputs_keep_their_leading_directions(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, size=300)
    data = (rng.normal(size=(300, *shape)) + 2.0 * labels.reshape(-1, *[1] * len(shape))).astype(np.float32)
    fitted = inputs.fit(lambda rows: data[rows], np.arange(150), rng=rng)
    embedding = inputs.encode(lambda rows: data[rows], 300, fitted)
    assert embedding.shape[1] <= inputs.DIMENSIONS
    assert nearest_agrees(embedding, labels) > 0.9
