"""Word documents: paragraphs under their headings, lists, and tables as rows."""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kb.documents import Block, Document, Limits
from kb.errors import Damaged, Empty
from kb.readers.archives import inspect
from kb.readers.tables import answered, spoken_rows

_HEADING = re.compile(r"heading\s*(\d)", re.IGNORECASE)


def read(path: Path, title: str, limits: Limits) -> Document:
    """A .docx file; the title in its properties goes before `title`."""
    import docx  # noqa: PLC0415 - only this format needs it
    from docx.opc.exceptions import PackageNotFoundError  # noqa: PLC0415
    from lxml import etree  # noqa: PLC0415

    inspect(path, limits)
    try:
        opened = docx.Document(str(path))
        blocks = tuple(_blocks(opened))
        named = opened.core_properties.title
    except (PackageNotFoundError, zipfile.BadZipFile, etree.LxmlError, KeyError, ValueError) as error:
        raise Damaged from error
    if not blocks:
        raise Empty
    return Document(named.strip() or title, blocks)


def _blocks(opened: Any) -> Iterator[Block]:
    from docx.table import Table  # noqa: PLC0415

    path: list[tuple[int, str]] = []
    items: list[str] = []

    def headings() -> tuple[str, ...]:
        return tuple(name for _, name in path)

    def listed() -> Iterator[Block]:
        if items:
            yield Block("list", "\n".join(items), headings())
            items.clear()

    lead = ""
    for part in opened.iter_inner_content():
        if isinstance(part, Table):
            yield from _lead(lead, headings())
            lead = ""
            yield from listed()
            yield from _table(part, headings())
            continue
        text = " ".join(part.text.split())
        if not text:
            continue
        if level := _level(part):
            yield from _lead(lead, headings())
            lead = ""
            yield from listed()
            while path and path[-1][0] >= level:
                path.pop()
            path.append((level, text))
        elif _is_item(part):
            if lead and not items:
                items.append(lead)
                lead = ""
            items.append(text)
        else:
            yield from _lead(lead, headings())
            yield from listed()
            lead = text if text.endswith(":") else ""
            if not lead:
                yield Block("paragraph", text, headings())
    yield from _lead(lead, headings())
    yield from listed()


def _lead(text: str, headings: tuple[str, ...]) -> Iterator[Block]:
    if text:
        yield Block("paragraph", text, headings)


def _level(paragraph: Any) -> int:
    # Ids stay English where the names of the styles are translated.
    style = paragraph.style
    if style is None:
        return 0
    if style.style_id == "Title":
        return 1
    found = _HEADING.match(style.style_id or "") or _HEADING.match(style.name or "")
    return int(found[1]) + 1 if found else 0


def _is_item(paragraph: Any) -> bool:
    properties = paragraph._p.pPr
    is_numbered = properties is not None and properties.numPr is not None
    return is_numbered or (
        paragraph.style is not None and (paragraph.style.style_id or "").startswith("List")
    )


def _table(table: Any, headings: tuple[str, ...]) -> Iterator[Block]:
    rows = [[cell.text for cell in row.cells] for row in table.rows]
    if pairs := answered(rows, headings):
        yield from pairs
    elif text := "\n".join(spoken_rows(rows)):
        yield Block("table", text, headings)
