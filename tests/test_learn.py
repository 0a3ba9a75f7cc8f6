"""`learning_to_split` as users call it: kinds of data, of predictors, of metrics, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from errata.core.errors import UsageError
from errata.learn import LearnedSplit, learning_to_split
from errata.ops.nets.heads import Schedule
from errata.ops.nets.splitting import Plan
from errata.testing import planted

torch = pytest.importorskip("torch", reason="needs torch")

BRIEF = Schedule(hidden=(16,), rate=1e-2, decay=0.0, epochs=3, batch=64)
QUICK = Plan(loops=2, splitter=BRIEF, once=BRIEF)


def blobs(n: int = 150, flipped: float = 0.15, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 3, n)
    x = (rng.standard_normal((n, 6)) + 3.0 * np.eye(6)[true]).astype(np.float32)
    moved = rng.random(n) < flipped
    return x, np.where(moved, (true + rng.integers(1, 3, n)) % 3, true), moved


def quick(data: object, **options: object) -> LearnedSplit:
    return learning_to_split(data, plan=QUICK, draws=20, **options)


def test_it_unpacks_as_the_published_call() -> None:
    x, y, _ = blobs()
    train, test = learnt = quick((x, y))
    assert len(train[0]) + len(test[0]) == len(y)
    assert np.array_equal(test[1], y[learnt.split])
    assert len(learnt.log) == 2
    assert "loop 0" in learnt.text
    assert learnt.verdict.words in learnt.text
    indices, splitter = quick((x, y), return_order=["test_indices", "splitter"])
    assert np.array_equal(indices, np.flatnonzero(learnt.split))
    assert np.array_equal(splitter.split((x, y)), learnt.split)


def test_a_torch_data_set_comes_back_as_one() -> None:
    x, y, _ = blobs()

    class Pairs(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(y)

        def __getitem__(self, at: int) -> tuple[torch.Tensor, int]:
            return torch.from_numpy(x[at]), int(y[at])

    state = torch.get_rng_state()
    train, test = learnt = quick(Pairs())
    assert torch.equal(torch.get_rng_state(), state)
    assert isinstance(test, torch.utils.data.Subset)
    assert len(train) + len(test) == len(y)
    again = quick(torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y)))
    assert np.array_equal(again.split, learnt.split)
    assert learnt.splitter.score(Pairs()).shape == (len(y),)


def test_our_own_data_come_back_in_their_form() -> None:
    evaluation = planted("literal", n=200, share=0.2, seed=1).evaluation()
    train, test = quick(evaluation)
    assert len(train) + len(test) == len(evaluation)
    train, test = quick(evaluation.dataset)
    assert len(train) + len(test) == len(evaluation.dataset)
    assert set(train.ids()).isdisjoint(test.ids())
    learnt = learning_to_split(evaluation, plan=QUICK, draws=3, black_box="model")
    assert len(learnt.log) == 1


@pytest.mark.parametrize("metric", ["roc_auc", "macro_f1", lambda labels, scores: float((labels == 1).mean())])
def test_every_metric_gives_a_log(metric: object) -> None:
    x, y, _ = blobs(n=120)
    assert np.isfinite([lap.gap for lap in quick((x, y), metric=metric).log]).all()


def test_modules_are_trained_afresh_or_from_their_weights() -> None:
    x, y, _ = blobs(n=120)
    short = Schedule(rate=1e-2, steps=3, epochs=3, batch=32)
    net = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    before = [weight.clone() for weight in net.parameters()]
    net.eval()
    for given, pretrained in ((net, False), (net, True), (lambda: torch.nn.Linear(6, 3), False)):
        state = torch.get_rng_state()
        quick((x, y), predictor=given, pretrained=pretrained, schedule=short)
        assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    assert not net.training
    with pytest.raises(UsageError, match="2 outputs, and there are 3 classes"):
        quick((x, y), predictor=torch.nn.Linear(6, 2), schedule=short)
    with pytest.raises(UsageError, match="reset_parameters"):
        quick((x, y), predictor=torch.nn.ParameterList([torch.zeros(3)]), schedule=short)


def test_a_black_box_is_called_once_and_its_failures_are_found() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 4)).astype(np.float32)
    y = rng.integers(0, 2, 400)
    hard = x[:, 0] > 0.8
    calls = []

    def model(inputs: np.ndarray) -> np.ndarray:
        calls.append(len(inputs))
        return np.where(hard & (rng.random(400) < 0.8), 1 - y, y)

    learnt = quick((x, y), black_box=model)
    assert calls == [400]
    assert learnt.verdict.systematic
    assert (learnt.split & hard).sum() / (learnt.split | hard).sum() > 0.6


def test_rows_without_values_stay_on_the_train_side() -> None:
    x, y, _ = blobs()
    x[::5, 0] = np.nan
    assert not quick((x, y)).split[::5].any()


def test_what_cannot_be_read_is_refused() -> None:
    x, y, _ = blobs(n=80)
    for data, words in (
        ((x, y[:-1]), "80 rows and y has 79"),
        ((x[:20], y[:20]), "60 or more"),
        ((x, np.zeros(80)), "All labels are"),
        ({"x": x}, "holds no labelled examples"),
    ):
        with pytest.raises(UsageError, match=words):
            quick(data)
    with pytest.raises(UsageError, match="`test_data`"):
        quick((x, y), return_order=["test_dat"])
    with pytest.raises(UsageError, match="linear"):
        quick((x, y), predictor="lineer")
    with pytest.raises(UsageError, match="5 times to 80"):
        quick((x, y), black_box=np.zeros(5))
