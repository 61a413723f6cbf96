"""Wire models of tenants. Money is a decimal string; inputs are numbers or decimal strings."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from api.auth.passwords import MAX_BYTES
from api.auth.schemas import Email, Token
from api.http.wire import Wire
from api.tenants.table import TenantInviteRow
from api.wallet.money import text

MAX_CREDIT_USD = 1000


def _short_enough(password: str) -> str:
    if len(password.encode()) > MAX_BYTES:
        raise ValueError(f"must have at most {MAX_BYTES} bytes")
    return password


Amount = Annotated[Decimal, Field(gt=0, le=MAX_CREDIT_USD, decimal_places=6)]
Note = Annotated[str, Field(max_length=200)]
MemberId = Annotated[str, Field(min_length=1, max_length=50)]
Sort = Literal["joined", "calls", "spend", "earnings", "balance", "email"]


class MembersQuery(Wire):
    """Which members, in which order."""

    page: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    per_page: Annotated[int, Field(ge=1, le=100)] = 20
    search: Annotated[str, Field(max_length=100)] | None = None
    """Part of an email or a name."""
    sort: Sort = "joined"
    order: Literal["asc", "desc"] = "desc"


class TenantMember(Wire):
    """One member, as the owner sees them: what they use, never what they say."""

    user_id: str
    email: str
    full_name: str | None
    balance_usd: str
    total_agents: int
    total_calls: int
    total_cost_usd: str
    earnings_usd: str
    created_at: datetime
    last_login_at: datetime | None


class TenantStats(Wire):
    """All members together, and a page of them. The sums are over all members, whatever is searched for."""

    total_members: int
    total_agents: int
    total_calls: int
    total_cost_usd: str
    total_balance_usd: str
    total_earnings_usd: str
    members: list[TenantMember]
    page: int
    per_page: int
    total: int
    """Of those that are searched for."""


class MemberCall(Wire):
    """That a member's call was, and what it cost; not what was said in it."""

    call_id: str
    created_at: datetime
    duration_seconds: float
    direction: str | None
    status: str | None
    cost_usd: str


class MemberEntry(Wire):
    """A line of a member's ledger."""

    created_at: datetime
    type: str
    amount_usd: str
    description: str | None


class MemberDetail(Wire):
    """One member, and what they did lately."""

    member: TenantMember
    recent_calls: list[MemberCall]
    recent_ledger: list[MemberEntry]
    calls_this_month: int
    spend_this_month: str


class InviteCreate(Wire):
    """Whom to invite."""

    email: Annotated[Email, Field(min_length=5, max_length=255)]
    initial_credit_usd: Annotated[Decimal, Field(ge=0, le=MAX_CREDIT_USD, decimal_places=6)] = Decimal(0)
    """Moved from your wallet to theirs when they accept."""
    note: Note | None = None


class TenantInvite(Wire):
    """An invite, without its token."""

    invite_id: str
    email: str
    initial_credit_usd: str
    note: str | None
    status: Literal["pending", "accepted", "revoked", "expired"]
    expires_at: datetime
    created_at: datetime
    accepted_at: datetime | None

    @classmethod
    def of(cls, row: TenantInviteRow) -> "TenantInvite":
        """A row as its owner sees it."""
        return cls.model_validate(_shown(row))


class NewTenantInvite(TenantInvite):
    """One that was just made, with its link: it is shown this once."""

    invite_url: str

    @classmethod
    def made(cls, row: TenantInviteRow, url: str) -> "NewTenantInvite":
        """The row and what only its maker and the invited ever see."""
        return cls.model_validate({**_shown(row), "invite_url": url})


def _shown(row: TenantInviteRow) -> dict[str, object]:
    return {
        "invite_id": row.id,
        "email": row.email,
        "initial_credit_usd": text(row.initial_credit_micros),
        "note": row.note,
        "status": row.told_status,
        "expires_at": row.expires_at,
        "created_at": row.created_at,
        "accepted_at": row.accepted_at,
    }


class InviteRevoked(Wire):
    """What revoking answers."""

    invite_id: str
    status: Literal["revoked"] = "revoked"
    message: str = "The invite is revoked"


class CreditGrant(Wire):
    """How much to give to whom."""

    member_id: MemberId
    amount_usd: Amount
    note: Note | None = None


class CreditGranted(Wire):
    """What was given."""

    success: bool = True
    member_id: str
    amount_usd: str
    balance_usd: str
    """Of the owner, afterwards."""
    member_balance_usd: str
    transaction_id: int


class BulkCredit(Wire):
    """How much to give to each."""

    member_ids: Annotated[list[MemberId], Field(min_length=1, max_length=50)]
    amount_usd: Amount
    note: Note | None = None


class CreditError(Wire):
    """Who was given nothing, and why."""

    member_id: str
    error: str


class BulkGranted(Wire):
    """How many were given it."""

    granted: int
    failed: int
    total_usd: str
    errors: list[CreditError]


class TrendQuery(Wire):
    """How many days back, today included."""

    days: Annotated[int, Field(ge=7, le=90)] = 30


class TrendDay(Wire):
    """One day (UTC) of all members together."""

    date: str
    calls: int
    spend_usd: str
    earnings_usd: str


class TenantPricing(Wire):
    """What the owner adds to what members' calls cost."""

    margin_percent: float
    list_rate_per_min: float
    """What a minute costs before that."""


class PricingUpdate(Wire):
    """What to add."""

    margin_percent: Annotated[Decimal, Field(ge=0, le=1000, decimal_places=2)]


class QuickLogin(Wire):
    """For whom the link is."""

    email: Email
    full_name: Annotated[str, Field(max_length=255)] | None = None
    expires_hours: Annotated[int, Field(ge=1, le=168)] = 24


class QuickLoginLink(Wire):
    """A link that signs a member in, once."""

    url: str
    expires_at: datetime
    user_id: str
    is_new_user: bool


class InviteTold(Wire):
    """What an invite says to whoever holds its token."""

    valid: bool
    email: str | None = None
    brand: str | None = None
    initial_credit_usd: float = 0
    status: str | None = None


class InviteAccept(Wire):
    """The token of an invite, and the password that one will sign in with."""

    token: Annotated[Token, Field(min_length=20, max_length=128)]
    password: Annotated[str, Field(min_length=8, max_length=200), AfterValidator(_short_enough)]
    full_name: Annotated[str, Field(max_length=255)] | None = None
