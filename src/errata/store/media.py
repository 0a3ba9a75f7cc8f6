"""The pictures that a report shows, so that a saved run shows them again without the data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from errata.core.dataset import Dataset
from errata.core.diagnosis import Diagnosis
from errata.core.errors import CannotRunError
from errata.core.evidence import Examples, Extremes
from errata.report.rows import find_rows

__all__ = ["stored_image", "write_media"]

LONGEST_SIDE = 256
"""Pixels of the longer side of a kept picture: reports show them smaller, screens of high density twice as large."""


def write_media(diagnosis: Diagnosis, folder: Path) -> None:
    """Write `media/ROW.png` for every example of every finding; ROW counts the rows of the data from 0."""
    from PIL import Image

    evaluation = diagnosis.evaluation
    if evaluation is None or evaluation.dataset.image is None:
        return
    for row in _shown_rows(diagnosis, evaluation.dataset):
        folder.mkdir(exist_ok=True)
        picture = Image.fromarray(evaluation.dataset.image(row))
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        picture.save(folder / f"{row}.png")


def stored_image(folder: Path) -> Callable[[int], NDArray[np.uint8]]:
    """What `Dataset.image` is for a saved run: the kept pictures.

    The function raises CannotRunError for a row whose picture was not kept.
    """

    def image(row: int) -> NDArray[np.uint8]:
        from PIL import Image

        path = folder / f"{row}.png"
        if not path.is_file():
            raise CannotRunError(f"The picture of row `{row}` was not kept with the run.", hint="open the data again.")
        with Image.open(path) as picture:
            return np.asarray(picture, dtype=np.uint8)

    return image


def _shown_rows(diagnosis: Diagnosis, dataset: Dataset) -> list[int]:
    shown: set[str] = set()
    for finding in diagnosis.findings:
        shown.update(finding.examples)
        for item in finding.evidence:
            if isinstance(item, Examples):
                shown.update(item.wrong + item.right)
    for item in diagnosis.evidence:
        if isinstance(item, Extremes):
            shown.update(item.hardest + item.easiest)
    return sorted(find_rows(dataset, shown).values())
