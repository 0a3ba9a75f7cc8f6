"""ONNX graphs: layouts, fixed batches, several outputs, files that reach for others."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from errata.core.errors import UsageError
from errata.models.connect import connect

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (7, 4, 4), dtype=np.uint8)
WEIGHTS = RNG.normal(size=(16, 3)).astype(np.float32)


def model_of(graph, *, opset=17):
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    )
    model.ir_version = 8
    return model


def linear(shape, *, weights=WEIGHTS, dtype=TensorProto.FLOAT):
    """Flatten, then a matrix product, on inputs of a stated shape."""
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["f"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "w"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "linear", [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [shape[0], weights.shape[1]])],
        [numpy_helper.from_array(weights, "w")],
    )  # fmt: skip
    return model_of(graph)


def softmax(values):
    shifted = np.exp(values - values.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    "shape",
    [[None, 1, 4, 4], [1, 1, 4, 4], ["n", 4, 4, 1], [1, 16, 1], [3, 16], [None, 4, 4], [None, None], [None, 1, 1, 16]],
)
def test_images_in_every_layout_and_batch(shape):
    model = connect(linear(shape)).variants(IMAGES)[0].settled(IMAGES, levels=(0, 1, 2)).model
    expected = softmax(IMAGES.reshape(7, 16) / 255 @ WEIGHTS)
    np.testing.assert_allclose(model.predict(IMAGES).scores, expected, atol=1e-4)
    np.testing.assert_allclose(model.predict(IMAGES[:1]).scores, expected[:1], atol=1e-4)


def test_colour_images_with_channels_first():
    weights = RNG.normal(size=(48, 2)).astype(np.float32)
    images = RNG.integers(0, 256, (4, 4, 4, 3), dtype=np.uint8)
    model = connect(linear([None, 3, 4, 4], weights=weights)).variants(images)[0].settled(images, levels=(0, 1)).model
    expected = softmax(np.moveaxis(images, -1, 1).reshape(4, 48) / 255 @ weights)
    np.testing.assert_allclose(model.predict(images).scores, expected, atol=1e-4)


def test_a_graph_of_bytes_gets_bytes():
    model = connect(linear([None, 4, 4], weights=WEIGHTS / 255, dtype=TensorProto.UINT8))
    settled = model.variants(IMAGES)[0].settled(IMAGES, levels=(0, 1, 2)).model
    np.testing.assert_allclose(
        settled.predict(IMAGES).scores, softmax(IMAGES.reshape(7, 16) / 255 @ WEIGHTS), atol=1e-4
    )


def test_images_of_another_size_are_refused():
    with pytest.raises(UsageError, match=r"\(4, 4\).*\(1, 28, 28\)"):
        connect(linear([None, 1, 28, 28], weights=np.zeros((784, 2), np.float32))).variants(IMAGES)


def classifier(*, zipmap):
    """What sklearn-onnx writes: a label and probabilities, as a tensor or as a sequence of maps."""
    nodes = [
        helper.make_node(
            "LinearClassifier", ["x"], ["label", "raw"], domain="ai.onnx.ml", classlabels_strings=["no", "yes"],
            coefficients=[-2.0, 0.0, 2.0, 0.0], intercepts=[0.0, 0.0], post_transform="SOFTMAX",
        )
    ]  # fmt: skip
    outputs = [helper.make_tensor_value_info("label", TensorProto.STRING, [None])]
    if zipmap:
        nodes.append(
            helper.make_node(
                "ZipMap", ["raw"], ["probabilities"], domain="ai.onnx.ml", classlabels_strings=["no", "yes"]
            )
        )
        element = helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
        outputs.append(helper.make_value_info("probabilities", helper.make_sequence_type_proto(element)))
    else:
        outputs.append(helper.make_tensor_value_info("raw", TensorProto.FLOAT, [None, 2]))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])]
    return model_of(helper.make_graph(nodes, "classifier", inputs, outputs))


@pytest.mark.parametrize("zipmap", [True, False])
def test_label_and_probabilities_are_told_apart(zipmap):
    x = np.array([[1.0, 0.0], [-1.0, 0.5], [2.0, 1.0]], np.float32)
    model = connect(classifier(zipmap=zipmap))
    assert model.spec.classes == ("no", "yes")
    settled = model.settled(x, levels=("no", "yes"))
    assert settled.caveats == ()
    assert settled.model.spec.classes == ("no", "yes")
    assert settled.output.scores.argmax(axis=1).tolist() == [1, 0, 1]
    np.testing.assert_allclose(settled.output.scores.sum(axis=1), 1, atol=1e-5)


def per_column():
    """One input per column, as sklearn-onnx writes pipelines on frames: one of numbers, one of strings."""
    nodes = [
        helper.make_node("LabelEncoder", ["town"], ["code"], domain="ai.onnx.ml", keys_strings=["cairo", "oslo"],
                         values_floats=[1.0, 0.0]),
        helper.make_node("Concat", ["age", "code"], ["both"], axis=1),
        helper.make_node("MatMul", ["both", "w"], ["y"]),
    ]  # fmt: skip
    inputs = [
        helper.make_tensor_value_info("age", TensorProto.FLOAT, [None, 1]),
        helper.make_tensor_value_info("town", TensorProto.STRING, [None, 1]),
    ]
    weights = numpy_helper.from_array(np.array([[1.0, -1.0], [5.0, 0.0]], np.float32), "w")
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])]
    return model_of(helper.make_graph(nodes, "columns", inputs, outputs, [weights]))


def test_columns_go_to_inputs_by_name():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"town": ["cairo", "oslo"], "extra": [0, 0], "age": [1, -2]})
    model = connect(per_column()).settled(frame, levels=("a", "b")).model
    np.testing.assert_allclose(model.predict(frame).scores, softmax(np.array([[6.0, -1.0], [-2.0, 2.0]])), atol=1e-5)
    with pytest.raises(UsageError, match="`town`"):
        model.predict(frame[["age", "extra"]])
    with pytest.raises(UsageError, match="2 inputs"):
        model.predict(np.zeros((2, 2)))


def test_a_frame_becomes_one_matrix():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [1.0, -1.0], "b": [0, 1]})
    assert connect(classifier(zipmap=False)).predict(frame).scores.argmax(axis=1).tolist() == [1, 0]


def test_regression():
    model = connect(linear([None, 16], weights=WEIGHTS[:, :1]))
    settled = model.settled(IMAGES.reshape(7, 16).astype(np.float32), task="regression")
    np.testing.assert_allclose(settled.output.values, IMAGES.reshape(7, 16) @ WEIGHTS[:, 0], rtol=1e-4)


def test_files_and_their_fingerprints(tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(linear([None, 16]), str(path))
    model = connect(str(path))
    assert (model.spec.name, model.spec.kind) == ("net", "onnx")
    other = tmp_path / "other.onnx"
    onnx.save(linear([None, 16], weights=WEIGHTS + 1), str(other))
    assert model.spec.fingerprint != connect(other).spec.fingerprint


def with_weights_in(path, location):
    model = linear([None, 16])
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    path.write_bytes(model.SerializeToString())


def test_weights_beside_the_model_are_read_and_hashed(tmp_path):
    path = tmp_path / "net.onnx"
    with_weights_in(path, "net.bin")
    (tmp_path / "net.bin").write_bytes(WEIGHTS.tobytes())
    model = connect(path)
    x = IMAGES.reshape(7, 16).astype(np.float32)
    np.testing.assert_allclose(model.predict(x).scores.sum(axis=1), 1, atol=1e-5)
    (tmp_path / "net.bin").write_bytes((WEIGHTS + 1).tobytes())
    assert connect(path).spec.fingerprint != model.spec.fingerprint


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hostname", "link.bin"])
def test_weights_outside_the_folder_are_refused(tmp_path, location):
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.bin").write_bytes(WEIGHTS.tobytes())
    (inside / "link.bin").symlink_to(tmp_path / "secret.bin")
    with_weights_in(inside / "net.onnx", location)
    with pytest.raises(UsageError, match="outside its folder"):
        connect(inside / "net.onnx")


def test_weights_in_a_subgraph_are_looked_at_too(tmp_path):
    tensor = numpy_helper.from_array(WEIGHTS[0], "c")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../secret.bin"
    value = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    branch = helper.make_graph([helper.make_node("Constant", [], ["out"], value=tensor)], "branch", [], [value])
    node = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("x", TensorProto.BOOL, [])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])  # fmt: skip
    path = tmp_path / "net.onnx"
    path.write_bytes(model_of(graph).SerializeToString())
    with pytest.raises(UsageError, match="outside its folder"):
        connect(path)


def test_missing_weights_are_named(tmp_path):
    with_weights_in(tmp_path / "net.onnx", "gone.bin")
    with pytest.raises(UsageError, match=r"gone\.bin"):
        connect(tmp_path / "net.onnx")


@pytest.mark.parametrize("content", [b"", b"\x08\x07garbage" * 10, b"not a model"])
def test_a_broken_file_is_no_traceback(tmp_path, content):
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="Hint"):
        connect(path)


DATA = Path(os.environ.get("ERRATA_DATA", "/nowhere"))


def idx(path):
    with gzip.open(path) as file:
        content = file.read()
    shape = [int.from_bytes(content[4 + 4 * i : 8 + 4 * i], "big") for i in range(content[3])]
    return np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)


@pytest.mark.skipif(not (DATA / "onnx_vnncomp2021").is_dir(), reason="ERRATA_DATA is not set")
@pytest.mark.parametrize(("file", "least"), [("mnist-net_256x2.onnx", 0.97), ("Convnet_maxpool.onnx", 0.96)])
def test_published_networks_read_digits(file, least):
    images = idx(DATA / "mnist" / "t10k-images-idx3-ubyte.gz")[:500]
    labels = idx(DATA / "mnist" / "t10k-labels-idx1-ubyte.gz")[:500]
    model = connect(DATA / "onnx_vnncomp2021" / file)
    settled = model.variants(images)[0].settled(images, levels=tuple(range(10)))
    assert (settled.output.scores.argmax(axis=1) == labels).mean() > least


@pytest.mark.skipif(not (DATA / "onnx_vnncomp2021").is_dir(), reason="ERRATA_DATA is not set")
@pytest.mark.parametrize(
    ("file", "freed", "width"),
    [
        ("mnist-net_256x2.onnx", True, 256),
        ("Convnet_maxpool.onnx", True, 1152),
        ("cifar10_small.onnx", False, 64),  # channels last, any batch
        ("cifar_base_kw.onnx", True, 100),
        ("resnet_2b.onnx", True, 100),
    ],
)
def test_published_networks_of_awkward_shapes(file, freed, width):
    shape = (70, 28, 28) if file.startswith(("mnist", "Convnet")) else (70, 32, 32, 3)
    images = RNG.integers(0, 256, shape, dtype=np.uint8)
    given = connect(DATA / "onnx_vnncomp2021" / file).variants(images[:64])[0]
    model = given.settled(images[:64], levels=tuple(range(10))).model
    assert model.freed == freed
    alone = [given.answer(images[row : row + 1]).numbers for row in range(0, 70, 10)]
    np.testing.assert_allclose(model.answer(images).numbers[::10], np.concatenate(alone), rtol=1e-3, atol=1e-4)
    assert model.embed(images).shape == (70, width)


@pytest.mark.skipif(not (DATA / "onnx_vnncomp2021").is_dir(), reason="ERRATA_DATA is not set")
def test_a_network_of_five_numbers_in_four_dimensions():
    model = connect(DATA / "onnx_vnncomp2021" / "ACASXU_run2a_1_1_batch_2000.onnx")
    inputs = RNG.normal(size=(6, 5)).astype(np.float32)
    assert model.variants(inputs)[0].settled(inputs, levels=tuple("abcde")).output.scores.shape == (6, 5)
