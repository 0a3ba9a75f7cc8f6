"""Numbers whose sign is a direction in words: 12 degrees of slant lean to the right, minus 12 to the left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from errata.describe.cuts import number_text

if TYPE_CHECKING:
    from errata.ops.measure.attribute import Directions

__all__ = ["directed", "directed_span", "directed_whole"]


def directed(words: Directions, cut: float, *, upper: bool, unit: str = "") -> str:
    """The rows above a cut, or those up to it where `upper`: "slanted to the right by over 12°".

    Rows on both sides of 0 are told by what they are not ("not slanted to the right by over 12°"): naming one side
    would be false of the others, and an "or" would be misread beside the other conditions.
    """
    side = words.positive if cut > 0 or (cut == 0 and not upper) else words.negative
    beyond = cut == 0 or upper == (cut < 0)
    if cut == 0 and upper:
        side, beyond = words.positive, False
    by = f" by over {number_text(abs(cut))}{unit}" if cut else ""
    return f"{'' if beyond else 'not '}{side}{by}"


def directed_span(words: Directions, low: float, high: float, *, unit: str = "") -> str:
    """The rows between two cuts: "slanted to the right by 3 to 12°"."""
    if low < 0 < high:
        near, far = (f"{number_text(abs(end))}{unit}" for end in (low, high))
        return words.across.format(low=near, high=far)
    side, ends = (words.positive, (low, high)) if high > 0 else (words.negative, (-high, -low))
    first, last = (number_text(end) for end in ends)
    return f"{side} by {'up to ' if not ends[0] else f'{first} to '}{last}{unit}"


def directed_whole(words: Directions, least: int | None, most: int | None) -> str:
    """The rows of whole numbers from `least` to `most`, None where that end is open: "... by 2 or more"."""
    if least is None or most is None:
        towards, away = (words.positive, words.negative) if most is None else (words.negative, words.positive)
        end = least if most is None else -most
        assert end is not None, "one end is given"
        if end <= 0:
            return f"not {away}{f' by over {-end}' if end else ''}"
        return f"{towards}{f' by {end} or more' if end > 1 else ''}"
    if least < 0 < most:
        return words.across.format(low=-least, high=most)
    side, near, far = (words.positive, least, most) if most > 0 else (words.negative, -most, -least)
    if not far:
        return words.neither
    if not near:
        return f"{words.neither} or {side} by up to {far}"
    return f"{side} by {near if near == far else f'{near} to {far}'}"
