"""The users' own torch modules as fresh predictors: built anew, initialised anew, or fine-tuned from their weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Int
from errata.core.errors import UsageError
from errata.ops.nets.heads import Schedule, until_no_better

__all__ = ["ModulePredictor", "module_builder"]


def module_builder(given: Any, *, pretrained: bool) -> Callable[[], Any]:
    """A function that gives a module to train: the user's factory, or copies of the user's module.

    pretrained  copies keep their weights and are fine-tuned; else all of their parts are initialised anew
    Raises UsageError for what is neither, and for modules with weights that cannot be initialised anew.
    """
    if not hasattr(given, "state_dict"):
        if not callable(given):
            raise UsageError(
                f"`{type(given).__name__}` is no predictor.",
                hint='give "linear", "mlp", a torch module, or a function without arguments that builds one.',
            )
        return given  # type: ignore[no-any-return]

    def build() -> Any:
        module = copy.deepcopy(given)
        return module if pretrained else _anew(module)

    return build


def _anew(module: Any) -> Any:
    for name, part in module.named_modules():
        own = list(part.parameters(recurse=False))
        if hasattr(part, "reset_parameters"):
            part.reset_parameters()
        elif own:
            raise UsageError(
                f"`{name or type(module).__name__}` has weights of its own and no `reset_parameters`.",
                hint="give a function that builds the module, or `pretrained=True` to fine-tune it as it is.",
            )
    return module


@dataclass(frozen=True, kw_only=True, eq=False)
class ModulePredictor:
    """Trains a module afresh each time it is called, and gives its probabilities for all rows.

    build    gives the module to train
    inputs   (n, ...) tensor of all rows
    labels   (n,) class codes
    classes  how many there are; the module gives as many logits, or one for two classes
    """

    build: Callable[[], Any]
    inputs: Any
    labels: Int
    classes: int
    schedule: Schedule
    device: str = "cpu"

    def __call__(self, *, fit: Int, stop: Int, rng: np.random.Generator) -> NDArray[np.float32]:
        """(n, classes) probabilities by a module trained on `fit` and stopped on `stop`."""
        import torch

        # Modules draw from the global state (weights, dropout): it is ours for the time and then as it was.
        devices = [torch.cuda.current_device()] if self.device.startswith("cuda") else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(int(rng.integers(2**62)))
            module = self.build()
            if not hasattr(module, "state_dict"):
                raise UsageError(
                    f"The factory gave a `{type(module).__name__}`, expected a torch module.",
                    hint="name a function or class that needs no arguments and returns the module.",
                )
            module = module.to(self.device)
            self._train(module, fit, stop)
            return self._probabilities(module)

    def _train(self, module: Any, fit: Int, stop: Int) -> None:
        import torch

        learning = [weight for weight in module.parameters() if weight.requires_grad]
        rate = self.schedule.rate or 1e-3
        adam = torch.optim.AdamW(learning, lr=rate, weight_decay=self.schedule.decay)
        own, held = torch.from_numpy(fit), torch.from_numpy(stop)

        def train() -> None:
            module.train()
            for _ in range(self.schedule.steps):
                picked = own[torch.randint(len(own), (min(self.schedule.batch, len(own)),))]
                loss = self._loss(module, picked)
                adam.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(learning, 1.0)
                adam.step()

        def look() -> float:
            module.eval()
            with torch.no_grad():
                parts = [float(self._loss(module, part)) * len(part) for part in held.split(512)]
            return sum(parts) / max(1, len(held))

        kept = until_no_better(train, look, lambda: copy.deepcopy(module.state_dict()), self.schedule)
        module.load_state_dict(kept)

    def _loss(self, module: Any, rows: Any) -> Any:
        import torch

        labels = torch.from_numpy(self.labels[rows.numpy()].astype(np.int64)).to(self.device)
        return torch.nn.functional.cross_entropy(self._logits(module, rows), labels)

    def _logits(self, module: Any, rows: Any) -> Any:
        import torch

        out = module(self.inputs[rows].to(self.device))
        if isinstance(out, tuple):
            out = out[0]
        out = getattr(out, "logits", out)
        if out.ndim == 1 or out.shape[1] == 1:
            single = out.reshape(-1)
            out = torch.stack([torch.zeros_like(single), single], dim=1)
        if out.shape[1] != self.classes:
            raise UsageError(
                f"The module gives {out.shape[1]} outputs, and there are {self.classes} classes.",
                hint="its last layer needs one output per class (one is enough for two classes).",
            )
        return out

    def _probabilities(self, module: Any) -> NDArray[np.float32]:
        import torch

        module.eval()
        with torch.no_grad():
            parts = [
                torch.softmax(self._logits(module, part).float(), dim=1).cpu().numpy()
                for part in torch.arange(len(self.labels)).split(512)
            ]
        return np.concatenate(parts)
