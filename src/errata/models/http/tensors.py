"""Open Inference Protocol v2: named tensors with a shape and a type, and a page that describes the model."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Level
from errata.core.errors import CannotRunError, UsageError
from errata.models.http.asking import Request
from errata.models.http.client import Client, Reply
from errata.models.http.replies import judged
from errata.models.http.rows import Rows, simple
from errata.models.http.said import Said, row_said
from errata.models.http.settings import Settings
from errata.models.http.shapes import Takes, as_json, asked_for

__all__ = ["V2", "Port", "introduce"]

TYPES = {
    "BOOL": "bool", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64", "INT8": "int8",
    "INT16": "int16", "INT32": "int32", "INT64": "int64", "FP16": "float16", "FP32": "float32", "FP64": "float64",
    "BF16": "float32", "BYTES": "",
}  # fmt: skip
MOST_NUMBERS = 1 << 24  # in one request: what is fixed beyond that was never meant, and would fill the memory
_FLOATS = ("FP16", "FP32", "FP64", "BF16")
_LIKELY = ("prob", "score", "logit", "output")


@dataclass(frozen=True, kw_only=True)
class Port:
    """An input of the model: its name, type, the shape of one row, and the number of rows at once where it is fixed."""

    name: str
    datatype: str
    dims: tuple[int | None, ...]
    rows: int | None = None


@dataclass(frozen=True, kw_only=True)
class V2:
    """A model behind the Open Inference Protocol.

    answer  the output that is read; "" takes the likeliest
    """

    path: str
    ports: tuple[Port, ...]
    classes: tuple[Level, ...] = ()
    answer: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    columns: tuple[str, ...] = ()

    @property
    def takes(self) -> Takes:
        """One tensor takes rows of numbers or texts; several take a table's columns by name."""
        first = self.ports[0]
        if len(self.ports) > 1:
            return Takes(columns=tuple(port.name for port in self.ports), most=first.rows)
        if first.datatype == "BYTES":
            return Takes(columns=self.columns, most=first.rows)
        dims = first.dims or None
        return Takes(
            columns=self.columns, matrix=True, dims=dims, dtype=TYPES[first.datatype], network=True, most=first.rows
        )

    def request(self, rows: Rows) -> Request:
        """One tensor per input, its numbers in one flat list."""
        if len(self.ports) > 1:
            inputs = [_column(port, [cell[place] for cell in rows.cells]) for place, port in enumerate(self.ports)]
        elif rows.kind == "text" or self.ports[0].datatype == "BYTES":
            texts = [cell if isinstance(cell, str) else _one_text(cell) for cell in rows.cells]
            inputs = [_column(self.ports[0], texts)]
        else:
            array = np.stack(rows.cells)
            shape, data = list(array.shape), simple(array.reshape(-1))
            inputs = [{"name": self.ports[0].name, "shape": shape, "datatype": self.ports[0].datatype, "data": data}]
        missing = (self.ports[0].rows or len(rows)) - len(rows)
        if missing > 0:
            inputs = [_filled(tensor, missing) for tensor in inputs]
        body: dict[str, Any] = {"inputs": inputs}
        if self.answer:
            body["outputs"] = [{"name": self.answer}]
        if self.params:
            body["parameters"] = dict(self.params)
        return Request(path=self.path, body=as_json(body))

    def read(self, reply: Reply, rows: int) -> list[Said]:
        """Scores from a tensor of floats (b, k), labels from one of words or whole numbers (b,)."""
        plain = reply.json()
        outputs = plain.get("outputs") if isinstance(plain, dict) else None
        if not isinstance(outputs, list) or not outputs:
            raise ValueError("an answer without `outputs`")
        sent = max(rows, self.ports[0].rows or 0)
        tensors = [_Tensor.of(output, sent) for output in outputs]
        chosen = [tensor for tensor in tensors if not self.answer or tensor.name == self.answer] or tensors
        likely = sorted(chosen, key=lambda t: next((i for i, w in enumerate(_LIKELY) if w in t.name.lower()), 9))
        scores = next((tensor for tensor in likely if tensor.numeric and tensor.array.ndim == 2), None)
        labels = next((tensor for tensor in chosen if tensor.array.ndim == 1 and not tensor.floats), None)
        names = _names(scores.parameters if scores is not None else {}) or _names(plain.get("parameters") or {})
        if scores is None:
            alone = labels or chosen[0]
            if alone.array.ndim != 1:
                raise ValueError(f"a tensor of shape {alone.array.shape}")
            return [row_said(value) for value in alone.array.tolist()][:rows]
        if names and len(names) != scores.array.shape[1]:
            raise ValueError(f"{len(names)} names of classes and {scores.array.shape[1]} scores")
        found = [row_said(values) for values in scores.array.tolist()][:rows]
        said = [Said(failed=one.failed) if one.failed else Said(scores=one.scores, names=names) for one in found]
        if labels is None:
            return said
        known = [row_said(value).label for value in labels.array.tolist()]
        return [one if one.failed else Said(scores=one.scores, names=one.names, label=label)
                for one, label in zip(said, known, strict=False)]  # fmt: skip

    def deciding(self) -> str:
        """The inputs as the metadata have them."""
        return repr((self.ports, self.answer))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Tensor:
    name: str
    datatype: str
    array: NDArray[Any]
    parameters: Mapping[str, Any]

    @property
    def floats(self) -> bool:
        return self.datatype in _FLOATS

    @property
    def numeric(self) -> bool:
        return self.datatype != "BYTES" and self.array.dtype.kind in "iufO"

    @classmethod
    def of(cls, output: Any, rows: int) -> _Tensor:
        """An output as an array (b,) or (b, k); raises ValueError where it has not one row per input."""
        shape, data = [int(size) for size in output["shape"]], output["data"]
        array = np.array(data, dtype=object if output.get("datatype") == "BYTES" else None)
        if array.size != int(np.prod(shape)):
            raise ValueError(f"{array.size} values for a tensor of shape {tuple(shape)}")
        array = array.reshape(shape)
        if array.ndim == 0 or len(array) != rows:
            raise ValueError(f"{len(array) if array.ndim else 1} answers for {rows} rows")
        array = array.reshape(rows, -1)
        return cls(
            name=str(output.get("name", "")), datatype=str(output.get("datatype", "")),
            array=array[:, 0] if array.shape[1] == 1 else array, parameters=output.get("parameters") or {},
        )  # fmt: skip


def introduce(settings: Settings, client: Client) -> V2:
    """The model as its metadata describe it.

    Raises CannotRunError when the server does not know it, UsageError when its inputs are of no known type.
    """
    path = client.address.path
    plain = asked_for(client, client.address.route.removesuffix("/infer"))
    if not isinstance(plain, dict) or not isinstance(plain.get("inputs"), list) or not plain["inputs"]:
        route = client.address.route.removesuffix("/infer")
        end = judged(client.get(route), read=lambda reply: [], client=client)
        raise CannotRunError(
            f"The endpoint `{client.address.origin}` does not describe the model at `{route}`"
            f"{f': it {end.words}' if end.end == 'stop' else ''}.",
            hint=end.hint or "check the model's name, and whether it is loaded.",
        )
    try:
        ports = tuple(_port(entry) for entry in plain["inputs"])
    except (KeyError, TypeError, ValueError) as error:
        raise CannotRunError(
            f"The endpoint `{client.address.url}` describes its inputs in an unknown way: {error}.",
            hint="look at its metadata: each input needs a name, a datatype and a shape.",
        ) from error
    strange = next((port for port in ports if port.datatype not in TYPES), None)
    if strange is not None:
        raise UsageError(f"The input `{strange.name}` has the unknown type `{strange.datatype}`.",
                         hint=f"known are {', '.join(TYPES)}.")  # fmt: skip
    vast = next((port for port in ports if math.prod(filter(None, (port.rows, *port.dims))) > MOST_NUMBERS), None)
    if vast is not None:
        raise CannotRunError(
            f"The endpoint `{client.address.url}` describes the input `{vast.name}` as {vast.rows or 'any number of'} "
            f"rows of {vast.dims}, more than a request can carry.", hint="look at the shape in its metadata.",
        )  # fmt: skip
    named = settings.classes or _metadata_names(plain)
    return V2(path=path, ports=ports, classes=named, answer=settings.answer, params=settings.params,
              columns=settings.columns)  # fmt: skip


def _port(entry: Mapping[str, Any]) -> Port:
    shape = [int(size) for size in entry["shape"]]
    rows = shape[0] if shape and shape[0] > 0 else None
    return Port(
        name=str(entry["name"]), datatype=str(entry["datatype"]).removeprefix("TYPE_"),
        dims=tuple(None if size < 0 else size for size in shape[1:]), rows=rows,
    )  # fmt: skip


def _metadata_names(plain: Mapping[str, Any]) -> tuple[Level, ...]:
    for output in plain.get("outputs") or []:
        names = _names((output.get("parameters") or {}) if isinstance(output, dict) else {})
        if names:
            return names
    return _names(plain.get("parameters") or {})


def _names(parameters: Any) -> tuple[str, ...]:
    """Names of classes among the parameters of a tensor, a list or a list written as JSON."""
    if not isinstance(parameters, Mapping):
        return ()
    for key in ("labels", "classes", "class_names"):
        found = parameters.get(key)
        if isinstance(found, str):
            try:
                found = json.loads(found)
            except ValueError:
                found = [part.strip() for part in found.split(",")]
        if isinstance(found, list) and found and all(isinstance(name, str | int) for name in found):
            return tuple(map(str, found))
    return ()


def _column(port: Port, values: list[Any]) -> dict[str, Any]:
    data = [_fitting(port.datatype, value) for value in values]
    return {"name": port.name, "shape": [len(data), *[1] * len(port.dims)], "datatype": port.datatype, "data": data}


def _fitting(datatype: str, value: Any) -> Any:
    if datatype == "BYTES":
        return "" if value is None else str(value)
    if isinstance(value, str):
        raise UsageError(
            f"The endpoint takes numbers ({datatype}), and a column holds `{value[:40]}`.",
            hint="name the columns that it takes with columns, or ignore the others with --ignore.",
        )
    if value is None or datatype in _FLOATS:
        return value
    if value != int(value):
        raise UsageError(
            f"The endpoint takes whole numbers ({datatype}), and a column holds `{value:g}`.",
            hint="name the columns that it takes with columns, or ignore the others with --ignore.",
        )
    return bool(value) if datatype == "BOOL" else int(value)


def _one_text(cell: Sequence[Any]) -> str:
    if len(cell) != 1:
        raise UsageError(f"The endpoint takes one text, and a row has {len(cell)} columns.",
                         hint="name the column with --text, or with columns in the endpoint's file.")  # fmt: skip
    return str(cell[0])


def _filled(tensor: Mapping[str, Any], missing: int) -> dict[str, Any]:
    """A tensor brought to a fixed number of rows by copies of its last one."""
    held = tensor["shape"][0]
    each = len(tensor["data"]) // held
    return {**tensor, "shape": [held + missing, *tensor["shape"][1:]],
            "data": [*tensor["data"], *(tensor["data"][-each:] * missing)]}  # fmt: skip
