"""How much of what was planted comes back: beside SliceLine, a depth-4 error tree, a scan that knows the columns.

    python benchmarks/planted.py --through diagnose           both tables
    python benchmarks/planted.py --part recall --runs 20      one of them
    python benchmarks/planted.py --part curve --runs 100 --kinds literal range

Worlds of `errata.testing.planted`, 12,000 rows with 12 % errors outside the region; 40 % of the rows are explored,
40 % confirm. A region is found when the members of a finding, or through `proposals` of a proposal, have IoU >= .7 with
its members on confirm rows. "First": the first one is a planted region. "Open per region": findings (proposals) that
are not folded and of which, or of the region, at least half lies in the other.

recall  55 % errors inside. Peers on the same explore rows, in environments of their own: the ten best slices of the
        package sliceline (alpha .95, numbers in ten bins of equal size, three tests, at least 1 % of the rows as in the
        paper), and every node of the tree of erroranalysis (depth 4, leaves of 20); any of them may match.
curve   recall by size and error inside. "Known": the best region of the columns of the planted one by the gain of the
        proof, over all intervals between their quantiles (32 for pairs, then 400 for one column after the other) and
        all sets of levels; for three columns our search with these columns alone. "Oracle": the planted region itself
        is confirmed. Through `diagnose` the known one must be confirmed too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
from peers import peer_python

import errata
from errata.confirm import confirm
from errata.core.columns import Bool
from errata.core.evaluation import CONFIRM, Evaluation
from errata.core.method import Job
from errata.core.rules import And, Compare, OneOf, Where
from errata.core.slices import Slice
from errata.methods.discover.slice_lattice import SliceLattice
from errata.ops.conjunctions import search
from errata.stats.gain import gain
from errata.testing import World, planted

RESULTS = Path(__file__).parent / "results"
KINDS = ("literal", "intersection", "range", "set", "three-way", "class mix", "two regions", "groups")
CURVE = ("literal", "range", "intersection", "set", "three-way")
SIZES = (0.025, 0.05, 0.1)
INSIDE = (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.55)
FOUND = 0.7
Through = Literal["proposals", "diagnose"]

SLICELINE = """
import resource, sys, warnings
warnings.filterwarnings("ignore")
import numpy as np
from sliceline.slicefinder import Slicefinder
# It makes dense products over all pairs of slices: stopped here, so that the machine lives on.
resource.setrlimit(resource.RLIMIT_AS, (10 << 30, 10 << 30))
for path in sys.argv[1:]:
    data = np.load(path)
    explore, held = [], []
    for name in sorted(name for name in data.files if name[:2] in ("n_", "c_")):
        values = data[name]
        if name[0] == "n":
            cuts = np.unique(np.quantile(values[data["explore"]], np.arange(1, 10) / 10))
            values = np.searchsorted(cuts, values, side="left")
        explore.append(values[data["explore"]]), held.append(values[data["held"]])
    found = Slicefinder(alpha=0.95, k=10, max_l=3, min_sup=0.01, verbose=False)
    try:
        found.fit(np.stack(explore, axis=1), data["wrong"][data["explore"]].astype(float))
        top = found.top_slices_
    except Exception as error:
        # It fails on some tables; these count as nothing found.
        top = []
        print(path, repr(error), file=sys.stderr)
    masks = [np.logical_and.reduce([held[at] == int(value) for at, value in enumerate(row) if value is not None])
             for row in top]
    np.save(path + ".npy", np.array(masks, dtype=bool).reshape(len(masks), len(held[0])))
"""

ERRORANALYSIS = """
import sys, warnings
warnings.filterwarnings("ignore")
import numpy as np, pandas as pd
from erroranalysis._internal.error_analyzer import PredictionsAnalyzer
for path in sys.argv[1:]:
    data = np.load(path)
    names = sorted(name for name in data.files if name[:2] in ("n_", "c_"))
    rows, held = data["explore"], data["held"]
    frame = pd.DataFrame({name: data[name][rows] for name in names})
    truth = np.zeros(len(rows), dtype=int)
    analyzer = PredictionsAnalyzer(data["wrong"][rows].astype(int), frame, truth, names,
                                   [name for name in names if name[0] == "c"])
    nodes = analyzer.compute_error_tree(names, None, None, max_depth=4, num_leaves=31, min_child_samples=20)
    masks = {}
    for node in nodes:
        if node["parentId"] is None:
            masks[node["id"]] = np.ones(len(held), dtype=bool)
            continue
        values, arg = data[node["parentNodeName"]][held], node["arg"]
        if node["method"] == "less and equal":
            inside = values <= arg
        elif node["method"] == "greater":
            inside = values > arg
        else:
            inside = np.isin(values, [int(value) for value in arg])
            inside = ~inside if node["method"] == "excludes" else inside
        masks[node["id"]] = masks[node["parentId"]] & inside
    np.save(path + ".npy", np.array(list(masks.values()), dtype=bool))
"""
SCRIPTS = {"sliceline": SLICELINE, "erroranalysis": ERRORANALYSIS}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One world: how many of its regions were found, and by whom."""

    regions: int
    found: int
    first: bool
    open: int
    tested: int
    known: int = 0
    oracle: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """What is held against the truth, best first: (m, confirm rows) bool, and which of them are folded."""

    evaluation: Evaluation
    masks: np.ndarray
    folded: Sequence[bool]
    tested: int


def answer(world: World, through: Through) -> Answer:
    """Our side."""
    if through == "proposals":
        evaluation = world.evaluation(confirm=0.4, sealed=0.2)
        slices = SliceLattice().run(evaluation.explore(), Job(rng=np.random.default_rng(0)))
        held = evaluation.part(CONFIRM)
        masks = [proposal.rule.members(held) for proposal in slices if proposal.rule.columns != (world.label,)]
        folded = [False] * len(masks)
        return Answer(evaluation=evaluation, masks=_stacked(masks, held), folded=folded, tested=len(slices))
    from errata.diagnose import diagnose

    with tempfile.TemporaryDirectory() as state:
        diagnosis = diagnose(
            world.to_frame(), label=world.label, prediction=world.prediction, group=world.group, state=state
        )
    assert diagnosis.evaluation is not None
    held = diagnosis.evaluation.part(CONFIRM)
    kept = [one for one in diagnosis.findings if one.confirmed and one.family == "errors"]
    masks = [diagnosis.members[one.id][held.rows] for one in kept]
    folded = [one.folded_under is not None for one in kept]
    return Answer(
        evaluation=diagnosis.evaluation, masks=_stacked(masks, held), folded=folded, tested=diagnosis.run.tested
    )


def _stacked(masks: Sequence[Bool], held: Evaluation) -> np.ndarray:
    return np.array(masks, dtype=bool).reshape(len(masks), len(held))


def overlap(first: Bool, second: Bool) -> float:
    """Rows in both over rows in either."""
    return float((first & second).sum() / max(1, (first | second).sum()))


def touches(one: Bool, region: Bool) -> bool:
    """Whether at least half of the one, or of the region, lies in the other."""
    return bool((one & region).sum() >= 0.5 * max(1, min(one.sum(), region.sum())))


def one_world(kind: str, seed: int, *, through: Through, known: bool, options: dict[str, float]) -> Outcome:
    """Draw a world, search it, and hold the result against the truth."""
    world = draw(kind, seed, options)
    ours = answer(world, through)
    held = ours.evaluation.part(CONFIRM)
    truths = [region.members[held.rows] for region in world.truth]
    shared = np.array([[overlap(mask, truth) for mask in ours.masks] for truth in truths]).reshape(len(truths), -1)
    opened = [mask for mask, folded in zip(ours.masks, ours.folded, strict=True) if not folded]
    scanned = oracle = 0
    if known:
        region = world.truth[0]
        rule, truth = scan(ours.evaluation.explore(), region.columns), Where.parse(region.text)
        fits = overlap(rule.members(held), truths[0]) >= FOUND
        scanned = fits and (through == "proposals" or confirmed(rule, ours.evaluation))
        oracle = confirmed(truth, ours.evaluation)
    return Outcome(
        regions=len(truths), found=int((shared.max(axis=1, initial=0.0) >= FOUND).sum()),
        first=bool(shared.shape[1] and shared[:, 0].max() >= FOUND),
        open=max((sum(touches(mask, truth) for mask in opened) for truth in truths), default=0), tested=ours.tested,
        known=int(scanned), oracle=int(oracle),
    )  # fmt: skip


def draw(kind: str, seed: int, options: dict[str, float]) -> World:
    """A world of a kind; families need the rows that 400 of 20 make."""
    given = {key: int(value) if key == "columns" else value for key, value in options.items()}
    return planted(kind, n=8_000 if kind == "groups" else 12_000, seed=seed, **given)  # type: ignore[arg-type]


def confirmed(rule: Where, evaluation: Evaluation) -> bool:
    """Whether the proof lets this one rule pass."""
    return any(finding.confirmed for finding in confirm([Slice(rule=rule)], evaluation).findings)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sides:
    """What one column can demand, as one choice after the other: intervals of a number, or sets of levels.

    codes  (n,) bins of the rows, below `bins`
    low    (s,) first bin of each interval, `high` (s,) its last one; empty for sets
    sets   (s, bins) bool, the levels of each set; None for intervals
    ends   (bins - 1,) upper ends of the bins, empty for sets
    """

    name: str
    codes: np.ndarray
    bins: int
    low: np.ndarray
    high: np.ndarray
    sets: np.ndarray | None
    ends: np.ndarray

    @property
    def atoms(self) -> np.ndarray:
        """(s,) comparisons that each choice needs."""
        if self.sets is not None:
            return np.ones(len(self.sets), dtype=np.int64)
        return (self.low > 0).astype(np.int64) + (self.high < self.bins - 1)

    def only(self, at: int) -> Sides:
        """The same column with one choice left."""
        one = slice(at, at + 1)
        chosen = None if self.sets is None else self.sets[one]
        return replace(self, low=self.low[one], high=self.high[one], sets=chosen)

    def sums(self, cells: np.ndarray) -> np.ndarray:
        """(..., s) sums over the last axis (..., bins), for each choice."""
        if self.sets is not None:
            return cells @ self.sets.T.astype(float)
        below = np.concatenate([np.zeros((*cells.shape[:-1], 1)), np.cumsum(cells, axis=-1)], axis=-1)
        return below[..., self.high + 1] - below[..., self.low]

    def inside(self) -> np.ndarray:
        """The bins of the first choice."""
        if self.sets is not None:
            return np.flatnonzero(self.sets[0])
        return np.arange(self.low[0], self.high[0] + 1)


def sides(evaluation: Evaluation, name: str, bins: int) -> Sides:
    """All intervals between quantiles of a number, or all sets of levels."""
    column = evaluation.column(name)
    none = np.empty(0, dtype=np.int64)
    if column.kind in ("category", "boolean"):
        levels = len(column.levels) or 2
        sets = np.array(list(product((False, True), repeat=levels)))[1:-1]
        codes = np.asarray(column.values)
        return Sides(name=name, codes=codes, bins=levels, low=none, high=none, sets=sets, ends=np.empty(0))
    ends = np.unique(np.quantile(column.values, np.arange(1, bins) / bins))
    low, high = np.triu_indices(len(ends) + 1)
    some = (low > 0) | (high < len(ends))
    codes = np.searchsorted(ends, column.values)
    return Sides(name=name, codes=codes, bins=len(ends) + 1, low=low[some], high=high[some], sets=None, ends=ends)


def scan(explore: Evaluation, columns: Sequence[str]) -> Where:
    """The best region of known columns, by the gain of the proof."""
    if len(columns) > 2:
        found = search(explore, features=columns, most=1, floor=-np.inf)
        return found[0].where if found else Where(Compare(columns[0], "=", "nothing"))
    fine = [sides(explore, name, 400) for name in columns]
    if len(fine) == 1:
        return Where(And(tuple(_atoms(_best(fine[0], None, explore).first, explore))))
    found = _best(*(sides(explore, name, 32) for name in columns), explore)
    for _ in range(2):
        first = _best(fine[0], found.second, explore).first
        second = _best(fine[1], first, explore).first
        found = _Pair(first=first, second=second)
    assert found.second is not None
    return Where(And((*_atoms(found.first, explore), *_atoms(found.second, explore))))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Pair:
    """Sides with one choice left each."""

    first: Sides
    second: Sides | None


def _best(first: Sides, second: Sides | None, explore: Evaluation) -> _Pair:
    """The choice of both with the largest gain."""
    view = explore.view()
    rows, wrong = (_cells(first, second, view.stratum, weight) for weight in (np.ones(len(view.loss)), view.loss))
    atoms = first.atoms[:, None] + (0 if second is None else second.atoms[None, :])
    n, x = np.bincount(view.stratum), np.bincount(view.stratum, weights=view.loss)
    value = gain(wrong, rows, wrong=x, rows=n, literals=atoms)
    more = (wrong - rows * (x / n)).sum(axis=-1)
    value = np.where((more > 0) & (rows.sum(axis=-1) >= 10), value, -np.inf)
    i, j = np.unravel_index(int(value.argmax()), value.shape)
    return _Pair(first=first.only(int(i)), second=None if second is None else second.only(int(j)))


def _cells(first: Sides, second: Sides | None, stratum: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(s1, s2, classes) sums of the weight inside each pair of sides."""
    a, b = first.bins, 1 if second is None else second.bins
    codes = first.codes.astype(np.int64) * b + (0 if second is None else second.codes)
    classes = int(stratum.max()) + 1
    sums = np.bincount(stratum * (a * b) + codes, weights=weight, minlength=classes * a * b).reshape(classes, a, b)
    both = sums if second is None else second.sums(sums)
    return np.moveaxis(first.sums(np.moveaxis(both, 1, -1)), (0, 1, 2), (2, 1, 0))


def _atoms(one: Sides, explore: Evaluation) -> list[Compare | OneOf]:
    inside = one.inside()
    if one.sets is not None:
        levels = explore.column(one.name).levels or (False, True)
        return [OneOf(one.name, tuple(levels[code] for code in inside))]
    atoms: list[Compare | OneOf] = []
    if inside[0] > 0:
        atoms.append(Compare(one.name, ">", float(one.ends[inside[0] - 1])))
    if inside[-1] < len(one.ends):
        atoms.append(Compare(one.name, "<=", float(one.ends[inside[-1]])))
    return atoms


def peer_recall(name: str, worlds: Iterable[World]) -> float:
    """The share of regions that any slice (node) of a peer matches."""
    found = regions = 0
    with tempfile.TemporaryDirectory() as folder:
        truths = {}
        for at, world in enumerate(worlds):
            path = Path(folder) / f"{at}.npz"
            truths[path] = _written(world, path)
        command = [peer_python(name), "-c", SCRIPTS[name], *truths]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        print(done.stderr, file=sys.stderr, end="")
        if done.returncode:
            sys.exit(f"{name} failed")
        for path, members in truths.items():
            masks = np.load(f"{path}.npy")
            found += sum(max((overlap(mask, truth) for mask in masks), default=0.0) >= FOUND for truth in members)
            regions += len(members)
    return found / regions


def _written(world: World, path: Path) -> list[Bool]:
    evaluation = world.evaluation(confirm=0.4, sealed=0.2)
    held = evaluation.part(CONFIRM).rows
    arrays = {"explore": evaluation.explore().rows, "held": held, "wrong": evaluation.loss}
    for name in evaluation.features:
        column = world.table.column(name)
        arrays[f"{'n' if column.kind == 'number' else 'c'}_{name}"] = column.values  # type: ignore[assignment]
    np.savez(path, **arrays)
    return [region.members[held] for region in world.truth]


def many(kind: str, options: dict[str, float], asked: argparse.Namespace, *, known: bool) -> list[Outcome]:
    """All runs of one kind."""
    work = partial(one_world, kind, through=asked.through, known=known, options=options)
    if asked.jobs == 1:
        return [work(seed) for seed in range(asked.runs)]
    with get_context("spawn").Pool(asked.jobs) as pool:
        return pool.map(work, range(asked.runs), chunksize=4)


def recall_table(asked: argparse.Namespace) -> list[dict[str, object]]:
    """Recall at 55 % errors inside, beside the peers."""
    rows = []
    for kind, columns, share in product(asked.kinds or KINDS, (6, 13), SIZES):
        options = {"columns": columns, "share": share, "inside": 0.55}
        runs = many(kind, options, asked, known=False)
        row: dict[str, object] = {"kind": kind, "columns": columns, "share": share, **summary(runs)}
        few = range(min(asked.runs, asked.peer_runs))
        for peer in SCRIPTS if asked.peers else ():
            row[peer] = peer_recall(peer, (draw(kind, seed, options) for seed in few))
        rows.append(row)
        print(row, flush=True)
    return rows


def curve_table(asked: argparse.Namespace) -> list[dict[str, object]]:
    """Recall by size and error inside, beside a scan that knows the columns and an oracle that knows the region."""
    rows = []
    for kind, share, inside in product(asked.kinds or CURVE, SIZES, INSIDE):
        runs = many(kind, {"columns": 13, "share": share, "inside": inside}, asked, known=True)
        rows.append({"kind": kind, "share": share, "inside": inside, **summary(runs)})
        print(rows[-1], flush=True)
    return rows


def summary(runs: Sequence[Outcome]) -> dict[str, float]:
    """Shares over all runs."""
    regions = sum(run.regions for run in runs)
    return {
        "runs": len(runs),
        "recall": sum(run.found for run in runs) / regions,
        "first": float(np.mean([run.first for run in runs])),
        "open": max(run.open for run in runs),
        "tested": float(np.mean([run.tested for run in runs])),
        "known": float(np.mean([run.known for run in runs])),
        "oracle": float(np.mean([run.oracle for run in runs])),
    }


def page(results: dict[str, dict[str, object]]) -> str:
    """The committed tables."""
    lines = ["# Planted regions", "", "Written by `benchmarks/planted.py`; its first lines say what is counted.", ""]
    for name, result in results.items():
        part, _, through = name.partition(" ")
        lines += [f"## {part.capitalize()}, through `{through}`", "", str(result["made"]), ""]
        rows = result["rows"]
        assert isinstance(rows, list)
        lines += _recall_lines(rows) if part == "recall" else _curve_lines(rows)
        lines.append("")
    return "\n".join(lines)


def _recall_lines(rows: list[dict[str, float]]) -> list[str]:
    head = ("kind", "columns", "rows inside", "runs", "recall", "first", "most open per region", "tested", *SCRIPTS)
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in rows:
        peers = [f"{row[peer]:.2f}" if peer in row else "-" for peer in SCRIPTS]
        cells = [
            row["kind"], row["columns"], f"{100 * row['share']:g} %", row["runs"], f"{row['recall']:.2f}",
            f"{row['first']:.2f}", row["open"], f"{row['tested']:.1f}", *peers,
        ]  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


def _curve_lines(rows: list[dict[str, float]]) -> list[str]:
    """One line per kind and size; each cell is recall / known / oracle, in per cent."""
    inside = sorted({row["inside"] for row in rows})
    lines = ["Recall of ours / of the scan that knows the columns / of the oracle, in per cent, by errors inside.", ""]
    lines += ["| kind | rows inside | " + " | ".join(f"{100 * rate:g} %" for rate in inside) + " |"]
    lines += ["|---" * (2 + len(inside)) + "|"]
    for kind, share in dict.fromkeys((row["kind"], row["share"]) for row in rows):
        cells = [row for row in rows if (row["kind"], row["share"]) == (kind, share)]
        told = {
            row["inside"]: " / ".join(f"{100 * row[by]:.0f}" for by in ("recall", "known", "oracle")) for row in cells
        }
        lines.append(f"| {kind} | {100 * share:g} % | " + " | ".join(told.get(rate, "-") for rate in inside) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("recall", "curve"), nargs="*", default=["recall", "curve"])
    parser.add_argument("--through", choices=("proposals", "diagnose"), default="proposals")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--peer-runs", type=int, default=20)
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--kinds", nargs="*")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", action=argparse.BooleanOptionalAction, default=True)
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    store = RESULTS / "planted.json"
    for part in asked.part:
        rows = recall_table(asked) if part == "recall" else curve_table(asked)
        # Read again just before it is written: another part may have ended meanwhile.
        results = json.loads(store.read_text()) if store.exists() else {}
        made = f"errata {errata.__version__}, numpy {np.__version__}, Python {sys.version.split()[0]}, "
        results[f"{part} {asked.through}"] = {"made": made + f"{datetime.now(UTC).date().isoformat()}.", "rows": rows}
        if asked.write:
            store.write_text(json.dumps(results, indent=1) + "\n")
            (RESULTS / "planted.md").write_text(page(results))


if __name__ == "__main__":
    main()
