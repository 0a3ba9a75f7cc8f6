"""Columns that rules may not read: the model's own output under any name, and identifiers."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from errata.core.columns import Bool, Column, Int
from errata.core.dataset import SetAside
from errata.core.evaluation import Evaluation
from errata.ops.identifiers import identifiers

__all__ = ["READS", "detect_outputs", "identifiers", "named_outputs"]

READS = 0.99
"""AUC, or share of variance, from which a column counts as the prediction itself (proof.md section 2)."""
LEAST_ROWS = 20
"""Wrong rows, and right rows, that a class needs to say anything about what a column reads."""
FIT_FOLDS = 5
BINS = 20
MOST_LEVELS = 50_000
_EMBEDDING_ROWS = 4_000
_RIDGE = 1e-3

_NAMES = re.compile(
    r"""(?:
      y_?(?:hat|pred|preds|predicted|prediction|score|scores|prob|probs|proba)
    | (?:model_?)?(?:pred|preds|predicted|prediction|predictions|proba|probas|probability|probabilities|prob|probs)
    | (?:model_?)?(?:scores?|logits?|confidence|softmax|output|outputs|margin)
    | pred(?:icted|iction)?_?(?:class|label|score|scores|prob|probs|proba|probability|value|target|confidence|y)
    | (?:max_?)?(?:prob|proba|softmax|confidence)(?:_?score)?
    | (?:log_?|cross_?entropy_?|squared_?|absolute_?|abs_?|model_?)?loss | nll | cross_?entropy
    | (?:(?:abs|absolute|squared|prediction|pred|model|signed)_?)?(?:error|errors|residual|residuals)
    | (?:is_?|was_?|model_?)?(?:correct|incorrect|wrong|misclassified|misclassification|mistake|correctness)
    | is_?(?:error|right|tp|fp|tn|fn)
    )""",
    re.VERBOSE,
)
_PER_CLASS = (
    "p",
    "pr",
    "prob",
    "proba",
    "probability",
    "score",
    "logit",
    "softmax",
    "pred",
    "prediction",
    "yhat",
    "y_hat",
)


def named_outputs(evaluation: Evaluation) -> tuple[SetAside, ...]:
    """Features whose whole name says that a model wrote them: `y_pred`, `loss`, `p_<class>`, `<prediction>_proba`.

    Whole names only: `capital_loss`, `credit_score` and `error_code` are columns like any other. The label and the
    inputs of a connected model are never output.
    """
    dataset = evaluation.dataset
    classes = {_plain(str(level)) for level in evaluation.classes}
    return tuple(
        SetAside(column=name, why="its name says that the model wrote it")
        for name in _suspects(evaluation)
        if _named(name, dataset.prediction, classes)
    )


def _suspects(evaluation: Evaluation) -> tuple[str, ...]:
    """The features that may be output: all but the label and what a connected model takes."""
    dataset = evaluation.dataset
    spared = {dataset.label, *(dataset.input_names if evaluation.model is not None else ())}
    return tuple(name for name in evaluation.features if name not in spared)


def _named(name: str, prediction: str | None, classes: set[str]) -> bool:
    word = _plain(name)
    if _NAMES.fullmatch(word):
        return True
    for prefix in _PER_CLASS:
        if word.startswith(f"{prefix}_") and word.removeprefix(f"{prefix}_") in classes:
            return True
    mine = _plain(prediction) if prediction else ""
    return (
        bool(mine)
        and re.fullmatch(rf"{re.escape(mine)}_(?:prob|proba|probability|score|confidence|loss|error)", word) is not None
    )


def _plain(name: str) -> str:
    """A name in lower case with underscores between its words."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[^\w]+|_+", "_", spaced).strip("_").lower()


def detect_outputs(evaluation: Evaluation) -> tuple[SetAside, ...]:
    """The features that equal the prediction, or read it so well from within a label class that they must come from it.

    Every feature but the label and the inputs of a connected model is tried on the explore rows. In each label class
    with at least 20 wrong and 20 right rows the predicted class is foretold from the column in 5-fold cross-fitting, by
    the frequencies of each of its levels or of 20 bins (embeddings: by logistic regression); the column is an output
    when the AUC, the mean of one against the rest where there are more than two classes, is >= .99 in all of them. A
    number that tells wrong from right as well as that, such as a loss, is one too. In regression the column must
    explain 99 % of what the label leaves open in the prediction, or of the absolute error.

    Fails to see a column that is only loosely tied to the prediction, such as a score with noise, or one of ten scores.
    """
    explore = evaluation.explore()
    if len(explore) < LEAST_ROWS:  # with a few rows any column equals the prediction by chance
        return ()
    reads = _reads_number if evaluation.task == "regression" else _reads_class
    prepared = _prepare(explore)
    found = []
    for name in _suspects(evaluation):
        column = explore.column(name)
        why = _equals(column, explore, prepared) or reads(column, prepared)
        if why:
            found.append(SetAside(column=name, why=why))
    return tuple(found)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Rows:
    """What the columns are compared with: arrays of the explore rows, and the classes that can tell.

    labels, predicted  (n,) codes, or numbers in regression
    inside             for each class that can tell, the rows of it (m,)
    folds              for each of these, the fit fold of each row (m,), balanced over the predicted classes
    """

    labels: NDArray[np.generic]
    predicted: NDArray[np.generic]
    classes: tuple[int, ...]
    inside: tuple[Int, ...]
    folds: tuple[Int, ...]
    k: int


def _prepare(explore: Evaluation) -> _Rows:
    view = explore.view()
    classes: list[int] = []
    inside: list[Int] = []
    folds: list[Int] = []
    for code in range(len(explore.classes)):
        rows = np.flatnonzero(view.labels == code)
        right = int(np.count_nonzero(view.predicted[rows] == code))
        if min(right, len(rows) - right) >= LEAST_ROWS:
            classes.append(code)
            inside.append(rows)
            folds.append(_fit_folds(view.predicted[rows]))
    return _Rows(
        labels=view.labels,
        predicted=view.predicted,
        classes=tuple(classes),
        inside=tuple(inside),
        folds=tuple(folds),
        k=len(explore.classes),
    )


def _fit_folds(predicted: NDArray[np.generic]) -> Int:
    """A fold of 0 to 4 for each row, so that each predicted class is spread evenly and in no order of the file."""
    shuffled = np.random.default_rng(0).permutation(len(predicted))
    order = shuffled[np.argsort(predicted[shuffled], kind="stable")]
    folds = np.empty(len(predicted), dtype=np.int64)
    folds[order] = np.arange(len(predicted)) % FIT_FOLDS
    return folds


def _equals(column: Column, explore: Evaluation, rows: _Rows) -> str | None:
    """Whether the column names the predicted class (or number) in each row, in whatever words."""
    if explore.task == "regression":
        same = column.kind == "number" and bool(np.array_equal(column.values, rows.predicted))
        return "it equals the prediction" if same else None
    if column.kind not in ("category", "boolean", "number"):
        return None
    if column.kind == "number":
        head = np.unique(column.values[:1_000])
        if len(head) > rows.k or bool(column.missing().any()):
            return None
        levels, codes = np.unique(column.values, return_inverse=True)
        size = len(levels)
    else:
        codes, size = column.values + 1, max(2, len(column.levels)) + 1
    if size > MOST_LEVELS:
        return None
    table = np.bincount(codes * rows.k + rows.predicted, minlength=size * rows.k).reshape(size, rows.k) > 0
    used = table[table.any(axis=1)]
    matched = bool((used.sum(axis=1) == 1).all() and (used.sum(axis=0) <= 1).all())
    return "it equals the prediction" if matched and len(used) > 1 else None


def _reads_class(column: Column, rows: _Rows) -> str | None:
    if not rows.classes or column.kind == "text":
        return None
    if column.kind in ("embedding", "scores"):
        least = min((_embedding_auc(column.values, rows, at) for at in range(len(rows.classes))), default=0.0)
        return _words(least) if least >= READS else None
    least, least_wrong = 1.0, 1.0
    for at, code in enumerate(rows.classes):
        inside = rows.inside[at]
        predicted = np.asarray(rows.predicted[inside], dtype=np.int64)
        told = _told(column.take(inside), predicted, code, rows.folds[at], rows.k)
        least, least_wrong = min(least, told.prediction), min(least_wrong, told.wrong)
        if max(least, least_wrong) < READS:
            return None
    return _words(least) if least >= READS else "it tells wrong predictions from right ones within every label class"


@dataclass(frozen=True, kw_only=True)
class _Told:
    """AUC with which a column tells, in one label class, the predicted class, and (numbers only) wrong from right."""

    prediction: float
    wrong: float


def _told(column: Column, predicted: Int, code: int, folds: Int, k: int) -> _Told:
    if column.kind in ("category", "boolean"):
        if len(column.levels) > MOST_LEVELS:
            return _Told(prediction=0.0, wrong=0.0)
        return _Told(prediction=_mean_auc(_joint(column.values.astype(np.int64) + 1, predicted, folds, k)), wrong=0.0)
    values = column.values.view(np.int64).astype(np.float64) if column.kind == "datetime" else column.values
    ranked = _Ranked.of(np.where(column.missing(), -np.inf, values))
    joint = _joint(ranked.codes(predicted, k), predicted, folds, k)
    # A score that only rises or falls needs no bins, and is seen even where a class has few wrong rows.
    along = float(np.mean([ranked.auc(predicted == asked) for asked in _asked(np.bincount(predicted, minlength=k))]))
    wrong = max(_auc(joint, code), ranked.auc(predicted == code)) if joint.shape[1] > BINS // 2 else 0.0
    return _Told(prediction=max(_mean_auc(joint), along), wrong=wrong)


def _joint(codes: Int, predicted: Int, folds: Int, k: int) -> NDArray[np.int64]:
    """(folds, levels, k) how many rows of each fit fold have each level and each predicted class."""
    size = int(codes.max()) + 1
    counts = np.bincount((folds * size + codes) * k + predicted, minlength=FIT_FOLDS * size * k)
    return counts.reshape(FIT_FOLDS, size, k)


def _asked(counts: Int) -> NDArray[np.int64]:
    """The predicted classes to tell from the others: those that occur; of two only one, as both ask the same."""
    present = np.flatnonzero(counts >= FIT_FOLDS)
    return present[:1] if len(present) <= 2 else present


def _words(auc: float) -> str:
    return f"it reads the predicted class within every label class (AUC {auc:.3f})"


@dataclass(frozen=True, kw_only=True, eq=False)
class _Ranked:
    """The values (m,) of a number in one label class, and the order that sorts them."""

    values: NDArray[np.float64]
    order: Int

    @staticmethod
    def of(values: NDArray[np.generic]) -> _Ranked:
        """The values, sorted once."""
        return _Ranked(values=np.asarray(values, dtype=np.float64), order=np.argsort(values, kind="stable"))

    def auc(self, hit: Bool) -> float:
        """How well the bare values, rising or falling, tell the rows that are hit (m,) from the others."""
        ranked = self.values[self.order]
        group = np.cumsum(np.append(False, ranked[1:] != ranked[:-1]))
        up = np.bincount(group, weights=hit[self.order])
        down = np.bincount(group) - up
        pairs = float(up.sum() * down.sum())
        rising = float((up * (np.cumsum(down) - down / 2)).sum() / pairs) if pairs else 0.0
        return max(rising, 1.0 - rising) if pairs else 0.0

    def codes(self, predicted: Int, k: int) -> NDArray[np.int64]:
        """(m,) codes from 0 of 20 bins that hold as much of every predicted class as of any other.

        Bins of even size would put the few wrong rows of a large class together with many right ones: a hidden score.
        """
        ranked = self.values[self.order]
        weight = (1.0 / np.maximum(np.bincount(predicted, minlength=k), 1))[predicted[self.order]]
        reach = np.cumsum(weight) / weight.sum()
        at = np.minimum(np.searchsorted(reach, np.arange(1, BINS) / BINS), len(ranked) - 1)
        # Missing values, which come first, have a bin of their own.
        edges = np.unique(np.append(ranked[at], -np.inf))
        return np.searchsorted(edges, self.values, side="left").astype(np.int64)


def _mean_auc(joint: NDArray[np.int64]) -> float:
    """Mean over the predicted classes that occur of the AUC of one against the rest; (folds, levels, k) counts."""
    counts = joint.sum(axis=(0, 1))
    if np.count_nonzero(counts >= FIT_FOLDS) < 2:
        return 0.0
    return float(np.mean([_auc(joint, int(code)) for code in _asked(counts)]))


def _auc(joint: NDArray[np.int64], code: int) -> float:
    """AUC, over the fit folds, of telling predicted class `code` from the others by cross-fitted level frequencies."""
    hits, others = joint[:, :, code], joint.sum(axis=2) - joint[:, :, code]
    prior = hits.sum() / max(1, joint.sum())
    total, weight = 0.0, 0.0
    for fold in range(len(joint)):
        # The frequencies come from the other folds, drawn to the prior so that unseen levels say nothing.
        seen = hits.sum(axis=0) - hits[fold]
        all_seen = seen + others.sum(axis=0) - others[fold]
        score = (seen + prior) / (all_seen + 1.0)
        positives, negatives = float(hits[fold].sum()), float(others[fold].sum())
        if positives and negatives:
            total += _auc_of(score, hits[fold], others[fold])
            weight += 1.0
    return total / weight if weight else 0.0


def _auc_of(score: NDArray[np.float64], hits: NDArray[np.int64], others: NDArray[np.int64]) -> float:
    """Share of pairs (hit, other) in which the hit has the higher score, ties counted half; counts per score."""
    levels, group = np.unique(np.round(score, 12), return_inverse=True)
    up = np.bincount(group, weights=hits, minlength=len(levels))
    down = np.bincount(group, weights=others, minlength=len(levels))
    below = np.cumsum(down) - down
    return float((up * (below + down / 2)).sum() / (up.sum() * down.sum()))


def _embedding_auc(values: NDArray[np.generic], rows: _Rows, at: int) -> float:
    """The same for an embedding (n, d), by ridge-regularised logistic regression on at most 4,000 rows of the class."""
    predicted = np.asarray(rows.predicted[rows.inside[at]], dtype=np.int64)
    some = _sample(predicted)
    inside, folds, predicted = rows.inside[at][some], rows.folds[at][some], predicted[some]
    features = np.nan_to_num(np.asarray(values[inside], dtype=np.float64))
    spread = features.std(axis=0)
    features = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    features = np.column_stack([features, np.ones(len(features))])
    counts = np.bincount(predicted, minlength=rows.k)
    asked = _asked(counts)
    return float(np.mean([_logistic_auc(features, predicted == code, folds) for code in asked])) if len(asked) else 0.0


def _sample(predicted: Int) -> Int:
    """Rows that keep the rare predicted classes whole and thin out the common one."""
    rng = np.random.default_rng(0)
    share = _EMBEDDING_ROWS / max(1, len(np.unique(predicted)))
    kept = [rng.permutation(np.flatnonzero(predicted == code))[: int(share)] for code in np.unique(predicted)]
    return np.sort(np.concatenate(kept))


def _logistic_auc(features: NDArray[np.float64], hit: Bool, folds: Int) -> float:
    total, weight = 0.0, 0
    for fold in range(FIT_FOLDS):
        test = folds == fold
        if not hit[test].any() or hit[test].all() or hit[~test].all() or not hit[~test].any():
            continue
        score = features[test] @ _logistic(features[~test], hit[~test])
        total += _auc_of(score, hit[test].astype(np.int64), (~hit[test]).astype(np.int64))
        weight += 1
    return total / weight if weight else 0.0


def _logistic(features: NDArray[np.float64], hit: Bool) -> NDArray[np.float64]:
    """Coefficients (d,) by Newton's method; a dozen steps are plenty for an AUC."""
    n, d = features.shape
    beta = np.zeros(d)
    ridge = _RIDGE * n * np.eye(d)
    for _ in range(12):
        chance = 1.0 / (1.0 + np.exp(-np.clip(features @ beta, -30, 30)))
        gradient = features.T @ (hit - chance) - ridge @ beta
        curvature = (features * (chance * (1.0 - chance))[:, None]).T @ features + ridge
        step = np.linalg.solve(curvature, gradient)
        beta += step
        if float(np.abs(step).max()) < 1e-4:
            break
    return beta


def _reads_number(column: Column, rows: _Rows) -> str | None:
    """Regression: whether label and column together give the prediction, or the column the absolute error."""
    if column.kind not in ("number", "datetime", "embedding", "scores") or len(rows.labels) < 4 * BINS:
        return None
    label, predicted = np.asarray(rows.labels, dtype=np.float64), np.asarray(rows.predicted, dtype=np.float64)
    if column.kind in ("embedding", "scores"):
        basis = np.nan_to_num(np.asarray(column.values, dtype=np.float64))
    else:
        raw = column.values.view(np.int64) if column.kind == "datetime" else column.values
        basis = _hinges(raw.astype(np.float64))
    ones = np.ones((len(label), 1))
    base = np.column_stack([ones, label])
    gap = np.abs(label - predicted)
    if _explained(np.column_stack([base, basis]), predicted, against=base) >= READS:
        return "it reads the prediction (R2 of what the label leaves open >= 0.99)"
    if _explained(np.column_stack([ones, basis]), gap, against=ones) >= READS:
        return "it reads the absolute error of the prediction"
    return None


def _hinges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, <= 21) broken-line basis of a number with knots at 19 quantiles; missing values stand at the median."""
    missing = ~np.isfinite(values)
    if missing.all():
        return np.zeros((len(values), 1))
    filled = np.where(missing, np.median(values[~missing]), values)
    spread = filled.std()
    filled = (filled - filled.mean()) / (spread if spread > 0 else 1.0)
    knots = np.unique(np.quantile(filled, np.arange(1, BINS) / BINS))
    return np.column_stack([filled, missing, np.maximum(filled[:, None] - knots, 0.0)])


def _explained(features: NDArray[np.float64], target: NDArray[np.float64], *, against: NDArray[np.float64]) -> float:
    """Share of the squares left by `against` that `features` explain, both fitted by least squares in 5 folds."""
    folds = np.random.default_rng(0).permutation(len(target)) % FIT_FOLDS
    left, open_ = 0.0, 0.0
    for fold in range(FIT_FOLDS):
        test = folds == fold
        for matrix, counts in ((features, True), (against, False)):
            beta = np.linalg.lstsq(matrix[~test], target[~test], rcond=1e-9)[0]
            squares = float(((target[test] - matrix[test] @ beta) ** 2).sum())
            left, open_ = (left + squares, open_) if counts else (left, open_ + squares)
    return 1.0 - left / open_ if open_ > 0 else 0.0
