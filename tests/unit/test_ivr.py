"""Menus of others, as they are heard, and what a navigator with the scripted engine does about them."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from livekit.agents import llm

from pipelines.agent_config import AgentConfig, IvrNavigation
from pipelines.contract.brief import CallBrief, FunctionRun
from pipelines.ivr import navigator
from pipelines.ivr.navigator import Navigator, Outcome
from pipelines.local.scripted.llm import ScriptedLLM
from pipelines.local.scripted.menus import Option, leading_to, options_in
from pipelines.transcript import Utterance
from tests.support.fake_providers import Call, TableLLM
from worker import navigating

BILLING = [("1", "billing"), ("2", "appointments")]
CLINIC = "the appointments desk of the dental clinic"


@pytest.mark.parametrize(
    ("language", "text", "options"),
    [
        (
            "en",
            "For appointments, press one. For billing, press 2.",
            [("1", "appointments"), ("2", "billing")],
        ),
        ("en", "Press 1 for sales, press 2 for support.", [("1", "sales"), ("2", "support")]),
        ("en", "Thank you for calling. To speak to an operator, please press zero.", [("0", "operator")]),
        ("en", "for sales press 1 for opening hours press the pound key", [("1", "sales"), ("#", "hours")]),
        ("en", "If you are a patient, dial 3 now.", [("3", "patient")]),
        ("tr", "Randevu için bire basın. Muhasebe için 2'ye basın.", [("1", "randevu"), ("2", "muhasebe")]),
        ("tr", "Diğer konular için sıfırı tuşlayın.", [("0", "diger")]),
        (
            "en",
            "For Billing Press One. For appointments, press U. For sales press for.",
            [*BILLING, ("4", "sales")],
        ),
        ("en", "Press for more.", []),
        ("en", "We are open from 9 to 5.", []),
        ("en", "My name is Anna, how can I help you?", []),
    ],
)
def test_options_are_read_whichever_side_of_the_key_they_stand_on(
    language: str, text: str, options: list[tuple[str, str]]
) -> None:
    found = options_in(text, language)
    assert [(one.key, word in one.label) for one, (_, word) in zip(found, options, strict=True)] == [
        (key, True) for key, _ in options
    ]


@pytest.mark.parametrize(
    ("goal", "key"),
    [
        ("Book an appointment", "1"),
        ("reserve a slot with the dentist", "1"),
        ("ask about an invoice", "2"),
        ("reach the accounts department", "2"),
        ("talk to a person", "0"),
        ("buy a bicycle", None),
    ],
)
def test_a_goal_finds_its_option_also_in_other_words(goal: str, key: str | None) -> None:
    options = [Option("1", "appointments"), Option("2", "invoices and accounts"), Option("0", "the operator")]
    found = leading_to(goal, options, "en")
    assert (found and found.key) == key


class Menu:
    """What the other side says, and after which keys what follows."""

    def __init__(self, begins: Sequence[str], **follows: Sequence[str]) -> None:
        self.begins = begins
        self.follows = {key.removeprefix("key_"): said for key, said in follows.items()}
        self.pressed: list[str] = []
        self.said: list[str] = []


async def navigated(
    menu: Menu, goal: str = CLINIC, *, mind: llm.LLM[Any] | None = None, language: str = "en", **config: Any
) -> Outcome:
    speaking: list[asyncio.Task[None]] = []

    async def speak(said: Sequence[str]) -> None:
        for text in said:
            await asyncio.sleep(0.02)
            if text:
                through.heard(text, time.time())
            else:
                await asyncio.sleep(0.3)

    async def press(digits: str) -> None:
        menu.pressed.append(digits)
        if (
            said := menu.follows.get(f"{digits}_{menu.pressed.count(digits)}", menu.follows.get(digits))
        ) is not None:
            for task in speaking:
                task.cancel()
            speaking.append(asyncio.create_task(speak(said)))

    async def say(words: str) -> None:
        menu.said.append(words)

    settings = IvrNavigation(goal=goal, **config)
    through = Navigator(mind or ScriptedLLM(language=language), settings, language, press, say)
    speaking.append(asyncio.create_task(speak(menu.begins)))
    try:
        async with asyncio.timeout(10):
            return await through.run()
    finally:
        for task in speaking:
            task.cancel()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(navigator, "QUIET_SECONDS", 0.2)


OPTIONS = ("For billing, press 1.", "For appointments, press 2.", "For anything else, press 0.")
ANNA = "Good morning, this is Anna speaking. How can I help you?"
MENUS = [
    (
        Menu(OPTIONS, key_2=("Please hold while I connect you.", "", ANNA)),
        Outcome("person", menus=1, keys=("2",)),
    ),
    (Menu((ANNA,)), Outcome("person")),
    (Menu(("Hello?",)), Outcome("person")),
    (
        Menu(
            ("Welcome to Bright Smile.", *OPTIONS),
            key_2_1=("That is not a valid option.", *OPTIONS),
            key_2_2=("All our agents are busy. Please stay on the line.", "", ANNA),
        ),
        Outcome("person", menus=2, keys=("2", "2")),
    ),
    (
        Menu(("For sales, press 1.", "For anything else, press 4.", ""), key_4=("", "Reception, hello?")),
        Outcome("person", menus=1, keys=("4",)),
    ),
    (
        Menu(("For English, press 9. Para espanol, oprima el 2.",), key_9=OPTIONS, key_2=("Yes, hello?",)),
        Outcome("person", menus=2, keys=("9", "2")),
    ),
    (
        Menu(("You have reached Bob. Please leave a message after the tone.",)),
        Outcome("voicemail", "voicemail"),
    ),
    (Menu(("We are currently closed.",)), Outcome("gave_up", "ivr_nobody_there")),
    (Menu(("Bright Smile Dental.", "")), Outcome("person")),
]


@pytest.mark.parametrize(("menu", "outcome"), MENUS)
async def test_it_gets_through_to_a_person_or_knows_that_there_is_none(menu: Menu, outcome: Outcome) -> None:
    assert await navigated(menu) == outcome


async def test_it_gets_through_in_turkish() -> None:
    menu = Menu(
        ("Hoş geldiniz. Muhasebe için bire basın.", "Randevu almak için ikiye basın."),
        key_2=("Lütfen hatta kalın.", "", "Alo, buyurun?"),
    )
    assert await navigated(menu, "randevu", language="tr-TR") == Outcome("person", menus=1, keys=("2",))


async def test_it_gives_up_on_a_menu_that_never_ends_and_says_why() -> None:
    again = ("Sorry, that is not valid.", *OPTIONS, "", *OPTIONS, "", *OPTIONS, "", *OPTIONS)
    outcome = await navigated(Menu(OPTIONS, key_0=again, key_1=again, key_2=again), max_menus=5)
    assert (outcome.kind, outcome.reason, outcome.menus) == ("gave_up", "ivr_too_many_menus", 5)
    assert outcome.keys[:3] == ("2", "2", "0"), "what was refused twice is not tried a third time"
    deaf = Menu(
        (
            "For sales, press 1.",
            "",
            "For sales, press 1.",
            "",
            "For sales, press 1.",
            "",
            "For sales, press 1.",
        )
    )
    outcome = await navigated(deaf, "dental", max_menus=3)
    assert (outcome.reason, outcome.keys) == ("ivr_too_many_menus", ("0",))


async def test_it_waits_no_longer_than_it_may() -> None:
    config = IvrNavigation(goal=CLINIC).model_copy(update={"max_wait_ms": 300})

    async def nothing(_: str) -> None:
        raise AssertionError

    through = Navigator(ScriptedLLM(), config, "en", nothing, nothing)
    assert await asyncio.wait_for(through.run(), 5) == Outcome("gave_up", "ivr_wait_limit")


async def test_a_language_model_may_also_speak_to_a_system_that_listens() -> None:
    mind = TableLLM(
        {
            "What are you calling about?": Call("say_words", {"words": "Appointments"}),
            "Enter your extension.": Call("press_keys", {"digits": "12#"}),
            "Strange noises.": "I say something that nobody hears.",
            "Yes?": Call("person_answered"),
        }
    )
    menu = Menu(
        ("Strange noises.", "", "What are you calling about?", "", "Enter your extension.", "", "Yes?")
    )
    assert await navigated(menu, mind=mind) == Outcome("person", menus=2, keys=("12#",))
    assert menu.said == ["Appointments"]
    told = mind.asked[-1].items[0]
    assert isinstance(told, llm.ChatMessage)
    assert CLINIC in (told.text_content or "")


class Ours:
    """A line of a call that we have made."""

    is_ours = True

    async def answered_by(self, timeout_seconds: float, tap: object = None) -> str:
        raise AssertionError

    async def beep(self, timeout_seconds: float) -> bool:
        raise AssertionError


def test_a_process_that_follows_another_goes_on_in_the_menu_and_has_not_been_cut_off() -> None:
    at, line = datetime.now(UTC), Ours()
    said = Utterance(utterance_id="u", role="user", text=OPTIONS[0], started_at=at, ended_at=at)
    agent = AgentConfig(agent_id="a", name="A", ivr_navigation=IvrNavigation(goal=CLINIC))
    pressed, over = (
        FunctionRun(function_call_id=name, name=name, arguments={}, result="x", started_at=at)
        for name in ("press_keys", "ivr_navigation")
    )
    brief = CallBrief(call_id="c", attempt=2, agent=agent, transcript=(said,), functions=(pressed,))
    assert navigating.begun_anew(brief, line).transcript == ()  # type: ignore[arg-type]
    through = brief.model_copy(update={"functions": (pressed, over)})
    assert not navigating.is_asked(through, line)  # type: ignore[arg-type]
    assert navigating.begun_anew(through, line).transcript == (said,)  # type: ignore[arg-type]
    line.is_ours = False
    assert navigating.begun_anew(brief, line) == brief  # type: ignore[arg-type]
