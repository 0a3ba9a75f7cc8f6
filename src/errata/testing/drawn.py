"""Columns drawn at random: what the planted and the null worlds are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Column, Table

__all__ = ["CATEGORIES", "NUMBERS", "Width", "draw_columns", "draw_label", "spoil", "with_missing"]

Width = Literal[6, 13]
"""How many columns a world has: 4 numeric and 2 categorical ones, or 7 numeric, 5 categorical and a boolean one."""

Floats = NDArray[np.float64]

# Shapes that real tables have: whole numbers, skew, a bell, an exponential tail. Rounded as a file would hold them.
NUMBERS: Mapping[str, Callable[[np.random.Generator, int], Floats]] = {
    "age": lambda rng, n: rng.integers(18, 91, n).astype(np.float64),
    "income": lambda rng, n: np.round(rng.lognormal(10.3, 0.5, n), 2),
    "hours": lambda rng, n: np.round(rng.normal(38.0, 9.0, n), 2),
    "distance": lambda rng, n: np.round(rng.exponential(12.0, n), 3),
    "balance": lambda rng, n: np.round(rng.normal(1500.0, 900.0, n), 2),
    "visits": lambda rng, n: rng.poisson(6.0, n).astype(np.float64),
    "temperature": lambda rng, n: np.round(rng.normal(15.0, 8.0, n), 2),
}
WHOLE = frozenset({"age", "visits"})

CATEGORIES: Mapping[str, Mapping[str, float]] = {
    "city": {"cairo": 0.25, "lima": 0.2, "oslo": 0.15, "delhi": 0.15, "paris": 0.1, "tokyo": 0.1, "quito": 0.05},
    "plan": {"free": 0.4, "basic": 0.3, "plus": 0.2, "family": 0.1},
    "device": {"phone": 0.6, "laptop": 0.3, "tablet": 0.1},
    "channel": {"search": 0.3, "friend": 0.25, "advert": 0.2, "shop": 0.15, "letter": 0.1},
    "weekday": dict.fromkeys(("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"), 1 / 7),
}

_NARROW = ("age", "income", "hours", "distance", "city", "plan")
_MORE = ("balance", "visits", "temperature", "device", "channel", "weekday", "returning")


def draw_columns(n: int, *, columns: Width, rng: np.random.Generator) -> dict[str, Column]:
    """`columns` independent columns of n rows, under names that read like a table of customers."""
    names = _NARROW if columns == 6 else _NARROW + _MORE
    return {name: draw_column(name, n, rng=rng) for name in names}


def draw_column(name: str, n: int, *, rng: np.random.Generator) -> Column:
    """One column of n rows by its name."""
    if name in NUMBERS:
        return Column.number(NUMBERS[name](rng, n), integer=name in WHOLE)
    if name in CATEGORIES:
        return draw_levels(CATEGORIES[name], n, rng=rng)
    return Column(kind="boolean", values=rng.integers(0, 2, n).astype(np.int8))


def draw_levels(shares: Mapping[str, float], n: int, *, rng: np.random.Generator) -> Column:
    """A category column whose levels have these shares; levels are sorted, as a reader of files would sort them."""
    levels = tuple(sorted(shares))
    weights = np.array([shares[level] for level in levels])
    codes = rng.choice(len(levels), size=n, p=weights / weights.sum()).astype(np.int32)
    return Column(kind="category", values=codes, levels=levels)


def draw_label(n: int, *, classes: int, rng: np.random.Generator) -> Column:
    """A label column: "no" and "yes" (35 %), or `classes` equal ones named after letters."""
    if classes == 2:
        return draw_levels({"no": 0.65, "yes": 0.35}, n, rng=rng)
    return draw_levels({chr(ord("a") + code): 1 / classes for code in range(classes)}, n, rng=rng)


def spoil(label: Column, wrong: Bool, *, rng: np.random.Generator) -> Column:
    """The prediction that equals the label except where `wrong`; there it is another class, all others as likely."""
    k = len(label.levels)
    shift = rng.integers(1, k, len(label)) if k > 2 else np.ones(len(label), dtype=np.int64)
    codes = np.where(wrong, (label.values + shift) % k, label.values)  # type: ignore[operator]
    return Column(kind="category", values=codes.astype(np.int32), levels=label.levels)


def with_missing(columns: Mapping[str, Column], *, share: float, rng: np.random.Generator) -> dict[str, Column]:
    """The same columns with a share of their values gone, at random."""
    return {name: _holed(column, rng.random(len(column)) < share) for name, column in columns.items()}


def _holed(column: Column, gone: Bool) -> Column:
    values = column.values.copy()
    values[gone] = np.nan if column.kind == "number" else -1
    return Column(kind=column.kind, values=values, levels=column.levels, integer=column.integer)


def table_of(columns: Mapping[str, Column], label: Column, prediction: Column) -> Table:
    """A table of the columns, then label and prediction."""
    return Table({**columns, "label": label, "prediction": prediction})
