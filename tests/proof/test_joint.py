"""Tests permuted together: their statistics by hand, their spread, and no false findings among overlapping slices."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from errata.confirm import confirm
from errata.core.columns import Column, Table
from errata.core.dataset import Dataset
from errata.core.errors import UsageError
from errata.core.evaluation import CONFIRM, EXPLORE, Evaluation
from errata.core.rules import Where
from errata.core.slices import Slice
from errata.proof.joint import adjust, joint_draws
from errata.proof.judged import Judged, judge
from errata.proof.sample import grounds
from errata.proof.settle import gather
from errata.stats.multiplicity import Multiplicity


def evaluated(loss: np.ndarray, x: np.ndarray, *, group: np.ndarray | None = None, metric: str = "error") -> Evaluation:
    n = len(loss)
    label = Column.category(["no" if i % 2 else "yes" for i in range(n)])
    table = {"x": Column.number(x), "y": label}
    dataset = Dataset(
        name="test", modality="table", table=Table(table), id_hash=np.arange(n, dtype=np.uint64),
        occurrence=np.zeros(n, np.uint32), label="y",
    )  # fmt: skip
    fold = np.where(np.arange(n) % 4 < 2, EXPLORE, CONFIRM).astype(np.int8)
    if group is not None:
        fold = np.where(group % 2 == 0, EXPLORE, CONFIRM).astype(np.int8)
    return Evaluation(
        dataset=dataset, model=None, task="classification", metric=metric, classes=label.levels,  # type: ignore[arg-type]
        labels=label.values, predicted=np.zeros(n, np.int32), scores=None, loss=loss.astype(float),
        stratum=label.values, fold=fold, counted=np.ones(n, bool), group=group, features=("x", "y"),
    )  # fmt: skip


def judged(evaluation: Evaluation, *texts: str) -> list[Judged]:
    kinds = grounds(evaluation)
    proposals = gather([Slice(rule=Where.parse(text)) for text in texts], evaluation, kinds)
    return [judge(one, kinds["errors"], rows=len(evaluation.fold), alpha=0.05, min_difference=0.0) for one in proposals]


def test_statistics_are_excesses_in_standard_deviations_of_all_permutations() -> None:
    rng = np.random.default_rng(0)
    evaluation = evaluated((rng.random(24) < 0.5).astype(float), rng.random(24))
    one = judged(evaluation, "x > 0.5")[0]
    sample = one.ground.confirm
    sums = []
    for first in itertools.permutations(range(6)):
        values = 0.0
        for code in (0, 1):
            rows = np.flatnonzero(sample.stratum == code)
            loss = sample.loss[rows] - sample.loss[rows].mean()
            values += float(loss[list(first)][one.member[rows]].sum()) * (1.0 if code == 0 else 0.0)
        sums.append(values)
    rows = np.flatnonzero(sample.stratum == 1)
    other = [
        float((sample.loss[rows] - sample.loss[rows].mean())[list(order)][one.member[rows]].sum())
        for order in itertools.permutations(range(6))
    ]
    spread = np.sqrt(np.var(sums) + np.var(other))
    excess = sum(
        float((sample.loss[sample.stratum == code] - sample.loss[sample.stratum == code].mean())
              [one.member[sample.stratum == code]].sum()) for code in (0, 1)
    )  # fmt: skip
    draws = joint_draws([one])
    assert draws.observed[0] == pytest.approx(excess / spread)
    assert draws.drawn.mean() == pytest.approx(0.0, abs=0.05)
    assert draws.drawn.std() == pytest.approx(1.0, abs=0.03)


def test_tests_keep_their_dependence() -> None:
    rng = np.random.default_rng(1)
    evaluation = evaluated((rng.random(800) < 0.2).astype(float), rng.random(800))
    draws = joint_draws(judged(evaluation, "x > 0.5", "x > 0.55", "x < 0.5"))
    correlation = np.corrcoef(draws.drawn)
    assert correlation[0, 1] > 0.85
    assert correlation[0, 2] == pytest.approx(-1.0, abs=1e-6)


def test_groups_are_flipped_or_moved_whole() -> None:
    rng = np.random.default_rng(2)
    group = np.repeat(np.arange(60), 10).astype(np.int32)
    varies, constant = rng.random(600), (group % 7) / 7.0
    loss = (rng.random(600) < 0.1 + 0.4 * rng.random(60)[group]).astype(float)
    within = joint_draws(judged(evaluated(loss, varies, group=group), "x > 0.5", "x > 0.7"))
    assert np.abs(within.drawn).max() <= np.sqrt(30) + 1e-9, "thirty groups, each flipped"
    whole = judged(evaluated(loss, constant, group=group), "x > 0.5")
    assert whole[0].test.name == "whole groups permuted"
    draws = joint_draws(whole)
    assert draws.drawn.std() == pytest.approx(1.0, abs=0.03)
    assert np.mean(draws.drawn[0] >= draws.observed[0] - 1e-9) == pytest.approx(whole[0].test.p_value, abs=0.02)


RULES = [f"x > {cut:.2f}" for cut in np.arange(0.5, 0.95, 0.05)] + [f"x < {cut:.2f}" for cut in (0.1, 0.2, 0.3)]


@pytest.mark.parametrize("multiplicity", ["by", "holm", "maxt"])
def test_nothing_is_reported_too_often_where_overlapping_slices_hold_nothing(
    multiplicity: Multiplicity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("errata.proof.joint.DRAWS", 999)
    monkeypatch.setattr("errata.proof.joint.LEAST_DRAWS", 999)
    false = []
    for seed in range(60):
        rng = np.random.default_rng([seed, 5])
        evaluation = evaluated((rng.random(600) < 0.25).astype(float), rng.random(600))
        # Straight to the account of many tests: settling would leave few of these.
        tested = judged(evaluation, *RULES)
        false.append(bool((adjust(tested, multiplicity, alpha=0.1).q_values <= 0.1).any()))
    # 0.1, and three standard errors of 60 runs.
    assert np.mean(false) <= 0.1 + 3 * np.sqrt(0.09 / 60)


def test_confirm_takes_every_account_and_maxt_sees_no_less_than_holm() -> None:
    rng = np.random.default_rng(3)
    x = rng.random(3_000)
    evaluation = evaluated((rng.random(3_000) < np.where(x > 0.8, 0.35, 0.1)).astype(float), x)
    slices = [Slice(rule=Where.parse(text)) for text in ("x > 0.8", "x < 0.3", "x > 0.4 and x < 0.6")]
    found = {}
    for multiplicity in ("bh", "by", "holm", "maxt"):
        confirmation = confirm(slices, evaluation, multiplicity=multiplicity)  # type: ignore[arg-type]
        best = confirmation.findings[0]
        assert best.status == "confirmed"
        assert best.rule.text == "x > 0.8"
        assert best.metric.interval_level is not None
        found[multiplicity] = best
    assert found["by"].q_value >= found["bh"].q_value  # type: ignore[operator]
    assert found["maxt"].q_value == pytest.approx(1e-4)
    with pytest.raises(UsageError, match="holm"):
        confirm(slices, evaluation, multiplicity="holms")  # type: ignore[arg-type]


def test_a_least_difference_also_bounds_maxt() -> None:
    rng = np.random.default_rng(4)
    x = rng.random(2_000)
    evaluation = evaluated((rng.random(2_000) < np.where(x > 0.8, 0.35, 0.1)).astype(float), x)
    slices = [Slice(rule=Where.parse("x > 0.8"))]
    found = confirm(slices, evaluation, multiplicity="maxt", min_difference=0.24).findings[0]
    assert found.status == "rejected"
    assert found.q_value is not None
    assert found.q_value > 0.05
