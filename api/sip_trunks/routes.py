"""/v1/sip-trunks: carriers and PBXs of one's own."""

from aiohttp import web

from api.durable import engine
from api.http.routes import Routes
from api.http.transactions import let_go
from api.keys import CALLER, GUARD, SESSION
from api.sip_trunks import registrations, service
from api.sip_trunks.explaining import explained, unheard
from api.sip_trunks.schemas import SipTrunk, SipTrunkCreate, SipTrunkUpdate, TrunkChecked
from api.sip_trunks.service import TooManyTrunks, TrunkNotFound
from api.sip_trunks.table import SipTrunkRow

routes = Routes("/v1/sip-trunks", tag="SIP trunks")


@routes.get()
async def list_sip_trunks(request: web.Request) -> list[SipTrunk]:
    """List your trunks, newest first."""
    return [SipTrunk.of(*found) for found in await service.of_caller(request[SESSION], request[CALLER])]


@routes.post(status=201, errors=[TooManyTrunks], location="/v1/sip-trunks/{trunk_id}")
async def create_sip_trunk(request: web.Request, body: SipTrunkCreate) -> SipTrunk:
    """Connect a carrier. One whose address no name server knows is made, and is not active."""
    service.refuse_unreachable(body, request.app[GUARD])
    is_found = await service.is_found(body.sip_server)
    row = await service.create(request[SESSION], request[CALLER], body, is_found=is_found)
    return SipTrunk.of(row)


@routes.get("/{trunk_id}", errors=[TrunkNotFound])
async def get_sip_trunk(request: web.Request, trunk_id: str) -> SipTrunk:
    """Get a trunk."""
    row = await service.get(request[SESSION], request[CALLER].owner_id, trunk_id)
    return SipTrunk.of(row, await service.numbers_of(request[SESSION], row))


@routes.patch("/{trunk_id}", errors=[TrunkNotFound])
async def update_sip_trunk(request: web.Request, trunk_id: str, body: SipTrunkUpdate) -> SipTrunk:
    """Change a trunk; what is not sent stays as it is."""
    service.refuse_unreachable(body, request.app[GUARD])
    row = await service.change(request[SESSION], request[CALLER], trunk_id, body)
    return SipTrunk.of(row, await service.numbers_of(request[SESSION], row))


@routes.delete("/{trunk_id}", errors=[TrunkNotFound])
async def delete_sip_trunk(request: web.Request, trunk_id: str) -> None:
    """Disconnect a carrier. Its numbers stay yours, bound to no trunk."""
    await service.remove(request[SESSION], request[CALLER], trunk_id)


@routes.post("/{trunk_id}/sync", errors=[TrunkNotFound], aliases=["//v1/sip/trunk/{trunk_id}/sync"])
async def sync_sip_trunk(request: web.Request, trunk_id: str) -> TrunkChecked:
    """Find out whether the phone line has taken a trunk up; it looks for changes every three seconds."""
    row = await service.get(request[SESSION], request[CALLER].owner_id, trunk_id)
    await let_go(request)
    return await _on_the_line(row)


@routes.post("/{trunk_id}/test", errors=[TrunkNotFound])
async def test_sip_trunk(request: web.Request, trunk_id: str) -> TrunkChecked:
    """Find out whether a trunk works: whether its address is known, and what the phone line says of it."""
    row = await service.get(request[SESSION], request[CALLER].owner_id, trunk_id)
    server = row.sip_server
    await let_go(request)  # nobody waits for a name server with a transaction open
    if not await service.is_found(server):
        return TrunkChecked(success=False, message=f"No name server knows {server.partition(':')[0]}.")
    return await _on_the_line(row)


async def _on_the_line(row: SipTrunkRow) -> TrunkChecked:
    if not row.active:
        return TrunkChecked(success=False, message='The trunk is not active: PATCH it with "active": true.')
    phones = engine.reach().phones
    if why_not := await phones.phones_why_not():
        return TrunkChecked(success=False, message=f"Nothing was sent to the trunk: {why_not}.")
    if not row.registers:
        warning = unheard((await phones.trunks()).get(row.id, ""))
        return TrunkChecked(
            success=True,
            message="The phone line is up. The trunk needs no registration, so none was tried: a test call "
            f"(POST /v1/sip-trunks/{row.id}/test-call) tells whether calls come through.{warning}",
        )
    await registrations.settled(phones, row)
    told = await phones.trunks()
    if row.id not in told:
        return TrunkChecked(
            success=False, message=f"{registrations.UNTOLD[0].upper()}{registrations.UNTOLD[1:]}."
        )
    why_not = told[row.id]
    words = f"Not usable: {explained(why_not)}." if why_not else "Registered."
    return TrunkChecked(success=not why_not, message=words)
