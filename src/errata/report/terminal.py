"""The summary of a run for the terminal: verdict, a table of findings, what could hide, what to type next."""

from __future__ import annotations

from typing import Any

from errata.core.diagnosis import Diagnosis
from errata.core.finding import Finding
from errata.describe.leading import confirmed_groups, leading_findings
from errata.describe.numbers import clipped, counted, of_unit, percent, unit_noun
from errata.describe.proofs import calibrated
from errata.describe.sentences import barely, looked, numbers, title, verdict
from errata.describe.wording import capitalised
from errata.report.commands import folder_of
from errata.report.splits import splits_of

__all__ = ["plain_summary", "summary"]

MOST = 10
NARROW = 76  # columns; under it each finding is a paragraph


def summary(diagnosis: Diagnosis, *, width: int | None = None) -> Any:
    """A rich renderable of the run's summary; findings are a table, or paragraphs in a terminal under 76 columns.

    width  columns of the terminal; asked of rich when None
    """
    from rich.console import Console, Group
    from rich.text import Text

    columns = Console().width if width is None else width
    noun = unit_noun(diagnosis.run.data.get("modality"))
    parts: list[Any] = [Text(verdict(diagnosis), style="bold"), Text(looked(diagnosis), style="dim")]
    leading = leading_findings(diagnosis)
    if leading:
        parts.append(Text())
        shown = leading[:MOST]
        if columns < NARROW:
            parts += [_paragraph(place, finding, diagnosis) for place, finding in enumerate(shown, start=1)]
        else:
            parts.append(_table(shown, diagnosis))
        rest = (len(confirmed_groups(diagnosis)) or len(leading)) - len(
            shown
        )  # a later look confirms none of what it shows
        if rest:
            parts.append(
                Text(f"and {rest} more, smaller or folded under one that holds more of the errors", style="dim")
            )
    if diagnosis.run.calibration is not None:
        parts.append(Text(f"Calibrated on these rows: {calibrated(diagnosis.run.calibration)}."))
    parts += [Text(words, style="dim") for words in _searched(diagnosis, noun)]
    parts += [Text(f"! {of_unit(words, noun)}", style="yellow") for words in diagnosis.run.caveats]
    ended = _ended(diagnosis)
    if ended:
        parts.append(Text(ended, style="dim"))
    return Group(*parts)


def plain_summary(diagnosis: Diagnosis, *, width: int = 80) -> str:
    """The summary as text without colours or control codes, for logs and pipes."""
    import io

    from rich.console import Console

    stream = io.StringIO()
    console = Console(file=stream, width=width, no_color=True, force_terminal=False, legacy_windows=False, emoji=False)
    console.print(summary(diagnosis, width=width), markup=False, highlight=False)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def _table(findings: list[Finding], diagnosis: Diagnosis) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, expand=False, show_edge=False)
    for name, justify in (("", "right"), ("where", "left"), ("inside", "right"), ("against", "right"),
                          ("difference", "left"), ("of errors", "right"), ("id", "left")):  # fmt: skip
        table.add_column(name, justify=justify, no_wrap=name != "where", overflow="fold", header_style="dim")  # type: ignore[arg-type]
    for place, finding in enumerate(findings, start=1):
        told, name = numbers(finding, diagnosis.evaluation), clipped(_name(finding, diagnosis), 160)
        table.add_row(
            Text(str(place), style="dim"), Text(name + (" (barely)" if barely(finding) else "")),
            Text(told.shown.inside, style="bold red"), Text(told.shown.outside), Text(told.shown.interval or "?"),
            Text("" if finding.share_of_errors is None else percent(finding.share_of_errors)),
            Text(finding.id, style="dim"),
        )  # fmt: skip
    return table


def _paragraph(place: int, finding: Finding, diagnosis: Diagnosis) -> Any:
    from rich.text import Text

    told = numbers(finding, diagnosis.evaluation)
    text = Text(f"{place}. {clipped(_name(finding, diagnosis), 160)}\n", style="")
    text.append(f"   {told.inside}", style="bold red")
    text.append(f", against {told.outside}")
    if told.shown.interval:
        text.append(f" (difference {told.shown.interval})", style="dim")
    share = "" if finding.share_of_errors is None else f"{percent(finding.share_of_errors)} of all errors, "
    text.append(f"\n   {share}id {finding.id}", style="dim")
    return text


def _name(finding: Finding, diagnosis: Diagnosis) -> str:
    return title(finding, diagnosis.evaluation)


def _searched(diagnosis: Diagnosis, noun: str) -> list[str]:
    """The verdict of each search for a split, and the gap of its outer loops."""
    said = []
    for split in splits_of(diagnosis, noun):
        gaps = ", ".join(line.gap + (" (kept)" if line.kept else "") for line in split.loops)
        told = f" Gap by loop, in points of {split.metric}: {gaps}." if gaps else ""
        said.append(f"Learning to Split, by {split.read}: {split.verdict.rstrip('.')}.{told}")
    return said


def _ended(diagnosis: Diagnosis) -> str:
    """How the other proposals ended, and where to look."""
    tally: dict[str, int] = {}
    for finding in diagnosis.findings:
        if not finding.confirmed:
            tally[finding.status] = tally.get(finding.status, 0) + 1
    words = ", ".join(f"{count} {status}" for status, count in tally.items())
    skipped = [record.name for record in diagnosis.run.methods if record.status != "done"]
    said = [f"Other proposals: {words}." if words else ""]
    if skipped:
        said.append(f"{capitalised(counted(len(skipped), 'method'))} did not run: {', '.join(skipped)}.")
    if diagnosis.folder is not None:
        said.append(f"More: errata report {folder_of(diagnosis)}")
    return " ".join(words for words in said if words)
