"""Embedding columns of an evaluation: those of the data, those fitted here on explore rows, and the model's own.

What is fitted here knows neither labels nor predictions, so rules over it can be confirmed. The model's own
representation, and its scores, may propose and not confirm (docs/proof.md section 2).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Column, Int, Table
from errata.core.dataset import Dataset
from errata.core.errors import CannotRunError, UsageError, nearest
from errata.core.evaluation import EXPLORE, Evaluation
from errata.core.model import Embeds, Model
from errata.core.source import Source
from errata.engine.cache import Cache
from errata.engine.showing import OwnLayer
from errata.ops.encoders import inputs, patches, raw, words
from errata.ops.encoders.fitted import Encoded, Fitted
from errata.ops.measure.grams import KIND as GRAMS
from errata.ops.measure.ngrams import with_grams

__all__ = ["ENCODERS", "OWN", "defaults", "embedded", "own_layers", "recomputed"]

Progress = Callable[[float, str], None]
Tick = Callable[[int, int], None]
"""Told how many rows of how many are done."""

PREFIX = "embedding:"
FOLDERS = ("sentences", "clip")
"""Encoders that the user has on disk, by the name that stands before their folder."""
OWN = ("penultimate", "scores")
"""Embeddings that are the model's own: they may propose and not confirm."""
_BATCH = 256
WORTH = 2.0
"""Seconds from which an embedding is worth keeping for the next run."""
_NOWHERE = Cache(None)


class Opened(Protocol):
    """An encoder from a folder; `encode` takes texts, or images."""

    @property
    def fingerprint(self) -> str: ...
    def encode(self, inputs: Any, /) -> NDArray[np.float32]: ...


OpenEncoder = Callable[[str, str], Opened]
"""Opens the encoder of a kind ("sentences", "clip") in a folder: see `errata.open.open_encoder`."""


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """A kind of embedding that is fitted here: which data it reads, its two steps, and both where they share work.

    weights  fingerprint of those that it has from elsewhere; "" where all is fitted here
    """

    modalities: tuple[str, ...]
    version: int
    fit: Callable[[Dataset, Int, np.random.Generator], Fitted]
    encode: Callable[[Dataset, Fitted, Tick], NDArray[np.float32]]
    both: Callable[[Dataset, Int, np.random.Generator, Tick], Encoded] | None = None
    weights: str = ""

    def run(self, dataset: Dataset, rows: Int, *, seed: int, tick: Tick) -> Encoded:
        """Fit on some rows, encode all."""
        rng = np.random.default_rng(seed)
        if self.both is not None:
            return self.both(dataset, rows, rng, tick)
        fitted = self.fit(dataset, rows, rng)
        return Encoded(fitted=fitted, values=self.encode(dataset, fitted, tick))

    def kept(self, name: str, dataset: Dataset, rows: Int, *, seed: int, tick: Tick, cache: Cache) -> Encoded:
        """The same, from the cache where an earlier run did it with the same inputs; kept there if it took long."""
        if dataset.content_hash is None:  # a table: quickly done
            return self.run(dataset, rows, seed=seed, tick=tick)
        content = hashlib.blake2b(np.ascontiguousarray(dataset.content_hash).tobytes() + rows.tobytes()).hexdigest()
        key = " ".join(("embedding", name, str(self.version), self.weights, str(seed), content))
        saved = cache.get(key)
        if saved is not None:
            return Encoded.of(saved)
        began = time.perf_counter()
        done = self.run(dataset, rows, seed=seed, tick=tick)
        if time.perf_counter() - began >= WORTH:
            cache.put(key, done.arrays)
        return done


def embedded(
    evaluation: Evaluation,
    *,
    layers: Mapping[str, OwnLayer] | None = None,
    asked: Sequence[str] | None = None,
    seed: int = 0,
    open_encoder: OpenEncoder | None = None,
    cache: Cache = _NOWHERE,
    progress: Progress | None = None,
) -> Evaluation:
    """The evaluation with embedding columns beside those that the data brought.

    layers what is read of the model's own layers, by the names of `own_layers`; none for a model that shows none
    asked  names without "embedding:": "raw", "inputs", "encoder", "words", "penultimate", "penultimate:LAYER" or
           "scores", "sentences:FOLDER" or "clip:FOLDER"; what suits the data and the model when None (`defaults`)
    open_encoder
           opens an encoder that the user has on disk
    cache  where embeddings are kept that took long

    Raises UsageError for a name that is not known or that the data or the model do not offer.
    """
    report = progress or (lambda share, told: None)
    shown = layers or {}
    names = defaults(evaluation, shown) if asked is None else tuple(asked)
    seen, rows = _seen(evaluation), np.flatnonzero((evaluation.fold == EXPLORE) & evaluation.counted)
    columns: dict[str, Column] = {}
    sources: list[Source] = []
    own: list[str] = []
    caveats: list[str] = []
    for at, name in enumerate(names):
        kind = name.partition(":")[0]
        column = PREFIX + (name if kind in OWN else kind)
        if column in evaluation.dataset.table:
            continue
        tick = _ticking(report, at, len(names), column)
        if kind in OWN:
            try:
                columns[column] = _own(name, evaluation, shown, tick)
            except CannotRunError as error:
                if asked is not None:
                    raise
                caveats.append(f"The model's own layer is not searched: {error}")
                continue
            sources.append(Source(kind=column, columns=(column,)))
            own.append(column)
            continue
        encoder = _known(name, evaluation.dataset, open_encoder)
        if seen.modality == "table" and not seen.table.names:
            raise UsageError(
                f"The embedding `{name}` has no column to read.", hint="every one is the label or an output."
            )
        done = encoder.kept(name, seen, rows, seed=seed, tick=tick, cache=cache)
        columns[column] = Column.embedding(done.values)
        sources.append(_source(column, done.fitted, encoder.version))
    dataset = evaluation.dataset.with_table(evaluation.dataset.table.with_columns(columns), sources=tuple(sources))
    return replace(
        evaluation, dataset=dataset, outputs=(*evaluation.outputs, *own), caveats=(*evaluation.caveats, *caveats)
    )


def _ticking(report: Progress, at: int, count: int, column: str) -> Tick:
    """Progress within one of several embeddings."""

    def tick(done: int, total: int) -> None:
        report((at + done / max(total, 1)) / count, f"computing {column}")

    tick(0, 1)
    return tick


def own_layers(model: Model, dataset: Dataset, asked: Sequence[str] | None) -> dict[str, OwnLayer]:
    """The model's own layers among the embeddings that are asked for, by their names, unread; {} where it shows none.

    asked  as for `embedded`; what its last linear layer reads when None
    """
    if not isinstance(model, Embeds):
        return {}
    named = [name for name in asked or () if name.partition(":")[0] == "penultimate"]
    names = [name for name in (["penultimate"] if asked is None else named) if PREFIX + name not in dataset.table]
    return {name: OwnLayer(model, dataset, name.partition(":")[2] or None) for name in names}


def defaults(evaluation: Evaluation, layers: Mapping[str, OwnLayer]) -> tuple[str, ...]:
    """What suits the data and the model: an independent embedding first, then the model's own."""
    fitted = tuple(name for name, encoder in ENCODERS.items() if evaluation.dataset.modality in encoder.modalities)
    if evaluation.dataset.modality == "table" and not _seen(evaluation).table.names:
        fitted = ()  # every column is the label or an output
    brought = bool(set(evaluation.embeddings) - set(evaluation.outputs))
    own = tuple(layers)
    if not own and evaluation.scores is not None and not brought and not fitted:
        own = ("scores",)
    return (*(() if brought else fitted), *own)


def recomputed(
    evaluation: Evaluation, sources: Sequence[Source], *, open_encoder: OpenEncoder | None = None
) -> Evaluation:
    """Other rows with the embedding and n-gram columns that a run fitted; the model's own embeddings are left out.

    Raises UsageError where the data lack what a source reads.
    """
    columns: dict[str, Column] = {}
    for source in sources:
        column = source.columns[0] if source.columns else ""
        if source.kind == GRAMS:
            evaluation = replace(evaluation, dataset=with_grams(evaluation.dataset, source))
        if not source.kind.startswith(PREFIX) or column in evaluation.dataset.table:
            continue
        name = source.kind.removeprefix(PREFIX)
        if "folder" in source.options:
            name = f"{name}:{source.options['folder']}"
        if name.partition(":")[0] in OWN:
            continue
        encoder = _known(name, evaluation.dataset, open_encoder)
        fitted = Fitted(options=source.options, arrays=source.arrays)
        columns[column] = Column.embedding(encoder.encode(evaluation.dataset, fitted, _untold))
    dataset = evaluation.dataset.with_table(evaluation.dataset.table.with_columns(columns))
    return replace(evaluation, dataset=dataset)


def _known(name: str, dataset: Dataset, open_encoder: OpenEncoder | None) -> Encoder:
    kind, _, folder = name.partition(":")
    encoder = None if folder else ENCODERS.get(kind)
    if folder and kind in FOLDERS and open_encoder is not None:
        encoder = _on_disk(kind, folder, open_encoder)
    if encoder is None and kind in FOLDERS:
        raise UsageError(f"The embedding `{kind}` needs a folder.", hint=f"such as `{kind}:models/all-MiniLM-L6-v2`.")
    if encoder is None:
        raise UsageError(f"There is no embedding `{name}`.", hint=nearest(name, (*ENCODERS, *FOLDERS, *OWN)))
    if dataset.modality not in encoder.modalities:
        offered = [known for known, one in ENCODERS.items() if dataset.modality in one.modalities]
        raise UsageError(
            f"The embedding `{name}` reads {' or '.join(encoder.modalities)} data; this is {dataset.modality} data.",
            hint=f"try {', '.join([*offered, *OWN])}.",
        )
    return encoder


def _source(column: str, fitted: Fitted, version: int) -> Source:
    return Source(
        kind=column, columns=(column,), options=fitted.options, arrays=fitted.arrays,
        fingerprint=fitted.fingerprint(column, version=version),
    )  # fmt: skip


def _seen(evaluation: Evaluation) -> Dataset:
    """The data as encoders may read it: a table without label and outputs, which methods must not find in there."""
    dataset = evaluation.dataset
    if dataset.modality != "table":
        return dataset
    measured = {name for source in dataset.sources for name in source.columns}
    hidden = {dataset.label, *evaluation.outputs, *measured}
    kept = {name: dataset.table.column(name) for name in evaluation.features if name not in hidden}
    return dataset.with_table(Table(kept))


def _untold(done: int, total: int) -> None:
    """Progress that nobody watches."""


def _own(name: str, evaluation: Evaluation, layers: Mapping[str, OwnLayer], tick: Tick) -> Column:
    if name.partition(":")[0] == "scores":
        if evaluation.scores is None:
            raise UsageError("The model gives labels alone, and `scores` were asked for.", hint="see `--scores`.")
        # Logarithms, so that a step from 1 to 2 % counts as much as one from 50 to 100 %.
        return Column(kind="embedding", values=np.log(np.maximum(evaluation.scores, 1e-4)).astype(np.float32))
    if name not in layers:
        raise UsageError(
            f"The embedding `{name}` is the model's own, and this one shows none.", hint="a torch or ONNX model does."
        )
    return Column.embedding(layers[name].values(tick))


def _texts(dataset: Dataset, rows: Int | None = None) -> list[str]:
    assert dataset.text is not None
    column = dataset.table.column(dataset.text)
    chosen = range(len(dataset)) if rows is None else rows.tolist()
    return [column.text(int(row)) or "" for row in chosen]


def _fit_patches(dataset: Dataset, rows: Int, rng: np.random.Generator) -> Fitted:
    assert dataset.image is not None
    return patches.fit(dataset.image, rows, rng=rng)


def _encode_patches(dataset: Dataset, fitted: Fitted, tick: Tick) -> NDArray[np.float32]:
    assert dataset.image is not None
    return patches.encode(dataset.image, np.arange(len(dataset)), fitted, progress=tick)


def _fit_and_encode_patches(dataset: Dataset, rows: Int, rng: np.random.Generator, tick: Tick) -> Encoded:
    assert dataset.image is not None
    return patches.fit_and_encode(dataset.image, rows, count=len(dataset), rng=rng, progress=tick)


def _fit_inputs(dataset: Dataset, rows: Int, rng: np.random.Generator) -> Fitted:
    assert dataset.read is not None
    return inputs.fit(dataset.read, rows, rng=rng)


def _encode_inputs(dataset: Dataset, fitted: Fitted, tick: Tick) -> NDArray[np.float32]:
    del tick
    assert dataset.read is not None
    return inputs.encode(dataset.read, len(dataset), fitted)


def _on_disk(kind: str, folder: str, open_encoder: OpenEncoder) -> Encoder:
    """An encoder that the user has in a folder: nothing is fitted."""
    opened = open_encoder(kind, folder)
    kept = Fitted(options={"folder": str(Path(folder).resolve()), "weights": opened.fingerprint})

    def encode(dataset: Dataset, fitted: Fitted, tick: Tick) -> NDArray[np.float32]:
        before = fitted.options.get("weights")
        if before != opened.fingerprint:
            raise UsageError(
                f"The encoder in `{folder}` is another than the run had (`{opened.fingerprint}`, then `{before}`).",
                hint="put the old one back, or diagnose anew.",
            )
        parts: list[NDArray[np.float32]] = []
        for start in range(0, len(dataset), _BATCH):
            rows = np.arange(start, min(start + _BATCH, len(dataset)))
            part = opened.encode(_texts(dataset, rows) if kind == "sentences" else _images(dataset, rows))
            wanted = (len(rows), parts[0].shape[1] if parts else part.shape[-1])
            if part.shape != wanted:
                raise CannotRunError(
                    f"The encoder in `{folder}` gave an array of shape {part.shape}, expected {wanted}.",
                    hint="it should give one row per input, always of the same length.",
                )
            parts.append(part)
            tick(int(rows[-1]) + 1, len(dataset))
        return np.concatenate(parts)

    modality = "text" if kind == "sentences" else "image"
    return Encoder(
        modalities=(modality,), version=1, fit=lambda dataset, rows, rng: kept, encode=encode,
        weights=opened.fingerprint,
    )  # fmt: skip


def _images(dataset: Dataset, rows: Int) -> list[NDArray[np.uint8]]:
    assert dataset.image is not None
    return [dataset.image(int(row)) for row in rows]


ENCODERS: Mapping[str, Encoder] = {
    "encoder": Encoder(
        modalities=("image",), version=patches.VERSION, fit=_fit_patches, encode=_encode_patches,
        both=_fit_and_encode_patches,
    ),
    "words": Encoder(
        modalities=("text",), version=words.VERSION,
        fit=lambda dataset, rows, rng: words.fit(_texts(dataset, rows), rng=rng),
        encode=lambda dataset, fitted, tick: words.encode(_texts(dataset), fitted),
    ),
    "raw": Encoder(
        modalities=("table",), version=raw.VERSION,
        fit=lambda dataset, rows, rng: raw.fit(dataset.table.take(rows), dataset.table.names),
        encode=lambda dataset, fitted, tick: raw.encode(dataset.table, fitted),
    ),
    "inputs": Encoder(modalities=("array",), version=inputs.VERSION, fit=_fit_inputs, encode=_encode_inputs),
}  # fmt: skip
"""What can be fitted here, by name, best first for each kind of data."""
