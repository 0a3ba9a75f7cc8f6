"""One measured attribute of an image or a text: its name, its words, and the function that measures it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from errata.core.errors import UsageError, nearest

Measured = NDArray[Any]


def float32(values: ArrayLike) -> Measured:
    """Values as a float32 array."""
    return np.asarray(values, dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class Directions:
    """Words of a number whose sign is a direction, so that no cut is told as if all its rows lay on one side of 0.

    `positive` and `negative` continue "images ..." and can be followed by "by over 12°": "slanted to the right".
    `across` is a range around 0, both ends without sign: "slanted between {low} to the left and {high} to the right".
    `neither` is 0 itself, for whole numbers, which often are: "as positive as negative in words".
    """

    positive: str
    negative: str
    across: str
    neither: str = ""


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """What can be measured on an image or a text without a network, and how to say it.

    `high` and `low` continue "images ..." and are followed by a value and the unit: "images brighter than 0.6",
    "images with strokes thinner than 1.4 pixels". `noun` stands where a range is given: "slant between 5 and 12°".
    A number is float32 with NaN where it is undefined; a category is int32 codes into `levels`, -1 where undefined.
    `whole` marks counts, so that a cut at 0.5 can be worded as "at least 1". `directions` replaces `high` and `low`
    where the sign is a direction.
    """

    name: str
    noun: str
    high: str
    low: str
    explanation: str
    measured: Callable[[Any], Measured] = field(repr=False, compare=False)
    unit: str = ""
    kind: Literal["number", "category"] = "number"
    levels: tuple[str, ...] = ()
    whole: bool = False
    directions: Directions | None = None

    @property
    def missing(self) -> Measured:
        """The value of an image on which this attribute is undefined, as an array of shape ()."""
        return np.asarray(-1, np.int32) if self.kind == "category" else np.asarray(np.nan, np.float32)


def signed(
    *, name: str, noun: str, directions: Directions, explanation: str, measured: Callable[[Any], Measured],
    unit: str = "", whole: bool = False,
) -> Attribute:  # fmt: skip
    """An attribute whose sign is a direction."""
    high = f"{directions.positive} by over"
    return Attribute(
        name=name, noun=noun, high=high, low=f"not {high}", explanation=explanation, measured=measured, unit=unit,
        whole=whole, directions=directions,
    )  # fmt: skip


def chosen(names: Sequence[str] | None, known: Mapping[str, Attribute]) -> list[Attribute]:
    """The attributes of these names, all when None; raises UsageError for one that is not known."""
    if names is None:
        return list(known.values())
    for name in names:
        if name not in known:
            raise UsageError(f"There is no measured attribute `{name}`.", hint=nearest(name, known))
    return [known[name] for name in names]
