"""End users' tokens: minted by their application's owner, recognised on every request, revoked."""

import secrets
from datetime import timedelta

from aiohttp import web
from sqlalchemy import bindparam, delete, func
from sqlalchemy import select as plain_select
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents import service as agents
from api.api_keys.table import ApiKeyRow
from api.auth.tokens import hashed
from api.db.columns import now
from api.db.lookups import Lookup
from api.end_users.schemas import ALL, LEAST_SECONDS, MOST_SECONDS, TokenCreate
from api.end_users.table import EndUserTokenRow, OpenToken
from api.http.callers import END_USER_PREFIX, Caller
from api.http.errors import Conflict, NotFound, Unauthorized
from api.keys import DATABASE
from api.users.table import UserRow

MAX_LIVE = 50
"""Of one end user: tokens are short-lived, and whoever needs more at once has lost track of them."""
_OPEN = Lookup(
    OpenToken,
    plain_select(
        col(EndUserTokenRow.owner_id),
        col(EndUserTokenRow.external_id),
        col(EndUserTokenRow.scopes),
        col(EndUserTokenRow.agent_ids),
        col(EndUserTokenRow.expires_at),
        col(EndUserTokenRow.key_id),
        col(ApiKeyRow.is_active).label("key_is_active"),
        col(ApiKeyRow.expires_at).label("key_expires_at"),
    )
    .join(UserRow, col(UserRow.id) == EndUserTokenRow.owner_id)
    .join(ApiKeyRow, col(ApiKeyRow.id) == EndUserTokenRow.key_id, isouter=True)
    .where(
        col(EndUserTokenRow.hash) == bindparam("hash"),
        col(EndUserTokenRow.revoked_at).is_(None),
        col(UserRow.erased_at).is_(None),
    ),
)


class EndUserTokenNotFound(NotFound):
    """End-user token not found"""


class TooManyTokens(Conflict):
    """This end user has as many live tokens as an end user may have; revoke some"""


class InvalidEndUserToken(Unauthorized):
    """Invalid, expired or revoked end-user token"""


async def mint(
    session: AsyncSession, caller: Caller, external_id: str, wanted: TokenCreate
) -> tuple[EndUserTokenRow, str, int]:
    """A new token: its row, the token itself, which is kept nowhere, and its seconds."""
    for agent_id in wanted.agent_ids or ():
        await agents.get(session, caller, agent_id)
    await session.exec(
        delete(EndUserTokenRow).where(
            col(EndUserTokenRow.owner_id) == caller.owner_id, col(EndUserTokenRow.expires_at) < now()
        )
    )
    if await _live(session, caller.owner_id, external_id) >= MAX_LIVE:
        raise TooManyTokens
    token = END_USER_PREFIX + secrets.token_hex(24)
    seconds = min(MOST_SECONDS, max(LEAST_SECONDS, wanted.expires_in))
    row = EndUserTokenRow(
        owner_id=caller.owner_id,
        external_id=external_id,
        hash=hashed(token),
        key_id=caller.key_id or None,
        scopes=list(ALL) if wanted.scopes is None else sorted(set(wanted.scopes)),
        agent_ids=wanted.agent_ids,
        expires_at=now() + timedelta(seconds=seconds),
    )
    session.add(row)
    await session.flush()
    return row, token, seconds


async def every(session: AsyncSession, caller: Caller, external_id: str) -> list[EndUserTokenRow]:
    """An end user's tokens that are not forgotten yet, newest first."""
    found = await session.exec(
        select(EndUserTokenRow)
        .where(EndUserTokenRow.owner_id == caller.owner_id, EndUserTokenRow.external_id == external_id)
        .order_by(col(EndUserTokenRow.created_at).desc(), col(EndUserTokenRow.id))
        .limit(1000)
    )
    return list(found.all())


async def revoke(session: AsyncSession, caller: Caller, external_id: str, token_id: str) -> None:
    """Refuse a token from now on. Safe to repeat."""
    found = await session.exec(
        select(EndUserTokenRow).where(
            EndUserTokenRow.id == token_id,
            EndUserTokenRow.owner_id == caller.owner_id,
            EndUserTokenRow.external_id == external_id,
        )
    )
    if (row := found.one_or_none()) is None:
        raise EndUserTokenNotFound
    row.revoked_at = row.revoked_at or now()
    session.add(row)


async def revoke_all(session: AsyncSession, caller: Caller, external_id: str) -> int:
    """Refuse all of an end user's tokens from now on; how many there were."""
    ended = await session.exec(
        update(EndUserTokenRow)
        .where(
            col(EndUserTokenRow.owner_id) == caller.owner_id,
            col(EndUserTokenRow.external_id) == external_id,
            col(EndUserTokenRow.revoked_at).is_(None),
            col(EndUserTokenRow.expires_at) > now(),
        )
        .values(revoked_at=now())
    )
    return ended.rowcount


async def authenticate(request: web.Request, token: str) -> Caller:
    """Whom this token stands for. It ends with its time, when it is revoked, and with its API key."""
    moment = now()
    for row in await request.app[DATABASE].ask(_OPEN, hash=hashed(token)):
        if row.is_open(moment):
            return row.caller
    raise InvalidEndUserToken


async def _live(session: AsyncSession, owner_id: str, external_id: str) -> int:
    counted = await session.exec(
        select(func.count())
        .select_from(EndUserTokenRow)
        .where(
            EndUserTokenRow.owner_id == owner_id,
            EndUserTokenRow.external_id == external_id,
            col(EndUserTokenRow.revoked_at).is_(None),
            EndUserTokenRow.expires_at > now(),
        )
    )
    return counted.one()
