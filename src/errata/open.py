"""Open what the user names: data of any kind, and models of any kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from errata.core.dataset import Dataset
from errata.core.model import Model
from errata.datasets.kinds import read_dataset
from errata.datasets.roles import Roles
from errata.describe.rewording import Writer
from errata.engine.embed import Opened
from errata.engine.telling import Pair
from errata.engine.told import told
from errata.models.connect import connect

__all__ = ["open_dataset", "open_encoder", "open_model", "open_pair", "open_writer"]


def open_dataset(data: Any, *, roles: Roles | None = None) -> Dataset:
    """The data behind a path, `sample:NAME`, a dataframe, `(X, y)` or a mapping of arrays; an open Dataset is itself.

    roles  which columns are label, prediction, group, ...; what is not said is guessed from usual names, and noted

    Raises UsageError for data that cannot be read, with what to do about it.
    """
    return data if isinstance(data, Dataset) else read_dataset(data, roles or Roles())


def open_encoder(kind: str, folder: str) -> Opened:
    """An encoder in a folder on disk: "sentences" for texts, "clip" for the image side of a pair.

    Raises UsageError for a folder that holds none; no code of the folder's own is run.
    """
    from errata.models.huggingface_encoders import pair_encoder, sentence_encoder

    return sentence_encoder(folder) if kind == "sentences" else pair_encoder(folder)


def open_pair(folder: str) -> Pair:
    """The text side of a pair of encoders in a folder on disk; raises UsageError for a folder that holds none."""
    from errata.models.huggingface_encoders import pair_encoder

    return pair_encoder(folder)


def open_writer(target: str | Path, folder: Path | None = None) -> Writer:
    """A language model that rewords, behind the URL or in the file of settings of a chat endpoint.

    folder  the run directory, where its answers are kept while the run is in the making

    Raises UsageError for settings that do not fit, CannotRunError when nobody answers there.
    """
    from errata.models.http import writer_at

    return writer_at(target, folder=folder)


def open_model(
    target: Any, *, allow_pickle: bool = False, device: str | None = None, max_calls: int | None = None
) -> Model:
    """A model from a path, `module:object`, or an object in memory; what it can do is detected, nothing predicted yet.

    max_calls  how many requests for predictions an endpoint may get in all

    Raises UsageError for what is no model, and for pickles without `allow_pickle`, with nothing executed.
    """
    named = target if isinstance(target, str | Path) else type(target).__name__
    with told(f"The model `{named}` could not be opened", hint="load it by hand in Python, and repair what it says."):
        return connect(target, allow_pickle=allow_pickle, device=device, max_calls=max_calls)
