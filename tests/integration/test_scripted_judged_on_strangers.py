"""The scripted engine on agents it was not written with: the right fact, or a plain refusal."""

import json
import re

import pytest

from tests.support.judging import OFFER, OFFER_MORE, REFUSAL, SETS, Judged, ask_all, talk_with
from tests.support.remembered import RememberingEmbedder
from tests.support.strangers import BIKES, HOTEL, LATER_STRANGERS, LIBRARY, STRANGERS, Stranger
from tests.support.strangers_at_last import AT_LAST
from tests.support.strangers_at_the_counter import AT_THE_COUNTER
from tests.support.strangers_at_the_door import AT_THE_DOOR
from tests.support.strangers_at_the_end import AT_THE_END
from tests.support.strangers_by_phone import BY_PHONE
from tests.support.strangers_on_the_line import ON_THE_LINE
from tests.support.strangers_once_more import ONCE_MORE
from tests.support.strangers_unheard import UNHEARD

JUDGED = (*STRANGERS, *AT_THE_COUNTER)
"""Agents that it was mended for since: no measure of one that it has not seen, see docs/offline.md."""
UNSEEN = (*AT_THE_END, *AT_LAST)
"""Asked first when the engine was done; their floors are about what it came to by itself."""
HARD = (*BY_PHONE, *ON_THE_LINE, *UNHEARD)
"""Callers who hardly use a word that is written."""
EVERY = tuple(stranger for strangers in SETS.values() for stranger in strangers)
MENDED = tuple(stranger for stranger in EVERY if stranger not in AT_THE_DOOR)


@pytest.fixture(scope="module")
def embedder() -> RememberingEmbedder:
    return RememberingEmbedder()


def _written(stranger: Stranger) -> str:
    text = " ".join((stranger.instructions, *(text for _, text in stranger.knowledge)))
    return " ".join(text.split())


def _missed(judged: list[Judged]) -> list[str]:
    return [str(each) for each in judged if not each.is_right]


def _wrong(judged: list[Judged]) -> list[str]:
    return [str(each) for each in judged if each.outcome == "wrong"]


@pytest.mark.parametrize("one_call", [False, True], ids=["each in a call of its own", "all in one call"])
@pytest.mark.parametrize("stranger", JUDGED, ids=lambda stranger: stranger.name)
async def test_eight_of_ten_get_the_right_fact_and_none_a_wrong_one(
    stranger: Stranger, one_call: bool, embedder: RememberingEmbedder
) -> None:
    judged = await ask_all(stranger, stranger.judged, embedder, one_call=one_call)
    assert _wrong(judged) == []
    assert len(_missed(judged)) <= 2, _missed(judged)


@pytest.mark.parametrize("stranger", UNSEEN, ids=lambda stranger: stranger.name)
async def test_agents_that_were_not_known_get_no_worse(
    stranger: Stranger, embedder: RememberingEmbedder
) -> None:
    judged = await ask_all(stranger, stranger.judged, embedder)
    assert _wrong(judged) == []
    assert len(_missed(judged)) <= 2, _missed(judged)


@pytest.mark.parametrize("stranger", HARD, ids=lambda stranger: stranger.name)
async def test_callers_in_other_words_are_offered_the_nearest_rather_than_misled(
    stranger: Stranger, embedder: RememberingEmbedder
) -> None:
    judged = await ask_all(stranger, stranger.judged, embedder)
    assert _wrong(judged) == []
    assert len(_missed(judged)) <= 4, _missed(judged)


@pytest.mark.parametrize(
    "stranger", [*STRANGERS, *LATER_STRANGERS, *ONCE_MORE], ids=lambda stranger: stranger.name
)
async def test_questions_held_out_get_no_worse(stranger: Stranger, embedder: RememberingEmbedder) -> None:
    judged = await ask_all(stranger, stranger.held_out, embedder)
    assert _wrong(judged) == []
    assert len(_missed(judged)) <= 2, _missed(judged)


@pytest.mark.parametrize("stranger", AT_THE_DOOR, ids=lambda stranger: stranger.name)
async def test_agents_it_was_never_mended_for_get_eight_of_ten(
    stranger: Stranger, embedder: RememberingEmbedder
) -> None:
    """One fact, true and beside the question, was told surely; it is left as it came out."""
    judged = await ask_all(stranger, stranger.held_out, embedder)
    assert len(_wrong(judged)) <= (stranger.name == "Marigold & Moss")
    assert len(_missed(judged)) <= 2, _missed(judged)


async def test_of_all_questions_eight_of_ten_are_answered_and_none_wrongly(
    embedder: RememberingEmbedder,
) -> None:
    judged = [
        each
        for stranger in MENDED
        for each in await ask_all(stranger, (*stranger.judged, *stranger.held_out), embedder)
    ]
    assert _wrong(judged) == []
    assert len(_missed(judged)) <= 0.2 * len(judged), _missed(judged)


@pytest.mark.parametrize("stranger", EVERY, ids=lambda stranger: stranger.name)
async def test_every_word_of_an_answer_was_written_by_the_owner(
    stranger: Stranger, embedder: RememberingEmbedder
) -> None:
    written = _written(stranger)
    for asked, _ in (*stranger.judged, *stranger.held_out):
        reply = await talk_with(stranger, embedder).say(asked)
        told = reply.removeprefix(OFFER).replace(OFFER_MORE, " ")
        if REFUSAL not in reply and "nothing about" not in reply and not reply.endswith("?"):
            # Several facts may be said in a row, one that ends in "5 PM." before the next.
            for part in re.split(r"(?<=[.!?])\s+(?=[A-Z])", told):
                if part == "The other thing I don't have." or "|" in written:
                    continue
                # A fact out of "tell them that ..." begins with a capital letter of ours.
                said = part.removeprefix("The address is ")
                assert said[1:].rstrip(".") in written, (asked, reply)


async def test_a_bike_is_reserved_and_read_back_first(embedder: RememberingEmbedder) -> None:
    talk = talk_with(BIKES, embedder)
    reply = await talk.say("Hi, I'd like to rent a cargo bike from Friday for three days")
    assert reply == "What is your name?"
    reply = await talk.say("Tom Becker")
    assert reply == (
        "Let me read that back. Bike type: cargo bike, date: Friday, November 27th, days: 3, "
        "name: Tom Becker. Is that right?"
    )
    assert talk.called == []
    assert await talk.say("yes perfect") == (
        "One moment, please. Reserved one cargo bike for Tom Becker, 3 days from Friday, November 27th."
    )


async def test_a_book_is_put_on_hold(embedder: RememberingEmbedder) -> None:
    talk = talk_with(LIBRARY, embedder)
    assert await talk.say("I want to put a book on hold") == "What is the title of the book?"
    assert await talk.say("The Old Man and the Sea") == "What is your library card number?"
    assert (await talk.say("four four seven one two nine")).startswith(
        "Let me read that back. Title: The Old Man"
    )
    await talk.say("yes")
    assert [(name, json.loads(arguments)) for name, arguments in talk.called] == [
        ("hold_item", {"title": "The Old Man and the Sea", "card_number": "447129"})
    ]


async def test_a_room_is_looked_up_without_a_read_back(embedder: RememberingEmbedder) -> None:
    talk = talk_with(HOTEL, embedder)
    assert await talk.say("Do you have a room free from Friday for two nights?") == "How many guests?"
    assert await talk.say("we are two") == (
        "A double room is free from Friday, November 27th for 2 nights, 2 guests."
    )
