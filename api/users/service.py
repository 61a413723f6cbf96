"""Users: who they are, how they come to be."""

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.http.callers import Caller
from api.http.errors import Conflict, NotFound
from api.users.schemas import UserProfile, UserUpdate
from api.users.table import UserRow
from api.wallet import ledger


class EmailTaken(Conflict):
    """This email is already registered"""


class UserNotFound(NotFound):
    """User not found"""


async def create(
    session: AsyncSession, *, email: str, password_hash: str, full_name: str | None = None
) -> UserRow:
    """A new user; raises `EmailTaken` where the address already is somebody's."""
    row = UserRow(email=email.lower(), password_hash=password_hash, full_name=full_name)
    try:
        async with session.begin_nested():
            session.add(row)
    except IntegrityError:
        raise EmailTaken from None
    return row


async def get(session: AsyncSession, caller: Caller) -> UserRow:
    """The user whose credentials these are."""
    row = await session.get(UserRow, caller.user_id)
    if row is None:
        raise UserNotFound
    return row


async def profile(session: AsyncSession, row: UserRow) -> UserProfile:
    """A user as they see themselves."""
    return UserProfile.of(row, await ledger.balance(session, row.id))


async def find(session: AsyncSession, email: str) -> UserRow | None:
    """The user with this address, however it is written."""
    found = await session.exec(select(UserRow).where(UserRow.email == email.lower()))
    return found.one_or_none()


async def first(session: AsyncSession) -> UserRow | None:
    """Who was here first: the owner of this installation."""
    found = await session.exec(select(UserRow).order_by(col(UserRow.created_at), col(UserRow.id)).limit(1))
    return found.one_or_none()


async def update(session: AsyncSession, caller: Caller, changes: UserUpdate) -> UserRow:
    """Change what was sent."""
    row = await get(session, caller)
    for name, value in changes.sent().items():
        setattr(row, name, value)
    session.add(row)
    await session.flush()
    return row
