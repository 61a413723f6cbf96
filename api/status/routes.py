"""/status for people, /v1/status for programs."""

from aiohttp import web

from api.db.columns import now
from api.http.rate_limits import Limit
from api.http.routes import Routes
from api.keys import READINESS, SESSION
from api.status import page, service
from api.status.schemas import PartStatus, State, Status, StatusDay

routes = Routes("", tag="Public", access="public")
STATUS_LIMIT = Limit("status", 30)
HTML = "text/html"
PROMISED = {"api": 99.9, "voice": 99.5}


@routes.get("/v1/status", limit=STATUS_LIMIT)
async def get_status(request: web.Request) -> Status:
    """Say how available the api and voice are, and were on each of the last 90 days."""
    return await _status(request)


@routes.get("/status", limit=STATUS_LIMIT, produces=[HTML])
async def get_status_page(request: web.Request) -> web.Response:
    """The same as a page."""
    return web.Response(
        text=page.drawn(await _status(request)),
        content_type=HTML,
        charset="utf-8",
        headers={
            "Content-Security-Policy": f"default-src 'none'; style-src '{page.STYLE_HASH}'; img-src data:; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            "Cache-Control": "no-cache",
        },
    )


async def _status(request: web.Request) -> Status:
    # Asked before the database is: nobody waits for the network with a transaction open.
    found = await request.app[READINESS].ask()
    moment = now()
    figures = await service.figures(request[SESSION], moment)
    is_api_up = not found.get("database")
    is_voice_up = is_api_up and not any(found.get(name) for name in service.VOICE_NEEDS)
    state: dict[str, State] = {
        "api": "operational" if is_api_up else "down",
        "voice": "operational" if is_voice_up else "down",
    }
    return Status(
        status="operational" if is_voice_up else "degraded" if is_api_up else "down",
        timestamp=moment,
        parts=[
            PartStatus(
                name=name,
                status=state[name],
                availability_percent=figures[name].percent,
                promised_percent=PROMISED[name],
                days=[StatusDay(day=one.day, percent=one.percent) for one in figures[name].days],
            )
            for name in ("api", "voice")
        ],
    )
