"""Folds: which rows may be looked at, which confirm, which stay sealed; and which rows are copies of others.

Nothing here depends on the order of rows or columns, on predictions, or on the seed of a run (docs/proof.md section 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Column, Float, Int
from errata.core.copies import Copies, copies
from errata.core.dataset import Dataset
from errata.core.errors import UsageError, nearest
from errata.core.evaluation import CONFIRM, EXPLORE, LEFT_OUT, SEALED
from errata.core.hashing import Hashes, column_hash, keyed, occurrences
from errata.core.model import Task

__all__ = ["FEW_GROUPS", "SEALED_FROM", "Copies", "How", "Split", "copies", "fifths", "split"]

How = Literal["rows", "groups", "class x group", "time", "column"]

FEW_GROUPS: Final = 24
SEALED_FROM: Final = 5_000
_SMALL_SHARES: Final = (0.5, 0.5, 0.0)
_LARGE_SHARES: Final = (0.4, 0.4, 0.2)

_TRAIN, _VALIDATION, _TEST = "train", "validation", "test"
_SPLIT_WORDS: Final = {
    **dict.fromkeys(("train", "training", "trn", "fit"), _TRAIN),
    **dict.fromkeys(("val", "valid", "validate", "validation", "dev", "development", "eval", "tune"), _VALIDATION),
    **dict.fromkeys(("test", "testing", "tst", "holdout", "heldout"), _TEST),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Which fold each row belongs to.

    fold    (N,) int8: EXPLORE, CONFIRM, SEALED, or LEFT_OUT for rows that may not be used
    how     what was split: rows within classes, whole groups, rows within class x group, blocks of time, a column
    shares  of explore, confirm and sealed as aimed at
    group   (N,) int32 codes of groups, None without; a row without a group is a group of its own where groups are split
    groups  how many groups there are among the rows that are used; 0 without
    notes   what a reader should know
    """

    fold: NDArray[np.int8]
    how: How
    shares: tuple[float, float, float]
    group: NDArray[np.int32] | None = None
    groups: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class _Units:
    """What is dealt to folds: the first of each set of copies. All arrays are over the units.

    rows     row of the unit
    key      the order in which units of one stratum are dealt
    stratum  class, or fifth of the target
    """

    rows: Int
    key: Hashes
    stratum: Int


def split(
    dataset: Dataset,
    *,
    labels: Int | Float,
    task: Task,
    copies: Copies,
    eligible: Bool | None = None,
    shares: Sequence[float] | None = None,
    split_seed: int = 0,
) -> Split:
    """The fold of every row, by a keyed hash of its id ranked within its label.

    labels    (N,) class codes, -1 where there is none; in regression the target, NaN where there is none
    eligible  (N,) bool: rows that may be used; rows without a label never are
    shares    of explore, confirm, sealed; 50/50/0 below 5,000 usable rows and 40/40/20 from there on when None

    Whole groups are dealt from 24 groups on; with fewer, rows within class x group; with time and no group, blocks of
    time, the earliest to explore. A split column decides by itself: training rows are left out, validation rows
    explore, test rows confirm. Raises UsageError when a fold stays empty or the column's words are not known.
    """
    labelled = labels >= 0 if task == "classification" else np.isfinite(labels)
    usable = labelled if eligible is None else labelled & eligible
    chosen = usable
    notes: tuple[str, ...] = ()
    if dataset.split is not None:
        parts = _parts(dataset.table.column(dataset.split), dataset.split)
        lost = int((usable & (parts == "")).sum())
        if lost:
            notes += (f"{lost:,} rows without `{dataset.split}` are left out.",)
        if (usable & (parts == _VALIDATION)).any() and (usable & (parts == _TEST)).any():
            taken = _by_column(dataset, parts, usable, copies)
            return _check(replace(taken, notes=notes + taken.notes), dataset)
        chosen = usable & (parts != _TRAIN) & (parts != "")
        left = f"the {int(chosen.sum()):,} other rows"
        notes += (f"training rows by `{dataset.split}` are left out; {left} are split by hash.",)
    aimed = _shares(shares, int(chosen.sum()))
    stratum = labels if task == "classification" else fifths(labels.astype(np.float64), cut_on=chosen)
    units = _units(dataset, labels, stratum.astype(np.int64), copies, chosen, split_seed)
    if dataset.group is not None:
        result = _by_group(dataset.table.column(dataset.group), units, chosen, aimed, split_seed, name=dataset.group)
    elif dataset.time is not None:
        result = _by_time(dataset.table.column(dataset.time), units, aimed, name=dataset.time)
    else:
        fold = _empty(len(dataset))
        fold[units.rows] = _deal(units.key, [units.stratum], aimed)
        result = Split(fold=fold, how="rows", shares=aimed)
    if result.how != "groups":
        # Copies lie where the first lies; where whole groups are dealt, groups win.
        result.fold[chosen] = result.fold[copies.first[chosen]]
    return _check(replace(result, notes=notes + result.notes), dataset)


def fifths(target: Float, *, cut_on: Bool | None = None) -> NDArray[np.int32]:
    """(n,) int32: which fifth of the target each row lies in, -1 for NaN; cut on some rows (explore), on all when None.

    Fewer than five where values repeat.
    """
    known = np.isfinite(target)
    base = target[known if cut_on is None else known & cut_on]
    cuts = np.unique(np.quantile(base, [0.2, 0.4, 0.6, 0.8])) if len(base) else np.zeros(0)
    codes = np.searchsorted(cuts, target, side="left").astype(np.int32)
    codes[~known] = -1
    return codes


def _empty(n: int) -> NDArray[np.int8]:
    return np.full(n, LEFT_OUT, dtype=np.int8)


def _shares(shares: Sequence[float] | None, n: int) -> tuple[float, float, float]:
    if shares is None:
        return _SMALL_SHARES if n < SEALED_FROM else _LARGE_SHARES
    if any(isinstance(share, str) for share in shares):
        raise UsageError(f"`shares` is `{shares}`.", hint="give numbers, such as (0.4, 0.4, 0.2).")
    total = float(sum(shares))
    if len(shares) not in (2, 3) or min(shares) < 0 or not 0 < total < np.inf or min(shares[:2]) == 0:
        written = "/".join(f"{share:g}" for share in shares)
        raise UsageError(
            f"`--shares {written}` must be the shares of explore, confirm and sealed, the first two above zero.",
            hint="such as `--shares 40/40/20`.",
        )
    parts = [float(share) / total for share in shares] + [0.0]
    return parts[0], parts[1], parts[2]


def _units(
    dataset: Dataset, labels: Int | Float, stratum: Int, copies: Copies, chosen: Bool, split_seed: int
) -> _Units:
    # Rows with one id are told apart by their label and their number under it, so that the order of rows cannot matter.
    bits = labels.astype(np.float64) + 0.0
    named = keyed(dataset.id_hash ^ keyed(bits.view(np.uint64), seed="label"), seed="id and label")
    key = keyed(named ^ keyed(occurrences(named).astype(np.uint64), seed="occurrence"), seed=split_seed)
    rows = np.flatnonzero(chosen & copies.counted)
    if copies.number and dataset.id is not None:
        # Copies may have different ids: their smallest key speaks for all of them, whichever comes first.
        smallest = np.full(len(dataset), np.iinfo(np.uint64).max, dtype=np.uint64)
        np.minimum.at(smallest, copies.first[chosen], key[chosen])
        key = smallest
    return _Units(rows=rows, key=key[rows], stratum=stratum[rows])


def _deal(key: Hashes, strata: Sequence[Int], shares: tuple[float, float, float]) -> NDArray[np.int8]:
    """(u,) int8 folds: within each stratum by rank of the key, each stratum and the whole within one of the share.

    `strata` go from coarse to fine; all but the last level are kept within one of the share as well. Fractions are
    carried from stratum to stratum, so that many small ones do not all round to the same side.
    """
    if not len(key):
        return _empty(0)
    joined: Int = np.zeros(len(key), dtype=np.int64)
    levels = []
    for level in strata:
        # The order of strata comes from their keys, so that the coding of classes and groups cannot matter.
        joined = _join(joined, level)
        sums = np.zeros(int(joined.max()) + 1, dtype=np.uint64)
        np.add.at(sums, joined, key)
        levels.append((joined, keyed(sums, seed="stratum")))
    member = np.zeros(int(joined.max()) + 1, dtype=np.int64)
    member[joined] = np.arange(len(key))
    sequence = np.lexsort([keys[codes[member]] for codes, keys in reversed(levels)])
    place = np.empty(len(sequence), dtype=np.uint16 if len(sequence) < 2**16 else np.int64)
    place[sequence] = np.arange(len(sequence))
    # By key, then stably by stratum: two plain sorts, the second of small numbers.
    order = np.argsort(key, kind="stable")
    order = order[np.argsort(place[joined][order], kind="stable")]
    sizes = np.bincount(place[joined], minlength=len(sequence))
    starts = np.cumsum(sizes) - sizes
    offset = float(keyed(np.array([key.sum(dtype=np.uint64)]), seed="offset")[0]) / 2.0**64
    ends = np.concatenate([[0], np.cumsum(sizes)])
    explore = np.diff(np.floor(ends * shares[0] + offset)).astype(np.int64)
    seen = np.diff(np.floor(ends * (shares[0] + shares[1]) + offset)).astype(np.int64)
    seen = sizes if shares[2] == 0 else np.clip(seen, explore, sizes)
    rank = np.arange(len(key)) - np.repeat(starts, sizes)
    late = (rank >= np.repeat(explore, sizes)).astype(np.int8) + (rank >= np.repeat(seen, sizes))
    fold = np.empty(len(key), dtype=np.int8)
    fold[order] = np.array([EXPLORE, CONFIRM, SEALED], dtype=np.int8)[late]
    return fold


def _by_group(
    column: Column, units: _Units, chosen: Bool, shares: tuple[float, float, float], split_seed: int, *, name: str
) -> Split:
    hashes = column_hash(column)
    absent = column.missing()
    groups = len(np.unique(hashes[chosen & ~absent]))
    lost = int((absent & chosen).sum())
    fold = _empty(len(column))
    if groups < FEW_GROUPS:
        notes = (f"{lost:,} rows have no `{name}`; they count as one group.",) if lost else ()
        group = np.unique(hashes, return_inverse=True)[1].astype(np.int32)
        fold[units.rows] = _deal(units.key, [units.stratum, group[units.rows]], shares)
        return Split(fold=fold, how="class x group", shares=shares, group=group, groups=groups, notes=notes)
    notes = (f"{lost:,} rows have no `{name}`; each counts as a group of its own.",) if lost else ()
    codes = np.unique(hashes, return_inverse=True)[1].astype(np.int64)
    codes[absent] = len(codes) + np.arange(int(absent.sum()))
    group = np.unique(codes, return_inverse=True)[1].astype(np.int32)
    named = np.where(absent[units.rows], units.key, hashes[units.rows])
    code, where, of = np.unique(group[units.rows], return_index=True, return_inverse=True)
    of_group = _empty(int(group.max()) + 1)
    of_group[code] = _deal(keyed(named[where], seed=split_seed), [_commonest(of, units.stratum)], shares)
    fold[chosen] = of_group[group[chosen]]
    return Split(fold=fold, how="groups", shares=shares, group=group, groups=len(code), notes=notes)


def _join(coarse: Int, fine: Int) -> Int:
    """(n,) codes of the pairs of two codes."""
    low = int(fine.min(initial=0))
    pairs = coarse.astype(np.int64) * (int(fine.max(initial=0)) - low + 1) + (fine - low)
    reach = int(pairs.max(initial=0)) + 1
    if reach > 2 * len(pairs) + 1_000:
        return np.asarray(np.unique(pairs, return_inverse=True)[1], dtype=np.int64)
    code = np.cumsum(np.bincount(pairs, minlength=reach) > 0) - 1
    return np.asarray(code[pairs], dtype=np.int64)


def _commonest(group: Int, stratum: Int) -> Int:
    """(g,) the class that most rows of each group have: groups are spread over folds by it."""
    pair = _join(group, stratum)
    _, at, counts = np.unique(pair, return_index=True, return_counts=True)
    order = np.lexsort((stratum[at], -counts, group[at]))
    first = np.unique(group[at][order], return_index=True)[1]
    return np.asarray(stratum[at][order][first])


def _by_time(column: Column, units: _Units, shares: tuple[float, float, float], *, name: str) -> Split:
    if column.kind not in ("datetime", "number"):
        raise UsageError(
            f"The time column `{name}` holds {column.kind}, not moments or numbers.",
            hint="write dates as ISO (2024-01-31) so that they are read as dates.",
        )
    fold = _empty(len(column))
    absent = column.missing()
    rows = units.rows[~absent[units.rows]]
    lost = len(units.rows) - len(rows)
    notes = (f"{lost:,} rows without `{name}` are left out.",) if lost else ()
    moments, of = np.unique(column.values[rows], return_inverse=True)
    if len(moments) < 2:
        raise UsageError(
            f"The time column `{name}` has {len(moments)} different values, and blocks of time need two or more.",
            hint="name another column with --time, or leave it out.",
        )
    # Rows of one moment stay together: the cut lies between moments, as near to the share as it can.
    ends = np.cumsum(np.bincount(of)) / len(rows)
    first = min(int(np.abs(ends - shares[0]).argmin()), len(moments) - 2)
    second = max(int(np.abs(ends - shares[0] - shares[1]).argmin()), first + 1)
    late = (of > first).astype(np.int8) + (of > second)
    fold[rows] = np.array([EXPLORE, CONFIRM, SEALED], dtype=np.int8)[late]
    return Split(fold=fold, how="time", shares=shares, notes=notes)


def _parts(column: Column, name: str) -> NDArray[np.str_]:
    """(N,) words: train, validation, test, or empty where missing."""
    if column.kind == "boolean" and name.lower() in ("is_train", "train", "is_test", "test"):
        yes, no = (_TRAIN, _TEST) if "train" in name.lower() else (_TEST, _TRAIN)
        return np.asarray(np.array([no, yes, ""])[column.values], dtype=np.str_)
    if column.kind != "category":
        raise UsageError(f"The split column `{name}` holds {column.kind}.", hint="its words are train, val and test.")
    words = []
    for level in column.levels:
        word = str(level).strip().lower().replace("-", "").replace("_", "").removesuffix("set")
        if word not in _SPLIT_WORDS:
            raise UsageError(
                f"The split column `{name}` holds `{level}`, which is neither training, validation nor test.",
                hint=nearest(str(level), ("train", "val", "test")),
            )
        words.append(_SPLIT_WORDS[word])
    return np.asarray(np.array([*words, ""])[column.values], dtype=np.str_)


def _by_column(dataset: Dataset, parts: NDArray[np.str_], usable: Bool, copies: Copies) -> Split:
    fold = _empty(len(dataset))
    fold[usable & (parts == _VALIDATION)] = EXPLORE
    fold[usable & (parts == _TEST)] = CONFIRM
    used = fold != LEFT_OUT
    shares = (float((fold == EXPLORE).sum() / used.sum()), float((fold == CONFIRM).sum() / used.sum()), 0.0)
    notes: tuple[str, ...] = ()
    leaked = int((used & (parts[copies.first] == _TRAIN)).sum())
    if leaked:
        notes += (f"{leaked:,} validation or test rows are copies of training rows and are not counted.",)
    if dataset.group is None:
        return Split(fold=fold, how="column", shares=shares, notes=notes)
    hashes = column_hash(dataset.table.column(dataset.group))
    shared = len(np.intersect1d(hashes[fold == EXPLORE], hashes[fold == CONFIRM]))
    if shared:
        notes += (f"{shared:,} groups have rows in both validation and test of `{dataset.split}`.",)
    group = np.unique(hashes, return_inverse=True)[1].astype(np.int32)
    groups = len(np.unique(group[used]))
    return Split(fold=fold, how="column", shares=shares, group=group, groups=groups, notes=notes)


def _check(result: Split, dataset: Dataset) -> Split:
    for fold, word in ((EXPLORE, "explore"), (CONFIRM, "confirm")):
        if not (result.fold == fold).any():
            used = int((result.fold != LEFT_OUT).sum())
            raise UsageError(
                f"`{dataset.origin or dataset.name}` has {used:,} usable {'row' if used == 1 else 'rows'}, "
                f"which leaves none to {word}.",
                hint="give more labelled rows, or other `--shares`; not used are rows without a label or a prediction"
                + (f", and training rows by `{dataset.split}`." if dataset.split is not None else "."),
            )
    return result
