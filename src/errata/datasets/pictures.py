"""Picture files: opened when asked for, hashed by their bytes, refused when broken or too large to unpack."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from errata.core.errors import CannotRunError, UsageError
from errata.core.pictures import Pictures
from errata.datasets.content import Content

__all__ = ["MOST_PIXELS", "Found", "Readable", "open_picture", "pictures_of", "readable"]

MOST_PIXELS: Final = 64_000_000
"""Larger pictures are refused before they are unpacked: a small file can hold gigabytes of one colour."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """One readable picture: where it lies, its row or place in the list, the hash of its bytes, width and height."""

    path: Path
    name: str
    at: int
    digest: int
    size: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Readable:
    """The pictures that can be read, in order, and what a reader should know of the others."""

    found: tuple[Found, ...]
    notes: tuple[str, ...]


def pictures_of(found: Sequence[Found]) -> Content:
    """How to read these pictures: a stack (b, h, w[, 3]) uint8 where all of a batch have one shape, else a list."""
    files = [picture.path for picture in found]
    content = np.array([picture.digest for picture in found], dtype=np.uint64)
    pictures = Pictures(lambda row: _again(files[row]))
    return Content(modality="image", read=pictures.read, image=pictures, content_hash=content)


def readable(paths: Sequence[Path], names: Sequence[str], *, origin: str) -> Readable:
    """Try every file. Raises UsageError when none is a picture that can be read."""
    found: list[Found] = []
    broken: list[str] = []
    huge: list[str] = []
    for at, (path, name) in enumerate(zip(paths, names, strict=True)):
        size = _try(path)
        if size is None:
            broken.append(name)
        elif size[0] * size[1] > MOST_PIXELS:
            huge.append(name)
        else:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).digest()
            found.append(Found(path=path, name=name, at=at, digest=int.from_bytes(digest, "little"), size=size))
    notes = []
    if broken:
        notes.append(f"{len(broken):,} images cannot be read and are left out: {_listed(broken)}.")
    if huge:
        notes.append(f"{len(huge):,} images have over {MOST_PIXELS:,} pixels and are left out: {_listed(huge)}.")
    if not found:
        raise UsageError(f"No image of `{origin}` can be read.", hint=" ".join(notes) + " Are the files whole?")
    sizes = {picture.size for picture in found}
    if len(sizes) > 1:
        low, high = min(sizes), max(sizes)
        notes.append(f"Images of {len(sizes):,} sizes, {low[0]} x {low[1]} to {high[0]} x {high[1]} pixels.")
    return Readable(found=tuple(found), notes=tuple(notes))


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


def _again(path: Path) -> NDArray[np.uint8]:
    """A picture that could be read when the data were opened."""
    try:
        return open_picture(path)
    except OSError as error:
        raise CannotRunError(
            f"The image `{path}` could be read a moment ago and cannot now: {error.strerror or error}.",
            hint="does something else write to that folder? run the command again.",
        ) from error


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
