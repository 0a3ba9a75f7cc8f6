"""Watching the layers of a torch module while it runs, and putting it back as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.errors import CannotRunError, UsageError, nearest
from errata.models.layers import no_layer, pooled

__all__ = ["evaluating", "given_by", "read_by_last"]

After = Callable[[Any, tuple[Any, ...], Any], None]


@contextmanager
def evaluating(module: Any) -> Iterator[None]:
    """The module in evaluation mode; every part goes back to the mode that it had."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


@dataclass(frozen=True, kw_only=True, eq=False)
class _Call:
    """The last call of a layer with weights: the layer, what it read and what it gave."""

    part: Any
    read: Any
    gave: Any


def read_by_last(module: Any, run: Callable[[], Any], *, rows: int, name: str) -> NDArray[np.float32]:
    """(rows, d) what the linear layer that gives the scores reads, while `run` gives the scores.

    That is the last layer with weights whose output is the scores; where none is (something follows it), the last one
    that is as wide as the scores, else the last of all. Raises CannotRunError where no layer with weights is called.
    """
    import torch

    calls: dict[int, _Call] = {}

    def after(part: Any, given: tuple[Any, ...], gave: Any) -> None:
        read = given[0] if given else None
        if not isinstance(read, torch.Tensor) or not isinstance(gave, torch.Tensor):
            return
        if read.ndim > 1 and len(read) == rows and read.is_floating_point():
            width = int(gave.shape[_feature_axis(part, gave.ndim)])
            calls.pop(width, None)  # so that the order is that of the last calls
            calls[width] = _Call(part=part, read=read, gave=gave)

    lookups = torch.nn.Embedding | torch.nn.EmbeddingBag  # what they read are numbers of words
    weighing = [part for part in module.modules() if _weighs(part) and not isinstance(part, lookups)]
    with _hooked(weighing, after):
        scores = run()
    if not calls:
        raise no_layer(name)
    chosen = _giving(list(calls.values()), scores)
    if chosen is None:
        width = int(scores.shape[-1]) if isinstance(scores, torch.Tensor) and scores.ndim > 1 else 1
        chosen = calls.get(width) or list(calls.values())[-1]
    read = _at_the_step(chosen, scores)
    return pooled(_numpy(read), rows, features=_feature_axis(chosen.part, read.ndim))


def given_by(module: Any, layer: str, run: Callable[[], Any], *, rows: int) -> NDArray[np.float32]:
    """(rows, d) what the part of that name gives, the last time that it is called while `run` runs.

    Raises UsageError for a name that the module does not have, CannotRunError where the part is not called.
    """
    import torch

    known = {name: part for name, part in module.named_modules() if name}
    if layer not in known:
        raise UsageError(f"The module has no layer `{layer}`.", hint=nearest(layer, known))
    gifts: list[Any] = []

    def after(part: Any, given: tuple[Any, ...], gave: Any) -> None:  # noqa: ARG001 (torch's own signature)
        gifts[:] = [gave]

    with _hooked([known[layer]], after):
        run()
    first: Any = gifts[0] if gifts else None
    if hasattr(first, "values") and not isinstance(first, torch.Tensor):
        first = next(iter(first.values()))
    if isinstance(first, tuple | list) and first:
        first = first[0]
    if not isinstance(first, torch.Tensor):
        raise CannotRunError(f"The layer `{layer}` gave no array.", hint="name another layer.")
    return pooled(_numpy(first), rows, features=_feature_axis(known[layer], first.ndim))


@contextmanager
def _hooked(parts: Sequence[Any], after: After) -> Iterator[None]:
    handles = [part.register_forward_hook(after) for part in parts]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _giving(calls: Sequence[_Call], scores: Any) -> _Call | None:
    """The latest call whose output is the scores."""
    import torch

    if not isinstance(scores, torch.Tensor):
        return None
    for call in reversed(calls):
        if call.gave.shape == scores.shape and torch.equal(call.gave, scores):
            return call
    return None


def _at_the_step(call: _Call, scores: Any) -> Any:
    """What a layer of sequences read at the step whose output became the scores, (b, d); all steps where none did."""
    import torch

    read, gave = call.read, call.gave
    if read.ndim != 3 or gave.ndim != 3 or not isinstance(scores, torch.Tensor) or scores.ndim != 2:
        return read
    if gave.shape[:2] != read.shape[:2] or gave.shape[2] != scores.shape[1]:
        return read
    taken = (gave == scores[:, None]).all(dim=2)
    if not bool(taken.any(dim=1).all()):
        return read
    return read[torch.arange(len(read), device=read.device), taken.int().argmax(dim=1)]


def _weighs(part: Any) -> bool:
    """Whether a part, which has no parts of its own, multiplies what it reads by weights."""
    return not any(True for _ in part.children()) and any(w.ndim > 1 for w in part.parameters(recurse=False))


def _feature_axis(part: Any, dims: int) -> int:
    """Where the features are: behind the batch in the maps of convolutions, last in vectors and sequences."""
    kind = type(part).__name__
    if "Linear" in kind or "LayerNorm" in kind:
        return -1
    return 1 if dims > 3 or (dims == 3 and any(word in kind for word in ("Conv", "BatchNorm", "Pool"))) else -1


def _numpy(tensor: Any) -> NDArray[Any]:
    plain = tensor.detach().cpu()
    return np.asarray((plain.float() if plain.is_floating_point() else plain).numpy())
