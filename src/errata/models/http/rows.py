"""Inputs as an endpoint takes them: rows of a table, arrays, texts or pictures, each with a digest of its content."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from errata.core.errors import UsageError
from errata.core.model import Inputs
from errata.models.form import is_frame

__all__ = ["Rows", "data_url", "png", "rows_of", "simple"]

Kind = Literal["table", "array", "text", "images"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """b inputs.

    names   of the columns of a table, () otherwise
    cells   one value per row: the list of a table's cells, an array, a text, an image
    shape   of one input, for arrays
    """

    kind: Kind
    cells: tuple[Any, ...]
    names: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.cells)

    def take(self, places: list[int]) -> Rows:
        """Some of the rows."""
        return Rows(kind=self.kind, cells=tuple(self.cells[i] for i in places), names=self.names, shape=self.shape)

    def digest(self, place: int, salt: bytes) -> str:
        """Thirty-two hexadecimal digits of one row's content, and of the salt."""
        digest = hashlib.blake2b(salt, digest_size=16)
        cell = self.cells[place]
        if self.kind in ("array", "images"):
            digest.update(f"{cell.dtype}{cell.shape}".encode())
            digest.update(np.ascontiguousarray(cell).tobytes())
        else:
            digest.update(json.dumps([self.kind, self.names, cell], ensure_ascii=False).encode("utf-8", "replace"))
        return digest.hexdigest()

    def plain(self, place: int) -> Any:
        """One row as JSON has it: an object for a table's row, nested lists for an array, a string for a text."""
        cell = self.cells[place]
        if self.kind == "table":
            return dict(zip(self.names, cell, strict=True))
        if self.kind == "text":
            return cell
        return simple(cell)

    def bytes_each(self) -> int:
        """About how many bytes one row is in a request."""
        if not self.cells:
            return 1
        some = self.cells[:: max(1, len(self.cells) // 8)]
        if self.kind in ("array", "images"):
            # A float takes about ten characters, a byte about four.
            return max(1, int(np.mean([cell.size * (4 if cell.dtype.kind in "uib" else 12) for cell in some])))
        return max(1, int(np.mean([len(json.dumps(cell)) for cell in some])))


def rows_of(inputs: Inputs) -> Rows:
    """Inputs of any kind as rows. Raises UsageError for what no request can carry."""
    if is_frame(inputs):
        return _table(inputs)
    if isinstance(inputs, list | tuple) and all(isinstance(text, str) for text in inputs):
        return Rows(kind="text", cells=tuple(inputs))
    if isinstance(inputs, list | tuple):
        return Rows(kind="images", cells=tuple(np.asarray(image) for image in inputs))
    array = np.asarray(inputs)
    if array.dtype.kind in "UO" and array.ndim == 1:
        return Rows(kind="text", cells=tuple(str(text) for text in array.tolist()))
    if array.dtype.kind not in "biuf":
        raise UsageError(
            f"The inputs are an array of `{array.dtype}`, which no request can carry.",
            hint="give numbers, texts, images or a table.",
        )
    return Rows(kind="array", cells=tuple(array), shape=tuple(array.shape[1:]))


def simple(array: NDArray[Any]) -> Any:
    """An array as nested lists; JSON knows no NaN, so it becomes null."""
    values = array.tolist()
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return _without_nan(values)
    return values


def png(image: NDArray[Any]) -> bytes:
    """A picture (h, w), (h, w, 1), (h, w, 3) or (h, w, 4) as PNG; values up to 1 are taken for shares of 255.

    Raises UsageError for an array that is no picture.
    """
    pixels = np.squeeze(image, axis=2) if image.ndim == 3 and image.shape[2] == 1 else image
    if pixels.ndim == 3 and pixels.shape[2] not in (3, 4) and pixels.shape[0] in (1, 3):
        pixels = np.squeeze(np.moveaxis(pixels, 0, -1))
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (3, 4)):
        raise UsageError(
            f"The endpoint takes pictures, and an input has shape `{image.shape}`.",
            hint="give images (h, w) or (h, w, 3), or name another --model shape that takes numbers.",
        )
    from PIL import Image

    if pixels.dtype != np.uint8:
        scale = 255.0 if float(np.nanmax(pixels, initial=0.0)) <= 1.0 else 1.0
        pixels = np.clip(np.rint(np.nan_to_num(pixels) * scale), 0, 255).astype(np.uint8)
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, format="PNG")
    return sink.getvalue()


def data_url(image: NDArray[Any]) -> str:
    """A picture as a `data:` address."""
    return "data:image/png;base64," + base64.b64encode(png(image)).decode("ascii")


def _table(frame: Any) -> Rows:
    import narwhals as nw

    opened = nw.from_native(frame, eager_only=True)
    columns = [[_cell(value) for value in opened.get_column(name).to_list()] for name in opened.columns]
    cells = tuple(list(row) for row in zip(*columns, strict=True)) if columns else tuple([] for _ in range(len(opened)))
    return Rows(kind="table", cells=cells, names=tuple(map(str, opened.columns)))


def _cell(value: Any) -> Any:
    """One cell as JSON has it; what is missing is null, moments are ISO 8601."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _without_nan(values: Any) -> Any:
    if isinstance(values, list):
        return [_without_nan(value) for value in values]
    return values if np.isfinite(values) else None
