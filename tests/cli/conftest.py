"""The command line in this process, in an empty folder of its own, and a run that others may look at."""

from __future__ import annotations

import importlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from errata.cli.edge import run as run_words
from errata.testing import planted

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Ran:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def defects():
    """A world with one planted region; its first half is diagnosed, its second half is fresh."""
    return planted("intersection", n=3_000, share=0.1, seed=3)


@pytest.fixture
def place(tmp_path, monkeypatch, defects) -> Path:
    """An empty folder with `first.csv` and `fresh.csv`, where the command runs; nothing of the user's is seen."""
    for name in [name for name in os.environ if name.startswith("ERRATA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ERRATA_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("ERRATA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "100")
    folder = tmp_path / "place"
    folder.mkdir()
    frame = defects.to_frame()
    frame.iloc[:1800].to_csv(folder / "first.csv", index=False)
    frame.iloc[1800:].to_csv(folder / "fresh.csv", index=False)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def errata(place, capsys):
    """Runs `errata WORDS` and gives exit code and output."""

    def ran(*words: object) -> Ran:
        capsys.readouterr()
        code = run_words([str(word) for word in words])
        printed = capsys.readouterr()
        return Ran(code=code, out=printed.out, err=printed.err)

    return ran


@pytest.fixture
def diagnose(errata):
    """Runs `errata diagnose first.csv` with one quick method."""

    def ran(*more: object) -> Ran:
        return errata(
            "diagnose", "first.csv", "--label", "label", "--prediction", "prediction", "--methods", "error_tree", *more
        )

    return ran


@pytest.fixture
def instead(monkeypatch):
    """Puts another function in the place of `errata.diagnose`, for one test."""

    def put(function) -> None:
        # The attribute `errata.diagnose` is the function; the module of that name is found by its path.
        monkeypatch.setattr(importlib.import_module("errata.diagnose"), "diagnose", function)

    return put


@pytest.fixture(scope="session")
def saved_run(tmp_path_factory, defects) -> Path:
    """A run of the first half, made once."""
    import errata

    folder = tmp_path_factory.mktemp("saved")
    errata.diagnose(
        defects.to_frame().iloc[:1800], label="label", prediction="prediction", methods=["error_tree"],
        out=folder / "run", state=folder / "state",
    )  # fmt: skip
    return folder / "run"


@pytest.fixture
def run(place, saved_run) -> Path:
    """A copy of that run, as `run/`."""
    shutil.copytree(saved_run, place / "run")
    return Path("run")
