"""The order of findings after testing: best first, covered ones folded, what remains of each without the better.

Nothing is dropped here and no p-value changes: the last paragraph of section 3 of docs/proof.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from errata.core.evidence import Statistic
from errata.core.finding import Finding
from errata.proof.effect import measure
from errata.proof.judged import Judged

__all__ = ["best_first", "folded"]

Bool = NDArray[np.bool_]

COVERED = 0.5
_RANK = ("confirmed", "seen", "suspected", "undecided", "rejected", "circular", "untestable")


def best_first(findings: Sequence[Finding]) -> list[Finding]:
    """Confirmed findings by share of errors, then the others by status, the most significant first."""

    def key(finding: Finding) -> tuple[float, ...]:
        share = -(finding.share_of_errors or 0.0)
        p = 1.0 if finding.p_value is None else finding.p_value
        good = finding.status in ("confirmed", "seen")
        return (_RANK.index(finding.status), *((share, p) if good else (p, share)))

    return sorted(findings, key=lambda finding: (*key(finding), int(finding.id, 16)))


def folded(findings: Sequence[Finding], judged: Mapping[str, Judged], *, alpha: float) -> list[Finding]:
    """Confirmed findings (best first) folded under better ones that cover them, each with what remains of it."""
    told: list[Finding] = []
    better: list[Finding] = []
    covered: Bool | None = None
    for finding in findings:
        if finding.status != "confirmed":
            told.append(finding)
            continue
        own = judged[finding.id]
        if covered is not None:
            under = _covering(own.member, covered, better, judged)
            finding = replace(  # noqa: PLW2901
                finding, folded_under=under, evidence=(*finding.evidence, _remaining(own, covered, level=1.0 - alpha))
            )
        told.append(finding)
        better.append(finding)
        covered = own.member if covered is None else covered | own.member
    return told


def _covering(member: Bool, covered: Bool, better: Sequence[Finding], judged: Mapping[str, Judged]) -> str | None:
    """The id of the better finding that this one is folded under, itself not folded; None where it stands alone."""
    common = np.array([np.count_nonzero(member & judged[other.id].member) for other in better])
    theirs = np.array([np.count_nonzero(judged[other.id].member) for other in better])
    inside = np.count_nonzero(member & covered) >= COVERED * np.count_nonzero(member)
    if not inside and not (common >= COVERED * theirs).any():
        return None
    nearest = better[int(np.argmax(common))]
    return nearest.folded_under or nearest.id


def _remaining(own: Judged, covered: Bool, *, level: float) -> Statistic:
    sample = own.ground.confirm.without(covered)
    left = own.member[~covered]
    members = int(left.sum())
    measurement = measure(sample, left)
    difference = measurement.difference.difference
    if members == 0 or not np.isfinite(difference):
        words = "No member with comparable rows lies outside the better findings."
        return Statistic(name="remaining", value=None, n=members, words=words)
    interval = measurement.interval(level)
    finite = np.isfinite([interval.lower, interval.upper]).all()
    size = f"{100 * difference:.0f} points" if sample.binary else f"{difference:.3g}"
    return Statistic(
        name="remaining", value=difference, n=members, interval=(interval.lower, interval.upper) if finite else None,
        words=f"Without the rows of the better findings a difference of {size} remains, over {members} rows.",
    )  # fmt: skip
