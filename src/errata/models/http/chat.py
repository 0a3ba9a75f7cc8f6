"""A language model used as a classifier, by the OpenAI-compatible chat protocol."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from errata.core.columns import Level
from errata.core.errors import UsageError
from errata.models.http.asking import Request
from errata.models.http.client import Client, Reply
from errata.models.http.rows import Rows, data_url
from errata.models.http.said import NO_CLASS, REFUSED, Said
from errata.models.http.settings import Settings
from errata.models.http.shapes import Takes, as_json, asked_for

__all__ = ["Chat", "asking", "class_in", "introduce", "said_in"]

SYSTEM = (
    "You are a classifier. Assign the input to exactly one of these classes:\n{classes}\n"
    "Answer with the name of the class, exactly as written above, and nothing else."
)
_SORRY = re.compile(
    r"\b(i(['’]m| am) (very )?sorry"
    r"|i (can ?not|can['’]t|won['’]t|will not) (help|assist|comply|answer|classify|provide|do)"
    r"|i(['’]m| am) (unable|not able) to|as an ai|against (my|the) (guidelines|policy|policies))\b", re.IGNORECASE,
)  # fmt: skip
_BEFORE = re.compile(r"^\W*(the )?(final )?(answer|class|label|category|classification|output)( is)?\s*[:=]?\s*", re.I)
_LONG = 400  # characters in which a class that is merely mentioned still counts as the answer


@dataclass(frozen=True, kw_only=True)
class Chat:
    """One row per request; the answer is the class that the model names.

    A refusal, and an answer that names no class or several, are answers too: they count as the classes "(refused)" and
    "(no class)", which are never right.

    model  as the server calls it
    """

    path: str
    model: str
    classes: tuple[Level, ...] = ()
    system: str = SYSTEM
    columns: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def takes(self) -> Takes:
        """Anything that can be put into words or shown."""
        return Takes(columns=self.columns, pictures=True, most=1)

    def request(self, rows: Rows) -> Request:
        """The instruction, then the row."""
        system = self.system.replace("{classes}", "\n".join(f"- {name}" for name in self.classes))
        messages = [{"role": "system", "content": system}, {"role": "user", "content": _shown(rows)}]
        return asking(messages, path=self.path, model=self.model, params=self.params)

    def read(self, reply: Reply, rows: int) -> list[Said]:
        """The class in the first choice."""
        if rows != 1:
            raise ValueError(f"one answer for {rows} rows")
        text = said_in(reply)
        if text is None:
            return [Said(label=REFUSED, note="refused")]
        found = class_in(text, self.classes)
        if found is not None:
            return [Said(label=found)]
        if _SORRY.search(text):
            return [Said(label=REFUSED, note="refused")]
        return [Said(label=NO_CLASS, note="no class")]

    def deciding(self) -> str:
        """The classes that it is told, and the model's name where the server gave it."""
        return repr(("chat", self.classes, self.model))

    def for_classes(self, levels: Sequence[Level]) -> Chat:
        """The same, told these classes where it was told none. Raises UsageError where there are none to tell."""
        if self.classes:
            return self
        if not levels:
            raise UsageError("The language model must be told the classes.",
                             hint='add classes = ["no", "yes"] to the endpoint, or a label to the data.')  # fmt: skip
        return replace(self, classes=tuple(levels))


def asking(messages: Sequence[Any], *, path: str, model: str, params: Mapping[str, Any]) -> Request:
    """The request with these messages."""
    body = {"model": model, "messages": messages, "temperature": 0, **params}
    # Some models refuse fields that others need: params = { temperature = "omit" } leaves one out.
    return Request(path=path, body=as_json({name: value for name, value in body.items() if value != "omit"}))


def said_in(reply: Reply) -> str | None:
    """The text of the first choice, None where the server withheld it. Raises ValueError where there is no choice."""
    plain = reply.json()
    choices = plain.get("choices") if isinstance(plain, dict) else None
    if not isinstance(choices, list) or not choices:
        raise ValueError("an answer without `choices`")
    message = choices[0].get("message") or {}
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    withheld = message.get("refusal") or choices[0].get("finish_reason") == "content_filter"
    return None if withheld else str(content or "").strip()


def class_in(text: str, classes: Sequence[Level]) -> str | None:
    """The class that an answer names, None where it names none or several.

    Case, quotes, marks and an introduction such as "Class:" do not count; JSON with one word in it is read as that.
    Else a class counts that is mentioned as a word in a short answer, when no other is, inside no longer name.
    """
    words = {_bare(str(name)): str(name) for name in classes}
    for candidate in (
        text,
        _from_json(text),
        _BEFORE.sub("", text),
        text.strip().splitlines()[0] if text.strip() else "",
    ):
        if _bare(candidate) in words:
            return words[_bare(candidate)]
    if len(text) > _LONG:
        return None
    rest, found = text.casefold(), set()
    for bare in sorted(words, key=len, reverse=True):
        pattern = rf"(?<!\w){re.escape(bare)}(?!\w)"
        if bare and re.search(pattern, rest):
            found.add(words[bare])
            rest = re.sub(pattern, " ", rest)
    return found.pop() if len(found) == 1 and not _SORRY.search(text) else None


def introduce(settings: Settings, client: Client) -> Chat:
    """The chat with the model that is named, or with the only one that the server has.

    Raises UsageError where several are there and none is named.
    """
    name = settings.model
    if not name:
        route = client.address.route.removesuffix("/chat/completions")
        plain = asked_for(client, f"{route}/models")
        listed = plain.get("data") if isinstance(plain, dict) else None
        names = [str(entry.get("id")) for entry in listed or [] if isinstance(entry, dict)]
        if len(names) != 1:
            known = f"known are {', '.join(f'`{n}`' for n in names[:12])}." if names else "such as #model=NAME."
            raise UsageError(f"Which model at `{client.address.url}` is meant?", hint=f"add #model=NAME; {known}")
        name = names[0]
    return Chat(
        path=client.address.path, model=name, classes=settings.classes, system=settings.system or SYSTEM,
        columns=settings.columns, params=settings.params,
    )  # fmt: skip


def _shown(rows: Rows) -> Any:
    """A row as a person would be shown it."""
    cell = rows.cells[0]
    if rows.kind == "text":
        return cell
    if rows.kind == "images":
        return [{"type": "image_url", "image_url": {"url": data_url(cell)}}]
    if rows.kind == "table":
        return "\n".join(f"{name}: {'unknown' if value is None else value}" for name, value in
                         zip(rows.names, cell, strict=True))  # fmt: skip
    return json.dumps(rows.plain(0))


def _bare(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip(" \t\n\"'`*_.,:;!()[]{}<>").casefold()


def _from_json(text: str) -> str:
    """The only word in a JSON answer, also where it stands in a fence."""
    inside = re.sub(r"^```\w*\s*|\s*```$", "", text.strip())
    try:
        plain = json.loads(inside)
    except (ValueError, RecursionError):
        return ""
    while isinstance(plain, dict | list) and len(plain) == 1:
        plain = next(iter(plain.values())) if isinstance(plain, dict) else plain[0]
    return str(plain) if isinstance(plain, str | int | float | bool) else ""
