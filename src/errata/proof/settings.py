"""How a run judges its proposals: the flags of the command line, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from errata.core.errors import UsageError, nearest
from errata.core.evaluation import Evaluation
from errata.proof.confirmation import few_errors
from errata.stats.multiplicity import MULTIPLICITIES, Multiplicity

__all__ = ["Proof", "ProofKind"]

ProofKind = Literal["split", "cross"]
KINDS: tuple[ProofKind, ...] = get_args(ProofKind)


@dataclass(frozen=True, kw_only=True)
class Proof:
    """How proposals are judged; see proof.md. Fields are the command line's flags.

    proof         "split" into explore and confirm rows, "cross" over five folds; None chooses by the number of errors
    multiplicity  "bh", "by", "holm" or "maxt"
    calibrate     rerun the search on permuted and on planted errors, and say what came of it

    Raises UsageError for values out of range.
    """

    alpha: float = 0.05
    proof: ProofKind | None = None
    multiplicity: Multiplicity = "bh"
    min_support: int | None = None
    min_difference: float = 0.0
    max_proposals: int = 100
    calibrate: bool = False

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 1.0:
            raise UsageError(
                f"`alpha` is `{self.alpha}`.", hint="a share of false findings between 0 and 1, such as 0.05."
            )
        if self.min_support is not None and self.min_support < 1:
            raise UsageError(f"`min_support` is `{self.min_support}`.", hint="a number of rows (or groups) from 1 on.")
        if not self.min_difference >= 0.0:
            raise UsageError(f"`min_difference` is `{self.min_difference}`.", hint="0 or more, in the metric's unit.")
        if self.max_proposals < 1:
            raise UsageError(f"`max_proposals` is `{self.max_proposals}`.", hint="1 or more.")
        if self.proof is not None and self.proof not in KINDS:
            raise UsageError(f"`proof` is `{self.proof}`.", hint=nearest(str(self.proof), KINDS))
        if self.multiplicity not in MULTIPLICITIES:
            raise UsageError(
                f"`multiplicity` is `{self.multiplicity}`.", hint=nearest(self.multiplicity, MULTIPLICITIES)
            )

    def check(self, evaluation: Evaluation) -> None:
        """Raise UsageError for settings that no evaluation of this metric can meet."""
        if evaluation.binary_loss and self.min_difference >= 1.0:
            raise UsageError(
                f"`min_difference` is `{self.min_difference:g}`, and error rates differ by less than 1.",
                hint="0.02 is two points.",
            )

    def kind(self, evaluation: Evaluation) -> ProofKind:
        """As asked; else cross where fewer than 100 errors would confirm, unless the data say which rows confirm."""
        if self.proof is not None:
            return self.proof
        return "cross" if few_errors(evaluation) and evaluation.dataset.split is None else "split"
