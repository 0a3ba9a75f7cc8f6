"""Error-aware Gaussian mixtures: embedding, label and prediction are independent given the component (Domino's model).

Each round is two matrix products per block of rows (`ops/vectors/mixture_steps.py`); only their sums leave a block.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.errors import UsageError
from errata.ops.vectors.mixture_steps import Covariance, Outcome, Parameters, Plan, Rows, Soft, Step, Sums

__all__ = ["Covariance", "Mixture", "Outcome", "Soft", "fit_mixture"]

_BLOCK = 4_096
_SINGLE = 1 << 21
"""Values from which products are in single precision; sums over blocks are in double precision always."""
_EPOCHS = 20
"""Most passes of online EM over the rows."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Mixture:
    """A fitted mixture.

    parameters  shares, means, precisions and class shares of the components
    history     mean log-likelihood per row (with the exponents) at each round over all rows; the last is the end's
    converged   the last round moved it by less than the tolerance
    """

    parameters: Parameters
    history: tuple[float, ...] = ()
    converged: bool = False

    @property
    def log_likelihood(self) -> float:
        """Mean over the rows it was fitted on, at the end."""
        return self.history[-1]

    def responsibilities(
        self, values: NDArray[Any], labels: NDArray[Any] | None = None, scores: NDArray[Any] | None = None
    ) -> NDArray[np.float64]:
        """(n, k) posterior of the components given the values (n, p).

        With labels (n,) and scores (n, C) membership uses the model's output: good for finding, circular as proof.
        """
        logs = self.log_joint(values, labels, scores)
        logs -= logs.max(axis=1, keepdims=True)
        np.exp(logs, out=logs)
        logs /= logs.sum(axis=1, keepdims=True)
        return logs

    def mean_log_likelihood(
        self, values: NDArray[Any], labels: NDArray[Any] | None = None, scores: NDArray[Any] | None = None
    ) -> float:
        """Mean over the rows (with the exponents of the terms that are given)."""
        logs = self.log_joint(values, labels, scores)
        top = logs.max(axis=1)
        return float((np.log(np.exp(logs - top[:, None]).sum(axis=1)) + top).mean())

    def log_joint(
        self, values: NDArray[Any], labels: NDArray[Any] | None = None, scores: NDArray[Any] | None = None
    ) -> NDArray[np.float64]:
        """(n, k) float64 logarithm of share times density times the categorical terms."""
        now = self.parameters
        outcome = Outcome(
            classes=now.classes, labels=labels, scores=scores,
            label_weight=now.label_weight, prediction_weight=now.prediction_weight,
        )  # fmt: skip
        rows = Rows(np.asarray(values, dtype=np.float64), outcome, full=now.precisions.ndim == 3)
        step = Step(now, rows)
        logs = np.empty((len(values), len(now.weights)))
        for start in range(0, len(values), _BLOCK):
            part = slice(start, start + _BLOCK)
            logs[part] = step.logs(part).T
        return logs


def fit_mixture(
    values: NDArray[Any],
    start: NDArray[Any],
    *,
    start_rows: NDArray[np.integer[Any]] | None = None,
    outcome: Outcome | None = None,
    covariance: Covariance = "diag",
    tol: float = 1e-3,
    rounds: int = 100,
    reg_covar: float = 1e-6,
    soft: Soft = "exact",
    batch: int | None = None,
    rng: np.random.Generator | None = None,
) -> Mixture:
    """The mixture of values (n, p) that EM reaches from the responsibilities `start` (n, k).

    With `start_rows` (m,), `start` (m, k) is about these rows, and the first rounds run on them until they converge;
    all rows together then need few.

    A soft prediction enters the likelihood as the probability of the component's class under it, log <scores, q_s>.
    With `soft` "exact" the update of q_s raises that likelihood; "published" takes the mean of the scores instead, as
    the reference does, which is the same for one-hot scores and otherwise may lower it.

    tol        EM stops when the mean log-likelihood moves by less; 1e-3 as in the reference
    rounds     most rounds, 100
    reg_covar  added to variances, 1e-6: values should have a variance near one
    batch      rows per step of online EM, None for all rows in each; for hundreds of thousands of rows
    rng        draws the order of the batches

    Raises UsageError for values that are not finite or when there are no rows.

    Reference: S. Eyuboglu et al., "Domino: Discovering Systematic Errors with Cross-Modal Embeddings", ICLR 2022;
    online: O. Cappe and E. Moulines, "On-line Expectation-Maximization Algorithm for Latent Data Models", JRSS B, 2009.
    """
    if not len(values) or not np.isfinite(values).all():
        raise UsageError(
            f"A mixture of `{len(values)}` rows cannot be fitted: it needs rows without missing or infinite values.",
            hint="leave out rows whose embedding is not known.",
        )
    assert len(start) == len(values if start_rows is None else start_rows)
    seen = outcome or Outcome(classes=0)
    plan = Plan(covariance=covariance, reg_covar=reg_covar, soft=soft, outcome=seen)
    kind = np.float32 if values.size >= _SINGLE else np.float64
    full = covariance == "full"
    whole: NDArray[Any] = np.ascontiguousarray(values, dtype=kind)
    rows = Rows(whole, seen, full=full)
    if start_rows is None:
        now = plan.start(rows, start)
    else:
        part = Rows(whole[start_rows], seen.take(start_rows), full=full)
        now = _rounds(plan, part, plan.start(part, start), tol=tol, rounds=rounds).parameters
    if batch is None or batch >= len(values):
        return _rounds(plan, rows, now, tol=tol, rounds=rounds)
    assert rng is not None, "online EM draws its batches"
    return _online(plan, rows, now, batch=batch, rng=rng, tol=tol, rounds=rounds)


def _rounds(plan: Plan, rows: Rows, now: Parameters, *, tol: float, rounds: int) -> Mixture:
    history: list[float] = []
    for left in range(rounds, -1, -1):
        sums = _expected(plan, rows, now)
        history.append(sums.log_likelihood / len(rows))
        if len(history) > 1 and abs(history[-1] - history[-2]) < tol:
            return Mixture(parameters=now, history=tuple(history), converged=True)
        if left:
            now = plan.maximised(sums)
    return Mixture(parameters=now, history=tuple(history))


def _expected(plan: Plan, rows: Rows, now: Parameters) -> Sums:
    """The sums under the current mixture, block by block."""
    step = Step(now, rows)
    total: Sums | None = None
    for start in range(0, len(rows), _BLOCK):
        sums = plan.expected(rows, step, slice(start, start + _BLOCK))
        total = sums if total is None else total.plus(sums)
    assert total is not None
    return total


def _online(
    plan: Plan, rows: Rows, now: Parameters, *, batch: int, rng: np.random.Generator, tol: float, rounds: int
) -> Mixture:
    """Sums are a running mean over batches, so that each batch improves the mixture; whole passes end it."""
    running: Sums | None = None
    history: list[float] = []
    steps = 0
    for _ in range(min(rounds, _EPOCHS)):
        seen = 0.0
        # Blocks of neighbouring rows in random order read memory in runs; their first row is drawn anew in each pass.
        offset = int(rng.integers(batch))
        edges = np.unique(np.r_[0, np.arange(offset, len(rows), batch), len(rows)])
        for at in rng.permutation(len(edges) - 1):
            part = slice(int(edges[at]), int(edges[at + 1]))
            sums = plan.expected(rows, Step(now, rows), part)
            seen += sums.log_likelihood
            steps += 1
            running = sums.scaled(1.0 / (part.stop - part.start)).mixed(running, share=(steps + 1.0) ** -0.6)
            now = plan.maximised(running)
        history.append(seen / len(rows))
        if len(history) > 1 and abs(history[-1] - history[-2]) < tol:
            break
    last = _rounds(plan, rows, now, tol=tol, rounds=3)
    return replace(last, history=(*history, *last.history))
