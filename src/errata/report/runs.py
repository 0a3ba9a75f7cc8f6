"""What the report shows of one run: verdict, findings, what else was tried, and what the run says about itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from errata.core.diagnosis import Diagnosis, MethodRecord, RunRecord
from errata.core.evidence import Examples, TreePath
from errata.core.finding import Finding
from errata.describe.leading import WORST, confirmed_groups, leading_findings
from errata.describe.numbers import count, counted, is_rate, listed, number, of_unit, percent, unit_noun
from errata.describe.proofs import calibrated, many_tests, proof
from errata.describe.sentences import looked, verdict
from errata.describe.wording import Wording, capitalised, level_text
from errata.report.commands import folder_of, repeat
from errata.report.examples import Album, Example, Picture, text_of
from errata.report.extremes import Strips, strips_of
from errata.report.figures import Curve, Icicle, bars_scale, curve, icicle
from errata.report.findings import FindingView, Lean, finding_view, lean_view
from errata.report.splits import SplitView, splits_of

__all__ = ["OPEN", "Detail", "Fact", "MethodLine", "RunView", "facts_of", "run_view"]

OPEN = 10
FOLDED, FOLDED_EXAMPLES = 10, 6
"""Folded findings that show rows too, and how many of each kind."""
NEAR_MISSES = 5
MOST_ASIDE = 60
MOST_LEAN = 250
FEW_ERRORS = 100


@dataclass(frozen=True, kw_only=True)
class Detail:
    """How much a page shows; the leaner ones are tried until the file is small enough.

    examples   of each kind in an open finding
    rows       in the table of rows
    pictures   bytes of thumbnails, over all runs of the page
    drawn      whether findings have tree and heatmap
    lean       proposals in the folded table
    strips     directions whose hardest and easiest rows are shown
    """

    examples: int = 12
    rows: int = 400
    pictures: int = 1_500_000
    drawn: bool = True
    lean: int = MOST_LEAN
    strips: int = 24


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One line of what a run says about itself."""

    name: str
    text: str


@dataclass(frozen=True, kw_only=True)
class MethodLine:
    """One method: what came of it, in words."""

    name: str
    status: str
    proposed: str
    seconds: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Aside:
    """A column that rules may not read."""

    column: str
    why: str


@dataclass(frozen=True, kw_only=True)
class RunView:
    """One run as the templates read it; `open` are shown in full, `folded` in full but closed, `lean` in a table."""

    prefix: str
    name: str
    title: str
    model: str
    created: str
    verdict: str
    looked: str
    untested: bool
    noun: str
    found: bool
    seen: bool
    worst: tuple[FindingView, ...]
    shown: tuple[FindingView, ...]
    folded: tuple[FindingView, ...]
    doubted: tuple[FindingView, ...]
    lean: tuple[Lean, ...]
    lean_left: int
    near_misses: tuple[Lean, ...]
    curve: Curve | None
    tree: Icicle | None
    splits: tuple[SplitView, ...]
    strips: Strips
    figures: tuple[Fact, ...]
    facts: tuple[Fact, ...]
    methods: tuple[MethodLine, ...]
    timings: tuple[Fact, ...]
    aside: tuple[Aside, ...]
    aside_left: int
    caveats: tuple[str, ...]
    advice: tuple[str, ...]
    rows: tuple[Example, ...]
    pictures: tuple[Picture, ...]
    explain_row: str
    check: str
    command: str | None
    rate: bool
    regression: bool


@dataclass(frozen=True, kw_only=True)
class _Views:
    """The proposals of a run, by how much of each is shown."""

    shown: tuple[FindingView, ...]
    folded: tuple[FindingView, ...]
    doubted: tuple[FindingView, ...]
    lean: tuple[Lean, ...]
    left: int
    near_misses: tuple[Lean, ...]


def run_view(diagnosis: Diagnosis, *, prefix: str, detail: Detail) -> RunView:
    """One run with as much detail as the page has room for."""
    run, noun = diagnosis.run, unit_noun(diagnosis.run.data.get("modality"))
    album = Album(
        prefix=prefix, evaluation=diagnosis.evaluation, most_rows=detail.rows, picture_bytes=detail.pictures,
        text=text_of(diagnosis),
    )  # fmt: skip
    views = _views(diagnosis, album, detail)
    leading = leading_findings(diagnosis)[:OPEN]
    trees = [item for item in diagnosis.evidence if isinstance(item, TreePath)]
    aside = [Aside(column=str(item["column"]), why=str(item["why"])) for item in run.data.get("set_aside") or ()]
    return RunView(
        prefix=prefix, name=str(run.data.get("name") or "data"), title=_run_title(diagnosis), model=_model(run),
        created=_date(run.created), verdict=verdict(diagnosis), looked=looked(diagnosis), untested=not run.tested,
        noun=noun, found=bool(leading), seen=bool(leading) and not diagnosis.confirmed,
        worst=views.shown[:WORST], shown=views.shown, folded=views.folded,
        doubted=views.doubted,
        lean=views.lean, lean_left=views.left, near_misses=views.near_misses,
        curve=curve(run.detectable, leading, metric=run.metric, confirm=run.rows.get("confirm", 0), noun=noun),
        tree=icicle(trees[0], metric=run.metric, wording=Wording(diagnosis.evaluation)) if trees else None,
        splits=splits_of(diagnosis, noun), strips=strips_of(diagnosis, album, noun, most=detail.strips),
        figures=_figures(diagnosis, noun), facts=facts_of(diagnosis, noun),
        methods=tuple(_method_line(item) for item in run.methods),
        timings=tuple(Fact(name=name, text=_seconds(value)) for name, value in run.timings.items()),
        aside=tuple(aside[:MOST_ASIDE]), aside_left=max(0, len(aside) - MOST_ASIDE),
        caveats=tuple(of_unit(words, noun) for words in run.caveats),
        advice=advice(diagnosis, noun), rows=tuple(album.rows.values()), pictures=tuple(album.pictures.values()),
        explain_row=f"errata explain {folder_of(diagnosis)} --id ROW",
        check=f"errata check {folder_of(diagnosis)} NEW_DATA", command=repeat(diagnosis),
        rate=is_rate(run.metric), regression=run.task == "regression",
    )  # fmt: skip


def _views(diagnosis: Diagnosis, album: Album, detail: Detail) -> _Views:
    leading = leading_findings(diagnosis)
    shown = leading[:OPEN]
    full_ids = {finding.id for finding in shown}
    lists = [finding for finding in diagnosis.findings if finding.family == "labels"]
    confirmed = [finding for finding in confirmed_groups(diagnosis) if finding.id not in full_ids]
    folded = leading[OPEN:] + [finding for finding in confirmed if finding not in leading[OPEN:]]
    scale = bars_scale([*shown, *folded])
    album.know([*_ids(shown, detail.examples), *_ids(folded[:FOLDED], FOLDED_EXAMPLES)])
    full = [
        finding_view(finding, diagnosis, album, place=place, scale=scale, most=detail.examples, pictures=detail.drawn)
        for place, finding in enumerate(shown, start=1)
    ]
    closed = [
        finding_view(
            finding,
            diagnosis,
            album,
            place=place,
            scale=scale,
            pictures=False,
            most=min(FOLDED_EXAMPLES, detail.examples) if place <= len(shown) + FOLDED else 0,
        )
        for place, finding in enumerate(folded[: detail.lean], start=len(shown) + 1)
    ]
    suspected = [finding for finding in lists if finding.status in ("suspected", "confirmed")]
    album.know(_ids(suspected, detail.examples))
    doubted = [
        finding_view(finding, diagnosis, album, place=place, scale=scale, most=detail.examples, pictures=detail.drawn)
        for place, finding in enumerate(suspected, start=len(shown) + len(folded) + 1)
    ]
    above = {finding.id for finding in (*shown, *folded, *suspected)}
    others = [finding for finding in diagnosis.findings if finding.id not in above]
    near = [finding for finding in others if finding.status in ("rejected", "seen") and finding.p_value is not None]
    near.sort(key=lambda finding: finding.p_value or 0.0)
    near = near or [finding for finding in others if finding.status == "untestable"]
    return _Views(
        shown=tuple(full),
        folded=tuple(closed),
        doubted=tuple(doubted),
        lean=tuple(lean_view(finding, diagnosis, prefix=album.prefix) for finding in others[: detail.lean]),
        left=max(0, len(others) - detail.lean) + max(0, len(folded) - detail.lean),
        near_misses=tuple(lean_view(finding, diagnosis, prefix=album.prefix) for finding in near[:NEAR_MISSES]),
    )


def _ids(findings: Sequence[Finding], most: int) -> list[str]:
    ids: list[str] = []
    for finding in findings:
        ids += finding.examples[:most]
        for item in finding.evidence:
            if isinstance(item, Examples):
                ids += [*item.wrong[:most], *item.right[:most]]
    return ids


def _run_title(diagnosis: Diagnosis) -> str:
    """What a page of several runs calls this one: its folder, which tells two runs on the same data apart."""
    return diagnosis.folder.name if diagnosis.folder is not None else str(diagnosis.run.data.get("name") or "data")


def _model(run: RunRecord) -> str:
    return "predictions in the data" if run.model is None else str(run.model.get("name") or run.model.get("kind"))


def _date(created: str) -> str:
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return created
    return f"{moment.day} {moment:%B %Y}"


def _seconds(value: float) -> str:
    return "under 0.1 s" if value < 0.1 else f"{value:.1f} s" if value < 10 else f"{value:,.0f} s"


_PREDICTIONS = {
    "in-sample": "in-sample: the model was trained on these rows, so it errs less here than on new ones",
    "held-out": "held-out: the model was not trained on these rows",
    "out-of-fold": "out-of-fold: models trained without the rows they predict, so findings concern the way the model "
    "is trained, not one trained model",
    "unknown": "unknown: it was not said whether the model was trained on these rows",
}


def _figures(diagnosis: Diagnosis, noun: str) -> tuple[Fact, ...]:
    """The three or four numbers beside the verdict."""
    run = diagnosis.run
    total = sum(run.rows.values())
    if is_rate(run.metric):
        errors = sum(run.errors.values())
        wrong = Fact(name=f"wrong, {count(int(errors))} of {count(total)}", text=percent(run.error_rate))
    else:
        wrong = Fact(name="mean error" if run.metric == "absolute-error" else "mean loss", text=_mean(run.error_rate))
    folded = sum(finding.folded_under is not None for finding in diagnosis.confirmed)
    confirmed = f"confirmed, {folded} of them folded" if folded else "confirmed"
    return (
        wrong,
        Fact(name=f"held-out {noun} to confirm", text=count(run.rows.get("confirm", 0))),
        Fact(name="proposal tested" if run.tested == 1 else "proposals tested", text=count(run.tested)),
        Fact(name=confirmed, text=count(len(diagnosis.confirmed))),
    )


def _mean(value: float | None) -> str:
    return "not known" if value is None else number(value)


def facts_of(diagnosis: Diagnosis, noun: str) -> tuple[Fact, ...]:
    """The list under "What this run did"."""
    run = diagnosis.run
    words = "wrong" if is_rate(run.metric) else "total loss"
    folds = [
        f"{count(n)} to {_FOLDS.get(fold, fold)} ({_errors(run.errors.get(fold, 0), run.metric)} {words})"
        for fold, n in run.rows.items() if n
    ]  # fmt: skip
    families = [f"{counted(item.tested, 'proposal')} as “{item.family}”, each family at alpha = {item.alpha:g}"
                for item in run.families if item.tested]  # fmt: skip
    looks = {None: "unknown: the ledger of earlier looks could not be read", 1: "the first at these predictions"}
    facts = [
        ("Task", f"{run.task}, metric {run.metric}"),
        (noun.capitalize(), listed(folds)),
        ("Predictions", _PREDICTIONS.get(run.predictions, run.predictions)),
        ("Tested", "; ".join(families) or "nothing reached the test"),
        ("Proof", proof(run)),
        ("Multiplicity", many_tests(run)),
        ("Calibration", "" if run.calibration is None else capitalised(calibrated(run.calibration))),
        ("Look", looks.get(run.looks, f"number {run.looks} at these predictions, so it confirms nothing new")),
        ("Model", _model_line(run)),
        ("Groups", str(run.data["group"]) if run.data.get("group") else ""),
        ("Data", f"{run.data.get('name')}, {count(int(run.data.get('columns') or 0))} columns"),
        ("Seeds", f"seed {run.seed}, split seed {run.split_seed}"),
        ("Version", f"Errata {run.errata}, {run.created}"),
    ]
    return tuple(Fact(name=name, text=text) for name, text in facts if text)


_FOLDS = {"explore": "explore", "confirm": "confirm", "sealed": "keep sealed"}


def _errors(value: float, metric: str) -> str:
    return count(int(value)) if is_rate(metric) else number(float(value))


def _model_line(run: RunRecord) -> str:
    if run.model is None:
        return "none connected: the data hold the predictions"
    name, kind = run.model.get("name"), run.model.get("kind")
    classes: Any = run.model.get("classes") or ()
    named = f", classes {listed([level_text(one) for one in classes], most=12)}" if classes else ""
    return f"{name} ({kind}){named}"


def _method_line(record: MethodRecord) -> MethodLine:
    options = ", ".join(f"{name} = {value}" for name, value in record.options.items() if value not in (None, ""))
    return MethodLine(
        name=record.name.replace("_", " "), status=record.status,
        proposed=count(record.proposed) if record.status == "done" else "",
        seconds=_seconds(record.seconds) if record.status == "done" else "", message=record.message or options,
    )  # fmt: skip


def advice(diagnosis: Diagnosis, noun: str) -> tuple[str, ...]:
    """What would let a run see more, by what this one lacked."""
    run = diagnosis.run
    said: list[str] = []
    errors = sum(run.errors.values())
    if is_rate(run.metric) and errors < FEW_ERRORS:
        said.append(
            f"More errors to learn from: this run had {count(int(errors))}. More labelled {noun} of the same kind are "
            f"the surest way; four times as many halve the difference that can hide."
        )
    else:
        said.append(f"More labelled {noun}: four times as many halve the difference that can hide.")
    if run.predictions == "in-sample":
        said.append("Predictions for rows the model was not trained on: `--out-of-fold 5`, or a held-out file.")
    said += _advice_on_columns(run.data, noun)
    if run.task == "classification" and is_rate(run.metric):
        said.append("A finer measure: `--metric loss` sees where the model is right but unsure, if it gives scores.")
    skipped = [record for record in run.methods if record.status in ("skipped", "failed")]
    if skipped:
        names = listed([record.name.replace("_", " ") for record in skipped])
        said.append(f"The methods that did not run here: {names}; the table below says why.")
    return tuple(said)


def _advice_on_columns(data: Mapping[str, Any], noun: str) -> list[str]:
    aside = [str(item["column"]) for item in data.get("set_aside") or ()]
    unseen = f"Columns that the model does not see, such as where, when and by whom the {noun} were made"
    said = [f"{unseen}: errors often follow what was not an input."]
    if aside:
        said.append(f"A column set aside here, if it is no output of the model: `--use {level_text(aside[0])}`.")
    return said
