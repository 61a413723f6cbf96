"""Cutting answers into pieces, and writing out what a voice misreads."""

import itertools

import pytest

from pipelines.local.clauses import ClauseCutter, speakable, timed_words

ANSWER = (
    "Certainly, I would be happy to help you with that appointment today, if you tell me when. "
    "Dr. Smith is in at 3 p.m. on Friday. Is that all right? Yes"
)


def cut(text: str, size: int) -> list[str]:
    cutter = ClauseCutter()
    pieces = [piece for at in range(0, len(text), size) for piece in cutter.push(text[at : at + size])]
    return [*pieces, *cutter.flush()]


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_pieces_are_the_text_again(size: int) -> None:
    assert "".join(cut(ANSWER, size)) == ANSWER


@pytest.mark.parametrize("size", [1, 1000])
def test_only_a_long_opening_is_cut_at_a_clause(size: int) -> None:
    pieces = [piece.strip() for piece in cut(ANSWER, size)]
    assert pieces == [
        "Certainly, I would be happy to help you with that appointment today,",
        "if you tell me when.",
        "Dr. Smith is in at 3 p.m. on Friday.",
        "Is that all right?",
        "Yes",
    ]


def test_a_short_sentence_stays_whole() -> None:
    assert cut("Yes, of course, we are open. ", 1) == ["Yes, of course, we are open. "]


def test_nothing_gives_no_piece() -> None:
    assert cut("  \n ", 1) == [] or not "".join(cut("  \n ", 1)).strip()


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Write to jo.lee@example.com.", "Write to jo dot lee at example dot com."),
        ("See https://www.example.com/book, please.", "See example dot com slash book, please."),
        ("Visit example.org.", "Visit example dot org."),
        ("**Bold** and `code` 😀 & more", "Bold and code and more"),
        ("[our page](https://example.com/x) says", "our page says"),
        ("It costs $9.50 at 3.30 p.m.", "It costs $9.50 at 3.30 p.m."),
    ],
)
def test_addresses_are_spoken_as_words(written: str, said: str) -> None:
    assert speakable(written) == said


def test_timed_words_are_the_piece_again_and_fill_its_time() -> None:
    words = timed_words("We are open. ", 2.0, 1.0)
    assert "".join(word.text for word in words) == "We are open. "
    assert words[0].starts_at == 2.0
    assert words[-1].ends_at == pytest.approx(3.0)
    assert all(a.ends_at == b.starts_at for a, b in itertools.pairwise(words))
