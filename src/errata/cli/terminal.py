"""What the command line says: results on stdout, everything else on stderr, progress only where somebody watches."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from errata.core.diagnosis import Diagnosis

__all__ = ["Progress", "Speaker", "complain", "harmless", "program", "tell"]

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

PLAIN_WIDTH = 100
PATIENCE = 2.0
"""Seconds before a bar appears: what is done sooner needs none."""


def complain(message: str) -> None:
    """An error, on stderr."""
    click.echo(harmless(f"errata: {message}"), err=True)


def harmless(text: str) -> str:
    """The text without control characters, with which a name in the data could command the terminal."""
    return _CONTROL.sub("�", text)


def program() -> str:
    """What to type for this program: `errata` where the shell finds it, else as it was called, seen from here."""
    called = Path(sys.argv[0])
    if shutil.which("errata"):
        return "errata"
    if called.name == "__main__.py" and called.parent.name == "errata":
        return "python -m errata"
    if not called.name.startswith("errata") or not called.is_file():
        return "errata"
    here = Path.cwd()
    return shlex.quote(str(called.relative_to(here) if called.is_relative_to(here) else called))


def tell(message: str, *, quiet: bool = False) -> None:
    """Something that is not the result, on stderr."""
    if not quiet:
        click.echo(message, err=True)


class Speaker:
    """Prints results on stdout, unless quiet."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet

    def say(self, text: str = "") -> None:
        """One line, or several."""
        if not self.quiet:
            click.echo(harmless(text))

    def show(self, diagnosis: Diagnosis) -> None:
        """The summary of a run: with colours in a terminal, plain in a pipe."""
        if self.quiet:
            return
        from errata.report.terminal import plain_summary, summary

        if not sys.stdout.isatty():
            click.echo(plain_summary(diagnosis, width=PLAIN_WIDTH))
            return
        from rich.console import Console

        console = Console()
        # Rich ends the process when a pipe breaks; that is for the edge to decide.
        with console.capture() as text:
            console.print(summary(diagnosis))
        click.echo(text.get(), color=True)


class Progress:
    """A bar with the time left, on stderr, once something takes longer than two seconds and a terminal shows it."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._watched = not quiet and sys.stderr.isatty()
        self._began = time.monotonic()
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __call__(self, share: float, words: str) -> None:
        if not self._watched or time.monotonic() - self._began < PATIENCE:
            return
        if self._bar is None:
            self._bar = self._start()
        assert self._task is not None
        self._bar.update(self._task, completed=min(max(share, 0.0), 1.0), description=words)

    def _start(self) -> Bar:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        bar = Bar(
            BarColumn(bar_width=30), TextColumn("{task.percentage:>3.0f} %"), TimeRemainingColumn(compact=True),
            TextColumn("{task.description}", markup=False),
            console=Console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False,
            speed_estimate_period=600.0,
        )  # fmt: skip
        self._task = bar.add_task("", total=1.0)
        bar.start()
        return bar

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
