"""How commands end: one table of exit codes, and never a traceback."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

SRC = str(Path(__file__).resolve().parents[2] / "src")
ERRATA = [sys.executable, "-m", "errata"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("", 0, ""),
        ("--help", 0, ""),
        ("--version", 0, ""),
        ("methods", 0, ""),
        ("methods error_tree", 0, ""),
        ("methods error_tre", 2, "did you mean `error_tree`"),
        ("diagnos first.csv", 2, "did you mean `diagnose`"),
        ("nothing-like-it", 2, "neither a verb nor a run"),
        ("place/", 2, "is no run"),
        ("report nowhere", 2, "is no run"),
        ("report", 2, "Missing argument"),
        ("diagnose", 2, "Missing argument"),
        ("diagnose first.csv --lable label", 2, "--label"),
        ("diagnose nowhere.csv --methods error_tree", 2, "nowhere.csv"),
        ("diagnose first.csv --methods error_tree --label labell", 2, "did you mean `label`"),
        ("diagnose first.csv --alpha 2", 2, "--alpha"),
        ("diagnose first.csv --alpha", 2, "--alpha"),
        ("diagnose first.csv --shares 50/60/0", 2, "add up to"),
        ("diagnose first.csv --set depth=3", 2, "METHOD.OPTION=VALUE"),
        ("diagnose first.csv --budget soon", 2, "90s, 5m, 1h"),
        ("diagnose first.csv --fail-on never", 2, "`any`, or a difference"),
        ("diagnose first.csv --metric errors", 2, "--metric"),
        ("diagnose first.csv --proof crossed", 2, "crossed"),
        ("diagnose first.csv --multiplicity holms", 2, "holms"),
        ("diagnose first.csv --text note", 2, "no column `note`"),
        ("diagnose first.csv --methods error_tre", 2, "did you mean `error_tree`"),
        ("diagnose first.csv --methods error_tree --model nowhere.onnx", 2, "nowhere.onnx"),
        ("diagnose first.csv --out first.csv", 2, "is a file"),
        ("diagnose first.csv --out .", 2, "is not empty"),
        ("explain run", 2, "nothing to explain"),
        ("explain run --finding zz", 2, "no finding"),
        ("explain run --id zz", 2, "no row"),
        ("explain run --heatmap agee", 2, "did you mean"),
        ("explain run --heatmap age,city,income", 2, "one or two"),
        ("export run", 2, "--as"),
        ("export run --as html", 2, "--as"),
        ("export run --as pytest --out nowhere/x.py", 3, "cannot be written"),
        ("check run nowhere.csv", 2, "nowhere.csv"),
        ("check run first.csv", 2, "no fresh rows"),
        ("check run fresh.csv", 0, ""),
        ("check run fresh.csv --fail-on any", 1, ""),
        ("check run fresh.csv --fail-on 0.99", 0, ""),
        ("report run run", 2, "--out"),
    ],
)
def test_exit_codes(errata, run, words, code, said):
    done = errata(*words.split())
    assert done.code == code, done.err
    assert said in done.err
    assert "Traceback" not in done.out + done.err
    if code >= 2:
        assert done.err.startswith("errata: ")
        assert "Hint:" in done.err
        assert done.out == ""


def test_a_bug_of_ours_is_one_line_and_a_file(diagnose, instead):
    instead(lambda *given, **named: 1 / 0)
    done = diagnose()
    assert done.code == 3
    assert done.err.count("\n") == 1
    assert "ZeroDivisionError" in done.err
    path = Path(re.search(r"written down in (.+)\)", done.err)[1])
    assert "Traceback" in path.read_text()
    assert "1 / 0" in path.read_text()
    path.unlink()


def test_a_full_memory_is_no_bug_of_ours(diagnose, instead):
    def full(*given, **named):
        raise MemoryError

    instead(full)
    done = diagnose()
    assert done.code == 3
    assert "Hint:" in done.err


def environment(place: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ERRATA_")}
    return kept | {"PYTHONPATH": SRC, "ERRATA_STATE": str(place / "state"), "OMP_NUM_THREADS": "1"}


def test_a_reader_that_leaves_early_is_fine(place, run):
    words = [*ERRATA, "explain", str(run), "--heatmap", "age,income"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(place), cwd=place, bufsize=0
    ) as process:
        process.stdout.close()
        said = process.stderr.read().decode()
        process.wait(timeout=60)
    assert said == ""
    assert process.returncode == 0


SLOW = """
import time
def predict(frame):
    if len(frame) > 1:
        print("here", flush=True)
        time.sleep(60)
    return ["no"] * len(frame)
"""


@pytest.fixture
def slow(place) -> list[str]:
    """A call whose model answers single rows and hangs on batches."""
    (place / "slow.py").write_text(textwrap.dedent(SLOW))
    return [*ERRATA, "diagnose", "first.csv", "--label", "label", "--model", "slow:predict", "--ignore", "prediction",
            "--methods", "error_tree", "--out", "run"]  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_stopped_run_is_no_run_and_the_same_command_finishes_it(place, slow, sent, code):
    with subprocess.Popen(
        slow, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(place), cwd=place, text=True
    ) as process:
        assert process.stdout.readline() == "here\n"
        time.sleep(0.2)
        os.kill(process.pid, sent)
        _, said = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in said
    assert not (place / "run" / "run.json").exists()
    if sent == signal.SIGINT:
        assert said.startswith("errata: Interrupted")
    shown = subprocess.run(
        [*ERRATA, "run/"], capture_output=True, text=True, env=environment(place), cwd=place, check=False
    )
    assert shown.returncode == 2
    (place / "slow.py").write_text("def predict(frame):\n    return ['no'] * len(frame)\n")
    again = subprocess.run(slow, capture_output=True, text=True, env=environment(place), cwd=place, check=False)
    assert again.returncode == 0, again.stderr
    assert (place / "run" / "run.json").exists()
    assert not (place / "run" / ".partial").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits")
@pytest.mark.parametrize("limit", [4_000, 40_000])
def test_a_disk_that_fills_ends_with_3_and_a_hint(place, limit):
    body = (
        f"import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
        "from errata.cli import main; main(sys.argv[1:])"
    )
    words = [sys.executable, "-c", body, "diagnose", "first.csv", "--label", "label", "--methods", "error_tree"]
    done = subprocess.run(words, capture_output=True, text=True, env=environment(place), cwd=place, check=False)
    assert done.returncode == 3, done.stderr
    assert "could not be written" in done.stderr
    assert "Hint:" in done.stderr
    assert not list(place.glob("errata-runs/*/run.json"))
    assert not list(place.glob("errata-runs/**/*.parquet"))


def test_json_of_the_run_on_disk_is_plain_json(run):
    for path in Path(run).rglob("*.json"):
        json.loads(path.read_text(), parse_constant=lambda word: pytest.fail(f"{word} in a file"))
