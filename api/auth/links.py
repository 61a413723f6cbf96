"""One-time tokens: minted for one purpose, kept as a hash, good once and not for long."""

from datetime import timedelta
from typing import Literal

from sqlalchemy import delete, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.auth.table import OneTimeLinkRow
from api.auth.tokens import hashed, new_opaque
from api.db.columns import now
from api.users.table import UserRow

Purpose = Literal["sign_in", "reset", "verify"]


async def mint(
    session: AsyncSession,
    user: UserRow,
    lifetime: timedelta = timedelta(hours=1),
    purpose: Purpose = "sign_in",
) -> str:
    """A token for this user. Of resets and verifications the one before is void from now on."""
    token = new_opaque("once")
    if purpose != "sign_in":
        await void(session, user.id, purpose)
    session.add(
        OneTimeLinkRow(hash=hashed(token), user_id=user.id, purpose=purpose, expires_at=now() + lifetime)
    )
    await session.flush()
    return token


async def void(session: AsyncSession, user_id: str, purpose: Purpose) -> None:
    """No token that was minted for this purpose is good any more."""
    await session.exec(
        delete(OneTimeLinkRow).where(
            col(OneTimeLinkRow.user_id) == user_id, col(OneTimeLinkRow.purpose) == purpose
        )
    )


async def is_good(session: AsyncSession, token: str, purpose: Purpose) -> bool:
    """Whether `use` would find somebody; uses nothing up."""
    found = await session.exec(
        select(OneTimeLinkRow.hash)
        .join(UserRow, col(UserRow.id) == OneTimeLinkRow.user_id)
        .where(
            OneTimeLinkRow.hash == hashed(token),
            OneTimeLinkRow.purpose == purpose,
            col(OneTimeLinkRow.used_at).is_(None),
            col(OneTimeLinkRow.expires_at) > now(),
            col(UserRow.erased_at).is_(None),
        )
    )
    return found.one_or_none() is not None


async def use(session: AsyncSession, token: str, purpose: Purpose) -> UserRow | None:
    """Use a token up; whose it is, None where it was used, is too old, or is for something else."""
    moment = now()
    # One statement decides who uses it, however many ask at once.
    used = await session.exec(
        update(OneTimeLinkRow)
        .where(
            col(OneTimeLinkRow.hash) == hashed(token),
            col(OneTimeLinkRow.purpose) == purpose,
            col(OneTimeLinkRow.used_at).is_(None),
            col(OneTimeLinkRow.expires_at) > moment,
        )
        .values(used_at=moment)
        .returning(col(OneTimeLinkRow.user_id))
    )
    user_id = used.scalar_one_or_none()
    user = await session.get(UserRow, user_id) if user_id else None
    return user if user is not None and user.erased_at is None else None
