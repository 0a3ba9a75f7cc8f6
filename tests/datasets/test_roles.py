"""Which column plays which part, and the ids that follow from it."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from errata.core.dataset import Dataset
from errata.core.errors import UsageError
from errata.datasets.roles import Roles
from errata.datasets.table import read_columns, read_table


def column(dataset: Dataset, name: str) -> list[object]:
    found = dataset.table.column(name)
    return [found.value(row) for row in range(len(found))]


def rows(n: int = 40, **more: list[object]) -> dict[str, object]:
    rng = random.Random(0)
    return {"x": [rng.random() for _ in range(n)], "label": [i % 2 for i in range(n)], **more}


@pytest.mark.parametrize("name", ["label", "Target", "y", "class", "y_true", "ground truth"])
def test_usual_names_of_labels(name: str) -> None:
    found = read_columns({"x": [1.0, 2.0], name: [0, 1]})
    assert found.label == name
    assert any(f"`{name}`" in note for note in found.caveats)


@pytest.mark.parametrize("name", ["prediction", "pred", "y_pred", "yhat", "Predicted"])
def test_usual_names_of_predictions(name: str) -> None:
    assert read_columns(rows(2, **{name: [0, 1]})).prediction == name
    assert read_columns(rows(2, **{name: [0, 1]}), Roles(prediction_needed=False)).prediction is None


def test_roles_that_are_not_clear() -> None:
    with pytest.raises(UsageError, match="`target`, `y`") as caught:
        read_columns({"x": [1], "target": [0], "y": [1]})
    assert "--label target" in str(caught.value)
    assert read_columns({"x": [1], "label": [0], "y": [1]}).label == "label"
    with pytest.raises(UsageError, match="`pred`, `yhat`"):
        read_columns(rows(2, pred=[0, 1], yhat=[0, 1]))


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        (Roles(label="labell"), "did you mean `label`"),
        (Roles(group="zz"), "--group zz"),
        (Roles(ignore=("xx",)), "--ignore xx"),
        (Roles(use=("xx",)), "--use xx"),
        (Roles(label="x", prediction="x"), "same column"),
        (Roles(scores="p_"), "starts with `p_`"),
        (Roles(scores=("p_a",)), "--scores p_a"),
    ],
)
def test_roles_that_do_not_fit(roles: Roles, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_columns(rows(), roles)
    assert message in str(caught.value)


def test_scores() -> None:
    table = rows(2, p_0=[0.2, 0.7], p_1=[0.8, 0.3], p_value=[1.0, 2.0])
    guessed = read_columns(table)
    assert guessed.scores == ("p_0", "p_1")
    assert guessed.score_classes == ("0", "1")
    assert read_columns(table, Roles(scores="p_")).scores == ("p_0", "p_1", "p_value")
    assert read_columns(table, Roles(scores="p_1")).score_classes == ()
    assert read_columns(table, Roles(scores=("p_1", "p_0"))).score_classes == ("1", "0")


def test_ids_are_of_the_inputs_alone() -> None:
    one = read_columns(rows(prediction=[0] * 40, proba_1=[0.5] * 40))
    other = read_columns(rows(prediction=[1] * 40, loss=list(range(40))) | {"label": [1] * 40})
    assert (one.id_hash == other.id_hash).all()
    assert one.fingerprint != other.fingerprint
    assert len(set(one.ids())) == 40
    assert read_columns(rows(city=["a"] * 40)).ids() != one.ids()


def test_equal_rows_have_different_ids() -> None:
    found = read_columns({"x": [1.0, 1.0, 2.0], "label": [0, 1, 0]})
    assert found.occurrence.tolist() == [0, 1, 0]
    assert len(set(found.ids())) == 3
    alone = read_columns({"label": [0, 1, 0], "prediction": [0, 1, 1]})
    assert len(set(alone.ids())) == 3


def test_an_id_column() -> None:
    keys: list[object] = [f"k{i}" for i in range(40)]
    found = read_columns(rows(key=keys), Roles(id="key"))
    assert found.ids(np.array([0, 39])) == ["k0", "k39"]
    assert found.set_aside[0].column == "key"
    assert "key" not in found.input_names
    with pytest.raises(UsageError) as caught:
        read_columns(rows(key=[i // 2 for i in range(40)]), Roles(id="key"))
    assert "--group key" in str(caught.value)
    assert "20 values repeat" in str(caught.value)


def test_running_numbers_do_not_make_copies_differ() -> None:
    from errata.core.copies import copies

    table = rows(80)
    table = {name: list(values)[:40] * 2 for name, values in table.items()}  # type: ignore[call-overload]
    found = read_columns({"row_id": list(range(80)), **table})
    assert [item.column for item in found.set_aside] == ["row_id"]
    assert copies(found).number == 40
    assert read_columns({"row_id": list(range(80)), **table}, Roles(use=("row_id",))).set_aside == ()


def test_groups_are_categories_and_ignored_columns_are_named() -> None:
    roles = Roles(group="family", ignore=("junk",))
    found = read_columns(rows(family=[i // 4 for i in range(40)], junk=[1.5] * 40), roles)
    assert found.table.column("family").kind == "category"
    assert column(found, "family")[:5] == [0, 0, 0, 0, 1]
    assert [(item.column, item.why) for item in found.set_aside] == [("junk", "--ignore")]
    assert found.input_names == ("x",)


def test_a_text_role_keeps_words_as_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("review,label\ngood,1\nbad,0\ngood,1\n")
    found = read_table(path, Roles(text="review"))
    assert found.table.column("review").kind == "text"
