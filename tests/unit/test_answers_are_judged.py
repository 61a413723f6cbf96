"""The two bridges between a question and an answer in other words: reading both together, and topics."""

import numpy as np
import pytest

from kb.embeddings import MiniLmEmbedder
from kb.reranking import MsMarcoRanker
from pipelines.local.scripted import topics
from pipelines.local.scripted.meaning import Meanings
from pipelines.local.scripted.prompts import read_prompt
from tests.support.remembered import RememberedModels

LOST = "Lost things stay in the box for a month."
HOURS = "We are open Monday to Friday from 8 am to 6 pm."


def test_an_answer_scores_far_above_what_only_shares_words() -> None:
    question = "How long does a cleaning take?"
    answer, near, far = MsMarcoRanker().rank_now(
        question, ["A cleaning takes forty minutes.", "A cleaning costs 95 dollars.", "Parking is free."]
    )
    assert answer > near + 3 > far + 3
    assert MsMarcoRanker().rank_now(question, []).shape == (0,)


def test_the_vectors_of_the_topics_are_of_the_texts_beside_them() -> None:
    asked, stated = topics.written()
    held = topics.topics()
    with np.load(topics._DATA / "topics.npz") as file:  # type: ignore[call-overload]
        assert str(file["digest"]) == topics.digest(), "python -m bench.answer_weights --topics"
    assert held.asked.shape == (len(asked), MiniLmEmbedder.dimensions)
    assert held.stated.shape == (len(stated), MiniLmEmbedder.dimensions)
    assert set(held.asked_of) == set(held.stated_of) == {topic for topic, _ in asked}


async def test_a_question_shares_its_topic_with_an_answer_that_has_none_of_its_words() -> None:
    models = RememberedModels()
    meanings = Meanings(models, models)
    question = "I think I forgot my scarf at your place"
    await meanings.learn([question, LOST, HOURS])
    (lost, spread_lost), (hours, spread_hours) = meanings.topics_shared(question, [LOST, HOURS])
    assert lost > hours + 0.15
    assert spread_lost > spread_hours


async def test_vectors_of_another_model_share_no_topic() -> None:
    class Other:
        space = "of another model"

        async def embed(self, texts: list[str]) -> np.ndarray:
            return np.ones((len(texts), 3), np.float32)

    meanings = Meanings(Other())  # type: ignore[arg-type]
    await meanings.learn(["a", "b"])
    assert meanings.topics_shared("a", ["b"]) == [(0.0, 0.0)]


async def test_a_ranker_is_asked_once_for_a_pair_and_missed_without_harm(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Counting:
        asked = 0

        async def rank(self, question: str, texts: list[str]) -> np.ndarray:
            self.asked += len(texts)
            if question == "broken":
                raise OSError
            return np.arange(len(texts), dtype=np.float32)

    ranker = Counting()
    meanings = Meanings(None, ranker)  # type: ignore[arg-type]
    assert await meanings.judge("q", ["a", "b"]) == [0.0, 1.0]
    assert await meanings.judge("q", ["b", "a"]) == [1.0, 0.0]
    assert ranker.asked == 2
    assert await meanings.judge("broken", ["a"]) is None
    assert "likeness decides" in caplog.text


def test_what_is_told_in_a_case_is_about_that_case() -> None:
    prompt = read_prompt("If somebody has been arrested, tell them that the emergency line is 555 018.")
    (fact,) = prompt.facts
    assert (fact.text, fact.about) == ("The emergency line is 555 018.", "somebody has been arrested")
