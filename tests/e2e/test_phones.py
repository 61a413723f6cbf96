"""The whole product on a telephone: asked, killed in mid-call, taken over in a browser; and who is busy."""

import asyncio
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.async_api import async_playwright, expect

from tests.e2e.test_browser_call import CHROMIUM_FLAGS, sign_in_link
from tests.support.ports import free_port
from tests.support.speech import understood, words
from tests.support.stack import ROOT, Stack, process_of, running
from tests.support.telephony import Caller, calling
from worker.exchange import sip

pytestmark = [pytest.mark.e2e, pytest.mark.phones, pytest.mark.timeout(300)]

NUMBER = "+905331112233"
SILENT_SECONDS = 6.0
"""A call in a room is called lost after three."""
ASKED = "What are your opening hours on Saturday?"


async def test_a_telephone_talks_with_the_agent_even_when_its_process_is_killed(tmp_path: Path) -> None:
    sip_port, rtp_port = free_port(), free_port() // 2 * 2
    everybody = sip.Admission(sources=None, per_second=100, burst=100)
    settings = {
        "CALL2ME_SIP_LISTEN": f"udp:127.0.0.1:{sip_port}",
        "CALL2ME_RTP_PORTS": f"{rtp_port}-{min(rtp_port + 100, 65_535)}",
        "CALL2ME_ALLOW_HOSTS": "127.0.0.1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    async with (
        sip.Engine([sip.Listener("udp", "127.0.0.1", 0)], admission=everybody) as carrier,
        running(tmp_path / "home", **settings) as stack,
    ):
        agent_id = (await stack.get("/v1/agents"))[0]["agent_id"]
        server = f"127.0.0.1:{carrier.addresses[0][2]}"
        trunk = await stack.post("/v1/sip-trunks", {"name": "Carrier", "sip_server": server})
        number = {"number": NUMBER, "agent_id": agent_id, "trunk_id": trunk["trunk_id"]}
        await stack.post("/v1/phone-numbers", number)
        await asyncio.sleep(4)  # the exchange asks for trunks every three seconds
        async with calling(SimpleNamespace(sip_port=sip_port), carrier, NUMBER) as caller:  # type: ignore[arg-type]
            call_id = await _running(stack)
            await _answer_unsupervised(stack, caller, call_id)
            ssrc = caller.phone.heard[-1][1].ssrc
            shard = await process_of(call_id)
            killed_at = time.time()
            shard.kill()
            async with asyncio.timeout(10):
                while caller.phone.heard[-1][1].ssrc == ssrc:
                    await asyncio.sleep(0.01)
            back_at = next(at for at, packet in caller.phone.heard if packet.ssrc != ssrc)
            async with asyncio.timeout(10):
                while (word_at := caller.phone.first_sound(back_at)) is None:
                    await asyncio.sleep(0.01)
            assert back_at - killed_at < 1.5
            assert word_at - killed_at < 3.0
            await asyncio.sleep(3)
            await _answer(caller)
            await _from_a_browser(stack, caller, call_id)
        call = await stack.ended(call_id)
        assert (call["call_status"], call["call_type"], call["direction"]) == (
            "completed",
            "phone_call",
            "inbound",
        )
        assert (call["from_number"], call["to_number"], call["attempt"]) == ("+14155550100", NUMBER, 2)
        assert call["media_quality"]["mos"] > 3.5
        notes = [entry["text"] for entry in call["transcript_object"] if entry["role"] == "note"]
        assert notes == ["Supervisor took the call over.", "Supervisor gave the call back."]
        assert sum(entry["role"] == "user" for entry in call["transcript_object"]) >= 2
        await _outbound(stack, carrier, agent_id)


async def _running(stack: Stack) -> str:
    async with asyncio.timeout(10):
        while not (calls := (await stack.get("/v1/calls"))["calls"]):
            await asyncio.sleep(0.1)
    return str(calls[0]["call_id"])


async def _answer_unsupervised(stack: Stack, caller: Caller, call_id: str) -> None:
    """Nobody is called lost whose supervisor alone is silent, and what they say is kept."""
    supervisor = (await stack.status())["processes"]["worker"]["pid"]
    os.kill(supervisor, signal.SIGSTOP)
    try:
        answered = asyncio.create_task(_answer(caller))
        await asyncio.sleep(SILENT_SECONDS)
        assert (await stack.get(f"/v1/calls/{call_id}"))["attempt"] == 1
    finally:
        os.kill(supervisor, signal.SIGCONT)
    await answered
    async with asyncio.timeout(20):
        while not any(
            entry["role"] == "user"
            for entry in (await stack.get(f"/v1/calls/{call_id}")).get("transcript_object", ())
        ):
            await asyncio.sleep(0.1)
        while (await stack.status())["processes"]["worker"]["pid"] != supervisor:
            await asyncio.sleep(0.1)


async def _answer(caller: Caller) -> None:
    """Ask, and understand what is answered."""
    async with asyncio.timeout(30):
        while not (last := caller.phone.last_sound()) or time.time() - last < 1.5:
            await asyncio.sleep(0.05)
    asked_at = time.time()
    caller.phone.say(words(ASKED))
    async with asyncio.timeout(30):
        while caller.phone.is_talking or caller.phone.first_sound(caller.phone.spoke_until) is None:
            await asyncio.sleep(0.02)
        while time.time() - (caller.phone.last_sound() or 0) < 1.5:
            await asyncio.sleep(0.05)
    heard = understood(caller.phone.sound(asked_at).repeat(2), 16_000)
    assert any(word in heard for word in ("saturday", "o'clock", "nine", "one", "open", "9", "closed")), heard


async def _from_a_browser(stack: Stack, caller: Caller, call_id: str) -> None:
    """Somebody opens the page, listens, talks in the agent's place, and gives the call back."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=[*CHROMIUM_FLAGS]
        )
        page = await browser.new_page()
        await page.goto(sign_in_link(stack))
        await page.get_by_role("button", name="Sign out").wait_for()
        await page.goto(f"{stack.url}/#/calls/{call_id}")
        await page.get_by_role("button", name="Listen").click()
        take_over = page.get_by_role("button", name="Take over")
        await take_over.wait_for()
        assert await page.locator(".listening audio").count() == 2, "caller and agent"
        await page.get_by_label("Whisper").fill("They are a good customer.")
        await page.get_by_label("Whisper").press("Enter")
        await expect(page.get_by_text("The agent knows it.")).to_be_visible()
        asked = caller.phone.last_sound() or 0.0
        await take_over.click()
        give_back = page.get_by_role("button", name="Give back")
        await give_back.wait_for()
        taken_at = time.time()
        # Chromium's make-believe microphone beeps once a second.
        beeps = 0
        async with asyncio.timeout(15):
            while beeps < 2:
                await asyncio.sleep(0.1)
                at = caller.phone.first_sound(taken_at)
                if at is not None:
                    beeps, taken_at = beeps + 1, at + 0.5
        assert taken_at > asked
        await give_back.click()
        await take_over.wait_for()
        back_at = time.time()
        async with asyncio.timeout(10):
            while caller.phone.first_sound(back_at) is None:
                await asyncio.sleep(0.05)
        await page.get_by_role("button", name="Leave").click()
        await page.get_by_role("button", name="Listen").wait_for()
        await browser.close()


async def _outbound(stack: Stack, carrier: sip.Engine, agent_id: str) -> None:
    body: dict[str, Any] = {"agent_id": agent_id, "to_number": "+14155550123"}
    call = await stack.post("/v1/calls/outbound", body)
    dialog = await asyncio.wait_for(anext(carrier.invitations()), 10)
    dialog.ring()
    dialog.reject(486)
    over = await stack.ended(call["call_id"])
    assert (over["call_status"], over["sip_code"]) == ("busy", 486)
