"""Sizes, class chains, twins and words: what docs/design.md and CONTRIBUTING.md promise of every file."""

from __future__ import annotations

import ast
import re

import pytest
from source_tree import ROOT, functions, methods, modules

FILE_LINES = 500
FUNCTION_LINES = 100
USUAL_FUNCTION_LINES = 60
CHAIN = 2
NO_NAMES = {"utils", "util", "helpers", "manager", "base", "misc", "common"}
BROAD = {"Exception", "BaseException"}


def test_files_are_short() -> None:
    long = {module.where: module.lines for module in modules() if module.lines >= FILE_LINES}
    assert not long


def test_functions_fit_a_screen() -> None:
    sizes = {
        f"{module.where}:{node.lineno} {name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for module in modules()
        for name, node in functions(module)
    }
    long = {name: size for name, size in sizes.items() if size > FUNCTION_LINES}
    assert not long
    over = sorted(((size, name) for name, size in sizes.items() if size > USUAL_FUNCTION_LINES), reverse=True)
    assert len(over) <= 0.05 * len(sizes), over


def class_chains() -> dict[str, int]:
    """How many classes of ours stand above one another, by class name; a name used twice counts as its longer chain."""
    bases: dict[str, set[str]] = {}
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                names = {ast.unparse(base).partition("[")[0].rpartition(".")[2] for base in node.bases}
                bases.setdefault(node.name, set()).update(names - {node.name})

    def depth(name: str) -> int:
        return 1 + max((depth(base) for base in bases[name] if base in bases), default=0)

    return {name: depth(name) for name in bases}


def test_class_chains_are_short() -> None:
    chains = class_chains()
    assert chains["UsageError"] == 2, "the reader of class chains is blind"
    assert not {name: depth for name, depth in chains.items() if depth > CHAIN}


def test_modules_are_named_after_what_they_hold() -> None:
    assert not [module.where for module in modules() if module.path.stem.strip("_") in NO_NAMES]


def test_nothing_is_printed_outside_the_command_line() -> None:
    wrong = [
        f"{module.where}:{node.lineno}"
        for module in modules()
        if module.place != "cli"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not wrong


def test_no_broad_except_outside_engine_and_command_line() -> None:
    def broad(kind: ast.expr | None) -> bool:
        names = kind.elts if isinstance(kind, ast.Tuple) else [kind]
        return any(name is None or (isinstance(name, ast.Name) and name.id in BROAD) for name in names)

    wrong = [
        f"{module.where}:{node.lineno}"
        for module in modules()
        if module.place not in {"engine", "cli", "server"}
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler) and broad(node.type)
    ]
    assert not wrong


def test_options_are_spelled_out() -> None:
    """No **kwargs: a misspelt option must be an error, and an editor must see the names."""
    wrong = [
        f"{module.where}:{node.lineno} {name}"
        for module in modules()
        if module.place not in {"cli", "testing"}
        for name, node in functions(module)
        if node.args.kwarg is not None
    ]
    assert not wrong


def test_nothing_is_left_to_be_done() -> None:
    mark = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|raise NotImplementedError|pragma: no cover")
    wrong = [
        f"{module.where}:{number}"
        for module in modules()
        for number, line in enumerate(module.path.read_text(encoding="utf-8").splitlines(), 1)
        if mark.search(line)
    ]
    assert not wrong


@pytest.mark.parametrize(("family", "name"), methods(), ids=lambda value: value)
def test_a_method_has_its_test_and_its_page(family: str, name: str) -> None:
    for twin in (f"tests/methods/{family}/test_{name}.py", f"docs/methods/{name}.md"):
        assert (ROOT / twin).is_file(), f"{name} has no {twin}"


def test_public_names_have_docstrings() -> None:
    wrong = [
        f"{module.where}:{node.lineno} {node.name}"
        for module in modules()
        for node in module.tree.body
        if isinstance(node, ast.ClassDef | ast.FunctionDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
        # the words of an overloaded function stand at its implementation
        and not any("overload" in ast.unparse(decorator) for decorator in node.decorator_list)
    ]
    assert not wrong, "\n".join(wrong)
