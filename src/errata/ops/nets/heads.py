"""Heads on an embedding: a linear or one-hidden-layer network from (n, p) features to classes, with early stopping."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Int
from errata.core.errors import UsageError, nearest

__all__ = [
    "Head",
    "HeadPredictor",
    "Schedule",
    "as_features",
    "fit_head",
    "forward",
    "frozen",
    "generator_of",
    "own_threads",
    "parameters",
    "schedule_for",
    "start_layers",
    "training",
    "until_no_better",
]

Features = NDArray[np.float32]
Layers = list[tuple[Any, Any]]
"""(weights (p, q), biases (q,)) tensors from the first layer to the last, ReLU between them."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How a head is trained.

    hidden    units of the hidden layers; () is a linear head
    dropout   share of the hidden units that are left out in each step
    rate      step size of Adam; 1e-2 for linear heads and 3e-3 for deeper ones unless given
    decay     weight decay (AdamW)
    batch     rows per step
    steps     steps between two looks at the stopping rows
    epochs    most looks
    patience  looks without a better loss on the stopping rows before it ends
    """

    hidden: tuple[int, ...] = ()
    dropout: float = 0.0
    rate: float | None = None
    decay: float = 1e-4
    batch: int = 256
    steps: int = 20
    epochs: int = 60
    patience: int = 5

    @property
    def step_size(self) -> float:
        """The step size of Adam."""
        if self.rate is not None:
            return self.rate
        return 3e-3 if self.hidden else 1e-2


@dataclass(frozen=True, kw_only=True, eq=False)
class Head:
    """A trained head: its layers as arrays, and what it says of rows.

    layers  ((p, q) weights, (q,) biases) float32 from the first to the last, ReLU between them
    """

    layers: tuple[tuple[Features, Features], ...]

    def logits(self, features: NDArray[Any]) -> NDArray[np.float32]:
        """(n, k) float32 before the softmax."""
        values = np.asarray(features, dtype=np.float32)
        for at, (weights, biases) in enumerate(self.layers):
            values = values @ weights + biases
            if at < len(self.layers) - 1:
                np.maximum(values, 0.0, out=values)
        return values


@contextmanager
def own_threads(count: int = 2) -> Iterator[None]:
    """At most `count` threads of torch; what was set before comes back. Not for methods: the engine tells them."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(count, before)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def training() -> Iterator[None]:
    """Gradients, on the processor: a caller may stand inside `no_grad` or have another default device."""
    import torch

    # Where the default is the processor already, the context would only slow each small operation down, by a third.
    here = nullcontext() if torch.get_default_device().type == "cpu" else torch.device("cpu")
    with torch.enable_grad(), here:
        yield


def as_features(values: NDArray[Any]) -> Any:
    """A float32 tensor of (n, p) features."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def start_layers(sizes: Sequence[int], generator: Any) -> Layers:
    """Layers with random weights (He's scale) that learn; `sizes` are the widths from the input to the output.

    The last layer starts at zero: the first answers are then the same for all rows, whatever the scale of the features.
    """
    import torch

    layers: Layers = []
    for at, (before, after) in enumerate(pairwise(sizes)):
        last = at == len(sizes) - 2
        scale = 0.0 if last else math.sqrt(2.0 / max(before, 1))
        weights = (
            torch.randn(before, after, generator=generator, dtype=torch.float32, device="cpu") * scale
        ).requires_grad_()
        layers.append((weights, torch.zeros(after, dtype=torch.float32, device="cpu").requires_grad_()))
    return layers


def forward(layers: Layers, values: Any, *, dropout: float = 0.0, generator: Any = None) -> Any:
    """(n, k) outputs of the layers; with `dropout`, a share of the hidden units is left out and the rest raised."""
    import torch

    for at, (weights, biases) in enumerate(layers):
        values = torch.addmm(biases, values, weights)
        if at < len(layers) - 1:
            values = torch.relu(values)
            if dropout > 0.0:
                keep = torch.rand(values.shape, generator=generator, dtype=torch.float32) >= dropout
                values = values * keep / (1.0 - dropout)
    return values


def parameters(layers: Layers) -> list[Any]:
    """All tensors of the layers that learn."""
    return [part for layer in layers for part in layer]


def frozen(layers: Layers) -> Head:
    """The layers as a head that no longer learns."""
    return Head(layers=tuple((w.detach().numpy().copy(), b.detach().numpy().copy()) for w, b in layers))


def generator_of(rng: np.random.Generator) -> Any:
    """A torch generator seeded from ours, so that the global one is neither read nor moved."""
    import torch

    return torch.Generator().manual_seed(int(rng.integers(2**62)))


def fit_head(
    features: Any,
    labels: Int,
    *,
    rows: Int,
    stop: Int,
    classes: int,
    schedule: Schedule,
    rng: np.random.Generator,
    weights: NDArray[np.float32] | None = None,
) -> Head:
    """A head trained on `rows` and stopped when the loss on the rows `stop` no longer falls; the best look is kept.

    features  (n, p) float32 tensor, see `as_features`
    labels    (n,) class codes
    weights   (n,) what each row counts in the loss, or None
    """
    import torch
    import torch.nn.functional as functional

    generator = generator_of(rng)
    given = torch.from_numpy(np.asarray(labels, dtype=np.int64))
    worth = None if weights is None else torch.from_numpy(np.asarray(weights, dtype=np.float32))
    own, held = torch.from_numpy(np.asarray(rows)), torch.from_numpy(np.asarray(stop))
    layers = start_layers((features.shape[1], *schedule.hidden, classes), generator)
    adam = torch.optim.AdamW(parameters(layers), lr=schedule.step_size, weight_decay=schedule.decay, fused=True)
    mine, my_labels = features[own], given[own]
    my_worth = None if worth is None else worth[own]
    held_features, held_labels = features[held], given[held]

    def train() -> None:
        for _ in range(schedule.steps):
            if len(own) > schedule.batch:
                picked = torch.randint(len(own), (schedule.batch,), generator=generator)
            else:
                picked = slice(None)
            out = forward(layers, mine[picked], dropout=schedule.dropout, generator=generator)
            loss = functional.cross_entropy(out, my_labels[picked], reduction="none")
            loss = loss.mean() if my_worth is None else (loss * my_worth[picked]).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()

    def look() -> float:
        with torch.no_grad():
            return float(functional.cross_entropy(forward(layers, held_features), held_labels))

    kept: Head = until_no_better(train, look, lambda: frozen(layers), schedule)
    return kept


def until_no_better(
    train: Callable[[], None], look: Callable[[], float], keep: Callable[[], Any], schedule: Schedule
) -> Any:
    """Train until `look` (a loss) has not fallen for `patience` looks; gives what `keep` gave at the best look."""
    best, kept, waited = math.inf, keep(), 0
    for _ in range(schedule.epochs):
        train()
        loss = look()
        if loss < best:
            best, kept, waited = loss, keep(), 0
        else:
            waited += 1
        if waited >= schedule.patience:
            break
    return copy.copy(kept)


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadPredictor:
    """Trains a fresh head each time it is called, and gives its probabilities for all rows.

    features  (n, p) float32
    labels    (n,) class codes
    """

    features: Features
    labels: Int
    classes: int
    schedule: Schedule

    def __call__(self, *, fit: Int, stop: Int, rng: np.random.Generator) -> NDArray[np.float32]:
        """(n, classes) float32 probabilities by a head trained on `fit` and stopped on `stop`."""
        head = fit_head(
            as_features(self.features), self.labels, rows=fit, stop=stop, classes=self.classes,
            schedule=self.schedule, rng=rng,
        )  # fmt: skip
        logits = head.logits(self.features)
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float32)


LINEAR = Schedule(rate=2e-2, decay=1e-3, steps=10, epochs=40, patience=4)
MLP = Schedule(hidden=(128,), steps=10, epochs=40)
"""Ours: on digits both settle well before the last look."""


def schedule_for(predictor: str, *, epochs: int | None = None) -> Schedule:
    """The schedule of "linear" or "mlp"; raises UsageError for another name."""
    known = {"linear": LINEAR, "mlp": MLP}
    if predictor not in known:
        raise UsageError(f"There is no predictor `{predictor}`.", hint=nearest(predictor, known))
    return known[predictor] if epochs is None else replace(known[predictor], epochs=epochs)
