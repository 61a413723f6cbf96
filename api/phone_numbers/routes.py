"""/v1/phone-numbers: numbers that somebody has, whether brought along, bought or lent."""

from aiohttp import web

from api.agents import service as agents
from api.http.routes import Routes
from api.http.transactions import let_go
from api.keys import CALLER, GUARD, SESSION, SETTINGS
from api.phone_numbers import demo, health, service, workflows
from api.phone_numbers.buying import StillOrdered
from api.phone_numbers.market_routes import PURCHASE_ERRORS, purchased
from api.phone_numbers.market_schemas import NumberHealth, Purchase
from api.phone_numbers.schemas import (
    AgentOfNumber,
    Binding,
    DemoEligibility,
    DemoPool,
    DemoReleased,
    DemoReservation,
    DemoReserve,
    PhoneNumber,
    PhoneNumberCreate,
    PhoneNumberUpdate,
)
from api.phone_numbers.service import BoughtHere, NobodyAnswers, NumberNotFound, NumberTaken
from api.sip_trunks.service import TrunkNotFound

routes = Routes("/v1/phone-numbers", tag="Phone numbers")
lent = Routes("/v1/demo", tag="Phone numbers")


@routes.get()
async def list_phone_numbers(request: web.Request) -> list[PhoneNumber]:
    """List your numbers, newest first."""
    return [PhoneNumber.of(*found) for found in await service.page(request[SESSION], request[CALLER])]


@routes.post(
    status=201,
    errors=[agents.AgentNotFound, TrunkNotFound, NumberTaken, *PURCHASE_ERRORS],
    location="/v1/phone-numbers/{number}",
    resumes=True,
)
async def create_phone_number(request: web.Request, body: PhoneNumberCreate) -> PhoneNumber:
    """Register a number that you have with a carrier of your own; with a `country` instead, buy one there."""
    if body.number is None and body.country is not None:
        wanted = Purchase.model_validate(body.model_dump(exclude={"display_name", "trunk_id", "number"}))
        order = await purchased(request, wanted)
        return PhoneNumber.of(*await service.named(request[SESSION], request[CALLER], order.number))
    not_own = request.app[SETTINGS].demo_numbers
    return PhoneNumber.of(*await service.register(request[SESSION], request[CALLER], body, not_own))


@routes.get("/{number}", errors=[NumberNotFound])
async def get_phone_number(request: web.Request, number: str) -> PhoneNumber:
    """Get a number."""
    return PhoneNumber.of(*await service.named(request[SESSION], request[CALLER], number))


@routes.patch("/{number}", errors=[NumberNotFound, agents.AgentNotFound, TrunkNotFound, BoughtHere])
async def update_phone_number(request: web.Request, number: str, body: PhoneNumberUpdate) -> PhoneNumber:
    """Change a number; what is not sent stays as it is."""
    return PhoneNumber.of(
        *await service.change(request[SESSION], request[CALLER], number, body, request.app[GUARD])
    )


@routes.delete("/{number}", errors=[NumberNotFound, StillOrdered])
async def delete_phone_number(request: web.Request, number: str) -> None:
    """Forget a number: with its carrier it stays yours. One that was bought here is given back."""
    await workflows.remove(request[SESSION], request[CALLER], number)


@routes.post("/{number}/bind", errors=[NumberNotFound, agents.AgentNotFound], older=["/{number}/assign"])
async def bind_phone_number(request: web.Request, number: str, body: Binding) -> PhoneNumber:
    """Let an agent answer a number, and call from it."""
    changes = PhoneNumberUpdate(agent_id=body.agent_id)
    return PhoneNumber.of(
        *await service.change(request[SESSION], request[CALLER], number, changes, request.app[GUARD])
    )


@routes.delete("/{number}/unbind", status=200, errors=[NumberNotFound])
async def unbind_phone_number(request: web.Request, number: str) -> PhoneNumber:
    """Let nobody answer a number."""
    changes = PhoneNumberUpdate(agent_id="")
    return PhoneNumber.of(
        *await service.change(request[SESSION], request[CALLER], number, changes, request.app[GUARD])
    )


@routes.get("/{number}/agent", errors=[NumberNotFound, NobodyAnswers])
async def get_agent_of_number(request: web.Request, number: str) -> AgentOfNumber:
    """Get who answers a number."""
    agent = await service.answering(request[SESSION], request[CALLER], number)
    return AgentOfNumber.of(agent.id, agent.owner_id, agents.settings_of(agent))


@routes.get("/{number}/health", errors=[NumberNotFound])
async def get_health_of_number(request: web.Request, number: str) -> NumberHealth:
    """Find out whether a number works: its carrier, its connection, its trunk, its agent."""
    known = await health.known(request[SESSION], request[CALLER], number)
    await let_go(request)
    return await health.check(known)


# ── numbers to be tried ──────────────────────────────────────────────────────────────────────────
@lent.get("/eligibility")
async def get_demo_eligibility(request: web.Request) -> DemoEligibility:
    """Say whether a demo number would be lent to you, and why not."""
    return await demo.eligibility(request[SESSION], request[CALLER], request.app[SETTINGS].demo_numbers)


@lent.get("/pool", public=True)
async def get_demo_pool(request: web.Request) -> DemoPool:
    """Say how many demo numbers there are, and how many are free."""
    return await demo.pool(request[SESSION], request.app[SETTINGS].demo_numbers)


@lent.post("/reserve", errors=[agents.AgentNotFound, demo.DemoUsed, demo.AllLent, demo.NoDemoNumbers])
async def reserve_demo_number(request: web.Request, body: DemoReserve) -> DemoReservation:
    """Have a number for a quarter of an hour, once: call it, and your agent answers."""
    numbers = request.app[SETTINGS].demo_numbers
    reserved = await demo.reserve(request[SESSION], request[CALLER], numbers, body.agent_id or None)
    return DemoReservation.of(*reserved)


@lent.post("/release")
async def release_demo_number(request: web.Request) -> DemoReleased:
    """Give a demo number back before its time."""
    return DemoReleased(released=await demo.release(request[SESSION], request[CALLER]))


@lent.get("/my-reservation")
async def get_demo_reservation(request: web.Request) -> DemoReservation | None:
    """Get the demo number that is lent to you now; null where none is."""
    found = await demo.current(request[SESSION], request[CALLER])
    return DemoReservation.of(*found) if found else None
