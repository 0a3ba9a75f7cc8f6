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
    """

    alpha: float = 0.05
    proof: ProofKind | None = None
    multiplicity: Multiplicity = "bh"
    min_support: int | None = None
    min_difference: float = 0.0
    max_proposals: int = 100
    calibrate: bool = False

    def __post_init__(self) -> None:
        if self.proof is not None and self.proof not in KINDS:
            raise UsageError(f"`proof` is `{self.proof}`.", hint=nearest(str(self.proof), KINDS))
        if self.multiplicity not in MULTIPLICITIES:
            raise UsageError(
                f"`multiplicity` is `{self.multiplicity}`.", hint=nearest(self.multiplicity, MULTIPLICITIES)
            )

    def kind(self, evaluation: Evaluation) -> ProofKind:
        """As asked; else cross where fewer than 100 errors would confirm, unless the data say which rows confirm."""
        if self.proof is not None:
            return self.proof
        return "cross" if few_errors(evaluation) and evaluation.dataset.split is None else "split"
