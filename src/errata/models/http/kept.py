"""The answers of an endpoint, kept by content in a file that only grows, so that no call is ever repeated."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from errata.core.errors import CannotRunError
from errata.models.http.said import Said

__all__ = ["FILE", "Kept"]

FILE = "calls.jsonl"
_VERSION = 1


class Kept:
    """What was said of each row, by digest; in memory, and in `folder/.partial/calls.jsonl` once a folder is named.

    One line per call, written whole before anybody uses the answer: after a kill the last line may be cut, and is
    passed over. Answers lie under the digest of endpoint, settings and row, so another endpoint's are never taken.

    owner  digest of the endpoint and of the settings that decide its answers
    calls  how many were made for this owner, killed runs included
    """

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.calls = 0
        self.checked = 0
        self.path: Path | None = None
        self._answers: dict[str, str] = {}
        self._lock = threading.Lock()

    @property
    def rows(self) -> int:
        """How many different rows were answered; what was asked on an occasion of its own does not count."""
        return sum(":" not in digest for digest in tuple(self._answers))

    def open(self, folder: Path) -> None:
        """Read what is there, and write there from now on. Raises CannotRunError where the disk does not allow it."""
        path = folder / ".partial" / FILE
        if self.path == path:
            return
        try:
            with self._lock:
                self.path = path
                if path.is_file():
                    self._read(path)
        except OSError as error:
            raise _unwritable(path, error) from error

    def notes(self) -> Counter[str]:
        """How often something other than a class was said of a row, by what it was."""
        noted = (one for digest, one in tuple(self._answers.items()) if ":" not in digest and '"note"' in one)
        return Counter(str(json.loads(one).get("note")) for one in noted)

    def __contains__(self, digest: str) -> bool:
        return digest in self._answers

    def get(self, digest: str) -> Said | None:
        """What was said of a row, None where it was not asked."""
        stored = self._answers.get(digest)
        return None if stored is None else Said.from_plain(json.loads(stored))

    def called(self, said: Mapping[str, Said] | None = None) -> None:
        """Note one call with what came of it, by digest; None or nothing for one that failed."""
        plain = {digest: one.to_plain() for digest, one in (said or {}).items()}
        with self._lock:
            self.calls += 1
        self._write({"calls": 1, "said": plain} if plain else {"calls": 1})
        self._take(plain)

    def fails(self, digest: str, words: str, *, always: bool) -> None:
        """Keep that a row has no answer; in the file only where the row itself is the cause."""
        plain = {digest: Said(failed=words).to_plain()}
        if always:
            self._write({"said": plain})
        self._take(plain)

    def found_constant(self) -> None:
        """Note that answers were asked for again and had not changed, with all that is known now."""
        self.checked = self.rows
        self._write({"checked": self.checked})

    def _take(self, plain: Mapping[str, Any]) -> None:
        with self._lock:
            for digest, one in plain.items():
                self._answers[digest] = json.dumps(one, ensure_ascii=False)

    def _read(self, path: Path) -> None:
        with path.open("rb") as file:
            for raw in file:
                try:
                    line = json.loads(raw)
                    if line["owner"] != self.owner or line["v"] != _VERSION:
                        continue
                    for digest, one in line.get("said", {}).items():
                        Said.from_plain(one)
                        self._answers[digest] = json.dumps(one, ensure_ascii=False)
                    self.calls += int(line.get("calls", 0))
                    self.checked = int(line.get("checked", self.checked))
                except (ValueError, KeyError, TypeError, AttributeError):
                    continue  # cut by a kill, or not ours

    def _write(self, line: dict[str, Any]) -> None:
        if self.path is None:
            return
        whole = json.dumps({"v": _VERSION, "owner": self.owner, **line}, ensure_ascii=False, allow_nan=False)
        try:
            with self._lock:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("ab+") as file:  # writes go to the end, wherever was read
                    cut = False
                    if file.tell():
                        file.seek(-1, os.SEEK_END)
                        cut = file.read(1) != b"\n"
                    # A line break first: whatever a kill has cut before stays a line of its own.
                    file.write((b"\n" if cut else b"") + whole.encode("utf-8", "replace") + b"\n")
        except OSError as error:
            raise _unwritable(self.path, error) from error


def _unwritable(path: Path, error: OSError) -> CannotRunError:
    return CannotRunError(
        f"The answers of the endpoint could not be kept in `{path}`: {error.strerror or error}.",
        hint="free some space or choose another folder with --out; the same call then goes on where it was.",
    )
