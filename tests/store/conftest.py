"""A diagnosis made by hand, so that the store is tried without the rest of the pipeline."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from errata.core.columns import Column
from errata.core.dataset import SetAside
from errata.core.diagnosis import Detectable, Diagnosis, FamilyRecord, MethodRecord, RunRecord
from errata.core.evidence import Comparison, Examples, Heatmap, Statistic, TreePath
from errata.core.finding import Effect, Event, Finding, Support
from errata.core.model import ModelSpec
from errata.core.rules import Where
from errata.core.slices import Slice
from errata.core.source import Source
from errata.testing import planted


def finding(text: str, status: str = "confirmed", **changes) -> Finding:
    rule = Where.parse(text)
    effect = Effect(name="error", inside=0.58, outside=0.12, difference=0.46, interval=(0.4, 0.52), interval_level=0.95)
    if status == "untestable":
        effect = replace(effect, inside=None, outside=float("nan"), difference=None, interval=None, interval_level=None)
    plain = Finding(
        id=Slice(rule=rule).id, status=status, title=f"Rows with {text}", claim=Slice(rule=rule).claim, family="errors",
        rule=rule, proposed_by=("error_tree",), support=Support(explore=120, confirm=118),
        metric=effect, test="exact, stratified by class", baseline="rows of the same class",
        strata="class", p_value=None if status == "untestable" else 1e-9,
        q_value=None if status == "untestable" else 1e-8, share_of_errors=0.2,
        evidence=(
            Statistic(name="remaining", value=float("nan"), interval=(0.1, 0.2), n=118, words="what remains"),
            Comparison(rows=({"stratum": "yes", "inside": 10, "inside_wrong": 5, "outside": 90, "outside_wrong": 9},)),
            Heatmap(columns=("x1",), labels=(("low", "high"),), metric="error", count=(1, 0), value=(0.5, None)),
            TreePath(nodes=({"id": 0, "parent": None, "text": "all", "n": 10, "wrong": 2, "members": 3},)),
        ),
        caveats=("12 members have no rest in their class",),
        history=(Event(what="confirmed", when="2026-01-01T00:00:00+00:00"),),
    )  # fmt: skip
    return replace(plain, **changes)


@pytest.fixture
def world():
    return planted("set", n=600, missing=0.05, seed=4)


@pytest.fixture
def evaluation(world):
    plain = world.evaluation(sealed=0.1)
    table = plain.dataset.table.with_columns({
        "seen at": Column(kind="datetime", values=np.arange(600).astype("datetime64[h]").astype("datetime64[us]")),
        "note": Column.strings([None if row % 7 == 0 else f"zeile {row} ü" for row in range(600)]),
        "flag": Column(kind="boolean", values=(np.arange(600) % 3 - 1).astype(np.int8)),
        "mixed": Column.category([[1, "one", None, True][row % 4] for row in range(600)]),
        "digit": Column.category([None if row == 3 else 9 - row % 10 for row in range(600)]),
        "half": Column.category([row % 4 / 2 for row in range(600)]),
        "asked": Column(kind="category", values=(np.arange(600) % 3 - 1).astype(np.int32), levels=(False, True)),
        "ordered": Column(kind="category", values=(np.arange(600) % 2).astype(np.int32), levels=("lo", "hi", "never")),
        "empty": Column(kind="category", values=np.full(600, -1, dtype=np.int32)),
        "age.years": Column(kind="number", values=np.where(np.arange(600) % 9, np.arange(600), np.nan), integer=True),
        "age": Column.number(np.linspace(0, 1, 600).astype(np.float32)),
        "errata:loss": Column.number(np.arange(600) * 2.5),
        "vector": Column(kind="embedding", values=np.arange(1800, dtype=np.float32).reshape(600, 3)),
    })  # fmt: skip
    fold = plain.fold.copy()
    fold[5] = -1
    source = Source(kind="image attributes", columns=("note",), options={"side": 3}, fingerprint="ab")
    dataset = replace(plain.dataset, table=table, sources=(source,), caveats=("copies: 2",))
    return replace(
        plain, dataset=dataset, fold=fold, model=ModelSpec(name="forest", kind="sklearn", classes=("no", "yes")),
        set_aside=(SetAside(column="note", why="an identifier"),), fingerprint="0a1b",
    )  # fmt: skip


@pytest.fixture
def run_record():
    return RunRecord(
        errata="0.1.0", created="2026-01-01T00:00:00+00:00", command="errata diagnose data.csv --label y",
        seed=0, split_seed=0, alpha=0.05, looks=1,
        model=None, data={"fingerprint": "abc", "set_aside": []}, task="classification", metric="error",
        rows={"explore": 300, "confirm": 240, "sealed": 60}, errors={"explore": 40, "confirm": 35, "sealed": 9},
        predictions="unknown", error_rate=0.14, tested=2,
        families=(FamilyRecord(family="errors", tested=2, alpha=0.05),),
        detectable=(Detectable(share=0.05, difference=0.3), Detectable(share=0.01, difference=None)),
        methods=(MethodRecord(name="error_tree", options={"depth": 4}, seconds=0.1, proposed=3, status="done"),),
        timings={"read": 0.1},
    )  # fmt: skip


@pytest.fixture
def diagnosis(evaluation, run_record):
    ids = evaluation.dataset.ids(np.arange(2))
    shown = Examples(wrong=(ids[0],), right=(ids[1],), values={name: {"age": 1.5, "note": None} for name in ids})
    first = finding("age > 0.5")
    findings = (replace(first, evidence=(*first.evidence, shown), examples=tuple(ids)),
                finding('mixed = "one"', "rejected"), finding("flag = true", "untestable"))  # fmt: skip
    members = {item.id: item.rule.members(evaluation.dataset.table) for item in findings}
    return Diagnosis(run=run_record, findings=findings, evaluation=evaluation, members=members)


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch) -> Path:
    """No test writes into the ledger of whoever runs it."""
    monkeypatch.setenv("ERRATA_STATE", str(tmp_path / "state"))
    return tmp_path / "state"
