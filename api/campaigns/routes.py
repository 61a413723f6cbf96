"""/v1/campaigns: many people called by one agent."""

from aiohttp import web

from api.agents import service as agents
from api.campaigns import live, people, results, service
from api.campaigns.people import TooManyPeople
from api.campaigns.schemas import (
    Action,
    Campaign,
    CampaignActed,
    CampaignAction,
    CampaignCreate,
    CampaignDeleted,
    CampaignList,
    CampaignQuery,
    CampaignUpdate,
    People,
    PeopleGiven,
    PeopleKept,
    PeopleRemoved,
    Person,
    PersonQuery,
    Preview,
    ProgressQuery,
    Results,
    ResultsQuery,
)
from api.campaigns.service import CampaignNotFound, NobodyToCall, TooManyCampaigns, WrongState
from api.campaigns.table import CampaignRow
from api.http.errors import RequestTimeout, TooLarge, UnsupportedMedia
from api.http.event_streams import EVENT_STREAM, TooManyStreams, follow
from api.http.negotiation import JSON, preferred
from api.http.routes import Routes
from api.http.sheets import MAX_SHEET_BYTES, BadSheet
from api.http.transactions import let_go
from api.http.uploads import NoFile, read_file
from api.keys import CALLER, DATABASE, SESSION

CSV = "text/csv"
_ACTING = [CampaignNotFound, WrongState, NobodyToCall, agents.AgentNotFound]
_SAID: dict[Action, str] = {
    "start": "The campaign calls.",
    "pause": "The campaign calls nobody new; calls that are going on end by themselves.",
    "resume": "The campaign calls again.",
    "cancel": "The campaign calls nobody any more.",
}

routes = Routes("/v1/campaigns", tag="Campaigns")


@routes.post(
    status=201, errors=[agents.AgentNotFound, TooManyCampaigns], location="/v1/campaigns/{campaign_id}"
)
async def create_campaign(request: web.Request, body: CampaignCreate) -> Campaign:
    """Make a campaign; it is a draft until it is started."""
    return Campaign.of(await service.create(request[SESSION], request[CALLER], body), {})


@routes.get()
async def list_campaigns(request: web.Request, query: CampaignQuery) -> CampaignList:
    """List your campaigns, newest first."""
    rows, total = await service.page(request[SESSION], request[CALLER], query)
    counted = await service.counted(request[SESSION], [row.id for row in rows])
    listed = [Campaign.of(row, counted.get(row.id, {})) for row in rows]
    return CampaignList(campaigns=listed, total=total, limit=query.limit, offset=query.offset)


@routes.get("/{campaign_id}", errors=[CampaignNotFound])
async def get_campaign(request: web.Request, campaign_id: str) -> Campaign:
    """Get a campaign, and how far it is."""
    return await _told(request, await _row(request, campaign_id))


@routes.patch("/{campaign_id}", errors=[CampaignNotFound, WrongState])
async def update_campaign(request: web.Request, campaign_id: str, body: CampaignUpdate) -> Campaign:
    """Change a campaign that is not over; what is not sent stays as it is."""
    row = await service.change(request[SESSION], request[CALLER], campaign_id, body)
    return await _told(request, row)


@routes.delete("/{campaign_id}", status=200, errors=[CampaignNotFound, WrongState])
async def delete_campaign(request: web.Request, campaign_id: str) -> CampaignDeleted:
    """Delete a campaign that calls nobody, with its people. The calls it made stay."""
    await service.remove(request[SESSION], request[CALLER], campaign_id)
    return CampaignDeleted(campaign_id=campaign_id)


# ── what it does ─────────────────────────────────────────────────────────────────────────────────
@routes.post("/{campaign_id}/action", errors=_ACTING)
async def act_on_campaign(request: web.Request, campaign_id: str, body: CampaignAction) -> CampaignActed:
    """Start, pause, resume or cancel a campaign."""
    return await _acted(request, campaign_id, body.action)


@routes.post("/{campaign_id}/start", errors=_ACTING, replaced_by="/{campaign_id}/action")
async def start_campaign(request: web.Request, campaign_id: str) -> CampaignActed:
    """Start a campaign."""
    return await _acted(request, campaign_id, "start")


@routes.post("/{campaign_id}/pause", errors=_ACTING, replaced_by="/{campaign_id}/action")
async def pause_campaign(request: web.Request, campaign_id: str) -> CampaignActed:
    """Pause a campaign: calls that are going on end by themselves."""
    return await _acted(request, campaign_id, "pause")


@routes.post("/{campaign_id}/resume", errors=_ACTING, replaced_by="/{campaign_id}/action")
async def resume_campaign(request: web.Request, campaign_id: str) -> CampaignActed:
    """Resume a campaign that was paused."""
    return await _acted(request, campaign_id, "resume")


@routes.post("/{campaign_id}/cancel", errors=_ACTING, replaced_by="/{campaign_id}/action")
async def cancel_campaign(request: web.Request, campaign_id: str) -> CampaignActed:
    """Cancel a campaign for good."""
    return await _acted(request, campaign_id, "cancel")


# ── its people ───────────────────────────────────────────────────────────────────────────────────
@routes.get("/{campaign_id}/contacts", errors=[CampaignNotFound])
async def list_campaign_contacts(request: web.Request, campaign_id: str, query: PersonQuery) -> People:
    """List a campaign's people in their order, and how far each is."""
    rows, total = await people.page(request[SESSION], await _row(request, campaign_id), query)
    listed = [Person.of(row) for row in rows]
    return People(contacts=listed, total=total, limit=query.limit, offset=query.offset)


@routes.post("/{campaign_id}/contacts", status=201, errors=[CampaignNotFound, WrongState, TooManyPeople])
async def add_campaign_contacts(request: web.Request, campaign_id: str, body: PeopleGiven) -> PeopleKept:
    """Add people to a draft."""
    return await people.add(request[SESSION], request[CALLER], campaign_id, body)


@routes.delete("/{campaign_id}/contacts", status=200, errors=[CampaignNotFound, WrongState])
async def clear_campaign_contacts(request: web.Request, campaign_id: str) -> PeopleRemoved:
    """Take everybody out of a draft."""
    return PeopleRemoved(deleted=await people.clear(request[SESSION], request[CALLER], campaign_id))


@routes.post(
    "/{campaign_id}/upload-csv",
    status=201,
    errors=[
        *(CampaignNotFound, WrongState, TooManyPeople),
        *(BadSheet, TooLarge, UnsupportedMedia, RequestTimeout, NoFile),
    ],
    older=["/{campaign_id}/upload"],
    reads="multipart/form-data",
    resumes=True,
)
async def upload_campaign_contacts(request: web.Request, campaign_id: str) -> PeopleKept:
    """Add everybody in a CSV file, of 5 MB at most, to a draft.

    It has a header with a column `phone`, `phone_number` or `telefon`; `name`, `ad` or `isim` is the
    name, and every other column a variable.
    """
    await _row(request, campaign_id)
    await let_go(request)  # a file may take its time
    raw = await read_file(request, MAX_SHEET_BYTES)
    return await people.upload(request.app[DATABASE], request[CALLER].owner_id, campaign_id, raw)


# ── before and after ─────────────────────────────────────────────────────────────────────────────
@routes.get("/{campaign_id}/preview", errors=[CampaignNotFound])
async def preview_campaign(request: web.Request, campaign_id: str) -> Preview:
    """Say who would be called if the campaign began now, who not, and why."""
    return await results.preview(request[SESSION], await _row(request, campaign_id))


@routes.get("/{campaign_id}/results", errors=[CampaignNotFound], produces=[CSV])
async def get_campaign_results(
    request: web.Request, campaign_id: str, query: ResultsQuery
) -> Results | web.StreamResponse:
    """Get what became of a campaign: figures as JSON, or a line for each person as CSV."""
    row = await _row(request, campaign_id)
    kind = {"json": JSON, "csv": CSV}.get(query.format or "") or preferred(
        request, (JSON, CSV), otherwise=JSON
    )
    if kind == JSON:
        return await results.results(request[SESSION], row)
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/csv; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{row.id}.csv"',
        }
    )
    await response.prepare(request)
    async for lines in results.sheet(request[SESSION], row):
        await response.write(lines)
    await response.write_eof()
    return response


@routes.get("/{campaign_id}/events", errors=[CampaignNotFound, TooManyStreams], produces=[EVENT_STREAM])
async def watch_campaign(request: web.Request, campaign_id: str, query: ProgressQuery) -> web.StreamResponse:
    """Watch a campaign as server-sent events: how far it is, and again each time that changes, to its end."""
    row = await _row(request, campaign_id)
    await let_go(request)
    told = live.progress(request.app[DATABASE], row.id, follows=query.follow)
    return await follow(request, told, look_seconds=live.LOOK_SECONDS)


async def _row(request: web.Request, campaign_id: str) -> CampaignRow:
    return await service.seen(request[SESSION], request[CALLER].owner_id, campaign_id)


async def _told(request: web.Request, row: CampaignRow) -> Campaign:
    return Campaign.of(row, (await service.counted(request[SESSION], [row.id])).get(row.id, {}))


async def _acted(request: web.Request, campaign_id: str, action: Action) -> CampaignActed:
    row = await service.act(request[SESSION], request[CALLER], campaign_id, action)
    return CampaignActed.model_validate(
        {"campaign_id": row.id, "action": action, "status": row.status, "message": _SAID[action]}
    )
