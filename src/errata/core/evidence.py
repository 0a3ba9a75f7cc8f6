"""Evidence: tagged records, data only; how they look is the report's business."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from errata.core.columns import Level

__all__ = ["Caption", "Comparison", "Evidence", "Examples", "Heatmap", "Map", "Predicate", "Statistic", "TreePath"]


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
    words   what they show where they are not simply members: "the hardest and the easiest along ..."
    """

    wrong: tuple[str, ...]
    right: tuple[str, ...]
    values: Mapping[str, Mapping[str, Level | None]] = field(default_factory=dict)
    saw: Mapping[str, Mapping[str, Level | None]] = field(default_factory=dict)
    words: str = ""


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


@dataclass(frozen=True, kw_only=True)
class Map:
    """Held-out rows in a plane of an embedding: across, from the rest to the members; up, the widest other direction.

    column  the embedding
    x, y    (m,) places of the rows shown, members first among equals where there are too many
    wrong   (m,) whether the row is wrong, or lies in the upper fifth of the loss
    member  (m,) whether it belongs to the finding
    ids     (m,) which rows they are
    """

    column: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    wrong: tuple[bool, ...]
    member: tuple[bool, ...]
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Predicate:
    """A predicate that selects nearly the rows of a finding whose own rule is none; fitted on explore rows.

    where       its text, None where no predicate captures the finding
    precision   share of the confirm rows it selects that belong to the finding, None where it selects none
    recall      share of the finding's confirm rows that it selects
    rows        how many confirm rows it selects
    inside ...  its own effect on confirm rows, as in `Effect`: rates in [0, 1] or mean losses
    words       one or two sentences for people
    """

    where: str | None
    precision: float | None = None
    recall: float | None = None
    rows: int | None = None
    inside: float | None = None
    outside: float | None = None
    difference: float | None = None
    interval: tuple[float, float] | None = None
    interval_level: float | None = None
    words: str = ""


@dataclass(frozen=True, kw_only=True)
class Caption:
    """Words that mark a finding's texts against the other texts of its classes, on explore rows; no proof.

    words  the clearest first: {"text", "score" (log odds ratio in standard deviations), "inside", "outside" (shares of
           texts that have it)}
    """

    words: tuple[Mapping[str, Level | None], ...]


Evidence = Caption | Comparison | Examples | Heatmap | Map | Predicate | Statistic | TreePath
