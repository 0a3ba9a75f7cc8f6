"""What took long to compute, kept between runs under a name that says everything that decided it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from errata.core.places import cache_folder

__all__ = ["MOST", "Cache", "users_cache"]

MOST = 2 << 30
"""Bytes that are kept; the arrays that were not used for longest go first."""

_OURS = re.compile(r"[0-9a-f]{32}\.npz(\.[0-9]+)?")
"""Names of files in a cache; whatever else lies in its folder is never touched."""


@dataclass(frozen=True)
class Cache:
    """Named groups of arrays in a folder, one file each; nowhere when `folder` is None.

    A cache harms nothing: what cannot be read counts as missing, and what cannot be written is not kept.
    """

    folder: Path | None
    most: int = MOST

    def get(self, name: str) -> dict[str, NDArray[Any]] | None:
        """What was kept under a name; None where there is nothing whole."""
        file = self._file(name)
        if file is None:
            return None
        try:
            with np.load(file, allow_pickle=False) as saved:
                arrays = {key: saved[key] for key in saved.files}
            os.utime(file)
        except (OSError, ValueError, BadZipFile, KeyError, EOFError):
            return None
        return arrays

    def put(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep arrays under a name; written under another name first, so that half a file is never seen."""
        file = self._file(name)
        if file is None or sum(array.nbytes for array in arrays.values()) > self.most:
            return
        unfinished = file.with_name(f"{file.name}.{os.getpid()}")
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                with unfinished.open("wb") as sink:
                    np.savez(sink, **arrays)  # type: ignore[arg-type]
                unfinished.replace(file)
            finally:
                unfinished.unlink(missing_ok=True)
            self._trim()

    @property
    def files(self) -> list[Path]:
        """What is kept, used longest ago first, and what was left unfinished."""
        found = []
        for file in self.folder.glob("*") if self.folder is not None else ():
            if _OURS.fullmatch(file.name):
                with suppress(OSError):  # another process may have thrown it away
                    found.append((file.stat().st_mtime_ns, file))
        return [file for _, file in sorted(found)]

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return sum(map(_size, self.files))

    def clear(self) -> None:
        """Throw everything away. Raises OSError where that is not allowed."""
        for file in self.files:
            file.unlink(missing_ok=True)

    def _file(self, name: str) -> Path | None:
        if self.folder is None:
            return None
        return self.folder / (hashlib.blake2b(name.encode(), digest_size=16).hexdigest() + ".npz")

    def _trim(self) -> None:
        sizes = {file: _size(file) for file in self.files}
        size = sum(sizes.values())
        for file, bytes_ in sizes.items():
            if size <= self.most:
                break
            size -= bytes_
            file.unlink(missing_ok=True)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def users_cache() -> Cache:
    """The cache in the user's folder for such things (`ERRATA_CACHE`); one that keeps nothing where there is none."""
    try:
        return Cache(cache_folder() / "arrays")
    except OSError:
        return Cache(None)
