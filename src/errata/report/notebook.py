"""What a notebook shows of a diagnosis, a finding and an evaluation: small HTML that brings its own style."""

from __future__ import annotations

from collections.abc import Sequence
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
from errata.report.runs import Fact, leading_findings

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


@dataclass(frozen=True, kw_only=True)
class Page:
    """Everything that the notebook's template reads."""

    verdict: str
    looked: str = ""
    lines: Sequence[Line] = ()
    left: int = 0
    facts: Sequence[Fact] = ()
    pictures: bool = False
    rate: bool = True


def _line(finding: Finding, *, title: str, effect: str, drawn: Bars | None, side: Side) -> Line:
    share = "" if finding.share_of_errors is None else percent(finding.share_of_errors)
    return Line(title=title, effect=effect, bars=drawn, share=share, id=finding.id, side=side)


def diagnosis_html(diagnosis: Diagnosis) -> str:
    """A compact table of the confirmed findings with bars and thumbnails; what could hide where there are none."""
    confirmed = list(diagnosis.confirmed)
    leading = leading_findings(diagnosis)
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
    page = Page(
        verdict=verdict(diagnosis),
        looked=looked(diagnosis),
        lines=lines,
        left=len(confirmed) - len(shown),
        pictures=any(line.side.examples and line.side.examples[0].picture for line in lines),
        rate=is_rate(diagnosis.run.metric),
    )
    return _render(page)


def finding_html(finding: Finding) -> str:
    """One finding: its sentence, its bars, its rule."""
    line = _line(
        finding,
        title=clipped(finding.title or finding.rule.text, 300),
        effect="",
        drawn=bars(finding, bars_scale([finding])),
        side=_NO_ROWS,
    )
    said = f"{finding.status}: {finding.rule.text}"
    return _render(Page(verdict="", looked=said, lines=[line], rate=is_rate(finding.metric.name)))


def evaluation_html(evaluation: Evaluation) -> str:
    """What an evaluation holds: rows per fold, how often the model errs, where the predictions come from."""
    fold, loss = np.asarray(evaluation.of(evaluation.fold)), np.asarray(evaluation.of(evaluation.loss))
    sizes = ", ".join(f"{FOLDS[code]} {count(int((fold == code).sum()))}" for code in (EXPLORE, CONFIRM, SEALED))
    mean = float(loss[fold >= 0].mean()) if (fold >= 0).any() else None
    rate = "not known" if mean is None else percent(mean) if evaluation.binary_loss else number(mean)
    facts = [
        Fact(name="rows", text=f"{count(len(evaluation))} ({sizes})"),
        Fact(name=evaluation.metric, text=rate),
        Fact(name="predictions", text=evaluation.predictions),
        Fact(name="classes", text=clipped(", ".join(str(one) for one in evaluation.classes), 120)),
        Fact(
            name="columns",
            text=f"{count(len(evaluation.features))} to search in, {count(len(evaluation.set_aside))} set aside",
        ),
    ]
    name = clipped(evaluation.dataset.name, 80)
    return _render(Page(verdict=f"Evaluation of {name}", facts=[fact for fact in facts if fact.text]))


def _wrong(finding: Finding) -> tuple[str, ...]:
    found = next((item.wrong for item in finding.evidence if isinstance(item, Examples)), finding.examples)
    return found[:THUMBNAILS]


def _side(finding: Finding, album: Album) -> Side:
    evaluation = album.evaluation
    if evaluation is None or evaluation.dataset.image is None:
        return _NO_ROWS
    return side_of(_wrong(finding), finding, None, album, most=THUMBNAILS)


def _render(page: Page) -> str:
    return str(environment().get_template("notebook.html.j2").render(page=page))
