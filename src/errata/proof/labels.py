"""Lists of suspected labels: how one is made for a run, and what a review by people makes of it: proof.md section 8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from errata.core.columns import Bool, Level
from errata.core.errors import UsageError
from errata.core.evaluation import CONFIRM, EXPLORE, Evaluation
from errata.core.evidence import Evidence, Examples, Statistic
from errata.core.finding import Effect, Event, Finding, Status, Support
from errata.core.ids import Ids
from errata.core.slices import MISLABELLED, Rule, Slice
from errata.ops.labels.noise import MOST_EXPLAINED, Estimate
from errata.ops.labels.suspects import Suspects, suspects
from errata.stats.intervals import clopper_pearson

__all__ = ["Answer", "Listed", "review_order", "reviewed", "suspected"]

Answer = Literal["wrong", "right", "unsure"]

SHOWN = 12
REVIEWED = "reviewed"
NOT_LOOKED_AT = (
    "suspected: nobody has looked at these labels yet; the review of a random sample of the list confirms it"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Listed:
    """Findings of the family `labels`, and their members (N,) among all rows by the finding's id."""

    findings: tuple[Finding, ...]
    members: Mapping[str, Bool]


def suspected(proposals: Sequence[Slice], evaluation: Evaluation, *, alpha: float) -> Listed:
    """The lists of suspects among some proposals, made again for all rows: each ends as `suspected`.

    A proposal's list holds explore rows, because methods see no others; its rule says how it was made. Labels are
    judged by other rows, nothing is tested and correctness is not read, so that confirm rows may be listed as well.
    """
    findings: list[Finding] = []
    members: dict[str, Bool] = {}
    made_as: set[tuple[tuple[str, Level], ...]] = set()
    for proposal in proposals:
        if proposal.claim != MISLABELLED or not isinstance(proposal.rule, Ids):
            continue
        found, how = None, proposal.rule.how
        if how:
            # The five folds of a cross-confirmation list other rows, and all of them ask for the same list here.
            if tuple(sorted(how.items())) in made_as:
                continue
            made_as.add(tuple(sorted(how.items())))
            found = suspects(evaluation, how, alpha=alpha)
            if found is None:
                continue  # among all rows nothing is in doubt any more
        made = replace(proposal, rule=proposal.rule if found is None else found.rule)
        if made.id not in members:
            members[made.id] = made.rule.members(evaluation)
            findings.append(_finding(made, found, members[made.id], evaluation))
    return Listed(findings=tuple(findings), members=members)


def _finding(proposal: Slice, found: Suspects | None, member: Bool, evaluation: Evaluation) -> Finding:
    judged = {fold: (evaluation.fold == fold) & evaluation.counted for fold in (EXPLORE, CONFIRM)}
    held_out, loss = judged[CONFIRM], evaluation.loss
    total = float(loss[held_out].sum())
    return Finding(
        id=proposal.id, status="suspected", title="", claim=proposal.claim, family="labels", rule=proposal.rule,
        proposed_by=proposal.proposed_by,
        support=Support(explore=int((member & judged[EXPLORE]).sum()), confirm=int((member & held_out).sum())),
        metric=Effect(
            name=evaluation.metric, inside=_mean(loss[member & held_out]), outside=_mean(loss[~member & held_out]),
            difference=None, interval=None, interval_level=None,
        ),
        test=None, baseline="rows that are not listed", strata="none", p_value=None, q_value=None,
        share_of_errors=float(loss[member & held_out].sum()) / total if total > 0 else None,
        examples=_listed(proposal.rule)[:SHOWN], evidence=(*_evidence(found, evaluation), *proposal.evidence),
        caveats=(NOT_LOOKED_AT,),
    )  # fmt: skip


def _evidence(found: Suspects | None, evaluation: Evaluation) -> tuple[Evidence, ...]:
    """What planted flips say, and the most doubtful rows with the labels that the others would give them."""
    if found is None:
        return ()
    estimate, count = found.estimate, len(found.rule)
    precision = Statistic(
        name="estimated precision", value=estimate.precision, n=count,
        interval=None if estimate.right > MOST_EXPLAINED else (estimate.low, estimate.high),
        words=f"{_expected(estimate, count)} Rows that are hard or unusual look the same: only a review can tell them "
        "apart.",
    )  # fmt: skip
    recall = Statistic(
        name="planted flips found", value=estimate.found, n=estimate.planted,
        words=f"Of {estimate.planted} labels flipped at random, a list of such length holds "
        f"{100 * estimate.found:.0f} %; {found.judged} labels were judged.",
    )  # fmt: skip
    doubts = found.rule.doubts()
    values = {
        one: {
            "label": evaluation.classes[int(evaluation.labels[row])],
            "suggested": evaluation.classes[int(code)],
            "doubt": round(doubts[one], 4),
        }
        for one, row, code in zip(found.rule.ids[:SHOWN], found.rows, found.suggested, strict=False)
    }
    return precision, recall, Examples(wrong=found.rule.ids[:SHOWN], right=(), values=values)


def _expected(estimate: Estimate, count: int) -> str:
    """How many of the listed labels are wrong."""
    if estimate.right > MOST_EXPLAINED:
        would = min(count, round(estimate.right * count))
        return (
            f"How many of the {count} listed labels are wrong cannot be told by flips planted here: {would} would be "
            f"as doubtful if none were, which leaves about {100 * estimate.precision:.0f} %."
        )
    return (
        f"If wrong labels are random flips, about {100 * estimate.precision:.0f} % of the {count} listed labels "
        f"({100 * estimate.low:.0f} to {100 * estimate.high:.0f} %) are wrong, by comparison with flips planted here."
    )


def review_order(finding: Finding) -> tuple[str, ...]:
    """The listed ids in the random order in which they are reviewed; the finding's id alone decides it.

    A sample is a beginning of this order, so that nobody can choose what is looked at.
    """
    ids = sorted(_listed(finding.rule))
    order = np.random.default_rng(int(finding.id, 16)).permutation(len(ids))
    return tuple(ids[at] for at in order)


def reviewed(
    finding: Finding, answers: Mapping[str, Answer], *, when: str, alpha: float = 0.05, least: float = 0.5
) -> Finding:
    """The finding as a review of a random sample leaves it: `confirmed`, `rejected` or `undecided`.

    It is confirmed where the lower limit (Clopper and Pearson) of the share of wrong labels exceeds `least`, and
    rejected where the upper one lies below. Labels that reviewers are unsure of do not count as wrong. The k-th review
    of one list is judged at the one-sided level alpha / (k (k + 1)), so that reviewing on until it suits does not pay.

    answers  "wrong" (the given label is), "right" or "unsure" by id: for a beginning of `review_order(finding)`
    when     the moment of the review, for the history
    least    share of wrong labels that the list is said to exceed; one half: "most of these labels are wrong"

    Raises UsageError for rows that are not listed or were not drawn, for no answers, and for findings that are no list.
    """
    if finding.family != "labels":
        raise UsageError(f"The finding `{finding.id}` is no list of labels.", hint="review one of the family `labels`.")
    if not 0.0 < least < 1.0 or not 0.0 < alpha < 1.0:
        raise UsageError(f"`least` is `{least}` and `alpha` is `{alpha}`.", hint="both lie between 0 and 1.")
    order = review_order(finding)
    drawn = order[: len(answers)]
    strange = [one for one in answers if one not in frozenset(drawn)]
    if strange:
        raise UsageError(
            f"`{strange[0]}` is not among the first {len(answers)} rows that were drawn for review.",
            hint="answer every row of the file, and no others: a chosen sample proves nothing.",
        )
    if not answers:
        raise UsageError("No label was reviewed.", hint='write "wrong", "right" or "unsure" into the column `answer`.')
    turn = 1 + sum(event.what == REVIEWED for event in finding.history)
    tail = alpha / (turn * (turn + 1))
    wrong, rows = sum(answer == "wrong" for answer in answers.values()), len(answers)
    limits = clopper_pearson(wrong, rows, 1.0 - 2.0 * tail)
    # Where everything listed was looked at, the share of wrong labels is known.
    low, high = (wrong / rows, wrong / rows) if rows == len(order) else (limits.lower, limits.upper)
    status: Status = "confirmed" if low > least else "rejected" if high < least else "undecided"
    unsure = sum(answer == "unsure" for answer in answers.values())
    doubt = f" ({unsure} of them unsure, counted as right)" if unsure else ""
    words = (
        f"{wrong} of {rows} randomly drawn labels were found wrong{doubt}: between {100 * low:.0f} and "
        f"{100 * high:.0f} % of the {len(order)} listed ones."
    )
    told = Statistic(name=REVIEWED, value=wrong / rows, interval=(low, high), n=rows, words=words)
    kept = tuple(item for item in finding.evidence if not (isinstance(item, Statistic) and item.name == REVIEWED))
    return replace(
        finding, status=status, evidence=(told, *kept),
        caveats=tuple(caveat for caveat in finding.caveats if caveat != NOT_LOOKED_AT),
        history=(*finding.history, Event(what=REVIEWED, when=when, detail=words)),
    )  # fmt: skip


def _listed(rule: Rule) -> tuple[str, ...]:
    assert isinstance(rule, Ids), "the family `labels` holds lists of ids"
    return rule.ids


def _mean(loss: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float | None:
    return float(loss.mean()) if len(loss) else None
