"""Asking for everything of oneself, and asking to be forgotten."""

import hmac
from functools import partial

from sqlalchemy import update
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.api_keys.table import ApiKeyRow
from api.auth import service as auth
from api.auth.passwords import Passwords
from api.auth.recovery import WrongPassword
from api.db.columns import now
from api.db.engine import Database, after_commit
from api.end_users.table import EndUserTokenRow
from api.http.callers import Caller
from api.http.errors import BadRequest, Conflict, NotFound
from api.privacy import erasure, exporting
from api.privacy.schemas import Farewell
from api.privacy.table import AccountExportRow
from api.users import service as users
from api.users.table import UserRow


class ExportNotFound(NotFound):
    """Export not found"""


class ExportNotReady(Conflict):
    """This export is not complete yet"""


class WrongAddress(BadRequest):
    """To confirm, send the email of your own account"""


async def ask_for_export(session: AsyncSession, caller: Caller) -> AccountExportRow:
    """A new export; the one that is being made, where there is one."""
    await session.exec(  # so that two who ask at once get one
        select(UserRow.id).where(UserRow.id == caller.owner_id).with_for_update()
    )
    found = await session.exec(
        select(AccountExportRow).where(
            AccountExportRow.owner_id == caller.owner_id, AccountExportRow.status == "pending"
        )
    )
    if (row := found.first()) is None:
        row = AccountExportRow(owner_id=caller.owner_id)
        session.add(row)
        await session.flush()
    after_commit(session, partial(exporting.start, row.id))
    return row


async def exports(session: AsyncSession, caller: Caller) -> list[AccountExportRow]:
    """The caller's exports, newest first."""
    found = await session.exec(
        select(AccountExportRow)
        .where(AccountExportRow.owner_id == caller.owner_id)
        .order_by(col(AccountExportRow.created_at).desc(), col(AccountExportRow.id))
    )
    return list(found.all())


async def export(session: AsyncSession, caller: Caller, export_id: str) -> AccountExportRow:
    """One of the caller's exports."""
    found = await session.exec(
        select(AccountExportRow).where(
            AccountExportRow.id == export_id, AccountExportRow.owner_id == caller.owner_id
        )
    )
    if (row := found.one_or_none()) is None:
        raise ExportNotFound
    return row


async def erase(
    database: Database, session: AsyncSession, caller: Caller, farewell: Farewell, passwords: Passwords
) -> None:
    """Nobody signs in any more, by whatever way; the rest is done by a workflow that nothing stops."""
    async with database.session(writes=False) as reading:  # the slow check holds no lock
        user = await users.get(reading, caller)
    if not hmac.compare_digest(user.email.encode(), farewell.email.strip().lower().encode()):
        raise WrongAddress
    if user.password_hash is not None and not await passwords.matches(
        user.password_hash, farewell.password or ""
    ):
        raise WrongPassword
    await session.exec(
        update(UserRow)
        .where(col(UserRow.id) == user.id, col(UserRow.erased_at).is_(None))
        .values(erased_at=now())
    )
    await auth.end_logins(session, user.id)
    await session.exec(update(ApiKeyRow).where(col(ApiKeyRow.owner_id) == user.id).values(is_active=False))
    await session.exec(delete(EndUserTokenRow).where(col(EndUserTokenRow.owner_id) == user.id))
    after_commit(session, partial(erasure.start, user.id))
