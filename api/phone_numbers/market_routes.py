"""/v1/numbers: numbers that a carrier sells, and what becomes of their orders."""

import time
from functools import partial
from typing import Any

from aiohttp import web

from api.agents import service as agents
from api.db.columns import new_id, now
from api.db.engine import after_commit
from api.http.errors import BadRequest, Forbidden, Invalid, NotFound
from api.http.rate_limits import Limit
from api.http.routes import Routes, body_of
from api.http.transactions import let_go
from api.keys import CALLER, CARRIER, CLAIM, PAYMENTS, SESSION, SETTINGS
from api.outside.carrier import Carrier, Event, Forged
from api.payments import routes as payments
from api.payments.schemas import Checkout
from api.phone_numbers import buying, checkouts, market, workflows
from api.phone_numbers.buying import StillOrdered, TooManyNumbers, TooManyOrders
from api.phone_numbers.market import CarrierFailed, CountryNotAllowed, NoCarrier, NotForSale
from api.phone_numbers.market_schemas import (
    NumberCheckout,
    NumberOrder,
    NumberSearch,
    NumbersFound,
    Purchase,
    Purchased,
    Received,
)
from api.phone_numbers.schemas import BOUGHT, Countries, Released
from api.phone_numbers.service import NumberNotFound, NumberTaken
from api.phone_numbers.table import NumberCheckoutRow, NumberOrderRow
from api.wallet import rates as price_list
from api.wallet import rents, transfers
from api.wallet.charges import InsufficientBalance
from api.wallet.money import dollars

numbers = Routes("/v1/numbers", tag="Phone numbers")

EVENTS_LIMIT = Limit("carrier events", 600)
MAX_EVENT_BYTES = 256 * 1024
PURCHASE_ERRORS = (
    NoCarrier,
    CarrierFailed,
    CountryNotAllowed,
    NotForSale,
    InsufficientBalance,
    rents.NeverPaid,
    TooManyOrders,
    TooManyNumbers,
)


class NotSigned(Forbidden):
    """This event is not signed by the carrier"""


class NoEvent(BadRequest):
    """This is no event of the carrier"""


class OrderNotFound(NotFound):
    """There is no such order of a number"""


@numbers.get("/allowed-countries")
async def list_countries_of_numbers(request: web.Request) -> Countries:
    """List where numbers can be bought: nowhere while no carrier is set up."""
    settings = request.app[SETTINGS].carrier
    return Countries(countries=sorted(settings.countries) if request.app[CARRIER] is not None else [])


@numbers.get(
    "/search",
    errors=[NoCarrier, CarrierFailed, CountryNotAllowed],
    older=["//v1/phone-numbers/available"],
)
async def search_numbers(request: web.Request, query: NumberSearch) -> NumbersFound:
    """Search numbers that can be bought, with what they cost here."""
    carrier, settings = _carrier(request), request.app[SETTINGS]
    owner_id = request[CALLER].owner_id
    must_pay = settings.is_billing and not await rents.has_paid(request[SESSION], owner_id)
    await let_go(request)
    rates = price_list.load(settings.rates)
    found = await market.search(carrier, query, settings.carrier.countries, rates)
    return market.told(found, query.phone_number_type, requires_payment=must_pay)


@numbers.post(
    "/purchase",
    errors=[agents.AgentNotFound, NumberTaken, *PURCHASE_ERRORS],
    older=["//v1/phone-numbers/buy"],
    resumes=True,
)
async def purchase_number(request: web.Request, body: Purchase) -> Purchased:
    """Buy a number: it is ordered, and charged when it is there."""
    order = await purchased(request, body)
    left = await transfers.available(request[SESSION], order.owner_id)
    return Purchased(
        phone_number=order.number,
        order_id=order.id,
        monthly_price_usd=dollars(order.monthly_micros),
        upfront_price_usd=dollars(order.upfront_micros),
        balance_after_usd=dollars(left),
    )


async def purchased(request: web.Request, wanted: Purchase) -> NumberOrderRow:
    """An order that is written down; the one of this Idempotency-Key, where there is one already."""
    carrier, settings = _carrier(request), request.app[SETTINGS]
    session, caller = request[SESSION], request[CALLER]
    claim = request.get(CLAIM)
    order_id = f"order_{claim.stable_id}" if claim else new_id("order", 24)
    known = await session.get(NumberOrderRow, order_id)
    if known is not None and known.owner_id == caller.owner_id:
        return known
    await let_go(request)  # nobody waits for the carrier with a transaction open
    rates = price_list.load(settings.rates)
    priced = await market.find(carrier, wanted, settings.carrier.countries, rates)
    if await checkouts.is_kept(session, priced.offer.number, caller.owner_id):
        raise NotForSale
    order = await buying.begin(
        session,
        caller,
        priced,
        wanted.agent_id,
        provider=BOUGHT,
        order_id=order_id,
        is_billed=settings.is_billing,
    )
    after_commit(session, partial(workflows.queue, order_id, 1))
    return order


@numbers.post(
    "/checkout",
    errors=[
        agents.AgentNotFound,
        NoCarrier,
        CarrierFailed,
        CountryNotAllowed,
        NotForSale,
        payments.NoPaymentProvider,
        payments.ProviderFailed,
    ],
    resumes=True,
)
async def checkout_number(request: web.Request, body: Purchase) -> NumberCheckout:
    """Buy a number and pay for it at once: it is kept for half an hour, and ordered once it is paid."""
    carrier, settings = _carrier(request), request.app[SETTINGS]
    session, caller = request[SESSION], request[CALLER]
    if not request.app[PAYMENTS]:
        raise payments.NoPaymentProvider
    claim = request.get(CLAIM)
    pending_id = f"pending_{claim.stable_id}" if claim else new_id("pending", 24)
    row = await session.get(NumberCheckoutRow, pending_id)
    if row is None or row.owner_id != caller.owner_id:
        if body.agent_id is not None:
            await agents.get(session, caller, body.agent_id)
        await let_go(request)
        rates = price_list.load(settings.rates)
        priced = await market.find(carrier, body, settings.carrier.countries, rates)
        if await checkouts.is_kept(session, priced.offer.number, caller.owner_id):
            raise NotForSale
        await let_go(request)
        await market.reserve(carrier, priced.offer.number, pending_id)
        opened = await payments.create_checkout(request, Checkout(amount=checkouts.price(priced)))
        row = NumberCheckoutRow(
            id=pending_id,
            owner_id=caller.owner_id,
            payment_id=opened.payment_id,
            session_id=opened.session_id,
            number=priced.offer.number,
            agent_id=body.agent_id,
            is_billed=settings.is_billing,
            cost_micros=priced.offer.monthly_micros,
            upfront_cost_micros=priced.offer.upfront_micros,
            monthly_micros=priced.monthly_micros,
            upfront_micros=priced.upfront_micros,
            checkout_url=opened.checkout_url,
            expires_at=now() + checkouts.KEPT_FOR,
        )
        session.add(row)
    return NumberCheckout(
        pending_id=row.id,
        payment_id=row.payment_id,
        paddle_transaction_id=row.session_id,
        checkout_url=row.checkout_url,
        order_id=row.order_id,
        phone_number=row.number,
        upfront_usd=dollars(row.monthly_micros + row.upfront_micros),
        monthly_usd=dollars(row.monthly_micros),
        expires_at=row.expires_at,
    )


@numbers.get("/orders")
async def list_number_orders(request: web.Request) -> list[NumberOrder]:
    """List your last hundred orders of numbers, newest first."""
    rows = await buying.orders_of(request[SESSION], request[CALLER].owner_id)
    return [NumberOrder.of(row) for row in rows]


@numbers.get("/orders/{order_id}", errors=[OrderNotFound])
async def get_number_order(request: web.Request, order_id: str) -> NumberOrder:
    """Find out what became of an order."""
    row = await request[SESSION].get(NumberOrderRow, order_id)
    if row is None or row.owner_id != request[CALLER].owner_id:
        raise OrderNotFound
    return NumberOrder.of(row)


@numbers.delete("/{phone_number}", status=200, errors=[NumberNotFound, StillOrdered])
async def release_number(request: web.Request, phone_number: str) -> Released:
    """Give a number back, and pay no more for it; one of your own is forgotten here."""
    number = await workflows.remove(request[SESSION], request[CALLER], phone_number)
    return Released(phone_number=number)


@numbers.post(
    "/webhooks/telnyx",
    public=True,
    limit=EVENTS_LIMIT,
    errors=[NotSigned, NoEvent, Invalid],
    reads=dict[str, Any],
)
async def receive_telnyx_event(request: web.Request) -> Received:
    """Take an event of Telnyx, signed in `telnyx-signature-ed25519`: it has an order looked at sooner."""
    event = await event_of(request)
    if event.order_id:
        await workflows.look_now(event.order_id)
    return Received()


async def event_of(request: web.Request) -> Event:
    """What the carrier tells. Raises `NotSigned` and `NoEvent`."""
    carrier = request.app[CARRIER]
    if carrier is None:
        raise NotSigned  # by nobody whom we know
    raw = await body_of(request)
    if len(raw) > MAX_EVENT_BYTES:
        raise NoEvent
    try:
        return carrier.read(request.headers, raw, time.time())
    except Forged:
        raise NotSigned from None
    except (ValueError, RecursionError):
        raise NoEvent from None


def _carrier(request: web.Request) -> Carrier:
    carrier = request.app[CARRIER]
    if carrier is None:
        raise NoCarrier
    return carrier
