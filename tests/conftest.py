"""A command in an empty folder of its own, in this process, for tests that play a clumsy or a hostile user."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest


@dataclass
class Ended:
    """How a command ended, what it printed, and the caveats of the run that it left."""

    code: int
    out: str
    err: str
    caveats: str


@pytest.fixture(autouse=True)
def split_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of tests have few errors, and a cross-confirmation takes minutes: tests that want one say so."""
    monkeypatch.setattr("errata.proof.settings.few_errors", lambda evaluation: False)
    monkeypatch.setenv("ERRATA_PROOF", "split")


@pytest.fixture(scope="session")
def people() -> pd.DataFrame:
    """People with answers of a model that is mostly wrong on those in Cairo over 60."""
    rng = np.random.default_rng(0)
    n = 1600
    frame = pd.DataFrame({
        "age": rng.uniform(18, 90, n).round(1), "city": rng.choice(["cairo", "oslo", "lima"], n),
        "label": rng.choice(["no", "yes"], n),
    })  # fmt: skip
    wrong = rng.random(n) < np.where((frame["city"] == "cairo") & (frame["age"] > 60), 0.7, 0.08)
    frame["prediction"] = np.where(wrong, np.where(frame["label"] == "no", "yes", "no"), frame["label"])
    return frame


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder; nothing of the user's settings is seen."""
    for name in [name for name in os.environ if name.startswith("ERRATA_") and name != "ERRATA_DATA"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ERRATA_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("ERRATA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "100")
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def command(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Runs `errata WORDS`; whatever happens there is no traceback, no bug of ours, and never half a run."""
    from errata.cli.edge import run

    def ended(*words: object) -> Ended:
        capsys.readouterr()
        before = set(folder.rglob("run.json"))
        code = run([str(word) for word in words])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.out + printed.err
        assert "error in Errata itself" not in printed.err
        new = [json.loads(path.read_text()) for path in sorted(set(folder.rglob("run.json")) - before)]
        if code >= 2:
            assert printed.err.startswith("errata: ")
            assert "Hint: " in printed.err or code == 130
            assert printed.out == ""
            assert not new
        caveats = "\n".join(caveat for run in new for caveat in run["caveats"])
        return Ended(code=code, out=printed.out, err=printed.err, caveats=caveats)

    return ended


@pytest.fixture(scope="session")
def predicted() -> pd.DataFrame:
    """240 rows with predictions of which about a fifth are wrong."""
    rng = np.random.default_rng(0)
    n = 240
    label = rng.choice(["no", "yes"], n)
    wrong = rng.random(n) < 0.2
    prediction = np.where(wrong, np.where(label == "yes", "no", "yes"), label)
    return pd.DataFrame({
        "age": rng.integers(18, 90, n), "city": rng.choice(["cairo", "lima", "oslo"], n),
        "income": rng.normal(50, 10, n).round(3), "label": label, "prediction": prediction,
    })  # fmt: skip


@pytest.fixture(scope="session")
def make_pair(tmp_path_factory):
    """Makes the folder of a tiny CLIP-like pair with random weights that knows some words."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")

    def made(words: list[str]) -> Path:
        folder = tmp_path_factory.mktemp("pair")
        torch.manual_seed(2)
        listed = folder.parent / f"{folder.name}-words.txt"
        listed.write_text("\n".join(words) + "\n")
        small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
        text = transformers.CLIPTextConfig(
            **small, vocab_size=len(words), max_position_embeddings=16, bos_token_id=2, eos_token_id=3, pad_token_id=0
        )
        vision = transformers.CLIPVisionConfig(**small, image_size=16, patch_size=8)
        config = transformers.CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=12)
        transformers.CLIPModel(config).eval().save_pretrained(folder)
        transformers.BertTokenizerFast(str(listed)).save_pretrained(folder)
        said = {
            "do_resize": True, "size": {"height": 16, "width": 16}, "resample": 2, "do_rescale": True,
            "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5], "image_processor_type": "ViTImageProcessor",
        }  # fmt: skip
        (folder / "preprocessor_config.json").write_text(json.dumps(said))
        return folder

    return made
