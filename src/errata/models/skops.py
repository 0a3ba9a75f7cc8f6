"""Estimators in `.skops` files: which types are trusted beyond what skops trusts, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

from errata.core.errors import UsageError, require
from errata.models.compiled import UnsoundError, make_sound

__all__ = ["TRUSTED", "load_skops"]

TRUSTED: Final = (
    # Nodes of trees. skops leaves them out because compiled code follows their indices without looking; here every
    # index is checked before anything is predicted (`compiled.py`), and they may lie only where scikit-learn puts them.
    "sklearn.tree._tree.Tree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    # Search trees of nearest neighbours. Those of the file are thrown away and built anew from the training rows.
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.metrics._dist_metrics.ChebyshevDistance64",
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    # How columns are picked and cast in pipelines: names, types and settings. HistGradientBoosting on a dataframe keeps
    # `partial(check_array, ...)`; a partial can call only what is itself trusted.
    "sklearn.compose._column_transformer.make_column_selector",
    "builtins.object",
    "numpy.dtype",
    "functools.partial",
    "sklearn.utils.validation.check_array",
    # Calibration: plain Python over numpy arrays.
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    # Used in training only: scores that chose columns, folds of a search, state of an optimiser.
    "sklearn.feature_selection._univariate_selection.f_classif",
    "sklearn.feature_selection._univariate_selection.f_regression",
    "sklearn.feature_selection._univariate_selection.chi2",
    "sklearn.model_selection._split.KFold",
    "sklearn.model_selection._split.StratifiedKFold",
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
)

# What skops, numpy and scikit-learn raise for files that are cut short, edited, or of other versions.
_BROKEN = (
    BadZipFile, KeyError, ValueError, TypeError, AttributeError, IndexError, EOFError, OSError, ImportError,
    MemoryError, OverflowError, RecursionError, NotImplementedError,
)  # fmt: skip


def load_skops(path: Path) -> Any:
    """The estimator in a `.skops` file, which holds no code, with everything that compiled code follows checked.

    Raises UsageError for types that are not trusted, with their list, for a file that is not whole, and for one whose
    numbers would lead compiled code astray; MissingExtraError without skops.
    """
    skops = require("skops.io", feature=f"`{path}`", extra="skops")
    try:
        unknown = sorted(set(skops.get_untrusted_types(file=path)) - set(TRUSTED))
        if unknown:
            raise UsageError(
                f"`{path}` holds types that are not trusted: {', '.join(f'`{name}`' for name in unknown)}.",
                hint="if you trust them, load the file in a Python module with "
                "`skops.io.load(path, trusted=[...])` and name the object as MODULE:OBJECT.",
            )
        estimator = skops.load(path, trusted=list(TRUSTED))
    except _BROKEN as error:
        raise UsageError(
            f"`{path}` is not a whole `.skops` file: {type(error).__name__}: {error}.",
            hint="write it with `skops.io.dump(model, path)`, with the scikit-learn that is installed here.",
        ) from error
    try:
        make_sound(estimator)
    except UnsoundError as error:
        raise UsageError(
            f"`{path}` is refused, because predicting with it could read memory that is not its own: {error}.",
            hint="scikit-learn writes no such model; was the file edited? Get it anew from where it was trained.",
        ) from error
    return estimator
