"""The report in Markdown, for pull requests and notes: the same sentences and numbers, without pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from errata.core.columns import Level
from errata.core.diagnosis import Diagnosis
from errata.core.evidence import Comparison, Examples, Predicate
from errata.core.finding import Finding
from errata.core.rules import Where
from errata.describe.leading import leading_findings
from errata.describe.numbers import clipped, count, is_rate, of_unit, percent, unit_noun
from errata.describe.sentences import looked, sentence, title, verdict
from errata.describe.wording import capitalised
from errata.report.commands import commands, repeat
from errata.report.examples import text_of
from errata.report.findings import lean_view, remaining_of, statistics_of, strata_of
from errata.report.rows import value_text
from errata.report.runs import OPEN, facts_of
from errata.report.words import phrases_text, reworded_of

__all__ = ["report_markdown"]

MOST_ROWS = 6
MOST_LINES = 60
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$&!])")


def report_markdown(diagnoses: Sequence[Diagnosis]) -> str:
    """One or several runs as Markdown text (GitHub's dialect); everything that is not ours is escaped."""
    level = 1 if len(diagnoses) == 1 else 2
    parts = [] if len(diagnoses) == 1 else [f"# Errata of {len(diagnoses)} runs"]
    return "\n\n".join([*parts, *(_run(diagnosis, level) for diagnosis in diagnoses)]) + "\n"


def escaped(text: str) -> str:
    """Text of the user's data as Markdown that shows it and does nothing."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _code(text: str, language: str = "") -> str:
    # A fence longer than any run of backticks inside cannot be closed by the data.
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *([escaped(cell) for cell in line] for line in lines)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _run(diagnosis: Diagnosis, level: int) -> str:
    run, mark = diagnosis.run, "#" * level
    noun = unit_noun(run.data.get("modality"))
    confirmed = list(diagnosis.confirmed)
    leading = leading_findings(diagnosis)
    name = escaped(str(run.data.get("name")))
    parts = [f"{mark} {escaped(verdict(diagnosis))}", f"{name}. {escaped(looked(diagnosis))}"]
    for place, finding in enumerate(leading[:OPEN], start=1):
        parts.append(_finding(finding, diagnosis, place, mark))
    others = [*(item for item in confirmed if item not in leading[:OPEN])]
    others += [item for item in diagnosis.findings if not item.confirmed and item not in leading[:OPEN]]
    if others:
        lines = [lean_view(item, diagnosis, prefix="") for item in others[:MOST_LINES]]
        parts.append(f"{mark}# Other proposals")
        head = ("group", "ended as", "inside", "elsewhere", "interval of the difference", "rows", "q")
        cells = [(one.title, one.status, one.inside, one.outside, one.interval, one.support, one.q) for one in lines]
        parts.append(_table(head, cells))
        if len(others) > MOST_LINES:
            parts.append(f"and {count(len(others) - MOST_LINES)} more.")
    parts.append(f"{mark}# What this run did")
    parts += [f"> {escaped(of_unit(words, noun))}" for words in run.caveats]
    parts.append("\n".join(f"- {fact.name}: {escaped(fact.text)}" for fact in facts_of(diagnosis, noun)))
    aside = run.data.get("set_aside") or ()
    if aside:
        said = [f"{item['column']} ({item['why']})" for item in aside[:MOST_LINES]]
        parts.append(f"Columns set aside: {escaped('; '.join(said))}.")
    command = repeat(diagnosis)
    if command:
        parts.append(_code(command, "sh"))
    return "\n\n".join(parts)


def _finding(finding: Finding, diagnosis: Diagnosis, place: int, mark: str) -> str:
    evaluation, noun = diagnosis.evaluation, unit_noun(diagnosis.run.data.get("modality"))
    name = clipped(title(finding, evaluation), 300)
    effect = capitalised(sentence(finding, evaluation, style="effect"))
    parts = [f"{mark}# {place}. {escaped(name)}", escaped(f"{effect}.")]
    parts += [escaped(f"In other words: {other.words} (put so by {other.by})") for other in reworded_of(finding)]
    if finding.share_of_errors is not None:
        what = "all errors" if is_rate(finding.metric.name) else "the total error"
        members = count(finding.support.confirm)
        parts.append(f"It holds {percent(finding.share_of_errors)} of {what}; {members} held-out rows.")
    parts += [escaped(words) for words in (*remaining_of(finding), *statistics_of(finding))]
    if fitting := phrases_text(finding):
        parts.append(escaped(f"Phrases that fit its images better than others of their classes: {fitting}."))
    parts += [f"> {escaped(of_unit(words, noun))}" for words in finding.caveats]
    strata = strata_of(finding)
    if len(strata) > 1 and any(isinstance(item, Comparison) for item in finding.evidence):
        cells = [(one.name, one.inside, one.inside_rate, one.outside, one.outside_rate) for one in strata[:MOST_ROWS]]
        parts.append(_table(("class", "inside", "wrong", "the rest", "wrong"), cells))
    for item in finding.evidence:
        if isinstance(item, Examples) and item.values:
            parts.append(_examples(item, text_of(diagnosis)))
            break
    parts.append(_code(finding.rule.text))
    roughly = [Where.parse(item.where) for item in finding.evidence if isinstance(item, Predicate) and item.where]
    for rule in [finding.rule] if isinstance(finding.rule, Where) else roughly:
        parts.append(_code(rule.sql(), "sql"))
    parts.append(_code(commands(finding, diagnosis).explain, "sh"))
    return "\n\n".join(parts)


def _examples(item: Examples, text: str | None) -> str:
    ids = [name for name in item.wrong if name in item.values][:MOST_ROWS]
    names = list(dict.fromkeys(column for name in ids for column in item.values[name]))[:6]
    lines = []
    for name in ids:
        values = item.values[name]
        lines.append((name, *(_cell(values, column, most=160 if column == text else 40) for column in names)))
    return _table(("wrong row", *(escaped(clipped(column, 24)) for column in names)), lines)


def _cell(values: Mapping[str, Level | None], column: str, *, most: int) -> str:
    return value_text(values[column], most=most) if column in values else ""
