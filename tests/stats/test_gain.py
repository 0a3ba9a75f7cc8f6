"""The gain against its formula, a likelihood maximised by hand, and what it should and should not prefer."""

import numpy as np
import pytest

from errata.stats.gain import binomial_log_likelihood, gain, loss_gain


def test_log_likelihood_is_the_maximum() -> None:
    rates = np.linspace(0.001, 0.999, 999)
    for x, n in ((3, 10), (1, 50), (7, 9)):
        assert binomial_log_likelihood(x, n) == pytest.approx(
            np.max(x * np.log(rates) + (n - x) * np.log(1 - rates)), abs=2e-3
        )
    assert binomial_log_likelihood([0, 5, 0], [5, 5, 0]).tolist() == [0.0, 0.0, 0.0]


def test_formula_as_written() -> None:
    def l(x: float, n: float) -> float:  # noqa: E743
        return x * np.log(x / n) + (n - x) * np.log((n - x) / n)

    expected = l(5, 10) + l(15, 90) - l(20, 100) + l(4, 20) + l(6, 30) - l(10, 50) - np.log(150) / 2 * 3
    value = gain([5, 4], [10, 20], wrong=[20, 10], rows=[100, 50], literals=2)
    assert value == pytest.approx(expected)


def test_many_candidates_at_once() -> None:
    rng = np.random.default_rng(0)
    rows, wrong = np.array([100, 60, 40]), np.array([30, 6, 8])
    members = rng.integers(0, rows, size=(40, 3))
    inside = rng.hypergeometric(wrong, rows - wrong, np.maximum(members, 1)) * (members > 0)
    literals = rng.integers(1, 4, 40)
    together = gain(inside, members, wrong=wrong, rows=rows, literals=literals)
    assert together.shape == (40,)
    for i in range(40):
        assert together[i] == pytest.approx(gain(inside[i], members[i], wrong=wrong, rows=rows, literals=literals[i]))


def test_no_difference_costs_its_penalty() -> None:
    assert gain([10], [50], wrong=[20], rows=[100]) == pytest.approx(-np.log(100))
    assert loss_gain([10.0], [50], loss=[20.0], rows=[100], squares=90.0) == pytest.approx(-np.log(100))
    assert loss_gain([1.0], [50], loss=[2.0], rows=[100], squares=0.04) == pytest.approx(-np.log(100))


def test_loss_gain_by_residuals() -> None:
    rng = np.random.default_rng(1)
    code, member = rng.integers(2, size=200), rng.random(200) < 0.3
    values = rng.normal(size=200) + code + member
    before = sum(((values[code == c] - values[code == c].mean()) ** 2).sum() for c in (0, 1))
    after = sum(
        ((values[k] - values[k].mean()) ** 2).sum()
        for c in (0, 1)
        for k in ((code == c) & member, (code == c) & ~member)
    )
    sums = [np.bincount(code, weights=w) for w in (member * values, member, values, np.ones(200))]
    value = loss_gain(sums[0], sums[1], loss=sums[2], rows=sums[3], squares=float(values @ values))
    assert value == pytest.approx(100 * np.log(before / after) - np.log(200))
