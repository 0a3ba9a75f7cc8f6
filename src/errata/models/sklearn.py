"""Estimators and pipelines of scikit-learn, and what follows its interface: in memory, from `.skops`, from pickles."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Level
from errata.core.errors import CannotRunError, UsageError, require
from errata.core.model import Inputs, ModelSpec, Output, Task
from errata.models import fingerprint
from errata.models.form import AS_GIVEN, Form, columns_of, forms_for, frame_of_texts, is_frame, is_texts, matrix, select
from errata.models.function import FunctionModel, from_predictor
from errata.models.reading import Answer, Reading, Settled, as_answer, plain, read, understand
from errata.models.skops import load_skops

__all__ = ["SklearnModel", "SklearnPipeline", "from_estimator", "from_pickle", "from_skops"]

MOST_SHOWN = 200  # columns of a transformed row that a report can show


@dataclass(frozen=True, kw_only=True, eq=False)
class SklearnModel:
    """An estimator, fitted or not; one that is not can still be judged out of fold."""

    spec: ModelSpec
    estimator: Any
    named: tuple[Level, ...] = ()
    form: Form = AS_GIVEN
    reading: Reading | None = None
    ask_labels: bool = True
    """Whether `predict` is asked besides `predict_proba`; settled on the first inputs."""

    def predict(self, inputs: Inputs) -> Output:
        """The estimator's output for a batch of inputs."""
        return read(self.answer(inputs), self.reading, named=self.named, task=self.spec.task)

    def answer(self, inputs: Inputs) -> Answer:
        """Probabilities and labels, or values, unread."""
        if not self.fitted:
            raise UsageError(
                f"`{self.spec.name}` is not fitted.",
                hint="fit it first, or use out-of-fold predictions (--out-of-fold 5), which train it afresh.",
            )
        given, rows = self._prepared(inputs), len(inputs)
        if not hasattr(self.estimator, "predict_proba"):
            return self._labelled(as_answer(self.estimator.predict(given), rows))
        scores = self.estimator.predict_proba(given)
        if isinstance(scores, list):
            raise UsageError(f"`{self.spec.name}` predicts {len(scores)} labels at once, expected one.",
                             hint="connect one function per label.")  # fmt: skip
        numbers = np.asarray(scores)
        if numbers.ndim != 2 or len(numbers) != rows:
            raise CannotRunError(
                f"`predict_proba` gave shape `{numbers.shape}` for {rows} rows.",
                hint="expected one row of scores each.",
            )
        labels = np.asarray(self.estimator.predict(given)) if self.ask_labels else None
        return Answer(numbers=numbers, labels=labels)

    def variants(self, inputs: Inputs) -> Sequence[SklearnModel]:
        """The same estimator with its inputs in other forms, the most usual first."""
        if is_frame(inputs) or is_texts(inputs):
            return [replace(self, form=form) for form in forms_for(inputs, dims=None, dtype="", network=False)]
        width = getattr(self.estimator, "n_features_in_", None)
        flat = np.asarray(inputs).ndim > 2
        dims: tuple[int | None, ...] | None = (width,) if width is not None and flat else (None,) if flat else None
        return [replace(self, form=form) for form in forms_for(inputs, dims=dims, dtype="", network=False)]

    def settled(self, inputs: Inputs, *, levels: Sequence[Level] = (), task: Task | None = None) -> Settled:
        """The same estimator with the reading of its answers settled on these inputs.

        levels  the labels of the data, sorted
        """
        answer = self.answer(inputs)
        understood = understand(answer, named=self.named, levels=levels, task=task or self.spec.task)
        reading = understood.reading
        spec = replace(self.spec, task=understood.task, classes=reading.classes)
        model = replace(self, spec=spec, reading=reading, ask_labels=reading.keep_labels)
        return Settled(model=model, output=reading.output(answer), caveats=understood.caveats)

    def fit(self, inputs: Inputs, label: NDArray[np.generic], *, seed: int) -> SklearnModel:
        """A clone of the estimator, trained on these inputs; unset random states take the seed."""
        from sklearn.base import clone

        fresh = clone(self.estimator)
        unset = [key for key, value in fresh.get_params(deep=True).items()
                 if key.rpartition("__")[2] == "random_state" and value is None]  # fmt: skip
        fresh.set_params(**dict.fromkeys(unset, seed))
        with _all_cores():
            fresh.fit(self._prepared(inputs), label)
        named = _classes(fresh)
        return replace(
            self, estimator=fresh, named=named, reading=None, ask_labels=True,
            spec=replace(self.spec, classes=named, fingerprint=None),
        )  # fmt: skip

    @property
    def fitted(self) -> bool:
        """Whether the estimator can predict as it is."""
        return is_fitted(self.estimator)

    def _labelled(self, answer: Answer) -> Answer:
        """Numbers that a classifier predicts are labels, not scores."""
        if self.spec.task == "classification" and answer.numbers is not None and answer.numbers.ndim == 1:
            return Answer(labels=answer.numbers)
        return answer

    def _prepared(self, inputs: Inputs) -> Any:
        """The inputs as the estimator takes them: its own columns in its own order, a matrix, or a list of texts."""
        who = f"`{self.spec.name}`"
        if is_texts(inputs):
            column = _text_column(self.estimator)
            if column is None:
                return inputs
            inputs = frame_of_texts(inputs, column)
        if not is_frame(inputs):
            array = self.form.apply(np.asarray(inputs)) if self.form != AS_GIVEN else np.asarray(inputs)
            return array.reshape(len(array), -1) if array.ndim > 2 else array
        names = getattr(self.estimator, "feature_names_in_", None)
        if names is not None:
            return self._framed(select(inputs, [str(name) for name in names], who=who))
        width = getattr(self.estimator, "n_features_in_", None)
        if width is None:  # not fitted yet, or a pipeline that does not say: it gets the frame
            return self._framed(inputs)
        if width != len(columns_of(inputs)):
            raise UsageError(
                f"{who} takes {width} columns, and the data have {len(columns_of(inputs))}.",
                hint="leave the others out with --ignore, or fit the model on a frame, so that it knows their names.",
            )
        return matrix(inputs, who=who)

    def _framed(self, frame: Any) -> Any:
        """The frame as the trial settled it; before that, an Arrow table becomes pandas where it is installed.

        scikit-learn knows no Arrow tables: where nothing else is installed, it gets the matrix of their numbers.
        """
        form = self.form
        if form == AS_GIVEN and _is_arrow(frame):
            form = forms_for(frame, dims=None, dtype="", network=False)[0]
        framed = form.framed(frame)
        return matrix(framed, who=f"`{self.spec.name}` (without pandas or polars)") if _is_arrow(framed) else framed


@dataclass(frozen=True, kw_only=True, eq=False)
class SklearnPipeline(SklearnModel):
    """A pipeline: it can also show the values that its last step saw."""

    def transform(self, inputs: Inputs) -> dict[str, NDArray[np.generic]]:
        """What the last step saw, by column: (b,) arrays; the first 200 columns where there are more."""
        first = self.estimator[:-1]
        if not len(first):
            return {}
        seen = first.transform(self._prepared(inputs))
        if is_frame(seen):
            return {name: np.asarray(seen[name]) for name in columns_of(seen)[:MOST_SHOWN]}
        if hasattr(seen, "toarray"):
            seen = seen[:, :MOST_SHOWN].toarray()
        values = np.asarray(seen).reshape(len(inputs), -1)[:, :MOST_SHOWN]
        names = _names_out(first, np.asarray(seen).shape[1])
        return {name: values[:, place] for place, name in enumerate(names[: values.shape[1]])}


def _text_column(estimator: Any) -> str | None:
    """The one column of a dataframe in which an estimator wants its texts; None where it takes them as a list."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is None and hasattr(estimator, "steps"):
        chosen = [places for _, _, places in getattr(estimator.steps[0][1], "transformers", ())]
        names = list(dict.fromkeys(place for place in chosen if isinstance(place, str)))
    return str(names[0]) if names is not None and len(names) == 1 else None


def _is_arrow(frame: Any) -> bool:
    return type(frame).__module__.startswith("pyarrow")


def from_estimator(estimator: Any, *, name: str | None = None) -> SklearnModel | FunctionModel:
    """A model from an estimator in memory; one that cannot be cloned becomes a plain predictor."""
    if not (hasattr(estimator, "get_params") and hasattr(estimator, "fit")):
        return from_predictor(estimator, name=name)
    named = _classes(estimator)
    spec = ModelSpec(
        name=name or _last_step(estimator),
        kind="scikit-learn",
        task=_task(estimator),
        classes=named,
        fingerprint=fingerprint.of_object(estimator),
    )
    pipeline = hasattr(estimator, "steps") and hasattr(estimator, "__getitem__")
    return (SklearnPipeline if pipeline else SklearnModel)(spec=spec, estimator=estimator, named=named)


def from_skops(path: Path) -> SklearnModel | FunctionModel:
    """A model from a `.skops` file, which holds no code; see `load_skops` for what is trusted and what is checked.

    Raises UsageError for a type that is not trusted and for numbers that would lead compiled code astray.
    """
    model = from_estimator(load_skops(path))
    return replace(model, spec=replace(model.spec, fingerprint=fingerprint.of_file(path)))


def from_pickle(path: Path, *, allow_pickle: bool) -> Any:
    """The object in a pickle or joblib file, which can run any code when it is opened: refused unless allowed.

    Raises UsageError, with nothing of the file executed, when `allow_pickle` is false.
    """
    if not allow_pickle:
        raise UsageError(
            f"`{path}` is a pickle, and opening a pickle can run any code that someone put into it.",
            hint="save the model with `skops.io.dump(model, 'model.skops')`, or add --allow-pickle if you trust it.",
        )
    import pickle  # only for the name of its error

    joblib = require("joblib", feature=f"`{path}`")
    try:
        return joblib.load(path)
    except (pickle.UnpicklingError, ImportError, AttributeError, EOFError, LookupError, OSError, TypeError,
            ValueError) as error:  # fmt: skip
        raise UsageError(
            f"`{path}` could not be opened: {type(error).__name__}: {error}.",
            hint="open it with the package versions that wrote it.",
        ) from error


def is_fitted(estimator: Any) -> bool:
    """Whether an estimator has learned something."""
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    except TypeError:  # follows the interface without being an estimator of scikit-learn
        return True
    return True


def _classes(estimator: Any) -> tuple[Level, ...]:
    # In a pipeline `classes_` is a property that raises before fitting, so hasattr is the question to ask.
    classes = estimator.classes_ if hasattr(estimator, "classes_") else ()
    if isinstance(classes, list):  # several labels at once; `answer` says so
        return ()
    return tuple(plain(value) for value in np.asarray(classes).tolist())


def _task(estimator: Any) -> Task | None:
    from sklearn.base import is_classifier, is_regressor

    try:
        if is_classifier(estimator):
            return "classification"
        if is_regressor(estimator):
            return "regression"
    except (AttributeError, TypeError):  # follows an older interface
        pass
    return "classification" if hasattr(estimator, "predict_proba") else None


def _last_step(estimator: Any) -> str:
    steps = getattr(estimator, "steps", None)
    return type(steps[-1][1]).__name__ if steps else type(estimator).__name__


def _names_out(first: Any, width: int) -> list[str]:
    try:
        return [str(name) for name in first.get_feature_names_out()]
    except (AttributeError, ValueError):
        return [f"column {place + 1}" for place in range(width)]


def _all_cores() -> AbstractContextManager[Any]:
    """Training uses all cores where the estimator leaves the number open; results do not depend on it.

    Predicting does not: a forest adds up its trees in the order in which threads finish, and a tie can then fall
    either way.
    """
    import os

    import joblib

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return joblib.parallel_config(backend="threading", n_jobs=cores) if cores > 1 else nullcontext()
