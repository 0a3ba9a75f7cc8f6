"""The verbs, and `errata run/` where the first word is a run."""

from __future__ import annotations

from pathlib import Path

import click

from errata import __version__
from errata.core.errors import UsageError, nearest

__all__ = ["app"]

WIDTH = 100


class Verbs(click.Group):
    """Verbs in the order in which they are needed; a folder that holds `run.json` is a verb of its own: show it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        found = {name: self.get_command(ctx, name) for name in self.commands}
        return [name for name, command in found.items() if command is not None and not command.hidden]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if word in self.commands:
            return super().resolve_command(ctx, args)
        if Path(word).is_dir() or word.endswith("/"):
            return "show", self.commands["show"], args
        if word.startswith("-"):
            return super().resolve_command(ctx, args)
        raise UsageError(f"`{word}` is neither a verb nor a run.", hint=nearest(word, self.list_commands(ctx)))


@click.group(
    cls=Verbs,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDTH},
)
@click.version_option(__version__, "-V", "--version", message="errata %(version)s")
@click.pass_context
def app(context: click.Context) -> None:
    """Finds the systematic errors of a trained model and confirms them on held-out rows.

    \b
      errata demo                               a real diagnosis, offline, in about a minute
      errata diagnose data.csv --model m.onnx   your data and your model
      errata diagnose data.csv --label y --prediction yhat
                                                no model needed: a table that holds the predictions
      errata errata-runs/data-3fa2b1/           the summary of a run

    A verb has its own page: errata diagnose --help. Settings come from [tool.errata] in the nearest
    pyproject.toml, then from ERRATA_ALPHA and the like, then from flags.

    Exit codes: 0 done, 1 findings at or over --fail-on, 2 wrong usage or input, 3 could not run,
    130 interrupted.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _register() -> None:
    from errata.cli.cache import cache
    from errata.cli.diagnose import demo, diagnose
    from errata.cli.look import check, explain, export, report, show
    from errata.cli.methods import methods

    for verb in (demo, diagnose, report, explain, check, export, methods, cache, show):
        app.add_command(verb)


_register()
