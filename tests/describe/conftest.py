"""The hand-made runs of the report's tests, for the sentences about them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

NAME = "errata_runs_by_hand"


@pytest.fixture(scope="session")
def by_hand():
    if NAME not in sys.modules:
        path = Path(__file__).parents[1] / "report" / "fixtures.py"
        spec = importlib.util.spec_from_file_location(NAME, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[NAME] = module
        spec.loader.exec_module(module)
    return sys.modules[NAME]
