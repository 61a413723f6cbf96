"""A call that we place: ordered, dialled, and answered or not."""

import contextlib
import ipaddress
import socket
from collections.abc import Coroutine
from functools import partial
from typing import Any, Protocol

from pipelines.contract.phones import SipTrunk
from pipelines.contract.websocket import Dial, Obeyed, Withdraw
from worker.exchange import sdp, sip
from worker.exchange.api import Api, NotAllowed
from worker.exchange.calls import ELSEWHERE, PhoneCall, number_in
from worker.exchange.dialogs import Dialogs
from worker.exchange.ports import Unavailable, emptied
from worker.exchange.trunks import Trunks, asserted, credential_of, host_of
from worker.lines.rtp.media import Media

RINGS = (180, 183)
MOVED = (301, 302)
MOST_MOVES = 2
"""Somebody forwards to somebody who forwards; more is a circle."""
MOST_WITHDRAWN = 10_000
"""So many orders are remembered that nobody may be called for any more."""


class PlacesCalls(Protocol):
    """What an exchange is to whoever places calls."""

    def why_not(self) -> str:
        """Why none can be placed now; empty when one can."""

    def why_shut(self) -> str:
        """Why nobody could be called even for a call that is here already."""

    def open(self, towards: str) -> tuple[tuple[socket.socket, socket.socket], sdp.Ours]:
        """Sockets for a call with somebody there. Raises `Unavailable`."""

    def spawn(self, work: Coroutine[Any, Any, Any]) -> object:
        """Do something beside."""


class _Exchange(PlacesCalls, Protocol):
    def begin(self, call: PhoneCall) -> bool: ...
    def over(self, call: PhoneCall) -> None: ...


class Outbound:
    """Places calls. `ringing` are those that nobody has answered yet."""

    def __init__(
        self, exchange: _Exchange, engine: sip.Engine, api: Api, trunks: Trunks, dialogs: Dialogs
    ) -> None:
        self._exchange, self._engine, self._api = exchange, engine, api
        self._trunks, self._dialogs = trunks, dialogs
        self.ringing: dict[str, sip.Dialog] = {}
        self._withdrawn: dict[str, None] = {}

    def dial(self, order: Dial) -> str:
        """Set out to place a call; why not, if it cannot be."""
        trunk = self._trunks.get(order.trunk_id)
        if why_not := self._exchange.why_not() or self._trunks.why_not(order.trunk_id):
            return why_not
        if trunk is None or order.call_id in self.ringing or order.call_id in self._withdrawn:
            return "the call is placed already, or was withdrawn"
        try:
            sockets, ours = self._exchange.open(host_of(trunk.server))
        except Unavailable:
            return "every port for sound is taken"
        if not self._dialogs.places(order.call_id):
            _close(sockets)
            return "the call could not be written down"
        try:
            dialog = self._invite(order, trunk, ours, order.to_number, order.from_number)
        except sip.SipError as error:
            _close(sockets)
            self._dialogs.told(order.call_id)
            return str(error)
        self.ringing[order.call_id] = dialog
        self._exchange.spawn(self._follow(order, dialog, trunk, sockets, ours))
        return ""

    def withdraw(self, order: Withdraw) -> Obeyed:
        """Call nobody for this order any more, unless it is too late.

        Orders come one after another, so it was never obeyed, or it stands in the journal until the api
        knows its end.
        """
        call_id, told = order.call_id, partial(Obeyed, order_id=order.order_id)
        if self._dialogs.may_have_rung(call_id):
            return told(outcome="refused", message="somebody may have been called")
        if order.journal not in ("", self._dialogs.journal):
            return told(outcome="unknown", message="it would stand in another journal")
        self._withdrawn[call_id] = None
        if len(self._withdrawn) > MOST_WITHDRAWN:
            del self._withdrawn[next(iter(self._withdrawn))]
        return told(outcome="done")

    def _invite(self, order: Dial, trunk: SipTrunk, ours: sdp.Ours, number: str, caller: str) -> sip.Dialog:
        """Ring there. Raises `SipError`."""
        return self._engine.invite(
            f"sip:{number}@{trunk.server};transport={trunk.transport}",
            ours.offer(),
            caller=f"sip:{caller or trunk.caller_id or trunk.username}@{trunk.server}",
            proxies=self._trunks.ways(trunk),
            credential=credential_of(trunk),
            headers=(*order.headers.items(), *asserted(trunk, caller)),
            ring_seconds=float(order.ring_seconds),
            journal=self._dialogs.rings(order.call_id),
        )

    async def _follow(
        self,
        order: Dial,
        dialog: sip.Dialog,
        trunk: SipTrunk,
        sockets: tuple[socket.socket, socket.socket],
        ours: sdp.Ours,
    ) -> None:
        call_id = order.call_id
        ended, moves = (0, ""), 0
        try:
            while True:
                ended, moved_to = await self._until_over(order, dialog, trunk, sockets, ours)
                if not moved_to or moves >= MOST_MOVES:
                    break
                moves += 1
                try:
                    # Whoever is called has named somebody else: the rules are asked as for a transfer.
                    allowed = await self._api.onward(call_id, moved_to)
                    dialog = self._invite(order, trunk, ours, allowed.to_number, allowed.from_number)
                except (NotAllowed, sip.SipError) as error:
                    ended = ended[0], f"{ended[1]}: {error}"[:200]
                    break
                self.ringing[call_id] = dialog
        finally:
            self.ringing.pop(call_id, None)
            self._dialogs.forget(call_id)
            _close(sockets)
        self._api.tell_soon(call_id, "ended", *ended)

    async def _until_over(
        self,
        order: Dial,
        dialog: sip.Dialog,
        trunk: SipTrunk,
        sockets: tuple[socket.socket, socket.socket],
        ours: sdp.Ours,
    ) -> tuple[tuple[int, str], str]:
        """How it ended, and the number that a 302 names; empty for any other end."""
        call: PhoneCall | None = None
        refusal: tuple[int, str] | None = None
        ended, moved_to = (0, ""), ""
        try:
            async for event in dialog.events():
                if isinstance(event, sip.Ended):
                    # Without a connection nobody said anything: the engine's own 503 is no word of SIP's.
                    code = 0 if event.by == "transport" else event.code
                    ended = refusal or (code, event.reason)
                    if event.code in MOVED and call is None:
                        moved_to = number_in(event.headers.first("Contact") or "")
                if call is not None:
                    await call.happened(event)
                elif isinstance(event, sip.Progress) and event.code in RINGS:
                    self._api.tell_soon(order.call_id, "ringing", event.code, event.reason)
                elif isinstance(event, sip.Answered):
                    self.ringing.pop(order.call_id, None)
                    answered = self._answered(order, dialog, trunk, sockets, ours, event)
                    if isinstance(answered, PhoneCall):
                        call = answered
                    else:
                        refusal = answered
                        self._exchange.spawn(dialog.hang_up())
        finally:
            if call is not None:
                self._exchange.over(call)
        return ended, moved_to

    def _answered(
        self,
        order: Dial,
        dialog: sip.Dialog,
        trunk: SipTrunk,
        sockets: tuple[socket.socket, socket.socket],
        ours: sdp.Ours,
        event: sip.Answered,
    ) -> PhoneCall | tuple[int, str]:
        """The call, or why it cannot be held."""
        try:
            media = media_of(ours, event.body, trunk)
        except (sdp.BadSdp, sdp.NoCodec, sdp.ForbiddenAddress) as error:
            return 488, str(error) or type(error).__doc__ or ""
        call = PhoneCall(
            order.call_id,
            dialog,
            trunk,
            sockets,
            ours,
            media,
            self._dialogs,
            is_outbound=True,
            apart=order.apart,
        )
        emptied(sockets)
        self._api.tell_soon(order.call_id, "answered", 200, "OK")
        return call if self._exchange.begin(call) else (503, "no shard is there")


def media_of(ours: sdp.Ours, answer: bytes, trunk: SipTrunk) -> Media:
    """What was agreed on. Raises `BadSdp`, `NoCodec` and `ForbiddenAddress`."""
    media = ours.agreed(sdp.read(answer))
    sdp.check_address(media.remote, _side_of(trunk, ours), ours.sockets)
    return media


def _side_of(trunk: SipTrunk, ours: sdp.Ours) -> str:
    """An address on the trunk's side: one known by name is not on this machine, unless we are to it."""
    for one in (host_of(trunk.server).strip("[]"), ours.address[0]):
        with contextlib.suppress(ValueError):
            return str(ipaddress.ip_address(one))
    return ELSEWHERE


def _close(sockets: tuple[socket.socket, ...]) -> None:
    for one in sockets:
        one.close()
