"""SliceLine as published (`top_slices`) beside the package `sliceline`: the same slices, and the seconds.

    python benchmarks/sliceline_peer.py            the table, about fifteen minutes
    python benchmarks/sliceline_peer.py 30000x15   one size, printed only

Both sides get the same matrix of bins and the same errors, one thread, alpha .95, ten slices of at most three tests and
at least 1 % of the rows. Columns look like a census: 2 to 12 levels of uneven size that share a factor; the planted
slice errs in 45 % against 12 %. "Random tables" are 60 small ones with other alphas, sizes, ties and real errors; there
the top slices must agree one by one. `adult` needs ERRATA_DATA: its categories, and its numbers in ten bins; errors are
those of predicting the lower income always. The package runs in an environment of its own. One run each beyond 20
seconds, else the median of five after a warm-up.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from peers import peer_python

import errata
from errata.ops.regions.lattice import top_slices

TABLE = Path(__file__).parent / "results" / "sliceline_peer.md"
SIZES = ("10000x10", "30000x15", "100000x12", "50000x20", "1000000x50")
# The package makes dense products over all pairs of slices; beyond this it is stopped, so that the machine lives on.
PEER_BYTES = 10 << 30
PEER_MOST = 100_000
RANDOM = 60
ALPHA, SLICES, LEVELS = 0.95, 10, 3

PEER = """
import json, resource, statistics, sys, time, warnings
warnings.filterwarnings("ignore")
import numpy as np, scipy, sklearn, sliceline
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]), int(sys.argv[2])))
from importlib.metadata import version
from sliceline.slicefinder import Slicefinder
data = np.load(sys.argv[1])
def fit():
    began = time.perf_counter()
    found = Slicefinder(alpha=float(data["alpha"]), k=int(data["k"]), max_l=int(data["levels"]),
                        min_sup=int(data["least"]), verbose=False).fit(data["codes"].T, data["errors"])
    return time.perf_counter() - began, found
seconds, found = fit()
if seconds < 20.0 and int(data["runs"]) > 1:
    seconds = statistics.median(fit()[0] for _ in range(int(data["runs"])))
slices = [[[[at, int(value)] for at, value in enumerate(row) if value is not None], told["slice_score"]]
          for row, told in zip(found.top_slices_, found.top_slices_statistics_)]
print(json.dumps({"seconds": seconds, "slices": slices, "versions":
    f"sliceline {version('sliceline')}, scipy {scipy.__version__}, scikit-learn {sklearn.__version__}"}))
"""

Scores = dict[tuple[tuple[int, int], ...], float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """One table of bins (d, n) with its errors (n,), and what is asked of it."""

    codes: np.ndarray
    errors: np.ndarray
    alpha: float = ALPHA
    k: int = SLICES
    levels: int = LEVELS
    least: int = 10
    runs: int = 5


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The top slices with their scores, and the seconds they took."""

    slices: Scores
    seconds: float
    versions: str


def census(rows: int, columns: int) -> Case:
    """Levels cut from numbers that share a factor, at uneven places."""
    rng = np.random.default_rng(rows + columns)
    factor = rng.normal(size=rows)
    codes = []
    for _ in range(columns):
        cuts = np.quantile(rng.normal(size=1_000) * 1.1, np.sort(rng.random(int(rng.integers(1, 12)))))
        codes.append(np.searchsorted(cuts, 0.5 * factor + rng.normal(size=rows)))
    largest = [int(np.bincount(codes[at]).argmax()) for at in (0, 1)]
    inside = (codes[0] == largest[0]) & (codes[1] == largest[1])
    errors = (rng.random(rows) < np.where(inside, 0.45, 0.12)).astype(np.float64)
    return Case(codes=np.stack(codes), errors=errors, least=rows // 100)


def small(seed: int) -> Case:
    """A random small table."""
    rng = np.random.default_rng(seed)
    rows, columns = int(rng.integers(200, 3_000)), int(rng.integers(2, 7))
    codes = np.stack([rng.integers(0, rng.integers(2, 6), rows) for _ in range(columns)])
    errors = (rng.random(rows) < np.where((codes[0] == 0) & (codes[1] == 1), 0.5, 0.15)).astype(np.float64)
    if seed % 3 == 2:
        errors = np.round(errors * rng.exponential(size=rows), 3) + 0.01
    return Case(
        codes=codes, errors=errors, alpha=(0.6, 0.9, 0.95, 0.99)[seed % 4], k=(1, 4, 10)[seed % 3],
        levels=(2, 3, 4)[seed % 3], least=(10, 30)[seed % 2], runs=1,
    )  # fmt: skip


def adult() -> Case | None:
    """The Adult census table as it came, where ERRATA_DATA points to it."""
    folder = os.environ.get("ERRATA_DATA")
    path = Path(folder) / "adult" / "adult.csv.gz" if folder else None
    if path is None or not path.is_file():
        return None
    import pandas as pd

    frame = pd.read_csv(path, skipinitialspace=True)
    codes = []
    for name in frame.columns[:-1]:
        column = frame[name]
        if column.dtype.kind in "if" and column.nunique() > 20:
            column = np.searchsorted(np.unique(np.quantile(column, np.arange(1, 10) / 10)), column, side="left")
        codes.append(pd.factorize(pd.Series(column).fillna("missing"), sort=True)[0])
    errors = frame[frame.columns[-1]].str.startswith(">50K").to_numpy().astype(np.float64)
    return Case(codes=np.stack(codes), errors=errors, least=len(errors) // 100)


def ours(case: Case) -> Answer:
    """Our side."""

    def once() -> tuple[float, Scores]:
        began = time.perf_counter()
        found = top_slices(
            case.codes, case.errors, k=case.k, alpha=case.alpha, min_support=case.least, levels=case.levels
        )
        return time.perf_counter() - began, {one.tests: one.score for one in found}

    seconds, slices = once()
    if seconds < 20.0 and case.runs > 1:
        seconds = statistics.median(once()[0] for _ in range(case.runs))
    return Answer(slices=slices, seconds=seconds, versions=f"errata {errata.__version__}, numpy {np.__version__}")


def theirs(case: Case, python: Path) -> Answer | None:
    """The package; None where it runs out of memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "case.npz"
        np.savez(path, **vars(case))
        done = subprocess.run([python, "-c", PEER, path, str(PEER_BYTES)], capture_output=True, text=True, check=False)
    if done.returncode:
        if "MemoryError" not in done.stderr:
            sys.exit(done.stderr)
        return None
    told = json.loads(done.stdout)
    slices = {tuple((int(at), int(code)) for at, code in tests): score for tests, score in told["slices"]}
    return Answer(slices=slices, seconds=told["seconds"], versions=told["versions"])


def same(first: Scores, second: Scores) -> bool:
    """Whether both have the same slices with the same scores."""
    return first.keys() == second.keys() and all(abs(first[key] - second[key]) < 1e-9 for key in first)


def agree(case: Case, python: Path) -> bool:
    """Whether both sides give the same slices."""
    peer = theirs(case, python)
    return peer is not None and same(ours(case).slices, peer.slices)


def main() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    python = peer_python("sliceline")
    asked = sys.argv[1:]
    lines, versions = [], ""
    cases = {size: census(*(int(word) for word in size.split("x"))) for size in asked or SIZES}
    if not asked and (table := adult()) is not None:
        cases[f"adult {table.codes.shape[1]}x{len(table.codes)}"] = table
    for name, case in cases.items():
        mine = ours(case)
        peer = theirs(case, python) if case.codes.shape[1] <= PEER_MOST else None
        versions = f"{mine.versions}; {peer.versions}" if peer else versions
        ratio = f"{peer.seconds / mine.seconds:.0f}" if peer else "-"
        verdict = ("yes" if same(mine.slices, peer.slices) else "NO") if peer else "-"
        seconds = f"{peer.seconds:.2f}" if peer else "over 10 GB"
        if case.codes.shape[1] > PEER_MOST:
            seconds = "not run"
        cells = (name, case.least, len(mine.slices), verdict, f"{mine.seconds:.3f}", seconds, ratio)
        lines.append("| " + " | ".join(map(str, cells)) + " |")
        print(lines[-1], flush=True)
    if asked:
        return
    agreed = sum(agree(small(seed), python) for seed in range(RANDOM))
    TABLE.write_text(page(lines, versions, agreed))


def page(lines: list[str], versions: str, agreed: int) -> str:
    """The committed table."""
    head = [
        "# SliceLine beside the package",
        "",
        f"`python benchmarks/sliceline_peer.py`, {datetime.now(UTC).date().isoformat()}, one thread. {versions}.",
        f"Random tables with the same top slices and scores: {agreed} of {RANDOM}.",
        "",
        "| rows x columns | least rows | slices | the same | seconds, ours | seconds, package | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *lines]) + "\n"


if __name__ == "__main__":
    main()
