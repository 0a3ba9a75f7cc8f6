from __future__ import annotations

import numpy as np
import pytest

from errata.ops.regions.contrast import Contrast
from errata.stats.gain import gain, loss_gain


def drawn(strata: int, *, binary: bool = True, n: int = 2_000) -> tuple[Contrast, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    stratum = rng.integers(0, strata, n).astype(np.int32)
    rate = np.linspace(0.1, 0.4, strata)[stratum]
    loss = (rng.random(n) < rate).astype(float) if binary else rate + rng.normal(size=n)
    return Contrast.of(loss, stratum, binary=binary), loss, stratum


def test_codes_of_one_byte_do_not_overflow() -> None:
    contrast, _, _ = drawn(3)
    codes = np.random.default_rng(1).integers(0, 250, len(contrast)).astype(np.uint8)
    assert contrast.tally(codes, 251)[:, 249] == pytest.approx(contrast.sums(codes == 249))


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("strata", [1, 3, 9])
def test_tallies_are_sums_over_rows(strata: int, *, binary: bool) -> None:
    contrast, _, _ = drawn(strata, binary=binary)
    codes = np.random.default_rng(1).integers(0, 7, len(contrast))
    sums = contrast.tally(codes, 8)
    rows = np.flatnonzero(codes != 3)
    for cell in range(8):
        assert sums[:, cell] == pytest.approx(contrast.sums(codes == cell))
    assert contrast.tally(codes[rows], 8, rows=rows)[:, :3] == pytest.approx(sums[:, :3])
    assert sums.sum(axis=1) == pytest.approx(contrast.totals)


def test_one_class_has_the_gain_of_the_proof() -> None:
    contrast, loss, _ = drawn(1)
    members = loss + np.random.default_rng(2).random(len(loss)) > 0.9
    n1, x1 = members.sum(), loss[members].sum()
    exact = gain([[x1]], [[n1]], wrong=[loss.sum()], rows=[len(loss)], literals=-1)
    assert float(contrast.gain(contrast.sums(members))) == pytest.approx(float(exact[0]))


def test_several_classes_have_nearly_the_gain_of_the_proof() -> None:
    contrast, loss, stratum = drawn(3, n=20_000)
    members = np.random.default_rng(3).random(len(loss)) < np.where(loss > 0, 0.15, 0.05)
    n1, n = np.bincount(stratum[members]), np.bincount(stratum)
    x1, x = np.bincount(stratum[members], weights=loss[members]), np.bincount(stratum, weights=loss)
    exact = float(gain(x1, n1, wrong=x, rows=n, literals=-1))
    assert float(contrast.gain(contrast.sums(members))) == pytest.approx(exact, rel=0.15)


def test_normal_losses_have_the_gain_of_the_proof() -> None:
    """Normal scores of normal losses are the losses themselves, but for place and scale."""
    contrast, loss, _ = drawn(1, binary=False, n=20_000)
    members = loss + np.random.default_rng(4).normal(size=len(loss)) > 2.0
    squares = float((loss**2).sum())
    exact = loss_gain(
        [loss[members].sum()], [members.sum()], loss=[loss.sum()], rows=[len(loss)], squares=squares, literals=-1
    )
    assert float(contrast.gain(contrast.sums(members))) == pytest.approx(float(exact), rel=0.05)


@pytest.mark.parametrize("binary", [True, False])
def test_a_bad_class_alone_gains_nothing(*, binary: bool) -> None:
    contrast, _, stratum = drawn(3, binary=binary)
    assert float(contrast.gain(contrast.sums(stratum == 2))) == pytest.approx(0.0, abs=1e-6)
    assert float(contrast.gain(contrast.sums(stratum != 1))) == pytest.approx(0.0, abs=1e-6)


def test_fewer_errors_gain_nothing() -> None:
    contrast, loss, _ = drawn(1)
    assert float(contrast.gain(contrast.sums(loss == 0))) == 0.0


def test_a_handful_of_huge_losses_counts_by_its_ranks() -> None:
    loss = np.arange(10_000.0)
    huge = np.where(loss > 9_990, 1e9, loss)
    one = np.zeros(len(loss), dtype=np.int32)
    usual, skewed = (Contrast.of(values, one, binary=False).loss for values in (loss, huge))
    assert skewed[:9_991] == pytest.approx(usual[:9_991])
    assert np.ptp(skewed[9_991:]) == 0.0
    assert skewed.max() < 4.0


def test_scores_are_ranks_within_the_class() -> None:
    loss = np.array([1.0, 2.0, 2.0, 9.0, 100.0, 300.0, 200.0])
    stratum = np.array([0, 0, 0, 0, 1, 1, 1], dtype=np.int32)
    scores = Contrast.of(loss, stratum, binary=False).loss
    assert scores[1] == scores[2] == pytest.approx(0.0, abs=1e-12)
    assert scores[0] == -scores[3]
    assert scores[4:].tolist() == pytest.approx([-0.9674, 0.9674, 0.0], abs=1e-4)


def test_evidence_is_the_log_ratio_of_the_rates() -> None:
    loss = np.concatenate([np.ones(40), np.zeros(60), np.ones(90), np.zeros(810)])
    contrast = Contrast.of(loss, np.zeros(1_000, dtype=np.int32), binary=True)
    evidence = contrast.evidence(np.arange(100), np.array([0, 99]))
    assert evidence[0] == pytest.approx(np.log(0.4 / 0.1), abs=0.01)
    assert evidence[1] == pytest.approx(np.log(0.6 / 0.9), abs=0.01)


def test_classes_share_one_odds_ratio() -> None:
    rng = np.random.default_rng(5)
    stratum = np.repeat([0, 1], 50_000).astype(np.int32)
    members = rng.random(100_000) < 0.2
    odds = np.where(stratum == 0, 0.05, 0.5) * np.where(members, 3.0, 1.0)
    loss = (rng.random(100_000) < odds / (1.0 + odds)).astype(float)
    contrast = Contrast.of(loss, stratum, binary=True)
    wrong = contrast.evidence(members, np.flatnonzero((loss > 0) & (stratum == 0))[:1])
    right = contrast.evidence(members, np.flatnonzero((loss == 0) & (stratum == 0))[:1])
    assert float(wrong[0] - right[0]) == pytest.approx(np.log(3.0), abs=0.1)


def test_taken_rows_have_means_of_their_own() -> None:
    contrast, loss, _ = drawn(2)
    assert contrast.take(loss > 0).totals[2] == pytest.approx((loss > 0).sum())


@pytest.mark.parametrize("rates", [(0.02, 0.05), (0.1, 0.24), (0.2, 0.45)])
def test_bounds_are_never_below_the_gain(*, rates: tuple[float, float]) -> None:
    """Of small sets and large ones, of sets that err always, and of every part of a set of cells."""
    rng = np.random.default_rng(3)
    stratum = rng.integers(0, 2, 4_000).astype(np.int32)
    loss = (rng.random(4_000) < np.array(rates)[stratum]).astype(float)
    contrast = Contrast.of(loss, stratum, binary=True)
    order = np.argsort(rng.random(4_000) - rng.choice([0.0, 0.3, 2.0], 1) * loss)
    cells = rng.integers(0, 40, 4_000)
    sets = [order[:size] for size in (1, 3, 20, 200, 1_000, 3_900)] + [np.flatnonzero(loss)]
    sums = np.stack([contrast.sums(rows) for rows in (*sets, *(np.flatnonzero(cells == at) for at in range(40)))]).T
    assert (contrast.gain_bound(sums[1], sums[2]) >= contrast.gain(sums) - 1e-9).all()
    parts = sums[:, -6:]
    most = float(contrast.parts_bound(parts[1], parts[2]))
    for chosen in range(1, 64):
        some = parts[:, [bool(chosen >> at & 1) for at in range(6)]].sum(axis=1)
        assert float(contrast.gain(some)) <= most + 1e-9


def test_sums_in_single_precision_give_the_same_gains() -> None:
    contrast, _, _ = drawn(2)
    sums = np.stack([contrast.sums(np.arange(size)) for size in (10, 100, 500)]).T
    near = contrast.gain(sums.astype(np.float32))
    assert near.dtype == np.float32
    assert near == pytest.approx(contrast.gain(sums), abs=1e-2)
