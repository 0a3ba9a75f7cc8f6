"""Lists of suspected labels in words: how many, how many of them are expected or were found to be wrong."""

from __future__ import annotations

from errata.core.evidence import Statistic
from errata.core.finding import Finding
from errata.core.ids import Ids

__all__ = ["label_outcome", "label_title"]


def label_title(rule: Ids) -> str:
    """The list alone: "74 labels in doubt"."""
    return f"{len(rule)} label{'' if len(rule) == 1 else 's'} in doubt"


def label_outcome(finding: Finding) -> str:
    """What is known of the list: what a review found, else what planted flips make us expect."""
    known = {item.name: item for item in finding.evidence if isinstance(item, Statistic)}
    review = known.get("reviewed")
    if review is not None and review.value is not None:
        rows = review.n or 0
        found = f"{round(review.value * rows)} of {rows} randomly drawn ones were found wrong{_span(review)}"
        ends = {"rejected": "most of the list is right", "undecided": "too few were looked at to tell"}
        return f"{found}; {ends[finding.status]}" if finding.status in ends else found
    expected = known.get("estimated precision")
    if expected is None or expected.value is None:
        return "nobody has looked at them yet"
    if expected.interval is None:
        return "how many of them are wrong cannot be told without looking at them"
    # Planted flips cannot tell a wrong label from a hard row: measured on reviews, the list was mostly of the latter.
    return (
        f"if wrong labels are random flips, about {100 * expected.value:.0f} % of them are wrong{_span(expected)}; "
        "hard rows look the same, and nobody has looked yet"
    )


def _span(statistic: Statistic) -> str:
    if statistic.interval is None:
        return ""
    low, high = statistic.interval
    return f" ({100 * low:.0f} to {100 * high:.0f} %)"
