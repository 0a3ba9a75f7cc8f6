from __future__ import annotations

import numpy as np
import pytest

from errata.ops.vectors.kernel_ascent import _slope, brightest


def objective(rows: np.ndarray, loss: np.ndarray, at: np.ndarray, p: int, wanted: float, barrier: float) -> float:
    precision = np.exp(np.broadcast_to(at[p:], (p,)))
    weights = np.exp(-0.5 * (np.square(rows - at[:p]) @ precision))
    total = weights.sum()
    return weights @ loss / total - max(0.0, wanted - total) ** 2 / barrier**2


@pytest.mark.parametrize("scalar", [True, False])
@pytest.mark.parametrize("wanted", [0.0, 40.0])
def test_the_gradient_is_that_of_small_steps(scalar: bool, wanted: float) -> None:
    rng = np.random.default_rng(0)
    rows, loss = rng.standard_normal((80, 3)), rng.random(80)
    at = np.concatenate([rng.standard_normal(3) * 0.3, rng.standard_normal(1 if scalar else 3) * 0.2])
    slope = _slope(rows, loss, at, 3, wanted=wanted, barrier=20.0)
    for place in range(len(at)):
        step = np.zeros(len(at))
        step[place] = 1e-6
        up, down = (objective(rows, loss, at + sign * step, 3, wanted, 20.0) for sign in (1, -1))
        assert slope[place] == pytest.approx((up - down) / 2e-6, abs=1e-7)


def test_the_weight_stays_above_the_barrier_and_the_loss_rises() -> None:
    rng = np.random.default_rng(1)
    blob = rng.integers(0, 6, 1_200)
    rows = 4.0 * rng.standard_normal((6, 5))[blob] + rng.standard_normal((1_200, 5))
    loss = np.where(blob == 3, 2.0, 0.2) + 0.1 * rng.standard_normal(1_200)
    lit = brightest(rows, loss, least=50.0, mean=rows[blob == 3].mean(axis=0))
    assert lit.total >= 49.0
    assert lit.loss > 1.8
    assert (blob[np.argsort(-lit.weights)[:100]] == 3).all()
