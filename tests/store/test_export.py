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

from errata.core.embedded import Direction, Space
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


def test_a_rule_over_an_embedding_is_skipped_with_the_verb_that_tests_it(diagnosis, tmp_path) -> None:
    """Its text cannot be read as a predicate: a test that held it would fail for that alone, whatever the rows say."""
    rule = Direction(
        column="embedding:e", space=Space(centre=np.zeros(2), scale=None, unit=False, axes=None),
        weights=np.ones(2), bias=0.0, cut=0.0,
    )  # fmt: skip
    path = tmp_path / "test_errors.py"
    found = replace(diagnosis.confirmed[0], rule=rule)
    path.write_text(export_text(replace(diagnosis, findings=(found,)), as_="pytest"), encoding="utf-8")
    said = outcome(path, None, tmp_path)
    assert "1 skipped" in said and "errata check" in said
