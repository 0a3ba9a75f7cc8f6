"""Slices that fail for a reason we planted get that reason, and slices without one get none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from errata.ops.failure_type import Cue, Scene, Verdict, failure_type
from errata.ops.labels.second_opinion import kth_distance, opinion, opinion_from, within

N = 2_000


def scene(seed: int = 0) -> Scene:
    """Four numbers, two of which decide the label; a model that knows the rule."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, 4))
    label = (x[:, 0] + x[:, 1] > 0).astype(int)
    return Scene(features=x, labels=label, predicted=label.copy(), classes=2)


def corner(one: Scene) -> np.ndarray:
    return one.features[:, 2] > 1.2


def test_flipped_labels_are_mislabelled() -> None:
    one, rng = scene(), np.random.default_rng(1)
    flipped = corner(one) & (rng.random(N) < 0.2)
    spoilt = replace(one, labels=np.where(flipped, 1 - one.labels, one.labels))
    found = failure_type(spoilt, corner(one))
    assert found.type == "mislabelled"
    assert "rows around agree" in found.words


def test_labels_by_chance_are_ambiguous() -> None:
    one, rng = scene(), np.random.default_rng(2)
    chance = rng.integers(0, 2, N)
    labels = np.where(corner(one), chance, one.labels)
    assert failure_type(replace(one, labels=labels), corner(one)).type == "ambiguous"


def test_a_cue_that_the_model_follows_is_a_shortcut() -> None:
    one, rng = scene(), np.random.default_rng(3)
    cue = rng.random(N) < 0.5
    predicted = np.where(rng.random(N) < 0.8, cue.astype(int), one.labels)
    features = np.concatenate([one.features, cue[:, None]], axis=1)
    cued = replace(
        one, features=features, predicted=predicted,
        cues=(
            Cue(name="a straw", present=rng.random(N) < 0.5),
            Cue(name="a watermark", present=cue, features=(4,)),
        ),
    )  # fmt: skip
    found = failure_type(cued, cue & (one.labels == 0))
    assert (found.type, found.cue) == ("shortcut", "a watermark")


def test_rows_that_training_hardly_has_are_rare_and_rows_far_off_are_shifted() -> None:
    one, rng = scene(), np.random.default_rng(4)
    training = rng.normal(size=(N, 4))
    trained = (training[:, 0] + training[:, 1] > 0).astype(int)
    known = replace(one, training=training, trained=trained)
    members = np.zeros(N, dtype=bool)
    members[:120] = True
    # A tight bunch of ones where training says zero, inside the bulk: few like them there.
    features, labels = one.features.copy(), one.labels.copy()
    features[members] = np.array([-0.8, -0.8, 0.0, 0.0]) + 0.15 * rng.normal(size=(120, 4))
    labels[members] = 1
    predicted = np.where(members, 0, one.predicted)
    bunch = replace(known, features=features, labels=labels, predicted=predicted)
    assert failure_type(bunch, members).type == "rare"
    features[members] += 9.0
    assert failure_type(replace(bunch, features=features), members).type == "shifted"
    assert failure_type(replace(bunch, features=features, training=None, trained=None), members).type != "shifted"


def test_errors_without_a_reason_have_none() -> None:
    one, rng = scene(), np.random.default_rng(5)
    broken = corner(one) & (rng.random(N) < 0.4)
    assert failure_type(replace(one, predicted=np.where(broken, 1 - one.labels, one.labels)), corner(one)) == Verdict(
        type="unknown", words="Why is not known: none of the tests for a reason passed."
    )


@pytest.mark.parametrize("members", [np.zeros(N, bool), np.ones(N, bool)])
def test_nobody_and_everybody_have_no_reason(members: np.ndarray) -> None:
    assert failure_type(scene(), members).type == "unknown"


def test_an_opinion_leaves_the_row_itself_out() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(300, 3))
    label = (x[:, 0] > 0).astype(int)
    turned = label.copy()
    turned[0] = 1 - turned[0]
    before, after = opinion(x, label, classes=2), opinion(x, turned, classes=2)
    np.testing.assert_allclose(before.near[0], after.near[0])
    np.testing.assert_allclose(before.smooth[0], after.smooth[0])
    assert (before.best == label).mean() > 0.9
    assert (opinion_from(x[:200], label[:200], x[200:], classes=2).argmax(axis=1) == label[200:]).mean() > 0.85


def test_distances() -> None:
    line = np.arange(5.0)[:, None]
    np.testing.assert_allclose(kth_distance(line, line, k=1, same=True), 1.0)
    np.testing.assert_allclose(kth_distance(line, line, k=2, same=False), 1.0)
    assert within(line[:1], line, np.array([2.5]))[0] == 3
    assert np.isinf(kth_distance(line, line[:0], k=3, same=False)).all()
