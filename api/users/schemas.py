"""Wire models of users."""

from datetime import datetime
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field

from api.http.wire import Wire
from api.users.table import UserRow
from api.wallet.money import text


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("is not the name of a time zone, like Europe/Istanbul")
    return name


Text100 = Annotated[str, Field(max_length=100)]
Text255 = Annotated[str, Field(max_length=255)]


class UserProfile(Wire):
    """One user, as they see themselves."""

    user_id: str
    email: str
    full_name: str | None
    avatar_url: str | None = None
    balance_usd: str
    """A decimal string, as clients of the contract expect."""
    default_language: str
    timezone: str
    company_name: str | None
    billing_email: str | None
    billing_address: str | None
    billing_city: str | None
    billing_country: str | None
    billing_postal_code: str | None
    tax_id: str | None
    tax_office: str | None
    is_tenant_member: bool = False
    email_verified: bool = False
    created_at: datetime
    last_login_at: datetime | None

    @classmethod
    def of(cls, row: UserRow, balance_micros: int) -> "UserProfile":
        """The profile of a row; its password's hash stays where it is."""
        known = row.model_dump(include=set(cls.model_fields))
        return cls(
            user_id=row.id,
            balance_usd=text(balance_micros),
            is_tenant_member=row.tenant_owner_id is not None,
            email_verified=row.email_verified_at is not None,
            **known,
        )


class UserUpdate(Wire):
    """What a user may change about themselves; what is not sent stays."""

    full_name: Text255 | None = None
    default_language: Annotated[str, Field(min_length=2, max_length=10)] | None = None
    timezone: Annotated[str, Field(max_length=50), AfterValidator(_known_zone)] | None = None
    company_name: Text255 | None = None
    billing_email: Text255 | None = None
    billing_address: Annotated[str, Field(max_length=1000)] | None = None
    billing_city: Text100 | None = None
    billing_country: Text100 | None = None
    billing_postal_code: Annotated[str, Field(max_length=20)] | None = None
    tax_id: Annotated[str, Field(max_length=50)] | None = None
    tax_office: Text100 | None = None


Steps = Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(max_length=50)]


class OnboardingUpdate(Wire):
    """What became of the checklist of one's first days; what is not sent stays."""

    dismissed: Steps | None = None
    completed: Steps | None = None
    hidden: bool | None = None
