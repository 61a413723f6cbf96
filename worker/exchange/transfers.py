"""A call is handed to a person: by REFER, and where the carrier does not do that, by calling them ourselves.

api: may they be called? ─► REFER ─► 202, NOTIFY 200 ───────────────► done: the carrier has both
                              ├─ NOTIFY 486 …                       ► not done, the agent goes on
                              └─ 603, 405, 501 … ─► INVITE ─► 200   ► done: bridged, the agent leaves
                                                      └─ 486, 408 … ► not done, the agent goes on
"""

import asyncio
import re
from dataclasses import replace
from typing import Any, Protocol

from pipelines.contract import PhoneOnward
from worker.exchange import holds, sdp, sip
from worker.exchange.api import Api, NotAllowed
from worker.exchange.bridge import Bridge
from worker.exchange.calls import PhoneCall, Talker, number_in
from worker.exchange.dialogs import Dialogs
from worker.exchange.link import Transferred
from worker.exchange.outbound import PlacesCalls, host_of, media_of
from worker.exchange.ports import Unavailable
from worker.exchange.trunks import credential_of, proxies_of

SECONDS = 36.0
"""For all of it: whoever waits for longer has hung up, and the shard gives up after forty."""
RING_SECONDS = 30.0
LEAST_RING_SECONDS = 8.0
_DIALLED = re.compile(r"\+?[0-9]{3,15}")


class _Exchange(PlacesCalls, Protocol):
    def let_go(self, call: PhoneCall) -> None:
        """Its shard has nothing to do with it any more."""


class Transfers:
    """`ringing` are those that are called for somebody else now."""

    def __init__(self, exchange: _Exchange, engine: sip.Engine, api: Api, dialogs: Dialogs) -> None:
        self._exchange, self._engine, self._api, self._dialogs = exchange, engine, api, dialogs
        self.ringing: dict[str, sip.Dialog] = {}

    async def transfer(self, call: PhoneCall, kind: str, value: str) -> None:
        """Hand it on, and tell its shard what came of it."""
        talker = call.talker
        if call.is_transferring:
            why_not = "A transfer is under way already"
        else:
            call.is_transferring = True
            try:
                why_not = await self._done(call, talker, kind, value)
            finally:
                call.is_transferring = False
        if talker is not None:
            talker.tell(Transferred(call_id=call.call_id, is_done=not why_not, why_not=why_not))

    async def _done(self, call: PhoneCall, talker: Talker | None, kind: str, value: str) -> str:
        """Why it was not done; empty when it was."""
        until = asyncio.get_running_loop().time() + SECONDS
        number = value if kind == "phone" else number_in(value if ":" in value else f"sip:{value}")
        onward: PhoneOnward | None = None
        if kind == "phone" or _DIALLED.fullmatch(number):
            try:
                onward = await self._api.onward(call.call_id, number)
            except NotAllowed as error:
                return str(error)
        target = value if value.startswith("sip") else f"sip:{value}"
        if kind == "phone" and onward is not None:
            target = f"sip:{onward.to_number}@{call.trunk.server}"
        try:
            async with asyncio.timeout_at(until):
                is_refused, why_not = await call.refer(target)
        except TimeoutError:
            return "Nobody answered there"
        # Only who is reached over the same trunk is called: we are nobody's relay to other places.
        if not is_refused or kind != "phone" or onward is None:
            return why_not
        return await self._put_through(call, talker, onward, until - asyncio.get_running_loop().time())

    async def _put_through(
        self, call: PhoneCall, talker: Talker | None, onward: PhoneOnward, seconds: float
    ) -> str:
        if why_not := self._exchange.why_not():
            return why_not
        if call.is_over or seconds < LEAST_RING_SECONDS:
            return "Nobody answered there"
        trunk = call.trunk
        try:
            sockets, ours = self._exchange.open(host_of(trunk.server))
        except Unavailable:
            return "every port for sound is taken"
        # Nothing is encoded again on the way, so both speak the same.
        ours = replace(ours, codecs=(call.media.codec,))
        try:
            dialog = self._engine.invite(
                f"sip:{onward.to_number}@{trunk.server};transport={trunk.transport}",
                ours.offer(),
                caller=f"sip:{onward.from_number or trunk.caller_id or trunk.username}@{trunk.server}",
                proxies=proxies_of(trunk),
                credential=credential_of(trunk),
                ring_seconds=min(RING_SECONDS, seconds),
            )
        except sip.SipError as error:
            for one in sockets:
                one.close()
            return str(error)
        person = PhoneCall(
            f"{call.call_id}-onward", dialog, trunk, sockets, ours, call.media, self._dialogs, True
        )
        outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.ringing[call.call_id] = dialog
        self._exchange.spawn(self._follow(call, talker, person, outcome))
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
            self.ringing.pop(call.call_id, None)

    async def _follow(
        self, call: PhoneCall, talker: Talker | None, person: PhoneCall, outcome: "asyncio.Future[str]"
    ) -> None:
        """The person's own call, from its INVITE to its end."""
        why_not = ""
        try:
            async for event in person.dialog.events():
                if isinstance(event, sip.Answered):
                    why_not = self._bridged(call, talker, person, event)
                    if why_not:
                        self._exchange.spawn(person.dialog.hang_up())
                    else:
                        outcome.set_result("")
                elif isinstance(event, sip.Ended) and not outcome.done():
                    outcome.set_result(why_not or _why_not(event))
                if outcome.done():
                    await person.happened(event)
        finally:
            person.close()
            if not outcome.done():
                outcome.set_result(why_not or "Nobody answered there")

    def _bridged(self, call: PhoneCall, talker: Talker | None, person: PhoneCall, event: sip.Answered) -> str:
        """Why the two cannot talk; empty when they do."""
        try:
            person.media = media_of(person.ours, event.body, person.trunk)
        except (sdp.BadSdp, sdp.NoCodec, sdp.ForbiddenAddress) as error:
            return str(error) or type(error).__doc__ or ""
        if call.is_over or call.talker is not talker:
            return "The call is not where it was"
        self._exchange.let_go(call)
        if call.wish != "sendrecv":
            self._exchange.spawn(holds.agree(call, "sendrecv"))
        Bridge(call, person, self._exchange.spawn)
        call.keep()
        person.keep()
        return ""


def _why_not(ended: sip.Ended) -> str:
    if ended.code in (486, 600):
        return "The line is busy there"
    if ended.code in (408, 480, 487):
        return "Nobody answered there"
    return f"Nobody could be reached there: {ended.code}"
