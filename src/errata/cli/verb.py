"""A verb of the command line: its flags in sections, its examples, and one function that gets the parsed flags."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click
from click.core import ParameterSource

__all__ = ["Flag", "Flags", "Verb", "argument"]

_GIVEN = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT, ParameterSource.DEFAULT_MAP)


class Flag(click.Option):
    """An option under a heading of the help page."""

    def __init__(self, *words: str, section: str = "Options", **more: Any) -> None:
        super().__init__(words, **more)
        self.section = section


class Flags:
    """The parsed flags of one call."""

    def __init__(self, context: click.Context) -> None:
        self.context = context
        self.all = dict(context.params)

    def __getitem__(self, name: str) -> Any:
        return self.all[name]

    def given(self) -> dict[str, Any]:
        """What was said by flag, variable or file; defaults are not there."""
        return {name: value for name, value in self.all.items() if self.context.get_parameter_source(name) in _GIVEN}


class Verb(click.Command):
    """One verb; `do` gets the flags and gives the exit code."""

    def __init__(
        self, name: str, do: Callable[[Flags], int], *, words: str, examples: Sequence[str],
        params: Sequence[click.Parameter], hidden: bool = False,
    ) -> None:  # fmt: skip
        shown = "\n".join(["", "\b", "Examples:", *(f"  {line}" for line in examples)])
        first, _, rest = words.partition("\n\n")
        super().__init__(
            name, params=list(params), help=f"{first}\n\n{rest}\n{shown}" if rest else f"{first}\n{shown}",
            short_help=first.strip().removesuffix("."), hidden=hidden, no_args_is_help=False,
        )  # fmt: skip
        self.do = do

    def invoke(self, ctx: click.Context) -> int:
        return self.do(Flags(ctx))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = None if isinstance(param, click.Argument) else param.get_help_record(ctx)
            if record is not None:
                sections.setdefault(getattr(param, "section", "Options"), []).append(record)
        for heading, rows in sections.items():
            with formatter.section(heading):
                formatter.write_dl(rows)


def argument(name: str, *, metavar: str, count: int = 1, required: bool = True) -> click.Argument:
    """A word that stands by its place."""
    return click.Argument([name], metavar=metavar, nargs=count, required=required)
