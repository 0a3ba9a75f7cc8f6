"""What a notebook shows of a diagnosis, a finding, an evaluation and a dataset: small HTML with its own style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from errata.core.columns import Column
from errata.core.dataset import Dataset
from errata.core.diagnosis import Diagnosis
from errata.core.errors import ErrataError
from errata.core.evaluation import CONFIRM, EXPLORE, FOLDS, SEALED, Evaluation
from errata.core.evidence import Examples
from errata.core.finding import Finding
from errata.describe.leading import leading_findings
from errata.describe.numbers import clipped, count, counted, is_rate, listed, number, percent, unit_noun
from errata.describe.proofs import judged_rows
from errata.describe.sentences import looked, sentence, title, verdict
from errata.report.examples import Album, Side, side_of, text_of
from errata.report.figures import Bars, bars, bars_scale
from errata.report.findings import p_text
from errata.report.page import environment
from errata.report.rows import value_text
from errata.report.runs import Fact
from errata.report.thumbnails import data_uri
from errata.report.words import phrases_text, reworded_of

__all__ = ["dataset_html", "diagnosis_html", "evaluation_html", "finding_html"]

MOST = 8
THUMBNAILS = 4
MOST_COLUMNS = 30
MOST_PICTURES = 12
SUMMARISED = 100_000
"""Rows that the summary of a column reads: enough to see what it holds, quick for a table of millions."""
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
class ColumnLine:
    """One column of a dataset: what it is, what it holds, how much is missing."""

    name: str
    kind: str
    role: str
    values: str
    missing: str


@dataclass(frozen=True, kw_only=True)
class Page:
    """Everything that the notebook's template reads."""

    verdict: str
    looked: str = ""
    lines: Sequence[Line] = ()
    left: int = 0
    facts: Sequence[Fact] = ()
    notes: Sequence[Fact] = ()
    columns: Sequence[ColumnLine] = ()
    columns_left: int = 0
    album: Sequence[str] = ()
    pictures: bool = False
    rate: bool = True


def _line(finding: Finding, *, title: str, effect: str, drawn: Bars | None, side: Side) -> Line:
    share = "" if finding.share_of_errors is None else percent(finding.share_of_errors)
    return Line(title=title, effect=effect, bars=drawn, share=share, id=finding.id, side=side)


def diagnosis_html(diagnosis: Diagnosis) -> str:
    """A compact table of the confirmed findings with bars and thumbnails; what could hide where there are none."""
    confirmed = list(diagnosis.confirmed)
    leading = leading_findings(diagnosis)
    album = Album(
        prefix="", evaluation=diagnosis.evaluation, most_rows=0, picture_bytes=_PICTURE_BYTES, text=text_of(diagnosis)
    )
    scale = bars_scale(confirmed)
    shown = leading[:MOST]
    if diagnosis.evaluation is not None and _can_be_looked_at(diagnosis.evaluation):
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
    """One finding: its sentence, its bars, its rule, how it was tested, and what to be careful about."""
    line = _line(
        finding,
        title=clipped(finding.title or finding.rule.text, 300),
        effect="",
        drawn=bars(finding, bars_scale([finding])),
        side=_NO_ROWS,
    )
    support = finding.support
    rows = judged_rows(finding) or f"{count(support.explore)} to explore, {count(support.confirm)} to confirm"
    if support.groups is not None:
        rows += f", in {counted(support.groups, 'group')}"
    tested = "" if finding.test is None else f"{finding.test}, compared with {finding.baseline}"
    if finding.q_value is not None:
        tested += f", q {p_text(finding.q_value)}"
    notes = [
        Fact(name="status", text=finding.status),
        Fact(name="rule", text=finding.rule.text),
        Fact(name="rows", text=rows),
        Fact(name="tested", text=tested),
        *(Fact(name="in other words", text=f"{other.words} (put so by {other.by})") for other in reworded_of(finding)),
        Fact(name="phrases", text=phrases_text(finding)),
        *(Fact(name="caveat", text=caveat) for caveat in finding.caveats),
        *(Fact(name=event.what, text=event.detail) for event in finding.history),
    ]
    return _render(Page(verdict="", lines=[line], notes=_told(notes), rate=is_rate(finding.metric.name)))


def evaluation_html(evaluation: Evaluation) -> str:
    """What an evaluation holds: rows per fold, how often the model errs, where the predictions come from."""
    fold, loss = np.asarray(evaluation.of(evaluation.fold)), np.asarray(evaluation.of(evaluation.loss))
    sizes = ", ".join(f"{FOLDS[code]} {count(int((fold == code).sum()))}" for code in (EXPLORE, CONFIRM, SEALED))
    mean = float(loss[fold >= 0].mean()) if (fold >= 0).any() else None
    rate = "not known" if mean is None else percent(mean) if evaluation.binary_loss else number(mean)
    model = evaluation.model
    facts = [
        Fact(name="rows", text=f"{count(len(evaluation))} ({sizes})"),
        Fact(name="model", text="" if model is None else f"{model.name} ({model.kind})"),
        Fact(name=evaluation.metric, text=rate),
        Fact(name="predictions", text=evaluation.predictions),
        Fact(name="classes", text=clipped(", ".join(str(one) for one in evaluation.classes), 120)),
        Fact(
            name="columns",
            text=f"{count(len(evaluation.features))} to search in, {count(len(evaluation.set_aside))} set aside",
        ),
        *(Fact(name="caveat", text=caveat) for caveat in evaluation.caveats),
    ]
    name = clipped(evaluation.dataset.name, 80)
    return _render(Page(verdict=f"Evaluation of {name}", facts=_told(facts)))


def dataset_html(dataset: Dataset) -> str:
    """What a dataset holds: its columns with kind, role, values and missing share; some images where it has them."""
    noun = unit_noun(dataset.modality).removesuffix("s")
    names = dataset.table.names
    aside = ", ".join(f"{item.column} ({item.why})" for item in dataset.set_aside)
    facts = [
        Fact(name="set aside", text=clipped(aside, 300)),
        *(Fact(name="caveat", text=caveat) for caveat in dataset.caveats),
    ]
    page = Page(
        verdict=f"{clipped(dataset.name, 80)}: {counted(len(dataset), noun)}, {counted(len(names), 'column')}",
        facts=_told(facts),
        columns=[_column_line(name, dataset) for name in names[:MOST_COLUMNS]],
        columns_left=len(names) - MOST_COLUMNS,
        album=_pictures(dataset),
    )
    return _render(page)


def _told(facts: Sequence[Fact]) -> list[Fact]:
    """Facts that say something, as people write them: caveats come from many places, some in lower case."""
    return [replace(fact, text=fact.text[:1].upper() + fact.text[1:] if fact.name == "caveat" else fact.text)
            for fact in facts if fact.text]  # fmt: skip


def _column_line(name: str, dataset: Dataset) -> ColumnLine:
    column = dataset.table.column(name)
    head = column.take(np.arange(min(len(column), SUMMARISED)))
    absent = head.missing()
    roles = [role for role in ("label", "prediction", "id", "group", "time", "split") if getattr(dataset, role) == name]
    share = float(absent.mean()) if len(absent) else 0.0
    return ColumnLine(
        name=clipped(name, 60),
        kind=column.kind,
        role="scores" if name in dataset.scores else ", ".join(roles),
        values=clipped(_values(head, np.flatnonzero(~absent)), 120),
        missing=percent(share) if share else "",
    )


def _values(column: Column, present: np.ndarray) -> str:
    """What the rows with a value hold, in a few words."""
    if column.kind in ("embedding", "scores"):
        return f"{count(column.values.shape[1])} numbers each"
    if not len(present):
        return ""
    if column.kind == "text":
        return f"such as “{clipped(column.text(int(present[0])) or '', 60)}”"
    values = column.values[present]
    if column.kind in ("category", "boolean"):
        codes, sizes = np.unique(values, return_counts=True)
        common = codes[np.argsort(-sizes, kind="stable")]
        levels = column.levels if column.kind == "category" else ("no", "yes")
        return listed([str(levels[int(code)]) for code in common], most=6)
    low, high = (present[int(np.argmin(values))], present[int(np.argmax(values))])
    return f"{value_text(column.value(int(low)))} to {value_text(column.value(int(high)))}"


def _pictures(dataset: Dataset) -> list[str]:
    """Images spread over the dataset, which lies in the order of its classes more often than not."""
    if dataset.image is None or not len(dataset):
        return []
    rows = np.unique(np.linspace(0, len(dataset) - 1, MOST_PICTURES).astype(int))
    shown = []
    for row in rows.tolist():
        try:
            shown.append(data_uri(dataset.image(row)))
        except (ErrataError, OSError, ValueError):
            continue  # a picture that cannot be read is left out
    return shown


def _wrong(finding: Finding) -> tuple[str, ...]:
    shown = (item.wrong for item in finding.evidence if isinstance(item, Examples) and not item.words)
    found = next(shown, finding.examples)
    return found[:THUMBNAILS]


def _side(finding: Finding, album: Album) -> Side:
    evaluation = album.evaluation
    if evaluation is None or not _can_be_looked_at(evaluation):
        return _NO_ROWS
    return side_of(_wrong(finding), finding, None, album, most=THUMBNAILS)


def _can_be_looked_at(evaluation: Evaluation) -> bool:
    """Whether rows are pictures or texts, which say more than a table of values."""
    return evaluation.dataset.image is not None or evaluation.dataset.text is not None


def _render(page: Page) -> str:
    return str(environment().get_template("notebook.html.j2").render(page=page))
