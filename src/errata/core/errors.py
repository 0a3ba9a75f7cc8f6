"""What can go wrong, as a tree.

ErrataError
├── UsageError        wrong usage or input                        exit 2
├── CannotRunError    the run itself could not be done            exit 3
├── StoppedError      the model cannot be asked any more          exit 3
└── MissingExtraError a feature needs a package that is not here  exit 3
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
from difflib import get_close_matches
from types import ModuleType

__all__ = ["CannotRunError", "ErrataError", "MissingExtraError", "StoppedError", "UsageError", "nearest", "require"]


class ErrataError(Exception):
    """Anything Errata refuses or fails to do; `exit_code` is what the command line ends with."""

    exit_code = 3

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message}\nHint: {hint}")
        self.hint = hint


class UsageError(ErrataError):
    """The call or the data cannot be used as given."""

    exit_code = 2


class CannotRunError(ErrataError):
    """The call is right, but the model, the disk or a method failed."""


class StoppedError(ErrataError):
    """The model cannot be asked about any row any more: its server is gone, or the calls it was allowed are spent."""


class MissingExtraError(ErrataError):
    """An optional package is needed for what was asked."""


def nearest(word: str, known: Iterable[str], *, most: int = 3) -> str:
    """A hint that offers the names closest to `word`, or lists the known ones when none is close."""
    names = [str(name) for name in known]
    lowered = {name.lower(): name for name in reversed(names)}
    close = [lowered[name] for name in get_close_matches(word.lower(), list(lowered), n=most, cutoff=0.5)]
    if close:
        return "did you mean " + " or ".join(f"`{name}`" for name in close) + "?"
    shown = ", ".join(f"`{name}`" for name in names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return f"known are {shown}." if names else "there are none."


def require(package: str, *, feature: str, extra: str | None = None) -> ModuleType:
    """Import an optional package, or say which feature needs it and how to install it.

    Raises MissingExtraError when the package is not installed.
    """
    if importlib.util.find_spec(package.partition(".")[0]) is None:
        install = f"pip install 'errata[{extra}]'" if extra else f"pip install {package}"
        raise MissingExtraError(f"{feature} needs the package `{package}`, which is not installed.", hint=install)
    return importlib.import_module(package)
