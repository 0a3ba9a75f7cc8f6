"""Worlds with an embedding: rows with errors anywhere, blobs of which one fails, and what breaks careless code."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from errata.core.columns import Column, Table
from errata.core.evaluation import Evaluation
from errata.testing import World

Blobs = Callable[..., tuple[Evaluation, np.ndarray]]


def embedded(
    x: np.ndarray, label: np.ndarray, wrong: np.ndarray, *, scores: bool = True, group: np.ndarray | None = None
) -> Evaluation:
    """An evaluation of rows x (n, d) whose wrong ones are taken for the next class."""
    k = int(label.max()) + 1
    levels = tuple(f"c{code}" for code in range(k))
    said = ((label + wrong) % k).astype(np.int32)
    columns = {
        "label": Column(kind="category", values=label.astype(np.int32), levels=levels),
        "prediction": Column(kind="category", values=said, levels=levels),
        "embedding:x": Column(kind="embedding", values=x.astype(np.float32)),
    }
    names = tuple(f"p_{level}" for level in levels) if scores else ()
    for code, name in enumerate(names):
        columns[name] = Column.number(np.where(said == code, 0.8, 0.2 / max(k - 1, 1)).astype(np.float32))
    if group is not None:
        columns["group"] = Column.category([f"g{code}" for code in group])
    return World(
        name="embedded", table=Table(columns), outside=0.05, scores=names, group=None if group is None else "group"
    ).evaluation()


def blobs(
    seed: int = 0, *, n: int = 3_000, d: int = 12, classes: int = 2, inside: float = 0.6, outside: float = 0.05,
    scores: bool = True,
) -> tuple[Evaluation, np.ndarray]:  # fmt: skip
    """Twelve blobs, each of one class; rows of the first one, (n,) bool, are wrong more often."""
    rng = np.random.default_rng(seed)
    blob = rng.integers(0, 12, n)
    x = 4.0 * rng.standard_normal((12, d))[blob] + rng.standard_normal((n, d))
    hard = blob == 0
    wrong = rng.random(n) < np.where(hard, inside, outside)
    return embedded(x, blob % classes, wrong, scores=scores), hard


@pytest.fixture(name="blobs", scope="session")
def blobs_() -> Blobs:
    return blobs


@pytest.fixture(name="embedded", scope="session")
def embedded_() -> Callable[..., Evaluation]:
    return embedded


def degenerate(kind: str) -> Evaluation:
    """Embeddings that break careless code."""
    rng = np.random.default_rng(3)
    n = 60 if kind == "wide" else 400
    x = rng.standard_normal((n, 200 if kind == "wide" else 8))
    label, wrong = rng.integers(0, 3, n), rng.random(n) < 0.2
    if kind == "missing":
        x[rng.random(n) < 0.3, 2] = np.nan
    elif kind == "all missing":
        x[:] = np.nan
    elif kind == "constant dimension":
        x[:, 1] = 7.0
    elif kind == "constant":
        x[:] = 1.0
    elif kind == "one of a class":
        label[:] = 0
        label[0], wrong[0] = 2, True
        label[1:30] = 1
    elif kind == "one class":
        label[:] = 0
        label[-1] = 1
    elif kind == "no errors":
        wrong[:] = False
    elif kind == "all wrong":
        wrong[:] = True
    elif kind == "few rows":
        x, label, wrong = x[:6], np.arange(6) % 2, np.arange(6) == 0
    elif kind == "huge":
        x *= 1e8
    elif kind == "tiny":
        x *= 1e-8
    return embedded(x, label, wrong)


DEGENERATE = (
    "missing", "all missing", "constant dimension", "constant", "one of a class", "one class", "no errors", "all wrong",
    "few rows", "wide", "huge", "tiny",
)  # fmt: skip


@pytest.fixture(params=DEGENERATE)
def broken(request: pytest.FixtureRequest) -> Evaluation:
    """An evaluation with a degenerate embedding, each kind in turn."""
    return degenerate(request.param)
