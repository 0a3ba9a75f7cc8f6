"""Rows told apart into a slice and the rest along a score, by how far the model's answer on each can be doubted.

One-dimensional relative of the error-aware mixture: membership rises with the score, doubt is distributed one way
inside and another outside, and both are fitted together, so that the score need not have a cut.

Reference: Eyuboglu et al., "Domino: Discovering Systematic Errors with Cross-Modal Embeddings", ICLR 2022, for the idea
of a mixture over inputs, labels and predictions. The form here, a logistic prior over a ranked score, is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "LEVELS", "ErrorMixture", "agreement", "doubt_levels", "fit_error_mixture", "normal_scores", "null_gain",
]  # fmt: skip

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

RIGHT_LEVELS, WRONG_LEVELS = 6, 4
LEVELS = RIGHT_LEVELS + WRONG_LEVELS
"""Levels of doubt: right answers in six groups of equal size, wrong ones in four. Two levels alone, right and wrong,
gave average precision .02 lower in `benchmarks/planted_slices.py`."""

STEP, CELLS = 0.05, 161
"""Scores are binned on -4 to 4 for the fit, so that its cost does not grow with the rows."""

ROUNDS = 40
STARTS = (0.03, 0.1, 0.3)
"""Shares of the class that the slice is taken to have at first; the likeliest end is kept."""

SLOPES = (0.2, 15.0)
USUAL_SLOPE, PULL = 3.0, 0.1
PSEUDO_ROWS = 2.0
"""Each side's distribution of doubt starts from so many rows of the whole class."""

LEAST_ROWS = 20
NULL_SCORES = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class ErrorMixture:
    """What was fitted for m scores.

    slope, intercept  (m,) log odds of membership = slope * normal score + intercept
    inside, outside   (m, LEVELS) shares of the levels of doubt
    gain              (m,) log-likelihood beyond one distribution of doubt for all rows, in nats; 0 with too few rows
    """

    slope: Floats
    intercept: Floats
    inside: Floats
    outside: Floats
    gain: Floats

    def log_odds(self, normal: Floats, levels: Codes) -> Floats:
        """(m, n) log odds of membership given the score and the row's own doubt; -inf where there is no score."""
        said: Floats = np.log(self.inside / self.outside)[:, levels]
        return self.prior_odds(normal) + said

    def prior_odds(self, normal: Floats) -> Floats:
        """(m, n) log odds of membership given the score alone; -inf where there is no score."""
        odds: Floats = self.slope[:, None] * normal + self.intercept[:, None]
        return odds

    def gains(self, normal: Floats, levels: Codes, *, base: Codes) -> Floats:
        """(m,) nats by which the fit beats the shares of the levels of all the class's rows, `base`, on some rows."""
        shares = np.bincount(base, minlength=LEVELS) / len(base)
        prior = self._prior(normal)
        likely = prior * self.inside[:, levels] + (1 - prior) * self.outside[:, levels]
        return np.where(np.isfinite(normal), np.log(likely / shares[levels]), 0.0).sum(axis=1)  # type: ignore[no-any-return]

    def error_gain(self, normal: Floats, wrong: NDArray[np.bool_], *, base: NDArray[np.bool_]) -> Floats:
        """(m,) nats gained over the share of wrong rows in `base` in telling wrong from right by score alone."""
        prior = self._prior(normal)
        inside, outside = (side[:, RIGHT_LEVELS:].sum(axis=1)[:, None] for side in (self.inside, self.outside))
        rate: Floats = prior * inside + (1 - prior) * outside
        mean = base.mean()
        told = np.where(wrong, np.log(rate / mean), np.log((1 - rate) / (1 - mean)))
        return np.where(np.isfinite(normal), told, 0.0).sum(axis=1)  # type: ignore[no-any-return]

    def _prior(self, normal: Floats) -> Floats:
        from scipy.special import expit

        found: Floats = expit(self.prior_odds(normal))
        return found


def normal_scores(scores: Floats) -> Floats:
    """(m, n) each row of scores by rank on the scale of a normal distribution; ties share; -inf stays."""
    from scipy.special import ndtri

    normal = np.full(scores.shape, -np.inf)
    for out, row in zip(normal, scores, strict=True):
        known = np.isfinite(row)
        _, place, count = np.unique(row[known], return_inverse=True, return_counts=True)
        out[known] = ndtri(((np.cumsum(count) - count / 2) / max(1, known.sum()))[place])
    return normal


def doubt_levels(doubt: Floats, wrong: NDArray[np.bool_]) -> Codes:
    """(n,) levels 0 to LEVELS - 1 of the doubts of one class's rows, the wrong rows above all right ones."""
    levels = np.zeros(len(doubt), dtype=np.int64)
    for part, groups, first in ((~wrong, RIGHT_LEVELS, 0), (wrong, WRONG_LEVELS, RIGHT_LEVELS)):
        if part.any():
            cuts = np.quantile(doubt[part], np.arange(1, groups) / groups)
            levels[part] = first + np.searchsorted(cuts, doubt[part], side="right")
    return levels


def fit_error_mixture(normal: Floats, levels: Codes) -> ErrorMixture:
    """A mixture for each of m scores over the n rows of one class, by expectation-maximisation.

    normal  (m, n) of `normal_scores`; levels (n,) of `doubt_levels`
    """
    from scipy.special import xlogy

    counts = _binned(normal, levels)
    known = counts.sum(axis=1)
    base = _shares(known + 0.5)
    m, tries = len(counts), len(STARTS)
    fitted = _Steps(np.repeat(counts, tries, axis=0), np.repeat(base, tries, axis=0), np.tile(STARTS, m))
    for _ in range(ROUNDS):
        fitted.step()
    alone = xlogy(known, known / np.maximum(known.sum(axis=1, keepdims=True), 1)).sum(axis=1, keepdims=True)
    gains = fitted.log_likelihood().reshape(m, tries) - alone
    best = np.arange(m) * tries + gains.argmax(axis=1)
    enough = known.sum(axis=1) >= LEAST_ROWS
    return ErrorMixture(
        slope=fitted.slope[best, 0], intercept=fitted.intercept[best, 0],
        inside=fitted.inside[best], outside=fitted.outside[best],
        gain=np.where(enough, np.maximum(gains.max(axis=1), 0.0), 0.0),
    )  # fmt: skip


def null_gain(levels: Codes, *, tries: int) -> float:
    """Nats that one in about twenty sets of `tries` scores at random would gain on rows of these levels.

    The largest gain of twenty random scores; a gain is exceeded e times less often for each nat more.
    """
    rng = np.random.default_rng(0)
    drawn = fit_error_mixture(normal_scores(rng.standard_normal((NULL_SCORES, len(levels)))), levels)
    return float(drawn.gain.max() + np.log(max(tries, 1)))


def agreement(normal: Floats, doubt: Floats) -> Floats:
    """(m,) rank correlation of each score with the doubt of the rows that have it; 0 with too few."""
    found = np.zeros(len(normal))
    for at, row in enumerate(normal):
        known = np.isfinite(row)
        if known.sum() >= LEAST_ROWS:
            ranks = [_mean_ranks(values[known]) for values in (row, doubt)]
            if all(np.ptp(rank) > 0 for rank in ranks):
                found[at] = np.asarray(np.corrcoef(ranks))[0, 1]
    return found


def _mean_ranks(values: Floats) -> Floats:
    """(n,) ranks, ties at their mean."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    found: Floats = (np.cumsum(count) - (count - 1) / 2)[place]
    return found


def _binned(normal: Floats, levels: Codes) -> Floats:
    """(m, CELLS, LEVELS) numbers of rows."""
    known = np.isfinite(normal)
    place = np.clip(np.round(np.where(known, normal, 0.0) / STEP).astype(np.int64) + CELLS // 2, 0, CELLS - 1)
    flat = (np.arange(len(normal))[:, None] * CELLS + place) * LEVELS + levels
    counts = np.bincount(flat[known], minlength=len(normal) * CELLS * LEVELS)
    return counts.reshape(len(normal), CELLS, LEVELS).astype(np.float64)


class _Steps:
    """The state of expectation-maximisation for all scores and starts at once."""

    def __init__(self, counts: Floats, base: Floats, shares: Floats) -> None:
        from scipy.special import ndtri

        self.counts, self.base, self.rows = counts, base, counts.sum(axis=2)
        self.grid: Floats = np.linspace(-STEP * (CELLS // 2), STEP * (CELLS // 2), CELLS)[None]
        self.slope: Floats = np.full((len(counts), 1), 4.0)
        self.intercept: Floats = np.asarray(-self.slope * ndtri(1 - shares)[:, None], dtype=np.float64)
        self.inside: Floats = _tilted(base, 1.0)
        self.outside: Floats = base.copy()

    def step(self) -> None:
        """One round: who is inside, the two distributions of doubt, the logistic prior."""
        prior = self.prior()[:, :, None]
        likely = prior * self.inside[:, None]
        inside = self.counts * (likely / (likely + (1 - prior) * self.outside[:, None]))
        self.inside = _shares(inside.sum(axis=1) + PSEUDO_ROWS * self.base)
        self.outside = _shares((self.counts - inside).sum(axis=1) + PSEUDO_ROWS * self.base)
        self._doubt_speaks_for_membership()
        self._newton(inside.sum(axis=2))

    def prior(self) -> Floats:
        """(m, CELLS) probability of membership by score alone."""
        from scipy.special import expit

        found: Floats = expit(self.slope * self.grid + self.intercept)
        return found

    def log_likelihood(self) -> Floats:
        """(m,) of the levels of doubt given the scores."""
        prior = self.prior()[:, :, None]
        mixed = prior * self.inside[:, None] + (1 - prior) * self.outside[:, None]
        total: Floats = (self.counts * np.log(mixed)).sum(axis=(1, 2))
        return total

    def _doubt_speaks_for_membership(self) -> None:
        """Slices err more: where the inside turned out the surer side it starts again, and no more doubt ever speaks
        against membership (the log ratio is made monotone, halfway between its upper and lower monotone hulls)."""
        surer = ((self.inside - self.outside) * np.arange(LEVELS)).sum(axis=1) <= 0
        self.inside[surer] = _tilted(self.base[surer], 0.2)
        self.outside[surer] = self.base[surer]
        ratio = np.log(self.inside / self.outside)
        upper = np.maximum.accumulate(ratio, axis=1)
        lower = np.minimum.accumulate(ratio[:, ::-1], axis=1)[:, ::-1]
        self.inside = _shares(self.outside * np.exp((upper + lower) / 2))

    def _newton(self, members: Floats) -> None:
        """Two damped Newton steps of a logistic regression of membership on the score."""
        for _ in range(2):
            prior = self.prior()
            missed = members - self.rows * prior
            weight = self.rows * (prior * (1 - prior) + 1e-4)
            aa = (weight * self.grid**2).sum(axis=1, keepdims=True) + PULL
            ab = (weight * self.grid).sum(axis=1, keepdims=True)
            bb = weight.sum(axis=1, keepdims=True) + PULL
            by_slope = (missed * self.grid).sum(axis=1, keepdims=True) - PULL * (self.slope - USUAL_SLOPE)
            by_intercept = missed.sum(axis=1, keepdims=True)
            turn = aa * bb - ab**2
            self.slope = np.clip(self.slope + np.clip((bb * by_slope - ab * by_intercept) / turn, -2, 2), *SLOPES)
            self.intercept = self.intercept + np.clip((aa * by_intercept - ab * by_slope) / turn, -3, 3)


def _shares(counts: Floats) -> Floats:
    found: Floats = counts / counts.sum(axis=1, keepdims=True)
    return found


def _tilted(base: Floats, strength: float) -> Floats:
    """The distribution moved towards doubt."""
    return _shares(base * np.exp(strength * np.linspace(-1, 1, LEVELS)))
