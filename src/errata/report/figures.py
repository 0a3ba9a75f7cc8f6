"""The geometry of the report's pictures; templates draw them. Places are in percent of the picture's width or height."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from errata.core.columns import Level
from errata.core.diagnosis import Detectable
from errata.core.evidence import Heatmap, TreePath
from errata.core.finding import Finding
from errata.describe.numbers import count, is_rate, number, percent, points

__all__ = ["Bars", "Curve", "Icicle", "bars", "bars_scale", "curve", "heat", "icicle"]

MOST_BINS = 12
MOST_NODES = 63
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


def nice_ceiling(value: float) -> float:
    """The least of 1, 2, 2.5, 5 times a power of ten that is not under `value`."""
    if value <= 0 or not math.isfinite(value):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in _STEPS if step * power >= value * (1 - 1e-9))


@dataclass(frozen=True, kw_only=True)
class Bars:
    """Inside and outside as bars of one scale; `low` to `high` is the interval of the difference, laid on the outside."""

    inside: float
    outside: float
    low: float | None
    high: float | None


def bars_scale(findings: Sequence[Finding]) -> float:
    """The value at the right end of all bars of a run, so that its findings can be compared by eye."""
    ends = [0.0]
    for finding in findings:
        metric = finding.metric
        ends += [value for value in (metric.inside, metric.outside) if value is not None]
    top = nice_ceiling(max(ends) * 1.08)
    return min(top, 1.0) if findings and is_rate(findings[0].metric.name) else top


def bars(finding: Finding, scale: float) -> Bars | None:
    """The bars of one finding, None where nothing was measured."""
    metric = finding.metric
    if metric.inside is None or metric.outside is None:
        return None

    def place(value: float) -> float:
        return round(100.0 * min(max(value / scale, 0.0), 1.0), 2)

    low = high = None
    if metric.interval is not None:
        low, high = (place(metric.outside + end) for end in metric.interval)
    return Bars(inside=place(metric.inside), outside=place(metric.outside), low=low, high=high)


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A mark on an axis."""

    at: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A finding in the curve's picture."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The smallest difference that would have been seen, by the size of a group.

    line, area  SVG paths in a box of 100 x 100
    mark        the point that the words name, None without one
    """

    line: str
    area: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    dots: tuple[Dot, ...]
    mark: Dot | None
    words: str


def curve(
    points_known: Sequence[Detectable], findings: Sequence[Finding], *, metric: str, confirm: int, noun: str
) -> Curve | None:
    """The picture of the detectable differences, with the confirmed findings in it; None with fewer than two points."""
    known = sorted(
        ((point.share, point.difference) for point in points_known if point.difference is not None and point.share > 0)
    )
    if len(known) < 2:
        return None
    rate = is_rate(metric)
    drawn = [(f.support.confirm / confirm, f.metric.difference, f) for f in findings if confirm and f.metric.difference]
    top = nice_ceiling(max([difference for _, difference in known] + [difference for _, difference, _ in drawn]) * 1.05)
    top = min(top, 1.0) if rate else top
    left = math.log(min([share for share, _ in known] + [max(share, 1e-4) for share, _, _ in drawn]))
    right = math.log(max([share for share, _ in known] + [share for share, _, _ in drawn]))

    def x(share: float) -> float:
        return round(100.0 * (math.log(share) - left) / (right - left), 2) if right > left else 50.0

    def y(difference: float) -> float:
        return round(100.0 * (1.0 - min(max(difference / top, 0.0), 1.0)), 2)

    path = " L ".join(f"{x(share)} {y(difference)}" for share, difference in known)
    first, last = x(known[0][0]), x(known[-1][0])
    near = min(known, key=lambda point: abs(math.log(point[0] / 0.05)))
    size = points(near[1]) if rate else number(near[1])
    steps = [top * step / 4 for step in range(5)]
    return Curve(
        line=f"M {path}",
        area=f"M {first} 100 L {path} L {last} 100 Z",
        x_ticks=tuple(Tick(at=x(share), text=percent(share)) for share in _shares(math.exp(left), math.exp(right))),
        y_ticks=tuple(Tick(at=y(step), text=points(step, bare=True) if rate else number(step)) for step in steps),
        dots=tuple(
            Dot(x=x(max(share, 1e-4)), y=y(difference), text=str(place))
            for place, (share, difference, _) in enumerate(drawn, start=1)
        ),
        mark=Dot(x=x(near[0]), y=y(near[1]), text=f"{size} in {percent(near[0])} of the {noun}"),
        words="; ".join(
            f"{percent(share)} of the {noun}: {points(difference) if rate else number(difference)}"
            for share, difference in known
        ),
    )


def _shares(low: float, high: float) -> list[float]:
    return [share for share in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if low * 0.999 <= share <= high * 1.001]


@dataclass(frozen=True, kw_only=True)
class Block:
    """One node of the error tree: `x` and `width` in percent, `depth` in rows, `heat` and `members` in [0, 1]."""

    x: float
    width: float
    depth: int
    heat: float
    members: float
    text: str
    numbers: str
    path: bool


@dataclass(frozen=True, kw_only=True)
class Icicle:
    """The error tree as blocks, a node's width its share of the rows; `path` blocks lead to the finding."""

    blocks: tuple[Block, ...]
    depth: int
    with_members: bool


def icicle(tree: TreePath, *, metric: str) -> Icicle | None:
    """The geometry of an error tree, None for a tree of one node."""
    nodes = {str(node["id"]): node for node in tree.nodes}
    children: dict[str | None, list[str]] = {}
    for key, node in nodes.items():
        parent = None if node.get("parent") is None else str(node["parent"])
        children.setdefault(parent if parent in nodes else None, []).append(key)
    roots = children.get(None, [])
    if len(nodes) < 2 or not roots:
        return None
    highest = max((_rate(node) for node in nodes.values()), default=0.0) or 1.0
    members = _size(nodes[roots[0]], "members")
    blocks: list[Block] = []

    def walk(key: str, x: float, width: float, depth: int) -> None:
        node = nodes[key]
        n, inside = _size(node, "n"), _size(node, "members")
        blocks.append(
            Block(
                x=round(x, 3), width=round(width, 3), depth=depth, heat=round(_rate(node) / highest, 3),
                members=round(inside / n, 3) if n else 0.0, text=str(node.get("text") or "all rows"),
                numbers=_node_numbers(node, metric), path=bool(members) and inside >= 0.5 * members,
            )  # fmt: skip
        )
        at = x
        for child in children.get(key, []):
            share = _size(nodes[child], "n") / n * width if n else 0.0
            if len(blocks) < MOST_NODES:
                walk(child, at, share, depth + 1)
            at += share

    walk(roots[0], 0.0, 100.0, 0)
    return Icicle(blocks=tuple(blocks), depth=max(block.depth for block in blocks) + 1, with_members=members > 0)


def _size(node: Mapping[str, Level | None], name: str) -> float:
    value = node.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def _rate(node: Mapping[str, Level | None]) -> float:
    n = _size(node, "n")
    return _size(node, "wrong") / n if n else 0.0


def _node_numbers(node: Mapping[str, Level | None], metric: str) -> str:
    n = int(_size(node, "n"))
    if is_rate(metric):
        return f"{percent(_rate(node)) if n else 'no rows'}, {count(int(_size(node, 'wrong')))} of {count(n)}"
    return f"{number(_rate(node))} on average, {count(n)} rows"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of a heatmap, or one column of a chart over one feature."""

    x: float
    y: float
    heat: float
    text: str
    words: str
    member: bool


@dataclass(frozen=True, kw_only=True)
class Heat:
    """A metric over one feature (`rows` is empty: a chart of columns) or over two (cells)."""

    columns: tuple[str, ...]
    across: tuple[str, ...]
    down: tuple[str, ...]
    cells: tuple[Cell, ...]
    width: float
    height: float
    overall: float | None
    with_members: bool
    words: str


def heat(evidence: Heatmap, *, metric: str) -> Heat | None:
    """The geometry of a heatmap: the first column goes across, the second down, its least value at the bottom."""
    across = evidence.labels[0]
    down = evidence.labels[1] if len(evidence.labels) > 1 else ("",)
    if not across or len(across) > 4 * MOST_BINS or len(down) > 4 * MOST_BINS:
        return None
    known = [value for value in evidence.value if value is not None]
    if not known:
        return None
    top = max(max(known), 1e-12)
    cells = []
    for place, (value, n) in enumerate(zip(evidence.value, evidence.count, strict=True)):
        column, row = divmod(place, len(down))  # row-major over the labels: the first column's bins come outermost
        text = "" if value is None else percent(value) if is_rate(metric) else number(value, digits=2)
        member = evidence.member[place] if evidence.member is not None else None
        where = across[column] + (f", {evidence.columns[1]} {down[row]}" if len(evidence.columns) > 1 else "")
        cells.append(
            Cell(
                x=round(100.0 * column / len(across), 3), y=round(100.0 * (len(down) - 1 - row) / len(down), 3),
                heat=0.0 if value is None else round(value / top, 3), text=text.removesuffix(" %"),
                words=f"{evidence.columns[0]} {where}: {text or 'no rows'}, {count(n)} rows", member=(member or 0) >= 0.5,
            )  # fmt: skip
        )
    peak = max((cell for cell in cells if cell.text), key=lambda cell: cell.heat)
    return Heat(
        columns=evidence.columns, across=across, down=down if len(evidence.labels) > 1 else (), cells=tuple(cells),
        width=round(100.0 / len(across), 3), height=round(100.0 / len(down), 3),
        overall=None if evidence.overall is None else round(100.0 * (1 - min(evidence.overall / top, 1.0)), 2),
        with_members=evidence.member is not None, words=f"Highest at {peak.words}.",
    )  # fmt: skip
