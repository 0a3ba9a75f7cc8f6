"""The report as HTML: one file, well formed, escaped, small, with the same numbers everywhere."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from errata.core.columns import Column
from errata.core.errors import CannotRunError, UsageError
from errata.core.evidence import Caption, Examples
from errata.core.rules import Compare, Where
from errata.report.commands import commands
from errata.report.examples import Album
from errata.report.page import MOST_BYTES, report_html, whole_percents, write_report

HOSTILE = (
    '</script><script>alert("x")</script>',
    "</style><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "'><svg/onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "😀 שלום \u202eevil",
    "javascript:alert(1)",
    "&lt;b&gt;",
    "]]><!--",
)
RUNS = ("table_run", "image_run", "nothing_run", "house_run")


@pytest.fixture(scope="module", params=[*RUNS, "several"])
def page(request, reader):
    """Each hand-made run as a page, and three of them on one."""
    names = ("table_run", "image_run", "nothing_run") if request.param == "several" else (request.param,)
    return reader.read(report_html([request.getfixturevalue(name) for name in names]))


def test_the_page_needs_nothing_from_outside(page):
    loaded = [
        element.attributes[name]
        for element in page.elements
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset")
        if name in element.attributes
    ]
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in loaded)
    assert not page.all("link", "iframe", "object", "embed", "form", "base")
    styles = "".join(element.text for element in page.all("style"))
    assert "@import" not in styles
    assert "url(" not in styles
    assert "//" not in re.sub(r"/\*.*?\*/", "", styles, flags=re.DOTALL)
    policy = next(e.attributes["content"] for e in page.all("meta") if e.attributes.get("http-equiv"))
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-")
    assert len(page.all("script")) == 1


def test_ids_are_unique_and_every_link_leads_somewhere(page):
    ids = [element.attributes["id"] for element in page.elements if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    targets = {element.attributes["href"][1:] for element in page.all("a", "use")}
    assert targets <= set(ids)
    named = [
        element.attributes[key]
        for element in page.elements
        for key in ("aria-labelledby",)
        if key in element.attributes
    ]
    assert {part for names in named for part in names.split()} <= set(ids)


def test_headings_are_in_order_and_pictures_have_words(page):
    levels = [int(element.tag[1]) for element in page.all("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for picture in page.all("svg"):
        hidden = picture.attributes.get("aria-hidden") == "true" or "svg" in picture.inside
        named = "aria-label" in picture.attributes or "aria-labelledby" in picture.attributes
        assert hidden or (picture.attributes.get("role") == "img" and named)
    for table in page.all("table"):
        assert table.text.strip()
    assert len(page.all("caption")) == len(page.all("table"))
    assert all("scope" in cell.attributes for cell in page.all("th"))


def test_scrolling_parts_can_be_reached_by_keyboard(page):
    for element in page.elements:
        if "scroll" in element.attributes.get("class", "").split():
            assert element.attributes["tabindex"] == "0"
            assert element.attributes["role"] == "region"
            assert element.attributes["aria-label"]
        if element.tag == "pre":
            assert element.attributes["tabindex"] == "0"


def test_title_bar_and_table_show_the_same_two_numbers(table_run, reader):
    page = reader.read(report_html([table_run]))
    words = [element.text for element in page.all("p") if "bar-line" in element.attributes.get("class", "")]
    shown = [" ".join(text.split()) for text in words]
    assert shown[:2] == ["57 % inside", "14 % elsewhere"]
    assert "57 % wrong, against 14 % elsewhere" in page.text.replace("\u00a0", " ")
    labels = [element.attributes.get("aria-label", "") for element in page.all("svg")]
    assert "Inside 57 %, elsewhere 14 %, 98 % interval of the difference 36 to 50 points" in labels


def test_what_is_barely_confirmed_says_so_on_its_card_and_once_below(table_run, reader):
    first = table_run.findings[0]
    said = ("barely: the interval of the difference contains 0", "only 3 groups")
    near = replace(first, metric=replace(first.metric, interval=(-0.01, 0.4)), caveats=said)
    text = reader.read(report_html([replace(table_run, findings=(near,))])).text.replace("\u00a0", " ")
    card, below = text.split("Findings Each was found")
    assert "Barely: the interval of the difference, −1 to 40 points, contains 0." in card
    assert below.lower().count("barely") == 1
    assert "Only 3 groups." in below


def test_what_is_confirmed_against_its_own_rates_says_why(table_run, reader):
    first = table_run.findings[0]
    metric = replace(first.metric, inside=0.12, outside=0.13, difference=-0.01, interval=(-0.14, 0.07))
    text = reader.read(report_html([replace(table_run, findings=(replace(first, metric=metric),))])).text
    assert "the two rates weigh the classes by their members and do not" in text
    assert "weigh the classes" not in reader.read(report_html([table_run])).text


def test_proposers_are_a_list_in_words(table_run, reader):
    first = replace(table_run.findings[0], proposed_by=("domino", "spotlight", "error_tree"))
    text = reader.read(report_html([replace(table_run, findings=(first,))])).text
    assert "domino, spotlight and error_tree" in text


def test_names_are_isolated_from_the_arrow_between_them(table_run):
    text = report_html([table_run])
    assert re.search(r"<bdi>[^<]+</bdi> <span class=\"arrow\"[^>]*>→</span> <bdi>[^<]+</bdi>", text)
    assert not re.search(r"(?<!</bdi>) <span class=\"arrow\" aria-label=\"taken for\">", text)


def test_a_word_without_end_is_cut(table_run, reader):
    marks = Caption(words=({"text": "z" * 10_000, "score": 9.0, "inside": 0.5, "outside": 0.1},))
    first = table_run.findings[0]
    page = reader.read(report_html([replace(table_run, findings=(replace(first, evidence=(marks,)),))]))
    assert "z" * 39 + "…" in page.text
    assert "z" * 41 not in page.text


def test_only_what_fresh_rows_can_judge_has_a_command_for_them(table_run):
    first = table_run.findings[0]
    known = {
        status: commands(replace(first, status=status), table_run) for status in ("confirmed", "seen", "suspected")
    }
    assert known["confirmed"].check
    assert known["confirmed"].export
    assert known["seen"].check
    assert not known["seen"].export
    assert not known["suspected"].check
    assert not known["suspected"].export


def test_a_percent_sign_never_breaks_from_its_number(table_run):
    text = report_html([table_run])
    assert whole_percents('<p title="5 %">5 %</p><pre>a = "5 %"</pre> 6 %') == (
        '<p title="5 %">5\u00a0%</p><pre>a = "5 %"</pre> 6\u00a0%'
    )
    body = re.sub(r"<(pre|code|script|style)\b.*?</\1>|<[^>]*>", "", text, flags=re.DOTALL)
    assert re.search(r"\d\u00a0%", body)
    assert not re.search(r"\d %", body)


def test_the_first_screen_holds_verdict_worst_three_and_what_could_hide(table_run, reader):
    text = reader.read(report_html([table_run])).text.replace("\u00a0", " ")
    order = [
        "Three groups of rows err more often than the rest",
        "31 proposals tested; in 5 % of the rows, differences under 18 points could hide.",
        "city is cairo and age over 60",
        "hours over 55",
        "Among rows labelled defaulted, age under 30",
        "Findings Each was found",
    ]
    places = [text.index(words, text.index("Skip to the report")) for words in order]
    assert places == sorted(places)
    facts = ("customer_no", "confusion cells", "needs classes", "q-value", "out-of-fold", "SELECT * FROM data")
    leads = ("19 points remain", "errata explain run/ --finding", "--id ROW", "errata export run/ --as pytest")
    for words in (*facts, *leads):
        assert words in text


def test_nothing_found_is_a_page_of_its_own(nothing_run, reader):
    page = reader.read(report_html([nothing_run]))
    text = page.text.replace("\u00a0", " ")
    assert "an error 27 points higher in 5 % of the rows would have been seen in 4 of 5 runs" in text
    assert "What would let it see more" in text
    assert "Proposed, not confirmed" in text
    assert not [element for element in page.elements if element.attributes.get("class") == "finding"]
    assert any("curve big" in element.attributes.get("class", "") for element in page.elements)


def test_at_most_ten_findings_are_open(by_hand, table_run, reader):
    many = replace(table_run, findings=tuple(_copies(table_run, 30)))
    page = reader.read(report_html([many]))
    findings = [element for element in page.all("details") if element.attributes.get("class") == "finding"]
    assert len(findings) == 30
    assert sum("open" in element.attributes for element in findings) == 10


def _copies(run, n):
    first = run.findings[0]
    return [replace(first, id=f"{place:08x}") for place in range(n)]


def _hostile_run(by_hand, name):
    n = 240
    rng = np.random.default_rng(1)
    label = np.arange(n) % 2
    predicted = np.where(rng.random(n) < 0.3, 1 - label, label)
    columns = {name: Column.category([name, "plain", "other"] * (n // 3)), f"{name} two": Column.number(rng.random(n))}
    evaluation = by_hand.evaluation_of(columns, label, predicted, (name, "other"), label=f"label {name}", name=name)
    rule = Where(Compare(name, "=", name))
    finding = by_hand.finding_of(evaluation, rule.text, caveats=(name,), baseline=name, test=name)
    finding = replace(finding, evidence=(*finding.evidence, by_hand.tree_of(evaluation, [(0, rule.text)], rule.text)))
    values = {row: {name: name} for row in finding.examples}
    examples = Examples(wrong=finding.examples, right=(), values=values, saw=values)
    finding = replace(finding, evidence=(*finding.evidence, examples))
    run = by_hand.run_of(evaluation, command=f"errata diagnose {name}", caveats=(name,), timings={name: 1.0})
    data = {**run.data, "set_aside": [{"column": name, "why": name}]}
    return by_hand.Diagnosis(run=replace(run, data=data), findings=(finding,), evaluation=evaluation)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_and_values_of_the_data_do_nothing(by_hand, reader, name):
    from errata.report.markdown import report_markdown
    from errata.report.notebook import diagnosis_html

    run = _hostile_run(by_hand, name)
    text = report_html([run])
    page = reader.read(text)
    assert len(page.all("script")) == 1
    assert len(page.all("style")) == 1
    assert not page.all("img")
    assert not [key for element in page.elements for key in element.attributes if key.startswith("on")]
    assert "\u202e" not in page.all("h1")[0].text
    notebook = reader.read(diagnosis_html(run))
    assert not notebook.all("script", "img", "style")
    words = re.sub(r"^(`{3,}).*?^\1$", "", report_markdown([run]), flags=re.DOTALL | re.MULTILINE)
    assert not re.search(r"(?<!\\)<", words)
    assert not re.search(r"(?<!\\)\[[^\]]*\]\(", words)


@pytest.mark.parametrize(("rows", "runs"), [(100, 1), (30, 3)])
def test_the_file_stays_small_whatever_the_data(image_run, reader, rows, runs):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (64, 128, 128, 3), dtype=np.uint8)  # no picture is larger as a PNG
    evaluation = image_run.evaluation
    dataset = replace(evaluation.dataset, image=lambda row: noise[row % 64])
    ids = dataset.ids()
    long = "x" * 3000
    values = {name: {f"column {k} {long}": long for k in range(12)} for name in ids}
    findings = []
    for place in range(rows):
        start = 17 * place % 1000
        shown = Examples(wrong=tuple(ids[start : start + 12]), right=tuple(ids[start + 12 : start + 24]), values=values)
        first = image_run.findings[0]
        kept = tuple(item for item in first.evidence if not isinstance(item, Examples))
        status = "confirmed" if place % 2 else "rejected"
        findings.append(replace(first, id=f"{place:08x}", status=status, evidence=(*kept, shown)))
    run = replace(image_run, findings=tuple(findings), evaluation=replace(evaluation, dataset=dataset))
    text = report_html([run] * runs)
    assert len(text.encode()) <= MOST_BYTES
    reader.read(text)


def test_a_run_opened_without_its_rows_is_reported_with_the_same_words(table_run, reader):
    bare = replace(table_run, evaluation=None)
    text = reader.read(report_html([bare])).text.replace("\u00a0", " ")
    assert "city is cairo and age over 60" in text
    assert "57 % wrong, against 14 % elsewhere (98 % interval of the difference 36 to 50 points)." in text
    assert "Among rows labelled defaulted, age under 30" in text


def test_the_same_run_gives_the_same_page(table_run):
    assert report_html([table_run]) == report_html([table_run])


def test_writing(tmp_path, nothing_run):
    path = write_report([nothing_run], tmp_path / "new folder" / "report.html")
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]
    with pytest.raises(UsageError, match="no diagnosis"):
        write_report([], tmp_path / "none.html")
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotRunError, match="could not be written"):
        write_report([nothing_run], tmp_path / "file" / "report.html")


def test_a_later_look_shows_what_it_saw_and_confirms_nothing(table_run, reader):
    seen = tuple(replace(finding, status="seen", folded_under=None) for finding in table_run.findings[:3])
    weak = replace(table_run.findings[4], status="seen")
    run = replace(table_run, findings=(*seen, weak), run=replace(table_run.run, looks=2))
    text = reader.read(report_html([run])).text.replace("\u00a0", " ")
    assert "Nothing confirmed: three groups of rows err more here, but these predictions were looked at before" in text
    assert "Seen, not confirmed" in text
    assert "errata check run/ NEW_DATA" in text
    assert "0 confirmed" in text
    assert "number 2 at these predictions" in text
    assert "come by chance" not in text
    none = replace(run, findings=(weak,))
    assert "Nothing found: this look" in reader.read(report_html([none])).text


def test_the_numbers_that_stand_for_words_are_not_shown(table_run):
    """A model behind an encoder sees 0 for a city: only what was put in for a missing number, or a word, tells."""
    evaluation = table_run.evaluation
    finding = table_run.findings[0]
    evidence = next(item for item in finding.evidence if isinstance(item, Examples))
    name = evidence.wrong[0]
    columns = {column: evaluation.dataset.table.column(column).kind for column in evidence.values[name]}
    word = next(column for column, kind in columns.items() if kind == "category")
    figure = next(column for column, kind in columns.items() if kind == "number")
    values = {name: {word: None, figure: None}}
    for saw, told in (({word: 3.0, figure: 41.5}, {word: None, figure: "41.5"}), ({word: "oslo"}, {word: "oslo"})):
        seen = Examples(wrong=(name,), right=(), values=values, saw={name: saw})
        album = Album(prefix="", evaluation=evaluation, most_rows=9, picture_bytes=0)
        album.know([name])
        fields = {item.name: item.saw for item in album.example(name, seen, rule_columns=(word,)).fields}
        assert {column: fields[column] for column in told} == told


def test_caveats_speak_of_what_the_data_are(image_run, table_run):
    words = "2 rows of `rows` have no comparable rows outside and enter neither rate"
    for run, said in ((image_run, "2 images of"), (table_run, "2 rows of")):
        finding = replace(run.findings[0], caveats=(words,))
        changed = replace(run, run=replace(run.run, caveats=(words,)), findings=(finding, *run.findings[1:]))
        text = report_html([changed])
        assert text.count(said) == 2
        assert "The tree counts all of it" in text
