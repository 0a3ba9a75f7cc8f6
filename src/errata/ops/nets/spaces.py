"""How splitters and heads read an embedding: standardised, and projected on its main directions where it is wide."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.embedded import Space

__all__ = ["fit_space"]

_ROWS = 4_000
"""Rows that the main directions are taken from; they change little with more."""


def fit_space(values: NDArray[Any], *, most: int = 128, rng: np.random.Generator) -> Space:
    """The space of (n, d) values without NaN: centred, each dimension at variance one, at most `most` directions.

    Dimensions that never vary become zero. The directions are scaled together so that their mean variance is one.
    """
    read = np.asarray(values, dtype=np.float64)
    centre = read.mean(axis=0)
    scale = read.std(axis=0)
    scale[scale < 1e-9 * max(1.0, float(np.abs(centre).max(initial=0.0)))] = 0.0
    plain = Space(centre=centre, scale=scale)
    if read.shape[1] <= most:
        return plain
    some = read if len(read) <= _ROWS else read[rng.choice(len(read), _ROWS, replace=False)]
    directions, spread = _main_directions(plain(some), min(most, len(some)), rng)
    size = float(np.sqrt((spread**2).mean())) if len(spread) else 1.0
    return Space(centre=centre, scale=scale, axes=directions / max(size, 1e-12))


def _main_directions(
    values: NDArray[np.float64], count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(d, count) main directions and (count,) standard deviations, by random projection and two power steps."""
    sketch = values @ rng.normal(size=(values.shape[1], min(count + 10, *values.shape)))
    for _ in range(2):
        sketch = values @ (values.T @ np.linalg.qr(sketch)[0])
    basis = np.linalg.qr(sketch)[0]
    _, singular, right = np.linalg.svd(basis.T @ values, full_matrices=False)
    return right[:count].T, singular[:count] / np.sqrt(len(values))
