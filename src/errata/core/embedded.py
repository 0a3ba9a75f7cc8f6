"""Rules over embeddings: near a component of a mixture, along a direction, or where a small network says so.

They are plain arrays, so that a saved run can be applied to new data. What needs a network, an encoder or a fitted
transform is a column first, computed by the engine from its `Source`.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from errata.core.atoms import write_name
from errata.core.columns import Bool, Level, Table
from errata.core.errors import UsageError
from errata.core.foreign import column_of, is_ours
from errata.core.rules import Where

__all__ = ["Direction", "Embedded", "Learned", "Near", "Space", "Terms", "embedded_from_json"]

Array = NDArray[np.floating[Any]]
_BLOCK = 8_192
"""Rows scored at once: a block of a wide embedding stays in the cache, and memory stays flat."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Space:
    """How an embedding is read before anything is measured in it; every part is fixed on explore rows.

    centre  (d,) taken off each row, or None
    scale   (d,) each row is divided by, or None; zeros count as one
    unit    rows are then brought to length one
    axes    (d, p) rows are then projected on, or None
    """

    centre: Array | None = None
    scale: Array | None = None
    unit: bool = False
    axes: Array | None = None

    def __call__(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """(n, d) values of an embedding as (n, p) float64; rows with NaN stay NaN."""
        read = np.asarray(values, dtype=np.float64)
        if self.centre is not None:
            read = read - self.centre
        if self.scale is not None:
            read = read / np.where(self.scale == 0.0, 1.0, self.scale)
        if self.unit:
            length = np.sqrt(np.einsum("ij,ij->i", read, read))[:, None]
            read = read / np.where(length == 0.0, 1.0, length)
        return read if self.axes is None else read @ np.asarray(self.axes, dtype=np.float64)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Its arrays by name, for `rules/ID.npz`."""
        parts = {"centre": self.centre, "scale": self.scale, "axes": self.axes}
        return {f"space.{name}": part for name, part in parts.items() if part is not None}

    @staticmethod
    def of(arrays: Mapping[str, NDArray[Any]], *, unit: bool) -> Space:
        """The space that `arrays` described."""
        return Space(
            centre=arrays.get("space.centre"), scale=arrays.get("space.scale"), axes=arrays.get("space.axes"), unit=unit
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Terms:
    """What labels or predictions add to the log-likelihood of each component of a mixture.

    columns  one category column, or a column of scores
    levels   the classes that log_p is about, in its order
    log_p    (k, C) logarithm of the share of each class in each component
    weight   exponent of the term; 1 for the plain likelihood
    """

    columns: tuple[str, ...]
    levels: tuple[Level, ...]
    log_p: Array
    weight: float = 1.0

    def __call__(self, columns: Table) -> NDArray[np.float64]:
        """(n, k) terms; rows whose class is missing or not known add nothing.

        Scores are probabilities over the classes: the term is the logarithm of their product with the component's own
        shares, as in Domino.
        """
        column = columns.column(self.columns[0])
        if column.kind == "scores":
            # A share of exactly zero would forbid a component for good, however close the row is.
            expected = np.asarray(column.values, dtype=np.float64) @ np.exp(self.log_p.T)
            return self.weight * np.log(np.maximum(expected, 1e-12))
        place = {level: code for code, level in enumerate(self.levels)}
        table = np.vstack([np.asarray(self.log_p, dtype=np.float64).T, np.zeros((1, len(self.log_p)))])
        known = [place.get(level, len(self.levels)) for level in column.levels]
        codes = np.asarray(column.values, dtype=np.int64)
        places = np.append(np.array(known, dtype=np.int64), len(self.levels))
        return np.asarray(self.weight * table[places[codes]])


@dataclass(frozen=True, kw_only=True, eq=False)
class Embedded(ABC):
    """What the rules over an embedding share: a score for every row, a cut, and the rows among which it applies.

    column  name of the embedding column
    space   how its values are read
    cut     rows with a score of at least this belong
    given   only rows that this rule selects can belong; None for all rows
    """

    kind: ClassVar[str]

    column: str
    space: Space = field(default_factory=Space)
    cut: float
    given: Where | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it reads, each once."""
        more = () if self.given is None else self.given.columns
        return tuple(dict.fromkeys((self.column, *self._also_reads(), *more)))

    @cached_property
    def text(self) -> str:
        """The rule as text, in its one canonical form; a digest stands for its arrays."""
        own = f"{self.kind} {self._words()} in {write_name(self.column)}"
        return own if self.given is None else f"{own} and {self.given.text}"

    @cached_property
    def digest(self) -> str:
        """Six hexadecimal digits of everything that decides who belongs, besides `given`."""
        taken = hashlib.blake2b(digest_size=3)
        for name, array in sorted(self.arrays().items()):
            taken.update(name.encode() + str(array.shape).encode())
            taken.update(np.ascontiguousarray(array, dtype=np.float32).tobytes())
        taken.update(json.dumps([self.cut, self._plain()], sort_keys=True, default=str).encode())
        return taken.hexdigest()

    def score(self, columns: Any) -> NDArray[np.float64]:
        """(n,) higher means more of a member; -inf outside `given` and where the embedding is missing.

        Raises UsageError where the embedding is not there or has another width.
        """
        values = _embedding(columns, self.column)
        beside = {name: column_of(columns, name) for name in self._also_reads()}
        scores = np.empty(len(values))
        for start in range(0, len(values), _BLOCK):
            rows = np.arange(start, min(start + _BLOCK, len(values)))
            part = Table({name: column.take(rows) for name, column in beside.items()})
            scores[rows] = self._scored(self._read(values[rows[0] : rows[-1] + 1]), part)
        scores = np.where(np.isnan(scores), -np.inf, scores)
        return scores if self.given is None else np.where(self.given.members(columns), scores, -np.inf)

    def members(self, columns: Any) -> Bool:
        """(n,) bool: the rows that belong; `columns` as for `Where.members`, with the embedding as an (n, d) array."""
        scores = self.score(columns)
        return np.asarray((scores >= self.cut) & (scores > -np.inf))

    def to_json(self) -> Mapping[str, Any]:
        """Plain values for `findings.json`; the arrays lie in `rules/ID.npz`."""
        given = None if self.given is None else self.given.text
        return {
            "kind": self.kind, "text": self.text, "where": given, "columns": list(self.columns),
            "embedding": self.column, "cut": self.cut, "unit": self.space.unit, **self._plain(),
        }  # fmt: skip

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Its arrays by name."""
        return self.space.arrays() | self._own_arrays()

    def _read(self, values: NDArray[Any]) -> NDArray[np.float64]:
        parts = (self.space.centre, self.space.scale, self.space.axes)
        wanted = next((len(part) for part in parts if part is not None), values.shape[1])
        if values.shape[1] != wanted:
            raise UsageError(
                f"The embedding `{self.column}` has {values.shape[1]} dimensions, and the rule was fitted on {wanted}.",
                hint="was it made by another encoder?",
            )
        return self.space(values)

    @abstractmethod
    def _scored(self, read: NDArray[np.float64], columns: Table) -> NDArray[np.float64]: ...

    @abstractmethod
    def _words(self) -> str: ...

    @abstractmethod
    def _own_arrays(self) -> dict[str, NDArray[Any]]: ...

    def _plain(self) -> dict[str, Any]:
        return {}

    def _also_reads(self) -> tuple[str, ...]:
        return ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Embedded) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    @classmethod
    @abstractmethod
    def _of(cls, shared: Mapping[str, Any], plain: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Near(Embedded):
    """Rows near one Gaussian: a component of a mixture, or a single prototype.

    With several components the score is the posterior of component `at`, in [0, 1]; with one it is the negative squared
    Mahalanobis distance, so that `cut` is minus the square of a radius.

    means        (k, p) in the space
    precisions   (k, p) diagonals, or (k, p, p) inverse covariances
    log_weights  (k,) logarithm of the components' shares
    at           the component
    label, prediction
                 terms of the likelihood beside the Gaussian; with a prediction the rule may propose and not confirm
    """

    kind: ClassVar[str] = "near"

    means: Array
    precisions: Array
    log_weights: Array
    at: int = 0
    label: Terms | None = None
    prediction: Terms | None = None

    def _scored(self, read: NDArray[np.float64], columns: Table) -> NDArray[np.float64]:
        if len(self.means) == 1:
            return -self._squared(read, 0)
        logs = np.empty((len(read), len(self.means)))
        for k in range(len(self.means)):
            logs[:, k] = self.log_weights[k] + 0.5 * (self._log_det[k] - self._squared(read, k))
        for term in (self.label, self.prediction):
            if term is not None:
                logs += term(columns)
        logs -= logs.max(axis=1, keepdims=True)
        np.exp(logs, out=logs)
        return np.asarray(logs[:, self.at] / logs.sum(axis=1))

    def _squared(self, read: NDArray[np.float64], k: int) -> NDArray[np.float64]:
        away = read - self.means[k]
        precision = np.asarray(self.precisions[k], dtype=np.float64)
        if precision.ndim == 1:
            return np.asarray((away * away) @ precision)
        return np.asarray(np.einsum("ij,ij->i", away @ precision, away))

    @cached_property
    def _log_det(self) -> NDArray[np.float64]:
        precisions = np.asarray(self.precisions, dtype=np.float64)
        if precisions.ndim == 2:
            return np.asarray(np.log(precisions).sum(axis=1))
        return np.asarray(np.linalg.slogdet(precisions)[1])

    def _words(self) -> str:
        return f"{self.at + 1} of {len(self.means)} ({self.digest})"

    def _own_arrays(self) -> dict[str, NDArray[Any]]:
        own = {"means": self.means, "precisions": self.precisions, "log_weights": self.log_weights}
        for name, term in (("label", self.label), ("prediction", self.prediction)):
            if term is not None:
                own[f"{name}.log_p"] = term.log_p
        return own

    def _plain(self) -> dict[str, Any]:
        said: dict[str, Any] = {"at": self.at, "components": len(self.means)}
        for name, term in (("label", self.label), ("prediction", self.prediction)):
            if term is not None:
                said[name] = {"columns": list(term.columns), "levels": list(term.levels), "weight": term.weight}
        return said

    def _also_reads(self) -> tuple[str, ...]:
        return tuple(name for term in (self.label, self.prediction) if term is not None for name in term.columns)

    @classmethod
    def _of(cls, shared: Mapping[str, Any], plain: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        terms: dict[str, Any] = {
            name: Terms(columns=tuple(plain[name]["columns"]), levels=tuple(plain[name]["levels"]),
                        weight=plain[name]["weight"], log_p=arrays[f"{name}.log_p"])
            for name in ("label", "prediction") if plain.get(name) is not None
        }  # fmt: skip
        return cls(
            **shared, means=arrays["means"], precisions=arrays["precisions"], log_weights=arrays["log_weights"],
            at=plain["at"], **terms,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Direction(Embedded):
    """Rows far along a direction: `space(x) @ weights + bias` is at least the cut.

    weights  (p,) in the space
    """

    kind: ClassVar[str] = "direction"

    weights: Array
    bias: float = 0.0

    def _scored(self, read: NDArray[np.float64], columns: Table) -> NDArray[np.float64]:  # noqa: ARG002
        return np.asarray(read @ np.asarray(self.weights, dtype=np.float64) + self.bias)

    def _words(self) -> str:
        return f"{self.digest} >= {self.cut:.4g}"

    def _own_arrays(self) -> dict[str, NDArray[Any]]:
        return {"weights": self.weights}

    def _plain(self) -> dict[str, Any]:
        return {"bias": self.bias}

    @classmethod
    def _of(cls, shared: Mapping[str, Any], plain: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        return cls(**shared, weights=arrays["weights"], bias=plain["bias"])


@dataclass(frozen=True, kw_only=True, eq=False)
class Learned(Embedded):
    """Rows that a small network picks: ReLU between its layers, one output, its sigmoid at least the cut.

    layers  ((p, q) weights, (q,) biases) from the first to the last
    label   category column whose classes (`levels`, one-hot) stand behind the values of the space; None for none
    """

    kind: ClassVar[str] = "learned"

    layers: tuple[tuple[Array, Array], ...]
    label: str | None = None
    levels: tuple[Level, ...] = ()

    def _scored(self, read: NDArray[np.float64], columns: Table) -> NDArray[np.float64]:
        values = read
        if self.label is not None:
            column = columns.column(self.label)
            place = {level: code for code, level in enumerate(self.levels)}
            known = np.array([*(place.get(level, len(self.levels)) for level in column.levels), len(self.levels)])
            one_hot = np.vstack([np.eye(len(self.levels)), np.zeros((1, len(self.levels)))])
            values = np.hstack([values, one_hot[known[np.asarray(column.values, dtype=np.int64)]]])
        for at, (weights, biases) in enumerate(self.layers):
            values = values @ np.asarray(weights, dtype=np.float64) + biases
            if at < len(self.layers) - 1:
                values = np.maximum(values, 0.0)
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(values[:, 0], -60.0, 60.0))))

    def _words(self) -> str:
        return f"{self.digest} >= {self.cut:.4g}"

    def _own_arrays(self) -> dict[str, NDArray[Any]]:
        parts = {}
        for at, (weights, biases) in enumerate(self.layers):
            parts[f"layer{at}.weights"], parts[f"layer{at}.biases"] = weights, biases
        return parts

    def _plain(self) -> dict[str, Any]:
        return {"layers": len(self.layers), "label": self.label, "levels": list(self.levels)}

    def _also_reads(self) -> tuple[str, ...]:
        return () if self.label is None else (self.label,)

    @classmethod
    def _of(cls, shared: Mapping[str, Any], plain: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        layers = tuple(
            (arrays[f"layer{at}.weights"], arrays[f"layer{at}.biases"]) for at in range(plain["layers"])
        )  # fmt: skip
        return cls(**shared, layers=layers, label=plain.get("label"), levels=tuple(plain.get("levels", ())))


KINDS: Mapping[str, type[Embedded]] = {rule.kind: rule for rule in (Near, Direction, Learned)}


def embedded_from_json(plain: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Embedded:
    """The rule that `to_json` and `arrays` described; raises UsageError for one that is damaged."""
    try:
        given = plain.get("where")
        shared = {
            "column": plain["embedding"], "cut": float(plain["cut"]),
            "given": None if given is None else Where.parse(given),
            "space": Space.of(arrays, unit=bool(plain.get("unit"))),
        }  # fmt: skip
        return KINDS[plain["kind"]]._of(shared, plain, arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"The saved rule `{plain.get('text')}` is damaged: {error}.", hint="were files of the run removed?"
        ) from error


def _embedding(columns: Any, name: str) -> NDArray[Any]:
    """(n, d) values of an embedding in our columns, or under its name in any mapping of arrays."""
    if is_ours(columns):
        return np.asarray(columns.column(name).values)
    values = np.asarray(columns[name])
    if values.ndim != 2:
        raise UsageError(f"`{name}` has shape {values.shape}.", hint="an embedding is an array of rows by dimensions.")
    return values
