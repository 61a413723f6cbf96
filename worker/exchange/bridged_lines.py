"""A shard's part of those who were put through: while somebody listens to two of them, their line is here.

attend   ──► the line and its room ──tapping + sockets──► exchange      once, and to each exchange after it
         └──► done, or why not ──attended──► exchange
overhear ──► the line ──tapping + sockets──► exchange, and what the two say is kept until they part
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from pipelines.contract.actions import GiveBack, Listen, TakeOver
from pipelines.tools.call_control import CannotDo
from worker.exchange.frames import Attend, Attended, GaveBack, Overhear, Parted, Sides, Tapping
from worker.exchange.overheard import Overheard
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
        self.overheard: Overheard | None = None
        self.one_by_one = asyncio.Lock()


class BridgedLines:
    """All of a shard. What it `tell`s an exchange that is gone is lost: the next one is met."""

    def __init__(
        self, rooms: ListeningRooms, clock: Clock, tell: Tell, keep: Callable[[str, str], Overheard]
    ) -> None:
        """`keep` takes a call's id and a job's, and is who keeps what is said."""
        self._rooms, self._clock, self._tell, self._keep = rooms, clock, tell, keep
        self._lines: dict[str, _Listened] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def received(self, frame: Attend | Sides | Overhear | Parted) -> None:
        """The exchange says something of one of them."""
        here = self._lines.get(frame.call_id)
        match frame:
            case Attend():
                self._hold(self._attend(frame))
            case Overhear():
                self._overhear(frame, here)
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
        call_id = frame.call_id
        here = self._begin(call_id, frame.sides)
        try:
            async with here.one_by_one:
                await here.line.listeners.attend(action.room_name)
            if self._lines.get(call_id) is not here:  # it was dropped before there was a room to leave
                raise CannotDo("The call is over")
        except BaseException:
            self._unattended(call_id, here)
            raise
        if not here.line.is_open:
            self._tap(call_id)

    def _begin(self, call_id: str, sides: Sides) -> _Listened:
        line = BridgedLine((sides.one, sides.another), self._rooms, self._clock)
        here = self._lines[call_id] = _Listened(line)
        line.on_over = lambda: self._unattended(call_id, here)
        line.listeners.on_left = lambda left: self._left(call_id, here, left)
        return here

    def _overhear(self, frame: Overhear, here: _Listened | None) -> None:
        call_id = frame.call_id
        here = here or self._begin(call_id, frame.sides)
        if here.overheard is not None:
            return
        overheard = here.overheard = here.line.tap = self._keep(call_id, frame.job_id)
        if not here.line.is_open:
            self._tap(call_id)  # nothing they say is waited for
        self._hold(self._overheard(call_id, here, overheard))

    async def _overheard(self, call_id: str, here: _Listened, overheard: Overheard) -> None:
        try:
            await overheard.run()
        except Exception:
            logger.exception("what was said was not kept", extra={"call_id": call_id})
        here.overheard = here.line.tap = None
        if self._lines.get(call_id) is here and not here.line.listeners.is_attended:
            self._drop(call_id, here)

    def _unattended(self, call_id: str, here: _Listened) -> None:
        """Nobody listens any more."""
        if here.overheard is None:
            self._drop(call_id, here)

    def _tap(self, call_id: str) -> None:
        here = self._lines[call_id]
        sockets = here.line.connect()
        self._tell(Tapping(call_id=call_id, is_overheard=here.overheard is not None), sockets)
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
        if here.overheard is not None:
            here.overheard.end()
        self._hold(here.line.aclose())

    def _hold(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
