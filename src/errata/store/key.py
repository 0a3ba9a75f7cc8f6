"""The key of a run: what tells one run from another, so that the same call resumes and a different one is refused."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from errata.core.codec import decode, encode
from errata.core.diagnosis import RunRecord
from errata.core.errors import CannotRunError

__all__ = ["ANNOUNCED", "Call", "announce", "announced", "fingerprint_path", "input_key", "run_key"]

ANNOUNCED = "call.json"

_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Call:
    """The call that makes a run, as a command line knows it before the data are read.

    key      of inputs and settings, see `input_key`
    command  the shell command that repeats it
    options  data, model and flags as given; what was not given is not there
    """

    key: str
    command: str
    options: Mapping[str, Any]


def run_key(run: RunRecord) -> str:
    """Sixteen hexadecimal digits of a run's inputs and settings, read from what the run says about itself."""
    plain = encode(run)
    methods = [{"name": method["name"], "options": method["options"]} for method in plain["methods"]]
    names = ("model", "data", "task", "metric", "seed", "split_seed", "alpha", "proof", "multiplicity", "settings")
    return _digest({"methods": methods} | {name: plain[name] for name in names})


def input_key(inputs: Mapping[str, str | None], settings: Mapping[str, Any]) -> str:
    """The same of a call that has not run yet: its paths (their content counts) and its settings.

    Raises OSError when an input cannot be read.
    """
    content = {name: None if where is None else fingerprint_path(where) for name, where in inputs.items()}
    return _digest({"inputs": content, "settings": encode(settings)})


def fingerprint_path(where: str) -> str:
    """A digest of a file's bytes, of the names, sizes and times of a folder's files, or of any other words."""
    digest = hashlib.blake2b(digest_size=16)
    path = Path(where)
    if path.is_file():
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    elif path.is_dir():
        # Reading a hundred thousand images only to name a folder would double the time of the run.
        for entry in sorted(path.rglob("*")):
            if entry.is_file():
                facts = entry.stat()
                digest.update(f"{entry.relative_to(path)}|{facts.st_size}|{facts.st_mtime_ns}\n".encode())
    else:
        digest.update(where.encode())
    return digest.hexdigest()


def announce(partial: Path, call: Call) -> None:
    """Note beside the blocks in the making which run this process makes; `save` puts the call into `run.json`."""
    plain = {"process": os.getpid(), **encode(call)}
    try:
        partial.mkdir(parents=True, exist_ok=True)
        (partial / ANNOUNCED).write_text(json.dumps(plain), encoding="utf-8")
    except OSError as error:
        raise CannotRunError(
            f"The run could not be written to `{partial.parent}`: {error.strerror or error}.",
            hint="free some space, or name another folder with --out.",
        ) from error


def announced(partial: Path) -> Call | None:
    """What this process announced; a killed process's note says nothing of our run."""
    try:
        plain = json.loads((partial / ANNOUNCED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return decode(plain, Call) if plain.get("process") == os.getpid() else None


def _digest(plain: Mapping[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(plain, sort_keys=True).encode(), digest_size=8).hexdigest()
