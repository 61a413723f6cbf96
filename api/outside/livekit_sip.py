"""LiveKit's SIP API: telephones of a fleet that runs livekit-sip come into rooms.

    out   CreateSIPParticipant, with the trunk in the request ──► rings ──► answered, or SIP's code
    in    an inbound trunk for each of ours + one dispatch rule ──► a room of its own ──► webhook

What is there under our names is made to be what is wanted; everything else of that server is left alone.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import aiohttp
from google.protobuf.duration_pb2 import Duration
from livekit import api as livekit
from livekit.protocol import sip

from pipelines.contract.phones import SipTrunk

ROOM_PREFIX = "phone_in_"
OURS = "call2me "
"""What begins the names of trunks and of the rule that we made there."""
_RESOLVE_SECONDS = 3.0
_REQUEST_SECONDS = 8.0
_ANSWER_SECONDS = 5.0
"""More than the ringing itself, for the request that waits for an answer."""
_TRANSPORTS = {
    "udp": sip.SIP_TRANSPORT_UDP,
    "tcp": sip.SIP_TRANSPORT_TCP,
    "tls": sip.SIP_TRANSPORT_TLS,
}


class NotAnswered(Exception):
    """The other side did not answer. `code` is SIP's, 0 where there was none"""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class SipUnavailable(Exception):
    """livekit-server did not do what was asked of its SIP API"""


class SipUnsure(SipUnavailable):
    """The connection broke while somebody may have been called"""


@dataclass(frozen=True)
class Inbound:
    """A trunk whose calls are taken: to these numbers, from these addresses."""

    trunk_id: str
    numbers: tuple[str, ...]
    addresses: tuple[str, ...]


class LiveKitSip:
    """One livekit-server with livekit-sip behind it. Make it inside a running loop, `close` it at the end."""

    def __init__(self, url: str, api_key: str, api_secret: str) -> None:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_REQUEST_SECONDS))
        # failover=False: region discovery belongs to LiveKit's cloud, which we never contact.
        made = livekit.LiveKitAPI(url, api_key, api_secret, session=self._session, failover=False)
        self._sip = made.sip

    async def dial(
        self,
        trunk: SipTrunk,
        to: str,
        caller_id: str,
        room: str,
        identity: str,
        ring_seconds: int,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Call somebody into a room; returns once they have answered.

        Raises `NotAnswered`, `SipUnavailable` where nobody was, `SipUnsure`.
        """
        asked = sip.CreateSIPParticipantRequest(
            trunk=sip.SIPOutboundConfig(
                hostname=trunk.proxies[0] if trunk.proxies else trunk.server,
                transport=_TRANSPORTS[trunk.transport],
                auth_username=trunk.username,
                auth_password=trunk.password,
            ),
            sip_call_to=to,
            sip_number=caller_id,
            room_name=room,
            participant_identity=identity,
            # Whoever reads a room's participants need not read numbers.
            hide_phone_number=True,
            headers=headers,
            include_headers=sip.SIP_X_HEADERS,
            ringing_timeout=Duration(seconds=ring_seconds),
            wait_until_answered=True,
        )
        try:
            await self._sip.create_sip_participant(asked, timeout=ring_seconds + _ANSWER_SECONDS)
        except livekit.SipCallError as error:
            raise NotAnswered(error.sip_status_code or 0, error.sip_status or error.code) from None
        except livekit.ServerError as error:
            raise SipUnavailable(error.code) from None
        except TimeoutError:
            raise NotAnswered(408, "Request Timeout") from None
        except aiohttp.ClientConnectorError as error:
            raise SipUnavailable(type(error).__name__) from None
        except (aiohttp.ClientError, OSError) as error:
            raise SipUnsure(type(error).__name__) from None

    async def take(self, wanted: Sequence[Inbound]) -> dict[str, str]:
        """Have calls of these trunks come in, and of no others of ours. LiveKit's id of each, to ours."""
        try:
            return await self._take(wanted)
        except livekit.ServerError as error:
            raise SipUnavailable(error.code) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SipUnavailable(type(error).__name__) from None

    async def _take(self, wanted: Sequence[Inbound]) -> dict[str, str]:
        listed = await self._sip.list_inbound_trunk(sip.ListSIPInboundTrunkRequest())
        there = {one.name.removeprefix(OURS): one for one in listed.items if one.name.startswith(OURS)}
        ids: dict[str, str] = {}
        for one in wanted:
            known = there.pop(one.trunk_id, None)
            made = _inbound(one)
            if known is None:
                created = await self._sip.create_inbound_trunk(sip.CreateSIPInboundTrunkRequest(trunk=made))
                ids[created.sip_trunk_id] = one.trunk_id
                continue
            ids[known.sip_trunk_id] = one.trunk_id
            is_same = set(known.numbers) == set(one.numbers) and set(known.allowed_addresses) == set(
                one.addresses
            )
            if not is_same:
                await self._sip.update_inbound_trunk(known.sip_trunk_id, made)
        # The rule first: without trunks it would take the calls of every one.
        await self._rule(sorted(ids))
        for gone in there.values():
            await self._sip.delete_trunk(sip.DeleteSIPTrunkRequest(sip_trunk_id=gone.sip_trunk_id))
        return ids

    async def _rule(self, trunk_ids: list[str]) -> None:
        listed = await self._sip.list_dispatch_rule(sip.ListSIPDispatchRuleRequest())
        ours = [one for one in listed.items if one.name == OURS.strip()]
        if len(ours) == 1 and sorted(ours[0].trunk_ids) == trunk_ids:
            return
        for one in ours:
            delete = sip.DeleteSIPDispatchRuleRequest(sip_dispatch_rule_id=one.sip_dispatch_rule_id)
            await self._sip.delete_dispatch_rule(delete)
        if not trunk_ids:
            return
        individual = sip.SIPDispatchRuleIndividual(room_prefix=ROOM_PREFIX)
        rule = sip.SIPDispatchRuleInfo(
            name=OURS.strip(),
            trunk_ids=trunk_ids,
            rule=sip.SIPDispatchRule(dispatch_rule_individual=individual),
        )
        await self._sip.create_dispatch_rule(sip.CreateSIPDispatchRuleRequest(dispatch_rule=rule))

    async def close(self) -> None:
        """Let go of connections."""
        await self._session.close()


async def addresses_of(trunk: SipTrunk) -> tuple[str, ...]:
    """From where a trunk's calls may come: what its owner named, else where it is. Empty: nobody knows."""
    if trunk.allowed_addresses:
        return trunk.allowed_addresses
    found: set[str] = set()
    for server in (trunk.server, *trunk.proxies):
        host = server.rpartition(":")[0] or server
        try:
            found.add(str(ipaddress.ip_address(host)))
            continue
        except ValueError:
            pass
        try:
            async with asyncio.timeout(_RESOLVE_SECONDS):
                told = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_DGRAM)
        except (TimeoutError, OSError, UnicodeError):
            continue
        found.update(str(one[4][0]) for one in told)
    return tuple(sorted(found))


def _inbound(wanted: Inbound) -> sip.SIPInboundTrunkInfo:
    return sip.SIPInboundTrunkInfo(
        name=OURS + wanted.trunk_id,
        numbers=wanted.numbers,
        allowed_addresses=wanted.addresses,
        include_headers=sip.SIP_X_HEADERS,
    )
