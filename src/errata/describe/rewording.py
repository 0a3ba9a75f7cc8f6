"""A language model may put the sentence of a confirmed finding into other words, and never change what it says.

What it gives back is refused unless it names everything that the sentence names, with the same numbers in the same
roles, and claims nothing more. Each check refuses too much rather than too little: the sentence itself is always there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from errata.core.atoms import And, Compare, Not, OneOf, Or, Test
from errata.core.errors import ErrataError
from errata.core.evaluation import Evaluation
from errata.core.evidence import Predicate, Rewording
from errata.core.finding import Finding
from errata.core.rules import Where
from errata.describe.faithful import Said, refusal
from errata.describe.numbers import counted, listed
from errata.describe.sentences import numbers, sentence, title
from errata.describe.wording import level_text

__all__ = ["Reworded", "Writer", "reworded", "said_of"]

MOST = 50
"""Findings that are put into other words: more are not read, and each costs a request."""
MOST_NAMES = 2_000


class Writer(Protocol):
    """Whoever puts sentences into other words."""

    @property
    def name(self) -> str:
        """Which model, and where."""
        ...

    @property
    def spent(self) -> bool:
        """Whether something was not asked because no further call was allowed."""
        ...

    def write(self, sentences: Sequence[str]) -> Sequence[str | None]:
        """Each sentence in other words, None where there is no answer. Raises CannotRunError or StoppedError."""
        ...

    def limit(self, max_calls: int) -> None:
        """Make at most so many calls in all."""
        ...


@dataclass(frozen=True, kw_only=True)
class Reworded:
    """The findings, those whose new words passed with a `Rewording`, and what the run should say about the others."""

    findings: tuple[Finding, ...]
    caveats: tuple[str, ...] = ()


def reworded(findings: Sequence[Finding], evaluation: Evaluation, writer: Writer) -> Reworded:
    """Confirmed findings in other words beside their own sentence, which stays as it is.

    Words that do not pass `refusal` are dropped and counted; an endpoint that fails costs the words, never the run.
    """
    asked = [finding for finding in findings if finding.confirmed][:MOST]
    if not asked:
        return Reworded(findings=tuple(findings))
    said = [said_of(finding, evaluation) for finding in asked]
    try:
        offered = writer.write([one.sentence for one in said])
    except ErrataError as error:
        why = " ".join(str(error).partition("\nHint:")[0].split())
        return Reworded(findings=tuple(findings), caveats=(f"Nothing was put into other words: {why}",))
    passed: dict[str, Rewording] = {}
    refused: Counter[str] = Counter()
    left = 0
    for finding, one, words in zip(asked, said, offered, strict=True):
        if words is None and writer.spent:
            left += 1
            continue
        clean = _unquoted(" ".join((words or "").split(" ")).strip())
        why = "there was no answer" if words is None else refusal(one, clean)
        if why:
            refused[why] += 1
        else:
            passed[finding.id] = Rewording(words=clean, by=writer.name)
    return Reworded(
        findings=tuple(
            replace(one, evidence=(*one.evidence, passed[one.id])) if one.id in passed else one for one in findings
        ),
        caveats=(*_counted(refused, len(asked), writer.name), *_not_asked(left, len(asked))),
    )


def _unquoted(words: str) -> str:
    """Words without the quotation marks around all of them."""
    quoted = len(words) > 1 and (words[0], words[-1]) in (('"', '"'), ("“", "”"), ("'", "'"))
    return words[1:-1].strip() if quoted else words


def said_of(finding: Finding, evaluation: Evaluation) -> Said:
    """What the sentence of a finding says, taken apart for `refusal`."""
    told = numbers(finding, evaluation)
    known = [*evaluation.classes, *_levels(finding, evaluation)]
    return Said(
        rule=title(finding, evaluation), effect=sentence(finding, evaluation, style="effect"),
        inside=told.inside, outside=told.outside, level=told.shown.level,
        wrong=finding.metric.name == "error", detail=told.detail,
        names=tuple(dict.fromkeys(level_text(level, quoted=False) for level in known if isinstance(level, str))),
    )  # fmt: skip


def _levels(finding: Finding, evaluation: Evaluation) -> Iterable[object]:
    """The values that stand in the rule, and those that its columns could have instead."""
    wheres = [finding.rule] if isinstance(finding.rule, Where) else []
    wheres += [Where.parse(item.where) for item in finding.evidence if isinstance(item, Predicate) and item.where]
    for where in wheres:
        yield from _values(where.test)
        for name in where.columns:
            if name in evaluation.dataset.table and evaluation.dataset.table.kind_of(name) == "category":
                yield from evaluation.dataset.table.column(name).levels[:MOST_NAMES]


def _values(test: Test) -> Iterable[object]:
    if isinstance(test, And | Or):
        for term in test.terms:
            yield from _values(term)
    elif isinstance(test, Not):
        yield from _values(test.term)
    elif isinstance(test, Compare):
        yield test.value
    elif isinstance(test, OneOf):
        yield from test.values


def _counted(refused: Counter[str], asked: int, name: str) -> tuple[str, ...]:
    total = sum(refused.values())
    if not total:
        return ()
    why = listed([f"{reason} ({count})" if count > 1 else reason for reason, count in refused.most_common(4)])
    stays = "the sentence stays as it is" if total == 1 else "the sentences stay as they are"
    return (f"The words that {name} offered were refused for {total} of {counted(asked, 'finding')}: {why}; {stays}.",)


def _not_asked(left: int, asked: int) -> tuple[str, ...]:
    if not left:
        return ()
    stays = "its sentence stays as it is" if left == 1 else "their sentences stay as they are"
    return (
        f"`--max-calls` left no call for {left} of {counted(asked, 'finding')} to be put into other words: {stays}.",
    )
