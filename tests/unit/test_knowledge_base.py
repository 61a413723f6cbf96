"""Texts become passages, passages an index in one file, and a question finds the right one."""

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb.chunking import Passage, passages, plain, sentences, statements
from kb.embeddings import MiniLmEmbedder, Vectors
from kb.index import BrokenIndex, build, load, save
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
]


@pytest.mark.parametrize(("text", "count"), SENTENCES)
def test_only_the_end_of_a_sentence_ends_it(text: str, count: int) -> None:
    assert len(sentences(text)) == count


@given(st.text(max_size=200))
def test_no_word_is_lost_or_made_up_when_text_is_cut(text: str) -> None:
    line = " ".join(text.split())
    assert " ".join(sentences(line)).split() == line.split()


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


def _vectors(count: int, dimensions: int = 8) -> Vectors:
    rows = np.random.default_rng(0).normal(size=(count, dimensions)).astype(np.float32)
    unit: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def test_an_index_is_the_same_after_a_trip_to_disk(tmp_path: Path) -> None:
    index = build(
        [Passage("1", "Hours", "Open at nine."), Passage("2", "Price", "Ten euros.")], _vectors(2), "x"
    )
    save(index, tmp_path / "a.kb")
    again = load(tmp_path / "a.kb")
    assert again.passages == index.passages
    assert again.vocabulary == index.vocabulary
    assert np.array_equal(again.vectors, index.vectors)
    assert isinstance(again.vectors.base, np.memmap)
    found = search(again, "how many euros", again.vectors[1])
    assert found[0].passage.source_id == "2"


def test_an_empty_base_is_a_base_too(tmp_path: Path) -> None:
    save(build([]), tmp_path / "a.kb")
    assert search(load(tmp_path / "a.kb"), "anything") == []


@pytest.mark.parametrize("content", [b"", b"hello", b"call2mekb\x00\x00\x00\x00\x00\x00\x01" + b"\x00" * 20])
def test_a_broken_file_is_named_as_such(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.kb").write_bytes(content)
    with pytest.raises(BrokenIndex):
        load(tmp_path / "a.kb")


def test_without_vectors_words_find_the_passage() -> None:
    index = build([Passage("1", "", "The pool opens at nine."), Passage("2", "", "The lift is broken.")])
    found = search(index, "is the lift working")
    assert [each.passage.source_id for each in found] == ["2"]
    assert 0 < found[0].score <= 1


def test_a_search_takes_under_a_millisecond_at_small_sizes() -> None:
    held = [Passage(str(n), "", f"Passage {n} about thing {n % 17} and word{n}.") for n in range(300)]
    index = build(held, _vectors(300, 384), "x")
    question = index.vectors[7]
    took = []
    for _ in range(30):
        started = time.perf_counter()
        search(index, "what about thing seven and word7", question)
        took.append(time.perf_counter() - started)
    assert sorted(took)[5] < 0.001


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
