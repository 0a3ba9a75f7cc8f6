"""A model behind an endpoint, as a model like any other; what it said once is never asked again."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from errata.core.columns import Level
from errata.core.errors import CannotRunError
from errata.core.model import Inputs, ModelSpec, Output, Task
from errata.models.form import AS_GIVEN, Form, forms_for, is_frame, matrix, select
from errata.models.http.asking import Asking
from errata.models.http.chat import Chat
from errata.models.http.rows import Rows, rows_of
from errata.models.http.said import gathered
from errata.models.http.shapes import Shape
from errata.models.reading import Answer, Reading, Settled, read, settle

__all__ = ["EndpointModel"]

TRIAL, TRIAL_ALONE = 64, 12  # rows of a trial: where one request takes many, and where each takes a request of its own
FORMS, FORMS_ALONE = 16, 3  # forms of the inputs that are tried


@dataclass(frozen=True, kw_only=True, eq=False)
class EndpointModel:
    """A black box that is asked over HTTP.

    It has no fingerprint: what it answers tomorrow is not known today. So answers are kept in the run's own directory,
    and some rows are asked again before they are trusted.
    """

    spec: ModelSpec
    shape: Shape
    asking: Asking
    form: Form = AS_GIVEN
    reading: Reading | None = None

    def predict(self, inputs: Inputs) -> Output:
        """What the endpoint says of a batch; of rows that it was asked about before, what it said then."""
        return self._read(self.answer(inputs))

    def afresh(self, inputs: Inputs, *, occasion: str) -> Output:
        """What the endpoint says when it is asked again, for instance at the end of a run; kept under that occasion."""
        return self._read(self.answer(inputs, occasion=occasion))

    def answer(self, inputs: Inputs, *, occasion: str = "") -> Answer:
        """What the endpoint said, unread. Raises CannotRunError where a row has no answer."""
        rows = self._rows(inputs)
        said = self.asking.ask(rows, self.shape, salt=self._salt(), most=self._most(rows), occasion=occasion)
        failed = [one for one in said if one.failed]
        if failed:
            raise CannotRunError(
                f"The endpoint gave no answer for {len(failed)} of {len(said)} rows: {failed[0].failed}.",
                hint="look at such a row; leave out or repair it.",
            )
        return gathered(said, named=() if self.reading is None else self.reading.named)

    def variants(self, inputs: Inputs) -> Sequence[EndpointModel]:
        """The same endpoint with its inputs in other forms, the most usual first."""
        takes = self.shape.takes
        if (is_frame(inputs) and not takes.matrix) or isinstance(inputs, list):
            return [self]
        array = self._matrix(inputs) if is_frame(inputs) else np.asarray(inputs)
        if takes.pictures or array.dtype.kind not in "biuf":
            return [self]
        network = takes.network and array.ndim > 2
        forms = forms_for(array, dims=takes.dims, dtype=takes.dtype, network=network)
        most = FORMS_ALONE if takes.most == 1 else FORMS
        return [replace(self, form=form) for form in forms[:most]]

    def settled(self, inputs: Inputs, *, levels: Sequence[Level] = (), task: Task | None = None) -> Settled:
        """The same endpoint with the reading of its answers settled on these inputs.

        levels  the labels of the data, sorted
        """
        told = replace(self, shape=self.shape.for_classes(levels)) if isinstance(self.shape, Chat) else self
        answer = told.answer(inputs)
        return settle(told, answer, named=answer.named or told.shape.classes, levels=levels, task=task)

    def kept_in(self, folder: Path | None, *, rows: int) -> EndpointModel:
        """The same endpoint at the beginning of a run over so many rows, its answers kept in the run's directory."""
        self.asking.renew()
        self.asking.expected = rows
        if folder is not None:
            self.asking.kept.open(folder)
        return self

    def limit(self, max_calls: int | None) -> None:
        """Allow so many calls in all, where a number is given."""
        if max_calls is not None:
            self.asking.max_calls = max_calls

    @property
    def alone(self) -> bool:
        """Whether each row takes a request of its own."""
        return self.shape.takes.most == 1

    @property
    def trial_rows(self) -> int:
        """How many rows to try the endpoint on: few where each costs a call, and no large part of the calls allowed."""
        rows = TRIAL_ALONE if self.alone else TRIAL
        allowed = self.asking.max_calls
        return rows if allowed is None or not self.alone else max(4, min(rows, allowed // 10))

    @property
    def moods(self) -> float:
        """The share of answers that may change when asked again: language models are never quite constant."""
        return 0.25 if self.spec.kind == "language model" else 0.0

    @property
    def constant(self) -> bool:
        """Whether all answers known by now were found constant already."""
        return self.asking.kept.checked == self.asking.kept.rows

    @property
    def calls(self) -> int:
        """How many calls were made, those of killed runs included."""
        return self.asking.kept.calls

    @property
    def calls_left(self) -> float:
        """How many calls are still allowed."""
        return self.asking.calls_left

    def found_constant(self) -> None:
        """Note that answers did not change when asked for again."""
        self.asking.kept.found_constant()

    def remarks(self) -> tuple[str, ...]:
        """What the user should know of how the asking went."""
        asking, said = self.asking, self.asking.kept.notes()
        calls, rows = asking.kept.calls, asking.kept.rows
        what = "rows" if rows <= (asking.expected or rows) else "inputs"  # some rows in several forms
        told = [f"The endpoint was asked about {rows:,} different {what} in {calls:,} calls."]
        if asking.smaller:
            told.append(f"It takes at most {asking.batch} rows in one call ({asking.smaller}).")
        if asking.retried:
            told.append(f"{asking.retried:,} calls were sent again because the endpoint failed or was busy.")
        told += _counted(said)
        return tuple(told)

    def _read(self, answer: Answer) -> Output:
        return read(answer, self.reading, named=answer.named or self.shape.classes, task=self.spec.task)

    def _rows(self, inputs: Inputs) -> Rows:
        takes = self.shape.takes
        if is_frame(inputs):
            if takes.matrix:
                return rows_of(self._formed(self._matrix(inputs)))
            return rows_of(select(inputs, takes.columns, who=f"`{self.spec.name}`") if takes.columns else inputs)
        if isinstance(inputs, list):
            return rows_of(inputs)
        array = np.asarray(inputs)
        if takes.pictures and array.ndim > 2:
            return rows_of(list(array))
        return rows_of(self._formed(array) if array.dtype.kind in "biuf" else array)

    def _matrix(self, frame: Inputs) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        columns = self.shape.takes.columns
        who = f"`{self.spec.name}`"
        return matrix(select(frame, columns, who=who) if columns else frame, who=who)

    def _formed(self, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Inputs:
        if self.form != AS_GIVEN:
            return self.form.apply(array)
        dtype = self.shape.takes.dtype
        return array.astype(dtype) if dtype else array

    def _most(self, rows: Rows) -> int | None:
        takes = self.shape.takes
        return 1 if rows.kind == "images" and takes.pictures else takes.most

    def _salt(self) -> bytes:
        return hashlib.blake2b(f"{self.asking.kept.owner}|{self.shape.deciding()}".encode(), digest_size=16).digest()


def _counted(notes: Counter[str]) -> list[str]:
    told = []
    if notes["refused"]:
        told.append(f"For {notes['refused']:,} rows the model refused to answer; they count as wrong.")
    if notes["no class"]:
        told.append(f"For {notes['no class']:,} rows its answer named no class, or several; they count as wrong.")
    return told
