"""What Telnyx answers, as far as we read it. What is missing or of another type is no answer."""

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from api.outside.carrier import Account, CarrierUnavailable, Held, Offer, Order, Reservation

_MICROS = 1_000_000
_DEAREST = Decimal(1_000_000)
Text = Annotated[str, Field(min_length=1, max_length=255)]
Loose = Annotated[str, BeforeValidator(lambda value: "" if value is None else str(value)[:255])]
"""Where the value may be missing, or a number."""


class OfferCost(BaseModel):
    """What a number costs."""

    currency: Loose = "USD"
    monthly_cost: Loose = ""
    upfront_cost: Loose = ""


class OfferFeature(BaseModel):
    """What a number can do."""

    name: Loose = ""


class OfferRegion(BaseModel):
    """Where a number is."""

    region_type: Loose = ""
    region_name: Loose = ""


class OfferData(BaseModel):
    """`available_phone_number`."""

    phone_number: Text
    cost_information: OfferCost | None = None
    features: list[OfferFeature] | None = None
    region_information: list[OfferRegion] | None = None

    def offer(self) -> Offer | None:
        """None where nobody said what it costs, or not in dollars: we could not say what to charge."""
        cost = self.cost_information
        if cost is None or cost.currency.upper() != "USD":
            return None
        monthly, upfront = micros_of(cost.monthly_cost), micros_of(cost.upfront_cost or "0")
        if monthly is None or upfront is None:
            return None
        regions = {one.region_type: one.region_name for one in self.region_information or ()}
        return Offer(
            number=self.phone_number,
            monthly_micros=monthly,
            upfront_micros=upfront,
            features=tuple(one.name for one in self.features or () if one.name),
            locality=regions.get("location") or regions.get("rate_center") or "",
        )


class OrderedNumber(BaseModel):
    """A number in an order."""

    phone_number: Loose = ""
    status: Loose = ""
    requirements_met: bool | None = None


class OrderData(BaseModel):
    """`number_order`."""

    id: Text
    status: Literal["pending", "success", "failure"]
    customer_reference: Loose = ""
    requirements_met: bool | None = None
    phone_numbers: list[OrderedNumber] | None = None

    def order(self) -> Order:
        """One number, in our words."""
        numbers = self.phone_numbers or []
        lacks = self.requirements_met is False or any(one.requirements_met is False for one in numbers)
        return Order(self.id, numbers[0].phone_number if numbers else "", self.status, needs_documents=lacks)


class SubOrderData(BaseModel):
    """`sub_number_order`: the part of an order that can be cancelled."""

    id: Text
    order_request_id: Loose = ""
    status: Loose = ""


class HeldData(BaseModel):
    """`phone_number`."""

    id: Text
    phone_number: Text
    status: Loose = ""
    connection_id: Loose = ""

    def held(self) -> Held:
        """In our words."""
        return Held(self.id, self.phone_number, self.status, self.connection_id)


class ReservedNumber(BaseModel):
    """A number in a reservation."""

    expired_at: Loose = ""


class ReservationData(BaseModel):
    """`number_reservation`."""

    id: Text
    status: Loose = ""
    phone_numbers: list[ReservedNumber] | None = None

    def reservation(self) -> Reservation:
        """In our words."""
        numbers = self.phone_numbers or []
        return Reservation(self.id, numbers[0].expired_at if numbers else "")


class ConnectionData(BaseModel):
    """`credential_connection`."""

    id: Text
    connection_name: Loose = ""
    user_name: Loose = ""


class ProfileData(BaseModel):
    """`outbound_voice_profile`."""

    id: Text
    name: Loose = ""


class AccountData(BaseModel):
    """`balance`."""

    balance: Loose = ""
    available_credit: Loose = ""
    currency: Loose = ""

    def account(self) -> Account:
        """In our words."""
        return Account(self.balance, self.available_credit, self.currency)


_M = TypeVar("_M", bound=BaseModel)


def read_one(model: type[_M], told: Any) -> _M:
    """What stands under `data`. Raises `CarrierUnavailable`."""
    try:
        return model.model_validate(told["data"])
    except (ValidationError, KeyError, TypeError):
        raise CarrierUnavailable(f"the answer is no {model.__name__}") from None


def read_all(model: type[_M], told: Any) -> list[_M]:
    """The same for a list."""
    try:
        return [model.model_validate(one) for one in told["data"]]
    except (ValidationError, KeyError, TypeError):
        raise CarrierUnavailable(f"the answer is no list of {model.__name__}") from None


def micros_of(usd: str) -> int | None:
    """Dollars as they are written, in micro-dollars; None for what is no price."""
    try:
        amount = Decimal(usd)
    except InvalidOperation:
        return None
    return round(amount * _MICROS) if amount.is_finite() and 0 <= amount < _DEAREST else None
