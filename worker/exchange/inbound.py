"""A call that comes in, from its INVITE to the moment a shard talks."""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from pipelines.contract.phones import PhoneRang, PhoneRoute, SipTrunk
from worker.exchange import sdp, sip
from worker.exchange.api import Api, NotRouted
from worker.exchange.calls import PhoneCall, international, name_in, number_in
from worker.exchange.dialogs import Dialogs
from worker.exchange.ports import Unavailable
from worker.exchange.trunks import Trunks, credential_of
from worker.lines.rtp.media import Media

logger = logging.getLogger(__name__)

RETRY = (("Retry-After", "5"),)
WAIT_SECONDS = 10.0
"""So long it rings where no line is free; whoever rang first has the next one."""
MOST_WAITING = 100
_LOOK_SECONDS = 0.1
MOST_HEADERS = 32
Spawn = Callable[[Coroutine[Any, Any, Any]], object]


class _Exchange(Protocol):
    @property
    def is_full(self) -> bool: ...
    def why_not(self) -> str: ...
    def open(self, towards: str) -> tuple[tuple[socket.socket, socket.socket], sdp.Ours]: ...
    def begin(self, call: PhoneCall) -> bool: ...
    async def follow(self, call: PhoneCall) -> None: ...


class Inbound:
    """Takes calls. Each step that fails is a final answer to the carrier."""

    def __init__(
        self, exchange: _Exchange, api: Api, trunks: Trunks, dialogs: Dialogs, most_at_once: int
    ) -> None:
        self._exchange, self._api, self._trunks, self._dialogs = exchange, api, trunks, dialogs
        self._most = most_at_once
        self._under_way = 0
        self._waiting: deque[sip.Dialog] = deque()

    async def take(self, dialog: sip.Dialog, spawn: Spawn) -> None:
        """One INVITE."""
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
        if self._is_full and not await self._has_line(dialog):
            if not dialog.is_over:
                # Nobody takes it, but its owner learns of it, and may want to call back.
                await self._route(dialog, invitation, trunks, is_busy=True)
            return 486
        if self._exchange.why_not():
            return 503
        self._under_way += 1
        try:
            return await self._taken(dialog, invitation, trunks, spawn)
        finally:
            self._under_way -= 1

    @property
    def _is_full(self) -> bool:
        return self._exchange.is_full or self._under_way >= self._most

    async def _has_line(self, dialog: sip.Dialog) -> bool:
        """Wait for a line, in turn; False when none became free in time, or too many wait."""
        if len(self._waiting) >= MOST_WAITING:
            return False
        dialog.ring()
        self._waiting.append(dialog)
        clock = asyncio.get_running_loop().time
        until = clock() + WAIT_SECONDS
        try:
            while clock() < until and not dialog.is_over:
                if self._waiting[0] is dialog and not self._is_full:
                    return True
                await asyncio.sleep(_LOOK_SECONDS)
            return False
        finally:
            self._waiting.remove(dialog)

    async def _taken(
        self, dialog: sip.Dialog, invitation: sip.Invitation, trunks: list[SipTrunk], spawn: Spawn
    ) -> int:
        """0, or the code to refuse with."""
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
        found = await self._route(dialog, invitation, trunks)
        if isinstance(found, int):
            return found
        return self._answer(dialog, *found, offer, source, spawn)

    async def _route(
        self,
        dialog: sip.Dialog,
        invitation: sip.Invitation,
        trunks: list[SipTrunk],
        *,
        is_busy: bool = False,
    ) -> tuple[PhoneRoute, SipTrunk] | int:
        headers = invitation.headers
        told_by = headers.first("P-Asserted-Identity") or headers.first("From") or ""
        asked, to = number_in(invitation.uri), number_in(headers.first("To") or "")
        more = {name[:100]: value[:500] for name, value in headers if name.lower().startswith("x-")}
        code = 404
        for trunk in trunks[:4]:
            rang = PhoneRang(
                worker_id=self._api.worker_id,
                sip_call_id=dialog.call_id[:300],
                trunk_id=trunk.trunk_id,
                # Where we registered, the request is for the user that we registered as.
                to_number=international(to if asked in ("", trunk.username) else asked),
                from_number=international(number_in(told_by)),
                from_name=name_in(headers.first("From") or ""),
                headers=dict(list(more.items())[:MOST_HEADERS]),
                is_busy=is_busy,
            )
            try:
                return await self._api.route(rang), trunk
            except NotRouted as error:
                code = error.code
        return code

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
        try:
            body, media = (ours.offer(), None) if offer is None else ours.answer(offer)
            dialog.answer(body, credential=credential_of(trunk))
        except (sdp.NoCodec, sip.SipError) as error:
            _close(sockets)
            self._api.tell_soon(route.call_id, "ended", 488, type(error).__doc__ or "")
            return 488
        if media is None:
            spawn(self._agree(dialog, route, trunk, sockets, ours, source, spawn))
        else:
            self._begin(route, dialog, trunk, sockets, ours, media, spawn)
        return 0

    async def _agree(
        self,
        dialog: sip.Dialog,
        route: PhoneRoute,
        trunk: SipTrunk,
        sockets: tuple[socket.socket, socket.socket],
        ours: sdp.Ours,
        source: str,
        spawn: Spawn,
    ) -> None:
        """Wait for what the ACK makes of our offer; the engine ends a call that nobody acknowledges."""
        self._under_way += 1
        try:
            async for event in dialog.events():
                if isinstance(event, sip.Ended):
                    _close(sockets)
                    self._api.tell_soon(route.call_id, "ended", event.code, event.reason)
                    return
                if isinstance(event, sip.Confirmed):
                    media = ours.agreed(sdp.read(event.body))
                    sdp.check_address(media.remote, source, ours.sockets)
                    self._begin(route, dialog, trunk, sockets, ours, media, spawn)
                    return
        except (sdp.BadSdp, sdp.NoCodec, sdp.ForbiddenAddress) as error:
            _close(sockets)
            self._api.tell_soon(route.call_id, "ended", 488, type(error).__doc__ or "")
            await dialog.hang_up()
        finally:
            self._under_way -= 1

    def _begin(
        self,
        route: PhoneRoute,
        dialog: sip.Dialog,
        trunk: SipTrunk,
        sockets: tuple[socket.socket, socket.socket],
        ours: sdp.Ours,
        media: Media,
        spawn: Spawn,
    ) -> None:
        call = PhoneCall(route.call_id, dialog, trunk, sockets, ours, media, self._dialogs, apart=route.apart)
        if not self._exchange.begin(call):
            spawn(dialog.hang_up())
        spawn(self._exchange.follow(call))


def _close(sockets: tuple[socket.socket, ...]) -> None:
    for one in sockets:
        one.close()
