"""What a layer of the model reads or gives of each row: in the pass that predicts, and after it where that failed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from errata.core.dataset import Dataset
from errata.core.errors import CannotRunError, ErrataError, UsageError
from errata.core.model import Embeds, Inputs, Model, Output, Shows
from errata.engine.blocks import Block, Blocks
from errata.engine.machine import numeric_threads
from errata.engine.predict import Runner

__all__ = ["OwnLayer"]

Tick = Callable[[int, int], None]
"""Told how many rows of how many are done."""


class OwnLayer:
    """One layer of a model over all rows of a dataset: given to `predict_all` as `beside`, it is read on the way.

    A layer that cannot be read harms no prediction. Where the model predicts a batch and does not show its layer, the
    pass goes on without, and `values` reads what is missing in smaller batches, around rows that fail alone. What the
    model itself says against showing its layer is final, and so is a layer that changes its size. Of a model that
    cannot do both at once (`Embeds` alone), all rows are read afterwards.
    """

    ends: tuple[type[Exception], ...] = (UsageError,)

    def __init__(self, model: Model, dataset: Dataset, layer: str | None) -> None:
        self.model, self.dataset, self.layer = model, dataset, layer
        self.key = f"layer {layer or ''}"
        self.done = np.zeros(len(dataset), dtype=bool)
        self.found: NDArray[np.float32] | None = None
        self.paused = not isinstance(model, Shows)
        self.error: ErrataError | None = None

    def ask(self, inputs: Inputs, /) -> Output:
        """The model's answers for a batch, with its layer unless that cannot be read."""
        if self.paused or self.error is not None:
            return self.model.predict(inputs)
        said: ErrataError | None = None
        try:
            return self.insist(inputs)
        except UsageError:
            raise
        except ErrataError as error:
            said = error.with_traceback(None)  # a traceback keeps the arrays of its calls, which may be the trouble
        except Exception:
            said = None
        output = self.model.predict(inputs)  # where this raises too, it is not the layer
        self.paused, self.error = True, said
        return output

    def insist(self, inputs: Inputs, /) -> Output:
        """The model's answers with its layer, or what it raises; CannotRunError for a layer that changes its size."""
        if isinstance(self.model, Shows):
            output = self.model.showing(inputs, self.layer)
        else:
            assert isinstance(self.model, Embeds), "a layer is asked of models that have one"
            output = Output(layer=self.model.embed(inputs, self.layer))
        layer = np.asarray(output.layer, dtype=np.float32)
        self._check(layer, len(inputs))
        return replace(output, layer=layer)

    def take(self, block: Block, /) -> Block:
        """The block without its layer, which goes to its place among all rows."""
        self.done[block.rows[block.raised]] = True  # nothing can be read of them
        layer = block.output.layer
        if layer is None:
            return block
        try:
            self._check(layer, len(block.rows))  # a block on disk may be of another size
        except CannotRunError as error:
            self.error = error.with_traceback(None)
        if self.error is None and self.found is not None:
            self.found[block.rows] = layer
            # Rows of one block may have been asked after the pass went on without the layer.
            self.done[block.rows[~np.isnan(layer).all(axis=1)]] = True
        return replace(block, output=replace(block.output, layer=None))

    def values(self, tick: Tick) -> NDArray[np.float32]:
        """(n, d), NaN where the model raises, once predictions were made or without them.

        Raises CannotRunError where it does so on more than 1 % of the rows, or gives no (b, d) for a batch.
        """
        if self.error is not None:
            raise self.error
        rows = np.flatnonzero(~self.done)
        if len(rows):
            self._read(rows, tick)
        if self.found is None:
            raise CannotRunError("The model's layer was read for no row.", hint="leave it out with --embedding.")
        tick(len(self.dataset), len(self.dataset))
        return self.found

    def _read(self, rows: NDArray[np.int64], tick: Tick) -> None:
        """A pass of its own over rows that are missing."""
        n = len(self.dataset)
        runner = Runner(
            model=self.model, dataset=self.dataset, blocks=Blocks(folder=None, name="", key=""), total=n,
            progress=tick, done=n - len(rows), beside=_Insisting(self),
        )  # fmt: skip
        try:
            with numeric_threads():
                runner.run(rows)
        except CannotRunError as error:
            if not runner.too_many:
                raise
            raise CannotRunError(
                f"The model raised on {runner.failed} rows when asked for its layer: {runner.failed_words}",
                hint="leave it out with --embedding, or name another layer.",
            ) from error

    def _check(self, layer: NDArray[np.float32], rows: int) -> None:
        """The first layer says how many numbers there are for each row."""
        before = "" if self.found is None else f" after {self.found.shape[1]} numbers a row before"
        if self.found is None and layer.ndim == 2 and layer.shape[1]:
            self.found = np.full((len(self.dataset), layer.shape[1]), np.nan, dtype=np.float32)
        if self.found is None or layer.shape != (rows, self.found.shape[1]):
            raise CannotRunError(
                f"The model's layer gave an array of {layer.shape} for {rows} rows{before}.",
                hint="name another with --embedding penultimate:LAYER.",
            )


class _Insisting:
    """The same layer, asked for again: what the model says against it ends the pass, other failures halve a batch."""

    ends: tuple[type[Exception], ...] = (ErrataError,)

    def __init__(self, own: OwnLayer) -> None:
        self.own, self.key, self.ask = own, own.key, own.insist

    def take(self, block: Block, /) -> Block:
        return replace(self.own.take(block), output=Output())
