"""Shapes of regions: predicates with their members, cut to a share of the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from errata.core.columns import Bool, Column, Float
from errata.testing.world import Region

__all__ = ["Part", "between", "cut", "intersection", "level", "levels", "literal", "three_way", "two_sided"]

_CUTTABLE = ("age", "income", "hours", "distance")
_SPLITTABLE = ("city", "plan")


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """A predicate with its members, in the making."""

    text: str
    members: Bool
    columns: tuple[str, ...]

    def __and__(self, other: Part) -> Part:
        return Part(
            text=f"{self.text} and {other.text}",
            members=self.members & other.members,
            columns=self.columns + other.columns,
        )

    def region(self, inside: float) -> Region:
        """The predicate as a planted region."""
        return Region(text=self.text, members=self.members, columns=self.columns, inside=inside)


def cut(name: str, column: Column, *, share: float, upper: bool) -> Part:
    """The rows with the highest (or lowest) values of a number, as near to `share` of all as its values allow."""
    values = np.asarray(column.values, dtype=np.float64)
    quantile = np.nanquantile(values, 1.0 - share if upper else share)
    tries = [_cut_at(name, values, at, upper=upper) for at in _cuts(float(quantile), integer=column.integer)]
    return min(tries, key=lambda part: abs(part.members.mean() - share))


def _cut_at(name: str, values: Float, at: float, *, upper: bool) -> Part:
    with np.errstate(invalid="ignore"):
        members = values > at if upper else values <= at
    return Part(text=f"{name} {'>' if upper else '<='} {at:g}", members=np.asarray(members), columns=(name,))


def between(name: str, column: Column, *, share: float, start: float) -> Part:
    """The rows with a number between two cuts that enclose `share` of all, the lower one at quantile `start`."""
    values = np.asarray(column.values, dtype=np.float64)
    low, high = np.nanquantile(values, [start, start + share])
    tries = [
        _cut_at(name, values, above, upper=True) & _cut_at(name, values, upto, upper=False)
        for above in _cuts(float(low), integer=column.integer)
        for upto in _cuts(float(high), integer=column.integer)
    ]
    best = min(tries, key=lambda part: abs(part.members.mean() - share))
    return Part(text=best.text, members=best.members, columns=(name,))


def level(name: str, column: Column, code: int) -> Part:
    """The rows with one level of a category."""
    return Part(text=f'{name} = "{column.levels[code]}"', members=np.asarray(column.values == code), columns=(name,))


def levels(name: str, column: Column, codes: Sequence[int]) -> Part:
    """The rows with any of several levels of a category."""
    words = ", ".join(f'"{column.levels[code]}"' for code in sorted(codes))
    return Part(text=f"{name} in ({words})", members=np.isin(column.values, codes), columns=(name,))


def _cuts(at: float, *, integer: bool) -> tuple[float, ...]:
    # Six digits are what `:g` prints: the text and the members must say the same.
    return (np.floor(at) - 1.0, np.floor(at), np.floor(at) + 1.0) if integer else (float(f"{at:.6g}"),)


def literal(columns: Mapping[str, Column], share: float, rng: np.random.Generator) -> Part:
    """One cut of one number."""
    name = str(rng.choice(_CUTTABLE))
    return cut(name, columns[name], share=share, upper=bool(rng.integers(2)))


def intersection(columns: Mapping[str, Column], share: float, rng: np.random.Generator) -> Part:
    """Two numbers, or a level and a number."""
    if rng.integers(2):
        first, second = (str(name) for name in rng.choice(_CUTTABLE, size=2, replace=False))
        return cut(first, columns[first], share=share**0.5, upper=bool(rng.integers(2))) & cut(
            second, columns[second], share=share**0.5, upper=bool(rng.integers(2))
        )
    chosen = _one_level(columns, share, rng, at_least=2.0)
    name = str(rng.choice(_CUTTABLE))
    return chosen.part & cut(name, columns[name], share=chosen.left, upper=bool(rng.integers(2)))


def three_way(columns: Mapping[str, Column], share: float, rng: np.random.Generator) -> Part:
    """A level and two numbers."""
    chosen = _one_level(columns, share, rng, at_least=2.5)
    part = chosen.part
    for name in rng.choice(_CUTTABLE, size=2, replace=False):
        part &= cut(str(name), columns[str(name)], share=chosen.left**0.5, upper=bool(rng.integers(2)))
    return part


@dataclass(frozen=True, kw_only=True, eq=False)
class _Chosen:
    part: Part
    left: float


def _one_level(columns: Mapping[str, Column], share: float, rng: np.random.Generator, *, at_least: float) -> _Chosen:
    """A level with at least `at_least` x share of the rows, and the share of them that the other cuts must keep."""
    sizes = {
        (name, code): float(np.mean(columns[name].values == code))
        for name in _SPLITTABLE
        for code in range(len(columns[name].levels))
    }
    wide = [key for key, size in sizes.items() if size >= at_least * share] or [max(sizes, key=lambda key: sizes[key])]
    name, code = wide[int(rng.integers(len(wide)))]
    return _Chosen(part=level(name, columns[name], code), left=min(share / sizes[name, code], 1.0))


def two_sided(columns: Mapping[str, Column], share: float, rng: np.random.Generator) -> Part:
    """Both sides of one number, somewhere in its middle."""
    name = str(rng.choice(_CUTTABLE))
    return between(name, columns[name], share=share, start=float(rng.uniform(0.2, 0.8 - share)))
