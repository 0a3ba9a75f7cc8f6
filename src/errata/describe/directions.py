"""Numbers whose sign is a direction in words: 12 degrees of slant lean to the right, minus 12 to the left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from errata.describe.cuts import number_text

if TYPE_CHECKING:
    from errata.ops.measure.attribute import Directions

__all__ = ["directed", "directed_span"]


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
