"""Torch modules in memory and from safetensors."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest

from errata.core.errors import UsageError
from errata.models.connect import connect
from errata.models.torch import from_module, is_module

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(0)


def mlp():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.5), torch.nn.ReLU(), torch.nn.Linear(8, 3)
    )


def small_cnn():
    torch.manual_seed(0)
    head = torch.nn.Linear(16, 2)
    torch.nn.init.constant_(head.bias, -5.0)  # logits that cannot be taken for probabilities
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(2),
        torch.nn.Flatten(),
        head,
    )


X = RNG.normal(size=(20, 4)).astype(np.float32)


def test_a_module_in_memory_gives_scores():
    module = mlp()
    settled = connect(module).settled(X, levels=("a", "b", "c"))
    assert any("softmax" in caveat for caveat in settled.caveats)
    module.eval()
    with torch.no_grad():
        expected = torch.softmax(module(torch.from_numpy(X)), 1).numpy()
    np.testing.assert_allclose(settled.output.scores, expected, atol=1e-5)


def test_the_state_of_every_part_is_restored():
    module = mlp().train()
    module[1].eval()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    connect(module).predict(X)
    assert [part.training for part in module] == [True, False, True, True, True]
    assert module.training
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in module.parameters())


def test_the_state_is_restored_when_the_module_raises():
    module = mlp().train()
    with pytest.raises(RuntimeError):
        connect(module).predict(X[:, :2])
    assert module.training


def test_frames_become_a_matrix():
    pd = pytest.importorskip("pandas")
    model = connect(mlp()).settled(X, levels=(0, 1, 2)).model
    frame = pd.DataFrame(X, columns=list("abcd"))
    np.testing.assert_allclose(model.predict(frame).scores, model.predict(X).scores, atol=1e-6)


@pytest.mark.parametrize("shape", [(5, 9, 9), (5, 1, 9, 9)])
def test_images_get_a_channel(shape):
    images = RNG.integers(0, 256, shape, dtype=np.uint8)
    model = connect(small_cnn()).variants(images)[0].settled(images, levels=(0, 1)).model
    with torch.no_grad():
        expected = torch.softmax(small_cnn()(torch.from_numpy(images.reshape(5, 1, 9, 9) / 255).float()), 1).numpy()
    np.testing.assert_allclose(model.predict(images).scores, expected, atol=1e-5)


class Dictionary(torch.nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.layer = torch.nn.Linear(4, 2)

    def forward(self, x):
        y = self.layer(x)
        return {"hidden": x, "logits": y} if self.kind == "dict" else (y, x)


@pytest.mark.parametrize("kind", ["dict", "tuple"])
def test_the_scores_are_found_among_several_outputs(kind):
    assert connect(Dictionary(kind)).predict(X).scores.shape == (20, 2)


def test_half_and_double_precision():
    assert connect(mlp().double()).predict(X).scores.shape == (20, 3)
    assert connect(mlp().to(torch.bfloat16)).predict(X).scores.shape == (20, 3)


def test_one_output_is_a_value_in_regression():
    layer = torch.nn.Linear(4, 1)
    assert connect(layer).settled(X, task="regression").output.values.shape == (20,)


def test_fingerprints_follow_weights_and_code():
    one, two = connect(mlp()).spec.fingerprint, connect(mlp()).spec.fingerprint
    assert one == two
    moved = mlp()
    with torch.no_grad():
        moved[0].weight[0, 0] += 1
    assert connect(moved).spec.fingerprint != one
    assert connect(Dictionary("dict")).spec.fingerprint is not None
    hidden = {"torch": torch}
    exec("class Typed(torch.nn.Module):\n    pass", hidden)  # as typed at a prompt
    assert connect(hidden["Typed"]()).spec.fingerprint is None


def test_is_module():
    assert is_module(mlp())
    assert not is_module(torch.zeros(2))


@pytest.fixture
def code(tmp_path, monkeypatch):
    (tmp_path / "nets_of_test.py").write_text(
        textwrap.dedent("""
            import torch

            def build():
                return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))

            class Net(torch.nn.Module):
                def __init__(self):
                    super().__init__()
                    self.layer = torch.nn.Linear(4, 3)
                def forward(self, x):
                    return self.layer(x)

            ready = build()
            number = 3
            def wrong():
                return "no module"
        """)
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(module, path):
    pytest.importorskip("safetensors.torch").save_file(module.state_dict(), str(path))


def test_weights_from_safetensors(code):
    module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    save(module, code / "w.safetensors")
    model = connect("nets_of_test:build@w.safetensors")
    assert model.spec.kind == "torch"
    with torch.no_grad():
        expected = torch.softmax(module(torch.from_numpy(X)), 1).numpy()
    np.testing.assert_allclose(model.predict(X).scores, expected, atol=1e-5)
    file = connect(f"{code / 'nets_of_test.py'}:build@{code / 'w.safetensors'}")
    np.testing.assert_allclose(file.predict(X).scores, expected, atol=1e-5)


def test_a_class_is_a_factory_too_and_prefixes_of_wrappers_are_dropped(code):
    layer = torch.nn.Linear(4, 3)
    wrapped = torch.nn.Module()
    wrapped.module = torch.nn.Module()
    wrapped.module.layer = layer
    save(wrapped, code / "w.safetensors")
    with torch.no_grad():
        expected = torch.softmax(layer(torch.from_numpy(X)), 1).numpy()
    np.testing.assert_allclose(connect("nets_of_test:Net@w.safetensors").predict(X).scores, expected, atol=1e-5)


def test_a_module_in_a_file_needs_no_weights(code):
    assert connect("nets_of_test:ready").predict(X).scores.shape == (20, 3)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (lambda: torch.nn.Linear(4, 8), "0.weight"),
        (lambda: torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2)), "other shapes"),
        (lambda: torch.nn.Sequential(*[torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)] * 2), "too many"),
    ],
)
def test_weights_of_another_network_are_refused(code, weights, words):
    safe = pytest.importorskip("safetensors.torch")
    safe.save_file({k: v.clone() for k, v in weights().state_dict().items()}, str(code / "w.safetensors"))
    with pytest.raises(UsageError, match=words):
        connect("nets_of_test:build@w.safetensors")


def test_a_broken_weights_file(code):
    (code / "w.safetensors").write_bytes(b"\x10\x00")
    with pytest.raises(UsageError, match="not a whole safetensors"):
        connect("nets_of_test:build@w.safetensors")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("w.safetensors", "FACTORY@"),
        ("nets_of_test:wrong@w.safetensors", "expected a torch module"),
        ("nets_of_test:number@w.safetensors", "expected a function"),
        ("nets_of_test:biuld@w.safetensors", "`build`"),
        ("nets_of_test:build@v.safetensors", "`w.safetensors`"),
        ("nets_of_test:Net", "is a class"),
        ("no_such_nets:build", "no module `no_such_nets`"),
        ("nets_of_test", "There is no model"),
    ],
)
def test_slips_are_named(code, target, words):
    save(torch.nn.Linear(4, 8), code / "w.safetensors")
    with pytest.raises(UsageError, match=words):
        connect(target)


def test_a_torch_file_is_opened_when_allowed(code):
    module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    torch.save(module.state_dict(), code / "w.pt")
    torch.save(module, code / "whole.pt")
    with pytest.raises(UsageError, match="--allow-pickle"):
        connect("nets_of_test:build@w.pt")
    one = connect("nets_of_test:build@w.pt", allow_pickle=True).predict(X).scores
    two = connect(code / "whole.pt", allow_pickle=True).predict(X).scores
    np.testing.assert_allclose(one, two, atol=1e-6)
    with pytest.raises(UsageError, match="FACTORY"):
        connect(code / "w.pt", allow_pickle=True)


def test_the_device_is_that_of_the_module():
    assert from_module(mlp()).device == "cpu"
    assert from_module(mlp(), device="cpu").device == "cpu"
