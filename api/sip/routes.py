"""/v1/sip: how the phone line is, where its calls go, and where a gateway of yours brings a caller."""

import json

from aiohttp import web

from api.calls import billing
from api.calls.phoning import NoPhoneLine
from api.durable import engine
from api.http.routes import Routes
from api.http.transactions import let_go
from api.internal.workers import why_none
from api.keys import CALLER, ROOMS, SESSION, SETTINGS, WORKERS
from api.outside.rooms import RoomsUnavailable
from api.phone_numbers.service import NobodyAnswers
from api.sip import service
from api.sip.schemas import DispatchRules, SipDispatch, SipDispatched, SipHealth
from api.voice import service as voice
from api.wallet.charges import InsufficientBalance

routes = Routes("/v1/sip", tag="SIP trunks")


@routes.get("/health")
async def get_sip_health(request: web.Request) -> SipHealth:
    """Whether telephones work now: an exchange is connected, and your trunks are registered."""
    phones = engine.reach().phones
    why_not, told = await phones.phones_why_not(), await phones.trunks()
    return service.health(await service.in_use(request[SESSION], request[CALLER]), why_not, told)


@routes.post("/dispatch-rule/create", errors=[NoPhoneLine])
async def create_dispatch_rule(request: web.Request) -> DispatchRules:
    """Have calls go to agents. They do by themselves: each number that has an agent and a trunk is a rule."""
    phones = engine.reach().phones
    if why_not := await phones.phones_why_not():
        raise NoPhoneLine(why_not)
    found = await service.rules(request[SESSION], request[CALLER], await phones.trunks())
    if found:
        message = "The exchange hands each call to the agent of its number; no other rule is needed."
    else:
        message = "No number of yours has both an agent and an active trunk, so no call would reach an agent."
    return DispatchRules(success=bool(found), message=message, rules=found)


@routes.post(
    "/dispatch",
    access="internal",
    errors=[
        NobodyAnswers,
        service.DispatchOver,
        InsufficientBalance,
        voice.LiveKitDown,
        voice.NobodyAnswers,
    ],
)
async def dispatch_sip_call(request: web.Request, body: SipDispatch) -> SipDispatched:
    """Take a caller whom your own SIP gateway brings into a LiveKit room, and have the agent wait there."""
    rooms = request.app[ROOMS]
    is_up = await rooms.is_up()
    workers = await request.app[WORKERS].present()
    session = request[SESSION]
    call = await service.dispatch(session, body)
    await billing.require(session, call.owner_id, request.app[SETTINGS])
    if not is_up:
        raise voice.LiveKitDown
    if why := why_none(workers):
        raise voice.NobodyAnswers(why)
    ticket, call_id = voice.ticket(call), call.id
    reply = SipDispatched(
        room_name=ticket.room_name,
        participant_identity=ticket.identity,
        participant_name=ticket.name,
        metadata=json.dumps({"call_id": call_id}),
    )
    await let_go(request)  # the agent asks for a brief at once: the row must be there
    try:
        await rooms.create_room(ticket)
    except RoomsUnavailable:
        raise voice.LiveKitDown from None
    return reply
