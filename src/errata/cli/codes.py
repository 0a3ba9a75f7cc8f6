"""How a command can end: 0 done · 1 findings at or over `--fail-on` · 2 wrong usage or input · 3 could not run · 130
interrupted.
"""

from __future__ import annotations

__all__ = ["CANNOT_RUN", "FOUND", "INTERRUPTED", "USAGE"]

FOUND, USAGE, CANNOT_RUN, INTERRUPTED = 1, 2, 3, 130
