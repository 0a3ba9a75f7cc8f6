"""The review of suspected labels: a file of randomly drawn rows to look at, and what comes back from it."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import numpy as np

from errata.core.columns import Level
from errata.core.diagnosis import Diagnosis
from errata.core.errors import CannotRunError, UsageError, nearest
from errata.core.evaluation import Evaluation
from errata.core.finding import Finding
from errata.core.ids import Ids
from errata.ops.labels.suspects import suspects
from errata.proof.labels import Answer, review_order, reviewed
from errata.store.directory import update_findings

__all__ = ["review_labels", "write_review"]

ANSWERS: Mapping[str, Answer] = {
    "wrong": "wrong", "w": "wrong", "right": "right", "r": "right", "unsure": "unsure", "u": "unsure", "?": "unsure",
}  # fmt: skip
COLUMNS_SHOWN = 20
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so would be run by a spreadsheet."""


def write_review(
    diagnosis: Diagnosis, path: str | Path, *, finding: str | None = None, rows: int = 60, suggest: bool = False
) -> Path:
    """Write a CSV of randomly drawn rows of a list of suspected labels, to be looked at by people; gives its path.

    Columns: `answer`, empty, for "wrong" (the given label is), "right" or "unsure"; `id`, `label`, the row's inputs;
    for images `image`, the path of a picture beside the CSV. 60 rows tell half from two thirds.

    finding  id of the list; needed where the run has several
    rows     how many are drawn; all, where the list is shorter
    suggest  a column `suggested` with the label that other rows would give; off, because it sways those who look

    Raises UsageError for runs without such a list or opened without their rows, CannotRunError when the file cannot be
    written.
    """
    chosen = _list_of(diagnosis, finding)
    evaluation = diagnosis.evaluation
    if evaluation is None:
        raise UsageError("The run was opened without its rows.", hint="load it with rows=True.")
    if rows < 1:
        raise UsageError(f"`rows` is `{rows}`.", hint="a number of rows from 1 on.")
    drawn = review_order(chosen)[:rows]
    places = _places(evaluation, drawn)
    suggested = _suggestions(evaluation, chosen, diagnosis.run.alpha) if suggest else {}
    names = [name for name in evaluation.features if name != evaluation.dataset.label][:COLUMNS_SHOWN]
    names = [name for name in names if evaluation.dataset.table.kind_of(name) not in ("embedding", "scores")]
    target = Path(path)
    try:
        pictures = _pictures(evaluation, drawn, places, target)
        with target.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["answer", "id", "label", *(["suggested"] if suggest else []),
                             *(["image"] if pictures else []), *names])  # fmt: skip
            for one in drawn:
                row = places[one]
                cells: list[Level | None] = ["", one, evaluation.classes[int(evaluation.labels[row])]]
                cells += [suggested.get(one)] if suggest else []
                cells += [pictures[one]] if pictures else []
                cells += [evaluation.dataset.table.column(name).value(row) for name in names]
                writer.writerow([_cell(cell) for cell in cells])
    except OSError as error:
        raise CannotRunError(
            f"`{target}` could not be written: {error.strerror}.", hint="name another file."
        ) from error
    return target


def review_labels(
    diagnosis: Diagnosis, path: str | Path, *, finding: str | None = None, alpha: float = 0.05, least: float = 0.5
) -> Diagnosis:
    """The diagnosis with a list of suspected labels confirmed, rejected or undecided, by the answers in a CSV.

    The CSV is one of `write_review` with its column `answer` filled in. A run that lies in a folder gets the finding
    written back, with the review in its history. See `errata.proof.labels.reviewed` for what the answers are worth.

    alpha  one-sided level at which all reviews of the list together may be wrong
    least  share of wrong labels that the list must exceed to be confirmed

    Raises UsageError for files that cannot be read, rows without an answer, and rows that were not drawn.
    """
    chosen = _list_of(diagnosis, finding)
    answers = _answers(Path(path))
    when = datetime.now(UTC).isoformat(timespec="seconds")
    told = reviewed(chosen, answers, when=when, alpha=alpha, least=least)
    told = replace(told, title=_title(told, diagnosis.evaluation))
    findings = tuple(told if one.id == chosen.id else one for one in diagnosis.findings)
    reviewed_run = replace(diagnosis, findings=findings)
    if diagnosis.folder is not None:
        update_findings(Path(diagnosis.folder), reviewed_run)
    return reviewed_run


def _title(finding: Finding, evaluation: Evaluation | None) -> str:
    from errata.describe import describe

    return describe(finding, evaluation)


def _list_of(diagnosis: Diagnosis, finding: str | None) -> Finding:
    lists = {one.id: one for one in diagnosis.findings if one.family == "labels"}
    if not lists:
        raise UsageError("This run lists no suspected labels.", hint="run it with --methods label_errors.")
    if finding is None and len(lists) > 1:
        raise UsageError(f"This run has {len(lists)} lists of labels.", hint=f"name one: {', '.join(lists)}.")
    if finding is not None and finding not in lists:
        raise UsageError(f"There is no list of labels `{finding}`.", hint=nearest(finding, lists))
    return lists[finding] if finding is not None else next(iter(lists.values()))


def _places(evaluation: Evaluation, ids: tuple[str, ...]) -> dict[str, int]:
    """Where the rows of some ids are."""
    rows = np.flatnonzero(Ids(ids).members(evaluation.dataset))
    return dict(zip(evaluation.dataset.ids(rows), rows.tolist(), strict=True))


def _suggestions(evaluation: Evaluation, finding: Finding, alpha: float) -> dict[str, Level]:
    """The labels that other rows would give, by id; `alpha` is the run's, which decides how long its list is."""
    assert isinstance(finding.rule, Ids)
    found = suspects(evaluation, finding.rule.how, alpha=alpha)
    if found is None:
        return {}
    return {one: evaluation.classes[int(code)] for one, code in zip(found.rule.ids, found.suggested, strict=True)}


def _pictures(evaluation: Evaluation, ids: tuple[str, ...], places: Mapping[str, int], target: Path) -> dict[str, str]:
    """A picture of each row in a folder beside the CSV, by its path from there; nothing where there are no pictures."""
    image = evaluation.dataset.image
    if image is None:
        return {}
    from PIL import Image

    folder = target.with_name(f"{target.stem}-images")
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, str] = {}
    for number, one in enumerate(ids):
        picture = Image.fromarray(image(places[one]))
        # Small pictures are shown large: reviewers look at them in whatever opens the folder.
        larger = max(1, 160 // max(picture.size))
        picture = picture.resize((picture.width * larger, picture.height * larger), Image.Resampling.NEAREST)
        picture.save(folder / f"{number:03d}.png")
        found[one] = f"{folder.name}/{number:03d}.png"
    return found


def _answers(path: Path) -> dict[str, Answer]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"`{path}` cannot be read: {error}.", hint="expected the CSV of the review.") from error
    if not rows or not {"id", "answer"} <= set(rows[0]):
        raise UsageError(f"`{path}` has no columns `id` and `answer`.", hint="expected the CSV of the review.")
    answers: dict[str, Answer] = {}
    for number, row in enumerate(rows, start=2):
        said = (row["answer"] or "").strip().lower()
        if said not in ANSWERS:
            what = f"`{said}`" if said else "empty"
            raise UsageError(
                f"`answer` is {what} in line {number} of `{path}`, expected wrong, right or unsure.",
                hint="every drawn row needs an answer; leaving some out would choose the sample.",
            )
        answers[(row["id"] or "").removeprefix("'")] = ANSWERS[said]
    return answers


def _cell(value: Level | None) -> Level | None:
    if isinstance(value, str) and value.startswith(FORMULA):
        return cast(Level, f"'{value}")
    return value
