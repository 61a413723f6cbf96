"""What two say who were put through to each other, kept as an attempt of their call's own.

heard ──► waits ──► the api says what is kept ──► the recording: caller left, the other right
                                                  spool: the attempt's last event, delivered like a call's own

Nothing that they say waits for the api: what was heard meanwhile is kept with the rest.
"""

import asyncio
import contextlib
import logging
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime

from pipelines.contract.brief import BriefRequest, CallBrief
from pipelines.contract.events import CallEnded, WarningRaised
from worker import brief as briefs
from worker.lines.line import AudioTap
from worker.recording import PHONE_RATE, Recording, Side
from worker.settings import WorkerSettings
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
    """Two of them. An `AudioTap` whose agent is the other person; `run` until `end`."""

    def __init__(self, settings: WorkerSettings, call_id: str, job_id: str) -> None:
        self._settings, self._call_id, self._job_id = settings, call_id, job_id
        self._waiting = _Waiting()
        self._tap: AudioTap | None = self._waiting
        self._over = asyncio.Event()

    def caller(self, pcm: bytes, sample_rate: int, at: float) -> None:
        """The caller said this."""
        if self._tap is not None:
            self._tap.caller(pcm, sample_rate, at)

    def agent(self, pcm: bytes, sample_rate: int, at: float) -> None:
        """The other one said this, or somebody who talks with both."""
        if self._tap is not None:
            self._tap.agent(pcm, sample_rate, at)

    def end(self) -> None:
        """They do not talk any more, or are not heard here."""
        self._over.set()

    async def run(self) -> None:
        """Keep what is to be kept."""
        try:
            if (brief := await self._brief()) is None:
                return
            spool = Spool.open(self._settings.spool, self._call_id, brief.attempt)
            try:
                await self._keep(brief, spool)
            finally:
                spool.close()
        finally:
            self._tap = None

    async def _brief(self) -> CallBrief | None:
        """What is kept; None where nothing can be. Asked for as long as they talk, and once more."""
        request = BriefRequest(worker_id=self._settings.worker_id, job_id=self._job_id)
        while True:
            is_last = self._over.is_set()
            try:
                return await briefs.ask_overheard(
                    self._settings.api_url, self._settings.internal_key, self._call_id, request
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
        recorded_ms, failure = 0, ""
        recording = None
        if brief.agent.enable_recording and brief.agent.record_after_transfer:
            recording = Recording(
                spool.recording,
                PHONE_RATE,
                began_at=self._waiting.began_at,
                agent_slack_seconds=SLACK_SECONDS,
            )
            self._waiting.pass_on(recording)
        self._tap, self._waiting = recording, _Waiting()
        try:
            await self._over.wait()
        finally:
            self._tap = None
            if recording is not None:
                recorded_ms, failure = await recording.close(), recording.failure
            now = {"call_id": "", "attempt": 0, "sequence": 0, "at": datetime.now(UTC)}
            if failure:
                message = failure[:1000]
                spool.append(WarningRaised(**now, code="recording_incomplete", message=message))
            spool.append(
                CallEnded(
                    **now,
                    status="transferred",
                    reason="transferred",
                    has_recording=recorded_ms > 0,
                    is_bridged=True,
                    is_overheard=True,
                )
            )
