"""The geometry of the pictures."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from errata.core.diagnosis import Detectable
from errata.core.evidence import Heatmap, TreePath
from errata.core.finding import Effect
from errata.core.rules import Where
from errata.describe import Wording
from errata.report.figures import bars, bars_scale, curve, fitted_words, heat, icicle, nice_ceiling

WORDS = Wording(None)


@pytest.mark.parametrize(
    ("value", "ceiling"), [(0.58, 1.0), (0.12, 0.2), (0.21, 0.25), (3.0, 5.0), (0.0, 1.0), (5.0, 5.0)]
)
def test_nice_ceiling(value, ceiling):
    assert nice_ceiling(value) == ceiling


def test_bars_of_a_run_share_one_scale(table_run):
    confirmed = table_run.confirmed
    scale = bars_scale(confirmed)
    assert scale == 1.0
    first = confirmed[0]
    drawn = bars(first, scale)
    assert drawn.inside == pytest.approx(100 * first.metric.inside, abs=0.01)
    assert drawn.outside == pytest.approx(100 * first.metric.outside, abs=0.01)
    low, high = first.metric.interval
    assert drawn.low == pytest.approx(100 * (first.metric.outside + low), abs=0.01)
    assert drawn.high == pytest.approx(100 * (first.metric.outside + high), abs=0.01)


def test_bars_stay_in_the_picture(table_run):
    wild = Effect(name="error", inside=0.9, outside=0.5, difference=0.4, interval=(-0.9, 0.9), interval_level=0.95)
    drawn = bars(replace(table_run.findings[0], metric=wild), 1.0)
    assert (drawn.low, drawn.high) == (0.0, 100.0)
    empty = Effect(name="error", inside=None, outside=None, difference=None, interval=None, interval_level=None)
    assert bars(replace(table_run.findings[0], metric=empty), 1.0) is None


def test_curve_places_what_could_hide_and_what_was_found(table_run):
    run = table_run.run
    drawn = curve(run.detectable, table_run.confirmed[:3], metric="error", confirm=1200, noun="rows")
    assert [dot.text for dot in drawn.dots] == ["1", "2", "3"]
    assert drawn.mark.text == "18 points in 5 % of the rows"
    assert [tick.text for tick in drawn.y_ticks] == ["0", "10", "20", "30", "40", "50"]
    heights = [float(point.split()[1]) for point in drawn.line.removeprefix("M ").split(" L ")]
    assert heights == sorted(heights)  # y grows downwards: larger groups show smaller differences
    assert all(0 <= dot.x <= 100 and 0 <= dot.y <= 100 for dot in drawn.dots)
    one = (Detectable(share=0.05, difference=0.2), Detectable(share=0.1, difference=None))
    assert curve(one, (), metric="error", confirm=100, noun="rows") is None


def test_icicle_is_as_wide_as_its_rows(table_run):
    tree = next(item for item in table_run.findings[0].evidence if isinstance(item, TreePath))
    drawn = icicle(tree, metric="error", wording=Wording(table_run.evaluation))
    root, *rest = drawn.blocks
    assert (root.x, root.width, root.depth) == (0.0, 100.0, 0)
    for depth in range(1, drawn.depth):
        blocks = [block for block in rest if block.depth == depth]
        assert sum(block.width for block in blocks) <= 100.01
        ends = [(block.x, block.x + block.width) for block in blocks]
        assert all(before[1] <= after[0] + 0.01 for before, after in pairwise(ends))
    members = next(block for block in rest if block.text == "city is cairo")
    assert members.path
    assert members.members == 1.0
    assert [block.text for block in rest][:2] == ["hours over 55", "hours 55 or less"]
    assert all(len(block.narrow.text) <= len(block.wide.text) for block in rest)


def test_odd_trees_are_left_out_or_survive():
    node = {"id": 0, "parent": None, "text": "all rows", "n": 0, "wrong": 0, "members": None}
    assert icicle(TreePath(nodes=(node,)), metric="error", wording=WORDS) is None
    child = {"id": 1, "parent": 0, "text": "not ( a rule", "n": 0, "wrong": 0, "members": None}
    drawn = icicle(TreePath(nodes=(node, child)), metric="error", wording=WORDS)
    assert drawn.blocks[1].text == "not ( a rule"
    assert drawn.blocks[1].numbers == "no rows, 0 of 0"


def test_heat_goes_down_and_across():
    evidence = Heatmap(
        columns=("age", "city"),
        labels=(("young", "old"), ("aswan", "cairo", "giza")),
        metric="error",
        count=(10, 10, 10, 10, 10, 0),
        value=(0.1, 0.2, 0.0, 0.1, 0.6, None),
        member=(0.0, 0.0, 0.0, 0.0, 1.0, None),
    )
    drawn = heat(evidence, wording=WORDS)
    peak = max(drawn.cells, key=lambda cell: cell.heat)
    assert (peak.x, peak.y, peak.text, peak.member) == (pytest.approx(33.333), 50.0, "60", True)
    assert drawn.words == "Highest at age old, city cairo: 60 %, 10 rows."
    assert drawn.cells[-1].text == ""
    assert drawn.title == "Percent wrong"


def test_heat_of_one_column_and_of_losses():
    evidence = Heatmap(
        columns=("area",), labels=(("small", "large"),), metric="absolute-error", count=(5, 1), value=(1234.5, 0.0)
    )
    drawn = heat(evidence, wording=WORDS)
    assert drawn.down == ()
    assert [cell.text for cell in drawn.cells] == ["1,200", "0"]
    assert not drawn.with_members
    assert drawn.cells[1].words == "area large: 0, 1 row"
    none = replace(evidence, value=(None, None))
    assert heat(none, wording=WORDS) is None
    level = replace(evidence, value=(0.0, 0.0))
    assert all(cell.heat == 0 for cell in heat(level, wording=WORDS).cells)


def test_heat_says_which_rows_it_counts_and_what_it_leaves_out(table_run):
    evidence = Heatmap(
        columns=("age", "hours"), labels=(("young", "old"), ("few", "many")), metric="error", count=(4, 12, 8, 0),
        value=(0.1, 0.2, 0.0, None), among='label = "repaid"',
    )  # fmt: skip
    words = Wording(table_run.evaluation)
    rule = Where.parse('label = "repaid" and age > 60.5 and hours > 30 and city = "cairo"')
    drawn = heat(evidence, wording=words, rule=rule)
    assert (drawn.among, drawn.unshown, drawn.per_cell) == ("rows labelled repaid", "city is cairo", 8)
    all_rows = heat(replace(evidence, among=""), wording=words, rule=rule)
    assert (all_rows.among, all_rows.unshown) == ("", "labelled repaid and city is cairo")
    assert heat(evidence, wording=words, rule=Where.parse("age > 60.5")).unshown == ""


@pytest.mark.parametrize(
    ("text", "room", "cut"),
    [
        ("where a horizontal line meets fewer strokes than 1", 8, ""),
        ("labelled 1, 4, 8 or 9", 11, ""),
        ("education-num 9 or less", 16, ""),
        ("not brighter at the top than at the bottom by over 0.2", 52, "not brighter at the top than at the bottom…"),
        ("capital-gain is 0", 17, "capital-gain is 0"),
    ],
)
def test_a_label_is_cut_at_a_word_or_left_out(text, room, cut):
    assert fitted_words(text, room) == cut
