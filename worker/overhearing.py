"""What is said while a person talks in the agent's place: understood, written down, and told to the agent.

    caller ─────► ear ──┐
                        ├──► lines of the transcript ──► what the agent knows once it has the call again
    supervisor ─► ear ──┘

The agent's own recogniser understands both, beside the session, which hears nothing meanwhile.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from livekit import rtc
from livekit.agents import AgentSession, stt, utils, vad

from pipelines.transcript import Role, Utterance
from worker.lines.rtp.codecs import Resampler

logger = logging.getLogger(__name__)

HEARD_RATE = 16_000
LAST_WORDS_SECONDS = 2.0
"""For what was just said to be understood: of a stretch of speech, or once the agent has the call again."""
MOST_TOLD = 200
"""Utterances of one stretch that the agent is told of: the latest."""
_MOST_TEXT = 20_000
_MOST_STRETCHES = 8


def along(recogniser: stt.STT[Any] | None, detector: vad.VAD | None) -> stt.STT[Any] | None:
    """A recogniser in a form that listens along; None where there is none that could."""
    if recogniser is None or recogniser.capabilities.streaming:
        return recogniser
    if detector is None:
        return None
    return stt.StreamAdapter(stt=recogniser, vad=detector)


@dataclass
class _Stretch:
    """Of speech."""

    began_at: float
    ended_at: float = 0.0
    """0: it goes on."""


@dataclass
class _Ear:
    """One side."""

    role: Role
    words: stt.RecognizeStream
    said: list[Utterance]
    """By both sides, since the beginning."""
    understanding: "asyncio.Task[None] | None" = None
    resampler: Resampler | None = None
    stretches: deque[_Stretch] = field(default_factory=lambda: deque(maxlen=_MOST_STRETCHES))
    """Whose words have not come: the next one may begin before."""

    def hear(self, pcm: bytes, rate: int) -> None:
        if self.understanding is None or self.understanding.done():
            return
        if self.resampler is None:
            self.resampler = Resampler(rate, HEARD_RATE)
        if pcm := self.resampler.push(pcm):
            # A recogniser that has broken off is closed some turns of the loop before we read why.
            with contextlib.suppress(RuntimeError):
                self.words.push_frame(rtc.AudioFrame(pcm, HEARD_RATE, 1, len(pcm) // 2))

    def began(self, now: float) -> None:
        """Somebody speaks."""
        # What has had no words by now was a noise.
        while self.stretches and 0 < self.stretches[0].ended_at < now - LAST_WORDS_SECONDS:
            self.stretches.popleft()
        if not self.stretches or self.stretches[-1].ended_at:
            self.stretches.append(_Stretch(now))

    def ended(self, now: float) -> None:
        """Nobody does any more."""
        if self.stretches and not self.stretches[-1].ended_at:
            self.stretches[-1].ended_at = now


@dataclass
class Overhearing:
    """Of one call. An `AudioTap`; deaf until it begins."""

    tell: Callable[[Utterance], None]
    """Writes down what was said."""
    warn: Callable[[str, str], None]
    unheard: tuple[str, str] = (
        "take_over_unheard",
        "Not all that was said in the agent's place was understood.",
    )
    """What is warned of when a recogniser breaks off."""
    _ears: dict[str, _Ear] = field(default_factory=dict)

    def begin(self, session: AgentSession[Any]) -> None:
        """Understand both sides from now on."""
        if self._ears:
            return
        if (recogniser := along(session.stt, session.vad)) is None:
            self.warn("take_over_unheard", "What a person says in this agent's place is not transcribed.")
            return
        self.understand(recogniser, {"caller": "user", "agent": "supervisor"})

    def understand(self, recogniser: stt.STT[Any], roles: Mapping[str, Role]) -> None:
        """Understand these sides from now on, each as what is said by a role. The recogniser streams."""
        said: list[Utterance] = []
        for side, role in roles.items():
            ear = self._ears[side] = _Ear(role, recogniser.stream(), said)
            ear.understanding = asyncio.create_task(self._understand(ear), name="what is said in a take-over")

    def caller(self, pcm: bytes, sample_rate: int, at: float) -> None:
        """The caller said this."""
        self._hear("caller", pcm, sample_rate)

    def agent(self, pcm: bytes, sample_rate: int, at: float) -> None:
        """Whoever talks in the agent's place said this."""
        self._hear("agent", pcm, sample_rate)

    def supervisor(self, pcm: bytes, sample_rate: int, at: float) -> None:
        """Somebody who talks with two others said this."""
        self._hear("supervisor", pcm, sample_rate)

    async def end(self, timeout_seconds: float = LAST_WORDS_SECONDS) -> list[Utterance]:
        """Stop; what was said since the beginning, its last words where they are understood in time."""
        ears, self._ears = list(self._ears.values()), {}
        tasks = {ear.understanding for ear in ears if ear.understanding is not None}
        for ear in ears:
            with contextlib.suppress(RuntimeError):  # it has broken off
                ear.words.end_input()
        try:
            if tasks and timeout_seconds:
                await asyncio.wait(tasks, timeout=timeout_seconds)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return sorted((one for ear in ears[:1] for one in ear.said), key=lambda one: one.started_at)

    def _hear(self, side: str, pcm: bytes, rate: int) -> None:
        if (ear := self._ears.get(side)) is not None:
            ear.hear(pcm, rate)

    async def _understand(self, ear: _Ear) -> None:
        try:
            async for event in ear.words:
                self._understood(ear, event)
        except Exception as error:  # noqa: BLE001 - the two talk on without it
            logger.warning("what was said was not understood", extra={"error": type(error).__name__})
            self.warn(*self.unheard)
        finally:
            await ear.words.aclose()

    def _understood(self, ear: _Ear, event: stt.SpeechEvent) -> None:
        now = time.time()
        match event.type:
            case stt.SpeechEventType.START_OF_SPEECH:
                ear.began(now)
            case stt.SpeechEventType.INTERIM_TRANSCRIPT if not ear.stretches:
                ear.began(now)
            case stt.SpeechEventType.END_OF_SPEECH:
                ear.ended(now)
            case stt.SpeechEventType.FINAL_TRANSCRIPT if event.alternatives:
                stretch = ear.stretches.popleft() if ear.stretches else _Stretch(now)
                ended_at = stretch.ended_at or now
                if text := event.alternatives[0].text.strip()[:_MOST_TEXT]:
                    said = Utterance(
                        utterance_id=utils.shortuuid("item_"),
                        role=ear.role,
                        text=text,
                        started_at=datetime.fromtimestamp(stretch.began_at, UTC),
                        ended_at=datetime.fromtimestamp(max(stretch.began_at, ended_at), UTC),
                    )
                    ear.said.append(said)
                    del ear.said[:-MOST_TOLD]
                    self.tell(said)
