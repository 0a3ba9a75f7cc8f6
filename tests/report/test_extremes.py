"""Hardest and easiest by class: both ends side by side, every row with a link, for pictures and for tables."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from errata.core.codec import decode, encode
from errata.core.evidence import Evidence, Examples, Extremes
from errata.report.examples import Album
from errata.report.extremes import strips_of
from errata.report.page import report_html
from errata.store.directory import load


def album_of(run, **more):
    known = {"prefix": "", "evaluation": run.evaluation, "most_rows": 240, "picture_bytes": 10**6}
    return Album(**{**known, **more})


def test_pictures_stand_side_by_side_under_their_class(image_run) -> None:
    strips = strips_of(image_run, album_of(image_run), "images", most=24)
    assert [strip.title for strip in strips.shown] == ["1s", "8s", "8s, second direction"]
    assert strips.left == 0
    first = strips.shown[1]
    assert first.pictures
    assert (first.hardest_words, first.easiest_words) == ("Hardest: 6 of 6 wrong", "Easiest: 0 of 6 wrong")
    assert all(one.anchor and one.picture and one.label == "8" for one in (*first.hardest.examples,
                                                                          *first.easiest.examples))  # fmt: skip
    assert all(one.predicted != "8" for one in first.hardest.examples)
    assert "balanced accuracy 71 %" in first.words


def test_tables_show_the_columns_in_which_the_ends_differ_most(table_run) -> None:
    (strip,) = strips_of(table_run, album_of(table_run), "rows", most=24).shown
    assert strip.title == "Rows labelled defaulted"
    assert strip.hardest.names == strip.easiest.names == ("city", "age")
    assert strip.differences == (
        "The 40 rows at the hard end against as many at the easy one: city cairo 62 % against 10 %; age 61 against 44."
    )


def test_the_clearest_directions_are_shown_where_there_are_too_many(image_run) -> None:
    dim, clear, second = (item for item in image_run.evidence if isinstance(item, Extremes))
    items = (replace(dim, score=0.6), clear, replace(second, score=0.99))
    run = replace(image_run, evidence=items)
    strips = strips_of(run, album_of(run), "images", most=1)
    assert [strip.title for strip in strips.shown] == ["8s"]  # a class's first direction goes before any second
    assert strips.left == 2


def test_two_embeddings_are_told_apart(image_run) -> None:
    first = next(item for item in image_run.evidence if isinstance(item, Extremes))
    run = replace(image_run, evidence=(first, replace(first, column="embedding:pixels")))
    titles = [strip.title for strip in strips_of(run, album_of(run), "images", most=9).shown]
    assert titles == ["1s, by their looks", "1s, by their pixels"]


def test_the_page_links_every_row_shown_to_the_table_of_rows(image_run, reader) -> None:
    text = report_html([image_run])
    page = reader.read(text)
    assert "Hardest and easiest by class" in page.text
    ends = {
        name for item in image_run.evidence if isinstance(item, Extremes) for name in (*item.hardest, *item.easiest)
    }
    rows = {element.text[:16] for element in page.all("tr") if element.attributes.get("id")}
    assert ends <= rows
    captions = [element.text for element in page.all("p") if element.attributes.get("class") == "side-name"]
    assert "Hardest: 6 of 6 wrong" in captions


def test_a_run_read_without_its_rows_shows_the_values_that_were_kept(table_run, reader) -> None:
    plain = json.loads(json.dumps([encode(item) for item in table_run.evidence]))
    run = replace(table_run, evaluation=None, evidence=decode(plain, tuple[Evidence, ...]))
    (strip,) = strips_of(run, album_of(run), "rows", most=24).shown
    assert strip.title == "Rows labelled defaulted"
    fields = {item.name for one in strip.hardest.examples for item in one.fields}
    assert fields == {"city", "age"}
    assert "Rows labelled defaulted" in reader.read(report_html([run])).text


def test_an_old_run_has_no_such_part(house_run) -> None:
    assert strips_of(house_run, album_of(house_run), "rows", most=24).shown == ()
    assert "Hardest and easiest" not in report_html([house_run])


def test_a_saved_run_keeps_the_pictures_of_both_ends(image_run, tmp_path) -> None:
    run = replace(image_run, findings=(), members={})
    opened = load(run.save(tmp_path / "run"))
    assert [item for item in opened.evidence if isinstance(item, Extremes)] == [
        item for item in image_run.evidence if isinstance(item, Extremes)
    ]
    strips = strips_of(opened, album_of(opened), "images", most=24)
    assert all(one.picture for strip in strips.shown for one in (*strip.hardest.examples, *strip.easiest.examples))


def test_rows_that_a_method_shows_stand_folded_in_its_finding(table_run, reader) -> None:
    first = table_run.findings[0]
    members = next(item for item in first.evidence if isinstance(item, Examples))
    own = Examples(wrong=members.wrong[:2], right=members.right[:3], words="The two <ends> of it, of explore rows.")
    run = replace(table_run, findings=(replace(first, evidence=(*first.evidence, own)),), evidence=())
    page = reader.read(report_html([run]))
    summaries = [one.text for one in page.all("summary")]
    assert summaries.count("The two <ends> of it, of explore rows") == 1
    tables = [one.text for one in page.all("table") if one.attributes.get("class") == "examples"]
    assert len(tables) == 4  # wrong and right members, then the two ends
    for ids, table in zip((own.wrong, own.right), tables[2:], strict=True):
        assert len(re.findall(r"[0-9a-f]{8}…", table)) == len(ids)
        assert "age" in table  # the columns that are shown of the members
