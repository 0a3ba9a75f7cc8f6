"""The rule `Ids`: these rows and no others, such as examples whose labels are in doubt."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Float, Level
from errata.core.errors import UsageError

__all__ = ["Ids"]


@dataclass(frozen=True, eq=False)
class Ids:
    """Explicit rows by their ids. It says nothing of rows that are not listed, so nothing of new data.

    Two such rules are equal when they list the same rows; order and doubts are about what to look at first.

    ids    as `Dataset.ids` gives them, the most doubtful first
    doubt  (n,) float64 in [0, 1], one per id: how little the row's label is believed; None where nobody said
    how    what made the list, as plain values, so that it can be made again over other rows
    """

    ids: tuple[str, ...]
    doubt: Float | None = field(default=None, kw_only=True)
    how: Mapping[str, Level] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        if len(set(self.ids)) != len(self.ids):
            raise UsageError(f"`ids` lists {len(self.ids)} rows, some of them twice.", hint="list each id once.")
        if self.doubt is not None and np.shape(self.doubt) != (len(self.ids),):
            raise UsageError(
                f"`doubt` has shape `{np.shape(self.doubt)}`, expected ({len(self.ids)},).", hint="one number per id."
            )

    @property
    def kind(self) -> str:
        return "ids"

    @cached_property
    def digest(self) -> str:
        """Eight hexadecimal digits of the listed ids, whatever their order."""
        taken = hashlib.blake2b(digest_size=4)
        for one in sorted(self.ids):
            taken.update(one.encode("utf-8", "surrogatepass") + b"\0")
        return taken.hexdigest()

    @cached_property
    def text(self) -> str:
        """The rule as text: how many rows, and a digest that stands for them."""
        return f"{len(self.ids)} listed {'row' if len(self.ids) == 1 else 'rows'} ({self.digest})"

    @property
    def columns(self) -> tuple[str, ...]:
        """It reads no column."""
        return ()

    def members(self, columns: Any) -> Bool:
        """(n,) bool: the listed rows among those of an Evaluation or a Dataset.

        Raises UsageError for columns alone, which do not say whose they are.
        """
        data = getattr(columns, "dataset", columns)
        rows = getattr(columns, "rows", None)
        if not hasattr(data, "id_hash"):
            raise UsageError(
                f"The rule `{self.text}` names rows, and these columns carry no ids.",
                hint="apply it to an Evaluation or a Dataset.",
            )
        every = np.arange(len(data)) if rows is None else np.asarray(rows)
        listed = frozenset(self.ids)
        found = np.zeros(len(every), dtype=bool)
        if data.id is not None:
            found[:] = [one in listed for one in data.ids(every)]
            return found
        # Ids are made of hashes: only rows whose hash is listed are spelt out.
        near = np.flatnonzero(np.isin(data.id_hash[every], self._hashes()))
        found[near] = [one in listed for one in data.ids(every[near])]
        return found

    def doubts(self) -> Mapping[str, float]:
        """The doubt about each listed row, by id; empty where nobody said."""
        return {} if self.doubt is None else dict(zip(self.ids, map(float, self.doubt), strict=True))

    def to_json(self) -> Mapping[str, Any]:
        """Plain values for `findings.json`; the ids lie in `rules/ID.npz`."""
        return {"kind": self.kind, "text": self.text, "columns": [], "listed": len(self.ids), "how": dict(self.how)}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Its ids `(n,)` as text, and its doubts."""
        arrays: dict[str, NDArray[Any]] = {"ids": np.array(self.ids, dtype=np.str_)}
        return arrays if self.doubt is None else arrays | {"doubt": np.asarray(self.doubt, dtype=np.float64)}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The rule that `to_json` and `arrays` described; raises UsageError where its ids are gone or others."""
        if "ids" not in arrays:
            raise UsageError(
                f"The saved rule `{plain.get('text')}` has no ids.", hint="was a file of the run's `rules/` removed?"
            )
        rule = cls(tuple(map(str, arrays["ids"].tolist())), doubt=arrays.get("doubt"), how=plain.get("how", {}))
        if rule.text != plain.get("text"):
            raise UsageError(
                f"The saved rule `{plain.get('text')}` is damaged: its file lists {rule.text}.",
                hint="run the diagnosis again.",
            )
        return rule

    def _hashes(self) -> NDArray[np.uint64]:
        heads = [one.partition("-")[0] for one in self.ids]
        return np.array([int(head, 16) for head in heads if _is_hash(head)], dtype=np.uint64)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ids) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"<Ids {self.text}>"


def _is_hash(word: str) -> bool:
    return len(word) == 16 and all(letter in "0123456789abcdef" for letter in word)
