"""Arrays: `.npz` files, `(X, y)` in memory, and stacks of pictures."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Column
from errata.core.dataset import Dataset
from errata.core.errors import UsageError
from errata.core.foreign import column_from
from errata.core.hashing import bytes_hash
from errata.datasets.assemble import assemble
from errata.datasets.content import Content
from errata.datasets.roles import Roles
from errata.datasets.table import read_frame
from errata.datasets.text import are_texts, text_columns

__all__ = ["picture_reader", "read_arrays", "read_mapping", "read_npz", "read_texts"]

MOST_FEATURES: Final = 2_000
"""Wider matrices are read as one embedding, not as columns of their own."""
_INPUTS: Final = ("images", "inputs")
_NAMES: Final = "feature_names"


def read_npz(path: str | Path, roles: Roles | None = None) -> Dataset:
    """The examples of an `.npz` file, without pickle.

    Keys: `images` or `inputs` (n, ...), `label`, `prediction`, `scores` (n, k), `embedding_NAME` (n, d), and for flat
    inputs `feature_names` (d,); any other array of length n is a column. Raises UsageError for a file that is cut
    short, holds pickled objects, or arrays of other lengths.
    """
    path = Path(path)
    with path.open("rb") as opened:
        magic = opened.read(6)
    if not magic.startswith((b"PK", b"\x93NUMPY")):
        raise UsageError(f"`{path}` is no .npz file.", hint="write one with numpy.savez.")
    try:
        # allow_pickle stays False: an array of objects is refused before anything in it runs.
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files} if hasattr(file, "files") else {"inputs": file}
    except ValueError as error:
        if "pickle" in str(error).lower():
            raise UsageError(
                f"`{path}` holds pickled objects, which are refused: reading them can run code.",
                hint="save plain arrays: numbers, booleans, or text as numpy strings.",
            ) from error
        raise UsageError(f"`{path}` cannot be read: {error}.", hint="is the file whole? copy it again.") from error
    except (OSError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise UsageError(f"`{path}` cannot be read as .npz: {error}.", hint="is the file whole?") from error
    return read_mapping(arrays, roles or Roles(), name=path.stem, origin=str(path))


def read_arrays(X: Any, y: Any = None, *, roles: Roles | None = None) -> Dataset:
    """`(X, y)` as scikit-learn knows them: X a dataframe, (n, d) numbers, texts, or (n, h, w) or (n, h, w, 3) pictures.

    Columns of a matrix are `x0`, `x1`, ...; the label is `label`. Raises UsageError for unequal lengths.
    """
    roles = roles or Roles()
    if hasattr(X, "columns") or hasattr(X, "column_names"):
        return _with_target(X, y, roles)
    if are_texts(X):
        return read_texts(X, y, roles=roles)
    inputs = np.asarray(X)
    arrays: dict[str, Any] = {"inputs": inputs}
    if y is not None:
        arrays[roles.label or "label"] = y
        _check_length(len(inputs), len(np.asarray(y)))
    return read_mapping(arrays, roles, name="arrays", origin="arrays")


def read_texts(texts: Any, y: Any = None, *, roles: Roles | None = None) -> Dataset:
    """`(texts, y)`: a list, an array or a series of texts, as a vectoriser takes them; the column is `text`.

    Raises UsageError for unequal lengths and for what is no text.
    """
    roles = roles or Roles()
    label = roles.label or "label"
    columns = text_columns(texts, y, label=label)
    told = replace(roles, text="text", label=label if y is not None else roles.label)
    return assemble(columns, roles=told, name="texts", origin="texts")


def read_mapping(
    arrays: Mapping[str, Any], roles: Roles | None = None, *, name: str = "arrays", origin: str = "arrays"
) -> Dataset:
    """A mapping with the keys of `.npz` files; see `read_npz`."""
    roles = roles or Roles()
    found = [key for key in _INPUTS if key in arrays]
    if len(found) > 1:
        raise UsageError(f"`{origin}` has both `images` and `inputs`.", hint="keep the one that the model takes.")
    if not arrays:
        raise UsageError(f"`{origin}` holds no arrays.", hint="save `inputs` or `images`, and `label`.")
    inputs = np.asarray(arrays[found[0]]) if found else None
    if inputs is not None and (inputs.ndim < 2 or inputs.dtype.kind not in "fiub"):
        said = f"`{found[0]}` has shape {inputs.shape} and type {inputs.dtype}."
        raise UsageError(said, hint="give an array of numbers, (n, ...).")
    n = len(inputs) if inputs is not None else len(np.asarray(next(iter(arrays.values()))))
    columns, roles = _columns(arrays, n, roles, origin)
    if inputs is None:
        return assemble(columns, roles=roles, name=name, origin=origin)
    names = _feature_names(arrays, inputs, taken=set(columns))
    features = {feature: Column.number(inputs[:, j]) for j, feature in enumerate(names)}
    image = picture_reader(inputs) if inputs.ndim >= 3 else None
    pictures = Content(
        modality="image" if image is not None else "array", content_hash=bytes_hash(inputs), image=image,
        read=lambda rows: inputs[rows],
    )  # fmt: skip
    dataset = assemble({**features, **columns}, roles=roles, name=name, origin=origin, content=pictures)
    return replace(dataset, input_names=names)


def picture_reader(inputs: NDArray[Any]) -> Callable[[int], NDArray[np.uint8]] | None:
    """How to see one of (n, h, w), (n, h, w, c) or (n, c, h, w) arrays as a picture; None where they are none.

    8-bit values are taken as they are, others are stretched from their least to their largest value over all rows.
    """
    if inputs.ndim not in (3, 4):
        return None
    first = inputs.ndim == 4 and inputs.shape[1] in (1, 3) and inputs.shape[3] not in (1, 3)
    if inputs.ndim == 4 and not first and inputs.shape[3] not in (1, 3, 4):
        return None
    low, high = (0.0, 255.0) if inputs.dtype == np.uint8 else _range(inputs)

    def image(row: int) -> NDArray[np.uint8]:
        pixels = inputs[row]
        if first:
            pixels = np.moveaxis(pixels, 0, -1)
        if pixels.ndim == 3:
            pixels = pixels[..., 0] if pixels.shape[2] == 1 else pixels[..., :3]
        if inputs.dtype == np.uint8:
            return np.ascontiguousarray(pixels, dtype=np.uint8)
        scaled = (np.nan_to_num(pixels.astype(np.float64), nan=low) - low) * (255.0 / max(high - low, 1e-12))
        return np.asarray(np.clip(np.rint(scaled), 0, 255), dtype=np.uint8)

    return image


def _range(inputs: NDArray[Any]) -> tuple[float, float]:
    finite = inputs[np.isfinite(inputs)] if inputs.dtype.kind == "f" else inputs
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    # Pictures that start at black keep their black.
    return (0.0, 1.0) if low >= 0 and 0.5 < high <= 1 else (min(low, 0.0), high)


def _with_target(frame: Any, y: Any, roles: Roles) -> Dataset:
    if y is None:
        return read_frame(frame, roles)
    import narwhals as nw

    opened = nw.from_native(frame, eager_only=True)
    label = roles.label or next(name for name in ("label", "target", "y", "errata:label") if name not in opened.columns)
    cells = np.asarray(y)
    _check_length(len(opened), len(cells))
    if label in opened.columns:
        raise UsageError(f"X already has a column `{label}`.", hint="leave the label out of X, or y out of the call.")
    series = nw.new_series(name=label, values=cells.tolist(), backend=opened.implementation)
    if opened.implementation.is_pandas_like():
        native = series.to_native()
        native.index = opened.to_native().index
        series = nw.from_native(native, series_only=True)
    return read_frame(opened.with_columns(series).to_native(), replace(roles, label=label))


def _check_length(rows: int, labels: int) -> None:
    if rows != labels:
        raise UsageError(f"X has {rows:,} rows and y has {labels:,}.", hint="give one label per row.")


def _embedding(array: Any, key: str, origin: str) -> Column:
    if not array.shape[1]:
        raise UsageError(
            f"`{key}` of `{origin}` has shape {array.shape}, and no dimension to read.", hint="leave it out."
        )
    return Column.embedding(array)


def _columns(arrays: Mapping[str, Any], n: int, roles: Roles, origin: str) -> tuple[dict[str, Column], Roles]:
    """Every array of length n that is not the input, and the roles that the usual keys say."""
    columns: dict[str, Column] = {}
    for key, values in arrays.items():
        if key in _INPUTS or key == _NAMES:
            continue
        array = _array(values, key)
        if getattr(array, "ndim", 1) == 2 and array.shape[0] == n and array.dtype.kind in "fiu":
            if key == "scores":
                columns |= {f"scores_{j}": Column.number(array[:, j].astype(np.float32)) for j in range(array.shape[1])}
                roles = replace(roles, scores=tuple(f"scores_{j}" for j in range(array.shape[1])))
                continue
            columns[key] = _embedding(array, key, origin)
            continue
        if getattr(array, "ndim", 1) != 1 or len(array) != n:
            shape = array.shape if hasattr(array, "shape") else (len(array),)
            said = f"`{key}` of `{origin}` has shape {shape}; there are {n:,} rows."
            if getattr(array, "ndim", 1) == 2 and len(array) == n:
                said = f"`{key}` of `{origin}` holds values of the type `{array.dtype}`, expected numbers."
            raise UsageError(
                said, hint="keys are `images` or `inputs`, `label`, `prediction`, `scores`; others are columns."
            )
        columns[key] = column_from(values, name=key)
    return columns, roles


def _array(values: Any, key: str) -> Any:
    if hasattr(values, "codes"):
        return values
    try:
        return np.asarray(values)
    except ValueError as error:
        raise UsageError(f"`{key}` holds lists of different lengths.", hint="give one value per row.") from error


def _feature_names(arrays: Mapping[str, Any], inputs: NDArray[Any], *, taken: set[str]) -> tuple[str, ...]:
    if inputs.ndim != 2 or inputs.shape[1] > MOST_FEATURES:
        return ()
    if _NAMES in arrays:
        names = tuple(str(name) for name in np.asarray(arrays[_NAMES]).tolist())
        if len(names) != inputs.shape[1] or len(set(names) | taken) < len(names) + len(taken):
            raise UsageError(
                f"`feature_names` has {len(names)} names for {inputs.shape[1]} inputs, or names repeat.",
                hint="one name per column of `inputs`, each once.",
            )
        return names
    prefix = "x" if not any(f"x{j}" in taken for j in range(inputs.shape[1])) else "input_"
    return tuple(f"{prefix}{j}" for j in range(inputs.shape[1]))
