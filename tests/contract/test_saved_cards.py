"""Cards that are kept: chosen among, charged when the balance is low, left alone when they are declined."""

import time
from typing import Any

from tests.support.api import Person
from tests.support.till import Till, balance, payments


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
