"""The hardest and the easiest rows of each class with a failure direction, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from errata.core.atoms import Compare
from errata.core.columns import Level
from errata.core.diagnosis import Diagnosis
from errata.core.evidence import Examples, Extremes
from errata.core.rules import Where
from errata.describe.alike import embedding_words
from errata.describe.numbers import count, counted, number, percent, percents
from errata.describe.wording import Wording, capitalised, level_text
from errata.report.examples import ROOM, Album, Side, side_of_rows

__all__ = ["Strip", "Strips", "strips_of"]

_ORDINALS = ("", "", ", second direction", ", third direction")


@dataclass(frozen=True, kw_only=True)
class Strip:
    """One direction of one class: both ends with what is said of them.

    differences  the columns in which the ends differ most, in words; "" where none clearly does
    """

    title: str
    words: str
    hardest: Side
    easiest: Side
    hardest_words: str
    easiest_words: str
    differences: str
    pictures: bool


@dataclass(frozen=True, kw_only=True)
class Strips:
    """The strips of a run in the order of its classes; `left` more are not shown."""

    shown: tuple[Strip, ...]
    left: int
    classes: int


def strips_of(diagnosis: Diagnosis, album: Album, noun: str, *, most: int) -> Strips:
    """Extremes: the clearest `most` directions, in the order of the classes."""
    known = [item for item in diagnosis.evidence if isinstance(item, Extremes) and item.hardest]
    chosen = sorted(range(len(known)), key=lambda at: (known[at].direction > 1, -known[at].score))[:most]
    order = list(dict.fromkeys(item.label for item in known))
    items = sorted((known[at] for at in chosen), key=lambda item: (order.index(item.label), item.direction))
    album.know([name for item in items for name in (*item.hardest, *item.easiest)])
    wording = Wording(diagnosis.evaluation)
    several = len({item.column for item in known}) > 1
    shown = tuple(_strip(item, diagnosis, album, wording, noun, several=several) for item in items)
    return Strips(shown=shown, left=len(known) - len(shown), classes=len({item.label for item in items}))


def _strip(item: Extremes, diagnosis: Diagnosis, album: Album, wording: Wording, noun: str, *, several: bool) -> Strip:
    evidence = Examples(wrong=item.hardest, right=item.easiest, values=item.values)
    hardest, easiest = (
        side_of_rows(ids, (), evidence, album, most=len(ids), room=ROOM) for ids in (item.hardest, item.easiest)
    )
    pictures = any(name in album.pictures for name in item.hardest)
    # What tells the ends apart is said once above them; under each text it would bury the texts.
    names = () if album.text is not None else tuple(
        name for name in _names(item) if name in hardest.names and name in easiest.names
    )  # fmt: skip
    ordinal = _ORDINALS[item.direction] if item.direction < len(_ORDINALS) else f", direction {item.direction}"
    by = f", by {embedding_words(item.column)}" if several else ""
    return Strip(
        title=f"{capitalised(_class_words(item, diagnosis, wording, noun))}{by}{ordinal}",
        words=f"{count(item.wrong)} of {count(item.rows)} wrong; balanced accuracy {percent(item.score)}",
        hardest=replace(hardest, names=names), easiest=replace(easiest, names=names),
        hardest_words=f"Hardest: {_tally(item.hardest, item.hardest_wrong)}",
        easiest_words=f"Easiest: {_tally(item.easiest, item.easiest_wrong)}",
        differences=_differences(item, wording, noun), pictures=pictures,
    )  # fmt: skip


def _names(item: Extremes) -> list[str]:
    """The columns that are known of its rows, those in which the ends differ most first."""
    return list(dict.fromkeys(name for values in item.values.values() for name in values))


def _class_words(item: Extremes, diagnosis: Diagnosis, wording: Wording, noun: str) -> str:
    label = None if diagnosis.evaluation is None else diagnosis.evaluation.dataset.label
    if label is None:
        return f"{noun} labelled {level_text(item.label)}"
    return wording.subject(Where(Compare(label, "=", item.label))).noun


def _tally(ids: Sequence[str], wrong: int) -> str:
    return f"{count(wrong)} of {count(len(ids))} wrong"


def _differences(item: Extremes, wording: Wording, noun: str) -> str:
    """What tells the ends apart: "brightness 0.31 against 0.22"."""
    said = []
    for one in item.differences:
        hardest, easiest = _value(one.get("hardest")), _value(one.get("easiest"))
        if hardest is None or easiest is None:
            continue
        name, level = wording.name(str(one.get("column"))), one.get("level")
        if level is None:
            texts = _pair(hardest, easiest)
        else:
            name = name if isinstance(level, bool) else f"{name} {level_text(level)}"
            texts = percents(hardest, easiest)
        if texts[0] != texts[1]:
            said.append(f"{name} {texts[0]} against {texts[1]}")
    if not said:
        return ""
    return f"The {counted(item.end, noun[:-1])} at the hard end against as many at the easy one: {'; '.join(said)}."


def _pair(first: float, second: float) -> tuple[str, str]:
    """Two numbers with two digits, or three where it takes them to tell the numbers apart."""
    scale = max(abs(first), abs(second))
    two, three = ((number(first, scale=scale, digits=digits), number(second, scale=scale, digits=digits))
                  for digits in (2, 3))  # fmt: skip
    return two if two[0] != two[1] else three


def _value(value: Level | None) -> float | None:
    return float(value) if isinstance(value, int | float) else None
