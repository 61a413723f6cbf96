"""/v1/calls/{call_id}/say, /context, /transfer, /hold, /resume, /mute, /unmute: a running call, steered."""

from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field

from api.calls import service
from api.calls.orders import NotAnswered, NotReached, OrderRefused
from api.calls.schemas import CallId
from api.http.errors import Conflict
from api.http.routes import Routes
from api.http.transactions import let_go
from api.http.wire import Wire
from api.keys import CALLER, SESSION, WORKERS
from pipelines.contract.actions import Action, AddContext, Hold, HoldSound, Mute, Say, Transfer

routes = Routes("/v1/calls", tag="Calls")


class CallNotRunning(Conflict):
    """This call is not running"""


ERRORS = [service.CallNotFound, CallNotRunning, OrderRefused, NotReached, NotAnswered]
_Text = Annotated[str, Field(min_length=1, max_length=10_000)]


class Spoken(Wire):
    """What the agent shall say; with `interrupt` at once, else when it has finished its sentence."""

    text: Annotated[str, Field(min_length=1, max_length=2_000)]
    interrupt: bool = False


class Known(Wire):
    """What the agent shall know from now on, without saying it."""

    text: _Text


class Destination(Wire):
    """The name of one of the agent's transfer targets."""

    target: Annotated[str, Field(min_length=1, max_length=200)]


class Side(Wire):
    """Who is not to be heard."""

    side: Literal["agent", "caller"] = "agent"


class Waiting(Wire):
    """How to hold. Without it: with music, for ten minutes at most, and then the call goes on."""

    sound: HoldSound = "music"
    max_seconds: Annotated[int, Field(ge=1, le=3600)] = 600
    at_limit: Literal["resume", "end"] = "resume"


class Done(Wire):
    """The call did as it was told."""

    call_id: str
    status: Literal["done"] = "done"


@routes.post("/{call_id}/say", errors=ERRORS)
async def say(request: web.Request, call_id: CallId, body: Spoken) -> Done:
    """Have the agent say something. What was heard of it stands in the transcript."""
    return await order(request, call_id, Say(text=body.text, interrupts=body.interrupt))


@routes.post("/{call_id}/context", errors=ERRORS)
async def add_context(request: web.Request, call_id: CallId, body: Known) -> Done:
    """Let the agent know something for the rest of the call."""
    return await order(request, call_id, AddContext(text=body.text))


@routes.post("/{call_id}/transfer", errors=ERRORS)
async def transfer(request: web.Request, call_id: CallId, body: Destination) -> Done:
    """Hand the caller to one of the agent's transfer targets."""
    return await order(request, call_id, Transfer(target=body.target))


@routes.post("/{call_id}/hold", errors=ERRORS)
async def hold(request: web.Request, call_id: CallId, body: Waiting | None) -> Done:
    """Put the call on hold: neither side hears the other, and whoever waits hears music."""
    how = body or Waiting()
    return await order(
        request, call_id, Hold(sound=how.sound, max_seconds=how.max_seconds, at_limit=how.at_limit)
    )


@routes.post("/{call_id}/resume", errors=ERRORS)
async def resume(request: web.Request, call_id: CallId) -> Done:
    """Go on with a call that is on hold."""
    return await order(request, call_id, Hold(is_on=False))


@routes.post("/{call_id}/mute", errors=ERRORS)
async def mute(request: web.Request, call_id: CallId, body: Side) -> Done:
    """Silence the agent, or the caller's side."""
    return await order(request, call_id, Mute(side=body.side, is_on=True))


@routes.post("/{call_id}/unmute", errors=ERRORS)
async def unmute(request: web.Request, call_id: CallId, body: Side) -> Done:
    """Let the agent, or the caller's side, be heard again."""
    return await order(request, call_id, Mute(side=body.side, is_on=False))


async def order(request: web.Request, call_id: str, action: Action) -> Done:
    """Have a running call of the caller do this."""
    call = await service.get(request[SESSION], request[CALLER], call_id)
    if call.is_over or call.started_at is None:
        raise CallNotRunning
    worker_id = call.worker_id
    await let_go(request)  # the answer may take seconds
    await request.app[WORKERS].steer(worker_id, call_id, action)
    return Done(call_id=call_id)
