"""Captions and other words from end to end: a tiny pair of encoders on disk, a language model on loopback."""

from __future__ import annotations

import re

import numpy as np
import pytest

import errata
from errata.core.errors import UsageError
from errata.core.evidence import Caption, Rewording
from errata.report.markdown import report_markdown
from errata.store.directory import load
from errata.testing.served import Fault, served

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "photo", "dark", "bright", "in", "fog", "of", "cat", "dog"]
LINES = ["a photo", "a dark photo", "a bright photo", "in fog", "a photo in fog", "dark", "bright fog", "{a class}"]


@pytest.fixture(scope="module")
def pair(make_pair):
    return make_pair(WORDS)


@pytest.fixture
def pictures(tmp_path):
    """Cats and dogs, of which the dark ones are often taken for the other."""
    rng = np.random.default_rng(0)
    n = 500
    label = rng.integers(0, 2, n)
    dark = rng.random(n) < 0.25
    images = rng.integers(0, 90, (n, 16, 16, 3)) + np.where(dark, 0, 130)[:, None, None, None]
    wrong = rng.random(n) < np.where(dark, 0.7, 0.06)
    names = np.array(["cat", "dog"])
    path = tmp_path / "pictures.npz"
    np.savez(
        path, images=images.astype(np.uint8), label=names[label], prediction=names[np.where(wrong, 1 - label, label)]
    )
    return path


def test_images_get_phrases_where_there_is_a_pair(pair, pictures, tmp_path) -> None:
    (tmp_path / "lines.txt").write_text("\n".join(LINES))
    run = errata.diagnose(
        pictures, methods=["error_tree"], embedding=[f"clip:{pair}"], captions=tmp_path / "lines.txt", proof="split",
        state=tmp_path / "state", out=tmp_path / "run",
    )  # fmt: skip
    assert run.confirmed
    captions = [item for finding in run.confirmed for item in finding.evidence if isinstance(item, Caption)]
    assert captions
    for caption in captions:
        assert caption.of == "images"
        assert {word["text"] for word in caption.words} <= {*LINES, "a cat", "a dog", "a photo of a cat",
                                                            "a photo of a dog"}  # fmt: skip
        assert all(0.5 < word["low"] <= word["auc"] <= word["high"] for word in caption.words)
    again = load(tmp_path / "run")
    assert again.findings == run.findings
    assert len(again.run.settings["captions"]) == 16
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "Phrases that fit it" in page
    assert str(captions[0].words[0]["text"]) in page
    rejected = [finding for finding in run.findings if not finding.confirmed]
    assert not any(isinstance(item, Caption) for finding in rejected for item in finding.evidence)


def test_phrases_for_an_evaluation_that_has_the_pair_already(pair, pictures, tmp_path) -> None:
    evaluation = errata.evaluate(errata.open_dataset(pictures), embeddings=[f"clip:{pair}"])
    run = errata.diagnose(evaluation, methods=["error_tree"], captions=LINES, proof="split", state=tmp_path / "state")
    assert any(isinstance(item, Caption) for finding in run.confirmed for item in finding.evidence)


def test_captions_without_a_pair_are_refused_before_anything_is_computed(pictures, command, folder) -> None:
    with pytest.raises(UsageError, match="no encoders for both"):
        errata.diagnose(pictures, captions=["a photo"])
    with pytest.raises(UsageError, match="no encoders for both"):
        errata.diagnose(pictures, captions=["a photo"], embedding=["encoder"])
    (folder / "lines.txt").write_text("a photo\n")
    ended = command("diagnose", str(pictures), "--captions", "lines.txt", "--out", "run")
    assert ended.code == 2
    assert "--embedding clip:FOLDER" in ended.err


def kind(rows):
    return [row.replace(" wrong", " of the answers are wrong", 1) for row in rows]


QUICK = ("--methods", "error_tree", "--out", "run")


def rewordings(run):
    return [item for finding in run.findings for item in finding.evidence if isinstance(item, Rewording)]


def test_confirmed_sentences_in_other_words(folder, command, people) -> None:
    people.to_csv(folder / "people.csv", index=False)
    with served(kind, shape="chat") as server:
        words = ["diagnose", "people.csv", *QUICK, "--reword", f"{server.url}#model=tiny"]
        ended = command(*words)
        assert ended.code == 0, ended.err
        calls = server.calls
        assert command(*words).code == 0
        assert server.calls == calls, "a run that is there is shown"
    run = load(folder / "run")
    assert len(rewordings(run)) == len(run.confirmed) == calls > 0
    for finding in run.confirmed:
        (other,) = [item for item in finding.evidence if isinstance(item, Rewording)]
        assert other.words == kind([finding.title])[0] != finding.title
    assert run.run.settings["reword"].startswith("tiny at http://127.0.0.1")
    assert "reword" in run.run.timings
    page = (folder / "run" / "report.html").read_text("utf-8")
    assert "In other words: " in page
    assert "In other words: " in report_markdown([run])
    assert "in other words" in run.confirmed[0]._repr_html_()


def test_words_that_say_something_else_are_refused_and_counted(folder, command, people) -> None:
    people.to_csv(folder / "people.csv", index=False)
    evil = "<script>alert(1)</script> The model is perfect."
    with served(lambda rows: [evil for _ in rows], shape="chat") as server:
        ended = command("diagnose", "people.csv", *QUICK, "--reword", f"{server.url}#model=tiny")
    assert ended.code == 0, ended.err
    run = load(folder / "run")
    assert not rewordings(run)
    (caveat,) = [caveat for caveat in run.run.caveats if "refused" in caveat]
    assert re.search(rf"refused for {len(run.confirmed)} of {len(run.confirmed)} finding", caveat)
    assert "alert(1)" not in (folder / "run" / "report.html").read_text("utf-8")


def test_an_endpoint_that_fails_costs_a_caveat(folder, command, people) -> None:
    people.to_csv(folder / "people.csv", index=False)
    with served(kind, shape="chat", faults=lambda number: Fault(status=401)) as server:
        url = f"{server.url}#model=tiny"
        assert command("diagnose", "people.csv", *QUICK, "--reword", url).code == 0
    run = load(folder / "run")
    assert run.confirmed
    assert any(caveat.startswith("Nothing was put into other words: The endpoint") for caveat in run.run.caveats)
    ended = command("diagnose", "people.csv", *QUICK[:3], "gone", "--reword", "http://127.0.0.1:9/v1")
    assert ended.code == 0, ended.err
    assert any("does not answer" in caveat for caveat in load(folder / "gone").run.caveats)


def says(rows):
    return ["yes" if row["age"] > 60 else "no" for row in rows]


def test_calls_to_the_model_and_for_other_words_have_one_limit(folder, command, people) -> None:
    people.to_csv(folder / "people.csv", index=False)
    words = ["diagnose", "people.csv", *QUICK[:2], "--label", "prediction"]
    with served(says) as server, served(kind, shape="chat") as writer:
        asked = [*words, "--model", server.url, "--reword", f"{writer.url}#model=tiny&concurrency=1"]
        ended = command(*asked, "--out", "free")
        assert ended.code == 0, ended.err
        model, told = server.calls, writer.calls
        assert told == len(load(folder / "free").confirmed) > 1
        ended = command(*asked, "--max-calls", str(model + 1), "--out", "run")
        assert ended.code == 0, ended.err
        assert (server.calls - model, writer.calls - told) == (model, 1)
        run = load(folder / "run")
        assert len(rewordings(run)) == 1
        (caveat,) = [words for words in run.run.caveats if "--max-calls" in words]
        assert f"left no call for {told - 1} of {told} findings" in caveat
        before = writer.calls
        ended = command(*asked, "--max-calls", str(model + told), "--out", "enough")
        assert ended.code == 0, ended.err
        assert len(rewordings(load(folder / "enough"))) == writer.calls - before == told
        ended = command(*asked, "--max-calls", "3", "--out", "little")
        assert ended.code == 3
        assert "`--max-calls 3` are spent" in ended.err


def test_the_limit_is_for_other_words_alone_where_no_model_is_asked(folder, command, people) -> None:
    people.to_csv(folder / "people.csv", index=False)
    with served(kind, shape="chat") as server:
        asked = ["diagnose", "people.csv", *QUICK[:2], "--reword", f"{server.url}#model=tiny&concurrency=1"]
        ended = command(*asked, "--out", "run", "--max-calls", "1")
        assert ended.code == 0, ended.err
        assert server.calls == 1
        (folder / "model.py").write_text("def says(frame):\n    return ['no'] * len(frame)\n")
        given = ["--label", "label", "--model", "model.py:says", "--max-calls", "1"]
        ended = command(*asked, *given, "--out", "other")
        assert ended.code == 0, ended.err
        assert server.calls <= 2
    with pytest.raises(UsageError, match="max_calls"):
        errata.diagnose("people.csv", reword="http://127.0.0.1:9/v1", max_calls=0)


def test_settings_that_do_not_fit_end_the_call(folder, command, people) -> None:
    people.to_csv(folder / "people.csv", index=False)
    ended = command("diagnose", "people.csv", *QUICK, "--reword", "http://127.0.0.1:9/invocations#shape=mlflow")
    assert ended.code == 2
    assert "expected `chat`" in ended.err
    assert not (folder / "run").exists()
