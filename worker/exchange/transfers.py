"""A call is handed to a person: by REFER, and where the carrier does not do that, by calling them ourselves.

cold   api: may they be called? ─► REFER ─► 202, NOTIFY 200 ───────────────► done: the carrier has both
                                     ├─ NOTIFY 486 …                       ► not done, the agent goes on
                                     └─ 603, 405, 501 … ─► INVITE ─► 200   ► done: bridged, the agent leaves
                                                             └─ 486, 408 … ► not done, the agent goes on
warm   api: may they be called? ─► INVITE ─► 200 ─► the shard talks to them ─┬─ yes: bridged, the agent leaves
                                     └─ 486, 408 … ► not done                └─ no: hung up, the agent goes on
"""

import asyncio
import re
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Protocol

from pipelines.contract.phones import PhoneOnward
from worker.exchange import holds, sdp, sip
from worker.exchange.api import Api, NotAllowed
from worker.exchange.bridge import Bridge
from worker.exchange.calls import PhoneCall, Talker, number_in
from worker.exchange.dialogs import Dialogs
from worker.exchange.frames import (
    MOST_SECONDS,
    Early,
    PutThrough,
    Reached,
    Ringing,
    TransferLine,
    Transferred,
    leg_of,
)
from worker.exchange.outbound import RINGS, PlacesCalls, media_of
from worker.exchange.ports import Unavailable, emptied
from worker.exchange.trunks import Trunks, asserted, credential_of, host_of

SECONDS = 36.0
"""For all of it: whoever waits for longer has hung up, and the shard gives up after forty."""
RING_SECONDS = 30.0
LEAST_RING_SECONDS = 8.0
BUSY = "The line is busy there"
_DIALLED = re.compile(r"\+?[0-9]{3,15}")

Spawn = Callable[[Coroutine[Any, Any, Any]], object]
_OnAnswer = Callable[[PhoneCall], str]
"""Takes the person's call; why nothing comes of it, empty when something does."""


class _Exchange(PlacesCalls, Protocol):
    def let_go(self, call: PhoneCall) -> None:
        """Its shard has nothing to do with it any more."""

    def overhear(self, call: PhoneCall) -> None:
        """It was put through: what the two say may have to be kept."""


class Transfers:
    """`ringing` are those that are called for somebody else now; `legs` have answered, and are asked."""

    def __init__(
        self, exchange: _Exchange, engine: sip.Engine, api: Api, trunks: Trunks, dialogs: Dialogs
    ) -> None:
        self._exchange, self._engine, self._api = exchange, engine, api
        self._trunks, self._dialogs = trunks, dialogs
        self.ringing: dict[str, sip.Dialog] = {}
        self.legs: dict[str, PhoneCall] = {}

    async def transfer(self, call: PhoneCall, asked: TransferLine) -> None:
        """Hand it on, and tell its shard what came of it."""
        talker = call.talker
        if call.is_transferring or leg_of(call.call_id) in self.legs:
            why_not = "A transfer is under way already"
        else:
            call.is_transferring = True
            try:
                why_not = await self._done(call, talker, asked)
            finally:
                call.is_transferring = False
        if talker is not None and (why_not or not asked.is_warm):
            is_bridged = isinstance(call.talker, Bridge)
            talker.tell(
                Transferred(call_id=call.call_id, is_done=not why_not, is_bridged=is_bridged, why_not=why_not)
            )

    def put_through(self, call: PhoneCall, asked: PutThrough) -> None:
        """Whoever was reached takes the call: from now on the two hear each other."""
        talker, person = call.talker, self.legs.get(leg_of(call.call_id))
        why_not = ""
        if person is None or person.is_over:
            why_not = "They have hung up"
        elif call.is_over:
            why_not = "The person who called has hung up"
        else:
            self.legs.pop(person.call_id)
            self._bridge(call, person, asked.seconds)
        if talker is not None:
            talker.tell(
                Transferred(
                    call_id=call.call_id, is_done=not why_not, is_bridged=not why_not, why_not=why_not
                )
            )

    def drop(self, leg_id: str) -> None:
        """Nobody needs this leg any more: whether it rings or was answered, it ends."""
        leg = self.legs.get(leg_id)
        dialog = leg.dialog if leg is not None else self.ringing.get(leg_id)
        if dialog is not None:
            self._exchange.spawn(dialog.hang_up())

    async def _done(self, call: PhoneCall, talker: Talker | None, asked: TransferLine) -> str:
        """Why it was not done; empty when it was."""
        until = asyncio.get_running_loop().time() + SECONDS
        kind, value = asked.target, asked.value
        number = value if kind == "phone" else number_in(value if ":" in value else f"sip:{value}")
        onward: PhoneOnward | None = None
        if kind == "phone" or _DIALLED.fullmatch(number):
            try:
                onward = await self._api.onward(call.call_id, number)
            except NotAllowed as error:
                return str(error)
        is_theirs = kind == "phone" and onward is not None
        if asked.is_warm:
            if onward is None or not is_theirs:
                return "Only a telephone number can be asked beforehand"
            return await self.call_for(
                call, talker, onward, RING_SECONDS, lambda person: self._reached(call, talker, person)
            )
        target = value if value.startswith("sip") else f"sip:{value}"
        if is_theirs and onward is not None:
            target = f"sip:{onward.to_number}@{call.trunk.server}"
        try:
            async with asyncio.timeout_at(until):
                is_refused, why_not = await call.refer(target)
        except TimeoutError:
            return "Nobody answered there"
        # Only who is reached over the same trunk is called: we are nobody's relay to other places.
        if not is_refused or not is_theirs or onward is None:
            return why_not

        def bridged(person: PhoneCall) -> str:
            if call.is_over or call.talker is not talker:
                return "The call is not where it was"
            self._bridge(call, person, asked.seconds)
            return ""

        seconds = until - asyncio.get_running_loop().time()
        return await self.call_for(call, talker, onward, seconds, bridged)

    async def call_for(
        self,
        call: PhoneCall,
        talker: Talker | None,
        onward: PhoneOnward,
        seconds: float,
        on_answer: _OnAnswer,
        headers: tuple[sip.Header, ...] = (),
    ) -> str:
        """Ring somebody for a call's other side; why not, empty once they are there."""
        if why_not := self._exchange.why_shut():
            return why_not
        if call.is_over or seconds < LEAST_RING_SECONDS:
            return "Nobody answered there"
        trunk = call.trunk
        try:
            sockets, ours = self._exchange.open(host_of(trunk.server))
        except Unavailable:
            return "every port for sound is taken"
        leg_id = leg_of(call.call_id)
        # Nothing is encoded again on the way, so both speak the same.
        ours = replace(ours, codecs=(call.media.codec,))
        try:
            dialog = self._engine.invite(
                f"sip:{onward.to_number}@{trunk.server};transport={trunk.transport}",
                ours.offer(),
                caller=f"sip:{onward.from_number or trunk.caller_id or trunk.username}@{trunk.server}",
                proxies=self._trunks.ways(trunk),
                credential=credential_of(trunk),
                headers=(*headers, *asserted(trunk, onward.from_number)),
                ring_seconds=min(RING_SECONDS, seconds),
                journal=self._dialogs.rings(leg_id),
            )
        except sip.SipError as error:
            for one in sockets:
                one.close()
            return str(error)
        person = PhoneCall(
            leg_id, dialog, trunk, sockets, ours, call.media, self._dialogs, is_outbound=True, is_leg=True
        )
        outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.ringing[leg_id] = dialog
        self._exchange.spawn(self._follow(call, talker, person, outcome, on_answer))
        over = asyncio.ensure_future(call.over.wait())
        either: set[asyncio.Future[Any]] = {outcome, over}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not outcome.done():
                await dialog.hang_up()
                return "The person who called has hung up"
            return outcome.result()
        finally:
            over.cancel()
            self.ringing.pop(leg_id, None)

    async def _follow(
        self,
        call: PhoneCall,
        talker: Talker | None,
        person: PhoneCall,
        outcome: "asyncio.Future[str]",
        on_answer: _OnAnswer,
    ) -> None:
        """The person's own call, from its INVITE to its end."""
        why_not, is_early = "", False
        try:
            async for event in person.dialog.events():
                if isinstance(event, sip.Progress) and talker is not None:
                    if event.body and not is_early and not self._answered(person, event.body):
                        is_early = True
                        talker.tell(Early(call_id=call.call_id, media=person.media), person.sockets)
                    elif event.code in RINGS and not is_early:
                        talker.tell(Ringing(call_id=call.call_id))
                elif isinstance(event, sip.Answered):
                    emptied(person.sockets)
                    why_not = self._answered(person, event.body) or on_answer(person)
                    if why_not:
                        self._exchange.spawn(person.dialog.hang_up())
                    else:
                        outcome.set_result("")
                elif isinstance(event, sip.Ended) and not outcome.done():
                    outcome.set_result(why_not or _why_not(event))
                if outcome.done():
                    await person.happened(event)
        finally:
            self.legs.pop(person.call_id, None)
            person.over.set()
            person.close()
            if not outcome.done():
                outcome.set_result(why_not or "Nobody answered there")

    def _answered(self, person: PhoneCall, body: bytes) -> str:
        """Why the two cannot talk; empty when they can."""
        try:
            person.media = media_of(person.ours, body, person.trunk)
        except (sdp.BadSdp, sdp.NoCodec, sdp.ForbiddenAddress) as error:
            return str(error) or type(error).__doc__ or ""
        return ""

    def _reached(self, call: PhoneCall, talker: Talker | None, person: PhoneCall) -> str:
        """Let the shard that has the call talk to them first."""
        if talker is None or call.is_over or call.talker is not talker:
            return "The call is not where it was"
        person.talker = talker
        self.legs[person.call_id] = person
        talker.tell(Reached(call_id=call.call_id, leg_id=person.call_id, media=person.media), person.sockets)
        person.keep()
        self._exchange.spawn(self._leaves_with(call, person))
        return ""

    async def _leaves_with(self, call: PhoneCall, person: PhoneCall) -> None:
        """Nobody stays on the line alone whose caller is gone."""
        over = [asyncio.ensure_future(one.over.wait()) for one in (call, person)]
        try:
            await asyncio.wait(over, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in over:
                one.cancel()
        if not person.is_over:
            await person.dialog.hang_up()

    def _bridge(self, call: PhoneCall, person: PhoneCall, seconds: float) -> None:
        self._exchange.let_go(call)
        if call.wish != "sendrecv":
            self._exchange.spawn(holds.agree(call, "sendrecv"))
        bridge(call, person, self._exchange.spawn, seconds)
        self._exchange.overhear(call)


async def follow_again(person: PhoneCall) -> None:
    """The call of somebody who was put through by an exchange before us, to its end."""
    try:
        await person.talk()
    finally:
        person.over.set()
        person.close()


def bridge(call: PhoneCall, person: PhoneCall, spawn: Spawn, seconds: float) -> None:
    """Let the two hear each other from now on, so that another exchange goes on with it."""
    Bridge(call, person, spawn, seconds)
    until = time.time() + min(seconds, MOST_SECONDS)
    for one, another in ((call, person), (person, call)):
        one.bridged_with, one.bridged_until = another.call_id, until
        one.keep()


def _why_not(ended: sip.Ended) -> str:
    if ended.code in (486, 600):
        return BUSY
    if ended.code in (408, 480, 487):
        return "Nobody answered there"
    return f"Nobody could be reached there: {ended.code}"
