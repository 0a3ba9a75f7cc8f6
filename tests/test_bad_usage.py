"""What a clumsy user may ask for: options, settings, places for a run, damaged runs, and calls from Python."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import errata
from errata.core.errors import ErrataError

QUICK = ("--methods", "error_tree")


OPTIONS = [
    ("--alpha 0", "--alpha"), ("--alpha abc", "--alpha"), ("--alpha nan", "`alpha` is `nan`"),
    ("--positive ys --metric false-positive", "did you mean `yes`?"),
    ("--set error_tree.dpth=3", "did you mean `depth`?"), ("--set nope.x=1", "There is no method `nope`"),
    ("--set error_tree.depth=deep", "`error_tree.depth` is `deep`"), ("--set error_tree.depth=-3", "is `-3`"),
    ("--methods nothing", "There is no method `nothing`"), ("--methods ,", "names no method"),
    ("--methods error_heatmap", "proposes nothing"), ("--shares nonsense", "three shares"),
    ("--shares 0/1/0", "above zero"), ("--shares nan/1/0", "above zero"), ("--seed -1", "`seed` is `-1`"),
    ("--seed 4294967296", "from 0 to"), ("--max-proposals 0", "--max-proposals"), ("--budget 0", "expected a time"),
    ("--fail-on nan", "`--fail-on` is `nan`"), ("--min-difference 2", "0.02 is two points"),
    ("--metric absolute-error", "the task is classification"),
    ("--out-of-fold 3", "there is none"), ("--trained-on nowhere.csv", "no file or folder `nowhere.csv`"),
    ("--trained-on d.csv", "Every row is among the training data"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "said"), OPTIONS, ids=[row[0] for row in OPTIONS])
def test_options(command, folder, predicted, words, said):
    predicted.to_csv("d.csv", index=False)
    more = () if "--methods" in words else QUICK
    ended = command("diagnose", "d.csv", *more, *words.split())
    assert ended.code == 2, ended.err
    assert said in ended.err
    assert not (folder / "errata-runs").exists()


@pytest.mark.parametrize(("value", "said"), [("abc", "--alpha"), ("0", "--alpha")])
def test_a_variable(command, predicted, monkeypatch, value, said):
    predicted.to_csv("d.csv", index=False)
    monkeypatch.setenv("ERRATA_ALPHA", value)
    ended = command("diagnose", "d.csv", *QUICK)
    assert ended.code == 2
    assert said in ended.err


SETTINGS = [
    ("[tool]\nerrata = 3\n", 2, "write a table"),
    ("[tool.errata]\nalpha = [1]\n", 2, "write one value"),
    ("[tool.errata]\nalpha = {a = 1}\n", 2, "write one value"),
    ("[tool.errata]\nlabel = ['a', 'b']\n", 2, "write one value"),
    ("[tool.errata]\nmax-proposals = 1.5\n", 2, "--max-proposals"),
    ("[tool.errata]\nquiet = 'perhaps'\n", 2, "--quiet"),
    ("[tool.errata]\nout-of-fold = true\n", 2, "`--out-of-fold` trains a model"),
    ("[tool.errata]\nignore = 'age'\nset = 'error_tree.depth=2'\nshares = [50, 50, 0]\n", 0, ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "said"), SETTINGS)
def test_a_configuration_file(command, predicted, text, code, said):
    predicted.to_csv("d.csv", index=False)
    Path("pyproject.toml").write_text(text)
    ended = command("diagnose", "d.csv", *QUICK)
    assert ended.code == code, ended.err
    assert said in ended.err


PLACES = [
    ("file", 2, "is a file"), ("file/run", 3, "could not be written"), ("/dev/null/run", 3, "could not be written"),
    ("x" * 300, 3, "could not be written"), ("full", 2, "is not empty"), ("foreign", 2, "damaged or not ours"),
    ("other", 2, "a different run"),
]  # fmt: skip


@pytest.mark.parametrize(("out", "code", "said"), PLACES, ids=[row[0][:9] for row in PLACES])
def test_places_where_a_run_cannot_go(command, folder, predicted, out, code, said):
    predicted.to_csv("d.csv", index=False)
    Path("file").write_text("mine")
    for name, content in (("full/mine", "mine"), ("foreign/run.json", '{"hello": 1}')):
        Path(name).parent.mkdir()
        Path(name).write_text(content)
    if out == "other":
        assert command("diagnose", "d.csv", "--seed", "7", *QUICK, "--out", out).code == 0
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    ended = command("diagnose", "d.csv", *QUICK, "--out", out)
    assert ended.code == code, ended.err
    assert said in ended.err
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


FILES = ("run.json", "findings.json", "evidence.json", "evaluation.parquet", "members.parquet")


@pytest.mark.parametrize("name", FILES)
def test_a_run_with_a_damaged_file_is_said_by_every_verb(command, predicted, name):
    predicted.to_csv("d.csv", index=False)
    assert command("diagnose", "d.csv", *QUICK, "--out", "whole").code == 0
    for content in (b"", b"junk", (Path("whole") / name).read_bytes()[:-9]):
        shutil.rmtree("run", ignore_errors=True)
        shutil.copytree("whole", "run")
        (Path("run") / name).write_bytes(content)
        for words in (("run/",), ("report", "run"), ("explain", "run", "--heatmap", "age"), ("check", "run", "d.csv")):
            ended = command(*words)
            assert ended.code == 2, (words, content)
            assert "run" in ended.err


def test_a_ledger_that_cannot_be_written_is_a_caveat(command, predicted, monkeypatch, folder):
    predicted.to_csv("d.csv", index=False)
    Path("file").write_text("x")
    monkeypatch.setenv("ERRATA_STATE", str(folder / "file" / "state"))
    ended = command("diagnose", "d.csv", *QUICK)
    assert ended.code == 0
    assert "ledger could not be read or written" in ended.caveats


CALLS = [
    (lambda f: errata.diagnose(None), "`NoneType` is no data"),
    (lambda f: errata.diagnose([1, 2]), "`list` is no data"),
    (lambda f: errata.diagnose(""), "an empty word"),
    (lambda f: errata.diagnose("x" * 5000), "no file or folder"),
    (lambda f: errata.diagnose("https://a.b/c.csv"), "nothing is fetched"),
    (lambda f: errata.diagnose(f.iloc[:0]), "no rows"),
    (lambda f: errata.diagnose(pd.concat([f, f], axis=1)), "two columns named `age`"),
    (lambda f: errata.diagnose(f, label=7), "no column `7`"),
    (lambda f: errata.diagnose(f, label="label", shares="50/50"), "`shares` is"),
    (lambda f: errata.diagnose(f, label="label", seed=-1), "`seed` is `-1`"),
    (lambda f: errata.diagnose(f, label="label", methods=[]), "names no method"),
    (lambda f: errata.diagnose(f, label="label", ignore="cty"), "did you mean `city`?"),
    (lambda f: errata.diagnose(f, model=5), "expected a function"),
    (lambda f: errata.diagnose(len, (f[["age"]], f["label"][:9])), "X has 240 rows and y has 9"),
    (lambda f: errata.diagnose(f, label="label", out="x" * 300), "could not be written"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "said"), CALLS)
def test_calls(folder, predicted, call, said):
    with pytest.raises(ErrataError) as raised:
        call(predicted)
    assert said in str(raised.value)
    assert raised.value.hint


def test_frames_whose_columns_are_numbers_or_tuples(folder, predicted):
    numbered = predicted.set_axis(range(5), axis=1)
    made = errata.diagnose(numbered, label=3, prediction=4, methods=["error_tree"], state="state")
    assert made.run.data["label"] == "3"
    by_model = errata.diagnose(
        lambda frame: np.where(frame[0] > 50, "yes", "no"), numbered, label=3, ignore=["4"], methods=["error_tree"],
        state="state",
    )  # fmt: skip
    assert 0.2 < by_model.run.error_rate < 0.8


def test_a_column_of_objects_is_left_out_and_named(folder, predicted):
    odd = predicted.assign(o=[{"a": 1}, 2, "x"] * 80, big=[2**70 + row for row in range(len(predicted))])
    made = errata.diagnose(odd, label="label", methods=["error_tree"], state="state")
    assert any("`o` holds" in caveat and "left out" in caveat for caveat in made.run.caveats)


def test_a_run_whose_methods_all_fail_is_no_run(command, predicted, monkeypatch, folder):
    from errata.methods.discover.error_tree import ErrorTree

    monkeypatch.setattr(ErrorTree, "run", lambda *given: 1 / 0)
    predicted.to_csv("d.csv", index=False)
    ended = command("diagnose", "d.csv", *QUICK)
    assert ended.code == 3
    assert "ZeroDivisionError" in ended.err
    assert not (folder / "errata-runs").exists()


def test_every_error_says_what_to_do():
    source = Path(errata.__file__).parent
    silent = [
        f"{path.relative_to(source)}:{node.lineno}"
        for path in sorted(source.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("UsageError", "CannotRunError")
        and not any(keyword.arg == "hint" for keyword in node.keywords)
    ]  # fmt: skip
    assert not silent
