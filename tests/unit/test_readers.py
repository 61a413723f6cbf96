"""Every format that can be read: what it says comes out in order, under its headings, with its page."""

from pathlib import Path

import pytest

from kb.chunking import cut
from kb.documents import Block, Document, Limits
from kb.readers import faq, html, read, title_of
from kb.readers.text import parse
from tests.support.documents import Flow, PdfPage, pdf, table_page, word, workbook

MARKDOWN = """---
author: somebody
---
# The Harbour Hotel

We stand at the old harbour since 1905.

## Rooms
Breakfast includes:

- bread
- eggs
  from our own hens

| Room | Price |
| --- | --- |
| Single | 90 euros |
| Double | 120 euros |

### Families
Q: Do you have cots?
A: Yes, free of charge.

Contact
=======
Write to **desk@harbour.test**.
"""


def _said(document: Document) -> list[tuple[str, tuple[str, ...], str]]:
    return [(block.kind, block.headings, block.text) for block in document.blocks]


def test_markdown_keeps_its_headings_lists_tables_and_questions() -> None:
    rooms = ("The Harbour Hotel", "Rooms")
    assert _said(parse(MARKDOWN, "hotel")) == [
        ("paragraph", ("The Harbour Hotel",), "We stand at the old harbour since 1905."),
        ("list", rooms, "Breakfast includes:\nbread\neggs from our own hens"),
        ("table", rooms, "Room: Single; Price: 90 euros\nRoom: Double; Price: 120 euros"),
        ("faq", (*rooms, "Families", "Do you have cots?"), "Yes, free of charge."),
        ("paragraph", ("Contact",), "Write to desk@harbour.test."),
    ]


def test_plain_text_has_headings_without_marks() -> None:
    said = _said(parse("Opening hours\n\nWe open at nine.\n\nPrices:\nA cut is 30 euros.\n", "salon"))
    assert ("paragraph", ("Prices",), "A cut is 30 euros.") in said


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1254"])
def test_text_is_read_in_whatever_encoding_it_came(tmp_path: Path, encoding: str) -> None:
    text = (
        "Muayenehanemiz hafta içi dokuzdan altıya kadar açıktır. Cumartesi günleri öğleye kadar çalışıyoruz. "
        * 3
    )
    (tmp_path / "a").write_bytes(text.encode(encoding))
    read_back = read(tmp_path / "a", "saatler.txt")
    assert "öğleye kadar çalışıyoruz" in read_back.blocks[0].text
    assert read_back.language == "tr"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("We are open from nine to six on weekdays and closed on Sunday.", "en"),
        ("Abrimos de lunes a viernes de nueve a seis y cerramos los domingos.", "es"),
        ("Wir haben werktags von neun bis sechs geöffnet.", "de"),
        ("Hi", ""),
    ],
)
def test_the_language_is_guessed_when_there_is_enough_to_guess_from(
    tmp_path: Path, text: str, language: str
) -> None:
    (tmp_path / "a").write_text(text)
    assert read(tmp_path / "a", "a.txt").language == language


PAGE = """<html><head><title>Bike rental</title><script>var x = 1;</script></head><body>
<nav><ul><li><a href="/">Home</a></li><li><a href="/prices">Prices</a></li></ul></nav>
<header>Welcome to our site</header>
<main><h1>Bikes for a day</h1><p>Our shop lends city bikes, cargo bikes and electric bikes to
everybody over sixteen.<br>Helmets are free.</p>
<h2>Prices</h2><table><tr><th>Bike</th><th>Day</th></tr><tr><td>City</td><td>15 euros</td></tr>
<tr><td>Electric</td><td>35 euros</td></tr></table>
<h2>Bring with you</h2><p>Please bring:</p><ul><li>an identity card</li><li>a deposit of 100 euros</li></ul>
<details><summary>Can I bring the bike back at night?</summary><p>Yes, into the locked yard.</p></details>
</main><footer>Copyright, imprint, cookies</footer></body></html>"""


def test_a_web_page_is_its_text_and_not_its_menus() -> None:
    document = html.parse(PAGE, "page")
    assert document.title == "Bike rental"
    everything = "\n".join(block.text for block in document.blocks)
    for said in (
        "Helmets are free.",
        "Bike: Electric; Day: 35 euros",
        "a deposit of 100 euros",
        "locked yard",
    ):
        assert said in everything
    for unsaid in ("Home", "Copyright", "var x", "Welcome to our site"):
        assert unsaid not in everything
    prices = next(block for block in document.blocks if block.kind == "table")
    assert prices.headings[-1] == "Prices"


def test_a_pdf_has_its_text_in_order_under_its_headings_with_pages(tmp_path: Path) -> None:
    first = (
        Flow().say("Guest handbook", size=22).skip().say("Check-in is from three in the afternoon and you")
    )
    first.say("get your key at the desk.").skip().say("Parking", size=16).say(
        "The garage costs 12 euros a night."
    )
    second = Flow().say("Breakfast", size=16).say("Breakfast is from seven to ten.")
    path = tmp_path / "x"
    path.write_bytes(pdf([PdfPage(first.lines), PdfPage(second.lines)]))
    document = read(path, "handbook.pdf", "application/pdf")
    assert document.pages == 2
    assert document.blocks == (
        Block("paragraph", "Check-in is from three in the afternoon and you get your key at the desk.",
              ("Guest handbook",), 1),
        Block("paragraph", "The garage costs 12 euros a night.", ("Guest handbook", "Parking"), 1),
        Block("paragraph", "Breakfast is from seven to ten.", ("Guest handbook", "Breakfast"), 2),
    )  # fmt: skip


def test_a_ruled_table_of_a_pdf_is_rows_and_said_once(tmp_path: Path) -> None:
    rows = [["Room", "Price", "Beds"], ["Single", "90 euros", "1"], ["Double", "120 euros", "2"]]
    (tmp_path / "x").write_bytes(
        pdf([table_page(rows, before="Our rooms are quiet.", after="Tax is included.")])
    )
    document = read(tmp_path / "x", "rooms.pdf")
    assert [block.text for block in document.blocks] == [
        "Our rooms are quiet.",
        "Tax is included.",
        "Room: Single; Price: 90 euros; Beds: 1\nRoom: Double; Price: 120 euros; Beds: 2",
    ]


def test_running_titles_and_page_numbers_of_a_pdf_are_left_out(tmp_path: Path) -> None:
    pages = []
    for number in range(1, 6):
        flow = (
            Flow()
            .say("ACME Inc. - Confidential")
            .skip(40)
            .say(f"Fact {number} is told on its own page only.")
        )
        pages.append(PdfPage([*flow.lines, (9, 280, 30, f"Page {number} of 5")]))
    (tmp_path / "x").write_bytes(pdf(pages))
    text = [block.text for block in read(tmp_path / "x", "x.pdf").blocks]
    assert text == [f"Fact {number} is told on its own page only." for number in range(1, 6)]


def test_headings_that_differ_by_a_number_alone_are_no_running_titles(tmp_path: Path) -> None:
    pages = []
    for number in range(1, 6):
        flow = Flow().say(f"Room {number}", size=20).skip()
        flow.say(f"This room costs {number}0 euros a night, and breakfast is part of the price.").skip(300)
        pages.append(PdfPage(flow.say(f"Page {number} of 5", size=8).lines))
    path = tmp_path / "rooms.pdf"
    path.write_bytes(pdf(pages))
    blocks = read(path, "rooms.pdf").blocks
    assert [block.headings for block in blocks] == [(f"Room {number}",) for number in range(1, 6)]
    assert not any("Page" in block.text for block in blocks)


def test_scanned_pages_among_others_are_named(tmp_path: Path) -> None:
    pages = [PdfPage(Flow().say("This page has text that can be read.").lines), PdfPage(has_picture=True)]
    (tmp_path / "x").write_bytes(pdf(pages))
    assert read(tmp_path / "x", "x.pdf").scanned_pages == (2,)


def test_a_word_document_keeps_headings_lists_and_tables(tmp_path: Path) -> None:
    assert _said(read(word(tmp_path / "rules.docx"), "rules.docx")) == [
        ("paragraph", ("House rules",), "Quiet hours are from ten in the evening to seven in the morning."),
        ("list", ("House rules", "Pets"), "You may bring:\none dog up to 20 kilos\ntwo cats"),
        ("table", ("House rules", "Fees"), "What: Dog; Price: 12 euros\nWhat: Cat; Price: 8 euros"),
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_rows_of_a_csv_name_their_columns(tmp_path: Path, separator: str) -> None:
    rows = [["Service", "Minutes", "Price"], ["Cleaning", "30", "80"], ["Whitening", "60", "250"]]
    (tmp_path / "x").write_text("\n".join(separator.join(row) for row in rows))
    assert read(tmp_path / "x", "prices.csv").blocks == (
        Block(
            "table", "Service: Cleaning; Minutes: 30; Price: 80\nService: Whitening; Minutes: 60; Price: 250"
        ),
    )


def test_a_workbook_is_rows_by_sheet_and_its_faq_are_pairs(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "x.xlsx",
        {
            "Staff": [["Name", "Days"], ["Dr. Kaya", "Monday"]],
            "FAQ": [["Question", "Answer"], ["Do you park?", "Behind the house."], ["", "Nobody asked."]],
        },
    )
    assert _said(read(path, "x.xlsx")) == [
        ("table", ("Staff",), "Name: Dr. Kaya; Days: Monday"),
        ("faq", ("FAQ", "Do you park?"), "Behind the house."),
    ]


def test_rows_of_a_workbook_that_are_empty_are_no_rows(tmp_path: Path) -> None:
    rows: list[list[object]] = [
        ["Name", "Days"],
        *[[None, None]] * 300,
        ["Dr. Kaya", "Monday"],
        *[[None]] * 300,
    ]
    path = workbook(tmp_path / "x.xlsx", {"a": rows})
    (block,) = read(path, "x.xlsx", "", Limits(rows=2)).blocks
    assert block.text == "Name: Dr. Kaya; Days: Monday"


@pytest.mark.parametrize(
    ("name", "declared"), [("a.txt", "text/html"), ("page", "image/png"), ("a.docx", "")]
)
def test_a_file_is_what_its_bytes_say_and_not_what_it_is_called(
    tmp_path: Path, name: str, declared: str
) -> None:
    (tmp_path / "x").write_bytes(pdf([PdfPage(Flow().say("This was a PDF all along.").lines)]))
    assert read(tmp_path / "x", name, declared).blocks[0].text == "This was a PDF all along."
    (tmp_path / "y").write_text(PAGE)
    assert read(tmp_path / "y", "a.pdf", "application/pdf").title == "Bike rental"


def test_pairs_of_question_and_answer_are_a_document() -> None:
    document = faq.read([("Do you park?", "Behind the house."), (" ", "x")], "FAQ")
    (passage,) = cut("s", document)
    assert (passage.title, passage.text, passage.kind) == ("FAQ - Do you park?", "Behind the house.", "faq")


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\price_list.pdf", "price list"),
        ("..", "Untitled"),
        ("a\x00b\n.txt", "a b"),
        ("x" * 500 + ".pdf", "x" * 200),
    ],
)
def test_a_name_is_a_title_and_never_a_path(name: str, title: str) -> None:
    assert title_of(name) == title


def test_a_document_crosses_a_process_unchanged() -> None:
    document = Document("t", (Block("faq", "ä\ud800"[:1], ("q",), 3),), "en", 3, (2,))
    assert Document.from_json(document.to_json()) == document
