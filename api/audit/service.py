"""The one place that writes the audit log.

request ─ admitted ─ arguments ─► record ┄┄┄ handler changes rows ┄┄┄ commit
                                     └─ before the first commit, the entry goes into the same transaction
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web
from pydantic import BaseModel
from sqlalchemy import ColumnElement, delete
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.audit.schemas import AuditQuery
from api.audit.table import AuditRow
from api.db.columns import new_id, now
from api.db.engine import before_commit
from api.db.inserts import insert_values
from api.http.callers import Caller, address
from api.http.routes import Route
from api.http.scopes import scope_of
from api.keys import CALLER, REQUEST_ID, SESSION

KEPT_DAYS = 400
MAX_TEXT = 100

NO_CHANGES = frozenset(
    {
        "create_chat",
        "create_token",
        "create_voice_session",
        "send_chat_message",
        "stream_chat_message",
        "test_function",
        "execute_function",
        "say",
        "add_context",
        "hold",
        "resume",
    }
)
"""Operations that talk; what they did stands in chats and calls."""

OWN_WORDS = frozenset({"credit_tenant_member", "credit_tenant_members"})
"""Operations that say themselves what they did, once for each transaction (`note_in`)."""


@dataclass
class Entry:
    """A row of the log before it is written, as `AuditRow` has it."""

    owner_id: str
    actor: str
    action: str
    user_id: str = ""
    key_id: str = ""
    target: dict[str, Any] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    address: str = ""
    request_id: str = ""
    id: str = field(default_factory=lambda: new_id("audit", 24))
    at: datetime = field(default_factory=now)


def record(request: web.Request, route: Route, arguments: Mapping[str, Any]) -> Entry | None:
    """Have a change written down with its transaction; nothing where it fails, or changes nothing.

    The entry may be completed (`target`) until the commit.
    """
    if (
        route.access != "caller"
        or route.method == "GET"
        or route.name in NO_CHANGES | OWN_WORDS
        or scope_of(route).endswith(":read")
    ):
        return None
    body = arguments.get("body")
    changed = sorted(body.model_fields_set) if isinstance(body, BaseModel) else []
    row = _entry(request, request[CALLER], route.name)
    row.changed = changed
    row.target = {name: str(request.match_info[name])[:MAX_TEXT] for name in route.path_parameters}
    _write_with(request[SESSION], row)
    return row


def complete(row: Entry, route: Route, reply: Any) -> None:
    """Add the ids of what was made, as the route's Location names them."""
    for name in route.location_names:
        if isinstance(made := getattr(reply, name, None), str):
            row.target = {**row.target, name: made[:MAX_TEXT]}


def note(
    request: web.Request,
    user_id: str,
    action: str,
    *,
    owner_id: str = "",
    target: Mapping[str, Any] | None = None,
) -> None:
    """Somebody signed in, or proved who they are: there was no caller before. `owner_id`: whose log it is."""
    row = _entry(request, Caller(owner_id or user_id, user_id, "user"), action)
    row.target = dict(target or {})
    _write_with(request[SESSION], row)


def note_in(session: AsyncSession, request: web.Request, action: str, target: Mapping[str, Any]) -> None:
    """The request's caller changed something in this transaction."""
    row = _entry(request, request[CALLER], action)
    row.target = dict(target)
    _write_with(session, row)


def note_operator(session: AsyncSession, owner_id: str, action: str, target: Mapping[str, Any]) -> None:
    """Who runs this server changed something of an owner's at its command line."""
    _write_with(session, Entry(owner_id, "operator", action, target=dict(target)))


def note_system(session: AsyncSession, owner_id: str, action: str, target: Mapping[str, Any]) -> None:
    """This server decided something about an owner's things by itself."""
    _write_with(session, Entry(owner_id, "system", action, target=dict(target)))


async def page(session: AsyncSession, caller: Caller, query: AuditQuery) -> tuple[list[AuditRow], int]:
    """A page of the caller's entries, newest first, and how many there are."""
    asked: list[ColumnElement[bool]] = [col(AuditRow.owner_id) == caller.owner_id]
    if query.action is not None:
        asked.append(col(AuditRow.action) == query.action)
    if query.since is not None:
        asked.append(col(AuditRow.at) >= query.since)
    if query.until is not None:
        asked.append(col(AuditRow.at) < query.until)
    total = await session.exec(select(func.count()).select_from(AuditRow).where(*asked))
    found = await session.exec(
        select(AuditRow)
        .where(*asked)
        .order_by(col(AuditRow.at).desc(), col(AuditRow.id).desc())
        .limit(query.limit)
        .offset(query.offset)
    )
    return list(found.all()), total.one()


async def forget_old(session: AsyncSession) -> None:
    """Entries are kept for a good year."""
    await session.exec(delete(AuditRow).where(col(AuditRow.at) < now() - timedelta(days=KEPT_DAYS)))


def _entry(request: web.Request, caller: Caller, action: str) -> Entry:
    return Entry(
        owner_id=caller.owner_id,
        actor=caller.kind,
        user_id=caller.user_id,
        key_id=caller.key_id,
        action=action,
        address=address(request)[:MAX_TEXT],
        request_id=request.get(REQUEST_ID, ""),
    )


def _write_with(session: AsyncSession, entry: Entry) -> None:
    async def write() -> None:
        # Below the ORM: this stands in every change there is.
        await insert_values(session, AuditRow, vars(entry))

    before_commit(session, write)
