"""Planted failures: tables whose predictions err more often in a region that we know.

world = planted("intersection", n=12_000, share=0.05, inside=0.55, outside=0.12, seed=3)
world.to_frame(), world.truth[0].text, world.truth[0].members
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Column, Table
from errata.core.errors import UsageError, nearest
from errata.testing.drawn import Width, draw_columns, draw_label, draw_levels, spoil, table_of, with_missing
from errata.testing.shapes import Part, cut, intersection, level, levels, literal, three_way, two_sided
from errata.testing.world import World

__all__ = ["KINDS", "PlantedKind", "planted"]

PlantedKind = Literal[
    "literal",
    "intersection",
    "three-way",
    "range",
    "set",
    "class mix",
    "two regions",
    "groups",
    "missing",
    "regression",
]
KINDS: tuple[PlantedKind, ...] = get_args(PlantedKind)

FAMILY = 20


def planted(
    kind: PlantedKind = "intersection",
    *,
    n: int = 12_000,
    columns: Width = 6,
    share: float = 0.05,
    inside: float = 0.55,
    outside: float = 0.12,
    classes: int = 2,
    missing: float = 0.0,
    seed: int = 0,
) -> World:
    """A world with one planted region (two for "two regions" and "groups"), drawn anew for each seed.

    kind      "literal" one numeric cut; "intersection" two literals; "three-way" three; "range" both sides of a number;
              "set" several levels of a category; "class mix" a cut, while "yes" rows err more often everywhere and one
              column follows the class; "two regions" a cut and an intersection; "groups" families of 20 with rates of
              their own, one region cut in row-level and one in family-level columns; "missing" the rows where a column
              has no value; "regression" an intersection where a number is predicted
    share     of the rows that lie in each region, (0, .5)
    inside    error rate inside a region, `outside` elsewhere; the mean absolute errors in "regression"
    missing   share of the values of every column that are gone
    """
    if kind not in KINDS:
        raise UsageError(f"There is no planted world `{kind}`.", hint=nearest(kind, KINDS))
    rng = np.random.default_rng([seed, KINDS.index(kind), n])
    plan = _Plan(n=n, columns=columns, share=share, inside=inside, outside=outside, classes=classes, missing=missing)
    title = f"planted {kind}, {n:,} x {columns}, seed {seed}"
    return _BUILDERS[kind](plan, title, rng)


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """The arguments of `planted`, handed to the builder of one kind."""

    n: int
    columns: Width
    share: float
    inside: float
    outside: float
    classes: int
    missing: float

    def draw(self, rng: np.random.Generator) -> dict[str, Column]:
        """The columns, with their holes."""
        drawn = draw_columns(self.n, columns=self.columns, rng=rng)
        return with_missing(drawn, share=self.missing, rng=rng) if self.missing else drawn


_Shape = Callable[[Mapping[str, Column], float, np.random.Generator], Part]
_Builder = Callable[[_Plan, str, np.random.Generator], World]


def _shaped(shape: _Shape) -> _Builder:
    """The builder of a world with one region of a shape."""

    def build(plan: _Plan, title: str, rng: np.random.Generator) -> World:
        columns = plan.draw(rng)
        return _spoiled(plan, title, columns, (shape(columns, plan.share, rng),), rng)

    return build


def _spoiled(
    plan: _Plan, title: str, columns: Mapping[str, Column], parts: tuple[Part, ...], rng: np.random.Generator
) -> World:
    label = draw_label(plan.n, classes=plan.classes, rng=rng)
    rate = np.full(plan.n, plan.outside)
    for part in parts:
        rate[part.members] = plan.inside
    wrong = rng.random(plan.n) < rate
    return World(
        name=title,
        table=table_of(columns, label, spoil(label, wrong, rng=rng)),
        truth=tuple(part.region(plan.inside) for part in parts),
        outside=plan.outside,
        rate=rate,
    )


def _set(plan: _Plan, title: str, rng: np.random.Generator) -> World:
    # Ten cities, three of which share the region's rows: a set that no single level gives.
    names = ("accra", "cairo", "delhi", "hanoi", "lima", "oslo", "paris", "quito", "seoul", "tokyo")
    chosen = sorted(int(code) for code in rng.choice(len(names), size=3, replace=False))
    shares = {name: plan.share / 3 if code in chosen else (1 - plan.share) / 7 for code, name in enumerate(names)}
    columns = plan.draw(rng)
    columns["city"] = draw_levels(shares, plan.n, rng=rng)
    return _spoiled(plan, title, columns, (levels("city", columns["city"], chosen),), rng)


def _two_regions(plan: _Plan, title: str, rng: np.random.Generator) -> World:
    columns = plan.draw(rng)
    first = cut("age", columns["age"], share=plan.share, upper=bool(rng.integers(2)))
    city = columns["city"]
    code = city.levels.index("cairo")
    left = min(1.0, plan.share / float(np.mean(city.values == code)))
    second = level("city", city, code) & cut("hours", columns["hours"], share=left, upper=bool(rng.integers(2)))
    return _spoiled(plan, title, columns, (first, second), rng)


def _gone(plan: _Plan, title: str, rng: np.random.Generator) -> World:
    columns = plan.draw(rng)
    gone = rng.random(plan.n) < plan.share
    values = columns["income"].values.copy()
    values[gone] = np.nan
    columns["income"] = Column.number(values)  # type: ignore[arg-type]
    part = Part(text="income is null", members=np.isnan(values), columns=("income",))
    return _spoiled(plan, title, columns, (part,), rng)


def _class_mix(plan: _Plan, title: str, rng: np.random.Generator) -> World:
    columns = plan.draw(rng)
    label = draw_label(plan.n, classes=2, rng=rng)
    yes = np.asarray(label.values == label.levels.index("yes"))
    # The column follows the class and so, without being a cause of anything, the errors too.
    columns["hours"] = Column.number(np.round(rng.normal(38.0, 9.0, plan.n) + 9.0 * yes, 2))
    part = cut("distance", columns["distance"], share=plan.share, upper=True)
    rate = np.where(yes, 2.5 * plan.outside, 0.4 * plan.outside)
    # Both classes err more inside, by as much; `inside` is then their mean.
    rate = np.where(part.members, np.minimum(rate + plan.inside - rate.mean(), 1.0), rate)
    prediction = spoil(label, rng.random(plan.n) < rate, rng=rng)
    region = part.region(float(rate[part.members].mean()))
    outside = float(rate[~part.members].mean())
    table = table_of(columns, label, prediction)
    return World(name=title, table=table, truth=(region,), outside=outside, rate=rate)


def _groups(plan: _Plan, title: str, rng: np.random.Generator) -> World:
    families = max(2, plan.n // FAMILY)
    family = np.minimum(np.arange(plan.n) // FAMILY, families - 1)
    columns = plan.draw(rng)
    for name in ("income", "city"):
        columns[name] = columns[name].take(family * FAMILY)
    row_level = cut("distance", columns["distance"], share=plan.share, upper=True)
    # Cut over families, not over rows, so that a share of the families lies inside.
    income = columns["income"].take(np.arange(families) * FAMILY)
    at = cut("income", income, share=plan.share, upper=False).text.rpartition(" ")[2]
    members = np.asarray(columns["income"].values <= float(at))  # type: ignore[operator]
    family_level = Part(text=f"income <= {at}", members=members, columns=("income",))
    rate = np.full(plan.n, plan.outside)
    for part in (row_level, family_level):
        rate[part.members] = plan.inside
    rate = _shifted(rate, rng.normal(0.0, 0.5, families)[family])
    label = draw_label(plan.n, classes=plan.classes, rng=rng)
    table = table_of(columns, label, spoil(label, rng.random(plan.n) < rate, rng=rng))
    return World(
        name=title,
        table=Table({**table.columns, "family": Column.number(family)}),
        group="family",
        truth=(row_level.region(plan.inside), family_level.region(plan.inside)),
        outside=plan.outside,
        rate=rate,
    )


def _shifted(rate: NDArray[np.float64], by: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rates after their logits moved, which is how groups differ."""
    rate = np.clip(rate, 1e-6, 1.0 - 1e-6)
    logit = np.log(rate / (1.0 - rate)) + by
    return np.asarray(1.0 / (1.0 + np.exp(-logit)))


def _regression(plan: _Plan, title: str, rng: np.random.Generator) -> World:
    columns = plan.draw(rng)
    part = intersection(columns, plan.share, rng)
    target = np.round(50.0 + 10.0 * rng.standard_normal(plan.n), 3)
    # The mean of |N(0, s)| is s x sqrt(2 / pi): the planted numbers are mean absolute errors.
    spread = np.where(part.members, plan.inside, plan.outside) / np.sqrt(2.0 / np.pi)
    prediction = target + spread * rng.standard_normal(plan.n)
    table = table_of(columns, Column.number(target), Column.number(prediction))
    return World(name=title, table=table, truth=(part.region(plan.inside),), outside=plan.outside, regression=True)


_BUILDERS: Mapping[str, _Builder] = {
    "literal": _shaped(literal),
    "intersection": _shaped(intersection),
    "three-way": _shaped(three_way),
    "range": _shaped(two_sided),
    "set": _set,
    "class mix": _class_mix,
    "two regions": _two_regions,
    "groups": _groups,
    "missing": _gone,
    "regression": _regression,
}
