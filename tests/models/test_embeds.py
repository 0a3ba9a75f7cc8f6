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


def test_rows_that_would_mix_in_a_larger_batch_stay_alone():
    nodes = [("MatMul", "xa", "h", {}), ("MatMul", "hb", "l", {}), ("ReduceSum", ("l", "zero"), "y", {"keepdims": 1})]
    model = connect(graph(nodes, {**MATRICES, "zero": ([0], np.int64)}, shape=(1, 4)))
    settled = model.variants(X)[0].settled(X, levels=(0, 1, 2))
    assert not settled.model.freed
    np.testing.assert_allclose(settled.model.answer(X).numbers, X @ A @ B, atol=1e-4)
