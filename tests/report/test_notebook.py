"""What a notebook shows of each noun, and what a console prints."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import errata
from errata.core.errors import UsageError
from errata.core.finding import Event
from errata.core.rules import Where

MARKUP = "<script>alert(1)</script>"


def mixed(n: int = 60):
    """A dataset with a column of every plain kind, one with holes, and names that must not become markup."""
    pandas = pytest.importorskip("pandas")
    number = np.arange(n, dtype=float)
    number[::4] = np.nan
    frame = pandas.DataFrame(
        {
            MARKUP: number,
            "town": np.resize(["oslo", "oslo", "cairo"], n),
            "member": np.resize([True, False], n),
            "day": pandas.date_range("2024-01-01", periods=n),
            "label": np.resize(["yes", "no"], n),
        }
    )
    return errata.open_dataset(frame)


def test_every_noun_shows_itself(table_run, reader):
    evaluation = table_run.evaluation
    nouns = (table_run, table_run.findings[0], evaluation, evaluation.dataset, table_run.findings[0].rule)
    for noun in nouns:
        shown = noun._repr_html_()
        assert reader.read(shown).all("div" if noun is not nouns[-1] else "code")
        # A notebook may show this beside other pages: nothing is loaded and nothing runs.
        assert "<script" not in shown and "http" not in shown
    for noun in nouns[:-1]:
        assert len(repr(noun)) < 400


def test_a_finding_shows_its_rule_its_test_and_its_caveats(table_run):
    finding = replace(
        table_run.findings[0], caveats=("barely: " + MARKUP,), history=(Event(what="checked", when="", detail="gone"),)
    )
    shown = finding._repr_html_()
    for words in (finding.status, "to explore", "to confirm", finding.test, "Barely: ", "gone", "<code>"):
        assert words in shown
    assert MARKUP not in shown


def test_a_dataset_shows_kind_values_and_holes_of_every_column(reader):
    dataset = mixed()
    shown = dataset._repr_html_()
    assert MARKUP not in shown
    every = [cell.text.strip() for cell in reader.read(shown).all("th", "td")]
    every = every[every.index("column") :]
    cells = {every[i]: every[i + 1 : i + 4] for i in range(0, len(every), 4)}
    assert cells[MARKUP] == ["number", "1 to 59", "25 %"]
    assert cells["town"] == ["category", "oslo and cairo", ""]
    assert cells["member"] == ["boolean", "no and yes", ""]
    assert cells["day"] == ["datetime", "2024-01-01 to 2024-02-29", ""]
    assert cells["label"][0].split() == ["category", "(label)"]
    assert "60 rows, 5 columns" in shown
    assert repr(dataset) == f"<Dataset {dataset.name}: 60 rows, 5 columns>"


def test_many_columns_are_cut_and_counted():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(np.ones((5, 34)), columns=[f"c{i}" for i in range(34)])
    shown = errata.open_dataset(frame)._repr_html_()
    assert "c29" in shown and "c30" not in shown
    assert "and 4 more columns" in shown


def test_a_column_without_any_value_is_shown(reader):
    pandas = pytest.importorskip("pandas")
    shown = errata.open_dataset(pandas.DataFrame({"hole": [np.nan, np.nan], "x": [1.0, 2.0]}))._repr_html_()
    assert "100 %" in shown


def test_images_are_shown_and_broken_ones_left_out(reader):
    images = np.zeros((40, 8, 8), dtype=np.uint8)
    dataset = errata.open_dataset((images, np.resize([0, 1], 40)))
    assert len(reader.read(dataset._repr_html_()).all("img")) == 12
    assert "40 images" in dataset._repr_html_()

    def broken(row: int):
        raise UsageError(f"picture {row} cannot be read")

    assert not reader.read(replace(dataset, image=broken)._repr_html_()).all("img")


def test_an_empty_selection_is_no_error(table_run):
    assert "0 " in table_run.evaluation.take(np.zeros(0, dtype=int))._repr_html_()


def test_a_rule_is_escaped():
    assert MARKUP not in Where.parse(f'city = "{MARKUP}"')._repr_html_()
