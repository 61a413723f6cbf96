"""A call through a real carrier in which people take part: asked to take it, listening, taking over.

What was said is what was understood of the telephone's own recordings.
"""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright

from tests.e2e.test_browser_call import CHROMIUM_FLAGS, sign_in_link
from tests.e2e.test_carrier import CLOSES, DESK, PERSON, SATURDAY
from tests.integration.test_phone_holds import is_music
from tests.support.carrier_house import House, carrier_house
from tests.support.pjsip import LOUD, RATE, Pcm
from tests.support.speech import words
from worker.lines.music import loop_of

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.phones,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(sys.platform != "linux", reason="pjsua2-python has wheels for Linux only"),
]

WISH = "Please put me through to the front desk."
NO = "No, not now. I am busy."
NAME, BRIEF = "Front desk", "A patient is waiting."
MENU = (
    "Welcome to Bright Smile Dental. For billing, press one. For appointments, press two. "
    "For anything else, press zero."
)
REFUSED = "Sorry, that is not a valid option. "
HOLD = "All our agents are busy. Please stay on the line."
ANNA = "Good morning, this is Anna speaking. How can I help you?"
CALLING = "Hello Anna, I am calling about the opening hours."
BEEP_SECONDS = 0.25
"""Chromium's make-believe microphone beeps for less, an agent speaks for longer without a pause."""
SILENT, HEARD = 0.005, 0.02
"""Energy in a browser, of full scale."""
MEASURE = """() => {
  const context = new AudioContext();
  const nodes = [...document.querySelectorAll(".listening audio")].map((element) => {
    const node = new AnalyserNode(context, { fftSize: 2048 });
    context.createMediaStreamSource(element.srcObject).connect(node);
    return node;
  });
  const samples = new Float32Array(2048);
  window.loudest = nodes.map(() => 0);
  setInterval(() => nodes.forEach((node, at) => {
    node.getFloatTimeDomainData(samples);
    const energy = Math.sqrt(samples.reduce((sum, one) => sum + one * one, 0) / samples.length);
    window.loudest[at] = Math.max(window.loudest[at], energy);
  }), 20);
  return nodes.length;
}"""
PLAYS = """() => {
  const sides = [...document.querySelectorAll(".listening audio")];
  return sides.length === 2 && sides.every((one) => one.srcObject?.active);
}"""
LOUDEST = "() => { const were = window.loudest; window.loudest = were.map(() => 0); return were; }"
"""Of each side since it was asked the last time."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """Everything, once for both."""
    lines: dict[str, dict[str, Any]] = {PERSON: {}, DESK: {"rings": 0.5}}
    async with carrier_house(tmp_path_factory.mktemp("carrier") / "home", lines) as house:
        await house.change(begin_message="Hello.")
        yield house


async def test_a_caller_whom_the_desk_declines_hears_the_agent_again(house: House) -> None:
    phone = house.phone
    desk = {"name": NAME, "type": "phone", "value": DESK, "mode": "warm", "private_message": BRIEF}
    agent = await house.stack.get(f"/v1/agents/{house.agent_id}")
    engine = agent["response_engine"] | {"builtin_functions": ["transfer_call"]}
    await house.change(transfer_targets=[desk], response_engine=engine)
    for text in (WISH, NO, SATURDAY):
        words(text)  # made before: nobody at a telephone thinks for as long as that takes
    call, call_id = await house.rings()
    await phone.hears(call)
    phone.say(words(WISH), call)
    asked = await house.called(DESK)
    await phone.talks(asked)
    phone.say(words("Hello?"), asked)
    waits_from = len(phone.heard(call))
    told = await phone.hears(asked, seconds=30, quiet=1.5)
    assert "patient is waiting" in told
    assert "do you take the call" in told
    waited = phone.heard(call)[waits_from + RATE :]
    assert len(waited) > 2 * RATE
    assert is_music(waited), "the caller hears nothing of it"
    phone.say(words(NO), asked)
    await phone.until(lambda: "DISCONNECTED" in phone.all("state", asked))
    told = await phone.hears(call, len(phone.heard(call)))
    assert "cannot take the call" in told
    assert not re.search(r"one sentence|good time|request", told), "what its engine is to do is not read out"
    assert CLOSES.search(await house.asks(call, SATURDAY))
    phone.do("hang_up", call)
    over = await house.stack.ended(call_id)
    assert (over["call_status"], over["disconnection_reason"]) == ("completed", "user_hangup")
    said = [entry["text"] for entry in over["transcript_object"] if entry["role"] == "agent"]
    assert said[1] == f"One moment, I'm putting you through: {NAME}."
    (tried,) = over["transfers"]
    assert (tried["target"], tried["mode"], tried["outcome"]) == (NAME, "warm", "failed")
    assert tried["why_not"] == "They cannot take the call now"


async def test_the_agent_gets_through_a_menu_and_talks_to_nobody_but_a_person(house: House) -> None:
    goal = {"goal": "The desk for {{wish}}", "max_menus": 3}
    await house.change(begin_message=CALLING, begin_message_mode="static", ivr_navigation=goal)
    for text in (MENU, REFUSED + MENU, HOLD, ANNA, SATURDAY):
        words(text)
    await asyncio.gather(_gets_through(house, PERSON), _gives_up(house, DESK))
    await house.change(begin_message="Hello.", ivr_navigation={"goal": ""})


async def _gets_through(house: House, number: str) -> None:
    """The first key is not taken; then there is music, and Anna."""
    phone = house.phone
    call_id, call = await _reached(house, number)
    await _read(house, call, MENU, 1)
    await _read(house, call, REFUSED + MENU, 2)
    assert phone.all("key", call) == ["2", "2"], "by RFC 4733, on the payload type that the two agreed on"
    await asyncio.sleep(phone.say(np.concatenate([words(HOLD), loop_of(RATE)[: 8 * RATE]]), call))
    assert not _sounds(phone.heard(call)), "a menu and its music are not talked to"
    at = len(phone.heard(call))
    await asyncio.sleep(phone.say(words(ANNA), call))
    assert "opening hours" in await phone.hears(call, at, quiet=2.0)
    assert CLOSES.search(await house.asks(call, SATURDAY))
    phone.do("hang_up", call)
    over = await house.stack.ended(call_id)
    assert (over["call_status"], over["disconnection_reason"]) == ("completed", "user_hangup")
    assert [one["name"] for one in over["functions"]] == ["press_keys", "press_keys", "ivr_navigation"]
    assert over["functions"][-1]["result"] == "A person answered."


async def _gives_up(house: House, number: str) -> None:
    """No key is ever taken."""
    call_id, call = await _reached(house, number)
    for count, text in enumerate((MENU, REFUSED + MENU, REFUSED + MENU), 1):
        await _read(house, call, text, count)
    over = await house.stack.ended(call_id)
    assert (over["call_status"], over["disconnection_reason"]) == ("ended", "ivr_too_many_menus")
    assert house.phone.all("key", call) == ["2", "2", "0"], "what was refused twice is not tried again"
    assert not _sounds(house.phone.heard(call))


async def _reached(house: House, number: str) -> tuple[str, int]:
    """A call of ours, and what it is at the telephone."""

    def calls() -> list[int]:
        return [one["call"] for one in house.phone.seen if f"sip:{number}@" in one.get("to", "")]

    before = calls()
    call_id = await house.dials(number, dynamic_variables={"wish": "appointments"})
    await house.phone.until(lambda: calls() != before)
    await house.phone.talks(calls()[-1])
    return call_id, calls()[-1]


async def _read(house: House, call: int, text: str, count: int) -> None:
    """Read a menu until so many keys have come."""
    phone = house.phone
    phone.say(words(text), call)
    await phone.until(lambda: len(phone.all("key", call)) == count, 40)
    phone.do("hush", call)
    await asyncio.sleep(0.5)


async def test_a_caller_is_listened_to_and_talked_to_from_a_browser(house: House) -> None:
    phone = house.phone
    desk = {"name": NAME, "type": "phone", "value": DESK, "mode": "warm", "private_message": BRIEF}
    await house.change(transfer_targets=[desk])
    call, call_id = await house.rings()
    await phone.hears(call)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=[*CHROMIUM_FLAGS]
        )
        page = await browser.new_page()
        await page.goto(sign_in_link(house.stack))
        await page.get_by_role("button", name="Sign out").wait_for()
        await page.goto(f"{house.stack.url}/#/calls/{call_id}")
        await page.get_by_role("button", name="Listen").click()
        take_over = page.get_by_role("button", name="Take over")
        await take_over.wait_for()
        caller = await _side_of_the_caller(page, house, call)

        await take_over.click()
        give_back = page.get_by_role("button", name="Give back")
        await give_back.wait_for()
        since = len(phone.heard(call))
        await phone.until(lambda: len(_sounds(phone.heard(call)[since:])) >= 2)
        await page.evaluate(LOUDEST)
        await asyncio.sleep(phone.say(words(SATURDAY), call) + 4.0)
        levels = await page.evaluate(LOUDEST)
        assert levels[caller] > HEARD, "the caller is heard by whoever talks in the agent's place"
        assert levels[1 - caller] < SILENT, "and the agent is not"
        beeps = _sounds(phone.heard(call)[since:])
        assert len(beeps) >= 5
        assert max(beeps) < BEEP_SECONDS, "the caller hears beeps, and no agent"

        await give_back.click()
        await take_over.wait_for()
        assert "back with you" in await phone.hears(call, len(phone.heard(call)))
        assert CLOSES.search(await house.asks(call, SATURDAY))

        # The agent puts the caller through and leaves; who listens stays, and talks with both.
        rang = len(phone.all("to"))
        await house.stack.post(f"/v1/calls/{call_id}/transfer", {"target": NAME})
        await phone.until(lambda: len(phone.all("to")) > rang)
        asked = await house.called(DESK)
        await phone.talks(asked)
        phone.say(words("Hello?"), asked)
        await phone.hears(asked, seconds=30, quiet=1.5)
        phone.do("keys", asked, "1")

        join = page.get_by_role("button", name="Talk with both")
        await join.wait_for(timeout=60_000)
        assert await page.get_by_role("button", name="Whisper").count() == 0
        await page.wait_for_function(PLAYS)
        assert await page.evaluate(MEASURE) == 2
        sides = set()
        for one in (call, asked):
            await page.evaluate(LOUDEST)
            await asyncio.sleep(phone.say(words(SATURDAY), one) + 0.5)
            levels = await page.evaluate(LOUDEST)
            side = int(np.argmax(levels))
            assert levels[side] > HEARD > SILENT > levels[1 - side], levels
            sides.add(side)
        assert len(sides) == 2, "each by itself"

        await join.click()
        await give_back.wait_for()
        for one, other in ((call, asked), (asked, call)):
            since = len(phone.heard(one))
            await phone.until(lambda one=one, since=since: len(_sounds(phone.heard(one)[since:])) >= 2)
            both = [(who, len(phone.heard(who))) for who in (other, one)]
            await asyncio.sleep(phone.say(words(SATURDAY), one) + 1.0)
            theirs, own = (max(_sounds(phone.heard(who)[at:])) for who, at in both)
            assert theirs > BEEP_SECONDS > own, "the other hears it beside the beeps, and nobody themselves"
        await give_back.click()
        await join.wait_for()
        await browser.close()
    phone.do("hang_up", call)
    over = await house.stack.ended(call_id)
    assert (over["call_status"], over["disconnection_reason"]) == ("transferred", "transferred")
    notes = [entry["text"] for entry in over["transcript_object"] if entry["role"] == "note"]
    assert notes == [
        "Supervisor took the call over.",
        "Supervisor gave the call back.",
        "Supervisor joined the two who were put through.",
        "Supervisor left the call.",
    ]


async def _side_of_the_caller(page: Page, house: House, call: int) -> int:
    """The caller's sound among the two that the page plays, by who speaks when."""
    assert await page.evaluate(MEASURE) == 2
    await page.evaluate(LOUDEST)
    seconds = house.phone.say(words(SATURDAY), call)
    await asyncio.sleep(seconds * 0.8)
    asked = await page.evaluate(LOUDEST)
    since = len(house.phone.heard(call))
    caller = int(np.argmax(asked))
    assert asked[caller] > HEARD, asked
    assert asked[1 - caller] < SILENT, "each side by itself"
    assert CLOSES.search(await house.phone.hears(call, since))
    assert (await page.evaluate(LOUDEST))[1 - caller] > HEARD, "the agent is heard, too"
    return caller


def _sounds(pcm: Pcm) -> list[float]:
    """Seconds that each sound lasts which has a pause of a twentieth of a second before and after it."""
    frames = np.abs(pcm[: len(pcm) // 80 * 80].reshape(-1, 80).astype(np.int32)).max(axis=1)
    loud = np.flatnonzero(frames > LOUD)
    return [len(one) / 100 for one in np.split(loud, np.flatnonzero(np.diff(loud) > 5) + 1) if len(one)]
