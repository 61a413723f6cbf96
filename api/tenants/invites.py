"""Invites: a letter with a token, good once, for a week; and links that sign a member in."""

import logging
from datetime import datetime, timedelta

from sqlalchemy import update
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.auth import links
from api.auth.tokens import hashed, new_opaque
from api.branding import service as branding
from api.db.columns import now
from api.durable import letters
from api.http.callers import Caller
from api.http.errors import BadRequest, Conflict, NotFound
from api.outside.mail import Letter
from api.tenants.schemas import InviteCreate, InviteTold, QuickLogin
from api.tenants.table import TenantInviteRow
from api.users import service as users
from api.users.table import UserRow
from api.wallet import transfers
from api.wallet.charges import InsufficientBalance
from api.wallet.money import dollars, micros, text

_LOG = logging.getLogger(__name__)

LIFETIME = timedelta(days=7)
MAX_PENDING = 200


class InviteNotFound(NotFound):
    """Invite not found"""


class InviteAccepted(Conflict):
    """This invite was accepted already"""


class InviteInvalid(BadRequest):
    """This invite was used or revoked, or is too old; ask for a new one"""


class TooManyInvites(Conflict):
    """There are 200 open invites already; revoke some first"""


class NotYourMember(Conflict):
    """This email is registered here, and is not one of your members"""


async def create(
    session: AsyncSession, caller: Caller, wanted: InviteCreate, base: str
) -> tuple[TenantInviteRow, str]:
    """A new invite and its link, which is sent to them; it does not say whether they are known here."""
    owner = await users.require_owner(session, caller)
    open_ones = await session.exec(
        select(func.count())
        .select_from(TenantInviteRow)
        .where(
            TenantInviteRow.owner_id == owner.id,
            TenantInviteRow.status == "pending",
            col(TenantInviteRow.expires_at) > now(),
        )
    )
    if open_ones.one() >= MAX_PENDING:
        raise TooManyInvites
    token = new_opaque("invite")
    row = TenantInviteRow(
        owner_id=owner.id,
        hash=hashed(token),
        email=wanted.email.lower(),
        initial_credit_micros=micros(wanted.initial_credit_usd),
        note=wanted.note,
        expires_at=now() + LIFETIME,
    )
    session.add(row)
    await session.flush()
    url = f"{base}/#invite={token}"
    brand = (await branding.of_owner(session, owner.id)).app_name or "Call2Me"
    credit = (
        f"${text(row.initial_credit_micros).rstrip('0').rstrip('.')} of credit waits for you.\n\n"
        if row.initial_credit_micros
        else ""
    )
    await letters.write(
        session,
        Letter(
            to=row.email,
            subject=f"You are invited to {brand}",
            text=f"{owner.full_name or owner.email} invites you to {brand}.\n\n{credit}"
            f"Choose a password here, within a week: {url}\n\n"
            f"Token for the API (POST /v1/auth/invite/accept): {token}\n\n"
            "If you expect no invite, do nothing.",
            letter_id=f"letter_{row.id}",
        ),
    )
    return row, url


async def every(session: AsyncSession, caller: Caller) -> list[TenantInviteRow]:
    """An owner's newest 500 invites, newest first."""
    await users.require_owner(session, caller)
    found = await session.exec(
        select(TenantInviteRow)
        .where(TenantInviteRow.owner_id == caller.owner_id)
        .order_by(col(TenantInviteRow.created_at).desc(), col(TenantInviteRow.id))
        .limit(500)
    )
    return list(found.all())


async def revoke(session: AsyncSession, caller: Caller, invite_id: str) -> None:
    """Let an invite be good no more. Safe to repeat; not one that was accepted."""
    revoked = await session.exec(
        update(TenantInviteRow)
        .where(
            col(TenantInviteRow.id) == invite_id,
            col(TenantInviteRow.owner_id) == caller.owner_id,
            col(TenantInviteRow.status) != "accepted",
        )
        .values(status="revoked")
        .returning(col(TenantInviteRow.id))
    )
    if revoked.scalar_one_or_none() is not None:
        return
    row = await session.get(TenantInviteRow, invite_id)
    raise InviteAccepted if row is not None and row.owner_id == caller.owner_id else InviteNotFound


async def tell(session: AsyncSession, token: str) -> InviteTold:
    """What an invite says to whoever holds its token; a token that is none says no more than that."""
    found = await session.exec(select(TenantInviteRow).where(TenantInviteRow.hash == hashed(token)))
    if (row := found.one_or_none()) is None:
        return InviteTold(valid=False)
    if row.told_status != "pending":
        return InviteTold(valid=False, status=row.told_status)
    brand = (await branding.of_owner(session, row.owner_id)).app_name
    return InviteTold(
        valid=True,
        email=row.email,
        brand=brand,
        initial_credit_usd=dollars(row.initial_credit_micros),
        status="pending",
    )


async def is_open(session: AsyncSession, token: str) -> bool:
    """Whether an invite could be accepted; nothing slow is done for one that could not."""
    return (await tell(session, token)).valid


async def accept(
    session: AsyncSession, token: str, password_hash: str, full_name: str | None
) -> tuple[UserRow, TenantInviteRow]:
    """A new user who is the member of whoever invited them, with the credit that was promised.

    Raises `InviteInvalid`, and `EmailTaken` where the invited is known here: nobody becomes a member
    of somebody with an account that was theirs alone.
    """
    used = await session.exec(
        update(TenantInviteRow)
        .where(
            col(TenantInviteRow.hash) == hashed(token),
            col(TenantInviteRow.status) == "pending",
            col(TenantInviteRow.expires_at) > now(),
        )
        .values(status="accepted", accepted_at=now())
        .returning(col(TenantInviteRow.id))
    )
    invite = await session.get(TenantInviteRow, used.scalar_one_or_none() or "", populate_existing=True)
    owner = await session.get(UserRow, invite.owner_id) if invite is not None else None
    if invite is None or owner is None or owner.erased_at is not None or owner.tenant_owner_id is not None:
        raise InviteInvalid
    user = await users.create(session, email=invite.email, password_hash=password_hash, full_name=full_name)
    user.email_verified_at, user.tenant_owner_id = now(), owner.id
    session.add(user)
    await session.flush()
    if invite.initial_credit_micros:
        await _give(session, invite, owner, user)
    return user, invite


async def _give(session: AsyncSession, invite: TenantInviteRow, owner: UserRow, user: UserRow) -> None:
    amount = invite.initial_credit_micros
    try:
        await transfers.transfer(
            session, from_owner=owner.id, to_owner=user.id, amount=amount, note="Starting credit"
        )
    except InsufficientBalance:
        # Who was invited is not to blame: they come in, and the owner hears of it.
        _LOG.warning("starting credit not given", extra={"owner_id": owner.id, "invite_id": invite.id})
        await letters.write(
            session,
            Letter(
                to=owner.email,
                subject="A member came without their starting credit",
                text=f"{user.email} accepted your invite. Your balance did not suffice for the "
                f"${text(amount)} that you promised; nothing was moved.",
                letter_id=f"letter_{invite.id}_credit",
            ),
        )


async def quick_login(
    session: AsyncSession, caller: Caller, wanted: QuickLogin
) -> tuple[UserRow, str, datetime, bool]:
    """The token of a link that signs a member in once; the member is made where nobody has the address.

    Raises `NotYourMember` for everybody else's address: such a link would be a way into their account.
    """
    owner = await users.require_owner(session, caller)
    lifetime = timedelta(hours=wanted.expires_hours)
    user = await users.find(session, wanted.email)
    is_new = user is None
    if user is None:
        user = await users.create(session, email=wanted.email, password_hash=None, full_name=wanted.full_name)
        user.tenant_owner_id = owner.id
        session.add(user)
        await session.flush()
    elif user.tenant_owner_id != owner.id or user.erased_at is not None:
        raise NotYourMember
    return user, await links.mint(session, user, lifetime), now() + lifetime, is_new
