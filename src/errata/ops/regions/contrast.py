"""How much more a set of rows errs than the rest of its classes: sums per cell, likelihood gain, evidence per row."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Float, Int

__all__ = ["BOUNDED", "Contrast"]

# Up to here a histogram per class is cheaper than a weighted one, and it stays in the processor's cache.
_FEW_CLASSES = 4
_TINY = 1e-12

BOUNDED = 0.5
"""Error rate of the worst class up to which gains have a bound that is worth computing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Contrast:
    """The rows of a search and what is counted in them.

    Sums come as arrays (3, ...): rows, losses, and the losses expected from the rows' classes alone. A row expects the
    mean of its class, so a set that merely picks a bad class has no gain. For a loss that is not 0 or 1, the second is
    the sum of normal scores and the third is 0.

    binary    losses are 0 or 1
    loss      (n,) float64: 0 or 1, or normal scores: the normal quantile of the loss's rank within its class, so that a
              handful of huge losses is no region, and classes may spread differently
    expected  (n,) float64: the mean of the row's class; 0 where the loss is not binary
    stratum   (n,) int32 codes below `strata`
    """

    binary: bool
    loss: Float
    expected: Float
    stratum: Int
    strata: int

    @staticmethod
    def of(loss: Float, stratum: Int, *, binary: bool) -> Contrast:
        """The contrast of rows with these losses (n,) within these strata (n,) int, all of them >= 0."""
        strata = int(stratum.max(initial=-1)) + 1
        rows = np.bincount(stratum, minlength=strata)
        mean = np.bincount(stratum, weights=loss, minlength=strata) / np.maximum(rows, 1)
        expected = mean[stratum]
        if binary:
            return Contrast(binary=True, loss=loss, expected=expected, stratum=stratum, strata=strata)
        excess = _normal_scores(loss, stratum, rows)
        zero = np.zeros(len(excess))
        return Contrast(binary=False, loss=excess, expected=zero, stratum=stratum, strata=strata)

    def __len__(self) -> int:
        return len(self.loss)

    @cached_property
    def wrong(self) -> Int:
        """Indices of the rows with a loss of 1 (of all rows where the loss is not binary)."""
        return np.flatnonzero(self.loss > 0) if self.binary else np.arange(len(self.loss))

    @cached_property
    def totals(self) -> Float:
        """(3,) the sums over all rows."""
        return np.array([len(self.loss), self.loss.sum(), self.expected.sum()])

    @cached_property
    def _variance(self) -> float:
        return float(np.mean(self.loss**2)) + _TINY

    @cached_property
    def _means(self) -> Float:
        first = np.zeros(self.strata)
        first[self.stratum] = self.expected
        return first

    @cached_property
    def _per_class(self) -> Float:
        """(strata, 2) rows and losses of each class."""
        rows = np.bincount(self.stratum, minlength=self.strata)
        return np.stack([rows, np.bincount(self.stratum, weights=self.loss, minlength=self.strata)], axis=1)

    def take(self, keep: Bool | Int) -> Contrast:
        """The contrast of some rows, with the class means taken anew."""
        return Contrast.of(self.loss[keep], self.stratum[keep], binary=self.binary)

    def sums(self, rows: Bool | Int) -> Float:
        """(3,) sums over some rows, given by mask (n,) or by index (m,)."""
        count = np.count_nonzero(rows) if rows.dtype == bool else len(rows)
        return np.array([count, self.loss[rows].sum(), self.expected[rows].sum()])

    def tally(self, codes: Int, cells: int, *, rows: Int | None = None) -> Float:
        """(3, cells) sums per cell; `codes` (n,) or, of some rows, (m,) are below `cells`."""
        if rows is not None:
            return self._weighted(codes, cells, self.loss[rows], self.expected[rows])
        if self.by_class:
            return self.tally_by_class(codes.astype(np.int64) * self.strata + self.stratum, cells)
        if not self.binary:
            return self._weighted(codes, cells, self.loss, self.expected)
        wrong = np.bincount(codes[self.wrong], minlength=cells)
        expected = np.bincount(codes, weights=self.expected, minlength=cells)
        return np.stack([np.bincount(codes, minlength=cells), wrong, expected])

    @property
    def by_class(self) -> bool:
        """Whether sums are counted for each class apart, which needs no weights: binary losses and few classes."""
        return self.binary and self.strata <= _FEW_CLASSES

    def tally_by_class(self, codes: Int, cells: int) -> Float:
        """(3, cells) sums per cell where `by_class`; `codes` (n,) are cell x strata + stratum."""
        rows = np.bincount(codes, minlength=cells * self.strata).reshape(cells, self.strata)
        wrong = np.bincount(codes[self.wrong], minlength=cells * self.strata).reshape(cells, self.strata)
        return np.stack([rows.sum(axis=1), wrong.sum(axis=1), rows @ self._means])

    def _weighted(self, codes: Int, cells: int, loss: Float, expected: Float) -> Float:
        sums = np.zeros((3, cells))
        sums[0] = np.bincount(codes, minlength=cells)
        sums[1] = np.bincount(codes, weights=loss, minlength=cells)
        if self.binary:
            sums[2] = np.bincount(codes, weights=expected, minlength=cells)
        return sums

    def gain(self, sums: Float) -> Float:
        """(...) log-likelihood gained when the rows summed in (3, ...) get a rate of their own; 0 where they err less.

        Binary: binomial, with the mean of the expected rates as null: exact for one class, close for several.
        Else: normal, with one variance. Sums in single precision give gains in single precision.
        """
        n1, o1, e1 = sums
        n, o, e = self.totals.tolist()  # plain numbers keep the precision of the sums
        if not self.binary:
            share = n1 * (1.0 - n1 / n) * self._variance
            explained = np.clip(o1 * o1 / np.maximum(share * n, _TINY), 0.0, 1.0 - 1e-9)
            return np.where(o1 > 0, -0.5 * n * np.log1p(-explained), 0.0)
        inside = _relative_entropy(o1, e1) + _relative_entropy(n1 - o1, n1 - e1)
        outside = _relative_entropy(o - o1, e - e1) + _relative_entropy(n - n1 - o + o1, n - n1 - e + e1)
        return np.where(o1 > e1, inside + outside, 0.0)

    @cached_property
    def highest_rate(self) -> float:
        """The error rate of the worst class, in [0, 1]; for other losses 1."""
        return float(self._means.max(initial=0.0)) if self.binary else 1.0

    def gain_bound(self, wrong: NDArray[Any], expected: NDArray[Any]) -> NDArray[Any]:
        """(...) no less than the `gain` of rows with so many errors where so many are expected, without logarithms.

        For binary losses whose classes all err in at most half of their rows (`BOUNDED`). Inside, with q the expected
        rate and p > q, the relative entropy of p is at most (p - q)^2 / (q (1 - q)), and for q up to a quarter half of
        that (its second derivative is smaller than the bound's up to p = 1 - q, and at p = 1 the bound is the larger);
        outside it is at most (p - q)^2 / (q (1 - q)).
        """
        most = self.highest_rate
        half = 0.5 if most <= 0.25 else 1.0
        below = np.maximum(expected, _TINY)
        rest = np.maximum(float(self.totals[2]) - expected, _TINY)
        over = np.maximum(wrong - expected, 0.0)
        # over^2 (half / below + 1 / rest) / (1 - most), with one division.
        over *= over
        scale = rest * (half / (1.0 - most))
        scale += below / (1.0 - most)
        below *= rest
        over *= scale
        over /= below
        return np.asarray(over)

    def parts_bound(self, wrong: NDArray[Any], expected: NDArray[Any]) -> NDArray[Any]:
        """(...) no less than the `gain` of any of the parts (..., b) of some rows; holds where `gain_bound` does."""
        most = self.highest_rate
        half = 0.5 if most <= 0.25 else 1.0
        over = np.maximum(wrong - expected, 0.0)
        rest = np.maximum(float(self.totals[2]) - expected.sum(axis=-1), _TINY)
        inside = np.einsum("...b,...b->...", over, over / np.maximum(expected, _TINY))
        return np.asarray((half * inside + np.square(over.sum(axis=-1)) / rest) / (1.0 - most))

    def cell_evidence(self, sums: Float, odds: float) -> Float:
        """(...) evidence of cells, summed in (3, ...), that they belong to a region whose odds (loss: mean excess in
        standard deviations) are `odds` times those expected."""
        n1, o1, e1 = sums
        if not self.binary:
            shift = odds * self._variance**0.5
            moved: Float = (o1 * shift - 0.5 * n1 * shift * shift) / self._variance
            return moved
        rate = np.clip(e1 / np.maximum(n1, 1.0), 1e-4, 1.0 - 1e-4)
        raised = odds * rate / (1.0 - rate + odds * rate)
        result: Float = o1 * np.log(raised / rate) + (n1 - o1) * np.log((1.0 - raised) / (1.0 - rate))
        return result

    def evidence(self, members: Bool | Int, rows: Int) -> Float:
        """(m,) log-likelihood ratio of each row in `rows` (m,): drawn like the members, or like the rest of its class.

        Members of all classes share one odds ratio over the rest of their class; sums of this evidence are what a
        boundary is moved by.
        """
        inside_loss, inside_stratum = self.loss[members], self.stratum[members]
        if not self.binary:
            shift = float(inside_loss.mean()) if len(inside_loss) else 0.0
            return (self.loss[rows] * shift - 0.5 * shift * shift) / self._variance
        n1 = np.bincount(inside_stratum, minlength=self.strata)
        o1 = np.bincount(inside_stratum, weights=inside_loss, minlength=self.strata)
        rest = self._per_class - np.stack([n1, o1], axis=1)
        # Half a row of the class's own rate keeps a class without a rest, or without errors, off the borders.
        rate = (rest[:, 1] + self._means + _TINY) / (rest[:, 0] + 1.0 + 2 * _TINY)
        rate = np.clip(rate, 1e-4, 1.0 - 1e-4)
        odds = _common_odds(float(o1.sum()), n1, rate)
        raised = odds * rate / (1.0 - rate + odds * rate)
        table = np.stack([np.log((1.0 - raised) / (1.0 - rate)), np.log(raised / rate)])
        return table[(self.loss[rows] > 0).astype(np.int8), self.stratum[rows]]


def _normal_scores(loss: Float, stratum: Int, rows: Int) -> Float:
    """(n,) the normal quantile of each loss's rank within its class; equal losses share the mean of theirs."""
    from scipy.special import ndtri

    order = np.lexsort((loss, stratum))
    ranked, classes = loss[order], stratum[order]
    starts = np.cumsum(rows) - rows
    place = np.arange(len(loss)) - starts[classes]
    score = ndtri((place + 0.5) / np.maximum(rows, 1)[classes])
    new = np.ones(len(loss), dtype=bool)
    new[1:] = (ranked[1:] != ranked[:-1]) | (classes[1:] != classes[:-1])
    tie = np.cumsum(new) - 1
    mean = np.bincount(tie, weights=score) / np.bincount(tie)
    result = np.empty(len(loss))
    result[order] = mean[tie]
    return result


def _relative_entropy(observed: NDArray[np.float64], expected: NDArray[np.float64]) -> NDArray[np.float64]:
    return observed * np.log((np.maximum(observed, 0.0) + _TINY) / (np.maximum(expected, 0.0) + _TINY))


def _common_odds(wrong: float, rows: Int, rate: Float) -> float:
    """The odds ratio under which `rows` (c,) with base rates `rate` (c,) expect `wrong` errors in all; by bisection."""
    total = float(rows.sum())
    wrong = min(max(wrong, 0.25), total - 0.25) if total > 0.5 else 0.0
    low, high = -10.0, 10.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        odds = np.exp(middle)
        if float(rows @ (odds * rate / (1.0 - rate + odds * rate))) < wrong:
            low = middle
        else:
            high = middle
    return float(np.exp(0.5 * (low + high)))
