"""A plane of an embedding in which a group of rows stands apart from the rest as far as it does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool

__all__ = ["plane"]

_STEPS = 20


def plane(values: NDArray[np.floating], member: Bool, *, rng: np.random.Generator) -> NDArray[np.float64]:
    """(n, 2) places: along the line from the rest's mean to the members', and along the widest direction across it.

    The picture is drawn to show the group: that its members lie on one side of it is how the plane was chosen, and no
    evidence. Rows with NaN lie at the middle.
    """
    known = np.nan_to_num(np.asarray(values, dtype=np.float64))
    known = known - known.mean(axis=0)
    if not len(known) or not known.any():
        return np.zeros((len(known), 2))
    inside = known[member].mean(axis=0) if member.any() else np.zeros(known.shape[1])
    across = inside - (known[~member].mean(axis=0) if not member.all() else 0.0)
    if not across.any():
        across = rng.standard_normal(known.shape[1])
    across = across / np.linalg.norm(across)
    left = known - np.outer(known @ across, across)
    up = rng.standard_normal(known.shape[1])
    for _ in range(_STEPS):
        up = left.T @ (left @ up)
        length = np.linalg.norm(up)
        if length < 1e-12:
            return np.column_stack([known @ across, np.zeros(len(known))])
        up = up / length
    return np.column_stack([known @ across, left @ up])
