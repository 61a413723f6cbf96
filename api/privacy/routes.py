"""/v1/users/me: everything of oneself in a file, and being forgotten."""

from aiohttp import web

from api.auth.passwords import TooManyLogins
from api.auth.recovery import WrongPassword
from api.db.engine import after_commit
from api.http.links import base_url
from api.http.rate_limits import WRONG_LIMIT, Limit
from api.http.routes import Routes
from api.http.transactions import let_go
from api.keys import CALLER, DATABASE, KNOWN_KEYS, PASSWORDS, RATE_LIMITS, SESSION, STORAGE
from api.privacy import service
from api.privacy.exporting import blob_name
from api.privacy.schemas import AccountExport, Erasing, Farewell
from api.privacy.service import ExportNotFound, ExportNotReady, WrongAddress

routes = Routes("/v1/users/me", tag="Users")

EXPORT_LIMIT = Limit("export", 5, 24 * 3600)
ZIP = "application/zip"


@routes.post("/exports", status=202, limit=EXPORT_LIMIT)
async def export_account(request: web.Request) -> AccountExport:
    """Have a file made of everything that is kept of you; the one that is being made, where there is one."""
    row = await service.ask_for_export(request[SESSION], request[CALLER])
    return AccountExport.of(row, base_url(request))


@routes.get("/exports")
async def list_account_exports(request: web.Request) -> list[AccountExport]:
    """List your exports, newest first; each is kept for a week."""
    rows = await service.exports(request[SESSION], request[CALLER])
    return [AccountExport.of(row, base_url(request)) for row in rows]


@routes.get("/exports/{export_id}", errors=[ExportNotFound])
async def get_account_export(request: web.Request, export_id: str) -> AccountExport:
    """Get how far an export is."""
    row = await service.export(request[SESSION], request[CALLER], export_id)
    return AccountExport.of(row, base_url(request))


@routes.get("/exports/{export_id}/download", errors=[ExportNotFound, ExportNotReady], produces=[ZIP])
async def download_account_export(request: web.Request, export_id: str) -> web.StreamResponse:
    """Get the file of an export."""
    row = await service.export(request[SESSION], request[CALLER], export_id)
    storage = request.app[STORAGE]
    size = await storage.size(blob_name(row.id)) if row.status == "complete" else None
    if size is None:
        raise ExportNotReady
    await let_go(request)
    headers = {"Content-Disposition": 'attachment; filename="call2me-export.zip"'}
    response = web.StreamResponse(headers=headers)
    response.content_type, response.content_length = ZIP, size
    await response.prepare(request)
    if request.method != "HEAD":
        async for chunk in storage.read(blob_name(row.id)):
            await response.write(chunk)
    await response.write_eof()
    return response


@routes.delete("", status=202, errors=[WrongAddress, WrongPassword, TooManyLogins])
async def erase_account(request: web.Request, body: Farewell) -> Erasing:
    """Be forgotten: nobody signs in from now on, and everything but the bare book of payments is erased.

    What is going on is ended. It cannot be undone.
    """
    caller, limits = request[CALLER], request.app[RATE_LIMITS]
    await limits.look(WRONG_LIMIT, caller.user_id)
    after_commit(request[SESSION], request.app[KNOWN_KEYS].forget)
    try:
        await service.erase(request.app[DATABASE], request[SESSION], caller, body, request.app[PASSWORDS])
    except WrongPassword:
        await limits.take(WRONG_LIMIT, caller.user_id)
        raise
    return Erasing()
