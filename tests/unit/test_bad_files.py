"""Files that are broken, hostile or not what they say: each is refused by its name, within the bounds."""

import asyncio
import os
import resource
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from kb import errors
from kb.documents import Limits
from kb.errors import Unreadable
from kb.readers import read
from kb.reading import read_apart
from tests.support.documents import Flow, PdfPage, nested_pdf, pdf, word, workbook, zip_bomb

PAGE = PdfPage(Flow().say("Some text that is long enough to be read.").lines)
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + b"\x00\x01" * 500


def _sparse(path: Path, size: int, head: bytes = b"") -> Path:
    with path.open("wb") as file:
        file.write(head)
        file.truncate(size)
    return path


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _encrypted_zip(path: Path) -> Path:
    content = bytearray(word(path).read_bytes())
    at = content.find(b"PK\x01\x02")
    while at >= 0:
        content[at + 8] |= 1
        at = content.find(b"PK\x01\x02", at + 1)
    return _written(path, bytes(content))


@pytest.mark.parametrize(
    ("name", "content", "refused"),
    [
        ("a.txt", b"", errors.Empty),
        ("a.txt", b" \n\n\t ", errors.Empty),
        ("a.pdf", pdf([PdfPage()]), errors.Empty),
        ("a.html", b"<html><body><script>x()</script></body></html>", errors.Empty),
        ("a.csv", b"\n\n", errors.Empty),
        ("a.pdf", pdf([PAGE], is_encrypted=True), errors.Encrypted),
        ("a.pdf", pdf([PdfPage(has_picture=True)] * 3), errors.Scanned),
        ("a.pdf", pdf([PAGE] * 11), errors.TooManyPages),
        ("a.pdf", b"%PDF-1.7\nand nothing more", errors.Damaged),
        ("a.docx", b"PK\x03\x04 and nothing more", errors.Damaged),
        ("a.txt", PNG, errors.NotText),
        ("prices.csv", os.urandom(4096), errors.NotText),
        ("a.pdf", b"\x7fELF" + os.urandom(2000), errors.NotText),
        ("a.md", bytes(range(1, 32)) * 50, errors.NotText),
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600, errors.UnknownFormat),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_sentence(
    tmp_path: Path, name: str, content: bytes, refused: type[Unreadable]
) -> None:
    with pytest.raises(refused) as caught:
        read(_written(tmp_path / "x", content), name, "application/pdf", Limits(pages=10))
    assert type(caught.value) is refused
    assert len(str(caught.value)) > 20
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_pdf_that_was_cut_off_is_damaged_or_what_is_left_of_it(tmp_path: Path, kept: float) -> None:
    whole = pdf([PdfPage(Flow().say(f"This is page {n} of a report.").lines) for n in range(30)])
    try:
        document = read(_written(tmp_path / "x", whole[: int(len(whole) * kept)]), "x.pdf")
    except (errors.Damaged, errors.Empty):
        return
    assert document.blocks[0].text.startswith("This is page 0")


@pytest.mark.parametrize("format_", ["docx", "xlsx"])
def test_an_office_file_that_was_cut_off_is_damaged(tmp_path: Path, format_: str) -> None:
    path = tmp_path / f"x.{format_}"
    whole = (word(path) if format_ == "docx" else workbook(path, {"a": [["x", "y"]]})).read_bytes()
    with pytest.raises(errors.Damaged):
        read(_written(path, whole[: len(whole) // 2]), path.name)


def test_an_office_file_with_a_password_is_encrypted(tmp_path: Path) -> None:
    with pytest.raises(errors.Encrypted):
        read(_encrypted_zip(tmp_path / "x.docx"), "x.docx")


def test_an_archive_of_something_else_is_no_document(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "x", "w") as archive:
        archive.writestr("../../etc/cron.d/x", "hello")
    with pytest.raises(errors.UnknownFormat):
        read(tmp_path / "x", "x.docx")


@pytest.mark.parametrize("megabytes", [60, 300])
def test_a_zip_bomb_is_not_unpacked(tmp_path: Path, megabytes: int) -> None:
    with pytest.raises(errors.Bomb):
        read(zip_bomb(tmp_path / "x.docx", megabytes), "x.docx")


@pytest.mark.parametrize(
    ("name", "size", "head"),
    [
        ("a.txt", 1_000_000_000, b"hello"),
        ("a.pdf", 1_000_000_000, b"%PDF-1.4\n"),
        ("a.html", 49_000_000, b"<html><body>" + b"a" * 5000),
        ("a.csv", 20_000_000, b"a,b\n" * 2000),
    ],
)
def test_what_is_too_large_is_refused_before_it_is_read(
    tmp_path: Path, name: str, size: int, head: bytes
) -> None:
    with pytest.raises(errors.TooLarge):
        read(_sparse(tmp_path / "x", size, head), name)


def test_a_table_of_too_many_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.TooLarge):
        read(_written(tmp_path / "x", b"a,b\n" * 200), "x.csv", "", Limits(rows=100))


async def test_a_process_of_its_own_reads_the_same_and_tells_how_far_it_is(tmp_path: Path) -> None:
    pages = [
        PdfPage(Flow().say(f"What page {'one two three four'.split()[n]} says.").lines) for n in range(4)
    ]
    path = _written(tmp_path / "x", pdf(pages))
    steps: list[tuple[str, int, int]] = []
    document = await read_apart(path, "x.pdf", on_progress=lambda *step: steps.append(step))
    assert document == read(path, "x.pdf")
    assert steps[-1] == ("reading", 4, 4)


@pytest.mark.parametrize(
    ("name", "content", "refused"),
    [
        ("a.pdf", pdf([PAGE], is_encrypted=True), errors.Encrypted),
        ("a.pdf", pdf([PAGE] * 10_000), errors.TooManyPages),
        ("a.txt", PNG, errors.NotText),
    ],
)
async def test_the_refusal_crosses_the_process(
    tmp_path: Path, name: str, content: bytes, refused: type[Unreadable]
) -> None:
    with pytest.raises(refused):
        await read_apart(_written(tmp_path / "x", content), name)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("nested.pdf", nested_pdf(200_000)),
        ("nested.html", b"<html><body>" + b"<div>" * 300_000 + b"deep text"),
        ("nested.md", b">" * 500_000 + b" deep text that is quoted"),
        ("lines.txt", b"Word " * 400_000),
    ],
)
async def test_what_is_nested_without_end_is_read_or_refused_in_time(
    tmp_path: Path, name: str, content: bytes
) -> None:
    limits = Limits(seconds=20)
    # The largest child that this process ever had: others may have been larger than a reader may be.
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    started = time.monotonic()
    with suppress(Unreadable):
        await read_apart(_written(tmp_path / "x", content), name, limits=limits)
    assert time.monotonic() - started < 40
    used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert used == before or used * 1024 < limits.memory_bytes


async def test_a_reader_that_takes_too_much_memory_is_ended(tmp_path: Path) -> None:
    content = b"<html><body>" + b"<p>some text in a page</p>" * 300_000
    with pytest.raises(errors.TooMuchMemory):
        await read_apart(_written(tmp_path / "x", content), "x.html", limits=Limits(memory_bytes=250_000_000))


async def test_a_reader_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    content = b"<html><body>" + b"<p>some text in a page</p>" * 300_000
    with pytest.raises(errors.TooSlow):
        await read_apart(_written(tmp_path / "x", content), "x.html", limits=Limits(seconds=1))


async def test_letting_go_of_a_reader_ends_its_process(tmp_path: Path) -> None:
    path = _written(tmp_path / "x", b"<html><body>" + b"<p>some text in a page</p>" * 300_000)
    began = asyncio.Event()
    reading = asyncio.create_task(read_apart(path, "x.html", on_progress=lambda *_: began.set()))
    await asyncio.wait_for(began.wait(), 30)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert not [child for child in psutil.Process().children() if str(path) in child.cmdline()]
