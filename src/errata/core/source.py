"""Where a computed column comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from errata.core.columns import Level

__all__ = ["Source"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """How a column was computed, so that a saved run can be applied to new data.

    kind         what computes it, such as "image attributes"
    options      its settings
    columns      the names of the columns it gives
    files        files in the run directory it needs, relative
    fingerprint  of code version, options and arrays, hexadecimal
    arrays       what was fitted on explore rows, by name; saved beside the record, as `sources/*.npz`
    """

    kind: str
    columns: tuple[str, ...]
    options: Mapping[str, Level] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    fingerprint: str = ""
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict, compare=False)

    def to_json(self) -> Mapping[str, Any]:
        """Everything but the arrays as plain values."""
        return {
            "kind": self.kind, "columns": list(self.columns), "options": dict(self.options), "files": list(self.files),
            "fingerprint": self.fingerprint,
        }  # fmt: skip
