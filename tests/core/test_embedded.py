"""Rules over embeddings: who belongs, how missing values and other widths are met, and the way to disk and back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from errata.core.codec import decode, encode
from errata.core.columns import Column, Table
from errata.core.embedded import Direction, Embedded, Learned, Near, Space, Terms, embedded_from_json
from errata.core.errors import UsageError
from errata.core.rules import Where
from errata.core.slices import Slice

RNG = np.random.default_rng(0)
N, D = 200, 5
VALUES = RNG.normal(size=(N, D)).astype(np.float32)
LABELS = RNG.integers(0, 3, size=N).astype(np.int32)
SCORES = RNG.dirichlet(np.ones(3), size=N).astype(np.float32)
TABLE = Table({
    "embedding:raw": Column(kind="embedding", values=VALUES),
    "label": Column(kind="category", values=LABELS, levels=("a", "b", "c")),
    "said": Column(kind="scores", values=SCORES),
})  # fmt: skip


def near(**changes: object) -> Near:
    means = np.array([[0.0] * D, [1.0] * D, [-1.0] * D])
    options = {"means": means, "precisions": np.array([[1.0] * D, [2.0] * D, [0.5] * D]),
               "log_weights": np.log([0.5, 0.3, 0.2]), "at": 1, "cut": 0.5}  # fmt: skip
    return Near(column="embedding:raw", **{**options, **changes})  # type: ignore[arg-type]


def test_the_posterior_of_a_component_is_that_of_bayes() -> None:
    rule = near()
    densities = np.stack([
        weight * multivariate_normal(mean, np.diag(1.0 / precision)).pdf(VALUES)
        for weight, mean, precision in zip(np.exp(rule.log_weights), rule.means, rule.precisions, strict=True)
    ])  # fmt: skip
    np.testing.assert_allclose(rule.score(TABLE), densities[1] / densities.sum(axis=0), rtol=1e-5)
    np.testing.assert_array_equal(rule.members(TABLE), rule.score(TABLE) >= 0.5)


def test_full_precisions_agree_with_diagonal_ones() -> None:
    full = near(precisions=np.stack([np.diag(row) for row in near().precisions]))
    np.testing.assert_allclose(full.score(TABLE), near().score(TABLE), rtol=1e-6)


def test_labels_and_predictions_weigh_in_as_likelihoods() -> None:
    shares = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    label = Terms(columns=("label",), levels=("a", "b", "c"), log_p=np.log(shares), weight=2.0)
    said = Terms(columns=("said",), levels=("a", "b", "c"), log_p=np.log(shares))
    plain, told = near().score(TABLE), near(label=label, prediction=said).score(TABLE)
    factor = shares[:, LABELS] ** 2 * (SCORES @ shares.T).T
    every = np.stack([near(at=at).score(TABLE) for at in range(3)]) * factor
    np.testing.assert_allclose(told, every[1] / every.sum(axis=0), rtol=1e-5)
    assert not np.allclose(told, plain)
    assert near(label=label, prediction=said).columns == ("embedding:raw", "label", "said")


def test_one_component_is_a_ball() -> None:
    rule = near(means=np.zeros((1, D)), precisions=np.ones((1, D)), log_weights=np.zeros(1), at=0, cut=-4.0)
    np.testing.assert_array_equal(rule.members(TABLE), (VALUES.astype(float) ** 2).sum(axis=1) <= 4.0)


def test_a_rule_stays_among_the_rows_it_is_given() -> None:
    rule = near(given=Where.parse('label = "b"'))
    assert not rule.members(TABLE)[LABELS != 1].any()
    assert rule.text.endswith(' and label = "b"')
    assert rule.columns == ("embedding:raw", "label")


def test_a_row_without_an_embedding_is_a_member_of_nothing() -> None:
    values = VALUES.copy()
    values[3] = np.nan
    table = TABLE.with_columns({"embedding:raw": Column(kind="embedding", values=values)})
    for rule in rules():
        assert rule.score(table)[3] == -np.inf
        assert not rule.members(table)[3]


def test_space_centres_scales_and_projects() -> None:
    axes = np.eye(D)[:, :2]
    space = Space(centre=np.full(D, 1.0), scale=np.array([2.0, 0.0, 1.0, 1.0, 1.0]), unit=True, axes=axes)
    read = (VALUES - 1.0) / np.array([2.0, 1.0, 1.0, 1.0, 1.0])
    np.testing.assert_allclose(space(VALUES), (read / np.linalg.norm(read, axis=1, keepdims=True))[:, :2], rtol=1e-5)


def test_a_small_network_reads_values_and_label() -> None:
    rule = next(rule for rule in rules() if isinstance(rule, Learned))
    hidden = np.maximum(np.hstack([VALUES, np.eye(3)[LABELS]]) @ rule.layers[0][0] + rule.layers[0][1], 0.0)
    logit = (hidden @ rule.layers[1][0] + rule.layers[1][1])[:, 0]
    np.testing.assert_allclose(rule.score(TABLE), 1.0 / (1.0 + np.exp(-logit)), rtol=1e-5)


def rules() -> list[Embedded]:
    label = Terms(columns=("label",), levels=("a", "b", "c"), log_p=np.log(np.full((3, 3), 1 / 3)))
    rng = np.random.default_rng(1)
    return [
        near(label=label, given=Where.parse('label = "a"')),
        Direction(column="embedding:raw", space=Space(centre=VALUES.mean(axis=0), unit=True), weights=np.ones(D),
                  bias=0.1, cut=0.2),
        Learned(column="embedding:raw", layers=((rng.normal(size=(D + 3, 4)), np.zeros(4)),
                                                (rng.normal(size=(4, 1)), np.zeros(1))),
                label="label", levels=("a", "b", "c"), cut=0.5),
    ]  # fmt: skip


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.kind)
def test_a_rule_comes_back_from_disk_as_it_was(rule: Embedded) -> None:
    plain = json.loads(json.dumps(encode(rule)))
    again = embedded_from_json(plain, rule.arrays())
    assert again == rule
    np.testing.assert_array_equal(again.members(TABLE), rule.members(TABLE))
    np.testing.assert_array_equal(again.score(TABLE), rule.score(TABLE))
    assert decode({"rule": plain | {"arrays": rule.arrays()}}, Slice).rule == rule


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.kind)
def test_any_mapping_of_arrays_will_do(rule: Embedded) -> None:
    frame = {"embedding:raw": VALUES, "label": np.array(["a", "b", "c"])[LABELS]}
    np.testing.assert_array_equal(rule.members(frame), rule.members(TABLE))


def test_other_arrays_are_another_rule() -> None:
    assert near().text != near(means=near().means + 0.01).text
    assert near().text != near(cut=0.6).text
    assert Slice(rule=near()).id == Slice(rule=near()).id


def test_another_width_is_refused() -> None:
    table = Table({"embedding:raw": Column(kind="embedding", values=np.zeros((3, D + 1), dtype=np.float32))})
    rule = near(space=Space(centre=np.zeros(D)))
    with pytest.raises(UsageError, match="6 dimensions, and the rule was fitted on 5"):
        rule.members(table)


def test_a_damaged_rule_is_refused() -> None:
    plain = dict(near().to_json())
    with pytest.raises(UsageError, match="damaged"):
        embedded_from_json(plain, {})


def test_blocks_of_rows_give_the_same_scores() -> None:
    values = np.random.default_rng(2).normal(size=(20_000, D)).astype(np.float32)
    labels = np.random.default_rng(3).integers(0, 3, size=20_000).astype(np.int32)
    table = Table({
        "embedding:raw": Column(kind="embedding", values=values),
        "label": Column(kind="category", values=labels, levels=("a", "b", "c")),
    })  # fmt: skip
    rule = rules()[0]
    part = table.take(np.arange(9_000, 9_010))
    np.testing.assert_allclose(rule.score(table)[9_000:9_010], rule.score(part), rtol=1e-9)
