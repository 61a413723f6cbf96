"""What every reader makes of its format: titled blocks of text in reading order."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["paragraph", "list", "table", "faq"]
KINDS: tuple[Kind, ...] = ("paragraph", "list", "table", "faq")


@dataclass(frozen=True, slots=True)
class Block:
    """Something that belongs together.

    paragraph: running text, one line. list: an optional line that leads in, then an item a line.
    table: a row a line, each cell under its column's name where there is one. faq: an answer, its
    question being the last of the headings. `headings` is the path from the top; `page` counts from 1.
    """

    kind: Kind
    text: str
    headings: tuple[str, ...] = ()
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """One source, read. `language` is a guess (ISO 639-1), "" when there is too little to guess from.

    `scanned_pages` are those that hold a picture and no text; `pages` is None where there are none.
    """

    title: str
    blocks: tuple[Block, ...]
    language: str = ""
    pages: int | None = None
    scanned_pages: tuple[int, ...] = ()

    def to_json(self) -> str:
        """All of it, for another process."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Document":
        """What `to_json` wrote."""
        held: dict[str, Any] = json.loads(text)
        blocks = tuple(
            Block(each["kind"], each["text"], tuple(each["headings"]), each["page"])
            for each in held.pop("blocks")
        )
        scanned = tuple(held.pop("scanned_pages"))
        return cls(blocks=blocks, scanned_pages=scanned, **held)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of one source is read at most; past it the source is refused, never cut in silence."""

    file_bytes: int = 50_000_000
    text_bytes: int = 10_000_000
    """Of plain text, HTML and CSV, which are all text and no pictures."""
    unpacked_bytes: int = 200_000_000
    """Of a DOCX or XLSX, which are archives."""
    pages: int = 2_000
    rows: int = 100_000
    characters: int = 10_000_000
    seconds: float = 120.0
    memory_bytes: int = 1_500_000_000
