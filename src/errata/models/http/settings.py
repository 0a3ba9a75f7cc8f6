"""What a user says of an endpoint: after the `#` of its URL, or in a small TOML or JSON file."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from errata.core.columns import Level
from errata.core.errors import UsageError, nearest

__all__ = ["Settings", "from_file", "from_url"]

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")
_FILE_ONLY = ("url", "template", "params", "headers")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """An endpoint and how it is asked.

    url          where it is; what stands after `#` are settings of ours and is never sent
    shape        how requests and answers look; found from the URL when ""
    model        the model that the server should use, where one address serves several
    classes      the classes, in the order of the scores where these are not named
    columns      the columns of a table that are sent, in this order; all inputs when ()
    template     shape "template": the body of a request, with "$rows", "$row" or "$row.COLUMN" in it
    answer       shape "template": the way to the answer, such as "result.*.label"; elsewhere the output's name
    system       shape "chat": the instruction, with "{classes}" where the classes go
    params       further fields of the body, such as temperature
    headers      further headers; none of them may be a key
    key_env      the name of the environment variable with the key; the key itself is written nowhere
    key_header   the header in which it is sent
    batch        the most rows in one request; found by trying when None
    concurrency  the most requests at once; how many of them the server's answers decide
    timeout      seconds for one answer
    tries        how often a request is sent that fails for a while
    max_reply    megabytes of an answer that are read
    proxy        an http proxy; none when "", whatever the environment says
    """

    url: str
    shape: str = ""
    model: str = ""
    classes: tuple[Level, ...] = ()
    columns: tuple[str, ...] = ()
    template: Any = None
    answer: str = ""
    system: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    key_env: str = ""
    key_header: str = "Authorization"
    batch: int | None = None
    concurrency: int = 16
    timeout: float = 60.0
    tries: int = 5
    max_reply: int = 64
    proxy: str = ""

    def deciding(self) -> dict[str, Any]:
        """The settings that decide the answers: two endpoints that agree in them give each other's answers."""
        names = ("url", "shape", "model", "classes", "columns", "template", "answer", "system", "params", "headers")
        return {name: getattr(self, name) for name in names}


def from_url(text: str) -> Settings:
    """The settings of `http://host/path#name=value&name=value`.

    Raises UsageError for names and values that are no settings.
    """
    url, _, fragment = text.partition("#")
    if not fragment:
        return Settings(url=url)
    pairs = parse_qsl(fragment, keep_blank_values=True)
    if not pairs or any(not name for name, _ in pairs):
        raise UsageError(f"`#{fragment[:80]}` after the URL says nothing.", hint="write #shape=mlflow&timeout=30.")
    given: dict[str, Any] = {}
    for name, value in pairs:
        if name in _FILE_ONLY:
            raise UsageError(f"`{name}` cannot stand after `#`.", hint="put it into a file: --model endpoint.toml.")
        given[name] = _typed(name, value)
    return _settings({"url": url, **given}, where="the URL")


def from_file(path: Path) -> Settings:
    """The settings in a .toml or .json file. Raises UsageError for a file that cannot be read or holds other things."""
    try:
        text = path.read_text(encoding="utf-8")
        plain = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except (OSError, ValueError) as error:
        raise UsageError(f"`{path}` cannot be read: {error}", hint="is it valid TOML or JSON, in UTF-8?") from error
    if not isinstance(plain, dict) or not isinstance(plain.get("url"), str):
        raise UsageError(f"`{path}` names no endpoint.", hint='its first line should be url = "http://...".')
    url, _, fragment = plain["url"].partition("#")
    if fragment:
        raise UsageError(f"`{path}` has settings after the `#` of its url.", hint="write each on a line of its own.")
    return _settings({**plain, "url": url}, where=f"`{path}`")


def _settings(given: Mapping[str, Any], *, where: str) -> Settings:
    known = {item.name: item for item in fields(Settings)}
    for name in given:
        if name in ("key", "api_key", "token", "password"):
            raise UsageError(
                f"`{name}` in {where} would be a key in a file.",
                hint="put the key into an environment variable, and name it: key_env.",
            )
        if name not in known:
            raise UsageError(f"`{name}` in {where} is no setting of an endpoint.", hint=nearest(name, known))
    default = Settings(url="")
    changes = {name: _fitting(name, value, getattr(default, name), where) for name, value in given.items()}
    settings = replace(default, **changes)
    if settings.key_env and not _VARIABLE.fullmatch(settings.key_env):
        raise UsageError(
            f"`key_env` in {where} is no name of an environment variable.",
            hint="it names the variable that holds the key; the key itself must stand nowhere else.",
        )
    if not _HEADER.fullmatch(settings.key_header):
        raise UsageError(f"`key_header` in {where} is no name of a header.", hint="such as X-API-Key.")
    for name, value in settings.headers.items():
        if name.lower() in ("authorization", "proxy-authorization", "cookie", "x-api-key", "api-key"):
            raise UsageError(
                f"The header `{name}` in {where} would hold a key.", hint="use key_env, and key_header for its name."
            )
        if not str(value).isprintable() or not str(name).isprintable():
            raise UsageError(f"The header `{name}` in {where} holds what no header carries.", hint="printable words.")
    return settings


def _fitting(name: str, value: Any, default: Any, where: str) -> Any:
    """A value of the right type; a list becomes a tuple."""
    if name == "template":
        return value
    if isinstance(default, tuple):
        if not isinstance(value, list | tuple) or not all(isinstance(v, str | int | float | bool) for v in value):
            raise _unfit(name, value, where, 'a list, such as ["no", "yes"]')
        return tuple(str(v) for v in value) if name == "columns" else tuple(value)
    if isinstance(default, Mapping):
        if not isinstance(value, Mapping):
            raise _unfit(name, value, where, "a table")
        return dict(value)
    if isinstance(default, str):
        if not isinstance(value, str):
            raise _unfit(name, value, where, "words in quotes")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise _unfit(name, value, where, "a number above 0")
    if not isinstance(default, float) and value != int(value):
        raise _unfit(name, value, where, "a whole number")
    return float(value) if isinstance(default, float) else int(value)


def _unfit(name: str, value: Any, where: str, expected: str) -> UsageError:
    return UsageError(f"`{name}` in {where} is `{str(value)[:60]}`.", hint=f"expected {expected}.")


def _typed(name: str, value: str) -> Any:
    """A value after `#`: numbers where numbers are due, lists at commas."""
    if name in ("classes", "columns"):
        return [part.strip() for part in value.split(",") if part.strip()]
    if name in ("batch", "concurrency", "timeout", "tries", "max_reply"):
        try:
            return float(value)
        except ValueError:
            return value
    return value
