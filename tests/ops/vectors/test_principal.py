from __future__ import annotations

import numpy as np
import pytest

from errata.ops.vectors import principal
from errata.ops.vectors.principal import principal_axes


@pytest.mark.parametrize("exact", [True, False])
def test_the_axes_are_those_of_the_singular_values(exact: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(principal, "_EXACT", 100 if exact else 1)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((500, 40)) * np.geomspace(5.0, 0.1, 40) @ np.linalg.qr(rng.standard_normal((40, 40)))[0]
    found = principal_axes(x, 4, rng=rng)
    _, s, v = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    assert np.allclose(found.variance, s[:4] ** 2 / 499, rtol=0.01)
    assert np.allclose(np.abs((found.axes * v[:4].T).sum(axis=0)), 1.0, atol=0.01)
    assert np.allclose(found.axes.T @ found.axes, np.eye(4), atol=1e-8)


def test_no_more_axes_than_rows_dimensions_and_variance_allow() -> None:
    rng = np.random.default_rng(0)
    assert principal_axes(rng.standard_normal((5, 30)), 128, rng=rng).axes.shape == (30, 4)
    flat = rng.standard_normal((50, 6))
    flat[:, 2:] = 3.0
    assert principal_axes(flat, 128, rng=rng).axes.shape == (6, 2)
    assert principal_axes(np.ones((20, 3)), 2, rng=rng).axes.shape == (3, 0)
    assert principal_axes(np.ones((1, 3)), 2, rng=rng).axes.shape == (3, 0)
