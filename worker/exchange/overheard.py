"""What two say who were put through to each other, kept as an attempt of their call's own.

heard ──► waits ──► the api says what is kept ─┬─► the recording: caller left, the other right
                                               └─► ears ──► the spool: utterances, delivered like a call's own

Nothing that they say waits for the api: what was heard meanwhile is kept with the rest.
"""

import asyncio
import contextlib
import logging
from collections import deque
from dataclasses import dataclass

from pipelines.contract.brief import BriefRequest, CallBrief
from pipelines.contract.events import CallEnded
from worker import brief as briefs
from worker import roomless
from worker.exchange.words import Words, now, warned
from worker.host import Host
from worker.lines.line import AudioTap
from worker.recording import PHONE_RATE, Recording, Side
from worker.spool import Spool

logger = logging.getLogger(__name__)

MOST_WAITING_SECONDS = 30.0
"""Of each side, until the api has answered: the latest."""
AGAIN_SECONDS = 5.0
SLACK_SECONDS = 0.4
"""Frames of either side are joined within this: they come as they arrive."""
_PIECE_SECONDS = 0.5


@dataclass
class _Piece:
    side: Side
    at: float
    rate: int
    pcm: bytearray

    @property
    def seconds(self) -> float:
        return len(self.pcm) / 2 / self.rate


class _Waiting:
    """What was heard before anybody knew what is kept of it. An `AudioTap`."""

    def __init__(self) -> None:
        # Half a second each, unless a side is silent now and then.
        self._pieces: deque[_Piece] = deque(maxlen=round(2 * MOST_WAITING_SECONDS / _PIECE_SECONDS))
        self._newest: dict[Side, _Piece] = {}

    def caller(self, pcm: bytes, sample_rate: int, at: float) -> None:
        self._put("caller", pcm, sample_rate, at)

    def agent(self, pcm: bytes, sample_rate: int, at: float) -> None:
        self._put("agent", pcm, sample_rate, at)

    @property
    def began_at(self) -> float | None:
        """When the first was said of what is here."""
        return min((piece.at for piece in self._pieces), default=None)

    def pass_on(self, tap: AudioTap) -> None:
        for piece in self._pieces:
            tell = tap.caller if piece.side == "caller" else tap.agent
            tell(bytes(piece.pcm), piece.rate, piece.at)

    def _put(self, side: Side, pcm: bytes, rate: int, at: float) -> None:
        last = self._newest.get(side)
        if (
            last is not None
            and last.rate == rate
            and last.seconds < _PIECE_SECONDS
            and abs(at - last.at - last.seconds) < SLACK_SECONDS
        ):
            last.pcm += pcm
            return
        self._newest[side] = piece = _Piece(side, at, rate, bytearray(pcm))
        self._pieces.append(piece)


class Overheard:
    """Two of them; `run` until `end`. Whoever hears them tells it, as `lines.listening_bridge.Overhears`."""

    def __init__(self, host: Host, call_id: str, job_id: str) -> None:
        self._host, self._call_id, self._job_id = host, call_id, job_id
        self._waiting: _Waiting | None = _Waiting()
        self._recording: Recording | None = None
        self._words: Words | None = None
        self._over = asyncio.Event()

    def caller(self, pcm: bytes, sample_rate: int, at: float) -> None:
        """The caller said this."""
        for tap in (self._waiting, self._recording, self._words):
            if tap is not None:
                tap.caller(pcm, sample_rate, at)

    def agent(self, pcm: bytes, sample_rate: int, at: float) -> None:
        """The caller heard this: the other one, and whoever talks with both."""
        for tap in (self._waiting, self._recording):
            if tap is not None:
                tap.agent(pcm, sample_rate, at)

    def person(self, pcm: bytes, sample_rate: int, at: float) -> None:
        """The other one said this."""
        if self._words is not None:
            self._words.agent(pcm, sample_rate, at)

    def supervisor(self, pcm: bytes, sample_rate: int, at: float) -> None:
        """Somebody who talks with both said this."""
        if self._words is not None:
            self._words.supervisor(pcm, sample_rate, at)

    def end(self) -> None:
        """They do not talk any more, or are not heard here."""
        self._over.set()

    async def run(self) -> None:
        """Keep what is to be kept."""
        # As in a job: there providers find what they reach the network with.
        await roomless.begin(self._run(), self._job_id)

    async def _run(self) -> None:
        if (brief := await self._brief()) is None:
            self._waiting = None
            return
        spool = Spool.open(self._host.settings.spool, self._call_id, brief.attempt)
        try:
            await self._keep(brief, spool)
        finally:
            spool.close()

    async def _brief(self) -> CallBrief | None:
        """What is kept; None where nothing can be. Asked for as long as they talk, and once more."""
        settings = self._host.settings
        request = BriefRequest(worker_id=settings.worker_id, job_id=self._job_id)
        while True:
            is_last = self._over.is_set()
            try:
                return await briefs.ask_overheard(
                    settings.api_url, settings.internal_key, self._call_id, request
                )
            except (briefs.CallGone, briefs.CallOver, briefs.CallTaken) as error:
                why = type(error).__name__
                logger.warning("nothing is kept of two", extra={"call_id": self._call_id, "why": why})
                return None
            except briefs.ApiUnreachable:
                if is_last:
                    logger.error("nothing was kept of two", extra={"call_id": self._call_id})
                    return None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_SECONDS):
                    await self._over.wait()

    async def _keep(self, brief: CallBrief, spool: Spool) -> None:
        agent, waiting = brief.agent, self._waiting or _Waiting()
        recorded_ms = 0
        if agent.enable_recording and agent.record_after_transfer:
            self._recording = Recording(
                spool.recording, PHONE_RATE, began_at=waiting.began_at, agent_slack_seconds=SLACK_SECONDS
            )
            waiting.pass_on(self._recording)
        words = Words(self._host, brief, spool) if agent.transcribe_after_transfer else None
        if words is not None and words.begin():
            waiting.pass_on(words)
            self._words = words
        self._waiting = None
        try:
            await self._over.wait()
        finally:
            recording, self._recording, self._words = self._recording, None, None
            if recording is not None:
                recording.stop()  # the last words are waited for, and nobody is heard meanwhile
            if words is not None:
                await words.end()
            if recording is not None:
                recorded_ms = await recording.close()
                if recording.failure:
                    spool.append(warned("recording_incomplete", recording.failure))
            spool.append(
                CallEnded(
                    **now(),
                    status="transferred",
                    reason="transferred",
                    has_recording=recorded_ms > 0,
                    is_bridged=True,
                    is_overheard=True,
                    usage=words.usage if words is not None else {},
                )
            )
