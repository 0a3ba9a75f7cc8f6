"""Any data that a user may name, to a Dataset."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from errata.core.dataset import Dataset
from errata.core.errors import UsageError, nearest
from errata.datasets.roles import Roles

__all__ = ["read_dataset"]

_TABLES = (".csv", ".tsv", ".txt", ".parquet", ".pq", ".jsonl", ".ndjson", ".json")
_KINDS = "data are .csv, .parquet, .jsonl, .npz, a folder of images by class, or `sample:NAME`."


def read_dataset(data: Any, roles: Roles) -> Dataset:
    """The Dataset behind a path, `sample:NAME`, a dataframe, `(X, y)`, `(texts, y)`, or a mapping of arrays.

    Raises UsageError for what is none of these, and for paths that are not there, offering the nearest names.
    """
    from errata.datasets.arrays import read_arrays, read_texts
    from errata.datasets.table import read_columns, read_frame
    from errata.datasets.text import are_texts

    if isinstance(data, str) and data.startswith("sample:"):
        from errata.datasets.samples import read_sample

        return read_sample(data.removeprefix("sample:"), roles)
    if isinstance(data, str) and data == "":
        raise UsageError("The data is `` (an empty word).", hint=_KINDS)
    if isinstance(data, str) and "://" in data:
        raise UsageError(f"`{data}` lies on the network, and nothing is fetched.", hint="download it first.")
    if isinstance(data, str | Path):
        return _read_path(Path(data), roles)
    if isinstance(data, tuple | list) and len(data) == 2 and are_texts(data[0]):
        return read_texts(data[0], data[1], roles=roles)
    if isinstance(data, tuple | list) and len(data) == 2 and hasattr(data[0], "shape"):
        return read_arrays(data[0], data[1], roles=roles)
    if isinstance(data, Mapping):
        if any(key in ("images", "inputs", "scores") or str(key).startswith("embedding_") for key in data):
            from errata.datasets.arrays import read_mapping

            return read_mapping(data, roles)
        return read_columns(data, roles)
    if hasattr(data, "columns") or hasattr(data, "column_names"):
        return read_frame(data, roles)
    raise UsageError(f"`{type(data).__name__}` is no data that is read here.", hint=f"{_KINDS} Or a frame, or (X, y).")


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long for the disk
        return False


def _read_path(path: Path, roles: Roles) -> Dataset:
    if not _is_there(path):
        folder = path.parent
        known = sorted(item.name for item in folder.iterdir()) if _is_there(folder) and folder.is_dir() else []
        there = nearest(path.name, known) if known else _KINDS
        raise UsageError(f"There is no file or folder `{path}`.", hint=there)
    if path.is_dir():
        from errata.datasets.images import read_images

        return read_images(path, roles)
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".npz"):
        from errata.datasets.arrays import read_npz

        return read_npz(path, roles)
    if name.endswith(_TABLES):
        from errata.datasets.table import read_table

        return read_table(path, roles)
    raise UsageError(f"`{path}` is of no kind that is read here.", hint=_KINDS)
