"""CSV and XLSX: a row is a line that names its columns; columns of questions and answers are FAQ pairs."""

import csv
import io
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path

from kb.documents import Block, Document, Limits
from kb.errors import Damaged, Empty, TooLarge
from kb.readers.archives import inspect
from kb.readers.tables import answered, spoken_rows
from kb.readers.text import load

_SNIFFED = 20_000


def read_csv(path: Path, title: str, limits: Limits) -> Document:
    """Comma, semicolon or tab separated."""
    text = load(path, limits)
    try:
        dialect: type[csv.Dialect] | csv.Dialect = csv.Sniffer().sniff(text[:_SNIFFED], ",;\t|")
    except csv.Error:
        dialect = csv.excel
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), dialect):
            rows.append(row)
            if len(rows) > limits.rows:
                raise TooLarge
    except csv.Error as error:
        raise Damaged from error
    return _document(title, [("", rows)])


def read_xlsx(path: Path, title: str, limits: Limits) -> Document:
    """Every sheet of a workbook, values as they were last computed."""
    import openpyxl  # noqa: PLC0415 - only this format needs it

    inspect(path, limits)
    sheets: list[tuple[str, list[list[str]]]] = []
    left = limits.rows
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        for sheet in book.worksheets:
            rows: list[list[str]] = []
            # What a sheet says of its size is often a million rows that were only coloured.
            sheet.reset_dimensions()
            for row in sheet.iter_rows(values_only=True):
                if not any(cell is not None for cell in row):
                    continue
                left -= 1
                if left < 0:
                    raise TooLarge
                rows.append([_cell(cell) for cell in row])
            sheets.append((sheet.title, rows))
        book.close()
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, SyntaxError, AttributeError) as error:
        # openpyxl raises all of these on a workbook that is not whole.
        raise Damaged from error
    is_one = sum(1 for _, rows in sheets if rows) < 2
    return _document(title, [("" if is_one else name, rows) for name, rows in sheets])


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ", "minutes")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _document(title: str, sheets: list[tuple[str, list[list[str]]]]) -> Document:
    blocks = tuple(block for name, rows in sheets for block in _blocks(name, rows))
    if not blocks:
        raise Empty
    return Document(title, blocks)


def _blocks(name: str, rows: list[list[str]]) -> Iterator[Block]:
    headings = (name,) if name else ()
    width = max((len(row) for row in rows), default=0)
    rows = [[*row, *[""] * (width - len(row))] for row in rows]
    if pairs := answered(rows, headings):
        yield from pairs
    elif text := "\n".join(spoken_rows(rows)):
        yield Block("table", text, headings)
