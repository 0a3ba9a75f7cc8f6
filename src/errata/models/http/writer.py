"""A language model that puts sentences into other words; whether it kept to them is checked elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from errata.core.errors import StoppedError
from errata.models.http.asking import Asking, Request
from errata.models.http.chat import asking as asked
from errata.models.http.chat import said_in
from errata.models.http.client import Reply
from errata.models.http.rows import Rows, rows_of
from errata.models.http.said import Said

__all__ = ["SYSTEM", "Letter", "Writer"]

SYSTEM = (
    "You are given one sentence about the errors of a machine learning model. It begins with the rule that says which "
    "rows are meant. Put it into plainer words for a colleague, as one sentence in plain text without markup.\n"
    "Keep every number exactly as it is written, with its unit, and in the same order: first whom it is about, then "
    "their number, then what it is compared with. Keep every name and every word of the rule, and over, under, more, "
    "less and not as they are. Keep the interval and its level beside each other. Add nothing: no cause, no judgement, "
    "no advice, no rounding, no further number. Answer with the sentence alone."
)


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One sentence per request; the answer is what the model says, whatever it is."""

    path: str
    model: str
    system: str = SYSTEM
    params: Mapping[str, Any] = field(default_factory=dict)

    def request(self, rows: Rows) -> Request:
        """The instruction, then the sentence."""
        messages = [{"role": "system", "content": self.system}, {"role": "user", "content": rows.cells[0]}]
        return asked(messages, path=self.path, model=self.model, params=self.params)

    def read(self, reply: Reply, rows: int) -> list[Said]:
        """The text of the first choice; "" where the server withheld it."""
        if rows != 1:
            raise ValueError(f"one answer for {rows} sentences")
        return [Said(label=said_in(reply) or "")]


@dataclass(frozen=True, kw_only=True, eq=False)
class Writer:
    """A language model that rewords, with retries, pace and kept answers as those of any endpoint.

    name  the model, and the server it is at
    """

    name: str
    letter: Letter
    asking: Asking

    def write(self, sentences: Sequence[str]) -> list[str | None]:
        """Each sentence in other words, None where there is no answer; with `limit`, where nothing more may be asked.

        Raises StoppedError where the endpoint cannot be asked, or not any more.
        """
        if not sentences:
            return []
        salt = hashlib.blake2b(f"{self.asking.kept.owner}|{self.letter!r}".encode(), digest_size=16).digest()
        rows = rows_of(list(sentences))
        said: list[Said | None]
        try:
            said = [*self.asking.ask(rows, self.letter, salt=salt, most=1)]
        except StoppedError:
            if not self.asking.spent:
                raise
            said = [self.asking.kept.get(rows.digest(place, salt)) for place in range(len(rows))]
        return [str(one.label) if one is not None and one.label and not one.failed else None for one in said]

    def limit(self, max_calls: int) -> None:
        """Make at most so many calls in all, those of killed runs included."""
        self.asking.max_calls = max(0, max_calls)

    @property
    def spent(self) -> bool:
        """Whether something was not asked because no further call was allowed."""
        return self.asking.spent
