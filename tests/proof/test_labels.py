"""Section 8 of the proof: lists of suspects in a confirmation, and what reviews make of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from errata.confirm import confirm
from errata.core.columns import Column, Table
from errata.core.errors import UsageError
from errata.core.evidence import Examples, Statistic
from errata.core.ids import Ids
from errata.core.rules import Where
from errata.core.slices import MISLABELLED, Slice
from errata.describe import describe
from errata.describe.sentences import sentence
from errata.proof.labels import review_order, reviewed, suspected
from errata.testing import World

WHEN = "2026-01-01T00:00:00+00:00"


def world(apart: float = 4.0, *, flipped: float = 0.1) -> tuple[World, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 900)
    label = np.where(rng.random(900) < flipped, (truth + rng.integers(1, 3, 900)) % 3, truth)
    x = rng.standard_normal((900, 8)) + apart * np.eye(8)[truth]
    number = rng.random(900)
    predicted = np.where((number > 0.8) & (rng.random(900) < 0.6), (truth + 1) % 3, truth)
    levels = ("a", "b", "c")
    table = Table({
        "label": Column(kind="category", values=label.astype(np.int32), levels=levels),
        "prediction": Column(kind="category", values=predicted.astype(np.int32), levels=levels),
        "number": Column.number(number),
        "embedding:x": Column(kind="embedding", values=x.astype(np.float32)),
    })  # fmt: skip
    return World(name="labels", table=table, outside=0.1), label != truth


@pytest.fixture(scope="module")
def ran():
    made, wrong = world()
    evaluation = made.evaluation()
    explore = evaluation.explore().rows[:5]
    listed = Slice(
        rule=Ids(tuple(evaluation.dataset.ids(explore)), how={"seed": 1}), claim=MISLABELLED,
        proposed_by=("label_errors",),
    )  # fmt: skip
    return confirm([listed, Slice(rule=Where.parse("number > 0.8"))], evaluation), evaluation, wrong


def test_a_list_is_suspected_beside_what_is_tested(ran) -> None:
    confirmation, evaluation, wrong = ran
    assert [finding.status for finding in confirmation.findings] == ["confirmed", "suspected"]
    suspected = confirmation.findings[1]
    assert suspected.family == "labels"
    assert suspected.claim == MISLABELLED
    assert suspected.p_value is None
    assert suspected.q_value is None
    assert suspected.test is None
    assert confirmation.tested == 1
    assert confirmation.tested_ids == (confirmation.findings[0].id,)
    assert [record.family for record in confirmation.families if record.tested] == ["errors"]
    members = confirmation.members[suspected.id]
    assert wrong[members].mean() > 0.8
    assert members[evaluation.fold == 1].sum() == suspected.support.confirm > 10
    assert suspected.examples == suspected.rule.ids[:12]


def test_nothing_is_promised_of_a_list_that_right_labels_would_fill_as_well() -> None:
    evaluation = world(apart=2.0, flipped=0.0)[0].evaluation()
    ids = tuple(evaluation.dataset.ids(evaluation.explore().rows[:5]))
    asked = Slice(rule=Ids(ids, how={"seed": 1, "list": "given"}), claim=MISLABELLED)
    (finding,) = confirm([asked], evaluation).findings
    assert "cannot be told by flips planted here" in finding.evidence[0].words
    assert "how many of them are wrong cannot be told" in sentence(finding, evaluation, style="effect")


def test_a_list_that_five_folds_ask_for_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluation, asked = world()[0].evaluation(), []
    monkeypatch.setattr("errata.proof.labels.suspects", lambda *given, alpha: asked.append(given[1]))
    ids = evaluation.dataset.ids(np.arange(6))
    lists = [
        Slice(rule=Ids((one,), how={"seed": seed, "neighbours": 10}), claim=MISLABELLED)
        for one, seed in zip(ids, (1, 1, 1, 1, 1, 2), strict=True)
    ]
    assert suspected(lists, evaluation, alpha=0.05).findings == ()
    assert [how["seed"] for how in asked] == [1, 2]


def test_the_list_says_what_planted_flips_make_us_expect(ran) -> None:
    confirmation, evaluation, wrong = ran
    suspected = confirmation.findings[1]
    precision, recall, shown = suspected.evidence
    assert isinstance(precision, Statistic)
    truth = wrong[confirmation.members[suspected.id]].mean()
    assert precision.value == pytest.approx(truth, abs=0.2)
    assert isinstance(recall, Statistic)
    assert recall.value > 0.8
    assert isinstance(shown, Examples)
    assert all(value["label"] != value["suggested"] for value in shown.values.values())
    words = describe(suspected, evaluation)
    assert "labels in doubt" in words
    assert "nobody has looked yet" in words
    assert any(caveat.startswith("suspected:") for caveat in suspected.caveats)


def test_other_proposals_are_tested_as_if_the_list_were_not_there(ran) -> None:
    confirmation, evaluation, _ = ran
    alone = confirm([Slice(rule=Where.parse("number > 0.8"))], evaluation)
    assert alone.findings[0] == confirmation.findings[0]
    assert alone.tested == confirmation.tested


def test_a_review_confirms_rejects_or_cannot_tell(ran) -> None:
    confirmation, evaluation, wrong = ran
    suspected = confirmation.findings[1]
    order = review_order(suspected)
    assert sorted(order) == sorted(suspected.rule.ids)
    assert order != suspected.rule.ids
    truth = dict(zip(evaluation.dataset.ids(), wrong, strict=True))
    honest = reviewed(suspected, {one: "wrong" if truth[one] else "right" for one in order[:40]}, when=WHEN)
    assert honest.status == "confirmed"
    assert honest.history[-1].what == "reviewed"
    assert "randomly drawn ones were found wrong" in describe(honest, evaluation)
    assert not any(caveat.startswith("suspected:") for caveat in honest.caveats)
    assert reviewed(suspected, dict.fromkeys(order[:40], "right"), when=WHEN).status == "rejected"
    assert reviewed(suspected, dict.fromkeys(order[:40], "unsure"), when=WHEN).status == "rejected"
    assert reviewed(suspected, dict.fromkeys(order[:4], "wrong"), when=WHEN).status == "undecided"
    everything = reviewed(suspected, {one: "wrong" if truth[one] else "right" for one in order}, when=WHEN)
    share = np.mean([truth[one] for one in order])
    assert everything.evidence[0].interval == pytest.approx((share, share))


def test_a_second_review_pays_for_the_first(ran) -> None:
    suspected = ran[0].findings[1]
    order = review_order(suspected)
    answers = {one: "wrong" if place % 3 else "right" for place, one in enumerate(order[:30])}
    once = reviewed(suspected, answers, when=WHEN)
    twice = reviewed(once, answers, when=WHEN)
    assert twice.evidence[0].interval[0] < once.evidence[0].interval[0]
    assert len(twice.history) == len(once.history) + 1
    assert sum(isinstance(item, Statistic) and item.name == "reviewed" for item in twice.evidence) == 1


def test_rows_that_were_not_drawn_are_refused(ran) -> None:
    suspected, tested = ran[0].findings[1], ran[0].findings[0]
    order = review_order(suspected)
    with pytest.raises(UsageError, match="not among the first 2 rows"):
        reviewed(suspected, {order[0]: "wrong", order[5]: "wrong"}, when=WHEN)
    with pytest.raises(UsageError, match="not among"):
        reviewed(suspected, {"somewhere": "wrong"}, when=WHEN)
    with pytest.raises(UsageError, match="No label was reviewed"):
        reviewed(suspected, {}, when=WHEN)
    with pytest.raises(UsageError, match="is no list of labels"):
        reviewed(tested, {order[0]: "wrong"}, when=WHEN)


def test_lists_that_are_half_wrong_are_seldom_confirmed(ran) -> None:
    """Exactly, by the binomial distribution: at a share of one half at most alpha / 2 of first reviews confirm."""
    suspected = ran[0].findings[1]
    order = review_order(suspected)[:40]
    confirming = [
        count for count in range(41)
        if reviewed(suspected, {one: "wrong" if at < count else "right" for at, one in enumerate(order)},
                    when=WHEN).status == "confirmed"
    ]  # fmt: skip
    assert binom.sf(min(confirming) - 1, 40, 0.5) <= 0.025
    assert binom.sf(min(confirming) - 2, 40, 0.5) > 0.025


def test_a_list_of_the_users_own_is_taken_as_it_is() -> None:
    made, _ = world()
    evaluation = made.evaluation()
    rule = Ids(tuple(evaluation.dataset.ids(np.arange(20))))
    (finding,) = confirm([Slice(rule=rule, claim=MISLABELLED)], evaluation).findings
    assert finding.rule == rule
    assert finding.evidence == ()
    assert "nobody has looked at them yet" in describe(finding, evaluation)
