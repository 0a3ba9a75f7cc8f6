"""Tries a model on a few rows before it is trusted with all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Level
from errata.core.dataset import Dataset
from errata.core.errors import CannotRunError, ErrataError, StoppedError, UsageError
from errata.core.model import Inputs, Model, Output, Task
from errata.engine.labels import Labels, labels_of
from errata.engine.outcome import task_of
from errata.engine.predict import error_words, taken
from errata.engine.remote import Remote

__all__ = ["Trial", "asked_at_the_end", "settle", "try_model"]

ROWS = 64  # enough to tell a right layout from a wrong one, cheap enough for a large network
SINGLES = 6
AGAIN = 4  # rows that are asked twice where each costs a call
PROBES = 8  # rows that are asked once more when everything has been asked
MOVED = 0.02  # scores that move by more are another model's
SLIGHT = 1e-3  # scores of single rows and of batches differ by less in float32 networks
CLEARLY = 4  # standard errors of a paired difference by which another form must be better than the usual one
LEAST_GAIN = 10  # rows by which another order of the classes must be better before it is worth a word


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A model in the form in which it works, and what the user should know about it."""

    model: Model
    caveats: tuple[str, ...] = ()


class _Settled(Protocol):
    @property
    def model(self) -> Model: ...
    @property
    def output(self) -> Output: ...
    @property
    def caveats(self) -> tuple[str, ...]: ...


@runtime_checkable
class _Adapts(Protocol):
    """A model that can take its inputs in several forms and settle how its answers are read."""

    def variants(self, inputs: Inputs) -> Sequence[_Adapts]: ...
    def settled(self, inputs: Inputs, *, levels: Sequence[Level], task: Task | None) -> _Settled: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sample:
    """The rows of the trial."""

    rows: NDArray[np.int64]
    inputs: Inputs
    labels: Labels | None

    def right(self, output: Output, classes: Sequence[Level]) -> NDArray[np.bool_] | None:
        """(b,) bool, true where the model says the label; None where there is nothing to compare."""
        if self.labels is None or output.values is not None:
            return None
        said = _said(output, classes)
        return np.array([s == w and w is not None for s, w in zip(said, self.labels.words, strict=True)])


def try_model(model: Model, dataset: Dataset, *, task: Task | None = None) -> Trial:
    """The model in the form that works on `dataset`, tried on up to 64 rows, with caveats.

    Settled are the layout and range of its inputs, how its answers are read, and which class is which; with labels the
    form that is right clearly more often wins over the usual one. Then the same rows are asked again, and some alone.
    Raises CannotRunError when the model raises on every row, or changes its mind between two calls or with the batch;
    UsageError when its answers cannot be brought together with the labels.
    """
    if dataset.read is None:
        raise UsageError(f"`{dataset.name}` has predictions but nothing to predict from.", hint="leave --model out.")
    if dataset.label is not None:
        task = task_of(dataset.table.column(dataset.label), asked=task, model=model.spec)
    working = _working(model, dataset, task)
    sample, settled = working.sample, working.settled
    right = sample.right(settled.output, settled.model.spec.classes)
    caveats = [*working.how, *settled.caveats]
    caveats += _asked_again(settled, sample, dataset)
    caveats += _asked_alone(settled, sample, dataset)
    caveats += _order_of_classes(settled, sample, right)
    return Trial(model=settled.model, caveats=tuple(caveats))


def settle(model: Model, inputs: Inputs, *, levels: Sequence[Level], task: Task | None) -> Model:
    """The model with the reading of its answers settled, without the questions of a trial."""
    return model.settled(inputs, levels=levels, task=task).model if isinstance(model, _Adapts) else model


@dataclass(frozen=True, kw_only=True, eq=False)
class _AsIs:
    """A model of the user's own class: it is taken at its word."""

    model: Model
    output: Output
    caveats: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class _Working:
    sample: _Sample
    settled: _Settled
    how: tuple[str, ...]


def _working(model: Model, dataset: Dataset, task: Task | None) -> _Working:
    """The form of the model that works, on the largest part of the sample on which any does."""
    chosen = _rows(dataset, model.trial_rows if isinstance(model, Remote) else ROWS)
    first_error: Exception | None = None
    # One row that the model cannot take must not keep it from being tried: smaller parts follow.
    for part in (chosen, *np.array_split(chosen, 8), *np.array_split(chosen[:4], 4)):
        if not len(part):
            continue
        sample = _sample(dataset, part, task)
        attempts = _attempts(model, sample, task)
        good = [attempt for attempt in attempts if not isinstance(attempt.result, Exception)]
        if good:
            best = _best(good, sample)
            if first_error is None:
                return best
            said = " ".join(str(first_error).partition("\n")[0].split())[:200]
            how = f"The model failed on the {len(chosen)} rows of a trial together ({said}), not on {len(part)}."
            return replace(best, how=(*best.how, how))
        first_error = first_error or next(a.result for a in attempts if isinstance(a.result, Exception))
        if isinstance(first_error, UsageError | StoppedError):
            raise first_error
    if isinstance(first_error, ErrataError):
        raise first_error
    identifier = dataset.ids(chosen[:1])[0]
    raise CannotRunError(
        f"The model `{model.spec.name}` raised on every row it was tried on, first on row `{identifier}`: "
        f"{type(first_error).__name__}: {' '.join(str(first_error).split())[:600]}",
        hint=f"it was given {_shape_words(_sample(dataset, chosen[:1], task).inputs)}; does it expect something else?",
    ) from first_error


@dataclass(frozen=True, kw_only=True, eq=False)
class _Attempt:
    variant: Any
    result: Any

    @property
    def words(self) -> str:
        form = getattr(self.variant, "form", None)
        return str(getattr(form, "words", ""))

    def told(self, *, beside: _Attempt) -> str:
        """How inputs are given, the layout only where it differs from that of another attempt."""
        layout = f"laid out {self.layout}" if self.layout != beside.layout else ""
        return ", ".join(part for part in (self.words or "with their values unchanged", layout) if part)

    @property
    def layout(self) -> str:
        form = getattr(self.variant, "form", None)
        return str(getattr(form, "layout", ""))


def _attempts(model: Model, sample: _Sample, task: Task | None) -> list[_Attempt]:
    levels = sample.labels.levels if sample.labels is not None else ()
    if not isinstance(model, _Adapts):
        try:
            return [_Attempt(variant=model, result=_AsIs(model=model, output=model.predict(sample.inputs)))]
        except Exception as error:
            return [_Attempt(variant=model, result=error)]
    attempts: list[_Attempt] = []
    tried = False
    try:
        variants = model.variants(sample.inputs)
    except UsageError:
        raise
    except Exception as error:
        return [_Attempt(variant=model, result=error)]
    for variant in variants:
        if tried:
            break
        try:
            result: Any = variant.settled(sample.inputs, levels=levels, task=task)
            tried = _cannot_be_beaten(sample, result)
        except Exception as error:
            result = error
        attempts.append(_Attempt(variant=variant, result=result))
    return attempts


def _cannot_be_beaten(sample: _Sample, settled: _Settled) -> bool:
    """Whether no other form could be clearly better: there is nothing to compare by, or too few rows are wrong.

    A frame of another library gives the same answers, so for frames the first form that works is enough.
    """
    right = sample.right(settled.output, settled.model.spec.classes)
    return right is None or not isinstance(sample.inputs, np.ndarray) or int((~right).sum()) < CLEARLY**2


def _best(good: Sequence[_Attempt], sample: _Sample) -> _Working:
    """The first form that works, unless the labels speak clearly for another; then the one that is right most often."""
    first = good[0]
    first_right = sample.right(first.result.output, first.result.model.spec.classes)
    best, best_right = first, first_right
    for attempt in good[1:]:
        right = sample.right(attempt.result.output, attempt.result.model.spec.classes)
        if right is None or first_right is None or best_right is None:
            break
        won, lost = int((right & ~first_right).sum()), int((first_right & ~right).sum())
        clearly = won > lost and won - lost >= CLEARLY * np.sqrt(won + lost)
        if clearly and right.sum() > best_right.sum():
            best, best_right = attempt, right
    how: tuple[str, ...] = ()
    if best is not first and first_right is not None and best_right is not None:
        how = (
            f"The model is given its inputs {best.told(beside=first)}, because it is then right on "
            f"{int(best_right.sum())} of {len(sample.rows)} rows of a trial; {first.told(beside=best)} it is right on "
            f"{int(first_right.sum())}.",
        )
    elif best.words:
        how = (f"The model is given its inputs {best.words}.",)
    return _Working(sample=sample, settled=best.result, how=how)


def asked_at_the_end(model: Model, dataset: Dataset, output: Output, answered: NDArray[np.bool_]) -> tuple[str, ...]:
    """Ask a model behind a network about a few rows once more, when it has been asked about all of them.

    output    what it said of every row
    answered  (n,) bool, false where it gave no answer
    Raises CannotRunError when its answers have changed: then they are those of two models. Gives caveats.
    """
    if not isinstance(model, Remote) or dataset.read is None:
        return ()
    if model.constant:
        return model.remarks()
    rows = np.flatnonzero(answered)
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(PROBES, len(rows))).astype(np.int64))]
    if model.calls_left < (len(rows) if model.alone else 1):
        return (*model.remarks(), "No calls were left to ask at the end whether its answers had changed.")
    try:
        again = model.afresh(dataset.read(rows), occasion="end")
    except StoppedError as error:
        said = str(error).partition("\n")[0]
        return (*model.remarks(), f"It was not asked at the end whether its answers had changed: {said}")
    before = taken(output, rows)
    changed, moved = _changed(before, again, model.spec.classes), _difference(before, again)
    if changed > model.moods * len(rows) or moved > MOVED:
        how = f"{changed} of them" if changed else f"scores, by up to {moved:.2g}"
        raise CannotRunError(
            f"The model `{model.spec.name}` changed while it was asked: {len(rows)} rows were asked again at the end, "
            f"and the answer is another one for {how}.",
            hint="was another model or another order of the classes put there? Its answers are those of two models: "
            "remove the run's folder, and start again.",
        )
    model.found_constant()
    if changed:
        return (*model.remarks(), f"Asked again at the end, it changed {changed} of {len(rows)} answers.")
    return model.remarks()


def _asked_again(settled: _Settled, sample: _Sample, dataset: Dataset) -> list[str]:
    model, before, rows = settled.model, settled.output, len(sample.rows)
    try:
        if isinstance(model, Remote):
            assert dataset.read is not None
            rows = min(rows, AGAIN) if model.alone else rows
            before = taken(before, np.arange(rows))
            again = model.afresh(dataset.read(sample.rows[:rows]), occasion="again")
        else:
            again = model.predict(sample.inputs)
    except StoppedError:
        raise
    except Exception as error:
        raise CannotRunError(
            f"The model `{model.spec.name}` raised when it was asked the same again: {error_words(error)}",
            hint="make it keep nothing from one call to the next.",
        ) from error
    difference = _difference(before, again)
    changed = _changed(before, again, model.spec.classes)
    if changed > (model.moods * rows if isinstance(model, Remote) else 0):
        raise CannotRunError(
            f"The model `{model.spec.name}` changed its mind: asked twice about the same {rows} "
            f"rows it gave another answer for {changed}.",
            hint="switch off what is random in it (dropout, sampling), or fix its seed inside the function.",
        )
    if changed:
        return [f"Asked twice, the model changed {changed} of {rows} answers."]
    if difference > SLIGHT:
        return [f"Asked twice, the model gives slightly different numbers (by up to {difference:.2g})."]
    return []


def _asked_alone(settled: _Settled, sample: _Sample, dataset: Dataset) -> list[str]:
    """Whether single rows get the answers that they get in a batch."""
    model = settled.model
    if len(sample.rows) < 2 or dataset.read is None or (isinstance(model, Remote) and model.alone):
        return []
    some = np.unique(np.linspace(0, len(sample.rows) - 1, SINGLES).astype(int))
    worst, changed = 0.0, 0
    for place in some:
        try:
            inputs = dataset.read(sample.rows[place : place + 1])
            alone = model.afresh(inputs, occasion="alone") if isinstance(model, Remote) else model.predict(inputs)
        except StoppedError:
            raise
        except Exception as error:
            return [f"The model cannot predict a single row ({type(error).__name__}), so it is always given batches."]
        batch = _one(settled.output, int(place))
        worst = max(worst, _difference(batch, alone))
        changed += _changed(batch, alone, settled.model.spec.classes)
    if changed:
        raise CannotRunError(
            f"The model `{settled.model.spec.name}` gives other answers for a row alone than in a batch "
            f"({changed} of {len(some)} rows tried).",
            hint="its answer for a row must not depend on the other rows: is something scaled by the batch's own mean, "
            "or a batch normalisation left in training?",
        )
    if worst > SLIGHT:
        return [f"Single rows and batches get slightly different numbers (by up to {worst:.2g})."]
    return []


def _order_of_classes(settled: _Settled, sample: _Sample, right: NDArray[np.bool_] | None) -> list[str]:
    """A word of warning where another order of the classes would explain the labels far better."""
    if right is None or sample.labels is None or len(right) < 2 * LEAST_GAIN:
        return []
    from scipy.optimize import linear_sum_assignment

    said, words = _said(settled.output, settled.model.spec.classes), sample.labels.words
    classes = list(dict.fromkeys([*settled.model.spec.classes, *said, *(w for w in words if w is not None)]))
    counts = np.zeros((len(classes), len(classes)))
    for one, other in zip(said, words, strict=True):
        if other is not None:
            counts[classes.index(one), classes.index(other)] += 1
    rows, columns = linear_sum_assignment(counts, maximize=True)
    best, now = int(counts[rows, columns].sum()), int(right.sum())
    if best - now < max(LEAST_GAIN, 0.4 * len(right)):
        return _worse_than_guessing(now, words)
    pairs = [(i, j) for i, j in zip(rows, columns, strict=True) if i != j and counts[i, j]]
    moved = [f"`{classes[j]}` where it says `{classes[i]}`" for i, j in pairs]
    return [
        f"The model is right on only {now} of {len(right)} rows of a trial; it would be on {best} if it said "
        f"{', '.join(moved[:4])}. Are its classes in the order of the labels?"
    ]


def _worse_than_guessing(right: int, words: Sequence[Level | None]) -> list[str]:
    most, count = Counter(word for word in words if word is not None).most_common(1)[0]
    if right >= count:
        return []
    return [
        f"The model is right on only {right} of {len(words)} rows of a trial, fewer than always saying `{most}` "
        f"({count}). Are its inputs prepared as in training, and its classes in the order of the labels?"
    ]


def _rows(dataset: Dataset, count: int) -> NDArray[np.int64]:
    """Rows spread over the whole dataset, those with a label first."""
    n = len(dataset)
    if n == 0:
        raise UsageError(f"`{dataset.name}` has no rows.", hint="check the file, or what was filtered out of it.")
    labelled = np.arange(n)
    if dataset.label is not None:
        present = np.flatnonzero(~dataset.table.column(dataset.label).missing())
        labelled = present if len(present) else labelled
    return labelled[np.unique(np.linspace(0, len(labelled) - 1, count).astype(np.int64))]


def _sample(dataset: Dataset, rows: NDArray[np.int64], task: Task | None) -> _Sample:
    assert dataset.read is not None
    labels = None
    if dataset.label is not None and task != "regression":
        labels = labels_of(dataset.table.column(dataset.label)).take(rows)
    return _Sample(rows=rows, inputs=dataset.read(rows), labels=labels)


def _said(output: Output, classes: Sequence[Level]) -> list[Any]:
    if output.labels is not None:
        return list(output.labels.tolist())
    if output.scores is not None:
        return [classes[code] if code < len(classes) else code for code in np.argmax(output.scores, axis=1).tolist()]
    return []


def _difference(one: Output, other: Output) -> float:
    """The largest difference of two outputs in scores, or in values relative to their size."""
    if one.scores is not None and other.scores is not None and one.scores.shape == other.scores.shape:
        return float(np.nanmax(np.abs(one.scores - other.scores), initial=0.0))
    if one.values is not None and other.values is not None and one.values.shape == other.values.shape:
        known = np.isfinite(one.values) & np.isfinite(other.values)
        size = np.maximum(np.abs(one.values[known]), 1e-6)
        return float(np.max(np.abs(one.values[known] - other.values[known]) / size, initial=0.0))
    return 0.0


def _changed(one: Output, other: Output, classes: Sequence[Level]) -> int:
    """In how many rows the answer is another one; where two classes tie within a hair, it is not."""
    if one.values is not None and other.values is not None:
        return int((~np.isclose(one.values, other.values, rtol=0.01, atol=1e-6, equal_nan=True)).sum())
    differs = np.array([a != b for a, b in zip(_said(one, classes), _said(other, classes), strict=True)], dtype=bool)
    if one.scores is not None and one.labels is None and one.scores.shape[1] > 1:
        ranked = np.sort(one.scores, axis=1)
        differs &= ~(ranked[:, -1] - ranked[:, -2] < SLIGHT)
    return int(differs.sum())


def _one(output: Output, row: int) -> Output:
    return taken(output, np.array([row]))


def _shape_words(inputs: Inputs) -> str:
    if isinstance(inputs, np.ndarray):
        return f"arrays of shape {tuple(inputs.shape[1:])} and type {inputs.dtype}"
    if isinstance(inputs, list):
        return "a list of texts" if isinstance(inputs[0], str) else "a list of images"
    return f"a `{type(inputs).__module__.partition('.')[0]}` dataframe"
