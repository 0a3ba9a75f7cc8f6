"""The report: one HTML file that loads nothing, whatever the data."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from errata import __version__
from errata.core.diagnosis import Diagnosis
from errata.core.errors import CannotRunError, UsageError
from errata.describe.numbers import clipped
from errata.describe.wording import capitalised
from errata.report.runs import Detail, RunView, run_view

__all__ = ["MOST_BYTES", "report_html", "write_report"]

MOST_BYTES = 4_800_000
"""A little under the five megabytes that are promised."""

_HERE = Path(__file__).parent
_DETAILS = (
    Detail(),
    Detail(examples=8, rows=160, pictures=800_000, lean=150, strips=12),
    Detail(examples=6, rows=80, pictures=400_000, drawn=False, lean=80, strips=6),
    Detail(examples=6, rows=40, pictures=100_000, drawn=False, lean=20, strips=0),
)


def write_report(diagnoses: Sequence[Diagnosis], path: Path) -> Path:
    """Write one page about one or several runs; gives back where it lies.

    Raises UsageError without a diagnosis, CannotRunError where the file cannot be written.
    """
    text = report_html(diagnoses)
    path = Path(path)
    making = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        making.write_text(text, encoding="utf-8", errors="replace")
        making.replace(path)
    except OSError as error:
        with suppress(OSError):  # the folder itself may be what is wrong
            making.unlink()
        raise CannotRunError(
            f"The report `{path}` could not be written: {error.strerror or error}.",
            hint="free some space, or name another file with --out.",
        ) from error
    return path


def report_html(diagnoses: Sequence[Diagnosis]) -> str:
    """The page as text, as detailed as fits in the promised size."""
    if not diagnoses:
        raise UsageError("There is no diagnosis to report on.", hint="pass at least one.")
    text = ""
    for detail in _shared(len(diagnoses)):
        prefixes = ["" if len(diagnoses) == 1 else f"run{place}-" for place in range(1, len(diagnoses) + 1)]
        runs = [
            run_view(diagnosis, prefix=prefix, detail=detail)
            for diagnosis, prefix in zip(diagnoses, prefixes, strict=True)
        ]
        text = render(runs)
        if len(text.encode("utf-8", "replace")) <= MOST_BYTES:
            return text
    return text


def _shared(runs: int) -> Iterator[Detail]:
    """Levels of detail, richest first, with the thumbnails' bytes shared among the runs of the page."""
    for detail in _DETAILS:
        yield Detail(
            examples=detail.examples, rows=detail.rows, pictures=detail.pictures // runs, drawn=detail.drawn,
            lean=max(10, detail.lean // runs), strips=detail.strips,
        )  # fmt: skip


def render(runs: Sequence[RunView]) -> str:
    """The page of some runs."""
    script = (_HERE / "copy.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return whole_percents(
        environment().get_template("page.html.j2").render(
            runs=runs, title=_title(runs), version=__version__, style=style(), script=script,
            script_hash=f"sha256-{digest}",
        )
    )  # fmt: skip


def style() -> str:
    """The one style sheet, without what only people who edit it need."""
    text = (_HERE / "errata.css").read_text(encoding="utf-8")
    return re.sub(r"\n\s*", "\n", text).strip()


def _title(runs: Sequence[RunView]) -> str:
    if len(runs) == 1:
        return f"Errata of {clipped(runs[0].model, 60)} on {clipped(runs[0].name, 60)}"
    return f"Errata of {len(runs)} runs"


@cache
def environment() -> Any:
    """The templates, with everything escaped that is not ours."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.filters["nb"] = unbroken
    made.filters["short"] = lambda text, most=12: clipped(str(text), most)
    made.filters["first_upper"] = capitalised
    made.filters["stated"] = stated
    made.filters["code"] = _marked_code
    return made


def unbroken(text: str) -> str:
    """A number and its unit stay on one line."""
    return re.sub(r"(?<=\d) (?=(?:%|points?\b|rows?\b))", "\u00a0", text)


_NO_TEXT = re.compile(r"(<(pre|code|script|style)\b.*?</\2>|<[^>]*>)", re.DOTALL)


def whole_percents(page: str) -> str:
    """A page on which no percent sign breaks from its number; what is there to be copied stays as it is."""
    parts = _NO_TEXT.split(page)
    # The pattern has two groups: text, what is no text, the name of its tag, and so on.
    texts = [re.sub(r"(?<=\d) (?=%)", "\u00a0", part) for part in parts[::3]]
    kept = [*parts[1::3], ""]
    return "".join(text + tag for text, tag in zip(texts, kept, strict=True))


def stated(text: str) -> str:
    """A caveat as a sentence of its own."""
    return capitalised(text.strip()) + ("" if text.rstrip().endswith((".", "!", "?", ":")) else ".")


def _marked_code(text: str) -> Any:
    """Words of ours with `commands` in backticks, as markup."""
    from markupsafe import Markup, escape

    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )
