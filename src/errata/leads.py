"""Leads: where to look first for errors of one kind, in words and with the rows to look at; nothing is proven."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from errata.core.columns import Level
from errata.core.diagnosis import MethodRecord
from errata.core.errors import CannotRunError, UsageError
from errata.core.evaluation import CONFIRM, OUTPUT_COLUMNS, Evaluation
from errata.core.frame import library_for
from errata.core.method import Job
from errata.core.rules import Where
from errata.core.slices import Rule, Slice
from errata.describe.numbers import counted, listed, unit_noun
from errata.describe.wording import Wording, level_text
from errata.diagnose import plan
from errata.engine.propose import Proposals, propose
from errata.ops import portfolio
from errata.ops.conjunctions import imitate

__all__ = ["Lead", "Leads", "leads"]

Progress = Callable[[float, str], None]

METHODS = ("domino", "error_clusters", "failure_directions", "spotlight", "multiaccuracy", "slice_lattice")
"""What proposes when no method is named: what reads an embedding, and regions of columns where there are any."""

NOTE = (
    "Leads say where to look. Nothing in them is proven: they were chosen and ordered with the labels and answers of "
    "the held-out rows that they show. What is confirmed says `errata.diagnose`."
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Lead:
    """One place to look.

    title        in words: "class cat taken for dog, 31 rows", "8s alike in their looks (group 3f2a9c), 120 images"
    rule         the slice's rule as text; "" for a cell of the confusion matrix
    predicate    a predicate that selects nearly the same explore rows, where the rule is none and there is one; else ""
    proposed_by  methods that proposed it or one alike, the best first; () for a cell
    size         explore and held rows in it; of a cell the wrong ones
    wrong        how many of them are wrong, by a metric that counts rows right or wrong; else None
    holds        whether it tells errors on held rows alone too, as `errata.ops.portfolio` counts it; no proof
    ranked       the lead as `errata.ops.portfolio` gives it, with membership and evidence
    """

    title: str
    rule: str
    predicate: str
    proposed_by: tuple[str, ...]
    size: int
    wrong: int | None
    holds: bool
    ranked: portfolio.Lead = field(repr=False)
    held: Evaluation = field(repr=False)

    @property
    def slice(self) -> Slice | None:
        """The slice it comes from; None for a cell of the confusion matrix."""
        return self.ranked.slice

    @property
    def cell(self) -> portfolio.Cell | None:
        """The cell of the confusion matrix; None for a slice."""
        return self.ranked.cell

    @property
    def reaches(self) -> tuple[Level, ...]:
        """Other classes in which the slice's score tells errors too; their rows follow the likely ones of its own."""
        return tuple(self.held.classes[code] for code in self.ranked.reaches)

    def rows(self, k: int = 10) -> list[str]:
        """Ids of the k held rows of highest membership, highest first; fewer where fewer belong at all.

        Membership reads a row's label and how far the model's answer on it can be doubted, so most of them are wrong:
        that says nothing of the slice.
        """
        return self.held.dataset.ids(self.indices(k))

    def indices(self, k: int = 10) -> np.ndarray[Any, np.dtype[np.int64]]:
        """As `rows`, but their indices into the data set, (at most k,) int64."""
        if k < 0:
            raise UsageError(f"`k` is `{k}`, expected a number of rows.", hint="such as 10.")
        membership = self.ranked.membership
        first = np.argsort(-membership, kind="stable")[:k]
        first = first[membership[first] > -np.inf]
        return np.asarray(first if self.held.rows is None else self.held.rows[first], dtype=np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Leads(Sequence[Lead]):
    """The leads of one evaluation, the best first, and what the methods did.

    records  one for each method that was to run: what it proposed, or why it did not
    """

    items: tuple[Lead, ...]
    records: tuple[MethodRecord, ...]
    evaluation: Evaluation
    note: str = NOTE

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, at: Any) -> Any:
        return self.items[at]

    def __iter__(self) -> Iterator[Lead]:
        return iter(self.items)

    @property
    def verdict(self) -> str:
        """One sentence: how many leads there are and how many hold on held rows alone."""
        if not self.items:
            return "No leads: no row is wrong, or nothing sets the wrong ones apart."
        slices = [lead for lead in self.items if lead.cell is None]
        holds = sum(lead.holds for lead in slices)
        text = counted(len(self.items), "lead")
        if not slices:
            return f"{text}, confusions of two classes only: no slice was found."
        hold = "1 holds" if holds == 1 else f"{holds or 'none'} hold"
        return f"{text}; of {counted(len(slices), 'slice')} among them {hold} on held-out rows too."

    def __str__(self) -> str:
        lines = [f"{at}. {lead.title} ({_standing(lead)})" for at, lead in enumerate(self.items, 1)]
        return "\n".join([self.verdict, *lines, self.note])

    def __repr__(self) -> str:
        return f"<Leads: {len(self.items)} of {self.evaluation.dataset.name}, nothing proven>"

    def to_frame(self) -> Any:
        """One row per lead, in their order; a table in the user's dataframe library, as `Diagnosis.to_frame`.

        Columns: lead, rule, predicate, proposed_by, rows, wrong, holds, evidence, first (ids of ten rows, by commas).

        Raises MissingExtraError where neither pandas, polars nor pyarrow is installed.
        """
        import narwhals as nw

        columns: dict[str, list[Any]] = {
            "lead": [lead.title for lead in self.items],
            "rule": [lead.rule for lead in self.items],
            "predicate": [lead.predicate for lead in self.items],
            "proposed_by": [", ".join(lead.proposed_by) for lead in self.items],
            "rows": [lead.size for lead in self.items],
            "wrong": [lead.wrong for lead in self.items],
            "holds": [lead.holds for lead in self.items],
            "evidence": [lead.ranked.evidence for lead in self.items],
            "first": [", ".join(lead.rows()) for lead in self.items],
        }
        types = {"rows": nw.Int64(), "wrong": nw.Int64(), "holds": nw.Boolean(), "evidence": nw.Float64()}
        schema = {name: types.get(name, nw.String()) for name in columns}
        backend = library_for(self.evaluation.dataset.native)
        return nw.from_dict(columns, schema=schema, backend=backend).to_native()

    def _repr_html_(self) -> str:
        from errata.report.leads import LeadLine, leads_html

        lines = [LeadLine(title=lead.title, standing=_standing(lead), rows=lead.indices(4)) for lead in self.items]
        return leads_html(lines, self.evaluation.dataset, verdict=self.verdict, note=self.note)


def leads(
    evaluation: Evaluation,
    *,
    methods: Sequence[Any] | None = None,
    most: int = 5,
    seed: int = 0,
    progress: Progress | None = None,
) -> Leads:
    """Where to look first: what many methods propose on explore rows, ordered by how well it holds on held-out rows.

    Methods propose as in a diagnosis; their slices are ordered by how well each tells a kind of error from others,
    alike ones stand once, and the two commonest confusions of classes are among them. Ranking reads labels and answers
    of the held-out rows, which a test may not; so nothing of it is proven, and a slice that you write down after
    reading leads has seen these rows: test it on others. Which slices a diagnosis tests, leads do not touch.

    evaluation  such as of `errata.evaluate(model, data, embeddings=None)`; its confirm rows are the held-out ones
    methods     as for `diagnose`; when None `domino`, `error_clusters`, `failure_directions`, `spotlight`,
                `multiaccuracy` and `slice_lattice`
    most        how many leads at most; 5, as slices are compared in the literature

    Raises UsageError where there are no rows to hold out or nothing that the methods could read, CannotRunError where
    every method failed.
    """
    if most < 1:
        raise UsageError(f"`most` is `{most}`, expected 1 or more.", hint="such as 5.")
    chosen = plan(METHODS if methods is None else methods)
    explore, held = evaluation.explore(), evaluation.part(CONFIRM)
    if not len(explore) or not len(held):
        raise UsageError(
            f"`evaluation` has `{len(explore)}` explore and `{len(held)}` confirm rows, expected some of each.",
            hint="evaluate with shares=(0.5, 0.5, 0).",
        )
    _check_readable(evaluation, methods)
    job = Job(
        rng=np.random.default_rng(seed), dataset=evaluation.dataset, progress=progress or (lambda share, words: None)
    )
    proposals = propose(chosen, evaluation, job)
    _check_any_ran(proposals)
    barred = {*OUTPUT_COLUMNS, *evaluation.outputs}
    # A rule that still reads the model's output would count each row's own error twice.
    slices = [slice_ for slice_ in proposals.slices if not barred.intersection(slice_.rule.columns)]
    ranked = portfolio.leads(slices, explore, held, most=most)
    return Leads(
        items=tuple(_told(lead, evaluation, explore, held) for lead in ranked),
        records=proposals.records, evaluation=evaluation,
    )  # fmt: skip


def _check_readable(evaluation: Evaluation, methods: Sequence[Any] | None) -> None:
    """Images and texts without an embedding leave the usual methods nothing but a few measured columns."""
    if methods is None and not evaluation.embeddings and evaluation.dataset.modality != "table":
        raise UsageError(
            f"`{evaluation.dataset.name}` has no embedding, expected one for leads among {_noun(evaluation)}.",
            hint="errata.evaluate(model, data, embeddings=None) computes what suits the data.",
        )


def _check_any_ran(proposals: Proposals) -> None:
    failed = [record for record in proposals.records if record.status == "failed"]
    if failed and not any(record.status == "done" for record in proposals.records):
        raise CannotRunError(
            f"Every method failed, `{failed[0].name}` with: {failed[0].message.splitlines()[0]}",
            hint="try them one by one with methods=[...].",
        )


def _told(lead: portfolio.Lead, evaluation: Evaluation, explore: Evaluation, held: Evaluation) -> Lead:
    """A lead with its words and its counts."""
    if lead.slice is None:
        assert lead.cell is not None, "a lead is a slice or a cell"
        cell = lead.cell
        words = f"class {level_text(cell.given)} taken for {level_text(cell.said)}, {counted(cell.rows, 'row')}"
        return Lead(
            title=words, rule="", predicate="", proposed_by=(), size=cell.rows, wrong=cell.rows, holds=lead.holds,
            ranked=lead, held=held,
        )  # fmt: skip
    rule = lead.slice.rule
    inside = [np.asarray(rule.members(rows), dtype=bool) for rows in (explore, held)]
    losses = np.concatenate([explore.view().loss[inside[0]], held.view().loss[inside[1]]])
    wording = Wording(evaluation)
    predicate = _predicate(rule, inside[0], explore)
    roughly = "" if predicate is None else f", roughly “{wording.title(predicate)}”"
    return Lead(
        title=f"{wording.title(rule)}{roughly}, {counted(len(losses), wording.unit_noun.removesuffix('s'))}",
        rule=rule.text, predicate="" if predicate is None else predicate.text, proposed_by=lead.proposed_by,
        size=len(losses), wrong=int((losses > 0).sum()) if evaluation.binary_loss else None, holds=lead.holds,
        ranked=lead, held=held,
    )  # fmt: skip


def _predicate(rule: Rule, members: np.ndarray[Any, np.dtype[np.bool_]], explore: Evaluation) -> Where | None:
    """A predicate for a rule that only a program can read."""
    return None if isinstance(rule, Where) else imitate(members, explore)


def _standing(lead: Lead) -> str:
    if lead.cell is not None:
        return "a confusion of two classes"
    by = "" if not lead.proposed_by else f", by {', '.join(lead.proposed_by)}"
    wrong = "" if lead.wrong is None else f"{lead.wrong} wrong; "
    further = listed([level_text(level) for level in lead.reaches])
    also = "" if not further else f"; near them rows of class {further} are wrong more often too"
    return f"{wrong}{'holds' if lead.holds else 'does not hold'} on held-out rows{by}{also}"


def _noun(evaluation: Evaluation) -> str:
    return unit_noun(evaluation.dataset.modality)
