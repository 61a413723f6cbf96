"""/v1/sip-trunks: carriers and PBXs of one's own."""

from aiohttp import web

from api.http.routes import Routes
from api.http.transactions import let_go
from api.keys import CALLER, GUARD, SESSION
from api.sip_trunks import service
from api.sip_trunks.schemas import SipTrunk, SipTrunkCreate, SipTrunkUpdate, TrunkChecked
from api.sip_trunks.service import TooManyTrunks, TrunkNotFound

routes = Routes("/v1/sip-trunks", tag="SIP trunks")

_NO_LINE = "This server has no phone line yet, so nothing was sent to the trunk."


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
    """Have the phone line take a trunk up anew."""
    await service.get(request[SESSION], request[CALLER].owner_id, trunk_id)
    return TrunkChecked(success=False, message=_NO_LINE)


@routes.post("/{trunk_id}/test", errors=[TrunkNotFound])
async def test_sip_trunk(request: web.Request, trunk_id: str) -> TrunkChecked:
    """Find out whether a trunk would work: whether its address is known, and what the phone line says."""
    row = await service.get(request[SESSION], request[CALLER].owner_id, trunk_id)
    server = row.sip_server
    await let_go(request)  # nobody waits for a name server with a transaction open
    if not await service.is_found(server):
        return TrunkChecked(success=False, message=f"No name server knows {server.partition(':')[0]}.")
    return TrunkChecked(success=False, message=f"The address of {server} is known. {_NO_LINE}")
