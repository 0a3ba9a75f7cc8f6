"""Running a model over a dataset: every row, in order, around what fails, and on again after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from errata.core.errors import CannotRunError, UsageError
from errata.core.model import ModelSpec, Output
from errata.engine.predict import LARGEST_BATCH, predict_all
from errata.models.function import from_function


class Counting:
    """Scores that say which row they are of; remembers the size of every batch."""

    def __init__(self, *, fails=(), limit=10**9, fingerprint="f", shift=0.0):
        self.spec = ModelSpec(name="counting", kind="test", classes=("a", "b"), fingerprint=fingerprint)
        self.batches: list[int] = []
        self.fails = set(fails)
        self.limit = limit
        self.shift = shift

    def predict(self, inputs):
        self.batches.append(len(inputs))
        if len(inputs) > self.limit:
            raise RuntimeError("CUDA out of memory")
        for value in inputs[:, 0]:
            if int(value) in self.fails:
                raise ValueError(f"cannot take {int(value)}")
        share = (inputs[:, 0] % 97) / 97 + self.shift
        return Output(scores=np.stack([share, 1 - share], axis=1).astype(np.float32))


def rows(n):
    return np.arange(n, dtype=float)[:, None]


def expected(n):
    return (np.arange(n) % 97) / 97


def test_every_row_is_predicted_in_order(dataset):
    seen = []
    model = Counting()
    done = predict_all(model, dataset(rows(5_000), None), progress=lambda d, t: seen.append((d, t)))
    assert done.output.scores.shape == (5_000, 2)
    np.testing.assert_allclose(done.output.scores[:, 0], expected(5_000), atol=1e-6)
    assert done.answered.all()
    assert seen[-1] == (5_000, 5_000)
    assert seen == sorted(seen)
    assert len(model.batches) < 10
    assert done.caveats == ()


def test_one_row_and_no_row(dataset):
    assert predict_all(Counting(), dataset(rows(1), None)).output.scores.shape == (1, 2)


def test_batches_grow_to_the_bytes_of_the_inputs_and_no_further(dataset):
    model = Counting()
    predict_all(model, dataset(np.zeros((2_000, 16_384)), None))  # 128 kB a row: 128 rows hold 16 MB
    assert max(model.batches) == 128
    assert max(model.batches) <= LARGEST_BATCH


def test_a_batch_too_large_for_the_memory_is_halved_and_not_tried_again(dataset):
    model = Counting(limit=300)
    done = predict_all(model, dataset(rows(20_000), None))
    np.testing.assert_allclose(done.output.scores[:, 0], expected(20_000), atol=1e-6)
    assert done.answered.all()
    assert sum(size > 300 for size in model.batches) < 12


def test_rows_on_which_the_model_raises_are_left_out_and_named(dataset):
    done = predict_all(Counting(fails={17, 400, 999}), dataset(rows(1_000), None))
    assert done.left_out.tolist() == [17, 400, 999]
    good = done.answered
    np.testing.assert_allclose(done.output.scores[good, 0], expected(1_000)[good], atol=1e-6)
    data = dataset(rows(1_000), None)
    assert len(done.caveats) == 1
    assert "3 rows" in done.caveats[0]
    assert data.ids(np.array([17]))[0] in done.caveats[0]
    assert "cannot take 17" in done.caveats[0]


def test_more_than_one_percent_cannot_run(dataset):
    data = dataset(rows(1_000), None)
    with pytest.raises(CannotRunError, match="cannot take 3") as failure:
        predict_all(Counting(fails=range(3, 50)), data)
    assert data.ids(np.array([3]))[0] in str(failure.value)
    assert failure.value.exit_code == 3


def test_a_model_that_always_fails_is_not_asked_about_every_row(dataset):
    model = Counting(fails=range(200_000))
    with pytest.raises(CannotRunError):
        predict_all(model, dataset(rows(200_000), None))
    assert len(model.batches) < 6_000


def test_wrong_number_of_answers(dataset):
    model = from_function(lambda x: np.zeros(len(x) - 1))
    with pytest.raises(CannotRunError, match="one answer per input"):
        predict_all(model, dataset(rows(300), None))


def test_a_model_that_changes_the_number_of_its_scores(dataset):
    def narrowing(x):
        scores = np.full((len(x), 3 if x[0, 0] < 64 else 2), 0.25)
        scores[:, 0] += 1 - scores.sum(axis=1)
        return scores

    with pytest.raises(CannotRunError, match="change between batches"):
        predict_all(from_function(narrowing), dataset(rows(500), None))


def test_interruption_is_not_taken_for_a_failing_row(dataset):
    def interrupted(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_all(from_function(interrupted), dataset(rows(50), None))


def test_predictions_without_inputs_cannot_be_made(dataset):
    with pytest.raises(UsageError, match="nothing to predict from"):
        predict_all(Counting(), dataset(None, [0, 1]))


class Killed(Counting):
    """Stops the evaluation at one row, as a kill would."""

    def __init__(self, at, **options):
        super().__init__(**options)
        self.at = at

    def predict(self, inputs):
        if (inputs[:, 0] >= self.at).any():
            raise KeyboardInterrupt
        return super().predict(inputs)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr("errata.engine.predict.BLOCK_SECONDS", -1.0)
    monkeypatch.setattr("errata.engine.predict.BATCH_BYTES", 800)


def test_a_killed_evaluation_goes_on_where_it_was(dataset, tmp_path, small_blocks):
    data = dataset(rows(2_000), None)
    with pytest.raises(KeyboardInterrupt):
        predict_all(Killed(at=1_500), data, folder=tmp_path)
    second = Counting()
    done = predict_all(second, data, folder=tmp_path)
    assert sum(second.batches) < 700
    np.testing.assert_allclose(done.output.scores[:, 0], expected(2_000), atol=1e-6)


def test_left_out_rows_are_remembered_over_a_kill(dataset, tmp_path, small_blocks):
    data = dataset(rows(2_000), None)
    with pytest.raises(KeyboardInterrupt):
        predict_all(Killed(at=1_500, fails={10}), data, folder=tmp_path)
    done = predict_all(Counting(), data, folder=tmp_path)
    assert done.left_out.tolist() == [10]
    assert "cannot take 10" in done.caveats[0]


@pytest.mark.parametrize("harm", [b"", b"PK\x03\x04 half a block"])
def test_a_damaged_block_is_predicted_again(dataset, tmp_path, small_blocks, harm):
    data = dataset(rows(600), None)
    predict_all(Counting(), data, folder=tmp_path)
    blocks = sorted((tmp_path / ".partial" / "predictions").glob("*.npz"))
    assert len(blocks) > 3
    blocks[1].write_bytes(harm)
    done = predict_all(Counting(), data, folder=tmp_path)
    np.testing.assert_allclose(done.output.scores[:, 0], expected(600), atol=1e-6)


@pytest.mark.parametrize("other", [{"fingerprint": "g"}, {"fingerprint": None}])
def test_blocks_of_another_model_are_not_used(dataset, tmp_path, small_blocks, other):
    data = dataset(rows(600), None)
    predict_all(Counting(), data, folder=tmp_path)
    done = predict_all(Counting(shift=0.001, **other), data, folder=tmp_path)
    np.testing.assert_allclose(done.output.scores[:, 0], expected(600) + 0.001, atol=1e-6)


def test_a_function_that_was_changed_between_two_runs_starts_again(dataset, tmp_path, small_blocks):
    data = dataset(rows(600), None)
    predict_all(Counting(fingerprint=None), data, folder=tmp_path)
    same = Counting(fingerprint=None)
    predict_all(same, data, folder=tmp_path)
    assert sum(same.batches) < 600
    done = predict_all(Counting(fingerprint=None, shift=0.001), data, folder=tmp_path)
    np.testing.assert_allclose(done.output.scores[:, 0], expected(600) + 0.001, atol=1e-6)


def test_blocks_of_other_data_are_not_used(dataset, tmp_path, small_blocks):
    predict_all(Counting(), dataset(rows(600), None, name="one"), folder=tmp_path)
    done = predict_all(Counting(), dataset(rows(600) + 5, None, name="two"), folder=tmp_path)
    np.testing.assert_allclose(done.output.scores[:, 0], ((np.arange(600) + 5) % 97) / 97, atol=1e-6)


def test_a_process_that_is_killed_hard_leaves_only_whole_blocks(tmp_path):
    script = textwrap.dedent("""
        import sys, time
        import numpy as np
        import errata.engine.predict as p
        from errata.core.columns import Table
        from errata.core.dataset import Dataset
        from errata.models.function import from_function
        p.BLOCK_SECONDS, p.BATCH_BYTES = -1.0, 800
        n, x = 4000, np.arange(4000, dtype=float)[:, None]
        slow = len(sys.argv) > 2
        asked = 0
        def f(batch):
            global asked
            asked += len(batch)
            time.sleep(0.03 if slow else 0)
            return (batch[:, 0] % 97) / 97
        data = Dataset(name="x", modality="array", table=Table({}), id_hash=np.arange(n, dtype=np.uint64),
                       occurrence=np.zeros(n, np.uint32), read=lambda r: x[r], fingerprint="x")
        from pathlib import Path
        from dataclasses import replace
        m = from_function(f)
        m = replace(m, spec=replace(m.spec, task="regression"))
        done = p.predict_all(m, data, folder=Path(sys.argv[1]), progress=lambda d, t: print(d, flush=True))
        assert np.allclose(done.output.values, (np.arange(n) % 97) / 97)
        print("asked", asked, flush=True)
    """)
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen([*command, "slow"], env=env, stdout=subprocess.PIPE, text=True) as first:
        for line in first.stdout:
            if int(line) > 1_000:
                first.send_signal(signal.SIGKILL)
                break
    assert first.returncode == -signal.SIGKILL
    second = subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=60)
    asked = int(second.stdout.split()[-1])
    assert asked < 3_400


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="no file-size limit on this platform")
def test_a_disk_that_fills_is_said(tmp_path):
    script = textwrap.dedent("""
        import resource, signal, sys
        import numpy as np
        from pathlib import Path
        from errata.core.columns import Table
        from errata.core.dataset import Dataset
        from errata.core.errors import CannotRunError
        from errata.engine.predict import predict_all
        from errata.models.function import from_function
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        n, x = 4000, np.zeros((4000, 1))
        data = Dataset(name="x", modality="array", table=Table({}), id_hash=np.arange(n, dtype=np.uint64),
                       occurrence=np.zeros(n, np.uint32), read=lambda r: x[r], fingerprint="x")
        try:
            predict_all(from_function(lambda b: np.full((len(b), 2), 0.5)), data, folder=Path(sys.argv[1]))
        except CannotRunError as error:
            sys.exit(f"said: {error}")
    """)
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path)], env=env, capture_output=True, text=True)
    assert "said: Predictions could not be written" in ended.stderr
    assert not list((tmp_path / ".partial").rglob("*.npz"))
