"""`errata cache`: what is kept between runs because it took long to compute."""

from __future__ import annotations

import click

from errata.cli.verb import Flag, Flags, Verb

__all__ = ["cache"]


def _cache(flags: Flags) -> int:
    from errata.core.errors import CannotRunError
    from errata.engine.cache import MOST, users_cache

    kept = users_cache()
    files, size = kept.files, kept.size
    if flags["clear"]:
        try:
            kept.clear()
        except OSError as error:
            raise CannotRunError(
                f"`{kept.folder}` could not be emptied: {error.strerror or error}.", hint="whose folder is it?"
            ) from error
    done = "thrown away" if flags["clear"] else "kept"
    click.echo(f"{kept.folder or 'nowhere: there is no home folder'}")
    click.echo(f"{len(files)} embeddings {done}, {size / 1e6:,.1f} MB of at most {MOST / 1e6:,.0f}")
    return 0


cache = Verb(
    "cache",
    _cache,
    words="""\
Show where embeddings are kept that took long to compute, and throw them away.

Embeddings of images and texts that took more than two seconds are kept under the fingerprint of the inputs, so that the
next run of the same data has them at once. ERRATA_CACHE names another folder; nothing in it is ever needed.
""",
    examples=("errata cache", "errata cache --clear", "ERRATA_CACHE=/dev/null errata diagnose photos/ --label y"),
    params=(Flag("--clear", is_flag=True, help="Throw them away."),),
)
