"""How often a diagnosis reports something where there is nothing, beside what the same build finds where there is.

    python benchmarks/null_worlds.py                        the table, 400 runs of each kind, about half an hour
    python benchmarks/null_worlds.py --runs 40 --out -      a look

Null worlds: `errata.testing.null`, 2,000 rows, every other run with 13 columns instead of 6; and the digits of the
demo with the answers permuted among the scans of one digit and writer. A false report is a run that confirms anything
but a class rate. Planted worlds: `errata.testing.planted`, 12,000 rows, regions of 2.5, 5 and 10 %, errors 55 % inside
against 12 % outside (with groups: 400 families of 20, 10 %). A region is found when a confirmed finding shares 70 % of
its members with it on confirm rows (Jaccard); a confirmed finding is false when the planted rates make its members no
worse than the rest of their classes; its interval covers when the difference of the planted rates lies in it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

import errata
from errata.core.evaluation import CONFIRM, Evaluation
from errata.demo import shifted_digits
from errata.testing import NULLS, World, null, permuted, planted

TABLE = Path(__file__).parent / "results" / "null_worlds.md"
PLANTED = ("literal", "intersection", "three-way", "range", "set", "missing", "class mix", "two regions", "groups")
DIGITS = "digits, permuted"
NULL_ROWS, PLANTED_ROWS = 2_000, 12_000
SHARES = (0.025, 0.05, 0.1)


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What one diagnosis did: proposals tested and findings confirmed (class rates apart)."""

    tested: int
    confirmed: int


@dataclass(frozen=True, kw_only=True)
class Searched:
    """What one diagnosis of a planted world found."""

    regions: int
    found: int
    first: bool
    confirmed: int
    false: int
    covered: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--out", default=str(TABLE), help="- prints only")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--nulls", nargs="*", default=[*NULLS, DIGITS])
    parser.add_argument("--planted", nargs="*", default=PLANTED)
    asked = parser.parse_args()
    began = time.perf_counter()
    nulls, found = [], []
    if DIGITS in asked.nulls:
        # Made before the workers are, which inherit it: a forest inside a worker warns about its own threads.
        digits()
    with ProcessPoolExecutor(asked.workers, mp_context=get_context("fork")) as pool:
        for kind in asked.nulls:
            nulls.append(null_row(kind, list(pool.map(partial(run_null, kind), range(asked.runs), chunksize=4))))
            print(nulls[-1], flush=True)
        for kind in asked.planted:
            ran = list(pool.map(partial(search_planted, kind), range(max(1, asked.runs // 4))))
            found.append(planted_row(kind, ran))
            print(found[-1], flush=True)
    text = page(nulls, found, time.perf_counter() - began)
    if asked.out == "-":
        sys.stdout.write(text)
    else:
        Path(asked.out).parent.mkdir(exist_ok=True)
        Path(asked.out).write_text(text)


def run_null(kind: str, seed: int) -> Ran:
    """Diagnose one null world."""
    if kind == DIGITS:
        return _count(errata.diagnose(permuted(digits(), seed=seed), state=_state(), proof="split"))
    world = null(kind, n=NULL_ROWS, columns=13 if seed % 2 else 6, seed=seed)
    return _count(diagnose(world))


def diagnose(world: World) -> errata.Diagnosis:
    """An ordinary diagnosis of a world's frame, with a ledger of its own."""
    return errata.diagnose(
        world.to_frame(), label=world.label, prediction=world.prediction, group=world.group, state=_state(),
        proof="split",
    )  # fmt: skip


def _state() -> str:
    return tempfile.mkdtemp(prefix="looks-", dir=_folder())


@cache
def _folder() -> str:
    return tempfile.mkdtemp(prefix="null-worlds-")


def _count(diagnosis: errata.Diagnosis) -> Ran:
    return Ran(tested=diagnosis.run.tested, confirmed=len(_errors(diagnosis)))


def _errors(diagnosis: errata.Diagnosis) -> list[errata.Finding]:
    return [finding for finding in diagnosis.confirmed if finding.family == "errors"]


@cache
def digits() -> Evaluation:
    """The evaluation of the demo's digits."""
    with tempfile.TemporaryDirectory() as folder:
        data = errata.diagnose(
            shifted_digits(), group="writer", trained_on="other", methods=["error_tree"], state=folder
        )
    assert data.evaluation is not None
    return data.evaluation


def search_planted(kind: str, seed: int) -> Searched:
    """Diagnose one planted world and compare what was confirmed with what was planted."""
    rows = 8_000 if kind == "groups" else PLANTED_ROWS
    share = 0.1 if kind == "groups" else SHARES[seed % 3]
    world = planted(kind, n=rows, columns=13 if seed % 2 else 6, share=share, seed=seed)
    diagnosis = diagnose(world)
    assert diagnosis.evaluation is not None
    confirm = diagnosis.evaluation.part(CONFIRM)
    members = [np.asarray(confirm.of(diagnosis.members[finding.id])) for finding in _errors(diagnosis)]
    regions = [np.asarray(confirm.of(region.members)) for region in world.truth]
    truth = [true_difference(world, inside, confirm) for inside in members]
    pairs = list(zip(_errors(diagnosis), truth, strict=True))
    return Searched(
        regions=len(regions),
        found=sum(any(overlap(inside, region) >= 0.7 for inside in members) for region in regions),
        first=bool(members) and any(overlap(members[0], region) >= 0.7 for region in regions),
        confirmed=len(members),
        false=sum(difference <= 0.0 for _, difference in pairs),
        covered=sum(covers(finding, difference) for finding, difference in pairs),
    )


def covers(finding: errata.Finding, difference: float) -> bool:
    """Whether a finding's interval holds the difference."""
    interval = finding.metric.interval
    return interval is not None and interval[0] <= difference <= interval[1]


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Jaccard overlap."""
    return float((first & second).sum() / max(1, (first | second).sum()))


def true_difference(world: World, inside: np.ndarray, confirm: Evaluation) -> float:
    """Planted rate of the members less that of the rest of their classes, weighted as proof.md section 4 does."""
    assert world.rate is not None
    rate, stratum = np.asarray(confirm.of(world.rate)), confirm.view().stratum
    total, rows = 0.0, 0
    for code in np.unique(stratum):
        members, rest = inside & (stratum == code), ~inside & (stratum == code)
        if members.any() and rest.any():
            total += float(rate[members].sum() - members.sum() * rate[rest].mean())
            rows += int(members.sum())
    return total / rows if rows else 0.0


def interval(hits: int, runs: int) -> str:
    """A share with its Clopper-Pearson interval at 95 %, in percent."""
    from scipy.stats import beta

    low = 0.0 if hits == 0 else float(beta.ppf(0.025, hits, runs - hits + 1))
    high = 1.0 if hits == runs else float(beta.ppf(0.975, hits + 1, runs - hits))
    return f"{hits / runs:.1%} ({low:.1%} to {high:.1%})"


def null_row(kind: str, ran: Sequence[Ran]) -> str:
    """One line of the first table."""
    tested = np.mean([one.tested for one in ran])
    return f"| {kind} | {len(ran)} | {interval(sum(one.confirmed > 0 for one in ran), len(ran))} | {tested:.2f} |"


def planted_row(kind: str, ran: Sequence[Searched]) -> str:
    """One line of the second table."""
    regions, confirmed = sum(one.regions for one in ran), sum(one.confirmed for one in ran)
    rate = np.mean([one.false / one.confirmed if one.confirmed else 0.0 for one in ran])
    return (
        f"| {kind} | {len(ran)} | {interval(sum(one.found for one in ran), regions)} "
        f"| {interval(sum(one.first for one in ran), len(ran))} | {rate:.1%} "
        f"| {interval(sum(one.covered for one in ran), confirmed) if confirmed else '-'} "
        f"| {confirmed / len(ran):.2f} |"
    )


def page(nulls: Sequence[str], found: Sequence[str], seconds: float) -> str:
    """The committed table."""
    return "\n".join(
        [
            "# Null worlds",
            "",
            f"`python benchmarks/null_worlds.py`, {time.strftime('%Y-%m-%d')}, errata {errata.__version__}, "
            f"numpy {np.__version__}, {seconds / 60:.0f} minutes. Alpha .05; what each world is stands in the script.",
            "",
            "| null world | runs | runs that confirm anything (95 % interval) | tested per run |",
            "|---|---|---|---|",
            *nulls,
            "",
            "The same build where something is there:",
            "",
            "| planted | runs | regions found | first finding is one | false among confirmed "
            "| intervals that cover | confirmed per run |",
            "|---|---|---|---|---|---|---|",
            *found,
            "",
        ]
    )


if __name__ == "__main__":
    main()
