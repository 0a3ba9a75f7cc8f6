"""The plane of an embedding in which a group is drawn."""

from __future__ import annotations

import numpy as np

from errata.ops.vectors.plane import plane


def test_a_group_lies_to_the_right_and_the_widest_direction_goes_up() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(400, 6)) * np.array([1.0, 1.0, 9.0, 1.0, 1.0, 1.0])
    member = np.arange(400) < 100
    values[member, 1] += 5.0
    places = plane(values, member, rng=rng)
    assert places[member, 0].mean() > places[~member, 0].mean() + 4.5
    assert abs(np.corrcoef(places[:, 1], values[:, 2])[0, 1]) > 0.95


def test_odd_shapes_are_drawn_too() -> None:
    rng = np.random.default_rng(0)
    for values, member in (
        (np.zeros((5, 3)), np.ones(5, dtype=bool)),
        (np.ones((4, 1)), np.array([True, False, True, False])),
        (rng.normal(size=(6, 1)), np.zeros(6, dtype=bool)),
        (np.full((3, 2), np.nan), np.array([True, False, False])),
    ):
        assert np.isfinite(plane(values, member, rng=rng)).all()
        assert plane(values, member, rng=rng).shape == (len(values), 2)
