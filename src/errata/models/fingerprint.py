"""Hashes of the bytes of a model, so that what was predicted once is not predicted again."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

__all__ = ["of_file", "of_object"]


class _Hashing:
    """A file that keeps nothing but the hash of what was written, so that a large model is never copied."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256()

    def write(self, data: Any) -> int:
        self.hash.update(data)
        return memoryview(data).nbytes


def of_file(path: Path) -> str:
    """The SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_object(value: Any) -> str | None:
    """The SHA-256 of an object's pickled form, hexadecimal; None when it has none. Nothing is unpickled."""
    sink = _Hashing()
    try:
        pickle.Pickler(sink, protocol=5).dump(value)
    except (pickle.PicklingError, TypeError, AttributeError, NotImplementedError, ValueError, RecursionError):
        return None  # a lambda, a lock or a handle inside: such a model is simply not reused
    return sink.hash.hexdigest()
