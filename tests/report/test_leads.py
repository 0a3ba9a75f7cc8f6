"""Leads in a notebook: pictures and texts of the rows that are shown, everything escaped, nothing claimed."""

from __future__ import annotations

import numpy as np

import errata
from errata.datasets.roles import Roles
from errata.report.leads import LeadLine, leads_html

LINE = LeadLine(title="<i>dogs</i>", standing="holds & more", rows=np.array([0, 2]))


def test_images_are_shown_as_thumbnails() -> None:
    images = {"images": np.zeros((4, 8, 8), dtype=np.uint8), "label": np.arange(4) % 2, "prediction": np.zeros(4)}
    html = leads_html([LINE], errata.open_dataset(images), verdict="1 lead", note="Nothing in them is proven.")
    assert html.count('src="data:image/png;base64,') == 2
    assert "&lt;i&gt;dogs&lt;/i&gt;" in html and "holds &amp; more" in html and "<i>" not in html
    assert "Nothing in them is proven." in html


def test_texts_are_quoted_and_clipped() -> None:
    texts = ["<b>good</b>", "bad", "long " * 60, "fine"]
    data = {"text": np.array(texts), "label": np.array(["a", "b"] * 2), "prediction": np.array(["a"] * 4)}
    dataset = errata.open_dataset(data, roles=Roles(text="text"))
    html = leads_html([LINE], dataset, verdict="1 lead", note="")
    assert "&lt;b&gt;good&lt;/b&gt;" in html and "<b>good" not in html
    assert "long " * 60 not in html and html.count("<q ") == 2
    assert all(name in html for name in dataset.ids(np.array([0, 2])))


def test_without_leads_there_is_no_table() -> None:
    data = {"inputs": np.zeros((4, 2)), "label": np.array(["a", "b"] * 2), "prediction": np.array(["a"] * 4)}
    html = leads_html([], errata.open_dataset(data), verdict="No leads", note="n")
    assert "<table" not in html and "No leads" in html
