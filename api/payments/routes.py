"""/v1/payments: what came in, and the ways in. Cards need a provider that takes them; there is none yet."""

from aiohttp import web

from api.http.errors import BadRequest, Unavailable
from api.http.routes import Routes
from api.keys import CALLER, SESSION
from api.payments.schemas import (
    AutoCharge,
    AutoChargeUpdate,
    Checkout,
    CheckoutSession,
    HistoryQuery,
    Payment,
    PaymentHistory,
    PaymentMethods,
)
from api.wallet import reading
from api.wallet.schemas import TransactionQuery

routes = Routes("/v1/payments", tag="Payments")


class NoPaymentProvider(Unavailable):
    """No payment provider is set up here; ask whoever runs this server for credit"""


class NoPaymentMethod(BadRequest):
    """There is no saved payment method to charge"""


@routes.post("/checkout", aliases=["/topup"], errors=[NoPaymentProvider])
async def create_checkout(request: web.Request, body: Checkout) -> CheckoutSession:
    """Begin a payment. Until this server has a payment provider it answers 503."""
    raise NoPaymentProvider


@routes.get("/methods")
async def list_payment_methods(request: web.Request) -> PaymentMethods:
    """List saved cards."""
    return PaymentMethods()


@routes.get("/auto-charge")
async def get_auto_charge(request: web.Request) -> AutoCharge:
    """Get whether a card is charged when the balance runs low."""
    return AutoCharge()


@routes.put("/auto-charge", errors=[NoPaymentMethod])
async def set_auto_charge(request: web.Request, body: AutoChargeUpdate) -> AutoCharge:
    """Have a card charged when the balance runs low; needs a saved card, so today it can only be off."""
    if body.enabled:
        raise NoPaymentMethod
    return AutoCharge()


@routes.get("/history")
async def list_payments(request: web.Request, query: HistoryQuery) -> PaymentHistory:
    """List what came in, newest first."""
    asked = TransactionQuery(limit=query.limit, offset=query.offset, type="topup")
    rows, total = await reading.page(request[SESSION], request[CALLER].owner_id, asked)
    return PaymentHistory(payments=[Payment.of(row) for row in rows], total=total)
