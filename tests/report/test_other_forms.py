"""The same findings in Markdown, as a frame, in a notebook and in the terminal."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import pytest

from errata.core.evidence import SplitLog
from errata.report.markdown import escaped, report_markdown
from errata.report.notebook import diagnosis_html, evaluation_html, finding_html
from errata.report.terminal import plain_summary, summary
from errata.store.directory import load

COLUMNS = [
    "id", "status", "title", "rule", "family", "members", "inside", "outside", "difference", "low", "high", "q_value",
    "share_of_errors", "proposed_by",
]  # fmt: skip


def test_markdown_says_what_the_page_says(table_run, nothing_run):
    text = report_markdown([table_run])
    assert text.startswith("# Three groups of rows err more often than the rest: the worst holds 32 %")
    assert "## 1. city is cairo and age over 60" in text
    assert "57 % wrong, against 14 % elsewhere (98 % interval of the difference 36 to 50 points)." in text
    assert "19 points remain" in text
    assert "```sql\n\"city\" = 'cairo'" in text
    assert "| savings is missing | untestable |" in text
    assert "customer\\_no" in text
    several = report_markdown([table_run, nothing_run])
    assert several.startswith("# Errata of 2 runs\n\n## Three groups")
    assert "## Nothing found: no group of rows errs" in several
    lines = [line for line in text.splitlines() if line.startswith("|")]
    for before, after in pairwise(lines):
        if after.startswith("| ---"):
            assert before.count(" |") == after.count(" |")


def test_markdown_escapes_and_fences():
    assert escaped("a|b <i> [x](y) _z_\nnew") == "a\\|b \\<i\\> \\[x\\](y) \\_z\\_ new"


@pytest.mark.parametrize("native", ["pandas", "polars", "pyarrow", None])
def test_frame_comes_in_the_library_that_was_brought(table_run, native):
    dataset = replace(table_run.evaluation.dataset, native=native)
    frame = replace(table_run, evaluation=replace(table_run.evaluation, dataset=dataset)).to_frame()
    assert type(frame).__module__.partition(".")[0] == (native or "pandas")
    names = frame.column_names if native == "pyarrow" else list(frame.columns)
    assert names == COLUMNS
    assert len(frame) == len(table_run.findings)


def test_frame_of_nothing_has_its_columns(nothing_run):
    frame = replace(nothing_run, findings=(), evaluation=None).to_frame()
    assert list(frame.columns) == COLUMNS
    assert len(frame) == 0
    assert str(frame["q_value"].dtype) == "float64"


def test_frame_holds_the_numbers(table_run):
    frame = table_run.to_frame()
    first = table_run.findings[0]
    assert frame["inside"][0] == first.metric.inside
    assert (frame["low"][0], frame["high"][0]) == first.metric.interval
    assert frame["title"][0] == first.title
    assert frame["q_value"].isna().sum() == 2


def test_notebook_shows_bars_and_thumbnails(table_run, image_run, nothing_run, reader):
    page = reader.read(table_run._repr_html_())
    assert len(page.all("svg")) == 3
    assert "57 % wrong, against 14 % elsewhere" in table_run._repr_html_()
    images = reader.read(diagnosis_html(image_run))
    assert len(images.all("img")) == 8
    assert all(element.attributes["src"].startswith("data:image/png") for element in images.all("img"))
    assert all("taken for" in element.attributes["alt"] for element in images.all("img"))
    assert "Nothing found" in diagnosis_html(nothing_run)
    assert not reader.read(diagnosis_html(nothing_run)).all("table")
    assert "city is cairo" in finding_html(table_run.findings[0])
    assert "explore 1,200, confirm 1,200" in evaluation_html(table_run.evaluation)


def test_terminal_wide(table_run):
    text = plain_summary(table_run, width=110)
    assert "\x1b" not in text
    assert all(len(line) <= 110 for line in text.splitlines())
    assert re.search(r"1\s+city is cairo and age over 60\s+57 %\s+14 %\s+36 to 50 points\s+32 %\s+[0-9a-f]{8}", text)
    assert "and 1 more, smaller or folded" in text
    assert "2 rejected, 1 untestable, 1 circular" in text
    assert "confusion_cells" in text


def test_the_terminal_counts_no_more_than_there_are_after_a_second_look(table_run):
    again = tuple(replace(one, status="seen") if one.confirmed else one for one in table_run.findings)
    seen = replace(table_run, findings=again)
    number = sum(one.status == "seen" for one in again)
    assert number > 1
    assert "more, smaller or folded" not in plain_summary(seen, width=110)
    assert report_markdown([seen]).count("city is cairo and age over 60") == 1  # and not among other proposals again


def test_terminal_narrow(image_run, nothing_run, house_run):
    text = plain_summary(image_run, width=50)
    assert all(len(line) <= 50 for line in text.splitlines())
    assert "1s with strokes thinner than 1.4 pixels" in text
    assert "65 % wrong" in text
    assert "Nothing found" in plain_summary(nothing_run, width=80)
    assert "EUR" in plain_summary(house_run, width=120)


def test_the_terminal_says_what_learning_to_split_logged(by_hand, image_run, table_run, tmp_path):
    log = by_hand.log_of(("cat", "dog"))
    run = replace(image_run, evidence=(image_run.evidence[0], log))
    told = " ".join(plain_summary(run, width=400).split())
    assert "Learning to Split, by their looks: " in told
    assert "No systematic split: gap 9.1 on held-out images" in told
    assert "Gap by loop, in points of accuracy: −1.20, 22.00, 40.50, 64.30 (kept), 51.00." in told
    assert "Learning to Split" not in plain_summary(table_run, width=400)
    kept = [one for one in load(run.save(tmp_path / "run")).evidence if isinstance(one, SplitLog)]
    assert kept == [log]


def test_names_are_no_markup_in_the_terminal(by_hand, table_run):
    caveat = replace(table_run.run, caveats=("[red]not markup[/red] :smile:",))
    assert "[red]not markup[/red] :smile:" in plain_summary(replace(table_run, run=caveat), width=100)


def test_colours_only_where_a_terminal_takes_them(table_run):
    import io

    from rich.console import Console

    stream = io.StringIO()
    Console(file=stream, force_terminal=True, color_system="standard", width=100).print(summary(table_run, width=100))
    assert re.search(r"\x1b\[1;31m *57 %", stream.getvalue())


def test_members_across_folds_are_not_said_to_have_found_and_confirmed_a_rule(table_run):
    finding = replace(table_run.findings[0], test="cross-confirmation")
    assert f"{finding.support.confirm} by rules found without them" in finding_html(finding)
    assert "to explore" not in finding_html(finding)
