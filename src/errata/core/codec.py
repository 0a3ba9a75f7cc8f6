"""Nouns to plain JSON values and back: one codec for every frozen dataclass of `core`.

A union of records (an Evidence) carries the class name under "kind"; rules carry their own and decode themselves.
NaN and infinity never leave: they become null, because null means "not known" and JSON has no other word for it.
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from errata.core.errors import UsageError

__all__ = ["decode", "encode"]

T = TypeVar("T")


def encode(value: object) -> Any:
    """A record, or anything made of records, as plain JSON values."""
    if value is None or isinstance(value, bool | str):
        return value
    if hasattr(value, "to_json"):
        return encode(value.to_json())
    if is_dataclass(value) and not isinstance(value, type):
        plain = {item.name: encode(getattr(value, item.name)) for item in fields(value)}
        return {"kind": type(value).__name__.lower(), **plain} if type(value) in _tagged() else plain
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [encode(item) for item in value]
    if isinstance(value, np.ndarray):
        return encode(value.tolist())
    if isinstance(value, np.generic):
        return encode(value.item())
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)


def decode(plain: Any, kind: type[T]) -> T:
    """The record of type `kind` that `encode` made plain; unknown keys are passed over, so that newer files open."""
    return _decode(plain, kind)  # type: ignore[no-any-return]


@cache
def _tagged() -> dict[type, str]:
    """Record types that stand in a union and so need their name beside them."""
    from errata.core import evidence

    return {cls: cls.__name__.lower() for cls in get_args(evidence.Evidence)}


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _decode(plain: Any, kind: Any) -> Any:
    from errata.core.slices import Rule

    if kind is Rule:
        return _decode_rule(plain)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _decode_union(plain, arguments)
    if kind is Any or origin is Literal or plain is None:
        return plain
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_decode(item, arguments[0]) for item in plain)
        return tuple(_decode(item, argument) for item, argument in zip(plain, arguments, strict=True))
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return {key: _decode(item, arguments[1]) for key, item in plain.items()}
    if is_dataclass(kind):
        known = _hints(kind)  # type: ignore[arg-type]
        return kind(**{key: _decode(item, known[key]) for key, item in plain.items() if key in known})  # type: ignore[operator]
    if kind is float and isinstance(plain, int):
        return float(plain)
    return plain


def _decode_union(plain: Any, arguments: tuple[Any, ...]) -> Any:
    if plain is None and type(None) in arguments:
        return None
    if isinstance(plain, Mapping) and "kind" in plain:
        for cls, name in _tagged().items():
            if cls in arguments and name == plain["kind"]:
                return _decode(plain, cls)
    concrete = [argument for argument in arguments if argument is not type(None)]
    return _decode(plain, concrete[0]) if len(concrete) == 1 else plain


def _decode_rule(plain: Mapping[str, Any]) -> Any:
    """A rule of any kind; the arrays of one that has them stand beside its plain values, under "arrays"."""
    from errata.core.embedded import KINDS, embedded_from_json
    from errata.core.ids import Ids
    from errata.core.rules import Where

    kind = plain.get("kind")
    if kind == "where":
        return Where.from_json(plain)
    if kind in KINDS:
        return embedded_from_json(plain, plain.get("arrays", {}))
    if kind == "ids":
        return Ids.from_json(plain, plain.get("arrays", {}))
    raise UsageError(f"The rule kind `{kind}` is not known here.", hint="was this run written by a newer Errata?")
