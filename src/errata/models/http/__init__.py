"""Models behind an HTTP endpoint: one synchronous client, a pool of threads that adapts, and answers kept by content.

settings   what the user says of the endpoint        address, client   where it is, and one exchange with it
shapes     how requests and answers look              pace, asking      how much at once, retries, halves, limits
kept       answers by content, in the run directory   model             all of it as a model like any other
writer     a language model that puts sentences into other words
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from errata.core.errors import UsageError
from errata.core.model import ModelSpec
from errata.models.http import chat, settings, template, tensors
from errata.models.http.address import address_of, resolved
from errata.models.http.asking import FIRST_BATCH, Asking
from errata.models.http.client import Client, Key
from errata.models.http.kept import Kept
from errata.models.http.model import EndpointModel
from errata.models.http.pace import Pace
from errata.models.http.servers import HuggingFace, MLflow, TorchServe, introduce_tensorflow
from errata.models.http.settings import Settings
from errata.models.http.shapes import Shape, meet
from errata.models.http.writer import SYSTEM, Letter, Writer

__all__ = ["EndpointModel", "Settings", "Writer", "from_file", "from_settings", "from_url", "writer_at"]


def from_url(url: str, *, max_calls: int | None = None, deny_private: bool = False) -> EndpointModel:
    """The model at `http(s)://host/path#setting=value`; the server is asked what it is, nothing is predicted yet.

    max_calls     how many requests for predictions may be made in all
    deny_private  refuse addresses that only this machine or its network reaches
    Raises UsageError for settings that do not fit, CannotRunError when nobody answers there.
    """
    return from_settings(settings.from_url(url), max_calls=max_calls, deny_private=deny_private)


def from_file(path: Path, *, max_calls: int | None = None, deny_private: bool = False) -> EndpointModel:
    """The model that a .toml or .json file of settings describes; else as `from_url`."""
    return from_settings(settings.from_file(path), max_calls=max_calls, deny_private=deny_private)


def from_settings(given: Settings, *, max_calls: int | None = None, deny_private: bool = False) -> EndpointModel:
    """The model that settings describe; else as `from_url`."""
    if max_calls is not None and max_calls < 1:
        raise UsageError(f"`max_calls` is `{max_calls}`.", hint="a whole number above 0.")
    client = _client(given, deny_private=deny_private)
    met = meet(given, client)
    client = replace(client, address=met.address)
    shape = _shape(met.shape, given, client)
    asking = Asking(
        client=client, kept=Kept(_digest({**given.deciding(), "shape": met.shape, "url": met.address.url})),
        pace=Pace(most=given.concurrency), tries=given.tries, max_calls=max_calls, batch=given.batch or FIRST_BATCH,
    )  # fmt: skip
    kind = "language model" if met.shape == "chat" else "endpoint"
    name = (
        f"{shape.model} at {met.address.origin}" if isinstance(shape, chat.Chat) else met.address.url.partition("?")[0]
    )
    return EndpointModel(spec=ModelSpec(name=name, kind=kind, classes=shape.classes), shape=shape, asking=asking)


def writer_at(target: str | Path, *, folder: Path | None = None, deny_private: bool = False) -> Writer:
    """The language model at a URL, or in a file of settings, as one that puts sentences into other words.

    folder  the run directory, where its answers are kept while the run is in the making
    Raises UsageError for settings that do not fit or that speak of another shape, CannotRunError when nobody answers.
    """
    web = str(target).lower().startswith(("http://", "https://"))
    given = settings.from_url(str(target)) if web else settings.from_file(Path(target))
    if given.shape not in ("", "chat"):
        raise UsageError(
            f"The endpoint that rewords has the shape `{given.shape}`, expected `chat`.",
            hint="a server of language models, such as http://localhost:11434/v1.",
        )
    client = _client(given, deny_private=deny_private)
    met = meet(replace(given, shape="chat"), client)
    client = replace(client, address=met.address)
    told = chat.introduce(given, client)
    letter = Letter(path=told.path, model=told.model, system=given.system or SYSTEM, params=told.params)
    kept = Kept(_digest({**given.deciding(), "shape": "reword", "url": met.address.url}))
    if folder is not None:
        kept.open(folder)
    pace = Pace(most=given.concurrency)
    asking = Asking(client=client, kept=kept, pace=pace, tries=given.tries, batch=1)
    return Writer(name=f"{told.model} at {met.address.origin}", letter=letter, asking=asking)


def _client(given: Settings, *, deny_private: bool) -> Client:
    """Connections to the endpoint that settings describe; its name is looked up, and its key checked."""
    if deny_private and given.proxy:
        raise UsageError("A proxy is refused here: it could lead into a private network.", hint="leave proxy out.")
    proxy = resolved(address_of(given.proxy)) if given.proxy else None
    address = address_of(given.url)
    address = address if proxy is not None else resolved(address, deny_private=deny_private)
    key = Key(variable=given.key_env, header=given.key_header) if given.key_env else None
    if key is not None:
        key.check()
    return Client(
        address=address, key=key, timeout=given.timeout, most=given.max_reply << 20, proxy=proxy,
        headers=dict(given.headers),
    )  # fmt: skip


def _shape(name: str, given: Settings, client: Client) -> Shape:
    if name == "v2":
        return tensors.introduce(given, client)
    if name == "tf-serving":
        return introduce_tensorflow(given, client)
    if name == "chat":
        return chat.introduce(given, client)
    if name == "template":
        return template.introduce(given, client)
    path, classes, columns = client.address.path, given.classes, given.columns
    if name == "mlflow":
        return MLflow(path=path, classes=classes, columns=columns, params=given.params)
    if name == "torchserve":
        return TorchServe(path=path, classes=classes, columns=columns)
    return HuggingFace(path=path, classes=classes, columns=columns, params=given.params)


def _digest(plain: object) -> str:
    return hashlib.blake2b(json.dumps(plain, sort_keys=True, default=str).encode(), digest_size=8).hexdigest()
