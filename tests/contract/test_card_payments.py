"""Payments through a provider: credited by its signed word alone, once, in whatever order it comes."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.payment_stand_in import Event
from tests.support.stripe_server import STRIPE_SECRET
from tests.support.till import Till, balance, moves, payments


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
        (event.raw, event.signed(at=time.time() + 360)),
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
