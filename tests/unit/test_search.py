"""A question finds passages by what it means and by its words, and each score can be explained."""

from collections.abc import Sequence

import numpy as np
import pytest

from kb.chunking import Passage
from kb.index import Index, build
from kb.search import _EXACT, rerank, search
from tests.unit.test_index import unit


def _large(count: int = _EXACT + 1000) -> Index:
    held = [Passage(f"s{n % 5}", "", f"Passage {n} about thing {n % 17} and code{n}.") for n in range(count)]
    # Vectors of an embedder have far fewer directions than dimensions.
    directions = np.random.default_rng(1).normal(size=(24, 128)).astype(np.float32)
    rows = unit(count, 24) @ directions + 0.2 * unit(count, 128)
    return build(held, rows / np.linalg.norm(rows, axis=1, keepdims=True), "all-MiniLM-L6-v2")


LARGE = _large()


def test_an_empty_base_answers_nothing() -> None:
    assert search(build([]), "anything") == []
    assert search(build([]), "anything", unit(1)[0]) == []


def test_without_vectors_words_find_the_passage() -> None:
    index = build([Passage("1", "", "The pool opens at nine."), Passage("2", "", "The lift is broken.")])
    found = search(index, "is the lift working")
    assert [each.passage.source_id for each in found] == ["2"]
    assert 0 < found[0].score <= 1
    assert found[0].cosine is None


@pytest.mark.parametrize("number", [0, 77, 4999])
def test_a_large_base_finds_by_meaning_what_comparing_everything_finds(number: int) -> None:
    vector = LARGE.vectors[number] + 0.5 * unit(1, 128, seed=9)[0]
    exact = np.argsort(-(LARGE.vectors @ vector))[:5]
    found = search(LARGE, "", np.asarray(vector, np.float32), top_k=5)
    assert [each.number for each in found] == exact.tolist()


def test_a_code_is_found_by_its_letters_whatever_the_meaning_says() -> None:
    assert search(LARGE, "where is my order code4321", unit(1, 128, seed=5)[0], top_k=1)[
        0
    ].passage.text.endswith("code4321.")


@pytest.mark.parametrize("padding", [0, 5_000])
def test_of_what_means_nearly_the_same_the_one_with_the_number_comes_first(padding: int) -> None:
    """A room's passage that says other things, too, means less of its price than the next room's does."""
    rng = np.random.default_rng(5)
    price, other = np.eye(384, dtype=np.float32)[:2]
    rooms = [Passage(str(n), f"Room {n}", f"Room {n} costs {n}0 euros.") for n in range(1, 20)]
    alike = [0.4 if n == 7 else 0.8 for n in range(1, 20)]
    noise = rng.normal(size=(padding, 384)).astype(np.float32)
    noise /= np.maximum(np.linalg.norm(noise, axis=1, keepdims=True), 1e-9)
    vectors = np.concatenate([[a * price + (1 - a * a) ** 0.5 * other for a in alike], noise])
    passages = [*rooms, *(Passage("x", "", f"Something else {n}.") for n in range(1000, 1000 + padding))]
    index = build(passages, vectors.astype(np.float32), "all-MiniLM-L6-v2")
    found = search(index, "What does room 7 cost?", price)
    assert found[0].passage.source_id == "7"
    assert found[1].score > 0.6, "the others stay what they were"
    assert search(index, "What does a room cost?", price)[0].passage.source_id != "7"


def test_a_number_of_something_else_does_not_bring_a_passage_forward() -> None:
    near, far = np.array([[0.9, 0.4359], [0.8, 0.6]], np.float32)
    hall = Passage("hall", "Hall", "The hall upstairs is for parties of friends.")
    hours = Passage("hours", "Hours", "Dinner is served from 20 to 23.")
    index = build([hall, hours], np.stack([near, far]), "all-MiniLM-L6-v2")
    question = np.array([1.0, 0.0], np.float32)
    assert search(index, "A party for 20 friends?", question)[0].passage.source_id == "hall"
    assert search(index, "20?", question)[0].passage.source_id == "hours"


def test_only_the_sources_that_were_asked_for_are_searched() -> None:
    small = build([LARGE.passage(n) for n in range(40)], LARGE.vectors[:40], "x")
    for index in (LARGE, small):
        found = search(index, "passage about thing code4", LARGE.vectors[2], top_k=20, sources={"s1", "s3"})
        assert {each.passage.source_id for each in found} == {"s1", "s3"}
        assert search(index, "thing", LARGE.vectors[2], sources={"nobody's"}) == []
        by_words = search(index, "passage about thing", top_k=20, sources={"s4"})
        assert {each.passage.source_id for each in by_words} == {"s4"}


@pytest.mark.parametrize("space", ["all-MiniLM-L6-v2", "multilingual-e5-small-q4"])
def test_what_has_no_vector_is_scored_by_its_words_alone(space: str) -> None:
    held = [Passage("1", "", "The pool opens at nine."), Passage("2", "", "The lift is broken.")]
    by_words = search(build(held), "is the lift working")[0].score
    assert search(build(held, unit(2), space), "is the lift working")[0].score == by_words
    half = unit(2)
    half[1] = 0
    found = search(build(held, half, space), "is the lift working", -half[0])[0]
    assert (found.score, found.cosine) == (by_words, None)


def test_a_score_explains_itself() -> None:
    index = build(
        [Passage("1", "", "A crown costs 900 euros."), Passage("2", "", "We open at nine.")], unit(2), "x"
    )
    best = search(index, "What does a crown cost?", unit(2)[0], top_k=1)[0]
    assert best.matched == ("crown", "cost")
    assert best.coverage == pytest.approx(1)
    assert best.explain() == f"{best.score:.2f}, sure enough: meaning 1.00, words 100% (crown, cost)"


def test_every_score_lies_between_nothing_and_one() -> None:
    for found in search(LARGE, "thing code17 passage", LARGE.vectors[0], top_k=200):
        assert 0 < found.score < 1


def test_a_vector_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="another space"):
        search(LARGE, "x", unit(1, 64)[0])


def test_a_very_long_question_is_still_a_question() -> None:
    assert search(LARGE, "thing " + " ".join(f"code{n}" for n in range(5000)), LARGE.vectors[0])


def test_japanese_words_are_found_without_spaces() -> None:
    index = build(
        [Passage("1", "", "駐車場は建物の裏にあります。"), Passage("2", "", "営業時間は九時からです。")]
    )
    assert search(index, "駐車場はどこですか")[0].passage.source_id == "1"


async def test_a_reranker_has_the_last_word_and_the_search_stays_readable() -> None:
    class Longest:
        async def judge(self, question: str, texts: Sequence[str]) -> list[float]:
            return [len(text) / 100 for text in texts]

    index = build([Passage("1", "", "A crown."), Passage("2", "", "A crown costs 900 euros in all.")])
    found = await rerank(Longest(), "crown", search(index, "crown"))
    assert [each.passage.source_id for each in found] == ["2", "1"]
    assert found[0].score == found[0].reranked == pytest.approx(0.31)
    assert found[0].matched == ("crown",)
