"""What two say who were put through to each other, as words in the record: each of them by a role."""

import logging
from datetime import UTC, datetime
from typing import Any

from livekit.agents import stt
from livekit.agents.metrics import STTMetrics

from pipelines.assemble import ears
from pipelines.contract.brief import CallBrief
from pipelines.contract.events import UtteranceHeard, WarningRaised
from pipelines.local.parts import CannotServe
from pipelines.transcript import Utterance
from worker.host import Host
from worker.overhearing import Overhearing, along
from worker.spool import Spool

logger = logging.getLogger(__name__)

UNHEARD = "transfer_unheard"


def now() -> dict[str, Any]:
    """What an event has that the spool numbers."""
    return {"call_id": "", "attempt": 0, "sequence": 0, "at": datetime.now(UTC)}


def warned(code: str, message: str) -> WarningRaised:
    """Something is not as it should be; the two talk on."""
    return WarningRaised(**now(), code=code, message=message[:1000])


class Words:
    """Of one call, by its agent's own recogniser. An `AudioTap` whose agent is the other person."""

    def __init__(self, host: Host, brief: CallBrief, spool: Spool) -> None:
        self._host, self._brief, self._spool = host, brief, spool
        self._overhearing = Overhearing(
            self._said, self._warn, (UNHEARD, "Not all that two said who were put through was understood.")
        )
        self._recogniser: stt.STT[Any] | None = None
        self._streaming: stt.STT[Any] | None = None
        self._seconds = 0.0
        self._has_third = False

    @property
    def usage(self) -> dict[str, float]:
        """What was used of the recogniser."""
        return {"stt_seconds": self._seconds}

    def begin(self) -> bool:
        """Understand both from now on; False where nothing here hears their language."""
        try:
            self._recogniser, detector = ears(
                self._brief, self._host.settings.providers, self._warn, self._host.local
            )
        except CannotServe as error:
            self._warn(UNHEARD, f"What two said who were put through is not transcribed: {error}")
            return False
        self._recogniser.on("metrics_collected", self._used)
        self._streaming = along(self._recogniser, detector)
        if self._streaming is not None:
            self._overhearing.understand(self._streaming, {"caller": "user", "agent": "person"})
        return self._streaming is not None

    def caller(self, pcm: bytes, sample_rate: int, at: float) -> None:
        """The caller said this."""
        self._overhearing.caller(pcm, sample_rate, at)

    def agent(self, pcm: bytes, sample_rate: int, at: float) -> None:
        """The other one said this."""
        self._overhearing.agent(pcm, sample_rate, at)

    def supervisor(self, pcm: bytes, sample_rate: int, at: float) -> None:
        """Somebody who talks with both said this."""
        if not self._has_third and self._streaming is not None:
            self._has_third = True
            self._overhearing.understand(self._streaming, {"supervisor": "supervisor"})
        self._overhearing.supervisor(pcm, sample_rate, at)

    async def end(self) -> None:
        """Stop, after the last words."""
        await self._overhearing.end()
        if self._recogniser is not None:
            await self._recogniser.aclose()

    def _said(self, said: Utterance) -> None:
        self._spool.append(UtteranceHeard(**now(), utterance=said, usage=self.usage))

    def _warn(self, code: str, message: str) -> None:
        logger.warning("warning raised of two who were put through", extra={"code": code})
        self._spool.append(warned(code, message))

    def _used(self, metrics: Any) -> None:
        if isinstance(metrics, STTMetrics):
            self._seconds += metrics.audio_duration
