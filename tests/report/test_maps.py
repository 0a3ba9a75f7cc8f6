"""The map of an embedding: every row once, under its kind, inside the picture."""

from __future__ import annotations

import re
from types import SimpleNamespace

from errata.core.evidence import Map
from errata.report.maps import HEIGHT, WIDTH, charts_of


def test_each_row_is_one_dot_of_its_kind() -> None:
    item = Map(
        column="embedding:encoder", x=(0.0, 1.0, 2.0, 900.0), y=(1.0, 1.0, 1.0, 1.0),
        wrong=(False, True, True, True), member=(False, False, True, True),
    )  # fmt: skip
    (chart,) = charts_of(SimpleNamespace(evidence=(item,), support=SimpleNamespace(confirm=2)), "images")
    dots = [re.findall(r"M([\d.]+) ([\d.]+)h0", path)
            for path in (chart.rest_right, chart.rest_wrong, chart.member_right, chart.member_wrong)]  # fmt: skip
    assert [len(part) for part in dots] == [1, 1, 0, 2]
    assert all(0 <= float(x) <= WIDTH and 0 <= float(y) <= HEIGHT for part in dots for x, y in part)
    assert chart.title == "Held-out images by their looks"
    assert chart.words == "2 images of this finding, 100 % of them wrong; 2 others, 50 % wrong."
    (part,) = charts_of(SimpleNamespace(evidence=(item,), support=SimpleNamespace(confirm=7)), "images")
    assert part.words.startswith("2 of 7 images of this finding")  # a map of a large group shows some of it


def test_without_a_map_there_is_no_chart() -> None:
    assert charts_of(SimpleNamespace(evidence=(), support=SimpleNamespace(confirm=2)), "rows") == ()
