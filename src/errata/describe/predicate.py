"""A predicate that anyone can run, for slices whose own rule only a program can read: what it catches, and its lift."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from errata.core.columns import Bool, Float
from errata.core.embedded import Embedded
from errata.core.evaluation import CONFIRM, EXPLORE, Evaluation
from errata.core.evidence import Predicate
from errata.core.finding import Effect, Finding
from errata.core.rules import Where
from errata.core.slices import Rule
from errata.describe.numbers import is_rate, percent, shown, unit_noun
from errata.describe.sentences import versus
from errata.describe.wording import Wording
from errata.ops.conjunctions import imitate
from errata.proof.effect import measure
from errata.proof.sample import grounds

__all__ = ["apart", "predicate_for"]

MOST_ROWS = 10_000
"""Explore rows that the predicate is fitted on: more move its cuts by less than people would round them."""

MOST_OTHERS = 0.5
"""Share of the comparable rows outside the finding that its predicate may select (ours)."""

LEVEL = 0.95
"""Of the interval where the finding has none of its own."""


FITTED = 3
"""Of the five folds of a cross-confirmation, whose rows all confirm: as many choose the words, the others count."""


def apart(evaluation: Evaluation) -> Evaluation:
    """The evaluation with rows to choose words on and rows to count them on; itself, where rows were split."""
    if evaluation.cross is None:
        return evaluation
    fold = np.where(evaluation.fold != CONFIRM, evaluation.fold, np.where(evaluation.cross < FITTED, EXPLORE, CONFIRM))
    return replace(evaluation, fold=fold.astype(evaluation.fold.dtype), cross=None)


def predicate_for(finding: Finding, evaluation: Evaluation, *, members: Bool) -> Predicate | None:
    """The predicate that selects nearly the members of a finding; None where its own rule is one.

    Fitted on explore rows over measured attributes, metadata, n-grams and the label, never over the model's output; of
    the fit, half of the rows that it or the finding selects must be selected by both, and at most half of the others
    that the finding is kept to (such as those of its class) by it, else `where` is None. Precision, recall and lift are
    of confirm rows, which had no part in choosing it, with the rates of proof.md section 4. Of a cross-confirmation
    three folds choose and two count, without the lift: all rows had a part in the rule that is imitated.

    members  (N,) bool over all rows of the evaluation
    """
    if isinstance(finding.rule, Where) or finding.rule.kind == "ids":
        return None
    explore = apart(evaluation).explore()
    explore = explore.take(np.arange(0, len(explore), max(1, -(-len(explore) // MOST_ROWS))))
    inside = np.asarray(explore.of(members), dtype=bool)
    where = imitate(inside, explore)
    noun = unit_noun(evaluation.dataset.modality)
    if where is None or not _tells_apart(where, inside, finding.rule, explore):
        return Predicate(
            where=None,
            words=f"No predicate over measured attributes and columns selects these {noun}: look at them below.",
        )
    return _scored(where, finding, evaluation, members)


def _tells_apart(where: Where, inside: Bool, rule: Rule, explore: Evaluation) -> bool:
    """Whether a predicate leaves out at least half of the comparable rows that do not belong.

    Members that are half of their class are met by "labelled 8" alone, which says nothing of them.
    """
    given = rule.given if isinstance(rule, Embedded) else None
    others = ~inside if given is None else ~inside & np.asarray(given.members(explore), dtype=bool)
    chosen = np.asarray(where.members(explore), dtype=bool)
    return int((chosen & others).sum()) <= MOST_OTHERS * int(others.sum())


def _scored(where: Where, finding: Finding, evaluation: Evaluation, members: Bool) -> Predicate:
    kinds = grounds(apart(evaluation))
    sample = kinds.get(finding.family, kinds["errors"]).confirm
    whole = evaluation if evaluation.rows is None else evaluation.take(np.arange(len(evaluation.fold)))
    chosen = np.asarray(where.members(whole), dtype=bool)[sample.rows]
    wanted = members[sample.rows]
    both, rows = int((chosen & wanted).sum()), int(chosen.sum())
    found = measure(sample, chosen)
    level = finding.metric.interval_level or LEVEL
    usable = bool(found.difference.used) and evaluation.cross is None
    limits = found.interval(level) if usable else None
    finite = limits is not None and bool(np.isfinite([limits.lower, limits.upper]).all())
    effect = Effect(
        name=evaluation.metric,
        inside=found.difference.inside if usable else None,
        outside=found.difference.outside if usable else None,
        difference=found.difference.difference if usable else None,
        interval=(limits.lower, limits.upper) if limits is not None and finite else None,
        interval_level=level if finite else None,
    )
    precision = both / rows if rows else None
    recall = both / int(wanted.sum()) if wanted.any() else None
    return Predicate(
        where=where.text, precision=precision, recall=recall, rows=rows, inside=effect.inside, outside=effect.outside,
        difference=effect.difference, interval=effect.interval, interval_level=effect.interval_level,
        words=_words(where, effect, precision, recall, evaluation, _plain(whole.loss[sample.rows], chosen)),
    )  # fmt: skip


def _plain(loss: Float, inside: Bool) -> float | None:
    """The metric of all others, without giving their classes the weights that they have inside."""
    return None if inside.all() else float(loss[~inside].mean())


def _words(
    where: Where, effect: Effect, precision: float | None, recall: float | None, evaluation: Evaluation,
    plain: float | None,
) -> str:  # fmt: skip
    wording = Wording(evaluation)
    head = f"As a predicate, roughly: {wording.title(where)}."
    if precision is None or recall is None:
        return f"{head} It selects no held-out row of this group."
    caught = f"It selects {percent(recall)} of this group, and {percent(precision)} of what it selects belongs to it"
    if effect.difference is None:
        return f"{head} {caught}."
    texts = shown(effect)
    interval = f" ({texts.level} interval of the difference {texts.interval})" if texts.interval else ""
    wrong = " wrong" if is_rate(effect.name) else ""
    others = wording.subject(where).others
    of = versus(effect, plain, wording.unit_noun) if others is None else f"among {others}"
    return f"{head} {caught}. By itself: {texts.inside}{wrong}, against {texts.outside} {of}{interval}."
