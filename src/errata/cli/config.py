"""Settings from `[tool.errata]` in the nearest pyproject.toml and from ERRATA_ variables; flags win over both."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from errata.cli.kinds import DEFAULT_FOLDS, quoted, with_count
from errata.cli.options import DIAGNOSED, variable
from errata.cli.verb import Verb
from errata.core.errors import UsageError, nearest

__all__ = ["METHODS", "Config", "Configured", "check_environment", "nearest_config"]

METHODS = "errata.methods"
"""Where a command's context keeps the settings of methods that the file holds."""

PATHS = {"ERRATA_DATA", "ERRATA_STATE", "ERRATA_CACHE"}


@dataclass(frozen=True, kw_only=True)
class Config:
    """What a pyproject.toml says.

    options  by parameter name ("split_seed")
    methods  hyper-parameters by method
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    methods: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class Configured(Verb):
    """A verb on data: its options also come from the file and from the environment."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not any(word in ("-h", "--help") for word in args):
            check_environment([flag.opts[0] for flag in DIAGNOSED])
            config = nearest_config(Path.cwd(), {flag.opts[0].removeprefix("--"): str(flag.name) for flag in DIAGNOSED})
            repeated = {str(flag.name): variable(flag.opts[0]) for flag in DIAGNOSED if flag.multiple}
            listed = {name: [os.environ[word]] for name, word in repeated.items() if os.environ.get(word)}
            ctx.default_map = {**_for_flags(config.options), **listed}
            ctx.meta[METHODS] = config.methods
        return super().parse_args(ctx, with_count(args))


def nearest_config(folder: Path, known: Mapping[str, str]) -> Config:
    """The `[tool.errata]` table of the nearest pyproject.toml at or above `folder`; empty where there is none.

    known  the parameter's name by the flag's word ("split-seed": "split_seed")

    Raises UsageError for keys that are no options, and for a file that cannot be read.
    """
    path = next((place / "pyproject.toml" for place in (folder, *folder.parents) if _is_file(place)), None)
    if path is None:
        return Config()
    try:
        tools = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {})
    except (OSError, ValueError) as error:
        raise UsageError(f"`{path}` cannot be read: {error}", hint="is it valid TOML?") from error
    table = tools.get("errata", {}) if isinstance(tools, dict) else {}
    if not isinstance(table, dict):
        raise UsageError(f"`{path}` sets `tool.errata` to `{table}`.", hint="write a table [tool.errata] of options.")
    methods = table.pop("methods", {}) if isinstance(table.get("methods"), dict) else {}
    for key in table:
        if key.replace("_", "-") not in known:
            raise UsageError(f"`{path}` sets `{key}`, which is no option.", hint=nearest(key, sorted(known)))
    options = {known[key.replace("_", "-")]: _plain(value) for key, value in table.items()}
    return Config(options=options, methods=_methods(path, methods))


def check_environment(flags: Sequence[str]) -> None:
    """Refuse an ERRATA_ variable that looks like a misspelt flag; other programs' variables are left alone."""
    known = {variable(word) for word in flags}
    for name in os.environ:
        if name.startswith("ERRATA_") and name not in known | PATHS:
            close = get_close_matches(name, sorted(known), n=1, cutoff=0.85)
            if close:
                raise UsageError(f"The variable `{name}` is no option.", hint=f"did you mean `{close[0]}`?")


def _for_flags(options: Mapping[str, Any]) -> dict[str, Any]:
    """Values of the file as the flags take them: lists where a flag may be repeated, words or numbers elsewhere."""
    flags = {str(flag.name): flag for flag in DIAGNOSED}
    return {name: _for_flag(flags[name], value) for name, value in options.items()}


def _for_flag(flag: click.Option, value: Any) -> Any:
    word = flag.opts[0]
    if isinstance(value, dict) or (isinstance(value, list) and not flag.multiple and word != "--shares"):
        raise UsageError(f"pyproject.toml sets `{word.removeprefix('--')}` to `{value}`.", hint="write one value.")
    if flag.multiple and not isinstance(value, list):
        return [str(value)]
    if word == "--out-of-fold" and value is True:
        return DEFAULT_FOLDS
    # As text, so that 1.5 is no whole number and true no share.
    return value if flag.is_flag or isinstance(value, list | str) else str(value)


def _is_file(place: Path) -> bool:
    return (place / "pyproject.toml").is_file()


def _plain(value: Any) -> Any:
    """A value of the file as the command line would have it."""
    return [quoted(str(item)) for item in value] if isinstance(value, list) else value


def _methods(path: Path, tables: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    from errata.core.method import find_methods

    for name, table in tables.items():
        if name not in find_methods():
            hint = nearest(name, find_methods())
            raise UsageError(f"`{path}` has settings for `{name}`, which is no method.", hint=hint)
        if not isinstance(table, dict):
            raise UsageError(f"`{path}` sets `methods.{name}` to `{table}`.", hint="write a table of its options.")
    return tables
