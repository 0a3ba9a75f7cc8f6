"""The command line: parse, call the library, print."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(words: Sequence[str] | None = None) -> None:
    """Run one command and end the process with its exit code; `words` are the arguments, `sys.argv` when None."""
    from errata.cli.edge import run

    sys.exit(run(sys.argv[1:] if words is None else words))
