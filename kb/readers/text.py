"""Plain text and Markdown: headings, lists, tables and written questions told apart."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from charset_normalizer import from_bytes

from kb.documents import Block, Document, Kind, Limits
from kb.errors import Empty, NotText, TooLarge
from kb.languages import likeliest
from kb.readers.tables import spoken_rows
from kb.sentences import ANSWER_MARK, LIST_MARK, QUESTION_MARK, RULE, TABLE_RULE, is_heading, plain, unwrapped

_LEVEL = re.compile(r"^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_UNDERLINE = re.compile(r"^ {0,3}(=+|-+)\s*$")
_FENCE = re.compile(r"^ {0,3}(```|~~~)")
_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_GUESS_BYTES = 200_000
_LEGACY = """
cp1252 cp1254 cp1250 cp1251 cp1253 cp1255 cp1256 cp1257 koi8_r gb18030 big5 shift_jis euc_jp euc_kr
""".split()
"""What old programs write, the likelier first; nobody's files are in the other sixty."""


def decoded(data: bytes) -> str:
    """Bytes in whatever encoding, as text. Raises `NotText` where they are none."""
    try:
        text = _decoded(data)
    except UnicodeError as error:
        raise NotText from error
    sample = text[:_GUESS_BYTES]
    odd = sum(1 for character in sample if character < " " and character not in "\n\r\t\f\v")
    if odd + sample.count("\ufffd") > len(sample) * 0.01:
        raise NotText
    return text


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16")
    if b"\x00" in data[:_GUESS_BYTES]:
        raise NotText
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        guessed = {
            match.encoding: str(match) for match in from_bytes(data[:_GUESS_BYTES], cp_isolation=_LEGACY)
        }
        if not guessed:
            raise NotText from None
        best = likeliest([guessed[name] for name in _LEGACY if name in guessed])
        return data.decode(next(name for name in _LEGACY if guessed.get(name) == best), "replace")


def load(path: Path, limits: Limits) -> str:
    """A file's text, as long as it is no longer than may be read."""
    if path.stat().st_size > limits.text_bytes:
        raise TooLarge
    return decoded(path.read_bytes())


def read(path: Path, title: str, limits: Limits) -> Document:
    """A text file or Markdown."""
    return parse(load(path, limits), title)


def parse(text: str, title: str) -> Document:
    """Text in hand. The only first-level heading is the title, where there is one."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n\n")
    text = _COMMENT.sub("", _FRONT_MATTER.sub("", text, count=1))
    blocks = tuple(blocks_of(unwrapped(text)))
    if not blocks:
        raise Empty
    return Document(title, blocks)


HeadingPath = list[tuple[int, str]]
"""Level and name of each heading that is open."""


def blocks_of(
    lines: Sequence[str], page: int | None = None, path: HeadingPath | None = None
) -> Iterator[Block]:
    """What these lines hold, in order. `path`, the headings above the first line, is kept up to date."""
    return _Lines(lines, page, [] if path is None else path).blocks()


class _Lines:
    """A walk over lines that knows which headings it is under."""

    def __init__(self, lines: Sequence[str], page: int | None, path: HeadingPath) -> None:
        self._lines = lines
        self._page = page
        self._path = path
        self._at = 0
        self._marked = path[-1][0] if path else 0

    def blocks(self) -> Iterator[Block]:
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if not line.strip():
                self._at += 1
            elif _FENCE.match(line):
                yield from self._fenced()
            elif self._heading(line):
                continue
            elif RULE.match(line):
                self._at += 1
            elif self._is_table():
                yield from self._table()
            elif self._is_question(line):
                yield from self._answer(line)
            else:
                yield from self._prose()

    def _block(self, kind: Kind, text: str, question: str = "") -> Iterator[Block]:
        if text.strip():
            headings = tuple(name for _, name in self._path) + ((question,) if question else ())
            yield Block(kind, text.strip(), headings, self._page)

    def _heading(self, line: str) -> bool:
        marked = _LEVEL.match(line)
        following = self._following()
        if marked:
            level, name, used = len(marked[1]), marked[2], 1
            self._marked = level
        elif following and _UNDERLINE.match(following) and len(following.strip()) >= 3 and "|" not in line:
            level, name, used = 1 if following.strip()[0] == "=" else 2, line, 2
            self._marked = level
        elif not self._is_question(line) and self._names_what_follows(line):
            level, name, used = self._marked + 1, line, 1
        else:
            return False
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        if name := plain(name).rstrip(":").strip():
            self._path.append((level, name))
        self._at += used
        return True

    def _names_what_follows(self, line: str) -> bool:
        """Whether a line without a mark is a heading: alone on its line, short, and no sentence."""
        later = [each for each in self._lines[self._at + 1 : self._at + 4] if each.strip()]
        if not later or is_heading(line, later[:1]):
            return bool(later)
        text = line.strip()
        stands_alone = not self._following().strip() and (
            self._at == 0 or not self._lines[self._at - 1].strip()
        )
        is_name = len(text.split()) <= 8 and len(text) <= 60 and text[:1].isupper()
        is_short_of_one = len(later[0].strip()) > len(text)
        return (
            stands_alone and is_name and is_short_of_one and text[-1] not in ".!?:;,。"
            and "|" not in text and not LIST_MARK.match(line)
        )  # fmt: skip

    def _following(self) -> str:
        return self._lines[self._at + 1] if self._at + 1 < len(self._lines) else ""

    def _fenced(self) -> Iterator[Block]:
        self._at += 1
        held = []
        while self._at < len(self._lines) and not _FENCE.match(self._lines[self._at]):
            held.append(self._lines[self._at].strip())
            self._at += 1
        self._at += 1
        yield from self._block("paragraph", " ".join(filter(None, held)))

    def _is_table(self) -> bool:
        line, following = self._lines[self._at], self._following()
        return line.count("|") >= 1 and bool(TABLE_RULE.match(following)) and "-" in following

    def _table(self) -> Iterator[Block]:
        rows = []
        while self._at < len(self._lines) and "|" in self._lines[self._at]:
            line = self._lines[self._at].strip()
            if not TABLE_RULE.match(line):
                rows.append([plain(cell) for cell in line.strip("|").split("|")])
            self._at += 1
        yield from self._block("table", "\n".join(spoken_rows(rows)))

    def _is_question(self, line: str) -> bool:
        if LIST_MARK.match(line):
            return False
        if QUESTION_MARK.match(line):
            return line.rstrip().endswith("?") or bool(ANSWER_MARK.match(self._following()))
        return plain(line).endswith(("?", "？", "؟")) and bool(ANSWER_MARK.match(self._following()))

    def _answer(self, line: str) -> Iterator[Block]:
        question = plain(QUESTION_MARK.sub("", line))
        self._at += 1
        held: list[str] = []
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if not line.strip() or _LEVEL.match(line) or self._is_question(line):
                break
            held.append(plain(LIST_MARK.sub("", ANSWER_MARK.sub("", line))))
            self._at += 1
        yield from self._block("faq", "\n".join(held), question)

    def _prose(self) -> Iterator[Block]:
        lead = ""
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if not line.strip() or _FENCE.match(line) or _LEVEL.match(line) or RULE.match(line):
                break
            if self._is_table() or (lead and self._is_question(line)):
                break
            if LIST_MARK.match(line):
                is_led = lead.endswith((":", "："))
                if not is_led:
                    yield from self._block("paragraph", lead)
                yield from self._list(lead if is_led else "")
                lead = ""
                continue
            lead = f"{lead} {plain(line)}".strip()
            self._at += 1
        if lead.endswith((":", "：")) and self._list_is_next():
            yield from self._list(lead)
            return
        yield from self._block("paragraph", lead)

    def _list_is_next(self) -> bool:
        while self._at < len(self._lines) and not self._lines[self._at].strip():
            self._at += 1
        return self._at < len(self._lines) and bool(LIST_MARK.match(self._lines[self._at]))

    def _list(self, lead: str) -> Iterator[Block]:
        items = [lead] if lead else []
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if LIST_MARK.match(line):
                items.append(plain(LIST_MARK.sub("", line)))
            elif line[:1] in (" ", "\t") and line.strip() and len(items) > bool(lead):
                items[-1] = f"{items[-1]} {plain(line)}"
            else:
                break
            self._at += 1
        yield from self._block("list", "\n".join(items))
