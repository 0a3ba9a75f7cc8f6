"""The smallest detectable difference against simulation of the test it speaks of."""

import numpy as np
import pytest

from errata.stats.exact import Strata, exact_test
from errata.stats.power import detectable_difference, detectable_loss, equivalent_rate


def simulated(rows: int, share: float, rates: tuple[float, ...], level: float, difference: float) -> float:
    rng = np.random.default_rng(0)
    each, rate = rows // len(rates), np.array(rates)
    members = round(share * each)
    hits = 0
    for _ in range(1_000):
        inside = rng.binomial(members, np.minimum(1, rate + difference))
        rest = rng.binomial(each - members, rate)
        strata = Strata(np.full(len(rates), each), inside + rest, np.full(len(rates), members), inside)
        hits += exact_test(strata) <= level
    return hits / 1_000


@pytest.mark.parametrize(
    ("rows", "share", "rates", "level"),
    [
        (2_000, 0.05, (0.1,), 0.05),
        (900, 0.1, (0.04,), 0.05),
        (5_000, 0.05, (0.3, 0.02), 0.005),
        (6_000, 0.2, (0.5, 0.05, 0.05), 0.001),
        (3_000, 0.1, (0.9, 0.6), 0.01),
    ],
)
def test_power_is_what_it_says(rows: int, share: float, rates: tuple[float, ...], level: float) -> None:
    variance = float(np.mean([rate * (1 - rate) for rate in rates]))
    rate = equivalent_rate(variance, above_half=float(np.mean(rates)) > 0.5)
    difference = detectable_difference(share, rows=rows, rate=rate, level=level)
    assert difference is not None
    assert 0.75 < simulated(rows, share, rates, level, difference) < 0.88


def test_shape_of_the_curve() -> None:
    def found(share: float, rows: int) -> float:
        value = detectable_difference(share, rows=rows, rate=0.1, level=0.05)
        assert value is not None
        return value

    assert found(0.01, 4_000) > found(0.05, 4_000) > found(0.2, 4_000) > found(0.2, 40_000)
    assert detectable_difference(0.01, rows=100, rate=0.5, level=1e-3) is None
    assert detectable_difference(0.001, rows=100, rate=0.5, level=0.05) is None


def test_equivalent_rate() -> None:
    assert equivalent_rate(0.09) == pytest.approx(0.1)
    assert equivalent_rate(0.09, above_half=True) == pytest.approx(0.9)
    assert equivalent_rate(0.26) == 0.5


def test_losses() -> None:
    from scipy.special import ndtr

    difference = detectable_loss(0.1, rows=1_000, deviation=2.0, level=0.01)
    assert difference is not None
    error = 2.0 * np.sqrt(1 / 100 + 1 / 900)
    assert ndtr(difference / error - 2.326348) == pytest.approx(0.8, abs=1e-4)
