"""The package as text: its modules, their syntax trees and what they import. Nothing of Errata is imported for it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src" / "errata"
FAMILIES = ("discover", "challenge", "explain", "repair", "guard")


@dataclass(frozen=True, kw_only=True)
class Import:
    """One name that a module imports: `inside` is the qualified name of the function around it, "" at module level."""

    module: str
    inside: str
    typing_only: bool
    line: int

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]

    @property
    def third_party(self) -> bool:
        return self.top not in sys.stdlib_module_names and self.top not in {"errata", "__future__"}


@dataclass(frozen=True, kw_only=True)
class Module:
    """One file of the package."""

    name: str
    path: Path
    tree: ast.Module
    lines: int

    @property
    def place(self) -> str:
        """The first name under `errata`: its layer. The package's own `__init__` and `__main__` are ""."""
        return self.name.split(".")[1].replace("__main__", "") if "." in self.name else ""

    @property
    def where(self) -> str:
        return str(self.path.relative_to(ROOT))


@cache
def modules() -> tuple[Module, ...]:
    """Every Python file under src/errata."""
    found = []
    for path in sorted(SRC.rglob("*.py")):
        parts = path.relative_to(SRC.parent).with_suffix("").parts
        text = path.read_text(encoding="utf-8")
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(name=name, path=path, tree=ast.parse(text, str(path)), lines=text.count("\n")))
    return tuple(found)


def functions(module: Module) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function of a module with its qualified name, also those within functions and classes."""

    def walk(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield prefix + child.name, child
                yield from walk(child, f"{prefix}{child.name}.")
            elif isinstance(child, ast.ClassDef):
                yield from walk(child, f"{prefix}{child.name}.")
            else:
                yield from walk(child, prefix)

    return walk(module.tree, "")


def imports(module: Module) -> list[Import]:
    """Everything that a module imports, at module level and inside functions."""
    known = {other.name for other in modules()}
    package = module.name if module.path.name == "__init__.py" else module.name.rpartition(".")[0]
    found: list[Import] = []

    def add(name: str, node: ast.AST, inside: str, typing_only: bool) -> None:
        found.append(Import(module=name, inside=inside, typing_only=typing_only, line=getattr(node, "lineno", 0)))

    def visit(node: ast.AST, inside: str, in_function: bool, typing_only: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    add(alias.name, child, inside if in_function else "", typing_only)
            elif isinstance(child, ast.ImportFrom):
                origin = child.module or ""
                if child.level:
                    above = package.split(".")[: len(package.split(".")) - child.level + 1]
                    origin = ".".join([*above, origin] if origin else above)
                for alias in child.names:
                    whole = f"{origin}.{alias.name}"
                    add(whole if whole in known else origin, child, inside if in_function else "", typing_only)
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                visit(child, f"{inside}.{child.name}".lstrip("."), True, typing_only)
            elif isinstance(child, ast.ClassDef):
                visit(child, f"{inside}.{child.name}".lstrip("."), in_function, typing_only)
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                visit(ast.Module(body=child.body, type_ignores=[]), inside, in_function, True)
                visit(ast.Module(body=child.orelse, type_ignores=[]), inside, in_function, typing_only)
            else:
                visit(child, inside, in_function, typing_only)

    visit(module.tree, "", False, False)
    return found


def methods() -> list[tuple[str, str]]:
    """(family, name) of every method file."""
    return [
        (family, path.stem)
        for family in FAMILIES
        for path in sorted((SRC / "methods" / family).glob("*.py"))
        if not path.name.startswith("_")
    ]
