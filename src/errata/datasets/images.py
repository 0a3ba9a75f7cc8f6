"""A folder of images by class: pixels are read when asked for, broken files are left out and named."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Column, Int
from errata.core.dataset import Dataset, SetAside
from errata.core.errors import UsageError
from errata.datasets.assemble import Pictures, assemble
from errata.datasets.roles import Roles

__all__ = ["open_picture", "read_images"]

MOST_PIXELS: Final = 64_000_000
"""Larger pictures are refused before they are unpacked: a small file can hold gigabytes of one colour."""
_ENDINGS: Final = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
_METADATA: Final = ("metadata.csv", "metadata.parquet", "metadata.jsonl")
_FILE_COLUMNS: Final = ("file_name", "filename", "file", "image", "path", "image_path")


@dataclass(frozen=True, kw_only=True)
class _Found:
    """One readable picture: its path below the folder, the hash of its bytes, width and height."""

    path: Path
    name: str
    digest: int
    size: tuple[int, int]


def read_images(folder: str | Path, roles: Roles | None = None) -> Dataset:
    """The pictures below a folder; the first folder on the way to a picture is its class.

    A `metadata.csv` (or .parquet, .jsonl) in the folder adds columns by file name. Rows whose file is broken or larger
    than 64 million pixels are left out with a caveat. Raises UsageError when no picture can be read.
    """
    folder, roles = Path(folder), roles or Roles()
    paths = sorted(path for path in folder.rglob("*") if _is_picture(path, folder))
    if not paths:
        raise UsageError(f"`{folder}` holds no images.", hint="one folder per class, with .png or .jpg files in it.")
    found, notes = _readable(paths, folder)
    columns = {"file": Column.strings([picture.name for picture in found])}
    classes = [_class_of(picture.name) for picture in found]
    metadata = _metadata(folder, found, notes)
    if len(set(classes)) > 1 or (len(set(classes) - {None}) == 1 and not metadata):
        columns["label"] = Column.category(classes)
    for name, column in metadata.items():
        columns["metadata:label" if name == "label" and "label" in columns else name] = column
    files = [picture.path for picture in found]
    sizes = {picture.size for picture in found}
    if len(sizes) > 1:
        low, high = min(sizes), max(sizes)
        notes.append(f"Images of {len(sizes):,} sizes, {low[0]} x {low[1]} to {high[0]} x {high[1]} pixels.")

    def read(rows: Int) -> Any:
        pixels = [open_picture(files[row]) for row in np.asarray(rows).tolist()]
        alike = len({picture.shape for picture in pixels}) == 1
        return np.stack(pixels) if alike else pixels

    pictures = Pictures(
        modality="image", read=read, image=lambda row: open_picture(files[row]),
        content_hash=np.array([picture.digest for picture in found], dtype=np.uint64),
    )  # fmt: skip
    aside = (SetAside(column="file", why="identifier: the name of the file"),)
    name = folder.resolve().name
    return assemble(columns, roles=roles, name=name, origin=str(folder), notes=notes, aside=aside, pictures=pictures)


def open_picture(path: Path) -> NDArray[np.uint8]:
    """(h, w) uint8 for grey pictures, (h, w, 3) uint8 for all others, turned as the camera says."""
    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened)
            if picture.mode.startswith("I") or picture.mode == "F":
                deep = np.asarray(picture, dtype=np.float64)
                return np.clip(deep * (255.0 / max(float(deep.max(initial=0)), 255.0)), 0, 255).astype(np.uint8)
            grey = picture.mode in ("1", "L")
            return np.asarray(picture.convert("L" if grey else "RGB"), dtype=np.uint8)


def _is_picture(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.suffix.lower() in _ENDINGS and not hidden and path.is_file()


def _class_of(name: str) -> str | None:
    head, slash, _ = name.partition("/")
    return head if slash else None


def _readable(paths: Sequence[Path], folder: Path) -> tuple[list[_Found], list[str]]:
    found: list[_Found] = []
    broken: list[str] = []
    huge: list[str] = []
    for path in paths:
        name = path.relative_to(folder).as_posix()
        size = _try(path)
        if size is None:
            broken.append(name)
        elif size[0] * size[1] > MOST_PIXELS:
            huge.append(name)
        else:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).digest()
            found.append(_Found(path=path, name=name, digest=int.from_bytes(digest, "little"), size=size))
    notes = []
    if broken:
        notes.append(f"{len(broken):,} images cannot be read and are left out: {_listed(broken)}.")
    if huge:
        notes.append(f"{len(huge):,} images have over {MOST_PIXELS:,} pixels and are left out: {_listed(huge)}.")
    if not found:
        raise UsageError(f"No image in `{folder}` can be read: {_listed(broken + huge)}.", hint="are the files whole?")
    return found, notes


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names[:3]) + (" ..." if len(names) > 3 else "")


def _try(path: Path) -> tuple[int, int] | None:
    """Width and height, None where the file is no whole picture; a huge one is measured and not unpacked."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(path) as picture:
                size: tuple[int, int] = picture.size
                if size[0] * size[1] <= MOST_PIXELS:
                    # JPEG files can be unpacked at an eighth of their size, which still reads every byte.
                    picture.draft(None, (max(1, size[0] // 8), max(1, size[1] // 8)))
                    picture.load()
                return size
        except Image.DecompressionBombError:
            return MOST_PIXELS, 2
        except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, MemoryError):
            # What decoders raise on damaged files is not settled; each of these was seen.
            return None


def _metadata(folder: Path, found: Sequence[_Found], notes: list[str]) -> dict[str, Column]:
    """Columns of the metadata file for the pictures found, by path below the folder or by bare file name."""
    from errata.datasets.table import read_table

    path = next((folder / name for name in _METADATA if (folder / name).exists()), None)
    if path is None:
        return {}
    table = read_table(path, Roles(prediction_needed=False, text=None)).table
    key = next((name for name in table.names if name.lower() in _FILE_COLUMNS), None)
    if key is None:
        raise UsageError(f"`{path}` names no files.", hint=f"add a column `{_FILE_COLUMNS[0]}` with their names.")
    column = table.column(key)
    rows = {str(column.value(row)): row for row in range(len(column))}
    if len(rows) < len(column):
        raise UsageError(f"`{path}` names a file twice in `{key}`.", hint="one row per image.")
    at = [rows.get(picture.name, rows.get(picture.path.name, -1)) for picture in found]
    lost = sum(row < 0 for row in at)
    if lost:
        notes.append(f"{lost:,} images have no row in `{path.name}`.")
    if lost == len(at):
        raise UsageError(f"`{path}` names none of the images.", hint=f"`{key}` holds paths below `{folder}`.")
    return {name: _taken(table.column(name), np.array(at)) for name in table.names if name != key}


def _taken(column: Column, at: NDArray[np.int64]) -> Column:
    """The rows of a column, missing where the row is -1."""
    taken = column.take(np.maximum(at, 0))
    gone = at < 0
    if not gone.any():
        return taken
    if column.kind == "text":
        return Column.strings([None if gone[row] else taken.text(row) for row in range(len(taken))])
    values = taken.values.copy()
    empty: Any = {"category": -1, "boolean": -1, "datetime": np.datetime64("NaT")}.get(column.kind, np.nan)
    values[gone] = empty
    return Column(kind=column.kind, values=values, levels=column.levels, unit=column.unit, integer=column.integer)
