"""Which confirmed findings are shown in full: the best, and where these are few the sharpest that they cover."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from errata.core.diagnosis import Diagnosis
from errata.core.finding import Finding

__all__ = ["WORST", "confirmed_groups", "leading_findings", "notable_seen", "sharpest", "unfolded"]

WORST = 3
"""Findings of the first screen."""


def leading_findings(diagnosis: Diagnosis) -> list[Finding]:
    """What is shown in full, best first: the confirmed findings that are not folded under a better one.

    Where these are fewer than three, the sharpest of the folded ones fill up, so that one broad and weak finding does
    not hide them all. Where a later look confirms nothing, those that a first look would have confirmed.
    """
    return [*unfolded(diagnosis), *sharpest(diagnosis)] or notable_seen(diagnosis)


def confirmed_groups(diagnosis: Diagnosis) -> list[Finding]:
    """The confirmed findings but for lists of labels that a review confirmed, which are no groups that err more."""
    return [finding for finding in diagnosis.confirmed if finding.family != "labels"]


def unfolded(diagnosis: Diagnosis) -> list[Finding]:
    """The confirmed groups that are not folded under a better one; all where each is, as in a saved excerpt."""
    confirmed = confirmed_groups(diagnosis)
    return [finding for finding in confirmed if finding.folded_under is None] or confirmed


def sharpest(diagnosis: Diagnosis) -> list[Finding]:
    """Folded findings whose difference lies above that of what they are folded under, its uncertainty included.

    Those of the highest lower ends, each mostly of rows of its own.
    """
    leading = unfolded(diagnosis)
    by_id = {finding.id: finding for finding in leading}
    sharper = [finding for finding in diagnosis.confirmed if _stands_out(finding, by_id)]
    sharper.sort(key=lambda finding: -finding.metric.interval[0] if finding.metric.interval else 0.0)
    found: list[Finding] = []
    for finding in sharper:
        if len(leading) + len(found) >= WORST:
            break
        if not any(_overlap(finding, other, diagnosis) for other in found):
            found.append(finding)
    return found


def _stands_out(finding: Finding, leading: Mapping[str, Finding]) -> bool:
    above = leading.get(finding.folded_under or "")
    interval = finding.metric.interval
    return (
        above is not None and interval is not None
        and above.metric.difference is not None and interval[0] > above.metric.difference
    )  # fmt: skip


def _overlap(one: Finding, other: Finding, diagnosis: Diagnosis) -> bool:
    """Whether at least half of the rows of the smaller of two findings lie in the other."""
    first, second = (diagnosis.members.get(finding.id) for finding in (one, other))
    if first is None or second is None:
        return False
    return bool(2 * np.count_nonzero(first & second) >= min(np.count_nonzero(first), np.count_nonzero(second)))


def notable_seen(diagnosis: Diagnosis) -> list[Finding]:
    """What a later look shows and a first look would have confirmed, best first."""
    level = {item.family: item.alpha for item in diagnosis.run.families}
    return [
        finding
        for finding in diagnosis.findings
        if finding.status == "seen"
        and finding.q_value is not None
        and finding.q_value <= level.get(finding.family, diagnosis.run.alpha)
    ]
