"""Group sums and jackknife errors against row-by-row definitions, a t table, and coverage by simulation."""

import numpy as np
import pytest

from errata.stats.clusters import Cells, group_sums, jackknife_error, student_interval
from errata.stats.exact import Strata
from errata.stats.intervals import stratified_difference


def drawn(seed: int, groups: int = 12, rows: int = 150) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    group, stratum = rng.integers(groups, size=rows) * 3 + 7, rng.integers(3, size=rows)
    return group, stratum, rng.random(rows) < 0.3, (rng.random(rows) < 0.25).astype(float)


def difference(stratum: np.ndarray, member: np.ndarray, loss: np.ndarray) -> float:
    counts = [np.bincount(stratum, weights=w, minlength=3) for w in (loss * 0 + 1, loss, member, member * loss)]
    return stratified_difference(Strata(*counts)).difference


def test_group_sums_as_written() -> None:
    group, stratum, member, loss = drawn(0)
    expected = []
    for g in np.unique(group):
        total = 0.0
        for row in np.flatnonzero(group == g):
            cell = (group == g) & (stratum == stratum[row])
            total += (member[row] - member[cell].mean()) * (loss[row] - loss[cell].mean())
        expected.append(total)
    cells = Cells.of(loss, group=group, stratum=stratum)
    assert group_sums(cells, cells.count(member), cells.add(member, loss)) == pytest.approx(np.array(expected))


def test_groups_without_contrast_sum_to_exactly_nothing() -> None:
    group, stratum, member, loss = drawn(1)
    member = np.where(group == group[0], True, member)
    loss = np.where(group == group[1], 0.3, loss)
    cells = Cells.of(loss, group=group, stratum=stratum)
    sums = group_sums(cells, cells.count(member), cells.add(member, loss))
    silent = [int(np.flatnonzero(np.unique(group) == group[row])[0]) for row in (0, 1)]
    assert np.all(sums[silent] == 0.0)
    assert np.count_nonzero(sums) > 5


@pytest.mark.parametrize("seed", range(6))
def test_jackknife_as_written(seed: int) -> None:
    group, stratum, member, loss = drawn(seed)
    without = np.array(
        [difference(stratum[group != g], member[group != g], loss[group != g]) for g in np.unique(group)]
    )
    n = len(without)
    expected = np.sqrt((n - 1) / n * np.sum((without - without.mean()) ** 2))
    cells = Cells.of(loss, group=group, stratum=stratum)
    assert jackknife_error(cells, cells.count(member), cells.add(member, loss)) == pytest.approx(expected)


def test_jackknife_where_a_stratum_hangs_on_one_group() -> None:
    group = np.repeat(np.arange(6), 10)
    stratum = np.tile(np.repeat([0, 1], 5), 6)
    rng = np.random.default_rng(2)
    loss, member = (rng.random(60) < 0.4).astype(float), rng.random(60) < 0.4
    member[stratum == 1] = (group == 3)[stratum == 1]  # only one group has members in stratum 1
    counts = [
        [np.bincount(stratum[k], weights=w[k], minlength=2) for w in (loss * 0 + 1, loss, member, member * loss)]
        for k in (group != g for g in range(6))
    ]
    without = np.array([stratified_difference(Strata(*c)).difference for c in counts])
    expected = np.sqrt(5 / 6 * np.sum((without - without.mean()) ** 2))
    cells = Cells.of(loss, group=group, stratum=stratum)
    assert jackknife_error(cells, cells.count(member), cells.add(member, loss)) == pytest.approx(expected)
    only = member & (group == 3)
    assert jackknife_error(cells, cells.count(only), cells.add(only, loss)) == np.inf


def test_only_keeps_cells_and_forgets_rows() -> None:
    group, stratum, member, loss = drawn(3)
    keep = np.random.default_rng(0).random(len(group)) < 0.6
    cells = Cells.of(loss, group=group, stratum=stratum)
    some, fresh = cells.only(keep, loss), Cells.of(loss[keep], group=group[keep], stratum=stratum[keep])
    sums = [group_sums(c, c.count(member[keep]), c.add(member[keep], loss[keep])) for c in (some, fresh)]
    assert sorted(sums[0][sums[0] != 0]) == pytest.approx(sorted(sums[1][sums[1] != 0]))


def test_student_published_quantiles() -> None:
    # Student's t, 10 and 30 degrees of freedom, two-sided .95: 2.228 and 2.042 in any table.
    assert student_interval(0.0, 1.0, groups=11, level=0.95).upper == pytest.approx(2.228, abs=5e-4)
    assert student_interval(1.0, 2.0, groups=31, level=0.95).lower == pytest.approx(1 - 2 * 2.042, abs=1e-3)
    assert student_interval(0.1, np.inf, groups=31, level=0.95).upper == np.inf


def test_coverage_with_rates_that_differ_between_groups() -> None:
    rng = np.random.default_rng(4)
    hits = 0
    group = np.repeat(np.arange(60), 20)
    for _ in range(500):
        rate = np.clip(rng.beta(1, 5, 60), 0, 0.8)[group]
        member = rng.random(1_200) < 0.2
        loss = (rng.random(1_200) < rate + 0.15 * member).astype(float)
        cells = Cells.of(loss, group=group, stratum=np.zeros(1_200, int))
        error = jackknife_error(cells, cells.count(member), cells.add(member, loss))
        value = loss[member].mean() - loss[~member].mean()
        interval = student_interval(value, error, groups=60, level=0.9)
        hits += interval.lower <= 0.15 <= interval.upper
    assert 0.86 < hits / 500 < 0.94
