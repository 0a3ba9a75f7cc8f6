"""ONNX files, run by ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Level
from errata.core.errors import ErrataError, UsageError, require
from errata.core.model import Inputs, ModelSpec, Output, Task
from errata.models import fingerprint
from errata.models.form import AS_GIVEN, Form, columns_of, forms_for, is_frame, is_texts, matrix, select
from errata.models.layers import pooled
from errata.models.onnx_graph import Tap, last_layer, named_layer, opened, tapped
from errata.models.reading import Answer, Reading, Settled, as_answer, plain, read, settle

__all__ = ["OnnxModel", "OnnxNetwork", "from_file", "from_proto"]

TYPES = {
    "tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16", "tensor(uint8)": "uint8",
    "tensor(int8)": "int8", "tensor(int32)": "int32", "tensor(int64)": "int64", "tensor(bool)": "bool",
    "tensor(string)": "str",
}  # fmt: skip
CLASS_ATTRIBUTES = ("classlabels_int64s", "classlabels_ints", "classlabels_strings")


@dataclass(frozen=True, kw_only=True)
class Port:
    """An input of the graph: its name, numpy type, and the shape of one row (None where open).

    batch  the number of rows that the graph takes at once, None for any
    """

    name: str
    dtype: str
    dims: tuple[int | None, ...]
    batch: int | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """The graph behind a session, read again when other sessions or layers of it are asked for; each only once.

    source  the file, or the bytes of a graph that came from memory
    """

    source: Path | bytes
    threads: int | None
    sessions: dict[str, Any] = field(default_factory=dict)
    taps: dict[str, Tap] = field(default_factory=dict)

    def proto(self) -> Any:
        """The graph, without the weights that lie in files beside it."""
        import onnx

        if isinstance(self.source, bytes):
            return onnx.load_model_from_string(self.source)
        return onnx.load(str(self.source), load_external_data=False)

    def tap(self, layer: str) -> Tap:
        """The value of that name, looked up once; raises UsageError for one that the graph does not have."""
        if layer not in self.taps:
            self.taps[layer] = named_layer(self.proto(), layer)
        return self.taps[layer]

    def session(self, name: str, build: Callable[[Any], Any]) -> Any:
        """A session of the graph that `build` makes of this one; raises UsageError when it cannot be run."""
        if name not in self.sessions:
            folder = None if isinstance(self.source, bytes) else self.source.resolve().parent
            self.sessions[name] = _session(
                build(self.proto()).SerializeToString(),
                threads=self.threads,
                subject="A part of the graph",
                folder=folder,
            )
        return self.sessions[name]


@dataclass(frozen=True, kw_only=True, eq=False)
class OnnxModel:
    """A graph with one input per example, or with one input per column of a table."""

    spec: ModelSpec
    session: Any
    graph: Graph
    ports: tuple[Port, ...]
    named: tuple[Level, ...] = ()
    form: Form = AS_GIVEN
    reading: Reading | None = None
    freed: bool = False
    """Whether the graph states a size of the batch and runs without one here, with the same answers."""

    def predict(self, inputs: Inputs) -> Output:
        """The graph's output for a batch of inputs."""
        return read(self.answer(inputs), self.reading, named=self.named, task=self.spec.task)

    def answer(self, inputs: Inputs) -> Answer:
        """What the graph gave, unread. A graph of a fixed batch size is run as often as needed."""
        rows = len(inputs)
        outputs = self._run(self.session, self._feeds(inputs), rows)
        return _answer(outputs, rows)

    def variants(self, inputs: Inputs) -> Sequence[OnnxModel]:
        """The same graph with its inputs in other forms, the most usual first."""
        if len(self.ports) > 1:
            return [self]
        port = self.ports[0]
        array = self._array(inputs)
        if port.dtype == "str":
            return [self]
        dims = port.dims if port.dims or array.ndim == 1 else None
        return [replace(self, form=form) for form in forms_for(array, dims=dims, dtype=port.dtype, network=True)]

    def settled(self, inputs: Inputs, *, levels: Sequence[Level] = (), task: Task | None = None) -> Settled:
        """The same graph with the reading of its answers settled on these inputs.

        levels  the labels of the data, sorted
        """
        answer = self.answer(inputs)
        return settle(self._unbound(inputs, answer), answer, named=self.named, levels=levels, task=task)

    def _unbound(self, inputs: Inputs, answer: Answer) -> OnnxModel:
        """The same graph for batches of any size, where that gives the same answers; else this one."""
        if self.ports[0].batch is None or len(inputs) < 2:
            return self
        refusals: tuple[type[Exception], ...] = (ErrataError, *_runtime_errors())
        try:
            session = self.graph.session("any batch", opened)
            ports = tuple(replace(port, batch=None) for port in self.ports)
            free = replace(self, session=session, ports=ports, freed=True)
            again = free.answer(inputs)
        except refusals:
            return self
        return free if _equal(answer, again) else self

    def _run(self, session: Any, feeds: dict[str, NDArray[Any]], rows: int) -> list[Any]:
        """What a session gives for these rows; one of a fixed batch size is run as often as needed."""
        size = self.ports[0].batch
        if size is None or size == rows:
            return list(session.run(None, feeds))
        parts = []
        for start in range(0, rows, size):
            piece = {name: values[start : start + size] for name, values in feeds.items()}
            held = len(next(iter(piece.values())))
            # The last piece is filled up with copies of its last row, and the answers to those are dropped.
            fill = {n: np.concatenate([v, np.repeat(v[-1:], size - held, axis=0)]) for n, v in piece.items()}
            parts.append([_first(value, held, size) for value in session.run(None, fill)])
        return [_joined(column) for column in zip(*parts, strict=True)]

    def _feeds(self, inputs: Inputs) -> dict[str, NDArray[Any]]:
        if len(self.ports) == 1:
            port = self.ports[0]
            array = self._array(inputs)
            if self.form != AS_GIVEN:
                return {port.name: self.form.apply(array)}
            return {port.name: _as_type(array, port.dtype)}
        who = f"`{self.spec.name}`"
        if not is_frame(inputs):
            raise UsageError(
                f"{who} takes {len(self.ports)} inputs ({', '.join(f'`{p.name}`' for p in self.ports[:6])}), "
                "and the data are one array.",
                hint="give a table with a column for each of them.",
            )
        import narwhals as nw

        frame = nw.from_native(select(inputs, [port.name for port in self.ports], who=who), eager_only=True)
        columns = {port.name: np.asarray(frame.get_column(port.name).to_numpy()) for port in self.ports}
        return {p.name: _as_type(columns[p.name], p.dtype).reshape(-1, *[1] * len(p.dims)) for p in self.ports}

    def _array(self, inputs: Inputs) -> NDArray[Any]:
        if is_texts(inputs) and self.ports[0].dtype == "str":
            return np.array(inputs, dtype=object).reshape(-1, *[1] * len(self.ports[0].dims))
        if not is_frame(inputs):
            return np.asarray(inputs)
        if self.ports[0].dtype == "str":
            import narwhals as nw

            frame = nw.from_native(inputs, eager_only=True)
            return np.stack([np.asarray(frame.get_column(c).to_numpy()).astype(str) for c in columns_of(inputs)], 1)
        return matrix(inputs, who=f"`{self.spec.name}`")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Shown:
    """One run of a graph: what it answered, and (b, d) the value inside it."""

    answer: Answer
    layer: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class OnnxNetwork(OnnxModel):
    """A graph that ends in a linear layer, as those of networks do: it can also show what that layer reads."""

    tap: Tap

    def embed(self, inputs: Inputs, layer: str | None = None) -> NDArray[np.float32]:
        """(b, d) what the last linear layer reads, or the value of that name in the graph; maps are averaged.

        Raises UsageError for a name that the graph does not have.
        """
        return self._shown(inputs, layer).layer

    def showing(self, inputs: Inputs, layer: str | None = None) -> Output:
        """What `predict` and `embed` give, from one run of the graph."""
        shown = self._shown(inputs, layer)
        return replace(read(shown.answer, self.reading, named=self.named, task=self.spec.task), layer=shown.layer)

    def _shown(self, inputs: Inputs, layer: str | None) -> _Shown:
        tap = self.tap if layer is None else self.graph.tap(layer)
        name = f"{tap.name}{', any batch' if self.freed else ''}"
        session = self.graph.session(name, lambda proto: tapped(opened(proto) if self.freed else proto, tap))
        names = [output.name for output in session.get_outputs()]
        given = self._run(session, self._feeds(inputs), len(inputs))
        values = np.asarray(given[names.index(tap.name)])
        features = tap.features if tap.features is not None else -1 if values.ndim < 4 else 1
        own = given[: len(self.session.get_outputs())]  # what the tap adds comes last
        return _Shown(answer=_answer(own, len(inputs)), layer=pooled(values, len(inputs), features=features))


def from_file(path: Path, *, name: str | None = None, threads: int | None = None) -> OnnxModel:
    """A model from an `.onnx` file; weights beside it are read only from its own folder.

    threads  how many ONNX Runtime may use, all cores when None
    Raises UsageError when the file is damaged, or names weights outside its folder.
    """
    onnx = require("onnx", feature=f"`{path}`", extra="onnx")
    try:
        proto = onnx.load(str(path), load_external_data=False)
    except require("google.protobuf.message", feature=f"`{path}`", extra="onnx").DecodeError as error:
        raise UsageError(f"`{path}` is not a whole ONNX file: {error}.", hint="export the model again.") from error
    beside = _external_files(proto, path)
    marks = [fingerprint.of_file(file) for file in (path, *beside)]
    session = _session(str(path), threads=threads, subject=f"`{path}`")
    graph = Graph(source=path, threads=threads)
    return _model(session, graph, proto, name=name or path.stem, mark="-".join(mark[:32] for mark in marks))


def from_proto(proto: Any, *, name: str | None = None, threads: int | None = None) -> OnnxModel:
    """A model from an `onnx.ModelProto` in memory."""
    import hashlib

    content = proto.SerializeToString()
    session = _session(content, threads=threads, subject="The ONNX model")
    graph = Graph(source=content, threads=threads)
    return _model(
        session, graph, proto, name=name or proto.graph.name or "onnx", mark=hashlib.sha256(content).hexdigest()
    )


def _model(session: Any, graph: Graph, proto: Any, *, name: str, mark: str) -> OnnxModel:
    ports = tuple(_port(entry) for entry in session.get_inputs())
    named = _class_names(proto)
    spec = ModelSpec(name=name, kind="onnx", fingerprint=mark, classes=named)
    tap = last_layer(proto)
    if tap is None:
        return OnnxModel(spec=spec, session=session, graph=graph, ports=ports, named=named)
    return OnnxNetwork(spec=spec, session=session, graph=graph, ports=ports, named=named, tap=tap)


def _session(source: str | bytes, *, threads: int | None, subject: str, folder: Path | None = None) -> Any:
    runtime = require("onnxruntime", feature=subject, extra="onnx")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
    if folder is not None:
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    available = runtime.get_available_providers()
    providers = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in available]
    try:
        return runtime.InferenceSession(source, options, providers=providers)
    except _runtime_errors() as error:
        raise UsageError(
            f"{subject} cannot be run: {error}.", hint="is it whole, and not newer than onnxruntime?"
        ) from error


def _runtime_errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises: classes of its own without a common one, beside two of Python."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [value for value in vars(state).values() if isinstance(value, type) and issubclass(value, Exception)]
    return (*own, RuntimeError, ValueError)


def _port(entry: Any) -> Port:
    if entry.type not in TYPES:
        raise UsageError(
            f"The input `{entry.name}` is of type `{entry.type}`, expected a tensor of numbers or strings.",
            hint="export the model with tensors as inputs.",
        )
    shape = [d if isinstance(d, int) and d > 0 else None for d in entry.shape]
    return Port(name=entry.name, dtype=TYPES[entry.type], dims=tuple(shape[1:]), batch=shape[0] if shape else None)


def _as_type(array: NDArray[Any], dtype: str) -> NDArray[Any]:
    if dtype == "str":
        return array.astype(str).astype(object)  # ONNX Runtime takes strings as objects only
    return np.ascontiguousarray(array.astype(dtype, copy=False))


def _answer(outputs: Sequence[Any], rows: int) -> Answer:
    """Scores and labels among the outputs of a graph: sklearn-onnx gives both, networks scores alone."""
    labels, numbers = None, None
    named: tuple[Level, ...] = ()
    for output in outputs:
        if isinstance(output, list) and output and isinstance(output[0], dict):
            named = tuple(plain(key) for key in output[0])
            numbers = np.array([[row[key] for key in output[0]] for row in output], dtype=np.float32)
            continue
        array = np.asarray(output)
        if array.dtype.kind in "OUSiu" and array.ndim >= 1 and len(array) == rows and array.size == rows:
            labels = array.reshape(rows) if labels is None else labels
        elif array.dtype.kind == "f" and numbers is None:
            numbers = array
    if numbers is None:
        return as_answer(labels if labels is not None else np.asarray(outputs[0]), rows)
    read = as_answer(numbers, rows)
    plainly = labels if labels is None or labels.dtype != object else np.array([plain(v) for v in labels.tolist()])
    return Answer(numbers=read.numbers, labels=plainly, named=named)


def _equal(one: Answer, other: Answer) -> bool:
    """Whether two answers are the same up to what the size of a batch changes in float32."""
    if (one.numbers is None) != (other.numbers is None) or (one.labels is None) != (other.labels is None):
        return False
    if one.labels is not None and one.labels.tolist() != (
        other.labels if other.labels is None else other.labels.tolist()
    ):
        return False
    if one.numbers is None or other.numbers is None:
        return True
    return one.numbers.shape == other.numbers.shape and bool(
        np.allclose(one.numbers, other.numbers, rtol=1e-3, atol=1e-4, equal_nan=True)
    )


def _first(value: Any, held: int, size: int) -> Any:
    """The answers to the first `held` rows of a run of `size`; some graphs drop the axis of a batch of one."""
    if isinstance(value, np.ndarray) and (value.ndim == 0 or (size == 1 and value.shape[0] != 1)):
        return value.reshape(1, -1)
    return value[:held]


def _joined(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], list):
        return [row for part in parts for row in part]
    return np.concatenate(parts)


def _class_names(proto: Any) -> tuple[Level, ...]:
    """The classes that a classifier node of the graph states, () where there is none."""
    for node in proto.graph.node:
        for attribute in node.attribute:
            if attribute.name in CLASS_ATTRIBUTES and (attribute.ints or attribute.strings):
                return tuple(plain(value) for value in (*attribute.ints, *attribute.strings))
    return ()


def _external_files(proto: Any, path: Path) -> list[Path]:
    """The files beside the model that hold weights; raises UsageError for one outside the model's folder."""
    folder = path.resolve().parent
    names = {entry.value for tensor in _tensors(proto) if tensor.data_location == 1
             for entry in tensor.external_data if entry.key == "location"}  # fmt: skip
    files = []
    for name in sorted(names):
        file = (folder / name).resolve()
        if Path(name).is_absolute() or not file.is_relative_to(folder):
            raise UsageError(
                f"`{path}` names weights outside its folder: `{name}`.",
                hint="a model file has no business there; put the weights beside it and export it again.",
            )
        if not file.is_file():
            raise UsageError(f"`{path}` needs the weights in `{file}`, which is not there.", hint="copy both files.")
        files.append(file)
    return files


def _tensors(proto: Any) -> Iterator[Any]:
    """Every tensor of a model, those in subgraphs and functions too."""
    graphs = [proto.graph]
    nodes = [node for function in proto.functions for node in function.node]
    while graphs or nodes:
        if graphs:
            graph = graphs.pop()
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
            nodes.extend(graph.node)
            continue
        for attribute in nodes.pop().attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            graphs.extend((attribute.g, *attribute.graphs) if attribute.g.node or attribute.graphs else ())
