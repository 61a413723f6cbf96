"""The first agent that anybody talks to: what a caller asks the demo clinic, and what must be said."""

import pytest

from api.seed_data import clinic
from kb.embeddings import MiniLmEmbedder
from tests.support.scripted_talk import Talk

ASKED: tuple[tuple[str, str], ...] = (
    ("What are your opening hours on Saturday?", "from 9 a.m. to 1 p.m."),
    ("are you open on sunday", "we are closed"),
    ("what are your opening hours", "Monday to Friday from 8 a.m. to 6 p.m."),
    ("How much does a teeth cleaning cost?", "95 dollars"),
    ("how much is a root canal", "700 dollars"),
    ("What does whitening cost?", "280 dollars"),
    ("which services do you offer?", "check-ups, teeth cleaning"),
    ("What services do you have?", "check-ups, teeth cleaning"),
    ("Where is your office?", "42 Maple Street"),
    ("Sorry, where's your office?", "42 Maple Street"),
    ("where are you located", "42 Maple Street"),
    ("is there parking", "parking is behind the building"),
    ("Do you take Cigna?", "Cigna"),
    ("Which insurance do you accept?", "Delta Dental"),
    ("Do you take emergencies?", "555 0142"),
    ("how long does a cleaning take", "forty minutes"),
    ("Who are the dentists?", "Elena Park"),
    ("can I pay by card", "by card"),
    ("do you treat children", "from the age of three"),
    ("what happens if I miss an appointment", "40 dollars"),
)

UNKNOWN = (
    "Do you have a job for me?",
    "what's the weather tomorrow",
    "How much is a plane ticket to Paris?",
    "Do you sell toothbrushes?",
)


@pytest.fixture(scope="module")
def embedder() -> MiniLmEmbedder:
    return MiniLmEmbedder()


def talk(embedder: MiniLmEmbedder) -> Talk:
    return Talk(clinic.INSTRUCTIONS, clinic.KNOWLEDGE, embedder=embedder)


@pytest.mark.parametrize(("question", "fact"), ASKED)
async def test_the_clinic_answers_what_its_callers_ask(
    question: str, fact: str, embedder: MiniLmEmbedder
) -> None:
    assert fact in await talk(embedder).say(question)


@pytest.mark.parametrize("question", UNKNOWN)
async def test_the_clinic_does_not_have_what_nobody_told_it(question: str, embedder: MiniLmEmbedder) -> None:
    assert "I'm sorry, I don't have" in await talk(embedder).say(question)


async def test_all_of_it_in_one_call(embedder: MiniLmEmbedder) -> None:
    call = talk(embedder)
    missed = [question for question, fact in ASKED if fact not in await call.say(question)]
    assert missed == []
