"""People beside the agent of a running call: /v1/calls/{call_id}/listen, /whisper, /take-over, /give-back."""

import secrets
from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field, model_validator

from api.calls import service
from api.calls.schemas import CallId
from api.calls.steering import ERRORS, CallNotRunning, Done, order
from api.http.routes import Routes
from api.http.transactions import let_go
from api.http.wire import Wire
from api.keys import CALLER, ROOMS, SESSION, WORKERS
from api.outside.rooms import Ticket
from pipelines.contract.actions import GiveBack, Listen, TakeOver, Whisper, WhisperAloud

routes = Routes("/v1/calls", tag="Listening")

TOKEN_SECONDS = 60
_Name = Annotated[str, Field(min_length=1, max_length=100)]
_Identity = Annotated[str, Field(min_length=1, max_length=128)]


class Listener(Wire):
    """Who is about to listen."""

    name: _Name = "Supervisor"
    """What the call's record calls them."""
    may_speak: bool = False
    """Whether their microphone may be used: to whisper, or to take the call over."""


class ListeningToken(Wire):
    """What a LiveKit client connects with: tracks `caller` and `agent` are the two sides.

    Where the agent has put the caller through to somebody and left, the tracks are `caller` and `person`.
    """

    call_id: str
    room_name: str
    participant_identity: str
    token: str
    url: str
    expires_in: int
    """Seconds in which the token must be used."""


class Whispered(Wire):
    """Words for the agent alone: written, or spoken by somebody in the room."""

    text: Annotated[str, Field(min_length=1, max_length=2_000)] | None = None
    participant_identity: _Identity | None = None
    """Whose microphone the agent understands from now on."""
    is_on: bool = True
    """False: it does not any more."""
    name: Annotated[str, Field(max_length=100)] = "Supervisor"

    @model_validator(mode="after")
    def _one(self) -> "Whispered":
        if (self.text is None) == (self.participant_identity is None):
            raise ValueError("Either text or participant_identity must be given")
        return self


class Taking(Wire):
    """Who talks to the caller from now on."""

    participant_identity: _Identity
    """As the token has it; they are in the room, with their microphone open."""
    name: Annotated[str, Field(max_length=100)] = "Supervisor"
    when_left: Literal["agent", "end"] = "agent"
    """When they leave the room: the agent goes on, or the call ends."""


@routes.post("/{call_id}/listen", errors=ERRORS)
async def listen_to_call(request: web.Request, call_id: CallId, body: Listener) -> ListeningToken:
    """Listen to a running call: it is heard in a room of its own for it, which it leaves when nobody listens.

    Nobody in the call is told.
    """
    call = await service.get(request[SESSION], request[CALLER], call_id)
    if call.is_over or call.started_at is None:
        raise CallNotRunning
    identity = f"listener_{secrets.token_hex(8)}"
    worker_id = call.worker_id
    await let_go(request)  # the answer may take seconds
    rooms = request.app[ROOMS]
    # A room of its own also for a call that lives in one: nobody there is to see who listens.
    wanted = Listen(room_name=f"listen_{call_id}", identity=identity, name=body.name)
    ticket = Ticket(
        wanted.room_name, identity, body.name, ttl_seconds=TOKEN_SECONDS, may_speak=body.may_speak
    )
    await request.app[WORKERS].steer(worker_id, call_id, wanted)
    return ListeningToken(
        call_id=call_id,
        room_name=ticket.room_name,
        participant_identity=identity,
        token=rooms.token(ticket),
        url=rooms.public_url,
        expires_in=TOKEN_SECONDS,
    )


@routes.post("/{call_id}/whisper", errors=ERRORS)
async def whisper_to_agent(request: web.Request, call_id: CallId, body: Whispered) -> Done:
    """Tell the agent something that the caller does not hear, in writing or aloud."""
    if body.text is not None:
        return await order(request, call_id, Whisper(text=body.text, name=body.name))
    aloud = WhisperAloud(identity=body.participant_identity or "", name=body.name, is_on=body.is_on)
    return await order(request, call_id, aloud)


@routes.post("/{call_id}/take-over", errors=ERRORS)
async def take_call_over(request: web.Request, call_id: CallId, body: Taking) -> Done:
    """Talk to the caller in the agent's place, until it is given back, or you leave the room.

    Where the agent has put the caller through to somebody and left, join: each of the two hears you and the
    other.
    """
    taken = TakeOver(identity=body.participant_identity, name=body.name, when_left=body.when_left)
    return await order(request, call_id, taken)


@routes.post("/{call_id}/give-back", errors=ERRORS)
async def give_call_back(request: web.Request, call_id: CallId) -> Done:
    """Let the agent go on with a call that was taken over."""
    return await order(request, call_id, GiveBack())
