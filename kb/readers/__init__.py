"""Documents out of files of any kind that can be read."""

import codecs
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Literal

from kb.documents import Document, Limits
from kb.errors import Empty, NotText, TooLarge, UnknownFormat
from kb.languages import guess
from kb.readers import docx, html, pdf, sheet, text
from kb.readers.archives import inspect

Format = Literal["text", "html", "pdf", "docx", "csv", "xlsx"]
Progress = Callable[[int, int], None]

_LEGACY = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP = b"PK\x03\x04"
_MARKUP = re.compile(
    rb"\A\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)
_TAG = re.compile(rb"<(?:html|body|p|div|h[1-6]|table|ul|article|main)\b", re.I)
_HEAD_BYTES = 4096
_NAME_CHARACTERS = 200


def read(
    data: Path,
    name: str,
    declared_type: str = "",
    limits: Limits = Limits(),  # noqa: B008 - frozen
    progress: Progress = lambda _done, _total: None,
) -> Document:
    """What a file says. `name` and `declared_type` are only believed where its bytes do not say better.

    Raises an `errors.Unreadable`. Blocking, and may use all that `limits` allows and more: hostile
    files belong into `kb.reading`, whose process the system itself holds to them.
    """
    size = data.stat().st_size
    if size == 0:
        raise Empty
    if size > limits.file_bytes:
        raise TooLarge
    title = title_of(name)
    document = _read(data, title, sniff(data, name, declared_type, limits), limits, progress)
    if sum(len(block.text) for block in document.blocks) > limits.characters:
        raise TooLarge
    language = document.language or guess("\n".join(block.text for block in document.blocks[:200]))
    return replace(document, language=language)


def _read(data: Path, title: str, kind: Format, limits: Limits, progress: Progress) -> Document:
    if kind == "pdf":
        return pdf.read(data, title, limits, progress)
    readers = {
        "text": text.read,
        "html": html.read,
        "docx": docx.read,
        "csv": sheet.read_csv,
        "xlsx": sheet.read_xlsx,
    }
    return readers[kind](data, title, limits)


def sniff(data: Path, name: str, declared_type: str, limits: Limits = Limits()) -> Format:  # noqa: B008
    """Which reader a file needs: by its first bytes, then by its name, then by what was declared."""
    with data.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith(_ZIP):
        members = inspect(data, limits)
        if "word/document.xml" in members:
            return "docx"
        if "xl/workbook.xml" in members:
            return "xlsx"
        raise UnknownFormat
    if head.startswith(_LEGACY):
        raise UnknownFormat("Save this as DOCX or XLSX: the older format cannot be read")
    if b"\x00" in head and not head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise NotText
    suffix = PurePosixPath(name.replace("\\", "/")).suffix.lower()
    declared = declared_type.partition(";")[0].strip().lower()
    if _MARKUP.match(head):
        return "html"
    if suffix in (".csv", ".tsv") or (declared in ("text/csv", "text/tab-separated-values") and not suffix):
        return "csv"
    is_said_to_be_markup = suffix in (".html", ".htm", ".xhtml") or declared.endswith(("/html", "xhtml+xml"))
    return "html" if is_said_to_be_markup and _TAG.search(head) else "text"


def title_of(name: str) -> str:
    """A file's name as a title: no folders, no ending, no control characters, not endless."""
    last = re.split(r"[/\\]", name)[-1]
    stem = re.sub(r"\.[A-Za-z0-9]{1,5}$", "", last).strip(". ")
    shown = "".join(character if character.isprintable() else " " for character in stem)
    return " ".join(shown.replace("_", " ").split())[:_NAME_CHARACTERS] or "Untitled"
