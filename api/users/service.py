"""Users: who they are, how they come to be."""

from decimal import Decimal
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.http.callers import Caller
from api.http.errors import Conflict, Forbidden, NotFound
from api.users.schemas import OnboardingUpdate, UserProfile, UserUpdate
from api.users.table import UserRow
from api.wallet import ledger


class EmailTaken(Conflict):
    """This email is already registered"""


class UserNotFound(NotFound):
    """User not found"""


class OwnersOnly(Forbidden):
    """Members of a tenant do not do this; its owner does"""


async def create(
    session: AsyncSession, *, email: str, password_hash: str | None, full_name: str | None = None
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
    return await of(session, caller.user_id)


async def of(session: AsyncSession, user_id: str) -> UserRow:
    """A user by their id."""
    if (row := await session.get(UserRow, user_id)) is None:
        raise UserNotFound
    return row


async def require_owner(session: AsyncSession, caller: Caller) -> UserRow:
    """The caller's user, who is nobody's member."""
    user = await get(session, caller)
    if user.tenant_owner_id is not None:
        raise OwnersOnly
    return user


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


async def tenant_of(session: AsyncSession, user_id: str) -> tuple[str, Decimal] | None:
    """Whose member a user is, and what that owner adds to what they use; None for who stands alone."""
    owner = aliased(UserRow)
    found = await session.exec(
        select(owner.id, owner.member_margin_percent)
        .join(UserRow, col(UserRow.tenant_owner_id) == owner.id)
        .where(UserRow.id == user_id)
    )
    if (tenant := found.one_or_none()) is None:
        return None
    return tenant[0], Decimal(str(tenant[1]))


async def note_onboarding(session: AsyncSession, caller: Caller, changes: OnboardingUpdate) -> dict[str, Any]:
    """Remember which steps of the checklist are done, or are not to be shown."""
    row = await get(session, caller)
    row.onboarding = {**row.onboarding, **changes.sent()}
    session.add(row)
    await session.flush()
    return row.onboarding
