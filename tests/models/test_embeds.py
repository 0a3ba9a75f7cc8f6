"""What the last linear layer reads, in torch modules and ONNX graphs."""

from __future__ import annotations

import numpy as np
import pytest

from errata.core.errors import CannotRunError, UsageError
from errata.core.model import Embeds
from errata.models.connect import connect

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4)).astype(np.float32)
IMAGES = RNG.normal(size=(6, 1, 8, 8)).astype(np.float32)
nn = torch.nn


def seeded(module):
    torch.manual_seed(0)
    for weight in module.parameters():
        nn.init.normal_(weight)
    return module.eval()


class TwoHeads(nn.Module):
    """A projection that is called after the classifier: it is not what gives the scores."""

    def __init__(self):
        super().__init__()
        self.body, self.classifier, self.projection = nn.Linear(4, 5), nn.Linear(5, 3), nn.Linear(5, 7)

    def forward(self, x):
        inner = self.body(x).relu()
        return {"logits": self.classifier(inner), "projected": self.projection(inner)}


class Steps(nn.Module):
    """Scores of every step, of which the last ones count."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(1, 5), nn.Linear(5, 3)

    def forward(self, x):
        return self.head(self.body(x[..., None]).tanh())[:, 2]


class Tokens(nn.Module):
    """Weights of the whole module's own, as class tokens are: the module is not its own last layer."""

    def __init__(self):
        super().__init__()
        self.token, self.head = nn.Parameter(torch.ones(1, 1, 4)), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(x + self.token[0].tanh())


def head_of(module, name):
    return dict(module.named_modules())[name]


@pytest.mark.parametrize(
    ("module", "head", "inputs"),
    [
        pytest.param(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), "2", X, id="layers"),
        pytest.param(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3), nn.Softmax(1)), "1", X, id="softmax behind"),
        pytest.param(
            nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(8, 3)),
            "4", IMAGES, id="convolutions",
        ),
        pytest.param(TwoHeads(), "classifier", X, id="two heads"),
        pytest.param(Steps(), "head", X, id="steps"),
        pytest.param(Tokens(), "head", X, id="weights outside layers"),
    ],
)  # fmt: skip
def test_the_last_layer_makes_the_scores_of_it(module, head, inputs):
    module = seeded(module)
    model = connect(module)
    assert isinstance(model, Embeds)
    embedded = model.embed(inputs)
    assert embedded.dtype == np.float32
    last = head_of(module, head)
    with torch.no_grad():
        raw = module(torch.from_numpy(inputs))
        raw = raw["logits"] if isinstance(raw, dict) else raw
        found = last(torch.from_numpy(embedded))
        found = found.softmax(1) if "Softmax" in str(module) else found
    np.testing.assert_allclose(found.numpy(), raw.numpy(), atol=1e-5)


def assert_shown(model, inputs, layer=None):
    """Answers and layer of one run are those of `predict` and of `embed`, to the bit."""
    said, shown = model.predict(inputs), model.showing(inputs, layer)
    assert shown.layer.dtype == np.float32
    np.testing.assert_array_equal(shown.layer, model.embed(inputs, layer))
    for name in ("scores", "labels", "values"):
        one, other = getattr(said, name), getattr(shown, name)
        assert (one is None) == (other is None)
        if one is not None:
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


def mixed():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Dropout(0.5), nn.Linear(16, 3),
    )  # fmt: skip


@pytest.mark.parametrize("layer", [None, "0", "2", "6"])
def test_one_run_gives_answers_and_layer(layer):
    module = seeded(mixed())
    runs = []
    module.register_forward_hook(lambda part, given, gave: runs.append(len(gave)))
    model = connect(module.train())
    model.showing(IMAGES, layer)
    assert runs == [6]
    assert module.training
    assert_shown(model, IMAGES, layer)
    with pytest.raises(UsageError, match="no layer `9`"):
        model.showing(IMAGES, "9")


@pytest.mark.parametrize(("module", "layer"), [(TwoHeads(), None), (TwoHeads(), "projection"), (Steps(), None)])
def test_one_run_of_a_module_that_gives_more_than_scores(module, layer):
    assert_shown(connect(seeded(module)), X, layer)


class Padded(nn.Module):
    """A transformer of torch's own over sequences of different lengths, which it takes as nested tensors."""

    def __init__(self, *, head=True):
        super().__init__()
        self.words = nn.Embedding(20, 8)
        block = nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, batch_first=True)
        self.body = nn.TransformerEncoder(block, 2)
        self.head = nn.Linear(8, 3) if head else nn.Identity()

    def forward(self, x):
        return self.head(self.body(self.words(x), src_key_padding_mask=x == 0)[:, 0])


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("head", [True, False])
def test_one_run_of_a_transformer_takes_the_way_of_predict(monkeypatch, head):
    words = RNG.integers(1, 20, size=(6, 7)) * (np.arange(7) < np.arange(2, 8)[:, None])
    model, fused, runs = connect(seeded(Padded(head=head))), torch._transformer_encoder_layer_fwd, []
    monkeypatch.setattr(torch, "_transformer_encoder_layer_fwd", lambda *all_: runs.append(1) or fused(*all_))
    if head:
        assert_shown(model, words)
        assert len(runs) == 6  # two blocks, three runs
        with torch.no_grad():
            scores = model.module.head(torch.from_numpy(model.embed(words))).softmax(1)
        np.testing.assert_allclose(scores, model.predict(words).scores, atol=1e-5)
    else:
        with pytest.raises(CannotRunError, match="no linear layer"):
            model.showing(words)


def test_a_classifier_of_maps_reads_maps_that_are_averaged():
    module = seeded(
        nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU(), nn.Conv2d(5, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    )
    embedded = connect(module).embed(IMAGES)
    with torch.no_grad():
        maps = module[1](module[0](torch.from_numpy(IMAGES)))
    np.testing.assert_allclose(embedded, maps.mean(dim=(2, 3)).numpy(), atol=1e-5)


def test_a_layer_by_name():
    module = seeded(nn.Sequential(nn.Conv2d(1, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(180, 3)))
    model = connect(module)
    with torch.no_grad():
        maps = module[0](torch.from_numpy(IMAGES)).clone()
    np.testing.assert_allclose(model.embed(IMAGES, "0"), maps.mean(dim=(2, 3)).numpy(), atol=1e-5)
    with pytest.raises(UsageError, match="no layer `4`"):
        model.embed(IMAGES, "4")


def test_the_module_is_left_as_it_was():
    module = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 3)).train()
    model = connect(module)
    np.testing.assert_array_equal(model.embed(X), model.embed(X))
    with pytest.raises(RuntimeError):
        model.embed(X[:, :2])
    assert module.training and module[1].training
    assert not any(part._forward_hooks for part in module.modules())


def test_a_module_without_layers_says_so():
    with pytest.raises(CannotRunError, match="no linear layer"):
        connect(nn.Flatten()).embed(X)


def graph(nodes, weights, *, shape=(None, 4), outputs=(("y", 3),)):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper, numpy_helper

    made = [helper.make_node(kind, list(given), [name], **more) for kind, given, name, more in nodes]
    model = helper.make_model(
        helper.make_graph(
            made, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, [shape[0], width]) for name, width in outputs],
            [numpy_helper.from_array(np.asarray(value, dtype=kind), name) for name, (value, kind) in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
    )  # fmt: skip
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


A, B, BIAS = RNG.normal(size=(4, 5)), RNG.normal(size=(5, 3)), RNG.normal(size=3)
MATRICES = {"a": (A, np.float32), "b": (B, np.float32), "bias": (BIAS, np.float32)}
TANH = np.tanh(X @ A)


@pytest.mark.parametrize(
    "end",
    [
        [("MatMul", "hb", "m", {}), ("Add", ("m", "bias"), "y", {})],
        [("Gemm", ("h", "b", "bias"), "l", {}), ("Softmax", "l", "y", {"axis": 1})],
        [("Transpose", "b", "t", {"perm": [1, 0]}), ("Gemm", ("h", "t", "bias"), "l", {"transB": 1}),
         ("Identity", "l", "y", {})],
        [("Unsqueeze", ("b", "zero"), "w", {}), ("Squeeze", ("w", "zero"), "s", {}), ("MatMul", "hs", "y", {})],
    ],
)  # fmt: skip
def test_a_graph_shows_what_its_last_product_reads(end):
    start = [("MatMul", "xa", "l1", {}), ("Tanh", ("l1",), "h", {})]
    model = connect(graph([*start, *end], {**MATRICES, "zero": ([0], np.int64)}))
    assert isinstance(model, Embeds)
    np.testing.assert_allclose(model.embed(X), TANH, atol=1e-5)
    np.testing.assert_allclose(model.embed(X, "l1"), X @ A, atol=1e-5)
    for layer in (None, "l1", "y"):
        assert_shown(model, X, layer)
    with pytest.raises(UsageError, match="no layer `h9`"):
        model.embed(X, "h9")


def test_products_of_two_values_are_no_layers():
    nodes = [
        ("MatMul", "xa", "h", {}), ("Transpose", "h", "t", {"perm": [1, 0]}), ("MatMul", "ht", "all", {}),
        ("MatMul", ("all", "h"), "mixed", {}), ("MatMul", ("mixed", "b"), "l", {}), ("MatMul", ("all", "l"), "y", {}),
    ]  # fmt: skip
    values = X @ A
    np.testing.assert_allclose(connect(graph(nodes, MATRICES)).embed(X), values @ values.T @ values, rtol=1e-3)


def test_a_graph_with_the_weights_on_the_left():
    nodes = [
        ("Unsqueeze", ("x", "last"), "u", {}),
        ("MatMul", ("w", "u"), "l", {}),
        ("Squeeze", ("l", "last"), "y", {}),
    ]
    weights = {"w": (RNG.normal(size=(3, 4)), np.float32), "last": ([2], np.int64)}
    np.testing.assert_allclose(connect(graph(nodes, weights)).embed(X), X, atol=1e-6)
    assert_shown(connect(graph(nodes, weights)), X)


def test_a_graph_of_one_layer_shows_its_inputs():
    model = connect(graph([("MatMul", "xw", "y", {})], {"w": (A[:, :3], np.float32)}))
    np.testing.assert_array_equal(model.embed(X), X)
    assert_shown(model, X)


def test_a_graph_with_several_outputs_keeps_them():
    nodes = [
        ("MatMul", "xa", "l1", {}), ("Tanh", ("l1",), "h", {}), ("MatMul", "hb", "l", {}),
        ("Softmax", "l", "y", {"axis": 1}), ("Identity", "h", "inner", {}),
    ]  # fmt: skip
    model = connect(graph(nodes, MATRICES, outputs=(("y", 3), ("inner", 5))))
    for layer in (None, "inner", "h"):
        assert_shown(model, X, layer)
        np.testing.assert_allclose(model.showing(X, layer).layer, TANH, atol=1e-5)


def test_a_graph_without_a_product_shows_nothing():
    assert not isinstance(connect(graph([("Tanh", "x", "y", {})], {}, outputs=(("y", 4),))), Embeds)


def test_a_graph_with_weights_beside_it(tmp_path):
    onnx = pytest.importorskip("onnx")
    nodes = [("MatMul", "xa", "l1", {}), ("Tanh", ("l1",), "h", {}), ("MatMul", "hb", "y", {})]
    path = tmp_path / "net.onnx"
    onnx.save(graph(nodes, MATRICES), path, save_as_external_data=True, size_threshold=0, location="weights.data")
    np.testing.assert_allclose(connect(path).embed(X), TANH, atol=1e-5)


@pytest.mark.parametrize(("target", "same"), [([1, 4], True), ([-1, 4], True), ([4], False)])
def test_a_fixed_batch_is_set_free_only_where_the_answers_stay(target, same):
    nodes = [("Reshape", ("x", "shape"), "r", {}), ("MatMul", ("r", "a"), "h", {}), ("MatMul", "hb", "y", {})]
    weights = {**MATRICES, "shape": (target, np.int64)}
    if not same:
        nodes = [*nodes[:2], ("MatMul", "hb", "o", {}), ("Reshape", ("o", "row"), "y", {})]
        weights["row"] = ([1, 3], np.int64)
    model = connect(graph(nodes, weights, shape=(1, 2, 2)))
    images = X.reshape(6, 2, 2)
    settled = model.variants(images)[0].settled(images, levels=(0, 1, 2))
    assert settled.model.freed == same
    np.testing.assert_allclose(settled.model.answer(images).numbers, X @ A @ B, atol=1e-4)
    np.testing.assert_allclose(settled.model.answer(images[:1]).numbers, X[:1] @ A @ B, atol=1e-4)
    np.testing.assert_allclose(settled.model.embed(images), X @ A, atol=1e-4)
    np.testing.assert_allclose(settled.model.embed(images[:1]), X[:1] @ A, atol=1e-4)
    assert_shown(settled.model, images)
    assert_shown(settled.model, images[:1], "h")


def test_rows_that_would_mix_in_a_larger_batch_stay_alone():
    nodes = [("MatMul", "xa", "h", {}), ("MatMul", "hb", "l", {}), ("ReduceSum", ("l", "zero"), "y", {"keepdims": 1})]
    model = connect(graph(nodes, {**MATRICES, "zero": ([0], np.int64)}, shape=(1, 4)))
    settled = model.variants(X)[0].settled(X, levels=(0, 1, 2))
    assert not settled.model.freed
    np.testing.assert_allclose(settled.model.answer(X).numbers, X @ A @ B, atol=1e-4)
    np.testing.assert_allclose(settled.model.showing(X).layer, X @ A, atol=1e-4)
    assert_shown(settled.model, X)
    assert_shown(settled.model, X, "l")
