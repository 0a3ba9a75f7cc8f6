"""What a notebook shows of a diagnosis, a finding and an evaluation: small HTML that brings its own style."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from errata.core.diagnosis import Diagnosis
from errata.core.evaluation import CONFIRM, EXPLORE, FOLDS, SEALED, Evaluation
from errata.core.evidence import Examples
from errata.core.finding import Finding
from errata.describe.numbers import count, is_rate, number, percent
from errata.describe.sentences import looked, sentence, title, verdict
from errata.report.examples import Album, Side, side_of
from errata.report.figures import Bars, bars, bars_scale
from errata.report.findings import clipped
from errata.report.page import environment

__all__ = ["diagnosis_html", "evaluation_html", "finding_html"]

MOST = 8
THUMBNAILS = 4
_PICTURE_BYTES = 200_000
_NO_ROWS = Side(examples=(), names=())


@dataclass(frozen=True, kw_only=True)
class Line:
    """One finding in the table."""

    title: str
    effect: str
    bars: Bars | None
    share: str
    id: str
    side: Side


def _line(finding: Finding, *, title: str, effect: str, drawn: Bars | None, side: Side) -> Line:
    share = "" if finding.share_of_errors is None else percent(finding.share_of_errors)
    return Line(title=title, effect=effect, bars=drawn, share=share, id=finding.id, side=side)


def diagnosis_html(diagnosis: Diagnosis) -> str:
    """A compact table of the confirmed findings with bars and thumbnails; what could hide where there are none."""
    confirmed = list(diagnosis.confirmed)
    leading = [finding for finding in confirmed if finding.folded_under is None] or confirmed
    album = Album(prefix="", evaluation=diagnosis.evaluation, most_rows=0, picture_bytes=_PICTURE_BYTES)
    scale = bars_scale(confirmed)
    shown = leading[:MOST]
    if diagnosis.evaluation is not None and diagnosis.evaluation.dataset.image is not None:
        album.know([name for finding in shown for name in _wrong(finding)])
    lines = [
        _line(
            finding,
            title=clipped(title(finding, diagnosis.evaluation), 200),
            effect=sentence(finding, diagnosis.evaluation, style="effect"),
            drawn=bars(finding, scale),
            side=_side(finding, album),
        )
        for finding in shown
    ]
    return _render(
        verdict=verdict(diagnosis), looked=looked(diagnosis), lines=lines, left=len(confirmed) - len(shown), facts=(),
        pictures=any(line.side.examples and line.side.examples[0].picture for line in lines),
        rate=is_rate(diagnosis.run.metric),
    )  # fmt: skip


def finding_html(finding: Finding) -> str:
    """One finding: its sentence, its bars, its rule."""
    line = _line(
        finding,
        title=clipped(finding.title or finding.rule.text, 300),
        effect="",
        drawn=bars(finding, bars_scale([finding])),
        side=_NO_ROWS,
    )
    return _render(
        verdict="", looked=f"{finding.status}: {finding.rule.text}", lines=[line], left=0, facts=(), pictures=False,
        rate=is_rate(finding.metric.name),
    )  # fmt: skip


def evaluation_html(evaluation: Evaluation) -> str:
    """What an evaluation holds: rows per fold, how often the model errs, where the predictions come from."""
    fold, loss = np.asarray(evaluation.of(evaluation.fold)), np.asarray(evaluation.of(evaluation.loss))
    sizes = ", ".join(f"{FOLDS[code]} {count(int((fold == code).sum()))}" for code in (EXPLORE, CONFIRM, SEALED))
    mean = float(loss[fold >= 0].mean()) if (fold >= 0).any() else None
    rate = "not known" if mean is None else percent(mean) if evaluation.binary_loss else number(mean)
    facts = [
        ("rows", f"{count(len(evaluation))} ({sizes})"),
        (evaluation.metric, rate),
        ("predictions", evaluation.predictions),
        ("classes", clipped(", ".join(str(one) for one in evaluation.classes), 120)),
        ("columns", f"{count(len(evaluation.features))} to search in, {count(len(evaluation.set_aside))} set aside"),
    ]
    return _render(
        verdict=f"Evaluation of {clipped(evaluation.dataset.name, 80)}", looked="", lines=[], left=0, pictures=False,
        facts=[(name, text) for name, text in facts if text], rate=evaluation.binary_loss,
    )  # fmt: skip


def _wrong(finding: Finding) -> tuple[str, ...]:
    found = next((item.wrong for item in finding.evidence if isinstance(item, Examples)), finding.examples)
    return found[:THUMBNAILS]


def _side(finding: Finding, album: Album) -> Side:
    evaluation = album.evaluation
    if evaluation is None or evaluation.dataset.image is None:
        return _NO_ROWS
    return side_of(_wrong(finding), finding, None, album, most=THUMBNAILS)


def _render(**values: object) -> str:
    return str(environment().get_template("notebook.html.j2").render(**values))
