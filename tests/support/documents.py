"""Files of every format that can be read, made from what they say: a PDF is written byte by byte."""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import docx
import openpyxl


@dataclass
class PdfPage:
    """Lines as (size, x, y, text) with y from the bottom; strokes as (x0, y0, x1, y1)."""

    lines: Sequence[tuple[float, float, float, str]] = ()
    strokes: Sequence[tuple[float, float, float, float]] = ()
    has_picture: bool = False


@dataclass
class Flow:
    """A page written from the top down."""

    y: float = 780
    lines: list[tuple[float, float, float, str]] = field(default_factory=list)

    def say(self, text: str, size: float = 11, x: float = 60, gap: float = 3) -> "Flow":
        """One line."""
        self.lines.append((size, x, self.y, text))
        self.y -= size + gap
        return self

    def skip(self, height: float = 14) -> "Flow":
        """An empty line."""
        self.y -= height
        return self


def table_page(rows: Sequence[Sequence[str]], *, before: str = "", after: str = "") -> PdfPage:
    """A page with a ruled table, and a line above and below it."""
    left, top, width, height = 60, 700, 140, 22
    lines = [
        (11.0, left + 6.0, top - height * (n + 1) + 7.0, row) for n, row in enumerate(rows) for row in [row]
    ]
    texts = [
        (size, x + width * column, y, cell) for size, x, y, row in lines for column, cell in enumerate(row)
    ]
    across, down = len(rows[0]), len(rows)
    strokes = [(left, top - height * n, left + width * across, top - height * n) for n in range(down + 1)]
    strokes += [(left + width * n, top, left + width * n, top - height * down) for n in range(across + 1)]
    texts += [(11, left, top + 20, before)] if before else []
    texts += [(11, left, top - height * down - 40, after)] if after else []
    return PdfPage(texts, strokes)


def pdf(pages: Sequence[PdfPage], *, is_encrypted: bool = False) -> bytes:
    """A PDF of these pages; Latin letters only. Encrypted with a password nobody has, if told."""
    objects: list[bytes] = [b"", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    picture = b""
    if any(page.has_picture for page in pages):
        objects.append(
            b"<< /Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray "
            b"/BitsPerComponent 8 /Length 1 >>\nstream\n\x80\nendstream"
        )
        picture = b" /XObject << /P 4 0 R >>"
    kids = []
    for page in pages:
        drawn = [f"{x0} {y0} m {x1} {y1} l S" for x0, y0, x1, y1 in page.strokes]
        drawn += [
            f"BT /F {size} Tf 1 0 0 1 {x} {y} Tm ({_escaped(text)}) Tj ET" for size, x, y, text in page.lines
        ]
        drawn += ["q 500 0 0 700 40 40 cm /P Do Q"] if page.has_picture else []
        stream = "\n".join(drawn).encode("latin-1")
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R "
            b"/Resources << /Font << /F 3 0 R >>%s >> >>" % (len(objects), picture)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[0] = b"<< /Type /Catalog /Pages 2 0 R >>"
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(kids), b" ".join(kids))
    return _written(objects, is_encrypted=is_encrypted)


def _written(objects: Sequence[bytes], *, is_encrypted: bool = False) -> bytes:
    out = io.BytesIO()
    out.write(b"%PDF-1.4\n")
    places = []
    for number, content in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, content))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.writelines(b"%010d 00000 n \n" % place for place in places)
    lock = b" /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <%s> /U <%s> >> /ID [<00> <00>]" % (
        b"11" * 32,
        b"22" * 32,
    )
    trailer = b"<< /Size %d /Root 1 0 R%s >>" % (len(objects) + 1, lock if is_encrypted else b"")
    out.write(b"trailer\n%s\nstartxref\n%d\n%%%%EOF\n" % (trailer, start))
    return out.getvalue()


def nested_pdf(depth: int) -> bytes:
    """A PDF whose page holds arrays in arrays, and whose pages hold pages, so deep that recursion ends."""
    deep = b"[" * depth + b"]" * depth
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Annots %s >>" % deep,
    ]
    return _written(objects)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def word(path: Path) -> Path:
    """A Word document: headings, a list with what leads it in, a table."""
    made = docx.Document()
    made.add_heading("House rules", level=1)
    made.add_paragraph("Quiet hours are from ten in the evening to seven in the morning.")
    made.add_heading("Pets", level=2)
    made.add_paragraph("You may bring:")
    made.add_paragraph("one dog up to 20 kilos", style="List Bullet")
    made.add_paragraph("two cats", style="List Bullet")
    made.add_heading("Fees", level=2)
    table = made.add_table(rows=3, cols=2)
    for row, cells in zip(
        table.rows, [("What", "Price"), ("Dog", "12 euros"), ("Cat", "8 euros")], strict=True
    ):
        for cell, text in zip(row.cells, cells, strict=True):
            cell.text = text
    made.save(str(path))
    return path


def workbook(path: Path, sheets: dict[str, Sequence[Sequence[object]]]) -> Path:
    """An XLSX file of these sheets."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    book.save(path)
    return path


def zip_bomb(path: Path, megabytes: int) -> Path:
    """A DOCX of a few kilobytes whose text is this large."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        with archive.open("word/document.xml", "w", force_zip64=True) as member:
            for _ in range(megabytes):
                member.write(b" " * 1_000_000)
    return path
