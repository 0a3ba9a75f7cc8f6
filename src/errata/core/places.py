"""Folders of the user's that Errata keeps things in: by variable, else where the platform puts such things."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["cache_folder", "state_folder"]


def state_folder() -> Path:
    """Where the user's state lies: ERRATA_STATE, else the platform's folder for it.

    Raises OSError when there is no home folder to put it in.
    """
    return _place("ERRATA_STATE", xdg="XDG_STATE_HOME", linux=(".local", "state"), mac="Application Support")


def cache_folder() -> Path:
    """Where lies what can be computed again: ERRATA_CACHE, else the platform's folder for it.

    Raises OSError when there is no home folder to put it in.
    """
    place = _place("ERRATA_CACHE", xdg="XDG_CACHE_HOME", linux=(".cache",), mac="Caches")
    # Windows has one folder for both.
    return place / "cache" if sys.platform == "win32" and not os.environ.get("ERRATA_CACHE") else place


def _place(variable: str, *, xdg: str, linux: tuple[str, ...], mac: str) -> Path:
    if os.environ.get(variable):
        return Path(os.environ[variable])
    try:
        home = Path.home()
    except RuntimeError as error:
        raise OSError("no home folder") from error
    if sys.platform == "darwin":
        return home / "Library" / mac / "errata"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "errata"
    return Path(os.environ.get(xdg) or home.joinpath(*linux)) / "errata"
