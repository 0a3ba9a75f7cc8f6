"""Encoders from folders on disk: tiny real checkpoints, beside what the library itself gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from errata.core.errors import UsageError
from errata.engine.embed import recomputed
from errata.evaluate import evaluate
from errata.models.huggingface_encoders import pair_encoder, sentence_encoder

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film", "the", "not", "is", "##ly"]
TEXTS = ["good film", "bad film", "the film is not good", "", "goodly bad is the film"]


@pytest.fixture(scope="module")
def sentences(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sentences")
    torch.manual_seed(1)
    words = folder.parent / "sentence-words.txt"
    words.write_text("\n".join(WORDS) + "\n")
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16, initializer_range=0.6,
    )  # fmt: skip
    transformers.BertModel(config).eval().save_pretrained(folder)
    transformers.BertTokenizerFast(str(words)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def pair(make_pair):
    return make_pair(WORDS)


def test_a_sentence_is_the_mean_of_its_tokens(sentences) -> None:
    vectors = sentence_encoder(sentences).encode(TEXTS)
    module = transformers.AutoModel.from_pretrained(sentences).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(sentences)
    with torch.inference_mode():
        for text, vector in zip(TEXTS, vectors, strict=True):
            mean = module(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(dim=0).numpy()
            np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)


def test_a_pair_has_images_and_texts_in_one_space(pair) -> None:
    rng = np.random.default_rng(0)
    encoder = pair_encoder(pair)
    images = encoder.encode(rng.integers(0, 256, (3, 20, 24, 3), dtype=np.uint8))
    texts = encoder.encode_texts(["good film", "bad"])
    assert images.shape == (3, 12)
    assert texts.shape == (2, 12)
    np.testing.assert_allclose(np.linalg.norm(images, axis=1), 1.0, rtol=1e-5)


def test_an_encoder_on_disk_is_an_embedding_that_may_confirm(sentences) -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 60)
    frame = {"review": [f"{TEXTS[at % 5]} {at}" for at in range(60)], "label": label,
             "prediction": np.where(rng.random(60) < 0.3, 1 - label, label)}  # fmt: skip
    import pandas as pd

    from errata.datasets.roles import Roles
    from errata.open import open_dataset, open_encoder

    data = open_dataset(pd.DataFrame(frame), roles=Roles(text="review"))
    evaluation = evaluate(data, embeddings=(f"sentences:{sentences}",))
    assert evaluation.embeddings == ("embedding:sentences",)
    assert "embedding:sentences" not in evaluation.outputs
    again = recomputed(evaluate(data), evaluation.dataset.sources, open_encoder=open_encoder)
    np.testing.assert_allclose(
        again.column("embedding:sentences").values, evaluation.column("embedding:sentences").values, atol=1e-6
    )
    (source,) = [one for one in evaluation.dataset.sources if one.kind == "embedding:sentences"]
    other = replace(source, options={**source.options, "weights": "others"})
    with pytest.raises(UsageError, match="another than the run had"):
        recomputed(evaluate(data), [other], open_encoder=open_encoder)


def test_what_is_no_encoder_is_refused(sentences, tmp_path) -> None:
    with pytest.raises(UsageError, match=r"no folder with a `config\.json`"):
        sentence_encoder(tmp_path)
    with pytest.raises(UsageError, match="no pair of encoders"):
        pair_encoder(sentences)
