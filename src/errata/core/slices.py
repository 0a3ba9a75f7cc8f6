"""A slice: a rule, what is claimed of its members, and who proposed it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from errata.core.columns import Bool, Columns
from errata.core.evidence import Evidence

__all__ = ["ERRS_MORE", "MISLABELLED", "Rule", "Slice", "claim_for"]

ERRS_MORE = "errs more often than the rest"
MISLABELLED = "mislabelled"
"""The claim of a list of suspects (`Ids`): judged by people, not by a test."""

_CLAIMS = {
    "error": ERRS_MORE,
    "false-positive": "is taken for the positive class more often than the rest",
    "false-negative": "is missed more often than the rest",
    "loss": "has a higher loss than the rest",
    "absolute-error": "is further off than the rest",
}


def claim_for(metric: str) -> str:
    """What a slice claims under a metric."""
    return _CLAIMS[metric]


class Rule(Protocol):
    """Who belongs: a test over named columns that applies to rows its proposer never saw."""

    @property
    def kind(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def columns(self) -> tuple[str, ...]: ...
    def members(self, columns: Columns) -> Bool: ...
    def to_json(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, kw_only=True)
class Slice:
    """A proposal: nothing in it is proven.

    rule         who belongs
    claim        what is said of the members; see `claim_for`
    proposed_by  names of the methods, first proposer first
    evidence     what the proposer shows of it, from explore rows
    independent  the same slice without the model's output, fitted on explore, where `rule` reads it: what is tested
    """

    rule: Rule
    claim: str = ERRS_MORE
    proposed_by: tuple[str, ...] = ()
    independent: Rule | None = None
    evidence: tuple[Evidence, ...] = field(default=(), compare=False)

    def also(self, other: Slice) -> Slice:
        """The same slice, proposed by others too: what they show of it stands beside what is shown already."""
        return replace(
            self, proposed_by=tuple(dict.fromkeys((*self.proposed_by, *other.proposed_by))),
            evidence=(*self.evidence, *(shown for shown in other.evidence if shown not in self.evidence)),
        )  # fmt: skip

    @property
    def id(self) -> str:
        """Eight hexadecimal digits that rule and claim alone decide."""
        return hashlib.blake2b(f"{self.rule.kind}|{self.rule.text}|{self.claim}".encode(), digest_size=4).hexdigest()
