from __future__ import annotations

import numpy as np

from errata.ops.vectors.ground import best_cut


def test_the_cut_lies_where_the_errors_change() -> None:
    rng = np.random.default_rng(0)
    score = rng.random(3_000)
    loss = (rng.random(3_000) < np.where(score > 0.9, 0.5, 0.1)).astype(float)
    found = best_cut(score, loss, np.full(3_000, loss.mean()))
    assert found is not None
    assert abs(found.cut - 0.9) < 0.01
    assert (score >= found.cut).sum() == found.size


def test_ties_stay_together_and_outsiders_outside() -> None:
    score = np.array([1.0] * 20 + [0.0] * 60 + [-np.inf] * 20)
    loss = np.array([1.0] * 12 + [0.0] * 68 + [1.0] * 20)
    found = best_cut(score, loss, np.full(100, 0.3), least=5)
    assert found is not None
    assert found.size == 20
    assert 0.0 < found.cut < 1.0


def test_no_cut_where_nothing_errs_more() -> None:
    score = np.linspace(0.0, 1.0, 100)
    assert best_cut(score, np.zeros(100), np.full(100, 0.1)) is None
    assert best_cut(score, 1.0 - score, np.full(100, 0.9)) is None
    assert best_cut(np.full(100, -np.inf), np.ones(100), np.full(100, 0.1)) is None
    assert best_cut(score, score, np.full(100, 0.1), least=80) is None
