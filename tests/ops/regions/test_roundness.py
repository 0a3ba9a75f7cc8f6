from __future__ import annotations

import numpy as np
import pytest

from errata.core.columns import Column
from errata.ops.regions.roundness import round_cut, round_number, worded

NUMBERS = Column.number([0.0])
DAYS = Column(kind="datetime", values=np.array(["2020-01-01"], dtype="datetime64[us]"))


@pytest.mark.parametrize(
    ("low", "high", "near", "said"),
    [
        (59.97, 60.04, 60.0, 60.0),
        (58.3, 61.7, 59.1, 60.0),
        (0.1234, 0.1299, 0.1236, 0.125),
        (-3.2, 4.1, 1.0, 0.0),
        (23_310.4, 24_120.9, 23_400.0, 24_000.0),
        (1.00001, 1.00002, 1.000015, 1.00001),
        (5.0, 5.0, 5.0, 5.0),
        (60.0, 61.0, 60.5, 60.0),
        (-1e-12, -9e-13, -9.5e-13, -1e-12),
    ],
)
def test_the_roundest_number_between(low: float, high: float, near: float, said: float) -> None:
    found = round_number(low, high, near)
    assert low <= found <= high
    if said == 0.125:
        assert found in (0.124, 0.125, 0.126, 0.127, 0.128, 0.129)
    else:
        assert found == said


@pytest.mark.parametrize("seed", range(20))
def test_a_cut_parts_the_same_values(seed: int) -> None:
    rng = np.random.default_rng(seed)
    low, high = np.sort(np.round(rng.normal(size=2) * 10.0 ** rng.integers(-6, 7), int(rng.integers(0, 8))))
    if low == high:
        return
    cut = round_cut(float(low), float(high), float(0.5 * (low + high)), column=NUMBERS)
    assert low <= cut < high


def test_a_round_value_just_above_is_worded_as_below_it() -> None:
    cut = round_cut(59.0, 60.0, 59.5, column=NUMBERS)
    assert cut < 60.0
    assert worded(cut) == 60.0
    assert worded(round_cut(-0.01, 0.0, -0.005, column=NUMBERS)) == 0.0
    assert worded(60.0) is None
    assert worded(59.3) is None


def moment(text: str) -> float:
    return float(np.datetime64(text, "us").astype(np.int64))


def test_dates_are_cut_at_midnight_or_at_the_full_hour() -> None:
    low, high = moment("2020-03-01T18:20"), moment("2020-03-02T07:10")
    assert round_cut(low, high, low, column=DAYS) == moment("2020-03-02")
    low, high = moment("2020-03-01T18:20"), moment("2020-03-01T19:40")
    assert round_cut(low, high, low, column=DAYS) == moment("2020-03-01T19:00")
    days = Column(kind="datetime", values=np.array(["2020-01-01"], dtype="datetime64[D]"))
    assert round_cut(10.0, 11.0, 10.5, column=days) == 10.0
