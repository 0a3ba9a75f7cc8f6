"""Every shape of an endpoint against a real server: the same answers as the function behind it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from errata.core.errors import CannotRunError, StoppedError, UsageError
from errata.models import http
from errata.models.connect import connect
from errata.models.http.chat import class_in
from errata.models.http.settings import from_url
from errata.testing import tiny_images, tiny_model
from errata.testing.served import SERVED, served

PEOPLE = pd.DataFrame(
    {"age": [20, 70, 65, 30], "city": ["oslo", None, "lima", "rome"], "hours": [1.5, 2.0, np.nan, 4.0]}
)
SAYS = ["no", "yes", "yes", "no"]


def by_age(rows):
    return ["yes" if row["age"] > 60 else "no" for row in rows]


def scores_by_sum(rows):
    totals = 1 / (1 + np.exp(-np.array([sum(row) for row in rows])))
    return [[1 - total, total] for total in totals]


def settled(model, inputs, levels=("no", "yes"), task=None):
    variant = model.variants(inputs)[0]
    return variant.settled(inputs, levels=levels, task=task).model


@pytest.mark.parametrize("shape", ["mlflow", "torchserve", "tf-serving", "json"])
def test_a_table_with_words_and_holes(shape):
    template = {"template": {"rows": "$rows"}, "answer": "result"} if shape == "json" else {}
    with served(by_age, shape=shape) as server:
        given = http.Settings(url=server.url, shape="template" if shape == "json" else "", **template)
        model = settled(http.from_settings(given), PEOPLE)
        assert model.predict(PEOPLE).labels.tolist() == SAYS
        assert model.spec.fingerprint is None
        calls = server.calls
        assert model.predict(PEOPLE.iloc[[2, 0]]).labels.tolist() == ["yes", "no"]
        assert server.calls == calls, "what was said once is not asked again"


@pytest.mark.parametrize("shape", ["mlflow", "tf-serving", "v2", "torchserve"])
@pytest.mark.parametrize("names", [(), ("no", "yes")])
def test_scores_of_arrays(shape, names):
    X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    inputs = [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]
    with served(scores_by_sum, shape=shape, inputs=inputs, names=names) as server:
        output = settled(connect(server.url), X).predict(X)
    assert np.allclose(output.scores, np.array(scores_by_sum(X.tolist())), atol=1e-6)


def test_a_table_of_numbers_as_one_tensor():
    frame = pd.DataFrame({"a": [1.0, -2.0], "b": [0, 1], "c": [3.0, 1.0]})
    with served(scores_by_sum, shape="v2", inputs=[{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]) as server:
        output = settled(connect(server.url), frame).predict(frame)
        assert np.allclose(output.scores, scores_by_sum(frame.to_numpy().tolist()), atol=1e-6)
        with pytest.raises(UsageError, match=r"shape `\(2,\)`, and the model takes `\(3,\)`"):
            connect(server.url).variants(frame[["a", "b"]])
        with pytest.raises(UsageError, match="column `city`"):
            connect(server.url).variants(PEOPLE)


def test_one_input_per_column():
    inputs = [
        {"name": "age", "datatype": "INT64", "shape": [-1, 1]},
        {"name": "city", "datatype": "BYTES", "shape": [-1]},
    ]
    with served(by_age, shape="v2", inputs=inputs) as server:
        model = settled(connect(server.url), PEOPLE)
        assert model.predict(PEOPLE).labels.tolist() == SAYS
        with pytest.raises(UsageError, match="column `age`, which the data lack"):
            model.predict(PEOPLE.drop(columns="age"))


def test_a_fixed_number_of_rows_is_filled_up():
    X = np.arange(15, dtype=np.float32).reshape(5, 3) / 10
    with served(scores_by_sum, shape="v2", inputs=[{"name": "x", "datatype": "FP32", "shape": [4, 3]}]) as server:
        output = settled(connect(server.url), X).predict(X)
        assert set(server.sizes) == {4}
    assert np.allclose(output.scores, scores_by_sum(X.tolist()), atol=1e-6)


def test_images_find_their_layout():
    drawn = tiny_images(64)
    direct = tiny_model("images")

    def see(rows):
        return direct(np.array(rows, dtype=np.float32).reshape(-1, 16, 16)).tolist()

    inputs = [{"name": "x", "datatype": "FP32", "shape": [-1, 1, 16, 16]}]
    with served(see, shape="v2", inputs=inputs) as server:
        model = connect(server.url)
        forms = {variant.form.layout for variant in model.variants(drawn.images)}
        assert forms == {"channels first"}
        output = settled(model, drawn.images, levels=("bar", "ring")).predict(drawn.images)
    assert output.scores.shape == (64, 2)


@pytest.mark.parametrize("top", [False, True])
def test_texts_of_a_hugging_face_endpoint(top):
    texts = ["good", "bad", "not good", "fine"]

    def judge(rows):
        if top:
            return ["NEG" if "bad" in text or "not" in text else "POS" for text in rows]
        return [[0.9, 0.1] if "bad" in text or "not" in text else [0.2, 0.8] for text in rows]

    with served(judge, shape="huggingface", names=("NEG", "POS")) as server:
        model = settled(connect(server.url), texts, levels=("neg", "pos"))
        output = model.predict(texts)
        said = output.labels.tolist() if top else [model.spec.classes[i] for i in output.scores.argmax(axis=1)]
    assert said == ["pos", "neg", "neg", "pos"]


def test_a_language_model_is_told_the_classes_and_its_excuses_are_counted():
    texts = ["one", "two", "three", "four", "five"]
    answers = {"one": "Positive.", "two": '{"label": "negative"}', "three": "I'm sorry, I can't help with that.",
               "four": "It could be positive or negative", "five": "The answer is: negative"}  # fmt: skip
    with served(lambda rows: [answers[row] for row in rows], shape="chat") as server:
        model = settled(connect(server.url), texts, levels=("negative", "positive"))
        assert model.predict(texts).labels.tolist() == ["positive", "negative", "(refused)", "(no class)", "negative"]
        assert model.spec.name.startswith("tiny at ")
        assert model.spec.classes == ("negative", "positive")
        assert server.calls == 5
        remarks = " ".join(model.remarks())
    assert "For 1 rows the model refused" in remarks
    assert "named no class" in remarks


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("yes", "yes"), ("**Yes**", "yes"), ("'no'.", "no"), ("Class: not sure", "not sure"), ("I say no", "no"),
        ("```json\n{\"class\": \"no\"}\n```", "no"), ("not sure", "not sure"), ("yes\nbecause it is", "yes"),
        ("yes or no", None), ("nothing", None), ("", None), ("I'm sorry, no", None), ("eyes", None),
    ],
)  # fmt: skip
def test_the_class_in_an_answer(text, found):
    assert class_in(text, ["no", "yes", "not sure"]) == found


def test_a_template_for_one_row(tmp_path):
    asked = []

    def judge(rows):
        asked.extend(rows)
        return [{"verdict": {"label": "yes" if rows[0] == "70 in None" else "no"}}]

    (tmp_path / "it.json").write_text("{}")
    with served(judge, shape="json") as server:
        file = tmp_path / "endpoint.toml"
        file.write_text(f'url = "{server.url}"\nanswer = "result.0.verdict.label"\nconcurrency = 2\n'
                        '[template]\nrows = ["$row.age in $row.city"]\nkeep = true\n')  # fmt: skip
        model = settled(connect(file), PEOPLE)
        assert model.predict(PEOPLE).labels.tolist() == ["no", "no", "no", "no"]
    assert sorted(asked)[0] == "20 in oslo"
    assert "70 in null" in asked


def test_pictures_travel_as_png():
    from errata.models.http.rows import png, rows_of
    from errata.models.http.servers import TorchServe

    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    request = TorchServe(path="/p").request(rows_of([image]))
    assert request.kind == "image/png"
    import io

    from PIL import Image

    assert np.array_equal(np.asarray(Image.open(io.BytesIO(request.body))), image)
    assert np.asarray(Image.open(io.BytesIO(png(np.ones((2, 2, 1)))))).tolist() == [[255, 255], [255, 255]]
    with pytest.raises(UsageError, match="takes pictures"):
        png(np.zeros((2, 2, 7)))


def test_the_shape_is_found_from_the_path():
    for shape, path in SERVED.items():
        if shape == "json":
            continue
        with served(by_age, shape=shape, inputs=[{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]) as server:
            assert server.url.endswith(path)
            found = type(connect(server.url).shape).__name__.lower()
            assert found == {"tf-serving": "tensorflow"}.get(shape, shape)


def test_a_bare_address_is_asked_what_it_is():
    with served(by_age, shape="chat") as server:
        base = server.url.removesuffix(SERVED["chat"])
        assert connect(f"{base}#classes=no,yes").shape.path == SERVED["chat"]
        assert connect(f"{base}/v1#classes=no,yes").shape.classes == ("no", "yes")
    with served(by_age) as server:
        base = server.url.removesuffix(SERVED["mlflow"])
        with pytest.raises(UsageError, match="cannot be told from its path"):
            connect(base)
        assert connect(f"{base}#shape=mlflow").shape.path == "/invocations"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://h/x#shap=mlflow", "`shap` in the URL is no setting"),
        ("http://h/x#timeout=soon", "`timeout` in the URL is `soon`"),
        ("http://h/x#batch=1.5", "whole number"),
        ("http://h/x#batch=-1", "above 0"),
        ("http://h/x#template={}", "cannot stand after"),
        ("http://h/x#key=hush", "would be a key"),
        ("http://h/x#key_env=hush-123", "no name of an environment variable"),
        ("http://h/x#nonsense", "says nothing|no setting"),
    ],
)
def test_slips_in_a_url(url, words):
    with pytest.raises(UsageError, match=words) as error:
        from_url(url)
    assert "hush" not in str(error.value)


def test_slips_in_a_file(tmp_path):
    file = tmp_path / "endpoint.json"
    for content, words in (
        ("{", "cannot be read"), ("[]", "names no endpoint"), ('{"url": "http://h/x", "shape": 3}', "words in quotes"),
        ('{"url": "http://h/x", "headers": {"Authorization": "hush"}}', "would hold a key"),
        ('{"url": "http://h/x", "classes": "a"}', "a list"),
        ('{"url": "http://h/x", "api_key": "hush"}', "a key in a file"),
    ):  # fmt: skip
        file.write_text(content)
        with pytest.raises(UsageError, match=words) as error:
            connect(file)
        assert "hush" not in str(error.value)


def test_metadata_that_lie_about_the_shape_end_in_words():
    X = np.zeros((8, 4), dtype=np.float32)

    def strict(rows):
        if any(len(row) != 3 for row in rows):
            raise ValueError("expected 3 numbers")
        return [[0.5, 0.5] for _ in rows]

    with served(strict, shape="v2", inputs=[{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]) as server:
        with pytest.raises(StoppedError, match="does not take what it is asked: 400 ValueError: expected 3 numbers"):
            settled(connect(server.url), X)
        assert server.calls <= 4
    for inputs, kind, words in (
        ([{"name": "x", "datatype": "FP99", "shape": [-1, 4]}], UsageError, "unknown type `FP99`"),
        ([{"title": "x"}], CannotRunError, "describes its inputs in an unknown way"),
        ([], CannotRunError, "does not describe the model"),
        ([{"name": "x", "datatype": "FP32", "shape": [10**9, 4]}], CannotRunError, "more than a request can carry"),
    ):
        with served(strict, shape="v2", inputs=inputs) as server, pytest.raises(kind, match=words):
            connect(server.url)


def test_one_input_per_column_keeps_its_fractions():
    frame = pd.DataFrame({"age": [1.5, 2.0]})
    inputs = [{"name": name, "datatype": "INT64", "shape": [-1, 1]} for name in ("age", "size")]
    with served(by_age, shape="v2", inputs=inputs) as server:
        with pytest.raises(UsageError, match=r"whole numbers \(INT64\), and a column holds `1.5`"):
            connect(server.url).predict(frame.assign(size=1))
        assert server.calls == 0


def test_why_a_model_is_not_described_is_said(monkeypatch):
    about = "errata.testing.served._about"
    monkeypatch.setattr(about, lambda path, shape, inputs: None)
    with (
        served(by_age, shape="v2") as server,
        pytest.raises(CannotRunError, match=r"it is not there \(404: not found\)"),
    ):
        connect(server.url)


def test_what_is_no_endpoint_takes_no_limit():
    with pytest.raises(UsageError, match="--max-calls"):
        connect(lambda rows: rows, max_calls=3)


def test_settings_travel_as_written():
    given = from_url("http://h/x#shape=chat&model=m&classes=no, yes&timeout=3&tries=2&key_env=A_KEY")
    assert (given.shape, given.classes, given.timeout, given.tries, given.key_env) == (
        "chat",
        ("no", "yes"),
        3.0,
        2,
        "A_KEY",
    )
    assert json.dumps(given.deciding())
