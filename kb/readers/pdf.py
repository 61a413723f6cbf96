"""PDF: text in reading order under its headings, ruled tables as rows, scanned pages named as such."""

import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from ctypes import c_double
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kb.documents import Block, Document, Limits
from kb.errors import Damaged, Empty, Encrypted, Scanned, TooLarge, TooManyPages
from kb.readers.tables import answered, spoken_rows
from kb.readers.text import HeadingPath, blocks_of
from kb.sentences import unwrapped

Progress = Callable[[int, int], None]
"""Told of pages done, of how many."""

_PASSWORD = 4  # FPDF_ERR_PASSWORD
_RULINGS = 4
_OBJECTS = 3_000
"""Of a page that are looked at; a drawing of more is a picture, not a table."""
_LARGER = 1.15
_GLYPHS = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\ufffe\uffff\u00ad]")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    size: float
    bottom: float
    top: float


@dataclass(slots=True)
class _Page:
    lines: list[_Line]
    tables: list[list[list[str]]]
    has_picture: bool


def read(path: Path, title: str, limits: Limits, progress: Progress = lambda _done, _total: None) -> Document:
    """A PDF file; the title in its properties is often a file name of someone else's, and not used."""
    import pypdfium2  # noqa: PLC0415 - only this format needs it

    try:
        opened = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        raise (Encrypted if getattr(error, "err_code", None) == _PASSWORD else Damaged) from error
    ruled = _Ruled(path)
    try:
        total = len(opened)
        if total > limits.pages:
            raise TooManyPages
        pages: list[_Page] = []
        characters = 0
        for number in range(total):
            pages.append(_page(opened, ruled, number))
            characters += sum(len(line.text) for line in pages[-1].lines)
            if characters > limits.characters:
                raise TooLarge
            progress(number + 1, total)
    except pypdfium2.PdfiumError as error:
        raise Damaged from error
    finally:
        ruled.close()
        opened.close()
    scanned = tuple(number + 1 for number, page in enumerate(pages) if page.has_picture and not page.lines)
    _drop_furniture(pages)
    blocks = tuple(_blocks(pages))
    if not blocks:
        raise Scanned if scanned else Empty
    return Document(title, blocks, pages=total, scanned_pages=scanned)


def _page(opened: Any, ruled: "_Ruled", number: int) -> _Page:
    page = opened[number]
    try:
        rulings, has_picture = _objects(page)
        tables, boxes = ruled.tables(number, page.get_height()) if rulings >= _RULINGS else ([], [])
        lines = [
            line
            for line in _lines(page)
            if not any(low <= (line.bottom + line.top) / 2 <= high for low, high in boxes)
        ]
        return _Page(lines, tables, has_picture)
    finally:
        page.close()


def _objects(page: Any) -> tuple[int, bool]:
    """How many thin strokes and cells the page draws, and whether it shows a picture."""
    from pypdfium2 import raw  # noqa: PLC0415

    rulings, has_picture = 0, False
    for count, found in enumerate(page.get_objects(max_depth=3)):
        if count > _OBJECTS:
            return 0, has_picture
        if found.type == raw.FPDF_PAGEOBJ_IMAGE:
            has_picture = True
        elif found.type == raw.FPDF_PAGEOBJ_PATH:
            rulings += 1
    return rulings, has_picture


class _Ruled:
    """The same file in the hands of pdfplumber, opened when the first page with rulings comes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: Any = None

    def close(self) -> None:
        """Close it, if it was opened."""
        if self._opened is not None:
            self._opened.close()

    def tables(self, number: int, height: float) -> tuple[list[list[list[str]]], list[tuple[float, float]]]:
        """Tables between rulings, and the heights they cover, from the bottom up as PDF has it."""
        import pdfplumber  # noqa: PLC0415 - only pages with rulings need it
        from pdfminer.pdfexceptions import PDFException  # noqa: PLC0415
        from pdfplumber.utils.exceptions import PdfminerException  # noqa: PLC0415

        try:
            if self._opened is None:
                self._opened = pdfplumber.open(self._path)
            page = self._opened.pages[number]
            found = [table for table in page.find_tables() if len(table.rows) > 1]
            cells = [[[cell or "" for cell in row] for row in table.extract()] for table in found]
            page.close()
        except (PDFException, PdfminerException, ValueError, KeyError, IndexError, TypeError, AttributeError):
            return [], []  # pdfminer is stricter than pdfium: the page's text is still there
        real = [(rows, table.bbox) for rows, table in zip(cells, found, strict=True) if _is_table(rows)]
        return [rows for rows, _ in real], [(height - box[3], height - box[1]) for _, box in real]


def _is_table(rows: list[list[str]]) -> bool:
    """Two columns and two rows with something in them; a frame around text is none."""
    filled = [row for row in rows if sum(1 for cell in row if cell.strip()) > 1]
    return len(filled) > 1


def _lines(page: Any) -> Iterator[_Line]:
    from pypdfium2 import raw  # noqa: PLC0415

    text_page = page.get_textpage()
    try:
        total = text_page.count_chars()
        held: list[str] = []
        start = 0
        for index in range(total + 1):
            code = raw.FPDFText_GetUnicode(text_page.raw, index) if index < total else 10
            if code not in (10, 13):
                held.append(chr(code))
                continue
            if text := _GLYPHS.sub("", "".join(held)).rstrip():
                yield _measured(text_page, text, start + len(held) - len("".join(held).lstrip()))
            held.clear()
            start = index + 1
    finally:
        text_page.close()


def _measured(text_page: Any, text: str, index: int) -> _Line:
    from pypdfium2 import raw  # noqa: PLC0415

    left, right, bottom, top = c_double(), c_double(), c_double(), c_double()
    raw.FPDFText_GetCharBox(text_page.raw, index, left, right, bottom, top)
    size = float(raw.FPDFText_GetFontSize(text_page.raw, index))
    # A font of size 1 under a matrix that enlarges it: the box is what is seen.
    if size < 4:
        size = (top.value - bottom.value) * 1.3
    return _Line(text, round(size, 1), bottom.value, top.value)


def _drop_furniture(pages: list[_Page]) -> None:
    """Take out the lines that most pages begin or end with: running titles and page numbers."""
    if len(pages) < 4:
        return
    heading = _body_size(pages) * _LARGER
    seen: Counter[str] = Counter()
    for page in pages:
        seen.update({_shape(line, heading) for line in page.lines[:2] + page.lines[-2:]})
    repeated = {shape for shape, count in seen.items() if count > len(pages) / 2}
    for page in pages:
        for edge in (0, 0, -1, -1):
            if page.lines and _shape(page.lines[edge], heading) in repeated:
                page.lines.pop(edge)


def _body_size(pages: list[_Page]) -> float:
    sizes = [line.size for page in pages for line in page.lines for _ in range(len(line.text))]
    return statistics.mode(sizes) if sizes else 0.0


def _shape(line: _Line, heading: float) -> str:
    """A line with its numbers blotted out, if it says little else: "Page 3 of 12".

    In large letters it is a heading, such as "Room 3", and the next page's "Room 4" is another one.
    """
    text = line.text.strip()
    if line.size > heading:
        return text
    return _NUMBER.sub("#", text) if sum(map(str.isalpha, text)) <= 20 else text


def _blocks(pages: list[_Page]) -> Iterator[Block]:
    body = _body_size(pages)
    larger = sorted(
        {line.size for p in pages for line in p.lines if line.size > body * _LARGER}, reverse=True
    )
    path: HeadingPath = []
    for number, page in enumerate(pages, 1):
        marked = [f"{_level(line, body, larger)}{line.text}" for line in _spaced(page.lines)]
        yield from blocks_of(unwrapped("\n".join(marked)), number, path)
        for rows in page.tables:
            headings = tuple(name for _, name in path)
            if pairs := answered(rows, headings):
                yield from (Block("faq", pair.text, pair.headings, number) for pair in pairs)
            elif text := "\n".join(spoken_rows(rows)):
                yield Block("table", text, headings, number)


def _level(line: _Line, body: float, larger: list[float]) -> str:
    if line.size <= body * _LARGER or len(line.text) > 120:
        return ""
    return "#" * min(6, larger.index(line.size) + 1) + " "


def _spaced(lines: list[_Line]) -> Iterator[_Line]:
    """Lines with an empty one wherever the gap says that a paragraph ended."""
    previous: _Line | None = None
    for line in lines:
        if previous is not None:
            gap = previous.bottom - line.top
            if gap > max(line.size, previous.size) * 0.9 or gap < -2 * line.size:
                yield _Line("", 0.0, 0.0, 0.0)
        yield line
        previous = line
