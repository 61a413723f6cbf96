"""What is on record of an answer that was cut off ends where the sound ended."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import numpy as np
from livekit.agents.llm import ChatMessage

from pipelines.agent_config import AgentConfig
from pipelines.assemble import assemble
from pipelines.contract.brief import CallBrief
from pipelines.local.voice import LocalVoice
from pipelines.providers import ProviderSettings
from pipelines.tools.developer import Functions
from tests.support.desk import DeskLine
from tests.support.fake_providers import FakeParts

RATE = 24_000
SECONDS_A_WORD = 0.5
"""Slower than LiveKit guesses from letters alone."""
ANSWER = "alpha bravo gamma delta omega sigma kappa theta lambda seven eight nine."


class SlowVoice(LocalVoice):
    """A drone whose length is all that is known of it, like the voices here."""

    def __init__(self) -> None:
        super().__init__(RATE)

    async def speak(self, piece: str, timeout: float) -> AsyncGenerator[bytes, None]:
        seconds = np.arange(int(len(piece.split()) * SECONDS_A_WORD * RATE)) / RATE
        yield (np.sin(2 * np.pi * 300 * seconds) * 9_000).astype(np.int16).tobytes()


async def test_the_words_on_record_are_the_words_that_sounded() -> None:
    agent = AgentConfig(agent_id="a", name="A", begin_message=ANSWER, begin_message_mode="static")
    brief = CallBrief(call_id="c", agent=agent)
    parts = FakeParts(voice=SlowVoice)
    pipeline = await assemble(brief, ProviderSettings(), Functions(), datetime.now(UTC), local=parts)  # type: ignore[arg-type]
    line, session = DeskLine(), pipeline.session()
    await line.start(session, pipeline.agent, None)
    async with asyncio.timeout(20):
        while line.output.heard_seconds < 3.2:
            await asyncio.sleep(0.01)
        await session.interrupt()
        while not (said := [item for item in session.history.items if isinstance(item, ChatMessage)]):
            await asyncio.sleep(0.02)
    heard_words = line.output.heard_seconds / SECONDS_A_WORD
    text = (said[-1].text_content or "").strip()
    session.options.session_close_transcript_timeout = 0
    await session.aclose()
    await pipeline.aclose()
    await line.hang_up()
    assert said[-1].interrupted
    assert ANSWER.startswith(text)
    assert abs(len(text.split()) - heard_words) <= 1.2
