"""Work spread over processes: in order, as asked for, never lost, and never by running the user's script again."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

import pytest

import errata
from errata.engine import pool
from errata.engine.pool import each


@dataclass(frozen=True)
class Slow:
    """Tells its number and the process that worked it out, after a moment."""

    seconds: float = 0.05

    def __call__(self, number: int) -> tuple[int, int]:
        time.sleep(self.seconds)
        return number, os.getpid()


MAIN = os.getpid()


def test_short_work_stays_here() -> None:
    found = list(each(Slow(seconds=0.0), range(30), workers=2))
    assert found == [(number, MAIN) for number in range(30)]


def test_long_work_is_spread_and_comes_in_order() -> None:
    found = list(each(Slow(), range(20), workers=2))
    assert [number for number, _ in found] == list(range(20))
    assert all(process == MAIN for _, process in found[: pool.ALONE])
    assert MAIN not in {process for _, process in found[pool.ALONE :]}


def test_who_stops_asking_waits_for_nobody() -> None:
    asked = each(Slow(), count(), workers=2)
    assert [number for number, _ in islice(asked, 12)] == list(range(12))
    asked.close()  # type: ignore[attr-defined]


def test_a_worker_that_dies_loses_no_result() -> None:
    found = [number for number, _ in each(_Dies(on=13, main=MAIN), range(16), workers=2)]
    assert found == list(range(16))


@dataclass(frozen=True)
class _Dies:
    """Ends the process on one number, unless it is the first process."""

    on: int
    main: int

    def __call__(self, number: int) -> tuple[int, int]:
        if number == self.on and os.getpid() != self.main:
            os._exit(1)
        time.sleep(0.05)
        return number, os.getpid()


def test_what_cannot_be_sent_stays_here() -> None:
    lock = threading.Lock()

    def task(number: int) -> int:
        with lock:
            time.sleep(0.05)
            return os.getpid()

    assert set(each(task, range(12), workers=2)) == {MAIN}


def test_errors_come_through() -> None:
    with pytest.raises(ZeroDivisionError):
        list(each(_broken, range(12), workers=2))


def _broken(number: int) -> float:
    time.sleep(0.05)
    return 1 / (10 - number)


SCRIPT = """
import sys, time
sys.path.insert(0, {folder!r})
print("script runs")
from worked import task
from errata.engine.pool import each
print(sum(each(task, range(12), workers=2)))
"""


def test_a_script_needs_no_guard(tmp_path: Path) -> None:
    (tmp_path / "worked.py").write_text("import time\ndef task(number):\n    time.sleep(0.05)\n    return number\n")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(folder=str(tmp_path)))
    source = str(Path(errata.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([source, str(tmp_path)])}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split("\n")[:2] == ["script runs", "66"]
