"""Calls that go as calls go: noise without words, nobody who speaks, an agent that is gone."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.parts.caller import RATE, Caller, Pcm
from tests.support import sounds
from tests.support.stack import Stack, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

GREETING = "Good morning, this is the quiet test."


def agent(**more: Any) -> dict[str, Any]:
    """An agent as the official SDK creates one: it asks for providers that are not here."""
    return {
        "agent_name": "Quiet test",
        "voice_id": "elevenlabs-nobody",
        "language": "en-US",
        "begin_message": GREETING,
        "begin_message_mode": "static",
        "response_engine": {
            "type": "call2me-llm",
            "system_prompt": "You are a receptionist. We are open from 9 to 5.",
            "llm_provider": "openrouter",
            "llm_model": "openrouter/auto",
        },
        **more,
    }


def as_microphone(sound: sounds.Sound) -> Pcm:
    """A sound of 16 kHz as a browser would send it."""
    at = np.arange(0, len(sound), sounds.RATE / RATE)
    return np.asarray(np.interp(at, np.arange(len(sound)), sound) * 32_000, np.int16)


async def call_with(stack: Stack, created: dict[str, Any]) -> dict[str, Any]:
    """A token to talk to an agent made for this."""
    made = await stack.post("/v1/agents", created)
    ticket: dict[str, Any] = await stack.post("/v1/livekit/token", {"agent_id": made["agent_id"]})
    return {**ticket, "agent_id": made["agent_id"]}


async def test_calls_that_go_wrong_in_ordinary_ways(tmp_path: Path) -> None:
    """One stack for all of them, since starting it is most of the work; each call is told apart below."""
    async with running(tmp_path / "home") as stack:
        await asyncio.gather(_noise_is_not_answered(stack), _silence_ends_the_call(stack))
        await _an_agent_that_is_gone_is_said_so(stack)


async def _noise_is_not_answered(stack: Stack) -> None:
    # A reminder would be no answer, and sound like one.
    ticket = await call_with(stack, agent(reminder_max_count=0))
    async with Caller.joined(ticket["url"], ticket["token"]) as caller:
        await caller.hear(after=0)
        greeted = await caller.quiet(seconds=1)
        for name in ("white", "brown", "clicks", "hum"):
            await caller.say(as_microphone(sounds.NOISES[name](5.0)))
        await asyncio.sleep(3)
        assert caller.heard.first_sound_after(greeted + 0.5) is None, "the agent answered noise"
    call = await stack.ended(ticket["call_id"])
    assert [entry["text"] for entry in call["transcript_object"]] == [GREETING]
    # Answered by what is here, said in the record and never aloud.
    assert {warning["code"] for warning in call["warnings"]} >= {"voice_unavailable", "llm_unavailable"}


async def _silence_ends_the_call(stack: Stack) -> None:
    ticket = await call_with(stack, agent(end_call_after_silence_ms=10_000))
    async with Caller.joined(ticket["url"], ticket["token"]) as caller:
        await caller.hear(after=0)
        async with asyncio.timeout(40):
            await caller.disconnected.wait()
    call = await stack.ended(ticket["call_id"])
    assert call["call_status"] == "completed"
    assert call["disconnection_reason"] == "silence"


async def _an_agent_that_is_gone_is_said_so(stack: Stack) -> None:
    ticket = await call_with(stack, agent())
    async with stack.http.delete(
        f"{stack.url}/v1/agents/{ticket['agent_id']}", headers={"Authorization": f"Bearer {stack.api_key}"}
    ) as reply:
        assert reply.status == 204
    async with Caller.joined(ticket["url"], ticket["token"]) as caller:
        async with asyncio.timeout(20):
            await caller.disconnected.wait()
        told = [message for _, message in caller.heard.messages]
    assert [message["reason"] for message in told] == ["agent_gone"], told
