"""What stands beside a finding before it is put into words: a predicate that can be run, and why it may fail there."""

from __future__ import annotations

from dataclasses import replace

from errata.core.columns import Bool
from errata.core.evaluation import Evaluation
from errata.core.finding import Finding
from errata.core.method import Job
from errata.describe.failure_types import with_failure_type
from errata.describe.predicate import apart, predicate_for

__all__ = ["with_reasons"]


def with_reasons(finding: Finding, evaluation: Evaluation, *, members: Bool, job: Job) -> Finding:
    """The finding with its `Predicate`, where its own rule is none, and with its failure type.

    members  (N,) bool over all rows of the evaluation
    """
    predicate = predicate_for(finding, evaluation, members=members)
    told = finding if predicate is None else replace(finding, evidence=(*finding.evidence, predicate))
    return with_failure_type(told, apart(evaluation), members=members, job=job)
