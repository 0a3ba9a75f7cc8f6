"""What code of the user's raised, in one line: importing a module or opening a file can raise anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from errata.core.errors import ErrataError, UsageError

__all__ = ["told"]

_LONGEST = 300


@contextmanager
def told(what: str, *, hint: str) -> Iterator[None]:
    """Turns whatever is raised inside into a UsageError that begins with `what`; our own errors pass as they are."""
    try:
        yield
    except ErrataError:
        raise
    except (Exception, SystemExit) as error:  # a module that ends the program would set our exit code
        said = " ".join(str(error).split())[:_LONGEST].rstrip(".")
        raise UsageError(f"{what}: {type(error).__name__}{f': {said}' if said else ''}.", hint=hint) from error
