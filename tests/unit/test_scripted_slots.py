"""What people say becomes what functions want: numbers, days, times, names, addresses, choices."""

from datetime import UTC, date, datetime, time
from enum import Enum
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.agents import RunContext
from livekit.agents.llm import function_tool
from pydantic import Field

from kb.words import fold
from pipelines.local.scripted import functions, slots, times
from pipelines.local.scripted.numbers import in_digits
from pipelines.local.scripted.persons import find_email, find_name, find_phone
from pipelines.local.scripted.wording import wording_for

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)  # a Monday
ENGLISH = wording_for("en-GB")

NUMBERS = [
    ("en", "twenty five", "25"),
    ("en", "two hundred and fifty", "250"),
    ("en", "one thousand two hundred", "1200"),
    ("en", "five five five one two", "5 5 5 1 2"),
    ("en", "the twenty-first", "the 21st"),
    ("en", "on the bin", "on the bin"),
    ("en", "ten thirty", "10 30"),
    ("tr", "yirmi beş kişi", "25 kisi"),
    ("tr", "iki yüz elli lira", "250 lira"),
    ("tr", "saat on buçukta", "saat 10 bucukta"),
]


@pytest.mark.parametrize(("language", "said", "digits"), NUMBERS)
def test_number_words_become_digits(language: str, said: str, digits: str) -> None:
    assert in_digits(fold(said), language) == digits


@given(st.integers(1, 999))
def test_digits_stay_what_they_are(number: int) -> None:
    assert in_digits(f"we are {number} people", "en") == f"we are {number} people"


TIMES: list[tuple[str, str, date | None, time | None]] = [
    ("en", "tomorrow at half past ten", date(2026, 11, 24), time(10, 30)),
    ("en", "Next Tuesday at 4", date(2026, 12, 1), time(16)),
    ("en", "this Friday, ten thirty a.m.", date(2026, 11, 27), time(10, 30)),
    ("en", "the 5th of December at quarter to five", date(2026, 12, 5), time(16, 45)),
    ("en", "December third, 2 p.m.", date(2026, 12, 3), time(14)),
    ("en", "the day after tomorrow at eight in the evening", date(2026, 11, 25), time(20)),
    ("en", "in two weeks", date(2026, 12, 7), None),
    ("en", "on the twenty first at noon", date(2026, 12, 21), time(12)),
    ("en", "no, at four", None, time(16)),
    ("en", "at nine", None, time(9)),
    ("en", "2026-12-24 at 18:15", date(2026, 12, 24), time(18, 15)),
    ("en", "for three nights", None, None),
    ("en", "a table for two", None, None),
    ("en", "Monday", date(2026, 11, 30), None),
    ("en", "the fifth of March", date(2027, 3, 5), None),
    ("tr", "yarın saat on buçukta", date(2026, 11, 24), time(10, 30)),
    ("tr", "salı günü dörde çeyrek kala", date(2026, 11, 24), time(15, 45)),
    ("tr", "5 Aralık akşam yedide", date(2026, 12, 5), time(19)),
    ("tr", "öbür gün saat üçte", date(2026, 11, 25), time(15)),
]


@pytest.mark.parametrize(("language", "said", "day", "at"), TIMES)
def test_days_and_times_are_counted_from_when_they_are_said(
    language: str, said: str, day: date | None, at: time | None
) -> None:
    when = times.find(in_digits(fold(said), language), NOW, language)
    assert (when.day, when.at) == (day, at)


PHONES = [
    ("five five five one two three four", "5551234"),
    ("it's 0 5 3 2, 1 2 3, 4 5 6 7", "05321234567"),
    ("double five five oh one two three", "5550123"),
    ("plus forty eight 600 700 800", "+48600700800"),
    ("+44 20 7946 0958", "+442079460958"),
]


@pytest.mark.parametrize(("said", "value"), PHONES)
def test_phone_numbers_are_heard_digit_by_digit(said: str, value: str) -> None:
    found = find_phone(in_digits(fold(said), "en"), is_asked=True)
    assert found is not None
    assert found.value == value


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("john dot smith at example dot com", "john.smith@example.com"),
        ("My email is Anna_K@mail.example.org.", "anna_k@mail.example.org"),
        ("it's mary underscore ann at example dot co dot uk", "mary_ann@example.co.uk"),
    ],
)
def test_addresses_are_heard_as_they_are_spoken(said: str, value: str) -> None:
    found = find_email(said)
    assert found is not None
    assert found.value == value


@pytest.mark.parametrize(
    ("said", "is_asked", "name"),
    [
        ("My name is Maria Novak.", False, "Maria Novak"),
        ("my name is maria novak and I need help", False, "Maria Novak"),
        ("it's for John Smith, please", False, "John Smith"),
        ("John", True, "John"),
        ("Yes, it's Anna-Lena Müller.", True, "Anna-Lena Müller"),
        ("S M I T H", True, "Smith"),
        ("I'm calling about tomorrow", False, ""),
        ("I'm looking for a book", False, ""),
        ("Adım Ayşe Yılmaz", False, "Ayşe Yılmaz"),
    ],
)
def test_a_name_is_taken_where_it_is_given(said: str, is_asked: bool, name: str) -> None:
    assert find_name(said, is_asked=is_asked) == name


class Room(Enum):
    """Kinds of rooms."""

    single = "single_room"
    double = "double_room"
    suite = "suite"


@function_tool
async def book_room(
    context: RunContext,
    room: Room,
    arrival: Annotated[str, Field(description="Day of arrival, YYYY-MM-DD")],
    guests: Annotated[int, Field(description="How many guests", ge=1, le=6)],
    breakfast: Annotated[bool, Field(description="Whether the guest wants breakfast")],
    email: str | None = None,
) -> str:
    """Book a room."""
    return "ok"


@function_tool
async def find_train(to: Literal["Berlin", "Bern"], departure_time: str) -> str:
    """Find the next train."""
    return "ok"


ROOM = functions.read([book_room])[0]


def _filled(said: str, asked: str | None = None) -> dict[str, object]:
    return {name: value.json for name, value in slots.fill(ROOM, said, NOW, ENGLISH, asked=asked).items()}


def test_a_form_is_read_from_a_real_function() -> None:
    assert [(s.name, s.kind, s.is_required) for s in ROOM.slots] == [
        ("room", "choice", True),
        ("arrival", "date", True),
        ("guests", "number", True),
        ("breakfast", "boolean", True),
        ("email", "email", False),
    ]
    assert not ROOM.is_read_only
    assert functions.read([find_train])[0].is_read_only


@pytest.mark.parametrize(
    ("said", "asked", "filled"),
    [
        (
            "A double room for two guests from Friday please",
            None,
            {"room": "double_room", "guests": 2, "arrival": "2026-11-27"},
        ),
        ("the duble room", "room", {"room": "double_room"}),
        ("two", "guests", {"guests": 2}),
        ("just me", "guests", {"guests": 1}),
        ("nine", "guests", {}),
        ("yes please", "breakfast", {"breakfast": True}),
        ("no thanks", "breakfast", {"breakfast": False}),
        ("with breakfast", None, {"breakfast": True}),
        ("without breakfast", None, {"breakfast": False}),
        ("hello", None, {}),
        ("whatever", "room", {}),
    ],
)
def test_an_utterance_fills_the_slots_it_speaks_of(
    said: str, asked: str | None, filled: dict[str, object]
) -> None:
    assert _filled(said, asked) == filled


@pytest.mark.parametrize(
    ("slot", "question"),
    [
        ("room", "What is the room? You can choose single room, double room and suite."),
        ("arrival", "What is the day of arrival?"),
        ("guests", "How many guests?"),
        ("breakfast", "Do you want breakfast?"),
        ("email", "What is your email?"),
    ],
)
def test_a_question_is_made_of_what_the_author_wrote(slot: str, question: str) -> None:
    from pipelines.local.scripted.forms import question_for

    wanted = ROOM.slot(slot)
    assert wanted is not None
    assert question_for(wanted, ENGLISH) == question


@pytest.mark.parametrize(
    ("description", "question"),
    [
        ("What the appointment is for, like a check-up.", "What is the appointment for?"),
        ("When the table should be ready", "When should the table be ready?"),
        ("What the caller wants", "What would you like?"),
        ("Which room the guest is in", "Which room are you in?"),
        ("What it is about", "What is it about?"),
        ("What is wrong with it", "What is wrong with it?"),
        ("Which of the services is wanted", "Which of the services is wanted?"),
        ("What kind of pizza", "What kind of pizza?"),
    ],
)
def test_a_question_within_a_sentence_is_asked_as_one(description: str, question: str) -> None:
    assert ENGLISH.ask(functions.Slot("it", "text", True, description)) == question
