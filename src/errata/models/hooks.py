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

__all__ = ["Shown", "evaluating", "given_by", "read_by_last"]

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
class Shown:
    """One run of a module: what it answered, and (rows, d) what a layer of it read or gave on the way."""

    answer: Any
    layer: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Call:
    """The last call of a layer with weights: the layer, what it read and what it gave.

    Large maps are not held, because a batch of them from every layer is a multiple of what the module needs by itself:
    `read` is averaged over the places of a map, and `gave` is None where it is a map, which the scores are not.
    """

    part: Any
    read: Any
    gave: Any


def read_by_last(module: Any, run: Callable[[], Any], *, rows: int, name: str) -> Shown:
    """What the linear layer that gives the scores reads, while `run` gives the scores.

    That is the last layer with weights whose output is the scores; where none is (something follows it), the last one
    that is as wide as the scores, else the last of all. Raises CannotRunError where no layer with weights is called.
    """
    import torch

    calls: dict[int, _Call] = {}

    def after(part: Any, given: tuple[Any, ...], gave: Any) -> None:
        read = given[0] if given else None
        if not isinstance(read, torch.Tensor) or not isinstance(gave, torch.Tensor):
            return
        if read.is_nested or gave.is_nested:  # sequences of different lengths have no shape
            return
        if read.ndim > 1 and len(read) == rows and read.is_floating_point():
            width = int(gave.shape[_feature_axis(part, gave.ndim)])
            calls.pop(width, None)  # so that the order is that of the last calls
            small = gave.ndim < 4 or gave.numel() == rows * width
            calls[width] = _Call(part=part, read=_without_places(part, read), gave=gave if small else None)

    with _hooked(_weighing(module), after):
        scores = run()
    if not calls:
        raise no_layer(name)
    chosen = _giving(list(calls.values()), scores)
    if chosen is None:
        width = int(scores.shape[-1]) if isinstance(scores, torch.Tensor) and scores.ndim > 1 else 1
        chosen = calls.get(width) or list(calls.values())[-1]
    read = _at_the_step(chosen, scores)
    return Shown(answer=scores, layer=pooled(_numpy(read), rows, features=_feature_axis(chosen.part, read.ndim)))


def given_by(module: Any, layer: str, run: Callable[[], Any], *, rows: int) -> Shown:
    """What the part of that name gives, the last time that it is called while `run` gives the scores.

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
        scores = run()
    first: Any = gifts[0] if gifts else None
    if hasattr(first, "values") and not isinstance(first, torch.Tensor):
        first = next(iter(first.values()))
    if isinstance(first, tuple | list) and first:
        first = first[0]
    if not isinstance(first, torch.Tensor):
        raise CannotRunError(f"The layer `{layer}` gave no array.", hint="name another layer.")
    return Shown(answer=scores, layer=pooled(_numpy(first), rows, features=_feature_axis(known[layer], first.ndim)))


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
        if call.gave is not None and call.gave.shape == scores.shape and torch.equal(call.gave, scores):
            return call
    return None


def _at_the_step(call: _Call, scores: Any) -> Any:
    """What a layer of sequences read at the step whose output became the scores, (b, d); all steps where none did."""
    import torch

    read, gave = call.read, call.gave
    if read.ndim != 3 or gave is None or gave.ndim != 3 or not isinstance(scores, torch.Tensor) or scores.ndim != 2:
        return read
    if gave.shape[:2] != read.shape[:2] or gave.shape[2] != scores.shape[1]:
        return read
    taken = (gave == scores[:, None]).all(dim=2)
    if not bool(taken.any(dim=1).all()):
        return read
    return read[torch.arange(len(read), device=read.device), taken.int().argmax(dim=1)]


def _weighing(module: Any) -> list[Any]:
    """The parts that weigh what they read, those within torch's own transformer blocks only where there are no others.

    A block whose parts are watched takes another way through its arithmetic, and answers are to be those of `predict`.
    """
    import torch

    lookups = torch.nn.Embedding | torch.nn.EmbeddingBag  # what they read are numbers of words
    blocks = torch.nn.TransformerEncoderLayer | torch.nn.MultiheadAttention
    within = {id(part) for block in module.modules() if isinstance(block, blocks) for part in block.modules()}
    weighing = [part for part in module.modules() if _weighs(part) and not isinstance(part, lookups)]
    return [part for part in weighing if id(part) not in within] or weighing


def _weighs(part: Any) -> bool:
    """Whether a part, which has no parts of its own, multiplies what it reads by weights."""
    return not any(True for _ in part.children()) and any(w.ndim > 1 for w in part.parameters(recurse=False))


def _feature_axis(part: Any, dims: int) -> int:
    """Where the features are: behind the batch in the maps of convolutions, last in vectors and sequences."""
    kind = type(part).__name__
    if "Linear" in kind or "LayerNorm" in kind:
        return -1
    return 1 if dims > 3 or (dims == 3 and any(word in kind for word in ("Conv", "BatchNorm", "Pool"))) else -1


def _without_places(part: Any, read: Any) -> Any:
    """(b, d) from maps (b, d, h, w), with the features where the part has them; vectors and sequences as they are."""
    import torch

    if read.ndim < 4:
        return read
    features = _feature_axis(part, read.ndim) % read.ndim
    places = [axis for axis in range(1, read.ndim) if axis != features]
    return read.mean(dim=places, dtype=torch.float32)


def _numpy(tensor: Any) -> NDArray[Any]:
    plain = tensor.detach().cpu()
    return np.asarray((plain.float() if plain.is_floating_point() else plain).numpy())
