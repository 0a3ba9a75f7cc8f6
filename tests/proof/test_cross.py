"""Cross-confirmation: folds, families, the level of the whole procedure, and what it sees that a split does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from errata.confirm import confirm
from errata.core.columns import Column, Table
from errata.core.dataset import Dataset
from errata.core.errors import UsageError
from errata.core.evaluation import CONFIRM, EXPLORE, LEFT_OUT, SEALED, Evaluation
from errata.core.evidence import Statistic
from errata.core.rules import Where
from errata.core.slices import Slice
from errata.proof.confirmation import few_errors
from errata.proof.cross import Procedure, confirm_across
from errata.proof.families import FOLDS, cross_folds, cross_ground, statistic
from errata.proof.permuted import permute
from errata.proof.settings import Proof
from errata.stats.exact import Strata, exact_test


def world(
    seed: int, *, n: int = 900, rate: float = 0.04, inside: float | None = None, group: np.ndarray | None = None,
    binary: bool = True,
) -> Evaluation:  # fmt: skip
    """Three classes, six columns; where x0 > 0.85 rows are wrong with the rate `inside`."""
    rng = np.random.default_rng(seed)
    columns = {f"x{at}": rng.random(n) for at in range(6)}
    label = Column.category([("a", "b", "c")[code] for code in rng.integers(0, 3, n)])
    wrong = rng.random(n) < rate
    if inside is not None:
        wrong = np.where(columns["x0"] > 0.85, rng.random(n) < inside, wrong)
    predicted = np.where(wrong, (label.values + 1) % 3, label.values).astype(np.int32)
    loss = wrong.astype(float) if binary else rng.random(n) + wrong
    dataset = Dataset(
        name="test", modality="table", label="y",
        table=Table({name: Column.number(x) for name, x in columns.items()} | {"y": label}),
        id_hash=np.arange(n, dtype=np.uint64) * np.uint64(7919), occurrence=np.zeros(n, np.uint32),
    )  # fmt: skip
    return Evaluation(
        dataset=dataset, model=None, task="classification", metric="error" if binary else "loss",
        classes=label.levels, labels=label.values, predicted=predicted, scores=None, loss=loss, stratum=label.values,
        fold=np.where(np.arange(n) % 2 == 0, EXPLORE, CONFIRM).astype(np.int8), counted=np.ones(n, bool), group=group,
        features=(*columns, "y"), fingerprint="ab12",
    )  # fmt: skip


def tails(evaluation: Evaluation) -> Sequence[Slice]:
    """The two upper tails of columns that err most among explore rows: a search that looks at twelve rules."""
    explore = evaluation.explore()
    loss = explore.view().loss
    rated = []
    for at in range(6):
        x = np.asarray(explore.column(f"x{at}").values)
        for share in (0.8, 0.9):
            cut = round(float(np.quantile(x, share)), 3)
            rated.append((float(loss[x > cut].mean()), f"x{at} > {cut}"))
    return [Slice(rule=Where.parse(text), proposed_by=("tails",)) for _, text in sorted(rated, reverse=True)[:2]]


def test_folds_are_stratified_and_do_not_depend_on_the_order_of_rows() -> None:
    evaluation = world(0)
    folds = cross_folds(evaluation)
    for code in range(3):
        sizes = np.bincount(folds[evaluation.stratum == code], minlength=FOLDS)
        assert sizes.max() - sizes.min() <= 1
    order = np.random.default_rng(1).permutation(len(folds))
    turned = replace(
        evaluation, dataset=replace(evaluation.dataset, id_hash=evaluation.dataset.id_hash[order]),
        stratum=evaluation.stratum[order], fold=evaluation.fold[order],
    )  # fmt: skip
    assert np.array_equal(cross_folds(turned), folds[order])
    assert not np.array_equal(cross_folds(evaluation, split_seed=1), folds)


def test_sealed_rows_stay_sealed_and_whole_groups_stay_together() -> None:
    evaluation = world(0)
    fold = evaluation.fold.copy()
    fold[:50], fold[50:60] = SEALED, LEFT_OUT
    assert (cross_folds(replace(evaluation, fold=fold))[:60] == -1).all()
    group = np.repeat(np.arange(90), 10).astype(np.int32)
    of_group = cross_folds(replace(evaluation, group=group)).reshape(90, 10)
    assert (of_group == of_group[:, :1]).all()
    few = np.repeat(np.arange(9), 100).astype(np.int32)
    assert len(np.unique(cross_folds(replace(evaluation, group=few))[:100])) == FOLDS


def test_copies_lie_in_the_fold_of_the_first() -> None:
    evaluation = world(0)
    table = evaluation.dataset.table
    double = Table({name: table.column(name).take(np.r_[0:900, 0:900]) for name in table})
    dataset = replace(
        evaluation.dataset, table=double, id_hash=np.r_[evaluation.dataset.id_hash, evaluation.dataset.id_hash],
        occurrence=np.repeat([0, 1], 900).astype(np.uint32),
    )  # fmt: skip
    twice = {name: np.r_[value, value] for name in ("labels", "predicted", "loss", "stratum", "fold")
             for value in (getattr(evaluation, name),)}  # fmt: skip
    folds = cross_folds(replace(evaluation, dataset=dataset, counted=np.arange(1_800) < 900, **twice))
    assert np.array_equal(folds[:900], folds[900:])


def test_the_statistic_compares_within_class_and_fold() -> None:
    evaluation = world(2, inside=0.2)
    folds = cross_folds(evaluation)
    sample = cross_ground(evaluation, folds).confirm
    member = Where.parse("x0 > 0.85").members(evaluation)[sample.rows]
    cell = evaluation.stratum[sample.rows].astype(int) * FOLDS + folds[sample.rows]
    loss, every = sample.loss, np.ones(900)
    counts = [
        np.bincount(cell[rows], weights=weights[rows], minlength=15).astype(np.int64)
        for rows, weights in ((every > 0, every), (every > 0, loss), (member, every), (member, loss))
    ]
    assert statistic(sample, member) == pytest.approx(-np.log(exact_test(Strata(*counts))))


def test_permuting_keeps_classes_groups_and_pairs() -> None:
    group = np.repeat(np.arange(30), 30).astype(np.int32)
    evaluation = world(3, inside=0.4, group=group)
    scores = np.eye(3, dtype=np.float32)[evaluation.predicted]
    moved = permute(replace(evaluation, scores=scores), np.random.default_rng(0))
    assert not np.array_equal(moved.loss, evaluation.loss)
    assert np.array_equal(moved.loss, (moved.predicted != moved.labels).astype(float)), "a wrong row is wrong"
    assert moved.scores is not None
    assert np.array_equal(moved.scores.argmax(axis=1), moved.predicted)
    cell = evaluation.stratum.astype(int) * 30 + group
    assert np.array_equal(np.bincount(cell, weights=moved.loss), np.bincount(cell, weights=evaluation.loss))


def test_a_real_region_is_confirmed_by_a_family_of_five() -> None:
    evaluation = world(5, inside=0.3)
    found = confirm_across(evaluation, tails)
    best = found.confirmation.findings[0]
    assert best.status == "confirmed"
    assert best.rule.text.startswith("x0 > 0.8")
    assert best.p_value == best.q_value
    assert best.p_value is not None
    assert best.p_value <= 0.05
    assert found.reruns >= 103
    told = next(item for item in best.evidence if isinstance(item, Statistic) and item.name == "family")
    assert told.n == 5
    assert "family of 5 rules" in told.words
    assert best.strata == "class x fold"
    # Its numbers are those of the rules of the folds, each on rows that it never saw.
    member, folds = found.confirmation.members[best.id], found.procedure.folds
    assert best.support.confirm == member.sum()
    assert best.metric.inside == pytest.approx(evaluation.loss[member].mean())
    outside = 0.0
    for cell in range(15):
        rows = (evaluation.stratum == cell // 5) & (folds == cell % 5)
        outside += (member & rows).sum() / member.sum() * evaluation.loss[rows & ~member].mean()
    assert best.metric.outside == pytest.approx(outside)


def test_the_same_input_gives_the_same_answer_whoever_does_the_work() -> None:
    evaluation = world(6, inside=0.2)
    first = confirm_across(evaluation, tails)
    second = confirm_across(evaluation, tails, each=lambda task, numbers: (task(number) for number in numbers))
    assert first.reruns == second.reruns
    assert [one.p_value for one in first.confirmation.findings] == [one.p_value for one in second.confirmation.findings]


def test_false_reports_are_rare_and_few_reruns_settle_them() -> None:
    runs = [confirm_across(world(seed, n=300, rate=0.08), tails) for seed in range(100, 130)]
    false = [any(one.confirmed and one.family == "errors" for one in run.confirmation.findings) for run in runs]
    # 0.05, and three standard errors of 30 runs.
    assert np.mean(false) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 30)
    assert np.median([run.reruns for run in runs]) < 60


def test_few_errors_are_seen_more_often_than_by_a_split() -> None:
    crossed = split = 0
    for seed in range(200, 206):
        evaluation = world(seed, inside=0.17)
        found = confirm_across(evaluation, tails).confirmation.findings
        crossed += any(one.confirmed for one in found)
        split += any(one.confirmed for one in confirm(tails(evaluation), evaluation).findings)
    assert crossed > split


def test_losses_and_groups_have_their_own_statistic() -> None:
    losses = confirm_across(world(7, inside=0.6, binary=False), tails).confirmation.findings
    assert losses[0].status == "confirmed"
    assert losses[0].rule.text.startswith("x0 >")
    group = np.random.default_rng(0).integers(0, 60, 900).astype(np.int32)
    grouped = confirm_across(world(8, inside=0.5, group=group), tails).confirmation.findings
    assert grouped[0].status == "confirmed"
    assert grouped[0].support.groups is not None


def test_nothing_to_judge_needs_no_reruns() -> None:
    quiet = confirm_across(world(9), lambda evaluation: ())
    assert quiet.reruns == 0
    assert quiet.confirmation.findings == ()
    right = replace(world(9), loss=np.zeros(900))
    assert confirm_across(right, tails).confirmation.findings == ()


def test_rules_of_whole_groups_need_no_reruns_and_are_said_to_be_untestable() -> None:
    evaluation = world(11, inside=0.4)
    x0 = np.asarray(evaluation.column("x0").values)
    group = np.argsort(np.argsort(x0)).astype(np.int32) // 15  # the tail of x0 is a set of whole groups
    rule = Slice(rule=Where.parse(f"x0 > {(np.sort(x0)[749] + np.sort(x0)[750]) / 2}"), proposed_by=("by hand",))
    found = confirm_across(replace(evaluation, group=group), lambda view: (rule,))
    assert found.reruns == 0
    assert [one.status for one in found.confirmation.findings] == ["untestable"]
    assert not any("rerun" in words for words in found.confirmation.caveats)


def test_classes_are_judged_on_all_rows_with_all_classes_accounted_for() -> None:
    evaluation = world(10, n=1_500)
    loss = np.where(evaluation.stratum == 1, np.random.default_rng(0).random(1_500) < 0.15, evaluation.loss)
    rule = Slice(rule=Where.parse('y = "b"'), proposed_by=("by hand",))
    found = confirm_across(replace(evaluation, loss=loss.astype(float)), lambda view: (rule,))
    best = found.confirmation.findings[0]
    assert (best.status, best.family) == ("confirmed", "class rates")
    assert best.p_value is not None
    assert best.q_value == pytest.approx(3 * best.p_value)
    assert {one.family: one.tested for one in found.confirmation.families}["class rates"] == 3


def test_later_findings_step_down() -> None:
    evaluation = world(11, n=1_500, inside=0.35)
    other = np.asarray(evaluation.dataset.table.column("x1").values) > 0.85
    loss = np.maximum(evaluation.loss, other & (np.random.default_rng(1).random(1_500) < 0.3))
    found = confirm_across(replace(evaluation, loss=loss), tails).confirmation.findings
    confirmed = [one.rule.columns[0] for one in found if one.confirmed]
    assert sorted(set(confirmed)) == ["x0", "x1"]
    p_values = [one.p_value for one in found if one.p_value is not None]
    assert p_values == sorted(p_values)


def test_the_proof_is_chosen_by_the_number_of_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("errata.proof.settings.few_errors", few_errors)
    few, many = world(0), world(0, rate=0.4)
    assert Proof().kind(few) == "cross"
    assert Proof().kind(many) == "split"
    assert Proof(proof="split").kind(few) == "split"
    assert Proof(proof="cross").kind(many) == "cross"
    told = replace(few, dataset=replace(few.dataset, split="part"))
    assert Proof().kind(told) == "split", "the user's own split says which rows confirm"


def test_a_procedure_only_tests_what_three_folds_agree_on() -> None:
    evaluation = world(12, inside=0.3)
    calls = iter(range(100))

    def moody(view: Evaluation) -> Sequence[Slice]:
        at = next(calls) % 5
        return [Slice(rule=Where.parse("x0 > 0.85" if at < 2 else f"x{at} > 0.9"))]

    procedure = Procedure(
        evaluation=evaluation, folds=cross_folds(evaluation), propose=moody, min_support=None, max_proposals=100
    )
    assert list(procedure.run(evaluation)) == []


def test_a_least_difference_holds_for_classes_too() -> None:
    evaluation = world(10, n=1_500)
    loss = np.where(evaluation.stratum == 1, np.random.default_rng(0).random(1_500) < 0.15, evaluation.loss)
    evaluation = replace(evaluation, loss=loss.astype(float))
    rule = Slice(rule=Where.parse('y = "b"'), proposed_by=("by hand",))
    found = confirm_across(evaluation, lambda view: (rule,), min_difference=0.2).confirmation.findings[0]
    assert (found.status, found.p_value) == ("rejected", 1.0), "it errs about 10 points more"


@pytest.mark.parametrize(
    "options", [{"alpha": 1.0}, {"min_support": 0}, {"min_difference": -0.1}, {"max_proposals": 0}, {"proof": "half"}]
)
def test_settings_out_of_range_are_refused_whatever_the_proof(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"`{next(iter(options))}`"):
        Proof(**options)
    with pytest.raises(UsageError, match="error rates differ by less than 1"):
        Proof(min_difference=1.0).check(world(0))
