"""Progress is shown to people, late, and nowhere else."""

from __future__ import annotations

import io
import sys

import pytest

from errata.cli import terminal
from errata.cli.terminal import Progress, Speaker, program


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """A terminal in the place of stderr; called in the test itself, because pytest puts its own there before each."""
    shown = Screen()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(terminal, "PATIENCE", 0.0)
    return shown


def test_a_bar_shows_what_is_done_in_a_terminal(monkeypatch):
    shown = screen(monkeypatch)
    with Progress() as progress:
        progress(0.5, "predicting")
    assert "50 %" in shown.getvalue()
    assert "predicting" in shown.getvalue()


def test_no_bar_for_what_is_quick(monkeypatch):
    shown = screen(monkeypatch)
    monkeypatch.setattr(terminal, "PATIENCE", 60.0)
    with Progress() as progress:
        progress(0.5, "predicting")
    assert shown.getvalue() == ""


def test_no_bar_when_quiet_or_in_a_pipe(monkeypatch):
    shown = screen(monkeypatch)
    with Progress(quiet=True) as progress:
        progress(0.5, "predicting")
    assert shown.getvalue() == ""
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    with Progress() as progress:
        progress(0.5, "predicting")
    assert pipe.getvalue() == ""


def test_words_of_the_data_are_no_markup(monkeypatch):
    shown = screen(monkeypatch)
    with Progress() as progress:
        progress(0.1, "[red]predicting[/red]")
    assert "[red]predicting" in shown.getvalue()


def test_a_quiet_speaker_says_nothing(capsys):
    Speaker(quiet=True).say("something")
    assert capsys.readouterr().out == ""
    Speaker().say("something")
    assert capsys.readouterr().out == "something\n"


def test_what_to_type_next_works_where_the_shell_does_not_find_the_program(monkeypatch, tmp_path):
    script = tmp_path / ".venv" / "bin" / "errata"
    script.parent.mkdir(parents=True)
    script.touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    for called in (script, script.relative_to(tmp_path)):
        monkeypatch.setattr(sys, "argv", [str(called), "demo"])
        assert program() == ".venv/bin/errata"
    monkeypatch.chdir(script.parent.parent)
    monkeypatch.setattr(sys, "argv", [str(script), "demo"])
    assert program() == "bin/errata"
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "errata" / "__main__.py"), "demo"])
    assert program() == "python -m errata"
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent))
    assert program() == "errata"
