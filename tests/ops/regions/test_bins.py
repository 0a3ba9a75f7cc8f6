from __future__ import annotations

import numpy as np
import pytest

from errata.core.columns import Column, Table
from errata.ops.regions.bins import COARSE, FINE, Axis, bin_column, bin_columns, numeric_values


def binned(column: Column, *, least: int = 1, excess: np.ndarray | None = None) -> tuple[Axis | None, np.ndarray]:
    codes = np.empty(len(column), dtype=np.uint8)
    excess = np.zeros(len(column)) if excess is None else excess
    return bin_column("x", column, excess=excess, least=least, out=codes), codes


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_code_says_between_which_edges_a_number_lies(dtype: type) -> None:
    values = np.random.default_rng(0).lognormal(size=5_000).astype(dtype)
    values[::7] = np.nan
    axis, codes = binned(Column.number(values))
    assert axis is not None
    assert axis.gaps == len(values[::7])
    ends = np.concatenate([[-np.inf], axis.edges, [np.inf]])
    known = ~np.isnan(values)
    assert (codes[~known] == axis.bins).all()
    assert (values[known] > ends[codes[known]]).all()
    assert (values[known] <= ends[codes[known] + 1]).all()
    sizes = np.bincount(codes[known], minlength=axis.bins)
    assert axis.bins == FINE
    assert sizes.max() < 2 * sizes.min()


def test_few_values_keep_a_bin_each() -> None:
    values = np.repeat([3, 1, 40], [50, 5, 1])
    axis, codes = binned(Column.number(values))
    assert axis is not None
    assert axis.bins == 3
    assert np.bincount(codes).tolist() == [5, 50, 1]
    assert axis.edges.tolist() == [1.0, 3.0]


def test_coarse_bins_join_neighbours_to_about_equal_size() -> None:
    axis, codes = binned(Column.number(np.random.default_rng(1).normal(size=20_000)))
    assert axis is not None
    coarse = axis.coarse[codes]
    assert axis.coarse_bins == COARSE
    assert np.diff(axis.coarse.astype(int)).min() >= 0
    assert np.bincount(coarse).min() > 0.5 * len(codes) / COARSE


def test_one_frequent_value_has_a_bin_of_its_own() -> None:
    values = np.concatenate([np.zeros(9_000), np.random.default_rng(2).exponential(size=1_000)])
    axis, codes = binned(Column.number(values))
    assert axis is not None
    assert (codes[:9_000] == 0).all()
    assert (codes[9_000:] > 0).all()


def test_levels_come_by_falling_excess_and_rare_ones_are_pooled() -> None:
    codes = np.repeat([0, 1, 2, -1], [30, 30, 3, 30]).astype(np.int32)
    excess = np.repeat([0.0, 0.5, 5.0, -0.5], [30, 30, 3, 30])
    axis, seen = binned(Column(kind="category", values=codes, levels=("a", "b", "c")), least=10, excess=excess)
    assert axis is not None
    assert not axis.ordered
    assert axis.levels.tolist() == [1, 0, -1]
    assert seen[[0, 30, 60, 63]].tolist() == [1, 0, 3, 2]
    assert axis.gaps == 3


def test_a_million_levels_fit_into_a_byte() -> None:
    values = np.random.default_rng(3).integers(0, 5_000, 200_000).astype(np.int32)
    column = Column(kind="category", values=values, levels=tuple(range(5_000)))
    excess = (values == 77) - 0.01
    axis, codes = binned(column, least=5, excess=excess)
    assert axis is not None
    assert axis.bins <= 250
    assert axis.levels[0] == 77
    assert (codes[values == 77] == 0).all()


@pytest.mark.parametrize("values", [np.full(10, 4.0), np.full(10, np.nan), np.zeros(0)])
def test_constant_columns_are_left_out(values: np.ndarray) -> None:
    assert binned(Column.number(values))[0] is None


def test_a_constant_with_gaps_tells_missing_from_known() -> None:
    axis, codes = binned(Column.number([4.0, np.nan, 4.0]))
    assert axis is not None
    assert codes.tolist() == [0, 1, 0]


def test_dates_are_numbers_in_their_own_unit() -> None:
    column = Column(kind="datetime", values=np.array(["1970-01-03", "NaT", "1970-01-02"], dtype="datetime64[D]"))
    assert np.array_equal(numeric_values(column), [2.0, np.nan, 1.0], equal_nan=True)
    axis, codes = binned(column)
    assert axis is not None
    assert codes.tolist() == [1, 2, 0]


def test_columns_that_no_predicate_can_compare_are_left_out() -> None:
    table = Table({"t": Column.strings(["a", "b"]), "x": Column.number([1.0, 2.0]), "c": Column.number([1.0, 1.0])})
    result = bin_columns(table, ["t", "c", "x"], excess=np.zeros(2))
    assert [axis.name for axis in result.axes] == ["x"]
    assert result.codes.tolist() == [[0, 1]]
    assert result.take(np.array([False, True])).codes.tolist() == [[1]]
