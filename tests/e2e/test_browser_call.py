"""A person opens the page, talks, and an agent answers by voice: everything real but the person."""

import asyncio
import base64
import json
import re
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.async_api import Page, async_playwright

from tests.e2e.test_widget import page_with
from tests.support.recordings import RATE, decoded, loud_stretches
from tests.support.speech import spoken, understood
from tests.support.stack import Stack, running
from tests.support.talk import BOOKING, HOURS, INTERRUPTION, LONG, PRICE, YES

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

SCRIPT = (
    (13.0, HOURS),
    (23.0, PRICE),
    (33.0, BOOKING),
    (52.0, YES),
    (64.0, LONG),
    (69.5, INTERRUPTION),
)
"""When each sentence begins, in seconds after the microphone opened: time enough for each answer."""
SCRIPT_SECONDS = 83.0
WIDGET_SCRIPT, WIDGET_SECONDS = ((14.0, HOURS),), 28.0
"""What a visitor of somebody's page says."""

# As a person's browser is: nothing here touches the network or WebRTC.
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)

KEEP_THE_SOUND = """() => {
  window.kept = [];
  const keep = (stream) => {
    if (!stream || window.keeper) return;
    window.keeper = new MediaRecorder(stream, {mimeType: "audio/webm;codecs=opus"});
    window.keeper.ondataavailable = (event) => window.kept.push(event.data);
    window.keeper.start(500);
  };
  keep(window.call2me.stream);
  window.call2me.on("stream", keep);
}"""

HEAR_WHAT_COMES = """() => {
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...given) {
      super(...given);
      this.addEventListener("track", ({ track }) => {
        if (track.kind !== "audio" || window.keeper) return;
        window.kept = [];
        window.keeper = new MediaRecorder(new MediaStream([track]), {mimeType: "audio/webm;codecs=opus"});
        window.keeper.ondataavailable = (event) => window.kept.push(event.data);
        window.keeper.start(500);
      });
    }
  };
}"""

GIVE_THE_SOUND = """async () => {
  await new Promise((done) => { window.keeper.onstop = done; window.keeper.stop(); });
  const bytes = new Uint8Array(await new Blob(window.kept).arrayBuffer());
  let text = "";
  for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return btoa(text);
}"""


def microphone(
    path: Path, script: tuple[tuple[float, str], ...] = SCRIPT, seconds: float = SCRIPT_SECONDS
) -> Path:
    """A script as a wav file."""
    pcm = np.zeros(int(seconds * RATE), np.int16)
    for at, words in script:
        said = spoken(words)
        pcm[int(at * RATE) : int(at * RATE) + len(said)] = said
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm.tobytes())
    return path


@asynccontextmanager
async def browsing(mic: Path) -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=[*CHROMIUM_FLAGS, f"--use-file-for-fake-audio-capture={mic}%noloop"],
        )
        try:
            yield await browser.new_page()
        finally:
            await browser.close()


async def until(page: Page, claim: str, *, timeout: float = 20) -> None:
    """Wait for a claim of JavaScript; the page's own policy forbids Playwright's way of waiting."""
    async with asyncio.timeout(timeout):
        while not await page.evaluate(claim):
            await asyncio.sleep(0.05)


def sign_in_link(stack: Stack) -> str:
    """The one-time link that `call2me up` printed."""
    found = re.search(r"http://\S+(?:link|sign_in)=\S+", "\n".join(stack.printed))
    assert found, "\n".join(stack.printed)
    return found.group()


async def talk_in_the_browser(stack: Stack, mic: Path) -> dict[str, Any]:
    """Click, talk the script, hang up; what the page heard and showed."""
    async with browsing(mic) as page:
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
        await page.goto(sign_in_link(stack))
        await until(page, "window.call2me !== undefined")
        assert "once_" not in page.url
        await page.evaluate(KEEP_THE_SOUND)
        await page.get_by_role("button", name="Talk", exact=True).click()
        await until(page, "window.call2me.phase === 'live'")
        await asyncio.sleep(SCRIPT_SECONDS)
        sound = base64.b64decode(await page.evaluate(GIVE_THE_SOUND))
        captions = await page.evaluate("window.call2me.captions")
        turns = await page.evaluate("window.call2me.turns")
        call_id = await page.evaluate("window.call2me.callId")
        await page.get_by_role("button", name="Hang up").click()
        await until(page, "window.call2me.phase === 'ended'")
        await page.locator("audio").first.wait_for(state="attached", timeout=20_000)
        return {
            "sound": sound,
            "captions": captions,
            "turns": turns,
            "call_id": call_id,
            "problems": problems,
            "page": await page.inner_text("main"),
        }


async def talk_through_a_widget(stack: Stack, mic: Path) -> tuple[bytes, dict[str, Any]]:
    """Talk to the same agent on somebody else's page; what came there, and the call."""
    agent_id = (await stack.get("/v1/agents"))[0]["agent_id"]
    wanted = {"agent_id": agent_id, "name": "Clinic", "language": "en-US", "voice_mode": "both"}
    widget = await stack.post("/v1/widgets", wanted)
    script = f"{stack.url}/v1/widgets/{widget['widget_id']}/embed.js"
    async with page_with(script) as address, browsing(mic) as page:
        await page.add_init_script(f"({HEAR_WHAT_COMES})()")
        await page.goto(address)
        await page.get_by_role("button", name="Open chat").click()
        async with page.expect_response("**/voice-token", timeout=60_000) as token:
            await page.get_by_role("button", name="Talk").click()
        call_id = (await (await token.value).json())["call_id"]
        await until(page, "window.keeper !== undefined", timeout=40)
        await asyncio.sleep(WIDGET_SECONDS)
        sound = base64.b64decode(await page.evaluate(GIVE_THE_SOUND))
        await page.get_by_role("button", name="End").click()
        await page.get_by_text("The conversation has ended.").wait_for(timeout=20_000)
    return sound, await stack.ended(call_id)


async def test_a_person_talks_to_the_clinic_in_a_browser(tmp_path: Path) -> None:
    mic = microphone(tmp_path / "mic.wav")
    async with running(tmp_path / "home") as stack:
        seen = await talk_in_the_browser(stack, mic)
        call = await stack.ended(seen["call_id"])
        async with stack.http.get(
            f"{stack.url}/v1/calls/{seen['call_id']}/recording",
            headers={"Authorization": f"Bearer {stack.api_key}"},
        ) as reply:
            assert reply.status == 200
            recording = decoded(await reply.read())
        asks = microphone(tmp_path / "visitor.wav", WIDGET_SCRIPT, WIDGET_SECONDS)
        came, visit = await talk_through_a_widget(stack, asks)

    answer = understood(decoded(came, layout="mono")[0])
    assert re.search(r"nine|9", answer), answer
    said = [(entry["role"], entry["text"].lower()) for entry in visit["transcript_object"]]
    assert any(role == "user" and "saturday" in text for role, text in said), said
    assert visit["metadata"]["widget_id"]

    heard = understood(decoded(seen["sound"], layout="mono")[0])
    shown = [(line["side"], line["text"].lower()) for line in seen["captions"]]
    stored = [(entry["role"], entry["text"].lower()) for entry in call["transcript_object"]]
    for facts in (r"nine|9", r"95|ninety.?five", r"peter", r"maple"):
        assert re.search(facts, heard), f"{facts} in {heard}, stored as {stored}"
        assert any(side == "agent" and re.search(facts, text) for side, text in shown), (facts, shown)
        assert any(role == "agent" and re.search(facts, text) for role, text in stored), (facts, stored)
    assert any(side == "user" and "saturday" in text for side, text in shown), shown
    assert any(role == "user" and "saturday" in text for role, text in stored), stored
    # What the agent says on its own (a function's result) answers nobody and has no latency.
    waits = [turn["latency"]["total_ms"] for turn in seen["turns"] if turn["latency"]["total_ms"]]
    assert len(waits) >= 5, seen["turns"]
    assert all(0 < wait < 10_000 for wait in waits), waits
    assert not seen["problems"], seen["problems"]

    [booked] = [ran for ran in call["functions"] if ran["name"] == "book_appointment"]
    kept = list((tmp_path / "home" / "functions").glob("*.jsonl"))
    assert len(kept) == 1, kept
    [appointment] = [json.loads(line) for line in kept[0].read_text().splitlines()]
    assert "peter" in json.dumps(appointment).lower(), (appointment, booked)

    _the_interruption_cut_the_agent_off(call, recording)


def _the_interruption_cut_the_agent_off(call: dict[str, Any], recording: Any) -> None:
    caller, agent = recording
    # The last one: where a sentence of the caller was taken apart, its answer was cut off too.
    cut = [entry for entry in call["transcript_object"] if entry["was_interrupted"]][-1]
    assert cut["role"] == "agent"
    whole = "braces for children and adults"
    assert whole not in cut["text"].lower(), cut
    onset = loud_stretches(caller)[-1][0]
    stretch = next(found for found in reversed(loud_stretches(agent)) if found[0] < onset)
    # The hush may come with the first sound of a word, before it is loud here.
    assert -0.5 < stretch[1] - onset < 1.5, (stretch, onset)
    # What is stored is what was heard: the last stored word is in the recording, up to a word.
    said = understood(agent[int(stretch[0] * RATE) : int(stretch[1] * RATE)])
    words = re.findall(r"[a-z]+", cut["text"].lower())
    assert words, cut
    assert any(word in said for word in words[-2:]), (said, cut)
    assert "children and adults" not in said, said
    assert "saturday" in understood(caller), "the caller is on the left channel"
    assert "maple" in understood(agent), "the agent is on the right channel"
