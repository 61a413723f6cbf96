"""Brands: an owner writes theirs, members see it, and anybody asks for the one of a domain."""

from collections.abc import Collection

from sqlalchemy.exc import IntegrityError
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.branding.schemas import BrandingConfig
from api.branding.table import BrandingRow
from api.db.columns import now
from api.http.callers import Caller
from api.http.errors import Conflict, NotFound
from api.users import service as users


class DomainTaken(Conflict):
    """This domain is somebody else's here"""


class NoBrand(NotFound):
    """No brand has this domain"""


async def of_caller(session: AsyncSession, caller: Caller) -> BrandingConfig:
    """The brand that a caller sees: their own, or that of whose member they are."""
    return await of_account(session, caller.user_id)


async def of_owner(session: AsyncSession, owner_id: str) -> BrandingConfig:
    """An owner's brand; empty where they have none."""
    row = await session.get(BrandingRow, owner_id)
    return BrandingConfig.model_validate(row) if row is not None else BrandingConfig()


async def of_account(session: AsyncSession, user_id: str) -> BrandingConfig:
    """The brand that somebody's visitors see: their own, or that of whose member they are."""
    return await of_owner(session, await head_of(session, user_id))


async def head_of(session: AsyncSession, user_id: str) -> str:
    """Whose brand and domain are this user's: their owner's where they are a member."""
    user = await users.of(session, user_id)
    return user.tenant_owner_id or user.id


async def owner_of_domain(session: AsyncSession, domain: str) -> str | None:
    """Whose domain this is; None where it is nobody's here."""
    found = await session.exec(select(BrandingRow.owner_id).where(BrandingRow.custom_domain == domain))
    return found.one_or_none()


async def of_domain(session: AsyncSession, domain: str) -> BrandingConfig:
    """The brand of a domain."""
    found = await session.exec(select(BrandingRow).where(BrandingRow.custom_domain == domain))
    if (row := found.one_or_none()) is None:
        raise NoBrand
    return BrandingConfig.model_validate(row)


async def replace(
    session: AsyncSession, caller: Caller, wanted: BrandingConfig, *, ours: Collection[str]
) -> BrandingConfig:
    """A new brand in place of the caller's; members have none of their own. `ours` are nobody's domains."""
    await users.require_owner(session, caller)
    if wanted.custom_domain is not None and wanted.custom_domain in ours:
        raise DomainTaken
    row = await session.get(BrandingRow, caller.owner_id) or BrandingRow(owner_id=caller.owner_id)
    for name, value in wanted.model_dump().items():
        setattr(row, name, value)
    row.updated_at = now()
    try:
        async with session.begin_nested():
            session.add(row)
    except IntegrityError:
        raise DomainTaken from None
    return wanted
