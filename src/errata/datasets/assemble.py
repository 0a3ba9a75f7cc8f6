"""Columns and roles to a Dataset: checks, ids, what is set aside. The last step of every kind of data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from errata.core.columns import Column, Table
from errata.core.copies import identity_columns
from errata.core.dataset import Dataset, SetAside
from errata.core.errors import UsageError
from errata.core.hashing import Hashes, column_hash, fingerprint, occurrences, repeats, row_hash
from errata.core.identifiers import identifier_reason
from errata.datasets.content import Content
from errata.datasets.roles import Resolved, Roles, named_as_output, resolve
from errata.datasets.text import as_texts, missing_note, text_column, text_content

__all__ = ["assemble", "category_of"]


def assemble(
    columns: dict[str, Column],
    *,
    roles: Roles,
    name: str,
    origin: str,
    notes: Sequence[str] = (),
    aside: Sequence[SetAside] = (),
    native: str | None = None,
    content: Content | None = None,
) -> Dataset:
    """The Dataset of these columns, ids and fingerprint made.

    content  what the rows are where they are no rows of a table; texts are found here, by `--text` or by a usual name
    Raises UsageError for roles that do not fit the columns, ids that repeat, and no rows.
    """
    table = Table(columns)
    n = len(table) if columns else 0 if content is None else len(content.content_hash)
    if n == 0:
        raise UsageError(f"`{origin}` has no rows.", hint="give at least a few hundred labelled rows.")
    resolved = resolve(table, roles)
    table = _with_codes(table, resolved, roles)
    # Where the rows are no texts, a column of texts is one like any other.
    away = _set_aside(table, resolved, roles if content is None else replace(roles, text=None), aside)
    texts = _Texts(table=table) if content is not None else _texts(table, resolved, roles, away, native=native)
    content = texts.content or content
    dataset = Dataset(
        name=name, modality="table" if content is None else content.modality, table=texts.table,
        id_hash=np.zeros(n, dtype=np.uint64), occurrence=np.zeros(n, dtype=np.uint32),
        label=resolved.label, prediction=resolved.prediction, scores=resolved.scores,
        score_classes=resolved.score_classes, id=roles.id, group=roles.group, time=roles.time, split=roles.split,
        read=None if content is None else content.read, image=None if content is None else content.image,
        text=texts.name, content_hash=None if content is None else content.content_hash,
        set_aside=away, caveats=(*notes, *resolved.notes, *texts.notes), native=native, origin=origin,
    )  # fmt: skip
    return _with_ids(dataset)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Texts:
    """The texts of a table, if it has any: their column and content, and the table with them as text."""

    table: Table
    name: str | None = None
    content: Content | None = None
    notes: tuple[str, ...] = ()


def _texts(table: Table, resolved: Resolved, roles: Roles, away: Sequence[SetAside], *, native: str | None) -> _Texts:
    if roles.text is not None and roles.text in (resolved.label, resolved.prediction):
        raise UsageError(f"`--text {roles.text}` is the label or the prediction too.", hint="name another column.")
    used = {resolved.label, resolved.prediction, roles.id, roles.group, roles.time, roles.split, *resolved.scores}
    used |= {item.column for item in away}
    others = [name for name in table if name not in used and not named_as_output(name)]
    found = text_column(
        table, roles.text, others=others, predicted=resolved.prediction is not None, native=native is not None
    )
    if found.name is None:
        return _Texts(table=table, notes=found.notes)
    column = as_texts(table.column(found.name), found.name)
    notes = (*found.notes, *missing_note(column, found.name))
    table = table.with_columns({found.name: column})
    return _Texts(table=table, name=found.name, content=text_content(column), notes=notes)


def category_of(column: Column) -> Column:
    """The same values as a category: numbers become levels, so that groups and splits are sets of values."""
    if column.kind in ("category", "boolean"):
        return column
    missing = column.missing()
    levels: list[str | int | float]
    if column.kind == "number":
        found, codes = np.unique(np.where(missing, 0, column.values), return_inverse=True)
        levels = [int(level) if float(level).is_integer() else float(level) for level in found.tolist()]
    elif column.kind == "datetime":
        found, codes = np.unique(column.values, return_inverse=True)
        levels = [str(level) for level in found]
    else:
        words = [column.text(row) or "" for row in range(len(column))]
        found, codes = np.unique(np.array(words), return_inverse=True)
        levels = found.tolist()
    values = np.where(missing, -1, codes).astype(np.int32)
    used, again = np.unique(values, return_inverse=True)
    kept = used[used >= 0]
    lowered = (again - (len(used) - len(kept))).astype(np.int32)
    return Column(kind="category", values=lowered, levels=tuple(levels[code] for code in kept))


def _with_codes(table: Table, resolved: Resolved, roles: Roles) -> Table:
    """Groups and splits as categories; labels and predictions of words as well."""
    changed = {name: category_of(table.column(name)) for name in (roles.group,) if name is not None}
    if roles.split is not None and table.column(roles.split).kind == "text":
        changed[roles.split] = category_of(table.column(roles.split))
    for name in (resolved.label, resolved.prediction):
        if name is not None and table.column(name).kind == "text":
            changed[name] = category_of(table.column(name))
    return table.with_columns(changed) if changed else table


def _set_aside(table: Table, resolved: Resolved, roles: Roles, aside: Sequence[SetAside]) -> tuple[SetAside, ...]:
    """What rules may not read: `--ignore`, the id, columns that only name rows."""
    kept: dict[str, SetAside] = {item.column: item for item in aside}
    for name in roles.ignore:
        kept.setdefault(name, SetAside(column=name, why="--ignore"))
    if roles.id is not None:
        kept.setdefault(roles.id, SetAside(column=roles.id, why="identifier: --id"))
    busy = {resolved.label, resolved.prediction, roles.group, roles.time, roles.split, roles.text, *resolved.scores}
    for name in table:
        if name not in busy and name not in kept:
            why = identifier_reason(name, table.column(name))
            # Words that differ in nearly every row still tell copies from others; evaluate sets those aside.
            if why is not None and "nearly" not in why and "different values in" not in why:
                kept[name] = SetAside(column=name, why=why)
    return tuple(item for item in kept.values() if item.column not in roles.use)


def _with_ids(dataset: Dataset) -> Dataset:
    """Ids of the inputs alone, so that the same example has the same id whatever a model says of it."""
    outputs = tuple(name for name in dataset.table if named_as_output(name))
    parts = identity_columns(dataset, outputs=outputs)
    if dataset.id is not None:
        hashes = column_hash(dataset.table.column(dataset.id))
        _check_ids(dataset, hashes)
        again = np.zeros(len(hashes), dtype=np.uint32)
    else:
        hashes = dataset.content_hash if dataset.content_hash is not None else row_hash(parts)
        if not len(hashes):
            # Nothing but label and prediction: rows are told apart by their number under one id.
            hashes = np.zeros(len(dataset.table), dtype=np.uint64)
        again = occurrences(hashes)
    roles = {dataset.label, dataset.prediction, dataset.id, dataset.group, dataset.time, dataset.split}
    away = roles | set(dataset.scores) | {item.column for item in dataset.set_aside}
    inputs = tuple(name for name in dataset.table if name not in away and name not in outputs)
    rest = {name: dataset.table.column(name) for name in dataset.table if name not in parts}
    return replace(
        dataset, id_hash=hashes, occurrence=again, input_names=inputs if dataset.modality == "table" else (),
        fingerprint=fingerprint(rest, also=hashes),
    )  # fmt: skip


def _check_ids(dataset: Dataset, hashes: Hashes) -> None:
    rows = repeats(hashes)
    if not len(rows):
        return
    repeated = len(np.unique(hashes[rows]))
    example = dataset.table.column(str(dataset.id)).value(int(rows[0]))
    shown = "missing" if example is None else f"`{example}`"
    raise UsageError(
        f"`--id {dataset.id}` is not unique: {repeated:,} values repeat, such as {shown}.",
        hint=f"for rows that belong together (a person, a recording) say `--group {dataset.id}`.",
    )
