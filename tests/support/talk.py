"""One whole conversation with the demo agent, from the Python SDK. Prints what happened as JSON.

Run as a program (`python -m tests.support.talk HOME`) so that it can be put where no network is.
"""

import asyncio
import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.parts.caller import RATE, Caller
from tests.support.speech import pause, spoken, understood
from tests.support.stack import Stack, running

HOURS = "What are your opening hours on Saturday?"
PRICE = "How much does a teeth cleaning cost?"
BOOKING = "I would like to book a cleaning on Tuesday at ten in the morning. My name is Peter Johnson."
YES = "Yes, please."
LONG = "Which services do you offer?"
INTERRUPTION = "Sorry, where is your office?"


@dataclasses.dataclass
class Talk:
    """What a conversation left behind. Times are seconds on the caller's clock."""

    call_id: str
    heard: dict[str, str]
    """What was understood of the agent's sound, step by step."""
    answer_seconds: dict[str, float]
    """From the last word of each question to the first sound of its answer."""
    stopped_after_seconds: float
    """From the first word of the interruption to the agent's last sound."""
    captions: list[str]
    call: dict[str, Any]


async def talk(stack: Stack) -> Talk:
    """Greeting, two questions, a booking with its confirmation, an interruption, a goodbye."""
    await _knowing(stack)
    ticket = await stack.post("/v1/livekit/token", {})
    heard: dict[str, str] = {}
    waits: dict[str, float] = {}
    async with Caller.joined(ticket["url"], ticket["token"]) as caller:
        await caller.hear(after=0)
        heard["greeting"] = await _turn_over(caller, 0)
        for name, words in (("hours", HOURS), ("price", PRICE), ("read_back", BOOKING), ("booked", YES)):
            began = len(caller.heard.frames)
            ended = await caller.say(np.concatenate([spoken(words), pause(0.2)]))
            waits[name] = await caller.hear(after=ended) - ended
            heard[name] = await _turn_over(caller, began)
        began = len(caller.heard.frames)
        ended = await caller.say(spoken(LONG))
        await caller.hear(after=ended)
        await asyncio.sleep(2.0)
        cut_from = time.perf_counter()
        saying = asyncio.ensure_future(caller.say(spoken(INTERRUPTION)))
        stopped = await caller.quiet(seconds=0.5)
        heard["cut_off"] = _between(caller, began, len(caller.heard.frames))
        began = len(caller.heard.frames)
        ended = await saying
        await caller.hear(after=ended)
        heard["address"] = await _turn_over(caller, began)
        captions = [f"{side}: {text}" for _, side, text in caller.heard.captions]
    call = await stack.ended(ticket["call_id"])
    call = await _settled(stack, ticket["call_id"])
    return Talk(ticket["call_id"], heard, waits, stopped - cut_from, captions, call)


async def _turn_over(caller: Caller, first_frame: int) -> str:
    await caller.quiet(seconds=1.2)
    return await asyncio.to_thread(_between, caller, first_frame, len(caller.heard.frames))


def _between(caller: Caller, first: int, last: int) -> str:
    return understood(np.concatenate([pcm for _, pcm in caller.heard.frames[first:last]]), RATE)


async def _knowing(stack: Stack) -> None:
    """Wait until the demo agent has read its knowledge: on a busy machine the first call may come sooner."""
    async with asyncio.timeout(60):
        while not (bases := await stack.get("/v1/knowledge-base")) or any(
            base["status"] != "complete" for base in bases
        ):
            await asyncio.sleep(0.2)


async def _settled(stack: Stack, call_id: str) -> dict[str, Any]:
    """The call with its recording and settlement, which follow its end by a moment."""
    async with asyncio.timeout(20):
        while True:
            call: dict[str, Any] = await stack.get(f"/v1/calls/{call_id}")
            if call["recording_url"]:
                return call
            await asyncio.sleep(0.2)


async def _main(home: Path) -> None:
    async with running(home) as stack:
        print(json.dumps(dataclasses.asdict(await talk(stack))))  # noqa: T201  # the program's output


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
