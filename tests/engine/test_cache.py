"""What took long is kept between runs, and a cache that is damaged, full or nowhere harms nothing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from errata.engine import embed
from errata.engine.cache import Cache, users_cache
from errata.evaluate import evaluate


def numbers(count: int) -> dict[str, np.ndarray]:
    return {"values": np.arange(count, dtype=np.float32)}


def test_what_is_kept_comes_back_under_its_name_alone(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "new")
    assert cache.get("a") is None
    cache.put("a", numbers(3))
    kept = cache.get("a")
    assert kept is not None
    assert kept["values"].tolist() == [0.0, 1.0, 2.0]
    assert cache.get("b") is None
    assert cache.size == sum(file.stat().st_size for file in (tmp_path / "new").iterdir())


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    for moment, name in enumerate("ab"):
        cache.put(name, numbers(200))
        os.utime(cache.files[-1], (moment, moment))
    assert cache.get("a") is not None  # used again, and so the younger of the two
    small = Cache(tmp_path, most=cache.size + 10)
    small.put("c", numbers(200))
    assert [small.get(name) is not None for name in "abc"] == [True, False, True]


def test_nothing_larger_than_the_whole_is_kept(tmp_path: Path) -> None:
    cache = Cache(tmp_path, most=100)
    cache.put("a", numbers(1_000))
    assert cache.files == []


def test_files_of_others_are_never_touched(tmp_path: Path) -> None:
    (tmp_path / "mine.npz").write_bytes(b"precious")
    cache = Cache(tmp_path, most=2_000)
    for name in "abcd":
        cache.put(name, numbers(200))
    cache.clear()
    assert [file.name for file in tmp_path.iterdir()] == ["mine.npz"]


def test_a_damaged_file_counts_as_missing(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put("a", numbers(3))
    cache.files[0].write_bytes(b"PK half of it")
    assert cache.get("a") is None


def test_nowhere_and_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for cache in (Cache(None), Cache(tmp_path / "file" / "folder")):
        cache.put("a", numbers(3))
        assert cache.get("a") is None
        assert cache.size == 0


def test_an_encoder_that_took_long_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERRATA_CACHE", str(tmp_path))
    monkeypatch.setattr(embed, "WORTH", 0.0)
    rng = np.random.default_rng(0)
    data = {"images": rng.integers(0, 255, size=(60, 8, 8)).astype(np.uint8), "label": np.arange(60) % 2,
            "prediction": np.arange(60) % 3 % 2}  # fmt: skip
    first = evaluate(data, embeddings=("encoder",))
    assert len(users_cache().files) == 1
    monkeypatch.setattr("errata.ops.encoders.patches.fit_and_encode", None)
    again = evaluate(data, embeddings=("encoder",))
    column = "embedding:encoder"
    assert np.array_equal(first.column(column).values, again.column(column).values)
    one, other = (next(s for s in run.dataset.sources if s.kind == column) for run in (first, again))
    assert one.fingerprint == other.fingerprint
    assert dict(one.options) == dict(other.options)
    # Another picture, another seed or other explore rows are another encoder.
    changed = {**data, "images": np.where(np.arange(60)[:, None, None] == 7, 0, data["images"]).astype(np.uint8)}
    for given, more in ((changed, {}), (data, {"seed": 1}), (data, {"split_seed": 1})):
        with pytest.raises(TypeError, match="not callable"):
            evaluate(given, embeddings=("encoder",), **more)
