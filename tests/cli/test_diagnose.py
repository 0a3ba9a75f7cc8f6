"""`errata diagnose`: where the run goes, when it is done again, what is said, and how it ends."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

import errata
from errata.store.directory import is_run, load


def only_run() -> Path:
    (folder,) = Path("errata-runs").iterdir()
    return folder


def test_a_table_of_predictions_becomes_a_run_with_a_report(diagnose, defects):
    done = diagnose()
    assert done.code == 0
    folder = only_run()
    assert is_run(folder)
    assert folder.name.startswith("first-")
    assert len(folder.name) == len("first-") + 6
    found = load(folder)
    assert [finding.status for finding in found.findings] == ["confirmed"]
    assert found.findings[0].id in done.out
    assert f"{folder}/report.html" in done.out
    assert f"errata explain {folder}/ --finding {found.findings[0].id}" in done.out
    assert done.err == ""
    assert not (folder / ".partial").exists()


def test_the_run_knows_the_command_that_repeats_it(diagnose, errata):
    diagnose("--alpha", "0.1", "--shares", "40/60/0", "--ignore", "plan,city", "--set", "error_tree.depth=3")
    run = json.loads((only_run() / "run.json").read_text())
    assert run["alpha"] == 0.1
    assert run["settings"]["call"]["data"] == "first.csv"
    words = shlex.split(run["command"])
    assert words[:3] == ["errata", "diagnose", "first.csv"]
    again = errata(*words[1:])
    assert again.code == 0
    assert "there already" in again.out
    assert len(list(Path("errata-runs").iterdir())) == 1


def test_the_same_call_shows_what_is_there_and_force_runs_again(diagnose):
    diagnose("--out", "run")
    before = (Path("run") / "run.json").stat().st_mtime_ns
    again = diagnose("--out", "run")
    assert again.code == 0
    assert "there already" in again.out
    assert (Path("run") / "run.json").stat().st_mtime_ns == before
    assert diagnose("--out", "run", "--force").code == 0
    assert (Path("run") / "run.json").stat().st_mtime_ns > before
    assert load("run").run.looks == 1  # the same look again is a repeat


def test_a_different_run_is_refused_before_any_work(diagnose, instead):
    diagnose("--out", "run")
    real = errata.diagnose
    instead(lambda *given, **named: pytest.fail("it ran"))
    refused = diagnose("--out", "run", "--alpha", "0.2")
    instead(real)
    assert refused.code == 2
    assert "--force" in refused.err
    assert load("run").run.alpha == 0.05
    assert diagnose("--out", "run", "--alpha", "0.2", "--force").code == 0
    assert load("run").run.alpha == 0.2


def test_changed_data_are_a_different_run(diagnose, place):
    diagnose("--out", "run")
    with (place / "first.csv").open("a") as file:
        file.write((place / "fresh.csv").read_text().splitlines()[1] + "\n")
    assert diagnose("--out", "run").code == 2
    diagnose()
    assert diagnose("--quiet").code == 0
    assert len(list(Path("errata-runs").iterdir())) == 1


def test_an_object_of_a_module_may_have_changed_so_it_runs_again(errata, place):
    (place / "my_model.py").write_text("def predict(frame):\n    return ['no'] * len(frame)\n")
    words = ("diagnose", "first.csv", "--label", "label", "--model", "my_model:predict", "--methods", "error_tree",
             "--ignore", "prediction", "--out", "run")  # fmt: skip
    assert errata(*words).code == 0
    before = (place / "run" / "run.json").stat().st_mtime_ns
    again = errata(*words)
    assert again.code == 0
    assert "there already" not in again.out
    assert (place / "run" / "run.json").stat().st_mtime_ns > before


def test_quiet_prints_nothing_but_errors(diagnose):
    done = diagnose("--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert diagnose("--quiet", "--fail-on", "any").code == 1
    wrong = diagnose("--quiet", "--group", "nowhere")
    assert wrong.code == 2
    assert "nowhere" in wrong.err


@pytest.mark.parametrize(("least", "code"), [("any", 1), ("0.05", 1), ("0.99", 0)])
def test_fail_on(diagnose, least, code):
    assert diagnose("--fail-on", least).code == code
    assert diagnose("--fail-on", least).code == code  # also when the run is there already


def test_a_failed_call_leaves_no_folder_behind(errata):
    assert errata("diagnose", "first.csv", "--label", "labell").code == 2
    assert not Path("errata-runs").exists()
    assert errata("diagnose", "first.csv", "--label", "labell", "--out", "run").code == 2
    assert not Path("run").exists()


def test_samples_keep_their_ledger_inside_the_run(errata, place, monkeypatch):
    (place / "guess.py").write_text("def predict(frame):\n    return ['setosa'] * len(frame)\n")
    done = errata("diagnose", "sample:iris", "--model", "guess:predict", "--methods", "error_tree", "--out", "run")
    assert done.code == 0, done.err
    assert not (place.parent / "state").exists()
    assert not (place / "run" / "state" / "looks").exists() or list((place / "run" / "state" / "looks").iterdir())


def test_open_shows_the_report(diagnose, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    diagnose("--open", "--out", "run")
    assert opened == [(Path("run") / "report.html").resolve().as_uri()]


def test_out_of_fold_may_stand_alone(instead, diagnose, errata):
    seen = []

    def spy(*given, **named):
        seen.append(named.get("out_of_fold"))
        raise KeyboardInterrupt

    instead(spy)
    for words in (["--out-of-fold"], ["--out-of-fold", "3"], ["--out-of-fold=4"], ["--out-of-fold", "--quiet"]):
        assert diagnose(*words).code == 130
    assert errata("diagnose", "--out-of-fold", "first.csv").code == 130
    assert seen == [5, 3, 4, 5, 5]


def test_flags_arrive_as_the_library_s_words(instead, diagnose):
    import inspect

    from errata.diagnose import diagnose as library

    seen = {}
    instead(lambda data, **named: seen.update(named, data=data) or 1 / 0)
    diagnose(
        "--scores", "p_", "--id", "a", "--group", "b", "--time", "c", "--split", "d", "--ignore", "e,f",
        "--ignore", "g", "--use", "h", "--task", "classification", "--metric", "loss", "--positive", "yes",
        "--set", "error_tree.depth=3",
        "--trained-on", "other", "--seed", "1", "--split-seed", "2", "--alpha", ".1", "--shares", "40/40/20",
        "--min-support", "9", "--min-difference", ".2", "--max-proposals", "7", "--budget", "2m", "--device", "cpu",
        "--allow-pickle", "--model", "m:f",
    )  # fmt: skip
    assert seen["ignore"] == ("e", "f", "g")
    assert seen["settings"] == {"error_tree.depth": 3}
    assert seen["shares"] == (0.4, 0.4, 0.2)
    assert seen["budget"] == 120.0
    assert seen["methods"] == ("error_tree",)
    assert seen["allow_pickle"] is True
    assert set(seen) - {"data"} <= set(inspect.signature(library).parameters)
