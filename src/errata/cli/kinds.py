"""What the values of flags may look like."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from errata.core.errors import UsageError

__all__ = ["Assigned", "flattened", "least", "names", "quoted", "seconds", "setting", "shares", "with_count"]

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
DEFAULT_FOLDS = 5


@dataclass(frozen=True, kw_only=True)
class Assigned:
    """A hyper-parameter as a flag gives it: `key` is METHOD.OPTION."""

    key: str
    value: Any


def names(value: str | tuple[str, ...]) -> tuple[str, ...]:
    """Names separated by commas; a name that holds a comma stands in double quotes."""
    if isinstance(value, tuple):
        return value
    row = next(csv.reader([str(value)], skipinitialspace=True), [])
    return tuple(name for name in (item.strip() for item in row) if name)


def setting(value: str | Assigned) -> Assigned:
    """`METHOD.OPTION=VALUE`; values are numbers, true, false, null, or words."""
    if isinstance(value, Assigned):
        return value
    key, equals, written = str(value).partition("=")
    if not equals or "." not in key:
        raise UsageError(f"`--set {value}` is no setting.", hint="METHOD.OPTION=VALUE, such as error_tree.depth=3.")
    try:
        return Assigned(key=key.strip(), value=json.loads(written))
    except ValueError:
        return Assigned(key=key.strip(), value=written.strip())


def shares(value: Any) -> tuple[float, float, float]:
    """`explore/confirm/sealed` as parts of 1 or of 100, such as 40/40/20; sealed may be left out."""
    try:
        given = [float(part) for part in (re.split(r"[/,]", value) if isinstance(value, str) else value)]
    except (TypeError, ValueError):
        given = []
    given += [0.0] if len(given) == 2 else []
    total = sum(given)
    if len(given) != 3 or min(given) < 0 or min(abs(total - 1), abs(total - 100)) > 1e-6:
        raise UsageError(
            f"`--shares` is `{value}`, expected three shares that add up to 1 or to 100.",
            hint="explore/confirm/sealed, such as 40/40/20.",
        )
    return given[0] / total, given[1] / total, given[2] / total


def seconds(value: str | float) -> float:
    """A time: seconds, or with a unit such as 90s, 5m, 1h."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([smh]?)\s*", str(value))
    if found is None or float(found[1]) <= 0:
        raise UsageError(f"`--budget` is `{value}`, expected a time.", hint="seconds above 0, or 90s, 5m, 1h.")
    return float(found[1]) * _UNITS[found[2]]


def least(value: str | float) -> float:
    """`any` (below every difference), or the least difference that counts."""
    if value == "any":
        return float("-inf")
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if number >= 0:
        return number
    raise UsageError(f"`--fail-on` is `{value}`.", hint="`any`, or a difference such as 0.10 for ten points.")


def flattened(groups: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The names of a flag that may be repeated, each once."""
    return tuple(dict.fromkeys(name for group in groups for name in group))


def quoted(name: str) -> str:
    """A name as `names` reads it back, commas and all."""
    return '"' + name.replace('"', '""') + '"' if "," in name or '"' in name else name


def with_count(words: Sequence[str]) -> list[str]:
    """The arguments with a number after every `--out-of-fold`, which may stand alone."""
    filled: list[str] = []
    for place, word in enumerate(words):
        alone = word == "--out-of-fold" and not (place + 1 < len(words) and words[place + 1].isdigit())
        filled += [word, str(DEFAULT_FOLDS)] if alone else [word]
    return filled
