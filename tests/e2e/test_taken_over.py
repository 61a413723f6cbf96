"""A call in a browser, taken over from another browser, while what serves it is killed."""

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from playwright.async_api import Page, async_playwright

from bench.parts.caller import LOUD, Caller, rms
from tests.e2e.test_browser_call import CHROMIUM_FLAGS, sign_in_link
from tests.support.listener import NOTICED_SECONDS
from tests.support.speech import spoken
from tests.support.stack import Stack, process_of, running
from tests.support.talk import HOURS

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    # LiveKit's SDK drops handles of a participant twice that was put out of the room.
    pytest.mark.filterwarnings("ignore:.*FfiHandle:pytest.PytestUnraisableExceptionWarning"),
]

SPEECH_SECONDS = 0.25
"""Without a pause; a beep is shorter."""


async def test_a_call_in_a_browser_is_taken_over_whatever_dies_meanwhile(tmp_path: Path) -> None:
    async with running(tmp_path / "home") as stack, async_playwright() as playwright:
        ticket = await stack.post("/v1/livekit/token", {})
        call_id = ticket["call_id"]
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=[*CHROMIUM_FLAGS]
        )
        page = await browser.new_page()
        async with Caller.joined(ticket["url"], ticket["token"]) as caller:
            await caller.hear(after=0)
            await page.goto(sign_in_link(stack))
            await page.get_by_role("button", name="Sign out").wait_for()
            await caller.quiet()
            await page.goto(f"{stack.url}/#/calls/{call_id}")
            await page.get_by_role("button", name="Listen").click()
            give_back = page.get_by_role("button", name="Give back")
            await page.get_by_role("button", name="Take over").click()
            await give_back.wait_for()
            # Chromium's make-believe microphone beeps once a second.
            await _beeps(caller)
            await caller.say(spoken(HOURS))
            await _until_said(stack, call_id, "user", 1)

            (await process_of(call_id)).kill()
            killed_at = time.perf_counter()
            await asyncio.sleep(0.3)
            await _beeps(caller, 60)
            assert _longest_sound(caller, killed_at) < SPEECH_SECONDS, "no agent speaks in between"
            assert await give_back.is_visible()

            os.kill((await stack.status())["processes"]["api"]["pid"], signal.SIGKILL)
            await _beeps(caller)
            await _serves(stack)
            await asyncio.sleep(2)  # the worker is back at it, too
            await _click(page, "Give back", "Take over")
            given_at = time.perf_counter()
            await caller.hear(after=given_at)
            await caller.quiet()
            assert _longest_sound(caller, given_at) > SPEECH_SECONDS, "the agent says that it is back"
            asked = await caller.say(spoken(HOURS))
            await caller.hear(after=asked)
            await caller.quiet()

            await _click(page, "Take over", "Give back")
            await _beeps(caller)
            _chromium().kill()
            gone_at = time.perf_counter()
            await caller.hear(after=gone_at + 2)
            alone = time.perf_counter() - gone_at
            await caller.quiet()
            assert _longest_sound(caller, gone_at) > SPEECH_SECONDS
        call = await stack.ended(call_id)
        assert alone < NOTICED_SECONDS
        assert (call["call_status"], call["disconnection_reason"]) == ("completed", "user_hangup")
        assert call["attempt"] == 2
        notes = [entry["text"] for entry in call["transcript_object"] if entry["role"] == "note"]
        assert notes == [
            "Supervisor took the call over.",
            "Supervisor gave the call back.",
            "Supervisor took the call over.",
            "Supervisor left, and the agent has the call.",
        ]


async def _beeps(caller: Caller, seconds: float = 10.0) -> None:
    """Two of them are heard from now on."""
    heard_at = time.perf_counter()
    for _ in range(2):
        heard_at = await caller.hear(after=heard_at, timeout=seconds) + 0.5


def _longest_sound(caller: Caller, since: float) -> float:
    """Seconds without a pause."""
    longest, began = 0.0, None
    for at, pcm in caller.heard.frames:
        if at < since or rms(pcm) < LOUD:
            began = None
        else:
            began = at if began is None else began
            longest = max(longest, at - began)
    return longest


async def _click(page: Page, button: str, then: str) -> None:
    """Also where the api has only just come back: it is asked again."""
    async with asyncio.timeout(20):
        while not await page.get_by_role("button", name=then).is_visible():
            await page.get_by_role("button", name=button).click()
            await asyncio.sleep(1)


async def _until_said(stack: Stack, call_id: str, role: str, times: int) -> None:
    async with asyncio.timeout(20):
        while True:
            entries = (await stack.get(f"/v1/calls/{call_id}"))["transcript_object"]
            if sum(entry["role"] == role for entry in entries) >= times:
                return
            await asyncio.sleep(0.2)


async def _serves(stack: Stack) -> None:
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(OSError):
                async with stack.http.get(stack.url + "/ready") as reply:
                    if reply.status == 200:
                        return
            await asyncio.sleep(0.2)


def _chromium() -> psutil.Process:
    """The browser itself; its helpers die with it."""
    ours = [one for one in psutil.Process().children(recursive=True) if one.name() == "chromium"]
    return next(one for one in ours if not any(part.startswith("--type=") for part in one.cmdline()))
