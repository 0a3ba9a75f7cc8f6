"""Inputs that are no table: pictures, arrays, texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Int
from errata.core.dataset import Modality
from errata.core.hashing import Hashes
from errata.core.model import Inputs

__all__ = ["Content"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Content:
    """Inputs that are no table: how to read a batch, one picture where there are any, and a hash of the bytes."""

    modality: Modality
    content_hash: Hashes
    read: Callable[[Int], Inputs]
    image: Callable[[int], NDArray[np.uint8]] | None = None
