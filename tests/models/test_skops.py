"""`.skops` files: the usual models open and predict the same; an edited file never reaches compiled code."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from errata.core.errors import UsageError
from errata.models.connect import connect
from errata.models.skops import TRUSTED, load_skops

skops = pytest.importorskip("skops.io")
pd = pytest.importorskip("pandas")

RNG = np.random.default_rng(1)
N = 200
X = RNG.normal(size=(N, 4))
Y = np.array(["no", "yes"])[(X[:, 0] * X[:, 1] > 0).astype(int)]
THREE = np.array(["a", "b", "c"])[np.digitize(X[:, 2], [-0.5, 0.5])]
FRAME = pd.DataFrame(
    {"age": X[:, 0], "pay": np.where(X[:, 1] > 1, np.nan, X[:, 1]), "town": RNG.choice(["oslo", "cairo", None], N)}
)


def ensembles():
    from sklearn import ensemble, tree

    few = {"n_estimators": 4, "random_state": 0}
    return {
        "tree": tree.DecisionTreeClassifier(random_state=0),
        "pruned tree": tree.DecisionTreeClassifier(ccp_alpha=0.01, random_state=0),
        "tree of leaves": tree.DecisionTreeClassifier(max_leaf_nodes=5, random_state=0),
        "forest": ensemble.RandomForestClassifier(**few),
        "extra trees": ensemble.ExtraTreesClassifier(**few),
        "boosting": ensemble.GradientBoostingClassifier(**few),
        "boosting from zero": ensemble.GradientBoostingClassifier(init="zero", **few),
        "histogram boosting": ensemble.HistGradientBoostingClassifier(max_iter=4, random_state=0),
        "ada": ensemble.AdaBoostClassifier(**few),
        "bag": ensemble.BaggingClassifier(max_features=0.5, **few),
    }


def others():
    from sklearn import calibration, linear_model, model_selection, naive_bayes, neighbors, neural_network, svm

    logistic = linear_model.LogisticRegression()
    return {
        "neighbours": neighbors.KNeighborsClassifier(3),
        "neighbours, ball tree": neighbors.KNeighborsClassifier(3, algorithm="ball_tree", metric="manhattan"),
        "neighbours, brute": neighbors.KNeighborsClassifier(3, algorithm="brute"),
        "neighbours, weighted": neighbors.KNeighborsClassifier(p=3, weights="distance"),
        "support vectors": svm.SVC(),
        "linear support vectors": svm.LinearSVC(),
        "logistic": logistic,
        "bayes": naive_bayes.GaussianNB(),
        "perceptron": neural_network.MLPClassifier((4,), max_iter=2, early_stopping=False),
        "search": model_selection.GridSearchCV(logistic, {"C": [0.1, 1.0]}, cv=2),
        "calibrated": calibration.CalibratedClassifierCV(logistic, cv=2),
    }


MODELS = {**ensembles(), **others()}


@pytest.fixture
def saved(tmp_path):
    """Writes an estimator to a file."""

    def save(estimator) -> Path:
        path = tmp_path / "model.skops"
        skops.dump(estimator, path)
        return path

    return save


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", MODELS)
def test_the_usual_classifiers_open_and_predict_the_same(saved, name):
    from sklearn.base import clone

    for label in (Y, THREE):
        fitted = clone(MODELS[name]).fit(X, label)
        model = connect(saved(fitted)).settled(X, levels=tuple(np.unique(label))).model
        if hasattr(fitted, "predict_proba"):
            np.testing.assert_array_equal(model.estimator.predict_proba(X), fitted.predict_proba(X))
        np.testing.assert_array_equal(model.estimator.predict(X), fitted.predict(X))


@pytest.mark.parametrize(
    "name", ["DecisionTree", "RandomForest", "ExtraTrees", "GradientBoosting", "HistGradientBoosting", "KNeighbors"]
)
def test_the_usual_regressors_open_and_predict_the_same(saved, name):
    from sklearn import ensemble, neighbors, tree

    kind = next(getattr(place, f"{name}Regressor") for place in (ensemble, neighbors, tree)
                if hasattr(place, f"{name}Regressor"))  # fmt: skip
    fitted = kind().fit(X, X[:, 0] + X[:, 1] ** 2)
    np.testing.assert_array_equal(connect(saved(fitted)).predict(X).values, fitted.predict(X))


def encoders():
    from sklearn.compose import make_column_selector
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

    known = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    return {
        "one hot": (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["town"]),
        "rare together": (OneHotEncoder(min_frequency=5, sparse_output=False), ["town"]),
        "ordinal": (known, ["town"]),
        "by type": (known, make_column_selector(dtype_include=object)),
    }


@pytest.mark.parametrize("encoder", encoders())
@pytest.mark.parametrize("last", ["forest", "boosting", "histogram boosting", "logistic", "support vectors"])
def test_the_usual_pipelines_open_and_predict_the_same(saved, encoder, last):
    from sklearn.base import clone
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    encode, columns = encoders()[encoder]
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    frame = FRAME.astype({"town": object})
    steps = ColumnTransformer([("n", numbers, ["age", "pay"]), ("c", encode, columns)], remainder="drop")
    fitted = make_pipeline(steps, clone(MODELS[last])).fit(frame, Y)
    np.testing.assert_array_equal(connect(saved(fitted)).estimator.predict(frame), fitted.predict(frame))


def categories():
    from sklearn.ensemble import HistGradientBoostingClassifier

    frame = FRAME.assign(town=FRAME["town"].astype("category"))
    return frame, HistGradientBoostingClassifier(max_iter=8, min_samples_leaf=5).fit(frame, THREE)


def test_histogram_boosting_that_splits_by_categories(saved):
    frame, fitted = categories()
    assert any(tree.nodes["is_categorical"].any() for trees in fitted._predictors for tree in trees)
    np.testing.assert_array_equal(connect(saved(fitted)).estimator.predict_proba(frame), fitted.predict_proba(frame))


def edited(path: Path, *, schema=None, arrays=None) -> Path:
    """The file with its schema or some of its arrays changed, as someone with bad intent would."""
    with zipfile.ZipFile(path) as file:
        entries = {name: file.read(name) for name in file.namelist()}
    touched = 0
    for name, held in entries.items():
        if name == "schema.json" and schema is not None:
            changed = schema(held.decode())
        elif name != "schema.json" and arrays is not None:
            array = np.load(io.BytesIO(held))
            into = io.BytesIO()
            np.save(into, arrays(array))
            changed = into.getvalue()
        else:
            continue
        entries[name] = changed if isinstance(changed, bytes) else changed.encode()
        touched += entries[name] != held
    assert touched, "nothing was changed"
    with zipfile.ZipFile(path, "w") as file:
        for name, held in entries.items():
            file.writestr(name, held)
    return path


def nodes_changed(**changes):
    """Sets fields of inner nodes of every tree in the file: a value, or a function of (index, length)."""

    def change(array):
        if not set(changes) <= set(array.dtype.names or ()):
            return array
        array = array.copy()
        leaf = array["left_child"] == -1 if "left_child" in array.dtype.names else array["is_leaf"] != 0
        at = np.flatnonzero(~leaf)[-1:]
        for field, value in changes.items():
            array[field][at] = value(at, len(array)) if callable(value) else value
        return array

    return change


@pytest.mark.parametrize("name", ["tree", "forest", "extra trees", "boosting", "ada", "bag"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"left_child": 1 << 40}, "child before itself or outside"),
        ({"right_child": lambda at, n: n}, "child before itself or outside"),
        ({"right_child": -2}, "child before itself or outside"),
        ({"left_child": lambda at, n: at}, "child before itself or outside"),
        ({"right_child": 0}, "child before itself or outside"),
        ({"feature": 4}, "reads a column outside"),
        ({"feature": -3}, "reads a column outside"),
    ],
)
def test_a_tree_with_edited_nodes_is_refused(saved, name, change, words):
    path = edited(saved(MODELS[name].fit(X, Y)), arrays=nodes_changed(**change))
    with pytest.raises(UsageError, match=f"(?s)refused.*{words}.*Hint") as raised:
        connect(path)
    assert "model.skops" in str(raised.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"left": 1 << 30}, "child before itself or outside"),
        ({"right": lambda at, n: at}, "child before itself or outside"),
        ({"left": 0}, "child before itself or outside"),
        ({"feature_idx": 4}, "reads a column outside"),
        ({"feature_idx": -1}, "reads a column outside"),
        ({"is_categorical": 1}, "set of categories that is not there"),
        ({"is_categorical": 1, "bitset_idx": 7}, "set of categories that is not there"),
    ],
)
def test_histogram_boosting_with_edited_nodes_is_refused(saved, change, words):
    path = edited(saved(MODELS["histogram boosting"].fit(X, Y)), arrays=nodes_changed(**change))
    with pytest.raises(UsageError, match=f"(?s)refused.*{words}"):
        connect(path)


def test_histogram_boosting_with_sets_cut_short_is_refused(saved):
    _, fitted = categories()

    def cut(array):
        return array[:0] if array.dtype == np.uint32 and array.ndim == 2 and array.shape[1] == 8 else array

    with pytest.raises(UsageError, match="set of categories that is not there"):
        connect(edited(saved(fitted), arrays=cut))


def said(field: str, new: int):
    """Changes a number in the schema, wherever this field stands."""

    def change(text: str) -> str:
        found = []

        def walk(node):
            if isinstance(node, dict):
                for key, value in node.items():
                    if key == field and isinstance(value, dict):
                        # A node of its own: the file keeps equal numbers once and refers to them elsewhere.
                        node[key] = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode",
                                     "content": str(new), "is_json": True}  # fmt: skip
                        found.append(key)
                    else:
                        walk(value)
            elif isinstance(node, list):
                for value in node:
                    walk(value)

        schema = json.loads(text)
        walk(schema)
        assert found, f"no {field} in the file"
        return json.dumps(schema)

    return change


@pytest.mark.parametrize("claimed", [-5, 0, 1])
def test_a_tree_that_claims_fewer_nodes_than_it_has_is_refused(saved, claimed):
    path = edited(saved(MODELS["tree"].fit(X, Y)), schema=said("node_count", claimed))
    with pytest.raises(UsageError, match=f"(?s)refused.*claims {claimed} nodes"):
        connect(path)


@pytest.mark.parametrize("name", ["tree", "forest", "boosting", "histogram boosting", "neighbours"])
def test_a_model_that_claims_other_columns_is_refused(saved, name):
    path = edited(saved(MODELS[name].fit(X, Y)), schema=said("n_features_in_", 1))
    with pytest.raises(UsageError, match="refused"):
        connect(path)


def test_a_tree_whose_values_are_cut_short_is_no_traceback(saved):
    path = edited(saved(MODELS["tree"].fit(X, Y)), arrays=lambda array: array[:-1] if array.ndim == 3 else array)
    with pytest.raises(UsageError, match="not a whole"):
        connect(path)


def test_boosting_with_more_trees_a_stage_than_values_is_refused(saved):
    """Each tree of a stage adds to its own column: one too many would be written past the end."""
    fitted = ensembles()["boosting"].fit(X, Y)
    fitted.estimators_ = np.hstack([fitted.estimators_] * 3)
    with pytest.raises(UsageError, match="3 trees a stage for 1 values"):
        connect(saved(fitted))


def test_boosting_whose_start_is_another_model_is_refused(saved):
    from sklearn.linear_model import LogisticRegression

    fitted = ensembles()["boosting"].fit(X, Y)
    fitted.init_ = LogisticRegression().fit(X, Y)
    with pytest.raises(UsageError, match="starts from a `LogisticRegression`"):
        connect(saved(fitted))


def test_a_tree_outside_its_place_is_refused(saved):
    from sklearn.preprocessing import FunctionTransformer

    step = FunctionTransformer(np.abs)
    step.kept = MODELS["tree"].fit(X, Y).tree_
    with pytest.raises(UsageError, match=r"(?s)refused.*`Tree` lies where"):
        connect(saved(step))


@pytest.mark.parametrize("method", ["predict", "_validate_X_predict"])
def test_an_attribute_before_a_method_is_refused(saved, method):
    """A stored function in the place of the check of the inputs would let narrower inputs through."""
    fitted = ensembles()["tree"].fit(X, Y)
    setattr(fitted, method, np.abs)
    with pytest.raises(UsageError, match=f"`{method}` of a `DecisionTreeClassifier` hides a method"):
        connect(saved(fitted))


def test_the_search_tree_of_the_file_is_never_asked(saved):
    """Indices of rows in it are nonsense here, and answers are right: it was built anew."""
    fitted = others()["neighbours"].fit(X, Y)
    path = edited(saved(fitted), arrays=lambda array: array * 0 + 10**12 if array.dtype == np.int64 and
                  array.size == N and array.max() == N - 1 else array)  # fmt: skip
    np.testing.assert_array_equal(connect(path).estimator.predict(X), fitted.predict(X))


def test_neighbours_with_a_label_that_is_no_class_are_refused(saved):
    fitted = others()["neighbours, brute"].fit(X, Y)
    fitted._y = fitted._y + 9
    with pytest.raises(UsageError, match="none of its 2 classes"):
        connect(saved(fitted))


def support_vectors(**more):
    from sklearn.svm import SVC

    return SVC(**more).fit(X, THREE)


SUPPORT = {
    "narrower vectors": ({"support_vectors_": lambda was: was[:, :-1].copy()}, "no table of"),
    "fewer vectors": ({"support_vectors_": lambda was: was[:-1]}, "no table of"),
    "vectors of one class too many": ({"_n_support": lambda was: was + np.array([10**6, 0, 0], dtype="i4")}, "vectors"),
    "a negative count": ({"_n_support": lambda was: was + np.array([-99, 99, 0], dtype="i4")}, "counts support"),
    "counts of fewer classes": ({"_n_support": lambda was: was[:-1]}, "counts support"),
    "support of another length": ({"support_": lambda was: was[:-2]}, "vectors"),
    "coefficients of fewer vectors": ({"_dual_coef_": lambda was: was[:, :1].copy()}, "coefficients"),
    "coefficients of fewer classes": ({"_dual_coef_": lambda was: was[:1]}, "coefficients"),
    "fewer constants": ({"_intercept_": lambda was: was[:1]}, "_intercept_"),
    "fewer probabilities": ({"_probA": lambda was: np.ones(1), "_probB": lambda was: np.ones(1)}, "_probA"),
    "probabilities of two lengths": ({"_probA": lambda was: np.ones(3)}, "one length"),
    "more classes": ({"classes_": lambda was: np.array(list("abcd"))}, "4 classes"),
    "no classes": ({"classes_": None}, "1 classes"),
    "another solver": ({"_impl": lambda was: "epsilon_svr"}, "solver of an unknown kind"),
    "another kernel": ({"kernel": lambda was: "precomputed"}, "fitted on others"),
}


@pytest.mark.parametrize("change", SUPPORT)
def test_support_vectors_that_do_not_agree_are_refused(saved, change):
    changes, words = SUPPORT[change]
    fitted = support_vectors()
    for name, new in changes.items():
        if new is None:
            delattr(fitted, name)
        else:
            setattr(fitted, name, new(getattr(fitted, name, None)))
    with pytest.raises(UsageError, match=f"(?s)refused.*{words}"):
        load_skops(saved(fitted))


def test_support_vectors_of_every_kind_open_and_predict_the_same(saved):
    from sklearn import svm

    target = X[:, 0] + X[:, 1]
    cases = (
        (svm.SVC(kernel="precomputed"), X @ X.T, Y), (svm.SVC(kernel="poly"), X, THREE), (svm.NuSVC(), X, THREE),
        (svm.SVR(), X, target), (svm.NuSVR(), X, target),
    )  # fmt: skip
    for estimator, rows, label in cases:
        fitted = estimator.fit(rows, label)
        np.testing.assert_array_equal(load_skops(saved(fitted)).predict(rows), fitted.predict(rows))


def test_support_of_a_precomputed_kernel_lies_within_the_training_rows(saved):
    from sklearn.svm import SVC

    fitted = SVC(kernel="precomputed").fit(X @ X.T, Y)
    fitted.support_ = fitted.support_ + N
    with pytest.raises(UsageError, match="outside its 200 training rows"):
        load_skops(saved(fitted))


def test_sparse_matrices_are_not_trusted(saved):
    """Multiplying by one reads wherever its indices point."""
    from scipy.sparse import csr_matrix
    from sklearn.svm import SVC

    with pytest.raises(UsageError, match="not trusted"):
        load_skops(saved(SVC().fit(csr_matrix(X), Y)))
    fitted = SVC().fit(X, Y)
    fitted._sparse = True
    with pytest.raises(UsageError, match="of an unknown kind"):
        load_skops(saved(fitted))


def test_centres_of_another_width_are_refused(saved):
    from sklearn.cluster import KMeans

    fitted = KMeans(3, n_init=1, random_state=0).fit(X)
    fitted.cluster_centers_ = fitted.cluster_centers_[:, :2].copy()
    with pytest.raises(UsageError, match="no points of 4 columns"):
        load_skops(saved(fitted))


def test_words_with_places_beyond_their_number_are_refused(saved):
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

    texts = ["a good film", "a bad film", "good and bad"]
    for kind in (CountVectorizer, TfidfVectorizer):
        fitted = kind().fit(texts)
        np.testing.assert_array_equal(
            load_skops(saved(fitted)).transform(texts).toarray(), fitted.transform(texts).toarray()
        )
        fitted.vocabulary_["film"] = 10**7
        with pytest.raises(UsageError, match="places beyond their number"):
            load_skops(saved(fitted))


def test_levels_with_places_beyond_the_width_are_refused(saved):
    from sklearn.preprocessing import OneHotEncoder

    towns = np.array([["oslo"], ["cairo"], ["lima"]] * 9 + [["rome"]], dtype=object)
    numbers = np.arange(28)[:, None] % 5
    for changes in ({}, {"drop": "first"}, {"min_frequency": 3}, {"min_frequency": 3, "drop": "first"}):
        for rows in (towns, numbers):
            fitted = OneHotEncoder(**changes).fit(rows)
            np.testing.assert_array_equal(
                load_skops(saved(fitted)).transform(rows).toarray(), fitted.transform(rows).toarray()
            )
            fitted._n_features_outs = [1]
            with pytest.raises(UsageError, match="claims"):
                load_skops(saved(fitted))
    fitted = OneHotEncoder(min_frequency=3).fit(towns)
    fitted._default_to_infrequent_mappings = [np.array([0, 1, 2, 10**6])]
    with pytest.raises(UsageError, match="beyond its 4 columns"):
        load_skops(saved(fitted))
    fitted = OneHotEncoder().fit(numbers)
    fitted.categories_ = [fitted.categories_[0][::-1].copy()]
    with pytest.raises(UsageError, match="beyond its 5 columns"):
        load_skops(saved(fitted))


def test_a_list_of_ours_does_not_trust_by_the_package(saved):
    """A type beside a trusted one is still refused, with all that are not trusted, and nothing is loaded."""
    from sklearn.gaussian_process import GaussianProcessClassifier

    with pytest.raises(UsageError, match=r"(?s)not trusted: `sklearn\.gaussian_process.*trusted=\[") as raised:
        load_skops(saved(GaussianProcessClassifier().fit(X[:20], Y[:20])))
    assert not [name for name in TRUSTED if f"`{name}`" in str(raised.value)]


def test_an_unfitted_model_opens(saved):
    for name in ("forest", "boosting", "histogram boosting", "neighbours"):
        assert not connect(saved({**ensembles(), **others()}[name])).fitted
