"""Order and folding on findings whose members are given."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from errata.confirm import confirm
from errata.core.finding import Finding
from errata.core.rules import Where
from errata.core.slices import Slice
from errata.proof.judged import Judged, judge
from errata.proof.order import best_first, folded
from errata.proof.sample import grounds
from errata.proof.settle import gather
from errata.testing import null

EV = null("iid", n=2_000).evaluation()


def finding(index: int, **more: Any) -> Finding:
    rule = Where.parse(f"age > {index}")
    known = confirm([Slice(rule=Where.parse("age > 40"))], replace(EV, loss=(ages() > 40).astype(float))).findings[0]
    return replace(known, id=f"{index:08x}", rule=rule, evidence=(), **more)


def ages() -> np.ndarray:
    return np.asarray(EV.dataset.table.column("age").values)


def test_best_first() -> None:
    rejected = finding(1, status="rejected", p_value=0.2, share_of_errors=0.9)
    closer = finding(2, status="rejected", p_value=0.1, share_of_errors=0.1)
    small = finding(3, status="confirmed", p_value=1e-9, share_of_errors=0.1)
    large = finding(4, status="confirmed", p_value=1e-3, share_of_errors=0.3)
    tie = finding(5, status="confirmed", p_value=1e-4, share_of_errors=0.3)
    untestable = finding(6, status="untestable", p_value=None)
    circular = finding(7, status="circular", p_value=None)
    mixed = [untestable, rejected, small, circular, large, closer, tie]
    assert [f.id[-1] for f in best_first(mixed)] == ["5", "4", "3", "2", "1", "7", "6"]
    assert best_first(mixed[::-1]) == best_first(mixed)


def with_members(*members: np.ndarray) -> dict[str, Judged]:
    """Judged proposals whose members among confirm rows are put in by hand."""
    kinds = grounds(EV)
    proposal = gather([Slice(rule=Where.parse("age > 40"))], EV, kinds)[0]
    one = judge(proposal, kinds["errors"], rows=len(EV.fold), alpha=0.05, min_difference=0.0)
    return {f"{index:08x}": replace(one, member=member) for index, member in enumerate(members)}


def span(start: int, stop: int) -> np.ndarray:
    place = np.arange(len(grounds(EV)["errors"].confirm))
    return (place >= start) & (place < stop)


@pytest.mark.parametrize(
    ("spans", "under"),
    [
        # half of its members in the better one, or half of the better one's members in it
        ([(0, 200), (100, 300)], [None, 0]),
        ([(0, 200), (101, 301)], [None, None]),
        ([(0, 100), (50, 400)], [None, 0]),
        ([(0, 100), (51, 400)], [None, None]),
        # half lies in the two better ones together
        ([(0, 100), (200, 300), (60, 240)], [None, None, None]),
        ([(0, 100), (200, 300), (50, 240)], [None, None, 0]),
        # under what is open itself: the third covers the second, which is folded under the first
        ([(0, 200), (100, 300), (205, 300)], [None, 0, 0]),
    ],
)
def test_folding(spans: list[tuple[int, int]], under: list[int | None]) -> None:
    judged = with_members(*(span(*bounds) for bounds in spans))
    findings = [finding(index, status="confirmed") for index in range(len(spans))]
    told = folded(findings, judged, alpha=0.05)
    assert [f.folded_under for f in told] == [None if u is None else f"{u:08x}" for u in under]


def test_only_confirmed_findings_fold_and_cover() -> None:
    judged = with_members(span(0, 200), span(0, 200), span(0, 200))
    statuses = ("rejected", "confirmed", "rejected")
    findings = [finding(index, status=status) for index, status in enumerate(statuses)]
    told = folded(findings, judged, alpha=0.05)
    assert [f.folded_under for f in told] == [None, None, None]
    assert [len(f.evidence) for f in told] == [0, 0, 0]


def test_nothing_remains_of_what_is_covered_whole() -> None:
    judged = with_members(span(0, 200), span(50, 100))
    told = folded([finding(0, status="confirmed"), finding(1, status="confirmed")], judged, alpha=0.05)
    remaining = told[1].evidence[-1]
    assert (remaining.value, remaining.n) == (None, 0)  # type: ignore[union-attr]
