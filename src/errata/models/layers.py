"""What a layer gives, as one vector per input: maps and sequences are averaged over their places."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.errors import CannotRunError

__all__ = ["no_layer", "pooled"]


def pooled(values: NDArray[Any], rows: int, *, features: int) -> NDArray[np.float32]:
    """(rows, d) float32 from (rows, ...) whose axis `features` holds the d features; the other axes are averaged.

    Raises CannotRunError where the first axis is not the inputs.
    """
    array = np.asarray(values)
    if rows == 1 and (array.ndim < 2 or array.shape[0] != 1):
        array = array[None]  # some graphs drop the axis of a batch of one
    if array.ndim < 2 or len(array) != rows:
        raise CannotRunError(
            f"The layer gave an array of shape `{array.shape}` for {rows} inputs, expected one row per input.",
            hint="name another layer.",
        )
    moved = np.moveaxis(array, features, -1)
    flat = moved.reshape(rows, -1, moved.shape[-1])
    means = flat[:, 0] if flat.shape[1] == 1 else flat.mean(axis=1, dtype=np.float64)
    return np.ascontiguousarray(means, dtype=np.float32)


def no_layer(name: str) -> CannotRunError:
    """The error for a model whose last linear layer is not to be found."""
    return CannotRunError(f"`{name}` shows no linear layer before its scores.", hint="name a layer of it.")
