"""What numbers that are bought look like on the wire. Prices are a JSON number of US dollars."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field

from api.http.wire import Wire
from api.phone_numbers.schemas import Country, Digits, Id, Kind
from api.phone_numbers.table import FAILED, ORDERING, OURS, NumberOrderRow
from api.wallet.money import dollars

Provider = Literal["telnyx"]


class NumberSearch(Wire):
    """Which numbers to look for."""

    country: Country = "US"
    locality: Annotated[str, Field(max_length=100)] | None = None
    area_code: Digits | None = None
    phone_number_type: Kind = Field(
        default="local", validation_alias=AliasChoices("phone_number_type", "type")
    )
    features: Annotated[str, Field(max_length=100, pattern=r"^[a-z_, ]*$")] | None = None
    """Separated by commas: `sms,voice`."""
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    provider: Provider | None = None


class NumberOnSale(Wire):
    """A number that can be bought. `telnyx_cost_usd` is what the carrier takes a month, the rest ours."""

    phone_number: str
    country_code: str
    phone_number_type: str
    telnyx_cost_usd: float
    monthly_price_usd: float
    upfront_price_usd: float
    features: list[str]
    locality: str | None = None
    provider: Provider = "telnyx"


class NumbersFound(Wire):
    """Numbers that can be bought."""

    numbers: list[NumberOnSale]
    total: int
    requires_payment: bool = False
    """True for who never paid money in: a number is not bought with welcome credit."""
    upfront_price_usd: float = 0.0
    """The dearest of them to begin with: set-up and first month."""


class Purchase(Wire):
    """A number to be bought; or a `country`, and the first number there is taken."""

    phone_number: Annotated[str, Field(min_length=8, max_length=50)] | None = Field(
        default=None, validation_alias=AliasChoices("phone_number", "number")
    )
    country: Country | None = None
    type: Kind | None = None
    area_code: Digits | None = None
    agent_id: Id | None = None
    provider: Provider | None = None


class Purchased(Wire):
    """A number is ordered. It is `pending` until the carrier has delivered it, mostly some seconds."""

    success: Literal[True] = True
    phone_number: str
    order_id: str
    monthly_price_usd: float
    upfront_price_usd: float
    balance_after_usd: float
    """What is left to be spent, what is held for the order not counted."""
    status: str = "pending"
    message: str = "The number is ordered; you are charged when it is there."


class NumberCheckout(Wire):
    """Where to pay for a number. It is kept until `expires_at`, and ordered once it is paid."""

    pending_id: str
    payment_id: str
    paddle_transaction_id: str
    """The payment provider's checkout, whichever provider it is."""
    checkout_url: str | None
    order_id: str
    """Of the order, once it is paid: `GET /v1/numbers/orders/{order_id}`."""
    phone_number: str
    upfront_usd: float
    """What is paid now: the set-up and the first month, half a dollar at least."""
    monthly_usd: float
    expires_at: datetime


class NumberOrder(Wire):
    """What became of an order."""

    order_id: str
    phone_number: str
    status: Literal["pending", "active", "failed", "released"]
    reason: str | None
    """Why it failed, or what the carrier waits for."""
    monthly_price_usd: float
    upfront_price_usd: float
    months_paid: int
    paid_until: datetime | None
    created_at: datetime

    @classmethod
    def of(cls, row: NumberOrderRow) -> "NumberOrder":
        """A row as its owner sees it."""
        told: dict[str, Any] = {ORDERING: "pending", OURS: "active", FAILED: "failed"}
        return cls(
            order_id=row.id,
            phone_number=row.number,
            status=told.get(row.status, "released"),
            reason=row.why,
            monthly_price_usd=dollars(row.monthly_micros),
            upfront_price_usd=dollars(row.upfront_micros),
            months_paid=row.months_paid,
            paid_until=row.paid_until,
            created_at=row.created_at,
        )


class Checked(Wire):
    """One thing that a call over a number needs."""

    name: str
    ok: bool
    message: str


class NumberHealth(Wire):
    """Whether a number works, and if not, why."""

    phone_number: str
    healthy: bool
    checks: list[Checked]


class Received(Wire):
    """An event was taken."""

    received: Literal[True] = True
