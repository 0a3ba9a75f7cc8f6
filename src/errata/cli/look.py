"""Verbs on a run: its summary, its report, a closer look, a check on fresh rows, and what to take away."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from errata.cli.config import Configured
from errata.cli.diagnose import found, open_page
from errata.cli.kinds import flattened, names
from errata.cli.options import CHECKED, RUN
from errata.cli.terminal import Progress, Speaker, harmless, tell
from errata.cli.verb import Flag, Flags, Verb, argument
from errata.core.errors import CannotRunError, UsageError

if TYPE_CHECKING:
    from errata.check import Check
    from errata.core.diagnosis import Diagnosis

__all__ = ["check", "explain", "export", "report", "show"]

QUICK_ROWS = 1_000_000
A_RUN = argument("run", metavar="RUN/")
_OPEN = Flag("--open", "open_report", section=RUN, is_flag=True, help="Open the report in the browser.")
_QUIET = Flag("--quiet", section=RUN, is_flag=True, help="Print nothing but errors.")


def _show(flags: Flags) -> int:
    from errata.store.directory import load

    run = load(flags["run"], rows=False)
    # Words need the rows to round cuts and to name directions; a summary of ten million can do without.
    if sum(run.run.rows.values()) <= QUICK_ROWS:
        run = load(flags["run"])
    Speaker().show(run)
    return 0


def _report(flags: Flags) -> int:
    from errata.report.page import write_report
    from errata.store.directory import load

    runs = [load(run) for run in flags["runs"]]
    if flags["out"] is None and len(runs) > 1:
        raise UsageError("A report of several runs lies in none of them.", hint="name its file with --out.")
    out = Path(flags["out"] or Path(flags["runs"][0]) / "report.html")
    write_report(runs, out)
    Speaker(quiet=flags["quiet"]).say(str(out))
    if flags["open_report"]:
        open_page(out)
    return 0


def _explain(flags: Flags) -> int:
    from errata.cli.closer import finding_text, heatmap_text, row_text
    from errata.store.directory import load

    run = load(flags["run"])
    asked = {name: flags[name] for name in ("heatmap", "finding", "id") if flags[name]}
    if not asked:
        raise UsageError("There is nothing to explain.", hint="--finding ID, --id ROW or --heatmap COLUMN,COLUMN.")
    pieces = []
    if "id" in asked:
        pieces.append(row_text(run, asked["id"]))
    if "heatmap" in asked:
        columns = flattened(asked["heatmap"])
        drawn = heatmap_text(
            run, columns, finding=asked.get("finding"), bins=flags["bins"], binning=flags["binning"],
            metric=flags["metric"],
        )  # fmt: skip
        pieces.append(drawn)
    elif "finding" in asked:
        pieces.append(finding_text(run, asked["finding"]))
    click.echo(harmless("\n\n".join(pieces)))
    return 0


def _check(flags: Flags) -> int:
    from errata.check import check as check_run
    from errata.cli.closer import check_text
    from errata.store.directory import STATE, load, update_findings

    folder, given = Path(flags["run"]), flags.given()
    asked = ("model", "label", "prediction", "scores", "alpha", "device", "allow_pickle", "max_calls")
    words = {name: given[name] for name in asked if name in given}
    state = folder / STATE if str(flags["data"]).startswith("sample:") else None
    with Progress(quiet=flags["quiet"]) as progress:
        done = check_run(load(folder), flags["data"], **words, state=state, progress=progress)
    update_findings(folder, done.diagnosis)
    Speaker(quiet=flags["quiet"]).say(check_text(done))
    if flags["open_report"]:
        open_page(folder / "report.html")
    return found(_again(done), flags["fail_on"])


def _again(done: Check) -> Diagnosis:
    """The run with those findings only that fresh rows confirmed, and with their differences there."""
    from dataclasses import replace

    findings = {finding.id: finding for finding in done.diagnosis.findings}
    held = [
        replace(findings[item.id], status="confirmed", metric=item.metric)
        for item in done.results if item.verdict == "confirmed again"
    ]  # fmt: skip
    return replace(done.diagnosis, findings=tuple(held))


def _export(flags: Flags) -> int:
    from errata.store.directory import load
    from errata.store.export import export_text

    text = export_text(load(flags["run"]), as_=flags["as_"])
    if flags["out"] is None:
        click.echo(harmless(text), nl=False)
        return 0
    out = Path(flags["out"])
    if out.exists() and not flags["force"]:
        raise UsageError(f"`{out}` is there already.", hint="replace it with --force.")
    making = out.with_name(f".{out.name}.partial")
    try:
        making.write_text(text, encoding="utf-8")
        making.replace(out)
    except OSError as error:
        with suppress(OSError):  # the folder itself may be what is wrong
            making.unlink(missing_ok=True)
        raise CannotRunError(
            f"`{out}` cannot be written: {error.strerror}.", hint="name another with --out."
        ) from error
    tell(f"wrote {out}")
    return 0


show = Verb(
    "show", _show, words="The summary of a run.", examples=("errata errata-runs/loans-3fa2b1/",), params=(A_RUN,),
    hidden=True,
)  # fmt: skip

report = Verb(
    "report",
    _report,
    words="""\
Write the report of a run anew, or one report of several runs.
""",
    examples=("errata report run/ --open", "errata report run_a/ run_b/ --out both.html"),
    params=(
        argument("runs", metavar="RUN/...", count=-1),
        Flag("--out", section=RUN, metavar="FILE", help="Where the page goes; report.html in the run when missing."),
        _OPEN,
        _QUIET,
    ),
)

explain = Verb(
    "explain",
    _explain,
    words="""\
Look closer at a finding, at a row, or at the error over one or two columns.

All numbers are of held-out rows.
""",
    examples=(
        "errata explain run/ --finding 1f2e3d4c",
        "errata explain run/ --id 00a1b2c3d4e5f607",
        "errata explain run/ --heatmap age,city",
        "errata explain run/ --heatmap age --bins 12 --binning equal-width",
    ),
    params=(
        A_RUN,
        Flag("--finding", metavar="ID", help="A finding, by its id or the first digits of it."),
        Flag("--id", metavar="ROW", help="A row of the data, by its id."),
        Flag("--heatmap", type=names, multiple=True, metavar="COLUMN[,COLUMN]", help="The error over columns."),
        Flag("--bins", type=click.IntRange(2, 50), default=8, show_default=True, help="Bins of a number."),
        Flag("--binning", type=click.Choice(("quantile", "equal-width")), default="quantile", show_default=True,
             help="How numbers are cut into bins."),
        Flag("--metric", metavar="METRIC", help="Another metric in the cells, such as recall or precision."),
    ),
)  # fmt: skip

check = Configured(
    "check",
    _check,
    words="""\
Test the findings of a run again, on rows that it never read.

Confirmed and seen findings get the test of the run on all fresh rows; rows of the run among them are left out. What was
merely seen becomes confirmed when it holds. The verdicts go into the run's history.
""",
    examples=(
        "errata check run/ next_month.csv",
        "errata check run/ next_month.csv --model repaired.onnx --fail-on any",
        "errata check run/ next_month.csv --prediction yhat_v2",
    ),
    params=(A_RUN, argument("data", metavar="NEW_DATA"), *CHECKED),
)

export = Verb(
    "export",
    _export,
    words="""\
Take the findings of a run away: as tests that fail when an error is back, or as Markdown.
""",
    examples=("errata export run/ --as pytest --out test_errors.py", "errata export run/ --as markdown"),
    params=(
        A_RUN,
        Flag("--as", "as_", section=RUN, type=click.Choice(("pytest", "markdown")), required=True, help="The form."),
        Flag("--out", section=RUN, metavar="FILE", help="Where it goes; printed when missing."),
        Flag("--force", section=RUN, is_flag=True, help="Replace the file."),
    ),
)
