"""A shard's part of those who were put through: while somebody listens to two of them, their line is here.

attend ──► the line and its room ──tapping + sockets──► exchange      once, and to each exchange after it
       └──► done, or why not ──attended──► exchange
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from pipelines.contract.actions import GiveBack, Listen, TakeOver
from pipelines.tools.call_control import CannotDo
from worker.exchange.frames import Attend, Attended, GaveBack, Parted, Sides, Tapping
from worker.lines.line import Left
from worker.lines.listening import ListeningRooms
from worker.lines.listening_bridge import BridgedLine
from worker.lines.rtp.clock import Clock

logger = logging.getLogger(__name__)

NOT_LISTENED_TO = "Nobody listens to this call: ask to listen first"

OfBridged = Tapping | Attended | GaveBack
Tell = Callable[[OfBridged, tuple[socket.socket, ...]], None]
"""Takes what the exchange is told, and the sockets that go along."""


class _Listened:
    """One of them."""

    def __init__(self, line: BridgedLine) -> None:
        self.line = line
        self.taken: TakeOver | None = None
        self.one_by_one = asyncio.Lock()


class BridgedLines:
    """All of a shard. What it `tell`s an exchange that is gone is lost: the next one is met."""

    def __init__(self, rooms: ListeningRooms, clock: Clock, tell: Tell) -> None:
        self._rooms, self._clock, self._tell = rooms, clock, tell
        self._lines: dict[str, _Listened] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def received(self, frame: Attend | Sides | Parted) -> None:
        """The exchange says something of one of them."""
        here = self._lines.get(frame.call_id)
        match frame:
            case Attend():
                self._hold(self._attend(frame))
            case Sides() if here is not None:
                here.line.change((frame.one, frame.another))
            case Parted() if here is not None:
                self._drop(frame.call_id, here)
            case _:
                pass

    def meet(self) -> None:
        """Another exchange is there, which relays them or does not know them."""
        for call_id in self._lines:
            self._tap(call_id)

    async def aclose(self) -> None:
        """Leave every room; the exchange relays on."""
        for call_id, here in list(self._lines.items()):
            self._drop(call_id, here)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _attend(self, frame: Attend) -> None:
        why_not = ""
        try:
            async with asyncio.timeout(frame.seconds):
                await self._do(frame)
        except CannotDo as error:
            why_not = str(error) or "This line cannot do that"
        except TimeoutError:
            why_not = "It took too long"
        except Exception as error:
            logger.exception("an order to listen failed", extra={"order": frame.action.action})
            why_not = f"It failed: {type(error).__name__}"
        told = Attended(call_id=frame.call_id, order_id=frame.order_id, action=frame.action, why_not=why_not)
        self._tell(told, ())

    async def _do(self, frame: Attend) -> None:
        here = self._lines.get(frame.call_id)
        if isinstance(frame.action, Listen):
            await self._listen(frame, frame.action, here)
            return
        if here is None:
            raise CannotDo(NOT_LISTENED_TO)
        async with here.one_by_one:
            if isinstance(frame.action, TakeOver):
                await here.line.listeners.hand_to(frame.action.identity)
                here.taken = frame.action
            elif here.taken is None:
                raise CannotDo("Nobody has this call: the two talk with each other")
            else:
                await here.line.give_back()
                here.taken = None

    async def _listen(self, frame: Attend, action: Listen, here: _Listened | None) -> None:
        if here is not None:
            async with here.one_by_one:
                if (
                    self._lines.get(frame.call_id) is not here
                ):  # nobody listened, or whoever was first could not
                    raise CannotDo(NOT_LISTENED_TO)
                await here.line.listeners.attend(action.room_name)
            return
        call_id, sides = frame.call_id, frame.sides
        line = BridgedLine((sides.one, sides.another), self._rooms, self._clock)
        here = self._lines[call_id] = _Listened(line)
        line.on_over = lambda: self._drop(call_id, here)
        line.listeners.on_left = lambda left: self._left(call_id, here, left)
        try:
            async with here.one_by_one:
                await line.listeners.attend(action.room_name)
            if self._lines.get(call_id) is not here:  # it was dropped before there was a room to leave
                raise CannotDo("The call is over")
        except BaseException:
            self._drop(call_id, here)
            raise
        self._tap(call_id)

    def _tap(self, call_id: str) -> None:
        sockets = self._lines[call_id].line.connect()
        self._tell(Tapping(call_id=call_id), sockets)
        for one in sockets:  # copies have gone along
            one.close()

    def _left(self, call_id: str, here: _Listened, left: Left) -> None:
        taken, here.taken = (here.taken, None) if left.had_the_call else (None, here.taken)
        if taken is not None:
            action = GiveBack(identity=taken.identity, name=taken.name, has_left=True)
            self._tell(GaveBack(call_id=call_id, action=action, ends=taken.when_left == "end"), ())

    def _drop(self, call_id: str, here: _Listened) -> None:
        if self._lines.get(call_id) is here:
            del self._lines[call_id]
        self._hold(here.line.aclose())

    def _hold(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
