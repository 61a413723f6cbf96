"""The first agent that anybody talks to: what a caller asks the demo clinic, and what must be said."""

import pytest

from api.seed_data import clinic
from tests.support.clinic import ASKED, UNKNOWN
from tests.support.remembered import RememberedModels
from tests.support.scripted_talk import Talk


@pytest.fixture(scope="module")
def models() -> RememberedModels:
    return RememberedModels()


def talk(models: RememberedModels) -> Talk:
    return Talk(clinic.INSTRUCTIONS, clinic.KNOWLEDGE, embedder=models, ranker=models)


@pytest.mark.parametrize(("question", "fact"), ASKED)
async def test_the_clinic_answers_what_its_callers_ask(
    question: str, fact: str, models: RememberedModels
) -> None:
    assert fact in await talk(models).say(question)


@pytest.mark.parametrize("question", UNKNOWN)
async def test_the_clinic_does_not_have_what_nobody_told_it(question: str, models: RememberedModels) -> None:
    assert "I don't have that information" in await talk(models).say(question)


async def test_all_of_it_in_one_call(models: RememberedModels) -> None:
    call = talk(models)
    missed = [question for question, fact in ASKED if fact not in await call.say(question)]
    assert missed == []
