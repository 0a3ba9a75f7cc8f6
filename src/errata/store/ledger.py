"""The ledger of looks (proof.md section 6): who asks the same held-out rows twice is told so."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from errata.core.columns import Level
from errata.core.places import state_folder
from errata.store.lock import locked

__all__ = ["UNKNOWN_LOOKS", "Look", "look_at"]

UNKNOWN_LOOKS = "Earlier looks at these predictions are unknown: the ledger could not be read or written."
"""The caveat of a run whose ledger could not be used."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What the ledger says of a look.

    number   1 for the first look at these rows, a repeat has the number it had before; None when the ledger is unknown
    repeat   the same look was taken before
    first    full alpha: findings of a first look (and of its repeats) may be confirmed, later ones end as `seen`
    caveats  what the run must say about it
    """

    number: int | None
    repeat: bool
    first: bool
    caveats: tuple[str, ...] = ()


def look_at(
    fingerprint: str, tested: Iterable[str], *, settings: Mapping[str, Level], state: Path | None = None
) -> Look:
    """Enter a look at these inputs, labels and predictions into the ledger; says which one it is.

    fingerprint  hexadecimal, of inputs, labels and predictions; anything else is an unknown look
    tested       ids of the tested slices; a slice's id is decided by its rule and its claim alone
    settings     what else makes the look: metric, alpha, multiplicity and split seed
    state        folder that holds the ledger, `state_folder()` when None

    A look at which nothing was tested reads no held-out row and is not entered. A ledger that cannot be read or
    written never stops a run: its number is None, with a caveat.
    """
    if not re.fullmatch(r"[0-9a-f]+", fingerprint):  # an evaluation that somebody built by hand
        return Look(number=None, repeat=False, first=True, caveats=(UNKNOWN_LOOKS,))
    slices = sorted(set(tested))
    try:
        path = (state_folder() if state is None else state) / "looks" / f"{fingerprint}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with _open(path) as file, locked(file):
            return _enter(file, _record(slices, settings))
    except OSError:
        return Look(number=None, repeat=False, first=True, caveats=(UNKNOWN_LOOKS,))


def _record(slices: list[str], settings: Mapping[str, Level]) -> dict[str, Level]:
    """A ledger line; its digest is equal for the same look, whatever version of Errata takes it."""
    words = [*slices, *(f"{name}={settings[name]!r}" for name in sorted(settings))]
    digest = hashlib.blake2b("|".join(words).encode(), digest_size=8).hexdigest()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"look": digest, "when": now, "tested": len(slices), **settings}


def _open(path: Path) -> IO[bytes]:
    """The ledger file for reading and appending; created exclusively, so two first looks cannot both create it."""
    flags = os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        handle = os.open(path, flags)
    return os.fdopen(handle, "r+b", buffering=0)


def _enter(file: IO[bytes], record: Mapping[str, Level]) -> Look:
    file.seek(0)
    content = file.read()
    known = _digests(content)
    if record["look"] in known:
        number = known.index(str(record["look"])) + 1
        return Look(number=number, repeat=True, first=number == 1)
    number = len(known) + 1
    if record["tested"]:
        _append(file, json.dumps(record).encode(), after=content)
    return Look(number=number, repeat=False, first=number == 1)


def _append(file: IO[bytes], line: bytes, *, after: bytes) -> None:
    # A line torn by a killed process stays what it is, ignored, and does not swallow ours.
    start = b"" if not after or after.endswith(b"\n") else b"\n"
    line = start + line + b"\n"
    try:
        written = file.write(line)
        os.fsync(file.fileno())
    except OSError:
        file.truncate(len(after))
        raise
    if written != len(line):
        file.truncate(len(after))
        raise OSError("the ledger's disk is full")


def _digests(content: bytes) -> list[str]:
    """The looks of a ledger in order, each once; a line that is not whole was never answered and does not count."""
    found: dict[str, None] = {}
    for line in content.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and isinstance(record.get("look"), str):
            found.setdefault(record["look"])
    return list(found)
