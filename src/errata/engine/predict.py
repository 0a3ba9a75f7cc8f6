"""Runs a model over a dataset: in batches that fit the memory, in blocks that survive a kill, around rows that fail."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from errata.core.dataset import Dataset
from errata.core.errors import CannotRunError, ErrataError, StoppedError, UsageError
from errata.core.model import Inputs, Model, ModelSpec, Output
from errata.engine.blocks import Block, Blocks, key_of
from errata.engine.machine import free_memory, numeric_threads, peak_memory
from errata.engine.remote import Remote

__all__ = [
    "LEFT_OUT", "Beside", "Predictions", "Progress", "Runner", "concatenated", "error_words", "joined", "predict_all",
    "taken",
]  # fmt: skip

Progress = Callable[[int, int], None]
Rows = NDArray[np.int64]

FIRST_BATCH = 64
LARGEST_BATCH = 65_536
BATCH_BYTES = 16 << 20  # of inputs: large enough to keep a library busy, and what it makes of them stays in bounds
BATCH_SECONDS = 4.0  # a batch that takes longer shows no progress and answers Ctrl-C late
BLOCK_SECONDS = 10.0  # what a kill may cost
BLOCK_BYTES = 64 << 20  # of answers, wide layers among them, that wait to be written together
MEMORY_SHARE = 0.25  # of the free memory for one batch with all that the model makes of it
LEFT_OUT = 0.01  # of the rows a model may fail on, as the contract has it
HOPELESS_AFTER = 1_000  # rows after which a model that fails on most of them is not asked about the others


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """What a model said of every row of a dataset.

    output    scores (N, k) float32, labels (N,), values (N,) float64, as far as the model gives them
    spec      the model's, with its classes in the order of the scores
    answered  (N,) bool, false where the model raised; such a row of `output` holds a copy of another and means nothing
    """

    output: Output
    spec: ModelSpec
    answered: NDArray[np.bool_]
    caveats: tuple[str, ...] = ()

    @property
    def left_out(self) -> Rows:
        """The rows on which the model raised, (m,) int64."""
        return np.flatnonzero(~self.answered)


class Beside(Protocol):
    """What is read in the same pass as the predictions.

    key   what is read, in words; blocks on disk of another key are not used
    ends  errors that end the pass; others are the model's failure on a batch, which is cut in halves
    ask   what the model says of a batch, and more
    take  takes what is more out of a block, so that it is held in one place
    """

    @property
    def key(self) -> str: ...
    @property
    def ends(self) -> tuple[type[Exception], ...]: ...
    def ask(self, inputs: Inputs, /) -> Output: ...
    def take(self, block: Block, /) -> Block: ...


def predict_all(
    model: Model, dataset: Dataset, *, beside: Beside | None = None, folder: Path | None = None,
    progress: Progress | None = None,
) -> Predictions:  # fmt: skip
    """What `model` says of every row of `dataset`.

    beside    what else to read of it in the same pass
    folder    a run directory in whose `.partial/` blocks are kept, so that the same call goes on after a kill
    progress  called with (rows done, rows in all)
    Raises CannotRunError when the model raises on more than 1 % of the rows, or its answers change shape.
    """
    n = len(dataset)
    more = {} if beside is None else {"beside": beside.key}
    key = key_of({"data": dataset.fingerprint, "rows": n, "model": repr(model.spec), **_settings(model), **more})
    blocks = Blocks(folder=folder, name="predictions", key=key)
    blocks.open()
    runner = Runner(model=model, dataset=dataset, progress=progress, blocks=blocks, total=n, beside=beside)
    if model.spec.fingerprint is None:
        runner.check_stored()
    with numeric_threads():
        done = runner.run(np.arange(n))
    return joined(done, model.spec, dataset)


class Runner:
    """One pass of a model over rows, with the batch size it has learned."""

    def __init__(
        self, *, model: Model, dataset: Dataset, blocks: Blocks, total: int, progress: Progress | None = None,
        done: int = 0, beside: Beside | None = None,
    ) -> None:  # fmt: skip
        if dataset.read is None:
            raise UsageError(
                f"`{dataset.name}` has predictions but nothing to predict from.", hint="leave --model out."
            )
        self.model = model
        self.dataset = dataset
        self.read: Callable[[Rows], Inputs] = dataset.read
        self.blocks = blocks
        self.total = total
        self.done = done
        self.progress = progress or (lambda done, total: None)
        self.ask = model.predict if beside is None else beside.ask
        self.ends = (UsageError,) if beside is None else beside.ends
        self.beside = beside
        self.size = FIRST_BATCH
        self.limit = LARGEST_BATCH
        self.asked = done
        self.failed = 0
        self.failed_words = ""
        self.first_failed = -1

    def run(self, rows: Rows) -> list[Block]:
        """Predict these rows, those of whole blocks on disk excepted."""
        blocks, place, number = [], 0, 0
        while place < len(rows):
            block = self.blocks.load(number)
            if block is not None and not np.array_equal(block.rows, rows[place : place + len(block.rows)]):
                block = None
            if block is None:
                block = self._block(rows, place)
                self.blocks.save(number, block)
            else:
                self._count(block)
                self.done += len(block.rows)
                self.progress(self.done, self.total)
            blocks.append(block if self.beside is None else self.beside.take(block))
            place += len(block.rows)
            number += 1
        return blocks

    def check_stored(self) -> None:
        """Ask a model without a fingerprint about a few stored rows again: it may have changed since."""
        for number in self.blocks.numbers():
            block = self.blocks.load(number)
            if block is None or block.raised.all():
                continue
            some = np.flatnonzero(~block.raised)[:: max(1, len(block.rows) // 8)][:8]
            again = self._attempt(block.rows[some])
            if isinstance(again, Exception) or not _same(again, taken(block.output, some)):
                self.blocks.clear()
                self.blocks.open()
                return

    def _block(self, rows: Rows, start: int) -> Block:
        """The next rows, as many as a few seconds allow when blocks are kept, else one batch."""
        parts: list[Block] = []
        place, began, held = start, time.monotonic(), 0
        while place < len(rows):
            batch = rows[place : place + self.size]
            parts.append(self._batch(batch))
            place += len(batch)
            self.done += len(batch)
            self.progress(self.done, self.total)
            held += sum(array.nbytes for array in vars(parts[-1].output).values() if array is not None)
            if self.blocks.path is None or time.monotonic() - began > BLOCK_SECONDS or held > BLOCK_BYTES:
                break
        return concatenated(parts)

    def _batch(self, rows: Rows) -> Block:
        """One batch, cut in halves as long as the model raises on it, down to the rows that are the cause."""
        peak, began = peak_memory(), time.monotonic()
        answer = self._attempt(rows)
        if isinstance(answer, Output):
            self.asked = self.done + len(rows)
            self._learn(len(rows), time.monotonic() - began, taken=peak_memory() - peak)
            return Block(rows=rows, output=answer, raised=np.zeros(len(rows), dtype=bool))
        if len(rows) == 1:
            self.asked = max(self.asked, self.done + 1)
            return self._failed(rows, answer)
        left, right = np.array_split(rows, 2)
        parts = [self._batch(left)]
        while len(right):  # what the left half taught about the limit spares the right half the same failures
            parts.append(self._batch(right[: self.limit]))
            right = right[len(parts[-1].rows) :]
        block = concatenated(parts)
        if not block.raised.any():  # it was the size of the batch: memory, or a limit of the model's own
            self.limit = self.size = min(self.limit, max(1, len(rows) // 2))
        return block

    def _attempt(self, rows: Rows) -> Output | Exception:
        """The model's output for some rows, or what it raised. Data that cannot be read is not the model's failure."""
        inputs = self.read(rows)
        if self.limit == LARGEST_BATCH:
            self.limit = largest_batch(inputs, len(rows))
        try:
            output = self.ask(inputs)
            _check_shape(output, len(rows))
        except self.ends:
            raise
        except StoppedError as error:
            # Where nearly everything is answered, the rest is left out; else the answers so far are kept for next time.
            if self.total - self.done > max(1.0, LEFT_OUT * self.total):
                raise
            return error
        except Exception as error:
            return error
        return output

    def _failed(self, rows: Rows, error: Exception) -> Block:
        if self.failed == 0:
            self.first_failed, self.failed_words = int(rows[0]), error_words(error)
        self.failed += 1
        self._judge()
        return Block(rows=rows, output=Output(), raised=np.ones(1, dtype=bool), words=error_words(error))

    def _count(self, block: Block) -> None:
        if block.raised.any():
            if self.failed == 0:
                self.first_failed, self.failed_words = int(block.rows[block.raised][0]), block.words
            self.failed += int(block.raised.sum())
            self._judge()

    @property
    def hopeless(self) -> bool:
        """Whether the model fails on most of the rows, so that the others need not be asked about."""
        return self.seen >= HOPELESS_AFTER and self.failed > 0.5 * self.seen

    @property
    def too_many(self) -> bool:
        """Whether the model failed on more rows than can be left out."""
        return self.hopeless or self.failed > max(1.0, LEFT_OUT * self.total)

    @property
    def seen(self) -> int:
        """How many rows were asked about."""
        return max(self.asked, self.failed)

    def _judge(self) -> None:
        if self.too_many:
            identifier = self.dataset.ids(np.array([self.first_failed]))[0]
            of = f"the first {self.seen:,}" if self.hopeless else f"{self.total:,}"
            kept = isinstance(self.model, Remote) and self.blocks.path is not None
            raise CannotRunError(
                f"The model `{self.model.spec.name}` raised on {self.failed} or more of {of} rows, and at most 1 % can "
                f"be left out; first on row `{identifier}`: {self.failed_words}",
                hint="try the model on that row; leave out or repair such rows."
                + (
                    " What it said is kept: once it is mended, remove the run's folder and start again." if kept else ""
                ),
            )

    def _learn(self, rows: int, seconds: float, *, taken: int) -> None:
        """The size of the next batch: as the bytes of the inputs have it, unless the model is slow or large.

        The usual size depends on the data alone and not on the clock, because the last bits of a network's scores
        change with the size of its batch.
        """
        if rows < self.size:
            return
        by_time = rows * BATCH_SECONDS / max(seconds, 1e-6)
        by_memory = rows * MEMORY_SHARE * free_memory() / max(taken, 1)
        self.size = max(1, min(self.limit, _power_of_two(min(by_time, by_memory))))


def joined(blocks: Sequence[Block], spec: ModelSpec, dataset: Dataset, *, extra: Sequence[str] = ()) -> Predictions:
    """The blocks of one evaluation, put in the order of the dataset; every row must be in one of them."""
    whole = concatenated(blocks)
    order = np.argsort(whole.rows, kind="stable")
    output = taken(whole.output, order)
    raised = whole.raised[order]
    caveats = list(extra)
    if raised.any():
        first = dataset.ids(np.flatnonzero(raised)[:1])[0]
        words = next((block.words for block in blocks if block.words), "")
        rows = "1 row is" if raised.sum() == 1 else f"{int(raised.sum())} rows are"
        caveats.append(f"{rows} left out because the model raised; first row `{first}`: {words}")
    return Predictions(output=output, spec=spec, answered=~raised, caveats=tuple(caveats))


def largest_batch(inputs: Inputs, rows: int) -> int:
    """The batch size at which inputs like these hold 16 MB; a cell of a dataframe counts as 8 bytes."""
    if isinstance(inputs, np.ndarray):
        bytes_each = inputs.nbytes / rows
    else:
        shape = getattr(inputs, "shape", None)
        bytes_each = 8.0 * (shape[1] if shape is not None and len(shape) == 2 else 16)
    return max(1, min(LARGEST_BATCH - 1, _power_of_two(BATCH_BYTES / max(bytes_each, 1.0))))


def _power_of_two(value: float) -> int:
    """The largest power of two that is not over `value`, at least 1."""
    return 1 << max(0, int(min(value, 2.0**40)).bit_length() - 1)


def _settings(model: Model) -> dict[str, object]:
    """What decides a model's answers beside its bytes, where it has such settings."""
    return {name: repr(getattr(model, name, "")) for name in ("form", "reading")}


def _check_shape(output: Output, rows: int) -> None:
    for what, array in vars(output).items():
        if array is not None and len(array) != rows:
            raise CannotRunError(
                f"The model gave {what} for {len(array)} rows, and was asked about {rows}.",
                hint="return one answer per input.",
            )
    if all(array is None for array in vars(output).values()):
        raise CannotRunError("The model gave an empty answer.", hint="return scores, labels or values.")


def error_words(error: Exception) -> str:
    """What a model raised, on one line."""
    if isinstance(error, ErrataError):
        return str(error).partition("\n")[0]
    return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"


def taken(output: Output, rows: NDArray[np.integer]) -> Output:
    """The output for some of the rows."""
    return Output(**{name: None if array is None else array[rows] for name, array in vars(output).items()})


def _same(one: Output, other: Output) -> bool:
    """Whether two answers are the same up to rounding; what a layer gave beside them tells no more than they do."""
    for name in ("scores", "labels", "values"):
        array, twin = getattr(one, name), getattr(other, name)
        if (array is None) != (twin is None):
            return False
        if array is None or twin is None:
            continue
        if array.dtype.kind == "f":
            if array.shape != twin.shape or not np.allclose(array, twin, rtol=1e-4, atol=1e-5, equal_nan=True):
                return False
        elif not np.array_equal(array, twin):
            return False
    return True


def concatenated(blocks: Sequence[Block]) -> Block:
    """One block from several. Rows that raised have no output of their own; they get a copy of one that has."""
    if len(blocks) == 1 and not blocks[0].raised.any():
        return blocks[0]
    rows = np.concatenate([block.rows for block in blocks])
    raised = np.concatenate([block.raised for block in blocks])
    words = next((block.words for block in blocks if block.words), "")
    spoken = [block for block in blocks if not block.raised.all()]
    if not spoken:
        return Block(rows=rows, output=Output(), raised=raised, words=words)
    merged: dict[str, Any] = {}
    for name in ("scores", "labels", "values"):
        arrays = [_filled(block, getattr(block.output, name), getattr(spoken[0].output, name)) for block in blocks]
        present = [array for array in arrays if array is not None]
        if present and (len(present) != len(blocks) or len({array.shape[1:] for array in present}) != 1):
            raise _changing(name)
        merged[name] = np.concatenate(present) if present else None
    output = Output(**merged, layer=_layers(blocks, len(rows)))
    return replace(blocks[0], rows=rows, output=output, raised=raised, words=words)


def _layers(blocks: Sequence[Block], rows: int) -> NDArray[np.float32] | None:
    """What a layer gave for the rows of several blocks, NaN for those of which it was not read."""
    widths = {block.output.layer.shape[1:] for block in blocks if block.output.layer is not None}
    if not widths:
        return None
    if len(widths) > 1:
        raise _changing("layer")
    whole = np.full((rows, *widths.pop()), np.nan, dtype=np.float32)
    place = 0
    for block in blocks:
        if block.output.layer is not None:
            whole[place : place + len(block.rows)] = block.output.layer
        place += len(block.rows)
    return whole


def _changing(name: str) -> CannotRunError:
    return CannotRunError(
        f"The model's answers change between batches: its {name} have not always the same shape.",
        hint="make it give the same kind of answer for every batch.",
    )


def _filled(block: Block, array: NDArray[Any] | None, sample: NDArray[Any] | None) -> NDArray[Any] | None:
    if array is not None or sample is None or not block.raised.all():
        return array
    return np.repeat(sample[:1], len(block.rows), axis=0)
