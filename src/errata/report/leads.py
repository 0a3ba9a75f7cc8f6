"""Leads in a notebook: a short table with pictures or texts of the first rows, and that nothing of it is proven."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from errata.core.dataset import Dataset
from errata.core.errors import ErrataError
from errata.describe.numbers import clipped
from errata.report.page import environment
from errata.report.thumbnails import data_uri

__all__ = ["LeadLine", "leads_html"]

LETTERS = 110


@dataclass(frozen=True, kw_only=True)
class LeadLine:
    """One lead: its words, how it stands, (k,) the rows of the data set to show."""

    title: str
    standing: str
    rows: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class _Shown:
    title: str
    standing: str
    ids: str
    pictures: Sequence[str]
    quotes: Sequence[str]


def leads_html(lines: Sequence[LeadLine], dataset: Dataset, *, verdict: str, note: str) -> str:
    """The table, as HTML with its own style."""
    shown = [
        _Shown(
            title=clipped(line.title, 200), standing=line.standing, ids=clipped(", ".join(dataset.ids(line.rows)), 120),
            pictures=_pictures(line.rows, dataset), quotes=_quotes(line.rows, dataset),
        )
        for line in lines
    ]  # fmt: skip
    template = environment().get_template("leads.html.j2")
    return str(template.render(lines=shown, verdict=verdict, note=note))


def _pictures(rows: NDArray[np.int64], dataset: Dataset) -> list[str]:
    if dataset.image is None:
        return []
    found = []
    for row in rows.tolist():
        try:
            found.append(data_uri(dataset.image(row)))
        except (ErrataError, OSError, ValueError):
            continue  # a picture that cannot be read is left out
    return found


def _quotes(rows: NDArray[np.int64], dataset: Dataset) -> list[str]:
    if dataset.text is None:
        return []
    column = dataset.table.column(dataset.text).take(rows)
    return [clipped(column.text(at) or "", LETTERS) for at in range(len(rows))]
