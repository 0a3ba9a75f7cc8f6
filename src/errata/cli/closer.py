"""A closer look at one finding, one row, one heatmap or one check, as text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from errata.core.errors import UsageError, nearest
from errata.core.evaluation import CONFIRM, Evaluation
from errata.core.evidence import Caption, Comparison, Examples, Heatmap, Predicate, Rewording, Statistic
from errata.describe.numbers import clipped, count, is_rate, listed, number, of_unit, percent, shown, unit_noun
from errata.describe.proofs import judged_rows
from errata.report.commands import commands
from errata.report.rows import find_rows, label_text, predicted_text, row_fold, value_text

if TYPE_CHECKING:
    from errata.check import Check
    from errata.core.diagnosis import Diagnosis
    from errata.core.finding import Finding

__all__ = ["check_text", "find", "finding_text", "heatmap_text", "row_text"]

WIDTH = 100
MOST_NAME = 40
MOST_COLUMNS = 40
MOST_TEXT, MOST_WORDS = 2_000, 90  # characters of the text that a row is, and of other values


def find(run: Diagnosis, name: str) -> Finding:
    """The finding whose id is or begins with `name`; raises UsageError when there is none, or more than one."""
    matches = [finding for finding in run.findings if finding.id.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    ids = [finding.id for finding in (matches or run.findings)]
    what = "several findings" if matches else "no finding"
    hint = nearest(name, ids) if not matches else f"known are {', '.join(f'`{item}`' for item in ids)}."
    raise UsageError(f"`{name}` names {what} of this run.", hint=hint)


def finding_text(run: Diagnosis, name: str) -> str:
    """Everything that a run says of a finding."""
    finding = find(run, name)
    numbers = shown(finding.metric)
    rows = [
        ("id", finding.id),
        ("status", finding.status + (f", covered by {finding.folded_under}" if finding.folded_under else "")),
        ("claim", f"{finding.claim} ({finding.baseline})"),
        ("rule", finding.rule.text),
        (finding.metric.name, f"{numbers.inside} inside, {numbers.outside} outside: {numbers.difference}"),
        ("interval", f"{numbers.interval} at {numbers.level}" if numbers.interval else "not known"),
        ("test", f"{finding.test or 'none'}, p {_p(finding.p_value)}, q {_p(finding.q_value)}"),
        ("rows", (judged_rows(finding)
                  or f"{count(finding.support.explore)} explore, {count(finding.support.confirm)} confirm")
                 + (f", {count(finding.support.groups)} groups" if finding.support.groups is not None else "")),
        ("of all errors", percent(finding.share_of_errors) if finding.share_of_errors is not None else "not known"),
        ("proposed by", ", ".join(finding.proposed_by)),
        *([("failure type", finding.failure_type)] if finding.failure_type else []),
    ]  # fmt: skip
    lines = [*_wrapped(finding.title), "", *_listed(rows)]
    for item in finding.evidence:
        lines += _evidence(item)
    for caveat in finding.caveats:
        lines += ["", *_wrapped(f"Caveat: {of_unit(caveat, unit_noun(run.run.data.get('modality')))}")]
    if finding.history:
        lines += [
            "",
            "History",
            *(f"  {event.when}  {event.what}  {event.detail}".rstrip() for event in finding.history),
        ]
    more = commands(finding, run)
    fresh = [f"On fresh rows:   {more.check}"] if more.check else []
    return "\n".join([*lines, "", f"Look at a row:   {more.row}", *fresh])


def row_text(run: Diagnosis, name: str) -> str:
    """One row: what it holds, what the model said, and which findings it belongs to."""
    evaluation = _rows_of(run)
    row = find_rows(evaluation.dataset, [name]).get(name)
    if row is None:
        raise UsageError(f"There is no row `{name}`.", hint="ids stand in `members.parquet` and in the report.")
    rows = [
        ("label", label_text(evaluation, row)),
        ("prediction", predicted_text(evaluation, row)),
        ("fold", row_fold(evaluation, row)),
    ]
    if evaluation.scores is not None:
        best = np.argsort(-evaluation.scores[row])[:5]
        pieces = [f"{evaluation.classes[code]} {percent(float(evaluation.scores[row, code]))}" for code in best]
        rows.append(("scores", ", ".join(pieces)))
    table = evaluation.dataset.table
    special = {evaluation.dataset.label, evaluation.dataset.prediction, *evaluation.dataset.scores}
    plain = [name for name in table if name not in special and table.column(name).kind not in ("embedding", "scores")]
    plain.sort(key=lambda name: name != evaluation.dataset.text)
    room = {evaluation.dataset.text: MOST_TEXT}
    shown_columns = [
        (name, value_text(table.column(name).value(row), most=room.get(name, MOST_WORDS)))
        for name in plain[:MOST_COLUMNS]
    ]
    lines = [f"Row {name}", *_listed(rows), "", *_listed(shown_columns)]
    if len(plain) > MOST_COLUMNS:
        lines.append(f"and {len(plain) - MOST_COLUMNS} more columns")
    inside = [finding for finding in run.findings if finding.id in run.members and run.members[finding.id][row]]
    lines += ["", "Belongs to" if inside else "Belongs to no finding"]
    lines += [f"  {finding.id}  {finding.status:<10}  {finding.title}" for finding in inside]
    return "\n".join(lines)


def heatmap_text(
    run: Diagnosis, columns: Sequence[str], *, finding: str | None, bins: int, binning: str, metric: str | None
) -> str:
    """The metric over one or two columns on held-out rows, as a table; a finding's cells carry a star."""
    from errata.core.method import Job
    from errata.core.rules import Where
    from errata.methods.explain.error_heatmap import ErrorHeatmap

    evaluation = _rows_of(run)
    if len(columns) not in (1, 2):
        raise UsageError(f"`--heatmap {','.join(columns)}` names {len(columns)} columns.", hint="one or two of them.")
    rule = find(run, finding).rule if finding else None
    method = ErrorHeatmap(columns=tuple(columns), bins=bins, binning=binning, metric=metric)
    job = Job(rng=np.random.default_rng(run.run.seed))
    drawn = method.run(evaluation.part(CONFIRM), job, where=rule if isinstance(rule, Where) else None)
    return "\n\n".join(heatmap_table(item) for item in drawn if isinstance(item, Heatmap))


def heatmap_table(item: Heatmap) -> str:
    """A heatmap as a table of text, each cell with its rows in brackets."""
    down, across = item.labels[0], item.labels[1] if len(item.columns) > 1 else ("",)
    cells = [_cell(item, place) for place in range(len(item.count))]
    rows = [[label, *cells[place * len(across) : (place + 1) * len(across)]] for place, label in enumerate(down)]
    head = [item.columns[0], *across]
    widths = [max(len(row[place]) for row in [head, *rows]) for place in range(len(head))]
    among = f" with {item.among}" if item.among else ""
    lines = [f"{item.metric} by {' and '.join(item.columns)}, on held-out rows{among}; rows in brackets"]
    if len(item.columns) > 1:
        lines.append(" " * (widths[0] + 2) + item.columns[1])
    for row in [head, *rows]:
        named = row[0].ljust(widths[0])
        lines.append("  ".join([named, *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))]))
    lines.append(f"overall {_value(item, item.overall)}")
    return "\n".join(line.rstrip() for line in lines)


def check_text(done: Check) -> str:
    """The verdict on each finding of a run, and what the check rests on."""
    counts = {verdict: sum(item.verdict == verdict for item in done.results)
              for verdict in ("confirmed again", "gone", "cannot tell")}  # fmt: skip
    if not done.results:
        return "The run has no confirmed or seen finding to check."
    said = ", ".join(f"{number_} {verdict}" for verdict, number_ in counts.items() if number_)
    lines = [f"On {count(done.rows)} fresh rows: {said} (alpha {done.alpha:g}).", ""]
    for item in done.results:
        lines += [f"{item.verdict:<15}  {item.id}", *_wrapped(item.title, indent=17), *_wrapped(item.words, indent=17)]
    for caveat in done.caveats:
        lines += ["", *_wrapped(f"Caveat: {caveat}")]
    return "\n".join(lines)


def _evidence(item: object) -> list[str]:
    if isinstance(item, Comparison):
        lines = ["", "By class"]
        for row in item.rows:
            inside = f"{row['inside_wrong']} of {row['inside']} wrong inside"
            outside = f", {row['outside_wrong']} of {row['outside']} outside" if row["outside"] else ""
            lines.append(f"  {row['stratum']}: {inside}{outside}")
        return lines
    if isinstance(item, Examples):
        return ["", "Wrong rows   " + "  ".join(item.wrong[:6]), "Right rows   " + "  ".join(item.right[:6])]
    if isinstance(item, Heatmap):
        return ["", heatmap_table(item)]
    if isinstance(item, Statistic | Predicate) and item.words:
        return ["", *_wrapped(item.words)]
    if isinstance(item, Rewording):
        return ["", *_wrapped(f"In other words: {item.words} (put so by {item.by}; the sentence above is what counts)")]
    if isinstance(item, Caption) and item.words:
        return ["", *_wrapped("Marked by: " + listed([f"“{word.get('text')}”" for word in item.words]))]
    return []


def _cell(item: Heatmap, place: int) -> str:
    rows = item.count[place]
    if not rows:
        return "·"
    star = "*" if item.member is not None and (item.member[place] or 0.0) >= 0.5 else ""
    return f"{star}{_value(item, item.value[place])} ({count(rows)})"


def _value(item: Heatmap, value: float | None) -> str:
    if value is None:
        return "?"
    share = is_rate(item.metric) or item.metric in ("accuracy", "precision", "recall", "f1", "selection")
    return percent(value) if share else number(value)


def _rows_of(run: Diagnosis) -> Evaluation:
    if run.evaluation is None:
        raise UsageError("The run was saved without its rows.", hint="`evaluation.parquet` is missing.")
    return run.evaluation


def _p(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"


def _listed(rows: Sequence[tuple[str, str]]) -> list[str]:
    width = max((len(name) for name, _ in rows), default=0)
    width = min(width, MOST_NAME)
    lines: list[str] = []
    for full, text in rows:
        name = clipped(full, MOST_NAME)
        first, *rest = _wrapped(text, indent=width + 2) or [""]
        lines += [f"{name:<{width}}  {first.strip()}", *rest]
    return lines


def _wrapped(text: str, *, indent: int = 0) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * indent)
