"""Evidence: tagged records, data only; how they look is the report's business."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from errata.core.columns import Level

__all__ = ["Comparison", "Evidence", "Examples", "Heatmap", "Statistic", "TreePath"]


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """One number with its name, such as what remains of a difference without the better findings.

    name      what it is, a stable word ("remaining")
    value     None where the data cannot tell
    interval  (low, high) or None
    n         how many rows it rests on
    words     one sentence for people
    """

    name: str
    value: float | None
    interval: tuple[float, float] | None = None
    n: int | None = None
    words: str = ""


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Rows to look at, by id: members that are wrong beside members that are right.

    values  what is shown of each row: {id: {column: value}}
    saw     the value that the model's last step saw, where a pipeline changed it: {id: {column: value}}
    """

    wrong: tuple[str, ...]
    right: tuple[str, ...]
    values: Mapping[str, Mapping[str, Level | None]] = field(default_factory=dict)
    saw: Mapping[str, Mapping[str, Level | None]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Counts of members and of the rest side by side, per class where the test is stratified by class.

    rows  one per stratum: {"stratum", "inside", "inside_wrong", "outside", "outside_wrong"}
    """

    rows: tuple[Mapping[str, Level | None], ...]


@dataclass(frozen=True, kw_only=True)
class Heatmap:
    """A metric over one or two features.

    columns  one or two column names
    labels   for each column the name of each bin, in order
    count    rows in each cell, row-major over `labels`
    value    the metric in each cell, None where empty
    member   share of each cell's rows that belong to the finding, None without a finding
    among    the rule that chose the rows counted, "" for all rows
    """

    columns: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    metric: str
    count: tuple[int, ...]
    value: tuple[float | None, ...]
    member: tuple[float | None, ...] | None = None
    overall: float | None = None
    among: str = ""


@dataclass(frozen=True, kw_only=True)
class TreePath:
    """Where a finding's members lie in the error tree.

    nodes  every node of the tree: {"id", "parent", "text", "n", "wrong", "members"}; counts are of held-out rows
    """

    nodes: tuple[Mapping[str, Level | None], ...]


Evidence = Statistic | Examples | Comparison | Heatmap | TreePath
