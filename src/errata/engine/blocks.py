"""Blocks of predictions on disk, so that a killed evaluation goes on where it was. Only whole blocks are ever seen."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from errata.core.errors import CannotRunError
from errata.core.model import Output

__all__ = ["Block", "Blocks"]

PARTIAL = ".partial"


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """What the model said of some rows.

    rows    (m,) int64 indices into the dataset
    output  of those rows; where the model raised it holds a copy of a row that it answered, which nobody reads
    raised  (m,) bool, true where the model raised
    words   what it said when it raised, for the first such row
    """

    rows: NDArray[np.int64]
    output: Output
    raised: NDArray[np.bool_]
    words: str = ""


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """The blocks of one evaluation, in `folder/.partial/NAME/`, or nowhere when folder is None.

    key  says whose predictions they are; blocks under another key are thrown away
    """

    folder: Path | None
    name: str
    key: str
    _known: dict[int, bool] = field(default_factory=dict, repr=False, compare=False)

    @property
    def path(self) -> Path | None:
        """Where the blocks lie."""
        return None if self.folder is None else self.folder / PARTIAL / self.name

    def open(self) -> None:
        """Make the folder, and empty it if it holds blocks of something else."""
        path = self.path
        if path is None:
            return
        with _disk(path):
            if path.is_dir() and _text(path / "key.json") != self.key:
                shutil.rmtree(path)
            path.mkdir(parents=True, exist_ok=True)
            _write(path / "key.json", self.key.encode())

    def save(self, number: int, block: Block) -> None:
        """Write one block: first under another name, then moved, so that half a block never has its name."""
        if self.path is None:
            return
        import io

        sink = io.BytesIO()
        arrays = {name: value for name, value in vars(block.output).items() if value is not None}
        np.savez(sink, rows=block.rows, raised=block.raised, words=np.array(block.words), **arrays)
        with _disk(self.path):
            _write(self.path / f"{number:06d}.npz", sink.getvalue())

    def load(self, number: int) -> Block | None:
        """One block, or None where there is none that is whole."""
        if self.path is None:
            return None
        file = self.path / f"{number:06d}.npz"
        if not file.is_file():
            return None
        try:
            with np.load(file, allow_pickle=False) as saved:
                arrays = {name: saved[name] for name in saved.files}
        except (OSError, ValueError, BadZipFile, KeyError, EOFError):
            return None  # damaged by someone else; it is predicted again
        rows, raised, words = arrays.pop("rows"), arrays.pop("raised"), str(arrays.pop("words"))
        return Block(rows=rows, output=Output(**arrays), raised=raised, words=words)

    def numbers(self) -> Iterator[int]:
        """The numbers of the blocks that are there, in order."""
        if self.path is not None:
            yield from sorted(int(file.stem) for file in self.path.glob("[0-9]*.npz"))

    def clear(self) -> None:
        """Throw the blocks away."""
        if self.path is not None:
            shutil.rmtree(self.path, ignore_errors=True)


def key_of(parts: dict[str, object]) -> str:
    """A key from whatever decides the predictions."""
    return json.dumps(parts, sort_keys=True, default=str)


class _disk:  # noqa: N801 - reads as a with-statement, not as a thing
    """Turns a failing disk into an error that says where."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise CannotRunError(
                f"Predictions could not be written to `{self.path}`: {error.strerror or error}.",
                hint="free some space or choose another folder with --out; the same call then goes on where it was.",
            ) from error


def _write(file: Path, content: bytes) -> None:
    unfinished = file.with_name(file.name + ".unfinished")
    with unfinished.open("wb") as sink:
        sink.write(content)
        sink.flush()
        os.fsync(sink.fileno())
    unfinished.replace(file)


def _text(file: Path) -> str:
    return file.read_text() if file.is_file() else ""
