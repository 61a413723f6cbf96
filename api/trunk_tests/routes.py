"""/v1/sip-trunks/{trunk_id}/test-call: hear whether a trunk works."""

from aiohttp import web

from api.agents import service as agents
from api.calls import phoning, placing, spending, tolls
from api.calls.schemas import CallId
from api.contacts import service as contacts
from api.db.columns import new_id
from api.http.routes import Routes
from api.http.transactions import let_go
from api.keys import CALLER, CLAIM, DATABASE, SESSION, WORKERS
from api.phone_numbers import routing
from api.sip_trunks import registrations
from api.sip_trunks.service import TrunkNotFound
from api.trunk_tests import service
from api.trunk_tests.schemas import TrunkCall, TrunkCallCreate

routes = Routes("/v1/sip-trunks", tag="SIP trunks")


@routes.post(
    "/{trunk_id}/test-call",
    errors=[
        TrunkNotFound,
        service.TrunkAtRest,
        agents.AgentNotFound,
        contacts.MustNotCall,
        routing.NotYourNumber,
        phoning.NoPhoneLine,
        tolls.DestinationRefused,
        spending.SpentToday,
    ],
    location="/v1/sip-trunks/test-calls/{call_id}",
    resumes=True,
)
async def call_over_sip_trunk(
    request: web.Request, trunk_id: str, body: TrunkCallCreate
) -> TrunkCall | web.Response:
    """Call a number over a trunk, say a sentence there, and explain what was seen.

    Answered when the call is over; with `"wait": false` at once, with 202. It is a call like any other:
    the same rules, the same prices, and it stands among your calls.
    """
    session, caller, claim = request[SESSION], request[CALLER], request.get(CLAIM)
    call_id = f"call_{claim.stable_id}" if claim else new_id("call", 16)
    trunk = await service.check(session, caller, trunk_id, body)
    phones = request.app[WORKERS].phones
    await let_go(request)
    await registrations.settled(phones, trunk)
    call = await service.write(session, caller, trunk_id, body, call_id)
    await let_go(request)
    await placing.place(request.app[DATABASE], phones, call.id)
    if body.wait:
        await service.until_over(request.app[DATABASE], call)
    await session.refresh(call)
    told = await service.told(session, phones, call, trunk)
    if body.wait:
        return told
    where = f"/v1/sip-trunks/test-calls/{call.id}"
    return web.json_response(text=told.model_dump_json(), status=202, headers={"Location": where})


@routes.get("/test-calls/{test_call_id}", errors=[service.NoSuchTest])
async def get_call_over_sip_trunk(request: web.Request, test_call_id: CallId) -> TrunkCall:
    """See what is known of a test call by now."""
    session = request[SESSION]
    call, trunk = await service.get(session, request[CALLER], test_call_id)
    return await service.told(session, request.app[WORKERS].phones, call, trunk)
