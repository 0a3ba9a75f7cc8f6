"""Tiny data and tiny models: small enough to read, odd enough to break what is careless."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Column
from errata.core.errors import UsageError, nearest
from errata.testing.drawn import draw_columns, draw_label, spoil, table_of
from errata.testing.world import World

__all__ = ["TINY", "TinyImages", "TinyKind", "tiny_images", "tiny_model", "tiny_table"]

TinyKind = Literal[
    "plain",
    "one class",
    "missing",
    "constant",
    "unicode",
    "all right",
    "all wrong",
    "few rows",
    "many levels",
    "three classes",
]
TINY: tuple[TinyKind, ...] = get_args(TinyKind)
_ROWS = 240


def tiny_table(kind: TinyKind = "plain", *, seed: int = 0) -> World:
    """A table of 240 rows (12 for "few rows") that every method must survive.

    kind  "plain" numbers and categories; "one class" a label with one level; "missing" holes everywhere and one column
          with no value at all; "constant" a number and a category that never change; "unicode" names and levels with
          quotes, spaces and signs from many scripts; "all right" and "all wrong" every prediction is; "many levels" a
          category with as many levels as rows; "three classes" a label with three levels
    """
    if kind not in TINY:
        raise UsageError(f"There is no tiny table `{kind}`.", hint=nearest(kind, TINY))
    rng = np.random.default_rng([seed, 2_000 + TINY.index(kind)])
    n = 12 if kind == "few rows" else _ROWS
    columns = _odd(kind, draw_columns(n, columns=6, rng=rng), rng)
    label = draw_label(n, classes=3 if kind == "three classes" else 2, rng=rng)
    if kind == "one class":
        label = Column(kind="category", values=np.zeros(n, dtype=np.int32), levels=label.levels)
    rate = {"all right": 0.0, "all wrong": 1.0}.get(kind, 0.2)
    prediction = spoil(label, rng.random(n) < rate, rng=rng)
    return World(name=f"tiny {kind}, seed {seed}", table=table_of(columns, label, prediction), outside=rate)


def _odd(kind: str, columns: dict[str, Column], rng: np.random.Generator) -> dict[str, Column]:
    n = len(columns["age"])
    if kind == "missing":
        columns["age"].values[rng.random(n) < 0.3] = np.nan
        columns["city"].values[rng.random(n) < 0.3] = -1
        columns["income"] = Column.number(np.full(n, np.nan))
    elif kind == "constant":
        columns["age"] = Column.number(np.full(n, 40), integer=True)
        columns["city"] = Column(kind="category", values=np.zeros(n, dtype=np.int32), levels=("lima",))
    elif kind == "unicode":
        levels = ('"quoted"', "Öre bro", "it's", "京都", "שלום", "\\", "null")
        codes = rng.integers(0, len(levels), n).astype(np.int32)
        columns["größe in cm"] = columns.pop("age")
        columns["место жительства"] = Column(kind="category", values=codes, levels=levels)
        columns["and"] = columns.pop("hours")
    elif kind == "many levels":
        names = tuple(f"place {code:03d}" for code in range(n))
        columns["city"] = Column(kind="category", values=rng.permutation(n).astype(np.int32), levels=names)
    return columns


@dataclass(frozen=True, kw_only=True, eq=False)
class TinyImages:
    """Drawn shapes with labels.

    images    (n, 16, 16) uint8, bright shapes on a dark ground
    label     (n,) array of words
    members   (n,) bool, the thin ones: where `tiny_model("images")` errs most
    """

    images: NDArray[np.uint8]
    label: NDArray[np.str_]
    members: Bool


def tiny_images(n: int = 200, *, seed: int = 0) -> TinyImages:
    """n pictures of bars and rings of 16 x 16 pixels, a quarter of them drawn thin."""
    rng = np.random.default_rng([seed, 3_000, n])
    ring, thin = rng.random(n) < 0.5, rng.random(n) < 0.25
    rows, columns = np.mgrid[0:16, 0:16]
    images = np.zeros((n, 16, 16), dtype=np.uint8)
    for index in range(n):
        middle = rng.uniform(6.5, 8.5, 2)
        half = 0.8 if thin[index] else 1.8
        across = np.hypot(rows - middle[0], columns - middle[1]) - 5.0 if ring[index] else columns - middle[1]
        inside = (np.abs(across) <= half) & (np.abs(rows - middle[0]) <= 6.5)
        images[index] = np.clip(inside * rng.uniform(150, 250) + rng.normal(10, 6, (16, 16)), 0, 255)
    return TinyImages(images=images, label=np.where(ring, "ring", "bar"), members=thin)


def tiny_model(kind: Literal["table", "images", "regression"] = "table") -> Callable[[Any], NDArray[Any]]:
    """A classifier (or a regressor) as a plain function; deterministic, and wrong on purpose in one place.

    "table"       takes a mapping or frame with columns `age` and `hours`, gives (n, 2) probabilities of no and yes: yes
                  above 45 hours, but never for people older than 70
    "images"      takes (n, 16, 16) images, gives (n, 2) probabilities of bar and ring from the mass beside the middle
    "regression"  takes the same columns, gives (n,) numbers
    """
    return _MODELS[kind]


def _judge_rows(rows: Mapping[str, Any]) -> NDArray[np.float64]:
    age, hours = np.asarray(rows["age"], dtype=np.float64), np.asarray(rows["hours"], dtype=np.float64)
    yes = 1.0 / (1.0 + np.exp(-(hours - 45.0) / 3.0))
    yes = np.where(age > 70, np.minimum(yes, 0.2), yes)
    return np.stack([1.0 - yes, yes], axis=1)


def _judge_images(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    light = np.asarray(images, dtype=np.float64).reshape(len(images), 16, 16) / 255.0
    beside = light[:, :, :4].sum(axis=(1, 2)) + light[:, :, 12:].sum(axis=(1, 2))
    ring = 1.0 / (1.0 + np.exp(-(beside - 24.0) / 4.0))
    return np.stack([1.0 - ring, ring], axis=1)


def _predict_number(rows: Mapping[str, Any]) -> NDArray[np.float64]:
    age, hours = np.asarray(rows["age"], dtype=np.float64), np.asarray(rows["hours"], dtype=np.float64)
    return np.asarray(2.0 * hours + 0.5 * age - np.where(age > 70, 15.0, 0.0))


_MODELS: Mapping[str, Callable[[Any], NDArray[Any]]] = {
    "table": _judge_rows,
    "images": _judge_images,
    "regression": _predict_number,
}
