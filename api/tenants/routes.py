"""/v1/users/me/tenant: an owner's members; /v1/auth/invite and quick-login: how they come in."""

from typing import Annotated

from aiohttp import web
from pydantic import Field

from api.audit import service as audit
from api.auth import service as auth
from api.auth.passwords import TooManyLogins
from api.auth.schemas import Credentials
from api.http.errors import NotFound
from api.http.rate_limits import LETTER_LIMIT
from api.http.routes import Routes
from api.keys import CALLER, DATABASE, PASSWORDS, RATE_LIMITS, SESSION, SETTINGS
from api.tenants import invites, members
from api.tenants.invites import (
    InviteAccepted,
    InviteInvalid,
    InviteNotFound,
    NotYourMember,
    TooManyInvites,
)
from api.tenants.members import MemberNotFound
from api.tenants.schemas import (
    BulkCredit,
    BulkGranted,
    CreditError,
    CreditGrant,
    CreditGranted,
    InviteAccept,
    InviteCreate,
    InviteRevoked,
    InviteTold,
    MemberDetail,
    MembersQuery,
    NewTenantInvite,
    PricingUpdate,
    QuickLogin,
    QuickLoginLink,
    TenantInvite,
    TenantPricing,
    TenantStats,
    TrendDay,
    TrendQuery,
)
from api.users import service as users
from api.users.service import EmailTaken, OwnersOnly
from api.wallet import ledger, transfers
from api.wallet import rates as price_list
from api.wallet.charges import InsufficientBalance
from api.wallet.money import micros, text

routes = Routes("/v1/users/me/tenant", tag="Tenant")
entries = Routes("/v1/auth", tag="Tenant")


@routes.get("/members", errors=[OwnersOnly])
async def list_tenant_members(request: web.Request, query: MembersQuery) -> TenantStats:
    """List your members with what they use and have, and all of them together."""
    await users.require_owner(request[SESSION], request[CALLER])
    return await members.stats(request[SESSION], request[CALLER].owner_id, query)


@routes.get("/members/{member_id}", errors=[MemberNotFound])
async def get_tenant_member(request: web.Request, member_id: str) -> MemberDetail:
    """Get one of your members: calls and money, never what was said."""
    return await members.detail(request[SESSION], request[CALLER].owner_id, member_id)


@routes.get("/invites", errors=[OwnersOnly])
async def list_tenant_invites(request: web.Request) -> list[TenantInvite]:
    """List your invites, newest first."""
    return [TenantInvite.of(row) for row in await invites.every(request[SESSION], request[CALLER])]


@routes.post("/invites", status=201, errors=[OwnersOnly, TooManyInvites])
async def create_tenant_invite(request: web.Request, body: InviteCreate) -> NewTenantInvite:
    """Invite somebody by a letter. Its link is in this reply, too, and never again."""
    await request.app[RATE_LIMITS].take(LETTER_LIMIT, body.email.lower())
    base = request.app[SETTINGS].public_url
    return NewTenantInvite.made(*await invites.create(request[SESSION], request[CALLER], body, base))


@routes.delete("/invites/{invite_id}", status=200, errors=[InviteNotFound, InviteAccepted])
async def revoke_tenant_invite(request: web.Request, invite_id: str) -> InviteRevoked:
    """Revoke an invite that nobody accepted yet."""
    await invites.revoke(request[SESSION], request[CALLER], invite_id)
    return InviteRevoked(invite_id=invite_id)


@routes.post("/members/credit", errors=[OwnersOnly, MemberNotFound, InsufficientBalance])
async def credit_tenant_member(request: web.Request, body: CreditGrant) -> CreditGranted:
    """Move credit from your wallet to a member's, both in one transaction, never below nothing."""
    session, owner_id = request[SESSION], request[CALLER].owner_id
    request.app[DATABASE].make_durable(session)
    await users.require_owner(session, request[CALLER])
    member = await members.get(session, owner_id, body.member_id)
    given = await transfers.transfer(
        session,
        from_owner=owner_id,
        to_owner=member.id,
        amount=micros(body.amount_usd),
        note=body.note or "",
    )
    told = {"member_id": member.id, "amount_usd": text(-given.amount_micros)}
    audit.note_in(session, request, "credit_tenant_member", told)
    return CreditGranted(
        member_id=member.id,
        amount_usd=text(-given.amount_micros),
        balance_usd=text(given.balance_after_micros),
        member_balance_usd=text(await ledger.balance(session, member.id)),
        transaction_id=given.id or 0,
    )


@routes.post("/members/bulk-credit", errors=[OwnersOnly, InsufficientBalance])
async def credit_tenant_members(request: web.Request, body: BulkCredit) -> BulkGranted:
    """Move the same credit to several members. The sum is checked first; each is a transaction."""
    database, owner_id = request.app[DATABASE], request[CALLER].owner_id
    amount, wanted = micros(body.amount_usd), list(dict.fromkeys(body.member_ids))
    async with database.transaction(writes=False) as session:
        await users.require_owner(session, request[CALLER])
        if await transfers.available(session, owner_id) < amount * len(wanted):
            raise InsufficientBalance
    errors: list[CreditError] = []
    for member_id in wanted:
        try:
            async with database.transaction(is_durable=True) as session:
                member = await members.get(session, owner_id, member_id)
                await transfers.transfer(
                    session,
                    from_owner=owner_id,
                    to_owner=member.id,
                    amount=amount,
                    note=body.note or "",
                )
                told = {"member_id": member.id, "amount_usd": text(amount)}
                audit.note_in(session, request, "credit_tenant_members", told)
        except (MemberNotFound, InsufficientBalance) as error:
            errors.append(CreditError(member_id=member_id, error=str(error)))
    granted = len(wanted) - len(errors)
    return BulkGranted(granted=granted, failed=len(errors), total_usd=text(amount * granted), errors=errors)


@routes.get("/trend", errors=[OwnersOnly])
async def get_tenant_trend(request: web.Request, query: TrendQuery) -> list[TrendDay]:
    """Get what all your members used, day by day, oldest first."""
    await users.require_owner(request[SESSION], request[CALLER])
    return await members.trend(request[SESSION], request[CALLER].owner_id, query.days)


@routes.get("/pricing", errors=[OwnersOnly])
async def get_tenant_pricing(request: web.Request) -> TenantPricing:
    """Get what you add to what members' calls cost."""
    owner = await users.require_owner(request[SESSION], request[CALLER])
    return _pricing(request, owner.member_margin_percent)


@routes.put("/pricing", errors=[OwnersOnly])
async def set_tenant_pricing(request: web.Request, body: PricingUpdate) -> TenantPricing:
    """Set what you add to what members' calls cost, from their next call on. It is paid into your wallet."""
    owner = await users.require_owner(request[SESSION], request[CALLER])
    owner.member_margin_percent = float(body.margin_percent)
    request[SESSION].add(owner)
    return _pricing(request, owner.member_margin_percent)


def _pricing(request: web.Request, margin_percent: float) -> TenantPricing:
    rates = price_list.load(request.app[SETTINGS].rates)
    list_rate = rates.base_rate_per_min * (1 + rates.margin_percent / 100)
    return TenantPricing(margin_percent=margin_percent, list_rate_per_min=float(list_rate))


# ── how members come in ──────────────────────────────────────────────────────────────────────────
@entries.post("/quick-login", errors=[OwnersOnly, NotYourMember])
async def create_quick_login(request: web.Request, body: QuickLogin) -> QuickLoginLink:
    """Make a link that signs a member of yours in, once; the member is made where nobody has the address."""
    user, token, expires_at, is_new = await invites.quick_login(request[SESSION], request[CALLER], body)
    url = f"{request.app[SETTINGS].public_url}/#link={token}"
    return QuickLoginLink(url=url, expires_at=expires_at, user_id=user.id, is_new_user=is_new)


@entries.get("/invite/{token}", public=True, errors=[NotFound])
async def get_invite(request: web.Request, token: Annotated[str, Field(max_length=512)]) -> InviteTold:
    """Get what an invite says; a token that is none says `valid: false`."""
    return await invites.tell(request[SESSION], token)


@entries.post("/invite/accept", public=True, errors=[InviteInvalid, EmailTaken, TooManyLogins])
async def accept_invite(request: web.Request, body: InviteAccept) -> Credentials:
    """Accept an invite: a new user, who is the member of whoever invited them, signed in."""
    async with request.app[DATABASE].session(writes=False) as reading:
        if not await invites.is_open(reading, body.token):
            raise InviteInvalid
    password_hash = await request.app[PASSWORDS].hash(body.password)
    session = request[SESSION]
    request.app[DATABASE].make_durable(session)
    user, invite = await invites.accept(session, body.token, password_hash, body.full_name)
    audit.note(request, user.id, "accept_invite")
    told = {"invite_id": invite.id, "member_id": user.id}
    audit.note(request, user.id, "accept_invite", owner_id=invite.owner_id, target=told)
    return await auth.open_login(session, user, request.app[SETTINGS].secrets.jwt)
