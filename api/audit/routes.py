"""/v1/audit-log"""

from aiohttp import web

from api.audit import service
from api.audit.schemas import AuditEntry, AuditLog, AuditQuery
from api.http.routes import Routes
from api.keys import CALLER, SESSION

routes = Routes("/v1/audit-log", tag="Audit")


@routes.get()
async def list_audit_log(request: web.Request, query: AuditQuery) -> AuditLog:
    """List who changed what of yours, newest first. Entries are kept for 400 days."""
    rows, total = await service.page(request[SESSION], request[CALLER], query)
    return AuditLog(
        entries=[AuditEntry.model_validate(row) for row in rows],
        total=total,
        limit=query.limit,
        offset=query.offset,
    )
