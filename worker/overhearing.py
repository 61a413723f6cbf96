"""What is said while a person talks in the agent's place: understood, written down, and told to the agent.

    caller ─────► ear ──┐
                        ├──► lines of the transcript ──► what the agent knows once it has the call again
    supervisor ─► ear ──┘

The agent's own recogniser understands both, beside the session, which hears nothing meanwhile.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from livekit import rtc
from livekit.agents import AgentSession, stt, utils

from pipelines.transcript import Role, Utterance
from worker.lines.rtp.codecs import Resampler

logger = logging.getLogger(__name__)

HEARD_RATE = 16_000
LAST_WORDS_SECONDS = 2.0
"""For what was just said to be understood, once the agent has the call again."""
MOST_TOLD = 200
"""Utterances of one stretch that the agent is told of: the latest."""
_MOST_TEXT = 20_000


def along(session: AgentSession[Any]) -> stt.STT[Any] | None:
    """The agent's recogniser, in a form that listens along; None where it has none of its own."""
    recogniser = session.stt
    if recogniser is None or recogniser.capabilities.streaming:
        return recogniser
    if session.vad is None:
        return None
    return stt.StreamAdapter(stt=recogniser, vad=session.vad)


@dataclass
class _Ear:
    """One side."""

    role: Role
    words: stt.RecognizeStream
    understanding: "asyncio.Task[None] | None" = None
    resampler: Resampler | None = None
    began_at: float = 0.0
    ended_at: float = 0.0

    def hear(self, pcm: bytes, rate: int) -> None:
        if self.understanding is None or self.understanding.done():
            return
        if self.resampler is None:
            self.resampler = Resampler(rate, HEARD_RATE)
        if pcm := self.resampler.push(pcm):
            self.words.push_frame(rtc.AudioFrame(pcm, HEARD_RATE, 1, len(pcm) // 2))


@dataclass
class Overhearing:
    """Of one call. An `AudioTap`; deaf until it begins."""

    tell: Callable[[Utterance], None]
    """Writes down what was said."""
    warn: Callable[[str, str], None]
    _ears: dict[str, _Ear] = field(default_factory=dict)
    _said: list[Utterance] = field(default_factory=list)

    def begin(self, session: AgentSession[Any]) -> None:
        """Understand both sides from now on."""
        if self._ears:
            return
        if (recogniser := along(session)) is None:
            self.warn("take_over_unheard", "What a person says in this agent's place is not transcribed.")
            return
        roles: dict[str, Role] = {"caller": "user", "agent": "supervisor"}
        for side, role in roles.items():
            ear = self._ears[side] = _Ear(role, recogniser.stream())
            ear.understanding = asyncio.create_task(self._understand(ear), name="what is said in a take-over")

    def caller(self, pcm: bytes, sample_rate: int, at: float) -> None:
        """The caller said this."""
        self._hear("caller", pcm, sample_rate)

    def agent(self, pcm: bytes, sample_rate: int, at: float) -> None:
        """Whoever talks in the agent's place said this."""
        self._hear("agent", pcm, sample_rate)

    async def end(self, timeout_seconds: float = LAST_WORDS_SECONDS) -> list[Utterance]:
        """Stop; what was said since the beginning, its last words where they are understood in time."""
        ears, self._ears = list(self._ears.values()), {}
        tasks = {ear.understanding for ear in ears if ear.understanding is not None}
        for ear in ears:
            if ear.understanding is not None and not ear.understanding.done():
                ear.words.end_input()
        if tasks and timeout_seconds:
            await asyncio.wait(tasks, timeout=timeout_seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        said, self._said = sorted(self._said, key=lambda one: one.started_at), []
        return said[-MOST_TOLD:]

    def _hear(self, side: str, pcm: bytes, rate: int) -> None:
        if (ear := self._ears.get(side)) is not None:
            ear.hear(pcm, rate)

    async def _understand(self, ear: _Ear) -> None:
        try:
            async for event in ear.words:
                self._understood(ear, event)
        except Exception as error:  # noqa: BLE001 - the two talk on without it
            logger.warning("what was said was not understood", extra={"error": type(error).__name__})
            self.warn("take_over_unheard", "Not all that was said in the agent's place was understood.")
        finally:
            await ear.words.aclose()

    def _understood(self, ear: _Ear, event: stt.SpeechEvent) -> None:
        now = time.time()
        match event.type:
            case stt.SpeechEventType.START_OF_SPEECH | stt.SpeechEventType.INTERIM_TRANSCRIPT:
                ear.began_at = ear.began_at or now
            case stt.SpeechEventType.END_OF_SPEECH:
                ear.ended_at = now
            case stt.SpeechEventType.FINAL_TRANSCRIPT if event.alternatives:
                began, ended = ear.began_at or now, ear.ended_at or now
                ear.began_at = ear.ended_at = 0.0
                if text := event.alternatives[0].text.strip()[:_MOST_TEXT]:
                    said = Utterance(
                        utterance_id=utils.shortuuid("item_"),
                        role=ear.role,
                        text=text,
                        started_at=datetime.fromtimestamp(began, UTC),
                        ended_at=datetime.fromtimestamp(max(began, ended), UTC),
                    )
                    self._said.append(said)
                    del self._said[:-MOST_TOLD]
                    self.tell(said)
