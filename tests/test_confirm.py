"""The only door: every number of a finding recomputed from the rows, and every way a proposal can end."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import fisher_exact

from errata.confirm import Confirmation, confirm
from errata.core.codec import encode
from errata.core.columns import Column, Table
from errata.core.dataset import Dataset
from errata.core.errors import UsageError
from errata.core.evaluation import CONFIRM, EXPLORE, LEFT_OUT, SEALED, Evaluation
from errata.core.evidence import Comparison, Statistic
from errata.core.finding import Finding
from errata.core.rules import Where
from errata.core.slices import ERRS_MORE, Slice
from errata.stats.clusters import Cells, group_sums, jackknife_error, student_interval
from errata.stats.exact import Strata, exact_test
from errata.stats.intervals import difference_interval, stratified_difference
from errata.stats.multiplicity import benjamini_hochberg
from errata.stats.permutation import choice_test, permutation_test, sign_flip_test


def evaluated(columns: dict[str, Any], loss: Any, **more: Any) -> Evaluation:
    """An evaluation of plain arrays: `y` is the label, folds alternate unless given."""
    n = len(loss)
    label = np.asarray(columns["y"])
    regression = bool(more.pop("regression", False))
    table = {
        name: values if isinstance(values, Column) else
        Column.number(values) if np.asarray(values).dtype.kind in "fi" and (name != "y" or regression) else
        Column.category(list(values))
        for name, values in columns.items()
    }  # fmt: skip
    classes = () if regression else table["y"].levels
    dataset = Dataset(
        name="test", modality="table", table=Table(table), id_hash=more.pop("ids", np.arange(n, dtype=np.uint64)),
        occurrence=np.zeros(n, np.uint32), label="y", prediction=more.pop("prediction", None),
    )  # fmt: skip
    known: dict[str, Any] = {
        "dataset": dataset, "model": None, "task": "regression" if regression else "classification",
        "metric": "absolute-error" if regression else "error", "classes": classes,
        "labels": label.astype(float) if regression else table["y"].values,
        "predicted": np.zeros(n, np.int32), "scores": None, "loss": np.asarray(loss, dtype=float),
        "stratum": more.pop("stratum", None if regression else table["y"].values),
        "fold": np.where(np.arange(n) % 2 == 0, EXPLORE, CONFIRM).astype(np.int8),
        "counted": np.ones(n, bool), "group": None, "features": tuple(columns),
    }  # fmt: skip
    return Evaluation(**{**known, **more})


def rules(*texts: str, by: str = "test") -> list[Slice]:
    return [Slice(rule=Where.parse(text), proposed_by=(by,)) for text in texts]


def two_class(seed: int = 0, n: int = 2_000, *, bonus: float = 0.3, group: Any = None, **more: Any) -> Evaluation:
    """Two classes with base rates of their own; rows with x > 0.8 are wrong more often by `bonus`."""
    rng = np.random.default_rng(seed)
    x, z = rng.random(n), rng.random(n)
    y = np.where(rng.random(n) < 0.5 + 0.3 * (x > 0.8), "yes", "no")
    rate = np.where(y == "yes", 0.25, 0.05) + bonus * (x > 0.8)
    loss = (rng.random(n) < rate).astype(float)
    return evaluated({"x": x, "z": z, "y": y}, loss, group=group, **more)


def one(confirmation: Confirmation, text: str) -> Finding:
    return next(finding for finding in confirmation.findings if finding.rule.text == Where.parse(text).text)


def held_out(ev: Evaluation, text: str) -> tuple[np.ndarray, ...]:
    rows = (ev.fold == CONFIRM) & ev.counted & (ev.stratum >= 0)
    return Where.parse(text).members(ev)[rows], ev.stratum[rows], ev.loss[rows]


def strata(member: np.ndarray, code: np.ndarray, loss: np.ndarray) -> Strata:
    code = np.unique(code, return_inverse=True)[1]
    return Strata(*(np.bincount(code, weights=w) for w in (loss * 0 + 1, loss, member, member * loss)))


def statistic(finding: Finding) -> Statistic:
    return next(item for item in finding.evidence if isinstance(item, Statistic))


def test_every_number_of_a_confirmed_finding() -> None:
    ev = two_class()
    confirmation = confirm(rules("x > 0.8", "z > 0.5"), ev)
    finding = one(confirmation, "x > 0.8")
    member, code, loss = held_out(ev, "x > 0.8")
    counts = strata(member, code, loss)
    effect = stratified_difference(counts)
    assert finding.status == "confirmed"
    assert confirmation.findings[0] is finding
    assert finding.claim == ERRS_MORE
    assert finding.family == "errors"
    assert finding.p_value == exact_test(counts)
    assert finding.test == "exact test"
    assert finding.strata == "class"
    assert finding.support.confirm == member.sum()
    assert finding.support.explore == (Where.parse("x > 0.8").members(ev) & (ev.fold == EXPLORE)).sum()
    assert (finding.metric.inside, finding.metric.outside) == (effect.inside, effect.outside)
    assert finding.metric.difference == pytest.approx(effect.inside - effect.outside)
    assert finding.metric.interval_level is not None
    interval = difference_interval(counts, finding.metric.interval_level)
    assert finding.metric.interval == (interval.lower, interval.upper)
    assert finding.share_of_errors == loss[member].sum() / loss.sum()
    assert np.array_equal(confirmation.members[finding.id], Where.parse("x > 0.8").members(ev))


def test_examples_are_confirm_members_wrong_first() -> None:
    ev = two_class()
    finding = confirm(rules("x > 0.8"), ev).findings[0]
    rows = np.array([int(name, 16) for name in finding.examples])
    member = Where.parse("x > 0.8").members(ev)
    assert np.all(member[rows] & (ev.fold[rows] == CONFIRM))
    assert ev.loss[rows].tolist() == [1.0] * 6 + [0.0] * 6


def test_examples_put_the_furthest_off_first() -> None:
    ev = two_class()
    rng = np.random.default_rng(0)
    own = rng.random(2_000)
    scores = np.empty((2_000, 2), np.float32)
    scores[np.arange(2_000), ev.labels] = own
    scores[np.arange(2_000), 1 - ev.labels] = 1 - own
    rows = [int(name, 16) for name in confirm(rules("x > 0.8"), replace(ev, scores=scores)).findings[0].examples]
    wrong = Where.parse("x > 0.8").members(ev) & (ev.fold == CONFIRM) & (ev.loss == 1)
    assert rows[:6] == sorted(np.flatnonzero(wrong).tolist(), key=lambda row: float(own[row]))[:6]


def test_comparison_by_class() -> None:
    ev = two_class()
    finding = confirm(rules("x > 0.8"), ev).findings[0]
    table = next(item for item in finding.evidence if isinstance(item, Comparison)).rows
    member, code, loss = held_out(ev, "x > 0.8")
    for row in table:
        mine = code == ev.classes.index(row["stratum"])  # type: ignore[arg-type]
        assert row["inside"] == (member & mine).sum()
        assert row["outside_wrong"] == loss[~member & mine].sum()
    assert {row["stratum"] for row in table} == {"yes", "no"}


def test_same_input_same_answer_in_any_order_of_rows_and_proposals() -> None:
    ev = two_class(1)
    texts = ("x > 0.8", "x > 0.6 and z > 0.2", "z > 0.5", "x > 0.9")
    first = confirm(rules(*texts), ev)
    order = np.random.default_rng(0).permutation(len(ev.fold))
    shuffled = replace(
        ev, dataset=replace(ev.dataset, table=ev.dataset.table.take(order), id_hash=ev.dataset.id_hash[order]),
        labels=ev.labels[order], loss=ev.loss[order], stratum=ev.stratum[order], fold=ev.fold[order],
    )  # fmt: skip
    second = confirm(rules(*reversed(texts)), shuffled)
    assert encode(first.findings) == encode(second.findings)
    assert [d.id for d in first.dropped] == [d.id for d in second.dropped]


def test_randomised_tests_are_seeded_by_the_finding() -> None:
    ev = two_class(2, bonus=0.06, group=np.repeat(np.arange(100), 20).astype(np.int32))
    alone = confirm(rules("x > 0.8"), ev).findings[0]
    among = one(confirm(rules("z > 0.9", "z < 0.05", "x > 0.8"), ev), "x > 0.8")
    assert alone.p_value == among.p_value


def test_sealed_left_out_and_explore_outcomes_do_not_enter() -> None:
    ev = two_class(3)
    fold = ev.fold.copy()
    fold[::7], fold[::11] = SEALED, LEFT_OUT
    ev = replace(ev, fold=fold)
    spoiled = replace(ev, loss=np.where(fold == SEALED, 1.0, np.where(fold == LEFT_OUT, np.nan, ev.loss)))
    assert encode(confirm(rules("x > 0.8"), ev).findings) == encode(confirm(rules("x > 0.8"), spoiled).findings)


def test_what_is_settled_does_not_read_confirm_outcomes() -> None:
    ev = two_class(4)
    texts = [f"x > {a / 20} and z > {b / 10}" for a in range(10, 19) for b in range(8)]
    held = ev.fold == CONFIRM
    changed = ev.loss.copy()
    changed[held] = np.random.default_rng(0).permutation(changed[held])
    before, after = confirm(rules(*texts), ev), confirm(rules(*texts), replace(ev, loss=changed))
    assert before.dropped == after.dropped
    assert len(before.dropped) > 30
    assert before.tested_ids == after.tested_ids


def test_copies_count_once() -> None:
    ev = two_class(5)
    twice = np.repeat(np.arange(2_000), 2)
    doubled = replace(
        ev, dataset=replace(ev.dataset, table=ev.dataset.table.take(twice), id_hash=ev.dataset.id_hash[twice],
                            occurrence=np.tile([0, 1], 2_000).astype(np.uint32)),
        labels=ev.labels[twice], loss=ev.loss[twice], stratum=ev.stratum[twice], fold=ev.fold[twice],
        counted=np.tile([True, False], 2_000),
    )  # fmt: skip
    plain, copied = confirm(rules("x > 0.8"), ev), confirm(rules("x > 0.8"), doubled)
    assert encode(plain.findings) == encode(copied.findings)
    assert copied.members[copied.findings[0].id].sum() == 2 * plain.members[plain.findings[0].id].sum()


def test_circular_rules_are_named_and_not_tested() -> None:
    ev = two_class(6)
    ev = replace(ev, outputs=("z",))
    confirmation = confirm(rules("z > 0.5 and x > 0.5", "x > 0.8"), ev)
    finding = one(confirmation, "z > 0.5 and x > 0.5")
    assert finding.status == "circular"
    assert (finding.p_value, finding.q_value, finding.test) == (None, None, None)
    assert "`z`" in finding.caveats[0]
    assert confirmation.tested == 1
    assert confirmation.tested_ids == (one(confirmation, "x > 0.8").id,)


def test_prediction_column_is_output_even_if_nobody_said_so() -> None:
    ev = two_class(6)
    ev = replace(ev, dataset=replace(ev.dataset, prediction="z"))
    assert confirm(rules("z > 0.5"), ev).findings[0].status == "circular"


def test_class_rates_are_a_family_of_their_own() -> None:
    ev = two_class(7)
    confirmation = confirm(rules('y = "yes"', "x > 0.8", "z > 0.7"), ev)
    finding = one(confirmation, 'y = "yes"')
    _, code, loss = held_out(ev, "x > 0")
    member = code == ev.classes.index("yes")
    table = [[int((member & (loss == w)).sum()), int((~member & (loss == w)).sum())] for w in (1, 0)]
    assert finding.family == "class rates"
    assert finding.strata == "none"
    assert finding.baseline == "the other classes"
    assert finding.p_value == pytest.approx(fisher_exact(table, "greater").pvalue)
    assert finding.q_value == finding.p_value
    assert {(r.family, r.tested) for r in confirmation.families} == {("errors", 1), ("class rates", 1)}
    assert confirmation.tested == 2


def test_a_column_that_is_the_class_is_a_class_rate_too() -> None:
    ev = two_class(7)
    same = Column.category([{"no": "a", "yes": "b"}[str(ev.classes[code])] for code in ev.labels])
    ev = replace(ev, dataset=ev.dataset.with_table(ev.dataset.table.with_columns({"same": same})))
    assert confirm(rules('same = "b"'), ev).findings[0].family == "class rates"


def test_slices_of_one_class_are_compared_within_it() -> None:
    ev = two_class(8)
    finding = confirm(rules('y = "no" and x > 0.8'), ev).findings[0]
    member, code, loss = held_out(ev, 'y = "no" and x > 0.8')
    no = code == ev.classes.index("no")
    table = [[int((no & member & (loss == w)).sum()), int((no & ~member & (loss == w)).sum())] for w in (1, 0)]
    assert finding.family == "errors"
    assert finding.test == "Fisher's exact test"
    assert finding.p_value == pytest.approx(fisher_exact(table, "greater").pvalue)


def test_benjamini_hochberg_and_interval_levels() -> None:
    rng = np.random.default_rng(9)
    n = 6_000
    part = rng.integers(0, 12, n)
    y = np.where(rng.random(n) < 0.5, "a", "b")
    rate = 0.1 + np.where(part < 3, 0.25, np.where(part < 9, 0.05, 0.0))
    loss = (rng.random(n) < rate).astype(float)
    ev = evaluated({"part": part, "y": y}, loss)
    confirmation = confirm(rules(*(f"part = {k}" for k in range(12))), ev)
    tested = [f for f in confirmation.findings if f.p_value is not None]
    expected = benjamini_hochberg([f.p_value for f in tested if f.p_value is not None])
    assert [f.q_value for f in tested] == pytest.approx(expected.tolist())
    kept = sum(f.confirmed for f in tested)
    assert 3 <= kept < len(tested)
    for finding in tested:
        assert finding.confirmed == (finding.q_value is not None and finding.q_value <= 0.05)
        level = 1 - 0.05 * kept / len(tested) if finding.confirmed else 0.95
        assert finding.metric.interval_level == pytest.approx(level)


def test_untestable_when_no_p_value_could_be_small() -> None:
    rng = np.random.default_rng(10)
    n = 400
    x, loss = rng.random(n), np.zeros(n)
    loss[[0, 2, 4, 6, 8, 10]] = 1.0  # explore rows only
    loss[1] = 1.0
    x[[0, 1, 2, 4, 6, 8, 10]] = 0.99
    ev = evaluated({"x": x, "y": np.where(rng.random(n) < 0.5, "a", "b")}, loss)
    confirmation = confirm(rules("x > 0.5"), ev)
    finding = confirmation.findings[0]
    assert finding.status == "untestable"
    assert (finding.p_value, finding.q_value) == (None, None)
    assert finding.caveats[0].startswith("untestable")
    assert confirmation.tested == 0
    assert "few errors" in confirmation.caveats[0]


def test_untestable_when_most_members_have_no_rest() -> None:
    rng = np.random.default_rng(11)
    n = 2_000
    y = np.where(rng.random(n) < 0.3, "a", "b")
    x = np.where(y == "a", 1.0, rng.random(n) * 1.05)
    loss = (rng.random(n) < np.where((y == "b") & (x > 0.95), 0.8, 0.1)).astype(float)
    finding = confirm(rules("x > 0.95"), evaluated({"x": x, "y": y}, loss)).findings[0]
    assert finding.status == "untestable"
    assert "no comparable rows" in finding.caveats[0]


def test_members_without_a_rest_enter_no_rate_but_count_as_support() -> None:
    rng = np.random.default_rng(12)
    n = 4_000
    y = np.where(rng.random(n) < 0.1, "a", "b")
    x = np.where(y == "a", 1.0, rng.random(n))
    loss = (rng.random(n) < np.where((y == "b") & (x > 0.7), 0.5, 0.1)).astype(float)
    ev = evaluated({"x": x, "y": y}, loss)
    finding = confirm(rules("x > 0.7"), ev).findings[0]
    member, code, loss = held_out(ev, "x > 0.7")
    used = member & (code == ev.classes.index("b"))
    assert finding.status == "confirmed"
    assert finding.support.confirm == member.sum()
    assert finding.metric.inside == pytest.approx(loss[used].mean())
    assert f"{(member & ~used).sum()} of {member.sum()} members" in finding.caveats[0]


def test_later_looks_confirm_nothing() -> None:
    ev = two_class()
    first, later = (
        confirm(rules("x > 0.8", "z > 0.5"), ev),
        confirm(rules("x > 0.8", "z > 0.5"), ev, looked_before=True),
    )
    assert [f.status for f in first.findings] == ["confirmed"] or first.findings[0].confirmed
    seen = one(later, "x > 0.8")
    assert seen.status == "seen"
    assert seen.p_value == one(first, "x > 0.8").p_value
    assert not any(f.confirmed for f in later.findings)
    assert encode(first.as_seen().findings) == encode(later.findings)


def test_minimum_difference_is_reached_at_the_level_of_p() -> None:
    ev = two_class()
    member, code, loss = held_out(ev, "x > 0.8")
    counts = strata(member, code, loss)
    exact = exact_test(counts)
    for least in (0.05, 0.2, 0.28):
        finding = confirm(rules("x > 0.8"), ev, min_difference=least).findings[0]
        assert finding.p_value is not None
        assert finding.p_value > exact
        if finding.p_value < 0.5:
            assert difference_interval(counts, 1 - 2 * finding.p_value).lower == pytest.approx(least, abs=1e-6)
    above = float(stratified_difference(counts).difference) + 0.01
    assert confirm(rules("x > 0.8"), ev, min_difference=above).findings[0].p_value == 1.0


def test_a_minimum_difference_never_makes_p_smaller() -> None:
    smaller = 0
    for seed in range(40):
        ev = two_class(seed, n=400, bonus=0.2)
        for plain, least in zip(*(confirm(rules("x > 0.8"), ev, min_difference=d).findings for d in (0.0, 1e-9)),
                                strict=True):  # fmt: skip
            assert plain.p_value is not None
            assert least.p_value is not None
            assert least.p_value >= plain.p_value
            smaller += least.p_value == plain.p_value
    assert smaller > 0, "the exact p-value was the larger of the two in no run"


def test_barely() -> None:
    found = []
    for seed in range(60):
        finding = next(iter(confirm(rules("x > 0.8"), two_class(seed, n=300, bonus=0.16)).findings), None)
        if finding is not None and finding.confirmed:
            assert finding.metric.interval is not None
            contains = finding.metric.interval[0] <= 0 <= finding.metric.interval[1]
            assert contains == any(c.startswith("barely") for c in finding.caveats)
            found.append(contains)
    assert {True, False} == set(found)


def test_few_groups_are_strata() -> None:
    group = (np.arange(2_000) // 2 % 5).astype(np.int32)
    ev = two_class(group=group)
    confirmation = confirm(rules("x > 0.8"), ev)
    finding = confirmation.findings[0]
    member, code, loss = held_out(ev, "x > 0.8")
    counts = strata(member, code * 5 + group[ev.fold == CONFIRM], loss)
    assert finding.p_value == pytest.approx(exact_test(counts))
    assert finding.claim == f"{ERRS_MORE} in these 5 groups"
    assert finding.id == rules("x > 0.8")[0].id
    assert finding.strata == "class x group"
    assert finding.metric.outside == pytest.approx(stratified_difference(counts).outside)
    assert "5 groups" in confirmation.caveats[0]


def test_rules_constant_in_few_groups_are_untestable() -> None:
    group = (np.arange(2_000) // 2 % 5).astype(np.int32)
    ev = two_class(group=group)
    ev = replace(ev, dataset=ev.dataset.with_table(
        ev.dataset.table.with_columns({"writer": Column.number(group)})))  # fmt: skip
    finding = confirm(rules("writer >= 3"), ev).findings[0]
    assert finding.status == "untestable"


def whole_groups(seed: int = 0, *, groups: int = 60, each: int = 20, **more: Any) -> Evaluation:
    """Groups of rows, whole groups in one fold; `old` is constant in groups and raises the error rate, so does x."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), each).astype(np.int32)
    n = groups * each
    old = (rng.random(groups) < 0.4).astype(float)[group]
    x, y = rng.random(n), np.where(rng.random(n) < 0.4, "a", "b")
    rate = np.clip(0.05 + 0.1 * rng.random(groups)[group] + 0.3 * old + 0.3 * (x > 0.7), 0, 1)
    loss = (rng.random(n) < rate).astype(float)
    fold = np.where(group % 2 == 0, EXPLORE, CONFIRM).astype(np.int8)
    return evaluated({"old": old, "x": x, "y": y}, loss, group=group, fold=fold, **more)


def test_rules_that_vary_within_groups_are_tested_by_sign_flips() -> None:
    ev = whole_groups()
    confirmation = confirm(rules("x > 0.7"), ev)
    finding = confirmation.findings[0]
    member, code, loss = held_out(ev, "x > 0.7")
    assert ev.group is not None
    cells = Cells.of(loss, group=ev.group[ev.fold == CONFIRM], stratum=code)
    sums = group_sums(cells, cells.count(member), cells.add(member, loss))
    error = jackknife_error(cells, cells.count(member), cells.add(member, loss))
    assert finding.test == "sign flips of groups"
    assert finding.p_value == sign_flip_test(sums, seed=int(finding.id, 16))
    assert finding.support.groups == 30
    assert (finding.metric.difference, finding.metric.interval_level) != (None, None)
    assert finding.metric.difference is not None and finding.metric.interval_level is not None
    expected = student_interval(finding.metric.difference, error, groups=30, level=finding.metric.interval_level)
    assert finding.metric.interval == pytest.approx((expected.lower, expected.upper))


def test_rules_constant_in_groups_are_tested_by_choosing_groups() -> None:
    ev = whole_groups()
    finding = confirm(rules("old = 1"), ev).findings[0]
    member, code, loss = held_out(ev, "old = 1")
    assert ev.group is not None
    group = ev.group[ev.fold == CONFIRM]
    excess = loss - (np.bincount(code, weights=loss) / np.bincount(code))[code]
    sums = np.bincount(group // 2, weights=excess)
    chosen = np.bincount(group // 2, weights=member) > 0
    assert finding.test == "whole groups permuted"
    assert finding.p_value == pytest.approx(choice_test(sums, chosen, seed=int(finding.id, 16)))
    assert finding.support.groups == chosen.sum()


def test_groups_without_comparable_rows_are_not_chosen_among() -> None:
    ev = whole_groups(5, groups=300, each=3)
    finding = confirm(rules('old = 1 and y = "a"'), ev).findings[0]
    member, code, loss = held_out(ev, 'old = 1 and y = "a"')
    assert ev.group is not None
    mine = code == ev.classes.index("a")
    group = np.unique(ev.group[ev.fold == CONFIRM][mine], return_inverse=True)[1]
    excess = loss[mine] - loss[mine].mean()
    chosen = np.bincount(group, weights=member[mine]) > 0
    assert len(chosen) < 150
    assert finding.p_value == choice_test(np.bincount(group, weights=excess), chosen, seed=int(finding.id, 16))


def test_no_group_with_both_sides_in_one_class_is_untestable() -> None:
    ev = whole_groups()
    finding = confirm(rules('(old = 1 and y = "a") or (old = 0 and y = "b")'), ev).findings[0]
    assert finding.status == "untestable"
    assert "no group holds comparable rows" in finding.caveats[0]


def test_whole_groups_that_explore_knew_confirm_nothing() -> None:
    # A split column of the user's may cut through groups: what was seen of a group is then no news.
    ev = whole_groups()
    ev = replace(ev, fold=np.where(np.arange(len(ev.fold)) % 2 == 0, EXPLORE, CONFIRM).astype(np.int8))
    confirmation = confirm(rules("old = 1", "x > 0.7"), ev)
    assert one(confirmation, "old = 1").status == "untestable"
    assert one(confirmation, "x > 0.7").test == "sign flips of groups"


def test_a_metric_that_leaves_groups_out_keeps_groups_as_the_unit() -> None:
    ev = whole_groups()
    assert ev.group is not None
    fold = np.where(ev.group < 20, ev.fold, LEFT_OUT).astype(np.int8)
    finding = confirm(rules("x > 0.7"), replace(ev, fold=fold)).findings[0]
    assert finding.test == "sign flips of groups"
    assert finding.claim == ERRS_MORE


def test_minimum_support_is_counted_in_groups() -> None:
    ev = whole_groups(groups=40)
    few = np.isin(ev.group, [0, 2, 4, 1, 3, 5, 7]).astype(float)
    ev = replace(ev, dataset=ev.dataset.with_table(ev.dataset.table.with_columns({"few": Column.number(few)})))
    confirmation = confirm(rules("few = 1"), ev)
    assert confirmation.findings == ()
    assert confirmation.dropped[0].why == "3 groups among explore rows, fewer than 5"
    assert not confirm(rules("few = 1"), ev, min_support=3).dropped[0].why.startswith("3 groups")


def test_where_most_rows_are_wrong_few_whole_groups_are_not_enough() -> None:
    def judged(groups: int) -> Finding:
        ev = whole_groups(3, groups=groups)
        loss = np.where(np.asarray(ev.dataset.table.column("old").values) == 1, 1.0, ev.loss)
        return confirm(rules("old = 1"), replace(ev, loss=np.maximum(loss, (np.arange(len(loss)) % 3 > 0))),
                       min_support=2).findings[0]  # fmt: skip

    assert judged(24).p_value is not None
    ev = whole_groups(3, groups=24)
    assert ev.group is not None
    fold = np.where((ev.group % 2 == 1) & (ev.group > 4), CONFIRM, EXPLORE).astype(np.int8)
    loss = np.maximum(np.asarray(ev.dataset.table.column("old").values), np.arange(len(fold)) % 3 > 0)
    finding = confirm(rules("old = 1"), replace(ev, fold=fold, loss=loss.astype(float)), min_support=2).findings[0]
    assert finding.status == "untestable"
    assert "most rows are wrong" in finding.caveats[0]


def test_regression_is_tested_by_permutation_within_fifths() -> None:
    rng = np.random.default_rng(13)
    n = 3_000
    y, x = rng.normal(size=n), rng.random(n)
    fifth = np.searchsorted(np.quantile(y, [0.2, 0.4, 0.6, 0.8]), y).astype(np.int32)
    loss = np.abs(rng.normal(size=n)) * (1 + 0.12 * (x > 0.8)) + fifth
    ev = evaluated({"x": x, "y": y}, loss, stratum=fifth, regression=True)
    finding = confirm(rules("x > 0.8"), ev).findings[0]
    member, code, held = held_out(ev, "x > 0.8")
    assert finding.test == "permutation test"
    assert finding.strata == "fifth of the target"
    assert finding.p_value == permutation_test(held, member, code, seed=int(finding.id, 16))
    assert finding.metric.name == "absolute-error"
    assert finding.metric.inside == pytest.approx(held[member].mean())
    assert finding.share_of_errors == pytest.approx(held[member].sum() / held.sum())
    rows = [int(name, 16) for name in finding.examples]
    assert ev.loss[rows[:6]].tolist() == sorted(held[member], reverse=True)[:6]


def test_rows_without_a_stratum_are_not_counted() -> None:
    ev = two_class(14)
    stratum = np.where(ev.labels == ev.classes.index("yes"), -1, ev.stratum).astype(np.int32)
    fold = np.where(stratum < 0, LEFT_OUT, ev.fold).astype(np.int8)
    finding = confirm(rules("x > 0.8"), replace(ev, stratum=stratum, fold=fold, metric="false-positive")).findings[0]
    rows = (ev.fold == CONFIRM) & (stratum >= 0)
    member = Where.parse("x > 0.8").members(ev)
    assert finding.metric.name == "false-positive"
    assert finding.support.confirm == (member & rows).sum()
    assert finding.metric.inside == pytest.approx(ev.loss[member & rows].mean())


def overlapping(seed: int = 0) -> Evaluation:
    """Errors are more frequent for x > 0.7, most for x > 0.85, and in a region of z apart from both."""
    rng = np.random.default_rng(seed)
    n = 20_000
    x, z = rng.random(n), rng.random(n)
    rate = 0.1 + 0.15 * (x > 0.7) + 0.3 * (x > 0.85) + 0.3 * ((z > 0.9) & (x < 0.5))
    y = np.where(rng.random(n) < 0.5, "a", "b")
    return evaluated({"x": x, "z": z, "y": y}, (rng.random(n) < rate).astype(float))


def test_order_folding_and_what_remains() -> None:
    ev = overlapping()
    texts = ("x > 0.7 and x <= 0.9", "x > 0.85", "z > 0.9 and x < 0.5")
    confirmation = confirm(rules(*texts), ev)
    assert all(f.confirmed for f in confirmation.findings)
    shares = [f.share_of_errors for f in confirmation.findings]
    assert shares == sorted(shares, reverse=True)
    first, second, third = confirmation.findings
    assert not any(isinstance(item, Statistic) for item in first.evidence)
    covered = np.zeros((ev.fold == CONFIRM).sum(), dtype=bool)
    for finding in (first, second, third):
        member, code, loss = held_out(ev, finding.rule.text)
        if finding is not first:
            remaining = statistic(finding)
            left = stratified_difference(strata(member[~covered], code[~covered], loss[~covered]))
            assert remaining.name == "remaining"
            assert remaining.value == pytest.approx(left.difference)
            assert remaining.n == (member & ~covered).sum()
            inside = (member & covered).sum() >= member.sum() / 2
            theirs = any(
                (member & held_out(ev, other.rule.text)[0]).sum() >= held_out(ev, other.rule.text)[0].sum() / 2
                for other in confirmation.findings[: confirmation.findings.index(finding)]
            )
            assert (finding.folded_under is not None) == bool(inside or theirs)
        covered |= member


def test_a_finding_that_covers_half_of_a_better_one_is_folded_under_it() -> None:
    confirmation = confirm(rules("x > 0.6 and z < 0.6", "x > 0.85", "z > 0.9 and x < 0.5"), overlapping(1))
    best, wide, apart = confirmation.findings
    assert best.rule.text == "x > 0.85"
    assert wide.confirmed
    assert wide.folded_under == best.id
    assert (best.folded_under, apart.folded_under) == (None, None)


def test_nothing_proposed_is_a_result() -> None:
    confirmation = confirm([], two_class())
    assert confirmation.findings == ()
    assert confirmation.tested == 0
    assert [(r.family, r.tested) for r in confirmation.families] == [("errors", 0)]
    assert {d.share for d in confirmation.detectable} >= {0.05, 0.1}
    values = [d.difference for d in confirmation.detectable if d.difference is not None]
    assert values == sorted(values, reverse=True)


def test_more_tests_make_less_detectable() -> None:
    ev = overlapping(2)
    alone, many = (confirm(rules(*texts), ev) for texts in (("x > 0.85",), ("x > 0.85", "z > 0.9 and x < 0.5")))
    assert many.tested > alone.tested
    for few, more in zip(alone.detectable, many.detectable, strict=True):
        assert few.difference is not None
        assert more.difference is not None
        assert few.difference < more.difference


def test_a_view_of_an_evaluation_is_judged_whole() -> None:
    ev = two_class()
    assert encode(confirm(rules("x > 0.8"), ev.explore()).findings) == encode(confirm(rules("x > 0.8"), ev).findings)


def test_findings_are_plain_json() -> None:
    ev = whole_groups()
    ev = replace(ev, outputs=("y",))
    plain = encode(confirm(rules("x > 0.7", "old = 1", 'y = "a"'), ev).findings)
    assert "NaN" not in json.dumps(plain, allow_nan=False)


def test_an_empty_confirm_fold_judges_nothing() -> None:
    ev = two_class()
    confirmation = confirm(rules("x > 0.8"), replace(ev, fold=np.zeros(2_000, np.int8)))
    assert confirmation.findings == ()
    assert "confirm rows" in confirmation.dropped[0].why
    assert all(d.difference is None for d in confirmation.detectable)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_all_right_or_all_wrong(rate: float) -> None:
    ev = replace(two_class(), loss=np.full(2_000, rate))
    confirmation = confirm(rules("x > 0.8", 'y = "yes"'), ev)
    assert not any(f.confirmed for f in confirmation.findings)


@pytest.mark.parametrize(
    "options",
    [{"alpha": 0.0}, {"alpha": 1.0}, {"min_support": 0}, {"min_difference": -0.1}, {"max_proposals": 0}],
)
def test_values_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"`{next(iter(options))}`"):
        confirm([], two_class(), **options)


def test_progress_goes_up_to_one() -> None:
    told: list[float] = []
    confirm(rules("x > 0.8", "z > 0.5"), two_class(), progress=lambda share, _: told.append(share))
    assert told == sorted(told)
    assert told[-1] == 1.0
