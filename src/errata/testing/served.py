"""A model served over HTTP on this machine, in a thread, with whatever can go wrong on a network at will.

with served(lambda rows: ["yes" if row["age"] > 60 else "no" for row in rows], shape="mlflow") as server:
    errata.diagnose(server.url, people)
    assert server.calls < 100
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

__all__ = ["SERVED", "Fault", "Server", "Speech", "served"]

Speech = Literal["v2", "mlflow", "torchserve", "tf-serving", "huggingface", "chat", "json"]
SERVED: dict[Speech, str] = {
    "v2": "/v2/models/m", "mlflow": "/invocations", "torchserve": "/predictions/m",
    "tf-serving": "/v1/models/m:predict", "huggingface": "/models/m", "chat": "/v1/chat/completions", "json": "/ask",
}  # fmt: skip
"""The path at which each shape is served."""

Answers = Callable[[list[Any]], Sequence[Any]]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong with one call.

    status  sent instead of an answer, with `headers` and `body`; 0 answers in the end
    delay   seconds before anything is sent
    cut     the body ends after half of what was announced
    drop    the connection is closed without a word
    raw     sent instead of the right answer
    """

    status: int = 0
    delay: float = 0.0
    cut: bool = False
    drop: bool = False
    raw: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: str = '{"error": "planted"}'


@dataclass(kw_only=True, eq=False)
class Server:
    """A served model, and what was asked of it.

    url       where it is
    calls     requests for predictions, failed ones included
    rows      rows in those that were answered
    repeated  requests whose body had come before
    at_once   the most requests under way at the same time
    sizes     rows in each answered request, in the order of arrival
    headers   of the last request
    """

    url: str
    calls: int = 0
    rows: int = 0
    repeated: int = 0
    at_once: int = 0
    sizes: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    _under_way: int = 0
    _bodies: Counter[bytes] = field(default_factory=Counter, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @contextmanager
    def _asked(self, body: bytes, headers: dict[str, str]) -> Iterator[int]:
        """Count a request while it is under way; gives its number, from 0."""
        with self._lock:
            number = self.calls
            self.calls += 1
            self._under_way += 1
            self.at_once = max(self.at_once, self._under_way)
            self.repeated += self._bodies[body] > 0
            self._bodies[body] += 1
            self.headers = headers
        try:
            yield number
        finally:
            with self._lock:
                self._under_way -= 1

    def _answered(self, rows: int) -> None:
        with self._lock:
            self.rows += rows
            self.sizes.append(rows)


@contextmanager
def served(
    answers: Answers,
    *,
    shape: Speech = "mlflow",
    inputs: Sequence[dict[str, Any]] = (),
    names: Sequence[str] = (),
    most: int | None = None,
    faults: Callable[[int], Fault | None] = lambda number: None,
    port: int = 0,
) -> Iterator[Server]:
    """Serve a function of a list of rows while the block lasts.

    answers  from rows as JSON has them (objects for tables, lists for arrays, texts) to one answer each: a label, a
             number, or a list of scores
    inputs   shape "v2": the metadata's inputs, such as {"name": "x", "datatype": "FP32", "shape": [-1, 4]}
    names    the classes in the order of the scores, where the shape has a place for them
    most     rows that are taken at once; more are answered with 413
    faults   what goes wrong with the call of that number (from 0), None for nothing
    port     0 takes a free one
    """
    server = Server(url="")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgement of its head

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            found = _about(self.path, shape, inputs)
            self._send(200 if found is not None else 404, json.dumps(found or {"error": "not found"}).encode())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with server._asked(body, dict(self.headers.items())) as number:
                fault = faults(number)
                if fault is not None and self._goes_wrong(fault):
                    return
                try:
                    rows = _rows(body, shape)
                    if most is not None and len(rows) > most:
                        self._send(413, b'{"error": "too many rows"}')
                        return
                    answer = _spoken(list(answers(rows)), shape, names)
                except (KeyError, TypeError, ValueError, IndexError) as error:
                    self._send(400, json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
                    return
                if fault is None or not (fault.cut or fault.raw):
                    server._answered(len(rows))
                self._send(200, fault.raw if fault is not None and fault.raw is not None else answer,
                           cut=fault is not None and fault.cut)  # fmt: skip

        def _goes_wrong(self, fault: Fault) -> bool:
            """Do what is wrong; whether that was all."""
            time.sleep(fault.delay)
            if fault.drop:
                self.close_connection = True
                return True
            if fault.status:
                self._send(fault.status, fault.body.encode(), more=fault.headers)
                return True
            return False

        def _send(self, status: int, body: bytes, *, more: dict[str, str] | None = None, cut: bool = False) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            for name, value in (more or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if cut else body)
            if cut:
                self.close_connection = True

    httpd = _Quiet(("127.0.0.1", port), Handler)
    server.url = f"http://127.0.0.1:{httpd.server_port}{SERVED[shape]}"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


class _Quiet(ThreadingHTTPServer):
    """A server that takes it calmly when somebody hangs up."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing."""


def _about(path: str, shape: Speech, inputs: Sequence[dict[str, Any]]) -> Any:
    """What the server says of itself."""
    if shape == "v2" and path == "/v2/models/m":
        return {"name": "m", "platform": "test", "inputs": list(inputs), "outputs": []}
    if shape == "chat" and path == "/v1/models":
        return {"object": "list", "data": [{"id": "tiny"}]}
    return None


def _rows(body: bytes, shape: Speech) -> list[Any]:
    """The rows in a request, as plain values."""
    plain = json.loads(body)
    if shape == "mlflow":
        if "inputs" in plain:
            return list(plain["inputs"])
        frame = plain["dataframe_split"]
        return [dict(zip(frame["columns"], row, strict=True)) for row in frame["data"]]
    if shape == "v2":
        return _tensor_rows(plain["inputs"])
    if shape == "chat":
        return [plain["messages"][-1]["content"]]
    if shape == "torchserve":
        return [plain]
    return list(plain[{"tf-serving": "instances", "huggingface": "inputs", "json": "rows"}[shape]])


def _tensor_rows(tensors: Sequence[dict[str, Any]]) -> list[Any]:
    """The rows of one tensor as lists, of several as objects."""
    if len(tensors) > 1:
        columns = [tensor["data"] for tensor in tensors]
        return [dict(zip([t["name"] for t in tensors], row, strict=True)) for row in zip(*columns, strict=True)]
    data, count = tensors[0]["data"], tensors[0]["shape"][0]
    if len(data) == count:
        return list(data)
    each = len(data) // count
    return [data[at : at + each] for at in range(0, len(data), each)]


def _spoken(answers: list[Any], shape: Speech, names: Sequence[str]) -> bytes:
    """The answers as the shape has them."""
    listed = [list(answer) if isinstance(answer, list | tuple) else answer for answer in answers]
    if shape == "v2":
        return json.dumps({"model_name": "m", "outputs": [_tensor(listed, names)]}).encode()
    if shape == "chat":
        return json.dumps({"choices": [{"message": {"role": "assistant", "content": str(listed[0])}}]}).encode()
    if shape == "huggingface" or (names and shape == "mlflow"):
        listed = [_by_name(answer, names, listed=shape == "huggingface") for answer in listed]
    if shape == "huggingface":
        return json.dumps(listed).encode()
    if shape == "torchserve":
        return json.dumps(listed[0]).encode()
    return json.dumps({"result" if shape == "json" else "predictions": listed}).encode()


def _by_name(answer: Any, names: Sequence[str], *, listed: bool) -> Any:
    """Scores with their classes; a label stays what it is."""
    if not isinstance(answer, list):
        return {"label": answer, "score": 1.0} if listed else answer
    if not listed:
        return dict(zip(names, answer, strict=True))
    pairs = zip(names, answer, strict=True)
    return [{"label": name, "score": score} for name, score in sorted(pairs, key=lambda pair: -pair[1])]


def _tensor(answers: list[Any], names: Sequence[str]) -> dict[str, Any]:
    if answers and isinstance(answers[0], list):
        flat = [number for answer in answers for number in answer]
        more = {"parameters": {"labels": list(names)}} if names else {}
        return {
            "name": "probabilities",
            "datatype": "FP32",
            "shape": [len(answers), len(answers[0])],
            "data": flat,
            **more,
        }
    kind = "BYTES" if any(isinstance(answer, str) for answer in answers) else "FP64"
    kind = "INT64" if answers and all(re.fullmatch(r"-?\d+", str(answer)) for answer in answers) else kind
    return {"name": "label", "datatype": kind, "shape": [len(answers)], "data": answers}
