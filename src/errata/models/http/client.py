"""One exchange with a server: a request out, a reply back, with limits on time and size. Nothing is retried here."""

from __future__ import annotations

import http.client
import io
import json
import math
import os
import re
import selectors
import socket
import ssl
import threading
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from errata import __version__
from errata.core.errors import UsageError
from errata.models.http.address import Address

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Client", "Key", "NoReply", "Reply"]

Trouble = Literal["refused", "broken", "late", "large", "dropped"]
_CHUNK = 1 << 16
_FITTING = re.compile(r"[\x21-\x7e]+")
_PACKINGS = {"": None, "identity": None, "gzip": 31, "x-gzip": 31}
_LEAST_KEY = 8  # characters: what is shorter may stand in an answer by chance, and is no key that keeps anybody out


class NoReply(Exception):  # noqa: N818 - never leaves the package
    """No whole reply came.

    refused  nobody answers there        broken  the connection ended in the middle
    late     it took longer than allowed large   it was larger than allowed
    dropped  the server closed a connection that it had kept, without a word: the same once more is due, and is a call
    """

    def __init__(self, trouble: Trouble, words: str) -> None:
        super().__init__(words)
        self.trouble = trouble


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a server answered; `retry_after` in seconds where it said so."""

    status: int
    body: bytes = field(repr=False)
    retry_after: float | None = None
    location: str = ""

    def json(self) -> Any:
        """The body as plain values; raises ValueError where it is no JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True)
class Key:
    """The name of the environment variable that holds a key, and the header in which it is sent.

    The key itself is read when a request is made, and kept nowhere.
    """

    variable: str
    header: str = "Authorization"

    def check(self) -> None:
        """Raises UsageError when the variable is not set, or holds what no header can carry."""
        value = os.environ.get(self.variable, "").strip()
        if not value:
            raise UsageError(
                f"The environment variable `{self.variable}` is not set, and the endpoint's key should be in it.",
                hint=f"export {self.variable}=... in the shell that runs Errata.",
            )
        if not _FITTING.fullmatch(value.removeprefix("Bearer ")):
            raise UsageError(
                f"The environment variable `{self.variable}` holds blanks or characters that no header carries.",
                hint="set it to the bare key.",
            )

    def sent(self) -> dict[str, str]:
        """The header with the key."""
        self.check()
        value = os.environ[self.variable].strip()
        plain = self.header.lower() != "authorization" or value.startswith("Bearer ")
        return {self.header: value if plain else f"Bearer {value}"}

    def hidden(self, words: str) -> str:
        """Words of a server without the key, which some servers repeat."""
        for form in self._forms():
            words = words.replace(form, "***")
        return words

    def blotted(self, body: bytes) -> bytes:
        """A body without the key: what stands in an answer would be written into the run."""
        for form in self._forms():
            body = body.replace(form.encode(), b"***") if len(form) >= _LEAST_KEY else body
        return body

    def _forms(self) -> tuple[str, ...]:
        """The key as it is sent, as JSON has it, with and without the slashes escaped, and as an address has it."""
        value = os.environ.get(self.variable, "").strip().removeprefix("Bearer ")
        plain = json.dumps(value)[1:-1]
        return tuple(dict.fromkeys((value, plain, plain.replace("/", "\\/"), quote(value, safe="")))) if value else ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Client:
    """Connections to one server, kept open between requests and shared by threads.

    timeout  seconds for a whole exchange
    most     bytes of a reply that are read
    proxy    an http proxy's address; those in the environment are not looked at
    """

    address: Address
    key: Key | None = None
    timeout: float = 60.0
    most: int = 64 << 20
    proxy: Address | None = None
    headers: dict[str, str] = field(default_factory=dict)
    _idle: list[http.client.HTTPConnection] = field(default_factory=list, repr=False)
    _busy: set[http.client.HTTPConnection] = field(default_factory=set, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _drops: threading.Event = field(default_factory=threading.Event, repr=False)

    def get(self, path: str, *, timeout: float = 10.0) -> Reply:
        """What the server says at a path. Raises NoReply."""
        return self._exchange("GET", path, None, "", min(timeout, self.timeout))

    def post(self, path: str, body: bytes, *, kind: str = "application/json") -> Reply:
        """The reply to a body of that content type. Raises NoReply."""
        return self._exchange("POST", path, body, kind, self.timeout)

    def cut(self) -> None:
        """Cut what is under way, so that no thread waits for an answer any more; further requests open anew."""
        with self._lock:
            idle, busy = list(self._idle), list(self._busy)
            self._idle.clear()
        for connection in idle:
            connection.close()
        for connection in busy:
            with suppress(OSError, AttributeError):  # it may end by itself at the same moment
                connection.sock.shutdown(socket.SHUT_RDWR)

    def _exchange(self, method: str, path: str, body: bytes | None, kind: str, seconds: float) -> Reply:
        headers = {"User-Agent": f"errata/{__version__}", "Accept": "application/json", "Accept-Encoding": "identity"}
        if body is not None:
            headers["Content-Type"] = kind
        headers |= self.headers
        if self.key is not None:
            headers |= self.key.sent()
        target = self.address.origin + path if self.proxy is not None and self.address.scheme == "http" else path
        deadline = time.monotonic() + seconds
        connection = self._kept()
        if connection is not None:
            try:
                return self._once(connection, method, target, body, headers, deadline)
            except _Stale as error:
                self._drops.set()
                if body is not None:  # the server may have read it: sent again it is another call
                    raise NoReply("dropped", "the connection ended before an answer came") from error
        try:
            return self._once(self._connected(deadline), method, target, body, headers, deadline)
        except _Stale as error:
            raise NoReply("broken", "the connection ended before an answer came") from error

    def _kept(self) -> http.client.HTTPConnection | None:
        """A connection that is still open; None where there is none, or the server only seems to keep them."""
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return None
            if not self._drops.is_set() and not _closed(connection.sock):
                return connection
            connection.close()

    def _once(
        self, connection: http.client.HTTPConnection, method: str, target: str, body: bytes | None,
        headers: dict[str, str], deadline: float,
    ) -> Reply:  # fmt: skip
        kept = begun = False
        with self._lock:
            self._busy.add(connection)
        try:
            connection.sock.settimeout(_left(deadline))
            connection.response_class = partial(_Response, deadline=deadline)  # type: ignore[assignment]
            connection.request(method, target, body=body, headers=headers)
            response = connection.getresponse()
            begun = True
            content = self._read(response)
            where = response.getheader("Location") or ""
            if self.key is not None:
                content, where = self.key.blotted(content), self.key.hidden(where)
            kept = not response.will_close
            return Reply(
                status=response.status, body=content, retry_after=_retry_after(response.getheader("Retry-After")),
                location=where,
            )  # fmt: skip
        except TimeoutError as error:
            raise NoReply("late", f"no whole answer came within {self.timeout:g} s") from error
        except http.client.IncompleteRead as error:
            raise NoReply("broken", "the answer was cut off in the middle") from error
        except (http.client.RemoteDisconnected, http.client.NotConnected, ConnectionError) as error:
            if begun:
                raise NoReply("broken", "the answer was cut off in the middle") from error
            raise _Stale from error
        except zlib.error as error:
            raise NoReply("broken", "the answer is not packed as it says") from error
        except (http.client.HTTPException, OSError) as error:
            raise NoReply("broken", f"the answer is no HTTP ({type(error).__name__})") from error
        finally:
            with self._lock:
                self._busy.discard(connection)
                if kept:
                    self._idle.append(connection)
            if not kept:
                connection.close()

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        """The body, no longer than allowed."""
        parts, size = [], 0
        packing = response.getheader("Content-Encoding", "").strip().lower()
        if packing not in _PACKINGS:
            raise NoReply("broken", f"the answer is packed as `{packing[:40]}`, which was not asked for")
        window = _PACKINGS[packing]
        packed = None if window is None else zlib.decompressobj(window)
        while True:
            part = response.read1(_CHUNK)
            if not part:
                break
            part = packed.decompress(part, self.most + 1) if packed else part
            size += len(part)
            if size > self.most:
                raise NoReply("large", f"the answer is larger than {self.most >> 20} MB")
            parts.append(part)
        # `read1` does not complain of a body that is shorter than announced.
        if response.length or (packed is not None and not packed.eof):
            raise http.client.IncompleteRead(b"")
        response.close()  # read to its end, yet only this makes the connection ready for the next request
        return b"".join(parts)

    def _connected(self, deadline: float) -> http.client.HTTPConnection:
        """A new connection to the pinned address. Its name is for the server and its certificate, not for a look-up."""
        via = self.proxy or self.address
        sock = _socket(via, max(0.1, deadline - time.monotonic()))
        secure = self.address.scheme == "https"
        try:
            if secure:
                if self.proxy is not None:
                    _tunnel(sock, self.address)
                sock = ssl.create_default_context().wrap_socket(sock, server_hostname=self.address.host)
        except TimeoutError as error:
            sock.close()
            raise NoReply("late", "no secure connection was made in time") from error
        except (OSError, ssl.SSLError) as error:
            sock.close()
            why = getattr(error, "verify_message", "") or type(error).__name__
            raise NoReply("refused", f"no secure connection could be made ({why})") from error
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(self.address.host, self.address.port, timeout=self.timeout)
        connection.sock = sock
        connection.auto_open = 0  # it would look the name up again
        return connection


class _Stale(Exception):  # noqa: N818
    """A kept connection turned out to be closed."""


class _Response(http.client.HTTPResponse):
    """An answer that is whole by its deadline: its head, sizes of chunks and trailers too, however they drip."""

    fp: io.BufferedReader

    def __init__(self, sock: socket.socket, debuglevel: int = 0, method: str | None = None, *, deadline: float) -> None:
        super().__init__(sock, debuglevel, method)
        self.fp = io.BufferedReader(_Timed(self.fp.detach(), sock, deadline))


class _Timed(io.RawIOBase):
    """What comes from a socket, each read no later than the whole may take."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, deadline: float) -> None:
        super().__init__()
        self._raw, self._sock, self._deadline = raw, sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        self._sock.settimeout(_left(self._deadline))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _left(deadline: float) -> float:
    """Seconds that are left; raises TimeoutError where there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _closed(sock: socket.socket) -> bool:
    """Whether an idle connection was closed: its end is there to read, or something that nobody awaits."""
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        return bool(selector.select(0))


def _socket(address: Address, seconds: float) -> socket.socket:
    last: OSError | None = None
    for number in address.pinned:
        try:
            sock = socket.create_connection((number, address.port), timeout=seconds)
        except OSError as error:
            last = error
            continue
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
    if isinstance(last, TimeoutError):
        raise NoReply("late", f"`{address.host}` took no connection in time") from last
    why = "" if last is None else f": {last.strerror or last}"
    raise NoReply("refused", f"nobody answers at `{address.origin}`{why}") from last


def _tunnel(sock: socket.socket, address: Address) -> None:
    """Ask a proxy for a way through to a secure server."""
    place = f"{address.host}:{address.port}"
    sock.sendall(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode("ascii"))
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < _CHUNK:
        part = sock.recv(1)  # not a byte more than the head: what follows belongs to the tunnel
        if not part:
            break
        answer += part
    if not re.match(rb"HTTP/1\.[01] 2\d\d", answer):
        raise NoReply("refused", "the proxy made no way through")


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait, from seconds or a date."""
    if not value:
        return None
    try:
        seconds = float(value)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
