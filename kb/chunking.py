"""Passages: pieces of a source on sentence and heading bounds, each small enough to be one answer."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from kb.documents import Block, Document, Kind
from kb.sentences import Statement, is_heading, plain, sentences, statements

__all__ = ["Passage", "Statement", "cut", "is_heading", "passages", "plain", "sentences", "statements"]

PASSAGE_CHARACTERS = 420
"""A passage grows up to this; a single sentence may be longer."""
WHOLE_CHARACTERS = 1_000
"""A list, a table or an answer is kept whole up to this, about what an embedder reads at once."""
OVERLAP_CHARACTERS = 160
"""The last sentence of a passage begins the next one too, if it is no longer than this."""
PATH = " - "
"""Between the names that make a passage's title."""
_TITLE_CHARACTERS = 240
_BREAK = re.compile(r"[,;:、，；]\s*|\s+")


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of one source. `title` names the source and the headings it stands under."""

    source_id: str
    title: str
    text: str
    page: int | None = None
    kind: Kind = "paragraph"

    @property
    def embedded(self) -> str:
        """What an embedder is given: the text under its nearest heading.

        A sentence alone often does not say what it is about. The whole path says it too loudly: with
        the name of the house before every passage, questions about anything else sounded near as well.
        """
        heading = self.title.rpartition(PATH)[2]
        return f"{heading}. {self.text}" if heading else self.text

    @property
    def digest(self) -> bytes:
        """16 bytes that stand for `embedded`: two passages with the same have the same vector."""
        return hashlib.blake2b(self.embedded.encode(errors="replace"), digest_size=16).digest()


def cut(source_id: str, document: Document, *, characters: int = PASSAGE_CHARACTERS) -> list[Passage]:
    """A document as passages, never across a heading; lists, tables and answers whole if they can be."""
    found: list[Passage] = []
    for headings, together in groupby(document.blocks, key=lambda block: block.headings):
        title = _titled(document.title, headings)
        found += _Cutter(source_id, title, characters).passages(together)
    return found


def _titled(title: str, headings: tuple[str, ...]) -> str:
    named = [title, *headings]
    # A page's first heading often repeats its title.
    kept = [name for place, name in enumerate(named) if name.strip() and name not in named[:place]]
    path = PATH.join(kept)
    return path if len(path) <= _TITLE_CHARACTERS else f"{path[:60]} … {path[60 - _TITLE_CHARACTERS :]}"


class _Cutter:
    """Blocks under the same headings, packed."""

    def __init__(self, source_id: str, title: str, characters: int) -> None:
        self._source_id, self._title, self._characters = source_id, title, characters
        self._held: list[str] = []
        self._kind: Kind = "paragraph"
        self._page: int | None = None
        self._found: list[Passage] = []

    def passages(self, blocks: Iterator[Block]) -> list[Passage]:
        for block in blocks:
            if block.kind == "paragraph":
                self._say(block)
            else:
                self._close()
                self._keep(block)
        self._close()
        return self._found

    def _say(self, block: Block) -> None:
        for sentence in _bounded(sentences(block.text.replace("\n", " "))):
            if self._held and self._size() + len(sentence) > self._characters:
                last = self._held[-1]
                overlaps = len(self._held) > 1 and len(last) + len(sentence) <= self._characters
                self._close()
                if overlaps and len(last) <= OVERLAP_CHARACTERS:
                    self._hold(last, block)
            self._hold(sentence, block)

    def _keep(self, block: Block) -> None:
        """A list or a table: whole, or in as few pieces as can be, each with what leads it in."""
        lines = list(_bounded(block.text.split("\n")))
        if sum(len(line) + 1 for line in lines) <= WHOLE_CHARACTERS:
            self._add("\n".join(lines), block.page, block.kind)
            return
        lead = [lines[0]] if block.kind == "list" and lines[0].endswith((":", "：")) else []
        for line in lines:
            if self._held and self._size() + len(line) > self._characters:
                self._close()
                for each in lead:
                    self._hold(each, block)
            self._hold(line, block)
        self._close()

    def _size(self) -> int:
        return sum(len(line) + 1 for line in self._held)

    def _hold(self, line: str, block: Block) -> None:
        if not self._held:
            self._kind, self._page = block.kind, block.page
        self._held.append(line)

    def _close(self) -> None:
        if self._held:
            self._add("\n".join(self._held), self._page, self._kind)
            self._held.clear()

    def _add(self, text: str, page: int | None, kind: Kind) -> None:
        if text:
            self._found.append(Passage(self._source_id, self._title, text, page, kind))


def _bounded(lines: list[str]) -> Iterator[str]:
    """Lines, those that no embedder reads to their end in pieces."""
    for whole in lines:
        line = whole
        while len(line) > WHOLE_CHARACTERS:
            ends = [match.end() for match in _BREAK.finditer(line, WHOLE_CHARACTERS // 2, WHOLE_CHARACTERS)]
            at = ends[-1] if ends else WHOLE_CHARACTERS
            yield line[:at].strip()
            line = line[at:].strip()
        if line.strip():
            yield line


def passages(source_id: str, title: str, text: str, *, characters: int = PASSAGE_CHARACTERS) -> list[Passage]:
    """Text in hand as passages: whole sentences, each under the heading or question it stands under."""
    found: list[Passage] = []
    held: list[str] = []
    about = ""

    def close() -> None:
        if held:
            named = PATH.join(filter(None, (title.strip(), about)))
            found.append(Passage(source_id, named, "\n".join(held)))
            held.clear()

    for statement in statements(text):
        is_full = sum(len(line) + 1 for line in held) + len(statement.text) > characters
        if statement.about != about or is_full:
            close()
            about = statement.about
        held.append(statement.text)
    close()
    return found
