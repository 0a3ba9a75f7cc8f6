"""A folder of images by class: pixels are read when asked for, broken files are left out and named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Column
from errata.core.dataset import Dataset, SetAside
from errata.core.errors import UsageError
from errata.datasets.assemble import assemble
from errata.datasets.pictures import Found, pictures_of, readable
from errata.datasets.roles import Roles
from errata.datasets.table import read_table

__all__ = ["read_images"]

_ENDINGS: Final = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
_METADATA: Final = ("metadata.csv", "metadata.parquet", "metadata.jsonl")
_FILE_COLUMNS: Final = ("file_name", "filename", "file", "image", "path", "image_path")


def read_images(folder: str | Path, roles: Roles | None = None) -> Dataset:
    """The pictures below a folder; the first folder on the way to a picture is its class.

    A `metadata.csv` (or .parquet, .jsonl) in the folder adds columns by file name. Rows whose file is broken or larger
    than 64 million pixels are left out with a caveat. Raises UsageError when no picture can be read.
    """
    folder, roles = Path(folder), roles or Roles()
    paths = sorted(path for path in folder.rglob("*") if _is_picture(path, folder))
    if not paths:
        raise UsageError(f"`{folder}` holds no images.", hint="one folder per class, with .png or .jpg files in it.")
    names = [path.relative_to(folder).as_posix() for path in paths]
    tried = readable(paths, names, origin=str(folder))
    found, notes = tried.found, list(tried.notes)
    columns = {"file": Column.strings([picture.name for picture in found])}
    classes = [_class_of(picture.name) for picture in found]
    metadata = _metadata(folder, found, notes)
    if len(set(classes)) > 1 or (len(set(classes) - {None}) == 1 and not metadata):
        columns["label"] = Column.category(classes)
    for name, column in metadata.items():
        columns["metadata:label" if name == "label" and "label" in columns else name] = column
    aside = (SetAside(column="file", why="identifier: the name of the file"),)
    name = folder.resolve().name
    return assemble(
        columns, roles=roles, name=name, origin=str(folder), notes=notes, aside=aside, content=pictures_of(found)
    )


def _is_picture(path: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.suffix.lower() in _ENDINGS and not hidden and path.is_file()


def _class_of(name: str) -> str | None:
    head, slash, _ = name.partition("/")
    return head if slash else None


def _metadata(folder: Path, found: Sequence[Found], notes: list[str]) -> dict[str, Column]:
    """Columns of the metadata file for the pictures found, by path below the folder or by bare file name."""
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
