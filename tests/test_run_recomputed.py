"""A run directory, recomputed from its files alone with scipy, as somebody who does not trust us would.

Reads `members.parquet`, `evaluation.parquet`, `findings.json` and `run.json`; nothing of Errata but the command.
"""

from __future__ import annotations

import json
from functools import reduce
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.stats import hypergeom, norm

from errata.cli import main
from errata.testing import planted


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("recomputed")
    world = planted("class mix", n=6_000, classes=3, share=0.08, inside=0.4, seed=5)
    world.to_frame().to_csv(folder / "data.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ERRATA_STATE", str(folder / "state"))
        command = ["diagnose", str(folder / "data.csv"), "--label", world.label, "--prediction", world.prediction,
                   "--out", str(folder / "run"), "--quiet"]  # fmt: skip
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert ended.value.code == 0
    return read(folder / "run")


def read(folder: Path) -> dict:
    rows = pq.read_table(folder / "evaluation.parquet").to_pandas()
    members = pq.read_table(folder / "members.parquet").to_pandas()
    return {
        "run": json.loads((folder / "run.json").read_text()),
        "findings": json.loads((folder / "findings.json").read_text()),
        "members": members,
        "wrong": (rows["label"].astype(str) != rows["prediction"].astype(str)).to_numpy(),
        "label": rows["label"].astype(str).to_numpy(),
        "held_out": (members["fold"] == "confirm").to_numpy(),
    }


def counts(run: dict, finding: dict) -> list[tuple[int, int, int, int]]:
    """(members wrong, members, wrong, rows) of each class that has members and a rest, on held-out rows."""
    inside = run["members"][finding["id"]].to_numpy()
    found = []
    for label in np.unique(run["label"]):
        here = run["held_out"] & (run["label"] == label)
        if finding["family"] == "class rates":
            here = run["held_out"]
        cell = (int((run["wrong"] & inside & here).sum()), int((inside & here).sum()),
                int((run["wrong"] & here).sum()), int(here.sum()))  # fmt: skip
        if 0 < cell[1] < cell[3]:
            found.append(cell)
        if finding["family"] == "class rates":
            break
    return found


def wilson(wrong: int, rows: int, level: float) -> tuple[float, float]:
    z, p = norm.ppf(0.5 + level / 2), wrong / rows
    scale = 1 + z * z / rows
    centre = (p + z * z / (2 * rows)) / scale
    spread = z * np.sqrt(p * (1 - p) / rows + (z / (2 * rows)) ** 2) / scale
    return centre - spread, centre + spread


def test_there_is_something_to_recompute(run: dict) -> None:
    assert any(finding["status"] == "confirmed" for finding in run["findings"])


def test_rows_and_errors(run: dict) -> None:
    for fold, number in run["run"]["rows"].items():
        here = (run["members"]["fold"] == fold).to_numpy()
        assert number == here.sum()
        assert run["run"]["errors"][fold] == run["wrong"][here].sum()


def test_p_values_are_those_of_the_convolved_hypergeometric(run: dict) -> None:
    for finding in run["findings"]:
        if finding["p_value"] is None:
            continue
        cells = counts(run, finding)
        sums = reduce(np.convolve, [hypergeom(n, k, m).pmf(np.arange(m + 1)) for _, m, k, n in cells])
        expected = sums[sum(cell[0] for cell in cells) :].sum()
        assert finding["p_value"] == pytest.approx(expected, rel=1e-6, abs=1e-15)


def test_q_values_and_statuses_are_benjamini_hochbergs(run: dict) -> None:
    for family in run["run"]["families"]:
        tested = [f for f in run["findings"] if f["family"] == family["family"] and f["p_value"] is not None]
        assert len(tested) == family["tested"]
        ordered = sorted(tested, key=lambda finding: finding["p_value"])
        best = 1.0
        for rank in range(len(ordered), 0, -1):
            best = min(best, ordered[rank - 1]["p_value"] * len(ordered) / rank)
            assert ordered[rank - 1]["q_value"] == pytest.approx(best, rel=1e-9)
        for finding in tested:
            assert (finding["status"] == "confirmed") == (finding["q_value"] <= run["run"]["alpha"])


def test_rates_and_intervals_are_as_the_page_on_proof_defines_them(run: dict) -> None:
    for finding in run["findings"]:
        cells, metric = counts(run, finding), finding["metric"]
        if not cells:
            continue
        members = sum(cell[1] for cell in cells)
        inside = sum(cell[0] for cell in cells) / members
        rest = [(k - x, n - m, m / members) for x, m, k, n in cells]
        outside = sum(share * wrong / rows for wrong, rows, share in rest)
        assert metric["inside"] == pytest.approx(inside)
        assert metric["outside"] == pytest.approx(outside)
        assert metric["difference"] == pytest.approx(inside - outside)
        tested = [f for f in run["findings"] if f["family"] == finding["family"] and f["p_value"] is not None]
        kept = sum(f["status"] == "confirmed" for f in tested)
        alpha = run["run"]["alpha"]
        level = 1 - alpha * kept / len(tested) if finding["status"] == "confirmed" else 1 - alpha
        assert metric["interval_level"] == pytest.approx(level)
        low, high = wilson(round(inside * members), members, level)
        below = (inside - low) ** 2 + sum((w * (wilson(x, n, level)[1] - x / n)) ** 2 for x, n, w in rest)
        above = (high - inside) ** 2 + sum((w * (x / n - wilson(x, n, level)[0])) ** 2 for x, n, w in rest)
        difference = inside - outside
        assert metric["interval"] == pytest.approx([difference - below**0.5, difference + above**0.5])


def test_supports_and_shares_of_errors(run: dict) -> None:
    wrong = run["wrong"] & run["held_out"]
    for finding in run["findings"]:
        inside = run["members"][finding["id"]].to_numpy()
        assert finding["support"]["confirm"] == (inside & run["held_out"]).sum()
        assert finding["support"]["explore"] == (inside & (run["members"]["fold"] == "explore")).sum()
        assert finding["share_of_errors"] == pytest.approx((wrong & inside).sum() / wrong.sum())


def test_findings_come_best_first_and_are_folded_as_the_contract_says(run: dict) -> None:
    confirmed = [finding for finding in run["findings"] if finding["status"] == "confirmed"]
    assert run["findings"][: len(confirmed)] == confirmed
    shares = [finding["share_of_errors"] for finding in confirmed]
    assert shares == sorted(shares, reverse=True)
    masks = [run["members"][finding["id"]].to_numpy() & run["held_out"] for finding in confirmed]
    for place, finding in enumerate(confirmed):
        mine, better = masks[place], masks[:place]
        covered = (mine & np.any(better, axis=0)).sum() >= 0.5 * mine.sum() if better else False
        holds = any((mine & other).sum() >= 0.5 * other.sum() for other in better)
        assert (finding["folded_under"] is not None) == bool(covered or holds)
