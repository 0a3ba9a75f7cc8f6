"""What compiled code of scikit-learn follows without looking: checked, or built anew, before anything is predicted.

Trees are arrays of nodes with the indices of children and columns. Prediction follows them without bounds, so a crafted
file could read, and for gradient boosting write, anywhere in memory. What is checked here: children lie behind their
parent and within the array (which also rules out cycles), columns within the width that scikit-learn checks in the
inputs, and trees lie only where scikit-learn puts them, so that no other path leads to them. What is no tree is checked
in `compiled_arrays.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errata.models.compiled_arrays import UnsoundError, check_arrays, counted, is_a

__all__ = ["UnsoundError", "make_sound"]

_BITS = 8  # words of 32 bits in the set of categories that go left
_METRICS = ("euclidean", "manhattan", "chebyshev", "minkowski", "l1", "l2", "cityblock", "p", "infinity")


def make_sound(estimator: Any) -> None:
    """Check every tree and array in an estimator that compiled code follows, and build its search trees anew.

    Raises UnsoundError for the first that scikit-learn would not have written.
    """
    boosted = []
    for part in _parts(estimator):
        _check_no_method_is_hidden(part)
        if is_a(part, "BaseGradientBoosting"):
            boosted.append(part)
            _check_stages(part)
        elif is_a(part, "BaseHistGradientBoosting"):
            _check_histogram_trees(part)
        elif is_a(part, "BaseDecisionTree"):
            _check_tree(part)
        elif is_a(part, "NeighborsBase"):
            _rebuild_search_tree(part)
        else:
            check_arrays(part)
    for part in boosted:  # asks models inside, which are sound by now
        _check_width_of_start(part)


def _parts(root: Any) -> Iterator[Any]:
    """Every object that an estimator holds, itself first; compiled trees only where they belong, and not given."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        part = waiting.pop()
        if id(part) in seen or isinstance(part, str | bytes | int | float | type | None):
            continue
        seen.add(id(part))
        if is_a(part, "Tree", "TreePredictor", "BinaryTree", "KDTree64", "BallTree64", "DistanceMetric64"):
            raise UnsoundError(f"a `{type(part).__name__}` lies where scikit-learn puts none")
        yield part
        waiting.extend(_held(part))


def _held(part: Any) -> list[Any]:
    held: list[Any] = []
    if isinstance(part, Mapping):
        held += [*part.keys(), *part.values()]
    elif isinstance(part, list | tuple | set | frozenset):
        held += part
    elif isinstance(part, np.ndarray) and part.dtype.hasobject:
        held += part.ravel().tolist()
    elif isinstance(part, functools.partial):
        held += [part.func, part.args, part.keywords]
    own = dict(getattr(part, "__dict__", {}))
    place = _PLACES.keys() & {base.__name__ for base in type(part).__mro__}
    for name in place:  # checked on their own
        own.pop(_PLACES[name], None)
    return [*held, *own.values()]


_PLACES = {"BaseDecisionTree": "tree_", "BaseHistGradientBoosting": "_predictors", "NeighborsBase": "_tree"}


def _check_no_method_is_hidden(part: Any) -> None:
    """An attribute from a file must not stand before a method, such as the one that checks the width of the inputs."""
    for name in getattr(part, "__dict__", {}):
        found = next((vars(base)[name] for base in type(part).__mro__ if name in vars(base)), None)
        if found is not None and hasattr(type(found), "__get__") and not hasattr(type(found), "__set__"):
            raise UnsoundError(f"`{name}` of a `{type(part).__name__}` hides a method")


def _check_tree(holder: Any) -> None:
    own = vars(holder)
    if "tree_" not in own:  # not fitted
        return
    tree = own["tree_"]
    if not is_a(tree, "Tree"):
        raise UnsoundError(f"the tree of a `{type(holder).__name__}` is a `{type(tree).__name__}`")
    # Before these agree not even the arrays may be looked at: they are views of as many nodes as the file claims.
    if not 0 < tree.node_count == tree.capacity:
        raise UnsoundError(f"a tree claims {tree.node_count} nodes and has {tree.capacity}")
    if tree.n_outputs < 1 or tree.max_n_classes < 1 or len(tree.value) != tree.node_count:
        raise UnsoundError("a tree has no values")
    if counted(own, "n_features_in_") != tree.n_features:
        raise UnsoundError(f"a tree of {tree.n_features} columns is held by a model of {own.get('n_features_in_')}")
    inner = tree.children_left != -1
    if (tree.children_right[~inner] != -1).any():
        raise UnsoundError("a leaf of a tree has a child")
    _check_nodes(inner, tree.children_left, tree.children_right, tree.feature, columns=tree.n_features)


def _check_nodes(
    inner: NDArray[np.bool_], left: NDArray[Any], right: NDArray[Any], feature: NDArray[Any], *, columns: int
) -> None:
    at = np.flatnonzero(inner)
    for children in (left[at].astype(np.int64), right[at].astype(np.int64)):
        if (children <= at).any() or (children >= len(inner)).any():
            raise UnsoundError("a node of a tree has a child before itself or outside the tree")
    used = feature[at]
    if (used < 0).any() or (used >= columns).any():
        raise UnsoundError(f"a node of a tree reads a column outside the {columns} of the model")


def _check_stages(model: Any) -> None:
    """Gradient boosting hands its trees to compiled code by itself; their own checks of the inputs are passed over."""
    own = vars(model)
    if "estimators_" not in own:
        return
    stages = own["estimators_"]
    if not isinstance(stages, np.ndarray) or stages.ndim != 2 or not stages.size:
        raise UnsoundError(f"the stages of a `{type(model).__name__}` are no table of trees")
    columns = counted(own, "n_features_in_")
    for stage in stages.ravel().tolist():
        if not is_a(stage, "BaseDecisionTree") or "tree_" not in vars(stage):
            raise UnsoundError(f"a stage of a `{type(model).__name__}` is a `{type(stage).__name__}`")
        _check_tree(stage)
        tree = stage.tree_
        if tree.n_features != columns or (tree.n_outputs, tree.max_n_classes) != (1, 1):
            raise UnsoundError(f"a stage of a `{type(model).__name__}` has other columns or values than the model")
    start = own.get("init_")
    if not (start == "zero" if isinstance(start, str) else is_a(start, "DummyClassifier", "DummyRegressor")):
        raise UnsoundError(
            f"a `{type(model).__name__}` starts from a `{type(start).__name__}`, which is not known here"
        )


def _check_width_of_start(model: Any) -> None:
    """Each tree of a stage adds to its own column of the start values; a column too few would be written past them."""
    own = vars(model)
    if "estimators_" not in own:
        return
    try:
        width = model._raw_predict_init(np.zeros((1, counted(own, "n_features_in_")), dtype=np.float32)).shape[1]
    except (ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        raise UnsoundError(f"a `{type(model).__name__}` has no start values: {error}") from error
    if width != own["estimators_"].shape[1]:
        raise UnsoundError(
            f"a `{type(model).__name__}` has {own['estimators_'].shape[1]} trees a stage for {width} values"
        )


def _check_histogram_trees(model: Any) -> None:
    own = vars(model)
    if "_predictors" not in own:
        return
    columns = counted(own, "n_features_in_")
    if own.get("_in_fit"):
        raise UnsoundError(f"a `{type(model).__name__}` claims to be in training")
    if own.get("_preprocessor") is not None:
        _check_preprocessor(own["_preprocessor"], columns)
    categorical = getattr(own.get("_bin_mapper"), "is_categorical_", None)
    if not isinstance(categorical, np.ndarray) or categorical.shape != (columns,) or categorical.dtype.kind not in "bu":
        raise UnsoundError(f"a `{type(model).__name__}` does not say for its {columns} columns which are categories")
    rounds = own["_predictors"]
    if not isinstance(rounds, list) or not all(isinstance(trees, list) for trees in rounds):
        raise UnsoundError(f"the trees of a `{type(model).__name__}` are no list of lists")
    for tree in (tree for trees in rounds for tree in trees):
        _check_histogram_tree(tree, categorical != 0)


def _check_histogram_tree(tree: Any, categorical: NDArray[np.bool_]) -> None:
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE

    if not is_a(tree, "TreePredictor"):
        raise UnsoundError(f"a tree of histogram boosting is a `{type(tree).__name__}`")
    _check_no_method_is_hidden(tree)
    nodes, left_sets = vars(tree).get("nodes"), vars(tree).get("raw_left_cat_bitsets")
    if type(nodes) is not np.ndarray or nodes.dtype != PREDICTOR_RECORD_DTYPE or nodes.ndim != 1 or not len(nodes):
        raise UnsoundError("a tree of histogram boosting has no nodes of the known form")
    if type(left_sets) is not np.ndarray or left_sets.ndim != 2 or left_sets.shape[1] != _BITS:
        raise UnsoundError("a tree of histogram boosting has sets of categories of another form")
    inner = nodes["is_leaf"] == 0
    _check_nodes(inner, nodes["left"], nodes["right"], nodes["feature_idx"], columns=len(categorical))
    by_set = nodes[inner & (nodes["is_categorical"] != 0)]
    if (by_set["bitset_idx"] >= len(left_sets)).any() or not categorical[by_set["feature_idx"]].all():
        raise UnsoundError("a node of a tree splits by a set of categories that is not there")


def _check_preprocessor(first: Any, columns: int) -> None:
    """What encodes categories inside histogram boosting: nothing checks how many columns come out of it."""
    from sklearn.utils.validation import check_array

    steps = getattr(first, "transformers_", None)
    # Of a dataframe the columns are picked by these indices, of an array by those beside the step.
    by_name = getattr(first, "_transformer_to_input_indices", None)
    if not (is_a(first, "ColumnTransformer") and isinstance(steps, list) and isinstance(by_name, dict)):
        raise UnsoundError("histogram boosting prepares its columns in an unknown way")
    widths = np.zeros(2, dtype=np.int64)
    for name, step, places in (step for step in steps if step[1] != "drop"):
        cast = isinstance(func := getattr(step, "func", None), functools.partial) and func.func is check_array
        if not (is_a(step, "OrdinalEncoder") or (is_a(step, "FunctionTransformer") and cast)):
            raise UnsoundError("histogram boosting prepares its columns in an unknown way")
        widths += _picked(places, columns), _picked(by_name.get(name), columns)
    if (widths != columns).any():
        raise UnsoundError(f"histogram boosting prepares other columns than its {columns}")


def _picked(places: Any, columns: int) -> int:
    """How many columns a mask or a list of indices picks."""
    chosen = np.asarray(places)
    if chosen.ndim != 1 or chosen.dtype.kind not in "bi" or (chosen.dtype == bool and len(chosen) != columns):
        raise UnsoundError("histogram boosting picks its columns in an unknown way")
    return int(chosen.sum()) if chosen.dtype == bool else len(chosen)


def _rebuild_search_tree(model: Any) -> None:
    """The search tree of nearest neighbours, from the training rows: the one of the file is never asked."""
    own = vars(model)
    rows = own.get("_fit_X")
    if rows is None:
        return
    if not isinstance(own.get("effective_metric_"), str):
        raise UnsoundError(f"a `{type(model).__name__}` has a distance of an unknown kind")
    if isinstance(rows, np.ndarray) and (rows.ndim != 2 or rows.shape[1] != counted(own, "n_features_in_")):
        raise UnsoundError(f"a `{type(model).__name__}` has training rows of another width than its inputs")
    _check_neighbour_labels(model, rows)
    if own.get("_tree") is None:
        return
    from sklearn.neighbors import BallTree, KDTree

    kind = {"kd_tree": KDTree, "ball_tree": BallTree}.get(str(own.get("_fit_method")))
    if kind is None or not isinstance(rows, np.ndarray) or own["effective_metric_"] not in _METRICS:
        raise UnsoundError(f"a `{type(model).__name__}` has a search tree of an unknown kind")
    try:
        own["_tree"] = kind(
            rows, leaf_size=own.get("leaf_size", 30), metric=own["effective_metric_"],
            **(own.get("effective_metric_params_") or {}),
        )  # fmt: skip
    except (ValueError, TypeError) as error:
        raise UnsoundError(f"the search tree of a `{type(model).__name__}` cannot be built: {error}") from error


def _check_neighbour_labels(model: Any, rows: Any) -> None:
    own = vars(model)
    codes, classes = own.get("_y"), own.get("classes_")
    if not isinstance(classes, np.ndarray) or codes is None:  # numbers, or several labels at once: read by numpy
        return
    if not isinstance(codes, np.ndarray) or codes.dtype.kind not in "iu" or len(codes) != rows.shape[0]:
        raise UnsoundError(f"the labels of a `{type(model).__name__}` are no codes, one for each training row")
    if codes.size and not 0 <= int(codes.min()) <= int(codes.max()) < len(classes):
        raise UnsoundError(f"a label of a `{type(model).__name__}` is none of its {len(classes)} classes")
