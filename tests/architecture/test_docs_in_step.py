"""The generated parts of docs/ say what the code says; `./dev docs` writes them anew."""

from __future__ import annotations

import importlib.util
import re
from types import ModuleType

import pytest
from source_tree import ROOT


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_in_step(generate: ModuleType) -> None:
    for path, text in generate.pages().items():
        written = path.read_text("utf-8") if path.is_file() else None
        assert written == text, f"docs/{path.name} is out of step with the code: run ./dev docs"


def test_the_readme_names_only_what_there_is() -> None:
    """Links to files in README and docs lead somewhere."""
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}, which is not there"
