"""PyTorch modules: in memory, or built by `module:factory` and filled from safetensors."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Level
from errata.core.errors import UsageError, require
from errata.core.model import Inputs, ModelSpec, Output, Task
from errata.models.form import AS_GIVEN, Form, forms_for, is_frame, is_texts, matrix
from errata.models.hooks import Shown, evaluating, given_by, read_by_last
from errata.models.reading import Answer, Reading, Settled, as_answer, read, settle

__all__ = ["TorchModel", "from_module", "from_safetensors", "is_module"]

PREFERRED = ("logits", "scores", "probabilities", "output", "out", "predictions")
PREFIXES = ("module.", "_orig_mod.", "model.")  # what wrappers for training put before every name


@dataclass(frozen=True, kw_only=True, eq=False)
class TorchModel:
    """A module that maps a batch of tensors to scores or values; it is put to evaluation and back for every batch."""

    spec: ModelSpec
    module: Any
    device: str
    form: Form = AS_GIVEN
    reading: Reading | None = None

    def predict(self, inputs: Inputs) -> Output:
        """The module's output for a batch of inputs."""
        return read(self.answer(inputs), self.reading, task=self.spec.task)

    def answer(self, inputs: Inputs) -> Answer:
        """What the module returned, unread."""
        import torch

        with evaluating(self.module), torch.inference_mode():
            raw = self.module(self._batch(inputs))
        return as_answer(_tensor_of(raw), len(inputs))

    def embed(self, inputs: Inputs, layer: str | None = None) -> NDArray[np.float32]:
        """(b, d) what the linear layer that gives the scores reads, or what the module of that name gives.

        Maps are averaged over their places, sequences over their steps. Raises UsageError for a name that the module
        does not have, CannotRunError where no linear layer is found or the layer's first axis is not the inputs.
        """
        return self._shown(inputs, layer).layer

    def showing(self, inputs: Inputs, layer: str | None = None) -> Output:
        """What `predict` and `embed` give, from one run of the module."""
        shown = self._shown(inputs, layer)
        output = read(as_answer(shown.answer, len(inputs)), self.reading, task=self.spec.task)
        return replace(output, layer=shown.layer)

    def _shown(self, inputs: Inputs, layer: str | None) -> Shown:
        import torch

        batch, rows = self._batch(inputs), len(inputs)

        def run() -> Any:
            return _tensor_of(self.module(batch))

        with evaluating(self.module), torch.inference_mode():
            if layer is not None:
                return given_by(self.module, layer, run, rows=rows)
            return read_by_last(self.module, run, rows=rows, name=self.spec.name)

    def _batch(self, inputs: Inputs) -> Any:
        import torch

        batch = torch.from_numpy(self.form.apply(self._array(inputs))).to(self.device)
        return batch.to(_dtype(self.module)) if batch.is_floating_point() else batch

    def variants(self, inputs: Inputs) -> Sequence[TorchModel]:
        """The same module with its inputs in other forms, the most usual first."""
        array = self._array(inputs)
        return [replace(self, form=form) for form in forms_for(array, dims=None, dtype="float32", network=True)]

    def settled(self, inputs: Inputs, *, levels: Sequence[Level] = (), task: Task | None = None) -> Settled:
        """The same module with the reading of its answers settled on these inputs.

        levels  the labels of the data, sorted
        """
        return settle(self, self.answer(inputs), levels=levels, task=task)

    def _array(self, inputs: Inputs) -> NDArray[Any]:
        if is_frame(inputs):
            return matrix(inputs, who=f"`{self.spec.name}`").astype(np.float32)
        # Texts are left as they are: what is no array is refused where its form is looked for.
        return inputs if is_texts(inputs) else np.asarray(inputs)


def is_module(value: Any) -> bool:
    """Whether a value is a torch module; torch is not imported to find out."""
    return any(c.__name__ == "Module" and c.__module__.startswith("torch.nn") for c in type(value).__mro__)


def from_module(module: Any, *, name: str | None = None, device: str | None = None) -> TorchModel:
    """A model from a module in memory; it stays on its device unless another is asked for."""
    tensors = [*module.parameters(), *module.buffers()]
    home = device or (str(tensors[0].device) if tensors else "cpu")
    if device is not None:
        module = module.to(device)
    spec = ModelSpec(name=name or type(module).__name__, kind="torch", fingerprint=_fingerprint(module))
    return TorchModel(spec=spec, module=module, device=home)


def from_safetensors(
    path: Path, *, factory: Callable[[], Any], name: str | None = None, device: str | None = None
) -> TorchModel:
    """A model from weights in a safetensors file and the function without arguments that builds the empty module.

    device  where to run, the first GPU when there is one and None is given
    Raises UsageError when the factory gives no module or its weights have other names or shapes.
    """
    torch = require("torch", feature=f"`{path}`", extra="torch")
    reader = require("safetensors.torch", feature=f"`{path}`", extra="torch")
    errors = require("safetensors", feature=f"`{path}`", extra="torch")
    module = factory()
    if not is_module(module):
        raise UsageError(
            f"The factory of `{path}` gave a `{type(module).__name__}`, expected a torch module.",
            hint="name a function or class that needs no arguments and returns the module.",
        )
    try:
        weights = reader.load_file(str(path))
    except (errors.SafetensorError, OSError) as error:
        raise UsageError(
            f"`{path}` is not a whole safetensors file: {error}.",
            hint="write it with `safetensors.torch.save_file(module.state_dict(), path)`.",
        ) from error
    _fill(module, weights, path)
    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return from_module(module.eval(), name=name or path.stem, device=where)


def _fill(module: Any, weights: dict[str, Any], path: Path) -> None:
    wanted = module.state_dict()
    for prefix in PREFIXES:
        if not (set(weights) & set(wanted)) and all(key.startswith(prefix) for key in weights):
            weights = {key.removeprefix(prefix): tensor for key, tensor in weights.items()}
    missing = [key for key in wanted if key not in weights]
    # Tied weights are written once; what the module fills in by itself is then not missing.
    shared = {key for key in missing if any(wanted[key] is wanted[k] or
              wanted[key].data_ptr() == wanted[k].data_ptr() != 0 for k in weights if k in wanted)}  # fmt: skip
    missing = [key for key in missing if key not in shared]
    unknown = [key for key in weights if key not in wanted]
    reshaped = [key for key, tensor in weights.items() if key in wanted and tensor.shape != wanted[key].shape]
    for what, keys in (("lack", missing), ("have too many of", unknown), ("have other shapes in", reshaped)):
        if keys:
            more = f" and {len(keys) - 4} more" if len(keys) > 4 else ""
            raise UsageError(
                f"The weights in `{path}` {what} {', '.join(f'`{key}`' for key in keys[:4])}{more}.",
                hint="is this the factory that the weights were trained with?",
            )
    module.load_state_dict(weights, strict=False)


def _dtype(module: Any) -> Any:
    import torch

    floating = (tensor.dtype for tensor in module.parameters() if tensor.is_floating_point())
    return next(floating, torch.float32)


def _tensor_of(raw: Any) -> Any:
    """The scores in what a module returns: a tensor, the first of a tuple, or the usual entry of a dictionary."""
    if isinstance(raw, dict) or hasattr(raw, "keys"):
        entries = dict(raw.items())
        names = [name for name in PREFERRED if name in entries] or list(entries)
        return entries[names[0]]
    if isinstance(raw, tuple | list) and raw and hasattr(raw[0], "detach"):
        return raw[0]
    return raw


def _fingerprint(module: Any) -> str | None:
    """Hash of the weights and of the source of the module's own classes; None where the source is not at hand."""
    import torch

    digest = hashlib.sha256(repr(module).encode())
    for cls in sorted({type(part) for part in module.modules()}, key=lambda c: (c.__module__, c.__qualname__)):
        if cls.__module__.startswith("torch."):
            continue
        try:
            digest.update(inspect.getsource(cls).encode())
        except (OSError, TypeError):
            return None
    for key, tensor in module.state_dict().items():
        if not hasattr(tensor, "detach"):
            return None
        bare = tensor.detach().cpu().contiguous()
        digest.update(f"{key} {bare.dtype} {tuple(bare.shape)}".encode())
        digest.update(bare.reshape(-1).view(torch.uint8).numpy().tobytes() if bare.numel() else b"")
    return digest.hexdigest()
