"""The scripted engine on three agents it was not written with: the right fact, or a plain refusal."""

import json

import pytest

from kb.chunking import sentences
from kb.embeddings import MiniLmEmbedder
from tests.support.scripted_talk import Talk
from tests.support.strangers import BIKES, HOTEL, LATER_STRANGERS, LIBRARY, STRANGERS, Stranger

REFUSAL = "I'm sorry, I don't have that information."
Questions = tuple[tuple[str, tuple[str, ...]], ...]


@pytest.fixture(scope="module")
def embedder() -> MiniLmEmbedder:
    return MiniLmEmbedder()


def _talk(stranger: Stranger, embedder: MiniLmEmbedder) -> Talk:
    return Talk(
        stranger.instructions, stranger.knowledge, [stranger.tool] if stranger.tool else [], embedder=embedder
    )


def _written(stranger: Stranger) -> str:
    text = " ".join((stranger.instructions, *(text for _, text in stranger.knowledge)))
    return " ".join(text.split())


async def _judge(
    talk: Talk, questions: Questions, *, one_call: bool, stranger: Stranger, embedder: MiniLmEmbedder
) -> tuple[list[str], list[str]]:
    """What was answered wrongly or not at all, and what was answered although nobody wrote it."""
    wrong: list[str] = []
    invented: list[str] = []
    for asked, expected in questions:
        reply = await talk.say(asked)
        refused = REFUSAL in reply
        if refused == bool(expected) or not all(part in reply for part in expected):
            wrong.append(f"{asked} -> {reply}")
        if not expected and not refused:
            invented.append(f"{asked} -> {reply}")
        if not one_call:
            talk = _talk(stranger, embedder)
    return wrong, invented


@pytest.mark.parametrize("one_call", [False, True], ids=["each in a call of its own", "all in one call"])
@pytest.mark.parametrize("stranger", STRANGERS, ids=lambda stranger: stranger.name)
async def test_eight_of_ten_get_the_right_fact_and_none_an_invented_one(
    stranger: Stranger, one_call: bool, embedder: MiniLmEmbedder
) -> None:
    talk = _talk(stranger, embedder)
    wrong, invented = await _judge(
        talk, stranger.judged, one_call=one_call, stranger=stranger, embedder=embedder
    )
    assert invented == []
    assert len(wrong) <= 2, wrong


@pytest.mark.parametrize("stranger", [*STRANGERS, *LATER_STRANGERS], ids=lambda stranger: stranger.name)
async def test_questions_held_out_get_no_worse(stranger: Stranger, embedder: MiniLmEmbedder) -> None:
    talk = _talk(stranger, embedder)
    wrong, invented = await _judge(
        talk, stranger.held_out, one_call=False, stranger=stranger, embedder=embedder
    )
    assert len(wrong) <= 3, wrong
    assert len(invented) <= 1, invented


@pytest.mark.parametrize("stranger", [*STRANGERS, *LATER_STRANGERS], ids=lambda stranger: stranger.name)
async def test_every_word_of_an_answer_was_written_by_the_owner(
    stranger: Stranger, embedder: MiniLmEmbedder
) -> None:
    written = _written(stranger)
    for asked, expected in (*stranger.judged, *stranger.held_out):
        reply = await _talk(stranger, embedder).say(asked)
        if expected and REFUSAL not in reply and "nothing about" not in reply:
            # A fact out of "tell them that ..." begins with a capital letter of ours.
            assert all(part[1:].rstrip(".") in written for part in sentences(reply)), (asked, reply)


async def test_a_bike_is_reserved_and_read_back_first(embedder: MiniLmEmbedder) -> None:
    talk = _talk(BIKES, embedder)
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


async def test_a_book_is_put_on_hold(embedder: MiniLmEmbedder) -> None:
    talk = _talk(LIBRARY, embedder)
    assert await talk.say("I want to put a book on hold") == "What is the title of the book?"
    assert await talk.say("The Old Man and the Sea") == "What is your library card number?"
    assert (await talk.say("four four seven one two nine")).startswith(
        "Let me read that back. Title: The Old Man"
    )
    await talk.say("yes")
    assert [(name, json.loads(arguments)) for name, arguments in talk.called] == [
        ("hold_item", {"title": "The Old Man and the Sea", "card_number": "447129"})
    ]


async def test_a_room_is_looked_up_without_a_read_back(embedder: MiniLmEmbedder) -> None:
    talk = _talk(HOTEL, embedder)
    assert await talk.say("Do you have a room free from Friday for two nights?") == "How many guests?"
    assert await talk.say("we are two") == (
        "A double room is free from Friday, November 27th for 2 nights, 2 guests."
    )
