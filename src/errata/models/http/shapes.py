"""How requests and answers look at an endpoint, and how that is found from its URL and from what it says of itself."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Protocol

from errata.core.columns import Level
from errata.core.errors import CannotRunError, UsageError, nearest
from errata.models.http.address import Address
from errata.models.http.asking import Request
from errata.models.http.client import Client, NoReply, Reply
from errata.models.http.rows import Rows
from errata.models.http.said import Said
from errata.models.http.settings import Settings

__all__ = ["SHAPES", "Met", "Shape", "Takes", "as_json", "asked_for", "meet"]

SHAPES = {
    "v2": "Open Inference Protocol v2 (KServe, Triton, MLServer): /v2/models/NAME",
    "mlflow": "MLflow's scoring server: /invocations",
    "torchserve": "TorchServe: /predictions/NAME",
    "tf-serving": "TensorFlow Serving and KServe v1: /v1/models/NAME:predict",
    "huggingface": "text or image classification behind a Hugging Face inference endpoint",
    "chat": "a language model used as a classifier, OpenAI-compatible: /v1/chat/completions",
    "template": "any JSON: a template of the body, and the way to the answer",
}
_PATHS = (
    (r".*/v2/models/[^/]+(/versions/[^/]+)?(/infer)?", "v2"),
    (r".*/invocations", "mlflow"),
    (r".*/predictions/[^/]+(/[^/]+)?", "torchserve"),
    (r".*/v1/models/[^/:]+(/(versions|labels)/[^/:]+)?(:predict)?", "tf-serving"),
    (r".*/chat/completions", "chat"),
    (r".*/v1", "chat"),
    (r"(/hf-inference)?/(models|pipeline/[^/]+)/.+", "huggingface"),
)


@dataclass(frozen=True, kw_only=True)
class Takes:
    """What an endpoint takes.

    columns   of a table, in order; () takes all
    matrix    a table's numbers side by side rather than its columns by name
    pictures  an array is sent as a picture
    dims      the shape of one input, None where open; None when it does not say
    dtype     the type of its numbers, "" when it does not say
    network   it wants what networks usually want
    most      rows in one request; None for any number
    """

    columns: tuple[str, ...] = ()
    matrix: bool = False
    pictures: bool = False
    dims: tuple[int | None, ...] | None = None
    dtype: str = ""
    network: bool = False
    most: int | None = None


class Shape(Protocol):
    """One way of asking; the classes are those that the server names, () when it does not."""

    @property
    def takes(self) -> Takes: ...
    @property
    def classes(self) -> tuple[Level, ...]: ...

    def request(self, rows: Rows) -> Request:
        """The request about these rows."""
        ...

    def read(self, reply: Reply, rows: int) -> list[Said]:
        """What the answer says of each row; raises ValueError, in words, where it is no such answer."""
        ...

    def deciding(self) -> str:
        """What decides the answers beside the rows and the settings."""
        ...


@dataclass(frozen=True, kw_only=True)
class Met:
    """The address for predictions and the name of the shape that is spoken there."""

    address: Address
    shape: str


def meet(settings: Settings, client: Client) -> Met:
    """The shape that the settings name, that the path tells, or that the server shows by what it says of itself.

    Raises UsageError when none of these helps.
    """
    address = client.address
    if settings.shape and settings.shape not in SHAPES:
        raise UsageError(f"`{settings.shape}` is no shape of an endpoint.", hint=nearest(settings.shape, SHAPES))
    shape = settings.shape or ("template" if settings.template is not None else "")
    if not shape:
        shape = next((name for pattern, name in _PATHS if re.fullmatch(pattern, address.route)), "")
    if shape:
        return Met(address=_ready(address, shape), shape=shape)
    if address.route == "":
        met = _introduced(client)
        if met is not None:
            return met
    raise UsageError(
        f"What `{address.url}` takes cannot be told from its path.",
        hint=f"add #shape=NAME to it; NAME is {', '.join(SHAPES)}.",
    )


def as_json(value: Any) -> bytes:
    """A body of JSON; what JSON does not know is refused."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def asked_for(client: Client, path: str) -> Any:
    """What the server says of itself at a path, as plain values; None where it says nothing that is JSON.

    Raises CannotRunError when nobody answers there.
    """
    try:
        reply = client.get(path)
        return reply.json() if reply.status == 200 else None
    except NoReply as error:
        if error.trouble == "refused":
            raise CannotRunError(
                f"The endpoint `{client.address.url}` does not answer: {error}.",
                hint="is the server running, and is this its address?",
            ) from error
        return None
    except (ValueError, RecursionError):
        return None


def _ready(address: Address, shape: str) -> Address:
    """The address with what the predictions' path still lacks."""
    route, query = address.route, address.path.partition("?")[2]
    if shape == "v2" and not route.endswith("/infer"):
        route += "/infer"
    elif shape == "tf-serving" and not route.endswith(":predict"):
        route += ":predict"
    elif shape == "chat" and not route.endswith("/chat/completions"):
        route += "/chat/completions" if route.endswith("/v1") or "?" in address.path else "/v1/chat/completions"
    elif shape == "mlflow" and route == "":
        route = "/invocations"
    else:
        return address
    return address.at(route + (f"?{query}" if query else ""))


def _introduced(client: Client) -> Met | None:
    """A server met at its bare address, by the one model that it says it has."""
    address = client.address
    if isinstance(asked_for(client, "/v2"), dict):
        raise UsageError(
            f"`{address.url}` speaks the Open Inference Protocol; which of its models is meant?",
            hint=f"name it: {address.origin}/v2/models/NAME.",
        )
    listed = asked_for(client, "/v1/models")
    if isinstance(listed, dict) and isinstance(listed.get("data"), list):
        return Met(address=address.at("/v1/chat/completions"), shape="chat")
    try:
        if client.get("/ping").status == 200 and client.get("/version").status == 200:
            return Met(address=address.at("/invocations"), shape="mlflow")
    except NoReply:
        return None
    return None
