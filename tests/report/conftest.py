"""The hand-made runs of `fixtures.py`, each built once."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

NAME = "errata_runs_by_hand"


@pytest.fixture(scope="session")
def by_hand():
    """The module that builds the runs; importlib mode has no package to import it from."""
    if NAME not in sys.modules:
        spec = importlib.util.spec_from_file_location(NAME, Path(__file__).with_name("fixtures.py"))
        module = importlib.util.module_from_spec(spec)
        sys.modules[NAME] = module
        spec.loader.exec_module(module)
    return sys.modules[NAME]


@pytest.fixture(scope="session")
def table_run(by_hand):
    return by_hand.table_run()


@pytest.fixture(scope="session")
def image_run(by_hand):
    return by_hand.image_run()


@pytest.fixture(scope="session")
def nothing_run(by_hand):
    return by_hand.nothing_run()


@pytest.fixture(scope="session")
def house_run(by_hand):
    return by_hand.house_run()


@pytest.fixture(scope="session")
def reader():
    """The module that reads pages; see `page_reader.py`."""
    spec = importlib.util.spec_from_file_location("errata_page_reader", Path(__file__).with_name("page_reader.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
