"""The geometry of the report's pictures; templates draw them. Places are in percent of a picture's width or height."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from errata.core.atoms import And, Test
from errata.core.columns import Level
from errata.core.diagnosis import Detectable
from errata.core.errors import UsageError
from errata.core.evidence import Heatmap, TreePath
from errata.core.finding import Finding
from errata.core.rules import Where
from errata.core.slices import Rule
from errata.describe.numbers import count, counted, is_rate, number, percent, points
from errata.describe.wording import Wording

__all__ = ["Bars", "Curve", "Icicle", "bars", "bars_scale", "curve", "heat", "icicle"]

MOST_BINS = 51  # what a heatmap can have: 50 bins and the missing
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
    """Inside and outside on one scale; `low` to `high` is the interval of the difference, from the outside on."""

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
        (point.share, point.difference) for point in points_known if point.difference is not None and point.share > 0
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
    steps = [top * step / 5 for step in range(6)]
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
class Label:
    """As much of a node's two lines as its block has room for."""

    text: str
    numbers: str


WIDE, NARROW = 1000, 340  # pixels of a tree on a desktop and on a phone
LEAST_LABEL, LEAST_PART = 8, 0.6  # characters of a cut label, and the share of it that must be left to mean something
_PER_CHARACTER = 6.4  # pixels of the labels' type


def _fitted(text: str, numbers: str, width: float, pixels: int) -> Label:
    """A label cut to a block of `width` percent; a number is never cut, its lesser part is left out."""
    room = int((width / 100.0 * pixels - 12) / _PER_CHARACTER)
    short = numbers.partition(", ")[0].removesuffix(" on average")
    shown = numbers if len(numbers) <= room else short if len(short) <= room else ""
    return Label(text=fitted_words(text, room), numbers=shown)


_DANGLING = frozenset({
    "a", "an", "and", "at", "between", "by", "fewer", "in", "is", "less", "more", "not", "of", "on", "or", "over",
    "than", "the", "to", "under", "where", "with",
})  # fmt: skip


def fitted_words(text: str, room: int) -> str:
    """As many whole words as fit, none where too few characters would be left to mean something."""
    if len(text) <= room:
        return text
    words = text[:room].split(" ")[:-1] if room > 0 else []  # the last one is cut, or leaves no room for the dots
    while words and (words[-1].rstrip(",;") in _DANGLING or words[-1][-1:].isdigit()):
        words.pop()
    kept = " ".join(words).rstrip(",;")
    return f"{kept}…" if len(kept) >= max(LEAST_LABEL, LEAST_PART * len(text)) else ""


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
    wide: Label
    narrow: Label
    path: bool


@dataclass(frozen=True, kw_only=True)
class Icicle:
    """The error tree as blocks, a node's width its share of the rows; `path` blocks lead to the finding."""

    blocks: tuple[Block, ...]
    depth: int
    with_members: bool


def icicle(tree: TreePath, *, metric: str, wording: Wording) -> Icicle | None:
    """The geometry of an error tree, None for a tree of one node."""
    nodes = {str(node["id"]): node for node in tree.nodes}
    children: dict[str | None, list[str]] = {}
    for key, node in nodes.items():
        parent = None if node.get("parent") is None else str(node["parent"])
        children.setdefault(parent if parent in nodes else None, []).append(key)
    roots = children.get(None, [])
    if len(nodes) < 2 or not roots:
        return None
    # Three times the overall rate is dark even where no node has it: a tree without a finding stays pale.
    highest = max(*(_rate(node) for node in nodes.values()), 3.0 * _rate(nodes[roots[0]])) or 1.0
    members = _size(nodes[roots[0]], "members")
    blocks: list[Block] = []

    def walk(key: str, x: float, width: float, depth: int) -> None:
        node = nodes[key]
        n, inside = _size(node, "n"), _size(node, "members")
        text, numbers = _step(node, _above(node, nodes), wording), _node_numbers(node, metric)
        blocks.append(
            Block(
                x=round(x, 3),
                width=round(width, 3),
                depth=depth,
                heat=round(_rate(node) / highest, 3),
                members=round(inside / n, 3) if n else 0.0,
                text=text,
                numbers=numbers,
                wide=_fitted(text, numbers, width, WIDE),
                narrow=_fitted(text, numbers, width, NARROW),
                path=bool(members) and inside >= 0.5 * members,
            )
        )
        at = x
        for child in children.get(key, []):
            share = _size(nodes[child], "n") / n * width if n else 0.0
            if len(blocks) < MOST_NODES:
                walk(child, at, share, depth + 1)
            at += share

    walk(roots[0], 0.0, 100.0, 0)
    return Icicle(blocks=tuple(blocks), depth=max(block.depth for block in blocks) + 1, with_members=members > 0)


def _above(node: Mapping[str, Level | None], nodes: Mapping[str, Mapping[str, Level | None]]) -> list[Test]:
    """The steps that lead to a node, without its own."""
    found: list[Test] = []
    parent = nodes.get(str(node.get("parent")))
    while parent is not None and parent.get("parent") is not None and len(found) < MOST_NODES:
        try:
            found.append(Where.parse(str(parent.get("text"))).test)
        except UsageError:
            return []
        parent = nodes.get(str(parent.get("parent")))
    return found


def _step(node: Mapping[str, Level | None], above: Sequence[Test], wording: Wording) -> str:
    """What tells a node from its siblings, in words where it is a rule."""
    text = str(node.get("text") or "all rows")
    if node.get("parent") is None:
        return text.replace("rows", wording.unit_noun)
    try:
        return wording.step(Where.parse(text).test, above)
    except UsageError:
        return text


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
    """A metric over one feature (`down` is empty: a chart of columns) or over two (cells).

    among     the rows counted, in words; "" for all
    unshown   the conditions of the finding's rule that are not drawn, in words
    per_cell  rows in the median cell that has any
    """

    title: str
    columns: tuple[str, ...]
    across: tuple[str, ...]
    down: tuple[str, ...]
    cells: tuple[Cell, ...]
    width: float
    height: float
    with_members: bool
    words: str
    among: str
    unshown: str
    per_cell: int


def heat(evidence: Heatmap, *, wording: Wording, rule: Rule | None = None) -> Heat | None:
    """The geometry of a heatmap: of two columns the first goes down, the second across; None where it is too large.

    rule  the finding's, to say which of its conditions the heatmap does not show
    """
    across, down = evidence.labels[-1], evidence.labels[0] if len(evidence.labels) > 1 else ("",)
    known = [value for value in evidence.value if value is not None]
    if not known or len(across) > MOST_BINS or len(down) > MOST_BINS:
        return None
    top = max(*known, 1e-12)
    columns = tuple(wording.name(name) for name in evidence.columns)
    share = evidence.metric not in _SIZES
    members = evidence.member or (None,) * len(evidence.value)
    cells = []
    for place, (value, n, member) in enumerate(zip(evidence.value, evidence.count, members, strict=True)):
        row, column = divmod(place, len(across))
        text = "" if value is None else percent(value) if share else number(value, digits=2)
        names = (across[column],) if len(evidence.labels) == 1 else (down[row], across[column])
        where = ", ".join(f"{name} {bin_}" for name, bin_ in zip(columns, names, strict=True))
        cells.append(
            Cell(
                x=round(100.0 * column / len(across), 3),
                y=round(100.0 * row / len(down), 3),
                heat=0.0 if value is None else round(max(value, 0.0) / top, 3),
                text=text.removesuffix(" %"),
                words=f"{where}: {text or 'no rows'}, {counted(n, 'row')}",
                member=(member or 0) >= 0.5,
            )
        )
    peak = max((cell for cell in cells if cell.text), key=lambda cell: cell.heat)
    return Heat(
        title=_HEAT_TITLES.get(evidence.metric, evidence.metric),
        columns=columns,
        across=across,
        down=down if len(evidence.labels) > 1 else (),
        cells=tuple(cells),
        width=round(100.0 / len(across), 3),
        height=round(100.0 / len(down), 3),
        with_members=any(cell.member for cell in cells),
        words=f"Highest at {peak.words}.",
        among=wording.subject(Where.parse(evidence.among)).noun if evidence.among else "",
        unshown=_unshown(evidence, wording, rule),
        per_cell=int(median(n for n in evidence.count if n)),
    )


def _unshown(evidence: Heatmap, wording: Wording, rule: Rule | None) -> str:
    """The conditions of a rule on columns that a heatmap does not have, in words."""
    if not isinstance(rule, Where):
        return ""
    drawn = {*evidence.columns, *(Where.parse(evidence.among).columns if evidence.among else ())}
    terms = rule.test.terms if isinstance(rule.test, And) else (rule.test,)
    rest = tuple(term for term in terms if not drawn.issuperset(Where(term).columns))
    return wording.phrase(And(rest) if len(rest) > 1 else rest[0]) if rest else ""


_SIZES = ("loss", "absolute-error", "squared-error", "prediction")
_HEAT_TITLES = {"error": "Percent wrong", "loss": "Mean loss", "absolute-error": "Mean error"}
