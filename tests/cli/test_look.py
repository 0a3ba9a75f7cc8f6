"""Verbs on a run."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from errata.cli.app import app
from errata.cli.closer import finding_text, heatmap_table
from errata.cli.verb import Verb
from errata.core.evidence import Caption, Heatmap, Predicate, Rewording
from errata.store.directory import load

FLAGS = """
    --model --label --prediction --scores --text --image --id --group --time --split --ignore --use --task --metric
    --positive --methods --set --out-of-fold --trained-on --seed --split-seed --alpha --shares --proof --multiplicity
    --min-support --min-difference --max-proposals --budget --device --quiet --open --out --force --fail-on
    --allow-pickle
"""


def test_a_run_as_first_word_is_its_summary(errata, run):
    finding = load(run).findings[0]
    for word in ("run/", "run", Path("run").resolve()):
        done = errata(word)
        assert done.code == 0
        assert finding.id in done.out


def test_a_run_named_like_a_verb_is_still_found_by_its_path(errata, run, place):
    shutil.move("run", "report")
    assert errata("./report").code == 0
    assert errata("report/").code == 0


def test_report_is_written_anew(errata, run):
    (run / "report.html").unlink()
    assert errata("report", run).code == 0
    assert "<html" in (run / "report.html").read_text()
    assert errata("report", run, run, "--out", "both.html").code == 0
    assert Path("both.html").stat().st_size > 10_000


def test_explain_a_finding_by_the_first_digits_of_its_id(errata, run):
    finding = load(run).findings[0]
    done = errata("explain", run, "--finding", finding.id[:4])
    assert done.code == 0
    for said in (finding.id, finding.rule.text, "confirmed", "exact test", "held-out rows", finding.examples[0]):
        assert said in done.out


def test_explain_says_all_that_a_run_says_of_a_finding(run):
    whole = load(run)
    first = replace(
        whole.findings[0], failure_type="rare",
        evidence=(
            Predicate(where="age > 3", words="As a predicate, roughly: age over 3. It selects 92 % of this group."),
            Caption(words=({"text": "not"}, {"text": "never"})), Rewording(words="Old ones fail.", by="tiny at here"),
        ),
    )  # fmt: skip
    text = finding_text(replace(whole, findings=(first,)), first.id)
    for said in ("It selects 92 % of this group", "“not” and “never”", "In other words: Old ones fail.", "rare"):
        assert said in text
    assert "errata check" in text
    suspected = replace(first, status="suspected")
    assert "errata check" not in finding_text(replace(whole, findings=(suspected,)), first.id)


def test_explain_a_row_says_what_it_holds_and_where_it_belongs(errata, run):
    finding = load(run).findings[0]
    done = errata("explain", run, "--id", finding.examples[0])
    assert done.code == 0
    assert "label" in done.out
    assert f"{finding.id}  confirmed" in done.out
    for column in finding.rule.columns:
        assert column in done.out


def test_explain_a_heatmap_over_one_or_two_columns(errata, run):
    one = errata("explain", run, "--heatmap", "age")
    assert one.code == 0
    assert "error by age, on held-out rows" in one.out
    two = errata(
        "explain", run, "--heatmap", "age,city", "--bins", "4", "--binning", "equal-width", "--metric", "recall"
    )
    assert "recall by age and city" in two.out
    rows = sum(1 for line in two.out.splitlines() if "(" in line)
    assert 4 <= rows <= 6


def test_a_heatmap_table_stars_the_cells_of_a_rule():
    item = Heatmap(
        columns=("a", "b"), labels=(("low", "high"), ("x", "y")), metric="error", count=(10, 0, 20, 5),
        value=(0.5, None, 0.25, 1.0), member=(1.0, None, 0.4, 0.6), overall=0.4,
    )  # fmt: skip
    lines = heatmap_table(item).splitlines()
    assert lines[3].split() == ["low", "*50", "%", "(10)", "·"]
    assert lines[4].split() == ["high", "25", "%", "(20)", "*100", "%", "(5)"]


def test_check_writes_the_history_and_the_report_tells_it(errata, run):
    before = load(run).findings[0]
    done = errata("check", run, "fresh.csv")
    assert done.code == 0
    assert "1,200 fresh rows: 1 confirmed again" in done.out
    after = load(run).findings[0]
    assert len(after.history) == len(before.history) + 1
    assert after.history[-1].what == "checked: confirmed again"
    assert "1,200" in done.out
    assert "On fresh rows" in errata("explain", run, "--finding", after.id).out
    assert json.loads((run / "run.json").read_text())["created"] == load(run).run.created


def test_check_with_another_column_of_predictions(errata, run, place, defects):
    frame = defects.to_frame().iloc[1800:].copy()
    frame["better"] = frame["label"]
    frame.drop(columns=["prediction"]).to_csv("better.csv", index=False)
    done = errata("check", run, "better.csv", "--prediction", "better")
    assert done.code == 0, done.err
    assert "gone" in done.out


def test_check_with_another_model(errata, run, place):
    (place / "model.py").write_text("def predict(frame):\n    return ['no'] * len(frame)\n")
    done = errata("check", run, "fresh.csv", "--model", "model:predict")
    assert done.code == 0, done.err
    assert "fresh rows" in done.out


def test_export_prints_or_writes(errata, run):
    assert "def test_" in errata("export", run, "--as", "pytest").out
    assert errata("export", run, "--as", "markdown", "--out", "notes.md").code == 0
    assert load(run).findings[0].rule.text in Path("notes.md").read_text()
    assert errata("export", run, "--as", "markdown", "--out", "notes.md").code == 2
    assert errata("export", run, "--as", "markdown", "--out", "notes.md", "--force").code == 0


def test_methods_are_listed_and_shown(errata):
    listed = errata("methods").out
    assert "error_tree" in listed
    shown = errata("methods", "error_tree").out
    assert "Reference:" in shown
    assert "--set error_tree.OPTION=VALUE" in shown
    assert "depth" in shown


@pytest.mark.parametrize("verb", list(app.commands.values()), ids=list(app.commands))
def test_every_verb_has_a_page_with_examples(errata, verb):
    assert isinstance(verb, Verb)
    page = errata(verb.name, "--help")
    assert page.code == 0
    assert "Examples:" in page.out
    assert f"errata {verb.name}" in page.out or verb.hidden


def test_every_flag_of_the_contract_is_there(errata):
    page = errata("diagnose", "--help").out
    for flag in FLAGS.split():
        assert f"{flag} " in page or f"{flag}\n" in page, flag


def test_verbs_are_those_of_this_version():
    assert [name for name, verb in app.commands.items() if not verb.hidden] == [
        "demo", "diagnose", "report", "explain", "check", "export", "methods", "cache",
    ]  # fmt: skip
