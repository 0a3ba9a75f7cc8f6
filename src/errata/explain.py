"""What people look at to understand a finding: its rows, its place in the error tree, a heatmap of its columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from errata.core.atoms import And, Compare, OneOf
from errata.core.columns import Bool, Int, Level
from errata.core.embedded import Embedded
from errata.core.evaluation import CONFIRM, Evaluation
from errata.core.evidence import Caption, Evidence, Examples, Map
from errata.core.finding import Finding
from errata.core.method import Job
from errata.core.model import Transforms
from errata.core.rules import Where
from errata.describe.predicate import apart
from errata.methods.discover.error_tree import ErrorTree, Tree, tree_evidence
from errata.methods.explain.error_heatmap import ErrorHeatmap
from errata.ops.marking_words import marking_words
from errata.ops.vectors.plane import plane

__all__ = ["error_tree", "explain", "heatmap"]

EXAMPLES = 12
"""Rows shown of each kind, wrong and right: enough to see a pattern, few enough to look at."""

COLUMNS_SHOWN = 12
MOST_TEXT = 1_000
"""Characters of a text that are kept with a finding; the rows hold all of it."""

READ = 20_000
"""Texts read for the words that mark a finding."""

MAPPED = 600
"""Rows drawn in the map of an embedding."""


def explain(finding: Finding, evaluation: Evaluation, *, members: Bool, job: Job) -> tuple[Evidence, ...]:
    """The evidence to look at for one finding, all of it drawn from confirm rows.

    members  (N,) bool over all rows of the evaluation
    """
    shown: list[Evidence] = [examples(evaluation, finding.rule.columns, members=members, job=job)]
    columns = [name for name in finding.rule.columns if name in evaluation.features]
    if columns and isinstance(finding.rule, Where):
        shown += _where_wrong(evaluation, columns, finding.rule, job=job)
    if isinstance(finding.rule, Embedded):
        shown.append(embedding_map(evaluation, finding.rule, members=members))
    if evaluation.dataset.text is not None:
        shown += words_of(evaluation, members=members)
    tree = _grown(evaluation, job)
    if tree is not None:
        held_out = evaluation.part(CONFIRM)
        shown.append(tree_evidence(tree, held_out, np.asarray(held_out.of(members), dtype=bool)))
    return tuple(shown)


def embedding_map(evaluation: Evaluation, rule: Embedded, *, members: Bool) -> Map:
    """Held-out rows in a plane of the embedding that a rule reads; at most `MAPPED` of them, members first."""
    held_out = evaluation.part(CONFIRM)
    rows = np.arange(len(evaluation.dataset)) if held_out.rows is None else held_out.rows
    member = np.asarray(members, dtype=bool)[rows]
    rng = np.random.default_rng(0)
    inside, outside = np.flatnonzero(member), np.flatnonzero(~member)
    inside = rng.permutation(inside)[: MAPPED // 2]
    chosen = np.sort(np.concatenate([inside, rng.permutation(outside)[: MAPPED - len(inside)]]))
    picked = held_out.take(chosen)
    places = plane(rule.space(np.asarray(picked.column(rule.column).values)), member[chosen], rng=rng)
    loss = np.asarray(picked.of(evaluation.loss))
    wrong = loss > (0.0 if evaluation.binary_loss else np.quantile(loss, 0.8))
    return Map(
        column=rule.column, x=tuple(np.round(places[:, 0], 4).tolist()), y=tuple(np.round(places[:, 1], 4).tolist()),
        wrong=tuple(wrong.tolist()), member=tuple(member[chosen].tolist()),
        ids=tuple(evaluation.dataset.ids(rows[chosen])),
    )  # fmt: skip


def words_of(evaluation: Evaluation, *, members: Bool) -> list[Evidence]:
    """The words that mark the members' texts against the other texts of their classes, on explore rows."""
    explore = apart(evaluation).explore()
    assert evaluation.dataset.text is not None
    rows = np.arange(len(explore)) if explore.rows is None else explore.rows
    member = np.asarray(members, dtype=bool)[rows]
    strata = explore.view().stratum
    compared = np.flatnonzero(np.isin(strata, np.unique(strata[member])))[:READ]
    column = explore.take(compared).column(evaluation.dataset.text)
    texts = [column.text(row) or "" for row in range(len(column))]
    found = marking_words(texts, member[compared])
    words: list[dict[str, Level | None]] = [
        {"text": word.text, "score": round(word.score, 2), "inside": round(word.inside, 4),
         "outside": round(word.outside, 4)}
        for word in found
    ]  # fmt: skip
    return [Caption(words=tuple(words))] if words else []


def _where_wrong(evaluation: Evaluation, columns: Sequence[str], rule: Where, *, job: Job) -> list[Evidence]:
    """The heatmap of a rule: of three columns one of which is the label, the other two among rows of its classes."""
    label = evaluation.dataset.label
    others = [name for name in columns if name != label]
    if label in columns and len(others) >= 2 and evaluation.task == "classification":
        terms = rule.test.terms if isinstance(rule.test, And) else ()
        named = [
            term
            for term in terms
            if (isinstance(term, OneOf) or (isinstance(term, Compare) and term.op == "=")) and term.column == label
        ]
        if len(named) == 1:
            return heatmap(evaluation, others[:2], job=job, where=rule, among=Where(named[0]))
    return heatmap(evaluation, columns[:2], job=job, where=rule)


def heatmap(
    evaluation: Evaluation, columns: Sequence[str], *, job: Job, where: Where | None = None,
    among: Where | None = None, bins: int = 8, binning: str = "quantile",
) -> list[Evidence]:  # fmt: skip
    """The metric over one or two columns, on the confirm rows `among` which a rule selects; `where` marks its cells."""
    method = ErrorHeatmap(columns=tuple(columns), bins=bins, binning=binning)
    return list(method.run(evaluation.part(CONFIRM), job, where=where, among=among))


def error_tree(evaluation: Evaluation, job: Job) -> tuple[Evidence, ...]:
    """The error tree of the run, grown on explore rows, with the counts of confirm rows."""
    tree = _grown(evaluation, job)
    if tree is None:
        return ()
    held_out = evaluation.part(CONFIRM)
    return (tree_evidence(tree, held_out, None),)


def examples(evaluation: Evaluation, columns: Sequence[str], *, members: Bool, job: Job) -> Examples:
    """Members to look at: the wrong ones with the highest loss beside right ones of the same classes.

    Ties by id, not by place in the file: of a file that is sorted by class the first rows are all of one.
    """
    data, held_out = evaluation.dataset, evaluation.part(CONFIRM)
    rows = np.arange(len(data)) if held_out.rows is None else held_out.rows
    inside = rows[np.asarray(held_out.of(members), dtype=bool)]
    inside = inside[np.lexsort((data.occurrence[inside], data.id_hash[inside]))]
    loss = evaluation.loss[inside]
    if not evaluation.binary_loss:
        order = np.argsort(-loss, kind="stable")
        wrong, right = inside[order[:EXAMPLES]], inside[order[::-1][:EXAMPLES]]
    else:
        wrong = inside[loss > 0][:EXAMPLES]
        right = _alike(evaluation, inside[loss == 0], wrong)[:EXAMPLES]
    chosen = np.concatenate([wrong, right])
    ids = evaluation.dataset.ids(chosen)
    names = _columns_to_show(evaluation, columns)
    return Examples(
        wrong=tuple(ids[: len(wrong)]),
        right=tuple(ids[len(wrong) :]),
        values=dict(zip(ids, (_values(evaluation, int(row), names) for row in chosen), strict=True)),
        saw=_saw(evaluation, chosen, ids, columns, job),
    )


def _alike(evaluation: Evaluation, right: Int, wrong: Int) -> Int:
    """Right rows of the classes of the wrong ones first, so that the pair shows what differs."""
    classes = np.unique(evaluation.stratum[wrong])
    same = np.isin(evaluation.stratum[right], classes)
    return np.concatenate([right[same], right[~same]])


def _columns_to_show(evaluation: Evaluation, columns: Sequence[str]) -> list[str]:
    """The rule's columns first, then the others while there is room; label and prediction are shown by themselves."""
    dataset = evaluation.dataset
    special = {dataset.label, dataset.prediction}
    measured = {name for source in dataset.sources for name in source.columns}
    others = [name for name in evaluation.features if name not in measured]
    wide = {name for name in columns if dataset.table.kind_of(name) in ("embedding", "scores")}
    return [name for name in dict.fromkeys([*columns, *others]) if name not in special | wide][:COLUMNS_SHOWN]


def _values(evaluation: Evaluation, row: int, names: Sequence[str]) -> dict[str, Level | None]:
    table = evaluation.dataset.table
    shown: dict[str, Level | None] = {
        "label": _said(evaluation, evaluation.labels, row),
        "prediction": _said(evaluation, evaluation.predicted, row),
    }
    text = evaluation.dataset.text
    quoted: dict[str, Level | None] = {} if text is None else {text: (table.column(text).text(row) or "")[:MOST_TEXT]}
    return shown | quoted | {name: table.column(name).value(row) for name in names if name != text}


def _said(evaluation: Evaluation, values: Any, row: int) -> Level | None:
    if evaluation.task == "regression":
        return float(values[row])
    return evaluation.classes[int(values[row])] if values[row] >= 0 else None


def _saw(
    evaluation: Evaluation, rows: Int, ids: Sequence[str], columns: Sequence[str], job: Job
) -> dict[str, dict[str, Level | None]]:
    """The values that the model's last step saw in the rule's columns, where a pipeline changed them."""
    dataset = evaluation.dataset
    model: object = job.model
    if not isinstance(model, Transforms) or dataset.read is None or not len(rows):
        return {}
    seen = model.transform(dataset.read(rows))
    wanted = {name: values for name, values in seen.items() if any(_stems_from(name, column) for column in columns)}
    return {
        key: {name: _plain(values[place]) for name, values in wanted.items()} for place, key in enumerate(ids) if wanted
    }


def _stems_from(name: str, column: str) -> bool:
    """Whether a transformed feature comes from a column: its name ends so, or goes on with a level after it."""
    last = name.rpartition("__")[2]
    return last == column or last.startswith(f"{column}_")


def _plain(value: Any) -> Level | None:
    number = value.item() if hasattr(value, "item") else value
    return None if isinstance(number, float) and np.isnan(number) else number


def _grown(evaluation: Evaluation, job: Job) -> Tree | None:
    """The error tree, grown once per run; None where there is no error to separate."""
    explore = evaluation.explore()
    if not len(explore) or not float(explore.view().loss.sum()):
        return None
    tree: Tree = job.cached("error_tree", lambda: ErrorTree().grow(explore, job))
    return tree
