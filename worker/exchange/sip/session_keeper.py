"""Keeps a session alive, or ends it when the far side does not."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from worker.exchange.sip import session_timer
from worker.exchange.sip.messages import Header, Headers, Reply
from worker.exchange.sip.session_timer import SessionTimer


class SessionKeeper:
    """One dialog's session timer at work."""

    def __init__(
        self,
        minimum: int,
        *,
        hold: Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"],
        is_up: Callable[[], bool],
        refresh: Callable[[bool, list[Header]], Awaitable[Reply]],
        lapsed: Callable[[], Awaitable[None]],
    ) -> None:
        """`refresh(by_update, headers)` sends an UPDATE or re-INVITE; `lapsed` ends the call."""
        self.timer: SessionTimer | None = None
        self.takes_updates: bool | None = None
        """Whether the far side takes UPDATE; None when it did not say."""
        self._minimum = minimum
        self._hold = hold
        self._is_up = is_up
        self._refresh = refresh
        self._lapsed = lapsed
        self._task: asyncio.Task[None] | None = None

    def learn(self, headers: Headers) -> None:
        """What the far side allows."""
        takes = session_timer.allows(headers, "UPDATE")
        if takes is not None:
            self.takes_updates = takes

    def start(self, timer: SessionTimer | None) -> None:
        """From now on this is what was agreed; None is nothing."""
        self.stop()
        self.timer = timer
        if timer is not None:
            self._task = self._hold(self._keep(timer))

    def stop(self) -> None:
        """The call is over, or something else is agreed."""
        task, self._task = self._task, None
        # A refresh that starts the timer anew is made by the task itself.
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    async def _keep(self, timer: SessionTimer) -> None:
        await asyncio.sleep(timer.due_in)
        while timer.we_refresh and timer.left > 0:
            if not self._is_up():
                # Our answer is not acknowledged yet.
                await asyncio.sleep(min(1.0, timer.left))
                continue
            reply = await self._refreshed(timer.seconds)
            if reply.is_success or not self._is_up():
                return
            if reply.code in (408, 481):
                break
            await asyncio.sleep(max(1.0, timer.left / 2))
        await self._lapsed()

    async def _refreshed(self, seconds: int) -> Reply:
        for _ in range(3):
            by_update = bool(self.takes_updates)
            reply = await self._refresh(by_update, session_timer.refreshing(seconds, self._minimum))
            minimum = session_timer.least(reply.headers)
            if reply.code == 422 and minimum is not None:
                seconds = max(seconds, minimum)
            elif reply.code in (405, 501) and by_update:
                self.takes_updates = False
            else:
                break
        return reply
