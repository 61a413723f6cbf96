"""API keys: made, listed, revoked, and recognised on every request."""

import hmac
import logging
import secrets
from collections.abc import Collection
from datetime import timedelta
from functools import partial

from aiohttp import web
from sqlalchemy import bindparam, delete, update
from sqlalchemy import select as plain_select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.api_keys.known import KnownKey
from api.api_keys.schemas import ApiKeyCreate
from api.api_keys.table import ActiveKey, ApiKeyRow
from api.auth.tokens import hashed
from api.db.columns import now
from api.db.engine import Database, after_commit
from api.db.lookups import Lookup
from api.http import scopes
from api.http.callers import Caller
from api.http.errors import Conflict, Forbidden, Invalid, NotFound, Unauthorized
from api.keys import DATABASE, KNOWN_KEYS, SESSION
from api.users.table import UserRow

_LOG = logging.getLogger(__name__)
_PREFIX = "sk_call2me_"
_SHOWN = len(_PREFIX) + 8
_USE_IS_NOTED_EVERY = timedelta(minutes=1)
_ACTIVE = Lookup(
    ActiveKey,
    plain_select(
        *(col(getattr(ApiKeyRow, name)) for name in ActiveKey._fields if name != "user_rate_limit"),
        col(UserRow.rate_limit).label("user_rate_limit"),
    )
    .join(UserRow, col(UserRow.id) == ApiKeyRow.owner_id)
    .where(
        col(ApiKeyRow.prefix) == bindparam("prefix"),
        col(ApiKeyRow.is_active).is_(True),
        col(UserRow.erased_at).is_(None),
    ),
)


class ApiKeyNotFound(NotFound):
    """API key not found"""


class ApiKeyStillActive(Conflict):
    """This API key is still active; revoke it first"""


class InvalidApiKey(Unauthorized):
    """Invalid, expired or revoked API key"""


class MoreThanYours(Forbidden):
    """An API key makes no key that may do more, or lasts longer, than itself"""


def check_permissions(wanted: ApiKeyCreate, known: Collection[str]) -> None:
    """Raise where a permission means nothing here: a key that silently may nothing helps nobody."""
    for number, permission in enumerate(wanted.permissions):
        if not scopes.is_known(permission, known):
            raise Invalid.at(
                "body",
                "permissions",
                number,
                msg="There is no such permission; GET /v1/api-keys/scopes lists them",
                input=permission,
            )


async def create_for(
    session: AsyncSession, caller: Caller, wanted: ApiKeyCreate, known: Collection[str]
) -> tuple[ApiKeyRow, str]:
    """A new key for who asks. One that is asked for with a key may not do more than that one."""
    check_permissions(wanted, known)
    if caller.kind != "api_key":
        return await create(session, caller.owner_id, wanted)
    if not scopes.is_within(wanted.permissions, caller.permissions, known):
        raise MoreThanYours
    mine = await get(session, caller, caller.key_id)
    row, key = await create(session, caller.owner_id, wanted)
    row.rate_limit = min(row.rate_limit, mine.rate_limit)
    if mine.expires_at is not None and (row.expires_at is None or row.expires_at > mine.expires_at):
        raise MoreThanYours
    session.add(row)
    return row, key


async def create(session: AsyncSession, owner_id: str, wanted: ApiKeyCreate) -> tuple[ApiKeyRow, str]:
    """A new key: its row, and the key itself, which is kept nowhere."""
    key = _PREFIX + secrets.token_hex(24)
    days = wanted.expires_in_days
    row = ApiKeyRow(
        owner_id=owner_id,
        name=wanted.name,
        prefix=key[:_SHOWN],
        hash=hashed(key),
        permissions=wanted.permissions,
        rate_limit=wanted.rate_limit,
        is_read_only=wanted.read_only,
        expires_at=now() + timedelta(days=days) if days else None,
    )
    session.add(row)
    await session.flush()
    return row, key


async def every(session: AsyncSession, caller: Caller) -> list[ApiKeyRow]:
    """The owner's keys, newest first, revoked ones too."""
    found = await session.exec(
        select(ApiKeyRow)
        .where(ApiKeyRow.owner_id == caller.owner_id)
        .order_by(col(ApiKeyRow.created_at).desc(), col(ApiKeyRow.id))
    )
    return list(found.all())


async def get(session: AsyncSession, caller: Caller, key_id: str) -> ApiKeyRow:
    """One of the owner's keys."""
    found = await session.exec(
        select(ApiKeyRow).where(ApiKeyRow.id == key_id, ApiKeyRow.owner_id == caller.owner_id)
    )
    if (row := found.one_or_none()) is None:
        raise ApiKeyNotFound
    return row


async def revoke(session: AsyncSession, caller: Caller, key_id: str) -> None:
    """Refuse this key from now on. Safe to repeat."""
    row = await get(session, caller, key_id)
    row.is_active = False
    session.add(row)


async def remove(session: AsyncSession, caller: Caller, key_id: str) -> None:
    """Forget a key that was revoked."""
    row = await get(session, caller, key_id)
    if row.is_active:
        raise ApiKeyStillActive
    await session.exec(delete(ApiKeyRow).where(col(ApiKeyRow.id) == row.id))


async def authenticate(request: web.Request, key: str) -> Caller:
    """Who carries this key. Its use is noted once a minute."""
    database, keys = request.app[DATABASE], request.app[KNOWN_KEYS]
    kept = hashed(key)
    if (known := keys.find(kept)) is None:
        generation = keys.generation
        known = await _recognised(database, key, kept)
        keys.keep(kept, known, generation)
    if known.last_used_at is None or now() - known.last_used_at > _USE_IS_NOTED_EVERY:
        known.last_used_at = now()
        after_commit(request[SESSION], partial(_note_use, database, known.caller.key_id))
    return known.caller


async def _recognised(database: Database, key: str, kept: str) -> KnownKey:
    """The key's row, and how often its user may ask."""
    for row in await database.ask(_ACTIVE, prefix=key[:_SHOWN]):
        if not hmac.compare_digest(row.hash, kept) or (
            row.expires_at is not None and row.expires_at <= now()
        ):
            continue
        caller = Caller(
            owner_id=row.owner_id,
            user_id=row.owner_id,
            kind="api_key",
            key_id=row.id,
            is_read_only=row.is_read_only,
            permissions=tuple(row.permissions),
            rate_limit=row.rate_limit,
            user_rate_limit=row.user_rate_limit,
        )
        return KnownKey(caller, row.expires_at, row.last_used_at)
    raise InvalidApiKey


async def _note_use(database: Database, key_id: str) -> None:
    try:
        async with database.transaction() as session:
            await session.exec(
                update(ApiKeyRow).where(col(ApiKeyRow.id) == key_id).values(last_used_at=now())
            )
    except SQLAlchemyError:
        # The request is committed by now: to fail it would have it sent again.
        _LOG.warning("use of a key not noted", extra={"key_id": key_id})
