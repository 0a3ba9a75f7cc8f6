"""Null worlds: tables whose errors follow nothing that a rule may claim; whatever is confirmed there is false.

Each kind is a way in which a careless test would nevertheless report something.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Column, Table
from errata.core.errors import UsageError, nearest
from errata.testing.drawn import Width, draw_columns, draw_label, spoil, table_of
from errata.testing.world import World

__all__ = ["NULLS", "NullKind", "null"]

NullKind = Literal[
    "iid", "class mix", "group rows", "group constants", "few groups", "scores", "few errors", "copies", "regression"
]
NULLS: tuple[NullKind, ...] = get_args(NullKind)

_BASE = 0.15
_Columns = dict[str, Column]


def null(kind: NullKind = "iid", *, n: int = 2_000, columns: Width = 6, seed: int = 0) -> World:
    """A world without any region, drawn anew for each seed.

    kind  "iid" errors fall anywhere; "class mix" they depend on the class alone, and columns follow the class;
          "group rows" groups have error rates of their own, and columns that vary by row follow the group's rate;
          "group constants" as before, with columns that are constant in every group and independent of its rate
          (a constant that followed the rate would be a true difference between groups, and should be reported);
          "few groups" 13 groups with columns of both sorts, all of which follow the rate; "scores" the model's scores
          stay among the columns, also under harmless names; "few errors" five errors in all; "copies" rows come up to
          40 times over, with one answer for all; "regression" errors with heavy tails, one column follows the target
    """
    if kind not in NULLS:
        raise UsageError(f"There is no null world `{kind}`.", hint=nearest(kind, NULLS))
    rng = np.random.default_rng([seed, 1_000 + NULLS.index(kind), n])
    title = f"null {kind}, {n:,} x {columns}, seed {seed}"
    return _BUILDERS[kind](draw_columns(n, columns=columns, rng=rng), title, rng)


def _iid(columns: _Columns, title: str, rng: np.random.Generator) -> World:
    n = len(columns["age"])
    label = draw_label(n, classes=2, rng=rng)
    prediction = spoil(label, rng.random(n) < _BASE, rng=rng)
    return World(name=title, table=table_of(columns, label, prediction), outside=_BASE)


def _class_mix(columns: _Columns, title: str, rng: np.random.Generator) -> World:
    n = len(columns["age"])
    label = draw_label(n, classes=2, rng=rng)
    yes = np.asarray(label.values == label.levels.index("yes"))
    columns["hours"] = Column.number(np.round(rng.normal(38.0, 9.0, n) + 12.0 * yes, 2))
    plus = rng.random(n) < np.where(yes, 0.9, 0.2)
    columns["plan"] = Column(kind="category", values=plus.astype(np.int32), levels=("free", "plus"))
    wrong = rng.random(n) < np.where(yes, 0.4, 0.05)
    return World(name=title, table=table_of(columns, label, spoil(label, wrong, rng=rng)), outside=float(wrong.mean()))


def _group_rows(columns: _Columns, title: str, rng: np.random.Generator) -> World:
    return _grouped(columns, title, rng, groups=max(24, len(columns["age"]) // 25), constants=False)


def _group_constants(columns: _Columns, title: str, rng: np.random.Generator) -> World:
    groups = max(24, len(columns["age"]) // 25)
    group = rng.integers(0, groups, len(columns["age"]))
    first = np.array([np.flatnonzero(group == code)[0] if (group == code).any() else 0 for code in range(groups)])
    for name in ("income", "hours", "city"):
        columns[name] = columns[name].take(first[group])
    return _judged(columns, title, rng, group=group, rate=rng.beta(0.6, 2.4, groups))


def _few_groups(columns: _Columns, title: str, rng: np.random.Generator) -> World:
    return _grouped(columns, title, rng, groups=13, constants=True)


def _grouped(columns: _Columns, title: str, rng: np.random.Generator, *, groups: int, constants: bool) -> World:
    n = len(columns["age"])
    group = rng.integers(0, groups, n)
    rate = rng.beta(0.6, 2.4, groups)
    # Three columns that follow the group's rate: closely, loosely, and through a category.
    columns["income"] = Column.number(np.round(30_000 + 40_000 * rate[group] + rng.normal(0, 2_000, n), 2))
    columns["hours"] = Column.number(np.round(30.0 + 20.0 * rate[group] + rng.normal(0, 6.0, n), 2))
    high = rng.random(n) < 0.1 + 0.8 * rate[group]
    columns["plan"] = Column(kind="category", values=high.astype(np.int32), levels=("basic", "plus"))
    if constants:
        columns["distance"] = Column.number(np.round(12.0 * rate + rng.random(groups), 3)[group])
        high = (rate > np.median(rate))[group]
        columns["city"] = Column(kind="category", values=high.astype(np.int32), levels=("lima", "oslo"))
    return _judged(columns, title, rng, group=group, rate=rate)


def _judged(
    columns: _Columns, title: str, rng: np.random.Generator, *, group: NDArray[np.int64], rate: NDArray[np.float64]
) -> World:
    label = draw_label(len(group), classes=2, rng=rng)
    wrong = rng.random(len(group)) < rate[group]
    table = table_of(columns, label, spoil(label, wrong, rng=rng))
    return World(
        name=title,
        table=Table({**table.columns, "writer": Column.number(group)}),
        group="writer",
        outside=float(wrong.mean()),
    )


def _scores(columns: _Columns, title: str, rng: np.random.Generator) -> World:
    n = len(columns["age"])
    label = draw_label(n, classes=2, rng=rng)
    yes = label.levels.index("yes")
    wrong = rng.random(n) < _BASE
    prediction = spoil(label, wrong, rng=rng)
    logit = np.abs(rng.normal(1.5, 1.0, n)) + 0.02
    logit = np.where(prediction.values == yes, logit, -logit)
    p_yes = 1.0 / (1.0 + np.exp(-logit))
    columns["rating"] = Column.number(np.round(100.0 + 20.0 * logit, 2))
    answer = np.where(prediction.values == yes, 1, 0)
    columns["outcome"] = Column(kind="category", values=answer.astype(np.int32), levels=("negative", "positive"))
    table = table_of(columns, label, prediction).with_columns(
        {
            "p_no": Column.number(1.0 - p_yes),
            "p_yes": Column.number(p_yes),
            "loss": Column.number(np.where(label.values == yes, -np.log(p_yes), -np.log1p(-p_yes))),
        }
    )
    return World(name=title, table=table, scores=("p_no", "p_yes"), aside=("rating", "outcome", "loss"), outside=_BASE)


def _few_errors(columns: _Columns, title: str, rng: np.random.Generator) -> World:
    n = len(columns["age"])
    label = draw_label(n, classes=2, rng=rng)
    wrong = np.zeros(n, dtype=bool)
    wrong[rng.choice(n, size=min(5, n), replace=False)] = True
    return World(name=title, table=table_of(columns, label, spoil(label, wrong, rng=rng)), outside=float(wrong.mean()))


def _copies(columns: _Columns, title: str, rng: np.random.Generator) -> World:
    n = len(columns["age"])
    label = draw_label(n, classes=2, rng=rng)
    prediction = spoil(label, rng.random(n) < _BASE, rng=rng)
    # A few rows stand for most of the table: the first rows are copied 1 to 40 times until the table is full.
    times = np.minimum(40, 1 + rng.geometric(0.3, n))
    unit = np.repeat(np.arange(n), times)[:n]
    unit = unit[rng.permutation(n)]
    table = table_of(columns, label, prediction).take(unit)
    return World(name=title, table=table, outside=_BASE, unit=unit.astype(np.int64))


def _regression(columns: _Columns, title: str, rng: np.random.Generator) -> World:
    n = len(columns["age"])
    target = 50.0 + 10.0 * rng.standard_normal(n)
    columns["hours"] = Column.number(np.round(target + rng.normal(0, 8.0, n), 2))
    # Heavy tails: a few rows are far off, and a test that leans on a bell would see regions in them.
    prediction = target + rng.standard_t(3, n)
    table = table_of(columns, Column.number(target), Column.number(prediction))
    return World(name=title, table=table, outside=float(np.abs(prediction - target).mean()), regression=True)


_BUILDERS: Mapping[str, Callable[[_Columns, str, np.random.Generator], World]] = {
    "iid": _iid,
    "class mix": _class_mix,
    "group rows": _group_rows,
    "group constants": _group_constants,
    "few groups": _few_groups,
    "scores": _scores,
    "few errors": _few_errors,
    "copies": _copies,
    "regression": _regression,
}
