"""Hugging Face folders: tiny real checkpoints of texts and images, and folders that are broken or hostile."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest

from errata.core.errors import UsageError
from errata.core.model import Embeds
from errata.models.connect import connect

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

RNG = np.random.default_rng(0)
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film", "the", "not", "is", "##ly"]
TEXTS = ["good film", "bad film", "the film is not good", "", "goodly bad is the film", "unknown words"]
IMAGES = RNG.integers(0, 256, (5, 20, 24, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Whatever a folder asks for, nothing is fetched."""

    def refuse(*args, **options):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def save_bert(folder, **options):
    torch.manual_seed(1)
    words = folder.parent / "words.txt"
    words.write_text("\n".join(WORDS) + "\n")
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16, initializer_range=0.6, **{"id2label": {0: "NEGATIVE", 1: "POSITIVE"}, **options},
    )  # fmt: skip
    module = transformers.BertForSequenceClassification(config).eval()
    torch.nn.init.normal_(module.classifier.weight, std=2.0)
    module.save_pretrained(folder)
    transformers.BertTokenizerFast(str(words)).save_pretrained(folder)
    return module


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts") / "bert"
    save_bert(folder)
    return folder


@pytest.fixture
def bert(saved, tmp_path):
    """A copy that a test may break."""
    return Path(shutil.copytree(saved, tmp_path / "bert"))


@pytest.fixture(scope="session", params=["vit", "resnet"])
def pictures(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("images") / request.param
    torch.manual_seed(2)
    if request.param == "vit":
        config = transformers.ViTConfig(
            image_size=16, patch_size=8, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=32, num_labels=3,
        )  # fmt: skip
        module = transformers.ViTForImageClassification(config)
    else:
        config = transformers.ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic",
            id2label={0: "cat", 1: "dog", 2: "owl"},
        )  # fmt: skip
        module = transformers.ResNetForImageClassification(config)
    module.eval().save_pretrained(folder)
    said = {
        "do_resize": True, "size": {"height": 16, "width": 16}, "resample": 2, "do_rescale": True,
        "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.25, 0.2],
        "image_processor_type": "ViTImageProcessor",
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    return folder


def alone(folder, text):
    """What the module says of one text, by the library's own words."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder))
    module = transformers.AutoModelForSequenceClassification.from_pretrained(str(folder)).eval()
    with torch.no_grad():
        return module(**tokenizer(text, return_tensors="pt", truncation=True, max_length=16)).logits[0].softmax(0)


def test_texts_of_any_length_get_the_answers_that_they_get_alone(saved):
    texts = [*TEXTS, "good " * 9, "bad film " * 5] * 9  # several pieces, not in the order of their lengths
    scores = connect(str(saved)).predict(texts).scores
    assert scores.shape == (72, 2)
    expected = np.stack([alone(saved, text).numpy() for text in texts[:8]])
    np.testing.assert_allclose(scores[:8], expected, atol=1e-5)
    np.testing.assert_allclose(scores[64:], expected, atol=1e-5)
    assert np.ptp(expected[:, 0]) > 0.01, "a model that says the same of every text would pass"


@pytest.mark.parametrize(
    ("levels", "classes", "said"),
    [
        (("negative", "positive"), ("negative", "positive"), None),
        (("Positive",), ("NEGATIVE", "Positive"), None),
        ((0, 1), (0, 1), "0 is `NEGATIVE`"),
        ((1,), (0, 1), "numbers of the model's classes"),
        (("bad", "good"), ("bad", "good"), "order of the sorted labels"),
    ],
)
def test_classes_are_matched_by_name_by_number_or_by_order(saved, levels, classes, said):
    settled = connect(saved).settled(TEXTS, levels=levels)
    assert settled.model.spec.classes == classes
    assert (said in " ".join(settled.caveats)) if said else not settled.caveats


def test_a_configuration_without_names_is_read_by_number(bert):
    config = json.loads((bert / "config.json").read_text())
    (bert / "config.json").write_text(
        json.dumps({k: v for k, v in config.items() if k not in ("id2label", "label2id")})
    )
    model = connect(bert)
    assert model.spec.classes == ()
    assert model.settled(TEXTS, levels=(0, 1)).caveats == ()
    assert model.settled(TEXTS, levels=("LABEL_0", "LABEL_1")).model.spec.classes == ("LABEL_0", "LABEL_1")
    assert "order" in " ".join(model.settled(TEXTS, levels=("no", "yes")).caveats)


def test_cut_texts_are_said(saved):
    settled = connect(saved).settled([*TEXTS, "good film " * 30], levels=("negative", "positive"))
    assert any("after 16 tokens" in caveat and "1 of 7 texts" in caveat for caveat in settled.caveats)


def test_logits_between_0_and_1_are_logits(bert):
    module = transformers.AutoModelForSequenceClassification.from_pretrained(bert)
    torch.nn.init.zeros_(module.classifier.weight)
    module.classifier.bias.data = torch.tensor([0.2, 0.9])
    module.save_pretrained(bert)
    settled = connect(bert).settled(TEXTS, levels=("negative", "positive"))
    assert settled.caveats == ()
    np.testing.assert_allclose(settled.output.scores, [[0.3318, 0.6682]] * len(TEXTS), atol=1e-3)


def test_one_number_is_a_value(tmp_path):
    save_bert(tmp_path / "value", id2label={0: "LABEL_0"}, problem_type="regression")
    settled = connect(tmp_path / "value").settled(TEXTS, task="regression")
    assert settled.output.values.shape == (len(TEXTS),)


def test_a_decoder_without_padding(tmp_path, saved):
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=len(WORDS), n_positions=16, n_embd=16, n_layer=1, n_head=2, num_labels=2, bos_token_id=2,
        eos_token_id=3,
    )  # fmt: skip
    transformers.GPT2ForSequenceClassification(config).save_pretrained(tmp_path / "gpt")
    shutil.copy(saved / "tokenizer.json", tmp_path / "gpt")
    (tmp_path / "gpt" / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 12})
    )
    model = connect(tmp_path / "gpt")
    texts = ["good film", "bad", "the film is not good"]
    together, apart = model.predict(texts).scores, np.concatenate([model.predict([text]).scores for text in texts])
    np.testing.assert_allclose(together, apart, atol=1e-6)
    # What the classifier reads is the last token: with another one behind it, it is something else.
    embedded = model.embed(texts)
    assert embedded.shape == (3, 16)
    module = model.module
    np.testing.assert_allclose(
        torch.softmax(torch.from_numpy(embedded) @ module.score.weight.T, 1).detach(), together, atol=1e-5
    )


def test_what_the_classifier_reads(saved):
    model = connect(saved)
    assert isinstance(model, Embeds)
    embedded = model.embed(TEXTS)
    head = model.module.classifier
    with torch.no_grad():
        scores = head(torch.from_numpy(embedded)).softmax(1).numpy()
    np.testing.assert_allclose(scores, model.predict(TEXTS).scores, atol=1e-5)
    assert model.embed(TEXTS, "bert.encoder.layer.0").shape == (len(TEXTS), 16)
    for layer in (None, "bert.encoder.layer.0"):
        shown = model.showing(TEXTS, layer)
        np.testing.assert_array_equal(shown.scores, model.predict(TEXTS).scores)
        np.testing.assert_array_equal(shown.layer, model.embed(TEXTS, layer))
    with pytest.raises(UsageError, match=r"no layer `bert.encoder.layer.9`"):
        model.embed(TEXTS, "bert.encoder.layer.9")


def test_images_are_prepared_as_the_folder_says(pictures):
    from PIL import Image

    model = connect(pictures)
    resized = [np.asarray(Image.fromarray(image).resize((16, 16), Image.Resampling.BILINEAR)) for image in IMAGES]
    pixels = (np.stack(resized) / 255 - [0.5, 0.4, 0.3]) / [0.5, 0.25, 0.2]
    with torch.no_grad():
        expected = model.module(torch.tensor(np.moveaxis(pixels, -1, 1), dtype=torch.float32)).logits.softmax(1).numpy()
    np.testing.assert_allclose(model.predict(IMAGES).scores, expected, atol=1e-4)
    assert model.embed(IMAGES).shape == (5, 16)
    shown = model.showing(IMAGES)
    np.testing.assert_array_equal(shown.scores, model.predict(IMAGES).scores)
    np.testing.assert_array_equal(shown.layer, model.embed(IMAGES))


def test_one_run_for_every_piece_gives_answers_and_layer(saved, monkeypatch):
    monkeypatch.setattr("errata.models.huggingface_inputs.PIECE", 2)
    model = connect(saved).settled(TEXTS, levels=("NEGATIVE", "POSITIVE")).model
    rows: list[int] = []
    model.module.register_forward_hook(lambda part, given, gave: rows.append(len(gave.logits)))
    shown = model.showing(TEXTS)
    assert len(rows) > 1
    assert sum(rows) == len(TEXTS)
    np.testing.assert_array_equal(shown.scores, model.predict(TEXTS).scores)
    np.testing.assert_array_equal(shown.layer, model.embed(TEXTS))


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(IMAGES / 255, id="from 0 to 1"),
        pytest.param(list(IMAGES), id="a list"),
        pytest.param(np.moveaxis(IMAGES, -1, 1), id="channels first"),
        pytest.param(np.concatenate([IMAGES, IMAGES[..., :1]], axis=3), id="with alpha"),
    ],
)
def test_images_in_every_form(pictures, given):
    model = connect(pictures)
    found = model.variants(given)[0].predict(given).scores
    np.testing.assert_allclose(found, model.predict(IMAGES).scores, atol=1e-5)


def test_grey_images_and_images_of_many_sizes(pictures):
    model = connect(pictures)
    grey = model.predict(IMAGES[..., 0]).scores
    np.testing.assert_allclose(grey, model.predict(np.repeat(IMAGES[..., :1], 3, axis=3)).scores, atol=1e-5)
    mixed = [IMAGES[0], IMAGES[1][:9], IMAGES[2][..., 0]]
    apart = np.concatenate([model.predict([image]).scores for image in mixed])
    np.testing.assert_allclose(model.predict(mixed).scores, apart, atol=1e-4)


def test_other_inputs_than_the_model_takes_are_refused(saved, pictures):
    with pytest.raises(UsageError, match="takes texts"):
        connect(saved).variants(np.zeros((3, 4)))
    with pytest.raises(UsageError, match="takes images"):
        connect(pictures).variants(TEXTS)
    with pytest.raises(UsageError, match="takes images"):
        connect(pictures).variants(np.zeros((3, 64)))


def test_frames_of_one_column_are_texts(saved):
    pd = pytest.importorskip("pandas")
    model = connect(saved)
    frame = pd.DataFrame({"remark": TEXTS})
    np.testing.assert_allclose(model.predict(frame).scores, model.predict(TEXTS).scores, atol=1e-6)
    with pytest.raises(UsageError, match="2 columns") as caught:
        model.variants(frame.assign(year=1))
    assert "--text" in caught.value.hint


def test_the_fingerprint_is_that_of_what_decides(saved, bert):
    assert connect(saved).spec.fingerprint == connect(bert).spec.fingerprint
    (bert / "notes.md").write_text("of no matter")
    assert connect(saved).spec.fingerprint == connect(bert).spec.fingerprint
    said = json.loads((bert / "tokenizer_config.json").read_text())
    (bert / "tokenizer_config.json").write_text(json.dumps({**said, "model_max_length": 7}))
    assert connect(saved).spec.fingerprint != connect(bert).spec.fingerprint


def rewritten(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_code_of_the_folder_is_refused(bert, name):
    (bert / "evil.py").write_text("raise AssertionError('code of the folder ran')")
    rewritten(bert / name, auto_map={"AutoConfig": "evil.Config", "AutoTokenizer": ["evil.T", None]})
    with pytest.raises(UsageError, match="code of its own"):
        connect(bert, allow_pickle=True)


def test_weights_in_a_pickle_are_refused_unless_allowed(bert):
    module = transformers.AutoModelForSequenceClassification.from_pretrained(bert)
    torch.save(module.state_dict(), bert / "pytorch_model.bin")
    (bert / "model.safetensors").unlink()
    with pytest.raises(UsageError, match="is a pickle") as caught:
        connect(bert)
    assert "save_pretrained" in caught.value.hint
    scores = connect(bert, allow_pickle=True).predict(TEXTS[:1]).scores
    tokens = transformers.AutoTokenizer.from_pretrained(bert)(TEXTS[0], return_tensors="pt")
    with torch.no_grad():
        np.testing.assert_allclose(scores, module.eval()(**tokens).logits.softmax(1).numpy(), atol=1e-5)


def test_an_index_that_leads_to_a_pickle_is_refused(bert):
    (bert / "model.safetensors").unlink()
    (bert / "x.bin").write_bytes(b"\x80\x04.")
    (bert / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"classifier.weight": "x.bin"}}))
    with pytest.raises(UsageError, match=r"names `x\.bin`"):
        connect(bert)


def test_a_head_that_was_never_trained_is_refused(bert):
    config = transformers.BertConfig.from_pretrained(bert)
    transformers.BertModel(config).save_pretrained(bert)
    rewritten(bert / "config.json", architectures=["BertForSequenceClassification"])
    with pytest.raises(UsageError, match=r"lack `classifier.bias`"):
        connect(bert)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda f: [(f / n).unlink() for n in ("tokenizer.json", "tokenizer_config.json")], "no tokenizer"),
        (lambda f: (f / "model.safetensors").unlink(), "no weights"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\0" * 64), "cannot be read"),
        (lambda f: (f / "config.json").write_text("{"), "not whole"),
        (lambda f: (f / "config.json").write_text("[]"), "no configuration"),
        (lambda f: rewritten(f / "config.json", architectures=["BertForMaskedLM"]), "`BertForMaskedLM`, expected"),
        (lambda f: rewritten(f / "config.json", model_type="unheard-of"), "cannot be read"),
        (lambda f: rewritten(f / "config.json", hidden_size=8), "cannot be read|other shapes"),
        (lambda f: rewritten(f / "config.json", problem_type="multi_label_classification"), "several labels at once"),
        (lambda f: (f / "tokenizer.json").write_text('{"version": "1.0"}'), "cannot be read"),
    ],
)
def test_broken_folders_say_what_is_wrong(bert, broken, said):
    broken(bert)
    with pytest.raises(UsageError, match=said) as caught:
        connect(bert)
    assert caught.value.hint


def test_a_tokenizer_of_another_model_is_refused(bert):
    words = bert / "words.txt"
    words.write_text("\n".join([*WORDS, "many", "more", "words"]) + "\n")
    transformers.BertTokenizerFast(str(words)).save_pretrained(bert)
    with pytest.raises(UsageError, match="15 tokens, and the model 12"):
        connect(bert)


def test_images_without_their_preparation_are_refused(pictures, tmp_path):
    folder = Path(shutil.copytree(pictures, tmp_path / "net"))
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(UsageError, match=r"preprocessor_config\.json"):
        connect(folder)


def test_nothing_is_printed(saved, capfd):
    connect(saved).predict(TEXTS)
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")
