"""Where an endpoint is: its URL taken apart, and its name resolved once and for all."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlsplit

from errata.core.errors import CannotRunError, UsageError

__all__ = ["Address", "address_of", "resolved"]

_SECRET = re.compile(r"(^|[_-])(key|apikey|token|secret|password|passwd|sig|signature|code|auth)$", re.IGNORECASE)
_GLOBAL = ipaddress.ip_network("2000::/3")
"""All addresses of IPv6 that were given out for the internet; those of old kinds of private networks lie outside."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True)
class Address:
    """An endpoint's place.

    path    as sent, with what follows `?`, always beginning with "/"
    pinned  the numeric addresses that the name had when it was resolved; all connections go to the first that takes
            one, so that nobody who controls the name can point it elsewhere later
    """

    scheme: str
    host: str
    port: int
    path: str
    pinned: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """Scheme, host and, where it is not the usual one, port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == _PORTS[self.scheme] else f":{self.port}")

    @property
    def url(self) -> str:
        """The whole address, without any key: one is refused in it."""
        return self.origin + self.path

    @property
    def route(self) -> str:
        """The path without what follows `?` and without a slash at its end."""
        return self.path.partition("?")[0].rstrip("/")

    def at(self, path: str) -> Address:
        """Another path on the same server."""
        return replace(self, path=path if path.startswith("/") else f"/{path}")


def address_of(url: str) -> Address:
    """A URL taken apart; nothing is looked up yet.

    Raises UsageError for schemes other than http and https, for a missing host, and for keys and passwords inside the
    URL, which would be written into logs and runs.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(
            f"`{_shown(url)}` is no address: {error}.", hint="such as http://localhost:8080/v2/models/m."
        ) from error
    if parts.scheme not in _PORTS:
        raise UsageError(f"`{_shown(url)}` is no http or https address.", hint="endpoints begin with http(s)://.")
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            f"`{_shown(url)}` holds a name or password, which would be written into the run.",
            hint="put the key into an environment variable, and name it: #key_env=VARIABLE.",
        )
    if not parts.hostname:
        raise UsageError(f"`{_shown(url)}` names no host.", hint="such as http://localhost:8080/v2/models/m.")
    if any(_SECRET.search(name) for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise UsageError(
            f"`{_shown(url)}` holds a key after `?`, which would be written into the run.",
            hint="put it into an environment variable, and name it: #key_env=VARIABLE&key_header=NAME.",
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii() or any(character <= " " or character == "\x7f" for character in path):
        raise UsageError(f"`{_shown(url)}` holds characters that stand in no address.", hint="write them as %XX.")
    return Address(scheme=parts.scheme, host=parts.hostname, port=port or _PORTS[parts.scheme], path=path)


def resolved(address: Address, *, deny_private: bool = False) -> Address:
    """The same place with its name looked up.

    deny_private  refuse addresses that only this machine or its network reaches; for a server that calls endpoints for
                  strangers. One such address among several is enough to refuse the name.
    Raises CannotRunError when the name is unknown, UsageError when it is refused.
    """
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise CannotRunError(
            f"The host `{address.host}` is not known: {getattr(error, 'strerror', None) or error}.",
            hint="check the name, and whether this machine reaches its network.",
        ) from error
    numbers = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
    private = [number for number in numbers if not _public(number)]
    if deny_private and private:
        raise UsageError(
            f"`{address.host}` is at `{private[0]}`, an address of a private network, and those are refused here.",
            hint="name an endpoint that the public internet reaches.",
        )
    return replace(address, pinned=numbers)


def _public(number: str) -> bool:
    """Whether the internet at large reaches a numeric address, also when it is wrapped into another kind."""
    place = ipaddress.ip_address(number.partition("%")[0])
    if isinstance(place, ipaddress.IPv6Address):
        if place in _NAT64:
            place = ipaddress.IPv4Address(int(place) & 0xFFFFFFFF)
        else:
            place = place.ipv4_mapped or place.sixtofour or (place.teredo or (None, None))[1] or place
    if isinstance(place, ipaddress.IPv6Address) and place not in _GLOBAL:
        return False
    return place.is_global and not place.is_multicast


def _shown(url: str) -> str:
    """A URL for an error: what stands before `@` and after `?` may be a secret."""
    head, _, tail = url.partition("://")
    where = re.split(r"[?#]", tail, maxsplit=1)[0]
    return f"{head}://{where.rpartition('@')[2]}"[:200] if tail else url.partition("?")[0][:200]
