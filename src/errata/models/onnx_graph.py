"""ONNX graphs taken apart: the value that the last linear layer reads, and a batch of fixed size made open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from errata.core.errors import UsageError, nearest

__all__ = ["Tap", "last_layer", "named_layer", "opened", "tapped"]

LINEAR = ("Gemm", "MatMul", "Conv", "FusedMatMul", "FusedGemm")
MAPS = ("Conv", "ConvTranspose", "BatchNormalization", "InstanceNormalization", "MaxPool", "AveragePool",
        "GlobalAveragePool", "GlobalMaxPool")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Tap:
    """A value inside a graph: its name, and the axis that holds the features (None: told by the shape)."""

    name: str
    features: int | None


def last_layer(proto: Any) -> Tap | None:
    """What the linear layer nearest before the scores reads; None where the graph has no such layer.

    Linear is a product with constants (Gemm, MatMul, Conv); scores are the first output of the graph.
    """
    producers = {name: node for node in proto.graph.node for name in node.output}
    data = _data(proto)
    reached = [output.name for output in proto.graph.output]
    seen = set(reached)
    for name in reached:  # grows while it is read: breadth first, so that the nearest layer comes first
        node = producers.get(name)
        if node is None:
            continue
        if node.op_type in LINEAR:
            read = [place for place, value in enumerate(node.input[:2]) if value in data]
            if len(read) == 1:
                features = 1 if node.op_type == "Conv" else -1 if read[0] == 0 else -2
                return Tap(name=node.input[read[0]], features=features)
        following = [value for value in node.input if value in data and value not in seen]
        seen.update(following)
        reached.extend(following)
    return None


def named_layer(proto: Any, layer: str) -> Tap:
    """The value of that name, or what the node of that name gives. Raises UsageError that offers the nearest names."""
    names: dict[str, tuple[str, str]] = {}
    for node in proto.graph.node:
        if node.output:
            names.setdefault(node.name, (node.output[0], node.op_type))
        names.update({value: (value, node.op_type) for value in node.output if value})
    names.pop("", None)
    if layer not in names:
        raise UsageError(f"The graph has no layer `{layer}`.", hint=nearest(layer, names))
    value, kind = names[layer]
    return Tap(name=value, features=1 if kind in MAPS else None)


def tapped(proto: Any, tap: Tap) -> Any:
    """The same graph, which gives that value too, behind what it gives anyway."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    if all(output.name != tap.name for output in copy.graph.output):
        copy.graph.output.append(onnx.ValueInfoProto(name=tap.name))  # its type is found out by whoever runs it
    return copy


def opened(proto: Any) -> Any:
    """The same graph for a batch of any size, as far as its shapes say; whether it means the same must be tried.

    Besides the inputs and outputs, constant shapes that begin with the size of the batch are set free.
    """
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    graph = copy.graph
    constants = {value.name for value in graph.initializer}
    sizes = set()
    for value in graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.name not in constants and len(dims):
            sizes.add(dims[0].dim_value)
            dims[0].dim_param = "errata_batch"
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    del graph.value_info[:]
    for node in list(graph.node):
        if node.op_type == "Reshape" and len(node.input) == 2:
            shape = _constant(graph, node.input[1])
            if shape is not None and shape.size > 1 and int(shape[0]) in sizes:
                name = f"errata_shape_{node.output[0]}"
                free = np.concatenate([[0], shape[1:]]).astype(np.int64)  # 0 keeps the size that comes in
                graph.initializer.append(onnx.numpy_helper.from_array(free, name))
                node.input[1] = name
    return copy


def _data(proto: Any) -> set[str]:
    """The values that depend on the inputs; all others are constants."""
    constants = {value.name for value in proto.graph.initializer}
    known = {value.name for value in proto.graph.input} - constants
    for node in proto.graph.node:
        if any(name in known for name in _read(node)):
            known.update(node.output)
    return known


def _read(node: Any) -> Iterator[str]:
    """The values that a node reads, those in its branches too."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _read(inner)


def _constant(graph: Any, name: str) -> Any:
    """A constant as an array, None where the value is none or lies in another file."""
    from onnx import numpy_helper

    for tensor in graph.initializer:
        if tensor.name == name and not tensor.external_data:
            return numpy_helper.to_array(tensor)
    for node in graph.node:
        if node.op_type == "Constant" and node.output[0] == name:
            for attribute in node.attribute:
                if attribute.name == "value" and not attribute.t.external_data:
                    return numpy_helper.to_array(attribute.t)
    return None
