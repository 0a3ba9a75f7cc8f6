"""Where a computed column comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from errata.core.columns import Level

__all__ = ["Source"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """How a column was computed, so that a saved run can be applied to new data.

    kind         what computes it, such as "image attributes"
    options      its settings
    columns      the names of the columns it gives
    files        files in the run directory it needs, relative
    fingerprint  of code version, options and files, hexadecimal
    """

    kind: str
    columns: tuple[str, ...]
    options: Mapping[str, Level] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    fingerprint: str = ""
