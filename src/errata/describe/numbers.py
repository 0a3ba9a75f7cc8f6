"""Numbers as a person would write them: never 0 % for something that happened, never 100 % for less than all."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from errata.core.finding import Effect

__all__ = [
    "MINUS", "Shown", "clipped", "count", "counted", "listed", "number", "of_unit", "percent", "points", "roundest",
    "shown", "unit_noun",
]  # fmt: skip

MINUS = "−"
UNKNOWN = "not known"
_RATE_METRICS = ("error", "false-positive", "false-negative")
SMALL_RATE = 0.1  # a decimal of a share under a tenth, or over nine tenths, says something
_DIGITS = 3  # of a loss: what a reader takes in


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The numbers of one effect as words, made once so that title, bar and table agree.

    inside, outside  "58 %" or "1.24"
    difference       "+46 points" or "+0.93"
    interval         "40 to 52 points" or "0.6 to 1.2", None where there is none
    level            "95 %" of the interval
    """

    inside: str
    outside: str
    difference: str
    interval: str | None
    level: str | None


def unit_noun(modality: object) -> str:
    """What one row of the data is, in the plural."""
    return {"image": "images", "text": "texts"}.get(str(modality), "rows")


def of_unit(words: str, noun: str) -> str:
    """Words about rows, said of images or texts; what stands in backticks is somebody's name and stays."""
    if noun == "rows":
        return words
    pieces = re.split(r"(`[^`]*`)", words)
    pieces[::2] = [re.sub(r"\brow(s?)\b", rf"{noun.removesuffix('s')}\1", piece) for piece in pieces[::2]]
    return "".join(pieces)


def is_rate(metric: str) -> bool:
    """True where a metric is a share of rows, false where it is a mean loss."""
    return metric in _RATE_METRICS


def shown(effect: Effect, *, unit: str | None = None) -> Shown:
    """The numbers of an effect as words; rates in percent and points, losses with three digits and `unit`."""
    level = None if effect.interval_level is None else percent(effect.interval_level)
    if not is_rate(effect.name):
        return _shown_loss(effect, level, unit)
    inside, outside = percents(effect.inside, effect.outside)
    difference = UNKNOWN if effect.difference is None else points(effect.difference, signed=True)
    interval = None
    if effect.interval is not None:
        interval = _span(*(points(end, bare=True) for end in effect.interval)) + " points"
    return Shown(inside=inside, outside=outside, difference=difference, interval=interval, level=level)


def _shown_loss(effect: Effect, level: str | None, unit: str | None) -> Shown:
    sizes = [abs(value) for value in (effect.inside, effect.outside) if value]
    step = max(sizes, default=1.0)
    tail = f" {unit}" if unit else ""
    rates = _alike(
        [UNKNOWN if value is None else number(value, scale=step) for value in (effect.inside, effect.outside)]
    )
    inside, outside = (text if text == UNKNOWN else text + tail for text in rates)
    difference = UNKNOWN if effect.difference is None else _signed(number(effect.difference, scale=step)) + tail
    interval = None
    if effect.interval is not None:
        interval = _span(*_alike([number(end, scale=step) for end in effect.interval])) + tail
    return Shown(inside=inside, outside=outside, difference=difference, interval=interval, level=level)


def _alike(texts: Sequence[str]) -> list[str]:
    """Numbers with the same decimals: "0.362" and "0.470"; a plain 0 and what is no decimal number stay."""
    places = max(len(text.partition(".")[2]) for text in texts)
    if not places or any(one in text for text in texts for one in "e∞"):
        return list(texts)
    return [
        text if text in ("0", UNKNOWN) else f"{text}{'' if '.' in text else '.'}".ljust(
            len(text.partition(".")[0]) + 1 + places, "0"
        )
        for text in texts
    ]  # fmt: skip


def _span(low: str, high: str) -> str:
    return f"{low} to {high}"


def _signed(text: str) -> str:
    return text if text.startswith(MINUS) or text == "0" else f"+{text}"


def percent(rate: float | None, *, decimals: int = 0) -> str:
    """A share in [0, 1] as "58 %", with as many decimals as keep it apart from none and from all."""
    if rate is None or not math.isfinite(rate):
        return UNKNOWN
    value = 100.0 * rate
    for places in range(decimals, 3):
        text = f"{value:.{places}f}"
        if (float(text) != 0 or rate == 0) and (float(text) != 100 or rate == 1):
            return f"{_tidy(text)} %"
    return "over 99.99 %" if rate > 0.5 else "under 0.01 %"


def percents(first: float | None, second: float | None) -> tuple[str, str]:
    """Two shares with as many decimals as it takes to tell them apart, the same on both sides where both are small."""
    pair = (percent(first), percent(second))
    if first is None or second is None or not (math.isfinite(first) and math.isfinite(second)) or first == second:
        return pair
    alike = max(first, second) < SMALL_RATE or min(first, second) > 1 - SMALL_RATE
    needed = 1 if alike and abs(first - second) < 0.01 else 0
    for decimals in range(needed, 3):
        pair = (percent(first, decimals=decimals), percent(second, decimals=decimals))
        if pair[0] != pair[1]:
            break
    places = max(_places(text) for text in pair)
    if not places or not (alike or decimals):
        return pair
    return _with_places(first, pair[0], places), _with_places(second, pair[1], places)


def _places(text: str) -> int:
    return len(text.removesuffix(" %").partition(".")[2])


def _with_places(rate: float, text: str, places: int) -> str:
    """A share with a fixed number of decimals; none and all stay as they are."""
    return text if rate in (0.0, 1.0) or text.startswith(("over", "under")) else f"{100 * rate:.{places}f} %"


def points(difference: float, *, signed: bool = False, bare: bool = False) -> str:
    """A difference of shares as "46 points" (percentage points); one decimal under one point.

    signed  with "+" where positive
    bare    the number alone
    """
    value = 100.0 * difference
    text = f"{value:.0f}" if abs(value) >= 0.95 or value == 0 else f"{value:.1f}"
    if float(text) == 0 and value != 0:
        text = f"{math.copysign(0.1, value):.1f}"
    text = text.replace("-", MINUS)
    text = "0" if text in ("0", f"{MINUS}0") else text
    if signed:
        text = _signed(text)
    if bare:
        return text
    return f"{text} point" if text.strip("+" + MINUS) == "1" else f"{text} points"


def number(value: float, *, scale: float | None = None, digits: int = _DIGITS) -> str:
    """A number with `digits` significant digits of `scale` (of itself when None), grouped by thousands."""
    if not math.isfinite(value):
        return UNKNOWN if math.isnan(value) else ("∞" if value > 0 else f"{MINUS}∞")
    size = abs(scale if scale else value)
    if value == 0:
        return "0"
    if size >= 1e15 or size < 1e-6:
        return f"{value:.{digits - 1}e}".replace("-", MINUS)
    places = digits - 1 - math.floor(math.log10(size))
    text = f"{round(value, places):,.{max(0, places)}f}"
    if float(text.replace(",", "")) == 0:
        return number(value, digits=1)  # what is there is never shown as nothing
    return _tidy(text).replace("-", MINUS)


def _tidy(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def count(n: int) -> str:
    """A whole number with thousands set apart: "12,000"."""
    return f"{n:,}".replace("-", MINUS)


def counted(n: int, one: str, many: str | None = None) -> str:
    """A number with its noun: "1 row", "12 rows", "no rows"."""
    plural = f"{one}s" if many is None else many
    return f"no {plural}" if n == 0 else f"{count(n)} {one if n == 1 else plural}"


def listed(items: Sequence[str], *, last: str = "and", most: int | None = None) -> str:
    """Items as a list in a sentence: "a, b and c"; beyond `most` the rest is counted."""
    shown_items = list(items)
    if most is not None and len(shown_items) > most:
        return f"{', '.join(shown_items[: most - 1])} {last} {len(shown_items) - most + 1} more"
    if len(shown_items) < 2:
        return "".join(shown_items)
    return f"{', '.join(shown_items[:-1])} {last} {shown_items[-1]}"


def clipped(text: str, most: int) -> str:
    """A long text cut with a sign that it was."""
    return text if len(text) <= most else text[: most - 1] + "…"


def roundest(low: float, high: float, near: float) -> float:
    """The number in [low, high) with the fewest digits, the one nearest to `near` where several have as few.

    It is what a person would call a cut when no value lies between `low` and `high`.
    """
    if not (math.isfinite(low) and math.isfinite(high)) or low >= high:
        return near
    top = max(abs(low), abs(high))
    start = math.floor(math.log10(top)) if top > 0 else 0
    for power in range(start, start - 17, -1):
        first, last = _multiples(low, high, power)
        if first <= last:
            wanted = round(near / 10.0**power) if power >= 0 else round(near * 10.0**-power)
            return _scaled(min(max(wanted, first), last), power)
    return near


def _multiples(low: float, high: float, power: int) -> tuple[int, int]:
    """The least and greatest k with low <= k * 10^power < high; the products are those that Python prints."""
    guess_low = math.floor(low / 10.0**power if power >= 0 else low * 10.0**-power) - 1
    guess_high = math.ceil(high / 10.0**power if power >= 0 else high * 10.0**-power) + 1
    while _scaled(guess_low, power) < low:
        guess_low += 1
    while _scaled(guess_high, power) >= high:
        guess_high -= 1
    return guess_low, guess_high


def _scaled(k: int, power: int) -> float:
    return float(k * 10**power) if power >= 0 else k / 10**-power
