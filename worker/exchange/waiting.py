"""A caller who waits for a line, from our answer, whole or early, to their turn.

answered, or early ─► holds a place ─► its shard and the api are told of each ─► has a line, and an answer
                                       └─ gone: whoever is behind moves up
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from typing import Any

from worker.exchange import sip
from worker.exchange.api import Api
from worker.exchange.calls import PhoneCall
from worker.exchange.queue import Queue, Waiter
from worker.exchange.trunks import credential_of

PROGRESS_SECONDS = 60.0
"""Carriers give up an INVITE of which they hear nothing for three minutes (RFC 3261, 13.3.1.1)."""
Spawn = Callable[[Coroutine[Any, Any, Any]], object]


class Waiting:
    """All who do. `queue` has those, too, who only hear it ring."""

    def __init__(self, api: Api, is_full: Callable[[], bool]) -> None:
        self._api = api
        self.queue = Queue(is_full, self._moved)

    def begin(self, call: PhoneCall, spawn: Spawn, early: bytes = b"") -> None:
        """It has no line yet; `early` is our answer, of one that is not answered."""
        call.waits_since = time.time()
        spawn(self._wait(self.queue.enter(Waiter(call.dialog, call)), call, early))

    def again(self, call: PhoneCall, spawn: Spawn) -> None:
        """It waited with an exchange before us already."""
        spawn(self._wait(self.queue.enter(Waiter(call.dialog, call, call.waits_since)), call))

    async def _wait(self, waiter: Waiter, call: PhoneCall, early: bytes = b"") -> None:
        progress = asyncio.create_task(_progress(call.dialog, early)) if early else None
        try:
            has_line = await self.queue.turn(waiter)
        finally:
            if progress is not None:
                progress.cancel()
        call.place, call.waits_since = 0, 0.0
        self._api.tell_soon(call.call_id, "queued", 0, "")
        if not has_line:
            return
        if early:
            try:
                call.dialog.answer(early, credential=credential_of(call.trunk), journal=call.keep)
            except sip.SipError:
                return  # they have hung up just now: the dialog says so
        call.keep()
        call.tell_place()

    def _moved(self, call: PhoneCall) -> None:
        call.tell_place()
        self._api.tell_soon(call.call_id, "queued", 0, "", place=call.place)


async def _progress(dialog: sip.Dialog, early: bytes) -> None:
    with contextlib.suppress(sip.SipError):  # they are gone: the dialog says so
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            dialog.ring(body=early)
