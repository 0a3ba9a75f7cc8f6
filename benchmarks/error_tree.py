"""The error tree and the heatmap beside the `erroranalysis` package, in an environment of its own (old libraries).

    python benchmarks/error_tree.py              the table, about ten minutes
    python benchmarks/error_tree.py 100000x30    one size, printed only

Both sides get the same numbers and category codes, two threads, depth 4 and leaves of at least 20 rows. Time is that of
growing the tree and counting its nodes on the same rows (`compute_error_tree`; `ErrorTree.grow`, and `run`, which also
makes proposals), and of an 8 by 8 heatmap. One call warms up, then the median of five. The peer's analyser is built
beforehand, and so is our Evaluation. What is found: the overlap (Jaccard) of the planted region, city "cairo" and the
upper 30 % of a number, 40 % wrong against 12 %, with the best node of the tree, and with our best proposal.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from peers import peer_python

import errata
from errata.core.columns import Column, Table
from errata.core.evaluation import Evaluation
from errata.core.method import Job
from errata.methods.discover.error_tree import ErrorTree, tree_evidence
from errata.methods.explain.error_heatmap import ErrorHeatmap
from errata.testing import World

TABLE = Path(__file__).parent / "results" / "error_tree.md"
SIZES = ("10000x30", "100000x30", "1000000x30", "50000x200")
RUNS = 5
DEPTH, LEAF_ROWS = 4, 20
CITIES = ("cairo", "delhi", "lima", "oslo", "paris", "tokyo")

PEER = """
import json, statistics, sys, time, warnings
import numpy as np, pandas as pd, erroranalysis, lightgbm
from erroranalysis._internal.error_analyzer import PredictionsAnalyzer
warnings.filterwarnings("ignore")
data = np.load(sys.argv[1])
runs, depth, leaf = (int(word) for word in sys.argv[2:5])
names = [name for name in data.files if name[0] in "cn"]
frame = pd.DataFrame({name: data[name] for name in names})
categories = [name for name in names if name[0] == "c"]
began = time.perf_counter()
analyzer = PredictionsAnalyzer(data["prediction"], frame, data["label"], names, categories)
built = time.perf_counter() - began
tree = lambda: analyzer.compute_error_tree(names, None, None, max_depth=depth, num_leaves=31, min_child_samples=leaf)
matrix = lambda: analyzer.compute_matrix(["n00", "c00"], None, None, num_bins=8)
def timed(call):
    call()
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - began)
    return statistics.median(times), result
seconds, nodes = timed(tree)
heat, _ = timed(matrix)
masks = {}
for node in nodes:
    if node["parentId"] is None:
        masks[node["id"]] = np.ones(len(frame), dtype=bool)
        continue
    values, arg = frame[node["parentNodeName"]].to_numpy(), node["arg"]
    if node["method"] == "less and equal":
        inside = values <= arg
    elif node["method"] == "greater":
        inside = values > arg
    else:
        inside = np.isin(values, [int(value) for value in arg])
        if node["method"] == "excludes":
            inside = ~inside
    masks[node["id"]] = masks[node["parentId"]] & inside
    assert masks[node["id"]].sum() == node["size"]
region = data["region"]
best = max(float((mask & region).sum() / (mask | region).sum()) for mask in masks.values())
print(json.dumps({"built": built, "tree": seconds, "heatmap": heat, "nodes": len(nodes), "overlap": best,
                  "versions": f"erroranalysis {erroranalysis.__version__}, lightgbm {lightgbm.__version__}, "
                              f"numpy {np.__version__}, pandas {pd.__version__}"}))
"""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One side at one size, seconds."""

    tree: float
    heatmap: float
    nodes: int
    overlap: float
    run: float | None = None
    proposal: float | None = None
    versions: str = ""
    failed: str = ""


def main() -> None:
    sizes = sys.argv[1:] or SIZES
    python = peer_python("erroranalysis")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            path = Path(folder) / f"{size}.npz"
            n, d = (int(word) for word in size.split("x"))
            write(path, n, d)
            ours, theirs = measure(path), peer(python, path)
            rows.append((size, ours, theirs))
            print(size, ours, theirs, sep="\n  ", flush=True)
    if not sys.argv[1:]:
        TABLE.parent.mkdir(exist_ok=True)
        TABLE.write_text(page(rows))


def write(path: Path, n: int, d: int) -> None:
    """A table of n rows and d columns, a third of them categories; the region lies in n00 and c00."""
    rng = np.random.default_rng(n + d)
    arrays = {f"c{at:02d}": rng.integers(0, len(CITIES), n).astype(np.int32) for at in range(d // 3)}
    arrays |= {f"n{at:02d}": rng.normal(size=n) for at in range(d - d // 3)}
    region = (arrays["c00"] == 0) & (arrays["n00"] > 0.5244)
    label = (rng.random(n) < 0.4).astype(np.int32)
    wrong = rng.random(n) < np.where(region, 0.4, 0.12)
    np.savez(path, label=label, prediction=np.where(wrong, 1 - label, label), region=region, **arrays)


def evaluation_of(path: Path) -> Evaluation:
    """All rows as explore rows, because the peer grows and counts on the same ones."""
    data = np.load(path)
    columns: dict[str, Column] = {}
    for name in data.files:
        if name[0] == "n":
            columns[name] = Column.number(data[name])
        elif name[0] == "c":
            columns[name] = Column(kind="category", values=data[name], levels=CITIES)
    for name in ("label", "prediction"):
        columns[name] = Column(kind="category", values=data[name].astype(np.int32), levels=("no", "yes"))
    world = World(name=path.stem, table=Table(columns), outside=0.12)
    return world.evaluation(confirm=0.0)


def measure(path: Path) -> Measured:
    """Our side."""
    evaluation, region = evaluation_of(path).explore(), np.load(path)["region"]
    method = ErrorTree(depth=DEPTH, leaf_rows=LEAF_ROWS)

    def grown() -> object:
        tree = method.grow(evaluation, job())
        return tree, tree_evidence(tree, evaluation)

    seconds, (tree, _) = timed(grown)
    run, slices = timed(lambda: method.run(evaluation, job()))
    heat, _ = timed(lambda: ErrorHeatmap(columns=("n00", "c00"), binning="equal-width").run(evaluation, job()))
    return Measured(
        tree=seconds,
        heatmap=heat,
        nodes=len(tree.nodes),
        overlap=max(jaccard(inside, region) for inside in tree.members(evaluation)),
        run=run,
        proposal=max((jaccard(proposal.rule.members(evaluation), region) for proposal in slices), default=0.0),
        versions=f"errata {errata.__version__}, numpy {np.__version__}",
    )


def job() -> Job:
    return Job(rng=np.random.default_rng(0))


def timed(call: Callable[[], object]) -> tuple[float, object]:
    """Median seconds after one warm-up call, and the result."""
    call()
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - began)
    return statistics.median(times), result


def jaccard(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / max(1, (first | second).sum()))


def peer(python: Path, path: Path) -> Measured:
    """The other side, in its own process."""
    words = [str(python), "-c", PEER, str(path), str(RUNS), str(DEPTH), str(LEAF_ROWS)]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode:
        return Measured(tree=0, heatmap=0, nodes=0, overlap=0, failed=(done.stderr.strip().splitlines() or ["?"])[-1])
    said = json.loads(done.stdout.strip().splitlines()[-1])
    return Measured(**{key: said[key] for key in ("tree", "heatmap", "nodes", "overlap", "versions")})


def page(rows: list[tuple[str, Measured, Measured]]) -> str:
    """The committed table."""
    lines = [
        "# Error tree and heatmap",
        "",
        f"`python benchmarks/error_tree.py`, {time.strftime('%Y-%m-%d')}, two threads. {rows[0][1].versions}; "
        f"{next((theirs.versions for _, _, theirs in rows if theirs.versions), 'the peer did not run')}. "
        "Seconds, median of five after a warm-up; what is compared stands in the script.",
        "",
        "| rows x columns | tree, ours | tree, peer | ratio | with proposals, ours | heatmap, ours | heatmap, peer "
        "| region in best node, ours | peer | in our best proposal |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for size, ours, theirs in rows:
        said = "failed" if theirs.failed else f"{theirs.tree:.2f}"
        ratio = "-" if theirs.failed else f"{theirs.tree / ours.tree:.1f}"
        heat = "-" if theirs.failed else f"{theirs.heatmap:.3f}"
        lines.append(
            f"| {size} | {ours.tree:.2f} | {said} | {ratio} | {ours.run:.2f} | {ours.heatmap:.3f} | {heat} "
            f"| {ours.overlap:.2f} | {theirs.overlap:.2f} | {ours.proposal:.2f} |"
        )
    lines += ["", *(f"At {size} the peer failed: {theirs.failed}" for size, _, theirs in rows if theirs.failed), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    main()
