"""The scripted engine's rules for functions: a form is filled in, read back, and run once."""

import asyncio
import json

import pytest
from livekit.agents import function_tool

from kb.embeddings import MiniLmEmbedder
from pipelines.local.scripted.llm import ScriptedLLM
from pipelines.local.scripted.results import spoken_error
from pipelines.local.scripted.wording import wording_for
from pipelines.phrases import OFFER_CALLBACK
from tests.support.scripted_clinic import KNOWLEDGE, PROMPT, REFUSAL, book_appointment
from tests.support.scripted_talk import Talk


async def test_nothing_is_offered_while_a_form_is_filled_in(talk: Talk) -> None:
    await talk.say("I'd like to book an appointment.")
    reply = await talk.say("What would I pay for a crown?")
    assert reply == "I'm sorry, I don't have that information. What is the treatment?"


Conversation = list[tuple[str, str]]

BOOKING: Conversation = [
    ("I'd like to book an appointment.", "What is the treatment?"),
    ("A cleaning, please.", "What is the day of the appointment?"),
    ("tomorrow at half past ten", "What is your full name?"),
]
READ_BACK = (
    "Let me read that back. Service: cleaning, date: Tuesday, November 24th, time: 10:30 AM, "
    "name: Maria Novak. Is that right?"
)
CONVERSATIONS: dict[str, Conversation] = {
    "everything is asked for, read back and confirmed": [
        *BOOKING,
        ("Maria Novak", READ_BACK),
        ("Yes.", "One moment, please. Booked for Maria Novak on Tuesday, November 24th at 10:30."),
    ],
    "all at once": [
        (
            "Can you book me a cleaning for tomorrow at 10:30, my name is Maria Novak",
            READ_BACK,
        ),
    ],
    "a correction is read back again": [
        *BOOKING,
        ("Maria Novak", READ_BACK),
        ("no, at four", READ_BACK.replace("10:30 AM", "4 PM")),
        ("that's right", "One moment, please. Booked for Maria Novak on Tuesday, November 24th at 16:00."),
    ],
    "a no asks what to change": [
        *BOOKING,
        ("Maria Novak", READ_BACK),
        ("No.", "What should I change?"),
        ("The name.", "What is your full name?"),
        ("Eva Novak", READ_BACK.replace("Maria", "Eva")),
    ],
    "a question in the middle": [
        *BOOKING,
        (
            "Where are you located?",
            "We are at 12 Harbor Street, opposite the central station. What is your full name?",
        ),
        ("How much is that?", "A cleaning costs 80 euros and takes 45 minutes. What is your full name?"),
        ("Maria Novak", READ_BACK),
    ],
    "an unknown question in the middle": [
        *BOOKING,
        ("Do you have wifi?", "I'm sorry, I don't have that information. What is your full name?"),
    ],
    "forget it": [
        *BOOKING,
        ("Forget it.", "All right, I have left that. Is there anything else?"),
        ("yes", "All right. Is there anything else?"),
    ],
    "a person in the middle": [
        *BOOKING,
        ("are you a robot", "I am an automated assistant, not a person. What is your full name?"),
    ],
    "what cannot be understood is asked again, then left": [
        ("I'd like to book an appointment for a cleaning", "What is the day of the appointment?"),
        ("banana", "I'm sorry, I did not get that. What is the day of the appointment?"),
        ("banana", "I'm sorry, I did not get that. What is the day of the appointment?"),
        ("banana", "I'm sorry, I cannot get that right."),
    ],
}


@pytest.mark.parametrize("name", CONVERSATIONS)
async def test_a_form_is_filled_in(talk: Talk, name: str) -> None:
    for said, reply in CONVERSATIONS[name]:
        assert (await talk.say(said)).startswith(reply), said
    runs = sum("Booked" in reply for _, reply in CONVERSATIONS[name])
    assert len(talk.called) == runs


async def test_nothing_runs_before_its_read_back_was_heard(talk: Talk) -> None:
    for said, _ in BOOKING:
        await talk.say(said)
    assert await talk.say("Maria Novak") == READ_BACK
    talk.cut_off("Let me read that back. Service: cle")
    assert await talk.say("yes") == READ_BACK
    assert talk.called == []
    assert "Booked" in await talk.say("yes")


async def test_a_read_back_that_never_sounded_confirms_nothing(talk: Talk) -> None:
    for said, _ in BOOKING:
        await talk.say(said)
    await talk.say("Maria Novak")
    talk.cut_off("")
    assert await talk.say("yes") == READ_BACK
    assert talk.called == []


async def test_arguments_have_the_types_that_the_function_asks_for(talk: Talk) -> None:
    for said in ("book a cleaning for Friday at 3 pm", "John Smith", "yes"):
        await talk.say(said)
    name, arguments = talk.called[0]
    assert name == "book_appointment"
    assert json.loads(arguments) == {
        "service": "cleaning",
        "date": "2026-11-27",
        "time": "15:00",
        "name": "John Smith",
    }


async def test_a_function_that_only_reads_runs_at_once(talk: Talk) -> None:
    assert await talk.say("How many people are waiting right now?") == "Waiting: 3, minutes: 20."
    assert talk.called == [("find_queue_length", "{}")]


@pytest.mark.parametrize(
    ("service", "reply"),
    [
        ("whitening", "I'm sorry, that did not work. The whitening lamp is broken. Would you like to try"),
        ("check up", "I'm sorry, that did not work. Would you like to try something else?"),
    ],
)
async def test_a_failure_is_said_plainly(talk: Talk, service: str, reply: str) -> None:
    await talk.say(f"book a {service} tomorrow at nine for John Smith, my name is John Smith")
    assert (await talk.say("yes")).startswith(f"One moment, please. {reply}")


# ── state ────────────────────────────────────────────────────────────────────────────────────────
async def test_asking_twice_for_one_turn_gives_the_same(talk: Talk) -> None:
    for said, _ in BOOKING:
        await talk.say(said)
    talk.hear("Maria Novak")
    replies = await asyncio.gather(talk.generate(), talk.generate(), talk.generate())
    assert {reply.text for reply in replies} == {READ_BACK}


async def test_a_yes_generated_twice_is_one_and_the_same_call(talk: Talk) -> None:
    for said, _ in [*BOOKING, ("Maria Novak", "")]:
        await talk.say(said)
    talk.hear("yes")
    first, second = await talk.generate(), await talk.generate()
    assert first.tool_calls == second.tool_calls
    assert len(first.tool_calls) == 1


async def test_a_turn_spoken_in_two_pieces_is_understood(talk: Talk) -> None:
    talk.hear("I'd like to book an appointment")
    assert await talk.say("for a cleaning tomorrow at half past ten") == "What is your full name?"


async def test_another_engine_takes_over_in_the_middle(talk: Talk, embedder: MiniLmEmbedder) -> None:
    for said, _ in BOOKING:
        await talk.say(said)
    talk.engine = ScriptedLLM(embedder=embedder, language="en", timezone=None)
    assert (await talk.say("Maria Novak")).startswith("Let me read that back. Service: cleaning")


async def test_two_calls_on_one_engine_never_meet(embedder: MiniLmEmbedder) -> None:
    engine = ScriptedLLM(embedder=embedder)
    one = Talk(PROMPT, KNOWLEDGE, [book_appointment], embedder=embedder, engine=engine)
    other = Talk(PROMPT, KNOWLEDGE, [book_appointment], embedder=embedder, engine=engine)
    await one.say("I'd like to book a cleaning")
    assert await other.say("Parking?") == "Parking is free behind the building."
    assert await one.say("tomorrow at nine") == "What is your full name?"


@function_tool
async def request_wake_up_call(room: str, time: str) -> str:
    """Arrange a wake-up call for a guest.

    Args:
        room: The number of the room.
        time: The time of day, like 7 a.m.
    """
    return f"Room {room} will be woken at {time}."


WAKE_UP = "Let me read that back. Room: 12, time: 7 AM. Is that right?"
WAKE_UPS: dict[str, Conversation] = {
    "in the request": [("Please wake me up at 7 a.m. in room 12.", WAKE_UP)],
    "asked for": [
        ("I would like a wake-up call.", "What is the room number?"),
        ("room 12", "What time would you like?"),
        ("seven in the morning", WAKE_UP),
    ],
    "the other way round": [
        ("I would like a wake-up call.", "What is the room number?"),
        ("at seven a.m. in room twelve", WAKE_UP),
    ],
    "a number that says nothing of a room": [
        ("Please wake me up at 7 a.m.", "What is the room number?"),
        ("it's 204", WAKE_UP.replace("12", "2 0 4")),
    ],
}


@pytest.mark.parametrize("conversation", WAKE_UPS.values(), ids=WAKE_UPS)
async def test_the_function_of_the_first_tutorial_is_filled_in(
    conversation: Conversation, embedder: MiniLmEmbedder
) -> None:
    talk = Talk("You answer for the hotel Linden.", tools=[request_wake_up_call], embedder=embedder)
    for said, answer in conversation:
        assert await talk.say(said) == answer
    await talk.say("yes please")
    [(name, arguments)] = talk.called
    assert name == "request_wake_up_call"
    assert json.loads(arguments)["time"] == "07:00"


@function_tool
async def take_message(name: str, message: str) -> str:
    """Take a message for somebody who is not there.

    Args:
        name: The caller's name.
        message: What the message is.
    """
    return f"The message of {name} is noted: {message}"


async def test_what_somebody_wants_to_do_is_not_what_they_want_noted(embedder: MiniLmEmbedder) -> None:
    talk = Talk("You answer for Northwind.", tools=[take_message], embedder=embedder)
    assert await talk.say("I want to leave a message") == "What is your name?"
    assert await talk.say("Ada Lovelace") == "What is the message?"
    read_back = await talk.say("Please tell Anna that I will be late")
    assert "late" in read_back
    assert "to leave" not in read_back


async def test_without_tools_nothing_is_promised(embedder: MiniLmEmbedder) -> None:
    talk = Talk(PROMPT, KNOWLEDGE, embedder=embedder)
    assert (await talk.say("I'd like to book an appointment for Tuesday.")).startswith(REFUSAL)


def test_what_an_engine_is_asked_to_do_is_not_read_out() -> None:
    wording = wording_for("en")
    said = spoken_error(f"They cannot take the call now. {OFFER_CALLBACK}", wording)
    assert said == wording.say("failed", reason="They cannot take the call now.")
