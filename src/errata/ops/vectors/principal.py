"""Principal axes of an embedding: exact by the covariance, or from random projections where it is very wide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PrincipalAxes", "principal_axes"]

_BLOCK = 16_384
_ROWS = 4_096
"""Rows that always count; of more than eight per dimension a random part does."""
_EXACT = 1_024
"""Widths up to here are solved through the covariance: one product, where random projections need five."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PrincipalAxes:
    """The directions in which rows differ most.

    centre    (d,) float64, the mean of the rows
    axes      (d, p) float64, orthonormal columns, the largest variance first
    variance  (p,) float64, along each
    """

    centre: NDArray[np.float64]
    axes: NDArray[np.float64]
    variance: NDArray[np.float64]


def principal_axes(values: NDArray[Any], most: int, *, rng: np.random.Generator) -> PrincipalAxes:
    """At most `most` principal axes of values (n, d), fewer where rows or dimensions are; constant ones are left out.

    Reference: N. Halko, P.-G. Martinsson and J. A. Tropp, "Finding Structure with Randomness", SIAM Review, 2011, for
    embeddings of more than 1,024 dimensions.
    """
    d = values.shape[1]
    enough = max(_ROWS, 8 * d)
    # Axes from eight rows per dimension are those of all rows for every purpose here.
    values = values if len(values) <= enough else values[np.sort(rng.choice(len(values), enough, replace=False))]
    n = len(values)
    centre = values.mean(axis=0, dtype=np.float64)
    p = min(most, d, n - 1)
    if p < 1:
        return PrincipalAxes(centre=centre, axes=np.zeros((d, 0)), variance=np.zeros(0))
    exact = d <= _EXACT
    axes, variance = _exact(values, centre, p) if exact else _random(values, centre, p, rng)
    kept = variance > 1e-12 * max(float(variance[:1].sum()), 1e-300)
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    signs[signs == 0.0] = 1.0
    return PrincipalAxes(centre=centre, axes=(axes * signs)[:, kept], variance=variance[kept])


def _exact(values: NDArray[Any], centre: NDArray[np.float64], p: int) -> tuple[NDArray[np.float64], ...]:
    d = len(centre)
    product = np.zeros((d, d))
    for start in range(0, len(values), _BLOCK):
        block = _centred(values[start : start + _BLOCK], centre)
        product += block.T @ block
    variance, axes = np.linalg.eigh(product / max(len(values) - 1, 1))
    return axes[:, ::-1][:, :p], np.maximum(variance[::-1][:p], 0.0)


def _random(
    values: NDArray[Any], centre: NDArray[np.float64], p: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], ...]:
    d = len(centre)
    basis = rng.standard_normal((d, min(p + 10, d)))
    # Each round multiplies by the covariance, so that the small directions die out.
    for _ in range(4):
        basis = np.linalg.qr(basis)[0]
        image = np.zeros(basis.shape)
        for start in range(0, len(values), _BLOCK):
            block = _centred(values[start : start + _BLOCK], centre)
            image += block.T @ (block @ basis.astype(block.dtype))
        basis = image
    basis = np.linalg.qr(basis)[0]
    small = np.zeros((basis.shape[1], basis.shape[1]))
    for start in range(0, len(values), _BLOCK):
        shadow = _centred(values[start : start + _BLOCK], centre) @ basis
        small += shadow.T @ shadow
    variance, turn = np.linalg.eigh(small / max(len(values) - 1, 1))
    return basis @ turn[:, ::-1][:, :p], np.maximum(variance[::-1][:p], 0.0)


def _centred(block: NDArray[Any], centre: NDArray[np.float64]) -> NDArray[Any]:
    return np.asarray(block - centre.astype(block.dtype))
