"""How often a run reports what is not there, how well its intervals cover, and what the same build finds.

    python benchmarks/validity.py --through confirm --runs 400
    python benchmarks/validity.py --through diagnose --runs 400

`confirm` judges what a plain exhaustive search over one and two conditions proposes on explore rows; `diagnose` is the
whole run with its own methods. Worlds, sizes and seeds are the same for both. A report is false when the true
difference that its rule has on the confirm rows is not above 0; rates are known because we planted them. Class rates
are no false reports where errors follow the class. Writes benchmarks/results/validity.json and validity.md.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from errata.core.evaluation import CONFIRM, Evaluation
from errata.core.finding import Finding
from errata.core.rules import Atom, Compare, Missing, Where
from errata.core.slices import Slice
from errata.stats.exact import Strata
from errata.stats.gain import gain
from errata.stats.intervals import clopper_pearson, stratified_difference
from errata.testing import NULLS, World, null, planted

RESULTS = Path(__file__).parent / "results"
PLANTED = ("literal", "intersection", "two regions", "missing")
"""Worlds in which every row's error rate is known: `inside` in a region, `outside` elsewhere."""

QUANTILES = (0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.975)

Through = Literal["confirm", "diagnose"]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One world, judged."""

    tested: int
    confirmed: int
    false: int
    covered: int
    regions: int
    recalled: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """All runs of one kind of world."""

    world: str
    rows: int
    runs: int
    false_runs: int
    tested: float
    confirmed: int
    false: int
    discovery_rate: float
    covered: int
    regions: int
    recalled: int
    seconds: float


def conditions(evaluation: Evaluation, *, most: int = 40) -> list[Slice]:
    """The best one- and two-literal predicates over cuts at fixed quantiles and levels, by gain on explore rows."""
    explore = evaluation.explore()
    view = explore.view()
    atoms = [atom for name in evaluation.features if name != evaluation.dataset.label for atom in _atoms(explore, name)]
    single = np.array([Where.all_of([atom]).members(explore) for atom in atoms])
    pairs = [
        (i, j) for i in range(len(atoms)) for j in range(i) if atoms[i].column != atoms[j].column
    ]  # fmt: skip
    first, second = np.array(pairs).T
    member = np.concatenate([single, single[first] & single[second]]).astype(np.float32)
    parts = [(i,) for i in range(len(atoms))] + pairs
    classes = np.eye(int(view.stratum.max()) + 1, dtype=np.float32)[view.stratum]
    wrong, rows = classes.T @ view.loss, classes.sum(axis=0)
    members, inside = member @ classes, member @ (classes * view.loss[:, None].astype(np.float32))
    excess = (inside - members * wrong / rows).sum(axis=1)
    if evaluation.binary_loss:
        value = gain(inside, members, wrong=wrong, rows=rows, literals=np.array([len(part) for part in parts]))
    else:
        value = excess / np.sqrt(members.sum(axis=1) + 1.0)
    value = np.where((excess > 0) & (members.sum(axis=1) >= 10), value, -np.inf)
    best = [int(i) for i in np.argsort(-value, kind="stable")[:most] if np.isfinite(value[i])]
    return [Slice(rule=Where.all_of([atoms[k] for k in parts[i]]), proposed_by=("conditions",)) for i in best]


def _atoms(explore: Evaluation, name: str) -> list[Atom]:
    column = explore.column(name)
    atoms: list[Atom] = [Missing(name)] if column.missing().any() else []
    if column.kind == "number":
        for cut in np.unique(np.nanquantile(column.values, QUANTILES)):
            atoms += [Compare(name, "<=", float(cut)), Compare(name, ">", float(cut))]
    elif column.kind in ("category", "boolean"):
        atoms += [Compare(name, "=", level) for level in (column.levels or (True, False))[:30]]
    return atoms


@dataclass(frozen=True, kw_only=True, eq=False)
class Judgement:
    """What either way of judging a world gives."""

    evaluation: Evaluation
    findings: Sequence[Finding]
    members: dict[str, NDArray[np.bool_]]
    tested: int


def judge(world: World, through: Through, methods: Sequence[str] | None) -> Judgement:
    """A world through `confirm` alone, or through a whole diagnosis with a ledger of its own."""
    if through == "confirm":
        from errata.confirm import confirm

        evaluation = world.evaluation()
        result = confirm(conditions(evaluation), evaluation)
        return Judgement(
            evaluation=evaluation, findings=result.findings, members=dict(result.members), tested=result.tested
        )
    from errata.diagnose import diagnose

    with tempfile.TemporaryDirectory() as state:
        diagnosis = diagnose(
            world.to_frame(), label=world.label, prediction=world.prediction, group=world.group, methods=methods,
            state=state,
        )  # fmt: skip
    assert diagnosis.evaluation is not None
    return Judgement(
        evaluation=diagnosis.evaluation, findings=diagnosis.findings, members=dict(diagnosis.members),
        tested=diagnosis.run.tested,
    )  # fmt: skip


def one_run(kind: str, seed: int, *, through: Through, rows: int, methods: Sequence[str] | None) -> Run:
    """Draw one world and count what is false, covered and recalled."""
    world = null(kind, n=rows, seed=seed) if kind in NULLS else planted(kind, n=rows, seed=seed)  # type: ignore[arg-type]
    start = time.perf_counter()
    judged = judge(world, through, methods)
    seconds = time.perf_counter() - start
    confirmed = [finding for finding in judged.findings if finding.confirmed and finding.family == "errors"]
    rate = np.full(len(world), world.outside)
    for region in world.truth:
        rate[region.members] = region.inside
    false = covered = 0
    for finding in confirmed:
        truth = 0.0 if kind in NULLS else true_difference(judged, finding, rate)
        interval = finding.metric.interval
        false += truth <= 0.0
        covered += interval is not None and interval[0] <= truth <= interval[1]
    held = judged.evaluation.fold == CONFIRM
    recalled = sum(
        any(_overlap(judged.members[f.id] & held, region.members & held) >= 0.7 for f in confirmed)
        for region in world.truth
    )
    return Run(
        tested=judged.tested, confirmed=len(confirmed), false=false, covered=covered, regions=len(world.truth),
        recalled=recalled, seconds=seconds,
    )  # fmt: skip


def true_difference(judged: Judgement, finding: Finding, rate: NDArray[np.float64]) -> float:
    """The stratified difference of a finding's members with the planted rates for the observed errors."""
    evaluation = judged.evaluation
    rows = np.flatnonzero((evaluation.fold == CONFIRM) & evaluation.counted & (evaluation.stratum >= 0))
    member, code = judged.members[finding.id][rows], evaluation.stratum[rows]
    scale = 1_000_000
    expected = np.rint(rate[rows] * scale)
    counts = [np.bincount(code, weights=w * scale) for w in (np.ones(len(rows)), member)]
    sums = [np.bincount(code, weights=w * expected) for w in (np.ones(len(rows)), member)]
    return stratified_difference(Strata(counts[0], np.rint(sums[0]), counts[1], np.rint(sums[1]))).difference


def _overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def collect(
    kind: str, *, through: Through, runs: int, rows: int, jobs: int, methods: Sequence[str] | None
) -> Row:  # fmt: skip
    """All runs of one kind, on `jobs` processes."""
    work = partial(one_run, kind, through=through, rows=rows, methods=methods)
    if jobs == 1:
        found = [work(seed) for seed in range(runs)]
    else:
        with get_context("spawn").Pool(jobs) as pool:
            found = pool.map(work, range(runs), chunksize=max(1, runs // (8 * jobs)))
    return Row(
        world=kind, rows=rows, runs=runs, false_runs=sum(run.false > 0 for run in found),
        tested=float(np.mean([run.tested for run in found])),
        confirmed=sum(run.confirmed for run in found), false=sum(run.false for run in found),
        discovery_rate=float(np.mean([run.false / max(1, run.confirmed) for run in found])),
        covered=sum(run.covered for run in found), regions=sum(run.regions for run in found),
        recalled=sum(run.recalled for run in found), seconds=float(np.median([run.seconds for run in found])),
    )  # fmt: skip


def _share(part: int, whole: int) -> str:
    if whole == 0:
        return "-"
    limits = clopper_pearson(part, whole, 0.95)
    return f"{part} of {whole}: {100 * part / whole:.1f} % ({100 * limits.lower:.1f} to {100 * limits.upper:.1f})"


def page(results: dict[str, dict[str, object]]) -> str:
    """The committed table."""
    lines = [
        "# Validity",
        "",
        "Written by `benchmarks/validity.py`; its first lines say what is counted. In brackets 95 % Monte Carlo limits",
        "(Clopper-Pearson). Alpha is .05. Coverage is of the intervals of confirmed findings at their adjusted level.",
    ]
    for through, result in results.items():
        rows = [Row(**row) for row in result["worlds"]]  # type: ignore[attr-defined]
        lines += ["", f"## Through `{through}`", "", str(result["made"]), ""]
        nulls = [row for row in rows if row.world in NULLS]
        if nulls:
            lines += ["| null world | rows | runs with a false report | tested per run | seconds |"]
            lines += ["|---|---|---|---|---|"]
            lines += [
                f"| {r.world} | {r.rows:,} | {_share(r.false_runs, r.runs)} | {r.tested:.1f} | {r.seconds:.2f} |"
                for r in nulls
            ]
        others = [row for row in rows if row.world not in NULLS]
        if others:
            head = ("planted world", "rows", "regions found (IoU >= .7)", "false among confirmed",
                    "false-discovery rate", "intervals that cover", "seconds")  # fmt: skip
            lines += ["", "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
            lines += [
                f"| {r.world} | {r.rows:,} | {_share(r.recalled, r.regions)} | {_share(r.false, r.confirmed)} | "
                f"{100 * r.discovery_rate:.1f} % | {_share(r.covered, r.confirmed)} | {r.seconds:.2f} |"
                for r in others
            ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--through", choices=("confirm", "diagnose"), default="confirm")
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--rows", type=int, default=2_000, help="rows of a null world")
    parser.add_argument("--planted-rows", type=int, default=6_000)
    parser.add_argument("--planted-runs", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="*", help="worlds to run; all when not given")
    parser.add_argument("--methods", nargs="*", help="methods of `diagnose`; its own choice when not given")
    asked = parser.parse_args()
    worlds = []
    for kind in (*NULLS, *PLANTED):
        if asked.only and kind not in asked.only:
            continue
        is_null = kind in NULLS
        row = collect(
            kind, through=asked.through, runs=asked.runs if is_null else asked.planted_runs,
            rows=asked.rows if is_null else asked.planted_rows, jobs=asked.jobs, methods=asked.methods,
        )  # fmt: skip
        worlds.append(asdict(row))
        print(f"{kind}: false {row.false_runs}/{row.runs}, recalled {row.recalled}/{row.regions}, {row.seconds:.2f} s")
    RESULTS.mkdir(exist_ok=True)
    store = RESULTS / "validity.json"
    results = json.loads(store.read_text()) if store.exists() else {}
    before = {row["world"]: row for row in results.get(asked.through, {}).get("worlds", [])} if asked.only else {}
    merged = {**before, **{row["world"]: row for row in worlds}}
    ordered = [merged[kind] for kind in (*NULLS, *PLANTED) if kind in merged]
    from errata import __version__

    made = f"Errata {__version__}, Python {platform.python_version()}, numpy {np.__version__}, "
    made += f"{datetime.now(UTC).date().isoformat()}; methods: "
    made += "conditions" if asked.through == "confirm" else ", ".join(asked.methods or ["all that discover"])
    made += "."
    results[asked.through] = {"made": made, "worlds": ordered}
    store.write_text(json.dumps(results, indent=1) + "\n")
    (RESULTS / "validity.md").write_text(page(results))


if __name__ == "__main__":
    main()
