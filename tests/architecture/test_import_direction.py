"""Who may import whom (docs/design.md, section 2): each place only what stands to its right in the order below."""

from __future__ import annotations

import ast

import pytest
from source_tree import ROOT, Import, Module, functions, imports, modules

# The order of the design, read word by word from left to right; a verb of the library stands with `diagnose`.
# Where the design names two in one breath, one goes first here (`store` writes a run with its report): no cycle.
ORDER = (
    *("cli", "server"),
    *("demo", "check", "leads", "diagnose", "compare", "explain", "learn"),
    *("store", "report"),
    *("evaluate", "open"),
    *("models", "datasets", "engine"),
    *("confirm", "describe", "proof"),
    "methods",
    *("ops", "stats"),
    "core",
)
CORE_ONLY = {"models", "datasets"}
# Named exceptions: a diagnosis saves and shows itself, as do the nouns in a notebook.
MAY_LOOK_UP = {"Diagnosis.save": ("store",), "Diagnosis.report": ("report",)}
SHOWS_ITSELF = "_repr_html_"


def allowed_above(module: Module, item: Import) -> bool:
    place = item.module.split(".")[1]
    if module.place != "core" or item.typing_only:
        return False
    if item.inside.rpartition(".")[2] == SHOWS_ITSELF:
        return place in {"report", "store"}
    return place in MAY_LOOK_UP.get(item.inside, ())


def complaints(module: Module) -> list[str]:
    """What is wrong with the imports of one module, one line each."""
    found = []
    for item in imports(module):
        if item.top != "errata" or item.module == "errata":
            continue
        place = item.module.split(".")[1]
        said = f"{module.where}:{item.line} ({item.inside or 'module level'}) imports {item.module}"
        if place == "testing" and module.place != "testing":
            found.append(f"{said}: nothing in src imports testing")
        elif module.place in {"testing", ""} or place == module.place or place == "testing":
            continue
        elif place not in ORDER or module.place not in ORDER:
            found.append(f"{said}: a place that the design does not name")
        elif module.place in CORE_ONLY and place != "core" and not item.module.startswith("errata.ops.nets"):
            found.append(f"{said}: models and datasets import core only")
        elif ORDER.index(place) < ORDER.index(module.place) and not allowed_above(module, item):
            found.append(f"{said}: {place} stands to the left of {module.place}")
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_each_module_imports_only_what_stands_to_its_right(module: Module) -> None:
    assert not complaints(module), "\n".join(complaints(module))


def test_methods_never_import_each_other() -> None:
    wrong = [
        f"{module.where}:{item.line} imports {item.module}"
        for module in modules()
        if module.name.startswith("errata.methods.")
        for item in imports(module)
        if item.module.startswith("errata.methods.") and item.module != module.name
    ]
    assert not wrong, "\n".join(wrong)


def test_core_needs_only_the_standard_library_and_numpy() -> None:
    wrong = [
        f"{module.where}:{item.line} imports {item.module}"
        for module in modules()
        if module.place == "core"
        for item in imports(module)
        if item.third_party
        and item.top != "numpy"
        # A frame is built in the user's dataframe library, so this one door is open in core.
        and not (item.top == "narwhals" and item.inside.rpartition(".")[2] == "to_frame")
    ]
    assert not wrong, "\n".join(wrong)


def may_stand_at_the_top(module: Module, library: str) -> bool:
    """numpy everywhere; click in the command line; torch where nets are defined, which are loaded only for torch."""
    if library == "numpy":
        return module.name != "errata"
    if library == "click":
        return module.place == "cli"
    return library == "torch" and (module.name.startswith("errata.ops.nets") or module.name == "errata.models.torch")


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    wrong = [
        f"{module.where}:{item.line} imports {item.module} at module level"
        for module in modules()
        for item in imports(module)
        if item.third_party and not item.inside and not item.typing_only and not may_stand_at_the_top(module, item.top)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_two_modules_import_each_other() -> None:
    edges = {
        (module.name, item.module)
        for module in modules()
        for item in imports(module)
        if item.top == "errata" and not item.typing_only and item.module != "errata" and not allowed_above(module, item)
    }
    mutual = sorted((a, b) for a, b in edges if (b, a) in edges and a < b)
    assert not mutual, mutual


def test_the_reader_of_imports_sees_every_kind() -> None:
    """The tests above are only as good as this reader: one import of each kind, planted."""
    text = (
        "from __future__ import annotations\nimport numpy as np\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import pandas\n"
        "class A:\n    def save(self):\n        from errata.store.directory import save\n"
        "def f():\n    import scipy.stats\n    def g():\n        import sklearn\n"
        "from errata.testing import worlds\n"
    )
    module = Module(name="errata.core.planted", path=ROOT / "planted.py", tree=ast.parse(text), lines=13)
    seen = {(item.module, item.inside, item.typing_only) for item in imports(module)}
    assert ("pandas", "", True) in seen
    assert ("scipy.stats", "f", False) in seen
    assert ("sklearn", "f.g", False) in seen
    assert any(inside == "A.save" and name.startswith("errata.store") for name, inside, _ in seen)
    assert [line.rpartition(": ")[2] for line in complaints(module)] == [
        "store stands to the left of core",
        "nothing in src imports testing",
    ]
    assert {name for name, _ in functions(module)} == {"A.save", "f", "f.g"}
