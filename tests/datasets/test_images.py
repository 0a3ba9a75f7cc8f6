"""Folders of images: classes, metadata, broken and hostile files."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from errata.core.copies import copies
from errata.core.errors import UsageError
from errata.datasets.images import read_images
from errata.datasets.kinds import read_dataset
from errata.datasets.pictures import MOST_PIXELS, open_picture
from errata.datasets.roles import Roles


def picture(path: Path, *, seed: int = 0, size: tuple[int, int] = (8, 6), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], 3)
    Image.fromarray(
        np.random.default_rng(seed).integers(0, 255, shape, dtype=np.uint8), mode="L" if mode == "L" else None
    ).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for kind in ("cat", "dog"):
        for i in range(3):
            picture(tmp_path / "pets" / kind / f"{i}.png", seed=i if kind == "cat" else 10 + i)
    return tmp_path / "pets"


def bomb(path: Path, *, side: int) -> None:
    """A PNG whose header promises side x side pixels, in a few hundred bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")
    )


def test_classes_are_folders(folder: Path) -> None:
    found = read_dataset(folder, Roles())
    assert found.modality == "image"
    assert found.label == "label"
    assert found.table.column("label").levels == ("cat", "dog")
    assert found.table.column("file").text(0) == "cat/0.png"
    assert [item.column for item in found.set_aside] == ["file"]
    assert found.read is not None
    assert found.image is not None
    assert found.read(np.array([0, 5])).shape == (2, 6, 8, 3)
    assert (found.image(4) == open_picture(folder / "dog" / "1.png")).all()


def test_ids_and_copies_are_of_the_bytes(folder: Path) -> None:
    before = read_images(folder).ids()
    (folder / "cat" / "again.png").write_bytes((folder / "cat" / "0.png").read_bytes())
    found = read_images(folder)
    assert set(before) < set(found.ids())
    assert copies(found).number == 1
    (folder / "cat").rename(folder / "kitten")
    assert set(read_images(folder).ids()) == set(found.ids())


def test_broken_files_are_left_out_and_named(folder: Path) -> None:
    whole = (folder / "cat" / "1.png").read_bytes()
    (folder / "cat" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "dog" / "junk.jpg").write_bytes(b"no picture")
    (folder / "dog" / "empty.png").write_bytes(b"")
    (folder / "dog" / ".hidden.png").write_bytes(b"")
    (folder / "dog" / "notes.txt").write_text("nothing")
    found = read_images(folder)
    assert len(found) == 6
    assert "3 images cannot be read" in found.caveats[0]
    assert "`cat/cut.png`" in found.caveats[0]


def test_truncated_jpegs_are_found(folder: Path) -> None:
    path = picture(folder / "cat" / "x.jpg", size=(200, 200))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "`cat/x.jpg`" in read_images(folder).caveats[0]


@pytest.mark.parametrize("side", [9_000, 20_000, 60_000])
def test_decompression_bombs_are_not_unpacked(folder: Path, side: int) -> None:
    assert side * side > MOST_PIXELS
    bomb(folder / "cat" / "bomb.png", side=side)
    found = read_images(folder)
    assert len(found) == 6
    assert "1 images have over" in found.caveats[0]


def test_mixed_sizes_and_modes(folder: Path) -> None:
    picture(folder / "dog" / "big.png", size=(20, 30))
    picture(folder / "dog" / "grey.png", mode="L")
    found = read_images(folder)
    assert "2 sizes" in found.caveats[0]
    assert found.read is not None
    shapes = {found.table.column("file").text(row): pixels.shape for row, pixels in enumerate(found.read(np.arange(8)))}
    assert shapes["dog/big.png"] == (30, 20, 3)
    assert shapes["dog/grey.png"] == (6, 8)


def test_metadata_adds_columns(folder: Path) -> None:
    rows = ["file_name,camera,iso"] + [
        f"{kind}/{i}.png,{'ab'[i % 2]},{100 * i}" for kind in ("cat", "dog") for i in range(2)
    ]
    (folder / "metadata.csv").write_text("\n".join(rows))
    found = read_images(folder, Roles(group="camera"))
    assert [found.table.column("camera").value(row) for row in range(3)] == ["a", "b", None]
    assert found.table.column("iso").value(1) == 100
    assert found.group == "camera"
    assert any("2 images have no row" in note for note in found.caveats)


def test_labels_from_metadata_of_a_flat_folder(tmp_path: Path) -> None:
    for i in range(4):
        picture(tmp_path / f"{i}.png", seed=i)
    (tmp_path / "metadata.csv").write_text("file_name,label\n" + "\n".join(f"{i}.png,{'xy'[i % 2]}" for i in range(4)))
    found = read_images(tmp_path)
    assert found.table.column("label").levels == ("x", "y")
    (tmp_path / "metadata.csv").write_text("name,label\na,b\n")
    with pytest.raises(UsageError, match="names no files"):
        read_images(tmp_path)
    (tmp_path / "metadata.csv").write_text("file_name,label\nz.png,b\n")
    with pytest.raises(UsageError, match="names none of the images"):
        read_images(tmp_path)


def test_folders_without_images(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no images"):
        read_dataset(tmp_path, Roles())
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(b"junk")
    with pytest.raises(UsageError, match="can be read"):
        read_images(tmp_path)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "CMYK", "I;16", "LA"])
def test_every_mode_becomes_bytes(tmp_path: Path, mode: str) -> None:
    grey = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8) * 5)
    image = (
        Image.fromarray(np.arange(48, dtype=np.uint16).reshape(6, 8) * 1_000) if mode == "I;16" else grey.convert(mode)
    )
    path = tmp_path / ("a.tif" if mode in ("CMYK", "I;16") else "a.png")
    image.save(path)
    pixels = open_picture(path)
    assert pixels.dtype == np.uint8
    assert pixels.shape in ((6, 8), (6, 8, 3))
    assert pixels.max() > 200
    assert pixels.min() < 50


def test_pictures_are_turned_as_the_camera_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((6, 8, 3), dtype=np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    assert open_picture(tmp_path / "a.jpg").shape == (8, 6, 3)


def test_a_table_may_name_its_pictures(folder: Path) -> None:
    lines = ["picture,light,label"] + [f"{kind}/{i}.png,{i}.5,{kind}" for kind in ("cat", "dog") for i in range(3)]
    (folder / "rows.csv").write_text("\n".join([*lines, "cat/gone.png,1,cat"]))
    found = read_dataset(folder / "rows.csv", Roles(image="picture"))
    assert found.modality == "image"
    assert len(found) == 6
    assert found.image is not None
    assert (found.image(5) == open_picture(folder / "dog" / "2.png")).all()
    assert found.table.column("light").value(5) == 2.5
    assert any("`cat/gone.png`" in note for note in found.caveats)
    assert set(found.ids()) == set(read_images(folder).ids())


@pytest.mark.parametrize(("size", "most"), [((20, 24), 1), ((80, 70), 2)])
def test_an_evaluation_unpacks_each_file_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], most: int
) -> None:
    """Attributes, near-duplicates and encoder share it; a large file is opened again for its size at most."""
    import errata

    for row in range(24):
        picture(tmp_path / "pets" / ("cat" if row % 2 else "dog") / f"{row}.png", seed=row, size=size)
    lines = [f"{'cat' if row % 2 else 'dog'}/{row}.png,{'cat' if row % 3 else 'dog'}" for row in range(24)]
    (tmp_path / "pets" / "metadata.csv").write_text("\n".join(["file_name,prediction", *lines]))
    opened: dict[str, int] = {}

    def counted(path: Path) -> np.ndarray:
        opened[path.name] = opened.get(path.name, 0) + 1
        return open_picture(path)

    monkeypatch.setattr("errata.datasets.pictures.open_picture", counted)
    data = read_images(tmp_path / "pets")
    evaluation = errata.evaluate(data, embeddings=["encoder"])
    assert evaluation.column("embedding:encoder").values.shape[0] == 24
    assert len(opened) == 24
    assert max(opened.values()) <= most
    before = dict(opened)
    data.image(0)
    assert sum(opened.values()) == sum(before.values()) + 1, "nothing is kept afterwards"
