"""What one exchange with a server means: an answer, a request to wait, a request that is refused, or the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from errata.models.http.client import Client, NoReply, Reply
from errata.models.http.said import Said

__all__ = ["Verdict", "judged", "lost"]

End = Literal["answered", "wait", "refused", "stop"]
_BUSY = (408, 425, 429, 503, 529)
_GONE = {
    301: "redirects to another address", 302: "redirects to another address", 303: "redirects to another address",
    307: "redirects to another address", 308: "redirects to another address", 401: "asks for a key, or for another one",
    402: "asks for payment", 403: "does not let us in", 404: "is not there", 405: "takes no such requests",
    407: "is behind a proxy that asks for a key", 410: "is gone",
}  # fmt: skip
_HINTS = {
    3: "redirects are not followed, because they could lead anywhere: name the final address.",
    401: "put the key into an environment variable, and name it: #key_env=VARIABLE.",
    403: "put the key into an environment variable, and name it: #key_env=VARIABLE.",
    404: "check the path and the model's name.",
    405: "is this the address for predictions?",
}
_LONGEST = 300


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came of one request.

    end      answered: `said` has one entry per row; wait: the same again later; refused: not this request, perhaps a
             smaller one; stop: no request will be answered
    words    why, as the server says it, without the key
    pause    seconds that the server asks to wait
    fault    the server failed, rather than refused
    busy     it has too much to do: waiting helps, smaller requests do not
    gone     nobody is there
    dropped  a kept connection was closed without a word, which says nothing of the request
    size     the request was certainly too large, or took too long
    """

    end: End
    said: tuple[Said, ...] = ()
    words: str = ""
    hint: str = ""
    pause: float | None = None
    fault: bool = False
    busy: bool = False
    gone: bool = False
    dropped: bool = False
    size: bool = False


def lost(error: NoReply) -> Verdict:
    """The verdict where no reply came."""
    if error.trouble == "large":
        return Verdict(end="refused", words=str(error), size=True)
    if error.trouble == "dropped":
        return Verdict(end="wait", words=str(error), dropped=True)
    late, gone = error.trouble == "late", error.trouble == "refused"
    return Verdict(end="wait", words=str(error), fault=True, gone=gone, size=late)


def judged(reply: Reply, *, read: Callable[[Reply], list[Said]], client: Client) -> Verdict:
    """The verdict on a reply."""
    status = reply.status
    if 200 <= status < 300:
        return _answer(reply, read)
    said = _words_of(reply, client)
    words = f"{status} {said}".strip()
    if status in _GONE or 300 <= status < 400:
        what = _GONE.get(status, "redirects to another address")
        where = reply.location.partition("?")[0][:200] if status < 400 else ""
        return Verdict(
            end="stop", words=f"{what} ({status}{f': {said}' if said else ''}{f', to `{where}`' if where else ''})",
            hint=_HINTS.get(status if status >= 400 else 3, "look into the server's own log."),
        )  # fmt: skip
    if status == 429 and "quota" in words.lower():
        return Verdict(
            end="stop", words=f"says that the quota is used up ({words})", hint="raise it with the provider."
        )
    if status in _BUSY:
        pause = reply.retry_after if reply.retry_after is not None else _estimated(reply)
        return Verdict(end="wait", words=words, pause=pause, fault=True, busy=True)
    if status >= 500:
        return Verdict(end="wait", words=words, pause=reply.retry_after, fault=True)
    return Verdict(end="refused", words=words, size=status == 413)


def _words_of(reply: Reply, client: Client) -> str:
    """What a server says of an error, in one line, without the key and without a page of HTML."""
    text = reply.body[:20_000].decode("utf-8", "replace")
    try:
        said = json.loads(text)
    except ValueError:
        said = "" if text.lstrip().startswith("<") else text
    for name in ("error", "detail", "message", "msg", "error_msg"):
        while isinstance(said, dict) and name in said:
            said = said[name]
    said = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    said = " ".join("".join(c if c.isprintable() else " " for c in said).split())
    said = client.key.hidden(said) if client.key is not None else said
    return said[:_LONGEST] + ("..." if len(said) > _LONGEST else "")


def _answer(reply: Reply, read: Callable[[Reply], list[Said]]) -> Verdict:
    try:
        return Verdict(end="answered", said=tuple(read(reply)))
    except RecursionError:
        return Verdict(end="refused", words="it answered something nested too deeply")
    except json.JSONDecodeError:
        # Nearly always a body that was cut off; the same request is worth a second try.
        return Verdict(end="wait", words="it answered no JSON", fault=True)
    except UnicodeDecodeError:
        return Verdict(end="refused", words="it answered what is no text in UTF-8")
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        said = str(error) if isinstance(error, ValueError) else f"something unknown ({type(error).__name__}: {error})"
        return Verdict(end="refused", words=f"it gave {said[:_LONGEST]}")


def _estimated(reply: Reply) -> float | None:
    """Seconds until a model is loaded, where a server says so in its error."""
    try:
        return max(0.0, float(json.loads(reply.body)["estimated_time"]))
    except (ValueError, KeyError, TypeError):
        return None
