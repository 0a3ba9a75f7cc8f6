"""How texts and images become what a transformer takes: tokens by its own tokenizer, pixels by its own processor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from errata.core.errors import UsageError
from errata.core.model import Inputs
from errata.models.form import AS_GIVEN, Form, columns_of, is_frame, is_texts

__all__ = ["Images", "Piece", "Prepares", "Texts", "in_order"]

PIECE = 32  # inputs that go through the network at once: larger ones gain nothing on a processor
PIECE_TOKENS = 8_192  # tokens, padding included, that do


@dataclass(frozen=True, kw_only=True, eq=False)
class Piece:
    """Some inputs of a batch as tensors: `rows` are their places in it."""

    rows: NDArray[np.int64]
    tensors: dict[str, Any]


def in_order(pieces: Iterable[Piece], one: Callable[[Piece], NDArray[Any]]) -> NDArray[Any] | None:
    """What `one` gives for the rows of every piece, in the order of the inputs; None where there is no piece."""
    given: list[NDArray[Any]] = []
    places: list[NDArray[np.int64]] = []
    for piece in pieces:
        given.append(one(piece))
        places.append(piece.rows)
    if not given:
        return None
    joined = np.concatenate(given)
    ordered = np.empty_like(joined)
    ordered[np.concatenate(places)] = joined
    return ordered


class Prepares(Protocol):
    """Makes tensors of a batch of inputs."""

    def form(self, inputs: Inputs) -> Form: ...
    def pieces(self, inputs: Inputs, form: Form) -> Iterator[Piece]: ...
    def notes(self, inputs: Inputs) -> tuple[str, ...]: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Texts:
    """Texts to tokens; those of like length go together, so that little is padded.

    longest  tokens that the model takes, None where it takes any number; longer texts are cut at their end
    pads     whether the tokenizer knows how to fill texts up to one length; else they go one by one
    """

    tokenizer: Any
    longest: int | None
    pads: bool
    taken: frozenset[str]
    """The arguments of the module, of which a tokenizer may give more."""
    who: str

    def form(self, inputs: Inputs) -> Form:
        """Texts have no other form; raises UsageError for what is no text."""
        self._texts(inputs)
        return AS_GIVEN

    def pieces(self, inputs: Inputs, form: Form) -> Iterator[Piece]:
        """The texts as tokens, shortest first."""
        del form
        texts = self._texts(inputs)
        tokens = self._tokens(texts, cut=True)
        lengths = np.array([len(ids) for ids in tokens["input_ids"]], dtype=np.int64)
        order = np.argsort(lengths, kind="stable")
        start = 0
        while start < len(order):
            stop = self._stop(lengths[order], start)
            rows = order[start:stop]
            chosen = {name: [values[row] for row in rows] for name, values in tokens.items() if name in self.taken}
            padded = self.tokenizer.pad(chosen, return_tensors="pt") if self.pads else _alone(chosen)
            yield Piece(rows=rows, tensors=dict(padded))
            start = stop

    def notes(self, inputs: Inputs) -> tuple[str, ...]:
        """How many of these texts are longer than what the model takes."""
        texts = self._texts(inputs)
        if self.longest is None:
            return ()
        cut = sum(len(ids) > self.longest for ids in self._tokens(texts, cut=False)["input_ids"])
        if not cut:
            return ()
        which = f"{cut} of {len(texts)} texts of a trial {'is' if cut == 1 else 'are'}"
        return (f"Texts are cut after {self.longest:,} tokens, which is what the model takes: {which} longer.",)

    def _stop(self, lengths: NDArray[np.int64], start: int) -> int:
        """Where the piece ends that starts at `start` of the ascending lengths."""
        if not self.pads:
            return start + 1
        stop = start + 1
        while stop < min(len(lengths), start + PIECE) and lengths[stop] * (stop + 1 - start) <= PIECE_TOKENS:
            stop += 1
        return stop

    def _tokens(self, texts: Sequence[str], *, cut: bool) -> dict[str, Any]:
        limit = {"truncation": True, "max_length": self.longest} if cut and self.longest is not None else {}
        return dict(self.tokenizer(list(texts), padding=False, verbose=False, **limit))

    def _texts(self, inputs: Inputs) -> list[str]:
        if is_texts(inputs):
            return list(inputs)
        if isinstance(inputs, np.ndarray) and inputs.ndim == 1 and inputs.dtype.kind in "OUT":
            return [str(text) for text in inputs.tolist()]
        if is_frame(inputs):
            return self._of_frame(inputs)
        raise UsageError(f"{self.who} takes texts, and the inputs are none.", hint="name their column with --text.")

    def _of_frame(self, frame: Any) -> list[str]:
        """The texts of a dataframe with one column."""
        import narwhals as nw

        names = columns_of(frame)
        if len(names) != 1:
            shown = ", ".join(f"`{name}`" for name in names[:6])
            raise UsageError(
                f"{self.who} takes texts, and the data have {len(names)} columns ({shown}).",
                hint="name the column of texts with --text.",
            )
        cells = nw.from_native(frame, eager_only=True).get_column(names[0]).to_list()
        if any(cell is not None and not isinstance(cell, str) for cell in cells):
            raise UsageError(f"{self.who} takes texts, and `{names[0]}` holds something else.", hint="see --text.")
        return [cell or "" for cell in cells]


def _alone(tokens: dict[str, list[Any]]) -> dict[str, Any]:
    import torch

    return {name: torch.tensor(values) for name, values in tokens.items()}


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """Images to pixels of the size and range that the model was trained on, by its own `preprocessor_config.json`.

    channels  1 or 3, what the model takes
    """

    processor: Any
    channels: int
    who: str

    def form(self, inputs: Inputs) -> Form:
        """The factor that brings the values to bytes; raises UsageError for what is no image."""
        if is_frame(inputs) or is_texts(inputs):
            raise UsageError(f"{self.who} takes images, and the inputs are none.", hint="is this the right model?")
        stack = [np.asarray(image) for image in inputs]
        if any(image.ndim not in (2, 3) for image in stack):
            raise UsageError(
                f"{self.who} takes images, and an input has shape `{stack[0].shape}`.",
                hint="give pictures (n, h, w) or (n, h, w, 3), or a folder of images.",
            )
        if all(image.dtype == np.uint8 for image in stack):
            return AS_GIVEN
        top = max(float(np.nanmax(image, initial=0.0)) for image in stack)
        return AS_GIVEN if top <= 0 or 128 < top <= 255 else Form(factor=255.0 / (1.0 if top <= 1 else top))

    def pieces(self, inputs: Inputs, form: Form) -> Iterator[Piece]:
        """The images as pixels, in order."""
        images = [self._picture(np.asarray(image), form.factor) for image in inputs]
        for start in range(0, len(images), PIECE):
            some = images[start : start + PIECE]
            prepared = self.processor(images=some, return_tensors="pt", input_data_format="channels_last")
            yield Piece(rows=np.arange(start, start + len(some)), tensors={"pixel_values": prepared["pixel_values"]})

    def notes(self, inputs: Inputs) -> tuple[str, ...]:
        """Nothing: sizes and ranges are the processor's."""
        del inputs
        return ()

    def _picture(self, image: NDArray[Any], factor: float) -> NDArray[np.uint8]:
        """(h, w, channels) uint8 from (h, w), (h, w, c) or (c, h, w)."""
        scaled = image if image.dtype == np.uint8 else np.nan_to_num(image.astype(np.float64) * factor)
        whole = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
        if whole.ndim == 3 and whole.shape[0] in (1, 3) and whole.shape[2] not in (1, 3, 4):
            whole = np.moveaxis(whole, 0, -1)
        colour = whole[..., None] if whole.ndim == 2 else whole[..., :3] if whole.shape[2] == 4 else whole
        if self.channels == 3 and colour.shape[2] == 1:
            return np.repeat(colour, 3, axis=2)
        if self.channels == 1 and colour.shape[2] == 3:
            grey = colour @ np.array([0.299, 0.587, 0.114])  # luma of ITU-R BT.601, as pictures are turned grey
            return np.asarray(np.rint(grey)[..., None], dtype=np.uint8)
        return np.asarray(colour)
