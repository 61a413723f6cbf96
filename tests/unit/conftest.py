"""The scripted engine's meanings, loaded once, and a talk with its clinic."""

import pytest

from kb.embeddings import MiniLmEmbedder
from tests.support.scripted_clinic import KNOWLEDGE, PROMPT, book_appointment, find_queue_length
from tests.support.scripted_talk import Talk


@pytest.fixture(scope="module")
def embedder() -> MiniLmEmbedder:
    return MiniLmEmbedder()


@pytest.fixture
def talk(embedder: MiniLmEmbedder) -> Talk:
    return Talk(PROMPT, KNOWLEDGE, [book_appointment, find_queue_length], embedder=embedder)
