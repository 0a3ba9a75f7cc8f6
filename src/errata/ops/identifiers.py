"""Features that only name rows are set aside: a rule over them says nothing about other rows."""

from __future__ import annotations

from errata.core.dataset import SetAside
from errata.core.evaluation import Evaluation
from errata.core.identifiers import identifier_reason

__all__ = ["identifiers"]


def identifiers(evaluation: Evaluation) -> tuple[SetAside, ...]:
    """Features that only name rows, the label excepted: `errata.core.identifiers.identifier_reason` says which."""
    table = evaluation.dataset.table
    reasons = {
        name: identifier_reason(name, table.column(name))
        for name in evaluation.features if name != evaluation.dataset.label
    }  # fmt: skip
    return tuple(SetAside(column=name, why=why) for name, why in reasons.items() if why is not None)
