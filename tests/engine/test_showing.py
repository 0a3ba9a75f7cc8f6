"""The model's own layer: read in the pass that predicts, in one of its own where that failed, and never at any cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from errata.core.errors import CannotRunError, UsageError
from errata.core.model import Embeds, ModelSpec, Output, Shows
from errata.engine.embed import embedded, own_layers
from errata.engine.predict import predict_all
from errata.engine.showing import OwnLayer
from errata.evaluate import evaluate


def pictures(n: int = 300, seed: int = 0) -> dict[str, np.ndarray]:
    """Images of two classes, with an embedding so that none is fitted to them."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, size=n)
    images = rng.integers(1, 200, size=(n, 8, 8)) + 50 * label[:, None, None]
    mine = rng.normal(size=(n, 2)).astype(np.float32)
    return {"images": images.astype(np.uint8), "label": np.array(["a", "b"])[label], "embedding_mine": mine}


def flat(inputs: Any) -> np.ndarray:
    return np.asarray(inputs, dtype=np.float32).reshape(len(inputs), -1)


class Flat:
    """A model that shows nothing of how it represents its inputs, though it has the verb; it notes what it is asked."""

    def __init__(self, *, fails_on: float | None = None) -> None:
        self.spec = ModelSpec(name="flat", kind="test", task="classification", classes=("a", "b"), fingerprint="f")
        self.fails_on = fails_on
        self.asked: list[int] = []

    def predict(self, inputs: Any) -> Output:
        self.asked.append(len(inputs))
        if self.fails_on is not None and (flat(inputs)[:, 0] == self.fails_on).any():
            raise ValueError("cannot take it")
        share = flat(inputs).mean(axis=1, dtype=np.float64) / 255
        return Output(scores=np.stack([1 - share, share], axis=1).astype(np.float32))

    def embed(self, inputs: Any, layer: str | None = None) -> np.ndarray:
        raise CannotRunError("No layer of `Flat` can be read.", hint="name one.")

    def showing(self, inputs: Any, layer: str | None = None) -> Output:
        return Output(scores=self.predict(inputs).scores, layer=self.embed(inputs, layer))


class Narrow(Flat):
    """A model that fits no more than so many rows at once in its memory, and raises on a row that is all black."""

    def embed(self, inputs: Any, layer: str | None = None) -> np.ndarray:
        if len(inputs) > 20:
            raise RuntimeError("out of memory")
        if (flat(inputs).max(axis=1) == 0).any():
            raise ZeroDivisionError("too dark")
        return flat(inputs)[:, :3]


class Open(Flat):
    """A model that shows its first columns, or as many as it is asked for by name."""

    def embed(self, inputs: Any, layer: str | None = None) -> np.ndarray:
        if layer is not None and not layer.isdigit():
            raise UsageError(f"There is no layer `{layer}`.", hint="name a number.")
        return flat(inputs)[:, : int(layer or 5)]


def read(model: Any, data: dict[str, np.ndarray], **options: Any) -> np.ndarray:
    return np.asarray(evaluate(model, data, **options).column("embedding:penultimate").values)


def test_every_row_is_asked_once() -> None:
    data, counted, model = pictures(), Flat(), Open()
    evaluate(counted, data)
    assert isinstance(model, Embeds)
    evaluation = evaluate(model, data, embeddings=None)
    assert model.asked == counted.asked
    assert evaluation.embeddings == ("embedding_mine", "embedding:penultimate")
    assert "embedding:penultimate" in evaluation.outputs
    np.testing.assert_array_equal(evaluation.column("embedding:penultimate").values, flat(data["images"])[:, :5])
    np.testing.assert_array_equal(evaluation.scores, evaluate(counted, data).scores)


class Plain:
    """A model that shows how it represents its inputs in a run of its own, and has no other verb."""

    def __init__(self, model: Open) -> None:
        self.spec, self.predict, self.embed = model.spec, model.predict, model.embed


def test_of_a_model_that_cannot_do_both_at_once_the_layer_is_read_afterwards() -> None:
    data, model = pictures(), Open()
    assert not isinstance(Plain(model), Shows)
    np.testing.assert_array_equal(read(Plain(model), data, embeddings=None), read(Open(), data, embeddings=None))
    counted = Flat()
    evaluate(counted, data)
    assert sum(model.asked) == sum(counted.asked), "predictions are not asked for again"


def test_a_torch_module_runs_once_over_every_row() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(),
        torch.nn.Linear(16, 2),
    )  # fmt: skip
    torch.nn.init.normal_(module[4].weight, std=5)  # so that its answers are no probabilities
    rows: list[int] = []
    module.register_forward_hook(lambda part, given, gave: rows.append(len(gave)))
    data = {**pictures(), "label": np.arange(300) % 2}
    plain = evaluate(module, data)
    alone, rows[:] = list(rows), []
    evaluation = evaluate(module, data, embeddings=None)
    assert rows == alone
    np.testing.assert_array_equal(evaluation.scores, plain.scores)
    with torch.no_grad():
        scores = module[4](torch.from_numpy(np.array(evaluation.column("embedding:penultimate").values))).softmax(1)
    np.testing.assert_allclose(scores.numpy(), plain.scores, atol=1e-5)


def test_nothing_is_shown_where_nobody_reads_it() -> None:
    class Silent(Open):
        def showing(self, inputs: Any, layer: str | None = None) -> Output:
            raise AssertionError("nobody asked")

    for names in ((), ("scores",)):
        evaluate(Silent(), pictures(100), embeddings=names)


def test_several_layers_are_read_the_first_on_the_way() -> None:
    data, counted, model = pictures(), Flat(), Open()
    evaluate(counted, data)
    evaluation = evaluate(model, data, embeddings=("penultimate:4", "penultimate", "penultimate:2"))
    for name, width in (("", 5), (":4", 4), (":2", 2)):
        values = evaluation.column(f"embedding:penultimate{name}").values
        np.testing.assert_array_equal(values, flat(data["images"])[:, :width])
    assert sum(model.asked) == sum(counted.asked) + 2 * 300


def test_a_layer_that_is_not_there_is_said_at_once() -> None:
    model = Open()
    with pytest.raises(UsageError, match="no layer `last`"):
        evaluate(model, pictures(), embeddings=("penultimate:last",))
    assert sum(model.asked) < 300


def test_a_layer_that_cannot_be_read_is_a_caveat_unless_it_was_asked_for() -> None:
    plain = evaluate(Flat(), pictures())
    found = evaluate(Flat(), pictures(), embeddings=None)
    assert found.embeddings == ("embedding_mine",)
    assert found.caveats[-1].startswith("The model's own layer is not searched: No layer of `Flat` can be read")
    np.testing.assert_array_equal(found.scores, plain.scores)
    with pytest.raises(CannotRunError, match="No layer"):
        evaluate(Flat(), pictures(), embeddings=("penultimate",))
    layers = own_layers(Flat(), plain.dataset, None)  # without predictions before it
    assert "No layer of `Flat` can be read" in embedded(plain, layers=layers).caveats[-1]


@pytest.mark.parametrize("before", [True, False])
def test_a_layer_is_read_in_smaller_batches_and_around_a_row_on_which_the_model_raises(before: bool) -> None:
    def found() -> np.ndarray:
        if before:
            return read(Narrow(), data, embeddings=("penultimate",))
        evaluation = evaluate(Narrow(), data)
        layers = own_layers(Narrow(), evaluation.dataset, ("penultimate",))
        return np.asarray(embedded(evaluation, layers=layers, asked=("penultimate",)).column(NAME).values)

    data = pictures()
    data["images"][70] = 0
    values = found()
    assert np.flatnonzero(np.isnan(values).any(axis=1)).tolist() == [70]
    others = np.arange(300) != 70
    np.testing.assert_array_equal(values[others], data["images"].reshape(300, -1)[others, :3])
    data["images"][70:80] = 0
    with pytest.raises(CannotRunError, match="raised on 4 rows when asked for its layer: ZeroDivisionError: too dark"):
        found()
    said = evaluate(Narrow(), data, embeddings=None)
    assert "not searched: The model raised on 4 rows" in said.caveats[-1]
    np.testing.assert_array_equal(said.scores, evaluate(Flat(), data).scores)


NAME = "embedding:penultimate"


def test_the_size_of_a_batch_of_predictions_is_not_the_layers() -> None:
    """A layer that takes more memory than there is makes no batch of predictions smaller."""
    data, counted, model = pictures(), Flat(), Narrow()
    evaluate(counted, data)
    read(model, data, embeddings=None)
    first, rest = counted.asked[-2:]
    assert (first, rest) == (64, 236)
    assert model.asked[: len(counted.asked) + 1] == [*counted.asked[:-2], first, first, rest]
    assert model.asked.count(rest) == 1, "once a layer has failed, the pass goes on without"


def test_a_row_on_which_the_model_raises_has_no_layer_and_is_not_asked_again() -> None:
    data = pictures()
    data["images"][:, 0, 0] = 1
    data["images"][70, 0, 0] = 255
    model = Open(fails_on=255)
    evaluation = evaluate(model, data, embeddings=("penultimate",))
    values = evaluation.column(NAME).values
    assert np.flatnonzero(np.isnan(values).any(axis=1)).tolist() == [70]
    assert evaluation.fold[70] not in (0, 1)
    assert model.asked[-1] > 1, "no pass over the missing row follows"
    assert any("1 row is left out" in caveat for caveat in evaluation.caveats)


@pytest.mark.parametrize("shape", [lambda n: (n, 4 if n == 64 else 3), lambda n: (n,), lambda n: (n - 1, 4)])
def test_a_layer_that_changes_its_size_is_no_embedding(shape: Any) -> None:
    class Moody(Flat):
        def embed(self, inputs: Any, layer: str | None = None) -> np.ndarray:
            return np.zeros(shape(len(inputs)), dtype=np.float32)

    plain = evaluate(Flat(), pictures())
    for found in (
        evaluate(Moody(), pictures(), embeddings=None),
        embedded(plain, layers=own_layers(Moody(), plain.dataset, None)),
    ):
        assert found.embeddings == ("embedding_mine",)
        assert "layer gave an array of" in found.caveats[-1]
        np.testing.assert_array_equal(found.scores, plain.scores)
    with pytest.raises(CannotRunError, match="layer gave an array of"):
        evaluate(Moody(), pictures(), embeddings=("penultimate",))


class Killed(Open):
    """Stops after so many rows, as a kill would."""

    def showing(self, inputs: Any, layer: str | None = None) -> Output:
        if sum(self.asked) > 200:
            raise KeyboardInterrupt
        return super().showing(inputs, layer)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("errata.engine.predict.BLOCK_BYTES", 1)
    monkeypatch.setattr("errata.engine.predict.BATCH_BYTES", 64 * 32)


def test_layers_are_kept_over_a_kill(tmp_path: Path, small_blocks: None) -> None:
    data = evaluate(Flat(), pictures()).dataset
    killed = Killed()
    with pytest.raises(KeyboardInterrupt):
        predict_all(killed, data, beside=OwnLayer(killed, data, None), folder=tmp_path)
    model = Open()
    own = OwnLayer(model, data, None)
    said = predict_all(model, data, beside=own, folder=tmp_path)
    assert 0 < sum(model.asked) < 150
    assert said.output.layer is None, "it is held in one place"
    np.testing.assert_array_equal(own.values(lambda done, total: None), flat(pictures()["images"])[:, :5])
    np.testing.assert_array_equal(said.output.scores, Open().predict(pictures()["images"]).scores)


def test_predictions_without_a_layer_or_with_another_are_not_taken_for_it(tmp_path: Path, small_blocks: None) -> None:
    data = evaluate(Flat(), pictures()).dataset
    predict_all(Open(), data, folder=tmp_path)
    for layer in (None, "4"):
        model = Open()
        own = OwnLayer(model, data, layer)
        predict_all(model, data, beside=own, folder=tmp_path)
        assert sum(model.asked) == 300
        np.testing.assert_array_equal(
            own.values(lambda done, total: None), flat(pictures()["images"])[:, : int(layer or 5)]
        )


def test_blocks_on_disk_with_a_layer_of_another_size_are_no_embedding(tmp_path: Path, small_blocks: None) -> None:
    class Wider(Open):
        def embed(self, inputs: Any, layer: str | None = None) -> np.ndarray:
            return flat(inputs)[:, :6]

    data = evaluate(Flat(), pictures()).dataset
    killed = Killed()
    with pytest.raises(KeyboardInterrupt):
        predict_all(killed, data, beside=OwnLayer(killed, data, None), folder=tmp_path)
    model = Wider()
    own = OwnLayer(model, data, None)
    assert predict_all(model, data, beside=own, folder=tmp_path).answered.all()
    with pytest.raises(CannotRunError, match=r"array of \(\d+, 6\) for \d+ rows after 5 numbers a row before"):
        own.values(lambda done, total: None)


def test_what_is_missing_on_disk_is_read_afterwards(tmp_path: Path, small_blocks: None) -> None:
    """A killed run in which the layer failed leaves blocks without it."""

    class Failing(Killed):
        def embed(self, inputs: Any, layer: str | None = None) -> np.ndarray:
            raise MemoryError

        def predict(self, inputs: Any) -> Output:
            if sum(self.asked) > 200:
                raise KeyboardInterrupt
            return super().predict(inputs)

    data = evaluate(Flat(), pictures()).dataset
    killed = Failing()
    with pytest.raises(KeyboardInterrupt):
        predict_all(killed, data, beside=OwnLayer(killed, data, None), folder=tmp_path)
    model = Open()
    own = OwnLayer(model, data, None)
    predict_all(model, data, beside=own, folder=tmp_path)
    told: list[int] = []
    np.testing.assert_array_equal(own.values(lambda done, total: told.append(done)), flat(pictures()["images"])[:, :5])
    assert told == sorted(told)
    assert told[-1] == 300


def test_what_failed_in_the_middle_is_read_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches that were read and batches that were not are on disk as one block."""

    class Once(Open):
        shown = 0

        def embed(self, inputs: Any, layer: str | None = None) -> np.ndarray:
            self.shown += 1
            if self.shown == 3:
                raise MemoryError
            return super().embed(inputs, layer)

    monkeypatch.setattr("errata.engine.predict.BATCH_BYTES", 64 * 32)
    data = evaluate(Flat(), pictures()).dataset
    model = Once()
    own = OwnLayer(model, data, None)
    predict_all(model, data, beside=own, folder=tmp_path)
    assert own.done.tolist() == [True] * 96 + [False] * 204  # a batch of 64, one of 32
    model.asked.clear()
    told: list[int] = []
    values = own.values(lambda done, total: told.append(done))
    np.testing.assert_array_equal(values, flat(pictures()["images"])[:, :5])
    assert sum(model.asked) == 204
    assert told[0] > 96


def test_progress_never_goes_back() -> None:
    told: list[float] = []
    evaluate(Narrow(), pictures(), embeddings=None, progress=lambda share, words: told.append(share))
    assert told == sorted(told)
