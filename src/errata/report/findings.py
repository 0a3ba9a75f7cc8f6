"""What the report shows of each finding: one function per kind of evidence, and the words around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from errata.core.diagnosis import Diagnosis
from errata.core.evidence import Comparison, Examples, Heatmap, Predicate, Rewording, Statistic, TreePath
from errata.core.finding import Finding
from errata.core.rules import Where
from errata.describe.numbers import (
    UNKNOWN,
    clipped,
    count,
    counted,
    is_rate,
    listed,
    number,
    of_unit,
    percent,
    percents,
    shown,
)
from errata.describe.sentences import Numbers, barely, numbers, sentence, title
from errata.describe.wording import Wording, capitalised
from errata.report.commands import Commands, commands
from errata.report.examples import Album, Side, side_of, side_of_rows
from errata.report.figures import Bars, Heat, Icicle, bars, heat, icicle
from errata.report.maps import Chart, charts_of
from errata.report.words import Phrase, Word, phrases_of, reworded_of, words_of

__all__ = ["Code", "FindingView", "Lean", "Stratum", "Test", "finding_view", "lean_view"]

MOST_STRATA = 24
MOST_TABLE = 8
MOST_CODE = 4000
MOST_TITLE = 300
SIX = 6


@dataclass(frozen=True, kw_only=True)
class Code:
    """Something to copy."""

    name: str
    text: str
    cut: bool = False


@dataclass(frozen=True, kw_only=True)
class Stratum:
    """One class of the comparison, as text."""

    name: str
    inside: str
    inside_rate: str
    outside: str
    outside_rate: str


@dataclass(frozen=True, kw_only=True)
class Test:
    """One line of the block that says how a finding was tested."""

    name: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Aside:
    """Rows that a method shows of its own accord, such as the hardest and the easiest along a direction."""

    words: str
    wrong: Side
    right: Side | None
    pictures: bool


@dataclass(frozen=True, kw_only=True)
class Lean:
    """What a folded table shows of a proposal."""

    id: str
    anchor: str
    status: str
    why: str
    title: str
    support: str
    inside: str
    outside: str
    interval: str
    p: str
    q: str
    proposed_by: str
    rule: str


@dataclass(frozen=True, kw_only=True)
class FindingView:
    """Everything that the page shows of one finding; `six` are the rows of the first screen.

    unseen      whether it is confirmed and the two rates show no such difference
    uncompared  whether some members enter neither rate, as no row of their class is left to compare them with
    """

    place: int
    id: str
    anchor: str
    title: str
    sentence: str
    numbers: Numbers
    bars: Bars | None
    share: str | None
    size: str | None
    barely: bool
    unseen: bool
    folded_under: str | None
    six: Side | None
    wrong: Side | None
    right: Side | None
    wrong_count: str
    right_count: str
    pictures: bool
    asides: tuple[Aside, ...]
    tree: Icicle | None
    heats: tuple[Heat, ...]
    charts: tuple[Chart, ...]
    words: tuple[Word, ...]
    phrases: tuple[Phrase, ...]
    reworded: tuple[Rewording, ...]
    strata: tuple[Stratum, ...]
    strata_left: int
    remaining: tuple[str, ...]
    statistics: tuple[str, ...]
    explanations: tuple[str, ...]
    caveats: tuple[str, ...]
    uncompared: bool
    codes: tuple[Code, ...]
    commands: Commands
    tests: tuple[Test, ...]
    rule_columns: tuple[str, ...]


def finding_view(
    finding: Finding, diagnosis: Diagnosis, album: Album, *, place: int, scale: float, most: int, pictures: bool
) -> FindingView:
    """One finding in full.

    most      examples of each kind
    pictures  whether tree and heatmap are drawn
    """
    evaluation = diagnosis.evaluation
    told, wording = numbers(finding, evaluation), Wording(evaluation)
    name, effect = _words(finding, diagnosis)
    evidence = next((item for item in finding.evidence if isinstance(item, Examples) and not item.words), None)
    wrong_ids = evidence.wrong if evidence is not None else finding.examples
    right_ids = evidence.right if evidence is not None else ()
    if evaluation is None or evaluation.dataset.image is None:
        most = min(most, MOST_TABLE)
    wrong = side_of(wrong_ids, finding, evidence, album, most=most) if wrong_ids else None
    strata = strata_of(finding)
    metric = finding.metric.name
    return FindingView(
        place=place,
        id=finding.id,
        anchor=f"{album.prefix}finding-{finding.id}",
        title=name,
        sentence=effect,
        numbers=told,
        bars=bars(finding, scale),
        share=None if finding.share_of_errors is None else percent(finding.share_of_errors),
        size=_size(finding, diagnosis),
        barely=barely(finding),
        unseen=finding.confirmed and (finding.metric.difference or 0.0) <= 0.0,
        folded_under=finding.folded_under,
        six=side_of(wrong_ids, finding, evidence, album, most=SIX, room=0) if wrong_ids and place <= 3 else None,
        wrong=wrong,
        right=side_of(right_ids, finding, evidence, album, most=most, beside=wrong) if right_ids else None,
        wrong_count=_of_all(wrong_ids, most, _tally(finding, wrong=True)),
        right_count=_of_all(right_ids, most, _tally(finding, wrong=False)),
        pictures=any(name in album.pictures for name in wrong_ids),
        asides=asides_of(
            finding, album, wording.unit_noun, most=min(most, SIX), columns=() if wrong is None else wrong.names
        ),
        tree=tree_of(finding, metric, wording) if pictures else None,
        heats=heats_of(finding, wording) if pictures else (),
        words=words_of(finding),
        phrases=phrases_of(finding),
        reworded=reworded_of(finding),
        charts=charts_of(finding, wording.unit_noun) if pictures else (),
        strata=strata[:MOST_STRATA],
        strata_left=max(0, len(strata) - MOST_STRATA),
        remaining=tuple(of_unit(words, wording.unit_noun) for words in remaining_of(finding)),
        statistics=tuple(of_unit(words, wording.unit_noun) for words in statistics_of(finding)),
        explanations=wording.explanations(finding.rule),
        # The sentence says it already.
        caveats=tuple(
            of_unit(words, wording.unit_noun) for words in finding.caveats if not words.startswith("barely:")
        ),
        uncompared=any("no comparable rows" in words for words in finding.caveats),
        codes=codes_of(finding, diagnosis),
        commands=commands(finding, diagnosis),
        tests=tests_of(finding, told, noun=wording.unit_noun),
        rule_columns=finding.rule.columns,
    )


def lean_view(finding: Finding, diagnosis: Diagnosis, *, prefix: str) -> Lean:
    """A proposal as one line of a table."""
    texts = shown(finding.metric)
    return Lean(
        id=finding.id,
        anchor=f"{prefix}finding-{finding.id}",
        status=finding.status,
        why=_WHY.get(finding.status, ""),
        title=_words(finding, diagnosis)[0],
        support=count(finding.support.confirm),
        inside=texts.inside,
        outside=texts.outside,
        interval=texts.interval or "",
        p=p_text(finding.p_value),
        q=p_text(finding.q_value),
        proposed_by=", ".join(finding.proposed_by),
        rule=clipped(finding.rule.text, 400),
    )


_WHY = {
    "confirmed": "Confirmed on held-out rows.",
    "rejected": "No difference shown on held-out rows.",
    "seen": "Seen at a later look: only fresh rows can confirm it.",
    "circular": "Its rule reads what the model says and could not be turned into one that does not.",
    "untestable": "Too few rows or errors: no outcome of the test could have confirmed it.",
    "suspected": "Suspected, not tested.",
    "undecided": "The data cannot tell.",
}


def p_text(p: float | None) -> str:
    """A p- or q-value as people write it."""
    if p is None:
        return "none"
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _words(finding: Finding, diagnosis: Diagnosis) -> tuple[str, str]:
    """The rule in words, and what was measured in words."""
    effect = sentence(finding, diagnosis.evaluation, style="effect")
    if diagnosis.evaluation is None:
        # Without the rows, the words that were found when the rows were there, cut where the numbers begin.
        begins = effect.partition(",")[0].partition(" (")[0]
        head, found, tail = finding.title.partition(f": {begins}")
        if found:
            return clipped(head, MOST_TITLE), begins + tail
    return clipped(title(finding, diagnosis.evaluation), MOST_TITLE), effect


def _size(finding: Finding, diagnosis: Diagnosis) -> str | None:
    total = diagnosis.run.rows.get("confirm")
    return percent(finding.support.confirm / total) if total else None


def _tally(finding: Finding, *, wrong: bool) -> int | None:
    """How many members are wrong, or right, on the confirm rows; None where it was not counted."""
    if not is_rate(finding.metric.name):
        return None
    for item in finding.evidence:
        if isinstance(item, Comparison):
            inside = sum(_whole(row.get("inside")) for row in item.rows)
            bad = sum(_whole(row.get("inside_wrong")) for row in item.rows)
            return bad if wrong else inside - bad
    return None


def _whole(value: object) -> int:
    return int(value) if isinstance(value, int | float) else 0


def _of_all(ids: Sequence[str], most: int, tally: int | None) -> str:
    n = min(len(ids), most)
    return f"{count(n)} of {count(tally)}" if tally is not None and tally > n else count(n)


def asides_of(finding: Finding, album: Album, noun: str, *, most: int, columns: Sequence[str]) -> tuple[Aside, ...]:
    """Examples with words of their own, which are not simply members; `columns` are those shown of the members."""
    found, shown_columns = [], tuple(dict.fromkeys((*finding.rule.columns, *columns)))
    for item in finding.evidence if most else ():
        if isinstance(item, Examples) and item.words and item.wrong:
            wrong = side_of_rows(item.wrong, shown_columns, item, album, most=most)
            beside = side_of_rows(item.right, shown_columns, item, album, most=most, beside=wrong)
            right = beside if item.right else None
            pictures = any(name in album.pictures for name in item.wrong)
            found.append(
                Aside(words=of_unit(item.words.rstrip("."), noun), wrong=wrong, right=right, pictures=pictures)
            )
    return tuple(found)


def strata_of(finding: Finding) -> tuple[Stratum, ...]:
    """Comparison: members and the rest, class by class."""
    lines = []
    for item in finding.evidence:
        if not isinstance(item, Comparison):
            continue
        for row in item.rows:
            inside, outside = _whole(row.get("inside")), _whole(row.get("outside"))
            if not inside:
                continue
            bad_in, bad_out = (_float(row.get(f"{side}_wrong")) for side in ("inside", "outside"))
            mean_in = bad_in / inside
            mean_out = bad_out / outside if outside else None
            if is_rate(finding.metric.name):
                rates = percents(mean_in, mean_out)
                texts = (f"{count(int(bad_in))} of {count(inside)}", f"{count(int(bad_out))} of {count(outside)}")
            else:
                rates = (number(mean_in), UNKNOWN if mean_out is None else number(mean_out))
                texts = (counted(inside, "row"), counted(outside, "row"))
            lines.append(
                Stratum(
                    name=clipped(str(row.get("stratum")), 60),
                    inside=texts[0],
                    inside_rate=rates[0],
                    outside=texts[1],
                    outside_rate=rates[1] if outside else "none to compare with",
                )
            )
    return tuple(lines)


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def tree_of(finding: Finding, metric: str, wording: Wording) -> Icicle | None:
    """TreePath: where the members lie in the error tree."""
    trees = [item for item in finding.evidence if isinstance(item, TreePath)]
    return icicle(trees[0], metric=metric, wording=wording) if trees else None


def heats_of(finding: Finding, wording: Wording) -> tuple[Heat, ...]:
    """Heatmap: the metric over the rule's columns."""
    found = [heat(item, wording=wording, rule=finding.rule) for item in finding.evidence if isinstance(item, Heatmap)]
    return tuple(item for item in found if item is not None)


def remaining_of(finding: Finding) -> tuple[str, ...]:
    """Statistic "remaining": what is left without the rows of better findings."""
    return tuple(
        item.words or f"Without the rows of better findings the difference is {_statistic(item, finding)}."
        for item in finding.evidence
        if isinstance(item, Statistic) and item.name == "remaining"
    )


def statistics_of(finding: Finding) -> tuple[str, ...]:
    """The Predicate and every other Statistic, as sentences."""
    predicates = tuple(item.words for item in finding.evidence if isinstance(item, Predicate) and item.words)
    return predicates + tuple(
        item.words or f"{capitalised(item.name)}: {UNKNOWN if item.value is None else number(item.value)}."
        for item in finding.evidence
        if isinstance(item, Statistic) and item.name != "remaining"
    )


def _statistic(item: Statistic, finding: Finding) -> str:
    if item.value is None:
        return UNKNOWN
    return f"{100 * item.value:.0f} points" if is_rate(finding.metric.name) else number(item.value)


def codes_of(finding: Finding, diagnosis: Diagnosis) -> tuple[Code, ...]:
    """The predicate to copy: as text, as SQL, as a line of Python."""
    rule = finding.rule
    native = diagnosis.evaluation.dataset.native if diagnosis.evaluation is not None else None
    if isinstance(rule, Where):
        return (_code("Rule", rule.text), *_runnable(rule, native))
    roughly = [Where.parse(item.where) for item in finding.evidence if isinstance(item, Predicate) and item.where]
    codes = [code for where in roughly for code in (_code("Roughly", where.text), *_runnable(where, native))]
    return (_code("Rule", rule.text), *codes)


def _runnable(where: Where, native: str | None) -> tuple[Code, Code]:
    return (
        _code("SQL", f"SELECT * FROM data\nWHERE {where.sql()}"),
        _code("Python", where.python(native or "pandas")),
    )


def _code(name: str, text: str) -> Code:
    return Code(name=name, text=clipped(text, MOST_CODE), cut=len(text) > MOST_CODE)


def tests_of(finding: Finding, told: Numbers, *, noun: str) -> tuple[Test, ...]:
    """How a finding was tested, q-value last."""
    support = finding.support
    rows = f"{count(support.explore)} rows to find it, {count(support.confirm)} held-out rows to confirm it"
    if finding.test == "cross-confirmation":
        rows = f"{count(support.confirm)} rows, by rules found without them; {count(support.explore)} by the rule shown"
    elif not support.explore:  # a class across folds: all its rows confirm
        rows = f"{count(support.confirm)} held-out rows to confirm it"
    if support.groups is not None:
        rows += f", in {counted(support.groups, 'group')}"
    interval = "" if told.shown.interval is None else f"{told.shown.interval}, at level {told.shown.level}"
    by = listed(finding.proposed_by)
    lines = [
        ("Compared with", of_unit(finding.baseline, noun)),
        ("Members", of_unit(rows, noun)),
        ("Test", finding.test or "none applies"),
        ("Within", "no strata" if finding.strata == "none" else f"each {finding.strata}"),
        ("Interval of the difference", interval),
        ("p-value", p_text(finding.p_value)),
        ("q-value", f"{p_text(finding.q_value)}, among the proposals of the family “{finding.family}”"),
        ("Proposed by", by),
        ("Id", finding.id),
    ]
    return tuple(Test(name=name, text=text) for name, text in lines if text)
