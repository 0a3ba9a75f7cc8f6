"""The parts of Learning to Split: heads, metrics, terms of the loss, the verdict, what lies on the test side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from errata.core.errors import UsageError
from errata.ops.nets.frozen import learn_frozen
from errata.ops.nets.groups import contents, nearest_rows
from errata.ops.nets.heads import HeadPredictor, Schedule, as_features, fit_head, own_threads, schedule_for
from errata.ops.nets.scoring import scoring_of
from errata.ops.nets.spaces import fit_space
from errata.ops.nets.splitting import Lap, Plan, Rows, balance_term, dealt, learn_split, size_term
from errata.ops.nets.told import lap_text
from errata.ops.nets.verdict import Verdict, calibrated, judge

torch = pytest.importorskip("torch", reason="needs torch")

BRIEF = Plan(once=Schedule(hidden=(16,), rate=1e-2, decay=0.0, epochs=4, batch=64))


def test_a_head_learns_what_is_there_and_stops_where_there_is_nothing() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((600, 3)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    at = np.arange(600)
    linear, deep = (
        fit_head(as_features(x), y, rows=at[:300], stop=at[300:400], classes=2, schedule=schedule, rng=rng)
        for schedule in (schedule_for("linear"), Schedule(hidden=(32,), steps=10, rate=1e-2))
    )
    right = [(head.logits(x).argmax(axis=1) == y)[400:].mean() for head in (linear, deep)]
    assert right[0] < 0.65
    assert right[1] > 0.85


def test_training_leaves_global_state_as_it_was() -> None:
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    x, y = np.random.default_rng(0).standard_normal((80, 2)).astype(np.float32), np.arange(80) % 2
    with own_threads(1):
        HeadPredictor(features=x, labels=y, classes=2, schedule=Schedule(hidden=(4,), dropout=0.5, epochs=2))(
            fit=np.arange(50), stop=np.arange(50, 80), rng=np.random.default_rng(0)
        )
        assert torch.get_num_threads() == 1
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_metrics_agree_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 300)
    scores = np.round(rng.dirichlet((1, 1), 300) + 0.3 * np.eye(2)[y], 1)
    assert scoring_of("roc_auc").value(y, scores) == pytest.approx(metrics.roc_auc_score(y, scores[:, 1]))
    predicted = scores.argmax(axis=1)
    assert scoring_of("macro_f1").value(y, scores) == pytest.approx(metrics.f1_score(y, predicted, average="macro"))
    assert scoring_of("accuracy").value(y, scores) == pytest.approx((predicted == y).mean())
    assert np.isnan(scoring_of("roc_auc").value(np.ones(4, dtype=int), scores[:4]))
    assert scoring_of(lambda labels, given: 0.25).value(y, scores) == 0.25
    with pytest.raises(UsageError, match="accuracy"):
        scoring_of("acuracy")


def test_the_credit_of_roc_auc_adds_up_to_it() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(200) < 0.1).astype(np.int64)
    first = rng.random(200)
    scores = np.column_stack([1 - first, first])
    scoring = scoring_of("roc_auc")
    credit = scoring.credit(y, scores)
    assert credit[y == 1].mean() == pytest.approx(scoring.value(y, scores))
    assert credit[y == 0].mean() == pytest.approx(scoring.value(y, scores))


def test_the_terms_are_zero_where_sides_are_as_wanted() -> None:
    labels = torch.tensor([0, 1, 0, 1])
    assert float(size_term(torch.full((4,), 0.25), 0.75)) == pytest.approx(0.0, abs=1e-6)
    expected = 0.5 * (0.75 * np.log(0.75 / 0.5) + 0.25 * np.log(0.25 / 0.5))
    assert float(size_term(torch.full((4,), 0.5), 0.75)) == pytest.approx(expected, rel=1e-5)
    assert float(balance_term(torch.full((4,), 0.25), labels, 2)) == pytest.approx(0.0, abs=1e-6)
    assert float(balance_term(torch.tensor([0.9, 0.1, 0.9, 0.1]), labels, 2)) > 0.3


def test_groups_are_never_torn_apart() -> None:
    group = np.repeat(np.arange(20), 5)
    rows = Rows(features=np.zeros((100, 1), np.float32), labels=np.arange(100) % 2, classes=2, group=group)
    fold = dealt(rows, 3, np.random.default_rng(0))
    assert all(len(set(fold[group == g])) == 1 for g in range(20))
    assert set(fold) == {0, 1, 2}


def test_the_space_of_awkward_values_is_finite() -> None:
    rng = np.random.default_rng(0)
    wide = rng.standard_normal((30, 200))
    wide[:, :50] = 3.0
    for values in (wide, np.ones((30, 4)), wide[:, 60:70]):
        read = fit_space(values, rng=rng, most=16)(values)
        assert np.isfinite(read).all()
        assert read.shape[1] <= 16
    assert np.var(fit_space(wide, rng=rng, most=16)(wide), axis=0).mean() == pytest.approx(1.0, rel=0.1)


def test_calibration_tells_a_floor_from_a_border() -> None:
    floors = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        logit = rng.normal(0, 3, 6_000)
        clear = 1 / (1 + np.exp(-logit))
        label = (rng.random(6_000) < clear).astype(np.int64)
        scores = np.column_stack([1 - clear, clear])
        floors.append(calibrated(scores, label).floor)
    assert np.mean(floors) < 0.01
    drawn = rng.random(6_000) < 0.2
    mixed = np.where(drawn, rng.integers(0, 2, 6_000), label)
    belief = calibrated(scores, mixed)
    assert belief.floor == pytest.approx(0.2, abs=0.05)
    assert belief.doubt[mixed != label].mean() > 3 * belief.doubt[mixed == label].mean()


@dataclass(frozen=True)
class Knowing:
    """A predictor that believes what is given to it, whatever it is trained on."""

    scores: np.ndarray

    def __call__(self, *, fit: np.ndarray, stop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self.scores


def verdicts(noise: float, runs: int, n: int = 500) -> list[Verdict]:
    """Verdicts on labels drawn from known beliefs, a share of them drawn anew whatever the input."""
    said = []
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        logits = rng.normal(0, 2, (n, 3))
        scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        labels = (rng.random(n)[:, None] > np.cumsum(scores, axis=1)[:, :-1]).sum(axis=1)
        labels = np.where(rng.random(n) < noise, rng.integers(0, 3, n), labels)
        rows = Rows(features=np.zeros((n, 1), np.float32), labels=labels, classes=3)
        # Twice as sure as it should be: calibration has to see to that.
        loud = np.exp(2.0 * logits) / np.exp(2.0 * logits).sum(axis=1, keepdims=True)
        judged = judge(rows, Knowing(loud), scoring=scoring_of("accuracy"), rng=rng, least=0.0, draws=60)
        said.append(judged.verdict)
    return said


def test_labels_that_follow_beliefs_are_called_systematic_as_often_as_alpha_says() -> None:
    null = verdicts(0.0, 40)
    assert sum(one.systematic for one in null) <= 5
    assert np.mean([one.p_value <= 0.5 for one in null]) < 0.75


def test_a_floor_of_doubt_is_called_systematic() -> None:
    said = verdicts(0.3, 6)
    assert sum(one.systematic for one in said) >= 5
    assert np.mean([one.gap - one.null_mean for one in said]) > 12.5
    assert "look drawn whatever the input" in said[0].words


def test_the_splitter_learns_which_rows_are_wrong_and_nothing_from_chance() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((600, 4)).astype(np.float32)
    rows = Rows(features=x, labels=rng.integers(0, 2, 600), classes=2)
    hard = x[:, 0] > 1.0
    wrong = (rng.random(600) < np.where(hard, 0.7, 0.05)).astype(float)
    split = learn_frozen(rows, wrong, BRIEF, rng=rng)
    members = split.members(split.cuts[0], rows.labels)
    assert (members & hard).sum() / (members | hard).sum() > 0.5
    chance = (rng.random(600) < 0.2).astype(float)
    assert not learn_frozen(rows, chance, BRIEF, rng=rng).cuts


def test_the_sides_of_a_split_follow_what_predictors_fail_on() -> None:
    rng = np.random.default_rng(0)
    true = rng.integers(0, 4, 800)
    x = (rng.standard_normal((800, 8)) + 3 * np.eye(8)[true]).astype(np.float32)
    moved = rng.random(800) < 0.1
    y = np.where(moved, (true + rng.integers(1, 4, 800)) % 4, true)
    rows = Rows(features=x, labels=y, classes=4)
    predictor = HeadPredictor(features=x, labels=y, classes=4, schedule=schedule_for("linear"))
    split = learn_split(rows, predictor, Plan(loops=8), scoring=scoring_of("accuracy"), rng=rng)
    assert split.laps[0].test_count == pytest.approx(200, abs=50)
    assert split.test.mean() < 0.2
    assert moved[split.test].mean() > 0.6
    assert split.laps[split.best].gap > split.laps[0].gap + 30
    lap = split.laps[split.best]
    assert lap.gap == pytest.approx(lap.validation - lap.test)
    assert sum(lap.train_labels) == lap.train_count


def test_neighbours_are_the_nearest_other_rows() -> None:
    x = np.array([[0.0], [1.0], [3.0], [10.0]], dtype=np.float32)
    near = nearest_rows(x, np.array([0, 3]), np.random.default_rng(0), count=1)
    assert near[:, 0].tolist() == [1, 2]


def test_a_group_is_told_from_strewn_labels() -> None:
    rng = np.random.default_rng(0)
    place = rng.integers(0, 3, 600)
    x = (rng.standard_normal((600, 2)) * 0.3 + np.array([[0, 0], [5, 0], [0, 5]])[place]).astype(np.float32)
    y = np.where(place == 1, 1, 0)
    flipped = (place != 2) & (rng.random(600) < 0.05)
    y = np.where(flipped, 1 - y, y)
    belief = calibrated(np.where(np.eye(2)[(place == 1).astype(int)] > 0, 0.99, 0.01), y)
    test = flipped | (place == 2)
    predicted = np.where(place == 1, 1, np.where(place == 2, 1, 0))
    held = contents(x, y, test=test, predicted=predicted, belief=belief, rng=rng)
    assert set(held.suspected) <= set(np.flatnonzero(flipped))
    assert len(held.suspected) > 0.9 * flipped.sum()
    assert (held.groups[0].label, held.groups[0].taken_for) == (0, 1)
    assert set(held.groups[0].rows) == set(np.flatnonzero(place == 2))
    assert held.groups[0].clumping > 1.5


def test_the_log_has_the_numbers_of_the_published_one() -> None:
    lap = Lap(loop=9, gap=64.31, validation=98.97, test=34.66, train_count=7440, test_count=2800,
              train_labels=(7218, 222), test_labels=(2627, 173), failing=0.1)  # fmt: skip
    text = lap_text(lap, classes=(0, 1), metric="roc_auc")
    for number in ("loop 9", "64.31", "98.97", "34.66", "72.7 %", "(7440)", "27.3 %", "(2800)", "{0: 7218, 1: 222}",
                   "{0: 2627, 1: 173}"):  # fmt: skip
        assert number in text
