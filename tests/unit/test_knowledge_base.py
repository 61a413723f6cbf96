"""Texts become sentences, sentences passages, and a question finds the right one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb.chunking import passages, plain, sentences, statements
from kb.embeddings import MiniLmEmbedder
from kb.index import build
from kb.search import search
from kb.words import fold, stem, terms

SENTENCES = [
    ("We open at 9 a.m. on weekdays. Dr. Kaya is in on Mondays.", 2),
    ("A crown costs 3.50 per day. It is 1,250.00 in all. Call 555.123.4567 now.", 3),
    ("We open at 9 a.m. Monday to Friday. On Sunday we rest.", 2),
    ("Ask for J. Smith at the desk! Is that far? No.", 3),
    ("Bring e.g. a passport or an I.D. card.", 1),
    ("Muayene 500 lira. Adres: Bağdat Cad. No. 12, 3. kat.", 2),
    ("One sentence without an end", 1),
    ("", 0),
    ("営業時間は九時からです。日曜日は休みです。", 2),
    ("نفتح في التاسعة صباحا. هل تريد موعدا؟ نعم.", 3),
    ("Llame a la Sra. López. Abrimos a las 9.", 2),
]


@pytest.mark.parametrize(("text", "count"), SENTENCES)
def test_only_the_end_of_a_sentence_ends_it(text: str, count: int) -> None:
    assert len(sentences(text)) == count


@given(st.text(max_size=200))
def test_no_word_is_lost_or_made_up_when_text_is_cut(text: str) -> None:
    line = " ".join(text.split())
    assert "".join(" ".join(sentences(line)).split()) == "".join(line.split())


def test_list_lines_stand_under_their_heading() -> None:
    said = statements(
        "# Opening hours\n- Monday to Friday: 9 to 18\n- **Saturday**: 10 to 14\n\n"
        "# Prices\nA cleaning is 80 euros."
    )
    assert [(each.about, each.text) for each in said] == [
        ("Opening hours", "Monday to Friday: 9 to 18"),
        ("Opening hours", "Saturday: 10 to 14"),
        ("Prices", "A cleaning is 80 euros."),
    ]


def test_a_written_question_is_what_its_answer_is_about() -> None:
    said = statements(
        "Q: Do you have parking?\nA: Yes, behind the house.\nQ: I lost a key\nA: Call us.\n\n"
        "Can I pay by card? All cards are fine."
    )
    assert [(each.about, each.text) for each in said] == [
        ("Do you have parking?", "Yes, behind the house."),
        ("I lost a key", "Call us."),
        ("Can I pay by card?", "All cards are fine."),
    ]


def test_lines_wrapped_at_a_margin_are_one_sentence() -> None:
    said = statements(
        "Our house has been standing at the old harbour since\n"
        "nineteen hundred and five, they say. It is red."
    )
    assert [each.text for each in said][1] == "It is red."


def test_markdown_is_not_spoken() -> None:
    assert plain("See **our** [map](http://x.test) `now`, _please_ | a") == "See our map now, please | a"


def test_passages_keep_whole_sentences_and_their_size() -> None:
    text = " ".join(f"Sentence number {n} says a little something." for n in range(60))
    found = passages("s", "Title", text)
    assert len(found) > 3
    assert all(len(each.text) <= 430 and each.text.endswith(".") for each in found)


def test_words_compare_across_spellings_and_endings() -> None:
    assert stem("booking") == stem("booked") == stem("books") == stem("book")
    assert fold("IŞIK İÇİN") == fold("ışık için")
    assert terms("What are the prices of the bikes?") == [stem("prices"), stem("bikes")]


async def test_a_passage_is_found_by_its_meaning() -> None:
    held = [
        *passages("h", "Visiting", "We are open from nine to six. Dogs may come in."),
        *passages("p", "Prices", "A ticket is 12 euros. Children under six are free."),
    ]
    embedder = MiniLmEmbedder()
    index = build(held, await embedder.embed([f"{each.title}. {each.text}" for each in held]), embedder.space)
    question = "What does admission cost for adults?"
    found = search(index, question, (await embedder.embed([question]))[0], top_k=1)
    assert found[0].passage.source_id == "p"
    assert found[0].score > 0.5
