"""Where an endpoint is: what is refused in a URL, and names that are looked up once."""

from __future__ import annotations

import socket

import pytest

from errata.core.errors import CannotRunError, UsageError
from errata.models.http.address import address_of, resolved


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://host/x", "no http or https"),
        ("http://", "names no host"),
        ("http://user:hush@host/x", "name or password"),
        ("http://host/x?api_key=hush", "holds a key"),
        ("http://host/x?a=1&access-token=hush", "holds a key"),
        ("http://host:99999/x", "no address"),
        ("http://host/a b", "stand in no address"),
        ("http://host/é", "stand in no address"),
    ],
)
def test_what_stands_in_no_address_is_refused_without_repeating_secrets(url, words):
    with pytest.raises(UsageError, match=words) as error:
        address_of(url)
    assert "hush" not in str(error.value)


def test_parts():
    address = address_of("https://Host.example:8443/v1/models/m:predict?version=2")
    assert (address.scheme, address.host, address.port) == ("https", "host.example", 8443)
    assert address.path == "/v1/models/m:predict?version=2"
    assert address.route == "/v1/models/m:predict"
    assert address_of("http://[::1]:80").url == "http://[::1]/"


def _names(monkeypatch, *numbers):
    asked = []

    def look_up(host, port, **more):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, port)) for number in numbers]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


@pytest.mark.parametrize(
    "number",
    [
        "127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.9", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
        "::1", "fe80::1", "fc00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
        "fec0::1", "::127.0.0.1",
    ],
)  # fmt: skip
def test_private_addresses_are_refused_when_asked(monkeypatch, number):
    _names(monkeypatch, number)
    address = address_of("http://somewhere.example/x")
    assert resolved(address).pinned == (number,)
    with pytest.raises(UsageError, match="private network"):
        resolved(address, deny_private=True)


def test_one_private_address_among_public_ones_is_enough(monkeypatch):
    _names(monkeypatch, "93.184.216.34", "10.0.0.1")
    with pytest.raises(UsageError, match=r"10\.0\.0\.1"):
        resolved(address_of("http://somewhere.example/x"), deny_private=True)
    _names(monkeypatch, "93.184.216.34")
    assert resolved(address_of("http://somewhere.example/x"), deny_private=True).pinned == ("93.184.216.34",)


def test_an_unknown_name_is_said(monkeypatch):
    def nowhere(host, port, **more):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    with pytest.raises(CannotRunError, match="is not known"):
        resolved(address_of("http://nowhere.invalid/x"))
