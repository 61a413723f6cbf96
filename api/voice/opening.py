"""A call in a browser is opened: for one who signed in, and for a visitor of somebody's page."""

from dataclasses import dataclass

from aiohttp import web

from api.agents import service as agents
from api.calls import billing
from api.calls.table import CallRow
from api.contacts import service as contacts
from api.http.callers import Caller
from api.internal.table import WorkerRow
from api.internal.workers import why_none
from api.keys import ROOMS, SESSION, SETTINGS, WORKERS
from api.voice import available, service
from api.voice.schemas import Token, TokenRequest, TokenWarning
from api.wallet.charges import InsufficientBalance

CANNOT = [
    agents.AgentNotFound,
    InsufficientBalance,
    service.LiveKitDown,
    service.NobodyAnswers,
    service.LanguageUnavailable,
    contacts.ContactNotFound,
]


@dataclass(frozen=True)
class House:
    """Who could answer a call now."""

    is_up: bool
    workers: list[WorkerRow]


async def look(request: web.Request) -> House:
    """Ask before the database is asked: nobody waits for the network with a transaction open."""
    return House(await request.app[ROOMS].is_up(), await request.app[WORKERS].present())


async def opened(request: web.Request, caller: Caller, asked: TokenRequest, house: House) -> Token:
    """A call that waits for its person, and the token that lets them in."""
    session = request[SESSION]
    agent = await service.chosen_agent(session, caller, asked.agent_id)
    await billing.require(session, caller.owner_id, request.app[SETTINGS])
    if not house.is_up:
        raise service.LiveKitDown
    if why := why_none(house.workers):
        raise service.NobodyAnswers(why)
    offers = available.offered(house.workers)
    config = agents.to_config(agent)
    available.require_language(config.language, offers)
    call = await service.open_call(session, caller, agent, asked, service.session_seconds(agent, asked))
    return token_of(request, call, available.warnings_for(config, offers))


def token_of(request: web.Request, call: CallRow, warnings: list[TokenWarning]) -> Token:
    """What lets the person of a call into its room."""
    rooms = request.app[ROOMS]
    ticket = service.ticket(call)
    return Token(
        token=rooms.token(ticket),
        url=rooms.public_url,
        room_name=ticket.room_name,
        call_id=call.id,
        expires_in=ticket.ttl_seconds,
        session_limit_sec=call.max_duration_seconds or 3600,
        participant_identity=ticket.identity,
        warnings=warnings,
    )
