"""How often a whole diagnosis reports what is not there, how well its intervals cover, and what the same build finds.

    python benchmarks/validity.py                                     the table: split proof, tables, 1,000 runs a world
    python benchmarks/validity.py --proof cross --rows 600 --methods error_tree --runs 1000
    python benchmarks/validity.py --data embedding --runs 100 --out -         a look

Nulls of docs/proof.md section 12: iid; classes with rates of their own; groups with rates of their own and columns that
follow them by row, or are constant in a group; scores among the columns; few errors; copies; and `one real slice`, a
region of a tenth of the rows among columns that mean nothing. With `--data embedding` every world has an embedding too:
clusters that follow class and group as the columns do, one of which is the real slice.

A report is false when the planted rates make its members no worse than the rest of their classes (class rates apart).
Beside it the reference of SliceFinder on the same proposals: Welch's t-test of the losses, alpha-investing with the
best-foot-forward policy (Foster and Stine 2008; Chung et al., ICDE 2019) over slices by falling size, on the rows that
were searched as well as the others (`as published`), and on confirm rows alone.
Results are kept in benchmarks/results/validity.json, world by world, and written to validity.md; `--out -` prints only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from null_worlds import covers, overlap, true_difference

import errata
from errata.core.evaluation import CONFIRM, Evaluation
from errata.core.method import find_methods, info, load_method
from errata.stats.intervals import clopper_pearson
from errata.testing import World, null, planted

RESULTS = Path(__file__).parent / "results"
REAL = "one real slice"
WORLDS = ("iid", "class mix", "group rows", "group constants", "scores", "few errors", "copies", REAL)
WIDTH = 12
CLUSTERS = 10


@dataclass(frozen=True, kw_only=True)
class Run:
    """One diagnosis: what it tested, confirmed, confirmed falsely; whose intervals cover; what the reference found."""

    tested: int
    confirmed: int
    false: int
    covered: int
    found: bool
    in_class: bool
    published: int
    held_out: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """All runs of one world."""

    world: str
    data: str
    proof: str
    methods: str
    rows: int
    runs: int
    false_runs: int
    tested: float
    confirmed: int
    false: int
    discovery_rate: float
    covered: int
    found: int
    published: int
    held_out: int
    seconds: float
    made: str
    in_class: int | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proof", choices=("split", "cross"), default="split")
    parser.add_argument("--data", choices=("table", "embedding"), default="table")
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--rows", type=int, default=2_000)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--worlds", nargs="*", default=WORLDS)
    parser.add_argument("--methods", nargs="*", help="the run's own choice, or all that read embeddings, when missing")
    parser.add_argument("--out", default=str(RESULTS / "validity.md"), help="- prints only")
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    store = RESULTS / "validity.json"
    known = json.loads(store.read_text()) if store.exists() and asked.out != "-" else []
    rows = {(row["data"], row["proof"], row["world"]): Row(**row) for row in known}
    methods = asked.methods or (embedding_methods() if asked.data == "embedding" else None)
    with ProcessPoolExecutor(asked.workers, mp_context=get_context("spawn")) as pool:
        for world in asked.worlds:
            work = partial(one_run, world, rows=asked.rows, data=asked.data, proof=asked.proof, methods=methods)
            ran = list(pool.map(work, range(asked.runs), chunksize=max(1, asked.runs // (16 * asked.workers))))
            row = gathered(world, ran, data=asked.data, proof=asked.proof, rows=asked.rows, methods=methods)
            rows[row.data, row.proof, row.world] = row
            print(line(row), flush=True)
            if asked.out != "-":
                store.write_text(json.dumps([asdict(one) for one in rows.values()], indent=1) + "\n")
    if asked.out == "-":
        sys.stdout.write(page(list(rows.values())))
    else:
        Path(asked.out).write_text(page(list(rows.values())))


def embedding_methods() -> list[str]:
    """Every registered method that proposes from an embedding."""
    found = []
    for name, place in find_methods().items():
        if ".discover." in place and "embedding" in info(load_method(name)).needs:
            found.append(name)
    return found


def one_run(world: str, seed: int, *, rows: int, data: str, proof: str, methods: Sequence[str] | None) -> Run:
    """Draw a world and diagnose it."""
    columns = 13 if seed % 2 else 6
    if world == REAL:
        drawn = planted("literal", n=rows, columns=columns, share=0.1, inside=0.4, outside=0.12, seed=seed)  # type: ignore[arg-type]
    else:
        drawn = null(world, n=rows, columns=columns, seed=seed)  # type: ignore[arg-type]
    given: Any = drawn.to_frame()
    if data == "embedding":
        given = {name: given[name].to_numpy() for name in given} | {"embedding_made": embedding(drawn, seed)}
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as state:
        diagnosis = errata.diagnose(
            given, label=drawn.label, prediction=drawn.prediction, group=drawn.group, proof=proof,  # type: ignore[arg-type]
            methods=methods, state=state,
        )  # fmt: skip
    return judged(drawn, diagnosis, null_world=world != REAL, seconds=time.perf_counter() - began)


def embedding(world: World, seed: int) -> np.ndarray:
    """(n, 12) float32: clusters that mean nothing, shifted by class and by group; the real slice is a cluster."""
    rng = np.random.default_rng([seed, 77])
    n = len(world)
    cluster = rng.integers(1, CLUSTERS, n)
    for region in world.truth:
        cluster = np.where(region.members, 0, cluster)
    values = 2.0 * rng.normal(size=(CLUSTERS, WIDTH))[cluster] + rng.normal(size=(n, WIDTH))
    for name in filter(None, (world.label, world.group)):
        codes = np.unique(np.asarray(world.to_frame()[name]).astype(str), return_inverse=True)[1]
        values += rng.normal(size=(int(codes.max()) + 1, WIDTH))[codes]
    return values.astype(np.float32)


def judged(world: World, diagnosis: errata.Diagnosis, *, null_world: bool, seconds: float) -> Run:
    """What the diagnosis and the reference say, held against what was planted."""
    assert diagnosis.evaluation is not None
    evaluation = diagnosis.evaluation
    confirm = evaluation.part(CONFIRM)
    confirmed = [finding for finding in diagnosis.confirmed if finding.family == "errors"]
    members = [np.asarray(confirm.of(diagnosis.members[finding.id])) for finding in confirmed]
    truth = [0.0 if null_world else true_difference(world, inside, confirm) for inside in members]
    regions = [np.asarray(confirm.of(region.members)) for region in world.truth]
    reference = investing(diagnosis, evaluation)
    return Run(
        tested=diagnosis.run.tested, confirmed=len(confirmed), false=sum(value <= 0.0 for value in truth),
        covered=sum(covers(finding, value) for finding, value in zip(confirmed, truth, strict=True)),
        found=any(overlap(inside, region) >= 0.5 for inside in members for region in regions),
        in_class=any(_within(inside, region, confirm.view().stratum) for inside in members for region in regions),
        published=_false(reference[0], world, diagnosis, null_world),
        held_out=_false(reference[1], world, diagnosis, null_world),
        seconds=seconds,
    )  # fmt: skip


def _within(inside: np.ndarray, region: np.ndarray, stratum: np.ndarray) -> bool:
    """Whether a finding shares half of its rows with those of a region that are of the finding's own classes."""
    return overlap(inside, region & np.isin(stratum, np.unique(stratum[inside]))) >= 0.5


def _false(ids: Sequence[str], world: World, diagnosis: errata.Diagnosis, null_world: bool) -> int:
    if null_world:
        return len(ids)
    assert diagnosis.evaluation is not None
    confirm = diagnosis.evaluation.part(CONFIRM)
    members = [np.asarray(confirm.of(diagnosis.members[one])) for one in ids]
    return sum(true_difference(world, inside, confirm) <= 0.0 for inside in members)


def investing(diagnosis: errata.Diagnosis, evaluation: Evaluation) -> tuple[list[str], list[str]]:
    """Ids that the reference reports among the tested proposals: on all rows, and on confirm rows."""
    tested = [finding for finding in diagnosis.findings if finding.family == "errors" and finding.p_value is not None]
    said = []
    for part in (evaluation.take(evaluation.fold >= 0), evaluation.part(CONFIRM, copies=True)):
        loss = part.view().loss
        members = {finding.id: np.asarray(part.of(diagnosis.members[finding.id])) for finding in tested}
        order = sorted(members, key=lambda one: -int(members[one].sum()))
        p_values = [welch(loss[members[one]], loss[~members[one]]) for one in order]
        said.append([one for one, kept in zip(order, invested(p_values), strict=True) if kept])
    return said[0], said[1]


def welch(inside: np.ndarray, outside: np.ndarray) -> float:
    """One-sided p-value of Welch's t-test that losses inside are higher."""
    from scipy.stats import ttest_ind

    if len(inside) < 2 or len(outside) < 2 or (np.ptp(inside) == 0 and np.ptp(outside) == 0):
        return 1.0
    return float(ttest_ind(inside, outside, equal_var=False, alternative="greater").pvalue)


def invested(p_values: Sequence[float], *, alpha: float = 0.05) -> list[bool]:
    """Alpha-investing, best-foot-forward: every test gets the whole wealth, which a rejection raises by alpha."""
    wealth, kept = alpha, []
    for p in p_values:
        level = wealth / (1.0 + wealth)
        kept.append(p <= level)
        wealth = wealth + alpha if p <= level else wealth - level / (1.0 - level)
        if wealth <= 1e-12:
            break
    return kept + [False] * (len(p_values) - len(kept))


def gathered(world: str, ran: Sequence[Run], *, data: str, proof: str, rows: int, methods: Sequence[str] | None) -> Row:
    """One line of the table."""
    versions = f"errata {errata.__version__}, Python {platform.python_version()}, numpy {np.__version__}"
    return Row(
        world=world, data=data, proof=proof, methods=", ".join(methods) if methods else "those of the run", rows=rows,
        runs=len(ran), false_runs=sum(run.false > 0 for run in ran), tested=float(np.mean([run.tested for run in ran])),
        confirmed=sum(run.confirmed for run in ran), false=sum(run.false for run in ran),
        discovery_rate=float(np.mean([run.false / max(1, run.confirmed) for run in ran])),
        covered=sum(run.covered for run in ran), found=sum(run.found for run in ran),
        published=sum(run.published > 0 for run in ran), held_out=sum(run.held_out > 0 for run in ran),
        in_class=sum(run.in_class for run in ran), seconds=float(np.median([run.seconds for run in ran])),
        made=f"{time.strftime('%Y-%m-%d')}, {versions}",
    )  # fmt: skip


def share(part: int, whole: int) -> str:
    """A share with its Clopper-Pearson interval at 95 %, in percent."""
    if whole == 0:
        return "-"
    limits = clopper_pearson(part, whole, 0.95)
    return f"{100 * part / whole:.1f} % ({100 * limits.lower:.1f} to {100 * limits.upper:.1f})"


HEAD = (
    "world", "runs", "rows", "runs with a false report", "false-discovery rate", "intervals that cover", "slice found",
    "in its class", "alpha-investing, as published", "alpha-investing, held out", "tested", "seconds",
)  # fmt: skip


def line(row: Row) -> str:
    """One line of the table as Markdown."""
    cells = (
        row.world, row.runs, f"{row.rows:,}", share(row.false_runs, row.runs), f"{100 * row.discovery_rate:.1f} %",
        share(row.covered, row.confirmed), share(row.found, row.runs) if row.world == REAL else "",
        share(row.in_class, row.runs) if row.world == REAL and row.in_class is not None else "",
        share(row.published, row.runs), share(row.held_out, row.runs), f"{row.tested:.1f}", f"{row.seconds:.2f}",
    )  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def page(rows: Sequence[Row]) -> str:
    """The committed table."""
    lines = [
        "# Validity", "",
        "`benchmarks/validity.py`, whose first lines say what is counted. Alpha .05. In brackets 95 % Monte Carlo",
        "limits (Clopper-Pearson). The false-discovery rate is the mean over runs of false over confirmed; intervals",
        "are those of confirmed findings at their adjusted level: where there is nothing to find only false findings",
        "are confirmed, and their intervals seldom cover; over all runs their share stays below that of false reports.",
        "Alpha-investing: runs with a false report. Slice found: a confirmed finding shares half of its rows with it",
        "(Jaccard). Methods over embeddings work class by class, so that a slice of both classes comes in two halves,",
        "of which neither counts; in its class: with the slice's rows of the classes that the finding is of.",
    ]  # fmt: skip
    for data, proof in dict.fromkeys((row.data, row.proof) for row in rows):
        part = [row for row in rows if (row.data, row.proof) == (data, proof)]
        lines += ["", f"## {proof} proof, {data}s", "", f"{part[0].made}. Methods: {part[0].methods}.", ""]
        lines += [f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|", *map(line, part)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
