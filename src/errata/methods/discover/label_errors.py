"""Label errors: rows whose given label the other rows do not believe."""

from __future__ import annotations

import math
from dataclasses import dataclass

from errata.core.columns import Level
from errata.core.evaluation import Evaluation
from errata.core.method import Job, check_range, method
from errata.core.slices import MISLABELLED, Slice
from errata.ops.labels.suspects import suspects

__all__ = ["LabelErrors"]

ALPHA = 0.05
"""Expected share of right labels in the list of explore rows; the list of the run is made at the run's own alpha."""


@method(needs={"label", "classification", "embedding"}, cite="Northcutt, Jiang, Chuang, JAIR 2021", tested=False)
@dataclass(frozen=True, kw_only=True)
class LabelErrors:
    """Rows whose given label is unlikely by everything that did not see it: other rows, and a held-out model.

    Each row's class is predicted from all other rows, by a ridge regression on the embedding and by the vote of its
    neighbours; where the model's scores are held-out or out-of-fold, they are heard too. The three are pooled with
    weights that make the given labels most likely, which calibrates P(given label | x) and ranks the rows. Then labels
    are flipped at random and judged in the same way: the list is the longest one in which, beside the flips, at most a
    share alpha of the labels is expected to be right. On clean data it is empty.

    It is a list of suspects and no finding: what is proposed here for explore rows is made again for all rows by
    `confirm`, ends as `suspected` with a precision estimated by planting flips, and is confirmed by people who look at
    a random sample of it (`errata.review_labels`).

    embeddings  names of embedding columns with spaces between; "" for all that are independent of the model, and its
                own where it had not seen the labels
    neighbours  rows that vote; 10 (ours)
    wide        the longest list whose mean P(given label | x) is at most alpha: mostly longer, with more right labels
                in it, because an odd row is as unlikely as a wrong label; empty where two classes are noisier than that
    faithful    list what confident learning counts off its diagonal, as published; goes before `wide`

    Raises UsageError for embeddings that are not there. Fails where classes overlap in every embedding: then labels
    that are right look as doubtful as wrong ones, and the list is short or empty.

    Reference: C. Northcutt, L. Jiang, I. Chuang, "Confident learning: estimating uncertainty in dataset labels",
    JAIR, 2021.
    """

    embeddings: str = ""
    neighbours: int = 10
    wide: bool = False
    faithful: bool = False

    def __post_init__(self) -> None:
        check_range(self, {"neighbours": (1, math.inf)})

    def run(self, evaluation: Evaluation, job: Job) -> list[Slice]:
        """One list of suspects, or nothing."""
        how: dict[str, Level] = {
            "embeddings": self.embeddings, "neighbours": self.neighbours,
            "list": "confident" if self.faithful else "given" if self.wide else "right",
            "seed": int(job.rng.integers(2**31)),
        }  # fmt: skip
        job.progress(0.1, "asking the other rows")
        found = suspects(evaluation, how, alpha=ALPHA)
        if found is None:
            return []
        return [Slice(rule=found.rule, claim=MISLABELLED, proposed_by=("label_errors",))]
