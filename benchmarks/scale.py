"""How long a whole diagnosis takes and how much memory it needs, as rows grow: predictions-only tables in Parquet.

    python benchmarks/scale.py                    every row of the table below, about twelve minutes
    python benchmarks/scale.py 1000000x50         one size

Each size is a fresh process of the command line, start-up, reading, report and run directory included. Memory is the
largest sum of resident memory over all of its processes. Half of the columns are noise by rule; a region of two
literals errs at 40 % against 12 % elsewhere, and the table says whether it was the first finding.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from errata.core.rules import Where

TABLE = Path(__file__).parent / "results" / "scale.md"
SIZES = ("6000x20", "50000x200", "100000x50", "250000x50", "500000x50", "1000000x50", "10000000x30")
PLANTED = Where.parse('amount > 70 and city = "cairo"')
CITIES = ("cairo", "lima", "oslo", "pune", "quito")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One run: wall-clock seconds, megabytes of resident memory at most, and what came first."""

    size: str
    seconds: float
    megabytes: float
    first: str
    overlap: float


def main() -> None:
    sizes = sys.argv[1:] or SIZES
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            rows.append(measure(size, Path(folder)))
            print(rows[-1], flush=True)
    if not sys.argv[1:]:
        TABLE.parent.mkdir(exist_ok=True)
        TABLE.write_text(table(rows))


def measure(size: str, folder: Path) -> Measured:
    """Write a table of this size, diagnose it in a process of its own, and read what the run says."""
    n, d = (int(part) for part in size.split("x"))
    path = folder / f"{size}.parquet"
    write(path, n, d)
    out = folder / f"run-{size}"
    command = [sys.executable, "-m", "errata", "diagnose", str(path), "--label", "y", "--prediction", "yhat",
               "--out", str(out), "--quiet"]  # fmt: skip
    environment = {**os.environ, "ERRATA_STATE": str(folder / "state")}
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environment)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, resident(process.pid))
        time.sleep(0.05)
    seconds = time.perf_counter() - began
    assert process.returncode == 0, f"errata ended with {process.returncode}"
    findings = json.loads((out / "findings.json").read_text())
    confirmed = [finding for finding in findings if finding["status"] == "confirmed"]
    first = confirmed[0]["rule"]["text"] if confirmed else "nothing"
    path.unlink()
    return Measured(size=size, seconds=seconds, megabytes=peak, first=first, overlap=overlap(first))


def write(path: Path, n: int, d: int, *, block: int = 500_000) -> None:
    """A table of d columns beside label and prediction, written in blocks so that making it needs little memory."""
    rng = np.random.default_rng(0)
    writer = None
    for start in range(0, n, block):
        rows = min(block, n - start)
        columns: dict[str, pa.Array] = {
            "amount": pa.array(np.round(rng.uniform(0, 100, rows), 2)),
            "city": pa.array(np.array(CITIES)[rng.integers(0, len(CITIES), rows)]),
        }
        for index in range(d - len(columns)):
            if index % 5 == 4:
                columns[f"c{index}"] = pa.array(np.array(["a", "b", "c", "d"])[rng.integers(0, 4, rows)])
            else:
                columns[f"x{index}"] = pa.array(rng.normal(size=rows))
        label = rng.integers(0, 2, rows)
        inside = (columns["amount"].to_numpy() > 70) & (columns["city"].to_numpy(zero_copy_only=False) == "cairo")
        wrong = rng.random(rows) < np.where(inside, 0.40, 0.12)
        columns |= {"y": pa.array(label), "yhat": pa.array(np.where(wrong, 1 - label, label))}
        piece = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, piece.schema)
        writer.write_table(piece)
    assert writer is not None
    writer.close()


def resident(pid: int) -> float:
    """Megabytes of resident memory of a process and all its descendants together."""
    total, waiting = 0.0, [pid]
    while waiting:
        one = waiting.pop()
        try:
            status = Path(f"/proc/{one}/status").read_text()
            waiting += [int(child) for task in Path(f"/proc/{one}/task").iterdir()
                        for child in (task / "children").read_text().split()]  # fmt: skip
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(float(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))
    return total


def overlap(text: str) -> float:
    """Jaccard overlap of a rule with the planted one, on 200,000 fresh rows."""
    if text == "nothing":
        return 0.0
    rng = np.random.default_rng(1)
    frame: dict[str, np.ndarray] = {
        "amount": rng.uniform(0, 100, 200_000), "city": np.array(CITIES)[rng.integers(0, len(CITIES), 200_000)]
    }  # fmt: skip
    rule = Where.parse(text)
    if not set(rule.columns) <= set(frame):
        return 0.0
    found, planted = rule.members(frame), PLANTED.members(frame)
    return float((found & planted).sum() / (found | planted).sum())


def table(rows: list[Measured]) -> str:
    lines = [
        "# Cost of a whole diagnosis",
        "",
        f"`python benchmarks/scale.py` on {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}, Python "
        f"{sys.version.split()[0]}, numpy {np.__version__}. Predictions-only Parquet; a fresh process with all in it.",
        "",
        "| rows x columns | seconds | resident memory, MB | microseconds a row | first finding | overlap with it |",
        "|---|---:|---:|---:|---|---:|",
    ]
    for row in rows:
        n = int(row.size.split("x")[0])
        lines.append(
            f"| {row.size} | {row.seconds:.1f} | {row.megabytes:.0f} | {row.seconds / n * 1e6:.1f} | `{row.first}` | "
            f"{row.overlap:.2f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
