"""What a server said of one row, in whatever form it said it: a label, a number, scores, scores by name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from errata.core.columns import Level
from errata.core.errors import CannotRunError
from errata.models.reading import Answer, plain

__all__ = ["NO_CLASS", "REFUSED", "Said", "gathered", "row_said", "rows_said"]

Note = Literal["", "refused", "no class"]
REFUSED, NO_CLASS = "(refused)", "(no class)"
"""What stands for the class where a language model would not answer, or named none."""

_LABELS = ("label", "class", "class_name", "predicted_class", "predicted_label", "prediction", "category", "output")
_SCORES = ("probabilities", "scores", "probability", "predict_proba", "proba", "confidences", "logits")
_NAMES = ("classes", "labels", "class_names", "names")


@dataclass(frozen=True, kw_only=True)
class Said:
    """What was said of one row.

    label   a class, or the only number; may stand beside scores
    scores  one number per class, with `names` where they were named
    failed  why there is no answer; "" when there is one
    note    what a language model did instead of naming a class
    """

    label: Level | None = None
    scores: tuple[float, ...] | None = None
    names: tuple[str, ...] = ()
    failed: str = ""
    note: Note = ""

    def to_plain(self) -> dict[str, Any]:
        """As it is written down."""
        return {name: value for name, value in vars(self).items() if value not in (None, (), "")}

    @classmethod
    def from_plain(cls, stored: Mapping[str, Any]) -> Said:
        """As it was written down; raises KeyError, TypeError or ValueError for anything else."""
        scores = stored.get("scores")
        return cls(
            label=stored.get("label"), scores=None if scores is None else tuple(map(float, scores)),
            names=tuple(map(str, stored.get("names", ()))), failed=str(stored.get("failed", "")),
            note=stored.get("note", ""),
        )  # fmt: skip


def rows_said(values: Any, rows: int) -> list[Said]:
    """What a list of answers says, one per row. Raises ValueError, in words, where it is not one per row."""
    if isinstance(values, Mapping) or not isinstance(values, Sequence | np.ndarray) or isinstance(values, str):
        if rows != 1:
            raise ValueError(f"one answer for {rows} rows")
        return [row_said(values)]
    values = list(values)
    if rows == 1 and len(values) > 1 and _one_row(values):
        return [row_said(values)]
    if len(values) != rows:
        raise ValueError(f"{len(values)} {'answer' if len(values) == 1 else 'answers'} for {rows} rows")
    return [row_said(value) for value in values]


def row_said(value: Any) -> Said:
    """What one answer says: a label, a number, a list of scores, or scores and labels by name."""
    if value is None:
        return Said(failed="it gave null")
    if isinstance(value, Mapping):
        return _named(value)
    if isinstance(value, str | bool | int | float | np.generic):
        return _alone(plain(value))
    if isinstance(value, Sequence | np.ndarray):
        return _several(list(value))
    return Said(failed=f"it gave a {type(value).__name__}")


def gathered(said: Sequence[Said], *, named: Sequence[Level] = ()) -> Answer:
    """The answers for b rows as arrays, scores in the order of `named` where they say their names.

    named  the classes as they came before; scores of other names are refused
    Raises CannotRunError when rows were answered in different ways.
    """
    if all(one.scores is not None for one in said):
        answer = _scores(said, tuple(map(str, named)))
        if answer.numbers is None or any(one.label is None for one in said):
            return answer
        return replace(answer, labels=np.array([plain(one.label) for one in said]))
    if any(one.scores is not None for one in said):
        raise _changed("scores for some rows and a label for others")
    labels = [one.label for one in said]
    if all(isinstance(label, int | float) and not isinstance(label, bool) for label in labels):
        return Answer(numbers=np.asarray(labels))
    return Answer(labels=np.array([plain(label) for label in labels]))


def _scores(said: Sequence[Said], before: tuple[str, ...]) -> Answer:
    first = said[0]
    if not any(one.names for one in said):
        lengths = sorted({len(one.scores or ()) for one in said})
        if len(lengths) > 1:
            raise _changed(f"{lengths[0]} scores for some rows and {lengths[-1]} for others")
        return Answer(numbers=np.array([one.scores for one in said], dtype=np.float64))
    if not all(one.names for one in said):
        raise _changed("the names of the classes for some rows and none for others")
    order = before if before and set(before) == set(first.names) else first.names
    if before and set(before) != set(first.names):
        raise _changed(f"the classes {_some(before)} first, and {_some(first.names)} later")
    if any(set(one.names) != set(order) for one in said):
        if before:
            raise _changed(f"the classes {_some(order)} for some rows and others for the rest")
        # Only the likeliest few were named, which are no scores for all classes.
        return Answer(labels=np.array([one.names[int(np.argmax(one.scores or (0.0,)))] for one in said]))
    rows = [dict(zip(one.names, one.scores or (), strict=True)) for one in said]
    return Answer(numbers=np.array([[row[name] for name in order] for row in rows]), named=tuple(order))


def _named(value: Mapping[str, Any]) -> Said:
    if "error" in value and len(value) == 1:
        return Said(failed=f"it said: {str(value['error'])[:200]}")
    labels = next((value[name] for name in _LABELS if name in value), None)
    scores = next((value[name] for name in _SCORES if name in value), None)
    names = next((value[name] for name in _NAMES if name in value), None)
    if isinstance(scores, Mapping):
        return _several(list(scores.values()), names=_words(scores))
    if isinstance(scores, Sequence) and not isinstance(scores, str) and len(scores) > 1:
        fits = isinstance(names, Sequence) and not isinstance(names, str) and len(names) == len(scores)
        said = _several(list(scores), names=_words(names) if fits and names is not None else ())
        alone = row_said(labels) if labels is not None else Said()
        return said if said.failed or alone.label is None else replace(said, label=alone.label)
    if labels is not None:
        return row_said(labels)
    numbers = [number for number in value.values() if _is_number(number)]
    if numbers and len(numbers) == len(value):
        if len(value) == 1:
            return _alone(plain(numbers[0]))
        return _several(numbers, names=_words(value))
    if len(value) == 1:
        return row_said(next(iter(value.values())))
    return Said(failed=f"it gave an object with {_some(tuple(map(str, value)))}, in which no answer is known")


def _several(values: list[Any], *, names: tuple[str, ...] = ()) -> Said:
    if not values:
        return Said(failed="it gave an empty list")
    if len(values) == 1 and not names:
        return row_said(values[0])
    if all(isinstance(item, Mapping) and "label" in item and "score" in item for item in values):
        if len({str(item["label"]) for item in values}) == len(values):
            return _several([item["score"] for item in values], names=_words(item["label"] for item in values))
        return Said(failed="it gave one label twice")
    if not all(_is_number(item) or item is None for item in values):
        return Said(failed=f"it gave a list that holds `{str(next(v for v in values if not _is_number(v)))[:40]}`")
    if any(_is_vast(item) for item in values):
        return Said(failed="it gave a number too large to be one of its answers")
    scores = tuple(math.nan if item is None else float(item) for item in values)
    if not all(map(math.isfinite, scores)):
        return Said(failed="it gave NaN or an infinite number")
    return Said(scores=scores, names=names)


def _alone(value: Level) -> Said:
    if isinstance(value, float) and not math.isfinite(value):
        return Said(failed="it gave NaN or an infinite number")
    if _is_vast(value):
        return Said(failed="it gave a number too large to be one of its answers")
    return Said(label=value)


def _one_row(values: list[Any]) -> bool:
    """Whether a list is the answer for one row rather than one answer per row."""
    return all(_is_number(item) for item in values) or all(
        isinstance(item, Mapping) and "label" in item and "score" in item for item in values
    )


def _words(names: Iterable[Any]) -> tuple[str, ...]:
    """Names of classes as a file can hold them."""
    return tuple(str(plain(str(name))) for name in names)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _is_vast(value: Any) -> bool:
    """Whether a whole number is more than any array holds; JSON has no limit."""
    return isinstance(value, int) and not -(2**63) <= value < 2**63


def _changed(how: str) -> CannotRunError:
    return CannotRunError(
        f"The endpoint's answers change: it gave {how}.",
        hint="make it give the same kind of answer, for the same classes, to every request.",
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
