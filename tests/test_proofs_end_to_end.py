"""Whole diagnoses with a cross-confirmation, with another account of many tests, and with a calibration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import errata
from errata.proof.confirmation import few_errors
from errata.report.terminal import plain_summary


def table(seed: int = 0, *, n: int = 700, inside: float = 0.45) -> pd.DataFrame:
    """Few errors, most of them where x > 0.85."""
    rng = np.random.default_rng(seed)
    x, z = rng.random(n).round(3), rng.random(n).round(3)
    label = rng.choice(["no", "yes"], n)
    wrong = rng.random(n) < np.where(x > 0.85, inside, 0.03)
    said = np.where(wrong, np.where(label == "no", "yes", "no"), label)
    return pd.DataFrame({"x": x, "z": z, "city": rng.choice(["oslo", "lima"], n), "label": label, "prediction": said})


def test_few_errors_are_cross_confirmed_and_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("errata.proof.settings.few_errors", few_errors)
    heard: list[str] = []
    found = errata.diagnose(
        table(), label="label", prediction="prediction", methods=["error_tree"], state=tmp_path / "state",
        out=tmp_path / "run", progress=lambda share, words: heard.append(words),
    )  # fmt: skip
    assert found.run.proof == "cross"
    assert found.run.rows == {"explore": 0, "confirm": 700, "sealed": 0}
    best = found.confirmed[0]
    assert best.rule.columns == ("x",)
    assert any("rerun" in words and "at most" in words for words in heard)
    assert any("reruns of the whole search" in caveat for caveat in found.run.caveats)
    again = errata.load(tmp_path / "run")
    assert again.evaluation is not None
    assert again.evaluation.cross is not None
    assert set(np.unique(again.evaluation.cross)) == set(range(5))
    assert np.array_equal(again.members[best.id], found.members[best.id])
    members = pd.read_parquet(tmp_path / "run" / "members.parquet")
    assert sorted(members["fold"].astype(str).unique()) == [f"cross:{fold}" for fold in range(1, 6)]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "five folds, each judged by rules that the other four proposed" in page
    assert "family of 5 rules" in page
    assert "explore rows" not in plain_summary(found)


def test_the_second_look_at_other_proposals_confirms_nothing(tmp_path: Path) -> None:
    options = {"label": "label", "prediction": "prediction", "methods": ["error_tree"], "state": tmp_path}
    first = errata.diagnose(table(), proof="split", **options)  # type: ignore[arg-type]
    assert first.run.looks == 1
    second = errata.diagnose(table(), proof="cross", **options)  # type: ignore[arg-type]
    assert second.run.looks == 2
    assert second.findings[0].status == "seen"


def test_a_calibration_is_said_stored_and_shown(tmp_path: Path) -> None:
    found = errata.diagnose(
        table(n=1_200), label="label", prediction="prediction", methods=["error_tree"], proof="split", calibrate=True,
        state=tmp_path / "state", out=tmp_path / "run",
    )  # fmt: skip
    told = found.run.calibration
    assert told is not None
    assert (told.runs, told.false <= 6) == (40, True)
    assert [one.share for one in told.planted] == [0.02, 0.05, 0.1]
    assert told.planted[2].found > 10
    assert errata.load(tmp_path / "run").run.calibration == told
    words = f"false reports {told.false} of 40; would have found"
    assert words in " ".join(plain_summary(found, width=400).split())
    assert words.capitalize() in (tmp_path / "run" / "report.html").read_text()
    assert found.run.looks == 1, "reruns are no looks"


def test_a_cross_confirmation_is_calibrated_by_its_own_reruns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("errata.engine.proving.LEAST_RERUNS", 120)
    found = errata.diagnose(
        table(n=300), label="label", prediction="prediction", methods=["error_tree"], proof="cross", calibrate=True,
        state=tmp_path,
    )  # fmt: skip
    assert found.run.calibration is not None
    assert found.run.calibration.false <= 6
    assert any("against 120 reruns" in caveat for caveat in found.run.caveats)


@pytest.mark.parametrize("multiplicity", ["by", "holm", "maxt"])
def test_every_account_of_many_tests_runs_and_is_said(multiplicity: str, tmp_path: Path) -> None:
    found = errata.diagnose(
        table(n=2_000), label="label", prediction="prediction", proof="split", multiplicity=multiplicity,  # type: ignore[arg-type]
        methods=["error_tree"], state=tmp_path / "state", out=tmp_path / "run",
    )  # fmt: skip
    assert found.run.multiplicity == multiplicity
    assert found.confirmed
    words = {"by": "Yekutieli", "holm": "Holm", "maxt": "Westfall"}[multiplicity]
    assert words in (tmp_path / "run" / "report.html").read_text()
