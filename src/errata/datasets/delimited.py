"""CSV and its kin as an arrow table: separator, encoding and column types are found out, and what was found is said."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from errata.core.errors import UsageError

__all__ = ["Delimited", "read_delimited", "text_head"]

_HEAD: Final = 1 << 18
_LONGEST_HEAD: Final = 1 << 26
_BLOCK: Final = 1 << 22
_LARGEST_BLOCK: Final = 1 << 30
_SEPARATORS: Final = ",;\t|"
_MAGIC: Final = {
    b"PAR1": "a Parquet file", b"PK\x03\x04": "a zip archive or a spreadsheet", b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture", b"\x93NUMPY": "a numpy file", b"%PDF": "a PDF", b"ARROW1": "an arrow file",
    b"SQLite": "a database",
}  # fmt: skip
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
_DECIMAL_POINT = re.compile(r"[+-]?[0-9]*\.[0-9]+")
_NUMERAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_CONFLICT = re.compile(r"[Cc]olumn #(\d+): .*?conversion error to ([\w\[\]]+).*?(?:invalid value '(.*)'|$)", re.DOTALL)


@dataclass(frozen=True, kw_only=True, eq=False)
class Delimited:
    """The cells of a file as an arrow table; `notes` say what was not as usual."""

    table: Any
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Form:
    separator: str
    encoding: str
    decimal: str = "."
    names: tuple[str, ...]
    rows: bool
    notes: tuple[str, ...] = ()


def text_head(path: Path) -> bytes:
    """The first bytes of a text file, unpacked when it is gzipped, with the first row whole.

    Raises UsageError for an empty or binary file.
    """
    try:
        with path.open("rb") as plain:
            packed = plain.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if packed else path.open("rb") as file:
            head: bytes = file.read(_HEAD)
            # A header, and a row after it, can each be longer than what is usually looked at.
            while len(head) < _LONGEST_HEAD and head.count(b"\n") + head.count(b"\r") < 3:
                more = file.read(len(head))
                if not more:
                    break
                head += more
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UsageError(f"`{path}` cannot be unpacked: {error}.", hint="is the file whole? copy it again.") from error
    if not head.strip(b"\x00\r\n\t \xef\xbb\xbf"):
        raise UsageError(f"`{path}` is empty.", hint="give a file with a header and at least one row.")
    for magic, what in _MAGIC.items():
        if head.startswith(magic):
            raise UsageError(f"`{path}` is {what}, not text.", hint="name it by what it is, such as data.parquet.")
    if head[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        strange = sum(byte < 9 or 13 < byte < 32 for byte in head[:8192])
        if b"\0" in head or strange > len(head[:8192]) / 50:
            raise UsageError(f"`{path}` holds binary data, not text.", hint="data are .csv, .parquet, .jsonl or .npz.")
    return head


def read_delimited(path: Path) -> Delimited:
    """All cells of a CSV, TSV or the like (gzipped or not), typed column by column.

    Raises UsageError for an empty file, a header without rows, rows of unequal length, repeated names, binary data.
    """
    form = _form(path, text_head(path))
    table = _read(path, form) if form.rows else None
    if table is None or table.num_rows == 0:
        raise UsageError(f"`{path}` has a header and no rows.", hint="give at least one row of data.")
    return Delimited(table=table, notes=form.notes)


def _form(path: Path, head: bytes) -> _Form:
    notes: list[str] = []
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    if encoding == "utf-8":
        try:
            head.split(b"\n", 1)[0].decode("utf-8-sig")
        except UnicodeDecodeError:
            encoding = "cp1252"
            notes.append("The header is not UTF-8; the file is read as Windows-1252.")
    text = head.decode("utf-8-sig" if encoding == "utf-8" else encoding, "replace")
    lines = text.splitlines()
    if len(head) >= _HEAD and len(lines) > 2:
        lines = lines[:-1]
    separator = _separator(lines[:50], path)
    rows = _rows(lines[:200], separator)
    names = tuple(rows[0]) if rows else ()
    _check_names(path, names)
    decimal = "."
    if separator != ",":
        cells = [cell.strip() for row in rows[1:] for cell in row]
        commas = sum(bool(_DECIMAL_COMMA.fullmatch(cell)) for cell in cells)
        if commas and not any(_DECIMAL_POINT.fullmatch(cell) for cell in cells):
            decimal = ","
    if separator not in (",", "\t") or decimal == ",":
        notes.append(f"Read with the separator `{separator}`" + (" and decimal commas." if decimal == "," else "."))
    return _Form(
        separator=separator, encoding=encoding, decimal=decimal, names=names, rows=len(rows) > 1, notes=tuple(notes)
    )


def _separator(lines: list[str], path: Path) -> str:
    """The sign that cuts the most lines into as many cells as the header, more than one."""
    best, most = ("\t" if ".tsv" in path.name.lower() else ","), (0.0, 0)
    for separator in _SEPARATORS:
        widths = [len(row) for row in _rows(lines, separator) if row]
        if not widths or widths[0] < 2:
            continue
        score = (sum(width == widths[0] for width in widths) / len(widths), widths[0])
        if score > most:
            best, most = separator, score
    return best


def _rows(lines: list[str], separator: str) -> list[list[str]]:
    """The cells of some lines; a cell may be as long as the head."""
    usual = csv.field_size_limit(_LONGEST_HEAD)
    try:
        return list(csv.reader(lines, delimiter=separator))
    finally:
        csv.field_size_limit(usual)


def _check_names(path: Path, names: tuple[str, ...]) -> None:
    if names and all(_NUMERAL.fullmatch(name.strip()) for name in names):
        raise UsageError(
            f"`{path}` seems to have no header: its first row is `{', '.join(names[:3])}`.",
            hint="put the names of the columns into the first row.",
        )
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise UsageError(
                f"`{path}` has two columns named `{name}`.", hint="give every column a name of its own in the header."
            )
        seen.add(name)


def _read(path: Path, form: _Form) -> Any:
    """Read, and where a later block contradicts the type of an earlier one, again with the wider type."""
    import pyarrow as pa

    types: dict[str, Any] = {}
    block = _BLOCK
    while True:
        try:
            return _attempt(path, form, types, block)
        except pa.ArrowInvalid as error:
            if "straddl" in str(error) and block < _LARGEST_BLOCK:
                block *= 16
                continue
            name, wider = _wider(str(error), form, types)
            if name is None:
                raise _refusal(path, _with_row(path, form, types, block, str(error)), form) from error
            types[name] = wider
        except (OSError, UnicodeDecodeError, EOFError) as error:
            raise UsageError(f"`{path}` cannot be read: {error}.", hint="is the file whole? copy it again.") from error


def _with_row(path: Path, form: _Form, types: dict[str, Any], block: int, said: str) -> str:
    """What is wrong, with the number of the row: only a reader in one thread counts them."""
    import pyarrow as pa

    if "Row #" in said or "Expected" not in said:
        return said
    try:
        _attempt(path, form, types, block, threads=False)
    except pa.ArrowInvalid as error:
        return str(error)
    return said


def _wider(said: str, form: _Form, types: dict[str, Any]) -> tuple[str | None, Any]:
    """The column that a message is about and the next wider type for it: whole number, number, words, bytes."""
    import pyarrow as pa

    conflict = _CONFLICT.search(said)
    if conflict is None or int(conflict[1]) >= len(form.names):
        return None, None
    name = form.names[int(conflict[1])]
    if "UTF8" in said:
        return (name, pa.binary()) if types.get(name) != pa.binary() else (None, None)
    whole = conflict[2].startswith("int") and _NUMERAL.fullmatch(conflict[3] or "")
    if whole and name not in types:
        return name, pa.float64()
    return (name, pa.string()) if types.get(name) not in (pa.string(), pa.binary()) else (None, None)


def _attempt(path: Path, form: _Form, types: dict[str, Any], block: int, *, threads: bool = True) -> Any:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    read = arrow_csv.ReadOptions(block_size=block, encoding=form.encoding, use_threads=threads)
    parse = arrow_csv.ParseOptions(delimiter=form.separator, newlines_in_values=True)
    convert = arrow_csv.ConvertOptions(column_types=types, strings_can_be_null=True, decimal_point=form.decimal)
    with path.open("rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
    with pa.input_stream(str(path), compression="gzip" if packed else None) as stream:
        # In a stream of blocks: reading all at once holds the text of many blocks beside their values.
        reader = arrow_csv.open_csv(stream, read_options=read, parse_options=parse, convert_options=convert)
        return pa.Table.from_batches(list(reader), schema=reader.schema)


def _refusal(path: Path, said: str, form: _Form) -> UsageError:
    ragged = re.search(r"Expected (\d+) columns, got (\d+)(?:: (.*))?", said, re.DOTALL)
    if ragged:
        row = re.search(r"Row #(\d+)", said)
        where = f"row {row[1]}" if row else f"the row `{(ragged[3] or '').strip()[:60]}`"
        return UsageError(
            f"`{path}`: {where} has {ragged[2]} cells, the header has {ragged[1]} (separator `{form.separator}`).",
            hint="quote cells that hold the separator or a line break.",
        )
    return UsageError(f"`{path}` cannot be read as CSV: {said.splitlines()[0].rstrip('.')}.", hint="is the file whole?")
