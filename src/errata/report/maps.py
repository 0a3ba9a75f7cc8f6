"""The map of an embedding: held-out rows as dots, those of the finding apart from the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from errata.core.evidence import Map
from errata.core.finding import Finding
from errata.describe.alike import embedding_words
from errata.describe.numbers import count, percent

__all__ = ["Chart", "charts_of"]

WIDTH, HEIGHT = 200.0, 120.0
_EDGE = 4.0


@dataclass(frozen=True, kw_only=True)
class Chart:
    """SVG paths of dots in a box of `WIDTH` x `HEIGHT`, one for each kind of row, and what it shows in words."""

    title: str
    words: str
    rest_right: str
    rest_wrong: str
    member_right: str
    member_wrong: str


def charts_of(finding: Finding, noun: str) -> tuple[Chart, ...]:
    """Map: the finding's rows in the embedding that its rule reads."""
    size = finding.support.confirm
    return tuple(_chart(item, noun, size=size) for item in finding.evidence if isinstance(item, Map) and item.x)


def _chart(item: Map, noun: str, *, size: int) -> Chart:
    across, up = _placed(item.x, WIDTH), _placed(item.y, HEIGHT)
    kinds = [(member, wrong) for member in (False, True) for wrong in (False, True)]
    paths = {
        kind: "".join(
            f"M{x:.1f} {HEIGHT - y:.1f}h0"
            for x, y, member, wrong in zip(across, up, item.member, item.wrong, strict=True)
            if (member, wrong) == kind
        )
        for kind in kinds
    }
    inside = [wrong for member, wrong in zip(item.member, item.wrong, strict=True) if member]
    outside = [wrong for member, wrong in zip(item.member, item.wrong, strict=True) if not member]
    return Chart(
        title=f"Held-out {noun} by {embedding_words(item.column)}",
        words=f"{count(len(inside))} {'of ' + count(size) + ' ' if size > len(inside) else ''}{noun} of this finding, "
        f"{_share(inside)} of them wrong; "
        f"{count(len(outside))} others, {_share(outside)} wrong.",
        rest_right=paths[False, False], rest_wrong=paths[False, True], member_right=paths[True, False],
        member_wrong=paths[True, True],
    )  # fmt: skip


def _share(wrong: Sequence[bool]) -> str:
    return percent(sum(wrong) / len(wrong)) if wrong else "none"


def _placed(values: Sequence[float], size: float) -> list[float]:
    """Values between the edges of the picture; the outermost hundredth lies on the edge, so that one far row does not
    press all others together."""
    ordered = sorted(values)
    low, high = ordered[len(ordered) // 100], ordered[-1 - len(ordered) // 100]
    span = high - low or 1.0
    return [_EDGE + (size - 2 * _EDGE) * min(max((value - low) / span, 0.0), 1.0) for value in values]
