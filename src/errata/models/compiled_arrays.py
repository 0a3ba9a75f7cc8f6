"""Arrays of fitted estimators that compiled code reads by counts and indices stored beside them: they must agree.

Support vector machines hand libsvm pointers and the number of support vectors of each class; cluster centres, the words
of a vectoriser and the levels of an encoder are read in the same trust. Sparse matrices, whose indices nobody checks
either, are not among the types that are trusted in a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["UnsoundError", "check_arrays", "counted", "is_a"]


class UnsoundError(ValueError):
    """A model that would lead compiled code astray; the message says where."""


def is_a(part: Any, *names: str) -> bool:
    """Whether an object is of one of these classes of scikit-learn, which some versions keep private."""
    return any(base.__name__ in names and base.__module__.startswith("sklearn.") for base in type(part).__mro__)


def counted(own: Mapping[str, Any], name: str) -> int:
    """A number of columns in the attributes of an estimator; raises UnsoundError for anything else."""
    value = own.get(name)
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise UnsoundError(f"`{name}` is `{value}`, no number of columns")
    return int(value)


def check_arrays(part: Any) -> None:
    """Check what one object holds; raises UnsoundError for what scikit-learn would not have written."""
    if is_a(part, "BaseLibSVM"):
        _check_support_vectors(part)
    elif is_a(part, "_BaseKMeans"):
        _check_centres(part)
    elif is_a(part, "CountVectorizer", "DictVectorizer"):
        _check_vocabulary(part)
    elif is_a(part, "OneHotEncoder"):
        _check_one_hot(part)
    elif is_a(part, "HashingVectorizer", "FeatureHasher"):
        counted(vars(part), "n_features")


def _check_support_vectors(model: Any) -> None:
    own, name = vars(model), type(model).__name__
    if "support_vectors_" not in own:  # not fitted
        return
    # Of a class's own two lists, the name of the solver and the order of the kernels, the file must not bring others.
    foreign = {"_impl", "_sparse_kernels"} & own.keys()
    if foreign or not isinstance(own.get("kernel"), str) or own.get("_sparse") is not False:
        raise UnsoundError(f"a `{name}` has a kernel or a solver of an unknown kind")
    tells_classes = is_a(model, "BaseSVC")
    per_class = _ints(own.get("_n_support"), what=f"the counts of support vectors of a `{name}`")
    support = _ints(own.get("support_"), what=f"the support of a `{name}`")
    classes = len(np.atleast_1d(own.get("classes_", 0))) if tells_classes else 2
    if len(per_class) != classes or classes < 2 or (tells_classes and (per_class < 0).any()):
        raise UnsoundError(f"a `{name}` of {classes} classes counts support vectors for {len(per_class)}")
    vectors = len(support)
    # Only classes are told apart by where their support vectors begin.
    if tells_classes and int(per_class.sum(dtype=np.int64)) != vectors:
        raise UnsoundError(f"the classes of a `{name}` have {per_class.sum(dtype=np.int64)} of {vectors} vectors")
    _check_shape(own, vectors, support, name)
    _check_decisions(own, classes, vectors, name)


def _check_shape(own: Mapping[str, Any], vectors: int, support: Any, name: str) -> None:
    columns, rows = counted(own, "n_features_in_"), own["support_vectors_"]
    if own["kernel"] == "precomputed":
        # Columns of the inputs are picked by the places of the support vectors among the training rows.
        if own.get("shape_fit_", (0, 0))[0] != columns:
            raise UnsoundError(f"a `{name}` of {columns} training rows was fitted on others")
        if (support < 0).any() or (support >= columns).any():
            raise UnsoundError(f"the support of a `{name}` lies outside its {columns} training rows")
        return
    if not isinstance(rows, np.ndarray) or rows.shape != (vectors, columns):
        raise UnsoundError(f"the support vectors of a `{name}` are no table of {vectors} by {columns}")


def _check_decisions(own: Mapping[str, Any], classes: int, vectors: int, name: str) -> None:
    """Coefficients for each class but one, and constants (and probabilities, if any) for each pair of classes."""
    pairs = classes * (classes - 1) // 2
    weights = own.get("_dual_coef_")
    if not isinstance(weights, np.ndarray) or weights.shape != (classes - 1, vectors):
        raise UnsoundError(f"the coefficients of a `{name}` are no table of {classes - 1} by {vectors}")
    for field, sizes in (("_intercept_", (pairs,)), ("_probA", (0, pairs)), ("_probB", (0, pairs))):
        values = own.get(field)
        if not isinstance(values, np.ndarray) or values.ndim != 1 or len(values) not in sizes:
            raise UnsoundError(f"`{field}` of a `{name}` is not one number for each pair of {classes} classes")
    if len(own["_probA"]) != len(own["_probB"]):
        raise UnsoundError(f"`_probA` and `_probB` of a `{name}` are not of one length")


def _ints(values: Any, *, what: str) -> Any:
    if not isinstance(values, np.ndarray) or values.ndim != 1 or values.dtype.kind != "i":
        raise UnsoundError(f"{what} are no whole numbers")
    return values


def _check_centres(model: Any) -> None:
    own = vars(model)
    if "cluster_centers_" not in own:
        return
    centres, columns = own["cluster_centers_"], counted(own, "n_features_in_")
    if not isinstance(centres, np.ndarray) or centres.ndim != 2 or centres.shape[1] != columns or not len(centres):
        raise UnsoundError(f"the centres of a `{type(model).__name__}` are no points of {columns} columns")


def _check_vocabulary(model: Any) -> None:
    """Counts are put into the column that a word has here, out of as many as there are words."""
    words = vars(model).get("vocabulary_")
    if words is None:
        return
    places = list(words.values()) if isinstance(words, dict) else []
    known = all(isinstance(place, int | np.integer) for place in places)
    if not isinstance(words, dict) or not known or sorted(places) != list(range(len(words))):
        raise UnsoundError(f"the words of a `{type(model).__name__}` have places beyond their number")


def _check_one_hot(model: Any) -> None:
    """Levels become columns of a sparse matrix whose width is stored beside them."""
    own, name = vars(model), type(model).__name__
    if "categories_" not in own:
        return
    try:
        widths = list(model._compute_n_features_outs())
        dropped = own["_drop_idx_after_grouping"]
        mappings = own["_default_to_infrequent_mappings"] if model._infrequent_enabled else [None] * len(widths)
        for place, (levels, mapping) in enumerate(zip(own["categories_"], mappings, strict=True)):
            gone = None if dropped is None else dropped[place]
            before = widths[place] + (gone is not None)
            codes = np.arange(len(levels)) if mapping is None else np.asarray(mapping)
            # Codes of numbers and words are places in an ordered list; of objects, in a dictionary.
            ordered = levels.dtype.kind == "O" or np.array_equal(
                np.sort(levels), levels, equal_nan=levels.dtype.kind == "f"
            )
            if not (ordered and len(codes) == len(levels) and 0 <= codes.min() <= codes.max() < before):
                raise UnsoundError(f"a level of a `{name}` has a place beyond its {before} columns")
            if gone is not None and not 0 <= gone < before:
                raise UnsoundError(f"a `{name}` drops a level that is not there")
    except (ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        if isinstance(error, UnsoundError):
            raise
        raise UnsoundError(f"the levels of a `{name}` are damaged: {error}") from error
    if own.get("_n_features_outs") != widths:
        raise UnsoundError(f"a `{name}` has levels for {widths} columns and claims {own.get('_n_features_outs')}")
