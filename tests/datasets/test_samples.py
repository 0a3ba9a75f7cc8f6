"""The samples that come with scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from errata.core.errors import UsageError
from errata.datasets.kinds import read_dataset
from errata.datasets.roles import Roles
from errata.datasets.samples import DIGIT_SHEETS, SAMPLES, digit_writers


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_opens(name: str) -> None:
    found = read_dataset(f"sample:{name}", Roles())
    assert len(found) > 100
    assert found.label == SAMPLES[name].label
    assert found.read is not None
    assert len(found.read(np.array([0, 1]))) == 2
    assert found.origin == f"sample:{name}"


def test_classes_have_words() -> None:
    assert read_dataset("sample:cancer", Roles()).table.column("diagnosis").levels == ("benign", "malignant")
    assert read_dataset("sample:iris", Roles()).table.column("species").levels == ("setosa", "versicolor", "virginica")


def test_digits_are_pictures_with_writers() -> None:
    found = read_dataset("sample:digits", Roles(group="writer"))
    assert found.image is not None
    assert found.image(0).shape == (8, 8)
    assert found.image(0).max() > 200
    assert found.read is not None
    assert found.read(np.array([0])).shape == (1, 64)
    assert any("14 sheets" in note for note in found.caveats)


def test_each_sheet_begins_with_the_same_digits() -> None:
    from sklearn.datasets import load_digits

    target = load_digits().target
    for start in DIGIT_SHEETS:
        # One sheet begins with a damaged entry; all of them go on alike.
        assert target[start + 1 : start + 10].tolist() == list(range(1, 10))
    assert np.bincount(digit_writers()).min() >= 120
    assert len(digit_writers()) == len(target)


def test_an_unknown_sample() -> None:
    with pytest.raises(UsageError, match="did you mean `cancer`"):
        read_dataset("sample:cancr", Roles())
