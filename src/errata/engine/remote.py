"""A model that is asked over a network: each answer costs time or money, is kept, and may be another one tomorrow."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from errata.core.dataset import Dataset
from errata.core.model import Inputs, Model, Output

__all__ = ["Remote", "prepared"]


@runtime_checkable
class Remote(Model, Protocol):
    """A model whose answers are kept, so that `predict` asks nothing twice.

    alone       each row takes a call of its own
    trial_rows  how many rows a trial may cost
    moods       the share of answers that may change when asked again
    constant    all answers known by now were found constant already
    calls       how many calls were made, those of killed runs included
    calls_left  how many calls are still allowed
    """

    @property
    def alone(self) -> bool: ...
    @property
    def trial_rows(self) -> int: ...
    @property
    def moods(self) -> float: ...
    @property
    def constant(self) -> bool: ...
    @property
    def calls(self) -> int: ...
    @property
    def calls_left(self) -> float: ...

    def limit(self, max_calls: int | None) -> None:
        """Allow so many calls in all, where a number is given."""
        ...

    def afresh(self, inputs: Inputs, *, occasion: str) -> Output:
        """What the model says when it is asked again on that occasion."""
        ...

    def kept_in(self, folder: Path | None, *, rows: int) -> Model:
        """The model at the beginning of a run over so many rows, its answers kept in that folder."""
        ...

    def found_constant(self) -> None:
        """Note that answers did not change when asked for again."""
        ...

    def remarks(self) -> tuple[str, ...]:
        """What the user should know of how the asking went."""
        ...


def prepared(model: Model, dataset: Dataset, *, folder: Path | None) -> Model:
    """The model ready for a run: one that is asked over a network keeps its answers in the run's directory."""
    return model.kept_in(folder, rows=len(dataset)) if isinstance(model, Remote) else model
