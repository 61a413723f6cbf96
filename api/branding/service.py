"""Brands: an owner writes theirs, members see it, and anybody asks for the one of a domain."""

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
    user = await users.get(session, caller)
    return await of_owner(session, user.tenant_owner_id or user.id)


async def of_owner(session: AsyncSession, owner_id: str) -> BrandingConfig:
    """An owner's brand; empty where they have none."""
    row = await session.get(BrandingRow, owner_id)
    return BrandingConfig.model_validate(row) if row is not None else BrandingConfig()


async def of_domain(session: AsyncSession, domain: str) -> BrandingConfig:
    """The brand of a domain."""
    found = await session.exec(select(BrandingRow).where(BrandingRow.custom_domain == domain))
    if (row := found.one_or_none()) is None:
        raise NoBrand
    return BrandingConfig.model_validate(row)


async def replace(session: AsyncSession, caller: Caller, wanted: BrandingConfig) -> BrandingConfig:
    """A new brand in place of the caller's; members have none of their own."""
    await users.require_owner(session, caller)
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
