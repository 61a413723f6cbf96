"""Wire models of payments."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from api.http.pages import MAX_OFFSET
from api.http.wire import Wire
from api.payments.table import PaymentMethodRow, PaymentRow
from api.wallet.money import dollars
from api.wallet.table import AutoChargeRow, TransactionRow

Usd = Literal["USD"]
Link = Annotated[
    str,
    StringConstraints(
        max_length=2000, pattern=r"^(https://[^\s@\\]+|http://(localhost|127\.0\.0\.1)(:\d+)?(/[^\s@\\]*)?)$"
    ),
]
"""Where a payer's browser goes next: nothing but a page, and over TLS unless it is this machine's."""


class Checkout(Wire):
    """How much somebody wants to pay."""

    amount: Annotated[Decimal, Field(gt=0, le=1_000_000)]
    """In dollars, with whole cents: 0.50 to 10,000."""
    currency: Annotated[str, Field(pattern=r"^[Uu][Ss][Dd]$")] = "USD"
    success_url: Link | None = None
    cancel_url: Link | None = None
    save_card: bool = False
    """So that it can be charged when the balance runs low."""
    provider: Annotated[str, Field(max_length=50)] | None = None


class CheckoutSession(Wire):
    """Where to pay."""

    session_id: str
    payment_id: str
    checkout_url: str | None = None
    checkout_html: str | None = None
    provider: str


class PaymentMethod(Wire):
    """A saved card."""

    id: str
    provider: str
    card_last_four: str
    card_brand: str
    card_type: str | None = None
    is_default: bool
    created_at: datetime

    @classmethod
    def of(cls, row: PaymentMethodRow) -> "PaymentMethod":
        """A row as its owner sees it."""
        return cls.model_validate(row)


class PaymentMethods(Wire):
    """The saved cards, the default one first."""

    methods: list[PaymentMethod] = Field(default_factory=list)


class Done(Wire):
    """It was done."""

    success: Literal[True] = True


class AutoCharge(Wire):
    """Whether a card is charged when the balance runs low."""

    enabled: bool = False
    threshold_usd: float = 5.0
    charge_amount_usd: float = 25.0
    payment_method_id: str | None = None
    why_off: str | None = None
    """Where it was turned off for its owner: why."""

    @classmethod
    def of(cls, row: AutoChargeRow | None) -> "AutoCharge":
        """A row as its owner sees it."""
        if row is None:
            return cls()
        return cls(
            enabled=row.is_enabled,
            threshold_usd=dollars(row.threshold_micros),
            charge_amount_usd=dollars(row.amount_micros),
            payment_method_id=row.method_id,
            why_off=row.why_off,
        )


class AutoChargeUpdate(Wire):
    """What shall happen when the balance runs low."""

    enabled: bool
    threshold_usd: Annotated[Decimal, Field(ge=0, le=1_000_000)] = Decimal("5.00")
    charge_amount_usd: Annotated[Decimal, Field(gt=0, le=1_000_000)] = Decimal("25.00")
    payment_method_id: Annotated[str, Field(max_length=100)] | None = None


class HistoryQuery(Wire):
    """Which payments."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    offset: Annotated[int, Field(ge=0, le=MAX_OFFSET)] = 0


class Payment(Wire):
    """Money that came in, or should have.

    `provider` is `manual` for an administrator's grant, `bonus` for the welcome.
    """

    id: str
    provider: str
    amount_usd: float
    currency: Usd = "USD"
    status: Literal["pending", "completed", "failed", "cancelled", "refunded", "disputed"] = "completed"
    is_auto_charge: bool = False
    reason: str | None = None
    """Of one that came to nothing."""
    created_at: datetime
    completed_at: datetime | None

    @classmethod
    def of(cls, row: PaymentRow | TransactionRow) -> "Payment":
        """A payment, or a credit that needed none."""
        if isinstance(row, TransactionRow):
            return cls(
                id=str(row.id),
                provider=str((row.explanation or {}).get("provider", "manual")),
                amount_usd=dollars(row.amount_micros),
                created_at=row.created_at,
                completed_at=row.created_at,
            )
        return cls.model_validate(
            {
                "id": row.id,
                "provider": row.provider,
                "amount_usd": dollars(row.amount_micros),
                "status": row.status,
                "is_auto_charge": row.is_auto_charge,
                "reason": row.why,
                "created_at": row.created_at,
                "completed_at": row.completed_at,
            }
        )


class PaymentHistory(Wire):
    """A page of payments, newest first."""

    payments: list[Payment]
    total: int


class CallbackQuery(Wire):
    """What a provider's page sends a payer back with."""

    payment: Annotated[str, Field(max_length=64)] = ""
    signature: Annotated[str, Field(max_length=64)] = ""


class Received(Wire):
    """The event is known."""

    received: Literal[True] = True
