"""One exchange with a server: limits on time and size, redirects, keys, and a name that is looked up once."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import traceback

import pytest

from errata.core.errors import UsageError
from errata.models.http.address import address_of, resolved
from errata.models.http.client import Client, Key, NoReply


@pytest.fixture
def wire():
    """A server that sends prepared bytes, one script per connection, and keeps what it got."""
    listening = socket.create_server(("127.0.0.1", 0))
    got: list[bytes] = []
    scripts: list[list[bytes | float]] = []

    def serve():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(connection, scripts.pop(0) if scripts else []), daemon=True).start()

    def talk(connection, script):
        with connection:
            asked = b""
            while not asked.endswith(b"\r\n\r\n{}"):  # what is left unread would break the connection off
                part = connection.recv(1 << 16)
                if not part:
                    return
                asked += part
            got.append(asked)
            for step in script:
                if isinstance(step, float):
                    time.sleep(step)
                else:
                    try:
                        connection.sendall(step)
                    except OSError:
                        return

    threading.Thread(target=serve, daemon=True).start()
    port = listening.getsockname()[1]

    class Wire:
        url = f"http://127.0.0.1:{port}/x"

        def client(self, **more):
            return Client(address=resolved(address_of(self.url)), **more)

    Wire.got, Wire.scripts = got, scripts
    yield Wire()
    listening.close()


def _reply(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    more = "".join(f"{header}\r\n" for header in headers)
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n{more}\r\n".encode() + body


def test_a_whole_reply(wire):
    wire.scripts.append([_reply(b'{"a": 1}', "Retry-After: 3")])
    reply = wire.client().post("/x", b"{}")
    assert (reply.status, reply.json(), reply.retry_after) == (200, {"a": 1}, 3.0)
    assert wire.got[0].startswith(b"POST /x HTTP/1.1\r\n")


def test_a_body_that_is_cut_off(wire):
    wire.scripts.append([_reply(b'{"a"', length=100)])
    with pytest.raises(NoReply, match="cut off") as error:
        wire.client().post("/x", b"{}")
    assert error.value.trouble == "broken"
    wire.scripts.append([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"])
    with pytest.raises(NoReply, match="cut off"):
        wire.client().post("/x", b"{}")


def test_a_server_that_drips_is_left_in_time(wire):
    wire.scripts.append([_reply(b"", length=1000), *[part for _ in range(40) for part in (0.05, b"x")]])
    began = time.monotonic()
    with pytest.raises(NoReply) as error:
        wire.client(timeout=0.3).post("/x", b"{}")
    assert error.value.trouble == "late"
    assert time.monotonic() - began < 1.5


@pytest.mark.parametrize(
    "script",
    [
        [part for _ in range(40) for part in (0.05, b"H")],
        [part for _ in range(40) for part in (b"HTTP/1.1 100 Continue\r\n\r\n", 0.05)],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[p for _ in range(40) for p in (0.05, b"1")]],
    ],
    ids=["head", "continue for ever", "size of a chunk"],
)
def test_whatever_drips_is_left_in_time(wire, script):
    wire.scripts.append(script)
    began = time.monotonic()
    with pytest.raises(NoReply) as error:
        wire.client(timeout=0.3).post("/x", b"{}")
    assert error.value.trouble == "late"
    assert time.monotonic() - began < 1.5


def test_no_more_is_read_than_allowed(wire):
    wire.scripts.append([_reply(b"x" * (3 << 20))])
    with pytest.raises(NoReply, match="larger than 1 MB"):
        wire.client(most=1 << 20).post("/x", b"{}")
    bomb = gzip.compress(b"0" * (20 << 20))
    wire.scripts.append([_reply(bomb, "Content-Encoding: gzip")])
    with pytest.raises(NoReply, match="larger than 1 MB"):
        wire.client(most=1 << 20).post("/x", b"{}")


def test_packed_bodies_are_read(wire):
    wire.scripts.append([_reply(gzip.compress(b"[1, 2]"), "Content-Encoding: gzip")])
    assert wire.client().post("/x", b"{}").json() == [1, 2]


def test_a_packing_that_nobody_asked_for_is_named(wire):
    for packing in ("br", "gzip"):
        wire.scripts.append([_reply(b"[1, 2]", f"Content-Encoding: {packing}")])
    with pytest.raises(NoReply, match="packed as `br`"):
        wire.client().post("/x", b"{}")
    with pytest.raises(NoReply, match="not packed as it says"):
        wire.client().post("/x", b"{}")


def test_a_kept_connection_that_was_closed_is_not_used(wire):
    """Its end is seen before anything is sent, so that no request is lost."""
    wire.scripts.extend([[_reply(b"1")], [_reply(b"2")]])
    client = wire.client()
    assert client.post("/x", b"{}").json() == 1
    time.sleep(0.1)
    assert client.post("/x", b"{}").json() == 2
    assert len(wire.got) == 2


def test_redirects_are_not_followed(wire):
    wire.scripts.append([_reply(b"", "Location: http://127.0.0.1:1/secret", status="307 Temporary Redirect")])
    reply = wire.client().post("/x", b"{}")
    assert reply.status == 307
    assert len(wire.got) == 1


def test_what_is_no_http(wire):
    wire.scripts.append([b"SSH-2.0-OpenSSH_9\r\n"])
    with pytest.raises(NoReply) as error:
        wire.client().post("/x", b"{}")
    assert error.value.trouble == "broken"


def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(NoReply, match="nobody answers") as error:
        Client(address=resolved(address_of(f"http://127.0.0.1:{port}/x"))).post("/x", b"{}")
    assert error.value.trouble == "refused"


def test_proxies_of_the_environment_are_not_used(wire, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    wire.scripts.append([_reply(b"1")])
    assert wire.client().post("/x", b"{}").json() == 1


def test_a_proxy_that_is_named_gets_the_whole_address(wire):
    wire.scripts.append([_reply(b"1")])
    proxied = Client(address=address_of("http://never.invalid/x"), proxy=resolved(address_of(wire.url)))
    assert proxied.post("/x", b"{}").json() == 1
    assert wire.got[0].startswith(b"POST http://never.invalid/x HTTP/1.1\r\n")


def test_the_name_is_looked_up_once(wire, monkeypatch):
    client = wire.client()

    def elsewhere(*place, **more):
        raise AssertionError("looked up again")

    for number in range(3):
        wire.scripts.append([_reply(str(number).encode(), "Connection: close")])
    known = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *more, **named: known(host, *more, **named)
                        if host == "127.0.0.1" else elsewhere())  # fmt: skip
    object.__setattr__(client.address, "host", "moved.example")
    assert [client.post("/x", b"{}").json() for _ in range(3)] == [0, 1, 2]
    assert b"Host: moved.example" in wire.got[0]


def test_a_key_is_sent_and_never_shown(wire, monkeypatch):
    monkeypatch.setenv("KEY_OF_TEST", "hush-123")
    wire.scripts.append([_reply(b"1")])
    client = wire.client(key=Key(variable="KEY_OF_TEST"))
    client.post("/x", b"{}")
    assert b"Authorization: Bearer hush-123\r\n" in wire.got[0]
    wire.scripts.append([_reply(b"1")])
    other = wire.client(key=Key(variable="KEY_OF_TEST", header="X-Api-Key"))
    other.post("/x", b"{}")
    assert b"X-Api-Key: hush-123\r\n" in wire.got[-1]
    assert "hush" not in repr(client) + repr(other)


@pytest.mark.parametrize("value", ["hush\r\nX-Evil: 1", "hush hush", "hüsh", ""])
def test_a_key_that_no_header_carries_is_not_repeated(wire, monkeypatch, value):
    monkeypatch.setenv("KEY_OF_TEST", value)
    with pytest.raises(UsageError, match="`KEY_OF_TEST`") as error:
        wire.client(key=Key(variable="KEY_OF_TEST")).post("/x", b"{}")
    told = "".join(traceback.format_exception(error.value))
    assert not value or value not in told


def test_a_key_that_an_answer_repeats_is_blotted_out(wire, monkeypatch):
    """As it is, with its slashes escaped as some servers do, and in an address."""
    monkeypatch.setenv("KEY_OF_TEST", "hush/123+4")
    key = Key(variable="KEY_OF_TEST")
    wire.scripts.append([_reply(b'["hush/123+4", "hush\\/123+4"]')])
    assert wire.client(key=key).post("/x", b"{}").json() == ["***", "***"]
    wire.scripts.append([_reply(b"", "Location: http://10.0.0.1/hush%2F123%2B4", status="302 Found")])
    assert wire.client(key=key).post("/x", b"{}").location == "http://10.0.0.1/***"
    monkeypatch.setenv("KEY_OF_TEST", "1")  # so short a one may be an answer
    wire.scripts.append([_reply(b"[1, 11]")])
    assert wire.client(key=key).post("/x", b"{}").json() == [1, 11]
