from __future__ import annotations

import numpy as np
import pytest

from errata.ops.vectors.kmeans import kmeans


def test_blobs_are_recovered_far_from_the_origin() -> None:
    rng = np.random.default_rng(0)
    blob = rng.integers(0, 7, 2_000)
    x = (1e3 + 10.0 * rng.standard_normal((7, 6))[blob] + rng.standard_normal((2_000, 6))).astype(np.float32)
    found = kmeans(x, 7, rng=rng)
    assert all(len(set(found.assigned[blob == at].tolist())) == 1 for at in range(7))
    assert np.allclose(found.centres[found.assigned[blob == 2][0]], x[blob == 2].mean(axis=0), atol=0.01)


def test_it_is_as_tight_as_that_of_scikit_learn() -> None:
    from sklearn.cluster import KMeans

    x = np.random.default_rng(1).standard_normal((9_000, 8))
    ours = min(kmeans(x, 12, rng=np.random.default_rng(seed)).inertia for seed in range(3))
    theirs = KMeans(12, n_init=3, random_state=0).fit(x).inertia_
    assert ours < 1.01 * theirs


@pytest.mark.parametrize("rows", [1, 3])
def test_fewer_distinct_rows_than_clusters(rows: int) -> None:
    x = np.repeat(np.arange(rows, dtype=float)[:, None], 10, axis=0)
    found = kmeans(x, 8, rng=np.random.default_rng(0))
    assert len(found.centres) == rows
    assert found.inertia == pytest.approx(0.0, abs=1e-9)
