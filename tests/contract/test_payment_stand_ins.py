"""The vendors' own SDKs take the stand-ins for the payment providers."""

import json
from dataclasses import dataclass
from typing import Any

import paddle_billing
import pytest
import requests
import stripe
from paddle_billing import Environment, Options
from paddle_billing.Entities.Events import EventTypeName
from paddle_billing.Entities.Shared import CurrencyCode, CustomData, Money, TaxCategory
from paddle_billing.Notifications import Secret, Verifier
from paddle_billing.Resources.Transactions.Operations import CreateTransaction
from paddle_billing.Resources.Transactions.Operations.Create import TransactionCreateItemWithPrice
from paddle_billing.Resources.Transactions.Operations.Price import TransactionNonCatalogPriceWithProduct
from paddle_billing.Resources.Transactions.Operations.Price.TransactionNonCatalogProduct import (
    TransactionNonCatalogProduct,
)

from tests.support.paddle_server import PADDLE_SECRET
from tests.support.stripe_server import STRIPE_SECRET
from tests.support.till import Till


def test_stripes_own_sdk_takes_the_stand_in_for_stripe(till: Till) -> None:
    client = stripe.StripeClient(
        "sk_test_stand_in", base_addresses={"api": till.stripe.url}, max_network_retries=0
    )
    params: Any = {
        "mode": "payment",
        "client_reference_id": "pay_judge",
        "success_url": "https://example.com",
        "cancel_url": "https://example.com",
        "line_items": [
            {
                "quantity": 1,
                "price_data": {"currency": "usd", "unit_amount": 700, "product_data": {"name": "Credit"}},
            }
        ],
        "metadata": {"payment_id": "pay_judge"},
    }
    made = [
        client.v1.checkout.sessions.create(params, options={"idempotency_key": "judge"}) for _ in range(2)
    ]
    assert made[0].id == made[1].id
    assert client.v1.checkout.sessions.retrieve(made[0].id).amount_total == 700
    for event in till.stripe.pay(made[0].id):
        read = stripe.Webhook.construct_event(event.raw, event.signed()["Stripe-Signature"], STRIPE_SECRET)
        assert read.data.object["metadata"]["payment_id"] == "pay_judge"
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(event.raw, event.signed()["Stripe-Signature"], "whsec_other")
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.checkout.sessions.retrieve("cs_none")


class _ToStandIn(requests.adapters.HTTPAdapter):
    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def send(self, request: Any, *arguments: Any, **named: Any) -> Any:
        request.url = request.url.replace("https://sandbox-api.paddle.com", self._url)
        return super().send(request, *arguments, **named)


@dataclass
class _Request:
    body: bytes
    headers: dict[str, str]


def test_paddles_own_sdk_takes_the_stand_in_for_paddle(till: Till) -> None:
    session = requests.Session()
    session.headers["Authorization"] = "Bearer pdl_test_stand_in"
    session.mount("https://", _ToStandIn(till.paddle.url))
    client = paddle_billing.Client(
        "pdl_test_stand_in", options=Options(Environment.SANDBOX), http_client=session
    )
    price = TransactionNonCatalogPriceWithProduct(
        description="Credit",
        name="Credit",
        unit_price=Money("700", CurrencyCode.USD),
        product=TransactionNonCatalogProduct(name="Credit", tax_category=TaxCategory.SaaS),
    )
    asked = CreateTransaction(
        items=[TransactionCreateItemWithPrice(price=price, quantity=1)],
        custom_data=CustomData({"payment_id": "pay_judge"}),
        currency_code=CurrencyCode.USD,
        collection_mode=paddle_billing.Entities.Shared.CollectionMode.Automatic,
    )
    made = client.transactions.create(asked)
    assert made.details.totals.subtotal == "700"
    (event,) = till.paddle.pay(made.id)
    request: Any = _Request(event.raw, event.signed())
    assert Verifier().verify(request, Secret(PADDLE_SECRET))
    assert not Verifier().verify(request, Secret("another"))
    told = json.loads(event.raw)
    assert EventTypeName(told["event_type"]) == EventTypeName.TransactionCompleted
    read = paddle_billing.Entities.Event.Event.from_dict(told)
    assert read.data.custom_data.data["payment_id"] == "pay_judge"
    # And what our own client sends is what the SDK sends.
    theirs = till.paddle.asked[-1][2]
    till.checkout(till.api.person(), 7, provider="paddle")
    ours = till.paddle.asked[-1][2]
    assert ours.keys() == theirs.keys()
    assert ours["items"][0].keys() == theirs["items"][0].keys()
    assert ours["items"][0]["price"]["unit_price"] == theirs["items"][0]["price"]["unit_price"]
    assert ours["items"][0]["price"].keys() == theirs["items"][0]["price"].keys()
