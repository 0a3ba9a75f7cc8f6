"""Cuts that people can say: the roundest number between two values."""

from __future__ import annotations

import math

import numpy as np

from errata.core.columns import Column

__all__ = ["round_cut", "round_number"]

_SECOND = 1_000_000
_STEPS = (86_400 * _SECOND, 3_600 * _SECOND, 60 * _SECOND, _SECOND)


def round_cut(low: float, high: float, near: float, *, column: Column) -> float:
    """A cut `c` with `low <= c < high`, as round as can be, closest to `near` among the equally round.

    Rows with values up to `low` then lie below it, rows from `high` on above. Dates are cut at midnight where one
    lies between, else at the full hour, minute or second.
    """
    if column.kind == "datetime":
        unit = np.datetime_data(column.values.dtype)[0]
        per_microsecond = float(np.timedelta64(1, "us") / np.timedelta64(1, unit)) if unit != "generic" else 1.0
        for step in _STEPS:
            size = step * per_microsecond
            if size >= 1.0 and (found := _multiple(low, high, near, size)) is not None:
                return found
        return float(math.floor(near)) if low <= math.floor(near) else low
    if column.integer:
        low, high = math.floor(low), math.ceil(high)
    return round_number(low, high, near)


def round_number(low: float, high: float, near: float) -> float:
    """The number in [low, high) with the fewest decimals, then the most zeros, closest to `near`."""
    if not low < high:
        return low
    top = math.floor(math.log10(max(abs(low), abs(high), 1e-300))) + 1
    for exponent in range(top, top - 18, -1):
        found = _multiple(low, high, near, 10.0**exponent)
        if found is not None:
            # 10.0 ** -3 * 7 carries a rounding error that the shortest text does not have.
            exact = float(f"{found:.{max(0, -exponent)}f}")
            return exact if low <= exact < high else found
    return near if low <= near < high else low


def _multiple(low: float, high: float, near: float, step: float) -> float | None:
    """The multiple of `step` in [low, high) closest to `near`, None where there is none."""
    first, last = math.ceil(low / step), math.ceil(high / step) - 1
    if first > last:
        return None
    found = min(max(round(near / step), first), last) * step
    return found if low <= found < high else None
