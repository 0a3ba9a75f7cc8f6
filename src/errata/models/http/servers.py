"""Servers that take JSON of their own: MLflow, TorchServe, TensorFlow Serving, Hugging Face inference endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from errata.core.columns import Level
from errata.core.errors import UsageError
from errata.models.http.asking import Request
from errata.models.http.client import Client, Reply
from errata.models.http.rows import Rows, data_url, png
from errata.models.http.said import Said, rows_said
from errata.models.http.settings import Settings
from errata.models.http.shapes import Takes, as_json, asked_for

__all__ = ["HuggingFace", "MLflow", "TensorFlow", "TorchServe", "introduce_tensorflow"]

_TF_TYPES = {"DT_FLOAT": "float32", "DT_DOUBLE": "float64", "DT_HALF": "float16", "DT_INT32": "int32",
             "DT_INT64": "int64", "DT_UINT8": "uint8", "DT_BOOL": "bool"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Server:
    """What all of them have: where they are, and what the user says of them.

    params  further fields of the body, where it has a place for them
    """

    path: str
    classes: tuple[Level, ...] = ()
    columns: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class MLflow(_Server):
    """`/invocations`: tables as `dataframe_split`, everything else as `inputs`."""

    @property
    def takes(self) -> Takes:
        """Whatever the model was logged with."""
        return Takes(columns=self.columns)

    def request(self, rows: Rows) -> Request:
        """One body for all rows."""
        if rows.kind == "table":
            body: dict[str, Any] = {"dataframe_split": {"columns": list(rows.names), "data": list(rows.cells)}}
        else:
            body = {"inputs": [rows.plain(place) for place in range(len(rows))]}
        return Request(path=self.path, body=as_json({**body, "params": dict(self.params)} if self.params else body))

    def read(self, reply: Reply, rows: int) -> list[Said]:
        """`predictions`, or the bare list of older servers."""
        plain = reply.json()
        found = plain.get("predictions", plain.get("outputs", plain)) if isinstance(plain, dict) else plain
        return rows_said(_transposed(found, rows), rows)

    def deciding(self) -> str:
        """Nothing beyond the settings."""
        return "mlflow"


@dataclass(frozen=True, kw_only=True)
class TensorFlow(_Server):
    """`:predict` with `instances`, one per row; a row is an object where the model has several inputs.

    dims, dtype  of its one input, where the metadata say so
    named        the names of its inputs where there are several
    """

    dims: tuple[int | None, ...] | None = None
    dtype: str = ""
    named: tuple[str, ...] = ()
    answer: str = ""

    @property
    def takes(self) -> Takes:
        """One input takes rows of numbers, several take columns by name."""
        if self.named:
            return Takes(columns=self.named)
        return Takes(columns=self.columns, matrix=self.dims is not None, dims=self.dims or None, dtype=self.dtype,
                     network=True)  # fmt: skip

    def request(self, rows: Rows) -> Request:
        """One body for all rows; a table of numbers goes as lists, in the order of its columns."""
        numbers = rows.kind == "table" and not self.named
        numbers = numbers and not any(isinstance(cell, str) for cell in rows.cells[0])
        instances = [list(cell) for cell in rows.cells] if numbers else [rows.plain(i) for i in range(len(rows))]
        return Request(path=self.path, body=as_json({**self.params, "instances": instances}))

    def read(self, reply: Reply, rows: int) -> list[Said]:
        """`predictions`, one per row, or one list per output."""
        plain = reply.json()
        if not isinstance(plain, dict) or not ({"predictions", "outputs"} & set(plain)):
            raise ValueError("an answer without `predictions`")
        found = plain.get("predictions", plain.get("outputs"))
        if self.answer and isinstance(found, list):
            found = [entry[self.answer] if isinstance(entry, dict) else entry for entry in found]
        return rows_said(_transposed(found, rows), rows)

    def deciding(self) -> str:
        """The inputs as the metadata have them."""
        return repr(("tensorflow", self.dims, self.dtype, self.named))


@dataclass(frozen=True, kw_only=True)
class TorchServe(_Server):
    """`/predictions/NAME`: one row per request; a picture as PNG, a text as it is, everything else as JSON."""

    @property
    def takes(self) -> Takes:
        """Images as pictures."""
        return Takes(columns=self.columns, pictures=True, most=1)

    def request(self, rows: Rows) -> Request:
        """The row itself."""
        if rows.kind == "images":
            return Request(path=self.path, body=png(rows.cells[0]), kind="image/png")
        if rows.kind == "text":
            body = rows.cells[0].encode("utf-8", "replace")
            return Request(path=self.path, body=body, kind="text/plain; charset=utf-8")
        return Request(path=self.path, body=as_json(rows.plain(0)))

    def read(self, reply: Reply, rows: int) -> list[Said]:
        """Any JSON, or a bare word."""
        try:
            plain = reply.json()
        except ValueError:
            text = reply.body.decode("utf-8", "replace").strip()
            if not text or len(text) > 200 or text[0] in "{[<":
                raise
            plain = text
        return rows_said(plain, rows)

    def deciding(self) -> str:
        """Nothing beyond the settings."""
        return "torchserve"


@dataclass(frozen=True, kw_only=True)
class HuggingFace(_Server):
    """Text classification as `{"inputs": [...]}`, image classification one picture per request."""

    @property
    def takes(self) -> Takes:
        """Images as pictures."""
        return Takes(columns=self.columns, pictures=True, most=None)

    def request(self, rows: Rows) -> Request:
        """Texts together, pictures alone."""
        more = {"parameters": dict(self.params)} if self.params else {}
        if rows.kind == "images":
            if more:
                inputs = data_url(rows.cells[0]).partition(",")[2]
                return Request(path=self.path, body=as_json({"inputs": inputs, **more}))
            return Request(path=self.path, body=png(rows.cells[0]), kind="image/png")
        if rows.kind == "table" and len(rows.names) == 1:
            return Request(path=self.path, body=as_json({"inputs": [str(cell[0]) for cell in rows.cells], **more}))
        if rows.kind != "text":
            raise UsageError(
                "A Hugging Face endpoint takes texts or images, and the data are a table or numbers.",
                hint='name the column of texts with --text; for anything else, use shape = "template".',
            )
        return Request(path=self.path, body=as_json({"inputs": list(rows.cells), **more}))

    def read(self, reply: Reply, rows: int) -> list[Said]:
        """Labels with their scores, in any order; where only the likeliest is given, that label."""
        plain = reply.json()
        if isinstance(plain, dict) and "error" in plain:
            raise ValueError(f"an error: {str(plain['error'])[:200]}")
        return rows_said(plain, rows)

    def deciding(self) -> str:
        """Nothing beyond the settings."""
        return "huggingface"


def introduce_tensorflow(settings: Settings, client: Client) -> TensorFlow:
    """The model as its metadata describe it; a server that has none takes what it is given."""
    shape = TensorFlow(path=client.address.path, classes=settings.classes, columns=settings.columns,
                       params=settings.params, answer=settings.answer)  # fmt: skip
    plain = asked_for(client, client.address.route.removesuffix(":predict") + "/metadata")
    try:
        signatures = plain["metadata"]["signature_def"]["signature_def"]
        inputs = signatures[str(settings.params.get("signature_name", "serving_default"))]["inputs"]
        if len(inputs) > 1:
            return replace(shape, named=tuple(sorted(inputs)))
        only = next(iter(inputs.values()))
        sizes = [int(size["size"]) for size in only["tensor_shape"].get("dim", [])]
        dims = tuple(None if size < 0 else size for size in sizes[1:])
        dtype = _TF_TYPES.get(only["dtype"])
        return shape if dtype is None else replace(shape, dims=dims, dtype=dtype)
    except (KeyError, TypeError, ValueError, StopIteration, AttributeError):
        return shape


def _transposed(found: Any, rows: int) -> Any:
    """One list per output turned into one object per row."""
    if isinstance(found, dict) and found and all(isinstance(v, list) and len(v) == rows for v in found.values()):
        return [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]
    return found
