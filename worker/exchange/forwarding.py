"""A call that no agent takes, forwarded as its owner wishes: we ring there, and relay the sound.

caller ── INVITE ──► 180 ···················· 200 ══ relay ══╗        no shard has a part in it
                      └─ INVITE ──► there ─── 200 ═══════════╝
                                     └─ 486, 408 … ► 486 or 480 to the caller
"""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from pipelines.contract.phones import PhoneForward, PhoneRoute, SipTrunk
from worker.exchange import sdp, sip
from worker.exchange.api import Api
from worker.exchange.calls import PhoneCall
from worker.exchange.dialogs import Dialogs
from worker.exchange.outbound import PlacesCalls
from worker.exchange.ports import Unavailable
from worker.exchange.transfers import BUSY, RING_SECONDS, Transfers, bridge
from worker.exchange.trunks import credential_of

Spawn = Callable[[Coroutine[Any, Any, Any]], object]


class _Exchange(PlacesCalls, Protocol):
    calls: dict[str, PhoneCall]

    async def follow(self, call: PhoneCall) -> None: ...


class Forwarding:
    """`most` at once, beside the calls that agents have."""

    def __init__(
        self, exchange: _Exchange, api: Api, dialogs: Dialogs, transfers: Transfers, most: int
    ) -> None:
        self._exchange, self._api, self._dialogs = exchange, api, dialogs
        self._transfers, self._most = transfers, most

    def begin(
        self, dialog: sip.Dialog, route: PhoneRoute, trunk: SipTrunk, offer: sdp.Described | None
    ) -> int:
        """Ring there; 0, or the code to refuse with, which the api is told, too."""
        call_id = route.call_id
        if sum(call.is_forwarded for call in self._exchange.calls.values()) >= self._most:
            self._api.tell_soon(call_id, "ended", 486, "as many calls as allowed are forwarded")
            return 486
        if offer is None or route.forward is None:
            self._api.tell_soon(call_id, "ended", 488, "a call without an offer is not forwarded")
            return 488
        try:
            sockets, ours = self._exchange.open(offer.remote[0])
        except Unavailable:
            self._api.tell_soon(call_id, "ended", 503, "every port for sound is taken")
            return 503
        try:
            body, media = ours.answer(offer)
            dialog.ring()
        except (sdp.NoCodec, sip.SipError) as error:
            for one in sockets:
                one.close()
            self._api.tell_soon(call_id, "ended", 488, type(error).__doc__ or "")
            return 488
        call = PhoneCall(call_id, dialog, trunk, sockets, ours, media, self._dialogs, is_forwarded=True)
        self._exchange.calls[call_id] = call
        self._exchange.spawn(self._exchange.follow(call))
        self._exchange.spawn(self._ring(call, body, route.forward))
        return 0

    async def _ring(self, call: PhoneCall, body: bytes, onward: PhoneForward) -> None:
        def answered(person: PhoneCall) -> str:
            if call.is_over:
                return "The person who called has hung up"
            try:
                call.dialog.answer(body, credential=credential_of(call.trunk), journal=call.keep)
            except sip.SipError as error:
                return str(error)
            self._api.tell_soon(call.call_id, "answered", 200, "OK")
            bridge(call, person, self._exchange.spawn, onward.seconds)
            return ""

        # Whose call it was is told, so that networks and people know, and a circle can be seen.
        diverted = ("Diversion", f"<sip:{onward.from_number}@{call.trunk.server}>;reason=unavailable")
        why_not = await self._transfers.call_for(
            call, None, onward, RING_SECONDS, answered, headers=(diverted,)
        )
        if why_not and not call.is_over and not call.dialog.is_answered:
            call.dialog.reject(486 if why_not == BUSY else 480)
