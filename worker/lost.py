"""A call whose process died before it knew which attempt it was: nothing of it is on the disk yet."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

import aiohttp
from pydantic import ValidationError

from pipelines.contract.brief import BriefRequest, CallBrief
from pipelines.contract.events import CallLost
from worker.parcels import LOST
from worker.presence import CallHere
from worker.settings import WorkerSettings
from worker.spool import AlreadySpooled, Spool

logger = logging.getLogger(__name__)

COME_BACK_SECONDS = 0.5
ASK_SECONDS = 5.0


async def end_unbriefed(
    here: CallHere, settings: WorkerSettings, http: aiohttp.ClientSession, *, is_back: Callable[[str], bool]
) -> None:
    """Spool the loss of such a call, unless its process only lost its connection and comes back.

    The same job asked again is the same attempt, so asking for the brief in the dead one's place tells
    which attempt it was. When the api cannot be asked, it finds out by itself, some seconds later.
    """
    await asyncio.sleep(COME_BACK_SECONDS)
    if is_back(here.call_id):
        return
    asked = BriefRequest(worker_id=settings.worker_id, job_id=here.job_id, attempt=here.asked)
    try:
        async with http.post(
            f"{settings.api_url}/internal/calls/{here.call_id}/brief",
            data=asked.model_dump_json(),
            headers={"Content-Type": "application/json"},
            timeout=aiohttp.ClientTimeout(total=ASK_SECONDS),
        ) as reply:
            if reply.status != 200:
                logger.info(
                    "a lost call is over already", extra={"call_id": here.call_id, "status": reply.status}
                )
                return
            attempt = CallBrief.model_validate_json(await reply.read()).attempt
        await asyncio.to_thread(_spool, settings, here.call_id, attempt)
    except (aiohttp.ClientError, TimeoutError, OSError, ValidationError) as error:
        logger.warning(
            "a call was lost and could not be reported",
            extra={"call_id": here.call_id, "error": type(error).__name__},
        )


def _spool(settings: WorkerSettings, call_id: str, attempt: int) -> None:
    try:
        spool = Spool.open(settings.spool, call_id, attempt)
    except AlreadySpooled:
        return  # it got further than its connection knew; the reporter finishes it
    lost = CallLost(call_id=call_id, attempt=attempt, sequence=0, at=datetime.now(UTC), reason=LOST)
    spool.append(lost)
    spool.close()
