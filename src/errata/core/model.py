"""A model is anything that predicts; what else it can do is a further protocol that it may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Level

__all__ = ["Embeds", "Inputs", "Model", "ModelSpec", "Output", "Shows", "Task", "Trainable", "Transforms"]

Task = Literal["classification", "regression"]

Inputs = Any
"""A batch as `Dataset.read` gives it: a dataframe of the kind that the user brought, an array (b, ...) of inputs, a
list of b texts, or a list of b images of different sizes."""


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """What is known of a model before it predicts.

    classes      in the order of its scores; () when the model does not say
    fingerprint  hexadecimal hash of its bytes; None when it has none to hash (a Python function)
    """

    name: str
    kind: str
    task: Task | None = None
    classes: tuple[Level, ...] = ()
    fingerprint: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Output:
    """What a model said of one batch of b inputs; a classifier gives scores or at least labels, a regressor values.

    scores  (b, k) float32, probabilities in the order of the classes, or None
    labels  (b,) array of class labels as the model names them, or None when scores say it
    values  (b,) float64, regression
    layer   (b, d) float32, what a layer of the model reads or gives, where it was asked for too
    """

    scores: NDArray[np.float32] | None = None
    labels: NDArray[np.generic] | None = None
    values: NDArray[np.float64] | None = None
    layer: NDArray[np.float32] | None = None


@runtime_checkable
class Model(Protocol):
    """A black box that predicts."""

    @property
    def spec(self) -> ModelSpec: ...

    def predict(self, inputs: Inputs) -> Output: ...


@runtime_checkable
class Trainable(Protocol):
    """A model that can be trained afresh, which is what out-of-fold predictions need."""

    def fit(self, inputs: Inputs, label: NDArray[np.generic], *, seed: int) -> Model: ...


@runtime_checkable
class Transforms(Protocol):
    """A model whose first steps change the inputs: shows the value that its last step saw."""

    def transform(self, inputs: Inputs) -> dict[str, NDArray[np.generic]]: ...


@runtime_checkable
class Embeds(Protocol):
    """A model that shows how it represents its inputs: its own representation may propose, never confirm."""

    def embed(self, inputs: Inputs, layer: str | None = None) -> NDArray[np.float32]:
        """(b, d) what the last linear layer of the classifier reads, or what the layer of that name gives.

        Raises UsageError for a layer that is not there, CannotRunError where no such layer can be found.
        """
        ...


@runtime_checkable
class Shows(Embeds, Protocol):
    """A model that shows its representation in the run that predicts, so that one pass over the rows is enough."""

    def showing(self, inputs: Inputs, layer: str | None = None) -> Output:
        """What `predict` says, with `layer` filled by what `embed` gives, from one run of the model; raises as they do.

        The answers are those of `predict`, which is what runs where nobody reads the layer; up to rounding where a
        named layer would else be fused with another.
        """
        ...
