"""What fitting an encoder leaves behind: plain settings and arrays, so that it can be saved and applied again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Level

__all__ = ["Encoded", "Fitted"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """Settings and fitted arrays of an encoder."""

    options: Mapping[str, Level] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def fingerprint(self, kind: str, *, version: int) -> str:
        """Sixteen hexadecimal digits of the kind, the version of its code, the settings and the arrays."""
        digest = hashlib.blake2b(f"{kind} {version} {sorted(self.options.items())}".encode(), digest_size=8)
        for name, array in sorted(self.arrays.items()):
            digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoded:
    """An encoder as fitted on some rows, and what it makes of all: (n, d) float32."""

    fitted: Fitted
    values: NDArray[np.float32]

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it as plain arrays, to be kept in a file."""
        options = json.dumps(dict(self.fitted.options), sort_keys=True)
        return {"values": self.values, "options": np.array(options)} | {
            f"fitted:{name}": array for name, array in self.fitted.arrays.items()
        }

    @staticmethod
    def of(arrays: Mapping[str, NDArray[Any]]) -> Encoded:
        """What `arrays` was made from."""
        fitted = {name.removeprefix("fitted:"): array for name, array in arrays.items() if name.startswith("fitted:")}
        return Encoded(
            fitted=Fitted(options=json.loads(str(arrays["options"])), arrays=fitted), values=arrays["values"]
        )
