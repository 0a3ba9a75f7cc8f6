"""What is taken away from a run does what it says: the tests fail when the error is back, and only then."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from errata.core.errors import UsageError
from errata.store.export import export_text
from errata.testing import planted

SRC = str(Path(__file__).resolve().parents[2] / "src")


@pytest.fixture(scope="module")
def defects():
    return planted("intersection", n=6_000, share=0.08, seed=2)


@pytest.fixture(scope="module")
def exported(defects, tmp_path_factory) -> Path:
    """The tests of a real run over the first half of a world."""
    import errata

    folder = tmp_path_factory.mktemp("exported")
    errata.diagnose(
        defects.to_frame().iloc[:3000], label=defects.label, prediction=defects.prediction, methods=["error_tree"],
        out=folder / "run", state=folder / "state",
    )  # fmt: skip
    path = folder / "test_errors.py"
    path.write_text(export_text(folder / "run", as_="pytest"), encoding="utf-8")
    return path


def outcome(exported: Path, frame, folder: Path) -> str:
    """What pytest says of the exported file on fresh rows."""
    data = folder / "fresh.csv"
    if frame is not None:
        frame.to_csv(data, index=False)
    environment = os.environ | {
        "PYTHONPATH": SRC, "FRESH_DATA": "" if frame is None else str(data), "ERRATA_STATE": str(folder / "state"),
    }  # fmt: skip
    words = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", str(exported)]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=folder, check=False, timeout=120)
    return done.stdout + done.stderr


def repaired(defects, frame):
    """The same rows with the errors of the planted region spread evenly."""
    frame = frame.copy()
    wrong = np.random.default_rng(1).random(len(frame)) < defects.outside
    label = frame[defects.label]
    frame[defects.prediction] = np.where(wrong, np.where(label == "yes", "no", "yes"), label)
    return frame


def test_the_tests_fail_on_the_defect_and_pass_on_a_repair(defects, exported, tmp_path):
    fresh = defects.to_frame().iloc[3000:]
    back = outcome(exported, fresh, tmp_path)
    assert "1 failed" in back, back
    assert "the error is back" in back
    gone = outcome(exported, repaired(defects, fresh), tmp_path)
    assert "1 passed" in gone, gone
    assert "failed" not in gone


def test_too_few_fresh_rows_skip_with_a_reason(defects, exported, tmp_path):
    members = np.flatnonzero(defects.truth[0].members[3000:]) + 3000
    few = defects.to_frame().iloc[np.r_[members[:4], 3000:3060]]
    said = outcome(exported, few, tmp_path)
    assert "1 skipped" in said, said
    assert "rows of the slice among the fresh rows" in said
    assert "FRESH_DATA names no fresh rows" in outcome(exported, None, tmp_path)


def test_the_file_says_what_it_does_and_names_its_tests_in_words(defects, exported):
    tree = ast.parse(exported.read_text(encoding="utf-8"))
    words = ast.get_docstring(tree)
    for said in ("FRESH_DATA=", "FRESH_MODEL=", "one-sided and exact", "5 % of its runs", "skipped"):
        assert said in words
    tests = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    column = defects.truth[0].columns[0]
    assert len(tests) == 1
    assert column in tests[0].name
    assert "wrong" in ast.get_docstring(tests[0])


def test_titles_and_rules_from_hostile_data_stay_words(diagnosis):
    nasty = 'q"""\nimport os\nos.abort()\n"""\\'
    first = replace(diagnosis.findings[0], title=nasty)
    twin = replace(first, id="ffffffff")
    text = export_text(replace(diagnosis, findings=(first, twin)), as_="pytest")
    tree = ast.parse(text)
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    assert len(names) == len(set(names)) == 2
    assert [node.names[0].name for node in tree.body if isinstance(node, ast.Import)] == ["os", "warnings", "pytest"]


def test_only_confirmed_findings_are_exported(diagnosis):
    text = export_text(diagnosis, as_="pytest")
    assert text.count("\ndef test_") == 1
    nothing = replace(diagnosis, findings=diagnosis.findings[1:])
    assert export_text(nothing, as_="pytest").count("\ndef test_nothing_was_confirmed") == 1
    assert "no errors that Errata confirmed" in export_text(nothing, as_="pytest")


def test_markdown_shows_the_rule(diagnosis):
    assert diagnosis.findings[0].rule.text in export_text(diagnosis, as_="markdown")


def test_an_unknown_form_is_a_usage_error(diagnosis):
    with pytest.raises(UsageError, match="pytest"):
        export_text(diagnosis, as_="pytests")


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Path:
    """The tests of a run whose findings are rules over an embedding that it brought, and its rows."""
    import errata

    folder = tmp_path_factory.mktemp("faces")
    run = errata.diagnose(cloud(0), methods=["failure_directions"], out=folder / "run", state=folder / "state")
    assert [finding.rule.kind for finding in run.confirmed] == ["direction"]
    path = folder / "test_errors.py"
    path.write_text(export_text(folder / "run", as_="pytest"), encoding="utf-8")
    return path


def cloud(seed: int, *, inside: float = 0.7) -> dict[str, np.ndarray]:
    """Rows of a cloud whose far side errs in `inside` of the cases."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((2_000, 4)).astype(np.float32)
    label = rng.integers(0, 2, 2_000)
    wrong = rng.random(2_000) < np.where((values[:, 0] > 1.0) & (label == 1), inside, 0.1)
    return {"embedding_face": values, "number": np.arange(2_000) + 10_000 * seed, "label": label,
            "prediction": np.where(wrong, 1 - label, label)}  # fmt: skip


def test_a_rule_over_an_embedding_is_tested_by_the_run_that_holds_it(faces, tmp_path) -> None:
    data = tmp_path / "fresh.npz"

    def said(fresh: dict[str, np.ndarray], tests: Path) -> str:
        np.savez(data, **fresh)
        environment = os.environ | {"PYTHONPATH": SRC, "FRESH_DATA": str(data), "ERRATA_STATE": str(tmp_path)}
        words = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", str(tests)]
        return subprocess.run(
            words, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False, timeout=120
        ).stdout  # fmt: skip

    back = said(cloud(1), faces)
    assert "1 failed" in back and "the error is back" in back, back
    gone = said(cloud(2, inside=0.1), faces)
    assert "1 passed" in gone, gone
    moved = tmp_path / "test_moved.py"
    moved.write_text(faces.read_text().replace(str(faces.parent / "run"), "elsewhere"), encoding="utf-8")
    away = said(cloud(3), moved)
    assert "1 skipped" in away and "no longer at elsewhere" in away, away
