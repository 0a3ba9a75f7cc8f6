"""Embedding columns of an evaluation: which are computed, what they may be used for, and the way back on other rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import errata
from errata.core.embedded import Direction, Space
from errata.core.errors import CannotRunError, UsageError
from errata.core.slices import ERRS_MORE, Slice
from errata.engine.embed import embedded, recomputed
from errata.engine.propose import as_testable
from errata.evaluate import evaluate
from errata.store.directory import load


def pictures(n: int = 160, seed: int = 0) -> dict[str, np.ndarray]:
    """Bright and dark noise; the dark half of class "b" is mostly missed."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, size=n)
    dark = rng.random(n) < 0.4
    images = rng.integers(0, 120, size=(n, 8, 8)) + np.where(dark, 0, 130)[:, None, None]
    wrong = rng.random(n) < np.where(dark & (label == 1), 0.8, 0.05)
    prediction = np.where(wrong, 1 - label, label)
    scores = np.where(np.arange(2) == prediction[:, None], 0.8, 0.2)
    names = np.array(["a", "b"])
    return {"images": images.astype(np.uint8), "label": names[label], "prediction": names[prediction],
            "scores": scores.astype(np.float32)}  # fmt: skip


def test_images_get_an_encoder_and_the_models_scores_which_may_only_propose() -> None:
    evaluation = evaluate(pictures(), embeddings=("encoder", "scores"))
    assert evaluation.embeddings == ("embedding:encoder", "embedding:scores")
    assert evaluate(pictures(), embeddings=None).embeddings == ("embedding:encoder",)
    assert "embedding:scores" in evaluation.outputs
    assert "embedding:encoder" not in evaluation.outputs
    assert not set(evaluation.embeddings) & set(evaluation.features)
    kinds = {source.kind for source in evaluation.dataset.sources}
    assert {"embedding:encoder", "embedding:scores"} <= kinds


def test_nothing_is_computed_unless_somebody_reads_it() -> None:
    assert evaluate(pictures()).embeddings == ()


def test_the_encoder_is_fitted_on_explore_rows_alone() -> None:
    data = pictures()
    first = evaluate(data, embeddings=("encoder",))
    held = np.flatnonzero(first.fold != 0)
    changed = {**data, "images": data["images"].copy()}
    changed["images"][held] = 255 - changed["images"][held]
    other = embedded(first, asked=())
    fitted = next(source for source in other.dataset.sources if source.kind == "embedding:encoder")
    from dataclasses import replace

    swapped = replace(first, dataset=replace(
        first.dataset.with_table(first.dataset.table.without(("embedding:encoder",))),
        image=lambda row: changed["images"][row],
    ))  # fmt: skip
    again = embedded(swapped, asked=("encoder",))
    refitted = [source for source in again.dataset.sources if source.kind == "embedding:encoder"][-1]
    for name, array in fitted.arrays.items():
        np.testing.assert_array_equal(array, refitted.arrays[name])


def test_an_embedding_that_reads_the_prediction_may_only_propose() -> None:
    rng = np.random.default_rng(0)
    n = 400
    label = rng.integers(0, 2, size=n)
    prediction = np.where(rng.random(n) < 0.3, 1 - label, label)
    own = np.column_stack([prediction * 4.0, np.zeros(n)]) + rng.normal(size=(n, 2)) * 0.1
    data = {
        "inputs": rng.normal(size=(n, 3)).astype(np.float32),
        "label": label,
        "prediction": prediction,
        "embedding_theirs": own.astype(np.float32),
        "embedding_free": rng.normal(size=(n, 4)).astype(np.float32),
    }
    evaluation = evaluate(data)  # fmt: skip
    assert "embedding_theirs" in evaluation.outputs
    assert evaluation.embeddings == ("embedding_free", "embedding_theirs")


def test_a_proposal_that_reads_the_output_is_tested_by_its_independent_rule() -> None:
    evaluation = evaluate(pictures(), embeddings=("encoder", "scores")).explore()
    width = evaluation.column("embedding:scores").values.shape[1]
    circular = Direction(column="embedding:scores", weights=np.arange(width) - 0.5, cut=0.0)
    free = Direction(column="embedding:encoder", space=Space(unit=True), cut=0.0,
                     weights=np.ones(evaluation.column("embedding:encoder").values.shape[1]))  # fmt: skip
    assert as_testable(Slice(rule=circular, independent=free), evaluation).rule == free


def test_a_proposal_without_an_independent_rule_is_imitated_or_stays_circular() -> None:
    data = pictures(400)
    bright = data["images"].mean(axis=(1, 2))
    data["embedding_bright"] = np.column_stack([bright, np.zeros(400)]).astype(np.float32)
    evaluation = evaluate(data)
    from dataclasses import replace

    evaluation = replace(evaluation, outputs=(*evaluation.outputs, "embedding_bright")).explore()
    dark = Direction(column="embedding_bright", weights=np.array([-1.0, 0.0]), cut=-110.0)
    rule = as_testable(Slice(rule=dark), evaluation).rule
    assert rule.kind == "where"
    both = rule.members(evaluation) & dark.members(evaluation)
    assert both.sum() / (rule.members(evaluation) | dark.members(evaluation)).sum() > 0.8
    noise = Direction(column="embedding:scores", weights=np.array([1.0, -1.0]), cut=0.0)
    unclear = evaluate(pictures(120, seed=3), embeddings=("scores",)).explore()
    kept = as_testable(Slice(rule=noise), unclear).rule
    assert kept.kind in ("where", "direction")


def test_a_saved_run_gives_its_embeddings_and_rules_back(tmp_path: Path) -> None:
    evaluation = evaluate(pictures(400), embeddings=("encoder",))
    values = np.asarray(evaluation.column("embedding:encoder").values)
    width, bad = values.shape[1], (evaluation.loss == 1) & (evaluation.fold == 0)
    weights = values[bad].mean(axis=0) - values[~bad].mean(axis=0)
    rule = Direction(column="embedding:encoder", weights=weights, cut=float(np.quantile(values @ weights, 0.8)))
    confirmation = errata.confirm([Slice(rule=rule, claim=ERRS_MORE)], evaluation)
    diagnosis = errata.diagnose(evaluation, methods=["error_tree"], state=tmp_path / "state")
    from dataclasses import replace

    diagnosis = replace(diagnosis, findings=confirmation.findings, members=confirmation.members)
    diagnosis.save(tmp_path / "run")
    again = load(tmp_path / "run")
    assert again.findings[0].rule == rule
    assert again.evaluation is not None
    np.testing.assert_array_equal(again.findings[0].rule.members(again.evaluation), rule.members(evaluation))
    assert again.evaluation.embeddings == ("embedding:encoder",)
    fresh = recomputed(evaluate(pictures(60, seed=5)), again.evaluation.dataset.sources)
    same = recomputed(evaluate(pictures(400)), again.evaluation.dataset.sources)
    np.testing.assert_allclose(
        same.column("embedding:encoder").values, evaluation.column("embedding:encoder").values, rtol=1e-4, atol=1e-4
    )
    assert fresh.column("embedding:encoder").values.shape == (60, width)


def test_a_table_whose_only_column_is_set_aside_has_nothing_to_embed() -> None:
    """The embedding that was brought reads the prediction, and no other column is left."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, size=1200)
    prediction = np.where(rng.random(1200) < 0.2, 1 - label, label)
    told = np.where(np.arange(3) == prediction[:, None], 3.0, 0.0) + rng.normal(size=(1200, 3)) / 20
    data = {"label": label, "prediction": prediction, "scores": np.eye(2)[prediction] * 0.8 + 0.1,
            "embedding_told": told.astype(np.float32)}  # fmt: skip
    evaluation = evaluate(data, embeddings=None)
    assert "embedding_told" in evaluation.outputs
    assert set(evaluation.embeddings) <= set(evaluation.outputs)
    with pytest.raises(UsageError, match="no column to read"):
        evaluate(data, embeddings=("raw",))


@pytest.mark.parametrize("shape", [lambda rows, call: (rows, 8 - call // 2), lambda rows, call: (rows - 1, 8)])
def test_an_encoder_that_gives_another_size_in_the_middle_is_said(shape) -> None:
    class Encoder:
        fingerprint, calls = "f", 0

        def encode(self, inputs):
            self.calls += 1
            return np.zeros(shape(len(inputs), self.calls), dtype=np.float32)

    opened = Encoder()
    with pytest.raises(CannotRunError, match=r"The encoder in `somewhere` gave an array of shape"):
        embedded(evaluate(pictures(600)), asked=["clip:somewhere"], open_encoder=lambda kind, folder: opened)


def test_an_unknown_embedding_gets_a_hint() -> None:
    with pytest.raises(UsageError, match="no embedding `encodr`"):
        evaluate(pictures(), embeddings=("encodr",))
    with pytest.raises(UsageError, match="reads text data; this is image data"):
        evaluate(pictures(), embeddings=("words",))
    with pytest.raises(UsageError, match="this one shows none"):
        evaluate(pictures(), embeddings=("penultimate",))


def test_progress_is_told_within_an_embedding() -> None:
    told: list[float] = []
    evaluate(pictures(200), embeddings=("encoder",), progress=lambda share, words: told.append(share))
    inside = [share for share in told if 0.93 < share < 1.0]
    assert len(set(inside)) >= 3
    assert told == sorted(told)
