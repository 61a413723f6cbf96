"""Wire models of payments."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from api.http.pages import MAX_OFFSET
from api.http.wire import Wire
from api.wallet.money import dollars
from api.wallet.table import TransactionRow


class Checkout(Wire):
    """How much somebody wants to pay."""

    amount: Annotated[Decimal, Field(gt=0, le=1_000_000)]
    currency: Annotated[str, Field(pattern=r"^[A-Za-z]{3}$")] = "USD"
    success_url: Annotated[str, Field(max_length=2000)] | None = None
    cancel_url: Annotated[str, Field(max_length=2000)] | None = None
    save_card: bool = False
    provider: Annotated[str, Field(max_length=50)] | None = None


class CheckoutSession(Wire):
    """Where to pay."""

    session_id: str
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


class PaymentMethods(Wire):
    """The saved cards. There are none: no provider that takes cards is set up."""

    methods: list[PaymentMethod] = Field(default_factory=list)


class AutoCharge(Wire):
    """Whether a card is charged when the balance runs low."""

    enabled: bool = False
    threshold_usd: float = 5.0
    charge_amount_usd: float = 25.0
    payment_method_id: str | None = None


class AutoChargeUpdate(Wire):
    """What shall happen when the balance runs low."""

    enabled: bool
    threshold_usd: Annotated[float, Field(ge=0, le=1_000_000)] = 5.0
    charge_amount_usd: Annotated[float, Field(gt=0, le=1_000_000)] = 25.0
    payment_method_id: Annotated[str, Field(max_length=100)] | None = None


class HistoryQuery(Wire):
    """Which payments."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    offset: Annotated[int, Field(ge=0, le=MAX_OFFSET)] = 0


class Payment(Wire):
    """Money that came in. `provider` is `manual` for an administrator's grant, `bonus` for the welcome."""

    id: int
    provider: str
    amount_usd: float
    currency: Literal["USD"] = "USD"
    status: Literal["completed"] = "completed"
    is_auto_charge: bool = False
    created_at: datetime
    completed_at: datetime | None

    @classmethod
    def of(cls, row: TransactionRow) -> "Payment":
        """A credit as a payment."""
        return cls(
            id=row.id or 0,
            provider=str((row.explanation or {}).get("provider", "manual")),
            amount_usd=dollars(row.amount_micros),
            created_at=row.created_at,
            completed_at=row.created_at,
        )


class PaymentHistory(Wire):
    """A page of payments, newest first."""

    payments: list[Payment]
    total: int
