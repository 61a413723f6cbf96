"""The operator's reranking server: whoever searches knowledge asks it what the search found is worth."""

import asyncio
import contextlib
import hashlib
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

# Settings are read by the command line too, which answers at once: aiohttp and numpy come when they are used.
if TYPE_CHECKING:
    from kb.calibration import Calibration
    from kb.search import Found

_LOG = logging.getLogger(__name__)

_PATIENCE_SECONDS = 10.0
_AGAIN_SECONDS = 60.0
"""After a measurement that failed, the next one waits so long."""
CANDIDATES = 10
"""Passages that are judged; a model reads each of them together with the question."""


@dataclass(frozen=True)
class RerankServer:
    """Where `POST {base_url}/rerank` is asked, by the settings of who runs this machine."""

    base_url: str
    model: str = ""
    api_key: str = field(default="", repr=False)


class Judge:
    """Puts what a search found into a better order, as long as the server says so in time.

    What the server's numbers are worth is measured once for each server and model, in the background of
    the first question, and kept in `folder`. Until then, and whenever it fails, the search's order stands.
    """

    def __init__(self, server: RerankServer, folder: Path, timeout_seconds: float) -> None:
        from kb.reranking import ServedReranker  # noqa: PLC0415
        from pipelines.outbound import Guard, NoAnswer  # noqa: PLC0415

        self._guard = Guard([urlsplit(server.base_url).netloc.rpartition("@")[2]])
        self._reranker, self._patient = (
            ServedReranker(
                self._guard.fetch,
                base_url=server.base_url,
                model=server.model,
                api_key=server.api_key,
                failures=(NoAnswer,),
                timeout_seconds=seconds,
            )
            for seconds in (timeout_seconds, _PATIENCE_SECONDS)
        )
        named = hashlib.sha256(f"{server.base_url} {server.model}".encode()).hexdigest()[:16]
        self._kept = folder / f"reranker-{named}.json"
        self._measuring: asyncio.Task[None] | None = None
        self._measured_at = -_AGAIN_SECONDS
        self._has_looked = False

    async def judged(
        self, question: str, found: "Sequence[Found]", *, waits: bool = False
    ) -> "Sequence[Found]":
        """The same passages, best first. `waits`: for the measurement, too, where it is the first time."""
        from kb.reranking import RerankerFailed  # noqa: PLC0415
        from kb.search import rerank  # noqa: PLC0415

        if not found:
            return found
        if not self._has_looked:
            self._has_looked = True
            self._reranker.calibration = await asyncio.to_thread(self._read)
        if self._reranker.calibration is None:
            is_free = self._measuring is None or self._measuring.done()
            if is_free and time.monotonic() - self._measured_at >= _AGAIN_SECONDS:
                self._measured_at = time.monotonic()
                self._measuring = asyncio.create_task(self._measure(), name="measuring a reranker")
            if waits and self._measuring is not None:
                await asyncio.wait([self._measuring], timeout=_PATIENCE_SECONDS)
            if self._reranker.calibration is None:
                return found
        try:
            return await rerank(self._reranker, question, found)
        except RerankerFailed as error:
            _LOG.warning("what was found was not reranked", extra={"error": str(error)})
            return found

    async def aclose(self) -> None:
        """Drop the connections."""
        if self._measuring is not None:
            self._measuring.cancel()
            await asyncio.gather(self._measuring, return_exceptions=True)
        await self._guard.close()

    async def _measure(self) -> None:
        from kb.reranking import RerankerFailed  # noqa: PLC0415

        try:
            known = self._reranker.calibration = await self._patient.measure()
        except RerankerFailed as error:
            _LOG.warning("a reranker could not be measured", extra={"error": str(error)})
        else:
            await asyncio.to_thread(self._keep, known)

    def _read(self) -> "Calibration | None":
        from kb.calibration import Calibration  # noqa: PLC0415

        with contextlib.suppress(OSError, ValueError, TypeError):
            return Calibration(**json.loads(self._kept.read_text("utf-8")))
        return None

    def _keep(self, known: "Calibration") -> None:
        with contextlib.suppress(OSError):
            self._kept.parent.mkdir(parents=True, exist_ok=True)
            part = self._kept.with_suffix(f".{id(self)}.part")
            part.write_text(json.dumps(known.to_dict()), "utf-8")
            part.replace(self._kept)
