"""Which findings are shown in full."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from errata.describe.leading import leading_findings, sharpest
from errata.describe.sentences import verdict


@pytest.fixture
def covered(by_hand):
    """A broad and weak finding that covers four others: by name, with their intervals and members."""
    whole = by_hand.table_run()
    some = whole.confirmed[0]
    spans = {"broad": (0.01, 0.07), "sharp": (0.2, 0.3), "twin": (0.15, 0.3), "second": (0.1, 0.2), "dull": (0.02, 0.2)}
    findings, members = [], {}
    for at, (name, span) in enumerate(spans.items()):
        effect = replace(some.metric, difference=sum(span) / 2, interval=span)
        under = None if name == "broad" else "broad"
        findings.append(replace(some, id=name, metric=effect, folded_under=under))
        rows = np.zeros(len(whole.evaluation.fold), dtype=bool)
        rows[100 * (2 if name == "twin" else at + 1) :][:100] = True
        members[name] = rows
    members["broad"][:] = True
    return replace(whole, findings=tuple(findings), members=members)


def test_one_broad_finding_does_not_hide_what_stands_out_within_it(covered):
    assert [one.id for one in leading_findings(covered)] == ["broad", "sharp", "second"]
    assert verdict(covered).endswith("; sharper ones lie within it.")


def test_three_findings_are_enough(covered):
    free = replace(
        covered,
        findings=tuple(replace(one, folded_under=None) if one.id != "sharp" else one for one in covered.findings),
    )
    assert not sharpest(free)
    assert "within" not in verdict(free)
