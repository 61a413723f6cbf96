"""Ask the api whom a call is for."""

import asyncio
import logging
from datetime import UTC, datetime
from urllib.parse import quote

import aiohttp
from pydantic import ValidationError

from pipelines.contract.brief import BriefRequest, CallBrief

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 5.0
PAUSES_SECONDS = (0.3, 1.0, 2.0, 4.0)
"""A person is listening to silence meanwhile: after about seven seconds they had better be told."""


class CallGone(Exception):
    """The call or its agent is gone"""


class CallOver(Exception):
    """The call is over"""


class CallTaken(Exception):
    """Another process has this call"""


class ApiUnreachable(Exception):
    """The api did not say whom the call is for"""


async def ask(api_url: str, internal_key: str, call_id: str, request: BriefRequest) -> CallBrief:
    """The brief for this attempt; asking again with the same job gets the same attempt.

    Raises `CallGone` (404), `CallOver` (409), `CallTaken` (410), `ApiUnreachable` when a few tries
    got no answer.
    """
    return await _ask(f"{api_url}/internal/calls/{call_id}/brief", internal_key, request, PAUSES_SECONDS)


async def ask_handover(
    api_url: str, internal_key: str, call_id: str, agent_id: str, request: BriefRequest
) -> CallBrief:
    """The brief of another agent of the same owner, for a call that is handed to it. Raises as `ask`."""
    url = f"{api_url}/internal/calls/{call_id}/agents/{quote(agent_id, safe='')}/brief"
    return await _ask(url, internal_key, request, PAUSES_SECONDS[:1])


async def ask_overheard(api_url: str, internal_key: str, call_id: str, request: BriefRequest) -> CallBrief:
    """What is to be kept of two who were put through; an attempt of its own. Raises as `ask`."""
    url = f"{api_url}/internal/calls/{call_id}/overheard"
    return await _ask(url, internal_key, request, PAUSES_SECONDS)


async def _ask(url: str, internal_key: str, request: BriefRequest, pauses: tuple[float, ...]) -> CallBrief:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    headers = {"X-Internal-Key": internal_key}
    async with aiohttp.ClientSession(timeout=timeout, headers=headers) as http:
        for pause in (*pauses, None):
            try:
                return await _ask_once(http, url, request)
            except (aiohttp.ClientError, TimeoutError, ValidationError) as error:
                logger.warning("the api gave no brief", extra={"error": type(error).__name__})
            if pause is not None:
                await asyncio.sleep(pause)
    raise ApiUnreachable


def seconds_left(brief: CallBrief) -> float:
    """How long the call may still last; an earlier attempt had its part of it."""
    longest = min(brief.max_duration_seconds, brief.agent.max_call_duration_ms / 1000)
    if brief.started_at is None:
        return longest
    return max(0.0, longest - (datetime.now(UTC) - brief.started_at).total_seconds())


async def _ask_once(http: aiohttp.ClientSession, url: str, request: BriefRequest) -> CallBrief:
    async with http.post(url, json=request.model_dump()) as response:
        if response.status == 404:
            raise CallGone
        if response.status == 409:
            raise CallOver
        if response.status == 410:
            raise CallTaken
        response.raise_for_status()
        return CallBrief.model_validate_json(await response.read())
