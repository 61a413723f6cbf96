"""A call that comes in, from its INVITE to the moment a shard talks."""

import logging
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from pipelines.contract.phones import PhoneRang, PhoneRoute, SipTrunk
from worker.exchange import sdp, sip
from worker.exchange.api import Api, NotRouted, RingsOn
from worker.exchange.calls import PhoneCall, international, name_in, number_in
from worker.exchange.dialogs import Dialogs
from worker.exchange.forwarding import Forwarding
from worker.exchange.ports import Unavailable
from worker.exchange.queue import RING_SECONDS, Waiter
from worker.exchange.trunks import Trunks, credential_of
from worker.exchange.waiting import Waiting
from worker.lines.rtp.media import Media

logger = logging.getLogger(__name__)

RETRY = (("Retry-After", "5"),)
MOST_HEADERS = 32
MOST_DIVERTED = 8
_SAYS_LEAST_FIRST = (404, 400, 503, 480, 486, 603)
"""Of several trunks that a call may have come over: nobody's number at one says nothing of another's."""
Spawn = Callable[[Coroutine[Any, Any, Any]], object]


class _Exchange(Protocol):
    @property
    def is_full(self) -> bool: ...
    def why_closed(self) -> str: ...
    def why_shut(self) -> str: ...
    def open(self, towards: str) -> tuple[tuple[socket.socket, socket.socket], sdp.Ours]: ...
    def begin(self, call: PhoneCall) -> bool: ...
    async def follow(self, call: PhoneCall) -> None: ...


class Inbound:
    """Takes calls. Each step that fails is a final answer to the carrier."""

    def __init__(
        self,
        exchange: _Exchange,
        api: Api,
        trunks: Trunks,
        dialogs: Dialogs,
        most_at_once: int,
        forwarding: Forwarding,
    ) -> None:
        self._exchange, self._api, self._trunks, self._dialogs = exchange, api, trunks, dialogs
        self._most, self._forwarding = most_at_once, forwarding
        self._under_way = 0
        self.waiting = Waiting(api, lambda: self._is_full)
        self.queue = self.waiting.queue

    async def take(self, dialog: sip.Dialog, spawn: Spawn) -> None:
        """One INVITE."""
        with self._dialogs.coming(dialog):
            try:
                code = await self._admitted(dialog, spawn)
            except sip.SipError as error:
                logger.info("a call was gone before it was answered", extra={"error": type(error).__name__})
                return
            if code and not dialog.is_over:
                try:
                    dialog.reject(code, headers=RETRY if code in (486, 503) else ())
                except sip.SipError:
                    logger.debug("a refusal came too late")

    async def _admitted(self, dialog: sip.Dialog, spawn: Spawn) -> int:
        """0, or the code to refuse with."""
        invitation = dialog.invitation
        if invitation is None or not (trunks := self._trunks.calling_from(invitation.source[0])):
            return 403
        if self.queue.is_awaited:
            return await self._awaited(dialog, invitation, trunks, spawn)
        return await self._lined(dialog, invitation, trunks, spawn)

    async def _lined(
        self, dialog: sip.Dialog, invitation: sip.Invitation, trunks: list[SipTrunk], spawn: Spawn
    ) -> int:
        """There is a line for it."""
        if self._exchange.why_closed():
            return await self._unheld(dialog, invitation, trunks, spawn)
        self._under_way += 1
        try:
            return await self._taken(dialog, invitation, trunks, spawn)
        finally:
            self._under_way -= 1

    async def _awaited(
        self, dialog: sip.Dialog, invitation: sip.Invitation, trunks: list[SipTrunk], spawn: Spawn
    ) -> int:
        """There is none, or others were here before."""
        if self._exchange.why_closed():
            return await self._unheld(dialog, invitation, trunks, spawn)
        if not self.queue.is_closed:
            with self.queue.asking(_called(invitation, trunks[0])) as queued:
                try:
                    return await self._taken(dialog, invitation, trunks, spawn, queued)
                except RingsOn:
                    dialog.ring()
            if await self.queue.turn(self.queue.enter(Waiter(dialog)), RING_SECONDS):
                return await self._lined(dialog, invitation, trunks, spawn)
        if not dialog.is_over:
            # No agent takes it, but its owner learns of it, and may want to call back, or have it forwarded.
            return await self._taken(dialog, invitation, trunks, spawn, is_busy=True)
        return 486

    async def _unheld(
        self, dialog: sip.Dialog, invitation: sip.Invitation, trunks: list[SipTrunk], spawn: Spawn
    ) -> int:
        """No process of ours could hold it; whom it may be forwarded to needs none."""
        if self._exchange.why_shut():
            return 503
        try:
            code = await self._taken(dialog, invitation, trunks, spawn, is_busy=True, is_unheld=True)
        except RingsOn:
            return 503
        return 503 if code == 486 else code

    @property
    def _is_full(self) -> bool:
        return self._exchange.is_full or self._under_way >= self._most

    async def _taken(
        self,
        dialog: sip.Dialog,
        invitation: sip.Invitation,
        trunks: list[SipTrunk],
        spawn: Spawn,
        queued: int | None = None,
        *,
        is_busy: bool = False,
        is_unheld: bool = False,
    ) -> int:
        """0, or the code to refuse with. Raises `RingsOn` where so many are `queued` and it may not be, and
        where what no process holds is not forwarded.
        """
        source = invitation.source[0]
        try:
            # One without an offer wants ours in the 200; what it makes of it comes with the ACK.
            offer = sdp.read(invitation.body) if invitation.body else None
            if offer is not None:
                sdp.check_address(offer.remote, source)
        except sdp.BadSdp:
            return 400
        except (sdp.NoCodec, sdp.ForbiddenAddress):
            return 488
        found = await self._route(
            dialog, invitation, trunks, queued=queued, is_busy=is_busy, is_unheld=is_unheld
        )
        if isinstance(found, int):
            return found
        route, trunk = found
        self._dialogs.is_of(dialog, route.call_id)
        if route.forward is not None and not dialog.is_over:
            return self._forwarding.begin(dialog, route, trunk, offer)
        return self._answer(dialog, route, trunk, offer, source, spawn)

    async def _route(
        self,
        dialog: sip.Dialog,
        invitation: sip.Invitation,
        trunks: list[SipTrunk],
        *,
        is_busy: bool,
        is_unheld: bool,
        queued: int | None,
    ) -> tuple[PhoneRoute, SipTrunk] | int:
        headers = invitation.headers
        told_by = headers.first("P-Asserted-Identity") or headers.first("From") or ""
        more = {name[:100]: value[:500] for name, value in headers if name.lower().startswith("x-")}
        diverted = [*headers.every("Diversion"), *headers.every("History-Info")]
        diverted_by = [number[:100] for one in diverted[:MOST_DIVERTED] if (number := number_in(one))]
        codes = [404]
        for trunk in trunks[:4]:
            rang = PhoneRang(
                worker_id=self._api.worker_id,
                sip_call_id=dialog.call_id[:300],
                trunk_id=trunk.trunk_id,
                to_number=_called(invitation, trunk),
                from_number=international(number_in(told_by)),
                from_name=name_in(headers.first("From") or ""),
                headers=dict(list(more.items())[:MOST_HEADERS]),
                diverted_by=tuple(diverted_by),
                is_busy=is_busy,
                is_unheld=is_unheld,
                queued=queued,
            )
            try:
                return await self._api.route(rang), trunk
            except NotRouted as error:
                codes.append(error.code)
        return max(codes, key=_SAYS_LEAST_FIRST.index)

    def _answer(
        self,
        dialog: sip.Dialog,
        route: PhoneRoute,
        trunk: SipTrunk,
        offer: sdp.Described | None,
        source: str,
        spawn: Spawn,
    ) -> int:
        """Answer, and let a shard talk; 0, or the code to refuse with, which the api is told, too."""
        if dialog.is_over:
            self._api.tell_soon(route.call_id, "ended", 487, "Request Terminated")
            return 487
        try:
            sockets, ours = self._exchange.open(source if offer is None else offer.remote[0])
        except Unavailable:
            self._api.tell_soon(route.call_id, "ended", 503, "every port for sound is taken")
            return 503
        is_early = offer is not None and route.queue is not None and not route.queue.is_answered
        answered = _Answered(dialog, route, trunk, sockets, ours, source)
        call: PhoneCall | None = None
        journal: Callable[[], None] = partial(self._dialogs.asks, route.call_id, dialog)
        try:
            if offer is None:
                body = ours.offer()
            else:
                body, media = ours.answer(offer)
                call = self._call(answered, media)
                journal = call.keep
            if is_early:
                dialog.ring(body=body)
            else:
                dialog.answer(body, credential=credential_of(trunk), journal=journal)
        except (sdp.NoCodec, sip.SipError) as error:
            _close(sockets)
            self._dialogs.forget(route.call_id)
            self._api.tell_soon(route.call_id, "ended", 488, type(error).__doc__ or "")
            return 488
        if call is None:
            spawn(self._agree(answered, spawn))
        else:
            self._begin(call, route, spawn, body if is_early else b"")
        return 0

    async def _agree(self, answered: "_Answered", spawn: Spawn) -> None:
        """Wait for what the ACK makes of our offer; the engine ends a call that nobody acknowledges."""
        dialog, call_id = answered.dialog, answered.route.call_id
        self._under_way += answered.route.queue is None
        try:
            async for event in dialog.events():
                if isinstance(event, sip.Ended):
                    _close(answered.sockets)
                    self._api.tell_soon(call_id, "ended", event.code, event.reason)
                    return
                if isinstance(event, sip.Confirmed):
                    media = answered.ours.agreed(sdp.read(event.body))
                    sdp.check_address(media.remote, answered.source, answered.ours.sockets)
                    self._begin(self._call(answered, media), answered.route, spawn)
                    return
        except (sdp.BadSdp, sdp.NoCodec, sdp.ForbiddenAddress) as error:
            _close(answered.sockets)
            self._api.tell_soon(call_id, "ended", 488, type(error).__doc__ or "")
            await dialog.hang_up()
        finally:
            self._under_way -= answered.route.queue is None

    def _call(self, answered: "_Answered", media: Media) -> PhoneCall:
        return PhoneCall(
            answered.route.call_id,
            answered.dialog,
            answered.trunk,
            answered.sockets,
            answered.ours,
            media,
            self._dialogs,
            apart=answered.route.apart,
        )

    def _begin(self, call: PhoneCall, route: PhoneRoute, spawn: Spawn, early: bytes = b"") -> None:
        """`early` is our answer, where it was only early media."""
        if route.queue is not None:
            call.number = _called(call.dialog.invitation, call.trunk)
            self.waiting.begin(call, spawn, early)
        if not self._exchange.begin(call):
            spawn(call.hang_up())
        spawn(self._exchange.follow(call))


@dataclass(frozen=True)
class _Answered:
    """A call that has our answer, whole or early."""

    dialog: sip.Dialog
    route: PhoneRoute
    trunk: SipTrunk
    sockets: tuple[socket.socket, socket.socket]
    ours: sdp.Ours
    source: str


def _called(invitation: sip.Invitation | None, trunk: SipTrunk) -> str:
    """Which number an INVITE is for. Where we registered, it asks for the user that we registered as."""
    if invitation is None:
        return ""
    asked, to = number_in(invitation.uri), number_in(invitation.headers.first("To") or "")
    return international(to if asked in ("", trunk.username) else asked)


def _close(sockets: tuple[socket.socket, ...]) -> None:
    for one in sockets:
        one.close()
