"""The support vector machine against one that is known, and against its own optimality conditions."""

from __future__ import annotations

import numpy as np
import pytest

from errata.ops.vectors.linear_svm import balanced, fit_svm


@pytest.mark.parametrize(("n", "d"), [(400, 20), (60, 200)])
def test_the_gradient_vanishes_along_a_path_of_costs(n: int, d: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, d))
    y = np.where(x[:, 0] + rng.standard_normal(n) > 1.0, 1.0, -1.0)
    weights = balanced(y)
    plane = None
    for cost in np.logspace(-6, 0, 7):
        plane = fit_svm(x, y, weights, cost=cost, start=plane)
        pull = 2 * cost * weights * np.maximum(1 - y * plane(x), 0) * y
        first = 2 * cost * weights * y
        scale = np.linalg.norm(np.append(x.T @ first, first.sum()))
        assert np.linalg.norm(plane.weights - x.T @ pull) < 2e-3 * scale
        assert abs(pull.sum()) < 2e-3 * scale


@pytest.mark.parametrize("d", [10, 40])
def test_it_finds_the_plane_of_liblinear(d: int) -> None:
    from sklearn.svm import LinearSVC

    rng = np.random.default_rng(1)
    x = rng.standard_normal((500, d))
    y = np.where(x @ rng.standard_normal(d) + rng.standard_normal(500) > 2.0, 1.0, -1.0)
    ours = fit_svm(x, y, balanced(y), cost=0.1)
    # liblinear holds the bias back as well; far out it hardly does.
    theirs = LinearSVC(C=0.1, class_weight="balanced", intercept_scaling=1000, tol=1e-8, max_iter=100_000, dual=False)
    theirs.fit(x, y)
    assert np.allclose(ours.weights, theirs.coef_[0], atol=2e-3)
    assert ours.bias == pytest.approx(theirs.intercept_[0], abs=2e-3)


def test_balanced_weights_give_both_kinds_the_same_say() -> None:
    y = np.array([1.0, -1.0, -1.0, -1.0])
    weights = balanced(y)
    assert weights[y > 0].sum() == pytest.approx(weights[y < 0].sum())
    assert weights.sum() == pytest.approx(4.0)
