"""The log of Learning to Split in the report: the published numbers loop by loop, a curve, and the verdict."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import pytest

from errata.core.evidence import SplitLog, SplitLoop
from errata.report.page import report_html
from errata.report.splits import splits_of

GAPS = ((-2.5, 90.0, 92.5), (64.31, 98.97, 34.66), (30.0, 97.0, 67.0))


def log(gaps=GAPS, **more):
    loops = tuple(
        SplitLoop(
            loop=at, gap=gap, validation=validation, test=test, train_labels=(30 + at, 40), test_labels=(10 - at, 0)
        )
        for at, (gap, validation, test) in enumerate(gaps)
    )
    known = {
        "column": "embedding:encoder", "metric": "roc_auc", "classes": ("cat", "<b>dog</b>"), "rows": 80, "best": 1,
        "words": "No systematic split: gap 9.1 on held-out rows; labels would show 8.0, p = 0.3.",
    }  # fmt: skip
    return SplitLog(**{"loops": loops, **known, **more})


@pytest.fixture
def view(image_run):
    def viewed(item):
        (found,) = splits_of(replace(image_run, evidence=(item,)), "images")
        return found

    return viewed


def test_the_curve_goes_through_every_loop_and_marks_the_one_that_was_kept(view) -> None:
    curve = view(log()).curve
    gap = next(line for line in curve.lines if line.name == "gap")
    points = [tuple(map(float, pair)) for pair in re.findall(r"([\d.]+) ([\d.]+)", gap.path)]
    assert points == [pytest.approx(dot) for dot in curve.dots]
    assert [x for x, _ in points] == [0, 50, 100]
    ticks = {tick.text: tick.at for tick in curve.y_ticks}
    assert ticks["100"] == 0
    assert set(ticks) == {"0", "25", "50", "75", "100"}
    assert ticks["0"] < 100  # the gap began under nothing, and there is room to draw it there
    up = [100 - 105 * y / 100 for _, y in points]
    assert up == pytest.approx([-2.5, 64.31, 30.0], abs=0.02)
    assert curve.kept == curve.dots[1]
    ends = sorted(line.at for line in curve.lines)
    assert all(after - before >= 8.9 for before, after in pairwise(ends))
    assert 0 <= ends[0] <= ends[-1] <= 100


def test_the_table_has_what_the_published_log_has(view) -> None:
    found = view(log())
    assert [line.gap for line in found.loops] == ["−2.50", "64.31", "30.00"]
    assert [line.kept for line in found.loops] == [False, True, False]
    kept = found.loops[1]
    assert (kept.validation, kept.test, kept.train_share, kept.test_share) == ("98.97", "34.66", "89 %, 71", "11 %, 9")
    assert kept.train_labels == "cat: 31, <b>dog</b>: 40"
    assert kept.test_labels == "cat: 9"  # classes without a row are left out
    assert "gap 64.31 = validation 98.97 − test 34.66, with 11 % of the images" in found.kept


def test_the_page_says_the_verdict_whether_or_not_there_were_loops(nothing_run, reader) -> None:
    plain = log(loops=(), best=None, words="No systematic split: labels follow the predictor's own doubts as they are.")
    for item, curves, told in ((log(), 1, "gap 9.1 on held-out rows"), (plain, 0, "as they are. No loop was run.")):
        run = replace(nothing_run, evidence=(nothing_run.evidence[0], item))
        text = report_html([run])
        page = reader.read(text)
        assert told in page.text
        assert "<b>dog" not in text
        figures = [one for one in page.all("figure") if "loops" in one.attributes.get("class", "")]
        assert len(figures) == curves
        assert len([one for one in page.all("table") if one.attributes.get("class") == "log"]) == curves


def test_a_run_without_the_method_says_nothing_of_it(table_run) -> None:
    assert splits_of(table_run, "rows") == ()
    assert "Learning to Split" not in report_html([table_run])


def test_scores_that_are_not_known_are_left_out_of_the_curve(view) -> None:
    found = view(log(((None, None, 50.0), (20.0, 80.0, 60.0), (25.0, 85.0, 60.0)), best=2))
    assert len(found.curve.dots) == 2
    assert found.loops[0].gap == "not known"
    assert view(log(((20.0, 80.0, 60.0),), best=0)).curve is None
