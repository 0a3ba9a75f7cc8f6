"""Data sets that come with scikit-learn, under names that read well in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Column
from errata.core.dataset import Dataset
from errata.core.errors import UsageError, nearest
from errata.core.hashing import bytes_hash
from errata.datasets.arrays import picture_reader
from errata.datasets.assemble import assemble
from errata.datasets.content import Content
from errata.datasets.inputs import with_inputs
from errata.datasets.roles import Roles

__all__ = ["SAMPLES", "digit_writers", "read_sample"]

DIGIT_SHEETS: Final = (0, 130, 256, 386, 516, 646, 776, 905, 1029, 1157, 1287, 1415, 1545, 1667)
"""Rows of the digits at which the same sequence of about 130 digits begins anew: each is one filled-in sheet."""


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """Where a set comes from, what its label is called, and the words for its classes."""

    loader: str
    label: str
    classes: Mapping[str, str]


SAMPLES: Final[Mapping[str, _Sample]] = {
    "cancer": _Sample(loader="load_breast_cancer", label="diagnosis", classes={}),
    "diabetes": _Sample(loader="load_diabetes", label="progression", classes={}),
    "digits": _Sample(loader="load_digits", label="digit", classes={}),
    "iris": _Sample(loader="load_iris", label="species", classes={}),
    "wine": _Sample(
        loader="load_wine", label="cultivar", classes={"class_0": "A", "class_1": "B", "class_2": "C"}
    ),
}  # fmt: skip


def digit_writers() -> NDArray[np.int64]:
    """(1797,) number of the sheet that each of the digits was taken from.

    The file does not name its writers. It holds 14 runs of one and the same sequence of digits (with a few left out),
    so each run is taken for one writer's sheet; the set's description speaks of 13 writers, so one of them may have
    filled in two.

    Reference: Alpaydin and Kaynak, Cascading classifiers, Kybernetika, 1998 (recognition of handwritten digits).
    """
    return np.searchsorted(np.array(DIGIT_SHEETS), np.arange(1797), side="right") - 1


def read_sample(name: str, roles: Roles | None = None) -> Dataset:
    """One of scikit-learn's own data sets, offline. Raises UsageError for an unknown name, with the known ones."""
    if name not in SAMPLES:
        raise UsageError(f"There is no sample `{name}`.", hint=nearest(name, SAMPLES))
    from sklearn import datasets

    roles = roles or Roles()
    sample = SAMPLES[name]
    bunch = getattr(datasets, sample.loader)()
    roles = replace(roles, label=roles.label or sample.label)
    if name == "digits":
        return _digits(bunch, roles)
    columns = {str(column): _measured(bunch.data[:, j]) for j, column in enumerate(bunch.feature_names)}
    columns[sample.label] = _target(bunch, sample)
    dataset = assemble(columns, roles=roles, name=name, origin=f"sample:{name}")
    return with_inputs(dataset, dataset.input_names)


def _measured(values: NDArray[np.float64]) -> Column:
    return Column.number(values, integer=bool((values == np.floor(values)).all()))


def _target(bunch: Any, sample: _Sample) -> Column:
    if not hasattr(bunch, "target_names"):
        return Column.number(bunch.target, integer=bool((bunch.target == np.floor(bunch.target)).all()))
    words = [sample.classes.get(str(word), str(word)) for word in bunch.target_names]
    return Column.category([words[code] for code in bunch.target])


def _digits(bunch: Any, roles: Roles) -> Dataset:
    images = bunch.images.astype(np.float32)
    columns = {
        "digit": Column.number(bunch.target, integer=True),
        "writer": Column.category([f"writer {sheet + 1}" for sheet in digit_writers().tolist()]),
    }
    flat = bunch.data.astype(np.float64)
    pictures = Content(
        modality="image", content_hash=bytes_hash(images), image=picture_reader(images), read=lambda rows: flat[rows]
    )
    note = (
        "The file does not name its 13 writers; its 14 sheets, blocks that repeat one sequence of digits, stand for "
        "them."
    )
    return assemble(columns, roles=roles, name="digits", origin="sample:digits", notes=(note,), content=pictures)
