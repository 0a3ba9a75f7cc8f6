"""A run directory is whole or it is not there, and what is read is what was written."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from errata.core.codec import encode
from errata.core.errors import CannotRunError, UsageError
from errata.core.evaluation import FOLDS
from errata.core.rules import Where
from errata.store.directory import is_run, load, save, update_findings
from errata.store.key import Call, announce

RUN_KEYS = {
    "schema", "errata", "created", "seed", "split_seed", "alpha", "proof", "multiplicity", "looks", "model", "data",
    "rows", "errors", "predictions", "error_rate", "tested", "families", "detectable", "methods", "timings",
}  # fmt: skip
FINDING_KEYS = {
    "id", "status", "title", "claim", "family", "rule", "proposed_by", "support", "metric", "test", "baseline",
    "strata", "p_value", "q_value", "failure_type", "folded_under", "share_of_errors", "examples", "evidence",
    "caveats", "history",
}  # fmt: skip


def _json(path: Path):
    def refuse(word):
        raise AssertionError(f"{word} in {path}")

    return json.loads(path.read_text(), parse_constant=refuse)


def test_every_json_file_has_the_shape_of_the_contract(diagnosis, tmp_path):
    folder = diagnosis.save(tmp_path / "run")
    run = _json(folder / "run.json")
    assert set(run) >= RUN_KEYS
    assert run["schema"] == 1
    assert set(run["families"][0]) == {"family", "tested", "alpha"}
    assert set(run["detectable"][0]) == {"share", "difference"}
    assert set(run["methods"][0]) == {"name", "options", "seconds", "proposed", "status", "message"}
    assert set(run["rows"]) == set(run["errors"]) == {"explore", "confirm", "sealed"}
    findings = _json(folder / "findings.json")
    assert [item["id"] for item in findings] == [item.id for item in diagnosis.findings]
    for item in findings:
        assert set(item) == FINDING_KEYS
        assert set(item["metric"]) == {"name", "inside", "outside", "difference", "interval", "interval_level"}
        assert set(item["support"]) == {"explore", "confirm", "groups"}
        assert {"kind", "text", "columns"} <= set(item["rule"])
        assert all("kind" in evidence for evidence in item["evidence"])
    assert findings[2]["p_value"] is None
    assert findings[2]["metric"]["outside"] is None  # it was NaN
    source = _json(next((folder / "sources").iterdir()))
    assert source["columns"] == ["note"]


def test_members_hold_every_row_in_the_order_of_the_data(diagnosis, tmp_path):
    folder = diagnosis.save(tmp_path / "run")
    table = pq.read_table(folder / "members.parquet")
    evaluation = diagnosis.evaluation
    assert table.column_names == ["id", "fold", *(item.id for item in diagnosis.findings)]
    assert table["id"].to_pylist() == evaluation.dataset.ids()
    assert table["fold"].to_pylist() == [FOLDS.get(fold) for fold in evaluation.fold.tolist()]
    assert None in table["fold"].to_pylist()
    for item in diagnosis.findings:
        assert table[item.id].to_pylist() == diagnosis.members[item.id].tolist()


def test_an_id_column_is_kept_as_read(diagnosis, tmp_path):
    dataset = replace(diagnosis.evaluation.dataset, id="age.years")
    evaluation = replace(diagnosis.evaluation, dataset=dataset)
    folder = replace(diagnosis, evaluation=evaluation).save(tmp_path / "run")
    assert pq.read_table(folder / "members.parquet")["id"].to_pylist()[:3] == [None, 1, 2]


def test_copies_have_ids_of_their_own(diagnosis, tmp_path):
    occurrence = diagnosis.evaluation.dataset.occurrence.copy()
    occurrence[3] = 2
    dataset = replace(diagnosis.evaluation.dataset, occurrence=occurrence)
    evaluation = replace(diagnosis.evaluation, dataset=dataset)
    folder = replace(diagnosis, evaluation=evaluation).save(tmp_path / "run")
    ids = pq.read_table(folder / "members.parquet")["id"].to_pylist()
    assert ids == dataset.ids()
    assert ids[3].endswith("-2")


def test_the_evaluation_comes_back_as_it_was(diagnosis, tmp_path, monkeypatch):
    monkeypatch.setattr("errata.store.rows.ROW_GROUP", 250)
    back = load(diagnosis.save(tmp_path / "run"))
    was, now = diagnosis.evaluation, back.evaluation
    assert now.dataset.table.names == was.dataset.table.names
    for name in was.dataset.table:
        old, new = was.dataset.table.column(name), now.dataset.table.column(name)
        assert (new.kind, new.levels, new.integer) == (old.kind, old.levels, old.integer), name
        assert new.values.dtype == old.values.dtype, name
        np.testing.assert_array_equal(new.values, old.values, err_msg=name)
        assert [new.value(row) for row in range(9) if new.kind != "embedding"] == [
            old.value(row) for row in range(9) if old.kind != "embedding"
        ]
    for name in ("labels", "predicted", "loss", "stratum", "fold", "counted", "scores", "group"):
        old, new = getattr(was, name), getattr(now, name)
        assert (old is None) == (new is None), name
        if old is not None:
            assert new.dtype == old.dtype, name
            np.testing.assert_array_equal(new, old, err_msg=name)
    for name in ("task", "metric", "classes", "features", "outputs", "set_aside", "predictions", "positive", "model"):
        assert getattr(now, name) == getattr(was, name), name
    assert now.dataset.ids() == was.dataset.ids()
    assert now.dataset.sources == was.dataset.sources
    assert dict(now.dataset.__dict__, table=0, id_hash=0, occurrence=0) == dict(
        was.dataset.__dict__, table=0, id_hash=0, occurrence=0
    )
    assert encode(back.findings) == encode(diagnosis.findings)
    assert back.run == diagnosis.run
    for name, mask in diagnosis.members.items():
        np.testing.assert_array_equal(back.members[name], mask)


def test_scores_and_groups_and_regression_come_back(tmp_path, diagnosis):
    from errata.testing import planted

    for kind in ("groups", "regression"):
        evaluation = planted(kind, n=500, seed=1).evaluation()
        if kind == "groups":
            evaluation = replace(evaluation, scores=np.random.default_rng(0).random((500, 2)).astype(np.float32))
        folder = replace(diagnosis, evaluation=evaluation, members={}).save(tmp_path / kind)
        back = load(folder).evaluation
        for name in ("labels", "predicted", "scores", "group", "loss"):
            np.testing.assert_array_equal(getattr(back, name), getattr(evaluation, name))
        assert pq.read_schema(folder / "evaluation.parquet").names[-1].startswith("errata:")


def test_other_tools_read_the_columns_under_their_own_names(diagnosis, tmp_path):
    table = pq.read_table(diagnosis.save(tmp_path / "run") / "evaluation.parquet")
    assert table["note"].to_pylist()[:2] == [None, "zeile 1 ü"]
    assert table["age.years"].to_pylist()[:2] == [None, 1]
    assert table["flag"].to_pylist()[:3] == [None, False, True]
    assert table["errata:fold"].to_pylist()[5] is None
    wrong = diagnosis.evaluation.labels != diagnosis.evaluation.predicted
    assert table["errata:wrong"].to_pylist() == wrong.tolist()
    # a column of the data that looks like ours steps aside, and ours keeps its name
    assert table["data:errata:loss"].to_pylist()[2] == 5.0
    assert table["errata:loss"].to_pylist() == diagnosis.evaluation.loss.tolist()


def test_a_loaded_run_applies_its_rules_and_saves_again(diagnosis, tmp_path):
    back = load(diagnosis.save(tmp_path / "run"))
    for item in back.findings:
        np.testing.assert_array_equal(item.rule.members(back.evaluation), diagnosis.members[item.id])
    again = load(back.save(tmp_path / "run"))
    assert encode(again.findings) == encode(back.findings)
    np.testing.assert_array_equal(again.evaluation.column("age").values, diagnosis.evaluation.column("age").values)


def test_a_summary_reads_no_rows(diagnosis, tmp_path):
    folder = diagnosis.save(tmp_path / "run")
    (folder / "evaluation.parquet").write_bytes(b"cut short")
    assert len(load(folder, rows=False).findings) == 3
    with pytest.raises(UsageError, match="damaged"):
        load(folder)


def test_a_different_run_is_refused_and_the_same_one_is_not(diagnosis, tmp_path):
    folder = diagnosis.save(tmp_path / "run")
    diagnosis.save(folder)
    later = replace(diagnosis, run=replace(diagnosis.run, created="2027-01-01", timings={"read": 9.0}))
    later.save(folder)
    other = replace(diagnosis, run=replace(diagnosis.run, seed=5))
    with pytest.raises(UsageError, match="different run") as caught:
        other.save(folder)
    assert "--force" in str(caught.value)
    assert load(folder).run.seed == 0
    other.save(folder, force=True)
    assert load(folder).run.seed == 5


def test_a_folder_with_other_things_is_refused(diagnosis, tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(UsageError, match=r"thesis\.tex"):
        diagnosis.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["thesis.tex"]
    diagnosis.save(tmp_path, force=True)
    assert (tmp_path / "thesis.tex").read_text() == "mine"
    with pytest.raises(UsageError, match="is a file"):
        diagnosis.save(tmp_path / "thesis.tex")


def test_what_an_older_run_left_does_not_survive_in_a_newer_one(diagnosis, tmp_path):
    folder = diagnosis.save(tmp_path / "run")
    (folder / "media").mkdir()
    (folder / "media" / "1.png").write_bytes(b"")
    other = replace(diagnosis, run=replace(diagnosis.run, seed=5), evaluation=None, members={})
    other.save(folder, force=True)
    left = sorted(path.name for path in folder.iterdir())
    assert left == ["evidence.json", "findings.json", "report.html", "run.json"]


def test_an_announced_run_keeps_its_call_and_a_dead_process_announces_nothing(diagnosis, tmp_path):
    call = Call(key="0123456789abcdef", command="errata diagnose x.csv", options={"data": "x.csv", "alpha": 0.1})
    announce(tmp_path / "run" / ".partial", call)
    run = _json(diagnosis.save(tmp_path / "run") / "run.json")
    assert run["key"] == call.key
    assert run["command"] == "errata diagnose x.csv"
    assert run["settings"]["call"] == {"data": "x.csv", "alpha": 0.1}
    announce(tmp_path / "two" / ".partial", call)
    note = tmp_path / "two" / ".partial" / "call.json"
    note.write_text(note.read_text().replace(str(os.getpid()), "1"))
    assert _json(diagnosis.save(tmp_path / "two") / "run.json")["key"] != call.key


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda run: shutil.rmtree(run), "is no folder"),
        (lambda run: (run / "run.json").unlink(), "holds no run.json"),
        (lambda run: ((run / "run.json").unlink(), (run / ".partial").mkdir()), "not finished"),
        (lambda run: (run / "run.json").write_text('{"schema": 1'), "damaged"),
        (lambda run: (run / "run.json").write_text("[1]"), "not written by Errata"),
        (lambda run: (run / "run.json").write_text('{"name": "x"}'), "not written by Errata"),
        (lambda run: (run / "run.json").write_text('{"schema": 2, "errata": "9.0"}'), "Errata 9.0"),
        (lambda run: (run / "run.json").write_text('{"schema": 1, "errata": "0.1"}'), "damaged"),
        (lambda run: (run / "findings.json").unlink(), "damaged or missing"),
        (lambda run: (run / "findings.json").write_text('[{"id": "x"}]'), "damaged"),
        (lambda run: (run / "findings.json").write_text("7"), "damaged"),
        (lambda run: (run / "members.parquet").unlink(), "damaged"),
        (lambda run: (run / "evaluation.parquet").write_bytes(b"PAR1"), "damaged"),
        (lambda run: os.truncate(run / "evaluation.parquet", 2000), "damaged"),
    ],
)
def test_a_damaged_or_foreign_folder_is_a_clear_error(diagnosis, tmp_path, damage, words):
    folder = diagnosis.save(tmp_path / "run")
    damage(folder)
    with pytest.raises(UsageError, match=words) as caught:
        load(folder)
    assert "Hint:" in str(caught.value)


def test_findings_are_replaced_in_one_step(diagnosis, tmp_path):
    folder = diagnosis.save(tmp_path / "run")
    changed = replace(diagnosis.findings[0], status="seen")
    update_findings(folder, replace(diagnosis, findings=(changed,)))
    assert [item.status for item in load(folder).findings] == ["seen"]
    assert not list(folder.glob(".*"))


def test_findings_never_change_without_the_page(diagnosis, tmp_path, monkeypatch):
    """A disk that fills between the two leaves both as they were."""
    folder = diagnosis.save(tmp_path / "run")
    before = {name: (folder / name).read_bytes() for name in ("findings.json", "report.html")}
    was = Path.write_text

    def full(path: Path, text: str, **named: str) -> int:
        if "report" in path.name:
            raise OSError(28, "No space left on device")
        return was(path, text, **named)

    monkeypatch.setattr(Path, "write_text", full)
    changed = replace(diagnosis.findings[0], status="seen")
    with pytest.raises(CannotRunError, match="No space left") as caught:
        update_findings(folder, replace(diagnosis, findings=(changed,)))
    assert "Hint:" in str(caught.value)
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert not list(folder.glob(".*"))


def test_a_file_that_cannot_be_written_is_no_run(diagnosis, tmp_path, monkeypatch):
    def full(*args, **named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("errata.store.directory.write_members", full)
    with pytest.raises(CannotRunError, match="No space left") as caught:
        diagnosis.save(tmp_path / "run")
    assert "Hint:" in str(caught.value)
    assert not (tmp_path / "run").exists()


_SAVE = textwrap.dedent("""
    import resource, sys, time
    from dataclasses import replace
    from pathlib import Path
    import numpy as np
    sys.path[:0] = [{src!r}]
    from errata.store import directory
    from errata.core.errors import ErrataError
    from errata.store.directory import load
    diagnosis = load(Path({run!r}))
    {body}
""")


def _script(run: Path, body: str) -> list[str]:
    src = str(Path(__file__).resolve().parents[2] / "src")
    return [sys.executable, "-c", _SAVE.format(src=src, run=str(run), body=textwrap.dedent(body).strip())]


def test_a_disk_that_fills_leaves_nothing_behind(diagnosis, tmp_path):
    run = diagnosis.save(tmp_path / "run")
    largest = max(path.stat().st_size for path in run.rglob("*") if path.is_file())
    for limit in (1, largest // 3, largest - 1):
        body = f"""
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    diagnosis.save({str(tmp_path / "full")!r})
except ErrataError as error:
    print(error.exit_code, error)
        """
        done = subprocess.run(_script(run, body), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("3 "), done.stdout
        assert "Hint:" in done.stdout
        assert not (tmp_path / "full").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize("moment", ["write_members", "_publish", "write_json"])
def test_a_killed_save_is_never_taken_for_a_run_and_the_next_one_goes_through(diagnosis, tmp_path, moment):
    run = diagnosis.save(tmp_path / "run")
    target = tmp_path / "killed"
    body = f"""
was = directory.{moment}
def slow(*given, **named):
    was(*given, **named)
    print("there", flush=True)
    time.sleep(60)
if {moment!r} == "_publish":
    was_replace = Path.replace
    def replace_slowly(self, other):
        was_replace(self, other)
        print("there", flush=True)
        time.sleep(60)
    Path.replace = replace_slowly
else:
    directory.{moment} = slow
diagnosis.save({str(target)!r})
    """
    with subprocess.Popen(_script(run, body), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "there\n"
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
    assert target.exists()
    assert not is_run(target)
    with pytest.raises(UsageError, match="not finished"):
        load(target)
    began = time.monotonic()
    diagnosis.save(target)
    assert time.monotonic() - began < 30  # the dead process's lock is not waited for
    assert is_run(target)
    assert not (target / ".partial").exists()


def test_pictures_of_the_examples_are_kept(diagnosis, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (600, 8, 6)).astype(np.uint8)
    dataset = replace(diagnosis.evaluation.dataset, modality="image", image=lambda row: pixels[row])
    picture = replace(diagnosis, evaluation=replace(diagnosis.evaluation, dataset=dataset))
    back = load(save(picture, tmp_path / "run"))
    assert sorted(path.name for path in (tmp_path / "run" / "media").iterdir()) == ["0.png", "1.png"]
    np.testing.assert_array_equal(back.evaluation.dataset.image(1), pixels[1])
    with pytest.raises(CannotRunError, match="not kept"):
        back.evaluation.dataset.image(2)


def test_rules_that_were_saved_are_the_same_rules(diagnosis, tmp_path):
    back = load(diagnosis.save(tmp_path / "run"), rows=False)
    assert [item.rule for item in back.findings] == [item.rule for item in diagnosis.findings]
    assert all(isinstance(item.rule, Where) for item in back.findings)
