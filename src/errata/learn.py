"""Learning to Split as one call: a split of a data set whose test side predictors do not generalise to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Int, Level
from errata.core.embedded import Space
from errata.core.errors import UsageError, nearest, require
from errata.core.evaluation import Evaluation
from errata.ops.nets.frozen import judge_frozen, learn_frozen
from errata.ops.nets.groups import Contents, MinorityGroup, contents
from errata.ops.nets.heads import Head, HeadPredictor, Schedule, own_threads, schedule_for, training
from errata.ops.nets.labelled import Labelled, read_labelled
from errata.ops.nets.modules import ModulePredictor, module_builder
from errata.ops.nets.scoring import Scoring, scoring_of
from errata.ops.nets.spaces import fit_space
from errata.ops.nets.splitting import Lap, Plan, Predictor, Rows, learn_split, sigmoid
from errata.ops.nets.told import lap_text
from errata.ops.nets.verdict import Belief, Verdict, calibrated, judge

__all__ = ["LearnedSplit", "Splitter", "learning_to_split"]

RETURNS = ("train_data", "test_data", "train_indices", "test_indices", "splitter")
_FEWEST = 60


@dataclass(frozen=True, kw_only=True, eq=False)
class Splitter:
    """The learnt splitter, for rows old and new.

    space    how it reads the values of an embedding, or flattened inputs
    network  its layers; the one-hot label stands behind the values
    levels   the classes in the order of the one-hot label
    cut      rows with a score of at least this go to the test side
    """

    space: Space
    network: Head
    levels: tuple[Level, ...]
    cut: float
    column: str = ""

    def score(self, data: Any, *, embedding: NDArray[Any] | None = None) -> NDArray[np.float64]:
        """(n,) float64 in [0, 1]: how much each example belongs to the test side; NaN where values are missing.

        data       as for `learning_to_split`: `(X, y)`, a torch data set, a Dataset or an Evaluation
        embedding  (n, d), where the splitter was learnt on one that was given so
        """
        read = read_labelled(data, embedding=self.column if embedding is None else embedding, levels=self.levels)
        return self._scored(read.values, read.labels)

    def split(self, data: Any, *, embedding: NDArray[Any] | None = None) -> Bool:
        """(n,) bool: the examples that go to the test side."""
        return np.asarray(self.score(data, embedding=embedding) >= self.cut)

    def _scored(self, values: NDArray[Any], labels: Int) -> NDArray[np.float64]:
        features = self.space(values).astype(np.float32)
        inputs = np.hstack([features, np.eye(len(self.levels), dtype=np.float32)[labels]])
        return sigmoid(self.network.logits(inputs)[:, 0])


@dataclass(frozen=True, kw_only=True, eq=False)
class LearnedSplit:
    """What `learning_to_split` gives; it unpacks as `train, test`, or in the order that was asked for.

    split     (n,) bool: the examples of the test side; an example with missing values stays on the train side
    splitter  says of new examples where they belong
    log       one record per outer loop: gap, validation and test score in per cent, counts, labels of either side
    gap       validation minus test score of the best loop, in points; it is the largest of many, so the verdict does
              not rest on it
    verdict   whether the split is systematic: how many of 100 failures on examples that predictors never saw look drawn
              whatever the input, and how many would under the null
    groups    minority groups on the test side, largest first
    suspected (m,) indices of examples whose label looks wrong, most doubtful first
    contents  both, with the label codes that are suggested instead
    """

    parts: tuple[Any, ...]
    split: Bool
    splitter: Splitter
    log: tuple[Lap, ...]
    best: int
    metric: str
    verdict: Verdict
    contents: Contents
    levels: tuple[Level, ...]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, at: int) -> Any:
        return self.parts[at]

    @property
    def gap(self) -> float:
        """Validation minus test score of the best loop, in points."""
        return self.log[self.best].gap

    @property
    def null(self) -> float:
        """Mean of the verdict's gap under the null; the verdict has its limit too."""
        return self.verdict.null_mean

    @property
    def groups(self) -> tuple[MinorityGroup, ...]:
        """Minority groups on the test side, largest first."""
        return self.contents.groups

    @property
    def suspected(self) -> Int:
        """(m,) indices of examples whose label looks wrong, most doubtful first."""
        return self.contents.suspected

    @property
    def text(self) -> str:
        """The log and the verdict as text."""
        laps = [lap_text(lap, classes=self.levels, metric=self.metric) for lap in self.log]
        return "\n".join([*laps, f"best: {laps[self.best]}", self.verdict.words])

    def __repr__(self) -> str:
        return (
            f"<LearnedSplit: {int(self.split.sum()):,} of {len(self.split):,} on the test side. {self.verdict.words}>"
        )


def learning_to_split(
    data: Any,
    *,
    predictor: Any = "linear",
    black_box: Any = None,
    metric: str | Callable[[Any, Any], float] = "accuracy",
    embedding: str | NDArray[Any] | None = None,
    return_order: Sequence[str] = ("train_data", "test_data"),
    verbose: bool = False,
    plan: Plan | None = None,
    schedule: Schedule | None = None,
    pretrained: bool = False,
    device: str = "cpu",
    draws: int = 200,
    alpha: float = 0.05,
    least_gap: float = 12.5,
    seed: int = 0,
) -> LearnedSplit:
    """A split of labelled examples whose test side predictors trained on the train side do not generalise to.

    data          a torch data set of (x, y), `(X, y)`, an Errata Dataset or Evaluation
    predictor     trained afresh in every loop: "linear" or "mlp" on the embedding, a torch module (copied, and
                  initialised anew) or a function without arguments that builds one
    black_box     instead: a model that stays as it is: a function of the inputs that gives labels or scores (n, k), an
                  array of either, or "model" for the predictions of an Evaluation; only the splitter is trained
    metric        "accuracy", "roc_auc", "macro_f1", or any callable of (n,) label codes and (n, k) scores
    embedding     (n, d) array or column name; None for the first embedding of the data, else the flattened inputs
    return_order  what the result unpacks as: of train_data, test_data, train_indices, test_indices, splitter
    verbose       write the log to standard error while it runs
    plan          ratio, patience, loops and the weights of the terms; the paper's by default, with at most 20 loops
    schedule      how a predictor is trained
    pretrained    a module keeps its weights and is fine-tuned
    draws         label sets drawn under the null; for a black box 19 permutations at most, each learnt anew
    alpha, least_gap
                  the verdict: level of the test, and points that its gap must have above the mean of the null

    Raises UsageError for data without labels, fewer than 60 examples, one class only, or options that are not known;
    MissingExtraError without torch.

    Reference: Y. Bao, R. Barzilay, "Learning to split for automatic bias detection", arXiv 2204.13749, 2022.
    """
    require("torch", feature="Learning to Split", extra="torch")
    for name in return_order:
        if name not in RETURNS:
            raise UsageError(f"Nothing is returned under the name `{name}`.", hint=nearest(name, RETURNS))
    rng = np.random.default_rng(seed)
    scoring = scoring_of(metric)
    examples = read_labelled(data, embedding=embedding)
    ground = _ground(examples, rng)
    call = _Call(
        examples=examples, ground=ground, scoring=scoring, plan=plan or Plan(), rng=rng, draws=draws, alpha=alpha,
        least=least_gap, verbose=verbose,
    )  # fmt: skip
    with own_threads(), training():
        if black_box is not None:
            learnt = _of_black_box(call, _answers(black_box, data, examples))
        else:
            learnt = _of_data(call, _predictor(predictor, call, schedule, pretrained, device))
    return _result(call, learnt, return_order)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Ground:
    """The examples that a splitter can learn from: (m,) indices `at`, read through a space."""

    at: Int
    space: Space
    rows: Rows


@dataclass(frozen=True, kw_only=True, eq=False)
class _Call:
    examples: Labelled
    ground: _Ground
    scoring: Scoring
    plan: Plan
    rng: np.random.Generator
    draws: int
    alpha: float
    least: float
    verbose: bool

    def told(self, lap: Lap) -> None:
        """Write one loop to standard error, where that was asked for."""
        if self.verbose:
            sys.stderr.write(lap_text(lap, classes=self.examples.levels, metric=self.scoring.name) + "\n")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Learnt:
    network: Head
    cut: float
    test: Bool
    laps: tuple[Lap, ...]
    best: int
    verdict: Verdict
    contents: Contents


def _ground(examples: Labelled, rng: np.random.Generator) -> _Ground:
    at = np.flatnonzero(np.isfinite(examples.values).all(axis=1))
    if len(at) < _FEWEST:
        raise UsageError(
            f"{len(at):,} examples have a label and no missing values; {_FEWEST} or more are needed.",
            hint="fill missing values, or give an `embedding=` without them.",
        )
    labels = examples.labels[at]
    if len(np.unique(labels)) < 2:
        raise UsageError(f"All labels are `{examples.levels[int(labels[0])]}`.", hint="give at least two classes.")
    space = fit_space(examples.values[at], rng=rng)
    rows = Rows(
        features=space(examples.values[at]).astype(np.float32), labels=labels, classes=len(examples.levels),
        group=None if examples.group is None else examples.group[at],
    )  # fmt: skip
    return _Ground(at=at, space=space, rows=rows)


def _predictor(given: Any, call: _Call, schedule: Schedule | None, pretrained: bool, device: str) -> Predictor:
    rows = call.ground.rows
    if isinstance(given, str):
        return HeadPredictor(
            features=rows.features, labels=rows.labels, classes=rows.classes, schedule=schedule or schedule_for(given)
        )
    import torch

    inputs = call.examples.inputs
    tensor = inputs if isinstance(inputs, torch.Tensor) else torch.from_numpy(np.asarray(inputs))
    if tensor.is_floating_point():
        tensor = tensor.float()
    return ModulePredictor(
        build=module_builder(given, pretrained=pretrained), inputs=tensor[torch.from_numpy(call.ground.at)],
        labels=rows.labels, classes=rows.classes, device=device,
        schedule=schedule or Schedule(rate=1e-3, epochs=40, batch=64),
    )  # fmt: skip


def _of_data(call: _Call, predictor: Predictor) -> _Learnt:
    rows = call.ground.rows
    split = learn_split(rows, predictor, call.plan, scoring=call.scoring, rng=call.rng, each=call.told)
    judged = judge(
        rows, predictor, scoring=call.scoring, rng=call.rng, draws=call.draws, alpha=call.alpha,
        least=call.least,
    )  # fmt: skip
    held = contents(
        rows.features, rows.labels, test=split.test, predicted=split.scores.argmax(axis=1), belief=judged.belief,
        rng=call.rng,
    )  # fmt: skip
    return _Learnt(
        network=split.splitter, cut=split.cut, test=split.test, laps=split.laps, best=split.best,
        verdict=judged.verdict, contents=held,
    )  # fmt: skip


def _of_black_box(call: _Call, scores: NDArray[np.float32]) -> _Learnt:
    rows, scoring = call.ground.rows, call.scoring
    scores = scores[call.ground.at]
    wrong = 1.0 - scoring.credit(rows.labels, scores)
    split = learn_frozen(rows, wrong, call.plan, rng=call.rng)
    verdict = judge_frozen(
        rows, wrong, split, call.plan, rng=call.rng, draws=min(call.draws, 19), alpha=call.alpha, least=call.least
    )
    overall = next((cut.cut for cut in split.cuts if cut.label is None), float(np.quantile(split.score, 0.9)))
    test = split.score >= overall
    train = ~test
    validation, tested = (100.0 * scoring.share(rows.labels, scores, np.flatnonzero(side)) for side in (train, test))
    lap = Lap(
        loop=0, gap=validation - tested, validation=validation, test=tested,
        train_count=int(train.sum()), test_count=int(test.sum()), failing=float(wrong.mean()),
        train_labels=tuple(np.bincount(rows.labels[train], minlength=rows.classes).tolist()),
        test_labels=tuple(np.bincount(rows.labels[test], minlength=rows.classes).tolist()),
    )  # fmt: skip
    call.told(lap)
    belief: Belief = calibrated(scores, rows.labels)
    held = contents(rows.features, rows.labels, test=test, predicted=scores.argmax(axis=1), belief=belief, rng=call.rng)
    return _Learnt(network=split.splitter, cut=overall, test=test, laps=(lap,), best=0, verdict=verdict, contents=held)


def _answers(black_box: Any, data: Any, examples: Labelled) -> NDArray[np.float32]:
    """(n, k) scores of a black box for all examples; labels become scores that leave a little to the other classes."""
    n, k = len(examples.labels), len(examples.levels)
    if isinstance(black_box, str):
        if black_box != "model" or not isinstance(data, Evaluation):
            raise UsageError(
                f"`black_box` is `{black_box}`.", hint='"model" is for an Evaluation; else give a function.'
            )
        view = data.view()
        known = np.flatnonzero(view.labels >= 0)  # type: ignore[operator]
        if data.scores is not None:
            return np.asarray(data.of(data.scores)[known], dtype=np.float32)
        return _one_hot(np.asarray(view.predicted[known], dtype=np.int64), k)
    answer = np.asarray(black_box(examples.inputs) if callable(black_box) else black_box)
    if len(answer) != n:
        raise UsageError(
            f"The black box answered {len(answer):,} times to {n:,} examples.", hint="one answer for each."
        )
    if answer.ndim == 2 and answer.shape[1] == k:
        return answer.astype(np.float32)
    place = {str(level): code for code, level in enumerate(examples.levels)}
    codes = np.array([place.get(str(value), -1) for value in answer.reshape(n, -1)[:, 0].tolist()], dtype=np.int64)
    if answer.ndim > 1 and answer.shape[1] != 1:
        raise UsageError(f"The black box gives {answer.shape[1]} scores for {k} classes.", hint="give one each.")
    if (codes < 0).all():
        raise UsageError("The black box predicts no class that the labels have.", hint="are its answers labels?")
    return _one_hot(codes, k)


def _one_hot(codes: Int, k: int) -> NDArray[np.float32]:
    """Scores for predicted labels; a label that is no class, -1, has none."""
    soft = np.full((len(codes), k), 0.02 / k, dtype=np.float32)
    known = codes >= 0
    soft[np.flatnonzero(known), codes[known]] += 0.98
    return soft


def _result(call: _Call, learnt: _Learnt, order: Sequence[str]) -> LearnedSplit:
    examples, ground = call.examples, call.ground
    split = np.zeros(len(examples.labels), dtype=bool)
    split[ground.at] = learnt.test
    splitter = Splitter(
        space=ground.space, network=learnt.network, levels=examples.levels, cut=learnt.cut, column=examples.column
    )
    found = learnt.contents
    moved = Contents(
        suspected=ground.at[found.suspected], suggested=found.suggested, doubt=found.doubt,
        groups=tuple(group.at(ground.at) for group in found.groups),
    )  # fmt: skip
    train, test = np.flatnonzero(~split), np.flatnonzero(split)
    gives: dict[str, Callable[[], Any]] = {
        "train_data": lambda: examples.part(train), "test_data": lambda: examples.part(test),
        "train_indices": lambda: train, "test_indices": lambda: test, "splitter": lambda: splitter,
    }  # fmt: skip
    return LearnedSplit(
        parts=tuple(gives[name]() for name in order), split=split, splitter=splitter, log=learnt.laps,
        best=learnt.best, metric=call.scoring.name, verdict=learnt.verdict, contents=moved, levels=examples.levels,
    )  # fmt: skip
