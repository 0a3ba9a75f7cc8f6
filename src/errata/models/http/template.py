"""Any JSON: a template of the body in which the rows are put, and the way to the answer."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from errata.core.columns import Level
from errata.core.errors import UsageError, nearest
from errata.models.http.asking import Request
from errata.models.http.client import Client, Reply
from errata.models.http.rows import Rows, png
from errata.models.http.said import Said, row_said, rows_said
from errata.models.http.settings import Settings
from errata.models.http.shapes import Takes, as_json

__all__ = ["Template", "introduce"]

_PLACE = re.compile(r"\$(rows|row|png)((?:\.[^\s.$\"]+)?)")


@dataclass(frozen=True, kw_only=True)
class Template:
    """A body with places for the rows.

    "$rows" stands for the list of all rows and makes batches; "$row" for one row, "$row.COLUMN" for one of its cells,
    "$png" for a picture in base64. A place alone in its quotes becomes the value, amid other words its text.
    """

    path: str
    body: Any
    way: tuple[str, ...]
    alone: bool
    pictures: bool
    classes: tuple[Level, ...] = ()
    columns: tuple[str, ...] = ()

    @property
    def takes(self) -> Takes:
        """What the template has places for."""
        return Takes(columns=self.columns, pictures=self.pictures, most=1 if self.alone else None)

    def request(self, rows: Rows) -> Request:
        """The template with the rows in their places."""
        return Request(path=self.path, body=as_json(_filled(self.body, rows)))

    def read(self, reply: Reply, rows: int) -> list[Said]:
        """What lies at the end of the way."""
        found = _along(reply.json(), self.way, ())
        return [row_said(found)] if self.alone else rows_said(found, rows)

    def deciding(self) -> str:
        """Nothing beyond the settings."""
        return "template"


def introduce(settings: Settings, client: Client) -> Template:
    """The template as the settings have it. Raises UsageError where there is none, or none with a place for rows."""
    body = settings.template
    if body is None:
        raise UsageError("The shape `template` needs a template.",
                         hint='write template = { instances = "$rows" } into the endpoint\'s file.')  # fmt: skip
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except ValueError as error:
            raise UsageError(f"`template` is no JSON: {error}.", hint='such as \'{"rows": "$rows"}\'.') from error
    places = {found[1] for text in _texts(body) for found in _PLACE.finditer(text)}
    if not places:
        raise UsageError("`template` has no place for the rows.", hint='put "$rows" (all) or "$row" (one) into it.')
    if "rows" in places and len(places) > 1:
        raise UsageError("`template` has places for all rows and for one.", hint='use either "$rows" or "$row".')
    way = tuple(part for part in settings.answer.replace("[", ".").replace("]", "").split(".") if part)
    return Template(
        path=client.address.path, body=body, way=way, alone="rows" not in places, pictures="png" in places,
        classes=settings.classes, columns=settings.columns,
    )  # fmt: skip


def _filled(body: Any, rows: Rows) -> Any:
    if isinstance(body, dict):
        return {key: _filled(value, rows) for key, value in body.items()}
    if isinstance(body, list):
        return [_filled(value, rows) for value in body]
    if not isinstance(body, str):
        return body
    whole = _PLACE.fullmatch(body)
    if whole is not None:
        return _value(whole, rows)
    return _PLACE.sub(lambda found: _worded(_value(found, rows)), body)


def _value(found: re.Match[str], rows: Rows) -> Any:
    what, column = found[1], found[2][1:]
    if what == "png":
        return base64.b64encode(png(rows.cells[0])).decode("ascii")
    if what == "rows":
        values = [rows.plain(place) for place in range(len(rows))]
        return [_cell(value, column) for value in values] if column else values
    value = rows.plain(0)
    return _cell(value, column) if column else value


def _cell(row: Any, column: str) -> Any:
    if not isinstance(row, dict) or column not in row:
        hint = nearest(column, row) if isinstance(row, dict) else "only tables have columns."
        raise UsageError(f"`template` names the column `{column}`, which the inputs lack.", hint=hint)
    return row[column]


def _worded(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _texts(body: Any) -> list[str]:
    if isinstance(body, dict):
        return [text for value in body.values() for text in _texts(value)]
    if isinstance(body, list):
        return [text for value in body for text in _texts(value)]
    return [body] if isinstance(body, str) else []


def _along(value: Any, way: Sequence[str], gone: Sequence[str]) -> Any:
    """What lies at the end of the way; `*` goes to every entry of a list. Raises ValueError where it ends before."""
    if not way:
        return value
    step, rest = way[0], way[1:]
    if step == "*" and isinstance(value, list):
        return [_along(entry, rest, (*gone, step)) for entry in value]
    if isinstance(value, dict) and step in value:
        return _along(value[step], rest, (*gone, step))
    if isinstance(value, list) and step.lstrip("-").isdigit() and -len(value) <= int(step) < len(value):
        return _along(value[int(step)], rest, (*gone, step))
    raise ValueError(f"an answer without `{step}`" + (f" in `{'.'.join(gone)}`" if gone else ""))
