"""A finding: a slice with the evidence that judged it, caveats and history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from errata.core.evidence import Evidence
from errata.core.slices import Rule

__all__ = ["Effect", "Event", "Family", "Finding", "Status", "Support"]

Status = Literal["confirmed", "rejected", "seen", "circular", "untestable", "suspected", "undecided"]
Family = Literal["errors", "class rates", "regions", "labels", "robustness"]


@dataclass(frozen=True, kw_only=True)
class Support:
    """How many rows (copies once) satisfy the rule; `groups` are the member groups among confirm rows."""

    explore: int
    confirm: int
    groups: int | None = None


@dataclass(frozen=True, kw_only=True)
class Effect:
    """The metric inside and outside on confirm rows, as proof.md section 4 defines them.

    inside, outside  rates in [0, 1], or mean losses; None where it cannot be computed
    difference       inside - outside
    interval         (low, high) at `interval_level`
    """

    name: str
    inside: float | None
    outside: float | None
    difference: float | None
    interval: tuple[float, float] | None
    interval_level: float | None


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to a finding; the list is only ever appended to."""

    what: str
    when: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A proposal that was judged. `status` says how it ended; only "confirmed" is a confirmed error.

    id               stable: rule and claim decide it
    metric           inside against outside on confirm rows
    test             name of the test, None where none applies
    baseline         what members are compared with, in words
    strata           "class", "class x group", "fifth of the target" or "none"
    p_value, q_value None where untestable or circular
    folded_under     id of the better finding that covers this one
    share_of_errors  share of all errors (or of all loss) on confirm rows that lie inside
    examples         ids of confirm rows to look at, wrong ones first
    """

    id: str
    status: Status
    title: str
    claim: str
    family: Family
    rule: Rule
    proposed_by: tuple[str, ...]
    support: Support
    metric: Effect
    test: str | None
    baseline: str
    strata: str
    p_value: float | None
    q_value: float | None
    failure_type: str | None = None
    folded_under: str | None = None
    share_of_errors: float | None = None
    examples: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    caveats: tuple[str, ...] = ()
    history: tuple[Event, ...] = ()

    @property
    def confirmed(self) -> bool:
        return self.status == "confirmed"

    def __repr__(self) -> str:
        return f"<Finding {self.id}, {self.status}: {self.title or self.rule.text}>"

    def _repr_html_(self) -> str:
        from errata.report.notebook import finding_html

        return finding_html(self)
