"""Evidence: tagged records, data only; how they look is the report's business."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from errata.core.columns import Level

__all__ = [
    "Caption", "Comparison", "Evidence", "Examples", "Extremes", "Heatmap", "Map", "Predicate", "Rewording", "SplitLog",
    "SplitLoop", "Statistic", "TreePath",
]  # fmt: skip


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
    """Words that mark a finding's rows against the others of its classes; what they are like, no proof.

    of     "texts": words of the texts themselves, on explore rows; "images": phrases that fit the images, chosen on
           explore rows and scored again on confirm rows
    words  the clearest first; of texts {"text", "score" (log odds ratio in standard deviations), "inside", "outside"
           (shares of texts that have it)}; of images {"text", "score" (mean fit of members less that of the rest),
           "auc" (share of pairs of a member and another image of its class in which the member fits better), "low",
           "high" (95 % interval of it, for all phrases together), "members" (confirm rows that it rests on)}
    """

    words: tuple[Mapping[str, Level | None], ...]
    of: Literal["texts", "images"] = "texts"


@dataclass(frozen=True, kw_only=True)
class Rewording:
    """A finding's sentence as a language model put it; checked against the sentence, which stays the one that counts.

    words  one paragraph
    by     which model, and where
    """

    words: str
    by: str


@dataclass(frozen=True, kw_only=True)
class SplitLoop:
    """One outer loop of a search for a split: the metric in per cent, gap = validation - test, None where undefined.

    train_labels, test_labels  rows of each class on either side, in the order of `SplitLog.classes`
    """

    loop: int
    gap: float | None
    validation: float | None
    test: float | None
    train_labels: tuple[int, ...]
    test_labels: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class SplitLog:
    """A search of the explore rows for a split that fresh predictors do not generalise across, and its verdict.

    column      the embedding that was read
    metric      what the predictors are scored by: "accuracy", "roc_auc", "macro_f1"
    rows        how many explore rows were split
    loops       the outer loops in order; none where it was plain beforehand that there is nothing to look for
    best        place in `loops` of the one that was kept, None without loops
    systematic  the verdict
    gap, null_mean, null_limit
                what the verdict compares, with mean and 95 % quantile under the null: of the data, how many of 100
                failures look drawn whatever the input; of a frozen model, points between the error rates of the sides
    words       the verdict for people
    """

    column: str
    metric: str
    classes: tuple[Level, ...]
    rows: int
    loops: tuple[SplitLoop, ...] = ()
    best: int | None = None
    systematic: bool = False
    gap: float | None = None
    null_mean: float | None = None
    null_limit: float | None = None
    words: str = ""


@dataclass(frozen=True, kw_only=True)
class Extremes:
    """The hardest and the easiest explore rows of a class along a direction, judged by planes that did not see them.

    label        the class
    direction    its number among the directions of the class, from 1
    column       the embedding
    score        balanced accuracy of the planes in [0, 1]; .5 is chance
    rows, wrong  explore rows of the class, and how many of them are wrong
    hardest, easiest
                 ids, the most extreme first, whether right or wrong
    hardest_wrong, easiest_wrong
                 how many of those are wrong
    end          rows at either end that `differences` compares
    differences  the columns in which the two ends differ most: {"column", "level", "hardest", "easiest"}: means of
                 numbers (`level` is None), shares of one level of a category in [0, 1]
    values       what is shown of each row: {id: {column: value}}
    """

    label: Level
    direction: int
    column: str
    score: float
    rows: int
    wrong: int
    hardest: tuple[str, ...]
    easiest: tuple[str, ...]
    hardest_wrong: int
    easiest_wrong: int
    end: int = 0
    differences: tuple[Mapping[str, Level | None], ...] = ()
    values: Mapping[str, Mapping[str, Level | None]] = field(default_factory=dict)


Evidence = (
    Caption | Comparison | Examples | Extremes | Heatmap | Map | Predicate | Rewording | SplitLog | Statistic | TreePath
)
