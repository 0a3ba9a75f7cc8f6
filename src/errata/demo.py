"""`errata demo`: three ordinary diagnoses of real models on real data that come with scikit-learn; nothing is scripted.

Data, models and seeds were fixed in advance, and whatever is confirmed is shown.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.diagnosis import Diagnosis
from errata.datasets.roles import Roles
from errata.datasets.samples import digit_writers
from errata.diagnose import diagnose
from errata.engine.proving import part
from errata.open import open_dataset
from errata.report.page import write_report
from errata.store.directory import STATE, is_run, withdraw

__all__ = ["METHODS", "cancer", "digits", "quiet", "run", "shifted_digits"]

Progress = Callable[[float, str], None]

SHIFT = 0.5
"""How far each pixel goes towards its brightest (or darkest) neighbour: strokes gain or lose about half a pixel."""


METHODS = ("error_tree", "slice_lattice", "confusion_cells")
"""What the demo searches with: measured attributes and columns, so that each finding is a sentence."""

NOTE = (
    "The demo made the strokes of each scan thicker or thinner by about half a pixel; the forest was trained on the "
    "scans as they are. The file does not name its 13 writers; its 14 sheets, blocks that repeat one sequence of "
    "digits, stand for them."
)
"""What a reader of the digits must know; it stands in the report."""


def run(out: str | Path = "errata-runs/demo", *, progress: Progress | None = None) -> list[Diagnosis]:
    """The three runs, saved under `out`, and one report of all of them in `out/report.html`.

    Raises CannotRunError where they cannot be written; the runs that were whole by then stay.
    """
    folder, report = Path(out), progress or (lambda share, words: None)
    makers = {"cancer": cancer, "digits": digits, "quiet": quiet}
    try:
        made = [
            make(folder / name, progress=part(report, place / 3, (place + 1) / 3))
            for place, (name, make) in enumerate(makers.items())
        ]
        write_report(made, folder / "report.html")
    finally:
        _clear_up(folder, [folder / name for name in makers])
    return made


def _clear_up(folder: Path, runs: Sequence[Path]) -> None:
    """Take back what an interrupted demo, or one on a full disk, made and did not fill."""
    for place in runs:
        withdraw(place)
    if not any(is_run(place) for place in runs):
        # Looks at data that nobody could see the answer of.
        shutil.rmtree(folder / STATE, ignore_errors=True)
        withdraw(folder)


def cancer(out: Path | None = None, *, progress: Progress | None = None) -> Diagnosis:
    """Which tumours a random forest misses: 569 patients, each predicted by a forest that never saw it."""
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(random_state=0, n_jobs=2)
    # So few errors would be cross-confirmed, which takes minutes: a demo is over in one.
    return diagnose(
        forest, "sample:cancer", out_of_fold=10, proof="split", out=out, force=True, state=_state(out),
        progress=progress,
    )  # fmt: skip


def digits(out: Path | None = None, *, progress: Progress | None = None) -> Diagnosis:
    """What a forest trained on clean scans gets wrong when strokes come out thicker or thinner."""
    roles = Roles(label="label", prediction="prediction", group="writer")
    data = replace(open_dataset(shifted_digits(), roles=roles), name="digits", caveats=(NOTE,))
    return diagnose(
        data, trained_on="other", methods=METHODS, out=out, force=True, state=_state(out), progress=progress
    )


def quiet(out: Path | None = None, *, progress: Progress | None = None) -> Diagnosis:
    """A model that is right nearly everywhere: what a run looks like that finds nothing, and what could still hide."""
    from sklearn.svm import SVC

    return diagnose(
        SVC(gamma=0.001), "sample:digits", group="writer", out_of_fold=5, methods=METHODS, proof="split", out=out,
        force=True, state=_state(out), progress=progress,
    )  # fmt: skip


def _state(out: Path | None) -> Path | None:
    """The demo's looks are counted inside its own folder: showing it again is no second look."""
    return None if out is None else out.parent / STATE


def shifted_digits() -> dict[str, NDArray[Any]]:
    """1,797 scans of digits, each made thicker or thinner by the toss of a coin, and what a forest says of them.

    The forest was trained on the clean scans of the other writers. Keys: images (n, 8, 8) uint8, label, prediction,
    writer (n,).
    """
    from scipy.ndimage import grey_dilation, grey_erosion
    from sklearn.datasets import load_digits
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import GroupKFold

    clean = load_digits()
    scans, writer = clean.images, digit_writers()
    thicker = np.random.default_rng(0).random(len(scans)) < 0.5
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=bool)[None]
    extreme = np.where(
        thicker[:, None, None], grey_dilation(scans, footprint=cross), grey_erosion(scans, footprint=cross)
    )
    shifted = scans + SHIFT * (extreme - scans)
    prediction = np.empty_like(clean.target)
    for train, test in GroupKFold(5).split(scans, groups=writer):
        forest = RandomForestClassifier(n_estimators=200, random_state=0, n_jobs=2)
        forest.fit(scans[train].reshape(len(train), -1), clean.target[train])
        prediction[test] = forest.predict(shifted[test].reshape(len(test), -1))
    images = np.round(shifted * (255 / 16)).astype(np.uint8)
    return {"images": images, "label": clean.target, "prediction": prediction, "writer": writer + 1}
