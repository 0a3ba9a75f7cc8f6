"""The edge of the program: every way in which a command can end, as an exit code and at most a few lines of words."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import click

from errata.cli.codes import CANNOT_RUN, INTERRUPTED, USAGE
from errata.core.errors import ErrataError

__all__ = ["run"]


def run(words: Sequence[str]) -> int:
    """Run one command and give its exit code; nothing that goes wrong shows a traceback."""
    from errata.cli.app import app
    from errata.cli.terminal import complain

    began = time.time()
    # What a method raised stands in the run; Python's handler of last resort would print its traceback as well.
    logging.getLogger("errata").addHandler(logging.NullHandler())
    try:
        with app.make_context("errata", list(words)) as context:
            code = app.invoke(context)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        complain(_explained(error))
        return USAGE
    except ErrataError as error:
        complain(str(error))
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        complain(_interrupted(words, began))
        return INTERRUPTED
    except SystemExit as end:
        # Taken for our own exit code, a model that calls sys.exit(0) would pass every gate.
        complain(f"The model's code called `sys.exit({end.code})`.\nHint: let it raise an error instead.")
        return CANNOT_RUN
    except BrokenPipeError:
        # Whoever read our output has seen enough; what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError:
        complain("The memory is full.\nHint: give fewer rows or columns (--ignore), or a Parquet file.")
        return CANNOT_RUN
    except Exception as error:
        complain(_our_bug(error))
        return CANNOT_RUN


def _explained(error: click.ClickException) -> str:
    """A usage error of the parser with what was expected."""
    message = error.format_message()
    context = getattr(error, "ctx", None)
    verb = "errata" if context is None else context.command_path
    return message if "Hint:" in message else f"{message}\nHint: `{verb} --help` shows what there is."


def _interrupted(words: Sequence[str], since: float) -> str:
    kept = _kept(words, since)
    if kept is None:
        return "Interrupted; nothing was written."
    return f"Interrupted; what was computed so far is kept in `{kept}`.\nHint: the same command goes on from there."


def _kept(words: Sequence[str], since: float) -> Path | None:
    """The folder with blocks of predictions that this call left behind."""
    named = [Path(after) for word, after in pairwise(words) if word == "--out"]
    named += [Path(word.removeprefix("--out=")) for word in words if word.startswith("--out=")]
    for folder in named or sorted(Path("errata-runs").glob("*")):
        partial = folder / ".partial"
        if partial.is_dir() and any(entry.stat().st_mtime >= since - 1 for entry in partial.rglob("*")):
            return folder
    return None


def _our_bug(error: Exception) -> str:
    """One line for an error that nobody foresaw; the traceback goes to a file."""
    what = f"{type(error).__name__}: {error}".partition("\n")[0]
    try:
        handle, name = tempfile.mkstemp(prefix="errata-error-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write("".join(traceback.format_exception(error)))
    except OSError:
        return f"This is an error in Errata itself: {what}"
    return f"This is an error in Errata itself: {what} (written down in {name})"
