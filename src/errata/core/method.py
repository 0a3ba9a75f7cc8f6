"""What a method is, how the registered ones are found, and the only context it gets."""

from __future__ import annotations

import importlib
import importlib.metadata
import math
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, TypeVar

import numpy as np

import errata
from errata.core.columns import Level
from errata.core.dataset import Dataset
from errata.core.errors import UsageError, nearest
from errata.core.evidence import Evidence
from errata.core.model import Model

__all__ = ["Job", "MethodInfo", "check_range", "find_methods", "info", "load_method", "method", "options"]

FAMILIES = ("discover", "challenge", "explain", "repair", "guard")

C = TypeVar("C", bound=type)


@dataclass(frozen=True, kw_only=True)
class MethodInfo:
    """What is known of a method without running it: its name, family, needs and source paper; see `method`."""

    name: str
    family: str
    needs: frozenset[str]
    cite: str | None
    tested: bool


def method(*, needs: set[str] | None = None, cite: str | None = None, tested: bool = True) -> Callable[[C], C]:
    """Mark a dataclass as a method. Its place in the tree, `methods/<family>/<name>.py`, names it.

    needs   columns and capabilities it cannot do without: "label", "scores", "classification", "gradients", ...
    cite    authors and venue, where there is a paper
    tested  whether its proposals are tested on held-out errors; lists of suspected labels are not, people review them
    """

    def mark(cls: C) -> C:
        family, name = cls.__module__.rsplit(".", 2)[-2:]
        cls.__errata__ = MethodInfo(  # type: ignore[attr-defined]
            name=name, family=family, needs=frozenset(needs or ()), cite=cite, tested=tested
        )
        return cls

    return mark


def info(method: object) -> MethodInfo:
    """The registration of a method or of its class."""
    found = getattr(method, "__errata__", None)
    if not isinstance(found, MethodInfo):
        raise UsageError(f"`{method!r}` is not a method.", hint="decorate its dataclass with `errata.method`.")
    return found


def check_range(method: object, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Refuse hyper-parameters outside (least, most), both allowed; called by a method's `__post_init__`.

    Raises UsageError that names the option, its value and its range.
    """
    for option, (least, most) in ranges.items():
        value = getattr(method, option)
        if not least <= value <= most:
            span = f"{least:g} or more" if most == math.inf else f"{least:g} to {most:g}"
            raise UsageError(
                f"`{info(method).name}.{option}` is `{value}`, expected {span}.",
                hint=f"`errata methods {info(method).name}` lists the options with their defaults.",
            )


def options(method: object) -> dict[str, Level | None]:
    """The hyper-parameters of a method as plain values."""
    return {item.name: getattr(method, item.name) for item in fields(method)}  # type: ignore[arg-type]


@cache
def find_methods() -> Mapping[str, str]:
    """Name to module path of every method, ours and those of installed entry points; nothing is imported."""
    found: dict[str, str] = {}
    for family in FAMILIES:
        for folder in errata.__path__:
            for module in pkgutil.iter_modules([f"{folder}/methods/{family}"]):
                if not module.name.startswith("_"):
                    found[module.name] = f"errata.methods.{family}.{module.name}"
    for point in importlib.metadata.entry_points(group="errata.methods"):
        found.setdefault(point.name, point.value)
    return found


def load_method(name: str) -> type[Any]:
    """The class of a method by its name; raises UsageError that offers the nearest names."""
    known = find_methods()
    if name not in known:
        raise UsageError(f"There is no method `{name}`.", hint=nearest(name, known))
    path, _, attribute = known[name].partition(":")
    module = importlib.import_module(path)
    if attribute:
        return getattr(module, attribute)  # type: ignore[no-any-return]
    for value in vars(module).values():
        if isinstance(value, type) and value.__module__ == path and hasattr(value, "__errata__"):
            return value
    raise UsageError(
        f"The module of method `{name}` holds no class marked with `@method`.", hint="decorate its dataclass."
    )


def _quiet(done: float, words: str) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """The only context that a method gets.

    rng       the only source of randomness
    model     the connected model, None for predictions-only data
    dataset   the data, None where the method may not read it
    progress  call with a share in [0, 1] and a word on what is being done
    budget    seconds that the method may take, None for no limit
    showing   whether anybody will look at what it shows; not in reruns, which need not work it out
    said      what the method said of its run with `say`
    shown     what it showed with `show`
    """

    rng: np.random.Generator
    model: Model | None = None
    dataset: Dataset | None = None
    progress: Callable[[float, str], None] = _quiet
    budget: float | None = None
    showing: bool = True
    cache: dict[tuple[str, ...], Any] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    shown: list[Evidence] = field(default_factory=list)

    def say(self, words: str) -> None:
        """A sentence that the run keeps beside the method's record, such as "no systematic split"."""
        self.said.append(words)

    def show(self, *evidence: Evidence) -> None:
        """Evidence about the whole run, such as the log of a training; what is about one slice goes with the slice.

        Nothing is kept unless `showing`; what is costly to work out is best left out then.
        """
        if self.showing:
            self.shown.extend(evidence)

    def cached(self, name: str, build: Callable[[], Any]) -> Any:
        """What `build` gives, computed once per run under `name`; the only cache a method sees."""
        if (name,) not in self.cache:
            self.cache[name,] = build()
        return self.cache[name,]
