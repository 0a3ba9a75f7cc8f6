"""Arrays in memory and in `.npz` files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from errata.core.errors import UsageError
from errata.datasets.arrays import read_arrays, read_mapping, read_npz
from errata.datasets.kinds import read_dataset
from errata.datasets.roles import Roles

RNG = np.random.default_rng(0)


def test_matrices_have_named_columns() -> None:
    X = RNG.normal(size=(30, 3))
    found = read_dataset((X, np.arange(30) % 2), Roles())
    assert found.modality == "array"
    assert found.table.names == ("x0", "x1", "x2", "label")
    assert found.input_names == ("x0", "x1", "x2")
    assert found.label == "label"
    assert found.read is not None
    assert (found.read(np.array([3, 1])) == X[[3, 1]]).all()


def test_labels_of_words() -> None:
    found = read_arrays(RNG.normal(size=(4, 2)), ["cat", "dog", "cat", "cat"])
    assert found.table.column("label").levels == ("cat", "dog")


def test_a_frame_with_a_separate_label() -> None:
    import pandas as pd
    import polars as pl

    plain = {"age": [1.0, 2.0, 3.0], "city": ["a", "b", "a"]}
    for frame in (pd.DataFrame(plain, index=[7, 8, 9]), pl.DataFrame(plain)):
        found = read_dataset((frame, np.array([0, 1, 1])), Roles())
        assert found.label == "label"
        assert [found.table.column("label").value(row) for row in range(3)] == [0, 1, 1]
        assert found.read is not None
        assert list(found.read(np.array([0])).columns) == ["age", "city"]
    with pytest.raises(UsageError, match="3 rows and y has 2"):
        read_arrays(pd.DataFrame(plain), [0, 1])


@pytest.mark.parametrize(
    ("shape", "seen"),
    [((5, 8, 6), (8, 6)), ((5, 8, 6, 1), (8, 6)), ((5, 8, 6, 3), (8, 6, 3)), ((5, 3, 8, 6), (8, 6, 3)),
     ((5, 1, 8, 6), (8, 6)), ((5, 8, 6, 4), (8, 6, 3)), ((5, 7, 8, 6), None), ((5, 2, 8, 6, 3), None)],
)  # fmt: skip
def test_stacks_of_pictures(shape: tuple[int, ...], seen: tuple[int, ...] | None) -> None:
    found = read_arrays(RNG.integers(0, 255, shape, dtype=np.uint8), np.zeros(5, dtype=int))
    assert (found.image is None) == (seen is None)
    if found.image is not None:
        assert found.modality == "image"
        assert found.image(2).shape == seen
        assert found.image(2).dtype == np.uint8
    assert found.input_names == ()


def test_pictures_of_other_ranges_are_stretched() -> None:
    unit = np.linspace(0, 1, 32).reshape(2, 4, 4)
    sixteen = np.linspace(0, 16, 32).reshape(2, 4, 4)
    normal = np.linspace(-2, 2, 32).reshape(2, 4, 4)
    for stack in (unit, sixteen, normal):
        image = read_arrays(stack, [0, 1]).image
        assert image is not None
        assert image(0)[0, 0] == 0
        assert image(1)[-1, -1] == 255


def test_ids_are_of_the_inputs() -> None:
    X = RNG.normal(size=(10, 3))
    one, other = read_arrays(X, np.zeros(10)), read_arrays(X, np.ones(10))
    assert (one.id_hash == other.id_hash).all()
    assert one.fingerprint != other.fingerprint


def test_npz_keys(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(
        path, inputs=RNG.normal(size=(6, 2)), feature_names=np.array(["age", "mean size"]), label=np.arange(6) % 2,
        prediction=np.zeros(6, dtype=int), scores=RNG.random((6, 2)), embedding_last=RNG.normal(size=(6, 4)),
        city=np.array(["a", "b"] * 3),
    )  # fmt: skip
    found = read_dataset(path, Roles())
    assert found.input_names == ("age", "mean size")
    assert found.label == "label"
    assert found.prediction == "prediction"
    assert len(found.scores) == 2
    assert found.table.column("embedding_last").kind == "embedding"
    assert found.table.column("city").levels == ("a", "b")


def test_npz_without_inputs_is_a_table(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", age=np.arange(5.0), label=np.arange(5) % 2, prediction=np.zeros(5, dtype=int))
    found = read_npz(tmp_path / "a.npz")
    assert found.modality == "table"
    assert len(found) == 5


class Trap:
    """Unpickling this would leave a mark."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("trap-was-sprung"),))


def test_pickled_objects_are_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", inputs=np.zeros((2, 2)), label=np.array([Trap(), Trap()], dtype=object))
    with pytest.raises(UsageError, match="pickled objects, which are refused"):
        read_dataset("a.npz", Roles())
    assert not Path("trap-was-sprung").exists()


def test_bad_npz_files(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, inputs=np.zeros((50, 2)), label=np.zeros(50))
    whole = path.read_bytes()
    for content, message in ((whole[:300], "is the file whole"), (b"junk", "no .npz file"), (b"", "no .npz file")):
        path.write_bytes(content)
        with pytest.raises(UsageError) as caught:
            read_npz(path)
        assert message in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"inputs": np.zeros((5, 2)), "label": np.zeros(4)}, "shape (4,); there are 5 rows"),
        ({"inputs": np.zeros((5, 2)), "images": np.zeros((5, 2, 2))}, "both"),
        ({"inputs": np.array(["a", "b"]), "label": np.zeros(2)}, "give an array of numbers"),
        ({"inputs": np.zeros((5, 2)), "feature_names": np.array(["a"])}, "1 names for 2 inputs"),
        ({"inputs": np.zeros((0, 2)), "label": np.zeros(0)}, "no rows"),
        ({"inputs": np.zeros((2, 2)), "label": [[1], [2, 3]]}, "label"),
    ],
)
def test_arrays_that_do_not_fit(arrays: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_mapping(arrays)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("array", "said"), [(np.zeros((4, 0)), "no dimension"), (np.ones((4, 2)) * 1j, "`complex128`")]
)
def test_an_embedding_that_holds_no_numbers_is_refused(array, said):
    with pytest.raises(UsageError, match=said):
        read_mapping({"label": np.arange(4) % 2, "prediction": np.zeros(4), "embedding_e": array}, name="t", origin="t")
