"""Cuts that people can say: the roundest number between two values."""

from __future__ import annotations

import math
import sys

import numpy as np

from errata.core.columns import Column

__all__ = ["halfway", "round_cut", "round_number", "worded"]

_LARGEST = sys.float_info.max
_PARTS_OF_DAY = (1, 24, 1_440, 86_400)


def round_cut(low: float, high: float, near: float, *, column: Column) -> float:
    """The roundest cut that has rows up to `low` below it and rows from `high` on above it, close to `near`.

    For `x <= cut` and `x > cut`: where `high` itself is the roundest, the cut is the number just under it, which is
    worded as `x < high` (see `worded`). Dates are cut at midnight where one lies between, else at the full hour, minute
    or second.
    """
    low, high = _finite(low), _finite(high)
    if column.kind == "datetime":
        found = _round_moment(low, high, near, column)
    else:
        found = round_number(low, high, near)
    return float(np.nextafter(found, -math.inf)) if found == high else found


def halfway(low: float | np.floating, high: float | np.floating) -> float:
    """A finite number between two values; infinite ones count as the largest numbers there are."""
    return 0.5 * _finite(low) + 0.5 * _finite(high)


def _finite(value: float | np.floating) -> float:
    return min(max(float(value), -_LARGEST), _LARGEST)


def worded(cut: float) -> float | None:
    """The number `c` when the cut stands for "below c": it is the neighbour of a number that is written shorter."""
    # Adding 0 turns minus zero, which lies above the largest negative number, into zero.
    above = float(np.nextafter(cut, math.inf)) + 0.0
    return above if len(repr(above)) + 3 < len(repr(cut)) else None


def _round_moment(low: float, high: float, near: float, column: Column) -> float:
    day = np.array(1, dtype="timedelta64[D]").astype(column.values.dtype.str.replace("M8", "m8")).astype(np.int64)
    for parts in _PARTS_OF_DAY:
        step = int(day) / parts
        # Just under the first moment above: moments are whole units, so no operator needs to change.
        if step >= 1.0 and (found := _multiple(low, high - 1.0, near, step)) is not None:
            return found
    return max(low, float(math.floor(near)))


def round_number(low: float, high: float, near: float) -> float:
    """The number in [low, high] with the fewest decimals, then the most zeros, closest to `near`."""
    if not low < high:
        return low
    top = min(math.floor(math.log10(max(abs(low), abs(high), 1e-300))) + 1, 308)
    for exponent in range(top, top - 18, -1):
        found = _multiple(low, high, near, 10.0**exponent)
        if found is not None:
            # 10.0 ** -3 * 7 carries a rounding error that the shortest text does not have.
            exact = float(f"{found:.{max(0, -exponent)}f}")
            return exact if low <= exact <= high else found
    return min(max(near, low), high)


def _multiple(low: float, high: float, near: float, step: float) -> float | None:
    """The multiple of `step` in [low, high] closest to `near`, None where there is none."""
    first, last = math.ceil(low / step), math.floor(high / step)
    if first > last:
        return None
    found = min(max(round(near / step), first), last) * step
    return found if low <= found <= high else None
