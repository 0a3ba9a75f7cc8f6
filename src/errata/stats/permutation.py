"""Permutation tests whose draws come from random subgroups, so that 99,999 of them cost about as much as a few sorts.

A test by B random permutations is valid because the observed arrangement and the B others are exchangeable under the
null; they need not be independent. Here the others come in blocks. A block is the orbit of one random arrangement (its
hub) under a fixed, small, commutative group: circular shifts of each stratum, or a subgroup of the sign flips. The
observed arrangement is put at a uniformly random place of a random block, whose hub is then worked out backwards.
Given the hubs its place is uniform under the null, and so is its rank: p = (1 + b) / (1 + B) holds exactly, as with
independent draws. All sums of a block come from one Fourier (or Walsh-Hadamard) transform. Draws of one block are
pairwise uncorrelated, or nearly so, hence p scatters as little as with independent draws (tested).

Reference: J. Besag and P. Clifford, "Generalized Monte Carlo significance tests", Biometrika, 1989 (the random place);
J. Hemerik and J. Goeman, "Exact testing with random permutations", TEST, 2018 (subgroups).
"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]

DRAWS = 99_999
MOST_CHOICES = 100_000
MOST_FLIPPED = 16

_BLOCK_CELLS = 500_000
"""Rows times hubs: with n rows a block then has n / 5 draws, few enough of the n shifts to be nearly independent."""

_TIE = 1e-9
"""Sums this close to the observed one, relatively, count as ties: they differ by rounding only."""


def permutation_test(values: Floats, member: Bools, stratum: Ints, *, seed: int) -> float:
    """p-value that members' values are higher than those of their stratum: values permuted within strata, 99,999 times.

    `values` (n,) float64, `member` (n,) bool, `stratum` (n,) int codes. Statistic: sum over members of the value less
    the stratum's mean. Strata without members or without a rest contribute nothing; with no other stratum p is 1.
    """
    rng = np.random.default_rng(seed)
    strata = _contrasting(values, member, stratum)
    rows = sum(len(part.values) for part in strata)
    if rows == 0:
        return 1.0
    blocks = max(1, _BLOCK_CELLS // rows)
    per_block = -(-(DRAWS + 1) // blocks)
    place = int(rng.integers(DRAWS + 1))
    block, position = divmod(place, per_block)
    sums = np.zeros((blocks, per_block))
    observed = noise = 0.0
    for part in strata:
        observed += float(part.values[part.member].sum())
        noise += math.sqrt(float(part.member.sum()) * float(part.values @ part.values))
        sums += _shifted_sums(part, rng, block=block, position=position, shape=sums.shape)
    drawn = sums.ravel()[: DRAWS + 1]
    assert abs(drawn[place] - observed) <= 1e-9 * (abs(observed) + noise), "the observed sum is not where it was put"
    drawn[place] = -math.inf
    # Fourier sums round relative to the whole stratum, so the tie tolerance has a part that does not vanish with T.
    return _share_at_least(observed, drawn, noise=1e-12 * noise)


def choice_test(values: Floats, member: Bools, *, seed: int) -> float:
    """p-value that chosen values sum to more than a random choice of as many: membership permuted over whole groups.

    `values` (g,) one per group, `member` (g,) bool. All C(g, k) choices where those are at most 100,000, else 99,999
    random ones. Ties count.
    """
    groups, chosen = len(values), int(member.sum())
    if chosen in (0, groups):
        return 1.0
    if _log_choices(groups, chosen) > math.log(MOST_CHOICES + 0.5):
        return permutation_test(values, member, np.zeros(groups, dtype=np.int64), seed=seed)
    centred = values - values.mean()
    observed = float(centred[member].sum())
    # The values are centred, so that choosing k sums to minus choosing the other g - k.
    fewer = min(chosen, groups - chosen)
    picks = np.array(list(combinations(range(groups), fewer)), dtype=np.int64)
    sums = centred[picks].sum(axis=1) * (1.0 if fewer == chosen else -1.0)
    noise = 1e-12 * float(np.abs(centred).sum())
    return float(np.mean(sums >= observed - _TIE * abs(observed) - noise))


def sign_flip_test(sums: Floats, *, seed: int) -> float:
    """p-value that the groups' sums `(g,)` lie above zero, by flipping their signs.

    All 2^g flips up to 16 groups with a sum other than 0, else 99,999 random ones; ties count. 1 without such groups.
    """
    flipped = sums[sums != 0.0]
    observed = float(flipped.sum())
    if flipped.size == 0:
        return 1.0
    if flipped.size <= MOST_FLIPPED:
        totals = np.zeros(1)
        for value in flipped:
            totals = np.concatenate([totals + value, totals - value])
        return float(np.mean(totals >= observed - _TIE * abs(observed)))
    rng = np.random.default_rng(seed)
    # A random subgroup of 2^17 flips: flip a turns group g round where a and the group's random word share an odd
    # number of bits. The sums of all flips are then the Walsh-Hadamard transform of the sums gathered by word.
    bits = (DRAWS + 1).bit_length()
    words = rng.integers(1 << bits, size=flipped.size)
    totals = _walsh_hadamard(np.asarray(np.bincount(words, weights=flipped, minlength=1 << bits), dtype=np.float64))
    place = int(rng.integers(DRAWS + 1))
    drawn = totals[np.arange(DRAWS + 1) ^ place]
    drawn[place] = -math.inf
    return _share_at_least(observed, drawn, noise=0.0)


def smallest_permutation_p(member: Bools, stratum: Ints) -> float:
    """The smallest p-value that `permutation_test` could give: one arrangement of all that exist, or 1 / 100,000."""
    log_arrangements = 0.0
    for code in np.unique(stratum[member]):
        rows, chosen = int((stratum == code).sum()), int((member & (stratum == code)).sum())
        log_arrangements += math.lgamma(rows + 1) - math.lgamma(chosen + 1) - math.lgamma(rows - chosen + 1)
    return max(math.exp(-min(log_arrangements, 700.0)), 1.0 / (DRAWS + 1))


def smallest_choice_p(groups: int, chosen: int) -> float:
    """The smallest p-value that `choice_test` could give: 1 / C(g, k), or 1 / 100,000 where the choices are drawn."""
    drawn = 1.0 / (DRAWS + 1)
    return drawn if _log_choices(groups, chosen) > 700.0 else max(1.0 / math.comb(groups, chosen), drawn)


def _log_choices(groups: int, chosen: int) -> float:
    """log C(g, k): with thousands of groups the number itself is too large for a float."""
    return math.lgamma(groups + 1) - math.lgamma(chosen + 1) - math.lgamma(groups - chosen + 1)


def smallest_flip_p(groups: int) -> float:
    """The smallest p-value of `sign_flip_test` with `groups` sums other than 0: 2^-groups, or 1 / 100,000 if drawn."""
    return max(2.0 ** -min(groups, 60), 1.0 / (DRAWS + 1))


class _Part:
    """One stratum: centred values and membership."""

    def __init__(self, values: Floats, member: Bools) -> None:
        self.values, self.member = values - values.mean(), member


def _contrasting(values: Floats, member: Bools, stratum: Ints) -> list[_Part]:
    # Numpy sorts 16-bit codes by counting, ten times faster than wider ones.
    narrow = stratum.astype(np.int16) if stratum.max(initial=0) < 2**15 else stratum
    order = np.argsort(narrow, kind="stable")
    edges = np.flatnonzero(np.diff(stratum[order])) + 1
    parts = [(values[rows], member[rows]) for rows in np.split(order, edges)]
    return [_Part(v, m) for v, m in parts if m.any() and not m.all()]


def _shifted_sums(
    part: _Part, rng: np.random.Generator, *, block: int, position: int, shape: tuple[int, int]
) -> Floats:
    """Sums of one stratum's members for every draw, `(blocks, per_block)`; the observed one at `[block, position]`."""
    blocks, per_block = shape
    rows = len(part.values)
    # Rows go round the circle in random order, so that neighbouring shifts of a sorted column are unrelated.
    order = rng.permutation(rows)
    member, values = part.member[order].astype(np.float64), part.values[order]
    hubs = np.empty((blocks, rows))
    others = np.arange(blocks) != block
    hubs[others] = rng.permuted(np.broadcast_to(values, (blocks - 1, rows)), axis=1)
    if per_block <= rows:
        shifts = np.arange(per_block)
    else:
        rounds = -(-per_block // rows)
        shifts = rng.permuted(np.broadcast_to(np.arange(rows), (rounds, rows)), axis=1).ravel()[:per_block]
    hubs[block] = np.roll(values, int(shifts[position]))
    transformed = np.fft.rfft(hubs, axis=1)
    transformed *= np.conj(np.fft.rfft(member))
    every: Floats = np.fft.irfft(transformed, n=rows, axis=1)
    return every[:, shifts]


def _walsh_hadamard(values: Floats) -> Floats:
    """Sum over j of (-1)^(bits that i and j share) values[j], for every i; the length is a power of two."""
    result = values
    half = 1
    while half < len(values):
        pairs = result.reshape(-1, 2, half)
        result = np.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], axis=1).reshape(-1)
        half *= 2
    return result


def _share_at_least(observed: float, drawn: Floats, *, noise: float) -> float:
    """(1 + b) / (1 + B), b the draws that reach the observed sum; the observed one itself is marked by -inf."""
    reached = int(np.count_nonzero(drawn >= observed - _TIE * abs(observed) - noise))
    return (1 + reached) / (DRAWS + 1)
