"""Errata: a debugger for machine-learning models.

A method reads an Evaluation and proposes Slices; only held-out evidence turns a Slice into a Finding.

    import errata
    diagnosis = errata.diagnose(frame, label="y", prediction="yhat")
    diagnosis.findings

Names load on first use, so importing the package costs next to nothing.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Dataset": "errata.core.dataset",
    "Diagnosis": "errata.core.diagnosis",
    "ErrataError": "errata.core.errors",
    "Evaluation": "errata.core.evaluation",
    "Finding": "errata.core.finding",
    "Job": "errata.core.method",
    "Slice": "errata.core.slices",
    "Where": "errata.core.rules",
    "check": "errata.check",
    "confirm": "errata.confirm",
    "diagnose": "errata.diagnose",
    "evaluate": "errata.evaluate",
    "find_methods": "errata.core.method",
    "leads": "errata.leads",
    "learning_to_split": "errata.learn",
    "load": "errata.store.directory",
    "method": "errata.core.method",
    "open_dataset": "errata.open",
    "open_model": "errata.open",
    "review_labels": "errata.store.review",
    "write_review": "errata.store.review",
}

__all__ = [
    "Dataset",
    "Diagnosis",
    "ErrataError",
    "Evaluation",
    "Finding",
    "Job",
    "Slice",
    "Where",
    "__version__",
    "check",
    "confirm",
    "diagnose",
    "evaluate",
    "find_methods",
    "leads",
    "learning_to_split",
    "load",
    "method",
    "open_dataset",
    "open_model",
    "review_labels",
    "write_review",
]

if TYPE_CHECKING:
    from errata.check import check
    from errata.confirm import confirm
    from errata.core.dataset import Dataset
    from errata.core.diagnosis import Diagnosis
    from errata.core.errors import ErrataError
    from errata.core.evaluation import Evaluation
    from errata.core.finding import Finding
    from errata.core.method import Job, find_methods, method
    from errata.core.rules import Where
    from errata.core.slices import Slice
    from errata.diagnose import diagnose
    from errata.evaluate import evaluate
    from errata.leads import leads
    from errata.learn import learning_to_split
    from errata.open import open_dataset, open_model
    from errata.store.directory import load
    from errata.store.review import review_labels, write_review


class _Package(ModuleType):
    """This package, in which a verb wins over the module of the same name: `errata.diagnose` is always the function."""

    def __setattr__(self, name: str, value: object) -> None:
        if name in _HOMES and isinstance(value, ModuleType):
            return  # the import system would hide the verb behind its module, depending on who imports first
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'errata' has no attribute '{name}'")
    import importlib

    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
