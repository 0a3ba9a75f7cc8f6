"""`errata methods`: what proposes, and with which hyper-parameters."""

from __future__ import annotations

import inspect
from dataclasses import MISSING, fields
from typing import Any

import click

from errata.cli.verb import Flags, Verb, argument

__all__ = ["methods"]


def _methods(flags: Flags) -> int:
    from errata.core.method import find_methods, load_method

    if flags["name"] is not None:
        click.echo(_page(load_method(flags["name"])))
        return 0
    rows = [(name, load_method(name)) for name in find_methods()]
    width = max((len(name) for name, _ in rows), default=0)
    for name, method in rows:
        click.echo(f"{name:<{width}}  {_first_line(method)}")
    click.echo("\nerrata methods NAME shows one with its options.")
    return 0


def _first_line(method: type[Any]) -> str:
    return inspect.cleandoc(method.__doc__ or "").partition("\n")[0]


def _page(method: type[Any]) -> str:
    from errata.core.method import info

    about = info(method)
    needs = ", ".join(sorted(about.needs)) or "nothing beyond the data"
    lines = [f"{about.name} ({about.family}), needs {needs}", "", inspect.cleandoc(method.__doc__ or "")]
    shown = [(item.name, item.type, item.default) for item in fields(method)]
    if shown:
        width = max(len(name) for name, _, _ in shown)
        lines += ["", f"Options, as --set {about.name}.OPTION=VALUE:"]
        lines += [
            f"  {name:<{width}}  {kind}" + ("" if default is MISSING else f", {default!r} when not set")
            for name, kind, default in shown
        ]
    return "\n".join(lines)


methods = Verb(
    "methods",
    _methods,
    words="""\
List the methods, or show one with its hyper-parameters.
""",
    examples=("errata methods", "errata methods slice_lattice"),
    params=(argument("name", metavar="[NAME]", required=False),),
)
