"""The readable part of a web page: its text, headings, lists and tables without menus and footers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lxml import etree
from lxml import html as lxml_html

from kb.documents import Block, Document, Limits
from kb.errors import Empty
from kb.readers.tables import answered, spoken_rows
from kb.readers.text import load

_FURNITURE = (
    "script style noscript template svg nav header footer aside form button select iframe dialog"
).split()
_ROLES = "navigation banner contentinfo search complementary menu dialog".split()
_LOST = 0.5
"""An extraction that keeps less of the visible text than this has lost what the page is for."""
_DEPTH = 200


def read(path: Path, title: str, limits: Limits) -> Document:
    """A page that was saved or fetched."""
    return parse(load(path, limits), title)


def parse(markup: str, title: str) -> Document:
    """A page in hand; its own title goes before `title`."""
    import trafilatura  # noqa: PLC0415 - half a second that other formats need not pay

    visible = list(_visible(markup))
    extracted = trafilatura.bare_extraction(
        markup, favor_recall=True, include_comments=False, include_tables=True, include_formatting=False
    )
    found: Any = extracted
    blocks: list[Block] = [] if found is None or found.body is None else list(_blocks(found.body))
    if _characters(blocks) < _LOST * _characters(visible):
        blocks = visible
    if not blocks:
        raise Empty
    named = _title(markup) or str(getattr(found, "title", None) or "")
    return Document(" ".join(named.split())[:200] or title, tuple(blocks))


def links(markup: str) -> list[str]:
    """Where a page points to, as written there, in order."""
    root = _root(markup)
    if root is None:
        return []
    return [str(anchor.get("href")) for anchor in root.iter("a") if anchor.get("href")]


def _characters(blocks: list[Block]) -> int:
    return sum(len(block.text) for block in blocks)


def _root(markup: str) -> Any:
    # Text with an encoding declaration cannot be parsed as text; bytes can.
    parser = lxml_html.HTMLParser(encoding="utf-8", no_network=True, huge_tree=False)
    try:
        return lxml_html.document_fromstring(markup.encode(errors="replace"), parser=parser)
    except (etree.LxmlError, ValueError, AssertionError):
        return None


def _title(markup: str) -> str:
    root = _root(markup)
    found = None if root is None else root.find(".//title")
    return "" if found is None else str(found.text_content()).strip()


def _visible(markup: str) -> Iterator[Block]:
    """All text of a page but its furniture, for when the extraction finds too little."""
    root = _root(markup)
    if root is None:
        return
    roles = " or ".join(f'@role="{role}"' for role in _ROLES)
    for unwanted in root.xpath(f'//*[{roles} or @hidden or @aria-hidden="true"]'):
        unwanted.drop_tree()
    # strip_elements would keep text after an element only if told to.
    etree.strip_elements(root, etree.Comment, *_FURNITURE, with_tail=False)
    body = root.find("body")
    yield from _blocks(root if body is None else body)


def _blocks(body: Any) -> Iterator[Block]:
    yield from _Walk().blocks(body)


class _Walk:
    """A walk over elements, HTML's own and those trafilatura makes of them."""

    def __init__(self) -> None:
        self._path: list[tuple[int, str]] = []
        self._inline: list[str] = []

    def blocks(self, element: Any, depth: int = 0) -> Iterator[Block]:
        self._inline.append(element.text or "")
        for child in element:
            yield from self._child(child, depth)
            self._inline.append(child.tail or "")
        if depth == 0 or _is_block(element):
            yield from self._flush()

    def _child(self, child: Any, depth: int) -> Iterator[Block]:
        tag = child.tag if isinstance(child.tag, str) else ""
        if not tag or tag in _FURNITURE:
            return
        if tag in ("br", "lb"):
            self._inline.append("\n")
        elif level := _level(child, tag):
            yield from self._flush()
            self._enter(level, _text(child))
        elif tag in ("ul", "ol", "list", "dl"):
            lead = self._lead()
            yield from self._flush()
            yield from self._list(child, lead)
        elif tag == "table":
            yield from self._flush()
            yield from self._table(child)
        elif tag == "details":
            yield from self._flush()
            yield from self._details(child, depth)
        elif depth >= _DEPTH:
            self._inline.append(_text(child))
        else:
            if _is_block(child):
                yield from self._flush()
            yield from self.blocks(child, depth + 1)

    def _headings(self) -> tuple[str, ...]:
        return tuple(name for _, name in self._path)

    def _enter(self, level: int, name: str) -> None:
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        if name:
            self._path.append((level, name))

    def _lead(self) -> str:
        text = " ".join("".join(self._inline).split())
        if not text.endswith(":"):
            return ""
        self._inline.clear()
        return text

    def _flush(self) -> Iterator[Block]:
        text = "".join(self._inline)
        self._inline.clear()
        if text := "\n".join(filter(None, (" ".join(line.split()) for line in text.split("\n")))):
            yield Block("paragraph", text, self._headings())

    def _list(self, element: Any, lead: str) -> Iterator[Block]:
        items = [_text(item) for item in element if item.tag in ("li", "item", "dt", "dd")]
        if element.tag == "dl":
            items = _defined(element)
        if items := [lead, *filter(None, items)] if lead else [item for item in items if item]:
            yield Block("list", "\n".join(items), self._headings())

    def _table(self, element: Any) -> Iterator[Block]:
        rows = [
            [_text(cell) for cell in row if cell.tag in ("td", "th", "cell")]
            for row in element.iter("tr", "row")
        ]
        if pairs := answered(rows, self._headings()):
            yield from pairs
        elif text := "\n".join(spoken_rows(rows)):
            yield Block("table", text, self._headings())

    def _details(self, element: Any, depth: int) -> Iterator[Block]:
        summary = element.find("summary")
        if summary is None:
            yield from self.blocks(element, depth + 1)
            return
        question = _text(summary)
        element.remove(summary)
        if answer := _text(element):
            yield Block("faq", answer, (*self._headings(), question))


def _level(element: Any, tag: str) -> int:
    if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
        return int(tag[1])
    if tag == "head":
        rend = str(element.get("rend") or "h2")
        return int(rend[1:]) if rend[1:].isdigit() else 2
    return 0


_INLINE = frozenset(
    "a abbr b bdi bdo cite code data em font hi i kbd label mark q ref s small span strong sub sup u".split()
)


def _is_block(element: Any) -> bool:
    return element.tag not in _INLINE


def _text(element: Any) -> str:
    return " ".join(" ".join(element.itertext()).split())


def _defined(element: Any) -> list[str]:
    """Terms with what stands beside them."""
    found: list[str] = []
    for item in element.iter("dt", "dd"):
        if item.tag == "dd" and found:
            found[-1] = (
                f"{found[-1]}: {_text(item)}" if ":" not in found[-1] else f"{found[-1]}, {_text(item)}"
            )
        else:
            found.append(_text(item))
    return found
