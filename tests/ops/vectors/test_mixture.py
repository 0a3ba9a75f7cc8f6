from __future__ import annotations

import numpy as np
import pytest

from errata.core.errors import UsageError
from errata.ops.vectors import mixture as mixture_module
from errata.ops.vectors import mixture_steps
from errata.ops.vectors.mixture import Mixture, Outcome, fit_mixture
from errata.ops.vectors.mixture_starts import STARTS, responsibilities_at_start


def three_blobs(seed: int = 0, n: int = 900, d: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, blob and labels; blob 2 has both labels."""
    rng = np.random.default_rng(seed)
    blob = rng.integers(0, 3, n)
    x = (
        np.array([0.0, 5.0, -4.0])[blob][:, None]
        + rng.standard_normal((n, d)) * np.array([1.0, 0.5, 2.0])[blob][:, None]
    )
    return x, blob, np.where(blob == 2, rng.integers(0, 2, n), blob)


def soft(label: np.ndarray, wrong: np.ndarray, classes: int, seed: int = 0) -> np.ndarray:
    said = (label + wrong) % classes
    sure = np.random.default_rng(seed).uniform(0.5, 1.0, len(label))
    scores = np.repeat(((1.0 - sure) / (classes - 1))[:, None], classes, axis=1)
    scores[np.arange(len(label)), said] = sure
    return scores


def start_for(x: np.ndarray, k: int, seed: int = 0) -> np.ndarray:
    return responsibilities_at_start(
        "kmeans", x, components=k, labels=None, scores=None, rng=np.random.default_rng(seed)
    )


@pytest.mark.parametrize("covariance", ["diag", "full"])
def test_without_labels_it_is_the_mixture_of_scikit_learn(covariance) -> None:
    from sklearn.mixture import GaussianMixture

    x, _, _ = three_blobs()
    start = start_for(x, 3)
    ours = fit_mixture(x, start, covariance=covariance, tol=1e-8)

    class Started(GaussianMixture):
        def _initialize_parameters(self, values, *_: object, **__: object) -> None:
            self._initialize(values, start)

    theirs = Started(3, covariance_type=covariance, tol=1e-8, max_iter=100).fit(x)
    assert ours.converged
    assert ours.mean_log_likelihood(x) == pytest.approx(theirs.score(x), abs=1e-5)
    assert np.allclose(ours.parameters.means, theirs.means_, atol=1e-3)
    assert np.allclose(ours.responsibilities(x), theirs.predict_proba(x), atol=1e-3)


@pytest.mark.parametrize("covariance", ["diag", "full"])
@pytest.mark.parametrize("weight", [1.0, 10.0])
@pytest.mark.parametrize("start", STARTS)
def test_the_log_likelihood_never_falls(start: str, weight: float, covariance) -> None:
    x, _, label = three_blobs(seed=1)
    scores = soft(label, np.random.default_rng(1).random(len(label)) < 0.2, 2)
    first = responsibilities_at_start(start, x, components=8, labels=label, scores=scores, rng=np.random.default_rng(0))
    outcome = Outcome(classes=2, labels=label, scores=scores, label_weight=weight, prediction_weight=weight)
    found = fit_mixture(x, first, outcome=outcome, covariance=covariance, tol=1e-6)
    assert np.diff(found.history).min() > -1e-6
    assert found.log_likelihood == pytest.approx(found.mean_log_likelihood(x, label, scores), abs=1e-8)


def test_blobs_are_recovered_and_errors_told_apart() -> None:
    x, blob, label = three_blobs(seed=2)
    wrong = (blob == 0) & (np.random.default_rng(2).random(len(blob)) < 0.7)
    scores = soft(label, wrong, 2)
    start = responsibilities_at_start(
        "cells", x, components=6, labels=label, scores=scores, rng=np.random.default_rng(0)
    )
    found = fit_mixture(x, start, outcome=Outcome(classes=2, labels=label, scores=scores, prediction_weight=3.0))
    told = found.responsibilities(x, label, scores).argmax(axis=1)
    hidden = found.responsibilities(x).argmax(axis=1)
    errors = np.bincount(told, weights=wrong, minlength=6) / np.maximum(np.bincount(told, minlength=6), 1)
    assert errors.max() > 0.95  # with the prediction there is a component of errors alone
    for one in set(hidden.tolist()):
        assert np.bincount(blob[hidden == one]).max() > 0.9 * (hidden == one).sum()
    # Without it membership cannot depend on the prediction.
    assert np.array_equal(found.responsibilities(x, label), found.responsibilities(x, label, None))
    assert not np.allclose(found.responsibilities(x, label), found.responsibilities(x, label, scores))


def naive(found: Mixture, x: np.ndarray, label: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(n, k) the model written out."""
    from scipy.stats import multivariate_normal

    now = found.parameters
    logs = np.empty((len(x), len(now.weights)))
    for k in range(len(now.weights)):
        precision = now.precisions[k] if now.precisions.ndim == 3 else np.diag(now.precisions[k])
        logs[:, k] = np.log(now.weights[k]) + multivariate_normal(now.means[k], np.linalg.inv(precision)).logpdf(x)
        logs[:, k] += now.label_weight * np.log(np.maximum(now.label_p[k, label], 1e-12))
        logs[:, k] += now.prediction_weight * np.log(scores @ now.prediction_p[k])
    return logs


@pytest.mark.parametrize("covariance", ["diag", "full"])
def test_the_products_are_the_model_written_out(covariance) -> None:
    x, _, label = three_blobs(seed=3, n=300, d=3)
    scores = soft(label, np.zeros(300, dtype=bool), 3)
    outcome = Outcome(classes=3, labels=label, scores=scores, label_weight=2.0, prediction_weight=5.0)
    found = fit_mixture(x, start_for(x, 3), outcome=outcome, covariance=covariance)
    assert np.allclose(found.log_joint(x, label, scores), naive(found, x, label, scores), atol=1e-7)


def test_single_precision_and_blocks_change_nothing_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    x, _, label = three_blobs(seed=4)
    scores = soft(label, np.zeros(len(label), dtype=bool), 2)
    outcome = Outcome(classes=2, labels=label, scores=scores)
    start = start_for(x, 4)
    whole = fit_mixture(x, start, outcome=outcome, tol=1e-6)
    monkeypatch.setattr(mixture_module, "_BLOCK", 100)
    monkeypatch.setattr(mixture_module, "_SINGLE", 0)
    monkeypatch.setattr(mixture_steps, "_HELD", 0)
    pieces = fit_mixture(x, start, outcome=outcome, tol=1e-6)
    assert pieces.log_likelihood == pytest.approx(whole.log_likelihood, abs=1e-3)
    assert np.allclose(pieces.parameters.means, whole.parameters.means, atol=1e-2)


def test_batches_and_a_start_on_some_rows_reach_the_same_likelihood() -> None:
    x, _, label = three_blobs(seed=5, n=12_000)
    scores = soft(label, np.zeros(len(label), dtype=bool), 2)
    outcome = Outcome(classes=2, labels=label, scores=scores)
    start = start_for(x, 3)
    whole = fit_mixture(x, start, outcome=outcome)
    rng = np.random.default_rng(0)
    online = fit_mixture(x, start, outcome=outcome, batch=1_000, rng=rng)
    some = np.sort(rng.choice(len(x), 2_000, replace=False))
    warm = fit_mixture(x, start[some], start_rows=some, outcome=outcome)
    assert online.log_likelihood == pytest.approx(whole.log_likelihood, abs=0.005)
    assert warm.log_likelihood == pytest.approx(whole.log_likelihood, abs=0.005)
    assert len(warm.history) < len(whole.history)


def test_labels_that_are_not_known_add_nothing() -> None:
    x, _, label = three_blobs(seed=6)
    start = start_for(x, 3)
    none = fit_mixture(x, start)
    unknown = fit_mixture(x, start, outcome=Outcome(classes=2, labels=np.full(len(x), -1)))
    assert unknown.log_likelihood == pytest.approx(none.log_likelihood)
    found = fit_mixture(x, start, outcome=Outcome(classes=2, labels=label))
    assert np.allclose(found.responsibilities(x, np.full(len(x), -1)), found.responsibilities(x))


def test_a_component_that_loses_its_rows_does_no_harm() -> None:
    x, _, _ = three_blobs(seed=7)
    start = np.hstack([start_for(x, 3), np.zeros((len(x), 2))])
    for covariance in ("diag", "full"):
        found = fit_mixture(x, start, covariance=covariance)  # type: ignore[arg-type]
        assert np.isfinite(found.log_likelihood)
        assert np.allclose(found.responsibilities(x).sum(axis=1), 1.0)


@pytest.mark.parametrize("start", STARTS)
def test_more_components_than_rows_or_cells_than_components(start: str) -> None:
    rng = np.random.default_rng(0)
    x, label = rng.standard_normal((9, 30)), rng.integers(0, 5, 9)
    scores = soft(label, np.zeros(9, dtype=bool), 5)
    for components in (25, 4):
        first = responsibilities_at_start(start, x, components=components, labels=label, scores=scores, rng=rng)
        assert first.shape[0] == 9
        assert first.shape[1] <= min(9, components)
        assert np.allclose(first.sum(axis=1), 1.0)
        found = fit_mixture(x, first, outcome=Outcome(classes=5, labels=label, scores=scores))
        assert np.isfinite(found.log_likelihood)


def test_what_cannot_be_fitted_says_so() -> None:
    with pytest.raises(UsageError, match="missing or infinite"):
        fit_mixture(np.full((4, 2), np.nan), np.ones((4, 1)))
    with pytest.raises(UsageError, match="`0` rows"):
        fit_mixture(np.zeros((0, 2)), np.ones((0, 1)))
    with pytest.raises(UsageError, match="needs labels"):
        responsibilities_at_start(
            "cells", np.zeros((4, 2)), components=2, labels=None, scores=None, rng=np.random.default_rng(0)
        )
    with pytest.raises(UsageError, match="kmean"):
        responsibilities_at_start(
            "kmean", np.zeros((4, 2)), components=2, labels=None, scores=None, rng=np.random.default_rng(0)
        )
