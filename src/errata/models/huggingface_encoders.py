"""Encoders from a Hugging Face folder on disk: sentences to vectors, and images and texts into one space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.errors import UsageError, require
from errata.core.model import Inputs
from errata.models.huggingface import (
    images_for,
    is_folder,
    mark_of,
    offline_and_quiet,
    reading,
    refuse_code,
    texts_for,
    weights_of,
)
from errata.models.huggingface_inputs import Prepares, in_order

__all__ = ["PairEncoder", "SentenceEncoder", "pair_encoder", "sentence_encoder"]

Vectors = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class SentenceEncoder:
    """Texts as vectors of length one: the mean of what the last layer says of each token, such as MiniLM."""

    module: Any
    prepare: Prepares
    fingerprint: str

    def encode(self, texts: Sequence[str]) -> Vectors:
        """(n, d) float32."""

        def one(tensors: dict[str, Any]) -> Any:
            hidden = self.module(**tensors).last_hidden_state
            mask = tensors["attention_mask"][..., None].to(hidden.dtype)
            return (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1.0)

        return _unit(_each(self.prepare, list(texts), one))


@dataclass(frozen=True, kw_only=True, eq=False)
class PairEncoder:
    """Images and texts as vectors of length one in the same space, such as CLIP."""

    module: Any
    images: Prepares
    texts: Prepares
    fingerprint: str

    def encode(self, images: Inputs) -> Vectors:
        """(n, d) float32 of images."""
        return _unit(_each(self.images, images, lambda tensors: _pooled(self.module.get_image_features(**tensors))))

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """(n, d) float32 of phrases."""
        return _unit(_each(self.texts, list(texts), lambda tensors: _pooled(self.module.get_text_features(**tensors))))


def sentence_encoder(folder: str | Path) -> SentenceEncoder:
    """The sentence encoder in a folder; raises UsageError for what is none, as for a classifier's folder."""
    path = _folder(folder)
    module, library = _opened(path)
    with offline_and_quiet():
        prepare = texts_for(path, module, library)
    return SentenceEncoder(module=module, prepare=prepare, fingerprint=mark_of(path))


def pair_encoder(folder: str | Path) -> PairEncoder:
    """The pair of encoders in a folder; raises UsageError where the model has not both."""
    path = _folder(folder)
    module, library = _opened(path)
    if not hasattr(module, "get_image_features") or not hasattr(module, "get_text_features"):
        raise UsageError(
            f"`{path}` holds no pair of encoders for images and texts.", hint="a folder of a CLIP-like model does."
        )
    with offline_and_quiet():
        images, texts = images_for(path, module.vision_model, library), texts_for(path, module.text_model, library)
    return PairEncoder(module=module, images=images, texts=texts, fingerprint=mark_of(path))


def _folder(folder: str | Path) -> Path:
    path = Path(folder)
    if not is_folder(path):
        raise UsageError(f"`{folder}` is no folder with a `config.json`.", hint="name the folder of an encoder.")
    return path


def _opened(path: Path) -> tuple[Any, Any]:
    """The module without a head, and the library that opened it; no code of the folder's own runs."""
    refuse_code(path)
    weights_of(path, allow_pickle=False)
    require("torch", feature=f"`{path}`", extra="torch")
    library = require("transformers", feature=f"`{path}`", extra="huggingface")
    with offline_and_quiet(), reading(path, "its weights"):
        module = library.AutoModel.from_pretrained(
            str(path), local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype="float32"
        )
    return module.eval(), library


def _each(prepare: Prepares, inputs: Inputs, one: Callable[[dict[str, Any]], Any]) -> Vectors:
    import torch

    pieces = prepare.pieces(inputs, prepare.form(inputs))
    with torch.inference_mode():
        found = in_order(pieces, lambda piece: np.asarray(one(piece.tensors).float().numpy()))
    return np.zeros((0, 1), dtype=np.float32) if found is None else found


def _pooled(features: Any) -> Any:
    """The vectors of a batch: newer libraries give them inside a record."""
    return features if hasattr(features, "numpy") else features.pooler_output


def _unit(vectors: Vectors) -> Vectors:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length == 0.0, 1.0, length), dtype=np.float32)
