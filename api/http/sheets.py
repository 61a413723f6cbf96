"""Lists of people as CSV: read however a spreadsheet wrote them, written so that no spreadsheet runs them."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from api import telephone
from api.http.errors import BadRequest

MAX_SHEET_BYTES = 5 * 1024 * 1024
MAX_COLUMNS = 100
MAX_CELL = 2000
MAX_NAME = 200
_PHONE = ("phone", "phone_number", "telefon")
_NAME = ("name", "ad", "isim")
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


class BadSheet(BadRequest):
    """The file is not a CSV with a header and a column `phone`, `phone_number` or `telefon`"""


@dataclass(frozen=True)
class Person:
    """One line: whom it is about, and everything else that it says."""

    line: int
    number: str
    name: str
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Unread:
    """One line that names nobody."""

    line: int
    reason: str


def people(raw: bytes) -> Iterator[Person | Unread]:
    """Every line of a sheet that was checked, in order, one at a time.

    UTF-8 or Latin-1; commas, semicolons or tabs, whichever the header has most of.
    """
    text = _text(raw)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    header = [" ".join(cell.split()) for cell in next(lines, [])]
    phone, name = _column(header, _PHONE), _column(header, _NAME)
    if phone is None:
        raise BadSheet
    others = [
        (place, title[:100]) for place, title in enumerate(header) if title and place not in {phone, name}
    ]
    for cells in lines:
        if any(cell.strip() for cell in cells):
            yield _read(lines.line_num, cells, phone, name, others)


def check(raw: bytes) -> None:
    """Raise `BadSheet` for a file that cannot be read to its end, before anything of it is kept."""
    text = _text(raw)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    try:
        header = [" ".join(cell.split()) for cell in next(lines, [])]
        for _ in lines:
            pass
    except csv.Error as error:
        raise BadSheet(f"Line {lines.line_num} cannot be read: {error}") from None
    if len(header) > MAX_COLUMNS:
        raise BadSheet(f"At most {MAX_COLUMNS} columns")
    if _column(header, _PHONE) is None:
        raise BadSheet


def _read(
    line: int, cells: list[str], phone: int, name: int | None, others: list[tuple[int, str]]
) -> Person | Unread:
    number = as_number(cells[phone]) if phone < len(cells) else None
    if number is None:
        return Unread(line, "not a telephone number")
    called = cells[name].strip()[:MAX_NAME] if name is not None and name < len(cells) else ""
    variables = {
        title: cells[place].strip()[:MAX_CELL]
        for place, title in others
        if place < len(cells) and cells[place].strip()
    }
    return Person(line, number, called, variables)


def as_number(cell: str) -> str | None:
    """A cell as a number. Spreadsheets drop the plus, and put an apostrophe before it."""
    text = cell.strip().lstrip("'").strip()
    if text.startswith("00"):
        text = f"+{text[2:]}"
    elif text[:1].isdigit() and not text.startswith("0"):
        text = f"+{text}"
    return telephone.normal(text) if len(text) <= 50 else None


def _text(raw: bytes) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadSheet("The file is UTF-16; save it as UTF-8")
    if b"\0" in raw:
        raise BadSheet("The file is not text")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _delimiter(text: str) -> str:
    header = text.lstrip("\r\n").partition("\n")[0]
    return max(",;\t", key=header.count)


def _column(header: list[str], names: tuple[str, ...]) -> int | None:
    titles = [title.lower() for title in header]
    return next((titles.index(name) for name in names if name in titles), None)


def written(rows: Iterable[Iterable[str]]) -> bytes:
    """Lines of CSV that no spreadsheet takes for formulas (OWASP, CSV injection)."""
    out = io.StringIO()
    csv.writer(out).writerows([safe(cell) for cell in row] for row in rows)
    return out.getvalue().encode()


def safe(cell: str) -> str:
    """Text that is text in every spreadsheet."""
    return f"'{cell}" if cell.startswith(_FORMULAS) else cell
