"""Cuts in words: a number or a moment is rounded no further than leaves the same explore rows on each side."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import numpy as np

from errata.core.columns import Column
from errata.describe.numbers import MINUS, number, roundest

__all__ = ["Gap", "bound", "gap", "moment_bound", "number_bound", "number_text", "span"]

SMALL = 10  # counts that people say one by one
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Gap:
    """The nearest values on both sides of a cut (rows <= `below`, rows >= `above`), and the ends of the column.

    None where no row lies on that side: the cut then stays as it is.
    """

    below: float | None = None
    above: float | None = None
    lowest: float | None = None
    highest: float | None = None


def gap(values: np.ndarray, cut: float, *, cut_below: bool) -> Gap:
    """Where a cut lies among values (n,); a value equal to the cut lies below it where `cut_below`."""
    below = values <= cut if cut_below else values < cut
    above = values > cut if cut_below else values >= cut
    if not below.any() or not above.any():
        return Gap()
    return Gap(
        below=float(values[below].max()),
        above=float(values[above].min()),
        lowest=float(values.min()),
        highest=float(values.max()),
    )


def _digits(value: float) -> int:
    """Significant digits that it takes to write a number."""
    return len(repr(abs(value)).replace(".", "").split("e")[0].strip("0")) or 1


def number_text(value: float, *, year: bool = False) -> str:
    """A constant of a rule for people: exact, thousands apart from 10,000 on."""
    if float(value).is_integer() and abs(value) < 1e15:
        whole = int(value)
        text = str(whole) if year or abs(whole) < 10_000 else f"{whole:,}"
        return text.replace("-", MINUS)
    if 1e-5 <= abs(value) < 1e15:
        head, _, tail = f"{value!r}".partition(".")
        grouped = f"{int(head):,}" if abs(value) >= 10_000 else head
        return f"{grouped}.{tail}".replace("-", MINUS) if tail else number(value)
    return repr(float(value)).replace("-", MINUS)


def _inside(near: Gap, cut: float) -> tuple[float, float]:
    """The stretch in which a cut may move without a row changing sides."""
    return (cut, cut) if near.below is None or near.above is None else (near.below, near.above)


def bound(cut: float, near: Gap, *, upper: bool) -> float:
    """The roundest cut that leaves the same rows above it; one under 0 lies above all rows below it where `upper`."""
    found = roundest(*_inside(near, cut), cut)
    # "To the left by over 3°" must not be said of a row that leans by exactly 3°.
    return _roundest_closed(*_inside(near, cut), cut) if upper and found < 0 else found


def number_bound(
    cut: float, near: Gap, *, upper: bool, whole: bool, year: bool = False, unit: str = "", closed: bool | None = None,
    strictly: bool = False,
) -> str:  # fmt: skip
    """A number column's cut in words: rows above it ("over 60"), or those below where `upper` ("60 or less").

    Whole numbers take the rounder of "over 59" and "60 or more", and a single value is named.

    closed    whether the rule takes the cut itself in, said where no row lies on one of its sides; None is as `upper`
    strictly  never "or less": the number lies above every row below the cut
    """
    low, high = _inside(near, cut)
    if low == high and not year:
        text = f"{number_text(cut)}{unit}"
        if upper if closed is None else closed:
            return f"{text} or {'less' if upper else 'more'}"
        return f"{'under' if upper else 'over'} {text}"
    open_at = roundest(low, high, cut)  # low <= it < high: rows above are over it, rows below are it or less
    closed_at = _roundest_closed(low, high, cut)  # low < it <= high: rows above are it or more, rows below are under it
    if year:
        return f"before {number_text(closed_at, year=True)}" if upper else f"after {number_text(open_at, year=True)}"
    if not whole:
        # Both sides of one cut are said with one number, as "over 19.1" and "19.1 or less".
        text = f"{number_text(closed_at if strictly else open_at)}{unit}"
        if not upper:
            return f"over {text}"
        return f"{text} or less" if open_at == near.below and not strictly else f"under {text}"
    only = near.below if upper else near.above
    if only is not None and only == (near.lowest if upper else near.highest):
        return f"is {number_text(only)}{unit}"
    take_open = _digits(open_at) <= _digits(closed_at)
    if not upper and 0 <= open_at < SMALL and _digits(open_at) == _digits(closed_at):
        take_open = False  # "2 or more", not "over 1"
    text = number_text(open_at if take_open else closed_at) + unit
    if upper:
        return f"{text} or less" if take_open else f"under {text}"
    return f"over {text}" if take_open else f"{text} or more"


def _roundest_closed(low: float, high: float, near: float) -> float:
    """As `roundest`, in (low, high]."""
    return -roundest(-high, -low, -near)


def span(lower: tuple[float, Gap], upper: tuple[float, Gap], *, whole: bool, year: bool = False, unit: str = "") -> str:
    """A two-sided range of a number column: "between 30 and 40", both ends included for whole numbers."""
    (low_cut, low_gap), (high_cut, high_gap) = lower, upper
    if whole or year:
        first = _roundest_closed(*_inside(low_gap, low_cut), low_cut)
        last = roundest(*_inside(high_gap, high_cut), high_cut)
    else:
        first = roundest(*_inside(low_gap, low_cut), low_cut)
        last = roundest(*_inside(high_gap, high_cut), high_cut)
    if first == last:
        return f"is {number_text(first, year=year)}{unit}"
    return f"between {number_text(first, year=year)} and {number_text(last, year=year)}{unit}"


Unit = Literal["year", "month", "day", "hour", "minute", "second", "exact"]


def _floored(moment: datetime, unit: Unit) -> datetime:
    if unit == "year":
        return moment.replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0)
    if unit == "month":
        return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    if unit == "day":
        return moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "hour":
        return moment.replace(minute=0, second=0, microsecond=0)
    if unit == "minute":
        return moment.replace(second=0, microsecond=0)
    return moment.replace(microsecond=0) if unit == "second" else moment


def moment_text(moment: datetime, *, whole: bool = True) -> str:
    """A moment for people: "2024" or "March 2024" where it begins one and `whole` allows."""
    midnight = (moment.hour, moment.minute, moment.second, moment.microsecond) == (0, 0, 0, 0)
    if whole and midnight and moment.day == 1:
        return str(moment.year) if moment.month == 1 else f"{_MONTHS[moment.month - 1]} {moment.year}"
    day = f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"
    if midnight:
        return day
    return f"{day}, {moment:%H:%M}" if moment.second == 0 and moment.microsecond == 0 else f"{day}, {moment:%H:%M:%S}"


def round_moment(below: datetime | None, above: datetime | None, cut: datetime) -> datetime:
    """The roundest moment in (below, above]: rows from it on lie above the cut, rows before it below."""
    if above is None or below is None:
        return cut
    units: tuple[Unit, ...] = ("year", "month", "day", "hour", "minute", "second")
    for unit in units:
        start = _floored(above, unit)
        if below < start <= above:
            return start
    return above


def moment_bound(explore: Column, cut: datetime, *, cut_below: bool) -> datetime:
    """The moment at which a datetime column is cut, rounded as the explore rows allow; see `round_moment`."""
    values = explore.values[~explore.missing()].astype("datetime64[us]")
    mark = np.datetime64(cut, "us")
    lower = values[values <= mark] if cut_below else values[values < mark]
    higher = values[values > mark] if cut_below else values[values >= mark]
    below = lower.max().astype(object) if len(lower) else None
    above = higher.min().astype(object) if len(higher) else None
    return round_moment(below, above, cut)


def moment_phrase(start: datetime | None, end: datetime | None) -> str:
    """A stretch of time [start, end) in words: "from March 2024 on", "before 2023", "from March to 30 June 2024"."""
    if start is not None and end is not None:
        last = end - timedelta(days=1) if (end.hour, end.minute, end.second, end.microsecond) == (0, 0, 0, 0) else end
        if last is not end and start.date() == last.date():
            return f"on {moment_text(start, whole=False)}"
        tail = moment_text(last, whole=False) if last is not end else f"before {moment_text(end)}"
        return f"from {moment_text(start, whole=False)} to {tail}"
    if start is not None:
        return f"from {moment_text(start)} on"
    assert end is not None
    return f"before {moment_text(end)}"
