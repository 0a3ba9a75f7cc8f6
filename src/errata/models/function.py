"""Any Python callable, or any object with a `predict`, as a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from errata.core.columns import Level
from errata.core.errors import UsageError
from errata.core.model import Inputs, ModelSpec, Output, Task
from errata.models.form import AS_GIVEN, Form, forms_for, is_frame
from errata.models.reading import Answer, Reading, Settled, as_answer, plain, read, settle

__all__ = ["FunctionModel", "from_function", "from_predictor"]


@dataclass(frozen=True, kw_only=True, eq=False)
class FunctionModel:
    """A function of a batch of inputs that returns labels, values, or scores (b, k).

    It gets what the dataset gives: a dataframe like the user's, or an array (b, ...). The same code can give other
    answers tomorrow, so it has no fingerprint and its predictions are never used in another run.
    """

    spec: ModelSpec
    function: Callable[[Any], Any]
    named: tuple[Level, ...] = ()
    form: Form = AS_GIVEN
    reading: Reading | None = None

    def predict(self, inputs: Inputs) -> Output:
        """The model's output for a batch of inputs."""
        return read(self.answer(inputs), self.reading, named=self.named, task=self.spec.task)

    def answer(self, inputs: Inputs) -> Answer:
        """What the function returned, unread."""
        if is_frame(inputs):
            given = self.form.framed(inputs)
        else:
            given = inputs if self.form == AS_GIVEN or isinstance(inputs, list) else self.form.apply(inputs)
        rows = len(inputs)  # before the function is called: it may drop rows of what it was given
        return as_answer(self.function(given), rows)

    def variants(self, inputs: Inputs) -> Sequence[FunctionModel]:
        """The same function with its inputs in other forms, the most usual first."""
        return [replace(self, form=form) for form in forms_for(inputs, dims=None, dtype="", network=False)]

    def settled(self, inputs: Inputs, *, levels: Sequence[Level] = (), task: Task | None = None) -> Settled:
        """The same function with the reading of its answers settled on these inputs.

        levels  the labels of the data, sorted
        """
        return settle(self, self.answer(inputs), named=self.named, levels=levels, task=task)


def from_function(function: Callable[[Any], Any], *, name: str | None = None) -> FunctionModel:
    """A model from a function of a batch of inputs."""
    if not callable(function):
        raise UsageError(
            f"`{name or function!r}` is a `{type(function).__name__}`, expected a function of a batch of inputs.",
            hint="name a function, a fitted scikit-learn estimator, or a torch module.",
        )
    said = name or getattr(function, "__qualname__", None) or type(function).__name__
    return FunctionModel(spec=ModelSpec(name=str(said), kind="function"), function=function)


def from_predictor(predictor: Any, *, name: str | None = None) -> FunctionModel:
    """A model from an object with `predict_proba` or `predict`, such as a booster, that cannot be trained afresh."""
    classes = tuple(plain(c) for c in np.asarray(getattr(predictor, "classes_", ())).tolist())
    if hasattr(predictor, "predict_proba"):
        function, task = predictor.predict_proba, "classification"
    else:
        function, task = predictor.predict, None
    model = from_function(function, name=name or type(predictor).__name__)
    known: Task | None = "classification" if task else None
    return replace(model, named=classes, spec=replace(model.spec, task=known))
