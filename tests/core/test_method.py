"""Methods are found by their place, and refuse options that make no sense."""

from __future__ import annotations

import pytest

from errata.core.errors import UsageError
from errata.core.method import find_methods, info, load_method, options


def test_the_place_of_a_file_is_its_registration() -> None:
    for name, path in find_methods().items():
        cls = load_method(name)
        assert info(cls).name == name
        assert f".{info(cls).family}." in path


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UsageError, match="slice_lattice"):
        load_method("slice_latice")


@pytest.mark.parametrize("name", ["error_tree", "slice_lattice", "confusion_cells"])
def test_options_out_of_range_are_refused(name: str) -> None:
    cls = load_method(name)
    for option, default in options(cls()).items():
        if isinstance(default, int) and not isinstance(default, bool):
            with pytest.raises(UsageError, match=f"{name}.{option}"):
                cls(**{option: 0})
