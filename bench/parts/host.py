"""Holds the calls of one stack in one process, as the thing that is measured.

python -m bench.parts.host STACK SOCKET CALLS STT_DELAY      prints what it cost as JSON at the end
"""

import asyncio
import contextlib
import json
import os
import statistics
import sys
import time
from typing import Any

import psutil
import uvloop
from livekit import rtc
from livekit.agents import AgentSession, ConversationItemAddedEvent
from livekit.agents.llm import ChatMessage
from livekit.agents.voice import io

from bench.parts.oracle import VOICE_RATE, FixedLLM, OracleSTT
from bench.parts.script import BARGED_IN, MURMURED, RATE, utterances
from bench.parts.stacks import STACKS
from bench.parts.wire import LABEL, SOUND, packed, received
from worker.lines.playout import Playout

_SPLIT = {
    "endpointing": "end_of_turn_delay",
    "recogniser": "transcription_delay",
    "model": "llm_node_ttft",
    "voice": "tts_node_ttfb",
}


class SocketInput(io.AudioInput):
    """The caller's sound, as it comes; labels are told to the oracle on the way."""

    def __init__(self, reader: asyncio.StreamReader, ears: OracleSTT, mind: FixedLLM) -> None:
        super().__init__(label="Socket")
        self._reader, self._ears, self._mind = reader, ears, mind
        self._said = utterances()
        self.over = asyncio.Event()

    async def __anext__(self) -> rtc.AudioFrame:
        while True:
            try:
                kind, body = await received(self._reader)
            except (asyncio.IncompleteReadError, ConnectionError):
                self.over.set()
                raise StopAsyncIteration from None
            if kind == LABEL:
                self._mind.turn, name = json.loads(body)
                self._ears.label(self._said[name].stretches)
                continue
            samples = len(body) // 2
            self._ears.clock += samples / RATE
            return rtc.AudioFrame(body, RATE, 1, samples)


class Host:
    """Every connection is a call."""

    def __init__(self, stack: str, calls: int, delay: float) -> None:
        self._make = STACKS[stack]
        self._left = calls
        self._delay = delay
        self._split: dict[str, list[float]] = {name: [] for name in _SPLIT}
        self.done = asyncio.Event()
        self.call_seconds = 0.0
        self.began_at: float | None = None

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One call, from its first frame to its last."""
        if self.began_at is None:
            self.began_at = cpu_seconds()
        started = time.monotonic()
        ears, mind = OracleSTT(self._delay), FixedLLM(BARGED_IN | MURMURED)
        session, agent = await self._make(ears, mind)
        session.on("conversation_item_added", self._note)

        async def send(frame: rtc.AudioFrame) -> None:
            writer.write(packed(SOUND, bytes(frame.data)))

        heard = SocketInput(reader, ears, mind)
        output = Playout(send, VOICE_RATE)
        session.input.audio, session.output.audio = heard, output
        try:
            await session.start(agent, record=False)
            await heard.over.wait()
            self.call_seconds += time.monotonic() - started
            await _closed(session)
        finally:
            await output.aclose()
            writer.close()
            self._left -= 1
            if self._left <= 0:
                self.done.set()

    def _note(self, event: ConversationItemAddedEvent) -> None:
        if isinstance(event.item, ChatMessage):
            metrics: dict[str, Any] = dict(event.item.metrics)
            for name, key in _SPLIT.items():
                if metrics.get(key) is not None:
                    self._split[name].append(metrics[key] * 1000)

    def cost(self) -> dict[str, object]:
        """What it took."""
        return {
            "cpu_seconds": cpu_seconds() - (self.began_at or 0.0),
            "call_seconds": self.call_seconds,
            "split": {name: statistics.median(found) for name, found in self._split.items() if found},
        }


async def _closed(session: AgentSession[Any]) -> None:
    session.options.session_close_transcript_timeout = 0.0
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(session.aclose(), 5)


def cpu_seconds() -> float:
    """User and system time of this process."""
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)


async def _widest(pss: list[float]) -> None:
    """Note the memory (PSS, MB) now and then: asking the kernel for it is work, which would be counted."""
    process = psutil.Process()
    while True:
        pss.append(process.memory_full_info().pss / 1e6)
        await asyncio.sleep(30)


async def main(stack: str, socket: str, calls: int, delay: float) -> None:
    """Hold them all, then tell."""
    utterances()
    host = Host(stack, calls, delay)
    pss: list[float] = []
    idle = psutil.Process().memory_full_info().pss / 1e6
    server = await asyncio.start_unix_server(host.take, socket)
    print("ready", flush=True)
    watching = asyncio.ensure_future(_widest(pss))
    await host.done.wait()
    watching.cancel()
    server.close()
    print(json.dumps({**host.cost(), "idle_mb": idle, "mb": max(pss)}), flush=True)
    os._exit(0)  # nothing is owed to anybody, and closing everything nicely is not measured


if __name__ == "__main__":
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
