"""Delivers what calls wrote down: event batches until each is accepted, then recordings.

The api may be down, slow, or die between its commit and its answer: a batch is sent again until it is
acknowledged, and the api takes each (call, sequence) once. A call's files are removed only after its last
event and its recording were acknowledged.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from pydantic import ValidationError

from pipelines.contract.events import MAX_EVENTS_PER_BATCH, BatchReceipt
from worker import parcels
from worker.parcels import Parcel, Piece
from worker.spool import MAX_EVENT_BYTES, SpoolKey

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.1
MAX_BATCH_BYTES = 900_000
SEND_SECONDS = 10.0
UPLOAD_SECONDS = 300.0
LONGEST_WAIT_SECONDS = 2.0
REFUSALS = (400, 413, 422)
"""Statuses that say: not this data, now or later. Everything else is tried again."""
GONE = (404, 409, 410)


class Unreachable(Exception):
    """The api did not take it, and may later"""


@dataclass(frozen=True)
class _Sent:
    parcel: Parcel
    line: bytes


class Reporter:
    """Takes every spool of a folder to the api. `run` until cancelled."""

    def __init__(
        self,
        folder: Path,
        worker_id: str,
        api_url: str,
        http: aiohttp.ClientSession,
        *,
        is_connected: Callable[[SpoolKey], bool] = lambda _: False,
        on_refused: Callable[[SpoolKey], None] = lambda _: None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """`http` carries the internal key. `is_connected` says which calls hold their liveness socket,
        `on_refused` is told of attempts whose processes are to leave, `on_change` of new `call_ids`.
        """
        self._folder = folder
        self._worker_id = worker_id
        self._api_url = api_url
        self._http = http
        self._is_connected = is_connected
        self._on_refused = on_refused
        self._on_change = on_change
        self._parcels: dict[SpoolKey, Parcel] = {}
        self._turn = 0
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._back = asyncio.Event()
        self._failures = 0

    @property
    def call_ids(self) -> set[str]:
        """Calls with events that the api has not taken yet, or that go on."""
        return {key.call_id for key, parcel in self._parcels.items() if not parcel.is_delivered}

    async def until_idle(self) -> None:
        """Return when there is no spool left, each having been delivered."""
        self._idle.clear()
        self.look_now()
        await self._idle.wait()

    def look_now(self) -> None:
        """Something happened to a call: do not wait for the next poll."""
        self._wake.set()

    def api_is_back(self) -> None:
        """Whoever speaks to the api says that it answers again: wait no longer after a failure."""
        self._back.set()

    async def run(self) -> None:
        """Deliver, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._deliver(), name="deliver events")
            tasks.create_task(self._upload(), name="upload recordings")

    # ── events ───────────────────────────────────────────────────────────────────────────────────
    async def _deliver(self) -> None:
        while True:
            known = self.call_ids
            await self._look()
            if not self._parcels:
                self._idle.set()
            # Whoever was first last time is last now, so that no call waits behind a talkative one.
            self._turn += 1
            turn = self._turn % max(1, len(self._parcels))
            in_turn = [*self._parcels.values()][turn:] + [*self._parcels.values()][:turn]
            pieces = await asyncio.to_thread(self._read, in_turn)
            events = [_Sent(piece.parcel, line) for piece in pieces for line in piece.events]
            try:
                if events:
                    await self._send(events)
            except Unreachable:
                await self._wait_after_failure()
                continue
            self._recovered(bool(events))
            for piece in pieces:
                piece.parcel.accept(piece)
            if self.call_ids != known:
                self._on_change()
            if not events:
                with contextlib.suppress(TimeoutError):
                    # Not wait_for: in Python 3.11 it swallows a cancellation that comes with the event.
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._wake.wait()
                self._wake.clear()

    async def _look(self) -> None:
        try:
            found = await asyncio.to_thread(parcels.found_in, self._folder)
        except OSError as error:
            logger.error("the spool folder cannot be read", extra={"reason": error.strerror})
            return
        for key in found - self._parcels.keys():
            self._parcels[key] = Parcel(self._folder, key)

    def _read(self, in_turn: Sequence[Parcel]) -> list[Piece]:
        """The next batch, of as many calls as fit; runs in a thread."""
        pieces: list[Piece] = []
        events_left, bytes_left = MAX_EVENTS_PER_BATCH, MAX_BATCH_BYTES
        for parcel in in_turn:
            if parcel.is_delivered or parcel.is_refused:
                continue
            if events_left <= 0 or (pieces and bytes_left <= MAX_EVENT_BYTES):
                break
            try:
                if not self._is_connected(parcel.key):
                    parcel.finish_for_the_dead()
                piece = parcel.next_piece(events_left, bytes_left)
            except FileNotFoundError:
                logger.warning("a spool was taken away", extra={"call_id": parcel.key.call_id})
                parcel.is_over = parcel.is_delivered = True
                continue
            except OSError as error:
                logger.error("a spool cannot be read", extra={"reason": error.strerror})
                continue
            pieces.append(piece)
            events_left -= len(piece.events)
            bytes_left -= sum(len(line) + 1 for line in piece.events)
        return pieces

    async def _send(self, events: Sequence[_Sent]) -> None:
        """Deliver events, however many at a time the api takes them. Raises `Unreachable`."""
        status = await self._post(events)
        if status not in REFUSALS:
            return
        if len(events) > 1:
            # Somewhere in it is what the api cannot take: narrow it down, everything else must arrive.
            middle = len(events) // 2
            await self._send(events[:middle])
            await self._send(events[middle:])
            return
        parcel, line = events[0].parcel, events[0].line
        logger.error(
            "the api rejects an event for good", extra={"call_id": parcel.key.call_id, "status": status}
        )
        await asyncio.to_thread(parcel.reject, line)

    async def _post(self, events: Sequence[_Sent]) -> int:
        worker = self._worker_id.encode()  # letters, digits, dots, dashes and underscores: JSON as it is
        body = b'{"worker_id":"%s","events":[%s]}' % (worker, b",".join(sent.line for sent in events))
        try:
            async with self._http.post(
                f"{self._api_url}/internal/events",
                data=body,
                headers={"Content-Type": "application/json"},
                timeout=aiohttp.ClientTimeout(total=SEND_SECONDS),
            ) as reply:
                answer = await reply.read()
                status = reply.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._failed(type(error).__name__)
            raise Unreachable from error
        if status in REFUSALS:
            return status
        if status != 200:
            self._failed(f"status {status}")
            raise Unreachable
        try:
            receipt = BatchReceipt.model_validate_json(answer)
        except ValidationError as error:
            self._failed("an answer that is no receipt")
            raise Unreachable from error
        for parcel in {id(sent.parcel): sent.parcel for sent in events}.values():
            if parcel.key.attempt <= receipt.replaced.get(parcel.key.call_id, 0):
                self._on_refused(parcel.key)  # each time: the first may not have found its process
            is_refused = parcel.key.attempt <= receipt.refused.get(parcel.key.call_id, 0)
            if is_refused and not parcel.is_refused:
                logger.warning("the api wants no more of a call", extra={"call_id": parcel.key.call_id})
                parcel.is_refused = True
                self._on_refused(parcel.key)
        return status

    def _failed(self, why: str) -> None:
        self._failures += 1
        if self._failures == 1:
            logger.warning("the api cannot be reached, events wait", extra={"why": why})

    def _recovered(self, has_sent: bool) -> None:
        if has_sent and self._failures:
            logger.info("the api takes events again", extra={"tries": self._failures})
            self._failures = 0

    async def _wait_after_failure(self) -> None:
        longest: float = min(LONGEST_WAIT_SECONDS, 0.1 * 2 ** min(self._failures, 10))
        self._back.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest * random.uniform(0.5, 1.0)):  # noqa: S311 - spreads load
                await self._back.wait()

    # ── recordings ───────────────────────────────────────────────────────────────────────────────
    async def _upload(self) -> None:
        while True:
            for parcel in list(self._parcels.values()):
                if parcel.is_refused and not parcel.is_delivered:
                    await asyncio.to_thread(parcel.discard)
                if parcel.is_delivered and time.monotonic() >= parcel.retry_at:
                    await self._conclude(parcel)
            await asyncio.sleep(POLL_SECONDS)

    async def _conclude(self, parcel: Parcel) -> None:
        try:
            if parcel.has_recording and not parcel.is_refused:
                await self._upload_recording(parcel)
            await asyncio.to_thread(parcel.remove)
        except (aiohttp.ClientError, TimeoutError, OSError, Unreachable) as error:
            parcel.failures += 1
            longest = LONGEST_WAIT_SECONDS * min(parcel.failures, 15)
            parcel.retry_at = time.monotonic() + longest * random.uniform(0.5, 1.0)  # noqa: S311
            logger.warning(
                "a recording waits for the api",
                extra={"call_id": parcel.key.call_id, "why": str(error) or type(error).__name__},
            )
            return
        del self._parcels[parcel.key]
        self._on_change()

    async def _upload_recording(self, parcel: Parcel) -> None:
        milliseconds = await asyncio.to_thread(parcel.sealed_ms)
        if milliseconds == 0:
            # Also after a crash between the upload and the removal of the spool.
            logger.warning("a recording is not there any more", extra={"call_id": parcel.key.call_id})
            return
        async with self._http.put(
            f"{self._api_url}/internal/calls/{parcel.key.call_id}/recording",
            data=_chunks(parcel.recording),
            headers={
                "Content-Type": "audio/ogg",
                "X-Duration-Ms": str(milliseconds),
                "X-Attempt": str(parcel.key.attempt),
            },
            timeout=aiohttp.ClientTimeout(total=UPLOAD_SECONDS),
        ) as reply:
            status = reply.status
        if status in GONE:
            logger.warning("a recording's call is gone", extra={"call_id": parcel.key.call_id})
        elif status in REFUSALS:
            logger.error(
                "the api rejects a recording", extra={"call_id": parcel.key.call_id, "status": status}
            )
            await asyncio.to_thread(parcel.reject_recording)
        elif status >= 300:
            raise Unreachable(f"status {status}")


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while chunk := await asyncio.to_thread(file.read, 256 * 1024):
            yield chunk
    finally:
        file.close()
