"""Sentences about findings and runs: what is wrong, how much, against what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from errata.core.columns import Bool
from errata.core.diagnosis import Detectable, Diagnosis
from errata.core.evaluation import Evaluation
from errata.core.evidence import Comparison, Predicate
from errata.core.finding import Effect, Finding
from errata.core.ids import Ids
from errata.core.rules import Where
from errata.describe.labels import label_outcome
from errata.describe.leading import confirmed_groups, notable_seen, sharpest, unfolded
from errata.describe.numbers import Shown, counted, is_rate, number, percent, points, shown, unit_noun
from errata.describe.wording import Subject, Wording, capitalised, level_text, memory

__all__ = [
    "Numbers", "Style", "barely", "describe", "detectable_near", "numbers", "sentence", "title", "verdict", "versus",
]  # fmt: skip

Style = Literal["title", "effect", "full"]

FEW_GROUPS = 24  # from here on groups, not rows, are the unit of the test (proof.md section 4)
LEAST_WRONG = 3  # fewer wrong rows have no direction worth a sentence
MOSTLY = 0.6  # "most" is said with some room above half
ONE_SIDED = 0.75
SHIFT = 0.01  # a point: from here on standardising by class is said
_INNER_QUOTES = str.maketrans("“”", "‘’")
LOSS_SHIFT = 0.05  # the same for losses, as a share of the outside loss


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """The numbers of a finding with the words around them; title, bar and table all take them from here.

    shown    the numbers as text
    inside   "58 % wrong"
    outside  "12 % elsewhere", "6 % among other 8s"
    versus   the words after the outside number: "elsewhere", "among comparable rows"
    detail   direction in words, "most read as 1", or ""
    tail     "in these 13 groups", or ""
    """

    shown: Shown
    inside: str
    outside: str
    versus: str
    detail: str
    tail: str


def describe(finding: Finding, evaluation: Evaluation | None) -> str:
    """The sentence of a finding, whatever its status.

    "age over 60: 58 % wrong, against 12 % elsewhere (95 % interval of the difference 40 to 52 points)"
    """
    return sentence(finding, evaluation, style="full")


def title(finding: Finding, evaluation: Evaluation | None) -> str:
    """The rule of a finding alone, in words, and roughly as a predicate where its own rule is none."""
    wording = Wording(evaluation)
    found = next((item.where for item in finding.evidence if isinstance(item, Predicate)), None)
    if found is None:
        return wording.title(finding.rule)
    inner = wording.title(Where.parse(found)).translate(_INNER_QUOTES)
    return f"{wording.title(finding.rule)}, roughly “{inner}”"


def sentence(finding: Finding, evaluation: Evaluation | None, *, style: Style = "full") -> str:
    """A finding in words: its rule ("title"), what was measured ("effect"), or both ("full")."""
    if style == "title":
        return title(finding, evaluation)
    effect = _outcome(finding, numbers(finding, evaluation))
    return effect if style == "effect" else f"{title(finding, evaluation)}: {effect}"


def numbers(finding: Finding, evaluation: Evaluation | None) -> Numbers:
    """The numbers of a finding and the words around them."""
    wording = Wording(evaluation)
    subject = wording.subject(finding.rule)
    # What was not confirmed is one line in a table; its direction would claim too much.
    told = finding.status in ("confirmed", "seen")
    members = _members(finding, evaluation) if told else None
    unit = _target_unit(evaluation) if finding.metric.name == "absolute-error" else None
    texts = shown(finding.metric, unit=unit)
    versus = _versus(finding, evaluation, subject, wording.unit_noun, members)
    groups = finding.support.groups
    few = finding.strata == "class x group" and groups is not None
    return Numbers(
        shown=texts,
        inside=_inside_words(finding, evaluation, texts),
        outside=f"{texts.outside} {versus}",
        versus=versus,
        detail=_direction(finding, evaluation, subject, members),
        tail=f"in {'this group' if groups == 1 else f'these {groups} groups'}" if few else "",
    )


def _outcome(finding: Finding, told: Numbers) -> str:
    """The part of the sentence after the rule, by how the proposal ended."""
    tail = f", {told.tail}" if told.tail else ""
    if finding.family == "labels":
        return label_outcome(finding)
    if finding.status == "untestable":
        return "cannot be tested, there are too few rows or errors to tell"
    if finding.status == "circular":
        return "reads what the model itself says, so it cannot be confirmed"
    if finding.metric.inside is None or finding.metric.outside is None:
        return "the error could not be compared"
    interval = ""
    if told.shown.interval is not None:
        interval = f"{told.shown.level} interval of the difference {told.shown.interval}"
    if finding.status == "rejected":
        inner = f"{told.inside}, against {told.outside}{tail}"
        return f"no difference shown ({inner}; {interval})" if interval else f"no difference shown ({inner})"
    detail = f" ({told.detail})" if told.detail else ""
    text = f"{told.inside}{detail}, against {told.outside}{tail}" + (f" ({interval})" if interval else "")
    return f"{text}; seen at a later look, so only fresh rows can confirm it" if finding.status == "seen" else text


def _inside_words(finding: Finding, evaluation: Evaluation | None, texts: Shown) -> str:
    metric = finding.metric.name
    if metric == "false-positive":
        positive = None if evaluation is None else evaluation.positive
        return f"{texts.inside} wrongly taken for {'positive' if positive is None else level_text(positive)}"
    if metric == "false-negative":
        return f"{texts.inside} missed"
    if metric == "absolute-error":
        return f"off by {texts.inside} on average"
    return f"{texts.inside} wrong" if is_rate(metric) else f"mean loss {texts.inside}"


def _versus(finding: Finding, evaluation: Evaluation | None, subject: Subject, noun: str, members: Bool | None) -> str:
    """What the outside number is about: everything else, or only what can be compared."""
    if finding.family == "class rates":
        two = evaluation is not None and len(evaluation.classes) == 2
        return "in the other class" if two else "in the other classes"
    if subject.others is not None:
        return f"among {subject.others}"
    return versus(finding.metric, _plain_outside(finding, evaluation, members), noun)


def versus(effect: Effect, plain: float | None, noun: str) -> str:
    """What an outside number is of: "elsewhere", or "among comparable rows" where `plain`, of all others, differs."""
    if plain is None or effect.outside is None:
        return "elsewhere"
    limit = SHIFT if is_rate(effect.name) else LOSS_SHIFT * max(abs(effect.outside), abs(plain))
    return f"among comparable {noun}" if abs(plain - effect.outside) > limit else "elsewhere"


def _plain_outside(finding: Finding, evaluation: Evaluation | None, members: Bool | None) -> float | None:
    """The metric of all other confirm rows, without giving classes the weights that they have inside."""
    for item in finding.evidence:
        if isinstance(item, Comparison):
            total = sum(_count(row.get("outside")) for row in item.rows)
            return sum(_count(row.get("outside_wrong")) for row in item.rows) / total if total else None
    if evaluation is None or members is None:
        return None
    loss = memory(evaluation).view.loss
    return float(loss[~members].mean()) if not members.all() else None


def _count(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _members(finding: Finding, evaluation: Evaluation | None) -> Bool | None:
    """(n,) bool over the confirm rows that count, None where the rows are not there to ask."""
    if evaluation is None or any(name not in evaluation.dataset.table for name in finding.rule.columns):
        return None
    return finding.rule.members(memory(evaluation).confirm)


def _target_unit(evaluation: Evaluation | None) -> str | None:
    if evaluation is None or evaluation.dataset.label is None:
        return None
    return evaluation.dataset.table.column(evaluation.dataset.label).unit


def _direction(finding: Finding, evaluation: Evaluation | None, subject: Subject, members: Bool | None) -> str:
    """Which way the members are wrong, where most of them go one way."""
    if evaluation is None or members is None or finding.metric.name in ("false-positive", "false-negative"):
        return ""
    view = memory(evaluation).view
    if evaluation.task == "regression":
        excess = np.asarray(view.predicted, dtype=np.float64) - np.asarray(view.labels, dtype=np.float64)
        return _too_high_or_low(excess[members])
    wrong = members & (view.predicted != view.labels)
    total = int(wrong.sum())
    if total < LEAST_WRONG or len(evaluation.classes) < 2:
        return ""
    return _taken_for(evaluation, subject, view.labels[wrong].astype(int), view.predicted[wrong].astype(int))


def _taken_for(evaluation: Evaluation, subject: Subject, labels: np.ndarray, predicted: np.ndarray) -> str:
    k, total = len(evaluation.classes), len(labels)
    known = (labels >= 0) & (labels < k) & (predicted >= 0) & (predicted < k)
    if subject.single is not None:
        # With two classes there is only one way to be wrong about a known one.
        tally = np.bincount(predicted[known], minlength=k)
        best = int(tally.argmax())
        if k == 2 or tally[best] / total <= MOSTLY:
            return ""
        verb = "read as" if evaluation.dataset.modality == "image" else "taken for"
        return f"{_how_many(int(tally[best]), total)} {verb} {level_text(evaluation.classes[best])}"
    tally = np.bincount(labels[known] * k + predicted[known], minlength=k * k)
    best = int(tally.argmax())
    if tally[best] / total <= (ONE_SIDED if k == 2 else MOSTLY):
        return ""
    given, said = level_text(evaluation.classes[best // k]), level_text(evaluation.classes[best % k])
    return f"{_how_many(int(tally[best]), total)} {given} taken for {said}"


def _how_many(part: int, total: int) -> str:
    return "all" if part == total else "most"


def _too_high_or_low(excess: np.ndarray) -> str:
    """Said where the members' errors point one way: the mean excess is most of the mean error."""
    size = float(np.abs(excess).mean()) if len(excess) else 0.0
    lean = float(excess.mean()) if len(excess) else 0.0
    if len(excess) < LEAST_WRONG or size == 0 or abs(lean) < MOSTLY * size:
        return ""
    return f"mostly predicted too {'high' if lean > 0 else 'low'}"


def detectable_near(curve: Sequence[Detectable], share: float = 0.05) -> Detectable | None:
    """The point of the curve whose share is nearest to `share`, among those at which something could be seen."""
    known = [point for point in curve if point.difference is not None]
    return min(known, key=lambda point: abs(np.log(point.share / share)), default=None)


def verdict(diagnosis: Diagnosis) -> str:
    """One sentence for a whole run, also where nothing was found."""
    doubted = sum(
        len(finding.rule) for finding in diagnosis.findings
        if finding.status in ("suspected", "confirmed") and isinstance(finding.rule, Ids)
    )  # fmt: skip
    if not doubted:
        return _verdict(diagnosis)
    labels = "1 label is" if doubted == 1 else f"{doubted:,} labels are"
    return f"{_verdict(diagnosis).removesuffix('.')}; {labels} in doubt."


def _verdict(diagnosis: Diagnosis) -> str:
    confirmed = unfolded(diagnosis)
    if confirmed:
        return _found(confirmed, diagnosis)
    run = diagnosis.run
    if any(finding.status == "seen" for finding in diagnosis.findings):
        return _only_seen(diagnosis)
    if run.error_rate == 0 and is_rate(run.metric):
        return "Nothing found: no row is wrong."
    if run.error_rate == 1 and is_rate(run.metric):
        return "Nothing found: every row is wrong, so no group can be worse than the rest."
    return "Nothing found: " + _nothing(diagnosis)


def _only_seen(diagnosis: Diagnosis) -> str:
    """A later look at the same predictions confirms nothing, whatever it shows."""
    n, noun = len(notable_seen(diagnosis)), _noun(diagnosis)
    if not n:
        return (
            f"Nothing found: this look, a later one at the same predictions, shows no group of {noun} that errs more."
        )
    groups, them = ("one group", "it") if n == 1 else (f"{_spelt(n)} groups", "them")
    errs = "errs" if n == 1 else "err"
    return (
        f"Nothing confirmed: {groups} of {noun} {errs} more here, but these predictions were looked at before, "
        f"so only fresh rows can confirm {them}."
    )


def _nothing(diagnosis: Diagnosis) -> str:
    run = diagnosis.run
    noun = _noun(diagnosis)
    if is_rate(run.metric):
        first = f"no group of {noun} errs more than the rest by a margin that these data can prove"
    else:
        first = f"no group of {noun} has larger errors than the rest by a margin that these data can prove"
    point = detectable_near(run.detectable)
    if point is None or point.difference is None:
        return f"{first}, and they are too few to show any but the largest."
    share = percent(point.share)
    if is_rate(run.metric):
        size = points(point.difference)
        return f"{first}; an error {size} higher in {share} of the {noun} would have been seen in 4 of 5 runs."
    size = number(point.difference)
    return f"{first}; an error larger by {size} in {share} of the {noun} would have been seen in 4 of 5 runs."


def _found(confirmed: Sequence[Finding], diagnosis: Diagnosis) -> str:
    noun, run = _noun(diagnosis), diagnosis.run
    worst, many = confirmed[0], len(confirmed) > 1
    if many:
        # One that barely errs more may be large, hold most errors and cover the others: none to look at first.
        worst = next((one for one in (worst, *confirmed_groups(diagnosis)) if not barely(one)), worst)
    errs = "err more often than" if is_rate(run.metric) else "are further off than"
    if not many:
        errs = "errs more often than" if is_rate(run.metric) else "is further off than"
    if all(barely(finding) for finding in confirmed):
        errs = f"barely {errs}"
    first = f"{capitalised(_spelt(len(confirmed)))} group{'s' if many else ''} of {noun} {errs} the rest"
    share, size = worst.share_of_errors, _size(worst, run.rows)
    if share is None or size is None:
        return f"{first}."
    what = "all errors" if is_rate(run.metric) else "the total error"
    which = "the worst" if many else "it"
    within = f"; sharper ones lie within {'them' if many else 'it'}" if sharpest(diagnosis) else ""
    return f"{first}: {which} holds {percent(share)} of {what} in {percent(size)} of the {noun}{within}."


def barely(finding: Finding) -> bool:
    """True where a finding is confirmed though the interval of its difference contains 0."""
    interval = finding.metric.interval
    return finding.confirmed and interval is not None and interval[0] <= 0 <= interval[1]


def _size(finding: Finding, rows: Mapping[str, int]) -> float | None:
    """The share of the confirm rows that belong to a finding."""
    total = rows.get("confirm")
    return finding.support.confirm / total if total else None


def _noun(diagnosis: Diagnosis) -> str:
    return unit_noun(diagnosis.run.data.get("modality"))


_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def _spelt(n: int) -> str:
    return _WORDS[n] if n < len(_WORDS) else str(n)


def looked(diagnosis: Diagnosis) -> str:
    """What was tried and what could still hide: "31 proposals tested; differences under 12 points could hide"."""
    run = diagnosis.run
    tested = counted(run.tested, "proposal")
    point = detectable_near(run.detectable)
    if point is None or point.difference is None:
        return f"{capitalised(tested)} tested; with so few {_noun(diagnosis)} or errors, much could hide."
    size = points(point.difference) if is_rate(run.metric) else number(point.difference)
    where = f"in {percent(point.share)} of the {_noun(diagnosis)}"
    return f"{capitalised(tested)} tested; {where}, differences under {size} could hide."
