"""Arrays as an embedding: the model's inputs laid flat, standardised, and reduced to their principal components."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Int
from errata.core.model import Inputs
from errata.ops.encoders.fitted import Fitted

__all__ = ["VERSION", "encode", "fit"]

VERSION = 1
DIMENSIONS = 128
FIT_ROWS = 5_000
_BLOCK = 1_024
# A wider input is first summed with random signs into so many dimensions, which keeps its distances.
_WIDE = 4_096


def fit(read: Callable[[Int], Inputs], rows: Int, *, rng: np.random.Generator) -> Fitted:
    """The scale and the principal components among some rows (explore rows); d of at most `DIMENSIONS`."""
    chosen = np.sort(rng.choice(rows, size=min(len(rows), FIT_ROWS), replace=False))
    flat = _flat(read(chosen))
    arrays: dict[str, NDArray[Any]] = {}
    if flat.shape[1] > _WIDE:
        arrays["place"] = np.asarray(rng.integers(0, _WIDE, size=flat.shape[1]))
        arrays["sign"] = rng.choice(np.array([-1.0, 1.0], dtype=np.float32), size=flat.shape[1])
        flat = _folded(flat, arrays["place"], arrays["sign"])
    centre, scale = flat.mean(axis=0), flat.std(axis=0)
    scale[scale < 1e-6 * max(float(scale.max(initial=0.0)), 1e-12)] = 1.0
    standard = (flat - centre) / scale
    if min(standard.shape) <= DIMENSIONS:
        axes = np.linalg.svd(standard, full_matrices=False)[2].T
    else:
        # Leading directions by subspace iteration: a few products instead of a whole decomposition.
        axes = rng.standard_normal((standard.shape[1], DIMENSIONS + 16)).astype(np.float32)
        for _ in range(4):
            axes = np.linalg.qr(standard.T @ (standard @ axes))[0]
        axes = axes @ np.linalg.svd(standard @ axes, full_matrices=False)[2].T
        axes = axes[:, :DIMENSIONS]
    return Fitted(arrays={**arrays, "centre": centre, "scale": scale, "axes": np.asarray(axes, dtype=np.float32)})


def encode(read: Callable[[Int], Inputs], n: int, fitted: Fitted) -> NDArray[np.float32]:
    """(n, d) float32 embedding of all rows; a row with NaN in its inputs has NaN."""
    arrays = fitted.arrays
    found = np.empty((n, arrays["axes"].shape[1]), dtype=np.float32)
    for start in range(0, n, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, n))
        flat = _flat(read(rows))
        if "place" in arrays:
            flat = _folded(flat, arrays["place"], arrays["sign"])
        found[rows] = (flat - arrays["centre"]) / arrays["scale"] @ arrays["axes"]
    return found


def _flat(inputs: Inputs) -> NDArray[np.float32]:
    values = np.asarray(inputs, dtype=np.float32)
    return values.reshape(len(values), -1)


def _folded(flat: NDArray[np.float32], place: NDArray[Any], sign: NDArray[Any]) -> NDArray[np.float32]:
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(np.asarray(place)[order], prepend=-1))
    sums = np.add.reduceat((flat * sign)[:, order], starts, axis=1)
    folded = np.zeros((len(flat), _WIDE), dtype=np.float32)
    folded[:, np.asarray(place)[order][starts]] = sums
    return folded
