"""Fresh rows confirm again, show that an error is gone, or cannot tell; and only fresh rows raise what was seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from errata.check import check, fresh_rows
from errata.confirm import confirm
from errata.core.columns import Column
from errata.core.diagnosis import Diagnosis, RunRecord
from errata.core.errors import UsageError
from errata.core.evaluation import CONFIRM
from errata.core.rules import Where
from errata.core.slices import ERRS_MORE, Slice
from errata.describe import describe
from errata.testing import null, planted
from errata.testing.world import World


def part(world: World, rows, name: str, *, repaired: bool = False) -> World:
    """Some rows of a world under another name, and so with other ids; repaired, errors are spread evenly."""
    rows = np.arange(len(world))[rows]
    table = world.table.take(rows)
    if repaired:
        label = table.column(world.label)
        wrong = np.random.default_rng(5).random(len(rows)) < world.outside
        codes = np.where(wrong, 1 - label.values, label.values).astype(np.int32)
        table = table.with_columns({world.prediction: replace(label, values=codes)})
    groups = None if world.unit is None else world.unit[rows]
    return replace(world, table=table, name=name, truth=(), unit=groups)


def diagnosed(evaluation, *rules: str) -> Diagnosis:
    """A run that tested these rules and nothing else."""
    confirmation = confirm([Slice(rule=Where.parse(rule)) for rule in rules], evaluation)
    record = RunRecord(
        errata="0", created="2026-01-01", seed=0, split_seed=0, alpha=0.05, looks=1, model=None, data={}, rows={},
        task=evaluation.task, metric=evaluation.metric, errors={}, predictions="unknown", error_rate=None, tested=1,
        families=(), detectable=(), methods=(), timings={},
    )  # fmt: skip
    findings = tuple(replace(finding, title=describe(finding, evaluation)) for finding in confirmation.findings)
    return Diagnosis(run=record, findings=findings, evaluation=evaluation, members=confirmation.members)


@pytest.fixture(scope="module")
def world() -> World:
    return planted("intersection", n=6_000, share=0.08, seed=2)


@pytest.fixture(scope="module")
def run(world) -> Diagnosis:
    made = diagnosed(part(world, slice(0, 3000), "first").evaluation(), world.truth[0].text)
    assert [finding.status for finding in made.findings] == ["confirmed"]
    return made


def fresh_of(world, rows=slice(3000, 6000), **more):
    return replace(part(world, rows, "fresh", **more).evaluation(), fingerprint="ab")


def test_an_error_that_is_still_there_is_confirmed_again(world, run, tmp_path):
    done = check(run, fresh_of(world), state=tmp_path)
    assert [item.verdict for item in done.results] == ["confirmed again"]
    assert done.rows == 3000
    assert done.left_out == 0
    truth = world.truth[0].members[3000:]
    inside = world.wrong[3000:][truth].mean()
    assert done.results[0].members == truth.sum()
    assert done.results[0].metric.inside == pytest.approx(inside)
    assert "before +" in done.results[0].words


def test_a_repaired_model_is_gone(world, run, tmp_path):
    done = check(run, fresh_of(world, repaired=True), state=tmp_path)
    assert [item.verdict for item in done.results] == ["gone"]
    assert done.diagnosis.findings[0].status == "confirmed"  # history is added to, not overwritten
    assert done.diagnosis.findings[0].history[-1].what == "checked: gone"


def test_a_perfect_model_is_gone_although_no_test_is_possible(world, run, tmp_path):
    fresh = fresh_of(world)
    perfect = replace(fresh, predicted=fresh.labels, loss=np.zeros_like(fresh.loss))
    result = check(run, perfect, state=tmp_path).results[0]
    assert result.verdict == "gone"
    assert result.p_value is None


def test_few_fresh_rows_cannot_tell(world, run, tmp_path):
    members = np.flatnonzero(world.truth[0].members[3000:]) + 3000
    others = np.flatnonzero(~world.truth[0].members[3000:]) + 3000
    few = check(run, fresh_of(world, rows=np.r_[members[:9], others[:200]]), state=tmp_path).results[0]
    assert few.verdict == "cannot tell"
    assert few.words.startswith("only 9 rows")
    fresh = fresh_of(world, rows=np.r_[members[:16], others[:160]])
    wrong = np.r_[np.arange(16) % 4 == 0, np.arange(160) % 8 == 0]  # half of the excess is left, and anything may be so
    between = replace(fresh, loss=wrong.astype(float), predicted=np.where(wrong, 1 - fresh.labels, fresh.labels))
    wide = check(run, between, state=tmp_path / "other").results[0]
    assert wide.verdict == "cannot tell"
    assert "too few rows or errors" in wide.words


def test_rows_that_the_run_read_are_left_out_and_said(world, run, tmp_path):
    both = replace(part(world, slice(0, 4000), "first").evaluation(), fingerprint="ab")
    done = check(run, both, state=tmp_path)
    assert done.left_out == 3000
    assert done.rows == 1000
    assert any("3000 rows were read" in words for words in done.caveats)
    with pytest.raises(UsageError, match="every row was read"):
        check(run, replace(run.evaluation, fingerprint="ab"), state=tmp_path)


def test_coarse_columns_do_not_make_strangers_known(tmp_path):
    """Where rows of the run equal each other all the time, equal rows elsewhere are no sign of having been read."""
    world = planted("intersection", n=4000, share=0.1, seed=2)
    evaluation = replace(part(world, slice(0, 2000), "x").evaluation(), fingerprint="ab")

    def coarse(evaluation, seed):
        hashes = np.random.default_rng(seed).integers(0, 700, len(evaluation.fold)).astype(np.uint64)
        order = np.argsort(hashes, kind="stable")
        occurrence = np.zeros(len(hashes), dtype=np.uint32)
        _, start, counts = np.unique(hashes[order], return_index=True, return_counts=True)
        occurrence[order] = np.arange(len(hashes)) - np.repeat(start, counts)
        dataset = replace(evaluation.dataset, id_hash=hashes, occurrence=occurrence)
        return replace(evaluation, dataset=dataset, counted=np.ones(len(hashes), dtype=bool))

    run = diagnosed(coarse(evaluation, 1), world.truth[0].text)
    other = replace(coarse(replace(part(world, slice(2000, 4000), "y").evaluation()), 2), fingerprint="cd")
    done = check(run, other, state=tmp_path)
    assert done.left_out == 0
    assert any("no column tells strangers apart" in words for words in done.caveats)


def test_what_was_seen_is_confirmed_by_the_first_look_at_fresh_rows_only(world, run, tmp_path):
    seen = replace(run, findings=tuple(replace(f, status="seen", title="") for f in run.findings))
    fresh = fresh_of(world)
    risen = check(seen, fresh, state=tmp_path).diagnosis.findings[0]
    assert risen.status == "confirmed"
    assert risen.history[-1].what == "checked: confirmed again"
    assert "wrong" in risen.title
    assert risen.evidence[-1].name == "fresh difference"
    # the same check again is a repeat of the first look
    assert check(seen, fresh, state=tmp_path).diagnosis.findings[0].status == "confirmed"
    # another list of findings on the same rows is a later look: nothing rises any more
    other = replace(run, findings=(replace(run.findings[0], status="seen", id="0000aaaa"),))
    later = check(other, fresh, state=tmp_path)
    assert later.looks == 2
    assert later.results[0].verdict == "confirmed again"
    assert later.diagnosis.findings[0].status == "seen"
    assert any("what was seen stays seen" in words for words in later.caveats)


def test_rejected_findings_are_not_asked_again(world, run, tmp_path):
    rejected = replace(run, findings=tuple(replace(f, status="rejected") for f in run.findings))
    done = check(rejected, fresh_of(world), state=tmp_path)
    assert done.results == ()
    assert done.diagnosis.findings == rejected.findings


def test_many_findings_share_one_level(tmp_path):
    """On null data, the share of checks that confirm any of eight rules again stays near alpha."""
    false = 0
    for seed in range(40):
        world = null("iid", n=1200, seed=seed)
        names = [name for name in world.features if world.table.column(name).kind == "number"]
        cuts = [(name, np.nanquantile(world.table.column(name).values, at)) for name in names for at in (0.2, 0.7)]
        rules = [f"{name} > {cut:.6g}" for name, cut in cuts]
        run = diagnosed(part(world, slice(0, 600), "first").evaluation(confirm=1.0), *rules)
        template = diagnosed(part(world, slice(0, 600), "first").evaluation(), *rules).findings
        asked = tuple(replace(finding, status="confirmed") for finding in template)
        fresh = replace(part(world, slice(600, 1200), "fresh").evaluation(), fingerprint="ab")
        done = check(replace(run, findings=asked), fresh, state=tmp_path / str(seed))
        false += any(item.verdict == "confirmed again" for item in done.results)
    assert false <= 6  # 40 runs at 5 %: seven or more in 0.5 % of such tests


def test_regression_is_cut_as_the_run_was(tmp_path):
    world = planted("regression", n=4000, share=0.1, seed=3)
    run = diagnosed(part(world, slice(0, 2000), "first").evaluation(), world.truth[0].text)
    fresh = replace(part(world, slice(2000, 4000), "fresh").evaluation(), fingerprint="ab")
    done = check(run, fresh, state=tmp_path)
    assert done.results[0].verdict == "confirmed again"
    ready = fresh_rows(fresh, run=run).evaluation
    before = run.evaluation
    for code in range(5):
        inside = fresh.labels[ready.stratum == code]
        known = before.labels[before.stratum == code]
        assert inside.min() >= known.min() - 1e-9 or code == 0
        assert (ready.fold == CONFIRM).all()


def test_groups_are_the_unit_where_there_are_many(tmp_path):
    world = planted("groups", n=8000, seed=3)
    text = world.truth[0].text
    run = diagnosed(part(world, slice(0, 4000), "first").evaluation(), text)
    fresh = replace(part(world, slice(4000, 8000), "fresh").evaluation(), fingerprint="ab")
    result = check(run, fresh, state=tmp_path).results[0]
    assert run.findings[0].test == "sign flips of groups"
    assert result.verdict in ("confirmed again", "cannot tell")
    assert result.p_value is not None


def test_one_rule_can_be_asked_by_itself(world, run):
    fresh = fresh_rows(fresh_of(world), run=run)
    assert len(fresh) == 3000
    rule = world.truth[0].text
    assert fresh.test(rule, claim=ERRS_MORE, before=0.4).verdict == "confirmed again"
    # a claim is never confirmed by the other side of its rule
    assert fresh.test(f"not ({rule})", claim=ERRS_MORE, before=0.4).verdict != "confirmed again"
    with pytest.raises(UsageError, match="no column"):
        fresh.test("nowhere > 3", claim=ERRS_MORE)


def test_a_run_whose_model_was_an_object_asks_for_it(world, run, tmp_path):
    with_model = replace(run, run=replace(run.run, model={"name": "forest"}))
    with pytest.raises(UsageError, match="does not know where its model `forest` lies"):
        check(with_model, world.to_frame(), state=tmp_path)
    with pytest.raises(UsageError, match="without its rows"):
        check(replace(run, evaluation=None), world.to_frame(), state=tmp_path)


def test_a_column_that_fresh_rows_lack_is_named(world, run, tmp_path):
    fresh = fresh_of(world)
    gone = world.truth[0].columns[0]
    table = fresh.dataset.table.without([gone]).with_columns({f"{gone}s": Column.number(np.zeros(3000))})
    with pytest.raises(UsageError, match=gone) as caught:
        check(run, replace(fresh, dataset=fresh.dataset.with_table(table)), state=tmp_path)
    assert f"{gone}s" in str(caught.value)
