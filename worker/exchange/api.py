"""What the exchange asks the api and tells it. What is told is kept until the api has it, in order."""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice, takewhile
from typing import Literal

import aiohttp
from pydantic import BaseModel, ValidationError

from pipelines.contract.actions import GiveBack, Listen, TakeOver
from pipelines.contract.phones import (
    MOST_PLACES,
    PhoneOnward,
    PhoneRang,
    PhoneRoute,
    PhoneTold,
    PlacesTold,
    PlaceTold,
)
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)

ROUTE_SECONDS = 4.0
TELL_SECONDS = 5.0
AGAIN_SECONDS = 1.0
MOST_TRIES = 10
"""In a row; then it is told of other calls first: one that it cannot take in keeps nobody waiting."""
MOST_UNTOLD = 10_000
_JSON = {"Content-Type": "application/json"}

State = Literal["ringing", "queued", "answered", "ended"]


class NotRouted(Exception):
    """The api has nobody for this call. `code` is what SIP says for it"""

    def __init__(self, code: int) -> None:
        super().__init__(f"{code}")
        self.code = code


class RingsOn(Exception):
    """Whoever calls this number does not stand in a queue, or is not forwarded"""


class NotAllowed(Exception):
    """Whether this call may be handed to somebody else could not be found out"""

    def __str__(self) -> str:
        return super().__str__() or str(type(self).__doc__)


class Api:
    """`run` until cancelled, for what is told."""

    def __init__(
        self,
        settings: WorkerSettings,
        http: aiohttp.ClientSession,
        on_told: Callable[[str], None] = lambda call_id: None,
    ) -> None:
        """`on_told` gets the id of each call whose end the api knows by now."""
        self._url, self._http = settings.api_url, http
        self.worker_id, self._on_told = settings.worker_id, on_told
        self._untold: deque[tuple[str, PhoneTold]] = deque()
        self._news, self._all_told = asyncio.Event(), asyncio.Event()
        self._all_told.set()

    async def route(self, rang: PhoneRang) -> PhoneRoute:
        """The call that this INVITE is. Raises `NotRouted`, and `RingsOn` of one that might queue."""
        timeout = aiohttp.ClientTimeout(total=ROUTE_SECONDS)
        url = f"{self._url}/internal/phones/calls"
        try:
            async with self._http.post(url, json=rang.model_dump(), timeout=timeout) as reply:
                if reply.status == 200:
                    return PhoneRoute.model_validate_json(await reply.read())
                # 402: whoever owns the number cannot pay; whoever calls need not know.
                # 403: its owner takes no calls like this one.
                if reply.status == 425:
                    raise RingsOn
                raise NotRouted({404: 404, 402: 480, 403: 603, 409: 486, 422: 400}.get(reply.status, 503))
        except (aiohttp.ClientError, OSError, TimeoutError, ValidationError):
            raise NotRouted(503) from None

    async def onward(self, call_id: str, number: str) -> PhoneOnward:
        """Whom a call is handed to. Raises `NotAllowed` with a sentence."""
        timeout = aiohttp.ClientTimeout(total=ROUTE_SECONDS)
        url = f"{self._url}/internal/phones/calls/{call_id}/onward"
        try:
            async with self._http.post(url, json={"to_number": number}, timeout=timeout) as reply:
                body = await reply.read()
                if reply.status == 200:
                    return PhoneOnward.model_validate_json(body)
                detail = json.loads(body)["detail"] if reply.status == 403 else ""
                raise NotAllowed(str(detail)[:200])
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, TypeError, KeyError):
            raise NotAllowed from None

    def tell_soon(
        self, call_id: str, state: State, code: int, reason: str, *, place: int = 0, is_unsure: bool = False
    ) -> None:
        """Say how a call goes, as soon as the api listens."""
        code = code if 0 <= code <= 699 else 0
        told = PhoneTold(
            worker_id=self.worker_id,
            state=state,
            sip_code=code,
            sip_reason=reason[:200],
            is_unsure=is_unsure,
            place=place,
        )
        self._tell_soon(call_id, told)

    def tell_steered(self, call_id: str, action: Listen | TakeOver | GiveBack) -> None:
        """Say what was done with a call in which no agent is any more."""
        self._tell_soon(call_id, PhoneTold(worker_id=self.worker_id, state="steered", action=action))

    def _tell_soon(self, call_id: str, told: PhoneTold) -> None:
        if len(self._untold) >= MOST_UNTOLD:
            logger.error("the api was not told of a call", extra={"call_id": call_id})
            return
        self._untold.append((call_id, told.model_copy(update={"at": datetime.now(UTC)})))
        self._all_told.clear()
        self._news.set()

    async def until_told(self) -> None:
        """Return when the api knows all."""
        await self._all_told.wait()

    async def run(self) -> None:
        """Tell, for ever."""
        tries = alone = 0
        while True:
            await self._news.wait()
            self._news.clear()
            while self._untold:
                call_id, told = self._untold[0]
                places = self._places()
                if len(places) > 1 and not alone:
                    status = await self._posted("places", PlacesTold(worker_id=self.worker_id, places=places))
                    if status >= 300:
                        # One of them may be what it cannot take in, or it is older and takes them one by one.
                        alone = len(places)
                        continue
                else:
                    places = places[:1]
                    status = await self._posted(f"calls/{call_id}", told)
                if not status or status >= 500:
                    tries += 1
                    if tries % MOST_TRIES == 0:
                        self._untold = deque(sorted(self._untold, key=lambda one: one[0] == call_id))
                    await asyncio.sleep(AGAIN_SECONDS)
                    continue
                tries, alone = 0, max(alone - 1, 0)
                for _ in range(len(places) or 1):
                    self._untold.popleft()
                if told.state == "ended":
                    self._on_told(call_id)
            self._all_told.set()

    def _places(self) -> tuple[PlaceTold, ...]:
        """Those that are to be told next, up to what else is to be told."""
        next_ones = islice(self._untold, MOST_PLACES)
        return tuple(
            PlaceTold(call_id=call_id, place=told.place, at=told.at)
            for call_id, told in takewhile(lambda one: one[1].state == "queued", next_ones)
        )

    async def _posted(self, path: str, body: BaseModel) -> int:
        """The status; 0 without an answer."""
        timeout = aiohttp.ClientTimeout(total=TELL_SECONDS)
        url = f"{self._url}/internal/phones/{path}"
        try:
            async with self._http.post(
                url, data=body.model_dump_json(), headers=_JSON, timeout=timeout
            ) as reply:
                return reply.status
        except (aiohttp.ClientError, OSError, TimeoutError):
            return 0
