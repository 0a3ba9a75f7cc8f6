"""A lock on a file that every process of a machine respects, on POSIX and on Windows."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

__all__ = ["locked"]

_PATIENCE = 10.0
_PAUSE = 0.05


def _try_lock(file: IO[bytes]) -> None:
    """Take the lock or raise OSError at once."""
    if sys.platform == "win32":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


def _unlock(file: IO[bytes]) -> None:
    if sys.platform == "win32":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
    else:
        import fcntl

        fcntl.flock(file.fileno(), fcntl.LOCK_UN)


@contextmanager
def locked(file: IO[bytes], *, patience: float = _PATIENCE) -> Iterator[None]:
    """Hold an open file for this process alone; the lock ends with the process, so a killed run leaves none behind.

    Raises OSError when another process keeps it for longer than `patience` seconds, or the disk knows no locks.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            _try_lock(file)
            break
        except (BlockingIOError, PermissionError):  # the second is how Windows says that somebody else holds it
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)
    try:
        yield
    finally:
        _unlock(file)
