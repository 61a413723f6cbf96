"""Rooms: where browsers and our worker meet. Tokens need no network; the rest asks livekit-server."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

import aiohttp
from livekit import api as livekit
from livekit.protocol.agent_dispatch import CreateAgentDispatchRequest, RoomAgentDispatch
from livekit.protocol.room import (
    CreateRoomRequest,
    DeleteRoomRequest,
    ListParticipantsRequest,
    RoomConfiguration,
    RoomParticipantIdentity,
)

EMPTY_TIMEOUT_SECONDS = 30
"""A room that nobody entered goes away after this."""

DEPARTURE_TIMEOUT_SECONDS = 20
"""A room that everybody left waits this long: a network that was lost may come back."""

_HEALTH_TIMEOUT_SECONDS = 1.0
_HEALTH_CACHE_SECONDS = 1.0
_DOWN_CACHE_SECONDS = 0.1
"""A server that is back is known at once; one that is not is asked once for all who come together."""
_REQUEST_TIMEOUT_SECONDS = 4.0


class RoomsUnavailable(Exception):
    """livekit-server does not answer"""


class RoomGone(Exception):
    """This room is gone"""


@dataclass(frozen=True)
class Ticket:
    """What one token allows: one person, one room, a microphone and text.

    `job_metadata` is readable by the holder, so nothing secret belongs there. With `dispatch_to` the
    room asks for that agent when it is created; a room that is already there ignores it.
    """

    room_name: str
    identity: str
    name: str = ""
    ttl_seconds: int = 600
    dispatch_to: str = ""
    job_metadata: Mapping[str, str] = field(default_factory=dict)
    may_speak: bool = True


class Rooms(Protocol):
    """A server of rooms."""

    @property
    def public_url(self) -> str:
        """The WebSocket URL that a browser connects to."""

    async def is_up(self) -> bool:
        """Whether the server answers; never older than a second, never longer than a second."""

    def token(self, ticket: Ticket) -> str:
        """Sign a token. Local, at once."""

    async def create_room(self, ticket: Ticket) -> None:
        """Make a ticket's room before anybody comes; the agent is asked in. Raises `RoomsUnavailable`.

        A room that is there stays as it is.
        """

    async def participants(self, room_name: str) -> list[str]:
        """Identities of those in a room; empty for a room that is gone. Raises `RoomsUnavailable`."""

    async def remove_participant(self, room_name: str, identity: str) -> None:
        """Put somebody out; nobody there is fine. Raises `RoomsUnavailable`."""

    async def dispatch(self, room_name: str, agent_name: str, metadata: str) -> None:
        """Ask an agent into a room that is there. Raises `RoomsUnavailable`, `RoomGone`."""

    async def delete_room(self, room_name: str) -> None:
        """Close a room for everybody; a room that is gone is fine. Raises `RoomsUnavailable`."""

    async def close(self) -> None:
        """Let go of connections."""


class LiveKitRooms:
    """Rooms of a livekit-server. Make it inside a running loop, `close` it at the end."""

    def __init__(self, url: str, public_url: str, api_key: str, api_secret: str) -> None:
        self.public_url = public_url
        self._url = url
        self._http_url = "http" + url.removeprefix("ws") if url.startswith("ws") else url
        self._api_key = api_key
        self._api_secret = api_secret
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT_SECONDS))
        # failover=False: region discovery belongs to LiveKit's cloud, which we never contact.
        self._livekit = livekit.LiveKitAPI(url, api_key, api_secret, session=self._session, failover=False)
        self._checked_at = float("-inf")
        self._was_up = False
        self._checking = asyncio.Lock()

    async def is_up(self) -> bool:
        async with self._checking:
            known_for = _HEALTH_CACHE_SECONDS if self._was_up else _DOWN_CACHE_SECONDS
            if time.monotonic() - self._checked_at >= known_for:
                self._was_up = await self._answers()
                self._checked_at = time.monotonic()
            return self._was_up

    async def _answers(self) -> bool:
        timeout = aiohttp.ClientTimeout(total=_HEALTH_TIMEOUT_SECONDS)
        try:
            async with self._session.get(self._http_url, timeout=timeout) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    def token(self, ticket: Ticket) -> str:
        token = (
            livekit.AccessToken(self._api_key, self._api_secret)
            .with_identity(ticket.identity)
            .with_name(ticket.name)
            .with_ttl(timedelta(seconds=ticket.ttl_seconds))
            .with_grants(
                livekit.VideoGrants(
                    room_join=True,
                    room=ticket.room_name,
                    can_publish=ticket.may_speak,
                    can_publish_sources=["microphone"] if ticket.may_speak else [],
                    can_subscribe=True,
                    can_publish_data=ticket.may_speak,
                    can_update_own_metadata=False,
                )
            )
        )
        if ticket.dispatch_to:
            dispatch = _dispatch_of(ticket)
            token = token.with_room_config(
                RoomConfiguration(
                    empty_timeout=EMPTY_TIMEOUT_SECONDS,
                    departure_timeout=DEPARTURE_TIMEOUT_SECONDS,
                    agents=[dispatch],
                )
            )
        return token.to_jwt()

    async def create_room(self, ticket: Ticket) -> None:
        wanted = CreateRoomRequest(
            name=ticket.room_name,
            empty_timeout=EMPTY_TIMEOUT_SECONDS,
            departure_timeout=DEPARTURE_TIMEOUT_SECONDS,
            agents=[_dispatch_of(ticket)] if ticket.dispatch_to else [],
        )
        try:
            await self._livekit.room.create_room(wanted)
        except (livekit.TwirpError, aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RoomsUnavailable from error

    async def participants(self, room_name: str) -> list[str]:
        try:
            listed = await self._livekit.room.list_participants(ListParticipantsRequest(room=room_name))
        except livekit.TwirpError as error:
            if error.code == livekit.TwirpErrorCode.NOT_FOUND:
                return []
            raise RoomsUnavailable from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RoomsUnavailable from error
        return [participant.identity for participant in listed.participants]

    async def remove_participant(self, room_name: str, identity: str) -> None:
        try:
            await self._livekit.room.remove_participant(
                RoomParticipantIdentity(room=room_name, identity=identity)
            )
        except livekit.TwirpError as error:
            if error.code != livekit.TwirpErrorCode.NOT_FOUND:
                raise RoomsUnavailable from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RoomsUnavailable from error

    async def dispatch(self, room_name: str, agent_name: str, metadata: str) -> None:
        wanted = CreateAgentDispatchRequest(room=room_name, agent_name=agent_name, metadata=metadata)
        try:
            if not await self.participants(room_name):
                raise RoomGone  # a dispatch would make it again, for nobody
            await self._livekit.agent_dispatch.create_dispatch(wanted)
        except livekit.TwirpError as error:
            raise (
                RoomGone if error.code == livekit.TwirpErrorCode.NOT_FOUND else RoomsUnavailable
            ) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RoomsUnavailable from error

    async def delete_room(self, room_name: str) -> None:
        try:
            await self._livekit.room.delete_room(DeleteRoomRequest(room=room_name))
        except livekit.TwirpError as error:
            if error.code != livekit.TwirpErrorCode.NOT_FOUND:
                raise RoomsUnavailable from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RoomsUnavailable from error

    async def close(self) -> None:
        await self._session.close()


def _dispatch_of(ticket: Ticket) -> RoomAgentDispatch:
    return RoomAgentDispatch(agent_name=ticket.dispatch_to, metadata=json.dumps(dict(ticket.job_metadata)))
