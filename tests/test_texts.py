"""Texts from end to end: as lists, as files, with every kind of model; what reports, notebooks and terminals show."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import errata
from errata.check import check
from errata.core.errors import UsageError
from errata.report.notebook import dataset_html, diagnosis_html
from errata.store.directory import load
from errata.store.export import export_text

HOSTILE = "<script>alert('a text')</script> \u202e\x07 & so on"
LONG = " and so it went on" * 60


def texts_and_labels(n=1200, *, seed=0):
    """Short remarks, distinct by a number; what is said of them is their first word, unless a `not` stands in them."""
    rng = np.random.default_rng(seed)
    words = rng.choice(["good", "bad"], n)
    negated = rng.random(n) < 0.25
    numbers = rng.permutation(10 * n)[:n]
    texts = [
        f"{word} film {'not ' if no else ''}number {number}{LONG if number % 97 == 0 else ''}"
        + (HOSTILE if number % 13 == 0 else "")
        for word, no, number in zip(words, negated, numbers, strict=True)
    ]
    flipped = negated & (rng.random(n) < 0.6)
    return texts, np.where((words == "good") ^ flipped, "pos", "neg").tolist()


def says(texts):
    """A model that has never heard of negation; it takes a list of str and nothing else."""
    assert type(texts) is list
    assert all(type(text) is str for text in texts)
    return ["pos" if text.startswith("good") else "neg" for text in texts]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    texts, labels = texts_and_labels()
    return errata.diagnose(says, (texts, labels), out=folder / "out", state=folder / "state", proof="split")


def test_the_error_that_was_planted_is_found(run):
    assert run.run.data["modality"] == "text"
    assert any("text.negation" in finding.rule.text for finding in run.confirmed), run.findings
    assert run.findings[0].title.startswith("Texts ")


def test_the_report_shows_texts_and_runs_nothing_of_them(run):
    page = (run.folder / "report.html").read_text("utf-8")
    assert "<script>alert(" not in page
    assert "\x07" not in page
    assert "&lt;script&gt;" in page
    quotes = re.findall(r'<q dir="auto">(.*?)</q>', page)
    assert len(quotes) > 20
    assert any("not number" in quote for quote in quotes)
    assert max(map(len, quotes)) < 600
    assert "held-out texts" in page
    assert "images" not in page


def test_a_saved_run_shows_them_again(run):
    again = load(run.folder)
    assert again.evaluation.dataset.text == "text"
    assert "not number" in diagnosis_html(again)
    bare = load(run.folder, rows=False)
    for form in (export_text(again, as_="markdown"), export_text(bare, as_="markdown")):
        assert "not number" in form
    assert "<script>" not in diagnosis_html(again)
    json.dumps([finding.title for finding in again.findings])


def test_a_row_is_explained_with_its_text(run):
    from errata.cli.closer import row_text

    name = run.confirmed[0].examples[0]
    assert re.search(r"\ntext +(good|bad) film", row_text(run, name))


def test_fresh_texts_are_read_as_texts(run, tmp_path):
    texts, labels = texts_and_labels(seed=1)
    path = tmp_path / "fresh.csv"
    pd.DataFrame({"text": texts, "label": labels, "year": 3}).to_csv(path, index=False)
    done = check(load(run.folder), path, model=says, state=tmp_path / "state")
    assert {item.verdict for item in done.results} == {"confirmed again"}
    assert "text='text'" in export_text(run, as_="pytest") or "TEXT" in export_text(run, as_="pytest")


def test_a_run_of_other_measurements_says_so(run, tmp_path):
    fresh = texts_and_labels(seed=1)
    old = [
        replace(source, options={"version": 1}) if source.kind == "text attributes" else source
        for source in run.evaluation.dataset.sources
    ]
    dataset = replace(run.evaluation.dataset, sources=tuple(old))
    before = replace(run, evaluation=replace(run.evaluation, dataset=dataset))
    said = check(before, fresh, model=says, state=tmp_path / "one").caveats
    assert any("text attributes are measured otherwise" in words for words in said)
    assert not any("otherwise" in words for words in check(run, fresh, model=says, state=tmp_path / "two").caveats)


def test_a_notebook_names_texts(run):
    assert "1,200 texts" in dataset_html(run.evaluation.dataset)


@pytest.mark.parametrize("wanting", ["list", "frame"])
def test_pipelines_get_a_list_or_the_frame_that_they_were_trained_on(wanting, tmp_path):
    from sklearn.compose import make_column_transformer
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    texts, labels = texts_and_labels(400)
    words = CountVectorizer(vocabulary=["good", "bad"])
    if wanting == "list":
        pipeline = make_pipeline(words, LogisticRegression()).fit(texts, labels)
    else:
        first = make_column_transformer((words, "remark"))
        pipeline = make_pipeline(first, LogisticRegression()).fit(pd.DataFrame({"remark": texts}), labels)
    told = errata.diagnose(pipeline, (texts, labels), trained_on="these", state=tmp_path)
    assert told.run.error_rate == pytest.approx(np.mean(np.array(says(texts)) != labels))
    again = errata.diagnose(pipeline, (texts, labels), out_of_fold=3, state=tmp_path)
    assert again.run.predictions == "out-of-fold"


def test_a_graph_that_takes_strings(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper, numpy_helper

    texts = [word for word in ("good", "bad") for _ in range(60)]
    node = helper.make_node(
        "LabelEncoder", ["text"], ["y"], domain="ai.onnx.ml", keys_strings=["good", "bad"], values_int64s=[1, 0]
    )
    flat = helper.make_node("Reshape", ["y", "flat"], ["label"])
    graph = helper.make_graph(
        [node, flat], "words", [helper.make_tensor_value_info("text", TensorProto.STRING, [None, 1])],
        [helper.make_tensor_value_info("label", TensorProto.INT64, [None])],
        [numpy_helper.from_array(np.array([-1]), "flat")],
    )  # fmt: skip
    ops = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    path = tmp_path / "words.onnx"
    model = helper.make_model(graph, opset_imports=ops)
    model.ir_version = 8
    onnx.save(model, path)
    told = errata.evaluate(errata.open_model(path), (texts, [1] * 60 + [0] * 60))
    assert told.loss.sum() == 0


def test_networks_of_numbers_refuse_texts():
    torch = pytest.importorskip("torch")
    with pytest.raises(UsageError, match="inputs are texts") as caught:
        errata.diagnose(torch.nn.Linear(3, 2), (["a good film", "a bad film"] * 30, ["pos", "neg"] * 30))
    assert "Hugging Face" in caught.value.hint


def test_a_hugging_face_folder_on_the_command_line(command, folder):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film", "not", "number"]
    (folder / "words.txt").write_text("\n".join(words) + "\n")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=24, id2label={0: "NEG", 1: "POS"},
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained(folder / "sentiment")
    transformers.BertTokenizerFast(str(folder / "words.txt")).save_pretrained(folder / "sentiment")
    texts, labels = texts_and_labels(300)
    pd.DataFrame({"remark": texts, "label": labels, "year": 1}).to_csv(folder / "data.csv", index=False)
    ended = command("diagnose", "data.csv", "--text", "remark", "--model", "sentiment", "--trained-on", "other")
    assert ended.code == 0, ended.err
    assert "cut after 24 tokens" in ended.caveats
    refused = command("diagnose", "data.csv", "--text", "remrak", "--model", "sentiment")
    assert refused.code == 2
    assert "`remark`" in refused.err
