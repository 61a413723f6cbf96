"""What phone numbers look like on the wire."""

from datetime import datetime
from math import ceil
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field

from api import telephone
from api.agents.schemas import AgentSettings
from api.db.columns import now
from api.http.wire import Wire
from api.phone_numbers.answering import Answering
from api.phone_numbers.table import (
    ACTIVE,
    DemoReservationRow,
    NumberOrderRow,
    PhoneNumberRow,
)
from api.wallet.money import dollars

DEMO = "telnyx-demo"
"""The contract's word for the provider of a number that is only lent."""
BOUGHT = "telnyx"
"""Of a number that was bought here."""
Named = Annotated[str, Field(max_length=255)]
Id = Annotated[str, Field(max_length=50)]
Country = Annotated[str, Field(max_length=50)]
Kind = Literal[
    "local", "mobile", "national", "toll_free", "toll-free", "tollfree", "shared_cost", "shared-cost"
]
Digits = Annotated[str, Field(max_length=10, pattern=r"^\d*$")]


class PhoneNumberCreate(Wire):
    """A number of your own; or, with a `country` instead of a number, one that is to be bought."""

    number: Annotated[str, Field(min_length=1, max_length=50)] | None = Field(
        default=None, validation_alias=AliasChoices("number", "phone_number")
    )
    """E.164, or a local Turkish one. The SDKs call it `phone_number`."""
    display_name: Named | None = None
    trunk_id: Id | None = None
    agent_id: Id | None = None
    country: Country | None = None
    type: Kind | None = None
    """Of one that is to be bought; so is the area code."""
    area_code: Digits | None = None


class PhoneNumberUpdate(Wire):
    """What to change; what is not sent stays. An empty trunk, agent or name takes it away."""

    display_name: Named | None = None
    trunk_id: Id | None = None
    agent_id: Id | None = None
    active: bool | None = None
    answering: Answering | None = None
    """Replaced as a whole; an empty object lets its agent answer, as without."""


class Binding(Wire):
    """Who is to answer."""

    agent_id: Annotated[str, Field(min_length=1, max_length=50)]


class PhoneNumber(Wire):
    """A number, who answers it, and where its calls come from."""

    number: str
    phone_number: str
    """The same, as the SDKs call it."""
    user_id: str | None
    agent_id: str | None
    agent_name: str | None = None
    trunk_id: str | None
    trunk_name: str | None = None
    display_name: str | None
    provider: str
    active: bool
    is_demo: bool = False
    monthly_price_usd: float | None = None
    next_billing_at: datetime | None = None
    status: Literal["active", "pending", "suspended", "inactive"]
    answering: Answering | None = None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(
        cls,
        row: PhoneNumberRow,
        agent_name: str | None = None,
        trunk_name: str | None = None,
        order: NumberOrderRow | None = None,
    ) -> "PhoneNumber":
        """A row, what its agent and its trunk are called, and the order it came by."""
        is_at_rest = row.standing == ACTIVE and not row.active
        return cls(
            number=row.number,
            phone_number=row.number,
            user_id=row.owner_id,
            agent_id=row.agent_id,
            agent_name=agent_name,
            trunk_id=row.trunk_id,
            trunk_name=trunk_name,
            display_name=row.display_name,
            provider=row.provider,
            is_demo=row.provider == DEMO,
            active=row.active,
            answering=None if row.answering is None else Answering.model_validate(row.answering),
            monthly_price_usd=dollars(order.monthly_micros) if order else None,
            next_billing_at=order.paid_until if order else None,
            status="inactive" if is_at_rest else row.standing,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


class DemoEligibility(Wire):
    """Whether a demo number would be lent to this account, and why not."""

    eligible: bool
    reason: str | None = None
    has_paid_topup: bool
    has_used_demo: bool
    active_reservation_id: str | None = None


class DemoPool(Wire):
    """The numbers that are lent to be tried."""

    total: int
    available: int
    reserved: int
    countries: list[str]


class DemoReserve(Wire):
    """Who is to answer the demo number; it can be bound to another agent later."""

    agent_id: Id | None = None


class DemoReservation(Wire):
    """A number that is lent for a while."""

    reservation_id: str
    phone_number: str
    country_code: str
    display_name: str
    agent_id: str | None
    reserved_at: datetime
    expires_at: datetime
    minutes_remaining: int

    @classmethod
    def of(cls, reservation: DemoReservationRow, number: PhoneNumberRow) -> "DemoReservation":
        """A reservation that is in force, and the number as it is bound now."""
        left = (reservation.expires_at - now()).total_seconds()
        return cls(
            reservation_id=reservation.id,
            phone_number=number.number,
            country_code=telephone.country(number.number),
            display_name=number.display_name or "",
            agent_id=number.agent_id,
            reserved_at=reservation.reserved_at,
            expires_at=reservation.expires_at,
            minutes_remaining=max(0, ceil(left / 60)),
        )


class DemoReleased(Wire):
    """`released` is false where there was nothing to give back."""

    success: Literal[True] = True
    released: bool


class AgentOfNumber(Wire):
    """Who answers a number, in short."""

    agent_id: str
    system_prompt: str
    model: str
    temperature: float
    language: str
    voice_id: str
    user_id: str | None
    engine: str = "cascade"

    @classmethod
    def of(cls, agent_id: str, owner_id: str, settings: AgentSettings) -> "AgentOfNumber":
        """What an agent's owner decided, as far as it is asked for here."""
        engine: Any = settings.response_engine
        return cls(
            agent_id=agent_id,
            user_id=owner_id,
            system_prompt=getattr(engine, "system_prompt", ""),
            model=getattr(engine, "llm_model", engine.type),
            temperature=getattr(engine, "temperature", 0.0),
            engine=getattr(engine, "engine", "cascade"),
            language=settings.language,
            voice_id=settings.voice_id,
        )


class Countries(Wire):
    """Where numbers can be bought, as two letters each."""

    countries: list[str] = Field(default_factory=list)


class Released(Wire):
    """A number is given back."""

    success: bool = True
    phone_number: str
    message: str = "The number is yours no more."
