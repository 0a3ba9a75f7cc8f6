"""How the bare arrays that a model gives are read as probabilities, labels or values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Level
from errata.core.errors import CannotRunError, UsageError
from errata.core.model import Model, Output, Task

__all__ = [
    "Answer",
    "Reading",
    "Settled",
    "Understood",
    "as_answer",
    "classes_in_words_of",
    "plain",
    "read",
    "settle",
    "understand",
]

Kind = Literal[
    "probabilities", "unnormalised", "logits", "log-probabilities", "positive-probability", "positive-logit", "labels",
    "values",
]  # fmt: skip

SUM_TOLERANCE = 1e-3  # float16 networks round to about this
RANGE_TOLERANCE = 1e-4

SAID: dict[Kind, str] = {
    "unnormalised": "The model's scores lie between 0 and 1 but do not sum to one; each row was divided by its sum.",
    "log-probabilities": "The model gives logarithms of probabilities; they were exponentiated.",
    "logits": "The model's scores are no probabilities; they are read as logits, and a softmax was applied.",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """What a model gave for a batch of b inputs, unread.

    numbers  (b,) or (b, k) float array, or None
    labels   (b,) array of labels as the model names them, or None
    named    the classes in the order of the columns of `numbers`, where the answer itself says them
    """

    numbers: NDArray[Any] | None = None
    labels: NDArray[Any] | None = None
    named: tuple[Level, ...] = ()

    def __len__(self) -> int:
        array = self.numbers if self.numbers is not None else self.labels
        return 0 if array is None else len(array)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How an Answer becomes an Output, settled once per model.

    classes      in the words of the data, in the order of the scores; () in regression
    named        the same classes as the model names them in its labels
    keep_labels  give the model's own labels beside its scores, because they are not always the likeliest class
    """

    kind: Kind
    classes: tuple[Level, ...] = ()
    named: tuple[Level, ...] = ()
    keep_labels: bool = False

    def output(self, answer: Answer) -> Output:
        """The Output of one batch; raises CannotRunError when the answer has not the settled shape."""
        if self.kind == "labels":
            given = answer.labels if answer.labels is not None else answer.numbers
            return Output(labels=self._labels(_flat(self._present(given))))
        if self.kind == "values":
            return Output(values=np.asarray(_flat(self._present(answer.numbers)), dtype=np.float64))
        scores = self._scores(self._present(answer.numbers))
        labels = self._labels(answer.labels) if self.keep_labels and answer.labels is not None else None
        return Output(scores=scores, labels=labels)

    def _present(self, array: NDArray[Any] | None) -> NDArray[Any]:
        if array is None:
            raise CannotRunError(
                "For this batch the model did not give labels or numbers as it did before.",
                hint="make it give the same kind of answer for every batch.",
            )
        return array

    def _scores(self, numbers: NDArray[Any]) -> NDArray[np.float32]:
        numbers = np.asarray(numbers, dtype=np.float64)
        if self.kind.startswith("positive"):
            positive = _flat(numbers)
            if self.kind == "positive-logit":
                positive = _sigmoid(positive)
            return np.stack([1.0 - positive, positive], axis=1).astype(np.float32)
        if numbers.ndim != 2 or numbers.shape[1] != len(self.classes):
            raise CannotRunError(
                f"The model gave scores of shape `{numbers.shape}`, expected ({len(numbers)}, {len(self.classes)}) "
                "as in the batch before.",
                hint="make it give one row of scores per input, always of the same length.",
            )
        if self.kind == "logits":
            return _softmax(numbers).astype(np.float32)
        if self.kind == "log-probabilities":
            return np.asarray(np.exp(numbers), dtype=np.float32)
        if self.kind == "unnormalised":
            total = numbers.sum(axis=1, keepdims=True)
            return (numbers / np.where(total > 0, total, np.nan)).astype(np.float32)
        return np.asarray(numbers, dtype=np.float32)

    def _labels(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Labels in the words of the data."""
        if not self.named or self.named == self.classes:
            return labels
        words = dict(zip(self.named, self.classes, strict=True))
        return np.array([words.get(plain(label), plain(label)) for label in labels.tolist()])


@dataclass(frozen=True, kw_only=True)
class Understood:
    """A settled reading, the task it serves, and what the user should know about it."""

    reading: Reading
    task: Task
    caveats: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Settled:
    """A model whose answers are understood, what it said of the inputs it was settled on, and what to know about it."""

    model: Model
    output: Output
    caveats: tuple[str, ...] = ()


def read(answer: Answer, reading: Reading | None, *, named: Sequence[Level] = (), task: Task | None) -> Output:
    """What an answer says: as it was settled, or as this batch alone tells where nothing is settled yet."""
    return (reading or understand(answer, named=named, task=task).reading).output(answer)


def settle(
    model: Any, answer: Answer, *, named: Sequence[Level] = (), levels: Sequence[Level], task: Task | None
) -> Settled:
    """A model, one of the records with `spec` and `reading`, with the reading of its answers settled on this one.

    Arguments and errors as for `understand`; the model's own task counts where none is given.
    """
    understood = understand(answer, named=named, levels=levels, task=task or model.spec.task)
    reading = understood.reading
    spec = replace(model.spec, task=understood.task, classes=reading.classes)
    settled = replace(model, spec=spec, reading=reading)
    return Settled(model=settled, output=reading.output(answer), caveats=understood.caveats)


def plain(value: Any) -> Level:
    """A label as a plain Python value; whole floats become integers, and half a surrogate pair a question mark."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int | float | bool):
        return value
    word = str(value)
    return word if word.isascii() else word.encode("utf-8", "replace").decode("utf-8")


def as_answer(raw: Any, rows: int) -> Answer:
    """What a Python function or a network returned for `rows` inputs, as arrays.

    Takes arrays, lists, tensors, series, and frames (whose column names are the classes).
    Raises CannotRunError when it is not one answer per input.
    """
    named: tuple[Level, ...] = ()
    if hasattr(raw, "detach"):  # a torch tensor
        raw = raw.detach().cpu()
        raw = raw.float() if "bfloat16" in str(raw.dtype) else raw
    elif hasattr(raw, "columns") and not isinstance(raw, np.ndarray):
        named = tuple(plain(name) for name in raw.columns)
        raw = raw.to_numpy()
    elif hasattr(raw, "to_numpy"):
        raw = raw.to_numpy()
    array = np.asarray(raw)
    if array.ndim == 0 or len(array) != rows:
        gave = f"an answer of shape `{array.shape}`" if array.ndim else f"`{str(raw)[:60]}`"
        raise CannotRunError(f"The model gave {gave} for {rows} inputs, expected one answer per input.",
                             hint="return an array whose first axis is the inputs.")  # fmt: skip
    array = array.reshape(rows, -1) if array.ndim > 2 and array.size == rows * max(array.shape[1:]) else array
    if array.ndim > 2:
        raise CannotRunError(
            f"The model gave an answer of shape `{array.shape}` for {rows} inputs, expected (n,) or (n, classes).",
            hint="return one number, one label, or one row of scores per input.",
        )
    if array.ndim == 2 and array.shape[1] == 1:
        array, named = array[:, 0], ()
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    if array.dtype == object:
        array = np.array([plain(value) for value in array.ravel().tolist()]).reshape(array.shape)
    if array.dtype.kind in "biuf" and not (array.ndim == 1 and array.dtype.kind == "b"):
        return Answer(numbers=array, named=named)
    return Answer(labels=array)


def understand(
    answer: Answer, *, named: Sequence[Level] = (), levels: Sequence[Level] = (), task: Task | None = None
) -> Understood:
    """How the answers of a model are to be read, judged from one batch.

    named   the classes as the model names them, () when it does not
    levels  the labels of the data, sorted; () when there are none
    Raises UsageError when scores and labels cannot be brought together.
    """
    named = tuple(named) or answer.named
    numbers = answer.numbers
    if task is None:
        whole = numbers is not None and numbers.ndim == 1 and not levels and not np.all(numbers == np.rint(numbers))
        task = "regression" if whole else "classification"
    if task == "regression":
        return _understand_values(answer)
    if numbers is None or (numbers.ndim == 1 and answer.labels is not None):
        return _understand_labels(_flat(answer.labels if answer.labels is not None else np.empty(0)), named, levels)
    if numbers.ndim == 1:
        return _understand_one_number(numbers, named, levels)
    columns = _columns(numbers.shape[1], named, levels)
    kind = _kind_of(numbers)
    caveats = (*columns.caveats, *((SAID[kind],) if kind in SAID else ()))
    keep = answer.labels is not None and _labels_differ(numbers, answer.labels, columns.named)
    if keep:
        caveats += ("The model's own labels are not always the class with the highest score; its labels count.",)
    reading = Reading(kind=kind, classes=columns.classes, named=columns.named, keep_labels=keep)
    return Understood(reading=reading, task="classification", caveats=caveats)


def classes_in_words_of(named: Sequence[Level], levels: Sequence[Level]) -> tuple[Level, ...] | None:
    """The model's classes in the words of the data, unknown ones as they are; None when they share no word.

    1, 1.0, "1" and True are the same class, as are " Yes" and "yes".
    """
    words = {_canonical(level): level for level in levels}
    found = [words.get(_canonical(name)) for name in named]
    if all(word is None for word in found):
        return None
    return tuple(name if word is None else word for name, word in zip(named, found, strict=True))


def _canonical(value: Level) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value).strip().lower()
    if text.endswith(".0") and text[:-2].lstrip("-").isdigit():
        return text[:-2]
    return {"true": "1", "false": "0"}.get(text, text)


def _understand_values(answer: Answer) -> Understood:
    if answer.numbers is None:
        raise UsageError("The model gives labels, and the task is regression.", hint="say --task classification.")
    if answer.numbers.ndim != 1:
        raise UsageError(
            f"The model gives {answer.numbers.shape[1]} numbers per input, and regression expects one.",
            hint="say --task classification if they are scores.",
        )
    return Understood(reading=Reading(kind="values"), task="regression")


def _understand_labels(labels: NDArray[Any], named: tuple[Level, ...], levels: Sequence[Level]) -> Understood:
    seen = named or tuple(sorted({plain(label) for label in labels.tolist()}, key=lambda c: (isinstance(c, str), c)))
    classes = classes_in_words_of(seen, levels)
    if classes is None and levels and seen:
        if len(seen) == len(levels) and named:
            classes, caveats = tuple(levels), (_by_order(seen, levels),)
            return Understood(
                reading=Reading(kind="labels", classes=classes, named=seen), task="classification", caveats=caveats
            )
        raise _strangers(seen, levels)
    # Labels that the trial did not show can still come: the words of the data are the mapping, not a closed list.
    every = (*seen, *(level for level in levels if level not in (classes or ())))
    words = (*(classes or seen), *(level for level in levels if level not in (classes or ())))
    return Understood(reading=Reading(kind="labels", classes=words, named=every), task="classification")


def _understand_one_number(numbers: NDArray[Any], named: tuple[Level, ...], levels: Sequence[Level]) -> Understood:
    values = {plain(value) for value in np.unique(numbers).tolist()}
    whole = bool(np.all(numbers == np.rint(numbers)))
    if whole and (not levels or classes_in_words_of(tuple(values), levels) is not None):
        return _understand_labels(numbers, named, levels)
    count = len(named) or len(levels)
    if whole and values <= set(range(count)) and levels:
        seen = tuple(range(count))
        classes = classes_in_words_of(named, levels) or tuple(levels)
        return Understood(
            reading=Reading(kind="labels", classes=classes, named=seen),
            task="classification",
            caveats=(_by_order(seen, classes),),
        )
    if count != 2:
        raise UsageError(
            f"The model gives one number per input, and the labels have {count} classes ({_some(levels)}).",
            hint="return a label or one score per class, or say --task regression.",
        )
    if not np.isfinite(numbers).any():
        raise CannotRunError(
            "All answers of the trial are NaN or infinite.", hint="check the inputs that the model expects."
        )
    columns = _columns(2, named, levels)
    classes = columns.classes
    if np.nanmin(numbers) >= -RANGE_TOLERANCE and np.nanmax(numbers) <= 1 + RANGE_TOLERANCE:
        kind: Kind = "positive-probability"
        said = f"The model's one number per input is read as the probability of `{classes[1]}`."
    else:
        kind = "positive-logit"
        said = f"The model's one number per input is no probability: it is read as the logit of `{classes[1]}`."
    reading = Reading(kind=kind, classes=classes, named=columns.named)
    return Understood(reading=reading, task="classification", caveats=(*columns.caveats, said))


@dataclass(frozen=True, kw_only=True)
class _Columns:
    classes: tuple[Level, ...]
    named: tuple[Level, ...]
    caveats: tuple[str, ...]


def _columns(k: int, named: tuple[Level, ...], levels: Sequence[Level]) -> _Columns:
    """Which class each of the k columns of scores stands for."""
    if named and len(named) != k:
        raise UsageError(
            f"The model names {len(named)} classes ({_some(named)}) and gives {k} scores per input.",
            hint="this is a defect of the model file.",
        )
    if named:
        classes = classes_in_words_of(named, levels)
        if classes is not None or not levels:
            return _Columns(classes=classes or named, named=named, caveats=())
        if k != len(levels):
            raise _strangers(named, levels)
        return _Columns(classes=tuple(levels), named=named, caveats=(_by_order(named, levels),))
    numbers = tuple(range(k))
    if all(_canonical(level).isdigit() and int(_canonical(level)) < k for level in levels):
        return _Columns(classes=classes_in_words_of(numbers, levels) or numbers, named=numbers, caveats=())
    if len(levels) == k:
        return _Columns(classes=tuple(levels), named=numbers, caveats=(_by_order(numbers, levels),))
    raise UsageError(
        f"The model gives {k} scores per input, and the data have {len(levels)} labels ({_some(levels)}).",
        hint="the scores must be in the order of the sorted labels; is this the right --label?",
    )


def _kind_of(numbers: NDArray[Any]) -> Kind:
    """Probabilities, log-probabilities or logits, judged from a batch of scores (b, k)."""
    finite = np.asarray(numbers[np.isfinite(numbers).all(axis=1)], dtype=np.float64)
    if not len(finite):
        raise CannotRunError(
            "All scores of the trial are NaN or infinite.", hint="check the inputs that the model expects."
        )
    inside = finite.min() >= -RANGE_TOLERANCE and finite.max() <= 1 + RANGE_TOLERANCE
    if inside and np.abs(finite.sum(axis=1) - 1).max() <= SUM_TOLERANCE:
        return "probabilities"
    if inside:
        return "unnormalised"
    if finite.max() <= RANGE_TOLERANCE and np.abs(np.exp(finite).sum(axis=1) - 1).max() <= SUM_TOLERANCE:
        return "log-probabilities"
    return "logits"


def _labels_differ(numbers: NDArray[Any], labels: NDArray[Any], named: tuple[Level, ...]) -> bool:
    """Whether the model's labels are ever not the class of its highest score; ties do not count."""
    likeliest = np.asarray(numbers).argmax(axis=1)
    ranked = np.sort(np.asarray(numbers, dtype=np.float64), axis=1)
    clear = ranked[:, -1] - ranked[:, -2] > 1e-6 if numbers.shape[1] > 1 else np.ones(len(numbers), dtype=bool)
    said = [plain(label) for label in _flat(labels).tolist()]
    return any(bool(clear[i]) and named[likeliest[i]] != said[i] for i in range(len(said)))


def _strangers(named: Sequence[Level], levels: Sequence[Level]) -> UsageError:
    return UsageError(
        f"The model and the data share no class: the model says {_some(named)}, the labels are {_some(levels)}.",
        hint="is this the right --label, and the right model?",
    )


def _by_order(named: Sequence[Level], levels: Sequence[Level]) -> str:
    pairs = ", ".join(f"{name} is `{level}`" for name, level in list(zip(named, levels, strict=False))[:6])
    more = f" and {len(levels) - 6} more" if len(levels) > 6 else ""
    return f"The model's classes are taken in the order of the sorted labels: {pairs}{more}."


def _some(levels: Sequence[Level]) -> str:
    shown = ", ".join(f"`{level}`" for level in list(levels)[:5])
    return shown + (f" and {len(levels) - 5} more" if len(levels) > 5 else "")


def _flat(values: NDArray[Any]) -> NDArray[Any]:
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.special import expit

    return np.asarray(expit(values))


def _softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
