"""Datasets in memory for what runs models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from errata.core.columns import Column, Level, Table
from errata.core.dataset import Dataset

Make = Callable[..., Dataset]


def as_dataset(
    inputs: NDArray[Any] | None, label: Sequence[Level | None] | NDArray[Any] | None, *, name: str = "tiny",
    group: Sequence[str] | None = None, id_hash: NDArray[np.uint64] | None = None, frame: Any = None,
) -> Dataset:  # fmt: skip
    columns: dict[str, Column] = {}
    if label is not None:
        values = np.asarray(label)
        numeric = values.dtype.kind in "if"
        columns["label"] = Column.number(values) if numeric else Column.category(list(label))
    if group is not None:
        columns["group"] = Column.category(list(group))
    n = len(frame) if frame is not None else len(inputs) if inputs is not None else len(columns["label"])
    read = None
    if frame is not None:
        read = lambda rows: frame.iloc[rows] if hasattr(frame, "iloc") else frame[rows]  # noqa: E731
    elif inputs is not None:
        read = lambda rows: inputs[rows]  # noqa: E731
    return Dataset(
        name=name, modality="array", table=Table(columns), label="label" if label is not None else None,
        group="group" if group is not None else None, read=read, fingerprint=f"{name}-{n}",
        id_hash=np.arange(n, dtype=np.uint64) * np.uint64(2654435761) if id_hash is None else id_hash,
        occurrence=np.zeros(n, dtype=np.uint32),
    )  # fmt: skip


@pytest.fixture
def dataset() -> Make:
    return as_dataset
