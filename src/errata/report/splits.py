"""The log of Learning to Split: a curve of the gap, a line per outer loop, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from errata.core.diagnosis import Diagnosis
from errata.core.evidence import SplitLog, SplitLoop
from errata.describe.alike import embedding_words
from errata.describe.numbers import MINUS, count, counted, of_unit, percent
from errata.describe.wording import level_text
from errata.report.figures import Tick

__all__ = ["Line", "LoopCurve", "LoopLine", "SplitView", "splits_of"]

MOST_TICKS = 12
_APART = 9.0  # percent of the picture's height between the names at the ends of two lines
_METRICS = {"accuracy": "accuracy", "roc_auc": "ROC-AUC", "macro_f1": "macro F1"}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One of the three lines: an SVG path in a box of 100 x 100, and its name at the right, `at` percent down."""

    name: str
    path: str
    at: float


@dataclass(frozen=True, kw_only=True)
class LoopCurve:
    """Gap, validation and test score by outer loop; the dots are the gaps, `kept` the one of the loop that was kept."""

    lines: tuple[Line, ...]
    dots: tuple[tuple[float, float], ...]
    kept: tuple[float, float] | None
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    words: str


@dataclass(frozen=True, kw_only=True)
class LoopLine:
    """One outer loop as text; `kept` is the one whose split was kept."""

    loop: str
    kept: bool
    gap: str
    validation: str
    test: str
    train_share: str
    test_share: str
    train_labels: str
    test_labels: str


@dataclass(frozen=True, kw_only=True)
class SplitView:
    """One search for a split; without loops there is a verdict alone."""

    read: str
    metric: str
    verdict: str
    systematic: bool
    kept: str
    curve: LoopCurve | None
    loops: tuple[LoopLine, ...]


def splits_of(diagnosis: Diagnosis, noun: str) -> tuple[SplitView, ...]:
    """SplitLog: each search of the run, in its order."""
    return tuple(_view(item, noun) for item in diagnosis.evidence if isinstance(item, SplitLog))


def _view(item: SplitLog, noun: str) -> SplitView:
    return SplitView(
        read=embedding_words(item.column), metric=_METRICS.get(item.metric, item.metric),
        verdict=of_unit(item.words, noun), systematic=item.systematic, kept=_kept(item, noun), curve=_curve(item),
        loops=tuple(_line(loop, item, kept=place == item.best) for place, loop in enumerate(item.loops)),
    )  # fmt: skip


def _best(item: SplitLog) -> SplitLoop | None:
    return item.loops[item.best] if item.best is not None and 0 <= item.best < len(item.loops) else None


def _kept(item: SplitLog, noun: str) -> str:
    """Which loop was kept, in words; "" without loops."""
    best = _best(item)
    if best is None:
        return ""
    gap, validation, test = (_score(value) for value in (best.gap, best.validation, best.test))
    share = percent(sum(best.test_labels) / max(1, sum(best.test_labels) + sum(best.train_labels)))
    tries = f"the largest of {len(item.loops)} tries, so it flatters" if len(item.loops) > 1 else "of one try"
    return (
        f"Loop {best.loop} was kept: gap {gap} = validation {validation} {MINUS} test {test}, with {share} of the "
        f"{noun} on the test side. That gap is {tries}; the verdict does not rest on it."
    )


def _line(loop: SplitLoop, item: SplitLog, *, kept: bool) -> LoopLine:
    train, test = sum(loop.train_labels), sum(loop.test_labels)
    total = max(1, train + test)
    return LoopLine(
        loop=str(loop.loop), kept=kept, gap=_score(loop.gap), validation=_score(loop.validation),
        test=_score(loop.test), train_share=f"{percent(train / total)}, {count(train)}",
        test_share=f"{percent(test / total)}, {count(test)}", train_labels=_labels(item, loop.train_labels),
        test_labels=_labels(item, loop.test_labels),
    )  # fmt: skip


def _labels(item: SplitLog, counts: Sequence[int]) -> str:
    """Rows of each class; classes without one are left out, as in the published log."""
    pairs = zip(item.classes, counts, strict=False)
    return ", ".join(f"{level_text(level)}: {count(rows)}" for level, rows in pairs if rows)


def _score(value: float | None) -> str:
    return "not known" if value is None else f"{value:.2f}".replace("-", MINUS)


def _curve(item: SplitLog) -> LoopCurve | None:
    """The geometry of the log, None where fewer than two loops have a gap."""
    loops = [loop for loop in item.loops if loop.gap is not None]
    if len(loops) < 2:
        return None
    first, last = loops[0].loop, max(loop.loop for loop in loops)
    low = 5.0 * math.floor(min(0.0, *(loop.gap or 0.0 for loop in loops)) / 5.0)

    def x(loop: int) -> float:
        return round(100.0 * (loop - first) / max(1, last - first), 2)

    def y(value: float) -> float:
        return round(100.0 * (100.0 - min(max(value, low), 100.0)) / (100.0 - low), 2)

    named = [("validation", [loop.validation for loop in loops]), ("test", [loop.test for loop in loops]),
             ("gap", [loop.gap for loop in loops])]  # fmt: skip
    paths = []
    for name, values in named:
        known = [(x(loop.loop), y(value)) for loop, value in zip(loops, values, strict=True) if value is not None]
        paths.append((name, "M " + " L ".join(f"{across} {up}" for across, up in known), known[-1][1] if known else 0))
    ends = _apart([end for _, _, end in paths])
    best = _best(item)
    step = max(1, math.ceil((last - first) / MOST_TICKS))
    return LoopCurve(
        lines=tuple(Line(name=name, path=path, at=at) for (name, path, _), at in zip(paths, ends, strict=True)),
        dots=tuple((x(loop.loop), y(loop.gap or 0.0)) for loop in loops),
        kept=None if best is None or best.gap is None else (x(best.loop), y(best.gap)),
        x_ticks=tuple(Tick(at=x(loop), text=str(loop)) for loop in range(first, last + 1, step)),
        y_ticks=tuple(
            Tick(at=y(value), text=f"{value}".replace("-", MINUS)) for value in range(-100, 101, 25) if value >= low
        ),
        words=f"The gap goes from {_score(loops[0].gap)} in loop {first} to {_score(loops[-1].gap)} in loop {last}"
        + ("" if best is None else f"; it is {_score(best.gap)} in loop {best.loop}, which was kept")
        + f", over {counted(len(loops), 'loop')}.",
    )  # fmt: skip


def _apart(places: Sequence[float]) -> list[float]:
    """Places in [0, 100] moved as little as keeps names from lying on each other."""
    order = sorted(range(len(places)), key=lambda at: places[at])
    found = list(places)
    for before, after in pairwise(order):
        found[after] = max(found[after], found[before] + _APART)
    limit = 100.0
    for at in reversed(order):
        found[at] = min(found[at], limit)
        limit = found[at] - _APART
    return [round(place, 2) for place in found]
