"""k-means by matrix products: greedy k-means++ on a sample, then Lloyd's rounds over all rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Clusters", "kmeans"]

_BLOCK = 8_192
_SEEDED = 6_000
"""Rows on which the first centres are chosen: k-means++ is a pass per centre, and a sample knows the shape."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Clusters:
    """Centres and who belongs to them.

    centres   (k, p) float64
    assigned  (n,) int64, the nearest centre of each row
    inertia   sum of the squared distances to it
    """

    centres: NDArray[np.float64]
    assigned: NDArray[np.int64]
    inertia: float


def kmeans(values: NDArray[Any], k: int, *, rng: np.random.Generator, rounds: int = 30, tol: float = 1e-4) -> Clusters:
    """At most `k` clusters of the rows of values (n, p); fewer where there are fewer distinct rows.

    Stops after `rounds`, or when the centres move by less than `tol` of the values' variance, as usual.

    Reference: D. Arthur and S. Vassilvitskii, "k-means++: The Advantages of Careful Seeding", SODA 2007.
    """
    assert len(values) and k >= 1
    rows = np.ascontiguousarray(values)
    middle = rows.mean(axis=0, dtype=np.float64).astype(rows.dtype)
    rows = rows - middle  # distances by products lose digits far from the origin
    sample = rows if len(rows) <= _SEEDED else rows[np.sort(rng.choice(len(rows), _SEEDED, replace=False))]
    centres = _seeds(sample, min(k, len(sample)), rng)
    if len(sample) < len(rows):
        centres = _lloyd(sample, centres, rounds=rounds, tol=tol).centres.astype(rows.dtype)
    found = _lloyd(rows, centres, rounds=rounds if len(sample) == len(rows) else 1, tol=tol)
    return Clusters(centres=found.centres + middle.astype(np.float64), assigned=found.assigned, inertia=found.inertia)


def _seeds(rows: NDArray[Any], k: int, rng: np.random.Generator) -> NDArray[Any]:
    """First centres: each the best of a few rows drawn by their squared distance to the ones before."""
    norms = np.einsum("ij,ij->i", rows, rows)
    chosen = [int(rng.integers(len(rows)))]
    nearest = _squared(rows, norms, rows[chosen])[:, 0]
    for _ in range(1, k):
        total = nearest.sum(dtype=np.float64)
        if total <= 0.0:
            break
        drawn = np.searchsorted(np.cumsum(nearest, dtype=np.float64), rng.random(2 + int(np.log(k))) * total)
        tried = np.minimum(drawn, len(rows) - 1)
        after = np.minimum(nearest[:, None], _squared(rows, norms, rows[tried]))
        best = int(after.sum(axis=0, dtype=np.float64).argmin())
        chosen.append(int(tried[best]))
        nearest = after[:, best]
    return rows[chosen]


def _squared(rows: NDArray[Any], norms: NDArray[Any], centres: NDArray[Any]) -> NDArray[Any]:
    away = rows @ (-2.0 * centres).T
    away += norms[:, None]
    away += np.einsum("ij,ij->i", centres, centres)
    return np.asarray(np.maximum(away, 0.0, out=away))


def _lloyd(rows: NDArray[Any], centres: NDArray[Any], *, rounds: int, tol: float) -> Clusters:
    enough = tol * float(rows.var(axis=0, dtype=np.float64).mean())
    now = centres.astype(rows.dtype)
    for _ in range(rounds):
        sums, counts, _, _ = _assign(rows, now)
        moved = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1.0)[:, None], now).astype(rows.dtype)
        shift = float(np.square(moved - now, dtype=np.float64).sum())
        now = moved
        if shift <= enough:
            break
    _, counts, assigned, inertia = _assign(rows, now)
    # Centres that nobody is nearest to (equal rows) are dropped.
    kept = counts > 0
    place = np.cumsum(kept) - 1
    return Clusters(centres=now[kept].astype(np.float64), assigned=place[assigned], inertia=inertia)


def _assign(
    rows: NDArray[Any], centres: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], float]:
    """Per centre the sum and the number of its rows, per row its centre, and the inertia."""
    sums = np.zeros(centres.shape)
    counts = np.zeros(len(centres))
    assigned = np.empty(len(rows), dtype=np.int64)
    inertia = 0.0
    half = 0.5 * np.einsum("ij,ij->i", centres, centres)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        near = block @ centres.T
        near -= half
        nearest = near.argmax(axis=1)
        best = np.take_along_axis(near, nearest[:, None], axis=1)[:, 0]
        norms = np.einsum("ij,ij->i", block, block)
        inertia += float(np.maximum(norms - 2.0 * best, 0.0).sum(dtype=np.float64))
        member = np.zeros((len(centres), len(block)), dtype=rows.dtype)
        member[nearest, np.arange(len(block))] = 1.0
        sums += member @ block
        counts += np.bincount(nearest, minlength=len(centres))
        assigned[start : start + _BLOCK] = nearest
    return sums, counts, assigned, inertia
