"""Payments through a provider: credited by its signed word alone, once, in whatever order it comes."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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

from tests.support.api import Api, Person, running_api
from tests.support.payment_servers import (
    PADDLE_SECRET,
    STRIPE_SECRET,
    Event,
    FakePaddle,
    FakeStripe,
    serving,
)
from tests.support.postgres import Postgres


@dataclass
class Till:
    """An api that takes money, and those who take it for it."""

    api: Api
    stripe: FakeStripe
    paddle: FakePaddle

    def checkout(self, person: Person, usd: Any = 10, **asked: Any) -> dict[str, Any]:
        """A checkout that must be opened."""
        reply = person.ask("POST", "/v1/payments/checkout", {"amount": usd, **asked})
        assert reply.status == 200, reply.raw
        opened: dict[str, Any] = reply.json
        return opened

    def deliver(self, *events: Event) -> None:
        """Deliver them, in this order; each must be taken."""
        for event in events:
            reply = event.deliver(self.api)
            assert (reply.status, reply.json) == (200, {"received": True}), reply.raw


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def till(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    """On each kind of database."""
    url = ""
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres_server")
        url = server.database()
    one, other = FakeStripe(), FakePaddle()
    with serving(one), serving(other):
        settings = {
            "CALL2ME_PAYMENTS": "stripe,paddle",
            "STRIPE_API_KEY": "sk_test_stand_in",
            "STRIPE_WEBHOOK_SECRET": f"whsec_new, {STRIPE_SECRET}",
            "CALL2ME_STRIPE_URL": one.url,
            "PADDLE_API_KEY": "pdl_test_stand_in",
            "PADDLE_WEBHOOK_SECRET": PADDLE_SECRET,
            "CALL2ME_PADDLE_URL": other.url,
            "CALL2ME_INVOICE_SELLER": r"Talking <Ltd>\n1 High Street",
        }
        with running_api(tmp_path_factory.mktemp(f"till-{request.param}"), url, **settings) as api:
            yield Till(api, one, other)


def balance(person: Person) -> float:
    return float(person.ask("GET", "/v1/wallet/balance").json["balance_usd"])


def payments(person: Person) -> list[tuple[str, float]]:
    listed = person.ask("GET", "/v1/payments/history").json["payments"]
    return [(payment["status"], payment["amount_usd"]) for payment in listed]


def moves(person: Person) -> list[float]:
    rows = person.ask("GET", "/v1/wallet/transactions").json["transactions"]
    return [row["amount_usd"] for row in reversed(rows)]


def test_credit_comes_with_the_signed_event_and_not_before(till: Till) -> None:
    person = till.api.person()
    opened = till.checkout(person, "12.50", success_url="https://shop.example.com/thanks")
    assert opened["provider"] == "stripe"
    assert opened["checkout_url"] == f"https://checkout.stripe.com/c/pay/{opened['session_id']}"
    asked = till.stripe.asked[-1][2]
    assert asked["line_items[0][price_data][unit_amount]"] == "1250"
    assert asked["customer_email"] == person.email
    events = till.stripe.pay(opened["session_id"])
    assert till.api.ask("GET", "/v1/payments/callback/success").status == 200
    assert (balance(person), payments(person)) == (0, [("pending", 12.5)])
    till.deliver(*events)
    assert (balance(person), payments(person)) == (12.5, [("completed", 12.5)])
    (row,) = person.ask("GET", "/v1/wallet/transactions").json["transactions"]
    assert (row["type"], row["explanation"]["payment_id"]) == ("topup", opened["payment_id"])
    assert till.api.person().ask("GET", "/v1/payments/history").json["total"] == 0
    assert person.ask("GET", "/v1/users/me/stats").json["has_paid_topup"] is True


@pytest.mark.parametrize("kind", ["stripe", "paddle"])
def test_a_forged_event_credits_nothing(till: Till, kind: str) -> None:
    person = till.api.person()
    opened = till.checkout(person, provider=kind)
    event = getattr(till, kind).pay(opened["session_id"])[-1]
    more = Event(event.path, event.header, event.raw.replace(b"1000", b"9000"), event.secret)
    forged = [
        (event.raw, {}),
        (event.raw, event.signed(secret="whsec_guessed")),
        (more.raw, event.signed()),
        (event.raw, event.signed(at=time.time() - 301)),
        (event.raw, event.signed(at=time.time() + 301)),
        (event.raw, {event.header: ""}),
        (event.raw, {event.header: event.signed()[event.header].replace("v1=", "v0=").replace("h1=", "h0=")}),
        (event.raw, {event.header: "t=" + "9" * 400 + ",v1=00"}),
    ]
    for raw, headers in forged:
        reply = till.api.ask("POST", event.path, raw=raw, headers=headers)
        assert (reply.status, reply.detail) == (403, "This event is not signed by the payment provider")
    assert balance(person) == 0
    till.deliver(event)
    assert balance(person) == 10


@pytest.mark.parametrize("kind", ["stripe", "paddle"])
def test_a_replayed_event_credits_once_also_all_at_once(till: Till, kind: str) -> None:
    person = till.api.person()
    events = getattr(till, kind).pay(till.checkout(person, provider=kind)["session_id"])
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda event: event.deliver(till.api), events * 6))
    assert {reply.status for reply in replies} == {200}
    assert (balance(person), moves(person)) == (10, [10])


def test_a_payment_that_is_told_late_still_counts(till: Till) -> None:
    person = till.api.person()
    opened = till.checkout(person)
    events = till.stripe.pay(opened["session_id"])
    expired = till.stripe.expire(opened["session_id"])
    till.deliver(expired)
    assert payments(person) == [("cancelled", 10)]
    till.deliver(events[-1])
    assert (balance(person), payments(person)) == (10, [("completed", 10)])
    till.deliver(till.stripe.expire(opened["session_id"]))  # and an old one after it changes nothing
    assert payments(person) == [("completed", 10)]


def test_events_in_the_wrong_order_come_to_the_same(till: Till) -> None:
    person = till.api.person()
    opened = till.checkout(person)
    paid = till.stripe.pay(opened["session_id"])
    intent = till.stripe.intent_of(opened["payment_id"])
    refund = till.stripe.refund(intent, 400)
    created = till.stripe.dispute(intent, 600)
    won = till.stripe.change(created, "charge.dispute.closed", status="won")
    till.deliver(refund, won)
    assert (balance(person), moves(person)) == (0, [])  # nobody knows yet whose payment this was
    till.deliver(*reversed(paid))
    assert (balance(person), moves(person)) == (6, [10, -4])
    till.deliver(created)  # older than `won`
    assert (balance(person), payments(person)) == (6, [("completed", 10)])


def test_what_goes_back_is_taken_back_and_comes_again(till: Till) -> None:
    person = till.api.person()
    opened = till.checkout(person)
    till.deliver(*till.stripe.pay(opened["session_id"]))
    intent = till.stripe.intent_of(opened["payment_id"])
    refund = till.stripe.refund(intent, 1000, status="pending")
    till.deliver(refund, refund)
    assert (balance(person), payments(person)) == (0, [("refunded", 10)])
    till.deliver(till.stripe.change(refund, "refund.failed", status="failed"))
    assert (balance(person), payments(person)) == (10, [("completed", 10)])
    dispute = till.stripe.dispute(intent, 1000)
    till.deliver(dispute)
    assert (balance(person), payments(person)) == (0, [("disputed", 10)])
    till.deliver(till.stripe.change(dispute, "charge.dispute.funds_reinstated", status="won"))
    assert (balance(person), moves(person)) == (10, [10, -10, 10, -10, 10])
    types = {row["type"] for row in person.ask("GET", "/v1/wallet/transactions").json["transactions"]}
    assert types == {"topup", "refund"}


def test_paddle_pays_without_the_tax_and_takes_back(till: Till) -> None:
    person = till.api.person()
    opened = till.checkout(person, 20, provider="paddle")
    assert opened["checkout_url"] == f"https://pay.example.com/?_ptxn={opened['session_id']}"
    id_ = opened["session_id"]
    refund = till.paddle.adjust(id_, "refund", 500)
    till.deliver(refund, *till.paddle.pay(id_))
    assert moves(person) == [20, -5]
    back = till.paddle.adjust(id_, "chargeback", 1500)
    till.deliver(back)
    assert (balance(person), payments(person)) == (0, [("disputed", 20)])
    till.deliver(
        till.paddle.adjust(id_, "chargeback_reverse", 1500), till.paddle.adjust(id_, "refund", 1, "rejected")
    )
    assert (balance(person), payments(person)) == (15, [("completed", 20)])


def test_what_is_none_of_ours_changes_nothing(till: Till) -> None:
    person = till.api.person()
    session = till.stripe.things[till.checkout(person)["session_id"]]
    session |= {"payment_status": "paid", "payment_intent": "pi_x"}
    strange = [
        till.stripe.event("checkout.session.completed", {**session, "currency": "try"}),
        till.stripe.event("checkout.session.completed", {**session, "metadata": {"payment_id": "pay_no"}}),
        till.stripe.event("checkout.session.completed", {**session, "metadata": None}),
        till.stripe.event("checkout.session.completed", {**session, "payment_status": "unpaid"}),
        till.stripe.event("customer.subscription.created", {"id": "sub_1", "object": "subscription"}),
    ]
    till.deliver(*strange)
    assert (balance(person), payments(person)) == (0, [("pending", 10)])
    for raw in (
        b"[]",
        b"{}",
        b"{",
        b'{"id":1,"type":2,"created":3,"data":{"object":[]}}',
        b"\xff",
        b"[" * 9999,
    ):
        event = Event(strange[0].path, strange[0].header, raw, STRIPE_SECRET)
        assert event.deliver(till.api).status == 400


def test_a_provider_that_fails_charges_nothing(till: Till) -> None:
    person = till.api.person()
    till.stripe.is_down = True
    try:
        reply = person.ask("POST", "/v1/payments/topup", {"amount": 10})
    finally:
        till.stripe.is_down = False
    assert reply.status == 502
    assert payments(person) == [("failed", 10)]
    for amount in ("0.49", "10000.01", "1.005"):
        assert person.ask("POST", "/v1/payments/checkout", {"amount": amount}).status == 422
    for asked in (
        {"currency": "TRY"},
        {"provider": "iyzico"},
        {"success_url": "javascript:alert(1)"},
        {"cancel_url": "http://shop.example.com"},
    ):
        assert person.ask("POST", "/v1/payments/checkout", {"amount": 10, **asked}).status == 422
    assert len(payments(person)) == 1


def test_a_checkout_under_a_key_is_one(till: Till) -> None:
    person = till.api.person()
    headers = {"Idempotency-Key": "order-17"}
    with ThreadPoolExecutor(4) as pool:
        made = list(
            pool.map(
                lambda _: person.ask("POST", "/v1/payments/checkout", {"amount": 10}, headers=headers),
                range(4),
            )
        )
    assert {reply.status for reply in made} == {200}
    assert len({reply.raw for reply in made}) == 1
    assert len(payments(person)) == 1
    changed = person.ask("POST", "/v1/payments/checkout", {"amount": 11}, headers=headers)
    assert changed.status == 422


def test_a_payer_who_goes_back_cancels_and_only_with_our_link(till: Till) -> None:
    person = till.api.person()
    opened = till.checkout(person)
    link = till.stripe.things[opened["session_id"]]["cancel_url"].removeprefix(till.api.url)
    for wrong in (link[:-1], f"/v1/payments/callback/cancel?payment={opened['payment_id']}"):
        assert till.api.ask("GET", wrong).status == 200
    assert payments(person) == [("pending", 10)]
    assert till.api.ask("GET", link).headers["content-type"].startswith("text/html")
    assert payments(person) == [("cancelled", 10)]


def _card(till: Till, person: Person, last4: str = "4242") -> str:
    opened = till.checkout(person, save_card=True)
    till.deliver(*till.stripe.pay(opened["session_id"], last4=last4))
    methods = person.ask("GET", "/v1/payments/methods").json["methods"]
    return str(next(method["id"] for method in methods if method["card_last_four"] == last4))


def _soon(what: Any, wanted: Any) -> None:
    deadline = time.monotonic() + 20
    while (found := what()) != wanted:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_saved_cards_are_chosen_among_and_forgotten(till: Till) -> None:
    person, stranger = till.api.person(), till.api.person()
    first, second = _card(till, person), _card(till, person, "1881")
    assert len([one for one in till.stripe.asked if one[1] == "/v1/customers"]) >= 1
    listed = person.ask("GET", "/v1/payments/methods").json["methods"]
    assert [(one["id"], one["is_default"], one["card_brand"]) for one in listed] == [
        (first, True, "visa"),
        (second, False, "visa"),
    ]
    assert person.ask("POST", f"/v1/payments/methods/{second}/default", {}).json["is_default"] is True
    for method, path in (
        ("DELETE", f"/v1/payments/methods/{second}"),
        ("POST", f"/v1/payments/methods/{second}/default"),
    ):
        assert stranger.ask(method, path).status == 404
    assert person.ask("DELETE", f"/v1/payments/methods/{second}").json == {"success": True}
    assert till.stripe.things[second]["customer"] is None
    (left,) = person.ask("GET", "/v1/payments/methods").json["methods"]
    assert (left["id"], left["is_default"]) == (first, True)
    till.deliver(till.stripe.event("payment_method.detached", till.stripe.things[first]))
    assert person.ask("GET", "/v1/payments/methods").json["methods"] == []


def test_a_low_balance_charges_the_card_once_and_the_event_credits(till: Till) -> None:
    person = till.api.person()
    card = _card(till, person)  # 10 dollars came with it
    wanted = {"enabled": True, "threshold_usd": "15", "charge_amount_usd": 25}
    reply = person.ask("PUT", "/v1/payments/auto-charge", wanted)
    assert (reply.status, reply.json["payment_method_id"]) == (200, card)
    wallet = person.ask("GET", "/v1/wallet").json
    assert wallet["auto_recharge"] == {"enabled": True, "threshold_usd": 15, "topup_usd": 25}
    _soon(lambda: payments(person)[0], ("pending", 25))
    pending = person.ask("GET", "/v1/payments/history").json["payments"][0]
    assert pending["is_auto_charge"] is True
    _soon(lambda: any(_is_of(thing, pending["id"]) for thing in till.stripe.things.values()), True)
    assert balance(person) == 10  # Stripe answered that it succeeded; its event has not come
    person.ask("PUT", "/v1/payments/auto-charge", wanted)  # asked again while one is under way
    intent = till.stripe.things[till.stripe.intent_of(pending["id"])]
    assert (intent["amount"], intent["customer"]) == (2500, till.stripe.things[card]["customer"])
    till.deliver(till.stripe.event("payment_intent.succeeded", intent))
    assert (balance(person), payments(person)) == (35, [("completed", 25), ("completed", 10)])
    refused = person.ask("DELETE", f"/v1/payments/methods/{card}")
    assert refused.status == 409


def _is_of(thing: dict[str, Any], payment_id: str) -> bool:
    return thing["object"] == "payment_intent" and thing["metadata"].get("payment_id") == payment_id


def test_a_card_that_is_declined_again_and_again_is_left_alone(till: Till) -> None:
    person = till.api.person()
    _card(till, person)
    till.stripe.declines = True
    wanted = {"enabled": True, "threshold_usd": 50, "charge_amount_usd": 25}
    try:
        person.ask("PUT", "/v1/payments/auto-charge", wanted)
        _soon(lambda: payments(person)[0], ("failed", 25))
    finally:
        till.stripe.declines = False
    failed = person.ask("GET", "/v1/payments/history").json["payments"][0]
    assert failed["reason"] == "insufficient_funds"
    assert balance(person) == 10
    assert person.ask("GET", "/v1/payments/auto-charge").json["enabled"] is True  # one more may work


def test_an_invoice_is_a_page_without_anybodys_script(till: Till) -> None:
    person = till.api.person()
    person.ask("PATCH", "/v1/users/me", {"company_name": "<script>alert(1)</script>", "tax_id": "DE1"})
    opened = till.checkout(person)
    path = f"/v1/payments/{opened['payment_id']}/invoice"
    assert person.ask("GET", path).status == 404
    till.deliver(*till.stripe.pay(opened["session_id"]))
    till.deliver(till.stripe.refund(till.stripe.intent_of(opened["payment_id"]), 250))
    page = person.ask("GET", path)
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    text = page.raw.decode()
    assert "<script" not in text
    for expected in (
        "&lt;script&gt;",
        "Talking &lt;Ltd&gt;\n1 High Street",
        "Tax number DE1",
        ">10.00",
        ">-2.50",
        ">7.50",
    ):
        assert expected in text
    assert till.api.person().ask("GET", path).status == 404


def test_whoever_wants_to_know_is_told_of_a_payment(till: Till) -> None:
    person = till.api.person()
    person.made("/v1/webhooks/endpoints", {"url": "https://hooks.example.com/a"})
    opened = till.checkout(person)
    till.deliver(*till.stripe.pay(opened["session_id"]))
    told = person.ask("GET", "/v1/webhooks/deliveries").json["deliveries"]
    assert [one["event"] for one in told] == ["payment.succeeded"]


# ── the stand-ins, judged by those whose place they take ─────────────────────────────────────────
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
