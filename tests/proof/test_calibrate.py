"""Calibration: planted regions have their size and their errors, and counts are those of a search that is known."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import count

import numpy as np
import pytest

from errata.confirm import confirm
from errata.core.evaluation import Evaluation
from errata.core.method import Job, load_method
from errata.core.slices import Slice
from errata.proof.calibrate import DIFFERENCE, SHARES, SplitSearch, calibrate, random_region, spiked
from errata.testing import planted


def evaluation(seed: int = 0, *, n: int = 1_500) -> Evaluation:
    return planted("literal", n=n, share=0.05, inside=0.15, outside=0.15, seed=seed).evaluation()


@pytest.mark.parametrize("share", SHARES)
def test_regions_have_about_the_size_asked_for_and_are_not_all_alike(share: float) -> None:
    data = evaluation()
    regions = [random_region(data, share, np.random.default_rng(seed)) for seed in range(12)]
    drawn = [region for region in regions if region is not None]
    assert len(drawn) >= 10
    assert all(abs(region.mean() / share - 1) <= 0.4 for region in drawn)
    assert len({region.tobytes() for region in drawn}) >= len(drawn) - 2


def test_errors_are_added_inside_only_and_stay_consistent() -> None:
    data = evaluation(n=6_000)
    region = random_region(data, 0.1, np.random.default_rng(1))
    assert region is not None
    changed = spiked(data, region, np.random.default_rng(2))
    assert np.array_equal(changed.loss[~region], data.loss[~region])
    rise = changed.loss[region].mean() - data.loss[region].mean()
    assert rise == pytest.approx(DIFFERENCE, abs=3 * np.sqrt(0.25 / region.sum()))
    assert np.array_equal(changed.loss, (changed.predicted != changed.labels).astype(float))


def test_a_class_without_errors_gets_some_all_the_same() -> None:
    data = evaluation(n=3_000)
    right = data.labels == 0
    said = np.where(right, data.labels, data.predicted).astype(np.int32)
    clean = replace(data, loss=np.where(right, 0.0, data.loss), predicted=said)
    region = random_region(clean, 0.1, np.random.default_rng(1))
    assert region is not None
    changed = spiked(clean, region, np.random.default_rng(2))
    assert changed.loss[region & right].mean() > 0.1
    assert np.array_equal(changed.loss, (changed.predicted != changed.labels).astype(float))


def test_counts_are_those_of_the_search() -> None:
    data = evaluation()
    numbers = count()

    def searched(given: Evaluation) -> list[np.ndarray]:
        # Reports something in every fourth world, and in every world the rows that err more than before.
        return [np.ones(len(data.fold), bool)] if next(numbers) % 4 == 0 else []

    found = calibrate(data, searched)
    assert (found.false, found.runs) == (10, 40)
    assert [one.share for one in found.planted] == list(SHARES)
    assert all(one.found == 0 for one in found.planted), "the whole is no region"


def test_a_search_that_knows_finds_every_region() -> None:
    data = evaluation()
    seen: list[np.ndarray] = []

    def remembered(given: Evaluation, region: np.ndarray, rng: np.random.Generator) -> Evaluation:
        seen.append(region)
        return spiked(given, region, rng)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("errata.proof.calibrate.spiked", remembered)
        found = calibrate(data, lambda given: seen[-1:])
    assert all(one.found == one.runs for one in found.planted)
    assert found.false == 0


def test_the_real_search_reports_little_and_finds_large_regions() -> None:
    data = evaluation(n=3_000)
    tree = load_method("error_tree")()

    def propose(given: Evaluation) -> list[Slice]:
        return tree.run(given.explore(), Job(rng=np.random.default_rng(0)))

    search = SplitSearch(propose=propose, confirm=partial(confirm))
    found = calibrate(data, search, runs=8)
    assert found.false <= 2
    assert found.planted[2].found >= 4
    assert found.planted[2].found >= found.planted[0].found


def test_losses_that_are_not_right_or_wrong_are_only_permuted() -> None:
    data = planted("regression", n=800, seed=0).evaluation()
    found = calibrate(data, lambda given: [])
    assert found.planted == ()
